"""CPU seconds and peak memory of reading documents: sound ones by size, and the bombs.

Run: python tests/benchmarks/documents.py. Each is read twice, once for its time and once under
tracemalloc. Figures go to tests/benchmarks/results/documents.json.
"""

from __future__ import annotations

import json
import platform
import sys
import time
import tracemalloc
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bmad_nb import parse
from bmad_nb.errors import DefinitionError
from tests.workflow import hostile

SIZES_KIB = (4, 64, 250)
MOST_CPU_S = 10.0
"""Most CPU seconds for a hostile document."""
TASK = """\
  t{n}:
    title: Task number {n}
    prompt: |
      Say in one sentence what the notes of day {n} have to do with {{{{ topic }}}}.
      Quote at least one of them, and leave out what you only guess.
    output: {{answer: string, quotes: [string]}}
    route: {{prefer: cheapest, min_quality: 0.5}}
    retry: {{attempts: 3, backoff: 2s}}
"""


def sound(kib: int) -> str:
    """Return a sound document of a size."""
    text, n = "workflow: many\ninputs: {topic: text}\ntasks:\n", 0
    while len(text) < kib * 1024 - len(TASK):
        text, n = text + TASK.format(n=n), n + 1
    return text


def read(text: str | bytes) -> str:
    """Read a document and return how it ended."""
    try:
        parse.loads(text)
    except DefinitionError as error:
        return error.problems[0].what[:80]
    return "loads"


def measured(text: str | bytes) -> dict:
    """Return the figures of one document."""
    before = time.process_time()
    outcome = read(text)
    cpu_s = time.process_time() - before
    tracemalloc.start()
    read(text)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return {
        "kib": round(len(text) / 1024, 1),
        "cpu_s": round(cpu_s, 3),
        "peak_mib": round(peak / 2**20, 1),
        "outcome": outcome,
    }


def main() -> int:
    """Measure, print and store; return 1 if a hostile document took too long."""
    read(sound(4))  # imports
    rows = {f"{kib} KiB": measured(sound(kib)) for kib in SIZES_KIB}
    for row in rows.values():
        row["ms_per_kib"] = round(1000 * row["cpu_s"] / row["kib"], 2)
    bad = {name: measured(text) for name, text in hostile.bombs().items()}
    worst = dict(sorted(bad.items(), key=lambda item: -item[1]["cpu_s"]))
    result = {"python": platform.python_version(), "sound": rows, "hostile": worst}
    target = Path(__file__).parent / "results" / "documents.json"
    target.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", "utf-8")
    print(json.dumps({"sound": rows, "slowest": dict(list(worst.items())[:6])}, indent=2))
    return int(any(row["cpu_s"] > MOST_CPU_S for row in bad.values()))


if __name__ == "__main__":
    sys.exit(main())
