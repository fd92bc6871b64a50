"""A cheaper, or faster, plan for a workflow, found in what its runs have shown; nobody is asked.

The plans that are searched differ in the LLM of each task. What an LLM takes at a task, and how
good it is there, is known only where it was tried: in stored runs of the workflow in which the task
read the same. A change is safe where the lower end of the 95 % interval of its mean score reaches
what is to be maintained; where that is not known, nothing is changed.
"""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from bmad_nb import documents, learning, parse
from bmad_nb.engine.schedule import BY_PRIORITY
from bmad_nb.errors import UsageProblem
from bmad_nb.events import CallRow, RunRow, TaskRow
from bmad_nb.forecast.simulation import simulate
from bmad_nb.lab.budgeted import token_of
from bmad_nb.plan import Plan, Step, root_of
from bmad_nb.planner import Wishes
from bmad_nb.runs.run import Run
from bmad_nb.scorers.base import interval
from bmad_nb.store import scores
from bmad_nb.store.scores import ScoreRow
from bmad_nb.workflow.model import Workflow

Objective = Literal["cost", "latency"]
ENOUGH = 10
"""Scored answers from which on an interval is believed."""
MOST_RUNS = 300
"""Newest runs of the workflow that are read."""
LEAST = 0.02
"""Share of what a task takes that a change must save."""
_FREE = {"title", "llm", "route", "priority", "retry", "timeout", "limits", "fallback", "needs"}
"""Keys of a task that may have been different where an LLM was tried."""


@dataclass(slots=True)
class Tried:
    """What one LLM took at one task, over the runs in which it did it."""

    llm: str
    usd: list[Decimal] = field(default_factory=list)
    """US dollars of all calls of the task, by run; failed tries among them."""
    seconds: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    low: float | None = None
    """Lower end of the 95 % interval of the mean score; None where it is not known."""
    mean: float | None = None
    n: int = 0
    """Scored answers."""
    basis: str = ""
    """Where the scores come from."""
    simulated: bool = False

    def value(self, objective: Objective) -> float | None:
        """Return its mean US dollars or seconds; None where they are not known."""
        if objective == "cost":
            return float(sum(self.usd)) / len(self.usd) if self.usd else None
        return fmean(self.seconds) if self.seconds else None


@dataclass(frozen=True, slots=True)
class Change:
    """One task with another LLM."""

    task: str
    before: str
    after: str
    value_before: float
    value_after: float
    quality_low: float
    quality_mean: float
    n: int
    basis: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """What could be changed, and what that is expected to bring."""

    objective: Objective
    changes: tuple[Change, ...]
    refused: tuple[str, ...]
    """Why tasks stay as they are, a sentence each."""
    before: float
    """US dollars of a run, or its seconds, as measured."""
    after: float
    """The same with the changes."""
    runs: int
    """Runs that were read."""
    text: str = ""
    """The definition with the changes; empty without any."""
    diff: str = ""
    simulated: bool = False

    @property
    def saving(self) -> float:
        """Share in [0, 1] that is saved."""
        return 1 - self.after / self.before if self.before else 0.0


def proposal(
    space: Any,
    flow: Workflow,
    text: str,
    *,
    objective: Objective = "cost",
    quality: float = 0.8,
    name: str = "workflow.yaml",
) -> Proposal:
    """Return the safest cheapest, or fastest, plan of a workflow that its runs support.

    Args:
        space: the workspace, with its store and LLMs.
        flow: the workflow.
        text: its definition as it is written.
        objective: what is to become less.
        quality: least lower end of the interval of a mean score, in [0, 1].
        name: of the file, in the diff.

    Raises:
        UsageProblem: there is no run of it yet.
    """
    plan = space.planned(flow, Wishes({}))
    runs = _runs(space, flow)
    if not runs:
        raise UsageProblem(
            f"There is no finished run of {flow.id!r} to learn from.",
            hint=f"Run it, also with other LLMs: bmad run {name} -m OLD=NEW",
        )
    tried = _tried(runs, flow)
    _judged(space, tried, flow)
    changes, refused = [], []
    for step in plan.steps:
        found, why = _best(space, step, tried.get(step.id, {}), objective, quality)
        changes += [found] if found else []
        refused += [f"{step.id}: {why}"] if why else []
    new = {each.task: each.after for each in changes}
    before = _whole(space, plan, tried, {}, objective)
    after = _whole(space, plan, tried, new, objective)
    changed = rewritten(text, new) if new else ""
    old, told = text.splitlines(keepends=True), changed.splitlines(keepends=True)
    diff = "".join(difflib.unified_diff(old, told, name, f"{name} (proposed)")) if new else ""
    fake = any(t.simulated for each in tried.values() for t in each.values())
    return Proposal(objective, tuple(changes), tuple(refused), before, after, len(runs), changed,
                    diff, fake)  # fmt: skip


