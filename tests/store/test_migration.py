"""A store of version 1 becomes one of the newest, whoever opens it first, and nothing is lost."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bmad_nb.events import CallEnded, CallIntended, CallRow, RunEnded, RunRow, RunStarted
from bmad_nb.messages import Message
from bmad_nb.state import fold
from bmad_nb.store import schema
from bmad_nb.store.journal import Store
from tests.store.writing import call, process, put, running, task

DDL = """
CREATE TABLE runs (
    run_id TEXT PRIMARY KEY, verb TEXT NOT NULL,
    status TEXT NOT NULL
        CHECK (status IN ('running', 'completed', 'paused', 'cancelled', 'failed', 'interrupted')),
    title BLOB, key TEXT, reason TEXT, budget_usd INTEGER, started_utc TEXT, ended_utc TEXT,
    owner TEXT
) WITHOUT ROWID;
CREATE INDEX runs_by_key ON runs (key, started_utc);
CREATE TABLE calls (
    "call_id" TEXT PRIMARY KEY, "run_id" TEXT, "llm" TEXT, "request_key" TEXT,
    "state" TEXT CHECK (state IN ('in_flight', 'answered', 'failed', 'cancelled', 'lost')),
    "model" TEXT, "variant" TEXT, "sample" INTEGER, "case" BLOB, "messages" BLOB,
    "max_tokens" INTEGER, "text" BLOB, "finish_reason" TEXT, "error" BLOB, "error_kind" TEXT,
    "error_hint" BLOB, "score" REAL, "scorer" TEXT, "reference" BLOB, "input_tokens" INTEGER,
    "output_tokens" INTEGER, "cached_input_tokens" INTEGER, "reasoning_tokens" INTEGER,
    "cost_usd" INTEGER, "original_cost_usd" INTEGER, "reserved_usd" INTEGER, "latency_s" REAL,
    "original_latency_s" REAL, "first_token_s" REAL, "price_source" TEXT, "price_as_of" TEXT,
    "billed" TEXT, "from_store" INTEGER, "simulated" INTEGER, "runs_here" INTEGER,
    "started_utc" TEXT, "ended_utc" TEXT
);
CREATE INDEX calls_by_run ON calls (run_id);
CREATE INDEX calls_by_request ON calls (request_key, ended_utc)
    WHERE state = 'answered' AND NOT from_store;
