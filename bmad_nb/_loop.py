"""The one module that knows threads and event loops: a coroutine from a cell, answered.

The engine has an event loop of its own, in one daemon thread per process. A cell that is already
inside Jupyter's loop hands its coroutine over and waits; `asyncio` is not patched for this. An
interrupt cancels the coroutine, waits for its last words, and leaves nothing running.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import importlib
import importlib.util
import os
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from bmad_nb.errors import RunStopped, UsageProblem

T = TypeVar("T")
Work = Coroutine[Any, Any, T]


class SecondInterrupt(KeyboardInterrupt):
    """Interrupted again, while the first interrupt was being stored."""


GRACE_S = 2.0
"""Seconds that interrupted work has to write down where it stands."""


class EngineLoop:
    """An event loop in a daemon thread."""

    def __init__(self) -> None:
        """Start the thread and wait until its loop runs."""
        self.pid = os.getpid()
        self.loop = asyncio.new_event_loop()
        ready = threading.Event()
        self.loop.call_soon(ready.set)
        self.thread = threading.Thread(
            target=self.loop.run_forever, name="bmad-engine", daemon=True
        )
        self.thread.start()
        ready.wait()

    def submit(self, work: Work[T]) -> tuple[concurrent.futures.Future[T], Callable[[], None]]:
        """Start `work` there; return its future and a function that cancels it.

        The caller's context variables go along, so that output lands in the cell that asked.
        """
        if threading.current_thread() is self.thread:
            work.close()
            raise UsageProblem(
                "A blocking call was made inside the engine's own loop.",
                hint="Use the awaitable form there: aask, acompare.",
            )
        outcome: concurrent.futures.Future[T] = concurrent.futures.Future()
        context = contextvars.copy_context()
        task: list[asyncio.Task[T]] = []

        def start() -> None:
            task.append(self.loop.create_task(work, context=context))
            task[0].add_done_callback(lambda done: _hand_over(done, outcome))

        stopped: list[bool] = []

        def stop() -> None:
            if task and not stopped:  # a second time would break off its last words
                stopped.append(True)
                task[0].cancel()

        def cancel() -> None:
            self.loop.call_soon_threadsafe(stop)

        self.loop.call_soon_threadsafe(start)
        return outcome, cancel


def _hand_over(task: asyncio.Task[T], outcome: concurrent.futures.Future[T]) -> None:
    if outcome.cancelled():
        if not task.cancelled():
            task.exception()  # looked at, so that asyncio does not complain about it
        return
    if task.cancelled():
        outcome.set_exception(concurrent.futures.CancelledError())
    elif (error := task.exception()) is not None:
        outcome.set_exception(error)
    else:
        outcome.set_result(task.result())


_engine: EngineLoop | None = None
_engine_lock = threading.Lock()


def engine_loop() -> EngineLoop:
    """Return this process's engine loop, started on first use and anew after a fork."""
    global _engine  # noqa: PLW0603  (one per process is the point)
    with _engine_lock:
        if _engine is None or _engine.pid != os.getpid():
            _engine = EngineLoop()
        return _engine


def run(work: Work[T], *, on_tick: Callable[[], None] | None = None) -> T:
    """Run `work` on the engine's loop and wait for it, from any thread but that one.

    Args:
        work: a coroutine that, when cancelled, stores where it stands and raises `RunStopped`.
        on_tick: called here about ten times a second while waiting, for progress.

    Raises:
        SecondInterrupt: interrupted once more, before the work had stored where it stands.
        RunStopped: the wait was interrupted, and the work says how it can go on.
        KeyboardInterrupt: the same, of work that had nothing to store.
    """
    outcome, cancel = engine_loop().submit(work)
    try:
        while True:
            try:
                return outcome.result(timeout=0.1)
            except concurrent.futures.TimeoutError:
                if outcome.done():
                    raise
                if on_tick is not None:
                    on_tick()
    except KeyboardInterrupt:
        _last_words(outcome, cancel)
        raise
    finally:  # wherever the second interrupt came, or whatever on_tick raised: nothing runs on
        if not outcome.done():
            cancel()


