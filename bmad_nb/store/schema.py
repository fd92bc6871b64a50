"""How runs and calls are spelled in SQLite: the tables, and the way of each value in and out."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import operator
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any

from bmad_nb.errors import StoreCorrupt
from bmad_nb.events import CallRow, RunRow, Wish
from bmad_nb.messages import Image, Message, Token
from bmad_nb.secrets import redact

VERSION = 3
"""Format of the file; a newer one is refused."""
PICO = Decimal(10) ** 12
"""Money is kept as whole picodollars: exact, and summed by SQL."""

CALL_COLUMNS = tuple(f.name for f in dataclasses.fields(CallRow))
RUN_COLUMNS = tuple(f.name for f in dataclasses.fields(RunRow))
TEXT_COLUMNS = ("messages", "text", "tokens")
"""Kept in a table of their own, so that tables and charts never read them."""
OUTCOME = (
    "state", "text", "finish_reason", "error", "error_kind", "error_hint", "score", "scorer",
    "input_tokens", "output_tokens", "cached_input_tokens", "reasoning_tokens", "cost_usd",
    "original_cost_usd", "latency_s", "original_latency_s", "first_token_s", "billed",
    "from_store", "ended_utc", "cache_write_tokens", "tokens",
)  # fmt: skip
"""What a call's outcome adds to its intent; all else stays as it was intended."""
RUN_TEXTS = ("definition", "inputs", "options")
"""Columns of a run that are JSON values in the table of texts."""
_MONEY = ("cost_usd", "original_cost_usd", "reserved_usd", "budget_usd")
_FLAGS = ("from_store", "simulated", "runs_here")
_REALS = ("score", "latency_s", "original_latency_s", "first_token_s", "waited_s")
_JSON = ("case", "error", "error_hint", "reference", "title")
"""Foreign text: JSON in ASCII keeps NUL and lone surrogates, which SQLite's text does not."""
_TYPES = {
    **dict.fromkeys((*_MONEY, *_FLAGS, "sample", "max_tokens"), "INTEGER"),
    **dict.fromkeys(
        (
            "input_tokens",
            "output_tokens",
            "cached_input_tokens",
            "reasoning_tokens",
            "cache_write_tokens",
        ),
        "INTEGER",
    ),
    "price": "BLOB",
    **dict.fromkeys(_REALS, "REAL"),
    **dict.fromkeys((*TEXT_COLUMNS, *_JSON), "BLOB"),
    "call_id": "TEXT PRIMARY KEY",
    "state": "TEXT CHECK (state IN ('in_flight', 'answered', 'failed', 'cancelled', 'lost'))",
    "task": "TEXT NOT NULL DEFAULT ''",
    "attempt": "INTEGER NOT NULL DEFAULT 1",
}


def names(columns: Iterable[str], form: str = "{}") -> str:
    """Return columns as SQL names them, each in a form such as `{} = ?`."""
    return ", ".join(form.replace("{}", f'"{c}"') for c in columns)


