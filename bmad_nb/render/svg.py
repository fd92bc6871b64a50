"""A scatter of LLMs as a static picture, a table and text, from plain numbers.

It is the twin of a live chart, for every place that runs no scripts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from bmad_nb.render.base import (
    ACCENT,
    DIM,
    GREY,
    LINE,
    NO_MATH,
    Html,
    cut,
    joined,
    plain,
    tag,
)
from bmad_nb.render.parts import cell, line, table
from bmad_nb.render.text import table_text

WIDTH, HEIGHT = 760, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 110, 30, 52
_LOG_FROM = 15
"""Ratio of the largest to the smallest cost from which on the axis is logarithmic."""
_STRIP = 0.10
"""Share of a logarithmic axis that is kept for zero."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One LLM in a chart."""

    label: str
    x: float | None
    """Mean cost of a call in US dollars; None where it is unknown."""
    y: float | None
    """Mean score in [0, 1], or mean latency in seconds; None where there is none."""
    low: float | None = None
    high: float | None = None
    """Ends of the interval of `y`; None where there is none."""
    hollow: bool = False
    """True for a simulated LLM."""
    note: str = ""
    """Said beside the label, such as `simulated`."""
    cells: tuple[str, ...] = ()
    """What the table says of it, behind its label."""
    router: bool = False
    """True for a router, which is a diamond: it is no LLM, it chooses among them."""

    @property
    def drawn(self) -> bool:
        """True where both numbers are known."""
        return self.x is not None and self.y is not None

    @property
    def caption(self) -> str:
        """The label as it stands in the picture, with its note."""
        short = self.label if len(self.label) <= 44 else self.label[:43] + "…"
        return f"{short} ({self.note})" if self.note else short


