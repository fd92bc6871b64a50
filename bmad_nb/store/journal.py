"""The journal: what happens in runs, made durable in one store file before anybody acts on it.

Writers: one connection per process, on the engine's loop; all coroutines that become ready
together share one transaction. A `flock` lock stands around each write, each checkpoint, and each
opening and closing of a connection, readers' too: SQLite before 3.51.3 can corrupt a WAL that two
processes checkpoint at once. A run is written by the process that took it up last: each take-up
raises the run's fence, and each transaction looks at the fences of the runs that it writes to.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import os
import sqlite3
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from bmad_nb._files import Owner, owner_lives, private_folder
from bmad_nb.errors import RunBusy, StoreError
from bmad_nb.events import (
    CallEnded,
    CallIntended,
    CallRow,
    Event,
    RunEnded,
    RunPausing,
    RunRow,
    RunStarted,
    TaskAnswered,
    TaskEnded,
    Wish,
)
from bmad_nb.store import schema, stamped
from bmad_nb.store.reading import Reading, answered_in, now_utc

_abandoned: list[sqlite3.Connection] = []


@dataclasses.dataclass(slots=True)
class _Commit:
    """Events that are written together or not at all, and who waits for that."""

    events: tuple[Event, ...]
    done: asyncio.Future[None]

    def settle(self, error: Exception | None) -> None:
        """Tell the waiter how it went, on its own loop; one whose loop is gone waits no more."""
        loop = self.done.get_loop()
        if loop is asyncio.get_running_loop():
            self._tell(error)
            return
        with contextlib.suppress(RuntimeError):  # it is closed
            loop.call_soon_threadsafe(self._tell, error)

    def _tell(self, error: Exception | None) -> None:
        if self.done.done():
            return
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(error)


@dataclasses.dataclass(slots=True)
class _Taken:
    """A run that this store writes to."""

    fence: int
    number: int
    """What the run is called in the ids of its events."""
    last: int
    """Id of its last event."""
    ended: str = ""
    """How it stopped; empty while it runs."""
    failed: frozenset[str] = frozenset()
    """Tasks of it that failed; then it is never completed."""


class Store(Reading):
    """A store file and this process's way into it; usable from any thread.

    Args:
        path: the file; it and its folder are made when first written, private to the user.
        sync: `normal` survives kill -9; `full` survives loss of power too, at ten times the wait.
        answers: another store, whose answers serve here too; it is only read.
    """

    def __init__(
        self, path: Path, *, sync: Literal["normal", "full"] = "normal", answers: Path | None = None
    ) -> None:
        """Open nothing yet."""
        super().__init__(path, sync=sync)
        self._lent = Reading(answers, sync=sync) if answers else None
        self._owner: Owner | None = None
        self._writer: sqlite3.Connection | None = None
        self._log: tuple[int, int] | None = None
        self._unmerged = 0
        self._begin_alone()

    def _begin_alone(self) -> None:
        """Begin without runs and waiters: in a fork, those that there are belong to the parent."""
        self._pid = os.getpid()
        self._taken: dict[str, _Taken] = {}
        self._waiting: collections.deque[_Commit] = collections.deque()
        self._flushing: asyncio.AbstractEventLoop | None = None
        self._opening = threading.Lock()

    # --- the journal: used on the engine's loop -----------------------------------------------

    async def commit(self, *events: Event) -> None:
        """Return once `events` are durable; commits of one turn of the loop share a transaction.

        A commit that is cancelled while it waits may be written all the same: an answer that was
        paid for is not lost by an interrupt.

        Raises:
            RunBusy: another process has taken up the run of one of them; none of these is written.
            StoreError: they could not be written; nothing of them was.
        """
        self._notice_fork()
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._waiting.append(_Commit(events, done))
        if self._flushing is not loop:  # a loop that was closed meanwhile flushes nothing
            self._flushing = loop
            loop.call_soon(self._flush)
        await done

    def _flush(self, until_s: float | None = None) -> None:
        """Write what waits, or come back soon if another process holds the lock."""
        try:
            if self._writer is None:
                private_folder(self.path.parent)
            if not self._lock.try_acquire():
                now_s = time.monotonic()
                until_s = until_s or now_s + self._lock.timeout_s
                if now_s > until_s:
                    raise self._lock.locked_out()
                asyncio.get_running_loop().call_later(0.002, self._flush, until_s)
                return
        except (StoreError, OSError) as error:
            self._settle(self._next(), self._typed(error))
            return
        batch = self._next()
        try:
            self._write(batch)
        except BaseException:
            self._settle(batch, StoreError(f"Writing to {self.path} was interrupted."))
            raise
        finally:
            self._lock.release()

    def _next(self) -> list[_Commit]:
        """Take what waits, one by one: another thread may add to it or take from it."""
        self._flushing = None
        batch: list[_Commit] = []
        try:
            while True:
                batch.append(self._waiting.popleft())
        except IndexError:
            return batch

    def _settle(self, batch: Sequence[_Commit], error: Exception | None) -> None:
        for commit in batch:
            commit.settle(error)

    def stored(self, request_key: str, run_id: str = "") -> CallRow | None:
        """Return the newest answered call with this request key, or None; of one run if named."""
        self._notice_fork()
        found = None
        if self._writer is not None or self.path.exists():
            with self._typed_errors():
                writer = self._writer or self._open_writer_locked()
                found = answered_in(writer, request_key, run_id)
        return self._lent.lent(request_key) if not (found or run_id) and self._lent else found

    def unfinished(self, key: str) -> RunRow | None:
        """Return the newest run with this key that can go on: paused, or its process is gone."""
        open_ones = "WHERE key = ? AND status IN ('running', 'paused', 'interrupted')"
        with self.reader() as connection:
            runs = self._runs_in(connection, open_ones, key)
        stopped = [r for r in runs if r.status in {"paused", "interrupted"}]
        return stopped[-1] if stopped else None

    def ahead(self, run: RunRow) -> list[RunRow]:
        """Return runs of living other processes that do the same and began before this one."""
        same = (
            "WHERE key = ? AND status = 'running' AND owner != ? AND number < "
            "(SELECT number FROM runs WHERE run_id = ?)"
        )
        with self.reader() as connection:
            runs = self._runs_in(connection, same, run.key, run.owner, run.run_id)
        return [each for each in runs if each.status == "running"]

    def wishes(self, run_id: str, after: int = 0) -> list[Wish]:
        """Return what others want of a run and it has not seen, behind wish number `after`."""
        self._notice_fork()
        if self._writer is None and not self.path.exists():
            return []
        with self._typed_errors():
            writer = self._writer or self._open_writer_locked()
            return schema.wishes_in(writer, "run_id = ? AND id > ? AND seen_utc IS NULL",
                                    (run_id, after))  # fmt: skip

    def wish(self, run_id: str, kind: str, payload: Mapping[str, Any], by: str) -> int:
        """Write down what is wanted of a run, from any thread; return the wish's number.

        Raises:
            StoreError: it could not be written.
        """
        return self.write(
            lambda to: schema.keep_wish(to, run_id, kind, payload, by=by, when=now_utc())
        )

    def owner_name(self) -> str:
        """Return the name under which this process owns its runs."""
        self._notice_fork()
        if self._owner is not None and not self._owner.is_ours:
            self._abandon()
        if self._owner is None:
            private_folder(self.path.parent)
            self._owner = Owner(self._owners)
        return self._owner.name

    # --- writing: under the lock ----------------------------------------------------------------

    def _write(self, batch: Sequence[_Commit]) -> None:
        """Write commits in one transaction; without the one that is at fault, if one is."""
        try:
            self._transact(self._current_writer(), batch)
        except Exception as error:  # noqa: BLE001  (whatever it is, somebody waits for it)
            middle = len(batch) // 2
            if not middle or isinstance(error, sqlite3.OperationalError) or self._writer is None:
                self._settle(batch, self._typed(error))
                return
            self._write(batch[:middle])
            self._write(batch[middle:])
        else:
            self._settle(batch, None)

    def _transact(self, writer: sqlite3.Connection, batch: Sequence[_Commit]) -> None:
        touched: dict[str, _Taken] = {}
        when = now_utc()
        writer.execute("BEGIN IMMEDIATE")
        try:
            for commit in batch:
                for event in commit.events:
                    self._apply(writer, event, touched, when)
            writer.execute("COMMIT")
        except BaseException:
            if writer.in_transaction:
                writer.execute("ROLLBACK")
            raise
        self._taken.update(touched)
        for run_id, taken in touched.items():
            if taken.ended and taken.ended != "paused":
                del self._taken[run_id]
        self._unmerged += sum(len(commit.events) for commit in batch)
        if self._unmerged >= 2000:  # under the lock, so that no other process checkpoints too
            self._unmerged = 0
            writer.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def _apply(
        self, writer: sqlite3.Connection, event: Event, touched: dict[str, _Taken], when: str
    ) -> None:
        """Execute one event of a transaction, which keeps in `touched` how far its runs are."""
        run_id = stamped.run_id_of(event)
        if isinstance(event, RunStarted):
            touched[run_id] = self._take_up(writer, event.run)
        taken = touched.get(run_id) or self._checked(writer, run_id)
        touched[run_id] = taken
        cancelled = isinstance(event, RunEnded) and event.status == "cancelled"
        if taken.ended and not (taken.ended == "paused" and cancelled):  # stop was pressed twice
            raise StoreError(
                f"Run {run_id} is over: {taken.ended}.", hint="Take it up again before writing."
            )
        if isinstance(event, TaskEnded | RunEnded):
            taken.failed = stamped.failed_after(taken.failed, event)
        if isinstance(event, CallIntended):
            schema.keep_call(writer, event.call)
        elif isinstance(event, CallEnded):
            schema.keep_outcome(writer, event.call)
        elif isinstance(event, RunEnded):
            writer.execute(schema.END_RUN, (event.status, event.reason, when, taken.number))
            taken.ended = event.status
        elif isinstance(event, RunPausing | TaskAnswered) and event.wish:
            writer.execute("UPDATE wishes SET seen_utc = ? WHERE id = ?", (when, event.wish))
        taken.last += 1
        stamped.keep_event(writer, event, taken.last, when)

    def _take_up(self, writer: sqlite3.Connection, run: RunRow) -> _Taken:
        """Store a run as ours to write to from now on.

        Raises:
            RunBusy: it is running, or somebody took it up since it was looked at.
        """
        query = "SELECT fence, status, owner FROM runs WHERE run_id = ?"
        row = writer.execute(query, (run.run_id,)).fetchone()
        fence, status, owner = row or (0, "", "")
        running = status == "running" and owner_lives(self._owners, owner)
        if running or fence != run.fence - 1:
            raise RunBusy(
                f"Run {run.run_id} has just been taken up by another process.",
                hint="Wait for it, or run this again: what it stores is used here too.",
            )
        if status in {"completed", "failed", "cancelled"}:
            raise StoreError(
                f"Run {run.run_id} is over: {status}.", hint="Begin a new one; what it has is used."
            )
        number = schema.keep_run(writer, run)
        writer.execute(schema.FORGET_STOPS, (now_utc(), run.run_id))
        first, end = schema.before(number), schema.before(number + 1)
        query = "SELECT coalesce(max(id), ?) FROM events WHERE id > ? AND id <= ?"
        last = writer.execute(query, (first, first, end)).fetchone()[0]
        return _Taken(run.fence, number, last)

    def _checked(self, writer: sqlite3.Connection, run_id: str) -> _Taken:
        """Return a copy of how far a run is written, if it is still ours.

        Raises:
            RunBusy: another process has taken it up.
        """
        taken = self._taken.get(run_id)
        if taken is None:
            raise StoreError(f"Run {run_id} is over, or was never taken up here.")
        query = "SELECT run_id, fence FROM runs WHERE number = ?"
        if writer.execute(query, (taken.number,)).fetchone() != (run_id, taken.fence):
            raise RunBusy(
                f"Run {run_id} has been taken up by another process; this one stops writing to it.",
                hint="Look at it there, or wait for its end.",
            )
        return _Taken(taken.fence, taken.number, taken.last, taken.ended, taken.failed)

    # --- opening and closing --------------------------------------------------------------------

    def _open_writer_locked(self) -> sqlite3.Connection:
        with self._opening, self._lock.held():
            return self._current_writer()

    def _current_writer(self) -> sqlite3.Connection:
        """Return the writer, under the lock; a new one where its log is no longer the store's."""
        if self._writer is not None and self._log != self._log_now():
            with contextlib.closing(self._open(write=True)):  # SQLite removes nothing meanwhile
                self._writer.close()
            self._writer = None
        if self._writer is None:
            self._writer = self._open(write=True)
            self._log = self._log_now()
        return self._writer

    def close(self) -> None:
        """Close this process's files and let go of its runs; what is committed later opens them."""
        self._notice_fork()
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
            self._lock.close()

    def _notice_fork(self) -> None:
        if self._pid != os.getpid():
            self._abandon()
            self._begin_alone()

    def _abandon(self) -> None:
        """Let go of a connection that a fork copied, or whose folder was removed."""
        if self._writer is not None:
            _abandoned.append(self._writer)  # SQLite would tidy up the parent's files on closing
        if self._owner is not None:
            self._owner.close()
        self._writer = self._owner = None
