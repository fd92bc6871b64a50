"""Trials of a workflow with other LLMs, within a budget: is a cheaper plan good enough?

A trial runs the whole workflow over cases with another LLM at one task, and over the same cases as
it is; what is stored is not paid again, so an unchanged task costs nothing. The change is safe
where the lower end of the interval of its mean score reaches what is to be maintained, and its runs
cost less. The interval is wider where several trials are planned (Bonferroni), and a trial is only
broken off early where it can no longer succeed, so looking often finds nothing that is not there.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from statistics import fmean
from typing import Any, Literal

from bmad_nb import parse
from bmad_nb.budget import parse_usd
from bmad_nb.errors import RunPaused, UnknownName, Unroutable, UsageProblem
from bmad_nb.grid import Case
from bmad_nb.lab.budgeted import BudgetedRuns
from bmad_nb.lab.experimenting import Scoring, marked
from bmad_nb.messages import fingerprint
from bmad_nb.optimizing import ENOUGH, LEAST, Change, Proposal, history, measured, rewritten
from bmad_nb.plan import Step, root_of
from bmad_nb.planner import Wishes
from bmad_nb.routers.base import Candidate, Demand, passing
from bmad_nb.runs.run import Run
from bmad_nb.scorers.base import interval
from bmad_nb.workflow.model import Workflow

MOST_TRIALS = 6
"""Changes that are tried, those with the largest expected saving first."""
Verdict = Literal["safe", "not shown", "cannot reach it", "saves nothing", "out of money"]


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of one change."""

    task: str
    before: str
    after: str
    verdict: Verdict
    cases: int
    """Cases that were run to their end."""
    planned: int
    score: float | None
    """Mean score in [0, 1]; None of no case."""
    low: float | None
    """Lower end of its interval; None of fewer than two cases."""
    usd_before: float | None
    """Mean US dollars of a run over these cases as it was, when its answers were made."""
    usd_after: float | None


@dataclass(frozen=True, slots=True)
class Tested:
    """A proposal after trials."""

    proposal: Proposal
    trials: tuple[Trial, ...]
    level: float
    """Confidence of each interval, so that all together have 0.95."""
    budget_usd: Decimal
    spent_usd: Decimal
    """Real money of all trials, those of an earlier try among them."""
    simulated_usd: Decimal
    """The same in simulated money."""


def after_trials(
    space: Any,
    flow: Workflow,
    text: str,
    found: Proposal,
    *,
    quality: float,
    budget_usd: Any,
    cases: Sequence[Case] = (),
    score: Scoring | None = None,
    llms: Sequence[str] = (),
    name: str = "workflow.yaml",
) -> Tested:
    """Try further changes of a workflow, and return the proposal with those that are safe.

    Everything is durable: stopped by an interrupt or a kill, the same call goes on, and what is
    finished is neither run nor paid again.

    Args:
        space: the workspace.
        flow: the workflow.
        text: its definition as it is written.
        found: what its history supports already; those changes are made first.
        quality: least lower end of the interval of the mean score, in [0, 1].
        budget_usd: hard limit in US dollars of all trials together, real and simulated apart.
        cases: what to run it over; the inputs of its stored runs if empty.
        score: returns the score in [0, 1] of a run and its case; None takes the score that the
            changed task has of itself, from its judge.
        llms: ids to try; those that are ready here and have a lower price if empty.
        name: of the file, in the diff.

    Raises:
        UsageProblem: nothing scores the answers, or there are too few cases.
        RunPaused: interrupted.
    """
    money = parse_usd(budget_usd)
    made = {each.task: each.after for each in found.changes}
    ways = _ways(space, flow, made, llms)
    given = list(cases) or _cases(space, flow)
    if score is None:
        _scored(space, flow, {task for task, _, _, _ in ways})
    elif len(given) < ENOUGH:
        raise UsageProblem(
            f"There are {len(given)} cases, and {ENOUGH} are the least that show anything.",
            hint="Give more cases with --over.",
        )
    token = fingerprint(["trial", text])
    runs = BudgetedRuns(space, money)
    runs.recall(flow.id, token)
    desk = _Desk(space, flow, text, given, score, quality, runs, token, made)
    desk.level = 1 - 0.05 / max(1, len(ways))
    for task, before, after, _ in ways:
        if desk.is_broke or task in desk.changed:
            continue
        desk.trials.append(desk.trial(task, before, after))
    spent = desk.runs.spent
    return Tested(_joined(found, desk, text, name), tuple(desk.trials), desk.level, money,
                  spent[False], spent[True])  # fmt: skip


