"""The page of a sweep: its notebooks with their parameters, how they ended, and links to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bmad_nb.render.base import (
    ACCENT,
    BAD,
    DIM,
    GOOD,
    GREY,
    LINE,
    MONO,
    NO_MATH,
    WARN,
    Html,
    cut,
    joined,
    tag,
)
from bmad_nb.render.parts import cell, chip, line, table
from bmad_nb.render.report import head_of, page_html, shown_value

_COLOURS = {
    "completed": GOOD, "failed": BAD, "paused": WARN, "interrupted": WARN, "waiting": GREY,
    "running": ACCENT,
}  # fmt: skip
ERROR_LIMIT = 600
"""Bytes of an error that are shown."""
_LINKS = "a{color:#2f5fd0}@media(prefers-color-scheme:dark){a{color:#8fb0ff}}"


@dataclass(frozen=True, slots=True)
class SweepView:
    """What the page draws."""

    title: str
    sentence: str
    """How far it is, and what it cost."""
    rows: Sequence[Mapping[str, Any]]
    """By notebook: `parameters`, `status`, `file` (empty if there is none), `error`, `error_kind`,
    and the numbers of `numbers`."""
    numbers: Sequence[str]
    """Names of the numbers that are shown, as in `columns.SWEEP`."""
    notes: Sequence[str] = ()
    picture: Html = Html("")  # noqa: RUF009  (text cannot change)
    """A chart that is markup already."""


def sweep_page(view: SweepView) -> str:
    """Return the page: it opens offline, runs nothing, and links only to the notebooks beside it.

    Args:
        view: what is drawn; each text is escaped, and each `file` is a name without a folder.
    """
    style = "font-size:20px;margin:0 0 6px 0;overflow-wrap:anywhere"
    title = tag("h1", view.title, style=style, **{"class": NO_MATH})
    return page_html(view.title, [tag("style", Html(_LINKS)), title, sweep_html(view)])


def sweep_html(view: SweepView) -> Html:
    """Return what stands below the title of the page."""
    names = list(dict.fromkeys(name for row in view.rows for name in row["parameters"]))
    heads = ["notebook", *names, "status", *map(head_of, view.numbers)]
    style = "padding:4px 14px 4px 0;opacity:0.72;font-size:12px;text-align:"
    head = line(*(
        cell(each, name="th", scope="col",
             style=f"{style}{'right' if n > len(names) + 1 else 'left'}")
        for n, each in enumerate(heads)
    ))  # fmt: skip
    body = [part for row in view.rows for part in _lines(row, names, view.numbers)]
    parts = [
        tag("p", view.sentence, style="margin:0"),
        *(tag("p", each, style=f"{DIM};margin:4px 0 0 0") for each in view.notes),
        tag("div", table(head, *body), style="overflow-x:auto;margin:16px 0 24px 0"),
        view.picture,
    ]
    return tag("section", joined(parts, "\n"), **{"class": NO_MATH})


def _lines(
    row: Mapping[str, Any], names: Sequence[str], numbers: Sequence[str]
) -> list[Html]:  # fmt: skip
    """Return the row of a notebook, and its error below it."""
    edge = f"padding:5px 14px 5px 0;border-top:1px solid {LINE};vertical-align:top;text-align:"
    file = str(row["file"])
    number = f"{row['number']}"
    link = tag("a", number, href=file, title=file) if file else number
    given = row["parameters"]
    cells = [
        cell(link, style=f"{edge}left"),
        *(cell(shown_value("", given.get(n)), style=f"{edge}left;overflow-wrap:anywhere")
          for n in names),
        cell(chip(row["status"], _COLOURS.get(row["status"], GREY)), style=f"{edge}left"),
        *(cell(shown_value(n, row.get(n)), style=f"{edge}right;white-space:nowrap")
          for n in numbers),
    ]  # fmt: skip
    if not row["error"]:
        return [line(*cells)]
    text = f"{row['error_kind']}: {row['error']}"
    kept = cut(text, ERROR_LIMIT) + ("" if len(cut(text, ERROR_LIMIT)) == len(text) else " …")
    said = tag("div", kept, style=f"{MONO};font-size:12px;white-space:pre-wrap;color:{BAD};"
               "overflow-wrap:anywhere")  # fmt: skip
    wide = str(len(cells) - 1)
    return [line(*cells), line(cell("", style="padding:0"),
                               cell(said, style="padding:0 14px 8px 0", colspan=wide))]  # fmt: skip
