"""A comparison while its answers come in: a line of progress, and a column per LLM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bmad_nb.render.base import DIM, LABEL, LINE, NO_MATH, PRE, Html, counted, cut, plain, tag
from bmad_nb.render.parts import card

MOST_COLUMNS = 6
_SHOWN = 600
"""Characters of a column's text that are shown."""


@dataclass(frozen=True, slots=True)
class Coming:
    """What one LLM has said so far."""

    name: str
    state: str
    """`running`, `waiting`, or what it has done in words, such as `3 answers`."""
    text: str = ""
    simulated: bool = False
    is_tail: bool = False
    """Whether the text is the end of an answer that still grows."""


def coming_html(line: str, columns: Sequence[Coming]) -> str:
    """Return the live view as markup; all text of LLMs is escaped."""
    shown = [_column(each) for each in columns[:MOST_COLUMNS]]
    grid = tag(
        "div", *shown,
        style="display:grid;grid-template-columns:repeat(auto-fit,minmax(220px,1fr));gap:0;"
        f"border-top:1px solid {LINE}",
    )  # fmt: skip
    more = len(columns) - MOST_COLUMNS
    rest = tag("div", f"{counted(more, 'more column')}", style=f"{DIM};padding:6px 20px")
    head = tag("div", line, style=f"{DIM};padding:10px 20px")
    return card("Answers that are coming in", head, grid if shown else "", rest if more > 0 else "")


def _column(each: Coming) -> Html:
    name = f"{each.name} · simulated" if each.simulated else each.name
    head = tag("div", tag("strong", name), f" · {each.state}", style=f"{LABEL};margin:0 0 4px 0")
    shown = each.text[-_SHOWN:] if each.is_tail else cut(each.text, _SHOWN)
    mark = "…" if each.is_tail and len(each.text) >= _SHOWN else ""
    text = tag("div", mark, shown, style=f"{PRE};font-size:13px;line-height:1.5;min-height:3em;"
               "max-height:12em;overflow:hidden", dir="auto")  # fmt: skip
    return tag("div", head, text, style="padding:10px 20px;min-width:0", **{"class": NO_MATH})


def coming_text(line: str, columns: Sequence[Coming]) -> str:
    """Return the live view as plain text, safe on a terminal."""
    names = [
        f"{each.name}{' (simulated)' * each.simulated}: {each.state}"
        for each in columns[:MOST_COLUMNS]
    ]
    return plain("\n".join([line, *names]))
