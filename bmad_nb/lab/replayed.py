"""What came of a replay: measures with intervals, choices, points, and one sentence."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bmad_nb.errors import UnknownName, UsageProblem
from bmad_nb.lab import chosen, metrics, whatif
from bmad_nb.lab.judging import Baseline, Measured, Played
from bmad_nb.lab.reading import Recorded
from bmad_nb.render.replay import (
    PointView,
    ReplayView,
    RouterRow,
    replay_html,
    replay_text,
)
from bmad_nb.routers.hull import hull
from bmad_nb.routers.outcomes import Outcomes

if TYPE_CHECKING:
    from bmad_nb.charts import Chart

YARDSTICKS = ("cheapest", "best-single", "random", "zero", "oracle")
"""Baselines that are no proposals."""
BINARY = 1e-12
_MOST = 0.8
"""Share of the gap between the cheapest and the best single LLM, as in CPT80."""


@dataclass(frozen=True, slots=True)
class Difference:
    """How far one router is above another in a measure, over the same queries."""

    router: str
    against: str
    metric: str
    value: float
    low: float
    high: float
    """Ends of the paired 95 % interval."""

    @property
    def is_shown(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        """Return it as a sentence says it."""
        shown = "" if self.is_shown else ", no difference shown"
        return f"{self.value:+.3f} [{self.low:+.3f}, {self.high:+.3f}]{shown}"


class Replay:
    """Routers judged on recorded answers. `print` it, or read its frames."""

    def __init__(
        self,
        recorded: Recorded,
        plays: Sequence[Played],
        measured: Sequence[Measured],
        base: Baseline,
        *,
        how: str,
        notes: Sequence[str],
        setting: whatif.Setting,
    ) -> None:
        """Keep what was measured, and how."""
        self._made = setting
        self._recorded, self._plays, self._measured = recorded, plays, measured
        self._base = base
        self.how = how
        self.notes = tuple(notes)
        self.llms = recorded.outcomes.questions.llms

    # --- frames ---------------------------------------------------------------------------------

    @cached_property
    def frame(self) -> pd.DataFrame:
        """A row per router and metric: `router`, `metric`, `value`, `low`, `high`.

        Metrics: `quality` (mean score in [0, 1]), `cost_usd` (mean of a query, all calls counted),
        `gain` (quality above the best single LLM), `regret` (quality below the oracle),
        `oracle_share` (of the gap from the best single LLM to the oracle; the oracle is inflated
        by chance), `aiq`, `aiq_gain` (above the Zero router of the same queries), `arena`, and for
        two LLMs `pgr`, `apgr`, `cpt50`, `cpt80` (first crossing, % of calls).
        """
        rows = []
        for each in self._measured:
            for metric, value in each.known.items():
                low, high = self._interval(each, metric)
                rows.append((each.name, metric, value, low, high))
        return pd.DataFrame(rows, columns=["router", "metric", "value", "low", "high"])

    @cached_property
    def routers(self) -> pd.DataFrame:
        """A row per router, a column per metric, with `_low` and `_high` beside it."""
        wide = self.frame.pivot_table(
            index="router", columns="metric", values=["value", "low", "high"], dropna=False,
            sort=False,
        )  # fmt: skip
        metric_names = list(dict.fromkeys(self.frame["metric"]))
        found = pd.DataFrame(index=[each.name for each in self._measured])
        found.index.name = "router"
        for metric in metric_names:
            found[metric] = wide["value", metric]
            found[f"{metric}_low"] = wide["low", metric]
            found[f"{metric}_high"] = wide["high", metric]
        for place, llm in enumerate(self.llms):
            found[f"share {llm}"] = [each.choices[place] for each in self._measured]
        return found.reset_index()

    @cached_property
    def choices(self) -> pd.DataFrame:
        """A row per router and query: a router's own choice, no trade-off set from outside.

        `router`, `query_id`, `type` (kind of task, empty where nobody knows it), `llm`, `score`,
        `cost_usd`, `expected` (score that it expected of this LLM, NaN where it expects none),
        `reason`, and `simulated` (the LLM is).
        """
        return chosen.choices(self._recorded, self._plays)

    @cached_property
    def decisions(self) -> pd.DataFrame:
        """A row per router, trade-off `setting` and query; made when it is first asked for.

        `router`, `setting` (0 all cheap, 1 all strong; NaN of a router without a trade-off),
        `query_id`, `llm`, `score`, `cost_usd`, `reason`. Choices by chance are drawn here, while
        measures count them by their probabilities.
        """
        return chosen.decisions(self._recorded, self._plays, self._base)

    @cached_property
    def frontier(self) -> pd.DataFrame:
        """A point per router and setting, and one per LLM: the plane of cost and quality.

        `name`, `kind` (`llm` or `router`), `setting`, `cost_usd`, `quality`, `strong_share`, and
        `on_hull`: whether it is a corner of the non-decreasing convex hull of its kind.
        """
        rows: list[tuple[Any, ...]] = []
        for place, llm in enumerate(self.llms):
            usd = math.nan if self._base.cost is None else float(self._base.cost[0][place])
            rows.append(
                (llm, "llm", math.nan, usd, float(self._base.score[0][place]),
                 float(place == self._base.strong))
            )  # fmt: skip
        for each, play in zip(self._measured, self._plays, strict=True):
            rows += [
                (each.name, "router", float(setting), *map(float, point))
                for setting, point in zip(play.settings, each.curve.T, strict=True)
            ]
        columns = ["name", "kind", "setting", "cost_usd", "quality", "strong_share"]
        found = pd.DataFrame(rows, columns=columns)
        found["on_hull"] = False
        if self._base.cost is not None:
            for kind in ("llm", "router"):
                mine = found.index[found["kind"] == kind]
                part = found.loc[mine]
                corners = hull(part["cost_usd"].to_numpy(), part["quality"].to_numpy())[2]
                found.loc[mine[corners], "on_hull"] = True
        return found

    # --- comparisons ----------------------------------------------------------------------------

    def difference(self, router: str, against: str, metric: str = "quality") -> Difference:
        """Return how far one router is above another in a metric, paired over the queries.

        Raises:
            UnknownName: no such router.
            UsageProblem: one of them does not have this metric here.
        """
        one, two = self._of(router), self._of(against)
        if metric not in one.known or metric not in two.known:
            raise UsageProblem(
                f"{router} and {against} do not both have the metric {metric!r} here.",
                hint=f"They have: {', '.join(k for k in one.known if k in two.known)}.",
            )
        gap = one.draws[metric] - two.draws[metric] if metric in one.draws else np.zeros(1)
        low, high = metrics.interval(gap)
        return Difference(router, against, metric, one.known[metric] - two.known[metric], low, high)

    @cached_property
    def verdict(self) -> str:
        """One sentence: is a router shown to be better than what needs no router?"""
        found = self._proposals()
        if not found:
            return "Only baselines were replayed: there is no router to judge."
        metric, bar, what = self._yardstick(found)
        best = self._subject(found, metric)
        many = 1 if best.name == "learned" else len(found)
        gain = "aiq_gain" if metric == "aiq" else metric
        drawn = best.draws[gain] - (0.5 if metric == "apgr" else 0.0)
        value = best.known[gain] - (0.5 if metric == "apgr" else 0.0)
        if metric == "quality":
            drawn, value = best.draws["gain"], best.known["gain"]
        low, high = metrics.interval(drawn, 1 - 0.05 / many)
        value = round(value, 12) + 0.0  # no minus in front of a nothing
        level = "" if many == 1 else f" ({100 * (1 - 0.05 / many):.3g} %, best of {many} chosen)"
        title = {"aiq": "AIQ", "apgr": "APGR", "quality": "quality"}[metric]
        said = (
            f"{title} {best.known[metric]:.3f} against {bar:.3f}, {value:+.3f} "
            f"[{low:+.3f}, {high:+.3f}]{level}"
        ).replace("-", "\u2212")
        if low > 0:
            return f"The router {best.name} is above {what}: {said}."
        if high < 0:
            return f"The router {best.name} is below {what}: {said}."
        return f"No difference shown between the router {best.name} and {what}: {said}."

    def _yardstick(self, found: Sequence[Measured]) -> tuple[str, float, str]:
        """Return what proposals are measured in, and what they must beat."""
        strong = self.llms[self._base.strong]
        if self._base.cost is not None and any("aiq" in each.known for each in found):
            bar = math.nan if self._base.zero is None else float(self._base.zero[0])
            return "aiq", bar, "the best mixture of single LLMs (Zero router)"
        if len(self.llms) == 2 and any("apgr" in each.known for each in found):
            return "apgr", 0.5, "a choice by chance"
        return "quality", float(self._base.score[0][self._base.strong]), f"{strong} alone"

    def _subject(self, found: Sequence[Measured], metric: str) -> Measured:
        """Return the router that is spoken of: what the product would choose, else the best."""
        learned = next((each for each in found if each.name == "learned"), None)
        return learned or max(found, key=lambda each: each.known.get(metric, -1.0))

    def _proposals(self) -> list[Measured]:
        every = [each for each in self._measured if each.name not in YARDSTICKS]
        return [each for each in every if each.name != "prompt-length"] or every

    def _of(self, name: str) -> Measured:
        for each in self._measured:
            if each.name == name:
                return each
        raise UnknownName("router in this replay", name, [each.name for each in self._measured])

    def _interval(self, each: Measured, metric: str) -> tuple[float, float]:
        """Return an interval; of a share of right answers it is Wilson's."""
        score = self._recorded.outcomes.score
        if metric == "quality" and np.all((score < BINARY) | (score > 1 - BINARY)):
            return metrics.wilson(each.known[metric], len(score))
        return each.interval(metric)

    # --- pictures -------------------------------------------------------------------------------

    def plot(self, kind: str = "frontier", router: str | None = None) -> Chart:
        """Return a chart.

        Args:
            kind: `frontier` (quality against cost of routers and single LLMs, with intervals and
                the hull; `.frontier` has the other trade-offs), `share` (whom a router chose, by
                kind of task), `regret` (below the best choice of each query), `calibration`
                (expected against real scores), `cost` (of each router, by LLM) or `prices` (what if
                the price of the best single LLM changed; `charts.prices(replay.prices(...))` for
                another).
            router: whose `share` or `calibration`; that of the verdict if None.

        Raises:
            UnknownName: there is no such chart or router.
            UsageProblem: the table does not have what it shows.
        """
        from bmad_nb.lab.picturing import KINDS

        if kind not in KINDS:
            raise UnknownName("chart", kind, KINDS)
        proposals = self._proposals()
        best = self._subject(proposals, self._yardstick(proposals)[0]) if proposals else None
        name = router or (best.name if best else self._measured[0].name)
        return KINDS[kind](self, self._of(name).name)

    def prices(
        self,
        llm: str | None = None,
        factors: Sequence[float] = whatif.FACTORS,
        quality: float | None = None,
    ) -> pd.DataFrame:
        """Return what a quality would cost if the price of one LLM changed; nobody is asked.

        Args:
            llm: whose price changes; the best single LLM if None.
            factors: what its price is multiplied with.
            quality: mean score in [0, 1] to be reached; 80 % of the way from the cheapest to the
                best single LLM if None.

        Returns:
            A row per router and factor; see `whatif.prices`.

        Raises:
            UnknownName: the LLM is none of these.
            UsageProblem: costs are unknown, or an argument cannot be.
        """
        name = llm or self.llms[self._base.strong]
        if name not in self.llms:
            raise UnknownName("LLM in this replay", name, self.llms)
        single = self._base.score[0]
        weak, strong = float(single[self._base.weak]), float(single[self._base.strong])
        target = weak + _MOST * (strong - weak) if quality is None else quality
        if isinstance(target, bool) or not 0 <= target <= 1:
            raise UsageProblem(f"quality cannot be {quality!r}.", hint="Give a score in [0, 1].")
        shown = [each.name for each in self._proposals() if each.name not in YARDSTICKS]
        return whatif.prices(
            self.outcomes, self._made, shown, llm=name, factors=factors, quality=target
        )

    @property
    def outcomes(self) -> Outcomes:
        """What routers were judged on, as arrays."""
        return self._recorded.outcomes

    @property
    def ids(self) -> NDArray[Any]:
        """`query_id` of each query."""
        return self._recorded.ids

    @property
    def simulated(self) -> frozenset[str]:
        """Ids of the LLMs whose answers are invented."""
        return self._recorded.simulated

    @property
    def table_notes(self) -> tuple[str, ...]:
        """What a reader should know of the recorded table."""
        return self._recorded.notes

    def to_json(self) -> dict[str, Any]:
        """Return verdict, notes and the frame as JSON values; what is unknown is null."""
        frame = self.frame.astype(object).where(self.frame.notna(), None)
        return {
            "verdict": self.verdict, "how": self.how, "queries": len(self.ids),
            "llms": list(self.llms), "simulated": sorted(self.simulated),
            "notes": list(self.notes), "frame": frame.to_dict("records"),
        }  # fmt: skip

    # --- how it looks ---------------------------------------------------------------------------

    @cached_property
    def _view(self) -> ReplayView:
        rows = tuple(self._row(each) for each in self._measured)
        line: tuple[tuple[float, float], ...] = ()
        if self._base.cost is not None:
            x, y, _ = hull(self._base.cost[0], self._base.score[0])
            line = tuple(zip(x.tolist(), y.tolist(), strict=True))
        return ReplayView(
            self.verdict, len(self._recorded.ids), self.llms, self.how, rows,
            tuple(self._points()), self.notes, line,
        )  # fmt: skip

    def _points(self) -> Iterator[PointView]:
        if self._base.cost is None:
            return
        (score, drawn), usd = self._base.score, self._base.cost[0]
        for place, llm in enumerate(self.llms):
            low, high = metrics.interval(drawn[:, place])
            yield PointView(
                self._said(llm), float(usd[place]), float(score[place]), low, high, is_llm=True,
                simulated=llm in self._recorded.simulated,
            )  # fmt: skip
        for each in self._measured:
            if each.name not in {*YARDSTICKS, "prompt-length"}:
                low, high = self._interval(each, "quality")
                usd_of, quality = each.known["cost_usd"], each.known["quality"]
                yield PointView(each.name, usd_of, quality, low, high, is_llm=False)

    def _said(self, llm: str) -> str:
        return f"{llm} (simulated)" if llm in self._recorded.simulated else llm

    def _row(self, each: Measured) -> RouterRow:
        triples = {
            metric: (value, *self._interval(each, metric)) for metric, value in each.known.items()
        }
        return RouterRow(each.name, triples, each.name in YARDSTICKS)

    def __repr__(self) -> str:
        """Return verdict, table and notes as plain text."""
        return replay_text(self._view)

    def _repr_html_(self) -> str:
        """Return verdict, picture, table and notes as markup."""
        return replay_html(self._view)