def rewritten(text: str, llms: Mapping[str, str]) -> str:
    """Return a definition with other LLMs for some tasks; all else keeps its text, comments too.

    Raises:
        DefinitionError: it cannot be read any more; then nothing is proposed.
    """
    data = documents.read(text).data
    tasks = {**data["tasks"]}
    for name, llm in llms.items():
        kept = {key: value for key, value in tasks[name].items() if key != "route"}
        tasks[name] = {**kept, "llm": llm}
    changed = documents.rewrite(text, {**data, "tasks": tasks})
    parse.loads(changed)
    return changed


# --- what was tried -------------------------------------------------------------------------------


def history(space: Any, flow: Workflow) -> list[RunRow]:
    """Return the newest finished runs of a workflow; those of experiments and trials are none."""
    store, found = space.store, list[RunRow]()
    for row in reversed(store.runs()):
        if row.workflow != flow.id or row.status != "completed" or len(found) == MOST_RUNS:
            continue
        if not token_of(whole := store.run(row.run_id)):
            found.append(whole)
    return found[::-1]


def _runs(space: Any, flow: Workflow) -> list[Run]:
    return [Run(space.store, row.run_id, space) for row in history(space, flow)]


def _tried(runs: Sequence[Run], flow: Workflow) -> dict[str, dict[str, Tried]]:
    """Return by task and LLM what was measured, where the task read as it does now."""
    now = {name: _said(task) for name, task in flow.to_dict()["tasks"].items()}
    found: dict[str, dict[str, Tried]] = defaultdict(dict)
    for run in runs:
        then = (run.run.definition or {}).get("tasks") or {}
        state = run.state
        by_task: dict[str, list[CallRow]] = defaultdict(list)
        for call in state.calls.values():
            by_task[root_of(call.task)].append(call)
        for name, row in state.tasks.items():
            same = name in now and _said(then.get(name) or {}) == now[name]
            if same and row.state == "done" and row.llm and not row.kept_from and not row.degraded:
                entry = found[name].setdefault(row.llm, Tried(row.llm))
                _measure(entry, row, by_task[name])
    return found


def _said(task: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in task.items() if key not in _FREE}


def _measure(entry: Tried, row: TaskRow, calls: Sequence[CallRow]) -> None:
    costs = [call.original_cost_usd if call.from_store else call.cost_usd for call in calls]
    if calls and None not in costs:
        entry.usd.append(sum((each for each in costs if each is not None), Decimal(0)))
    times = [c.original_latency_s if c.from_store else c.latency_s for c in calls]
    entry.seconds.append(sum(each or 0.0 for each in times))
    score = (row.facts or {}).get("score")
    if isinstance(score, int | float):
        entry.scores.append(float(score))
    entry.simulated |= row.simulated


