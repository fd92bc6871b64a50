"""kill -9 in the middle of runs: no stored answer is lost, none is asked for again.

`measure(kills, ...)` is also what the benchmark calls, with a higher number. Requests are counted
at a server in a process of its own; the store's file is read from a copy, so that the process that
goes on finds it just as the killed one left it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.fake_provider import FakeProviderProcess
from tests.kernel import clean_environment

KILLS = int(os.environ.get("BMAD_TEST_KILLS", "40"))
FEW = 10
"""Kills that every run of the tests makes."""
CASES = 200
AT_ONCE = 8
KILLS_PER_ROUND = 5
CONFIG = {"models": {"busy": {"latency_s": {"median": 0.03, "sigma": 0.4}}}}
CHILD = f"""
import json, sys
import bmad_nb
ws = bmad_nb.Workspace()
over = [{{"n": n, "batch": sys.argv[1]}} for n in range({CASES})]
r = ws.compare("Case {{{{ n }}}} of batch {{{{ batch }}}}", ["fake/busy"], over=over)
frame = ws.calls()
frame = frame[frame["run_id"] == r.id]
print(json.dumps({{
    "run_id": r.id, "status": r.run.status, "notes": r.notes,
    "answers": {{row.request_key: row.text for row in r.rows if row.state == "answered"}},
    "earlier": [(row.request_key, row.state, row.billed) for row in r.earlier],
    "shown": repr(r), "html": r._repr_mimebundle_()["text/html"],
    "frame": frame.groupby(["state", "billed"]).size().reset_index().values.tolist(),
    "maybe_billed": int(ws.runs().set_index("run_id").loc[r.id, "maybe_billed"]),
}}))
"""


@dataclasses.dataclass(slots=True)
class Measured:
    """What was counted over all kills."""

    kills: int = 0
    """Kills with calls in flight at the server; others do not count."""
    rounds: int = 0
    """Runs, each of them killed several times and then finished."""
    stored: int = 0
    """Answers that were in the store at a kill, summed over the kills."""
    lost: int = 0
    """Of these, the ones that were not there later, or had another text."""
    sent_again: int = 0
    """Requests that came for a key which was stored as answered before."""
    in_flight: int = 0
    """Calls that were in flight at a kill, summed."""
    resent: int = 0
    """Requests that came for a key for which one had come before."""
    damaged: int = 0
    """Stores that failed SQLite's integrity check."""
    places: list[float] = dataclasses.field(default_factory=list)
    """Share of a run that was answered at each kill."""
    seconds: float = 0.0


@dataclasses.dataclass(slots=True)
class Seen:
    """The store's file, as a killed process left it."""

    answers: dict[str, str]
    in_flight: set[str]
    sound: bool


def look(folder: Path, scratch: Path) -> Seen:
    """Read a copy of the store, so that the store itself is not touched."""
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    for suffix in ("", "-wal"):
        path = folder / ".bmad" / f"bmad.db{suffix}"
        if path.exists():
            shutil.copy(path, scratch / path.name)
    connection = sqlite3.connect(scratch / "bmad.db")
    try:
        sound = connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        rows = connection.execute(
            "SELECT request_key, state, body FROM calls LEFT JOIN texts ON hash = text"
        ).fetchall()
        answers = {key: json.loads(body[1:]) for key, state, body in rows if state == "answered"}
        in_flight = {key for key, state, _ in rows if state == "in_flight"}
        return Seen(answers, in_flight, sound)
    finally:
        connection.close()


def measure(kills: int, folder: Path, *, seed: int = 0) -> Measured:
    """Kill runs until so many kills have counted; each run is finished in the end."""
    chance = random.Random(seed)
    total = Measured()
    began_s = time.monotonic()
    with FakeProviderProcess(CONFIG) as provider:
        (folder / "bmad.toml").write_text(
            f"[engine]\nmax_concurrent_tasks = {AT_ONCE}\n\n"
            f'[endpoints.fake]\nbase_url = "{provider.url}"\nmodels = ["busy"]\n'
        )
        while total.kills < kills:
            wanted = min(KILLS_PER_ROUND, kills - total.kills)
            _round(total, provider, folder, chance, wanted)
    total.seconds = time.monotonic() - began_s
    return total


def _round(
    total: Measured, provider: FakeProviderProcess, folder: Path, chance: random.Random, kills: int
) -> None:
    """Start one run, kill it at points spread over it, let it finish, and count."""
    provider.reset()
    batch = f"{total.rounds}"
    total.rounds += 1
    points = [int((part + chance.random()) / kills * CASES) for part in range(kills)]
    kept: dict[str, str] = {}
    flown: list[str] = []
    before: dict[str, int] = {}
    done = ""
    for point in points:
        done = _run(provider, folder, batch, point, chance)
        if done:
            break
        counts = provider.wait_until(in_flight=0)
        received = _received(counts)
        seen = look(folder, folder / "copy")
        mine = {key: text for key, text in seen.answers.items() if key in received}
        _compare(total, kept, mine, before, received)
        assert seen.in_flight, "The server saw calls in flight, so the store must know of them."
        assert len(seen.in_flight) <= AT_ONCE
        total.kills += 1
        total.damaged += not seen.sound
        total.stored += len(mine)
        total.in_flight += len(seen.in_flight)
        total.places.append(len(mine) / CASES)
        kept, before = mine, received
        flown += sorted(seen.in_flight)
    result = json.loads(done or _run(provider, folder, batch, None, chance))
    received = _received(provider.counts())
    _compare(total, kept, result["answers"], before, received)
    total.resent += sum(received.values()) - len(received)
    total.damaged += not look(folder, folder / "copy").sound
    _check(result, flown, received)


