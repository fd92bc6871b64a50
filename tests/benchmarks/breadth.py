"""What the engine's breadth costs and brings: maps in memory, bottlenecks re-run, hedges, analysis.

Run: python tests/benchmarks/breadth.py. Virtual time where it is about time, real memory where it is
about memory; results go to tests/benchmarks/results/breadth.json.
"""

from __future__ import annotations

import asyncio
import json
import platform
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bmad_nb import parse
from bmad_nb.calls.hedging import first_answer
from bmad_nb.events import CallRow
from bmad_nb.forecast.bottlenecks import bottlenecks
from bmad_nb.forecast.history import History
from bmad_nb.forecast.ranges import analyze
from bmad_nb.messages import Completion, Usage
from bmad_nb.plan import Plan, Step
from bmad_nb.plan_parts import Assignment
from bmad_nb.workspace import Workspace
from tests.engine import virtual
from tests.forecast.test_bottlenecks import WORLDS, World

TARGETS = {
    "MB more for a map of 1,000 than for one of 10": 50,
    "worst error of a predicted makespan": 0.15,
    "causes named right of 6": 6,
    "p99 with hedges over without": 0.75,
    "calls more with hedges": 0.05,
    "CPU of an idle run": 0.02,
}
MAP = "{workflow: w, inputs: {xs: list}, tasks: {a: {map: {over: xs, as: x, max_items: 5000}, prompt: '{{ x }}', llm: own/a}}}"


def mapped(count: int) -> dict[str, float]:
    """Return peak memory in MB and CPU in ms an item of a mapped run, in a process of its own."""
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import breadth; "
        f"breadth.one_map({count})"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(out.stdout)
    return found


def one_map(count: int) -> None:
    """Run a map of so many items, each with an answer of 2 kB, and print what it took."""

    async def answer(messages: Any) -> Completion:
        return Completion(messages[-1].text + " x" * 1000, Usage(10, 1000), "stop")

    with tempfile.TemporaryDirectory() as folder:
        ws = Workspace({}, store=Path(folder) / "bmad.db")
        ws.add_llm("a", answer)
        began = time.process_time()
        run = ws.run(parse.loads(MAP), {"xs": [f"item {n}" for n in range(count)]})
        spent = time.process_time() - began
        assert run.status == "completed"
        ws.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"peak_mb": round(peak, 1), "cpu_ms_per_item": round(spent / count * 1e3, 2)}))


def causes() -> dict[str, dict[str, Any]]:
    """Return, by cause, what was predicted and what a run with the change then took."""
    found = {}
    for cause, (world, change) in WORLDS.items():
        tasks, calls, took = world.run()
        named = bottlenecks(
            world.steps, tasks, calls, slots=world.slots, in_order=world.in_order,
            alternatives={"own/fast": 2.05} if cause == "slow_llm" else {},
        )  # fmt: skip
        _, _, again = World(**{**vars(world), **change}).run()
        predicted = named[0].predicted_s
        found[cause] = {
            "named": named[0].cause, "took_s": took, "predicted_s": round(predicted, 2),
            "measured_s": again, "error": round(abs(predicted - again) / again, 3),
        }  # fmt: skip
    return found


def hedged(hedge_s: float | None, count: int = 4000, seed: int = 1) -> tuple[list[float], int]:
    """Return the seconds of each of many calls with a heavy tail, and how many calls were made."""
    rng = random.Random(seed)
    made = 0

    def length() -> float:
        return rng.lognormvariate(0, 0.25) * (8 if rng.random() < 0.03 else 1)

    async def call() -> CallRow:
        nonlocal made
        made += 1
        await asyncio.sleep(length())
        return CallRow("1", "r", "own/a", "k", "answered")

    async def work() -> list[float]:
        loop = asyncio.get_running_loop()
        found = []
        for _ in range(count):
            began = loop.time()
            await (call() if hedge_s is None else first_answer(call, call, hedge_s))
            found.append(loop.time() - began)
        return found

    seconds, _ = virtual.run(work())
    return seconds, made


def idle() -> float:
    """Return the share of a core that a run takes which waits for one slow answer."""

    async def slow(messages: Any) -> str:
        await asyncio.sleep(5)
        return "x"

    with tempfile.TemporaryDirectory() as folder:
        ws = Workspace({}, store=Path(folder) / "bmad.db")
        ws.add_llm("a", slow)
        ws.run(parse.loads("{workflow: w, tasks: {a: {set: {x: '1'}}}}"))  # all is imported
        began, cpu = time.monotonic(), time.process_time()
        ws.run(parse.loads("{workflow: v, tasks: {a: {prompt: hi, llm: own/a}}}"))
        share = (time.process_time() - cpu) / (time.monotonic() - began)
        ws.close()
    return round(share, 4)


def analysis() -> dict[str, float]:
    """Return the seconds of an analysis by the number of tasks."""
    found = {}
    for count in (10, 100, 1000):
        steps = tuple(
            Step(
                f"t{n}", "prompt", (f"t{n - 10}",) if n >= 10 else (), assignment=Assignment("a/b")
            )
            for n in range(count)
        )
        began = time.process_time()
        analyze(Plan("w", "parallel", steps), History(), {"a/b": None}, slots=10)
        found[f"{count:,} tasks"] = round(time.process_time() - began, 3)
    return found


def main() -> int:
    """Measure, print and store; return 1 if a target was missed."""
    maps = {f"{count:,}": mapped(count) for count in (10, 1_000, 5_000)}
    found = causes()
    plain, calls = hedged(None)
    at = statistics.quantiles(plain, n=100)[95]
    faster, more = hedged(at)
    p99 = [statistics.quantiles(each, n=100)[98] for each in (plain, faster)]
    reached = {
        "MB more for a map of 1,000 than for one of 10": round(
            maps["1,000"]["peak_mb"] - maps["10"]["peak_mb"], 1),
        "worst error of a predicted makespan": max(each["error"] for each in found.values()),
        "causes named right of 6": sum(name == each["named"] for name, each in found.items()),
        "p99 with hedges over without": round(p99[1] / p99[0], 3),
        "calls more with hedges": round(more / calls - 1, 4),
        "CPU of an idle run": idle(),
    }  # fmt: skip
    result = {
        "python": platform.python_version(),
        "maps": maps,
        "bottlenecks": found,
        "hedges": {"p99_s": [round(each, 3) for each in p99], "hedge_after_s": round(at, 3)},
        "CPU seconds of an analysis": analysis(),
        "targets": {k: {"reached": v, "target": TARGETS[k]} for k, v in reached.items()},
    }
    target = Path(__file__).parent / "results" / "breadth.json"
    target.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))
    missed = [n for n, v in reached.items() if v > TARGETS[n] and n != "causes named right of 6"]
    return int(bool(missed) or reached["causes named right of 6"] < 6)


if __name__ == "__main__":
    sys.exit(main())