_RUNS = """
CREATE TABLE runs (
    number INTEGER PRIMARY KEY, run_id TEXT NOT NULL UNIQUE, verb TEXT NOT NULL,
    status TEXT NOT NULL
        CHECK (status IN ('running', 'completed', 'paused', 'cancelled', 'failed', 'interrupted')),
    title BLOB, key TEXT, reason TEXT, budget_usd INTEGER, started_utc TEXT, ended_utc TEXT,
    owner TEXT, fence INTEGER NOT NULL DEFAULT 0, workflow TEXT NOT NULL DEFAULT '',
    definition BLOB, inputs BLOB, options BLOB
);
CREATE INDEX runs_by_key ON runs (key, started_utc);
"""
_LEGAL = """
CREATE TRIGGER legal_status BEFORE UPDATE OF status ON runs
WHEN NEW.status <> OLD.status AND NOT (
    (OLD.status = 'running' AND NEW.status IN ('completed', 'paused', 'cancelled', 'failed'))
    OR (OLD.status = 'paused' AND NEW.status IN ('running', 'cancelled'))
)
BEGIN SELECT RAISE(ABORT, 'a run cannot become that'); END;
CREATE TRIGGER begins_running BEFORE INSERT ON runs WHEN NEW.status <> 'running'
BEGIN SELECT RAISE(ABORT, 'a run begins running'); END;
"""
"""What a run may become: an `interrupted` one is one that says running and whose owner is gone."""
_WISHES = """
CREATE TABLE wishes (
    id INTEGER PRIMARY KEY, run_id TEXT NOT NULL, kind TEXT NOT NULL
        CHECK (kind IN ('pause', 'cancel', 'answer')),
    payload BLOB NOT NULL, by TEXT NOT NULL, time_utc TEXT NOT NULL, seen_utc TEXT
);
CREATE INDEX wishes_by_run ON wishes (run_id, id);
"""
"""What other processes want of a run; the one that runs it sees and obeys."""
_EVENTS = """
CREATE TABLE events (
    id INTEGER PRIMARY KEY, time_utc TEXT NOT NULL, kind TEXT NOT NULL, payload BLOB NOT NULL
);
"""
"""The id is the number of the run and that of the event in it, see `before`: one small key."""
_SCORES = """
CREATE TABLE scores (
    number INTEGER PRIMARY KEY, run_id TEXT NOT NULL, call_id TEXT NOT NULL,
    request_key TEXT NOT NULL, llm TEXT NOT NULL, scorer BLOB NOT NULL,
    source TEXT NOT NULL CHECK (source IN ('check', 'judge', 'human')),
    value REAL NOT NULL CHECK (value BETWEEN 0 AND 1), key TEXT NOT NULL, variant TEXT NOT NULL,
    task_type TEXT NOT NULL, n INTEGER NOT NULL, low REAL, high REAL, explanation BLOB NOT NULL,
    simulated INTEGER NOT NULL, counts INTEGER NOT NULL, time_utc TEXT NOT NULL
);
CREATE INDEX scores_by_run ON scores (run_id);
CREATE UNIQUE INDEX scored_once ON scores (call_id, key) WHERE source <> 'human';
CREATE TABLE rollbacks (
    number INTEGER PRIMARY KEY, after INTEGER NOT NULL, until INTEGER NOT NULL,
    time_utc TEXT NOT NULL
);
"""
"""A score's number is a version; a rollback leaves out those behind `after` up to `until`."""
TABLES = f"""
{_RUNS} {_EVENTS} {_LEGAL} {_WISHES} {_SCORES}
CREATE TABLE calls ({", ".join(f'"{c}" {_TYPES.get(c, "TEXT")}' for c in CALL_COLUMNS)});
CREATE INDEX calls_by_run ON calls (run_id);
CREATE INDEX calls_by_request ON calls (request_key, ended_utc)
    WHERE state = 'answered' AND NOT from_store;
CREATE TABLE texts (hash BLOB PRIMARY KEY, body BLOB NOT NULL);
PRAGMA user_version = {VERSION};
"""
_RUNS_1 = names(c for c in RUN_COLUMNS if c not in {"fence", "workflow", *RUN_TEXTS})
MIGRATIONS = {
    1: f"""
ALTER TABLE runs RENAME TO runs_1;
ALTER TABLE events RENAME TO events_1;
DROP INDEX runs_by_key;
{_RUNS} {_EVENTS}
INSERT INTO runs ({_RUNS_1}) SELECT {_RUNS_1} FROM runs_1 ORDER BY started_utc, run_id;
INSERT INTO events SELECT (number << 32) + seq, time_utc, kind, payload
    FROM events_1 JOIN runs USING (run_id);
DROP TABLE runs_1;
DROP TABLE events_1;
{_LEGAL} {_WISHES}
ALTER TABLE calls ADD COLUMN task TEXT NOT NULL DEFAULT '';
ALTER TABLE calls ADD COLUMN attempt INTEGER NOT NULL DEFAULT 1;
ALTER TABLE calls ADD COLUMN cache_write_tokens INTEGER;
ALTER TABLE calls ADD COLUMN price BLOB;
ALTER TABLE calls ADD COLUMN waited_s REAL;
ALTER TABLE calls ADD COLUMN tokens BLOB;
PRAGMA user_version = 2;
""",  # noqa: S608  (own names, here and below)
    2: f"{_SCORES} PRAGMA user_version = 3;",
}
"""What makes the next version of each older one."""
KEEP_RUN = (
    f"INSERT INTO runs ({names(RUN_COLUMNS)}) VALUES ({', '.join('?' * len(RUN_COLUMNS))}) "  # noqa: S608
    f"ON CONFLICT (run_id) DO UPDATE SET {names(RUN_COLUMNS, '{} = excluded.{}')}"
)
FORGET_STOPS = (
    "UPDATE wishes SET seen_utc = ? WHERE run_id = ? AND kind <> 'answer' AND seen_utc IS NULL"
)
"""Wishes to stop that came too late do not stop the run when it goes on."""
END_RUN = "UPDATE runs SET status = ?, reason = ?, ended_utc = ? WHERE number = ?"
KEEP_CALL = (
    f"INSERT INTO calls ({names(CALL_COLUMNS)}) VALUES ({', '.join('?' * len(CALL_COLUMNS))})"  # noqa: S608
)
KEEP_OUTCOME = f"UPDATE calls SET {names(OUTCOME, '{} = ?')} WHERE call_id = ?"  # noqa: S608
KEEP_TEXT = "INSERT OR IGNORE INTO texts VALUES (?, ?)"
KEEP_EVENT = "INSERT INTO events VALUES (?, ?, ?, ?)"
SELECT_CALLS = f"SELECT {names(CALL_COLUMNS)} FROM calls"  # noqa: S608
SELECT_RUNS = f"SELECT {names(RUN_COLUMNS)} FROM runs"  # noqa: S608
SUMS = ("calls", "from_store", "failed", "maybe_billed", "in_flight", "cost_usd",
        "simulated_cost_usd", "unpriced_calls")  # fmt: skip
