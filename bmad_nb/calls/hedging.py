"""A second try beside a slow first one: whichever answers first is taken, the other broken off.

After Dean and Barroso, The Tail at Scale (2013). The second one costs money too: it is an option.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from bmad_nb.events import CallRow

Send = Callable[[], Awaitable[CallRow]]


async def first_answer(first: Send, second: Send, after_s: float) -> CallRow:
    """Return the outcome of whichever answers first; the first one's where neither does.

    Args:
        first: makes the call.
        second: makes it once more, if the first has not ended in time.
        after_s: seconds that the first is given.

    Raises:
        BmadError: the first one's, where the second brings no answer either.
    """
    one: asyncio.Task[CallRow] = asyncio.ensure_future(first())
    running = {one}
    try:
        done, _ = await asyncio.wait(running, timeout=after_s)
        if not done:
            running.add(asyncio.ensure_future(second()))
        waiting = set(running)
        while waiting:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in sorted(done, key=lambda each: each is not one):
                if not task.exception() and task.result().state == "answered":
                    return task.result()
        return one.result()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
