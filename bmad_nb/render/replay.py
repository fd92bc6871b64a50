"""A replay of routers as text and as markup: verdict, frontier, table, what weakens it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from bmad_nb.render.base import DIM, LINE, MINUS, NONE, Html, counted, plain, signed, tag
from bmad_nb.render.parts import card, cell, header, line, table
from bmad_nb.render.svg import Mark, Scatter, cost_axis, scatter_html, value_axis
from bmad_nb.render.text import table_text

Triple = tuple[float, float, float]
"""A value and the ends of its 95 % interval."""


@dataclass(frozen=True, slots=True)
class RouterRow:
    """A router and its measures."""

    name: str
    values: Mapping[str, Triple]
    is_yardstick: bool


@dataclass(frozen=True, slots=True)
class PointView:
    """A point in the plane of cost and quality."""

    name: str
    cost_usd: float
    quality: float
    low: float
    high: float
    is_llm: bool
    simulated: bool = False
    """An invented score and price: its mark is hollow."""


@dataclass(frozen=True, slots=True)
class ReplayView:
    """All that a replay shows."""

    verdict: str
    queries: int
    llms: tuple[str, ...]
    how: str
    """How routers were judged, such as by a cross-validation."""
    rows: tuple[RouterRow, ...]
    points: tuple[PointView, ...]
    """Empty where costs are unknown."""
    notes: tuple[str, ...]
    hull: tuple[tuple[float, float], ...] = ()
    """Corners of the line of the best mixtures of single LLMs, from cheap to dear."""


_COLUMNS = (
    ("quality", "quality"), ("cost_usd", "$ per 1,000"), ("aiq", "AIQ"),
    ("aiq_gain", "AIQ over the hull"), ("apgr", "APGR"), ("cpt50", "CPT50"), ("cpt80", "CPT80"),
    ("gain", "over the best single LLM"), ("oracle_share", "share of oracle gap"),
)  # fmt: skip
_SIGNED = ("aiq_gain", "gain")
_PERCENT = ("cpt50", "cpt80")
_FOOT = (
    "AIQ: mean quality along the non-decreasing hull of cost and quality. APGR: mean share of the "
    "gap between weak and strong LLM that is closed, 0.5 by chance. CPT: least % of calls to the "
    "strong LLM that close so much of the gap, at its first crossing. The oracle is inflated by "
    "chance. Intervals: 95 %, paired bootstrap over queries; of shares Wilson's."
)


def replay_text(view: ReplayView) -> str:
    """Return a replay as plain text."""
    shown = _shown(view)
    rows = [
        (row.name, *(_with_interval(key, row.values.get(key)) for key, _ in shown), _word(row))
        for row in view.rows
    ]
    heads = ("router", *(title for _, title in shown), "")
    blocks = [
        f"{_origin(view)}\n{view.verdict}",
        table_text(heads, rows),
        "\n".join((*view.notes, _FOOT)),
    ]
    return plain("\n\n".join(blocks))


def replay_html(view: ReplayView) -> Html:
    """Return a replay as markup."""
    part = f"padding:14px 20px;border-top:1px solid {LINE}"
    picture = tag("div", scatter_html(_scatter(view)), style=part) if view.points else ""
    notes = [
        tag("div", each, style=f"{DIM};overflow-wrap:anywhere", dir="auto")
        for each in (*view.notes, _FOOT)
    ]
    return card(
        f"Replay of {len(view.rows)} routers",
        header(
            f"routing lab \u00b7 {counted(len(view.llms), 'LLM')} \u00b7 {len(view.rows)} routers",
            f"{view.queries:,} queries, {view.how}", view.verdict, (),
        ),
        picture,
        tag("div", _table(view), style=f"{part};overflow-x:auto"),
        tag("div", *notes, style=part),
    )  # fmt: skip


def _origin(view: ReplayView) -> str:
    return (
        f"routing lab  {counted(len(view.llms), 'LLM')}, {len(view.rows)} routers, "
        f"{view.queries:,} queries, {view.how}"
    )


def _shown(view: ReplayView) -> list[tuple[str, str]]:
    return [
        (key, title)
        for key, title in _COLUMNS
        if any(not math.isnan(row.values.get(key, (math.nan,))[0]) for row in view.rows)
    ]


def _number(key: str, value: float) -> str:
    if math.isnan(value):
        return NONE
    if key == "cost_usd":
        return f"{1000 * value:.4g}"
    if key in _PERCENT:
        return f"{value:.1f}"
    return signed(value) if key in _SIGNED else f"{value:.3f}".replace("-", MINUS)


def _bounds(key: str, triple: Triple) -> str:
    if math.isnan(triple[1]) or triple[1] == triple[2]:
        return ""
    return f"{_number(key, triple[1])} to {_number(key, triple[2])}"


def _with_interval(key: str, triple: Triple | None) -> str:
    if triple is None:
        return NONE
    bounds = "" if key in {"cost_usd", "oracle_share"} else _bounds(key, triple)
    return f"{_number(key, triple[0])} [{bounds}]" if bounds else _number(key, triple[0])


def _word(row: RouterRow) -> str:
    """Return what is shown of a router against what needs none, in a word."""
    if row.name == "zero":
        return "the bar to pass"
    if row.name == "oracle":
        return "in hindsight"
    found = row.values.get("aiq_gain") or row.values.get("gain")
    if found is None or math.isnan(found[1]):
        return ""
    if found[1] > 0:
        return "\u2713 better"
    return "\u2715 worse" if found[2] < 0 else "\u2248 no difference shown"


def _table(view: ReplayView) -> Html:
    shown = _shown(view)
    head = "padding:4px 8px;font-size:11px;opacity:0.72;text-align:"
    heads = line(
        cell("router", name="th", scope="col", style=f"{head}left"),
        *(cell(title, name="th", scope="col", style=f"{head}right") for _, title in shown),
        cell("", name="th", scope="col", style=f"{head}left"),
    )
    rows = [_line(row, shown) for row in view.rows]
    return table(
        tag("thead", heads, style="border:none"), tag("tbody", *rows), style="font-size:12px"
    )


def _line(row: RouterRow, shown: list[tuple[str, str]]) -> Html:
    cells = []
    for key, _ in shown:
        triple = row.values.get(key)
        bounds = (
            "" if triple is None or key in {"cost_usd", "oracle_share"} else _bounds(key, triple)
        )
        value = NONE if triple is None else _number(key, triple[0])
        small = tag("div", bounds, style="font-size:11px;opacity:0.72") if bounds else ""
        cells.append(
            cell(
                tag("div", value),
                small,
                style="text-align:right;padding:4px 8px;white-space:nowrap",
            )
        )
    weight = "400" if row.is_yardstick else "600"
    return line(
        cell(row.name, style=f"text-align:left;padding:4px 8px;font-weight:{weight}"),
        *cells,
        cell(_word(row), style="text-align:left;padding:4px 8px;white-space:nowrap"),
        style=f"background:transparent;border-top:1px solid {LINE}",
    )


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value


def _scatter(view: ReplayView) -> Scatter:
    marks = tuple(
        Mark(
            each.name, each.cost_usd, each.quality, _or_none(each.low), _or_none(each.high),
            hollow=each.simulated, router=not each.is_llm,
            cells=(
                "LLM" if each.is_llm else "router",
                f"{each.quality:.3f}", f"{1000 * each.cost_usd:.4g}", "",
            ),
        )
        for each in view.points
    )  # fmt: skip
    return Scatter(
        "Cost and quality",
        ("The line: the best that mixtures of single LLMs give without looking at the prompt.",),
        marks,
        cost_axis([each.cost_usd for each in view.points]),
        value_axis([each.quality for each in view.points], score=True),
        "US dollars of a query", "mean score",
        ("", "what", "quality", "$ per 1,000", ""),
        view.hull,
    )  # fmt: skip
