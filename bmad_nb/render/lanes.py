"""Calls over time as a static picture, a table and text: a lane per task, a bar per call.

It is the twin of a live chart, for every place that runs no scripts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bmad_nb.render.base import (
    ACCENT,
    BAD,
    DIM,
    GOOD,
    GREY,
    LINE,
    NO_MATH,
    Html,
    cut,
    plain,
    tag,
)
from bmad_nb.render.parts import cell, line, table
from bmad_nb.render.signs import fitted, shape, word
from bmad_nb.render.svg import Axis
from bmad_nb.render.text import table_text

Kind = Literal["answered", "failed", "in_flight", "stored", "local"]
"""`failed`: it ended without an answer. `local`: a task that asks no LLM."""

WIDTH, NAMES, ROW = 916, 160, 13
"""Pixels of the picture, of the names at its left, and of a row of bars."""
_TOP, _BOTTOM, _RIGHT, _PAD = 24, 44, 16, 5
STORED = "from the store"


@dataclass(frozen=True, slots=True)
class Bar:
    """One call, or one task without calls."""

    start: float
    """Seconds since the run began."""
    end: float
    """Seconds since the run began; the last known moment for a call in flight."""
    kind: Kind
    row: int
    """Row in its lane, from 0: bars of a row do not overlap."""
    tip: str
    """What is said of it, in words."""


@dataclass(frozen=True, slots=True)
class Lane:
    """One task."""

    name: str
    bars: tuple[Bar, ...]

    @property
    def rows(self) -> int:
        """Rows of bars that it takes."""
        return 1 + max((bar.row for bar in self.bars), default=0)


@dataclass(frozen=True, slots=True)
class Lanes:
    """A picture of calls over time."""

    title: str
    notes: tuple[str, ...]
    lanes: tuple[Lane, ...]
    """Those that are drawn."""
    x: Axis
    x_title: str
    y_title: str
    heads: tuple[str, ...]
    """Heads of the table, that of the task first."""
    rows: tuple[tuple[str, ...], ...]
    """Rows of the table; it may have more tasks than the picture."""


def lanes_svg(chart: Lanes, *, ink: str = "currentColor") -> Html:
    """Return the picture.

    Args:
        chart: what is drawn.
        ink: colour of the words; a picture in a file of its own has no theme to inherit from.
    """
    floor = _TOP + sum(_high(lane) for lane in chart.lanes)
    parts = [_words(NAMES - 10, 12, chart.y_title, ink, "end")]
    for value, name in chart.x.ticks:
        x = _x(chart, value)
        parts.append(_rule(x, _TOP, x, floor, "0.22"))
        parts.append(_words(x, floor + 16, name, ink, "middle"))
    middle = (NAMES + WIDTH - _RIGHT) / 2
    parts.append(_words(middle, floor + 36, chart.x_title, ink, "middle"))
    top = float(_TOP)
    parts.append(_rule(NAMES, top, WIDTH - _RIGHT, top, "0.25"))
    for lane in chart.lanes:
        parts += _lane(chart, lane, top, ink)
        top += _high(lane)
        parts.append(_rule(NAMES, top, WIDTH - _RIGHT, top, "0.25"))
    said = ". ".join(f"{cut(lane.name, 200)}: {_spoken(lane)}" for lane in chart.lanes)
    return shape("svg", tag("title", chart.title), tag("desc", f"{said or 'No calls'}."), *parts,
                 xmlns="http://www.w3.org/2000/svg", role="img", width="100%",
                 viewBox=f"0 0 {WIDTH} {floor + _BOTTOM}", style="display:block")  # fmt: skip


def _spoken(lane: Lane) -> str:
    """Return when a lane's bars begin and end, in words."""
    first, last = min(bar.start for bar in lane.bars), max(bar.end for bar in lane.bars)
    failed = sum(bar.kind == "failed" for bar in lane.bars)
    said = f"{len(lane.bars)} from {first:.1f} s to {last:.1f} s"
    return f"{said}, {failed} of them failed" if failed else said


def _high(lane: Lane) -> float:
    """Return the height of a lane."""
    return lane.rows * ROW + 2 * _PAD


def _x(chart: Lanes, value: float) -> float:
    """Return the distance of a time from the left edge."""
    return NAMES + (WIDTH - _RIGHT - NAMES) * chart.x.place(value)


def _rule(x1: float, y1: float, x2: float, y2: float, opacity: str) -> Html:
    """Return a straight line."""
    return shape("line", x1=x1, y1=y1, x2=x2, y2=y2, stroke=GREY, stroke_opacity=opacity)


def _words(x: float, y: float, text: str, ink: str, anchor: str) -> Html:
    """Return words that end at, begin at or stand around a place."""
    return shape("g", word(x, y, text, ink), text_anchor=anchor)