# --- what is tried --------------------------------------------------------------------------------

_Way = tuple[str, str, str, float]
"""Task, its LLM, another LLM, and the share of the run's cost that this should save."""


def _ways(space: Any, flow: Workflow, made: Mapping[str, str], llms: Sequence[str]) -> list[_Way]:
    """Return the changes that should save most, by list prices and the tokens of stored runs."""
    tokens = _tokens(space, flow)
    found: list[_Way] = []
    for step in space.planned(flow, Wishes({})).steps:
        if step.assignment is None or step.collaborating is not None or step.id in made:
            continue
        now = step.assignment.llm
        cost = _cost(space, now, tokens.get(step.id))
        for llm in _others(space, flow, step, now, llms):
            other = _cost(space, llm, tokens.get(step.id))
            if cost and other is not None and other < cost * (1 - LEAST):
                found.append((step.id, now, llm, cost - other))
    found.sort(key=lambda way: (-way[3], way[0], way[2]))
    return found[:MOST_TRIALS]


def _others(space: Any, flow: Workflow, step: Step, now: str, llms: Sequence[str]) -> list[str]:
    """Return LLMs that may do a task: ready here, through its hard filters, none made up."""
    catalog = space.catalog
    mine = catalog.llm(now).card
    if llms:
        ids = [choice.llm_id for spec in llms for choice in catalog.choose(spec)]
        for llm in ids:
            if not catalog.can_ask(llm):
                raise UnknownName("LLM that can be asked", llm, _ready(catalog))
    else:
        ids = [c.id for c in catalog.cards(recorded=False) if c.simulated == mine.simulated]
    cards = [catalog.llm(llm).card for llm in dict.fromkeys(ids) if llm != now]
    there = [Candidate(card, catalog.price(card)) for card in cards if not card.missing]
    task = flow.tasks[step.id]
    demand = Demand(step.id, task.type)
    if task.route:
        demand = replace(
            demand, capabilities=task.route.capabilities, context_tokens=task.route.context,
            max_cost_usd=task.route.max_cost, exclude=task.route.exclude,
        )  # fmt: skip
    try:
        passed, _ = passing(demand, there)
    except Unroutable:
        return []
    return [each.card.id for each in passed]


def _ready(catalog: Any) -> list[str]:
    return [card.id for card in catalog.cards(recorded=False) if not card.missing]


def _tokens(space: Any, flow: Workflow) -> dict[str, tuple[float, float]]:
    """Return mean tokens in and out of each task's calls, by run."""
    sums: dict[str, list[tuple[int, int]]] = {}
    for row in history(space, flow)[-20:]:
        for call in space.store.calls(row.run_id):
            if call.state == "answered":
                pair = (call.input_tokens or 0, call.output_tokens or 0)
                sums.setdefault(root_of(call.task), []).append(pair)
    return {
        task: (fmean(a for a, _ in pairs), fmean(b for _, b in pairs))
        for task, pairs in sums.items()
    }


def _cost(space: Any, llm: str, tokens: tuple[float, float] | None) -> float | None:
    """Return US dollars of a call, or None where its price or its size is not known."""
    price = space.catalog.price(space.catalog.llm(llm).card)
    if price is None or tokens is None:
        return None
    usd_in, usd_out = float(price.input_usd_per_mtok), float(price.output_usd_per_mtok)
    return (tokens[0] * usd_in + tokens[1] * usd_out) / 1e6


def _cases(space: Any, flow: Workflow) -> list[Case]:
    """Return the different inputs of the stored runs, the oldest first."""
    found: dict[str, Case] = {}
    for row in history(space, flow):
        inputs = dict(space.store.run(row.run_id).inputs or {})
        found.setdefault(repr(sorted(inputs.items())), Case(str(len(found)), inputs))
    return list(found.values())


def _scored(space: Any, flow: Workflow, tasks: set[str]) -> None:
    """Refuse to spend money where nothing would say how good an answer is.

    Raises:
        UsageProblem: it says what to give.
    """
    rows = history(space, flow)
    newest = Run(space.store, rows[-1].run_id, space).state.tasks if rows else {}
    mute = sorted(task for task in tasks if _own(newest.get(task)) is None)
    if mute and len(mute) == len(tasks):
        raise UsageProblem(
            f"Nothing scores the answers of {', '.join(mute)}, so a trial would show nothing.",
            hint="Give cases with right answers: --over cases.csv --reference COLUMN.",
        )


def _own(row: Any) -> float | None:
    """Return the score that a task has of itself."""
    score = ((row.facts if row else None) or {}).get("score")
    return float(score) if isinstance(score, int | float) else None


