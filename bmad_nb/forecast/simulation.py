"""A run in virtual time: the same scheduler hands out tasks, and each takes what is said."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bmad_nb.engine.schedule import BY_PRIORITY, Order, Schedule
from bmad_nb.plan import Step


@dataclass(frozen=True, slots=True)
class Simulated:
    """What came of it."""

    makespan_s: float
    """Seconds from the first beginning to the last end."""
    spans: Mapping[str, tuple[float, float]]
    """Beginning and end of each task, in seconds."""
    most: int
    """Most tasks at a time."""


def simulate(
    steps: Sequence[Step],
    seconds: Mapping[str, float],
    *,
    slots: int,
    in_order: bool = False,
    expected: Mapping[str, float] | None = None,
    order: Order = BY_PRIORITY,
    slotless: frozenset[str] = frozenset(),
) -> Simulated:
    """Return how a run of these steps goes.

    Args:
        steps: in an order in which each comes after what it needs.
        seconds: how long each takes; 0 where it is not named.
        slots: how many are at work at a time.
        in_order: one at a time, in the written order.
        expected: lengths by which they are preferred; those of `seconds` where it is None.
        order: what is preferred.
        slotless: tasks that take time but no slot, such as a wait for a person.
    """
    schedule = Schedule(
        steps, seconds=seconds if expected is None else expected, order=order, in_order=in_order
    )
    free = 1 if in_order else slots
    now, most = 0.0, 0
    running: list[tuple[float, int, Step]] = []
    spans: dict[str, tuple[float, float]] = {}
    count = 0
    while True:
        held = in_order and running
        ready = None if held else schedule.pop(None, slot=free > 0)
        if ready is not None:
            step = ready.step
            took = seconds.get(step.id, 0.0)
            spans[step.id] = (now, now + took)
            count += 1
            free -= step.id not in slotless
            heapq.heappush(running, (now + took, count, step))
            most = max(most, len(running))
        elif running:
            now, _, step = heapq.heappop(running)
            free += step.id not in slotless
            schedule.settle(step.id, "done")
        else:
            return Simulated(now, spans, most)


def critical_path(steps: Sequence[Step], seconds: Mapping[str, float]) -> list[str]:
    """Return the tasks that, one after another, take longest."""
    until: dict[str, float] = {}
    before: dict[str, str] = {}
    for step in steps:
        last = max(step.needs, key=lambda name: until[name], default="")
        until[step.id] = seconds.get(step.id, 0.0) + (until[last] if last else 0.0)
        before[step.id] = last
    here = max(until, key=lambda name: until[name], default="")
    path: list[str] = []
    while here:
        path.append(here)
        here = before[here]
    return path[::-1]