def _run(
    provider: FakeProviderProcess,
    folder: Path,
    batch: str,
    point: int | None,
    chance: random.Random,
) -> str:
    """Start or go on with a run; kill it once the server has sent so many answers in all.

    Returns:
        What the child printed, or nothing if it was killed with calls in flight.
    """
    command = [sys.executable, "-c", CHILD, batch]
    with (folder / "out").open("w+") as out, (folder / "err").open("w+") as err:
        child = subprocess.Popen(
            command, cwd=folder, env=clean_environment(folder / "home"), stdout=out, stderr=err
        )
        try:
            if point is None:
                child.wait(120)
            elif _killed(child, provider, point, delay_s=chance.random() * 0.03):
                return ""
        finally:
            child.kill()
            child.wait(10)
        assert child.returncode == 0, (folder / "err").read_text()
        return (folder / "out").read_text()


def _killed(
    child: subprocess.Popen[bytes], provider: FakeProviderProcess, point: int, delay_s: float
) -> bool:
    """Kill the child with calls in flight; return False if it ended by itself before that."""
    due_s: float | None = None
    while child.poll() is None:
        counts = provider.counts()
        if due_s is None and counts["sent"] >= point and counts["in_flight"]:
            due_s = time.monotonic() + delay_s
        if due_s is not None and time.monotonic() >= due_s and counts["in_flight"]:
            child.kill()
            child.wait(10)
            return child.returncode == -signal.SIGKILL
        time.sleep(0.01 if due_s is None else 0.001)
    return False


def _compare(
    total: Measured,
    kept: dict[str, str],
    now: dict[str, str],
    before: dict[str, int],
    received: dict[str, int],
) -> None:
    """Count answers that are gone or changed, and stored ones that were asked for again."""
    total.lost += sum(now.get(key) != text for key, text in kept.items())
    total.sent_again += sum(received[key] - before[key] for key in kept)


def _check(result: dict[str, Any], flown: list[str], received: dict[str, int]) -> None:
    """Assert that a finished run is whole, and says which calls may have been billed twice."""
    assert result["status"] == "completed"
    assert len(result["answers"]) == CASES == len(received)
    again = {key for key, count in received.items() if count > 1}
    assert again <= set(flown), "Only what was in flight at a kill may be sent again."
    assert sum(received.values()) - len(received) <= len(flown)
    lost = sorted(
        key for key, state, billed in result["earlier"] if (state, billed) == ("lost", "maybe")
    )
    assert lost == sorted(flown)
    states = {(state, billed): count for state, billed, count in result["frame"]}
    assert states.get(("lost", "maybe"), 0) == len(flown) == result["maybe_billed"]
    assert states[("answered", "yes")] == CASES
    if flown:
        note = " ".join(result["notes"])
        assert f"{len(flown)} call" in note
        assert "may have been billed twice" in note
        assert "billed twice" in " ".join(result["shown"].split())
        assert "billed twice" in " ".join(result["html"].split())


def _received(counts: dict[str, Any]) -> dict[str, int]:
    return {key: tally["received"] for key, tally in counts["keys"].items()}


@pytest.mark.parametrize("kills", [FEW, pytest.param(KILLS, marks=pytest.mark.long)])
def test_kills_lose_nothing_and_repeat_nothing(tmp_path: Path, kills: int) -> None:
    """After kills with calls in flight, no stored answer is lost or asked for again, ever."""
    found = measure(kills, tmp_path)
    print(dataclasses.replace(found, places=[]))
    print("answered at the kills:", " ".join(f"{place:.2f}" for place in sorted(found.places)))
    assert found.kills >= kills
    assert found.stored > 0
    assert (found.lost, found.sent_again, found.damaged) == (0, 0, 0)
    assert found.resent <= found.in_flight <= AT_ONCE * found.kills
    assert kills == FEW or min(found.places) < 0.2
    assert kills == FEW or max(found.places) > 0.8


def test_the_counting_finds_what_it_looks_for(tmp_path: Path) -> None:
    """A lost answer, a changed one, one asked for again and a damaged store are each counted."""
    total = Measured()
    _compare(
        total,
        {"a": "1", "b": "2", "c": "3"},
        {"a": "1", "b": "changed"},
        {"a": 1, "b": 1, "c": 1},
        {"a": 2, "b": 1, "c": 1},
    )
    assert (total.lost, total.sent_again) == (2, 1)
    (tmp_path / ".bmad").mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "bmad_nb", "compare", "-m", "sim/*", "-n", "30", "What is 1 + 2?"],
        cwd=tmp_path, env=clean_environment(tmp_path / "home"), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert look(tmp_path, tmp_path / "copy").sound
    path = tmp_path / ".bmad" / "bmad.db"
    with contextlib.closing(sqlite3.connect(path)) as merging:  # the damage is to be in this file
        merging.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(path.read_bytes())
    assert len(data) > 4096 * 4
    for page in range(2, len(data) // 4096):
        data[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    path.write_bytes(data)
    (path.with_name("bmad.db-wal")).unlink(missing_ok=True)
    with pytest.raises((sqlite3.DatabaseError, AssertionError)):
        assert look(tmp_path, tmp_path / "copy").sound
