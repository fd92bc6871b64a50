"""Two static pictures: a line per LLM with a mark on an axis, and a matrix of shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bmad_nb.render.base import ACCENT, GREY, Html, points, tag
from bmad_nb.render.svg import Axis, pictured
from bmad_nb.render.text import table_text

WIDTH = 760
_LEFT, _RIGHT, _TOP, _ROW, _FOOT = 220, 24, 10, 30, 48
_CELL = 44


@dataclass(frozen=True, slots=True)
class Span:
    """One line: a value, and what lies between two others."""

    label: str
    value: float | None
    low: float | None
    high: float | None
    cells: tuple[str, ...]
    """The same in words."""
    hollow: bool = False
    """Simulated."""


@dataclass(frozen=True, slots=True)
class Spans:
    """A picture of lines."""

    title: str
    notes: tuple[str, ...]
    spans: tuple[Span, ...]
    x: Axis
    x_title: str
    heads: tuple[str, ...]
    filled: bool = False
    """The value is an amount: a bar from zero, not a mark."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """Shares in [0, 1] by row and column."""

    title: str
    notes: tuple[str, ...]
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    shares: tuple[tuple[float | None, ...], ...]
    heads: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]
    """The table below it, a line for each row."""


def spans_svg(chart: Spans, *, ink: str = "currentColor") -> Html:
    """Return the picture of lines; `ink` is the colour of its words."""
    floor = _TOP + _ROW * len(chart.spans)
    height = floor + _FOOT
    parts = []
    for value, name in chart.x.ticks:
        x = _x(chart, value)
        parts.append(_line(x, _TOP, x, floor, GREY, "0.22"))
        parts.append(_text(x, floor + 16, name, ink, "middle"))
    parts.append(_text((_LEFT + WIDTH - _RIGHT) / 2, floor + 38, chart.x_title, ink, "middle"))
    for n, span in enumerate(chart.spans):
        parts.append(_span(chart, span, _TOP + _ROW * n + _ROW / 2, ink))
    return _picture(chart.title, height, parts)


def spans_html(chart: Spans) -> Html:
    """Return title, picture, notes and the table of the same numbers."""
    rows = [(each.label, *each.cells) for each in chart.spans]
    return pictured(chart.title, spans_svg(chart), chart.notes, chart.heads, rows)


def spans_text(chart: Spans) -> str:
    """Return title, table and notes as plain text."""
    rows = [(each.label, *each.cells) for each in chart.spans]
    return "\n".join([chart.title, "", table_text(chart.heads, rows), *chart.notes])


def matrix_svg(chart: Matrix, *, ink: str = "currentColor") -> Html:
    """Return the picture of a matrix; the number stands in each of its fields."""
    wide = min(84.0, (WIDTH - _LEFT - _RIGHT) / max(1, len(chart.columns)))
    crowded = any(6.2 * len(_short(name, 20)) > wide for name in chart.columns)
    top = 62 if crowded else 34
    parts = []
    for k, name in enumerate(chart.columns):
        y = top - 8 - 14 * (k % 3) * crowded
        parts.append(_text(_LEFT + wide * (k + 0.5), y, _short(name, 20), ink, "middle"))
    for n, (name, shares) in enumerate(zip(chart.rows, chart.shares, strict=True)):
        y = top + _CELL * n
        parts.append(_text(_LEFT - 10, y + _CELL / 2 + 4, _short(name, 32), ink, "end"))
        for k, share in enumerate(shares):
            x = _LEFT + wide * k
            heat = 0.06 + 0.5 * (share or 0.0)
            parts.append(tag("rect", x=f"{x + 1:.1f}", y=f"{y + 1:.1f}", width=f"{wide - 2:.1f}",
                             height=f"{_CELL - 2}", rx="3", fill=ACCENT if share else GREY,
                             **{"fill-opacity": f"{heat:.2f}" if share else "0.10"}))  # fmt: skip
            parts.append(_text(x + wide / 2, y + _CELL / 2 + 4, points(share), ink, "middle"))
    return _picture(chart.title, top + _CELL * len(chart.rows) + 10, parts)


def matrix_html(chart: Matrix) -> Html:
    """Return title, picture, notes and the table of the same numbers."""
    return pictured(chart.title, matrix_svg(chart), chart.notes, chart.heads, chart.cells)


def matrix_text(chart: Matrix) -> str:
    """Return title, table and notes as plain text."""
    return "\n".join([chart.title, "", table_text(chart.heads, chart.cells), *chart.notes])


def _picture(title: str, height: float, parts: Sequence[Html]) -> Html:
    return tag("svg", *parts, xmlns="http://www.w3.org/2000/svg", width="100%",
               viewBox=f"0 0 {WIDTH} {height:.0f}", role="img",
               style="display:block;max-width:760px", **{"aria-label": title})  # fmt: skip


def _span(chart: Spans, span: Span, y: float, ink: str) -> Html:
    parts = [tag("title", " · ".join([span.label, *span.cells]))]
    parts.append(_text(_LEFT - 10, y + 4, _short(span.label, 34), ink, "end"))
    colour = GREY if span.hollow else ACCENT
    if chart.filled and span.value is not None:
        start, end = _x(chart, 0.0), _x(chart, span.value)
        look = {"fill": "none", "stroke": colour} if span.hollow else {"fill": colour}
        parts.append(tag("rect", x=f"{start:.1f}", y=f"{y - 7:.1f}", height="14", rx="2",
                         width=f"{max(1.0, end - start):.1f}", **look))  # fmt: skip
    elif span.value is not None:
        if span.low is not None and span.high is not None:
            parts.append(
                _line(_x(chart, span.low), y, _x(chart, span.high), y, colour, "1", width="2")
            )
        parts.append(tag("circle", cx=f"{_x(chart, span.value):.1f}", cy=f"{y:.1f}", r="5",
                         fill="none" if span.hollow else colour, stroke=colour,
                         **{"stroke-width": "2"}))  # fmt: skip
    return tag("g", *parts)


def _x(chart: Spans, value: float) -> float:
    return _LEFT + (WIDTH - _LEFT - _RIGHT) * chart.x.place(value)


def _short(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _line(  # noqa: PLR0917  (two points, then how it looks)
    x1: float, y1: float, x2: float, y2: float, colour: str, opacity: str, *, width: str = "1"
) -> Html:
    ends = {"x1": f"{x1:.1f}", "y1": f"{y1:.1f}", "x2": f"{x2:.1f}", "y2": f"{y2:.1f}"}
    return tag("line", **ends, stroke=colour, **{"stroke-opacity": opacity, "stroke-width": width})


def _text(x: float, y: float, words: str, ink: str, anchor: str) -> Html:
    return tag("text", words, x=f"{x:.1f}", y=f"{y:.1f}", fill=ink,
               **{"text-anchor": anchor, "font-size": "11px", "fill-opacity": "0.85",
                  "font-family": "system-ui,sans-serif"})  # fmt: skip