@dataclass(frozen=True, slots=True)
class Axis:
    """A scale from numbers to [0, 1]."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    log: bool = False
    strip: bool = False
    """True where a logarithmic axis has a place for zero at its left end."""

    def place(self, value: float) -> float:
        """Return where a value stands, 0 at the low end and 1 at the high end."""
        if not self.log:
            return (value - self.low) / (self.high - self.low)
        start = _STRIP if self.strip else 0.0
        if value <= 0:
            return _STRIP / 3
        span = math.log10(self.high) - math.log10(self.low)
        return start + (1 - start) * (math.log10(value) - math.log10(self.low)) / span


@dataclass(frozen=True, slots=True)
class Scatter:
    """A picture of LLMs: cost to the right, quality or latency upwards."""

    title: str
    notes: tuple[str, ...]
    marks: tuple[Mark, ...]
    x: Axis
    y: Axis
    x_title: str
    y_title: str
    heads: tuple[str, ...]
    """Heads of the table, that of the label first."""
    hull: tuple[tuple[float, float], ...] = ()
    """Corners of the line of the best mixtures, from cheap to dear."""


class Plane(Protocol):
    """What has two axes with titles."""

    @property
    def x(self) -> Axis:
        """Its axis to the right."""

    @property
    def y(self) -> Axis:
        """Its axis upwards."""

    @property
    def x_title(self) -> str:
        """What stands to the right."""

    @property
    def y_title(self) -> str:
        """What stands upwards."""


def cost_axis(values: Iterable[float]) -> Axis:
    """Return an axis for costs in US dollars, logarithmic if they differ widely."""
    every = sorted(values)
    positive = [each for each in every if each > 0]
    strip = bool(every) and every[0] <= 0
    if not positive:
        return Axis(0.0, 1.0, ((0.0, "$0"),))
    if positive[-1] / positive[0] < _LOG_FROM:
        low, high = (0.0, positive[-1] * 1.08)
        return Axis(low, high, tuple((each, dollars(each)) for each in nice(low, high)))
    low, high = positive[0] / 1.6, positive[-1] * 1.6
    ticks = [
        (digit * 10.0**power, dollars(digit * 10.0**power))
        for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        for digit in (1, 3)
        if low <= digit * 10.0**power <= high
    ]
    every_other = ticks[:: 1 + len(ticks) // 9]
    zero = [(0.0, "$0")] if strip else []
    return Axis(low, high, tuple(zero + every_other), log=True, strip=strip)


def value_axis(values: Sequence[float], *, score: bool) -> Axis:
    """Return an axis for scores in [0, 1] or for seconds from zero."""
    if not values:
        return Axis(0.0, 1.0, ((0.0, "0"), (1.0, "1")))
    if score:
        low, high = max(0.0, min(values) - 0.06), min(1.0, max(values) + 0.06)
    else:
        low, high = 0.0, max(values) * 1.12 or 1.0
    if high - low < 1e-9:
        low, high = low - 0.1, high + 0.1
    steps = nice(low, high)
    digits = 2 if len(steps) > 1 and steps[1] - steps[0] < 0.095 else 1
    unit = "" if score else " s"
    return Axis(low, high, tuple((each, f"{each:.{digits}f}{unit}") for each in steps))


def dollars(value: float) -> str:
    """Return a round amount for an axis.

    >>> dollars(0.0003), dollars(3.0)
    ('$0.0003', '$3')
    """
    return f"${value:.9f}".rstrip("0").rstrip(".") if value < 1 else f"${value:,.10g}"


def nice(low: float, high: float) -> list[float]:
    """Return about five round numbers from `low` to `high`."""
    raw = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(size * power for size in (1, 2, 5, 10) if size * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(n * step, 12) for n in range(first, math.floor(high / step + 1e-9) + 1)]


def scatter_svg(chart: Scatter, *, ink: str = "currentColor", ident: str = "") -> Html:
    """Return the picture.

    Args:
        chart: what is drawn.
        ink: colour of the words; a picture in a file of its own has no theme to inherit from.
        ident: name of the picture for readers of the screen; the title if empty.
    """
    drawn = [mark for mark in chart.marks if mark.drawn]
    parts = [*frame(chart, ink), _hull(chart)]
    parts += [_mark(chart, mark, side, ink) for mark, side in zip(drawn, sides(chart), strict=True)]
    return tag("svg", *parts, xmlns="http://www.w3.org/2000/svg", width="100%",
               viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", style="display:block;max-width:760px",
               **{"aria-label": ident or chart.title})  # fmt: skip


def scatter_html(chart: Scatter) -> Html:
    """Return title, picture, notes and the table of the same numbers."""
    rows = [(mark.label, *mark.cells) for mark in chart.marks]
    return pictured(chart.title, scatter_svg(chart), chart.notes, chart.heads, rows)


def pictured(
    title: str, picture: Html, notes: Sequence[str], heads: Sequence[str],
    rows: Sequence[Sequence[str]],
) -> Html:  # fmt: skip
    """Return title, picture, notes and the table of the same numbers.

    A sanitizer drops the picture but keeps its words, so they have no size but their own; the
    sentence below appears just where `calc()` is dropped, which is in the same places.
    """
    shown = tag("div", picture, style="font-size:0;line-height:0")
    missing = tag("div", "The picture needs a trusted notebook; the table has all of its numbers.",
                  style="font-size:12px;max-height:calc(0px);overflow:hidden")  # fmt: skip
    head = "padding:6px 8px;font-size:11px;opacity:0.72"
    sides = ["left", *["right"] * (len(heads) - 2), "left"]
    names = line(*(cell(each, name="th", scope="col", style=f"text-align:{side};{head}")
                   for each, side in zip(heads, sides, strict=True)))  # fmt: skip
    lines = [
        line(*(cell(cut(each, 200), style=f"text-align:{side};padding:4px 8px;"
                    "overflow-wrap:anywhere") for each, side in zip(row, sides, strict=True)),
             style=f"background:transparent;border-top:1px solid {LINE}")
        for row in rows
    ]  # fmt: skip
    said = "font-size:15px;line-height:1.4;font-weight:600;margin:0 0 8px"
    return tag(
        "section",
        tag("p", title, style=said),
        shown,
        missing,
        tag("p", " ".join(notes), style=f"{DIM};margin:6px 0") if notes else "",
        table(
            tag("thead", names, style="border:none"), tag("tbody", *lines), style="font-size:12px"
        ),
        style="max-width:760px;font-size:13px;line-height:1.5;font-variant-numeric:tabular-nums",
        **{"class": NO_MATH},
    )


def scatter_text(chart: Scatter) -> str:
    """Return title, table and notes as plain text."""
    rows = [(mark.label, *mark.cells) for mark in chart.marks]
    return plain("\n".join([chart.title, "", table_text(chart.heads, rows), *chart.notes]))


def sides(chart: Scatter) -> list[str]:
    """Return for each drawn mark where its label stands: right, left, above, below or upper right.

    The side on which it meets the fewest marks and earlier labels; the first of equals.
    """
    drawn = [mark for mark in chart.marks if mark.drawn]
    bodies = [_body(chart, mark) for mark in drawn]
    taken, found = list(bodies), []
    for mark, (left, top, right, bottom) in zip(drawn, bodies, strict=True):
        x, y = _centre(chart, mark)
        wide = 6.3 * len(mark.caption)
        boxes = {
            "right": (right + 3, y - 8, right + 3 + wide, y + 6),
            "left": (left - 3 - wide, y - 8, left - 3, y + 6),
            "above": (x - wide / 2, top - 16, x + wide / 2, top - 2),
            "below": (x - wide / 2, bottom + 2, x + wide / 2, bottom + 16),
            "upper": (right + 3, y - 20, right + 3 + wide, y - 6),
        }
        side = min(boxes, key=lambda each: _clash(boxes[each], taken))
        taken.append(boxes[side])
        found.append(side)
    return found


def _clash(box: tuple[float, ...], taken: Sequence[tuple[float, ...]]) -> int:
    """Return how much a label is in the way: of others, and of the edges of the picture."""
    outside = (box[0] < _LEFT) + (box[2] > WIDTH - 2) + (box[1] < _TOP - 12)
    return 10 * (outside + (box[3] > HEIGHT - _BOTTOM)) + sum(_meet(box, each) for each in taken)


def _body(chart: Scatter, mark: Mark) -> tuple[float, float, float, float]:
    """Return the box of a mark with its interval."""
    x, y = _centre(chart, mark)
    ends = [place_y(chart, end) for end in (mark.low, mark.high) if end is not None]
    return x - 7, min(y - 7, *ends, y), x + 7, max(y + 7, *ends, y)


def _meet(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    """Return whether two boxes overlap."""
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _centre(chart: Scatter, mark: Mark) -> tuple[float, float]:
    """Return where a mark stands in the picture."""
    return place_x(chart, mark.x or 0.0), place_y(chart, mark.y or 0.0)


def place_x(chart: Plane, value: float) -> float:
    """Return the distance of a cost from the left edge."""
    return _LEFT + (WIDTH - _LEFT - _RIGHT) * chart.x.place(value)


def place_y(chart: Plane, value: float) -> float:
    """Return the distance of a value from the top edge."""
    return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * chart.y.place(value)


def word(x: float, y: float, text: str, ink: str, anchor: str = "middle") -> Html:
    """Return words with a size of their own."""
    return tag("text", text, x=f"{x:.1f}", y=f"{y:.1f}", fill=ink,
               **{"text-anchor": anchor, "font-size": "11px", "fill-opacity": "0.85",
                  "font-family": "system-ui,sans-serif"})  # fmt: skip


def _rule(x1: float, y1: float, x2: float, y2: float, **attrs: str) -> Html:
    """Return a straight line."""
    ends = {"x1": f"{x1:.1f}", "y1": f"{y1:.1f}", "x2": f"{x2:.1f}", "y2": f"{y2:.1f}"}
    return tag("line", **ends, **{"stroke": GREY, **attrs})


def frame(chart: Plane, ink: str) -> list[Html]:
    """Return the axes with their ticks and titles."""
    right, floor = WIDTH - _RIGHT, HEIGHT - _BOTTOM
    parts = []
    for value, name in chart.y.ticks:
        y = place_y(chart, value)
        parts.append(_rule(_LEFT, y, right, y, **{"stroke-opacity": "0.22"}))
        parts.append(word(_LEFT - 8, y + 4, name, ink, "end"))
    for value, name in chart.x.ticks:
        x = place_x(chart, value)
        parts.append(_rule(x, floor, x, floor + 4))
        parts.append(word(x, floor + 17, name, ink))
    parts.append(_rule(_LEFT, floor, right, floor, **{"stroke-opacity": "0.7"}))
    if chart.x.strip:
        edge = _LEFT + (right - _LEFT) * _STRIP * 0.8
        parts.append(_rule(edge, _TOP, edge, floor, **{"stroke-dasharray": "2 4"}))
    parts.append(word((_LEFT + right) / 2, HEIGHT - 12, chart.x_title, ink))
    parts.append(word(_LEFT, 14, chart.y_title, ink, "start"))
    return parts


def _hull(chart: Scatter) -> Html:
    """Return the line of the best mixtures, which is straight in cost but not in its logarithm."""
    corners = []
    for (x1, y1), (x2, y2) in zip(chart.hull, chart.hull[1:], strict=False):
        steps = 16 if chart.x.log and x1 > 0 else 1
        parts = [n / steps for n in range(steps)]
        corners += [(x1 + (x2 - x1) * part, y1 + (y2 - y1) * part) for part in parts]
    if not corners:
        return Html("")
    way = [
        f"{place_x(chart, x):.1f} {place_y(chart, y):.1f}" for x, y in (*corners, chart.hull[-1])
    ]
    return tag("path", d="M" + " L".join(way), fill="none", stroke=GREY, **{"stroke-width": "1.4"})


def _mark(chart: Scatter, mark: Mark, side: str, ink: str) -> Html:
    """Return one LLM: interval, dot and label."""
    x, y = _centre(chart, mark)
    on_hull = (mark.x, mark.y) in chart.hull
    colour = ACCENT if on_hull or mark.router else GREY
    bar = (
        _rule(x, place_y(chart, mark.low), x, place_y(chart, mark.high), stroke=colour,
              **{"stroke-width": "1.6"})
        if mark.low is not None and mark.high is not None else ""
    )  # fmt: skip
    # An interval runs through a hollow mark: no fill suits both themes.
    fill = "none" if mark.hollow else colour
    stroke = {"fill": fill, "stroke": colour, "stroke-width": "2"}
    dot = tag("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r="5", **stroke)
    if mark.router:
        corners = f"{x:.1f},{y - 7:.1f} {x + 7:.1f},{y:.1f} {x:.1f},{y + 7:.1f} {x - 7:.1f},{y:.1f}"
        dot = tag("polygon", points=corners, **stroke)
    _, top, _, bottom = _body(chart, mark)
    at = {
        "right": (x + 10, y + 4, "start"),
        "left": (x - 10, y + 4, "end"),
        "above": (x, top - 5, "middle"),
        "below": (x, bottom + 13, "middle"),
        "upper": (x + 10, y - 8, "start"),
    }[side]
    name = word(at[0], at[1], mark.caption, ink, at[2])
    return tag("g", tag("title", joined((mark.label, *mark.cells), " · ")), bar, dot, name)
