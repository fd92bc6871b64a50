"""CPU seconds of a commit to the store, beside bare SQLite doing the least that one needs.

Run: python tests/benchmarks/store.py [ROUNDS]. The floor is one INSERT of a row of 300 bytes per
transaction (WAL, synchronous=NORMAL) with an flock around it, into a table with an integer key.
Cases and floor take turns in one process; medians go to tests/benchmarks/results/store.json. An
empty gather, of coroutines that wait for one future, shows what asyncio alone takes.
"""

from __future__ import annotations

import asyncio
import dataclasses
import fcntl
import json
import os
import platform
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bmad_nb.events import CallEnded, CallIntended, CallRow, RunRow, RunStarted, TaskEnded, TaskRow
from bmad_nb.messages import Message
from bmad_nb.store.journal import Store
from bmad_nb.store.reading import now_utc

COUNT = 1000
FLOOR = "floor: bare INSERT"
TARGETS = {"chain of commits": 2.2, "one gather": 0.6, "barriers of a call": 4.0}
"""Most CPU seconds of one event, commit or call as multiples of the floor."""


def floor(folder: Path) -> float:
    """Return the CPU seconds of bare transactions."""
    connection = sqlite3.connect(folder / "floor.db", isolation_level=None)
    for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "wal_autocheckpoint = 0"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("CREATE TABLE floor (id INTEGER PRIMARY KEY, time TEXT, body BLOB)")
    lock = os.open(folder / "floor.lock", os.O_RDWR | os.O_CREAT)
    row = (None, now_utc(), b"x" * 260)
    began = time.process_time()
    for _ in range(COUNT):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO floor VALUES (?, ?, ?)", row)
        connection.execute("COMMIT")
        fcntl.flock(lock, fcntl.LOCK_UN)
    spent = time.process_time() - began
    connection.close()
    os.close(lock)
    return spent


def task(number: int) -> TaskEnded:
    """Return a small event: 300 bytes in the store."""
    now = now_utc()
    row = TaskRow("r1", f"t{number}", "done", verb="set", value="x" * 60, content="c" * 64,
                  attempts=1, started_utc=now, ended_utc=now)  # fmt: skip
    return TaskEnded(row)


def call(number: int) -> tuple[CallIntended, CallEnded]:
    """Return the intent and the outcome of a call, with a prompt and an answer of 1 KB."""
    now = now_utc()
    prompt = (Message("user", f"{number} " + "why " * 250),)
    intent = CallRow(f"r1-{number}", "r1", "own/x", f"{number:064}", "in_flight", model="x",
                     messages=prompt, max_tokens=500, task=f"t{number}", started_utc=now)  # fmt: skip
    outcome = dataclasses.replace(
        intent, state="answered", text=f"{number} " + "so. " * 250, finish_reason="stop",
        input_tokens=250, output_tokens=250, latency_s=0.5, original_latency_s=0.5, billed="yes",
        ended_utc=now,
    )  # fmt: skip
    return CallIntended(intent), CallEnded(outcome)


async def chain(store: Store) -> float:
    """Return the CPU seconds of commits that are awaited one after another."""
    events = [task(number) for number in range(COUNT)]
    began = time.process_time()
    for event in events:
        await store.commit(event)
    return time.process_time() - began


async def together(store: Store) -> float:
    """Return the CPU seconds of as many commits in one gather."""
    events = [task(number) for number in range(COUNT)]
    began = time.process_time()
    await asyncio.gather(*(store.commit(event) for event in events))
    return time.process_time() - began


async def barriers(store: Store) -> float:
    """Return the CPU seconds of the intents and outcomes of calls, one after another."""
    events = [(*call(number), task(number)) for number in range(COUNT)]
    began = time.process_time()
    for intent, outcome, end in events:
        await store.commit(intent)
        await store.commit(outcome, end)
    return time.process_time() - began


async def empty(_store: Store) -> float:
    """Return the CPU seconds of a gather of coroutines that only wait for a future."""
    loop = asyncio.get_running_loop()

    async def wait(done: asyncio.Future[None]) -> None:
        await done

    waiting = [loop.create_future() for _ in range(COUNT)]
    loop.call_soon(lambda: [done.set_result(None) for done in waiting])
    began = time.process_time()
    await asyncio.gather(*map(wait, waiting))
    return time.process_time() - began


CASES = {
    "chain of commits": chain,
    "one gather": together,
    "barriers of a call": barriers,
    "asyncio alone: empty gather": empty,
}


def measured(case: Callable) -> float:
    """Return what a case takes on a store of its own."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / ".bmad" / "bmad.db")

        async def work() -> float:
            run = RunRow("r1", "workflow", "running", owner=store.owner_name(), fence=1)
            await store.commit(RunStarted(run))
            return await case(store)

        spent = asyncio.run(work())
        store.close()
        return spent


def main(rounds: int) -> int:
    """Measure, print and store; return 1 if a target was missed."""
    seconds: dict[str, list[float]] = {name: [] for name in (FLOOR, *CASES)}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            seconds[FLOOR].append(floor(Path(folder)))
        for name, case in CASES.items():
            seconds[name].append(measured(case))
    medians = {name: statistics.median(each) / COUNT for name, each in seconds.items()}
    rows = {
        name: {
            "cpu_us": round(spent * 1e6, 1),
            "floors": round(spent / medians[FLOOR], 2),
            "target_floors": TARGETS.get(name),
        }
        for name, spent in medians.items()
    }
    result = {
        "rounds": rounds, "count": COUNT, "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version, "rows": rows,
    }  # fmt: skip
    target = Path(__file__).parent / "results" / "store.json"
    target.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))
    return int(any(r["target_floors"] and r["floors"] > r["target_floors"] for r in rows.values()))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
