"""What a live monitor of 1,000 tasks costs while it is watched.

A thousand tasks, eight at a time, are done by a function that takes 80 ms, without and with a
monitor that sends its frames over a comm; the difference of the process's CPU time, over the time
that the run took, is the monitor's share of one core.
Usage: python -m tests.benchmarks.monitor [--write] [--once]
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bmad_nb.live.feed import Feed
from bmad_nb.live.reins import Reins
from bmad_nb.widgets.monitor import RunMonitor
from bmad_nb.workspace import Workspace

TASKS, SLOTS, SECONDS = 1000, 8, 0.08
RESULT = Path(__file__).parent / "results" / "monitor.json"


def definition() -> str:
    """Return ten layers of a hundred tasks, each of which needs two of the layer before."""
    lines = ["workflow: thousand", f"limits: {{concurrency: {SLOTS}}}", "tasks:"]
    for n in range(TASKS):
        layer, place = divmod(n, 100)
        needs = f", needs: [t{n - 100}, t{(layer - 1) * 100 + (place + 1) % 100}]" if layer else ""
        lines.append(f'  t{n}: {{prompt: "Say {n} {time.time()}.", llm: own/steady{needs}}}')
    return "\n".join(lines)


async def steady(_messages: Any) -> str:
    """Answer after a while."""
    await asyncio.sleep(SECONDS)
    return "An answer of ordinary length, which is a sentence or two. It says nothing."


def once(*, watched: bool) -> dict[str, float]:
    """Run once; return CPU seconds, seconds, frames and bytes."""
    with tempfile.TemporaryDirectory() as folder:
        space = Workspace(config={}, store=Path(folder) / "bmad.db")
        space.add_llm("steady", steady)
        path = Path(folder) / "thousand.yaml"
        path.write_text(definition())
        sent = [0, 0]
        run = space.run(path, background=True)
        began_s, cpu_s = time.monotonic(), time.process_time()
        monitor = None
        if watched:
            monitor = RunMonitor(Feed(space.store, run.id), Reins(space.store, run.id))
            send = monitor.send

            def counted(content: Any, buffers: Any = None) -> None:
                sent[0] += 1
                sent[1] += len(json.dumps(content))  # what the kernel's session does
                send(content, buffers)

            monitor.send = counted  # type: ignore[method-assign]
            monitor.watch()
        run.wait()
        took_s, used_s = time.monotonic() - began_s, time.process_time() - cpu_s
        if monitor is not None:
            monitor.close()
        space.close()
    return {"cpu_s": used_s, "seconds": took_s, "frames": sent[0], "bytes": sent[1]}


def main() -> None:
    """Measure three times each (once with --once), interleaved; print or write the medians."""
    plain, watched = [], []
    for _ in range(1 if "--once" in sys.argv else 3):
        plain.append(once(watched=False))
        watched.append(once(watched=True))
    found = {
        name: {key: round(statistics.median(each[key] for each in rows), 3) for key in rows[0]}
        for name, rows in (("unwatched", plain), ("watched", watched))
    }
    more_s = found["watched"]["cpu_s"] - found["unwatched"]["cpu_s"]
    share = more_s / found["watched"]["seconds"]
    result = {
        "tasks": TASKS,
        "runs_each": len(plain),
        **found,
        "share_of_a_core": round(share, 4),
        "target": 0.05,
    }
    print(json.dumps(result, indent=1))
    if "--write" in sys.argv:
        RESULT.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
