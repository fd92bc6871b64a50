"""What the engine costs, beside bare asyncio and bare SQLite in the same run.

Run: python tests/benchmarks/engine.py [ROUNDS]. Contenders are interleaved round by round; medians
of CPU time go to tests/benchmarks/results/engine.json. Makespans are in virtual time, exact.
"""

from __future__ import annotations

import asyncio
import gc
import heapq
import json
import platform
import queue
import random
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bmad_nb.calls.calls import Calls
from bmad_nb.engine.run import Ended, Engine
from bmad_nb.engine.slots import Slots
from bmad_nb.engine.tasks import Around, Tasks
from bmad_nb.events import RunRow, RunStarted, TaskRow
from bmad_nb.plan import Step
from bmad_nb.store.journal import Store
from tests.engine import virtual

SLOTS = 8
TARGETS = {
    "memory over floor": 3.0,
    "durable chain over SQLite per task": 2.5,
    "durable fan over group commit": 2.0,
    "fan 10,000 over fan 1,000 per task": 1.3,
    "100,000 over 10,000 per task": 1.2,
    "makespan over list schedule": 1.03,
    "peak MB of 10,000 durable tasks": 150,
    "KB a task at 100,000": 1.0,
}
Graph = list[tuple[int, ...]]
"""The numbers of the tasks that each task needs; a task needs only tasks before it."""


def chain(count: int) -> Graph:
    return [(n - 1,) if n else () for n in range(count)]


def fan(count: int) -> Graph:
    return [(0,) if n else () for n in range(count)]


def layered(count: int, width: int = 100) -> Graph:
    return [
        tuple(sorted({n - width, n - width + 1 - (n % width == width - 1)})) if n >= width else ()
        for n in range(count)
    ]


SHAPES = {
    "chain 1,000": chain(1000),
    "fan 1,000": fan(1000),
    "layered 2,000": layered(2000),
    "fan 10,000": fan(10_000),
}


def steps_of(graph: Graph, verb: str) -> list[Step]:
    fields = (("x", "1"),) if verb == "set" else ()
    return [
        Step(f"t{n}", verb, tuple(f"t{m}" for m in needs), fields=fields)
        for n, needs in enumerate(graph)
    ]


# --- contenders -----------------------------------------------------------------------------------


async def bare(graph: Graph, keep: Callable[[int], Awaitable[None]] | None = None) -> None:
    """Run no-op tasks with a ready heap by critical path and eight slots: the floor.

    With `keep`, each result is kept before it counts.
    """
    readers: list[list[int]] = [[] for _ in graph]
    for number, needs in enumerate(graph):
        for need in needs:
            readers[need].append(number)
    tails = [0.0] * len(graph)
    for number in reversed(range(len(graph))):
        tails[number] = 1.0 + max((tails[r] for r in readers[number]), default=0.0)
    left = [len(needs) for needs in graph]
    ready = [(-tails[n], n) for n, count in enumerate(left) if not count]
    heapq.heapify(ready)
    ended: list[int] = []
    wake = asyncio.Event()

    async def work(number: int) -> None:
        if keep is not None:
            await keep(number)
        ended.append(number)
        wake.set()

    loop, free, done, running = asyncio.get_running_loop(), SLOTS, 0, set()
    while done < len(graph):
        while ready and free:
            free -= 1
            task = loop.create_task(work(heapq.heappop(ready)[1]))
            running.add(task)
            task.add_done_callback(running.discard)
        await wake.wait()
        wake.clear()
        for number in ended:
            free, done = free + 1, done + 1
            for reader in readers[number]:
                left[reader] -= 1
                if not left[reader]:
                    heapq.heappush(ready, (-tails[reader], reader))
        ended.clear()


class NoOp:
    """Does nothing, or sleeps, for each step."""

    def __init__(self, lengths: dict[str, float] | None = None) -> None:
        self._lengths = lengths

    def at_once(self, step: Step, skipped_because: str) -> None:
        return None

    async def in_time(self, step: Step, lane: object) -> Ended:
        if self._lengths:
            await asyncio.sleep(self._lengths[step.id])
        return Ended(TaskRow("r", step.id, "done"))

    def settled(self, row: TaskRow) -> None:
        pass


async def ours(steps: list[Step]) -> None:
    """Run the same no-op tasks on the engine, with a journal in memory."""
    engine = Engine(steps, virtual.MemoryJournal(), NoOp(), slots=Slots(SLOTS))
    await engine.run()


async def durable(steps: list[Step], store: Store) -> None:
    """Run `set` tasks on the engine, each durable before another one reads it."""
    run = RunRow(f"r{time.perf_counter_ns()}", "workflow", "running", fence=1,
                 owner=store.owner_name())  # fmt: skip
    await store.commit(RunStarted(run))
    calls = Calls(store, lambda: "", limit=1, progress=lambda row: None)
    now = "2026-01-01T00:00:00.000000+00:00"
    around = Around(run.run_id, calls, None, store, lambda: now)  # type: ignore[arg-type]
    await Engine(steps, store, Tasks(around, {}), slots=Slots(SLOTS)).run()


