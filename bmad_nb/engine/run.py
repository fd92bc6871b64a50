"""The engine's one loop: hand out what is ready, write down what ended, until nothing is left."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from bmad_nb.engine.schedule import Rank, Ready, Schedule
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
            AnswerNeeded: so does a task that waits for a person.
        """
        ...

    def settled(self, row: TaskRow) -> None:
        """Take note of a durable outcome, so that other steps can read it."""
        ...


class Lane:
    """The slot that a running task holds."""

    def __init__(self, engine: Engine, rank: Rank) -> None:
        """Hold a slot of `engine` for a task of this rank."""
        self._engine, self._rank = engine, rank

    async def rest(self, seconds: float) -> None:
        """Give the slot to others for a while, and get one back in the order of preference."""
        await self._engine.rest(self._rank, seconds)


class Engine:
    """Runs steps, each as soon as its needs have an outcome and a slot is free.

    Args:
        steps: in an order in which each comes after what it needs.
        journal: where outcomes are committed before anybody reads them.
        performer: does the steps.
        limit: most steps at a time.
        seconds: expected length of steps by id, for the order of preference.
        in_order: one step at a time, in the written order.
        kept: outcomes from before, by id.
    """

    def __init__(
        self,
        steps: Sequence[Step],
        journal: Journal,
        performer: Performer,
        *,
        limit: int,
        seconds: Mapping[str, float] | None = None,
        in_order: bool = False,
        kept: Mapping[str, TaskState] | None = None,
    ) -> None:
        """Start nothing yet."""
        self._schedule = Schedule(steps, seconds=seconds or {}, in_order=in_order)
        self._schedule.keep(kept or {})
        self._journal, self._performer = journal, performer
        self._free = 1 if in_order else limit
        self._in_order = in_order
        self._running: set[asyncio.Task[None]] = set()
        self._resting: list[tuple[Rank, asyncio.Future[None]]] = []
        self._ended: list[Ended] = []
        self._wake = asyncio.Event()
        self._idle: set[asyncio.Task[Any]] = set()
        self._stop: BaseException | None = None

    @property
    def states(self) -> Mapping[str, TaskState]:
        """Outcome of each step that has one."""
        return self._schedule.states

    async def run(self) -> None:
        """Bring an outcome for every step.

        Raises:
            BudgetExceeded: a limit stopped it; what was running was let finish.
            AnswerNeeded: a task waits for a person; the same.
            asyncio.CancelledError: after everything that ran was broken off.
            StoreError: an outcome could not be written down; nothing was begun after that.
        """
        try:
            while True:
                ended, self._ended = self._ended, []
                await self._settle(ended)
                begun = [] if self._stop else self._begin()
                await self._settle(begun)
                if ended or begun or self._ended:
                    continue
                if not self._running:
                    break
                await self._wake.wait()
                self._wake.clear()
        finally:
            await self._break_off()
        if self._stop is not None:
            raise self._stop

    async def _settle(self, ended: Sequence[Ended]) -> None:
        """Make outcomes durable, and let the steps that waited for them become ready."""
        unstored = [TaskEnded(row) for row, is_stored in ended if not is_stored]
        if unstored:
            await self._journal.commit(*unstored)
        for row, _ in ended:
            self._performer.settled(row)
            self._schedule.settle(row.task, row.state)

    def _begin(self) -> list[Ended]:
        """Start what is ready and has a slot; return outcomes of steps that take no time."""
        at_once: list[Ended] = []
        while len(at_once) < AT_ONCE:
            waiting = self._resting[0][0] if self._resting else None
            held = self._in_order and (self._running or at_once)  # one at a time, a resting one too
            ready = None if held else self._schedule.pop(waiting, slot=self._free > 0)
            if ready is not None:
                row = self._performer.at_once(ready.step, ready.skipped_because)
                if row is None:
                    self._start(ready)
                else:
                    at_once.append(Ended(row))
            elif waiting is not None and self._free:
                self._free -= 1
                heapq.heappop(self._resting)[1].set_result(None)
            else:
                break
        return at_once

    def _start(self, ready: Ready) -> None:
        self._free -= 1
        lane = Lane(self, ready.rank)
        task = asyncio.get_running_loop().create_task(self._do(ready.step, lane))
        self._running.add(task)

    async def _do(self, step: Step, lane: Lane) -> None:
        try:
            ended = await self._performer.in_time(step, lane)
            self._ended.append(ended)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001  (raised again by `run`, once)
            self._halt(error)
        finally:
            self._running.discard(asyncio.current_task())
            self.give_back()

    def _halt(self, error: BaseException) -> None:
        """Begin nothing more; what has a call in flight may finish it, what rests is broken off."""
        self._stop = self._stop or error
        for task in self._idle:
            task.cancel()

    def give_back(self) -> None:
        """Free a slot."""
        self._free += 1
        self._wake.set()

    async def rest(self, rank: Rank, seconds: float) -> None:
        """Wait without a slot, and then for one, in the order of preference."""
        if self._stop:
            raise asyncio.CancelledError
        task = asyncio.current_task()
        self._idle |= {task} if task else set()
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.give_back()
        try:
            await asyncio.sleep(seconds)
            heapq.heappush(self._resting, (rank, turn))
            self._wake.set()
            await turn
        except asyncio.CancelledError:
            if not turn.done() or turn.cancelled():
                self._forget(rank, turn)
            raise
        finally:
            self._idle -= {task} if task else set()

    def _forget(self, rank: Rank, turn: asyncio.Future[None]) -> None:
        """Take a task that is cut off while it waits out of the queue; its slot was given back."""
        self._free -= 1  # `_do` gives one back, too
        if (rank, turn) in self._resting:
            self._resting.remove((rank, turn))
            heapq.heapify(self._resting)

    async def _break_off(self) -> None:
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
