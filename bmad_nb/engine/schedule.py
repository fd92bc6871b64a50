"""Which task goes next: a heap of those whose needs have an outcome. No clock, no input, no output.

A task waits for its own needs and for nothing else, so there are no barriers between layers.
"""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from bmad_nb.events import TaskState
from bmad_nb.plan import Step

Rank = tuple[int, float, int]
"""Place in the order of preference; the lowest goes first."""


class Ready(NamedTuple):
    """A task whose needs all have an outcome."""

    step: Step
    skipped_because: str
    """Why it is not to be done, one sentence; empty if it is."""
    rank: Rank
    """Its place in the order of preference."""


class Schedule:
    """Hands out steps in a fixed order of preference.

    Among steps that are ready, the one with the higher priority goes first, then the one with the
    longest way to the end (list scheduling by critical path; Graham 1969), then the one that was
    written first.

    Args:
        steps: in an order in which each comes after what it needs.
        seconds: expected length of each step by id; what is not named counts as 1 for a step that
            asks an LLM and as 0 for others.
        in_order: prefer nothing but the written order.
    """

    def __init__(
        self, steps: Sequence[Step], *, seconds: Mapping[str, float], in_order: bool = False
    ) -> None:
        """Index the steps; those that need nothing are ready."""
        self._steps = steps
        self._open = [len(step.needs) for step in steps]
        self._readers: dict[str, list[int]] = {}
        for number, step in enumerate(steps):
            for name in step.needs:
                self._readers.setdefault(name, []).append(number)
        self.states: dict[str, TaskState] = {}
        """Outcome of each step that has one."""
        self._tail = self._tails(seconds)
        self._in_order = in_order
        self._at_once: list[Rank] = []
        self._in_time: list[Rank] = []
        for number, needed in enumerate(self._open):
            if not needed:
                self._push(number)

    def _tails(self, seconds: Mapping[str, float]) -> array[float]:
        """Return the length of the longest way from each step to the end, itself included."""
        tails = array("d", bytes(8 * len(self._steps)))
        for number in reversed(range(len(self._steps))):
            step = self._steps[number]
            behind = max((tails[n] for n in self._readers.get(step.id, ())), default=0.0)
            tails[number] = seconds.get(step.id, float(step.asks)) + behind
        return tails

    def __len__(self) -> int:
        """Return how many steps have no outcome yet."""
        return len(self._steps) - len(self.states)

    def _rank(self, number: int) -> Rank:
        if self._in_order:
            return (0, 0.0, number)
        return (self._steps[number].priority, -self._tail[number], number)

    def pop(self, before: Rank | None, *, slot: bool) -> Ready | None:
        """Take the next step; None while nothing can go.

        Args:
            before: give a step that takes time only if it comes before this rank.
            slot: whether there is a slot for a step that takes time.
        """
        heap = self._at_once
        timed = self._in_time[0] if self._in_time else None
        comes_first = not heap or (self._in_order and timed is not None and timed < heap[0])
        if comes_first:
            if timed is None or not slot or (before is not None and before < timed):
                return None
            heap = self._in_time
        rank = heapq.heappop(heap)
        step = self._steps[rank[2]]
        return Ready(step, self._obstacle(step), rank)

    def _push(self, number: int) -> None:
        step = self._steps[number]
        instant = step.verb == "set" or self._obstacle(step)
        heapq.heappush(self._at_once if instant else self._in_time, self._rank(number))

    def settle(self, task_id: str, state: TaskState) -> None:
        """Take note of an outcome; steps that waited for nothing else become ready."""
        self.states[task_id] = state
        for reader in self._readers.pop(task_id, ()):
            self._open[reader] -= 1
            if not self._open[reader] and self._steps[reader].id not in self.states:
                self._push(reader)

    def keep(self, done: Mapping[str, TaskState]) -> None:
        """Take over outcomes from before, before anything was handed out."""
        for step in self._steps:
            if step.id in done:
                self.settle(step.id, done[step.id])
        for heap in (self._at_once, self._in_time):
            heap[:] = [rank for rank in heap if self._steps[rank[2]].id not in done]
            heapq.heapify(heap)

    def _obstacle(self, step: Step) -> str:
        """Return why a step is skipped. All its needs have an outcome, whatever its `join`.

        So the same step is skipped or done however long each of its needs took.
        """
        if step.join == "all_done" or not step.needs:
            return ""
        if step.join == "any":
            if any(self.states[name] == "done" for name in step.needs):
                return ""
            return f"None of {', '.join(step.needs)} was done."
        for name in step.needs:
            state = self.states[name]
            if state != "done":
                return f"{name} {'failed' if state == 'failed' else 'was skipped'}."
        return ""
