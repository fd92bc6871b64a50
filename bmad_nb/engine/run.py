"""The engine's one loop: hand out what is ready, write down what ended, until nothing is left."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from bmad_nb.engine.schedule import Ready, Schedule
from bmad_nb.engine.slots import Halted, Lane, Slots
from bmad_nb.errors import AnswerNeeded, RunPaused
from bmad_nb.events import Journal, TaskEnded, TaskRow, TaskState
from bmad_nb.plan import Step

AT_ONCE = 256
"""Instant tasks between two commits: a cancellation waits for no more than these."""


class Ended(NamedTuple):
    """The outcome of a task, and whether it is durable already."""

    row: TaskRow
    is_stored: bool = False


class Performer(Protocol):
    """Does the steps; the engine only decides when."""

    def at_once(self, step: Step, skipped_because: str) -> TaskRow | None:
        """Return the outcome of a step that takes no time, or None if it takes some."""
        ...

    async def in_time(self, step: Step, lane: Lane) -> Ended:
        """Do a step that takes time.

        Raises:
            BudgetExceeded: a limit stops the whole run.
            AnswerNeeded: it waits for a person; the rest of the run goes on.
            Halted: the run was halted before it had an outcome.
        """
        ...

    def settled(self, row: TaskRow) -> None:
        """Take note of a durable outcome, so that other steps can read it."""
        ...


class Engine:
    """Runs steps, each as soon as its needs have an outcome and a slot is free.

    Args:
        steps: in an order in which each comes after what it needs.
        journal: where outcomes are committed before anybody reads them.
        performer: does the steps.
        slots: how many are at work at a time; shared with the engines of sub-workflows.
        schedule: options of `Schedule`: expected lengths, the order of preference.
        in_order: one step at a time, in the written order.
        kept: outcomes from before, by id.
        measured: gives expected lengths anew as the run goes on; None keeps those of the plan.
    """

    def __init__(
        self,
        steps: Sequence[Step],
        journal: Journal,
        performer: Performer,
        *,
        slots: Slots,
        schedule: Mapping[str, Any] | None = None,
        in_order: bool = False,
        kept: Mapping[str, TaskState] | None = None,
        measured: Callable[[], Mapping[str, float]] | None = None,
    ) -> None:
        """Start nothing yet."""
        clock = asyncio.get_running_loop().time
        self._schedule = Schedule(steps, in_order=in_order, clock=clock, **(schedule or {}))
        self._schedule.keep(kept or {})
        self._journal, self._performer = journal, performer
        self._slots, self._in_order, self._measured = slots, in_order, measured
        self._running: set[asyncio.Task[None]] = set()
        self._ended: list[tuple[str, Ended]] = []
        self._asking: list[AnswerNeeded] = []
        self._wake = asyncio.Event()
        self._since = 0

    @property
    def states(self) -> Mapping[str, TaskState]:
        """Outcome of each step that has one."""
        return self._schedule.states

    async def run(self) -> None:
        """Bring an outcome for every step.

        Raises:
            BudgetExceeded: a limit stopped it; what was running was let finish.
            AnswerNeeded: a task waits for a person, and nothing else is left that could be done.
            Halted: it was halted by another engine on the same slots.
            asyncio.CancelledError: after everything that ran was broken off.
            StoreError: an outcome could not be written down; nothing was begun after that.
        """
        self._slots.watchers.add(self._wake)
        try:
            while True:
                ended, self._ended = self._ended, []
                if ended:
                    await self._settle(ended)
                begun = [] if self._slots.stop else self._begin()
                if begun:
                    await self._settle(begun)
                if ended or begun or self._ended:
                    continue
                if not self._running and (self._slots.stop or not self._schedule.has_ready):
                    break  # of a sub-workflow, a task may be ready while others have all slots
                await self._wake.wait()
                self._wake.clear()
        finally:
            self._slots.watchers.discard(self._wake)
            await self._break_off()
        for stop in (self._slots.stop, *self._asking):
            too_late = isinstance(stop, RunPaused) and not len(self._schedule)
            if stop is not None and not too_late:
                raise stop

    async def _settle(self, ended: Sequence[tuple[str, Ended]]) -> None:
        """Make outcomes durable, and let the steps that waited for them become ready."""
        unstored = [TaskEnded(each.row) for _, each in ended if not each.is_stored]
        if unstored:
            await self._journal.commit(*unstored)
        for step_id, (row, _) in ended:
            self._performer.settled(row)
            self._schedule.settle(step_id, row.state)
        self._since += len(ended)
        if self._measured and self._since > len(self._schedule) // 50:
            self._since = 0  # not after each: it looks at all that are left
            self._schedule.reorder(self._measured())

    def _begin(self) -> list[tuple[str, Ended]]:
        """Start what is ready and has a slot; return outcomes of steps that take no time."""
        at_once: list[tuple[str, Ended]] = []
        slots = self._slots
        while len(at_once) < AT_ONCE:
            waiting = slots.first()
            held = self._in_order and (self._running or at_once)  # one at a time, a resting one too
            ready = None if held else self._schedule.pop(waiting, slot=slots.free > 0)
            if ready is not None:
                row = self._performer.at_once(ready.step, ready.skipped_because)
                if row is None:
                    self._start(ready)
                else:
                    at_once.append((ready.step.id, Ended(row)))
            elif waiting is not None and slots.free > 0:
                slots.grant()
            else:
                break
        return at_once

    def _start(self, ready: Ready) -> None:
        self._slots.free -= 1
        lane = Lane(self._slots, ready.rank, held=True)
        loop = asyncio.get_running_loop()
        lane.queued_s = loop.time() - ready.since
        task = loop.create_task(self._do(ready.step, lane))
        self._running.add(task)

    async def _do(self, step: Step, lane: Lane) -> None:
        try:
            ended = await self._performer.in_time(step, lane)
            self._ended.append((step.id, ended))  # not in one: the list may be another one by then
        except (asyncio.CancelledError, Halted):
            if not self._slots.stop:
                raise
        except AnswerNeeded as needed:
            self._asking.append(needed)
        except BaseException as error:  # noqa: BLE001  (raised again by `run`, once)
            self._slots.halt(error)
        finally:
            self._running.discard(asyncio.current_task())
            lane.let_go()
            self._wake.set()

    async def _break_off(self) -> None:
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