PAYLOAD = json.dumps({"task": "t123", "state": "done", "verb": "set", "value": {"x": 1},
                      "content": "0" * 64, "started_utc": "2026-01-01T00:00:00.000000+00:00",
                      "ended_utc": "2026-01-01T00:00:00.000000+00:00"}).encode()  # fmt: skip


def opened(folder: Path, sync: str) -> sqlite3.Connection:
    path = folder / f"{time.perf_counter_ns()}.db"
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.executescript(f"PRAGMA journal_mode = WAL; PRAGMA synchronous = {sync}; "
                             "CREATE TABLE e (run TEXT, seq INTEGER, body BLOB, "
                             "PRIMARY KEY (run, seq)) WITHOUT ROWID")  # fmt: skip
    return connection


async def commit_per_task(graph: Graph, folder: Path) -> None:
    """The floor of durable chains: each result is committed on the loop's thread (WAL, NORMAL)."""
    connection = opened(folder, "NORMAL")

    async def keep(number: int) -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO e VALUES (?, ?, ?)", ("r", number, PAYLOAD))
        connection.execute("COMMIT")

    await bare(graph, keep)
    connection.close()


async def group_commit(graph: Graph, folder: Path) -> None:
    """The floor of durable fans: a writer thread commits what has come together (WAL, FULL)."""
    connection = opened(folder, "FULL")
    loop = asyncio.get_running_loop()
    waiting: queue.SimpleQueue = queue.SimpleQueue()

    def settle(batch: list) -> None:
        for _, done in batch:
            done.set_result(None)

    def write() -> None:
        while (first := waiting.get()) is not None:
            batch = [first]
            while not waiting.empty():
                batch.append(waiting.get())
            connection.execute("BEGIN IMMEDIATE")
            for number, _ in batch:
                connection.execute("INSERT INTO e VALUES (?, ?, ?)", ("r", number, PAYLOAD))
            connection.execute("COMMIT")
            loop.call_soon_threadsafe(settle, batch)

    async def keep(number: int) -> None:
        done = loop.create_future()
        waiting.put((number, done))
        await done

    thread = threading.Thread(target=write)
    thread.start()
    await bare(graph, keep)
    waiting.put(None)
    thread.join()
    connection.close()


# --- measuring ------------------------------------------------------------------------------------


def cpu_us(work: Callable[[], object], count: int) -> float:
    """Return CPU microseconds for each of `count` tasks."""
    gc.collect()
    before = time.process_time()
    work()
    return (time.process_time() - before) / count * 1e6


def medians(rounds: int, cases: dict[str, tuple[Callable[[], object], int]]) -> dict[str, float]:
    found: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, (work, count) in cases.items():
            found[name].append(cpu_us(work, count))
    return {name: round(statistics.median(values), 2) for name, values in found.items()}


def in_memory(rounds: int) -> dict[str, dict[str, float]]:
    rows = {}
    for name, graph in SHAPES.items():
        steps = steps_of(graph, "prompt")
        cases = {"floor": (lambda g=graph: asyncio.run(bare(g)), len(graph)),
                 "engine": (lambda s=steps: asyncio.run(ours(s)), len(graph))}  # fmt: skip
        found = medians(rounds, cases)
        rows[name] = {**found, "ratio": round(found["engine"] / found["floor"], 2)}
    return rows


def on_disk(rounds: int, folder: Path) -> dict[str, dict[str, float]]:
    store = Store(folder / ".bmad" / "bmad.db")
    rows = {}
    for name, graph, floor in (("chain 1,000", chain(1000), commit_per_task),
                               ("fan 1,000", fan(1000), group_commit),
                               ("fan 10,000", fan(10_000), group_commit)):  # fmt: skip
        steps = steps_of(graph, "set")
        cases = {
            "floor": (lambda g=graph, f=floor: asyncio.run(f(g, folder)), len(graph)),
            "engine": (lambda s=steps: asyncio.run(durable(s, store)), len(graph)),
        }
        rows[name] = medians(rounds, cases)
        rows[name]["ratio"] = round(rows[name]["engine"] / rows[name]["floor"], 2)
    store.close()
    return rows


# --- makespans ------------------------------------------------------------------------------------


