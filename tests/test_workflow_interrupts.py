"""Interrupts of workflow cells at random points of a real kernel: nothing is left running.

`BMAD_TEST_INTERRUPTS` says how many; the benchmark takes 500.
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from tests.fake_provider import FakeProvider
from tests.kernel import Kernel

INTERRUPTS = int(os.environ.get("BMAD_TEST_INTERRUPTS", "50"))
FLOWS = Path(__file__).parent / "data" / "runnable"
PREPARED = """
import asyncio
from bmad_nb import _loop
loop = _loop.engine_loop().loop
async def left(): return [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
"""
LEFT = "found = asyncio.run_coroutine_threadsafe(left(), loop).result(5)"


def measure(folder: Path, home: Path, interrupts: int, seed: int = 0) -> Counter[str]:
    """Interrupt a workflow's cell so often, at moments spread over its run; count what came of it.

    The run is always the same one, which goes on where it was stopped, until it is done; then the
    next begins.
    """
    models = {"clerk": {"latency_s": 0.05}, "poet": {"latency_s": 0.05}}
    chance = random.Random(seed)
    found: Counter[str] = Counter()
    shutil.copy(FLOWS / "garnish.yaml", folder)
    feast = (FLOWS / "feast.yaml").read_text()
    for words in ("How is", "Write a toast"):  # each run has questions of its own
        feast = feast.replace(f'"{words}', f'"In kitchen {{{{ n }}}}: {words}')
    (folder / "feast.yaml").write_text(feast.replace("limits:", "inputs: {n: integer}\nlimits:"))
    with FakeProvider({"models": models}) as provider, Kernel(folder, home) as kernel:
        (folder / "bmad.toml").write_text(
            f'[endpoints.fake]\nbase_url = "{provider.url}"\nmodels = ["clerk", "poet"]\n'
        )
        assert kernel.execute("%load_ext bmad_nb").status == "ok"
        kernel.execute(PREPARED)
        number, store = 0, folder / ".bmad" / "bmad.db"

        def calls() -> int:
            return provider.counts()["received"]

        while found["interrupts"] < interrupts:
            before, events = calls(), _events(store)
            started = kernel.start(f"%bmad run feast.yaml -p n={number} -o r")
            _wait_for_the_run(kernel, provider, store, (before, events))
            time.sleep(chance.uniform(0.0, 0.6))
            kernel.interrupt()
            reply = kernel.finish(started, timeout_s=30)
            found["interrupts"] += 1
            found[reply.ename or reply.status] += 1
            provider.wait_until(in_flight=0)
            counts = calls()
            kernel.execute(LEFT)
            found["left running"] += int(kernel.value("len(found)"))
            found["sent after"] += calls() - counts
            found["calls"] += counts - before
            number += reply.status == "ok"
        kernel.execute(f"%bmad run feast.yaml -p n={number} -o r")
        found["outputs"] = len(kernel.value("sorted(r.outputs)").split(","))
    with closing(sqlite3.connect(store)) as opened:
        for status, count in opened.execute("SELECT status, count(*) FROM runs GROUP BY 1"):
            found[f"runs {status}"] = count
        found["in flight"] = opened.execute(
            "SELECT count(*) FROM calls WHERE state = 'in_flight'"
        ).fetchone()[0]
    return found


def _events(store: Path) -> int:
    """Return how many events were ever stored."""
    if not store.exists():
        return 0
    with closing(sqlite3.connect(store)) as opened:
        if not opened.execute("SELECT 1 FROM sqlite_master WHERE name = 'events'").fetchone():
            return 0  # its tables are being made
        return int(opened.execute("SELECT count(*) FROM events").fetchone()[0])


def _wait_for_the_run(
    kernel: Kernel, provider: FakeProvider, store: Path, before: tuple[int, int]
) -> None:
    """Wait until the cell's run goes on: before that, an interrupt hits the kernel itself.

    A call or an event more than there were `before` shows it. On a busy machine a cell may take seconds to come so far; one whose run was already done only
    answers.
    """
    until_s = time.monotonic() + 30.0
    while (provider.counts()["received"], _events(store)) == before and not kernel.answered():
        assert time.monotonic() < until_s, "The cell's run did not begin."
        time.sleep(0.002)


@pytest.mark.long
def test_interrupts_at_random_points_leave_nothing_running(tmp_path: Path) -> None:
    """After each the engine's loop is empty, nobody is asked, no run says running, and it goes on."""
    folder, home = tmp_path / "project", tmp_path / "home"
    folder.mkdir(exist_ok=True)
    found = measure(folder, home, INTERRUPTS)
    assert INTERRUPTS == found["interrupts"]
    assert found["RunPaused"] >= INTERRUPTS // 3, found
    assert 0 == found["left running"], found
    assert 0 == found["sent after"], found
    assert (0, 0) == (found["runs running"], found["in flight"]), found
    assert 4 == found["outputs"], found
