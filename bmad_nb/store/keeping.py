"""Looking after a store: how large it is, whether it is sound, a copy of it, and what may go."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bmad_nb._files import private_file
from bmad_nb.errors import StoreCorrupt, StoreError, UsageProblem
from bmad_nb.events import RunRow
from bmad_nb.store import schema
from bmad_nb.store.journal import Store

_TABLES = ("runs", "calls", "events", "texts", "scores", "wishes", "rollbacks")
_OVER = {"completed", "failed", "cancelled"}


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was removed, or would be."""

    runs: tuple[str, ...]
    """Ids of the runs that went."""
    kept: tuple[str, ...]
    """Ids of runs that would have gone, and that a kept run reads."""
    calls: int
    texts: int
    bytes_before: int
    bytes_after: int


def sizes(store: Store) -> dict[str, Any]:
    """Return the store's path, its bytes on disk, and how many rows each table has."""
    with store.reader() as connection:
        rows = {} if connection is None else {t: _count(connection, t) for t in _TABLES}
    return {"path": str(store.path), "bytes": on_disk(store.path), "rows": rows}


def on_disk(path: Path) -> int:
    """Return the bytes of the file and of the log beside it."""
    beside = [path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")]
    return sum(each.stat().st_size for each in beside if each.exists())


def _count(connection: sqlite3.Connection, table: str) -> int:
    query = f"SELECT count(*) FROM {table}"  # noqa: S608  (own names)
    number: int = connection.execute(query).fetchone()[0]
    return number


def check(store: Store) -> list[str]:
    """Return what is wrong with the store, a sentence each; empty where it is sound.

    Raises:
        StoreCorrupt: it cannot be read at all.
    """
    with store.reader() as connection:
        if connection is None:
            return []
        said = [row[0] for row in connection.execute("PRAGMA integrity_check(20)").fetchall()]
        found = [] if said == ["ok"] else [f"SQLite: {each}" for each in said]
        for query, what in _LOOSE.items():
            many = connection.execute(query).fetchone()[0]
            found += [f"{many} {what}"] if many else []
        if not found:
            found += _unreadable(store, connection)
    return found


_LOOSE = {
    "SELECT count(*) FROM calls WHERE run_id NOT IN (SELECT run_id FROM runs)":
        "calls belong to no run.",
    "SELECT count(*) FROM events WHERE (id >> 32) NOT IN (SELECT number FROM runs)":
        "events belong to no run.",
    "SELECT count(*) FROM calls WHERE text IS NOT NULL AND text NOT IN (SELECT hash FROM texts)":
        "answers are missing.",
    "SELECT count(*) FROM calls WHERE messages IS NOT NULL AND messages NOT IN "
    "(SELECT hash FROM texts)":
        "prompts are missing.",
}  # fmt: skip


def _unreadable(store: Store, connection: sqlite3.Connection) -> list[str]:
    """Return the runs whose events cannot be read back."""
    found = []
    for (run_id,) in connection.execute("SELECT run_id FROM runs").fetchall():
        try:
            store.events(run_id)
        except StoreCorrupt as error:
            found.append(f"Run {run_id} cannot be read: {error.what}")
    return found


def backup(store: Store, to: Path, *, force: bool = False) -> int:
    """Copy the store to another file, one moment of it, while others may write; return its bytes.

    Raises:
        UsageProblem: the file is there already, or there is no store.
        StoreError: it cannot be written.
    """
    if to.resolve() == store.path.resolve():
        raise UsageProblem("The copy would be the store itself.", hint="Name another file.")
    if to.exists() and not force:
        raise UsageProblem(f"{to} is there already.", hint="Add --force to overwrite it.")
    with store.reader() as connection:
        if connection is None:
            raise UsageProblem(f"There is no store yet: {store.path}.")
        try:
            to.parent.mkdir(parents=True, exist_ok=True)
            to.unlink(missing_ok=True)
            private_file(to)
            copy = sqlite3.connect(to)
            try:
                connection.backup(copy)
            finally:
                copy.close()
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"{to} cannot be written: {error}.") from None
    return to.stat().st_size