SUM_CALLS = """
SELECT run_id, sum(NOT from_store), sum(from_store), sum(state = 'failed'), sum(billed = 'maybe'),
    sum(state = 'in_flight'), total(iif(simulated, 0, cost_usd)) / 1e12,
    total(iif(simulated, cost_usd, 0)) / 1e12,
    sum(NOT from_store AND state = 'answered' AND cost_usd IS NULL)
FROM calls GROUP BY run_id
"""
"""Per run, what `SUMS` names."""


def before(number: int) -> int:
    """Return the id before that of the first event of the run with this number."""
    return number << 32


# --- on the way in ------------------------------------------------------------------------------


_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
"""Not `canonical_json`: a workflow's tasks and a result's fields come back in their order."""


def spell(value: Any, *, names_are_ours: bool = False) -> bytes:
    """Return a JSON value as ASCII JSON, with every known key taken out of its strings.

    Args:
        value: the value.
        names_are_ours: leave the names on top of a mapping as they are.

    Raises:
        ValueError: it holds NaN or an infinity.
        TypeError: it holds something that is no JSON value.
    """
    text = _encode(value)
    if "\\" in text or redact(text) != text:  # else strings stand in it as they are, without a key
        if names_are_ours:
            text = _encode({name: _redacted(each) for name, each in value.items()})
        else:
            text = _encode(_redacted(value))
    return text.encode()


