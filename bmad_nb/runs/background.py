"""Runs that go on while the cell that began them is done: handles to wait for."""

from __future__ import annotations

import asyncio
import concurrent.futures
import importlib
from collections.abc import Callable, Generator
from typing import Any, Generic, TypeVar

from bmad_nb.errors import UsageProblem
from bmad_nb.runs.progress import Progress
from bmad_nb.runs.run import Run

R = TypeVar("R")


class Work(Generic[R]):
    """Something that the engine does by itself.

    Args:
        outcome: what comes of it.
        stop: breaks it off; what is finished is kept.
        progress: how far it is.
    """

    _outcome: concurrent.futures.Future[R]
    _stop: Callable[[], None]
    progress: Progress

    def wait(self, timeout_s: float | None = None) -> R:
        """Wait until it is done, and return what came of it.

        Args:
            timeout_s: most seconds to wait; None is as long as it takes.

        Raises:
            UsageProblem: it is not done in time; it goes on.
            BmadError: what a blocking call would have raised, such as `RunPaused` or `RunFailed`.
        """
        try:
            return self._outcome.result(timeout_s)
        except concurrent.futures.TimeoutError:
            if self._outcome.done():
                raise
            raise UsageProblem(
                f"It is not done after {timeout_s:g} s: {self.progress.facts()}",
                hint="It goes on; wait again.",
            ) from None

    def __await__(self) -> Generator[Any, None, R]:
        """Wait for it in code that has an event loop; a cancelled wait does not end the work."""
        return asyncio.shield(asyncio.wrap_future(self._outcome)).__await__()

    def stop(self) -> None:
        """Break it off, as an interrupt does: what is finished is kept, and can go on."""
        self._stop()

    @property
    def is_done(self) -> bool:
        """Whether there is nothing more to wait for."""
        return self._outcome.done()


class BackgroundRun(Work[Run], Run):
    """A run of a workflow that goes on by itself; all that a `Run` has, and `wait()`.

    `await run` waits too. In a notebook it shows itself live, until it is over.
    """

    def __init__(
        self,
        run_id: str,
        home: Any,
        progress: Progress,
        outcome: concurrent.futures.Future[Run],
        stop: Callable[[], None],
    ) -> None:
        """Keep what is waited for."""
        super().__init__(home.store, run_id, home)
        self.progress, self._outcome, self._stop = progress, outcome, stop

    def _ipython_display_(self) -> None:
        """Show it live where a front end can; else IPython shows its static bundle.

        Raises:
            NotImplementedError: nothing live is to be shown.
        """
        importlib.import_module("bmad_nb.widgets.monitor").show_live(self)


class Pending(Work[R]):
    """Answers that come by themselves; `wait()` gives the result, and so does `await`."""

    def __init__(
        self,
        run_id: Callable[[], str],
        progress: Progress,
        outcome: concurrent.futures.Future[R],
        stop: Callable[[], None],
    ) -> None:
        """Keep what is waited for."""
        self._run_id, self.progress = run_id, progress
        self._outcome, self._stop = outcome, stop
        self.name = "r"
        """The variable that its own examples speak of."""

    @property
    def id(self) -> str:
        """The run's id."""
        return self._run_id()

    @property
    def status(self) -> str:
        """`running`, or how its run ended."""
        if not self._outcome.done():
            return "running"
        error = self._outcome.exception()
        result: Any = error if error is not None else self._outcome.result()
        result = getattr(result, "result", result) if error is not None else result
        return str(result.run.status) if hasattr(result, "run") else "failed"

    def _repr_mimebundle_(self, **_wanted: Any) -> dict[str, Any]:
        """Return the result's bundle once it is there, and how far it is before."""
        if self._outcome.done() and self._outcome.exception() is None:
            found: dict[str, Any] = self._outcome.result()._repr_mimebundle_()  # type: ignore[attr-defined]
            return found
        return {"text/plain": repr(self)}

    def __repr__(self) -> str:
        """Return how far it is, and how to have the result."""
        if self._outcome.done():
            error = self._outcome.exception()
            return repr(self._outcome.result()) if error is None else str(error)
        next_ = f"{self.name}.wait()   {self.name}.stop()"
        return f"Run {self.id}: {self.progress.facts()}\nNext: {next_}"
