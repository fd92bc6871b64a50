"""Commits and the loops that wait for them: cancelled, closed, one after the other, forked."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from bmad_nb._files import FileLock
from bmad_nb.errors import StoreError, StoreLocked
from bmad_nb.events import CallEnded, TaskEnded
from bmad_nb.store.journal import Store
from tests.store.writing import call, child, put, running, task


def names(store: Store) -> list[str]:
    """Return the tasks that are stored, in order."""
    events = [each.event for each in store.events("r1")]
    return [event.task.task for event in events if isinstance(event, TaskEnded)]


def test_a_cancelled_commit_is_written_all_the_same(store: Store) -> None:
    """An answer that was paid for is kept though its waiter was cancelled; neighbours go on."""
    put(store, running(store))

    async def work() -> None:
        first = asyncio.create_task(store.commit(CallEnded(call(0))))
        second = asyncio.create_task(store.commit(CallEnded(call(1))))
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        await second

    asyncio.run(work())
    assert ["r1-0", "r1-1"] == [row.call_id for row in store.calls()]


def test_a_loop_that_ends_while_commits_wait_blocks_nobody(store: Store) -> None:
    """Commits that wait for the lock when their loop ends are written with the next one's."""
    put(store, running(store))
    other = FileLock(store.path.with_name("bmad.db.lock"))

    async def gives_up() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await store.commit(task(0))

    with other.held():
        asyncio.run(gives_up())
        left = asyncio.new_event_loop()
        waiting = left.create_task(store.commit(task(1)))
        left.run_until_complete(asyncio.sleep(0.01))
        waiting._log_destroy_pending = False
        left.close()

    async def goes_on() -> None:
        async with asyncio.timeout(20):
            await store.commit(task(2))

    asyncio.run(goes_on())
    assert ["t0", "t1", "t2"] == names(store)


def test_a_loop_that_is_closed_before_its_flush_blocks_nobody(store: Store) -> None:
    """The same where the loop is closed in the very turn of the commit."""
    put(store, running(store))
    loop = asyncio.new_event_loop()
    waiting = loop.create_task(store.commit(task(0)))
    loop.call_soon(loop.stop)
    loop.run_forever()
    waiting._log_destroy_pending = False
    loop.close()
    put(store, task(1))
    assert "t1" in names(store)
    assert len(names(store)) == len(store.events("r1")) - 1


