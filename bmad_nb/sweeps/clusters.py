"""Workers of a dask cluster, also those on other machines that do not see the sweep's folder.

A notebook is given to one worker and to no other: where that worker is gone, the driver knows.
Where the workers see the folder, the notebook's store lies in it, and nothing is lost with them.
Else the worker keeps the store on its own disk and tells what is finished, once a second, to a
variable on the scheduler, from where the driver takes it when the worker is gone.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
import time
import uuid
import zlib
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from bmad_nb._files import private_folder
from bmad_nb.errors import BmadError, UsageProblem
from bmad_nb.export.bundle import bring_in
from bmad_nb.runs.slices import spent_of
from bmad_nb.store.journal import Store
from bmad_nb.sweeps import work
from bmad_nb.sweeps.executors import Job, WorkerLostError

TOKEN = "token"  # noqa: S105  (a file that says which sweep a folder belongs to)
TELL_S = 1.0
"""Seconds between two looks at what a worker has finished."""
LAST_S = 30.0
"""Seconds that a worker which is stopped has for its last words."""
_INSTALL = "Run: pip install 'bmad-nb[dask]'"


class Far:
    """A notebook on a worker."""

    def __init__(self, future: Any, address: str, cluster: Dask) -> None:
        """Wait for nothing yet."""
        self.future, self.address, self._cluster = future, address, cluster

    def done(self) -> bool:
        """Return whether it is over, or its worker is gone."""
        return bool(self.future.done()) or self.address not in self._cluster.workers()

    def result(self) -> dict[str, Any]:
        """Return what came of it.

        Raises:
            WorkerLostError: its worker is gone, or it was stopped.
        """
        if self.future.status == "finished":
            found: dict[str, Any] = self.future.result(timeout=60)
            return found
        if self.future.status == "error":
            error = self.future.exception(timeout=60)
            if type(error).__name__ not in {"KilledWorker", "FutureCancelledError"}:
                raise error
        raise WorkerLostError(self.address)


class Dask:
    """Workers of a dask cluster.

    Args:
        where: `dask` for a cluster of this machine, the address of a scheduler, or a
            `distributed.Client`.
        parallel: most notebooks at a time; None is one for each thread of the workers.
        folder: the sweep's folder.

    Raises:
        UsageProblem: dask is not installed, nobody answers, or a worker lacks bmad_nb.
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
                    self._cluster or where, timeout=10, set_as_default=False
                )
            except (OSError, ValueError) as error:
                raise UsageProblem(
                    f"No dask scheduler answers at {where}: {error}",
                    hint="Start one: dask scheduler; or write --executor dask.",
                ) from None
        self._seen: tuple[float, dict[str, int]] = (0.0, {})
        self._flying: list[Far] = []
        if not self.workers():
            self._client.wait_for_workers(1, timeout=30)
        self.parallel = parallel or sum(self.workers(fresh=True).values())
        self.apart = not all(self._sights(folder))
        self._stopped = False

    def workers(self, *, fresh: bool = False) -> dict[str, int]:
        """Return the threads of each worker, by its address; at most half a second old."""
        at, found = self._seen
        if fresh or time.monotonic() - at > 0.5:
            found = dict(self._client.nthreads())
            self._seen = (time.monotonic(), found)
        return found

    def _sights(self, folder: Path) -> list[bool]:
        """Return for each worker whether it sees the sweep's folder."""
        token = (folder / TOKEN).read_text("utf-8")
        try:
            return list(self._client.run(sees, str(folder), token).values())
        except ModuleNotFoundError as error:
            raise UsageProblem(f"The workers of dask lack {error.name}.",
                               hint="Install bmad-nb where they run.") from None  # fmt: skip

    def submit(self, job: Job) -> Far:
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
        self._flying.append(Far(future, address, self))
        return self._flying[-1]

    def salvage(self, name: str, folder: Path) -> tuple[dict[str, Any] | None, bool]:
        """Return what is left of an attempt, in its folder or on the scheduler."""
        if not self.apart:
            return work.collected(folder), True
        variable = _variable(name, self._client)
        until = time.monotonic() + (LAST_S if self._stopped else 0)
        while True:
            try:
                told: dict[str, Any] | None = dict(variable.get(timeout=2))
            except (TimeoutError, OSError):
                told = None
            if (told and told["over"]) or time.monotonic() > until:
                return told, bool(told and told["over"])
            time.sleep(0.2)

    def forget(self, name: str) -> None:
        """Take away what the scheduler holds of an attempt that was taken over."""
        if self.apart:
            _variable(name, self._client).delete()

    def stop(self) -> None:
        """Cancel all notebooks: their workers notice that and interrupt the kernels."""
        self._stopped = True
        for each in self._flying:
            each.future.cancel()

    def close(self) -> None:
        """Leave the cluster, and end it if it is ours."""
        self.stop()
        if self._ours:
            self._client.close()
        if self._cluster is not None:
            self._cluster.close()


