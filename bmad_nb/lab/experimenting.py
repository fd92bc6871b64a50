"""Whole workflows over cases under several routers, paired: what live routing is worth."""

from __future__ import annotations

import dataclasses
import inspect
import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from statistics import fmean
from typing import TYPE_CHECKING, Any

import pandas as pd

from bmad_nb import grid
from bmad_nb._functions import source_hash
from bmad_nb.errors import UnknownName, UsageProblem
from bmad_nb.events import CallRow
from bmad_nb.lab.budgeted import BudgetedRuns
from bmad_nb.messages import fingerprint
from bmad_nb.planner import Wishes
from bmad_nb.render.base import listed, usd
from bmad_nb.render.stats import Paired, paired
from bmad_nb.routers.base import Router
from bmad_nb.routers.choice import router_of
from bmad_nb.running import Definition
from bmad_nb.runs.run import Run
from bmad_nb.scorers.base import Scorer, interval
from bmad_nb.scorers.choice import scorer_of
from bmad_nb.workspace import Workspace, default_workspace

if TYPE_CHECKING:
    from bmad_nb.charts import Chart

Scoring = Callable[[Run, Mapping[str, Any]], float]


@dataclasses.dataclass(frozen=True, slots=True)
class Experiment:
    """What came of a workflow over cases under several routers."""

    runs: pd.DataFrame
    """A row for each router, case and repeat: `router, case, repeat, run_id, status, score` in
    [0, 1] (0 where it failed), `cost_usd` in US dollars when its answers were made (missing where
    one is unknown), `tokens` (missing likewise), `calls`, `simulated`."""
    differences: Paired | None
    """How far the best router is above each of the others; None of a single one."""
    best: str
    """The router with the highest mean score; of equal ones the cheaper."""

    @property
    def frame(self) -> pd.DataFrame:
        """A row for each router and metric: `router, metric, value, low, high` (95 % over cases).

        Metrics: `quality` in [0, 1], `cost_usd` of a run, `quality_per_usd`,
        `quality_per_1k_tokens` (of a run, prompts included), `failed` (share).
        """
        rows = []
        for name, own in self.runs.groupby("router", sort=False):
            by_case = own.groupby("case", sort=False)
            quality = by_case["score"].mean().tolist()
            cost = by_case["cost_usd"].mean().tolist()
            known = not any(map(math.isnan, cost))
            mean_usd = fmean(cost) if known else math.nan
            ends = interval(quality), interval(cost, bounded=False) if known else (None, None)
            rows += [
                (name, "quality", fmean(quality), *ends[0]),
                (name, "cost_usd", mean_usd, *ends[1]),
                (name, "quality_per_usd", fmean(quality) / mean_usd if mean_usd else math.nan,
                 None, None),
                (name, "quality_per_1k_tokens", _per_1k(own, fmean(quality)), None, None),
                (name, "failed", float((own["status"] != "completed").mean()), None, None),
            ]  # fmt: skip
        frame = pd.DataFrame(rows, columns=["router", "metric", "value", "low", "high"])
        return frame.astype({"value": "float64", "low": "float64", "high": "float64"})

    @property
    def verdict(self) -> str:
        """What is shown, in one sentence or two."""
        said = _verdict(self)
        return f"{said} These LLMs are simulated." if self.runs["simulated"].any() else said

    def plot(self) -> Chart:
        """Return quality against cost of each router, with intervals."""
        from bmad_nb.charts.routing import experiment

        return experiment(self.frame, self.verdict, simulated=bool(self.runs["simulated"].any()))

    def __repr__(self) -> str:
        """Return the verdict and the numbers."""
        wide = self.frame.pivot_table("value", "router", "metric", sort=False).reset_index()
        return f"{self.verdict}\n{wide.to_string(index=False, float_format=lambda x: f'{x:.4g}')}"