def test_two_loops_in_two_threads_share_a_store(store: Store) -> None:
    """Each commit returns on its own loop, and everything is there."""
    put(store, running(store))

    async def work(part: int) -> None:
        async with asyncio.timeout(60):
            for n in range(50):
                await store.commit(task(100 * part + n))

    threads = [threading.Thread(target=lambda p=p: asyncio.run(work(p))) for p in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert sorted(f"t{100 * p + n}" for p in range(2) for n in range(50)) == sorted(names(store))
    assert list(range(1, 102)) == [each.seq for each in store.events("r1")]


def test_a_lock_that_stays_taken_is_an_error_of_all_that_wait(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After its time each waiting commit is StoreLocked, and the next one goes through."""
    put(store, running(store))
    monkeypatch.setattr(store._lock, "timeout_s", 0.05)
    other = FileLock(store.path.with_name("bmad.db.lock"))

    async def work() -> list[object]:
        commits = [store.commit(task(n)) for n in range(3)]
        return await asyncio.gather(*commits, return_exceptions=True)

    with other.held():
        assert [StoreLocked] * 3 == [type(each) for each in asyncio.run(work())]
    put(store, task(9))
    assert ["t9"] == names(store)


def test_an_error_of_the_system_reaches_the_waiter(store: Store) -> None:
    """A folder that became a file is a StoreError of the commit, not a hang."""
    store.path.parent.write_text("in the way")

    async def work() -> None:
        async with asyncio.timeout(20):
            await store.commit(task(0))

    with pytest.raises(StoreError):
        asyncio.run(work())


def test_a_store_that_is_closed_while_commits_wait_writes_them(store: Store) -> None:
    """A commit that waits when the store is closed is written, through a file opened anew."""
    put(store, running(store))

    async def work() -> None:
        waiting = asyncio.create_task(store.commit(task(0)))
        await asyncio.sleep(0)
        store.close()
        async with asyncio.timeout(20):
            await waiting

    asyncio.run(work())
    assert ["t0"] == names(store)


def test_closing_in_the_midst_of_writing_loses_nothing(store: Store) -> None:
    """A thread that closes the store again and again takes no commit away."""
    put(store, running(store))
    over = threading.Event()

    def close() -> None:
        while not over.wait(0.001):
            store.close()

    async def work() -> None:
        for n in range(100):
            await store.commit(task(n))

    closing = threading.Thread(target=close)
    closing.start()
    try:
        asyncio.run(work())
    finally:
        over.set()
        closing.join(30)
    assert [f"t{n}" for n in range(100)] == names(store)


def test_an_interrupt_while_writing_reaches_the_waiter(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interrupt inside of a transaction takes it back, frees the lock, and ends the wait."""
    put(store, running(store))

    def interrupted(*_given: object) -> None:
        raise KeyboardInterrupt

    async def work() -> None:
        await store.commit(task(0))

    with monkeypatch.context() as patch:
        patch.setattr("bmad_nb.store.journal.stamped.keep_event", interrupted)
        with pytest.raises((KeyboardInterrupt, StoreError)):
            asyncio.run(work())
    put(store, task(1))
    assert ["t1"] == names(store)


def test_a_fork_cannot_write_to_its_parent_s_run(store: Store) -> None:
    """A forked child has taken up nothing; the lock of both is no longer the same lock."""
    script = """
asyncio.run(store.commit(running(store, "r1"), task(0)))
child_id = os.fork()
if child_id == 0:
    try:
        asyncio.run(store.commit(task(1)))
    except StoreError:
        os._exit(0)
    os._exit(1)
assert os.waitpid(child_id, 0)[1] == 0
with store._lock.held():
    child_id = os.fork()
    if child_id == 0:
        os._exit(1 if store._lock.try_acquire() else 0)
    assert os.waitpid(child_id, 0)[1] == 0
asyncio.run(store.commit(task(2)))
print([each.seq for each in store.events("r1")])
store.close()
"""
    assert "[1, 2, 3]\n" == child(script, store.path)


def test_a_lock_and_its_copy_in_a_fork_exclude_each_other(project: Path) -> None:
    """A lock that was open when the process forked is another lock in the child."""
    script = """
lock = store._lock
os.makedirs(store.path.parent, exist_ok=True)
with lock.held():
    pass
ready, told = os.pipe()
child_id = os.fork()
if child_id == 0:
    os.write(told, b"1" if lock.try_acquire() else b"0")
    import time
    time.sleep(30)
    os._exit(0)
print(os.read(ready, 1), lock.try_acquire())
os.kill(child_id, 9)
os.waitpid(child_id, 0)
print(lock.try_acquire())
"""
    assert "b'1' False\nTrue\n" == child(script, project / "bmad.db")


def test_a_lock_whose_file_was_replaced_locks_the_new_one(project: Path) -> None:
    """Who removes the lock's file does not split the lock: the next use takes the new file."""
    one, two = FileLock(project / "lock"), FileLock(project / "lock")
    with one.held():
        pass
    one.path.unlink()
    with two.held():
        assert not one.try_acquire()
    assert one.try_acquire()
    one.release()
    one.close()
    two.close()


def test_a_lock_that_a_fork_holds_open_is_free_when_it_is_released(project: Path) -> None:
    """A child that was forked while the lock was held does not keep it."""
    script = """
lock = store._lock
import time
os.makedirs(store.path.parent, exist_ok=True)
assert lock.try_acquire()
child_id = os.fork()
if child_id == 0:
    time.sleep(30)
    os._exit(0)
lock.release()
from bmad_nb._files import FileLock
print(FileLock(lock.path).try_acquire())
os.kill(child_id, 9)
"""
    assert "True\n" == child(script, project / "bmad.db")
