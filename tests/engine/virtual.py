"""An event loop in virtual time, and a journal in memory: exact makespans without waiting."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

from bmad_nb.events import CallRow, Event

T = TypeVar("T")


class _Selector(selectors.SelectSelector):
    """Takes no time: where the loop would sleep, its clock goes on."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise RuntimeError("Everything waits, and nothing will ever wake it.")
        if not ready and timeout:
            self._loop.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose clock moves only when everything waits."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(_Selector(self))

    def time(self) -> float:
        return self.now


def run(work: Coroutine[Any, Any, T]) -> tuple[T, float]:
    """Return what `work` gives, and the virtual seconds that it took."""
    loop = VirtualLoop()
    try:
        result = loop.run_until_complete(work)
        return result, loop.now
    finally:
        loop.close()


class MemoryJournal:
    """Keeps events in a list; a commit takes no time."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.commits = 0

    async def commit(self, *events: Event) -> None:
        self.events += events
        self.commits += 1

    def stored(self, request_key: str, run_id: str = "") -> CallRow | None:
        return None
