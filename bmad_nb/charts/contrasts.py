"""Latency, cost, scores and agreement of LLMs, each with its static twin."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from itertools import combinations
from statistics import fmean, quantiles
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from bmad_nb.charts.base import INK, Chart, Twin, axis, flag, layout, number, plotly_text, text
from bmad_nb.charts.quality import Group, groups, made
from bmad_nb.render.base import ACCENT, GREY, NONE, counted, points, seconds, usd
from bmad_nb.render.columns import normalised
from bmad_nb.render.spans import (
    Matrix,
    Span,
    Spans,
    matrix_html,
    matrix_svg,
    matrix_text,
    spans_html,
    spans_svg,
    spans_text,
)
from bmad_nb.render.svg import Axis, dollars, nice, value_axis

if TYPE_CHECKING:
    import pandas as pd

_BINS = ("0 to 0.2", "0.2 to 0.4", "0.4 to 0.6", "0.6 to 0.8", "0.8 to 1")
_MADE = "Of answers from the store: what it took when they were made."
_HOLLOW = "Hollow marks are simulated: invented."
_TILES = [[0, "#eef2fd"], [1, "#a9bff5"]]
"""Dark on light tiles: opaque, so that it holds on a light and on a dark page."""


def latency(calls: pd.DataFrame) -> Chart:
    """Return the latency of each LLM: median, and from the 10th to the 90th percentile.

    Args:
        calls: a row per call, with the columns of `bmad_nb.frames.CALLS`.
    """
    spans, every = [], groups(calls)
    for group in every:
        times = [s for call in group.calls if (s := made(call, "latency_s")) is not None]
        low, middle, high = _percentiles(times)
        cells = (seconds(middle), f"{seconds(low)} to {seconds(high)}" if times else NONE,
                 f"{len(times):,}", _words(group))  # fmt: skip
        spans.append(Span(group.name, middle, low, high, cells, hollow=_simulated(group)))
    ends = [end for each in spans for end in (each.value, each.high) if end is not None]
    static = Spans(
        _title("Latency", every),
        (_MADE, "Mark: median. Line: from the 10th to the 90th percentile.", *_hollow(spans)),
        tuple(spans), value_axis(ends, score=False), "seconds of an answer (s)",
        ("LLM", "median", "10 % to 90 %", "answers", ""),
    )  # fmt: skip
    return spans_figure(static)


def cost(calls: pd.DataFrame) -> Chart:
    """Return what each LLM cost in all: what was spent here, with the mean of a call.

    Args:
        calls: a row per call, with the columns of `bmad_nb.frames.CALLS`.
    """
    spans, every = [], groups(calls)
    for group in every:
        found = [c for call in group.calls if (c := made(call, "cost_usd")) is not None]
        total = sum(found) if found or not group.calls else None
        mean = fmean(found) if found else None
        unknown = len(group.calls) - len(found)
        words = [_words(group)] + [f"{unknown} without a price"] * bool(unknown)
        cells = (_usd(total), _usd(mean), f"{len(group.calls):,}", ", ".join(filter(None, words)))
        spans.append(Span(group.name, total, None, None, cells, hollow=_simulated(group)))
    most = max((each.value or 0.0 for each in spans), default=0.0) * 1.08 or 1.0
    ticks = tuple((each, dollars(each)) for each in nice(0.0, most))
    static = Spans(
        _title("Cost", every), (_MADE, *_hollow(spans)), tuple(spans),
        Axis(0.0, most, ticks), "US dollars of all answers (USD)",
        ("LLM", "all answers", "a call", "answers", ""), filled=True,
    )  # fmt: skip
    return spans_figure(static)


def scores(calls: pd.DataFrame) -> Chart:
    """Return how the scores of each LLM are spread: the share of its answers in each fifth.

    Args:
        calls: a row per call, with the columns of `bmad_nb.frames.CALLS`.
    """
    names, shares, cells, every = [], [], [], groups(calls)
    for group in every:
        found = [n for call in group.calls if (n := number(call.get("score"))) is not None]
        counts = [0] * len(_BINS)
        for score in found:
            counts[min(len(_BINS) - 1, int(score * len(_BINS)))] += 1
        names.append(group.name)
        shares.append(tuple(each / len(found) if found else None for each in counts))
        mean = points(fmean(found)) if found else NONE
        cells.append((group.name, mean, *(f"{each:,}" for each in counts), _words(group)))
    static = Matrix(
        _title("Scores", every),
        ("Each field: share of an LLM's scored answers.",), tuple(names), _BINS, tuple(shares),
        ("LLM", "mean", *_BINS, ""), tuple(cells),
    )  # fmt: skip
    return _matrix(static, every, "score from 0 to 1")


def agreement(calls: pd.DataFrame) -> Chart:
    """Return how often each two LLMs give the same answer, case and end marks left aside.

    Args:
        calls: a row per call, with the columns of `bmad_nb.frames.CALLS`.
    """
    answers: dict[str, dict[tuple[str, int], str]] = defaultdict(dict)
    every = groups(calls)
    invented = {group.name for group in every if _simulated(group)}
    for group in every:
        for call in group.calls:
            place = (text(call.get("case")), int(call.get("sample") or 0))
            answers[group.name][place] = normalised(text(call.get("answer")))
    names = list(answers)
    both: dict[tuple[str, str], float | None] = {(name, name): 1.0 for name in names}
    cells = []
    for a, b in combinations(names, 2):
        common = answers[a].keys() & answers[b].keys()
        same = sum(answers[a][place] == answers[b][place] for place in common)
        both[a, b] = both[b, a] = same / len(common) if common else None
        cells.append(
            (
                f"{a} and {b}",
                points(both[a, b]),
                f"{same:,} of {len(common):,}",
                ", ".join(f"{name} simulated" for name in (a, b) if name in invented),
            )
        )
    static = Matrix(
        _title("Agreement", every),
        ("Share of the cases in which both give the same answer, right or wrong.",),
        tuple(names), tuple(names), tuple(tuple(both[a, b] for b in names) for a in names),
        ("two LLMs", "agreement", "same answers", ""), tuple(cells),
    )  # fmt: skip
    return _matrix(static, every, "LLM")


KINDS = {"latency": latency, "cost": cost, "scores": scores, "agreement": agreement}
"""Charts of a comparison by name, besides cost against score."""


def _percentiles(times: Sequence[float]) -> tuple[float | None, float | None, float | None]:
    if not times:
        return None, None, None
    if len(times) == 1:
        return times[0], times[0], times[0]
    found = quantiles(times, n=10, method="inclusive")
    return found[0], found[4], found[8]


def _simulated(group: Group) -> bool:
    return any(flag(call.get("simulated")) for call in group.calls)


def _title(what: str, every: Sequence[Group]) -> str:
    """Return a title that says whether simulated LLMs are among those of the chart."""
    invented = sum(map(_simulated, every))
    which = "all of them" if invented == len(every) else f"{invented:,} of them"
    return f"{what} of {counted(len(every), 'LLM')}" + f"; {which} simulated" * bool(invented)


def _tick(name: str, *, simulated: bool) -> str:
    return plotly_text(f"{name} (simulated)" if simulated else name)


def _words(group: Group) -> str:
    missing = group.asked - len(group.calls)
    here = any(flag(call.get("runs_here")) for call in group.calls)
    said = ["simulated"] * _simulated(group) + ["own machine"] * here
    return ", ".join([*said, *[f"{missing} without an answer"] * bool(missing)])


def _hollow(spans: Sequence[Span]) -> list[str]:
    return [_HOLLOW] if any(each.hollow for each in spans) else []


def _usd(value: float | None) -> str:
    return "price unknown" if value is None else usd(Decimal(repr(value)))


def spans_figure(static: Spans) -> Chart:
    """Return the plotly figure of lines with marks."""
    twin = Twin(spans_html(static), spans_svg(static, ink=INK), spans_text(static))
    figure = Chart(static=twin)
    for each in static.spans:
        if each.value is None:
            continue
        colour = GREY if each.hollow else ACCENT
        common: dict[str, Any] = {
            "y": [_tick(each.label, simulated=each.hollow)], "x": [each.value], "hoverinfo": "text",
            "hovertext": [plotly_text(" · ".join([each.label, *filter(None, each.cells)]))],
        }  # fmt: skip
        if static.filled:
            inner = "rgba(0,0,0,0)" if each.hollow else colour
            look: dict[str, Any] = {"color": inner, "line": {"color": colour, "width": 1.5}}
            figure.add_trace(go.Bar(orientation="h", marker=look, width=0.5, **common))
            continue
        bars = None
        if each.low is not None and each.high is not None:
            bars = {"type": "data", "symmetric": False, "array": [each.high - each.value],
                    "arrayminus": [each.value - each.low], "color": colour, "width": 0}  # fmt: skip
        look = {"size": 10, "color": colour, "line": {"width": 2, "color": colour},
                "symbol": "circle-open" if each.hollow else "circle"}  # fmt: skip
        figure.add_trace(go.Scatter(mode="markers", error_x=bars, marker=look, **common))
    x = {**axis(static.x_title), "range": [static.x.low, static.x.high],
         "tickvals": [at for at, _ in static.x.ticks],
         "ticktext": [plotly_text(name) for _, name in static.x.ticks]}  # fmt: skip
    y = {**axis(""), "type": "category", "autorange": "reversed", "automargin": True}
    figure.update_layout(
        {**layout(static.title, 150 + 34 * len(static.spans)), "xaxis": x, "yaxis": y}
    )
    return figure


def _matrix(static: Matrix, every: Sequence[Group], x_title: str) -> Chart:
    twin = Twin(matrix_html(static), matrix_svg(static, ink=INK), matrix_text(static))
    figure = Chart(static=twin)
    invented = {group.name for group in every if _simulated(group)}
    figure.add_trace(
        go.Heatmap(
            z=static.shares, x=[plotly_text(each) for each in static.columns],
            y=[_tick(each, simulated=each in invented) for each in static.rows],
            zmin=0, zmax=1, showscale=False, colorscale=_TILES, xgap=2, ygap=2,
            text=[[points(each) for each in row] for row in static.shares],
            texttemplate="%{text}", textfont={"color": INK}, hoverinfo="text",
            hovertext=[[plotly_text(f"{row} and {column}: {points(share)}")
                        for column, share in zip(static.columns, line, strict=True)]
                       for row, line in zip(static.rows, static.shares, strict=True)],
        )
    )  # fmt: skip
    x = {**axis(x_title), "type": "category", "showgrid": False}
    y = {**axis(""), "type": "category", "autorange": "reversed", "automargin": True,
         "showgrid": False}  # fmt: skip
    figure.update_layout(
        {**layout(static.title, 190 + 46 * len(static.rows)), "xaxis": x, "yaxis": y}
    )
    return figure
