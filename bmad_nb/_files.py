"""Private folders, paths of settings, and two uses of `flock`: a lock, and proof of a life."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows: importing works, `bmad doctor` says what does not
    fcntl = None  # type: ignore[assignment]

from bmad_nb.errors import StoreError, StoreLocked

_NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "afs", "ceph", "lustre"}


def private_folder(folder: Path) -> None:
    """Make `folder` with mode 0700, hidden from git; one that is not ours stays as it is.

    A store that is named by hand may lie in any folder, such as a home: its rights and what git
    sees of it are the user's affair. The store's files are private in any case.

    Raises:
        StoreError: it is a link, belongs to somebody else, or cannot be made.
    """
    if folder.is_symlink():
        raise StoreError(
            f"The store's folder {folder} is a link.", hint="Set BMAD_STORE to the place itself."
        )
    try:
        ours = folder.name == ".bmad" or not folder.exists()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if hasattr(os, "getuid") and folder.stat().st_uid != os.getuid():
            raise StoreError(
                f"The store's folder {folder} belongs to another user.",
                hint="Set BMAD_STORE to a place of your own.",
            )
        if not ours:
            return
        folder.chmod(0o700)
        with contextlib.suppress(FileExistsError):  # never through a link that came with a clone
            descriptor = os.open(folder / ".gitignore", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            os.write(descriptor, b"*\n")
            os.close(descriptor)
    except OSError as error:
        raise StoreError(
            f"The store's folder {folder} cannot be made: {error.strerror}.",
            hint="Set BMAD_STORE to a file in a folder that you can write.",
        ) from error


def private_file(path: Path) -> None:
    """Make sure that `path` is a regular file of ours with mode 0600.

    A file that is there is never opened: by POSIX, a process that closes any descriptor of a file
    loses all its locks on it, those of SQLite's connections too.

    Raises:
        StoreError: it is a link, belongs to somebody else, or cannot be written.
    """
    try:
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            return
        there = path.lstat()
        if hasattr(os, "getuid") and there.st_uid != os.getuid():
            raise StoreError(f"The store's file {path} belongs to another user.")
        wrong = "" if stat.S_ISREG(there.st_mode) else "it is not a regular file"
        if not wrong and stat.S_IMODE(there.st_mode) != 0o600:
            path.chmod(0o600)
    except OSError as error:
        wrong = error.strerror or str(error)
    if wrong:
        raise StoreError(
            f"The store's file {path} cannot be opened for writing: {wrong}.",
            hint="Set BMAD_STORE to a file in a folder of your own.",
        )


def _open_regular(path: Path) -> int:
    """Open a regular file, made if need be, through no link and without waiting for a pipe."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    descriptor = os.open(path, flags, 0o600)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a regular file")
    return descriptor


def network_filesystem(path: Path) -> str | None:
    """Return the kind of network file system that holds `path`, or None if it is a local one."""
    try:
        mounts = Path("/proc/mounts").read_text().splitlines()
    except OSError:
        return None
    best, kind = "", ""
    target = str(path.resolve())
    for line in mounts:
        _, point, fstype, *_ = line.split(" ")
        point = point.replace("\\040", " ")
        inside = target == point or target.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, fstype
    return kind if kind in _NETWORK else None


