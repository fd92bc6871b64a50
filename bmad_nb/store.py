"""The store: one SQLite file that holds every run, call and answer, and survives kill -9.

Writers: one connection per process, on the engine's loop; all coroutines that become ready
together share one commit. A `flock` lock stands around each write, each checkpoint, and each
opening and closing of a connection, readers' too: SQLite before 3.51.3 can corrupt a WAL that two
processes checkpoint at once. Texts are kept apart from the columns that tables and charts read.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

from bmad_nb import schema
from bmad_nb._files import (
    FileLock,
    Owner,
    network_filesystem,
    owner_lives,
    private_file,
    private_folder,
)
from bmad_nb.errors import RunBusy, StoreCorrupt, StoreError, StoreTooNew, UnknownRun
from bmad_nb.events import CallRow, Event, RunEnded, RunRow, RunStarted
from bmad_nb.messages import canonical_json

_abandoned: list[sqlite3.Connection] = []


def now_utc() -> str:
    """Return the time as ISO text with microseconds, in UTC."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds")


class Store:
    """A store file and this process's way into it; usable from any thread.

    Args:
        path: the file; it and its folder are made when first written, private to the user.
        sync: `normal` survives kill -9; `full` survives loss of power too, at ten times the wait.
    """

    def __init__(self, path: Path, *, sync: Literal["normal", "full"] = "normal") -> None:
        """Open nothing yet."""
        self.path = path
        self._sync = sync
        self._lock = FileLock(path.with_name(path.name + ".lock"))
        self._owners = path.with_name("owners")
        self._owner: Owner | None = None
        self._writer: sqlite3.Connection | None = None
        self._writes = 0
        self._batch: list[Event] = []
        self._batch_done: asyncio.Future[None] | None = None
        self._flushing: asyncio.Task[None] | None = None
        self._opening = threading.Lock()

    # --- the journal: used on the engine's loop -----------------------------------------------

    async def commit(self, *events: Event) -> None:
        """Return once `events` are durable; calls of one turn of the loop share one commit.

        Raises:
            StoreError: the batch could not be written; nothing of it was.
        """
        loop = asyncio.get_running_loop()
        self._batch.extend(events)
        if self._batch_done is None:
            self._batch_done = loop.create_future()
            self._batch_done.add_done_callback(lambda done: done.exception())
        done = self._batch_done
        if self._flushing is None or self._flushing.done():
            self._flushing = loop.create_task(self._flush())
        await asyncio.shield(done)

    async def _flush(self) -> None:
        while self._batch:
            try:
                await self._acquire()
                try:
                    batch, self._batch = self._batch, []
                    self._write(batch)
                finally:
                    self._lock.release()
            except StoreError as error:
                self._settle(error)
            except Exception as error:  # noqa: BLE001  (whatever it is, somebody waits for it)
                self._settle(self._unwritable(error))
            else:
                self._settle(None)

    async def _acquire(self) -> None:
        if self._writer is None:
            private_folder(self.path.parent)
        waited_s = 0.0
        while not self._lock.try_acquire():
            waited_s += 0.002
            if waited_s > self._lock.timeout_s:
                raise self._lock.locked_out()
            await asyncio.sleep(0.002)

    def _unwritable(self, error: Exception) -> StoreError:
        return StoreError(
            f"The store {self.path} cannot take a value: {type(error).__name__}: {error}.",
            hint="That is a defect of bmad_nb or of an LLM of yours; nothing of it was written.",
        )

    def _settle(self, error: StoreError | None) -> None:
        done, self._batch_done = self._batch_done, None
        if done is None or done.done():
            return
        if error is None:
            done.set_result(None)
        else:
            self._batch.clear()
            done.set_exception(error)

    def stored(self, request_key: str) -> CallRow | None:
        """Return the newest answered call with this request key, or None."""
        if self._writer is None and not self.path.exists():
            return None
        with self._typed_errors():
            writer = self._writer or self._open_writer_locked()
            row = writer.execute(
                f"{schema.SELECT_CALLS} WHERE request_key = ? AND state = 'answered' "
                "AND NOT from_store ORDER BY ended_utc DESC LIMIT 1",
                (request_key,),
            ).fetchone()
            return schema.call_of(writer, row) if row else None

    def unfinished(self, key: str) -> RunRow | None:
        """Return the newest run with this key that can go on: paused, or its process is gone."""
        open_ones = "WHERE key = ? AND status IN ('running', 'paused', 'interrupted')"
        with self.reader() as connection:
            runs = self._runs_in(connection, open_ones, key) if connection else []
        stopped = [r for r in runs if r.status in {"paused", "interrupted"}]
        return stopped[-1] if stopped else None

    def owner_name(self) -> str:
        """Return the name under which this process owns its runs."""
        if self._owner is not None and not self._owner.is_ours:
            self._abandon()
        if self._owner is None:
            private_folder(self.path.parent)
            self._owner = Owner(self._owners)
        return self._owner.name

    # --- writing --------------------------------------------------------------------------------

    def _write(self, batch: list[Event]) -> None:
        with self._typed_errors():
            writer = self._writer or self._open(write=True)
            self._writer = writer
            try:
                writer.execute("BEGIN IMMEDIATE")
                for event in batch:
                    self._apply(writer, event)
                writer.execute("COMMIT")
            except BaseException:
                if writer.in_transaction:
                    writer.execute("ROLLBACK")
                raise
            self._writes += len(batch)
            if self._writes >= 2000:  # under the lock, so that no other process checkpoints too
                self._writes = 0
                writer.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def _apply(self, writer: sqlite3.Connection, event: Event) -> None:
        if isinstance(event, RunStarted):
            self._claim(writer, event.run)
            schema.keep_run(writer, event.run)
            run_id, payload = event.run.run_id, {"verb": event.run.verb, "owner": event.run.owner}
        elif isinstance(event, RunEnded):
            writer.execute(
                "UPDATE runs SET status = ?, reason = ?, ended_utc = ? WHERE run_id = ?",
                (event.status, event.reason, now_utc(), event.run_id),
            )
            run_id, payload = event.run_id, {"status": event.status, "reason": event.reason}
        else:
            schema.keep_call(writer, event.call)
            run_id = event.call.run_id
            payload = {"call_id": event.call.call_id, "state": event.call.state}
        when = now_utc()
        writer.execute(
            schema.KEEP_EVENT, (run_id, when, event.kind, canonical_json(payload), run_id)
        )

    def _claim(self, writer: sqlite3.Connection, run: RunRow) -> None:
        """Refuse a run that a living process has taken up since it was looked at."""
        query = f"{schema.SELECT_RUNS} WHERE run_id = ? AND status = 'running'"
        row = writer.execute(query, (run.run_id,)).fetchone()
        owner = schema.run_of(row).owner if row else run.owner
        if owner != run.owner and owner_lives(self._owners, owner):
            raise RunBusy(
                f"Run {run.run_id} has just been taken up by another process.",
                hint="Wait for it, or run this again: what it stores is used here too.",
            )

    # --- reading --------------------------------------------------------------------------------

    @contextlib.contextmanager
    def reader(self) -> Iterator[sqlite3.Connection | None]:
        """Give a read-only connection, or None where there is no store yet."""
        if not self.path.exists() or (self.path.stat().st_size == 0 and not self._held_before()):
            yield None
            return
        with self._typed_errors():
            with self._lock.held():
                connection = self._open(write=False)
            try:
                yield connection
            finally:
                with self._lock.held():
                    connection.close()

    def runs(self) -> list[RunRow]:
        """Return all runs, the oldest first; a run whose process is gone says interrupted."""
        with self.reader() as connection:
            if connection is None:
                return []
            return self._runs_in(connection)

    def run(self, run_id: str) -> RunRow:
        """Return the run with this id, or the only one whose id begins so.

        Raises:
            UnknownRun: there is none, or more than one.
        """
        runs = self.runs()
        exact = [r for r in runs if r.run_id == run_id]
        found = exact or [r for r in runs if run_id and r.run_id.startswith(run_id)]
        if len(found) == 1:
            return found[0]
        recent = ", ".join(r.run_id for r in runs[-5:]) or "none yet"
        problem = f"{len(found)} runs begin with" if found else "There is no run"
        raise UnknownRun(f"{problem} {run_id!r} in {self.path}.", hint=f"The newest: {recent}.")

    def calls(self, run_id: str | None = None) -> list[CallRow]:
        """Return the calls of one run or of all, in the order in which they were written down."""
        with self.reader() as connection:
            if connection is None:
                return []
            where, values = ("WHERE run_id = ?", (run_id,)) if run_id else ("", ())
            rows = connection.execute(f"{schema.SELECT_CALLS} {where} ORDER BY rowid", values)
            calls = [schema.call_of(connection, row) for row in rows.fetchall()]
            gone = {r.run_id for r in self._runs_in(connection) if r.status == "interrupted"}
        lost = [c.run_id in gone and c.state == "in_flight" for c in calls]
        return [
            dataclasses.replace(c, state="lost", billed="maybe") if is_lost else c
            for c, is_lost in zip(calls, lost, strict=True)
        ]

    def columns(self, names: Iterable[str]) -> list[tuple[Any, ...]]:
        """Return columns of all calls as they are stored, without building objects.

        Money comes in picodollars; texts are not among the columns.
        """
        chosen = [n for n in names if n in schema.CALL_COLUMNS and n not in schema.TEXT_COLUMNS]
        with self.reader() as connection:
            if connection is None:
                return []
            query = f"SELECT {schema.names(chosen)} FROM calls ORDER BY rowid"  # noqa: S608
            return connection.execute(query).fetchall()

    def close(self) -> None:
        """Close this process's writer and let go of its runs."""
        with self._opening:
            if self._owner is not None and not self._owner.is_ours:
                self._abandon()
            if self._writer is not None:
                with self._lock.held() if self.path.exists() else contextlib.nullcontext():
                    self._writer.close()
                self._writer = None
            if self._owner is not None:
                self._owner.close()
                self._owner = None

    def _abandon(self) -> None:
        """Let go of a connection that a fork copied, or whose folder was removed."""
        if self._writer is not None:
            _abandoned.append(self._writer)  # SQLite would tidy up the parent's files on closing
        if self._owner is not None:
            self._owner.close()
        self._writer = self._owner = None

    def _runs_in(
        self, connection: sqlite3.Connection, where: str = "", *values: str
    ) -> list[RunRow]:
        query = f"{schema.SELECT_RUNS} {where} ORDER BY started_utc, run_id"
        runs = [schema.run_of(row) for row in connection.execute(query, values)]
        return [
            dataclasses.replace(r, status="interrupted")
            if r.status == "running" and not owner_lives(self._owners, r.owner)
            else r
            for r in runs
        ]

    # --- opening --------------------------------------------------------------------------------

    def _open_writer_locked(self) -> sqlite3.Connection:
        with self._opening, self._lock.held():
            if self._writer is None:
                self._writer = self._open(write=True)
            return self._writer

    def _open(self, *, write: bool) -> sqlite3.Connection:
        if write:
            self._prepare()
        connection = sqlite3.connect(
            self.path, timeout=30, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute("PRAGMA wal_autocheckpoint = 0")
            connection.execute("PRAGMA journal_size_limit = 8388608")
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            self._check_version(version)
            if version == 0:
                self._check_new(connection)
            if write:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute(f"PRAGMA synchronous = {self._sync}")
                if version == 0:
                    connection.executescript(f"BEGIN; {schema.TABLES} COMMIT;")
                    self._lock.mark(made=True)
            else:
                connection.execute("PRAGMA query_only = 1")
        except BaseException:
            connection.close()
            raise
        return connection

    def _check_version(self, version: int) -> None:
        if version > schema.VERSION:
            raise StoreTooNew(
                f"{self.path} has format {version}, and this bmad_nb knows {schema.VERSION}.",
                hint="Update bmad_nb, or set BMAD_STORE to another file.",
            )

    def _check_new(self, connection: sqlite3.Connection) -> None:
        """Refuse a file without our format that is not simply a new one."""
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise StoreCorrupt(
                f"{self.path} is not a store: another program keeps its tables there.",
                hint="It was left as it is. Set BMAD_STORE to another file.",
            )
        if self._held_before():
            raise self._emptied()

    def _held_before(self) -> bool:
        return self._lock.marked

    def _emptied(self) -> StoreCorrupt:
        return StoreCorrupt(
            f"{self.path} is empty, but it held a store before.",
            hint=f"Put a copy back, or remove {self.path} to begin a new store.",
        )

    def _prepare(self) -> None:
        """Make the file, private to the user, before SQLite would make it readable by others."""
        private_folder(self.path.parent)
        kind = network_filesystem(self.path.parent)
        if kind:
            raise StoreError(
                f"{self.path} lies on a network file system ({kind}), where locks are not safe.",
                hint="Set BMAD_STORE to a file on a local disk.",
            )
        if not self.path.exists() and self._held_before():
            self._lock.mark(made=False)  # removed on purpose: a new store begins
        private_file(self.path)
        if self.path.stat().st_size == 0 and self._held_before():
            raise self._emptied()

    @contextlib.contextmanager
    def _typed_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            said = str(error)
            if "not a database" in said or "malformed" in said:
                raise StoreCorrupt(
                    f"{self.path} is not a readable store: {said}.",
                    hint="It was left as it is. Move it aside, or set BMAD_STORE to another file.",
                ) from error
            raise StoreError(
                f"The store {self.path} failed: {said}.",
                hint="Check the disk's free space and rights; what was stored before is kept.",
            ) from error