def _lane(chart: Lanes, lane: Lane, top: float, ink: str) -> list[Html]:
    """Return a task's name and bars."""
    name = fitted(lane.name, NAMES - 14, 11)
    parts = [tag("g", tag("title", cut(lane.name, 400)),
                 _words(NAMES - 10, top + _high(lane) / 2 + 4, name, ink, "end"))]  # fmt: skip
    parts += [_bar(chart, bar, top + _PAD + bar.row * ROW) for bar in lane.bars]
    stored = [bar for bar in lane.bars if bar.kind == "stored"]
    if stored:
        first, last = stored[0], stored[-1]
        left = _x(chart, last.start) > WIDTH - 120
        x = _x(chart, first.start) - 7 if left else _x(chart, last.start) + 7
        y = top + _PAD + last.row * ROW + 10
        parts.append(_words(x, y, STORED, ink, "end" if left else "start"))
    return parts


def _bar(chart: Lanes, bar: Bar, top: float) -> Html:
    """Return one call: solid, outlined with a cross, pale with a solid start, or a short mark."""
    x, end, y = _x(chart, bar.start), _x(chart, bar.end), top + 2
    size = {"x": x, "y": y, "width": max(2.0, end - x), "height": ROW - 4.0}
    match bar.kind:
        case "answered":
            body = [shape("rect", **size, rx=2, fill=GOOD)]
        case "local":
            body = [shape("rect", **size | {"y": y + 3, "height": 3.0}, rx=1.5, fill=GREY)]
        case "stored":
            body = [shape("rect", **size | {"y": y - 1, "width": 3.0, "height": ROW - 2.0},
                          rx=1, fill=ACCENT)]  # fmt: skip
        case "in_flight":
            start = shape("rect", **size | {"width": 3.0}, fill=ACCENT)
            body = [shape("rect", **size, fill=ACCENT, fill_opacity="0.45"), start]
        case "failed":
            d = f"M{end - 7:.1f} {y + 2.5:.1f} l4 4 m0 -4 l-4 4"
            wide = size | {"width": max(10.0, end - x)}
            if end - x < 10:
                d = f"M{x + 3:.1f} {y + 2.5:.1f} l4 4 m0 -4 l-4 4"
            body = [shape("rect", **wide, rx=2, fill="none", stroke=BAD, stroke_width=1.4),
                    shape("path", d=d, fill="none", stroke=BAD, stroke_width=1.5)]  # fmt: skip
    return tag("g", tag("title", cut(bar.tip, 600)), *body)


def lanes_html(chart: Lanes) -> Html:
    """Return title, picture, notes and the table of the same numbers.

    Where a sanitizer drops the picture, its words have no size, and a sentence appears instead.
    """
    picture = tag("div", lanes_svg(chart), style="font-size:0;line-height:0")
    missing = tag("div", "The picture needs a trusted notebook; the table has its numbers.",
                  style="font-size:12px;max-height:calc(0px);overflow:hidden")  # fmt: skip
    sides = ["left", "left", *["right"] * (len(chart.heads) - 2)]
    return tag(
        "section",
        tag("p", chart.title,
            style="font-size:15px;line-height:1.4;font-weight:600;margin:0 0 8px;text-align:left"),
        picture,
        missing,
        tag("p", " ".join(chart.notes), style=f"{DIM};margin:6px 0;text-align:left"),
        _table(chart, sides),
        style="max-width:960px;font-size:13px;line-height:1.5;font-variant-numeric:tabular-nums",
        **{"class": NO_MATH},
    )  # fmt: skip


def _table(chart: Lanes, sides: Sequence[str]) -> Html:
    """Return the table of a chart."""
    head = "padding:6px 8px;font-size:11px;opacity:0.72"
    heads = line(*(cell(each, name="th", scope="col", style=f"text-align:{side};{head}")
                   for each, side in zip(chart.heads, sides, strict=True)))  # fmt: skip
    rows = [
        line(*(cell(cut(each, 200), style=f"text-align:{side};padding:4px 8px;"
                    "overflow-wrap:anywhere")
               for each, side in zip(row, sides, strict=True)),
             style=f"background:transparent;border-top:1px solid {LINE}")
        for row in chart.rows
    ]  # fmt: skip
    body = (tag("thead", heads, style="border:none"), tag("tbody", *rows))
    return table(*body, style="font-size:12px")


def lanes_text(chart: Lanes) -> str:
    """Return title, table and notes as plain text."""
    rows = [[cut(row[0], 80), *row[1:]] for row in chart.rows]
    return plain("\n".join([chart.title, "", table_text(chart.heads, rows), *chart.notes]))
