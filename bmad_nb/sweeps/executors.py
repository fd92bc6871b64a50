"""What a place must be where notebooks of a sweep are executed, and the one on this machine.

An executor only starts `work.execute` somewhere and says what became of it. It decides nothing:
where an attempt is lost, the driver asks what is left of it, and begins another one.
"""

from __future__ import annotations

import concurrent.futures
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from bmad_nb.sweeps import work

Job = Mapping[str, Any]


class WorkerLostError(Exception):
    """The worker that had a notebook is gone."""


class Attempt(Protocol):
    """A notebook on its way."""

    def done(self) -> bool:
        """Return whether it is over, or its worker is gone."""
        ...

    def result(self) -> dict[str, Any]:
        """Return what came of it; see `work.execute`.

        Raises:
            WorkerLostError: its worker is gone.
        """
        ...


class Executor(Protocol):
    """A place where notebooks are executed."""

    parallel: int
    """Most notebooks at a time."""
    apart: bool
    """Whether notebooks are executed where the sweep's folder is not seen."""

    def submit(self, job: Job) -> Attempt:
        """Begin a notebook."""
        ...

    def salvage(self, name: str, folder: Path) -> tuple[dict[str, Any] | None, bool]:
        """Return what is left of a lost attempt, and whether that is all that it did.

        Args:
            name: of its job.
            folder: of its job.
        """
        ...

    def forget(self, name: str) -> None:
        """Give back what is held of an attempt, once the driver has taken it over."""
        ...

    def stop(self) -> None:
        """Interrupt all notebooks; each ends soon."""
        ...

    def close(self) -> None:
        """Give back what was opened."""
        ...


class Local:
    """Kernels of this machine: each notebook is a process of its own."""

    apart = False

    def __init__(self, parallel: int | None) -> None:
        """Take as many at a time as there are cores, at most 8, unless it is said."""
        self.parallel = parallel or min(8, os.cpu_count() or 1)
        self._stopped = threading.Event()
        self._threads = concurrent.futures.ThreadPoolExecutor(self.parallel, "bmad-sweep")

    def submit(self, job: Job) -> concurrent.futures.Future[dict[str, Any]]:
        """Begin a notebook."""
        return self._threads.submit(work.execute, job, self._stopped.is_set)

    def salvage(self, name: str, folder: Path) -> tuple[dict[str, Any] | None, bool]:
        """Return what an attempt has left in its folder."""
        del name
        return work.collected(folder), True

    def forget(self, name: str) -> None:
        """Do nothing: the driver clears the folder."""

    def stop(self) -> None:
        """Interrupt all notebooks."""
        self._stopped.set()

    def close(self) -> None:
        """Wait for the last kernels."""
        self._stopped.set()
        self._threads.shutdown(cancel_futures=True)
