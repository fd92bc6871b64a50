"""CPU seconds that the extension and a stored answer add to a cold kernel.

Run: python tests/benchmarks/startup.py [ROUNDS]. Each round starts fresh kernels, one per case,
interleaved; the floor is a kernel that runs `pass` in the same cell. Medians go to
tests/benchmarks/results/startup.json.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import tempfile
from pathlib import Path

from jupyter_client.manager import start_new_kernel

LOAD = "%load_ext bmad_nb"
ASK = "%%bmad ask -m sim/hasty\nWhat is 17 * 23? Answer with the number only."
CASES = {"floor: pass": ["pass"], "load_ext": [LOAD], "load_ext and stored ask": [LOAD, ASK]}
TARGETS = {"load_ext": 0.10, "load_ext and stored ask": 0.50}
"""Most CPU seconds over the floor."""
CLOCK = "import time; print(time.process_time())"


def run(client, code: str) -> str:
    """Execute a cell and return what it printed; fail loudly if it failed."""
    printed = []

    def keep(message: dict) -> None:
        if message["msg_type"] == "stream":
            printed.append(message["content"]["text"])

    reply = client.execute_interactive(code, timeout=120, output_hook=keep)
    if reply["content"]["status"] != "ok":
        raise SystemExit(f"{code!r} failed: {reply['content']}")
    return "".join(printed)


def cpu_s(cells: list[str], env: dict[str, str]) -> float:
    """Return the CPU seconds that a fresh kernel spends on `cells`."""
    manager, client = start_new_kernel(kernel_name="python3", env=env)
    try:
        before = float(run(client, CLOCK))
        for cell in cells:
            run(client, cell)
        return float(run(client, CLOCK)) - before
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def main(rounds: int) -> int:
    """Measure, print and store; return 1 if a target was missed."""
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "BMAD_STORE": str(Path(folder) / ".bmad" / "bmad.db")}
        cpu_s([LOAD, ASK], env)  # stores the answer
        seconds: dict[str, list[float]] = {name: [] for name in CASES}
        for _ in range(rounds):
            for name, cells in CASES.items():
                seconds[name].append(cpu_s(cells, env))
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    floor = medians["floor: pass"]
    rows = {
        name: {
            "cpu_s": round(medians[name], 4),
            "over_floor_s": round(medians[name] - floor, 4),
            "target_s": TARGETS.get(name),
        }
        for name in CASES
    }
    result = {"rounds": rounds, "python": platform.python_version(), "rows": rows}
    target = Path(__file__).parent / "results" / "startup.json"
    target.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))
    return int(
        any(row["target_s"] and row["over_floor_s"] > row["target_s"] for row in rows.values())
    )


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 9))
