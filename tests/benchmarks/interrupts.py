"""Interrupts of a workflow's cell at random points of a real kernel: what is left running.

Run: python tests/benchmarks/interrupts.py [COUNT]. The counts go to
tests/benchmarks/results/interrupts.json; the test of the same name takes 50.
"""

from __future__ import annotations

import json
import platform
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.test_workflow_interrupts import measure


def main(count: int) -> int:
    """Interrupt so often, store the counts, and return 1 if anything was left."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "project"
        project.mkdir()
        found = measure(project, Path(folder) / "home", count)
    result = {"python": platform.python_version(), **dict(sorted(found.items()))}
    target = Path(__file__).parent / "results" / "interrupts.json"
    target.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))
    return int(any(found[name] for name in ("left running", "sent after", "runs running")))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 500))
