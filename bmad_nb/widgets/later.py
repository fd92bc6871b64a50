"""Work that is done a moment after the last key, away from the thread that hears of keys."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bmad_nb import _loop


class Later:
    """Does work a moment after it was last asked for, on a thread of its own."""

    def __init__(self, delay_s: float) -> None:
        """Wait for nothing yet; without a delay, work is done at once."""
        self.delay_s = delay_s
        self._cancel: Callable[[], None] = lambda: None

    def __call__(self, work: Callable[[], None]) -> None:
        """Do the work soon, and what was asked for before not at all."""
        self._cancel()
        if not self.delay_s:
            work()
            return

        async def waited() -> None:
            await asyncio.sleep(self.delay_s)
            await asyncio.to_thread(work)

        _, self._cancel = _loop.engine_loop().submit(waited())
