"""One notebook of a sweep, executed with a store of its own; the same here and on a cluster.

A job and its answer are JSON values. The notebook's kernel writes a store in the job's folder and
only reads the user's (`BMAD_ANSWERS`), so that whatever ends it, all that was finished lies there:
the next attempt in this folder asks for the rest only, and `collected` gives what there is.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from statistics import fmean
from typing import Any

from bmad_nb import learning
from bmad_nb._files import Claim, private_folder
from bmad_nb.events import CallRow
from bmad_nb.export.bundle import bundle, scrubbed
from bmad_nb.render.base import plain
from bmad_nb.runs import slices
from bmad_nb.runs.slices import spent_of
from bmad_nb.store import scores
from bmad_nb.store.journal import Store
from bmad_nb.store.reading import Reading

STORE, GIVEN, EXECUTED = "bmad.db", "in.ipynb", "out.ipynb"
GONE_S = 120.0
"""Seconds that an attempt waits for the kernel of an earlier one to be gone."""
AGAIN_S, KILL_S = 3.0, 20.0
"""Seconds after which a kernel that is stopped is interrupted again, and killed."""
NOTHING: dict[str, Any] = {
    "notebook": None, "bundles": [], "refused_usd": None, "spent_usd": None, "facts": {},
}  # fmt: skip
"""What is left of an attempt of which nothing is left."""
STARTS = 4
"""Times that a kernel is started which does not come up."""
_SUMS = ("calls", "from_store", "failed", "unpriced_calls")
Stopped = Callable[[], bool]


def execute(job: Mapping[str, Any], stopped: Stopped = lambda: False) -> dict[str, Any]:
    """Execute a notebook, or go on with it, and return what came of it.

    Args:
        job: `folder` (its own, on this machine), `notebook` (its text), `parameters` (by name),
            `cwd` (where its kernel starts), `answers` (path of a store whose answers serve) and
            `slice_usd` (what it may spend in this attempt, as text; None is no limit).
        stopped: whether it is to be interrupted.

    Raises:
        StoreLocked: the kernel of an earlier attempt is still there.
    """
    folder = Path(job["folder"])
    private_folder(folder)
    claim = Claim(folder / "work.lock", timeout_s=GONE_S)
    try:
        (folder / slices.REFUSED).unlink(missing_ok=True)
        began = time.monotonic()
        problem = _papermill(job, folder, claim.descriptor, stopped)
        found = so_far(folder)
        status = "failed" if problem else "completed"
        if problem and stopped():
            status = "interrupted"
        elif found["refused_usd"] is not None or problem[:1] == ("RunPaused",):
            status = "paused"
        kind, said = problem or ("", "")
        return {**found, "status": status, "error_kind": kind, "error": said,
                "duration_s": time.monotonic() - began}  # fmt: skip
    finally:
        claim.close()


def collected(folder: Path) -> dict[str, Any]:
    """Return what a killed attempt left in its folder, once its kernel is gone too.

    Raises:
        StoreLocked: the kernel is still there.
    """
    private_folder(folder)
    claim = Claim(folder / "work.lock", timeout_s=GONE_S)
    try:
        return so_far(folder)
    finally:
        claim.close()


def so_far(folder: Path) -> dict[str, Any]:
    """Return the executed notebook, its runs as bundles, and sums over its store."""
    store = Store(folder / STORE)
    executed, refused = folder / EXECUTED, folder / slices.REFUSED
    calls = store.calls()
    sums = store.sums().values()
    answered = [call for call in calls if call.state == "answered"]
    marks = [call.score for call in learning.with_scores(answered, scores.of_all(store))
             if call.score is not None]  # fmt: skip
    return {
        "notebook": executed.read_text("utf-8") if executed.exists() else None,
        "bundles": [bundle(store, run.run_id) for run in store.runs()],
        "refused_usd": refused.read_text("utf-8") if refused.exists() else None,
        "spent_usd": {str(kind): str(usd) for kind, usd in spent_of(store).items()},
        "facts": {
            "runs": len(sums),
            **{name: int(sum(each[name] or 0 for each in sums)) for name in _SUMS},
            "cost_usd": sum(each["cost_usd"] for each in sums),
            "simulated_cost_usd": sum(each["simulated_cost_usd"] for each in sums),
            "original_cost_usd": _original(answered, simulated=False),
            "original_simulated_cost_usd": _original(answered, simulated=True),
            "score": fmean(marks) if marks else None,
            "scored": len(marks),
            "simulated": any(call.simulated for call in calls),
        },
    }


def _original(calls: Sequence[CallRow], *, simulated: bool) -> float:
    """Return what answers cost when they were made, as far as that is known."""
    costs = [call.original_cost_usd or 0 for call in calls if call.simulated is simulated]
    return float(sum(costs))


def _papermill(
    job: Mapping[str, Any], folder: Path, descriptor: int, stopped: Stopped
) -> tuple[str, str] | tuple[()]:
    """Run the notebook through papermill; return the kind and the words of its error, if any."""
    import papermill

    (folder / GIVEN).write_text(job["notebook"], "utf-8")
    given, executed = (str(folder / name).replace("{", "{{").replace("}", "}}")
                       for name in (GIVEN, EXECUTED))  # fmt: skip
    named = "kernelspec" in json.loads(job["notebook"]).get("metadata", {})
    options: dict[str, Any] = {"extra_arguments": ["--IPKernelApp.log_level=50"]}
    options |= {} if named else {"kernel_name": "python3", "language": "python"}
    problem: tuple[str, str] | tuple[()] = ()
    for _ in range(STARTS):
        kernels: list[Any] = []
        managers = _kernels(job, _environment(job, folder), descriptor, kernels)
        (folder / EXECUTED).unlink(missing_ok=True)
        try:
            with _loop_of_its_own(), _watched(kernels, stopped):
                papermill.execute_notebook(
                    given, executed, parameters=dict(job["parameters"]), progress_bar=False,
                    kernel_manager_class=managers, **options,
                )  # fmt: skip
        except papermill.PapermillExecutionError as error:
            where = f"Cell {error.exec_count}: " if error.exec_count else ""
            return _said(error.ename, f"{where}{error.evalue}")
        except Exception as error:  # noqa: BLE001  (one notebook's trouble is its own)
            problem = _said(type(error).__name__, getattr(error, "what", str(error)))
            if "died before replying to kernel_info" in str(error) and not stopped():
                continue  # another kernel took its port in that moment; no cell has run yet
            return problem
        return ()
    return problem


def _said(kind: str, text: str) -> tuple[str, str]:
    """Return an error as it can be kept: without keys and codes, and not without end."""
    return plain(kind)[:80] or "Error", str(scrubbed(plain(text)[:2000]))


def _environment(job: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """Return the variables of the notebook's kernel."""
    env = {name: value for name, value in os.environ.items()
           if name not in {slices.SLICE, slices.ANSWERS}}  # fmt: skip
    env["BMAD_STORE"] = str(folder / STORE)
    if job["answers"]:
        env[slices.ANSWERS] = job["answers"]
    if job["slice_usd"] is not None:
        spent = spent_of(Reading(folder / STORE, sync="normal"))
        limits = [spent[kind] + Decimal(job["slice_usd"][str(kind)]) for kind in (False, True)]
        env[slices.SLICE] = " ".join(f"{each:f}" for each in limits)
    return env


