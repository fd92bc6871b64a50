"""What routers lose and cost: regret, money by LLM, and the same quality at other prices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from bmad_nb.charts.base import INK, Chart, Twin, axis, layout, number, plotly_text, text
from bmad_nb.charts.contrasts import spans_figure
from bmad_nb.charts.routing import shares_figure, told
from bmad_nb.render.base import NONE, counted, points, usd
from bmad_nb.render.curves import Curve, Curves, colours, curves_html, curves_svg, curves_text
from bmad_nb.render.shares import Shares
from bmad_nb.render.spans import Span, Spans
from bmad_nb.render.svg import Axis, cost_axis, nice

if TYPE_CHECKING:
    import pandas as pd

_DRAWN = 200
"""Most points of a line."""
_STREAM = {"router", "place", "regret", "oracle_regret"}
BASELINES = ("random", "best-single", "cheapest", "zero", "Zero router")
"""Drawn as yardsticks: they need no router."""


def regret(frame: pd.DataFrame, *, notes: Sequence[str] = ()) -> Chart:
    """Return how much worse routers are than the best choice in hindsight.

    Args:
        frame: of `lab.stream` (`router, place, regret, oracle_regret`): a line for each router, its
            regret summed up over the queries, against the best single LLM in hindsight. Or
            `Replay.frame` (`router, metric, value, low, high`): a mark for each router, the mean
            score that it lost to the best choice for each query, with its 95 % interval.
        notes: what a reader should know besides.
    """
    if set(frame.columns) >= _STREAM:
        return curves_figure(_stream(frame, notes))
    rows = frame[(frame["metric"] == "regret") & (frame["router"] != "oracle")]
    spans = []
    for row in rows.sort_values("value", kind="stable").to_dict("records"):
        value, low, high = (number(row[key]) for key in ("value", "low", "high"))
        ends = NONE if low is None else f"{points(low)} to {points(high)}"
        word = "baseline" if row["router"] in BASELINES else ""
        spans.append(Span(text(row["router"]), value, low, high, (points(value), ends, word)))
    ends_of = [end for s in spans for end in (s.value, s.high) if end is not None]
    most = max(ends_of, default=0.0) * 1.08 or 1.0
    ticks = tuple((at, f"{at:.2f}") for at in nice(0.0, most))
    return spans_figure(
        Spans(
            f"Regret of {counted(len(spans), 'router')}: what each loses to the best choices",
            ("Mark: mean score below the best LLM for each query, which nobody can know before.",
             "Line: 95 % interval. The best choice in hindsight is inflated by chance.", *notes),
            tuple(spans), Axis(0.0, most, ticks), "score below the best choice",
            ("router", "regret", "95 % interval", ""),
        )
    )  # fmt: skip


def _stream(frame: pd.DataFrame, notes: Sequence[str]) -> Curves:
    found, queries = [], 0
    for name, own in frame.groupby("router", sort=False):
        sums = own.sort_values("place")
        values, oracle = sums["regret"].tolist(), sums["oracle_regret"].tolist()
        queries = max(queries, len(values))
        step = max(1, -(-len(values) // _DRAWN))
        places = sorted({*range(0, len(values), step), len(values) - 1})
        mean = sums["reward"].mean() if "reward" in sums else None
        found.append(
            Curve(str(name), tuple((at + 1.0, float(values[at])) for at in places),
                  (f"{values[-1]:.1f}", f"{oracle[-1]:.1f}", f"{len(values):,}", points(mean)),
                  yardstick=name in BASELINES)
        )  # fmt: skip
    every = [y for each in found for _, y in each.points]
    low, high = min([0.0, *every]), max([0.0, *every])
    room = 0.06 * (high - low) or 1.0
    steps = nice(low - room, high + room)
    across = float(max(2, queries))
    return Curves(
        f"Regret of {counted(len(found), 'router')} over {queries:,} queries",
        ("Summed up score below the best single LLM in hindsight: a line that falls gains on it.",
         "Dashed: baselines.", *notes),
        tuple(found), Axis(0.0, across, tuple((at, f"{at:,.0f}") for at in nice(0.0, across))),
        Axis(low - room, high + room, tuple((at, f"{at:g}") for at in steps)),
        "queries so far", "regret, summed up score",
        ("router", "regret", "to the best choices", "queries", "mean reward"),
    )  # fmt: skip


def spent(choices: pd.DataFrame, by: str = "router") -> Chart:
    """Return what routers cost, by the LLM whose answer counted.

    Args:
        choices: a row for each choice, columns `llm`, `cost_usd` of all calls of the query in US
            dollars, the one that `by` names, and where it is known `simulated`.
        by: column of the bars.
    """
    costs = choices.pivot_table(index=by, columns="llm", values="cost_usd", aggfunc="sum",
                                fill_value=0.0, sort=False, observed=True)  # fmt: skip
    costs = costs[costs.sum().sort_values(ascending=False, kind="stable").index]
    whole = costs.sum(axis=1)
    most = float(whole.max()) if len(whole) else 0.0
    parts = [told(llm, choices) for llm in costs.columns]
    unknown = int(choices["cost_usd"].isna().sum())
    missing = (f"{unknown:,} choices without a known cost are left out.",) * bool(unknown)
    static = Shares(
        title=f"What each {by} cost over {counted(_each(choices, by), 'choice')}",
        parts=tuple(parts),
        bars=tuple(
            (str(name), tuple(float(each) / most if most else 0.0 for each in row))
            for name, row in costs.iterrows()
        ),
        notes=("By the LLM whose answer counted; what was asked before it is included.", *missing),
        said=tuple(
            (*map(_usd, row), _usd(row.sum())) for _, row in costs.iterrows()
        ),
        heads=("all",),
    )  # fmt: skip
    return shares_figure(static, "share of the dearest", percents=False)


def prices(frame: pd.DataFrame, *, notes: Sequence[str] = ()) -> Chart:
    """Return what one quality would cost if the price of one LLM changed: a line for each router.

    Args:
        frame: `Replay.prices(...)`: a row per router and factor, columns `router, llm, factor,
            quality, cost_usd` (NaN where the quality is not reached).
        notes: what a reader should know besides.
    """
    llm, target = text(frame["llm"].iloc[0]), float(frame["quality"].iloc[0])
    factors = sorted(set(frame["factor"].tolist()))
    found, known = [], []
    for name, own in frame.groupby("router", sort=False):
        costs = dict(zip(own["factor"].tolist(), map(number, own["cost_usd"]), strict=True))
        line = tuple((at, usd_of) for at in factors if (usd_of := costs.get(at)) is not None)
        known += [y for _, y in line]
        cells = tuple("not reached" if costs.get(at) is None else _usd(costs[at]) for at in factors)
        found.append(Curve(str(name), line, (*cells, ""), yardstick=name in BASELINES))
    heads = ("router", *(f"{at:g} x" for at in factors), "")
    x = Axis(
        factors[0] / 1.15, factors[-1] * 1.15, tuple((at, f"{at:g} x") for at in factors), True
    )
    y = cost_axis(known)
    y = y if y.log else replace(y, low=0.0)
    return curves_figure(
        Curves(
            f"What a quality of {points(target)} costs if the price of {llm} changes",
            ("Each line: the least a query costs at this mean score, by a trade-off of the router.",
             "Routers learn anew at each price.",
             "Dashed: the best mixture of single LLMs, which looks at no query (Zero router).",
             "Trade-offs are picked on these queries: it shows what prices do, not what to expect.",
             *notes),
            tuple(found), x, y, f"price of {llm}, 1 x is today's", "US dollars of a query", heads,
        )
    )  # fmt: skip


def _each(choices: pd.DataFrame, by: str) -> int:
    """Return how many choices a bar stands for."""
    return int(choices.groupby(by, observed=True).size().max()) if len(choices) else 0


def _usd(value: Any) -> str:
    known = number(value)
    return NONE if known is None else usd(Decimal(repr(known)))


def curves_figure(static: Curves) -> Chart:
    """Return the plotly figure of lines."""
    drawing = Chart(static=Twin(curves_html(static), curves_svg(static, ink=INK),
                                curves_text(static)))  # fmt: skip
    for curve, colour in zip(static.curves, colours(static), strict=True):
        if not curve.points:
            continue
        dash = "dash" if curve.yardstick else "solid"
        drawing.add_trace(
            go.Scatter(
                x=[x for x, _ in curve.points], y=[y for _, y in curve.points],
                mode="lines+markers" if len(curve.points) < 20 else "lines",
                line={"color": colour, "width": 2, "dash": dash}, marker={"color": colour},
                name=plotly_text(curve.label), hoverinfo="x+y+name",
            )
        )  # fmt: skip
    sides = {}
    for key, side, title in (("xaxis", static.x, static.x_title),
                             ("yaxis", static.y, static.y_title)):  # fmt: skip
        sides[key] = {**axis(title), "tickvals": [at for at, _ in side.ticks],
                      "ticktext": [plotly_text(name) for _, name in side.ticks]}  # fmt: skip
        if side.log:
            import math

            ends = [math.log10(side.low), math.log10(side.high)]
            sides[key] |= {"type": "log", "range": ends}
        else:
            sides[key]["range"] = [side.low, side.high]
    drawing.update_layout({**layout(static.title, 440), **sides, "showlegend": True,
                           "margin": {"l": 70, "r": 20, "t": 60, "b": 56}})  # fmt: skip
    return drawing