CREATE TABLE texts (hash BLOB PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE events (
    run_id TEXT NOT NULL, seq INTEGER NOT NULL, time_utc TEXT NOT NULL, kind TEXT NOT NULL,
    payload BLOB NOT NULL, PRIMARY KEY (run_id, seq)
) WITHOUT ROWID;
PRAGMA user_version = 1;
"""
T = "2026-01-0{}T00:00:00.000000+00:00"
RUNS = [
    (
        "b",
        "compare",
        "paused",
        b'"one"',
        "k",
        "limit",
        500_000_000_000,
        T.format(1),
        T.format(2),
        "x",
    ),
    ("a", "ask", "completed", b'"two \\ud800"', "k2", "", None, T.format(3), T.format(4), "x"),
    ("c", "ask", "running", b'""', "k3", "", None, T.format(5), "", "gone"),
]
CALLS = [
    CallRow("b-0", "b", "own/x", "key 0", "answered", text="yes \x00", score=0.5, case="ü",
            messages=(Message("user", "Why?"),), input_tokens=3, cost_usd=Decimal("0.25"),
            latency_s=0.5, billed="yes", started_utc=T.format(1), ended_utc=T.format(1)),
    CallRow("b-1", "b", "own/x", "key 1", "failed", error="no", error_kind="RateLimited",
            messages=(Message("user", "How?"),), billed="maybe", started_utc=T.format(1)),
    CallRow("c-0", "c", "own/x", "key 2", "in_flight", messages=(Message("user", "Why?"),)),
]  # fmt: skip
EVENTS = [
    ("b", 1, T.format(1), "run_started", {"owner": "x", "verb": "compare"}),
    ("b", 2, T.format(1), "call_intended", {"call_id": "b-0", "state": "in_flight"}),
    ("b", 3, T.format(1), "call_ended", {"call_id": "b-0", "state": "answered"}),
    ("b", 4, T.format(1), "call_ended", {"call_id": "b-1", "state": "failed"}),
    ("b", 5, T.format(2), "run_ended", {"reason": "limit", "status": "paused"}),
    ("a", 1, T.format(3), "run_started", {"owner": "x", "verb": "ask"}),
    ("a", 2, T.format(4), "run_ended", {"reason": "", "status": "completed"}),
    ("c", 1, T.format(5), "run_started", {"owner": "gone", "verb": "ask"}),
    ("c", 2, T.format(5), "call_intended", {"call_id": "c-0", "state": "in_flight"}),
]


def text(value: object) -> tuple[bytes, bytes]:
    """Return the hash of a text and how version 1 kept it."""
    body = json.dumps(value, separators=(",", ":")).encode()
    return hashlib.sha256(body).digest(), b"j" + body


def old_row(row: CallRow) -> tuple[dict[str, Any], list[tuple[bytes, bytes]]]:
    """Return the columns of a call in version 1, and its texts."""
    values = {f.name: getattr(row, f.name) for f in dataclasses.fields(CallRow)}
    for name in ("task", "attempt", "cache_write_tokens", "price", "waited_s", "tokens"):
        del values[name]
    texts = [text([[m.role, m.text] for m in row.messages])]
    values["messages"] = texts[0][0]
    if row.text is not None:
        texts.append(text(row.text))
        values["text"] = texts[1][0]
    for name in ("case", "error", "error_hint", "reference"):
        values[name] = None if values[name] is None else json.dumps(values[name]).encode()
    cost = values["cost_usd"]
    values["cost_usd"] = None if cost is None else int(cost * 10**12)
    return values, texts


@pytest.fixture
def old(project: Path) -> Path:
    """Give a store of version 1 with runs and calls, as its own code left it."""
    path = project / ".bmad" / "bmad.db"
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as made, made:
        made.execute("PRAGMA journal_mode = WAL")
        made.executescript(DDL)
        made.executemany(f"INSERT INTO runs VALUES ({','.join('?' * 10)})", RUNS)
        for row in CALLS:
            values, texts = old_row(row)
            made.execute(f"INSERT INTO calls VALUES ({','.join('?' * 37)})", list(values.values()))
            made.executemany("INSERT OR IGNORE INTO texts VALUES (?, ?)", texts)
        for run_id, seq, when, kind, payload in EVENTS:
            body = json.dumps(payload, sort_keys=True, separators=(",", ":")).encode()
            made.execute(
                "INSERT INTO events VALUES (?, ?, ?, ?, ?)", (run_id, seq, when, kind, body)
            )
    path.with_name("bmad.db.lock").write_text("made\n")
    return path


@pytest.fixture
def store(old: Path) -> Any:
    """Give the old store, opened by this version."""
    made = Store(old)
    yield made
    made.close()


def version(path: Path) -> int:
    """Return the format of a file."""
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


@pytest.mark.parametrize(
    "opens",
    [
        lambda store: store.runs(),
        lambda store: store.calls(),
        lambda store: store.stored("key 0"),
        lambda store: store.unfinished("k"),
        lambda store: store.events("b"),
        lambda store: store.sums(),
        lambda store: put(store, running(store, "new")),
    ],
    ids=["runs", "calls", "stored", "unfinished", "events", "sums", "commit"],
)
def test_whoever_opens_it_first_migrates_it(store: Store, opens: Callable[[Store], Any]) -> None:
    """A reader as well as a writer makes the newest version of it, once."""
    assert 1 == version(store.path)
    opens(store)
    assert schema.VERSION == version(store.path)
    opens_again = Store(store.path)
    assert {"a", "b", "c"} <= {run.run_id for run in opens_again.runs()}
    opens_again.close()


def test_runs_and_calls_are_as_they_were(store: Store) -> None:
    """All columns come back; what version 1 did not have is at its default."""
    lost = dataclasses.replace(CALLS[2], state="lost", billed="maybe")
    assert [*CALLS[:2], lost] == store.calls()
    runs = store.runs()
    assert [("b", "paused", "one"), ("a", "completed", "two \ud800"), ("c", "interrupted", "")] == [
        (run.run_id, run.status, run.title) for run in runs
    ]
    assert {(0, "", None, None, None)} == {
        (run.fence, run.workflow, run.definition, run.inputs, run.options) for run in runs
    }
    assert (Decimal("0.5"), "limit", "k") == (runs[0].budget_usd, runs[0].reason, runs[0].key)


def test_its_events_come_back_typed(store: Store) -> None:
    """Payloads of version 1 are read as the events that they were."""
    told = [each.event for each in store.events("b")]
    run = RunRow("b", "compare", "running", title="one", key="k", budget_usd=Decimal("0.5"),
                 started_utc=T.format(1), owner="x")  # fmt: skip
    intended = dataclasses.replace(
        CALLS[0], state="in_flight", text=None, score=None, input_tokens=None, cost_usd=None,
        latency_s=None, billed="no", ended_utc="",
    )  # fmt: skip
    assert [
        RunStarted(run), CallIntended(intended), CallEnded(CALLS[0]), CallEnded(CALLS[1]),
        RunEnded("b", "paused", "limit"),
    ] == told  # fmt: skip
    assert [(n, when) for _, n, when, *_ in EVENTS[:5]] == [e[:2] for e in store.events("b")]
    assert [CallIntended(CALLS[2])] == [e.event for e in store.events("c", after=1)]
    assert "completed" == fold(e.event for e in store.events("a")).status


def test_a_paused_run_of_version_1_goes_on(store: Store) -> None:
    """It is found as unfinished, taken up with fence 1, and its events are numbered on."""
    found = store.unfinished("k")
    assert found is not None
    assert ("b", 0) == (found.run_id, found.fence)
    again = dataclasses.replace(
        found, status="running", fence=1, owner=store.owner_name(), reason="", ended_utc=""
    )
    put(store, RunStarted(again), CallEnded(call(7, "b")), task(0, "b"))
    put(store, RunEnded("b", "completed"))
    assert list(range(1, 10)) == [each.seq for each in store.events("b")]
    assert ["b-0", "b-1", "b-7"] == [row.call_id for row in store.calls("b")]
    assert "completed" == store.run("b").status


def test_its_answers_serve_and_new_runs_are_written(store: Store) -> None:
    """A stored answer of version 1 is found; new runs get numbers of their own."""
    assert CALLS[0] == store.stored("key 0")
    put(store, running(store, "new"), CallEnded(call(0, "new", text="yes \x00")))
    assert [1, 2] == [each.seq for each in store.events("new")]
    assert [1, 2] == [each.seq for each in store.events("a")]
    assert 4 == len(store.runs())


def test_both_versions_have_the_same_columns(store: Store) -> None:
    """A migrated file and a new one have the same tables and columns, in the same order."""
    store.runs()
    new = Store(store.path.with_name("new.db"))
    put(new, running(new))

    def shape(path: Path) -> dict[str, list[str]]:
        with closing(sqlite3.connect(path)) as connection:
            tables = connection.execute("SELECT name FROM sqlite_master WHERE sql IS NOT NULL")
            names = sorted(name for (name,) in tables)
            return {
                name: [row[1] for row in connection.execute(f"PRAGMA table_info({name})")]
                for name in names
            }

    assert shape(new.path) == shape(store.path)
    assert {"runs", "runs_by_key", "calls", "calls_by_run", "events", "texts"} <= set(
        shape(new.path)
    )
    new.close()


def test_two_processes_migrate_it_once(old: Path) -> None:
    """Processes that open it at the same moment all read the same runs."""
    script = (
        "sys.stdin.readline()\nprint(len(store.runs()), len(store.calls()), store.run('b').title)\n"
    )
    several = [process(script, old) for _ in range(3)]
    for each in several:
        assert each.stdin is not None
        each.stdin.write("go\n")
        each.stdin.flush()
    for each in several:
        out, complaint = each.communicate(timeout=60)
        assert "3 3 one\n" == out, complaint
    assert schema.VERSION == version(old)


def test_a_migration_that_fails_leaves_version_1(old: Path) -> None:
    """When the disk is full in the midst of it, the file is as it was, and goes on later."""
    script = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
size = store.path.stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, size // 2))
try:
    store.runs()
except StoreError as error:
    print(type(error).__name__)
"""
    with process(script, old) as failing:
        out, complaint = failing.communicate(timeout=60)
    assert "StoreError\n" == out, complaint
    assert 1 == version(old)
    store = Store(old)
    assert 3 == len(store.runs())
    store.close()
