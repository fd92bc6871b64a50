"""Slots: how many tasks and parts of tasks are at work at a time, and who gets the next one."""

from __future__ import annotations

import asyncio
import heapq

from bmad_nb.engine.schedule import Rank


class Halted(Exception):
    """The run begins nothing more; whoever waits for a slot gives up, without an outcome."""


class Slots:
    """The slots of a run, shared by its tasks, their parts, and the tasks of its sub-workflows.

    Args:
        limit: how many there are.
    """

    def __init__(self, limit: int) -> None:
        """All of them are free."""
        self.limit = self.free = limit
        self.stop: BaseException | None = None
        """What halted the run; None while it goes on."""
        self.halted = asyncio.Event()
        self.watchers: set[asyncio.Event] = set()
        """Set whenever a slot is free or wanted."""
        self._waiting: list[tuple[Rank, int, asyncio.Future[None]]] = []
        self._count = 0

    def first(self) -> Rank | None:
        """Return the rank of the first that waits in the middle of its work, or None."""
        return self._waiting[0][0] if self._waiting else None

    def grant(self) -> None:
        """Give a free slot to the first that waits."""
        self.free -= 1
        heapq.heappop(self._waiting)[2].set_result(None)

    def give_back(self) -> None:
        """Free a slot."""
        self.free += 1
        self._wake()

    def halt(self, error: BaseException) -> None:
        """Begin nothing more; calls in flight may end, what waits gives up."""
        self.stop = self.stop or error
        self.halted.set()
        for _, _, turn in self._waiting:
            turn.set_exception(Halted())
        self._waiting.clear()
        self._wake()

    async def turn(self, rank: Rank) -> None:
        """Wait for a slot, in the order of preference.

        Raises:
            Halted: the run begins nothing more.
        """
        if self.stop:
            raise Halted
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1
        entry = (rank, self._count, turn)
        heapq.heappush(self._waiting, entry)
        self._wake()
        try:
            await turn
        except asyncio.CancelledError:
            if entry in self._waiting:
                self._waiting.remove(entry)
                heapq.heapify(self._waiting)
            elif turn.done() and not turn.cancelled() and turn.exception() is None:
                self.give_back()  # it was given one in the very moment
            raise

    def _wake(self) -> None:
        for watcher in self.watchers:
            watcher.set()


class Lane:
    """The place of one task, or of one part of a task, among those that are at work.

    Args:
        slots: the slots of the run.
        rank: its place in the order of preference.
        held: whether it has a slot already.
    """

    __slots__ = ("_slots", "held", "queued_s", "rank", "rested_s")

    def __init__(self, slots: Slots, rank: Rank, *, held: bool = False) -> None:
        """Hold a slot, or none yet."""
        self._slots, self.rank, self.held = slots, rank, held
        self.queued_s = self.rested_s = 0.0

    @property
    def slots(self) -> Slots:
        """The slots of the run."""
        return self._slots

    def part(self, number: int) -> Lane:
        """Return the place of a part of it, which has no slot yet."""
        return Lane(self._slots, (*self.rank, number))

    def let_go(self) -> None:
        """Give the slot to others, if it has one."""
        if self.held:
            self.held = False
            self._slots.give_back()

    async def turn(self) -> None:
        """Wait for a slot, if it has none.

        Raises:
            Halted: the run begins nothing more.
        """
        if not self.held:
            clock = asyncio.get_running_loop().time
            came = clock()
            await self._slots.turn(self.rank)
            self.held = True
            self.queued_s += clock() - came

    async def rest(self, seconds: float) -> None:
        """Give the slot to others for a while, and get one back in the order of preference.

        Raises:
            Halted: the run begins nothing more.
        """
        self.let_go()
        clock = asyncio.get_running_loop().time
        began = clock()
        await self.until_halted(seconds)
        self.rested_s += clock() - began
        await self.turn()

    async def until_halted(self, seconds: float | None) -> None:
        """Wait so long, or until the run begins nothing more."""
        try:
            async with asyncio.timeout(seconds):
                await self._slots.halted.wait()
        except TimeoutError:
            pass