def _redacted(value: Any) -> Any:
    """Return a JSON value without keys in its strings; its numbers and its shape stay."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {redact(k) if isinstance(k, str) else k: _redacted(v) for k, v in value.items()}
    return [_redacted(v) for v in value] if isinstance(value, list | tuple) else value


def _pico(value: Decimal) -> int:
    return int((value * PICO).to_integral_value(rounding="ROUND_CEILING"))


def _real(value: float) -> float:
    if math.isnan(value):
        raise ValueError("NaN is no number, and SQLite would keep it as missing")
    return value


def _json(value: str) -> bytes:
    return spell(value) if value else b'""'


def _tokens(tokens: Sequence[Token]) -> list[Any] | None:
    return [[each.text, each.logprob, each.others] for each in tokens] or None


_SPELLING: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(_MONEY, _pico),
    **dict.fromkeys(_REALS, _real),
    **dict.fromkeys(_JSON, _json),
    "price": spell,
    "tokens": _tokens,
}


class _Row:
    """Takes columns out of a row as SQLite takes them."""

    def __init__(self, columns: Sequence[str], texts: Sequence[str]) -> None:
        self._get = operator.attrgetter(*columns)
        self._odd = [(n, _SPELLING[c]) for n, c in enumerate(columns) if c in _SPELLING]
        self._texts = [n for n, c in enumerate(columns) if c in texts]

    def __call__(self, writer: sqlite3.Connection, row: object) -> list[Any]:
        values = list(self._get(row))
        for n, spelled in self._odd:
            if values[n] is not None:
                values[n] = spelled(values[n])
        for n in self._texts:
            if values[n] is not None:
                values[n] = keep_text(writer, spell(values[n]))
        return values


_of_run = _Row(RUN_COLUMNS, RUN_TEXTS)
_of_call = _Row(CALL_COLUMNS, ("text", "tokens"))
_of_outcome = _Row(OUTCOME, ("text", "tokens"))
_MESSAGES = CALL_COLUMNS.index("messages")


def keep_run(writer: sqlite3.Connection, run: RunRow) -> int:
    """Insert a run, or put it in the place of the row with its id; return its number."""
    writer.execute(KEEP_RUN, _of_run(writer, run))
    query = "SELECT number FROM runs WHERE run_id = ?"
    number: int = writer.execute(query, (run.run_id,)).fetchone()[0]
    return number


def keep_call(writer: sqlite3.Connection, call: CallRow) -> None:
    """Insert a call and its texts."""
    values = _of_call(writer, call)
    messages = [[m.role, m.text, *map(_noted, m.images)] for m in call.messages]
    values[_MESSAGES] = keep_text(writer, spell(messages))
    writer.execute(KEEP_CALL, values)


def _noted(image: Image) -> list[str]:
    """Return what is kept of a picture: enough to tell it from others, not to show it."""
    return [image.media_type, image.digest]


def keep_outcome(writer: sqlite3.Connection, call: CallRow) -> None:
    """Add the outcome of a call to its intent, or insert the whole of one that had no intent."""
    values = [*_of_outcome(writer, call), call.call_id]
    if not writer.execute(KEEP_OUTCOME, values).rowcount:
        keep_call(writer, call)


def keep_wish(
    writer: sqlite3.Connection, run_id: str, kind: str, payload: Any, *, by: str, when: str
) -> int:
    """Insert what is wanted of a run; return its number."""
    values = (run_id, kind, spell(payload), by, when)
    query = "INSERT INTO wishes (run_id, kind, payload, by, time_utc) VALUES (?, ?, ?, ?, ?)"
    number = writer.execute(query, values).lastrowid
    return number or 0


def wishes_in(connection: sqlite3.Connection, where: str, values: tuple[Any, ...]) -> list[Wish]:
    """Return the wishes that a condition selects, in their order."""
    query = f"SELECT id, run_id, kind, payload, by, seen_utc FROM wishes WHERE {where} ORDER BY id"  # noqa: S608
    return [
        Wish(number, run_id, kind, json.loads(payload), by, seen or "")
        for number, run_id, kind, payload, by, seen in connection.execute(query, values).fetchall()
    ]


def keep_text(writer: sqlite3.Connection, body: bytes) -> bytes:
    """Store a JSON text once, a long one compressed; return its hash."""
    digest = hashlib.sha256(body).digest()
    packed = b"z" + zlib.compress(body, 1) if len(body) > 65_536 else b"j" + body
    writer.execute(KEEP_TEXT, (digest, packed))
    return digest


# --- on the way out -----------------------------------------------------------------------------


def run_of(row: tuple[Any, ...], connection: sqlite3.Connection | None = None) -> RunRow:
    """Return the run that a row of `SELECT_RUNS` spells, its texts only through a connection."""
    values = dict(zip(RUN_COLUMNS, row, strict=True))
    values["budget_usd"] = money(values["budget_usd"])
    values["title"] = json.loads(values["title"] or '""')
    for column in RUN_TEXTS:
        values[column] = text_of(connection, values[column]) if connection else None
    return RunRow(**values)


def call_of(connection: sqlite3.Connection, row: tuple[Any, ...]) -> CallRow:
    """Return the call that a row of `SELECT_CALLS` spells, with its texts."""
    values = dict(zip(CALL_COLUMNS, row, strict=True))
    for column in _MONEY:
        if column in values:
            values[column] = money(values[column])
    for column in _FLAGS:
        values[column] = bool(values[column])
    for column in _JSON:
        if values.get(column) is not None:
            values[column] = json.loads(values[column])
    messages = text_of(connection, values["messages"]) or []
    values["messages"] = tuple(
        Message(role, text, tuple(Image(kind, b"", digest) for kind, digest in images))
        for role, text, *images in messages
    )
    values["text"] = text_of(connection, values["text"])
    values["price"] = json.loads(values["price"] or "null")
    tokens = text_of(connection, values["tokens"]) or []
    values["tokens"] = tuple(
        Token(text, logprob, tuple((other, at) for other, at in others))
        for text, logprob, others in tokens
    )
    return CallRow(**values)


def text_of(connection: sqlite3.Connection, digest: bytes | None) -> Any:
    """Return the JSON value with this hash.

    Raises:
        StoreCorrupt: it is not there.
    """
    if digest is None:
        return None
    row = connection.execute("SELECT body FROM texts WHERE hash = ?", (digest,)).fetchone()
    if row is None:
        raise StoreCorrupt("A text is missing from the store.", hint="Run: bmad doctor")
    body = zlib.decompress(row[0][1:]) if row[0][:1] == b"z" else row[0][1:]
    return json.loads(body)


def money(pico: int | None) -> Decimal | None:
    """Return US dollars of whole picodollars; None stays None."""
    return None if pico is None else Decimal(pico) / PICO