def _last_words(outcome: concurrent.futures.Future[Any], cancel: Callable[[], None]) -> None:
    """Cancel work and wait until it has stored its state; a second interrupt ends the wait."""
    try:
        cancel()  # in here, for the second interrupt may come while this is done
        outcome.result(timeout=GRACE_S)
    except RunStopped as stopped:
        # `from None` keeps IPython's short form: it prints what stands in the context otherwise
        raise stopped from None
    except KeyboardInterrupt:
        raise SecondInterrupt from None
    except (concurrent.futures.TimeoutError, concurrent.futures.CancelledError):
        return


async def arun(work: Work[T]) -> T:
    """Run `work` on the engine's loop and await it on the caller's own.

    Raises:
        asyncio.CancelledError: cancelled, as an interrupt of an awaiting cell does; the work has
            stored where it stands by then, and a note on the error says how it goes on.
    """
    outcome, cancel = engine_loop().submit(work)
    waiting = asyncio.wrap_future(outcome)
    try:
        # A kernel's interrupt does not wake a loop that waits in its selector: this does.
        while not waiting.done():
            await asyncio.wait({waiting}, timeout=0.1)
    except asyncio.CancelledError as cancelled:
        cancel()
        await asyncio.wait({waiting}, timeout=GRACE_S)
        stopped = None
        if waiting.done() and not waiting.cancelled():
            stopped = waiting.exception()
        if isinstance(stopped, RunStopped):
            cancelled.add_note(str(stopped))
        raise
    return waiting.result()


def in_main_thread() -> bool:
    """Return whether this is the thread that cells run in."""
    return threading.current_thread() is threading.main_thread()


class Repeating:
    """Something that is done again and again in a daemon thread, until it is stopped.

    Args:
        work: done first at once; returns the seconds until it is done again, or None for never.
    """

    def __init__(self, work: Callable[[], float | None]) -> None:
        """Begin."""
        self._work, self._stopped = work, threading.Event()
        self._thread = threading.Thread(target=self._run, name="bmad-monitor", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopped.is_set():
            wait_s = self._work()
            if wait_s is None or self._stopped.wait(wait_s):
                return

    def stop(self) -> None:
        """Do it no more; return once what is being done is done."""
        self._stopped.set()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=GRACE_S)

    @property
    def goes_on(self) -> bool:
        """Whether it will be done again."""
        return self._thread.is_alive() and not self._stopped.is_set()


def nested_asyncio_library() -> str:
    """Return the name of the patch that `enable_nested_asyncio` would apply; empty if none fits."""
    if importlib.util.find_spec("nest_asyncio2"):
        return "nest_asyncio2"
    if sys.version_info < (3, 14) and importlib.util.find_spec("nest_asyncio"):
        return "nest_asyncio"
    return ""


def enable_nested_asyncio() -> str:
    """Let your own code call `asyncio.run()` inside a cell; bmad_nb itself never needs this.

    `nest_asyncio2` is applied where it is installed (ipykernel 7.4 brings it), else
    `nest_asyncio` below Python 3.14; never both, and only where a loop is running.

    Returns:
        The name of the library that was applied.

    Raises:
        UsageProblem: no event loop runs in this thread, or neither library fits.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        raise UsageProblem(
            "No event loop runs here, so asyncio.run() works as it is.",
            hint="Call enable_nested_asyncio() in a notebook cell.",
        ) from None
    name = nested_asyncio_library()
    if not name:
        raise UsageProblem(
            "Neither nest-asyncio2 nor, below Python 3.14, nest-asyncio is installed.",
            hint="Run: python -m pip install nest-asyncio2",
        )
    importlib.import_module(name).apply(loop)
    return name