def experiment(
    workflow: Definition,
    cases: pd.DataFrame | Sequence[Mapping[str, Any]],
    routers: Sequence[str | Router],
    *,
    repeats: int = 1,
    score: Scoring | None = None,
    reference: str = "reference",
    scorer: Any = "exact",
    llms: Mapping[str, str] | None = None,
    strategy: str | None = None,
    budget_usd: Any = None,
    ws: Workspace | None = None,
) -> Experiment:
    """Run a workflow over cases under each of several routers, and compare them case by case.

    All is durable: stopped by a limit, an interrupt or a kill, the same call goes on, and what is
    finished is neither run nor paid again. Equal requests of two routers share one answer; each is
    charged what the answer cost when it was made. A repeat asks anew.

    Args:
        workflow: a `Workflow`, the path of a file, or the id of a defined one. Routers choose for
            every task that does not name exactly one LLM.
        cases: a row for each case; columns that are inputs of the workflow are given to it.
        routers: names, such as `cheapest` and `capability`, or objects with `name` and `choose`.
        repeats: runs of each case under each router.
        score: returns the score in [0, 1] of a run and its case; else the first output is compared
            with the column `reference` by `scorer`.
        reference: column of the right answer.
        scorer: a name, an object, or a function of answer and reference.
        llms: as in `Workspace.run`.
        strategy: as in `Workspace.run`.
        budget_usd: hard limit in US dollars on all runs together, real and simulated money apart.
        ws: whose LLMs and store; the default workspace if None.

    Raises:
        UsageProblem: an argument does not fit.
        RunPaused: interrupted, or stopped by the budget.
        NotRunnable: something is missing, such as an input or a key.
    """
    space = ws or default_workspace()
    named = _named(routers)
    if isinstance(repeats, bool) or not isinstance(repeats, int) or repeats < 1:
        raise UsageProblem(f"repeats cannot be {repeats!r}.", hint="Give a number from 1.")
    given = grid.cases_of(cases)
    marking = score or against(reference, scorer_of(scorer), given)
    known = {name: _identity(router) for name, router in named.items()}
    runs = BudgetedRuns(space, budget_usd)
    rebound = dict(llms or {})
    rows = []
    for repeat in range(repeats):
        for case in given:
            for name, router in named.items():
                flow = space.workflow_of(workflow)
                row = dict(case.values)
                inputs = {key: value for key, value in row.items() if key in flow.inputs}
                token = fingerprint([name, known[name], repeat, strategy, rebound])
                wishes = Wishes(inputs, strategy, rebound, router)
                run = runs.run(flow, wishes, token, fresh=repeat > 0)
                rows.append(_row(run, name, case.label, repeat, marked(marking, run, case.values)))
    made = pd.DataFrame(rows)
    return Experiment(made, *_compared(made, list(named)))


def _named(routers: Sequence[str | Router]) -> dict[str, Router]:
    if isinstance(routers, str) or not len(routers):
        raise UsageProblem("routers takes a list.", hint='Such as ["cheapest", "capability"].')
    found: dict[str, Router] = {}
    for each in routers:
        router = router_of(each)
        if router.name in found:
            raise UsageProblem(f"Two routers are named {router.name!r}.", hint="Rename one.")
        found[router.name] = router
    return found


def _identity(router: Router) -> str:
    """Return what a router is: one with other code or other settings is another.

    Runs of another are not taken for its own; answers to equal requests are, and cost nothing.
    """
    parts = [source_hash(router.choose)]  # with the object's fields
    for family in type(router).__mro__[:-1]:
        parts += [source_hash(each) for each in vars(family).values() if inspect.isfunction(each)]
    return fingerprint(parts)


def against(reference: str, scorer: Scorer, cases: Sequence[grid.Case]) -> Scoring:
    """Return how the first output of a run is compared with the case's right answer."""
    for case in cases:
        if reference not in case.values:  # noqa: PD011  (a mapping, no frame)
            raise UnknownName("column of the right answer", reference, case.values)

    def score(run: Run, case: Mapping[str, Any]) -> float:
        answer = next(iter(run.outputs.values()), None)
        if answer is None:
            return 0.0
        return scorer.score(str(answer), str(case[reference])).value

    return score


