"""Private folders and files, the lock between processes, and proof that a process lives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bmad_nb._files import (
    FileLock,
    Owner,
    network_filesystem,
    owner_lives,
    private_file,
    private_folder,
)
from bmad_nb.errors import StoreError, StoreLocked

ROOT = Path(__file__).resolve().parents[1]
HOLD = """
import sys
from pathlib import Path
from bmad_nb._files import FileLock, Owner
what, place = sys.argv[1], Path(sys.argv[2])
if what == "lock":
    lock = FileLock(place)
    assert lock.try_acquire()
    print("held", flush=True)
else:
    owner = Owner(place)
    print(owner.name, flush=True)
sys.stdin.read()
"""


@contextmanager
def holder(what: str, place: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run another process that holds a lock or is an owner; give it and what it said."""
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, what, str(place)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        assert child.stdout is not None
        yield child, child.stdout.readline().strip()
    finally:
        child.kill()
        child.communicate()


def mode(path: Path) -> int:
    """Return the permission bits of a file."""
    return path.stat().st_mode & 0o777


@pytest.fixture
def open_umask() -> Iterator[None]:
    """Take all protection away that the umask would give."""
    before = os.umask(0)
    yield
    os.umask(before)


def test_a_new_folder_and_file_are_private(tmp_path: Path, open_umask: None) -> None:
    """What we make is for the user only, even where the umask allows everything."""
    folder = tmp_path / "a" / ".bmad"
    private_folder(folder)
    private_file(folder / "x")
    assert (0o700, 0o600) == (mode(folder), mode(folder / "x"))
    assert "*\n" == (folder / ".gitignore").read_text()


def test_our_own_folder_is_made_private_again(tmp_path: Path) -> None:
    """A .bmad folder and a store's file that others could read are closed."""
    folder = tmp_path / ".bmad"
    folder.mkdir()
    folder.chmod(0o755)
    (folder / "x").write_text("kept")
    (folder / "x").chmod(0o644)
    private_folder(folder)
    private_file(folder / "x")
    assert (0o700, 0o600, "kept") == (mode(folder), mode(folder / "x"), (folder / "x").read_text())


def test_somebody_s_folder_is_left_as_it_is(tmp_path: Path) -> None:
    """A store in an existing folder changes neither its rights nor what git sees of it."""
    folder = tmp_path / "research"
    folder.mkdir()
    folder.chmod(0o755)
    private_folder(folder)
    assert 0o755 == mode(folder)
    assert [] == list(folder.iterdir())


def test_a_link_is_refused(tmp_path: Path) -> None:
    """Neither the folder nor the file may be a link, and its target is not touched."""
    (tmp_path / "real").mkdir()
    (tmp_path / "folder").symlink_to(tmp_path / "real")
    with pytest.raises(StoreError, match="is a link"):
        private_folder(tmp_path / "folder")
    (tmp_path / "target").write_text("theirs")
    (tmp_path / "file").symlink_to(tmp_path / "target")
    with pytest.raises(StoreError, match="cannot be opened"):
        private_file(tmp_path / "file")
    assert "theirs" == (tmp_path / "target").read_text()


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    """A file in the way is a StoreError that names the way out."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError) as caught:
        private_folder(tmp_path / "file" / "x")
    assert "BMAD_STORE" in caught.value.hint


def test_a_local_folder_is_local(tmp_path: Path) -> None:
    """The tests' own folder is not on a network file system."""
    assert network_filesystem(tmp_path) is None


def test_a_lock_keeps_other_locks_out(tmp_path: Path) -> None:
    """Two locks on one file exclude each other, in one process too, until it is released."""
    one, two = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert one.try_acquire()
    assert not one.try_acquire()
    assert not two.try_acquire()
    one.release()
    assert two.try_acquire()
    two.release()


def test_a_lock_keeps_other_processes_out_until_they_end(tmp_path: Path) -> None:
    """A lock of another process is seen, and kill -9 frees it."""
    lock = FileLock(tmp_path / "lock")
    with holder("lock", lock.path) as (child, said):
        assert "held" == said
        assert not lock.try_acquire()
        child.send_signal(signal.SIGKILL)
        child.wait()
        assert lock.try_acquire()
        lock.release()


def test_waiting_for_a_lock_ends(tmp_path: Path) -> None:
    """A wait that takes too long is StoreLocked; one that does not gets the lock."""
    one, two = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock", timeout_s=0.05)
    with one.held():
        with pytest.raises(StoreLocked):
            with two.held():
                pass
    with two.held():
        assert not one.try_acquire()
    assert one.try_acquire()
    one.release()


def test_only_one_thread_is_inside(tmp_path: Path) -> None:
    """Eight threads on one lock never are inside at the same time."""
    lock = FileLock(tmp_path / "lock")
    inside, most = [0], [0]

    def work() -> None:
        for _ in range(20):
            with lock.held():
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                time.sleep(0.0001)
                inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert [1] == most


def test_a_lock_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    """A missing folder is a StoreError, and the lock can be tried again later."""
    lock = FileLock(tmp_path / "none" / "lock")
    for _ in range(2):
        with pytest.raises(StoreError, match="cannot be opened"):
            lock.try_acquire()
    (tmp_path / "none").mkdir()
    assert lock.try_acquire()
    lock.release()


def test_an_owner_lives_until_it_lets_go(tmp_path: Path) -> None:
    """An owner of this process lives, and after close it does not; its file is gone."""
    owner = Owner(tmp_path / "owners")
    assert owner_lives(tmp_path / "owners", owner.name)
    assert owner_lives(tmp_path / "owners", owner.name)
    owner.close()
    owner.close()
    assert not owner_lives(tmp_path / "owners", owner.name)
    assert [] == list((tmp_path / "owners").iterdir())


def test_an_owner_dies_with_its_process(tmp_path: Path) -> None:
    """An owner in another process lives, and after kill -9 it does not."""
    with holder("owner", tmp_path / "owners") as (child, name):
        assert owner_lives(tmp_path / "owners", name)
        child.send_signal(signal.SIGKILL)
        child.wait()
        assert not owner_lives(tmp_path / "owners", name)


@pytest.mark.parametrize("name", ["", "nobody", "../owners", "a/b", "/etc/hostname"])
def test_a_name_without_a_file_is_nobody(tmp_path: Path, name: str) -> None:
    """A name that no process has, or that is a path, does not live."""
    (tmp_path / "owners").mkdir()
    assert not owner_lives(tmp_path / "owners", name)


def test_a_file_that_nobody_holds_is_a_dead_owner(tmp_path: Path) -> None:
    """A file left over from before a reboot does not count as alive, and is taken away."""
    (tmp_path / "owners").mkdir()
    (tmp_path / "owners" / "123-abc").write_text("")
    assert not owner_lives(tmp_path / "owners", "123-abc")
    assert not (tmp_path / "owners" / "123-abc").exists()
