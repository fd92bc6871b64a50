"""Routers in pictures: quality against cost beside single LLMs, who was chosen, expected or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from statistics import fmean
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from bmad_nb.charts.base import INK, Chart, Twin, axis, flag, layout, number, plotly_text, text
from bmad_nb.charts.quality import figure, hull_of
from bmad_nb.render.base import NONE, counted, points, usd
from bmad_nb.render.shares import (
    ON_PARTS,
    Shares,
    colour,
    shares_html,
    shares_svg,
    shares_text,
)
from bmad_nb.render.svg import Mark, Scatter, cost_axis, value_axis
from bmad_nb.scorers.base import interval

if TYPE_CHECKING:
    import pandas as pd

_HEADS = ("", "quality", "95 % interval", "$ per query", "queries", "")
YARDSTICKS = ("cheapest", "best-single", "zero")
"""Routers that are not drawn: they are single LLMs, or the line."""
_HULL = "Line: the hull of single LLMs, the best mix without looking at the query (Zero router)."


def routing(
    calls: pd.DataFrame, routers: pd.DataFrame, *, title: str = "", notes: Sequence[str] = ()
) -> Chart:
    """Return routers beside single LLMs: quality against cost, with intervals and the hull.

    Args:
        calls: recorded answers, columns `query_id, model, score` in [0, 1] and `cost_usd`.
        routers: a row for each router, columns `router, quality, cost_usd` (mean of a query in US
            dollars) and, where they are known, `low, high` and `queries`; `Replay.routers` is one.
        title: what is shown; a plain one if empty.
        notes: what a reader should know besides.
    """
    singles = [_single(name, own) for name, own in calls.groupby("model", sort=True)]
    rows = [row for row in routers.to_dict("records") if row["router"] not in YARDSTICKS]
    marks = (*singles, *map(_router, rows))
    said = title or f"{counted(len(rows), 'router')} beside {counted(len(singles), 'LLM')}"
    invented = "simulated" in calls and any(map(flag, calls["simulated"]))
    own = ("Simulated LLMs: this shows how it works, not how good anybody is.",) * invented
    line = hull_of([replace(mark, hollow=False) for mark in singles if mark.drawn])
    return figure(_scatter(said, marks, line, (_HULL, *notes, *own)))


def experiment(frame: pd.DataFrame, verdict: str, *, simulated: bool = False) -> Chart:
    """Return the routers of an experiment: quality of a case against the cost of its run.

    Args:
        frame: `Experiment.frame`.
        verdict: what is shown.
        simulated: whether simulated LLMs are among them.
    """
    rows = []
    for name, own in frame.groupby("router", sort=False):
        values = {row["metric"]: row for row in own.to_dict("records")}
        rows.append(
            {"router": name, "quality": values["quality"]["value"], "low": values["quality"]["low"],
             "high": values["quality"]["high"], "cost_usd": values["cost_usd"]["value"]}
        )  # fmt: skip
    marks = tuple(replace(_router(row), hollow=simulated) for row in rows)
    scatter = _scatter(verdict, marks, (), ("Each diamond: a router over all cases.",))
    return figure(replace(scatter, x_title="mean cost of a run in US dollars"))


def _single(name: Any, own: pd.DataFrame) -> Mark:
    """Return one LLM that is always asked."""
    scores = [each for each in map(number, own["score"]) if each is not None]
    costs = [number(each) for each in own["cost_usd"]] if "cost_usd" in own else [None]
    known = [each for each in costs if each is not None]
    cost = fmean(known) if known and len(known) == len(costs) else None
    mean = fmean(scores) if scores else None
    low, high = interval(scores)
    hollow = "simulated" in own and any(map(flag, own["simulated"]))
    return Mark(
        str(name), cost, mean, low, high, hollow=hollow, note="simulated" if hollow else "",
        cells=_cells(mean, low, high, cost, len(own), "simulated" if hollow else ""),
    )  # fmt: skip


def _router(row: dict[Any, Any]) -> Mark:
    mean, cost = number(row.get("quality")), number(row.get("cost_usd"))
    low = number(row.get("low", row.get("quality_low")))
    high = number(row.get("high", row.get("quality_high")))
    queries = number(row.get("queries"))
    cells = _cells(mean, low, high, cost, None if queries is None else int(queries), "router")
    return Mark(text(row.get("router")), cost, mean, low, high, cells=cells, router=True)


def _cells(  # noqa: PLR0917  (the columns of the table, in their order)
    mean: float | None, low: float | None, high: float | None, cost: float | None,
    count: int | None, word: str,
) -> tuple[str, ...]:  # fmt: skip
    ends = f"{points(low)} to {points(high)}" if low is not None else NONE
    price = "unknown" if cost is None else usd(Decimal(repr(cost)))
    return points(mean), ends, price, NONE if count is None else f"{count:,}", word


def _scatter(
    title: str, marks: Sequence[Mark], hull: tuple[tuple[float, float], ...], notes: Sequence[str]
) -> Scatter:
    drawn = [mark for mark in marks if mark.drawn]
    ends = [end for m in drawn for end in (m.y, m.low, m.high) if end is not None]
    x = cost_axis(mark.x for mark in drawn if mark.x is not None)
    absent = [mark.label for mark in marks if not mark.drawn]
    more = ("Without a cost or a score, only in the table: " + ", ".join(absent) + ".",) * bool(
        absent
    )
    bars = ("Bars: 95 % intervals.",) if any(mark.low is not None for mark in drawn) else ()
    title_x = "mean cost of a query in US dollars" + (", logarithmic" if x.log else "")
    return Scatter(
        title=title, notes=(*notes, *bars, *more), marks=tuple(marks), x=x,
        y=value_axis(ends, score=True), x_title=title_x, y_title="quality, mean score",
        heads=_HEADS, hull=hull,
    )  # fmt: skip


def share(decisions: pd.DataFrame, by: str = "router", *, title: str = "") -> Chart:
    """Return whom each router chose, as shares of its choices.

    Args:
        decisions: a row for each choice, columns `llm` and the one that `by` names, and where it is
            known `simulated`.
        by: column of the bars, such as `router`, `task` or `type`.
        title: what is shown; a plain one if empty.
    """
    counts = decisions.pivot_table(
        index=by, columns="llm", aggfunc="size", fill_value=0, sort=False, observed=True
    )
    order = counts.sum().sort_values(ascending=False, kind="stable").index
    shares = counts[order].div(counts.sum(axis=1), axis=0)
    static = Shares(
        title=title or f"Whom each {by} chose, {counted(len(decisions), 'choice')}",
        parts=tuple(told(llm, decisions) for llm in order),
        bars=tuple((str(name), tuple(map(float, row))) for name, row in shares.iterrows()),
    )
    return shares_figure(static, "share of choices")


def told(llm: Any, choices: pd.DataFrame) -> str:
    """Return the name of an LLM, with a word where it is simulated."""
    if "simulated" not in choices:
        return str(llm)
    invented = choices.loc[choices["simulated"].map(flag), "llm"]
    return f"{llm} (simulated)" if (invented == llm).any() else str(llm)


def shares_figure(static: Shares, title: str, *, percents: bool = True) -> Chart:
    """Return the plotly figure of stacked bars.

    Args:
        static: the bars.
        title: of the axis.
        percents: whether the axis has percentages, or nothing that can be read off.
    """
    drawing = Chart(
        static=Twin(shares_html(static), shares_svg(static, ink=INK), shares_text(static))
    )
    names, rows = [plotly_text(name) for name, _ in static.bars], static.rows()
    for place, part in enumerate(static.parts):
        values = [row[place] for _, row in static.bars]
        words = [row[place + 1] for row in rows]
        shown = [w if v >= 0.02 * (1 + len(w)) else "" for w, v in zip(words, values, strict=True)]
        said = [plotly_text(f"{part}: {each}") for each in words]
        drawing.add_trace(
            go.Bar(x=values, y=names, orientation="h", name=plotly_text(part), text=shown,
                   insidetextfont={"color": ON_PARTS}, textposition="inside",
                   marker={"color": colour(place)}, hovertext=said, hoverinfo="text")
        )  # fmt: skip
    scale = {"tickformat": ".0%"} if percents else {"showticklabels": False}
    drawing.update_layout({
        **layout(static.title, 140 + 34 * len(names)), "barmode": "stack", "showlegend": True,
        "xaxis": {**axis(title), "range": [0, 1], **scale},
        "yaxis": {**axis(""), "autorange": "reversed"},
        "margin": {"l": 150, "r": 20, "t": 60, "b": 50},
    })  # fmt: skip
    return drawing


def calibration(
    expected: Sequence[float], scores: Sequence[float], bins: int = 8, *, notes: Sequence[str] = ()
) -> Chart:
    """Return the mean score of choices against what was expected of them, in bins of equal size.

    On the line the router promises what it keeps; below it, it promises too much.

    Args:
        expected: score in [0, 1] that was expected of each choice.
        scores: score in [0, 1] that came of it.
        bins: most groups.
        notes: what a reader should know besides.
    """
    pairs = sorted(
        (e, s)
        for e, s in zip(map(number, expected), map(number, scores), strict=True)
        if e is not None and s is not None
    )
    size = max(1, -(-len(pairs) // bins))
    groups = [pairs[start : start + size] for start in range(0, len(pairs), size)]
    marks = tuple(_bin(group) for group in groups)
    error = sum(abs((m.x or 0) - (m.y or 0)) * len(g) for m, g in zip(marks, groups, strict=True))
    ece = error / len(pairs) if pairs else 0.0
    ends = [end for m in marks for end in (m.x, m.y, m.low, m.high) if end is not None]
    scale = value_axis(ends, score=True)
    return figure(
        Scatter(
            title=f"Expected and real scores, {counted(len(pairs), 'choice')}: {ece:.3f} apart",
            notes=("Line: what is expected comes true.", "Bars: 95 % intervals.",
                   "Apart: expected calibration error, the mean distance from the line.", *notes),
            marks=marks, x=scale, y=scale, x_title="expected score", y_title="mean score",
            heads=("expected", "score", "95 % interval", "choices", ""),
            hull=((scale.low, scale.low), (scale.high, scale.high)),
        )
    )  # fmt: skip


def _bin(group: Sequence[tuple[float, float]]) -> Mark:
    x, scores = fmean(e for e, _ in group), [s for _, s in group]
    low, high = interval(scores)
    ends = f"{points(low)} to {points(high)}" if low is not None else NONE
    return Mark(points(x), x, fmean(scores), low, high,
                cells=(points(fmean(scores)), ends, f"{len(group):,}", ""))  # fmt: skip