def _variable(name: str, client: Any) -> Any:
    """Return the variable in which an attempt tells what it has finished."""
    import distributed

    return distributed.Variable(name, client=client)  # type: ignore[no-untyped-call]


# --- on the workers -------------------------------------------------------------------------------


def sees(folder: str, token: str) -> bool:
    """Return whether a worker sees the sweep's folder."""
    try:
        return (Path(folder) / TOKEN).read_text("utf-8") == token
    except OSError:
        return False


def execute(job: Job) -> dict[str, Any]:
    """Execute a notebook on a worker, until the driver does not want it any more."""
    import distributed

    worker = distributed.get_worker()
    key = worker.get_current_task()

    def stopped() -> bool:
        task = worker.state.tasks.get(key)
        return task is None or task.state in {"cancelled", "released", "forgotten"}

    if not job["apart"]:
        return work.execute(job, stopped)
    variable = _variable(job["name"], distributed.get_client())
    folder = Path(tempfile.gettempdir()) / f"bmad-sweep-{os.getuid()}-{job['name']}"
    try:
        base = _unpacked(job, folder)
        lent = str(folder / "answers.db") if job["lent"] else None
        own = {"folder": str(folder), "cwd": str(folder), "answers": lent}
        with _telling(folder, variable, base):
            return _since(work.execute({**job, **own}, stopped), base)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unpacked(job: Job, folder: Path) -> Mapping[bool, Decimal]:
    """Write what came with a job into its folder; return what its earlier attempts had spent."""
    private_folder(folder)
    store = Store(folder / work.STORE)
    for each in job["earlier"]:
        bring_in(store, each)
    if job["lent"]:
        (folder / "answers.db").write_bytes(zlib.decompress(job["lent"]))
    if job["project"]:
        (folder / "bmad.toml").write_text(job["project"], "utf-8")
    store.close()
    return spent_of(store)


def _since(answer: dict[str, Any], base: Mapping[bool, Decimal]) -> dict[str, Any]:
    """Return an answer with what this attempt spent, instead of what all of them did."""
    spent = {kind: Decimal(answer["spent_usd"][str(kind)]) - base[kind] for kind in (False, True)}
    return {**answer, "spent_usd": {str(kind): f"{usd:f}" for kind, usd in spent.items()}}


@contextlib.contextmanager
def _telling(folder: Path, variable: Any, base: Mapping[bool, Decimal]) -> Iterator[None]:
    """Tell the scheduler what is finished as it comes, and in the end that this is all."""
    over = threading.Event()

    def tell() -> None:
        known, pause = -1, TELL_S
        while not over.wait(pause):
            began = time.monotonic()
            states = Store(folder / work.STORE).columns(("state",))
            ended = sum(state != "in_flight" for (state,) in states)
            if ended != known:
                variable.set({**_since(work.so_far(folder), base), "over": False})
                known = ended
            pause = max(TELL_S, 2 * (time.monotonic() - began))

    teller = threading.Thread(target=tell, name="bmad-sweep-tell", daemon=True)
    teller.start()
    try:
        yield
    finally:
        over.set()
        teller.join()
        variable.set({**_since(work.so_far(folder), base), "over": True})
