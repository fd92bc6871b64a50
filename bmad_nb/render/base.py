"""What every display is made of: safe text, tags, colours, and how numbers are written.

Whatever an LLM, a user or a provider wrote reaches a page only through `escape`, and a terminal
only through `plain`. `tag` escapes each child that is not `Html` already, so that a forgotten
`escape` shows as text instead of running as a script.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from bmad_nb.events import CallRow, RunStatus

ACCENT = "#4974df"
"""Best, chosen, running, spent."""
GOOD = "#2e8a4a"
"""Done, added words."""
WARN = "#a96c05"
"""Needs somebody, disagreement."""
BAD = "#da4141"
"""Failed, left-out words."""
GREY = "#757981"
"""Everything else, baselines."""
LINE = "#7579814d"
SOFT = "#75798126"
TRACK = "#75798133"

MONO = (
    "font-family:Menlo,Consolas,'DejaVu Sans Mono',monospace;"
    "font-family:var(--jp-code-font-family,Menlo,Consolas,'DejaVu Sans Mono',monospace)"
)
"""A plain family first: an untrusted notebook loses the `var()`."""
CARD = (
    "max-width:960px;font-size:13px;line-height:1.5;font-size:var(--jp-ui-font-size1,13px);"
    f"font-variant-numeric:tabular-nums;border:1px solid {LINE};border-radius:8px"
)
LABEL = "font-size:11px;line-height:1.45;opacity:0.72"
DIM = "font-size:12px;line-height:1.45;opacity:0.78"
TABLE = "border-collapse:collapse;width:100%;margin:0;table-layout:auto"
PRE = "white-space:pre-wrap;overflow-wrap:anywhere"

MINUS = "\u2212"
NONE = "\u2013"

_HALVES = dict.fromkeys(range(0xD800, 0xE000), "\ufffd")
_BIDI = [*range(0x202A, 0x202F), *range(0x2066, 0x206A)]
_VISIBLE: dict[int, str] = {
    **{code: chr(0x2400 + code) for code in range(0x20) if code not in (0x09, 0x0A)},
    0x7F: "\u2421",
    **dict.fromkeys(range(0x80, 0xA0), "\ufffd"),
    **_HALVES,
    **dict.fromkeys((0xFFFE, 0xFFFF), "\ufffd"),
    **{code: f"[U+{code:04X}]" for code in _BIDI},
}
_ON_TERMINAL = {
    **_VISIBLE,
    **{code: "" for code in (*range(0x20), 0x7F, *range(0x80, 0xA0)) if code not in (9, 10)},
}
_TERMINAL = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)"  # OSC, DCS
    r"|\x1b[ -/]*[0-~]"
)


@dataclass(frozen=True, slots=True)
class ComparisonView:
    """All that a comparison shows."""

    run_id: str
    verb: str
    """What was run: `ask` or `compare`."""
    rows: tuple[CallRow, ...]
    """One final row per case, LLM, variant and sample."""
    status: RunStatus
    budget_usd: Decimal | None = None
    """Limit in US dollars, if there was one."""
    duration_s: float | None = None
    """Seconds that the run took."""
    notes: tuple[str, ...] = ()
    """Sentences that weaken or explain the result."""
    next_steps: tuple[str, ...] = ()
    """Commands that can be copied."""
    name: str = "r"
    """The variable that holds the result."""
    baseline: str = ""
    """Label of the column that others are compared with; empty for the best one."""
    left: int = 0
    """Calls that were never begun, because the run was stopped."""


NO_MATH = "tex2jax_ignore mathjax_ignore"
"""Class of each outermost element: else Jupyter sets "$5 or $6" as mathematics."""


class Html(str):
    """Text that is markup already and needs no escaping."""

    __slots__ = ()


def escape(text: str) -> Html:
    r"""Return `text` as it can stand in HTML or SVG, in an element or in a quoted attribute.

    Control characters become visible signs and lone surrogates U+FFFD, so that the result always
    encodes to UTF-8 and is well-formed XML. Bidi overrides become their code point in words.

    >>> escape("<b>\x00")
    '&lt;b&gt;␀'
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return Html(html.escape(lines.translate(_VISIBLE)))


