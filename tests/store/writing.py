"""What tests of the store write with: calls, runs, commits, and second processes."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

from bmad_nb.events import CallRow, Event, RunRow, RunStarted, TaskEnded, TaskRow
from bmad_nb.messages import Message
from bmad_nb.store.journal import Store
from bmad_nb.store.reading import now_utc

ROOT = Path(__file__).resolve().parents[2]
HEAD = """
import asyncio, dataclasses, os, sys
from pathlib import Path
from bmad_nb.errors import *
from bmad_nb.events import *
from bmad_nb.store.journal import Store
from tests.store.writing import *
store = Store(Path(sys.argv[1]))
"""


def call(number: int = 0, run_id: str = "r1", **facts: Any) -> CallRow:
    """Return an answered call."""
    known: dict[str, Any] = {
        "state": "answered",
        "text": f"answer {number}",
        "messages": (Message("user", f"question {number}"),),
        "ended_utc": now_utc(),
    }
    return CallRow(f"{run_id}-{number}", run_id, "own/x", f"key {number}", **{**known, **facts})


def task(number: int = 0, run_id: str = "r1", **facts: Any) -> TaskEnded:
    """Return the end of a task."""
    return TaskEnded(TaskRow(run_id, f"t{number}", "done", **facts))


def running(store: Store, run_id: str = "r1", fence: int = 1, **facts: Any) -> RunStarted:
    """Return that this process takes a run up."""
    known: dict[str, Any] = {"started_utc": now_utc(), "owner": store.owner_name(), "fence": fence}
    return RunStarted(RunRow(run_id, "ask", "running", **{**known, **facts}))


def put(store: Store, *events: Event) -> None:
    """Commit events in a loop of their own."""
    asyncio.run(store.commit(*events))


def process(script: str, *arguments: object) -> subprocess.Popen[str]:
    """Start a script in a fresh interpreter; its first argument is the store's path."""
    return subprocess.Popen(
        [sys.executable, "-c", HEAD + script, *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def child(script: str, *arguments: object) -> str:
    """Run such a script to its end, with a guard against hanging; return what it printed."""
    with process(script, *arguments) as running_child:
        try:
            out, complaint = running_child.communicate(timeout=120)
        finally:
            running_child.kill()
    assert 0 == running_child.returncode, complaint
    return out
