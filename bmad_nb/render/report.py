"""Titled tables: aligned on a terminal, as a card in a notebook, and as a page of their own."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from bmad_nb.render.base import DIM, LABEL, LINE, NONE, Html, cut, joined, plain, seconds, tag, usd
from bmad_nb.render.parts import card, cell, header, line, table
from bmad_nb.render.text import table_text

MOST_ROWS = 200
"""Rows of a table that are shown."""
TEXT_LIMIT = 40_000
"""Bytes of a text beside the tables that are shown."""
CELL_LIMIT = 120
"""Characters of a value that are shown."""
_ENDINGS = ("_usd", "_s")
_PAGE_STYLE = (
    "body{font:14px/1.5 system-ui,sans-serif;max-width:1080px;margin:24px auto;padding:0 16px;"
    "color:#1f2328;background:#fff}pre{white-space:pre-wrap;overflow-wrap:anywhere;"
    "background:#f6f8fa;padding:10px;border-radius:6px;font-size:12px}"
    "@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}"
    "pre{background:#161b22}}"
)


@dataclass(frozen=True, slots=True)
class ReportView:
    """What a report draws."""

    title: str
    tables: Mapping[str, Sequence[Mapping[str, Any]]]
    """Rows by the title of their table; all rows of one have the same keys."""
    notes: tuple[str, ...] = ()


def shown_value(name: str, value: Any) -> str:  # noqa: PLR0911  (one for each kind)
    """Return a value as people read it: money and seconds by the ending of their column's name.

    >>> shown_value("cost_usd", 0.0125), shown_value("share", 0.25), shown_value("n", 1200)
    ('$0.0125', '0.25', '1,200')
    """
    if value is None or value in ("", [], ()) or (isinstance(value, float) and math.isnan(value)):
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float | Decimal):
        if name.endswith("_usd"):
            return usd(Decimal(str(value)))
        if name.endswith("_s"):
            return seconds(float(value))
    if isinstance(value, float):
        return f"{value:,.2f}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    said = " ".join(plain(str(value)).split())
    return said if len(said) <= CELL_LIMIT else said[: CELL_LIMIT - 1] + "…"


def head_of(name: str) -> str:
    """Return a column's name as a heading.

    >>> head_of("cost_usd"), head_of("queue_p90_s")
    ('cost', 'queue p90')
    """
    for ending in _ENDINGS:
        name = name.removesuffix(ending)
    return name.replace("_", " ")


def report_text(view: ReportView) -> str:
    """Return a report as plain text, safe on a terminal."""
    blocks = [view.title] if view.title else []
    for title, rows in view.tables.items():
        head = [title] if title else []
        blocks.append("\n".join([*head, _table(rows) if rows else "  Nothing to show."]))
    blocks += view.notes
    return plain("\n\n".join(blocks))


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    names = list(rows[0])
    cells = [[shown_value(name, row.get(name)) for name in names] for row in rows[:MOST_ROWS]]
    text = table_text([head_of(name) for name in names], cells)
    more = len(rows) - MOST_ROWS
    return f"{text}\n{more:,} more" if more > 0 else text


def report_html(view: ReportView) -> str:
    """Return a report as markup: nothing in it runs, and nothing is fetched."""
    first, _, rest = view.title.partition("\n")
    said = [_written(rest.strip("\n"))] if rest.strip() else []
    parts = [_section(title, rows) for title, rows in view.tables.items()]
    notes = [_written(each) for each in view.notes]
    return card(first or "Report", header("", "", first, ()), *said, *parts, *notes)


def _written(text: str) -> Html:
    """Return a text in its own lines."""
    style = f"{DIM};white-space:pre-wrap;overflow-wrap:anywhere;margin:8px 20px"
    return tag("div", cut(text, TEXT_LIMIT), style=style)


def _section(title: str, rows: Sequence[Mapping[str, Any]]) -> Html:
    small = tag("div", title, style=f"{LABEL};margin:0 0 6px 0") if title else ""
    if not rows:
        return tag("div", small, "Nothing to show.", style="padding:10px 20px")
    names = list(rows[0])
    sides = {n: "right" if _is_numeric([row.get(n) for row in rows]) else "left" for n in names}
    head = line(*(
        cell(head_of(n), name="th",
             style=f"padding:3px 14px 3px 0;opacity:0.72;text-align:{sides[n]}")
        for n in names
    ))  # fmt: skip
    body = [
        line(*(
            cell(shown_value(n, row.get(n)),
                 style=f"padding:3px 14px 3px 0;border-top:1px solid {LINE};text-align:{sides[n]}")
            for n in names
        ))
        for row in rows[:MOST_ROWS]
    ]  # fmt: skip
    more = len(rows) - MOST_ROWS
    rest = tag("div", f"{more:,} more", style=DIM) if more > 0 else ""
    return tag("div", small, table(head, *body), rest, style="padding:10px 20px;overflow-x:auto")


def _is_numeric(values: Sequence[Any]) -> bool:
    known = [each for each in values if each is not None]
    return bool(known) and all(
        isinstance(each, int | float | Decimal) and not isinstance(each, bool) for each in known
    )


def page_html(title: str, parts: Iterable[str]) -> str:
    """Return a whole page that opens offline; a policy in it forbids scripts and all fetching.

    Args:
        title: of the window.
        parts: markup; what is not `Html` is escaped.
    """
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    head = joined([
        Html('<meta charset="utf-8">'),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        Html('<meta name="viewport" content="width=device-width">'),
        tag("title", title), tag("style", Html(_PAGE_STYLE)),
    ], "\n")  # fmt: skip
    body = tag("body", joined(parts, "\n"))
    return f'<!doctype html>\n<html lang="en">{tag("head", head)}{body}</html>\n'


def heading(text: str) -> Html:
    """Return a heading of a page."""
    return tag("h2", text, style="font-size:17px;margin:28px 0 8px 0")


def quoted(text: str) -> Html:
    """Return a text as it was written."""
    return tag("pre", text)
