"""Where notebooks of a sweep are executed: kernels of this machine, or workers of a dask cluster.

An executor only starts `work.execute` somewhere and says what became of it. A notebook is given to
one worker and to no other: where that worker is gone, the driver knows, and it alone decides.
"""

from __future__ import annotations

import concurrent.futures
import os
import threading
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from bmad_nb.errors import BmadError, UsageProblem
from bmad_nb.sweeps import work

Job = Mapping[str, Any]
TOKEN = "token"  # noqa: S105  (a file that says which sweep a folder belongs to)
_INSTALL = "Run: pip install 'bmad-nb[dask]'"


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

    def submit(self, job: Job) -> Attempt:
        """Begin a notebook."""
        ...

    def stop(self) -> None:
        """Interrupt all notebooks; each ends soon."""
        ...

    def close(self) -> None:
        """Give back what was opened."""
        ...


class Local:
    """Kernels of this machine: each notebook is a process of its own."""

    def __init__(self, parallel: int | None) -> None:
        """Take as many at a time as there are cores, at most 8, unless it is said."""
        self.parallel = parallel or min(8, os.cpu_count() or 1)
        self._stopped = threading.Event()
        self._threads = concurrent.futures.ThreadPoolExecutor(self.parallel, "bmad-sweep")

    def submit(self, job: Job) -> concurrent.futures.Future[dict[str, Any]]:
        """Begin a notebook."""
        return self._threads.submit(work.execute, job, self._stopped.is_set)

    def stop(self) -> None:
        """Interrupt all notebooks."""
        self._stopped.set()

    def close(self) -> None:
        """Wait for the last kernels."""
        self._stopped.set()
        self._threads.shutdown(cancel_futures=True)


class _Far:
    """A notebook on a worker."""

    def __init__(self, future: Any, address: str, cluster: Dask) -> None:
        self.future, self.address, self._cluster = future, address, cluster

    def done(self) -> bool:
        return bool(self.future.done()) or self.address not in self._cluster.workers()

    def result(self) -> dict[str, Any]:
        if self.future.status == "finished":
            found: dict[str, Any] = self.future.result(timeout=60)
            return found
        if self.future.status == "error":
            error = self.future.exception(timeout=60)
            if type(error).__name__ not in {"KilledWorker", "FutureCancelledError"}:
                raise error
        raise WorkerLostError(self.address)


class Dask:
    """Workers of a dask cluster, each of which sees the sweep's folder.

    Args:
        where: `dask` for a cluster of this machine, the address of a scheduler, or a
            `distributed.Client`.
        parallel: most notebooks at a time; None is one for each thread of the workers.
        folder: the sweep's folder.

    Raises:
        UsageProblem: dask is not installed, nobody answers, or a worker does not see the folder.
    """

    def __init__(self, where: Any, parallel: int | None, folder: Path) -> None:
        """Connect, or start a cluster."""
        try:
            import distributed
        except ImportError:
            raise UsageProblem("dask is not installed.", hint=_INSTALL) from None
        self._cluster, self._client, self._ours = None, where, isinstance(where, str)
        if where == "dask":
            self._cluster = distributed.LocalCluster(  # type: ignore[no-untyped-call]
                n_workers=parallel or min(8, os.cpu_count() or 1), threads_per_worker=1,
                dashboard_address=None, silence_logs=50,
            )  # fmt: skip
        if self._ours:
            try:
                self._client = distributed.Client(  # type: ignore[no-untyped-call]
                    self._cluster or where, timeout=20, set_as_default=False
                )
            except (OSError, ValueError) as error:
                raise UsageProblem(
                    f"No dask scheduler answers at {where}: {error}",
                    hint="Start one: dask scheduler; or write --executor dask.",
                ) from None
        self._seen: tuple[float, dict[str, int]] = (0.0, {})
        self._flying: list[_Far] = []
        if not self.workers():
            self._client.wait_for_workers(1, timeout=30)
        self.parallel = parallel or sum(self.workers(fresh=True).values())
        self._check(folder)

    def workers(self, *, fresh: bool = False) -> dict[str, int]:
        """Return the threads of each worker, by its address; at most half a second old."""
        at, found = self._seen
        if fresh or time.monotonic() - at > 0.5:
            found = dict(self._client.nthreads())
            self._seen = (time.monotonic(), found)
        return found

    def _check(self, folder: Path) -> None:
        token = (folder / TOKEN).read_text("utf-8")
        try:
            seen = self._client.run(sees, str(folder), token)
        except ModuleNotFoundError as error:
            raise UsageProblem(f"The workers of dask lack {error.name}.",
                               hint="Install bmad-nb where they run.") from None  # fmt: skip
        blind = [address for address, sight in seen.items() if not sight]
        if blind:
            raise UsageProblem(
                f"The worker {blind[0]} does not see the folder {folder}.",
                hint="Name a folder that all machines share with --out.",
            )

    def submit(self, job: Job) -> _Far:
        """Give a notebook to the worker that has the fewest for its threads.

        Raises:
            BmadError: there is no worker any more.
        """
        self._flying = [each for each in self._flying if not each.future.done()]
        deadline = time.monotonic() + 60
        while not (workers := self.workers(fresh=True)):
            if time.monotonic() > deadline:
                raise BmadError("dask has no worker any more.", hint="Start one, and run it again.")
            time.sleep(0.2)
        busy = [each.address for each in self._flying]
        address = min(workers, key=lambda each: busy.count(each) / max(1, workers[each]))
        future = self._client.submit(
            execute, dict(job), key=f"bmad-sweep-{uuid.uuid4().hex}", workers=[address],
            allow_other_workers=False, pure=False,
        )  # fmt: skip
        self._flying.append(_Far(future, address, self))
        return self._flying[-1]

    def stop(self) -> None:
        """Cancel all notebooks: their workers notice that and interrupt the kernels."""
        for each in self._flying:
            each.future.cancel()

    def close(self) -> None:
        """Leave the cluster, and end it if it is ours."""
        self.stop()
        if self._ours:
            self._client.close()
        if self._cluster is not None:
            self._cluster.close()


def sees(folder: str, token: str) -> bool:
    """Return whether a worker sees the sweep's folder."""
    path = Path(folder) / TOKEN
    return path.is_file() and path.read_text("utf-8") == token


def execute(job: Job) -> dict[str, Any]:
    """Execute a notebook on a worker, until the driver does not want it any more."""
    import distributed

    worker = distributed.get_worker()
    key = worker.get_current_task()

    def stopped() -> bool:
        task = worker.state.tasks.get(key)
        return task is None or task.state in {"cancelled", "released", "forgotten"}

    return work.execute(job, stopped)