def prunable(store: Store, runs: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return the runs of these that may go, and those that a run reads which stays.

    A run that goes on from another one reads its answers; a run that is not over stays.
    """
    wanted = set(runs)
    rows: list[RunRow] = store.runs()
    going = {row.run_id for row in rows if row.run_id in wanted and row.status in _OVER}
    read = _readers(store)
    while True:
        held = {old for new, olds in read.items() if new not in going for old in olds}
        if not held & going:
            break
        going -= held
    return ([r.run_id for r in rows if r.run_id in going],
            [r.run_id for r in rows if r.run_id in wanted - going])  # fmt: skip


def _readers(store: Store) -> dict[str, set[str]]:
    """Return by run the other runs whose results it took over."""
    found: dict[str, set[str]] = {}
    with store.reader() as connection:
        if connection is None:
            return {}
        names = dict(connection.execute("SELECT number, run_id FROM runs").fetchall())
        query = "SELECT id >> 32, payload FROM events WHERE kind = 'task_ended'"
        for number, body in connection.execute(query):
            old = _payload(connection, body).get("kept_from")
            if old:
                found.setdefault(names.get(number, ""), set()).add(old)
    return found


def _payload(connection: sqlite3.Connection, body: bytes) -> dict[str, Any]:
    found = schema.text_of(connection, body[1:]) if body[:1] == b"@" else json.loads(body)
    payload: dict[str, Any] = found
    return payload


def prune(store: Store, runs: Sequence[str], *, dry_run: bool = False) -> Pruned:
    """Remove runs that are over, with their prompts and answers, and give the room back.

    Equal requests are asked anew after that. Scores stay: what was learned is not forgotten.

    Args:
        store: the store.
        runs: ids of runs; those that are not over stay.
        dry_run: remove nothing, and say what would go.
    """
    going, kept = prunable(store, runs)
    before = on_disk(store.path)

    def work(writer: sqlite3.Connection) -> tuple[int, int]:
        found = _removed(writer, going)
        if dry_run:
            writer.execute("ROLLBACK")
            writer.execute("BEGIN")
        return found

    calls, texts = store.write(work) if going else (0, 0)
    if going and not dry_run:
        store.compact()
    return Pruned(tuple(going), tuple(kept), calls, texts, before, on_disk(store.path))


def _removed(writer: sqlite3.Connection, runs: Sequence[str]) -> tuple[int, int]:
    """Remove runs and all texts that nobody needs after that; return how many calls and texts."""
    calls = 0
    for run_id in runs:
        query = "SELECT number FROM runs WHERE run_id = ?"
        number = writer.execute(query, (run_id,)).fetchone()[0]
        calls += writer.execute("DELETE FROM calls WHERE run_id = ?", (run_id,)).rowcount
        ends = (schema.before(number), schema.before(number + 1))
        writer.execute("DELETE FROM events WHERE id > ? AND id <= ?", ends)
        writer.execute("DELETE FROM wishes WHERE run_id = ?", (run_id,))
        writer.execute("DELETE FROM runs WHERE number = ?", (number,))
    needed = _needed(writer)
    gone = [(key,) for (key,) in writer.execute("SELECT hash FROM texts") if key not in needed]
    writer.executemany("DELETE FROM texts WHERE hash = ?", gone)
    return calls, len(gone)


def _needed(writer: sqlite3.Connection) -> set[bytes]:
    """Return the hashes of all texts that a row names."""
    found: set[bytes] = set()
    for table, columns in (("calls", schema.TEXT_COLUMNS), ("runs", schema.RUN_TEXTS)):
        for row in writer.execute(f"SELECT {schema.names(columns)} FROM {table}"):  # noqa: S608
            found |= {each for each in row if each is not None}
    for (body,) in writer.execute("SELECT payload FROM events").fetchall():
        if body[:1] == b"@":
            found.add(body[1:])
        if body[:1] == b"@" or b'"apart"' in body:
            apart = _payload(writer, body).get("apart") or {}
            found |= {bytes.fromhex(each) for each in apart.values()}
    return found
