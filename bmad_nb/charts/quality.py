"""Quality against cost: one mark per LLM, and the line of the best mixtures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from statistics import fmean
from typing import TYPE_CHECKING, Any, NamedTuple

import plotly.graph_objects as go

from bmad_nb.charts.base import INK, Chart, Twin, axis, flag, layout, number, plotly_text, text
from bmad_nb.render.base import (
    ACCENT,
    GREY,
    NONE,
    counted,
    listed,
    points,
    seconds,
    usd,
)
from bmad_nb.render.svg import (
    Mark,
    Scatter,
    cost_axis,
    scatter_html,
    scatter_svg,
    scatter_text,
    sides,
    value_axis,
)
from bmad_nb.scorers.base import interval

if TYPE_CHECKING:
    import pandas as pd

_SIDES = {"right": "middle right", "left": "middle left", "above": "top center",
          "below": "bottom center", "upper": "top right"}  # fmt: skip

_GAP = "\u00a0\u00a0"
"""Keeps a label off its mark."""


class Group(NamedTuple):
    """The answers of one LLM in one setting."""

    name: str
    calls: list[dict[str, Any]]
    asked: int
    """Calls that were made, answered or not."""


def frontier(calls: pd.DataFrame) -> Chart:
    """Return cost against quality, one mark per LLM and setting.

    The cost is that of an answer when it was made, so that answers from the store count as if
    they were bought again. Without scores the chart shows latency instead, and says so.

    Args:
        calls: a row per call, with the columns of `bmad_nb.frames.CALLS`.
    """
    return figure(_scatter(calls))


def _scatter(calls: pd.DataFrame) -> Scatter:
    """Return what the chart shows."""
    found = groups(calls)
    scored = any(number(each.get("score")) is not None for g in found for each in g.calls)
    marks = tuple(_mark(each, scored=scored) for each in found)
    drawn = [mark for mark in marks if mark.drawn]
    ends = [end for m in drawn for end in (m.y, m.low, m.high) if end is not None]
    static = Scatter(
        title=_title(marks, scored=scored),
        notes=_notes(marks, scored=scored),
        marks=marks,
        x=cost_axis(m.x for m in drawn if m.x is not None),
        y=value_axis(ends, score=scored),
        x_title="mean cost of a call in US dollars",
        y_title="mean score" if scored else "mean latency in seconds",
        heads=("LLM", "score" if scored else "latency", "95 % interval", "cost per call",
               "answers", ""),
        hull=hull_of(drawn) if scored else (),
    )  # fmt: skip
    if static.x.log:
        return replace(static, x_title=f"{static.x_title}, logarithmic")
    return static


def groups(calls: pd.DataFrame) -> list[Group]:
    """Return the answered calls of each LLM and setting, in their order."""
    found: dict[str, list[dict[str, Any]]] = {}
    for call in calls.to_dict("records"):
        variant = text(call.get("variant"))
        name = text(call.get("llm")) + (f"?{variant}" if variant else "")
        found.setdefault(name, []).append({str(key): value for key, value in call.items()})
    return [
        Group(
            name, [c for c in every if text(c.get("state"), "answered") == "answered"], len(every)
        )
        for name, every in found.items()
    ]


def _mark(group: Group, *, scored: bool) -> Mark:
    """Return the mean cost of an LLM, and its mean score or latency."""
    costs = [made(call, "cost_usd") for call in group.calls]
    known = [each for each in costs if each is not None]
    cost = fmean(known) if known and len(known) == len(costs) else None
    values = _by_case(group.calls, "score" if scored else "latency_s")
    mean = fmean(values) if values else None
    low, high = interval(values, bounded=scored)
    simulated = any(flag(call.get("simulated")) for call in group.calls)
    here = any(flag(call.get("runs_here")) for call in group.calls)
    words = ["simulated"] * simulated + ["own machine"] * here
    form = points if scored else seconds
    ends = f"{form(low)} to {form(high)}" if low is not None else NONE
    price = "price unknown" if cost is None else usd(Decimal(repr(cost)))
    if not group.calls:
        price = NONE
    missing = group.asked - len(group.calls)
    said = words + ([f"{missing} without an answer"] if missing else [])
    return Mark(
        label=group.name, x=cost, y=mean, low=low, high=high, hollow=simulated,
        note=", ".join(words),
        cells=(form(mean), ends, price, f"{len(group.calls):,}", ", ".join(said)),
    )  # fmt: skip


def _by_case(calls: Iterable[dict[str, Any]], name: str) -> list[float]:
    """Return one value per case: samples of one case are no independent evidence."""
    found: dict[str, list[float]] = {}
    for call in calls:
        value = number(call.get("score")) if name == "score" else made(call, name)
        if value is not None:
            found.setdefault(text(call.get("case")), []).append(value)
    return [fmean(each) for each in found.values()]


def made(call: dict[str, Any], name: str) -> float | None:
    """Return a cost or time of the answer when it was made."""
    original = number(call.get(f"original_{name}"))
    if original is not None or flag(call.get("from_store")):
        return original
    return number(call.get(name))


def hull_of(drawn: Sequence[Mark]) -> tuple[tuple[float, float], ...]:
    """Return the corners of the upper left hull; simulated LLMs are left out beside real ones."""
    real = [mark for mark in drawn if not mark.hollow] or drawn
    corners: list[tuple[float, float]] = []
    for x, y in sorted({(m.x or 0.0, m.y or 0.0) for m in real}, key=lambda p: (p[0], -p[1])):
        if corners and y <= corners[-1][1]:
            continue
        while len(corners) > 1 and _below(corners[-2], corners[-1], (x, y)):
            corners.pop()
        corners.append((x, y))
    return tuple(corners)


def _below(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    """Return whether b lies on or under the line from a to c."""
    return (b[1] - a[1]) * (c[0] - a[0]) <= (c[1] - a[1]) * (b[0] - a[0])


def _title(marks: Sequence[Mark], *, scored: bool) -> str:
    """Return what the chart shows."""
    what = counted(len(marks), "LLM")
    if scored:
        return f"Quality against cost, {what}"
    return f"Latency against cost, {what}; nothing was scored, so quality is not shown"


def _notes(marks: Sequence[Mark], *, scored: bool) -> tuple[str, ...]:
    """Return what a reader has to know."""
    notes = ["Cost: mean of the answers when they were made, also for answers from the store."]
    if any(mark.low is not None for mark in marks):
        how = "Wilson for scores of 0 and 1, else Student's t" if scored else "Student's t"
        notes.append(f"Bars: 95 % intervals over cases ({how}).")
    if scored:
        notes.append("Line: the best score that one LLM or a mix of two gives for the money.")
    if any(mark.hollow for mark in marks):
        if all(mark.hollow for mark in marks):
            notes.append("All of this is simulated.")
        else:
            line = ", and not part of the line" if scored else ""
            notes.append(f"Hollow marks are simulated: invented{line}.")
    absent = [mark.label for mark in marks if not mark.drawn]
    if absent:
        notes.append(f"Only in the table, for want of a price or a score: {listed(absent)}.")
    return tuple(notes)


def figure(static: Scatter) -> Chart:
    """Return the plotly figure of a chart."""
    drawn = [mark for mark in static.marks if mark.drawn]
    zero = static.x.low / 2.2
    twin = Twin(scatter_html(static), scatter_svg(static, ink=INK), scatter_text(static))
    drawing = Chart(static=twin)
    if static.hull:
        drawing.add_trace(
            go.Scatter(
                x=[zero if static.x.log and not x else x for x, _ in static.hull],
                y=[y for _, y in static.hull],
                mode="lines", line={"color": GREY, "width": 1.4}, hoverinfo="skip",
            )
        )  # fmt: skip
    for mark, side in zip(drawn, sides(static), strict=True):
        x = zero if static.x.log and not mark.x else mark.x
        colour = ACCENT if mark.router or (mark.x, mark.y) in static.hull else GREY
        drawing.add_trace(_dot(mark, x, colour))
        drawing.add_trace(_name(mark, x, side))
    drawing.update_layout(_layout(static, zero))
    return drawing


def _dot(mark: Mark, x: float | None, colour: str) -> Any:
    """Return one LLM's mark with its interval."""
    bars = None
    if mark.low is not None and mark.high is not None and mark.y is not None:
        bars = {"type": "data", "symmetric": False, "array": [mark.high - mark.y],
                "arrayminus": [mark.y - mark.low], "color": colour, "thickness": 1.6,
                "width": 0}  # fmt: skip
    said = " · ".join(each for each in (mark.caption, *mark.cells) if each)
    return go.Scatter(
        x=[x], y=[mark.y], error_y=bars, mode="markers", name=plotly_text(mark.caption),
        marker={"size": 10, "color": colour, "line": {"width": 2, "color": colour},
                "symbol": ("diamond" if mark.router else "circle") + "-open" * mark.hollow},
        hovertext=[plotly_text(said)], hoverinfo="text", cliponaxis=False,
    )  # fmt: skip