class FileLock:
    """A lock that threads and processes share, by `flock` on one file.

    `flock` and not `lockf`: POSIX locks of a process vanish when any of its descriptors of the
    file is closed. The file stays open between two uses, which saves half of the time.
    """

    def __init__(self, path: Path, *, timeout_s: float = 30.0) -> None:
        """Open nothing yet; `timeout_s` bounds each wait."""
        self.path = path
        self.timeout_s = timeout_s
        self._forget()

    def _forget(self) -> None:
        self._pid = os.getpid()
        self._threads = threading.Lock()
        self._descriptor = -1
        self._file = (0, 0)

    def try_acquire(self) -> bool:
        """Take the lock if it is free right now."""
        if self._pid != os.getpid():
            self._drop()  # a fork's copy is the same lock as its parent's, and excludes nobody
            self._forget()
        if not self._threads.acquire(blocking=False):
            return False
        locked = False
        try:
            locked = self._flock()
        except OSError as error:
            raise StoreError(
                f"The lock {self.path} cannot be opened: {error.strerror}.",
                hint="Check that the folder exists and can be written.",
            ) from error
        finally:
            if not locked:
                self._threads.release()
        return locked

    def _flock(self) -> bool:
        """Lock the file that has the path's name now: the open one may have been removed."""
        while True:
            if self._descriptor < 0:
                self._descriptor = _open_regular(self.path)
                about = os.fstat(self._descriptor)
                self._file = about.st_dev, about.st_ino
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            with contextlib.suppress(FileNotFoundError):
                about = os.lstat(self.path)
                if (about.st_dev, about.st_ino) == self._file:
                    return True
            self._drop()

    @property
    def marked(self) -> bool:
        """Whether the locked file says that what it guards was made."""
        try:
            about = os.lstat(self.path)
        except OSError:
            return False
        return stat.S_ISREG(about.st_mode) and about.st_size > 0

    def mark(self, *, made: bool) -> None:
        """Write down, or take back, that what the lock guards was made; the lock must be held."""
        os.ftruncate(self._descriptor, 0)
        if made:
            os.pwrite(self._descriptor, b"made\n", 0)

    def release(self) -> None:
        """Give the lock back, to a fork's copy of it too."""
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        self._threads.release()

    def close(self) -> None:
        """Close the file once nobody here holds the lock; it is opened again when it is used."""
        with self._threads:
            self._drop()

    def _drop(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    __del__ = _drop

    def locked_out(self) -> StoreLocked:
        """Return the error for a wait that took too long."""
        return StoreLocked(
            f"Another process has held {self.path} for {self.timeout_s:.0f} s.",
            hint="Look for a stopped kernel or `bmad` process that uses this store, and end it.",
        )

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock for the length of a `with` block, waiting for it if need be."""
        deadline = time.monotonic() + self.timeout_s
        while not self.try_acquire():
            if time.monotonic() > deadline:
                raise self.locked_out()
            time.sleep(0.002)
        try:
            yield
        finally:
            self.release()


class Owner:
    """Proof that a process lives: a file that it keeps locked, freed by the system when it ends.

    A pid would not do: it is used again, and says nothing across a reboot.
    """

    def __init__(self, folder: Path) -> None:
        """Make and lock a file of our own in `folder`."""
        if folder.is_symlink():
            raise StoreError(f"{folder} is a link.", hint="Remove it, and look where it came from.")
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{folder} cannot be made: {error.strerror}.") from error
        self.name = f"{os.getpid()}-{uuid.uuid4().hex[:12]}"
        self.pid = os.getpid()
        self._path = folder / self.name
        self._descriptor = os.open(
            self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600
        )
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    @property
    def is_ours(self) -> bool:
        """Whether this process made the file, and not the one it was forked from, and has it."""
        return self.pid == os.getpid() and self._path.exists()

    def close(self) -> None:
        """Let go; runs of this owner that still say running are then interrupted."""
        if self._descriptor >= 0:
            if self.pid == os.getpid():  # in a fork the file is the parent's
                self._path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = -1


class Claim:
    """A folder's lock that a child process keeps as long as it lives, if it is handed `descriptor`.

    It is given back by closing it, never by unlocking: so the folder stays claimed until the last
    of those that have it is gone, however the first of them ended.
    """

    def __init__(self, path: Path, *, timeout_s: float) -> None:
        """Lock the file, waiting for whoever has it.

        Raises:
            StoreLocked: somebody has had it for `timeout_s`.
        """
        self.descriptor = _open_regular(path)
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    os.close(self.descriptor)
                    raise StoreLocked(
                        f"Another process works in {path.parent}.",
                        hint="Wait for its end, or end it; then run this again.",
                    ) from None
                time.sleep(0.05)
            else:
                return

    def close(self) -> None:
        """Let go; a child process that has it too keeps it."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
        self.descriptor = -1


def owner_lives(folder: Path, name: str) -> bool:
    """Return whether the process that made the owner file `name` still holds it."""
    if not name or "/" in name:
        return False
    try:
        descriptor = os.open(folder / name, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        (folder / name).unlink(missing_ok=True)
        return False
    finally:
        os.close(descriptor)


def anchored(settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return settings whose paths of recorded tables count from a folder; wrong ones stay."""
    tables = settings.get("recorded")
    for table in tables.values() if isinstance(tables, dict) else ():
        if isinstance(table, dict) and isinstance(table.get("path"), str):
            table["path"] = os.path.join(folder, os.path.expanduser(table["path"]))  # noqa: PTH111, PTH118  (an odd path is no error here)
    return settings
