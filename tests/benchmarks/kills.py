"""What is lost when a process that runs a workflow is killed, and how fast another one goes on.

Run: python tests/benchmarks/kills.py [KILLS] [SEED]. The example workflows of tests/data/runnable
are killed with calls in flight, at moments spread over their runs, and finished; the counts go to
tests/benchmarks/results/kills.json. See tests/test_workflow_kill.py for what is checked besides.
"""

from __future__ import annotations

import json
import platform
import sqlite3
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.test_workflow_kill import measure


def main(kills: int, seed: int) -> int:
    """Measure, print and store; return 1 if anything was lost or sent again."""
    with tempfile.TemporaryDirectory() as folder:
        found = measure(kills, Path(folder), seed=seed)
    tenths = statistics.quantiles(found.places, n=10)
    result = {
        "kills": found.kills,
        "runs": found.rounds,
        "stored_answers_checked": found.stored,
        "lost": found.lost,
        "stored_answers_sent_again": found.sent_again,
        "events_rewritten": found.rewritten,
        "stores_damaged": found.damaged,
        "in_flight_at_the_kills": found.in_flight,
        "resent_of_in_flight": found.resent,
        "answered_share_at_the_kills": [round(tenths[i], 2) for i in (0, 4, 8)],
        "median_reopen_s": round(statistics.median(found.reopen_s), 4),
        "slowest_reopen_s": round(max(found.reopen_s), 4),
        "seconds": round(found.seconds, 1),
        "seed": seed,
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
    }
    target = Path(__file__).parent / "results" / "kills.json"
    target.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))
    return int(any(found.faults) or found.resent > found.in_flight)


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    sys.exit(main(*given, *(300, 0)[len(given) :]))
