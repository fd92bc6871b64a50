"""How runs and calls are spelled in SQLite: the tables, and the way of each value in and out."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sqlite3
import zlib
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from bmad_nb.errors import StoreCorrupt
from bmad_nb.events import CallRow, RunRow
from bmad_nb.messages import Message, canonical_json
from bmad_nb.secrets import redact

VERSION = 1
"""Format of the file; a newer one is refused."""
PICO = Decimal(10) ** 12
"""Money is kept as whole picodollars: exact, and summed by SQL."""

CALL_COLUMNS = tuple(f.name for f in dataclasses.fields(CallRow))
RUN_COLUMNS = tuple(f.name for f in dataclasses.fields(RunRow))
TEXT_COLUMNS = ("messages", "text")
"""Kept in a table of their own, so that tables and charts never read them."""
_MONEY = ("cost_usd", "original_cost_usd", "reserved_usd")
_FLAGS = ("from_store", "simulated", "runs_here")
_JSON = ("case", "error", "error_hint", "reference")
"""Foreign text: JSON in ASCII keeps NUL and lone surrogates, which SQLite's text does not."""
_TYPES = {
    **dict.fromkeys((*_MONEY, *_FLAGS, "sample", "max_tokens"), "INTEGER"),
    **dict.fromkeys(
        ("input_tokens", "output_tokens", "cached_input_tokens", "reasoning_tokens"), "INTEGER"
    ),
    **dict.fromkeys(("score", "latency_s", "original_latency_s", "first_token_s"), "REAL"),
    **dict.fromkeys((*TEXT_COLUMNS, *_JSON), "BLOB"),
    "call_id": "TEXT PRIMARY KEY",
    "state": "TEXT CHECK (state IN ('in_flight', 'answered', 'failed', 'cancelled', 'lost'))",
}


def names(columns: Iterable[str]) -> str:
    """Return columns as SQL names them."""
    return ", ".join(f'"{c}"' for c in columns)


TABLES = f"""
CREATE TABLE runs (
    run_id TEXT PRIMARY KEY, verb TEXT NOT NULL,
    status TEXT NOT NULL
        CHECK (status IN ('running', 'completed', 'paused', 'cancelled', 'failed', 'interrupted')),
    title BLOB, key TEXT, reason TEXT, budget_usd INTEGER, started_utc TEXT, ended_utc TEXT,
    owner TEXT
) WITHOUT ROWID;
CREATE INDEX runs_by_key ON runs (key, started_utc);
CREATE TABLE calls ({", ".join(f'"{c}" {_TYPES.get(c, "TEXT")}' for c in CALL_COLUMNS)});
CREATE INDEX calls_by_run ON calls (run_id);
CREATE INDEX calls_by_request ON calls (request_key, ended_utc)
    WHERE state = 'answered' AND NOT from_store;
CREATE TABLE texts (hash BLOB PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE events (
    run_id TEXT NOT NULL, seq INTEGER NOT NULL, time_utc TEXT NOT NULL, kind TEXT NOT NULL,
    payload BLOB NOT NULL, PRIMARY KEY (run_id, seq)
) WITHOUT ROWID;
PRAGMA user_version = {VERSION};
"""
KEEP_RUN = (
    f"INSERT OR REPLACE INTO runs ({names(RUN_COLUMNS)}) "  # noqa: S608  (own names)
    f"VALUES ({', '.join('?' * len(RUN_COLUMNS))})"
)
KEEP_CALL = (
    f"INSERT INTO calls VALUES ({', '.join('?' * len(CALL_COLUMNS))}) "  # noqa: S608
    "ON CONFLICT (call_id) DO UPDATE SET "
    + ", ".join(f'"{c}" = excluded."{c}"' for c in CALL_COLUMNS if c != "call_id")
)
KEEP_EVENT = (
    "INSERT INTO events SELECT ?, coalesce(max(seq), 0) + 1, ?, ?, ? FROM events WHERE run_id = ?"
)
SELECT_CALLS = f"SELECT {names(CALL_COLUMNS)} FROM calls"  # noqa: S608
SELECT_RUNS = f"SELECT {names(RUN_COLUMNS)} FROM runs"  # noqa: S608


def keep_run(writer: sqlite3.Connection, run: RunRow) -> None:
    """Insert a run, or put it in the place of the row with its id."""
    title = canonical_json(redact(run.title))
    row = [title if c == "title" else _plain(getattr(run, c)) for c in RUN_COLUMNS]
    writer.execute(KEEP_RUN, row)


def keep_call(writer: sqlite3.Connection, call: CallRow) -> None:
    """Insert a call and its texts, or put it in the place of the row with its id."""
    values: dict[str, Any] = {c: getattr(call, c) for c in CALL_COLUMNS}
    values["messages"] = _keep_text(writer, [[m.role, redact(m.text)] for m in call.messages])
    if call.text is not None:
        values["text"] = _keep_text(writer, redact(call.text))
    for column in _JSON:
        if values[column] is not None:
            values[column] = canonical_json(redact(values[column]))
    writer.execute(KEEP_CALL, [_plain(v) for v in values.values()])


def run_of(row: tuple[Any, ...]) -> RunRow:
    """Return the run that a row of `SELECT_RUNS` spells."""
    values = dict(zip(RUN_COLUMNS, row, strict=True))
    values["budget_usd"] = _money(values["budget_usd"])
    values["title"] = json.loads(values["title"] or '""')
    return RunRow(**values)


def call_of(connection: sqlite3.Connection, row: tuple[Any, ...]) -> CallRow:
    """Return the call that a row of `SELECT_CALLS` spells, with its texts."""
    values = dict(zip(CALL_COLUMNS, row, strict=True))
    for column in _MONEY:
        values[column] = _money(values[column])
    for column in _FLAGS:
        values[column] = bool(values[column])
    for column in _JSON:
        values[column] = None if values[column] is None else json.loads(values[column])
    messages = _text(connection, values["messages"]) or []
    values["messages"] = tuple(Message(role, text) for role, text in messages)
    values["text"] = _text(connection, values["text"])
    return CallRow(**values)


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int((value * PICO).to_integral_value(rounding="ROUND_CEILING"))
    return int(value) if isinstance(value, bool) else value


def _money(pico: int | None) -> Decimal | None:
    return None if pico is None else Decimal(pico) / PICO


def _keep_text(writer: sqlite3.Connection, value: Any) -> bytes:
    """Store a JSON value once, under its hash; long ones are compressed."""
    body = canonical_json(value)
    digest = hashlib.sha256(body).digest()
    packed = b"z" + zlib.compress(body, 1) if len(body) > 65_536 else b"j" + body
    writer.execute("INSERT OR IGNORE INTO texts VALUES (?, ?)", (digest, packed))
    return digest


def _text(connection: sqlite3.Connection, digest: bytes | None) -> Any:
    if digest is None:
        return None
    row = connection.execute("SELECT body FROM texts WHERE hash = ?", (digest,)).fetchone()
    if row is None:
        raise StoreCorrupt("A text is missing from the store.", hint="Run: bmad doctor")
    body = zlib.decompress(row[0][1:]) if row[0][:1] == b"z" else row[0][1:]
    return json.loads(body)