def _judged(space: Any, tried: Mapping[str, Mapping[str, Tried]], flow: Workflow) -> None:
    """Add what is known of quality: scores at the task itself, else at its kind of task."""
    rows: list[ScoreRow] = scores.to_learn(space.store)
    record = {(e.llm, e.task_type): e for e in learning.record(rows) if not e.variant}
    for task, by_llm in tried.items():
        kind = flow.tasks[task].type
        for llm, entry in by_llm.items():
            if len(entry.scores) >= ENOUGH:
                entry.n, entry.mean = len(entry.scores), fmean(entry.scores)
                entry.low = interval(entry.scores)[0]
                entry.basis = f"{entry.n} scored answers of this task"
            elif (llm, kind) in record and record[llm, kind].n >= ENOUGH:
                known = record[llm, kind]
                entry.n, entry.mean, entry.low = known.n, known.mean, known.low
                entry.basis = f"{known.n} scored answers to {kind or 'any kind of'} tasks"
            else:
                entry.n = len(entry.scores)


# --- what is chosen -------------------------------------------------------------------------------


def _best(
    space: Any, step: Step, tried: Mapping[str, Tried], objective: Objective, quality: float
) -> tuple[Change | None, str]:
    """Return the best safe change of a task, else why there is none."""
    if step.assignment is None or step.collaborating is not None:
        return None, ""
    now = tried.get(step.assignment.llm)
    value = now.value(objective) if now else None
    if now is None or value is None:
        return None, f"{step.assignment.llm} was not measured at it."
    others = [
        (found, each)
        for each in tried.values()
        if each is not now
        and (found := each.value(objective)) is not None
        and found < value * (1 - LEAST)
        and not space.catalog.llm(each.llm).card.missing
    ]
    if not others:
        return None, "no LLM that was tried is better." if len(tried) > 1 else (
            f"only {now.llm} was tried; a run with -m {now.llm}=OTHER tries another.")  # fmt: skip
    safe = [(found, each) for found, each in others if (each.low or 0.0) >= quality]
    if not safe:
        return None, " ".join(_unsafe(others, quality))
    found, chosen = min(safe, key=lambda pair: (pair[0], pair[1].llm))
    change = Change(step.id, now.llm, chosen.llm, value, found, chosen.low or 0.0,
                    chosen.mean or 0.0, chosen.n, chosen.basis)  # fmt: skip
    return change, ""


def _unsafe(others: Sequence[tuple[float, Tried]], quality: float) -> Iterator[str]:
    for _, each in sorted(others, key=lambda pair: pair[0])[:3]:
        if each.low is None:
            yield (f"{each.llm} has {each.n} scored answers, and {ENOUGH} are needed to say how "
                   "good it is.")  # fmt: skip
        else:
            yield (f"{each.llm} scores {each.mean or 0:.2f}, surely no less than {each.low:.2f}, "
                   f"and {quality:g} is to be maintained.")  # fmt: skip


def _whole(
    space: Any,
    plan: Plan,
    tried: Mapping[str, Mapping[str, Tried]],
    llms: Mapping[str, str],
    objective: Objective,
) -> float:
    """Return what a whole run takes: US dollars, or seconds by simulation."""
    values: dict[str, float] = {}
    for step in plan.steps:
        if step.assignment is not None:
            entry = tried.get(step.id, {}).get(llms.get(step.id, step.assignment.llm))
            values[step.id] = (entry.value(objective) if entry else None) or 0.0
    if objective == "cost":
        return sum(values.values())
    slots = plan.limits.concurrency or space.settings.engine.max_concurrent_tasks
    in_order = plan.strategy == "sequential"
    return simulate(plan.steps, values, slots=slots, in_order=in_order,
                    order=BY_PRIORITY).makespan_s  # fmt: skip


def measured(run: Run, objective: Objective) -> float:
    """Return what a run took: US dollars of all its calls, or its seconds."""
    if objective == "latency":
        return run.duration_s or 0.0
    calls = run.state.calls.values()
    costs = [c.original_cost_usd if c.from_store else c.cost_usd for c in calls]
    return float(sum((each for each in costs if each is not None), Decimal(0)))


def written(path: Path) -> Path:
    """Return where a proposal for a file goes if nothing else is said.

    >>> str(written(Path("flows/mail.yaml")))
    'flows/mail.optimized.yaml'
    """
    return path.with_name(f"{path.stem}.optimized{path.suffix}")