def _name(mark: Mark, x: float | None, side: str) -> Any:
    """Return one LLM's label, beyond the end of the interval where it stands above or below."""
    y = {"above": mark.high, "below": mark.low}.get(side)
    return go.Scatter(
        x=[x], y=[mark.y if y is None else y], mode="markers+text", textposition=_SIDES[side],
        text=[f"{_GAP}{plotly_text(mark.caption)}{_GAP}"], marker={"size": 12, "opacity": 0},
        hoverinfo="skip", cliponaxis=False,
    )  # fmt: skip


def _layout(static: Scatter, zero: float) -> dict[str, Any]:
    """Return axes and titles."""
    x: dict[str, Any] = {
        **axis(static.x_title), "showgrid": False,
        "tickvals": [zero if static.x.log and not at else at for at, _ in static.x.ticks],
        "ticktext": [plotly_text(name) for _, name in static.x.ticks],
    }  # fmt: skip
    if static.x.log:
        low = zero / 1.5 if static.x.strip else static.x.low
        x |= {"type": "log", "range": [math.log10(low), math.log10(static.x.high)]}
    else:
        x |= {"range": [static.x.low, static.x.high]}
    if static.x.strip and not static.x.log:
        x["range"] = [-0.03 * static.x.high, static.x.high]
    y = {**axis(static.y_title), "range": [static.y.low, static.y.high]}
    return {**layout(static.title, 440), "xaxis": x, "yaxis": y,
            "margin": {"l": 60, "r": 110, "t": 60, "b": 56}}  # fmt: skip
