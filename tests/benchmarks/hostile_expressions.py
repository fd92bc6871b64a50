"""CPU seconds and memory that hostile expressions and templates take before they are refused.

Run: python -m tests.benchmarks.hostile_expressions. Each input is run once to warm up, once for its
time and once under tracemalloc for its peak, which slows it. Medians and maxima by kind, and the
time of plain expressions, go to tests/benchmarks/results/hostile_expressions.json.
"""

from __future__ import annotations

import json
import platform
import statistics
import sys
import time
import timeit
import tracemalloc
from collections.abc import Callable
from pathlib import Path

from bmad_nb import expressions, prompts
from tests.hostile import expressions as hostile

TARGET_CPU_S = 1.0
TARGET_PEAK_MB = 100.0
TARGET_PLAIN_US = 5.0
PLAIN = ("a.x + 1", "size.size == 'large'", "len(xs) > 3 and not a.x == 2", "coalesce(b, a.x)")
"""What workflows evaluate all day; the target is for the first two."""
NAMES = {"a": {"x": 1}, "size": {"size": "large"}, "xs": [1, 2, 3, 4]}


def cpu_s(work: Callable[[], object]) -> float:
    """Return the CPU seconds of one run."""
    started = time.process_time()
    work()
    return time.process_time() - started


def peak_mb(work: Callable[[], object]) -> float:
    """Return the most memory that one run held, in megabytes."""
    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6


def measured(works: dict[str, Callable[[], object]]) -> dict[str, object]:
    """Return the medians and maxima of some inputs, and the slowest of them."""
    seconds, peaks = {}, []
    for source, work in works.items():
        work()
        seconds[source] = cpu_s(work)
        peaks.append(peak_mb(work))
    slowest = max(seconds, key=lambda source: seconds[source])
    return {
        "inputs": len(works),
        "cpu_s": {"median": round(statistics.median(seconds.values()), 6),
                  "max": round(seconds[slowest], 4)},
        "peak_mb": {"median": round(statistics.median(peaks), 4), "max": round(max(peaks), 2)},
        "slowest": ascii(slowest[:60]),
    }  # fmt: skip


def refused(do: Callable[[], object]) -> Callable[[], object]:
    """Return work that ends in a value or a typed error; parsed anew, as an attacker's would be."""

    def work() -> object:
        expressions.parse.cache_clear()
        return hostile.outcome(do)

    return work


def kinds() -> dict[str, dict[str, Callable[[], object]]]:
    """Return the work of each hostile input, by kind."""
    found = {
        kind: {s: refused(lambda s=s: hostile.evaluated(s)) for s in sources}
        for kind, sources in {**hostile.EXPRESSIONS, "right": list(hostile.RIGHT)}.items()
    }
    found["templates"] = {
        t: refused(lambda t=t: prompts.fill(t, hostile.VALUES)) for t in hostile.TEMPLATES
    }
    return found


def plain_us(source: str) -> float:
    """Return the microseconds of one evaluation of a parsed expression, best of five."""
    tree = expressions.parse(source)
    runs = timeit.repeat(lambda: expressions.evaluate(tree, NAMES), number=20_000, repeat=5)
    return round(min(runs) / 20_000 * 1e6, 3)


def main() -> int:
    """Measure, print and store; return 1 if a target was missed."""
    plain = {source: plain_us(source) for source in PLAIN}
    rows = {kind: measured(works) for kind, works in kinds().items()}
    targets = {"cpu_s": TARGET_CPU_S, "peak_mb": TARGET_PEAK_MB, "plain_us": TARGET_PLAIN_US}
    result = {
        "python": platform.python_version(),
        "targets": targets,
        "plain_us": plain,
        "rows": rows,
    }
    target = Path(__file__).parent / "results" / "hostile_expressions.json"
    target.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))
    slow = any(row["cpu_s"]["max"] > TARGET_CPU_S for row in rows.values())
    large = any(row["peak_mb"]["max"] > TARGET_PEAK_MB for row in rows.values())
    return int(slow or large or max(plain[source] for source in PLAIN[:2]) > TARGET_PLAIN_US)


if __name__ == "__main__":
    sys.exit(main())
