"""What held a run up, and what it would have taken without: simulated what-ifs, ranked."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from bmad_nb.events import CallRow, TaskRow
from bmad_nb.forecast.simulation import critical_path, simulate
from bmad_nb.plan import Step, root_of

Cause = Literal["slots", "rate_limit", "slow_llm", "retries", "order", "human"]
LEAST = 0.03
"""Share of the run that a change must save to be named."""


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """One cause, with what would be saved without it."""

    cause: Cause
    seconds: float
    """Seconds that tasks spent on it, all added up."""
    saving_s: float
    """Seconds that the whole run would be shorter, by simulation."""
    predicted_s: float
    """Seconds that the run would take."""
    why: str
    change: Mapping[str, Any] = field(default_factory=dict)
    """What to change, as `Workspace.improve` takes it."""


@dataclass(slots=True)
class _Task:
    """Where the time of one task went, in seconds."""

    service: float = 0.0
    waited: float = 0.0
    retried: float = 0.0
    human: float = 0.0
    llm: str = ""

    @property
    def total(self) -> float:
        return self.service + self.waited + self.retried + self.human


def bottlenecks(
    steps: Sequence[Step],
    tasks: Sequence[TaskRow],
    calls: Sequence[CallRow],
    *,
    slots: int,
    in_order: bool = False,
    alternatives: Mapping[str, float] | None = None,
) -> list[Bottleneck]:
    """Return what held a run up, the largest saving first.

    Args:
        steps: its steps.
        tasks: their outcomes; parts are left out.
        calls: its calls.
        slots: tasks at a time that it had.
        in_order: whether they went one by one.
        alternatives: median seconds of an answer, by LLM, of those that could take over.
    """
    spent = _spent(steps, tasks, calls)
    human = frozenset(name for name, task in spent.items() if task.human)

    def run(length: Callable[[_Task], float], **options: Any) -> float:
        lengths = {name: length(task) for name, task in spent.items()}
        chosen = {"slots": slots, "in_order": in_order, "slotless": human, **options}
        return simulate(steps, lengths, **chosen).makespan_s

    now = run(lambda task: task.total)
    found = [
        _slots(run, spent, tasks, slots, in_order=in_order),
        Bottleneck(
            "rate_limit", _sum(spent, "waited"), 0.0, run(lambda t: t.total - t.waited),
            "It waited for its turn at its endpoint.", {"pace": "raise rpm or tpm"},
        ),
        Bottleneck(
            "retries", _sum(spent, "retried"), 0.0, run(lambda t: t.total - t.retried),
            "Calls failed and were made again.", {"llm": "one that fails less"},
        ),
        Bottleneck(
            "human", _sum(spent, "human"), 0.0, run(lambda t: t.total - t.human),
            "It waited for a person.", {"approve": "sooner, or a timeout"},
        ),
        _slow(run, steps, spent, calls, alternatives=alternatives or {}),
        _order(run, spent, in_order=in_order),
    ]  # fmt: skip
    ranked = [
        Bottleneck(c.cause, c.seconds, now - c.predicted_s, c.predicted_s, c.why, c.change)
        for c in found
        if c is not None and now - c.predicted_s > LEAST * now
    ]
    return sorted(ranked, key=lambda each: -each.saving_s)


def _spent(
    steps: Sequence[Step], tasks: Sequence[TaskRow], calls: Sequence[CallRow]
) -> dict[str, _Task]:
    """Return where the time of each task went, measured by its rows."""
    found = {step.id: _Task() for step in steps}
    of_task: dict[str, list[CallRow]] = defaultdict(list)
    for call in calls:
        of_task[root_of(call.task)].append(call)
    for row in tasks:
        task = found.get(row.task)
        if task is None:
            continue
        whole = _seconds(row)
        made = [call for call in of_task[row.task] if not call.from_store]
        task.llm = row.llm
        if row.verb == "approve":
            task.human = whole
            continue
        wide = max(1.0, sum((c.latency_s or 0.0) for c in made) / whole) if whole else 1.0
        task.waited = min(whole, sum(c.waited_s or 0.0 for c in made) / wide)
        failed = sum(c.latency_s or 0.0 for c in made if c.state == "failed") / wide
        task.retried = min(whole - task.waited, failed + row.rested_s)
        task.service = max(0.0, whole - task.waited - task.retried)
    return found


def _seconds(row: TaskRow) -> float:
    if not (row.started_utc and row.ended_utc):
        return 0.0
    began, ended = map(datetime.datetime.fromisoformat, (row.started_utc, row.ended_utc))
    return (ended - began).total_seconds()


def _sum(spent: Mapping[str, _Task], name: str) -> float:
    return float(sum(getattr(task, name) for task in spent.values()))


def _slots(
    run: Callable[..., float], spent: Mapping[str, _Task], tasks: Sequence[TaskRow], slots: int,
    *, in_order: bool,
) -> Bottleneck | None:  # fmt: skip
    """Return what more slots would bring: doubled as long as that still saves something."""
    queued = sum(row.queued_s for row in tasks)
    if in_order or not queued:
        return None
    best, many = run(lambda t: t.total), slots
    while many < len(spent):
        tried = run(lambda t: t.total, slots=many * 2)
        if tried > best * (1 - LEAST):
            break
        best, many = tried, many * 2
    why = f"Tasks were ready and waited for one of {slots} slots."
    return Bottleneck("slots", queued, 0.0, best, why, {"max_concurrent_tasks": many})


def _slow(
    run: Callable[..., float], steps: Sequence[Step], spent: Mapping[str, _Task],
    calls: Sequence[CallRow], *, alternatives: Mapping[str, float],
) -> Bottleneck | None:  # fmt: skip
    """Return what it would bring if the slowest LLM of the longest way were another one."""
    path = critical_path(steps, {name: task.total for name, task in spent.items()})
    by_llm: dict[str, float] = defaultdict(float)
    for name in path:
        by_llm[spent[name].llm] += spent[name].service if spent[name].llm else 0.0
    slowest = max(by_llm, key=lambda llm: by_llm[llm], default="")
    own = [c.latency_s for c in calls if c.llm == slowest and c.state == "answered" and c.latency_s]
    others = {llm: seconds for llm, seconds in alternatives.items() if llm != slowest}
    if not slowest or not own or not others:
        return None
    other = min(others, key=lambda llm: others[llm])
    typical = sorted(own)[len(own) // 2]
    factor = others[other] / typical if typical else 1.0
    if factor >= 1:
        return None
    predicted = run(lambda t: t.total - t.service * (1 - factor) if t.llm == slowest else t.total)
    why = f"{slowest} takes {typical:.2f} s for an answer, and {other} takes {others[other]:.2f} s."
    change = {"llms": {slowest: other}}
    return Bottleneck("slow_llm", sum(own), 0.0, predicted, why, change)


def _order(
    run: Callable[..., float], spent: Mapping[str, _Task], *, in_order: bool
) -> Bottleneck | None:
    if not in_order:
        return None
    why = "Tasks that need nothing of each other waited for each other."
    seconds = sum(task.total for task in spent.values())
    predicted = run(lambda t: t.total, in_order=False, slots=max(10, 1))
    return Bottleneck("order", seconds, 0.0, predicted, why, {"strategy": "parallel"})
