"""What an earlier run left: what of it still holds, and what an edited definition does anew."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from bmad_nb.events import RunEnded, RunStarted, TaskRow
from bmad_nb.plan import Plan, Step
from bmad_nb.state import RunState, fold
from bmad_nb.store.journal import Store
from bmad_nb.store.stamped import Stamped


@dataclass(frozen=True, slots=True)
class Earlier:
    """What an earlier run left, and whether it is the one that goes on."""

    state: RunState
    same_run: bool
    """False where that run is over: a new run takes over what still holds."""
    active_s: float
    """Seconds that it ran; the time while it was stopped does not count."""
    anyway: frozenset[str] = frozenset()
    """Tasks whose outcomes hold whatever has changed: what is before a fork."""


def earlier_run(store: Store, run_id: str) -> Earlier:
    """Return what a stored run left.

    Raises:
        UnknownRun: there is none.
    """
    run = store.run(run_id)
    stamped = store.events(run.run_id)
    state = fold(each.event for each in stamped)
    same_run = run.status in {"paused", "interrupted"}
    return Earlier(state, same_run, active_s(stamped))


def active_s(stamped: Iterable[Stamped]) -> float:
    """Return how long a run was running; a session that was killed ends with its last event."""
    total, began, last = 0.0, None, None
    for each in stamped:
        now = datetime.datetime.fromisoformat(each.time_utc)
        if isinstance(each.event, RunStarted):
            if began is not None and last is not None:
                total += (last - began).total_seconds()
            began = now
        elif isinstance(each.event, RunEnded) and began is not None:
            total += (now - began).total_seconds()
            began = None
        last = now
    if began is not None and last is not None:
        total += (last - began).total_seconds()
    return total


def kept(steps: Sequence[Step], earlier: Earlier | None) -> list[TaskRow]:
    """Return the outcomes that still hold: the same content, not failed, and all before it kept.

    What was left out is kept like what was done: it would be left out again.
    """
    if earlier is None:
        return []
    found: dict[str, TaskRow] = {}
    for step in steps:
        row = earlier.state.tasks.get(step.id)
        holds = row is not None and row.state in {"done", "skipped"}
        same = row is not None and (row.content == step.content or step.id in earlier.anyway)
        if row is not None and holds and same and all(name in found for name in step.needs):
            found[step.id] = row
    return list(found.values())


class Change(NamedTuple):
    """What becomes of one task when a run goes on with another definition."""

    task: str
    fate: str
    """`kept`, `runs` or `gone`."""
    why: str


def difference(plan: Plan, earlier: Earlier) -> list[Change]:
    """Return what becomes of each task of an earlier run, and of each new one."""
    before = {step["id"]: step for step in (earlier.state.plan or {}).get("steps", ())}
    held = {row.task for row in kept(plan.steps, earlier)}
    changes = [_change(step, before, held, earlier.state.tasks) for step in plan.steps]
    now = {step.id for step in plan.steps}
    return changes + [
        Change(t, "gone", "no longer in the workflow") for t in before if t not in now
    ]


def _change(
    step: Step, before: Mapping[str, Any], held: set[str], rows: Mapping[str, TaskRow]
) -> Change:
    if step.id in held:
        return Change(step.id, "kept", "unchanged")
    old = before.get(step.id)
    if old is None:
        return Change(step.id, "runs", "new")
    if old["own"] != step.own:
        return Change(step.id, "runs", "changed")
    if old["content"] != step.content:
        above = ", ".join(name for name in step.needs if name not in held)
        return Change(step.id, "runs", f"reads {above}" if above else "what it reads changed")
    row = rows.get(step.id)
    return Change(
        step.id, "runs", f"it {row.state}" if row and row.state == "failed" else "not done"
    )