def _kernels(
    job: Mapping[str, Any], env: Mapping[str, str], descriptor: int, made: list[Any]
) -> type[Any]:
    """Return the class of managers whose kernel starts in its place and keeps the claim."""
    from jupyter_client.manager import AsyncKernelManager

    class Manager(AsyncKernelManager):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            made.append(self)

        async def _async_pre_start_kernel(self, **options: Any) -> Any:
            options |= {"env": dict(env), "cwd": job["cwd"], "pass_fds": (descriptor,)}
            return await super()._async_pre_start_kernel(**options)

        pre_start_kernel = _async_pre_start_kernel

    return Manager


@contextlib.contextmanager
def _loop_of_its_own() -> Iterator[None]:
    """Close the event loop that Jupyter opens in this thread, and would leave open."""
    from jupyter_core.utils import ensure_event_loop

    loop = ensure_event_loop()
    try:
        yield
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
        asyncio.set_event_loop(None)


@contextlib.contextmanager
def _watched(kernels: list[Any], stopped: Stopped) -> Iterator[None]:
    """Interrupt the kernel when the sweep is stopped, again if need be, and kill it in the end."""
    over = threading.Event()

    def watch() -> None:
        while not stopped():
            if over.wait(0.2):
                return
        until = time.monotonic() + KILL_S
        while not over.is_set():
            late = time.monotonic() > until
            for kernel in kernels:
                process = getattr(kernel.provisioner, "process", None)
                with contextlib.suppress(OSError):
                    if process is not None:
                        process.send_signal(signal.SIGKILL if late else signal.SIGINT)
            over.wait(AGAIN_S)

    watcher = threading.Thread(target=watch, name="bmad-sweep-watch", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
