"""The store's file: made private, opened safely, checked for its format, migrated."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, TypeVar

from bmad_nb._files import FileLock, network_filesystem, private_file, private_folder
from bmad_nb.errors import BmadError, StoreCorrupt, StoreError, StoreTooNew
from bmad_nb.store import schema

T = TypeVar("T")


class StoreFile:
    """A file, and the lock beside it under which it is opened, closed and written."""

    def __init__(self, path: Path, *, sync: Literal["normal", "full"]) -> None:
        """Open nothing yet."""
        self.path = path
        self._sync = sync
        self._lock = FileLock(path.with_name(path.name + ".lock"))

    def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do a small transaction that belongs to no run of ours, from any thread.

        Raises:
            StoreError: it could not be written; nothing of it was.
        """
        with self._typed_errors():
            private_folder(self.path.parent)
        with self._typed_errors(), self._lock.held():
            connection = self._open(write=True)
            try:
                connection.execute("BEGIN IMMEDIATE")
                done = work(connection)
                connection.execute("COMMIT")
                return done
            finally:
                connection.close()

    def compact(self) -> None:
        """Give the room of what was removed back to the disk.

        Raises:
            StoreError: it could not be done; nothing is lost.
        """
        with self._typed_errors(), self._lock.held():
            connection = self._open(write=True)
            try:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                connection.execute("VACUUM")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            finally:
                connection.close()

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
            for older in range(version or schema.VERSION, schema.VERSION):  # readers migrate too
                connection.executescript(f"BEGIN; {schema.MIGRATIONS[older]} COMMIT;")
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

    def _log_now(self) -> tuple[int, int] | None:
        """Return which file is the store's write-ahead log at this moment; None is no file.

        It can be removed under a writer: a process that opens the store's file by itself, to copy
        it from a cell say, loses its locks on it as it closes it (POSIX), and the next process that
        leaves the store takes itself for the last one. What was in the log is then kept; what that
        writer would add to it is not.
        """
        try:
            found = self.path.with_name(self.path.name + "-wal").stat()
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino

    @contextlib.contextmanager
    def _typed_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._typed(error) from error

    def _typed(self, error: Exception) -> BmadError:
        """Return what an error of SQLite, or of a value that it cannot take, means here."""
        if isinstance(error, BmadError):
            return error
        said = str(error)
        if "not a database" in said or "malformed" in said:
            return StoreCorrupt(
                f"{self.path} is not a readable store: {said}.",
                hint="It was left as it is. Move it aside, or set BMAD_STORE to another file.",
            )
        if isinstance(error, sqlite3.OperationalError | OSError):
            return StoreError(
                f"The store {self.path} failed: {said}.",
                hint="Check the disk's free space and rights; what was stored before is kept.",
            )
        return StoreError(
            f"The store {self.path} cannot take a value: {type(error).__name__}: {error}.",
            hint="That is a defect of bmad_nb or of an LLM of yours; nothing of it was written.",
        )
