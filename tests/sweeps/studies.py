"""A small notebook to be swept, a provider that counts, and dask processes that can be killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import nbformat

from tests.fake_provider.handles import Handle
from tests.kernel import ROOT, clean_environment

ASKING = (
    "%load_ext bmad_nb",
    "table = [{'n': n, 'right': str(n * n)} for n in range(2, size + 2)]",
    """%%bmad compare -m {{ llms }} --over table --reference right --max-tokens 20 -o r
{{ topic }}: what is {{ n }} * {{ n }}? Answer with the number only.""",
    "len(r.df)",
)


BLIND = """
import sys

def hook(event, arguments):
    if event in ("open", "sqlite3.connect") and str(arguments[0]).startswith({folder!r} + "/"):
        if not str(arguments[0]).startswith({folder!r} + "/home"):
            raise PermissionError(13, "this machine does not see it", str(arguments[0]))

sys.addaudithook(hook)
"""


def notebook(path: Path, *cells: str, parameters: str) -> Path:
    """Write a notebook of code cells, the parameters first."""
    made = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell(cell, id=f"cell-{n}")
            for n, cell in enumerate((parameters, *cells))
        ],
        metadata={"kernelspec": {"name": "python3", "display_name": "P", "language": "python"}},
    )
    made.cells[0].metadata["tags"] = ["parameters"]
    nbformat.write(made, path)
    return path


class Study:
    """A folder with a notebook that asks, and the command line that sweeps it."""

    def __init__(self, folder: Path, provider: Handle | None = None) -> None:
        """Write the notebook, and the provider's settings."""
        self.folder, self.provider = folder, provider
        given = "topic = 'none'\nsize = 3\nllms = 'fake/busy'"
        self.notebook = notebook(folder / "study.ipynb", *ASKING, parameters=given)
        if provider is not None:
            (folder / "bmad.toml").write_text(
                "[engine]\nmax_concurrent_tasks = 2\nretry_attempts = 0\n\n"
                f'[endpoints.fake]\nbase_url = "{provider.url}"\nmodels = ["busy"]\n\n'
                '[prices."fake/busy"]\ninput_usd_per_mtok = 10\noutput_usd_per_mtok = 100\n'
            )

    @property
    def environment(self) -> dict[str, str]:
        """The variables of every process."""
        return clean_environment(self.folder / "home")

    def begin(self, grid: Any, *words: str) -> subprocess.Popen[str]:
        """Start `bmad sweep --json`."""
        (self.folder / "grid.yaml").write_text(json.dumps(grid))
        command = ["-m", "bmad_nb", "sweep", "study.ipynb", "--grid", "grid.yaml", "--json"]
        return subprocess.Popen(
            [sys.executable, *command, *words], cwd=self.folder, env=self.environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def sweep(self, grid: Any, *words: str, code: int = 0) -> dict[str, Any]:
        """Run `bmad sweep --json`, and return what it says."""
        return ended(self.begin(grid, *words), code)

    def wait_for(self, **least: int) -> None:
        """Wait until the provider has counted at least so many."""
        assert self.provider is not None
        until = time.monotonic() + 120
        while any(self.provider.counts()[name] < many for name, many in least.items()):
            assert time.monotonic() < until, f"{least}: {self.provider.counts()}"
            time.sleep(0.02)

    def calls(self) -> list[tuple[str, str]]:
        """Return request key and state of each call that was really made, from the store."""
        connection = sqlite3.connect(self.folder / ".bmad" / "bmad.db")
        query = "SELECT request_key, state FROM calls WHERE NOT from_store"
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()

    def repeated(self) -> int:
        """Return how many requests came again, after checking that none of them was finished.

        Each request that came is a call in the store, each question has one answer there, and what
        came twice was in flight when its process was killed.
        """
        assert self.provider is not None
        came = {key: each["received"] for key, each in self.provider.counts()["keys"].items()}
        calls = self.calls()
        answered = Counter(key for key, state in calls if state == "answered")
        unfinished = Counter(key for key, state in calls if state in {"lost", "cancelled"})
        in_flight = Counter(key for key, state in calls if state == "in_flight")
        assert {1} == set(answered.values())
        assert came.keys() <= answered.keys()
        for key, many in came.items():
            assert many <= answered[key] + unfinished[key] + in_flight[key], key
        return sum(came.values()) - len(came)


def ended(process: subprocess.Popen[str], code: int = 0) -> dict[str, Any]:
    """Return the JSON of a command line that is to end with a code."""
    said, complaint = process.communicate(timeout=300)
    assert code == process.returncode, complaint[-4000:]
    found: dict[str, Any] = json.loads(said) if said else {}
    return found


def statuses(found: Mapping[str, Any]) -> list[str]:
    """Return the status of each notebook, in the order of the grid."""
    return [row["status"] for row in found["notebooks"]]


@contextlib.contextmanager
def cluster(
    study: Study, workers: int, *, blind: bool = False
) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """Give the address of a scheduler, and its workers as processes of their own.

    Args:
        study: whose environment they have.
        workers: how many.
        blind: they and their kernels cannot open anything in the study's folder, as if they were on
            another machine.
    """
    about = study.folder.parent / "scheduler.json"
    env = study.environment
    if blind:
        hook = study.folder.parent / "blind"
        hook.mkdir()
        (hook / "sitecustomize.py").write_text(BLIND.format(folder=str(study.folder)))
        env["PYTHONPATH"] = os.pathsep.join([str(hook), str(ROOT)])
        env["TMPDIR"] = str(study.folder.parent / "tmp")
        Path(env["TMPDIR"]).mkdir()
    quiet: dict[str, Any] = {
        "env": env, "cwd": ROOT, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL
    }  # fmt: skip
    common = ["--no-dashboard", "--scheduler-file", str(about)]
    commands = [
        ["dask_scheduler", "--host", "127.0.0.1", "--port", "0", *common],
        *[["dask_worker", "--nthreads", "1", "--no-nanny", "--local-directory",
           str(study.folder.parent / f"worker{n}"), *common] for n in range(workers)],
    ]  # fmt: skip
    running = [
        subprocess.Popen([sys.executable, "-m", f"distributed.cli.{name}", *words], **quiet)
        for name, *words in commands
    ]
    try:
        until = time.monotonic() + 120
        while not about.exists() or not about.read_text().strip():
            assert time.monotonic() < until, "The scheduler did not start."
            time.sleep(0.05)
        yield json.loads(about.read_text())["address"], running[1:]
    finally:
        for process in reversed(running):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
            process.wait()
