"""Which task goes next: a heap of those whose needs have an outcome. No input, no output.

A task waits for its own needs and for nothing else, so there are no barriers between layers.
"""

from __future__ import annotations

import collections
import heapq
from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from bmad_nb.events import TaskState
from bmad_nb.plan import Step

Rank = tuple[float, ...]
"""Place in the order of preference; the lowest goes first."""
Order = tuple[Mapping[str, float], ...]
"""What is preferred, first things first; each a weighted sum of `priority`, `tail` and `cost`."""
BY_PRIORITY: Order = ({"priority": 1.0}, {"tail": 1.0})
AGE = 100
"""A task passes those of the next priority once so many have been handed out before it."""


class Ready(NamedTuple):
    """A task whose needs all have an outcome."""

    step: Step
    skipped_because: str
    """Why it is not to be done, one sentence; empty if it is."""
    rank: Rank
    """Its place in the order of preference."""
    since: float = 0.0
    """When it became ready, by the schedule's clock."""


class Schedule:
    """Hands out steps in a fixed order of preference.

    Where nothing else is said, the step with the higher priority goes first, then the one with the
    longest way to the end (list scheduling by critical path; Graham 1969), then the one that was
    written first. None starves: one that `AGE` others have passed counts as of the next priority.

    Args:
        steps: in an order in which each comes after what it needs.
        seconds: expected length of each step by id; what is not named counts as 1 for a step that
            asks an LLM and as 0 for others.
        costs: expected cost of each step by id, in US dollars; 0 where it is not named.
        order: what is preferred.
        in_order: prefer nothing but the written order.
        within: rank of the task whose sub-workflow this is.
        clock: seconds, for how long a step waits.
    """

    def __init__(
        self,
        steps: Sequence[Step],
        *,
        seconds: Mapping[str, float] | None = None,
        costs: Mapping[str, float] | None = None,
        order: Order = BY_PRIORITY,
        in_order: bool = False,
        within: Rank = (),
        clock: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """Index the steps; those that need nothing are ready."""
        self._steps, self._clock = steps, clock
        self._open = [len(step.needs) for step in steps]
        self._since = array("d", bytes(8 * len(steps)))
        self._readers: dict[str, list[int]] = {}
        for number, step in enumerate(steps):
            for name in step.needs:
                self._readers.setdefault(name, []).append(number)
        self.states: dict[str, TaskState] = {}
        """Outcome of each step that has one."""
        self._tail = self._tails(seconds or {})
        self._costs = costs or {}
        self._order, self._in_order, self._within = order, in_order, within
        self._ages = order[0] == {"priority": 1.0} and not in_order
        self._aging: dict[int, collections.deque[tuple[int, int]]] = {
            priority: collections.deque() for priority in (3, 2, 1)
        }
        self._handed = 0
        self._out = bytearray(len(steps))
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
            return (*self._within, 0.0, 0.0, number)
        step = self._steps[number]
        if self._order is BY_PRIORITY:
            return (*self._within, step.priority, -self._tail[number], number)
        values = {
            "priority": step.priority / 3,
            "tail": -self._tail[number],
            "cost": self._costs.get(step.id, 0.0),
        }
        terms = (sum(w * values[k] for k, w in term.items()) for term in self._order)
        return (*self._within, *terms, number)

    def reorder(self, seconds: Mapping[str, float]) -> None:
        """Prefer anew, by what is known of the lengths by now."""
        self._tail = self._tails(seconds)
        for heap in (self._at_once, self._in_time):
            heap[:] = [self._rank(int(rank[-1])) for rank in heap]
            heapq.heapify(heap)

    def pop(self, before: Rank | None, *, slot: bool) -> Ready | None:
        """Take the next step; None while nothing can go.

        Args:
            before: give a step that takes time only if it comes before this rank.
            slot: whether there is a slot for a step that takes time.
        """
        heap = self._at_once
        timed = self._first_timed()
        comes_first = not heap or (self._in_order and timed is not None and timed < heap[0])
        if not comes_first:
            return self._given(heapq.heappop(heap))
        if timed is None or not slot or (before is not None and before < timed):
            return None
        aged = self._aged(timed)
        return self._given(heapq.heappop(self._in_time) if aged is None else self._rank(aged))

    @property
    def has_ready(self) -> bool:
        """Whether a step waits for nothing but a slot."""
        return bool(self._at_once) or self._first_timed() is not None

    def _first_timed(self) -> Rank | None:
        heap = self._in_time
        while heap and self._out[int(heap[0][-1])]:
            heapq.heappop(heap)  # its age has brought it forward already
        return heap[0] if heap else None

    def _aged(self, first: Rank) -> int | None:
        """Return the number of a step that has waited so long that it passes the first one."""
        if not self._ages:
            return None
        best = self._steps[int(first[-1])].priority
        for priority, waiting in self._aging.items():
            while waiting and self._out[waiting[0][1]]:
                waiting.popleft()
            passed = self._handed - waiting[0][0] if waiting else 0
            if priority > best and waiting and passed >= AGE * (priority - best):
                return waiting[0][1]
        return None

    def _given(self, rank: Rank) -> Ready:
        number = int(rank[-1])
        self._out[number] = 1
        self._handed += 1
        step = self._steps[number]
        return Ready(step, self._obstacle(step), rank, self._since[number])

    def _push(self, number: int) -> None:
        step = self._steps[number]
        instant = step.verb == "set" or self._obstacle(step)
        self._since[number] = self._clock()
        heapq.heappush(self._at_once if instant else self._in_time, self._rank(number))
        if self._ages and step.priority and not instant:
            self._aging[step.priority].append((self._handed, number))

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
        for number, step in enumerate(self._steps):
            self._out[number] = step.id in done
        for heap in (self._at_once, self._in_time):
            heap[:] = [rank for rank in heap if self._steps[int(rank[-1])].id not in done]
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