def plain(text: str) -> str:
    r"""Return `text` as it can be written to a terminal.

    Escape sequences and control characters except newline and tab are taken out; lone surrogates
    become U+FFFD and bidi overrides their code point in words.

    >>> plain("\x1b[31mred\x1b[0m")
    'red'
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return _TERMINAL.sub("", lines).translate(_ON_TERMINAL)


def sendable(value: Any) -> Any:
    r"""Return JSON values as a kernel can send them: its messages are UTF-8.

    Lone surrogates, the halves of a character that an LLM was cut off in, become U+FFFD.

    >>> sendable({"text": ["half: \ud83d", 1]})
    {'text': ['half: \ufffd', 1]}
    """
    if isinstance(value, str):
        return value if value.isascii() else value.translate(_HALVES)
    if isinstance(value, Mapping):
        return {sendable(key): sendable(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [sendable(each) for each in value]
    return value


def markup(*parts: str) -> Html:
    """Join parts to markup; what is not `Html` is escaped."""
    return Html("".join(each if isinstance(each, Html) else escape(each) for each in parts))


def joined(parts: Iterable[str], between: str = "") -> Html:
    """Join parts with `between`; what is not `Html` is escaped."""
    return Html(markup(between).join(markup(each) for each in parts))


def tag(name: str, *children: str, style: str = "", **attributes: str) -> Html:
    """Return an element; children that are not `Html` are escaped, and so is each attribute.

    >>> tag("td", "a < b", style="opacity:0.7")
    '<td style="opacity:0.7">a &lt; b</td>'
    """
    given = {**attributes, **({"style": style} if style else {})}
    written = "".join(f' {key}="{escape(value)}"' for key, value in given.items())
    return Html(f"<{name}{written}>{markup(*children)}</{name}>")


def cut(text: str, limit: int) -> str:
    """Return the start of `text` that takes at most about `limit` bytes once it is escaped.

    >>> cut("abcdef", 3)
    'abc'
    """
    shown = text[:limit]
    while len(size := escape(shown).encode()) > limit and len(shown) > 1:
        shown = shown[: max(1, min(len(shown) - 1, len(shown) * limit // len(size)))]
    return shown


def usd(amount: Decimal | None) -> str:
    """Return an amount in US dollars, two significant digits where it is small.

    >>> usd(Decimal("0.000171")), usd(Decimal("1.5")), usd(None)
    ('$0.00017', '$1.50', 'price unknown')
    """
    if amount is None or not amount.is_finite():
        return "price unknown"
    sign = MINUS if amount < 0 else ""
    size = abs(amount)
    if size == 0:
        return "$0"
    if size >= Decimal("0.995"):
        return f"{sign}${size:,.2f}"
    if size < Decimal("1e-9"):
        return f"{sign}<$0.000000001"
    digits = 4 if size >= Decimal("0.01") else 1 - size.adjusted()
    whole, _, part = f"{size:.{digits}f}".partition(".")
    return f"{sign}${whole}.{part.rstrip('0').ljust(2, '0')}"


def seconds(value: float | None) -> str:
    """Return a duration as people say it.

    >>> seconds(0.183), seconds(2.61), seconds(200)
    ('0.18 s', '2.6 s', '3 min 20 s')
    """
    if value is None or not math.isfinite(value):
        return NONE
    if value == 0:
        return "0 s"
    if value < 0.005:
        return "<0.01 s"
    if value < 59.5:
        digits = 2 if value < 0.995 else 1 if value < 19.95 else 0
        return f"{value:.{digits}f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def tokens(count: int | None) -> str:
    """Return a count of tokens with thousands apart, or a dash where nobody counted.

    >>> tokens(12345)
    '12,345'
    """
    return NONE if count is None else f"{count:,}"


def signed(value: float, digits: int = 3) -> str:
    """Return a difference with its sign, minus as a real minus.

    >>> signed(0.0201), signed(0.0001)
    ('+0.020', '0.000')
    """
    text = f"{abs(value):.{digits}f}"
    if float(text) == 0:
        return text
    return ("+" if value > 0 else MINUS) + text


def points(value: float | None) -> str:
    """Return a score with two digits, or a dash.

    >>> points(0.8149)
    '0.81'
    """
    return NONE if value is None or not math.isfinite(value) else f"{value:.2f}"


def listed(names: Iterable[str], limit: int = 3) -> str:
    """Return names as a sentence lists them.

    >>> listed(["a", "b", "c"]), listed(["a", "b", "c", "d", "e"])
    ('a, b and c', 'a, b, c and 2 more')
    """
    every = list(names)
    if len(every) > limit + 1:
        every = [*every[:limit], f"{len(every) - limit} more"]
    return f"{', '.join(every[:-1])} and {every[-1]}" if len(every) > 1 else "".join(every)


def counted(count: int, noun: str) -> str:
    """Return a count with its noun.

    >>> counted(1, "case"), counted(12, "case")
    ('1 case', '12 cases')
    """
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