def graphs(seed: int) -> Iterator[tuple[str, Graph]]:
    dice = random.Random(seed)
    stages: Graph = [() if n < 24 else (n - 24,) for n in range(96)]
    yield "chains", [*stages, tuple(range(72, 96))]
    layers: Graph = []
    for n in range(200):
        above = range((n // 20 - 1) * 20, n // 20 * 20)
        layers.append(tuple(sorted(dice.sample(above, 3))) if n >= 20 else ())
    yield "layered", layers
    yield "random", [tuple(sorted(dice.sample(range(n), min(n, dice.randrange(4)))))
                     for n in range(200)]  # fmt: skip
    yield "spine", [*((n - 1,) if n else () for n in range(20)), *(() for _ in range(180))]


def list_schedule(graph: Graph, lengths: list[float], estimates: list[float]) -> float:
    """Return the exact makespan of list scheduling by critical path with these estimates."""
    readers: list[list[int]] = [[] for _ in graph]
    for number, needs in enumerate(graph):
        for need in needs:
            readers[need].append(number)
    tails = [0.0] * len(graph)
    for number in reversed(range(len(graph))):
        tails[number] = estimates[number] + max((tails[r] for r in readers[number]), default=0.0)
    left = [len(needs) for needs in graph]
    ready = [(-tails[n], n) for n, count in enumerate(left) if not count]
    heapq.heapify(ready)
    busy: list[tuple[float, int]] = []
    now = 0.0
    while ready or busy:
        while ready and len(busy) < SLOTS:
            number = heapq.heappop(ready)[1]
            heapq.heappush(busy, (now + lengths[number], number))
        now, number = heapq.heappop(busy)
        for reader in readers[number]:
            left[reader] -= 1
            if not left[reader]:
                heapq.heappush(ready, (-tails[reader], reader))
    return now


def makespan(graph: Graph, lengths: list[float], estimates: list[float]) -> float:
    """Return the makespan of the engine in virtual time."""
    steps = steps_of(graph, "prompt")
    seconds = {step.id: estimate for step, estimate in zip(steps, estimates, strict=True)}
    sleeps = {step.id: length for step, length in zip(steps, lengths, strict=True)}

    async def work() -> None:
        engine = Engine(
            steps,
            virtual.MemoryJournal(),
            NoOp(sleeps),
            slots=Slots(SLOTS),
            schedule={"seconds": seconds},
        )
        await engine.run()

    return virtual.run(work())[1]


def makespans(seeds: int = 20) -> dict[str, dict[str, float]]:
    worst: dict[str, dict[str, float]] = {}
    for seed in range(seeds):
        dice = random.Random(1000 + seed)
        for name, graph in graphs(seed):
            lengths = [dice.lognormvariate(0.69, 0.8) for _ in graph]
            guessed = [length * dice.lognormvariate(0.0, 0.8) for length in lengths]
            row = worst.setdefault(name, {"true lengths": 0.0, "guessed lengths": 0.0})
            for kind, known in (("true lengths", lengths), ("guessed lengths", guessed)):
                ratio = makespan(graph, lengths, known) / list_schedule(graph, lengths, known)
                row[kind] = round(max(row[kind], ratio), 4)
    return worst


# --- growth ---------------------------------------------------------------------------------------


def grown(count: int) -> dict[str, float]:
    """Return CPU and peak memory of one durable run of `count` tasks, in a process of its own."""
    script = f"import benchmarks_engine as b; b.one_run({count})"
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
    code += script.replace("benchmarks_engine", "engine")
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(out.stdout)
    return found


def one_run(count: int) -> None:
    """Run `count` tasks in layers of a hundred, and print what it took."""
    base = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() // 1024
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / ".bmad" / "bmad.db")
        steps = steps_of(layered(count), "set")
        spent = cpu_us(lambda: asyncio.run(durable(steps, store)), count)
        store.close()
        size = (Path(folder) / ".bmad" / "bmad.db").stat().st_size
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base
    print(json.dumps({"us_per_task": round(spent, 1), "peak_mb": round(peak / 1024, 1),
                      "kb_per_task": round(peak / count, 2),
                      "store_bytes_per_task": round(size / count)}))  # fmt: skip


def main(rounds: int) -> int:
    """Measure, print and store; return 1 if a target was missed."""
    with tempfile.TemporaryDirectory() as folder:
        disk = on_disk(rounds, Path(folder))
    memory = in_memory(rounds)
    spans = makespans()
    growth = {f"{count:,}": grown(count) for count in (10_000, 100_000)}
    small, large = growth["10,000"], growth["100,000"]
    reached = {
        "memory over floor": max(row["ratio"] for row in memory.values()),
        "durable chain over SQLite per task": disk["chain 1,000"]["ratio"],
        "durable fan over group commit": max(disk["fan 1,000"]["ratio"],
                                             disk["fan 10,000"]["ratio"]),
        "fan 10,000 over fan 1,000 per task": round(
            memory["fan 10,000"]["engine"] / memory["fan 1,000"]["engine"], 2),
        "100,000 over 10,000 per task": round(large["us_per_task"] / small["us_per_task"], 2),
        "makespan over list schedule": max(max(row.values()) for row in spans.values()),
        "peak MB of 10,000 durable tasks": small["peak_mb"],
        "KB a task at 100,000": large["kb_per_task"],
    }  # fmt: skip
    result = {
        "rounds": rounds,
        "python": platform.python_version(),
        "unit": "CPU microseconds a task",
        "in memory": memory,
        "durable": disk,
        "makespan over the exact list schedule, worst of 20": spans,
        "growth": growth,
        "targets": {k: {"reached": v, "target": TARGETS[k]} for k, v in reached.items()},
    }
    target = Path(__file__).parent / "results" / "engine.json"
    target.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))
    return int(any(value > TARGETS[name] for name, value in reached.items()))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
