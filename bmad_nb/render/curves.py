"""Several lines over one axis, such as regret: a static picture, a table and text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bmad_nb.render.base import ACCENT, GREY, Html, plain, tag
from bmad_nb.render.svg import HEIGHT, WIDTH, Axis, frame, pictured, place_x, place_y, word
from bmad_nb.render.text import table_text

_OWN = (ACCENT, "#a96c05", "#2e8a4a", "#8aa4e8", "#c9b27c", "#7fb592")
"""Colours of lines that are no yardsticks, neighbours far apart; with more they begin again."""
_GAP = 13.0
"""Least distance of two labels at the ends of lines, in units of the picture."""
_LABEL = 18
"""Most characters of a label in the picture; the table has all of them."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One line."""

    label: str
    points: tuple[tuple[float, float], ...]
    """From left to right; a line of one point is a dot, one without points is only in the table."""
    cells: tuple[str, ...] = ()
    """What the table says of it, behind its label."""
    yardstick: bool = False
    """Drawn grey and dashed: what others are measured by."""


@dataclass(frozen=True, slots=True)
class Curves:
    """A picture of lines."""

    title: str
    notes: tuple[str, ...]
    curves: tuple[Curve, ...]
    x: Axis
    y: Axis
    x_title: str
    y_title: str
    heads: tuple[str, ...]
    """Heads of the table, that of the label first."""


def colours(chart: Curves) -> list[str]:
    """Return the colour of each line: grey for yardsticks, else the next of the palette."""
    found, taken = [], 0
    for each in chart.curves:
        found.append(GREY if each.yardstick else _OWN[taken % len(_OWN)])
        taken += not each.yardstick
    return found


def curves_svg(chart: Curves, *, ink: str = "currentColor") -> Html:
    """Return the picture; arguments as of `scatter_svg`."""
    parts = frame(chart, ink)
    drawn = [(c, k) for c, k in zip(chart.curves, colours(chart), strict=True) if c.points]
    for curve, colour in drawn:
        parts.append(_line(chart, curve, colour))
    ends = [place_y(chart, curve.points[-1][1]) for curve, _ in drawn]
    for (curve, colour), y in zip(drawn, apart(ends), strict=True):
        short = curve.label if len(curve.label) <= _LABEL else curve.label[: _LABEL - 1] + "…"
        x = place_x(chart, curve.points[-1][0])
        parts.append(word(x + 8, y + 4, short, colour if colour == ACCENT else ink, "start"))
    return tag("svg", *parts, xmlns="http://www.w3.org/2000/svg", width="100%",
               viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", style="display:block;max-width:760px",
               **{"aria-label": chart.title})  # fmt: skip


def _line(chart: Curves, curve: Curve, colour: str) -> Html:
    name = tag("title", " · ".join((curve.label, *filter(None, curve.cells))))
    at = [(place_x(chart, x), place_y(chart, y)) for x, y in curve.points]
    if len(at) == 1:
        (x, y), r = at[0], "4"
        return tag("circle", name, cx=f"{x:.1f}", cy=f"{y:.1f}", r=r, fill=colour)
    dashes = {"stroke-dasharray": "5 4"} if curve.yardstick else {}
    return tag("path", name, d="M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in at), fill="none",
               stroke=colour, **{"stroke-width": "1.8", **dashes})  # fmt: skip


def apart(ends: Sequence[float]) -> list[float]:
    """Return heights of labels near the ends of their lines, none on another.

    >>> apart([100.0, 100.0, 40.0])
    [93.5, 106.5, 40.0]
    """
    order = sorted(range(len(ends)), key=lambda n: (ends[n], n))
    groups: list[list[int]] = []
    middles: list[float] = []
    for place in order:
        groups.append([place])
        middles.append(ends[place])
        while len(groups) > 1 and (
            middles[-1] - middles[-2] < _GAP * (len(groups[-1]) + len(groups[-2])) / 2
        ):
            last = groups.pop()
            middles.pop()
            groups[-1] += last
            middles[-1] = sum(ends[n] for n in groups[-1]) / len(groups[-1])
    found = [0.0] * len(ends)
    for group, middle in zip(groups, middles, strict=True):
        for row, place in enumerate(group):
            found[place] = middle + _GAP * (row - (len(group) - 1) / 2)
    return found


def curves_html(chart: Curves) -> Html:
    """Return title, picture, notes and the table of the same numbers."""
    rows = [(each.label, *each.cells) for each in chart.curves]
    return pictured(chart.title, curves_svg(chart), chart.notes, chart.heads, rows)


def curves_text(chart: Curves) -> str:
    """Return title, table and notes as plain text."""
    rows = [(each.label, *each.cells) for each in chart.curves]
    return plain("\n".join([chart.title, "", table_text(chart.heads, rows), *chart.notes]))