def marked(score: Scoring, run: Run, case: Mapping[str, Any]) -> float:
    """Return the score of a run, 0 of one that failed.

    Raises:
        UsageProblem: it is no score.
    """
    if run.status != "completed":
        return 0.0
    value = score(run, case)
    if not isinstance(value, numbers.Real) or not 0 <= value <= 1:
        raise UsageProblem(f"The score of run {run.id} is {value!r}.", hint="Give one in [0, 1].")
    return float(value)


def _row(run: Run, router: str, case: str, repeat: int, score: float) -> dict[str, Any]:
    calls = list(run.state.calls.values())
    costs = [c.original_cost_usd if c.from_store else c.cost_usd for c in calls if c.billed != "no"
             or c.from_store]  # fmt: skip
    known = [float(each) for each in costs if each is not None]
    return {
        "router": router, "case": case, "repeat": repeat, "run_id": run.id, "status": run.status,
        "score": score, "cost_usd": sum(known) if len(known) == len(costs) else math.nan,
        "tokens": _tokens(calls), "calls": len(calls),
        "simulated": any(call.simulated for call in calls),
    }  # fmt: skip


def _tokens(calls: Sequence[CallRow]) -> float:
    """Return the tokens of all answers of a run, their prompts among them; NaN where unknown."""
    answered = [call for call in calls if call.state == "answered"]
    pairs = [(call.input_tokens, call.output_tokens) for call in answered]
    if any(a is None or b is None for a, b in pairs):
        return math.nan
    return float(sum((a or 0) + (b or 0) for a, b in pairs))


def _per_1k(runs: pd.DataFrame, quality: float) -> float:
    tokens = float(runs["tokens"].mean(skipna=False))
    return 1000 * quality / tokens if tokens else math.nan


def _compared(runs: pd.DataFrame, names: list[str]) -> tuple[Paired | None, str]:
    """Return how far the best router is above the others, and its name."""
    means = runs.groupby(["router", "case"], sort=False)["score"].mean()
    scores = {name: means[name].tolist() for name in names}
    costs = runs.groupby("router")["cost_usd"].mean()
    best = max(names, key=lambda name: (fmean(scores[name]), -_or_infinite(costs[name])))
    if len(names) < 2:
        return None, best
    others = {name: each for name, each in scores.items() if name != best}
    return paired(scores[best], others), best


def _or_infinite(value: float) -> float:
    return math.inf if math.isnan(value) else value


def _usd(amount: float) -> str:
    return usd(Decimal(str(amount)))


def _verdict(found: Experiment) -> str:
    values = found.frame.set_index(["metric", "router"])["value"]
    costs = values["cost_usd"]
    if found.differences is None:
        return (
            f"{found.best} scored {values['quality'][found.best]:.2f}; one router is no comparison."
        )
    shown = [each for each in found.differences.differences if each.shown]
    cases = f"over {found.differences.cases} cases"
    if not shown:
        cheapest = costs.idxmin() if costs.notna().all() else ""
        more = (
            f" {cheapest} costs least, {usd(Decimal(str(costs[cheapest])))} a run."
            if cheapest
            else ""
        )
        return f"No difference in quality is shown {cases}.{more}"
    said = [f"{d.against} by {d.mean:.3f} ({d.low:.3f} to {d.high:.3f})" for d in shown]
    rest = [d.against for d in found.differences.differences if not d.shown]
    more = f" Against {listed(rest)} no difference is shown." if rest else ""
    price = f", at {_usd(costs[found.best])} a run" if not math.isnan(costs[found.best]) else ""
    return f"{found.best} is better {cases}{price}: than {'; than '.join(said)}.{more}"