# --- trials ---------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Desk:
    """What all trials of a workflow share."""

    space: Any
    flow: Workflow
    text: str
    cases: Sequence[Case]
    score: Scoring | None
    quality: float
    runs: BudgetedRuns
    token: str
    """What its runs are found by: trials of this text."""
    changed: dict[str, str]
    """Changes that are made, by task: those of history, then each that is shown to be safe."""
    level: float = 0.95
    is_broke: bool = False
    trials: list[Trial] = field(default_factory=list)
    known: dict[tuple[str, ...], Run] = field(default_factory=dict)
    """Runs of this call, so that each is counted once."""

    def trial(self, task: str, before: str, after: str) -> Trial:
        """Run the plan so far and the changed one over the cases, and say what is shown."""
        score = self.score or _of_task(task)
        old, new = dict(self.changed), {**self.changed, task: after}
        scores: list[float] = []
        was: list[float] = []
        takes: list[float] = []
        verdict: Verdict | None = None
        for case in self.cases:
            try:
                base, run = self._run(old, case), self._run(new, case)
            except RunPaused as stopped:
                if stopped.result is None or stopped.result.run.reason != "limit":
                    raise
                self.is_broke = True
                break
            scores.append(marked(score, run, case.values))
            was.append(measured(base, "cost"))
            takes.append(measured(run, "cost"))
            rest = len(self.cases) - len(scores)
            best = interval([*scores, *[1.0] * rest], level=self.level)[0]
            if best is not None and best < self.quality:
                verdict = "cannot reach it"
                break
        low = interval(scores, level=self.level)[0]
        verdict = verdict or self._verdict(scores, low, was, takes)
        if verdict == "safe":
            self.changed[task] = after
        return Trial(task, before, after, verdict, len(scores), len(self.cases), _mean(scores),
                     low, _mean(was), _mean(takes))  # fmt: skip

    def _verdict(
        self, scores: Sequence[float], low: float | None, was: Sequence[float],
        takes: Sequence[float],
    ) -> Verdict:  # fmt: skip
        if len(scores) < ENOUGH or low is None or low < self.quality:
            return "out of money" if self.is_broke else "not shown"
        if fmean(takes) > fmean(was) * (1 - LEAST):
            return "saves nothing"
        return "safe"

    def _run(self, llms: Mapping[str, str], case: Case) -> Run:
        key = (case.label, *(f"{task}={llm}" for task, llm in sorted(llms.items())))
        if key not in self.known:
            flow = parse.loads(rewritten(self.text, llms)) if llms else self.flow
            values = case.values
            inputs = {name: value for name, value in values.items() if name in flow.inputs}
            self.known[key] = self.runs.run(flow, Wishes(inputs), self.token)
        return self.known[key]


def _of_task(task: str) -> Callable[[Run, Mapping[str, Any]], float]:
    """Return how a run is scored by the judge of the task itself."""

    def score(run: Run, _case: Mapping[str, Any]) -> float:
        return _own(run.state.tasks.get(task)) or 0.0

    return score


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None


def _joined(found: Proposal, desk: _Desk, text: str, name: str) -> Proposal:
    """Return the proposal with the changes that are shown to be safe."""
    safe = [each for each in desk.trials if each.verdict == "safe"]
    fake = found.simulated or bool(desk.runs.spent[True])
    lost = dict.fromkeys(t.task for t in desk.trials if t.task not in desk.changed)
    tried = {each.task for each in desk.trials}
    refused = (
        *(each for each in found.refused if each.partition(":")[0] not in tried),
        *(f"{task}: no LLM that was tried is shown to be good enough for less." for task in lost),
    )
    if not safe:
        return replace(found, refused=refused, simulated=fake)
    changes = [
        Change(t.task, t.before, t.after, t.usd_before or 0.0, t.usd_after or 0.0, t.low or 0.0,
               t.score or 0.0, t.cases, f"{t.cases} trial runs of the whole workflow")
        for t in safe
    ]  # fmt: skip
    changed = rewritten(text, desk.changed)
    old, new = text.splitlines(keepends=True), changed.splitlines(keepends=True)
    diff = "".join(difflib.unified_diff(old, new, name, f"{name} (proposed)"))
    before, after = safe[0].usd_before or 0.0, safe[-1].usd_after or 0.0
    if found.changes:  # what history saves stands on top
        before = before / (1 - found.saving) if found.saving < 1 else before
    return replace(found, changes=(*found.changes, *changes), refused=refused, before=before,
                   after=after, text=changed, diff=diff, simulated=fake)  # fmt: skip
