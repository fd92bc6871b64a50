"""Who may write to a run: the process that took it up last, until the run is over."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from bmad_nb.errors import RunBusy, StoreError
from bmad_nb.events import CallEnded, Event, RunEnded, RunStarted
from bmad_nb.store.journal import Store
from tests.store.writing import call, process, put, running, task

ROUNDS = 20
RACE = """
print("ready", flush=True)
for line in sys.stdin:
    run_id = line.strip()
    events = running(store, run_id, fence=2), task(os.getpid(), run_id), RunEnded(run_id, "paused")
    try:
        asyncio.run(store.commit(*events))
    except RunBusy:
        print("busy", flush=True)
    else:
        print("mine", flush=True)
store.close()
"""


@contextmanager
def racers(store: Store) -> Iterator[list[subprocess.Popen[str]]]:
    """Give two processes that take up the runs that they are told, and are ready for it."""
    both = [process(RACE, store.path) for _ in range(2)]
    try:
        assert ["ready\n"] * 2 == [said(each) for each in both]
        yield both
    finally:
        for each in both:
            each.kill()
            each.communicate(timeout=30)


def tell(racer: subprocess.Popen[str], run_id: str) -> None:
    """Tell a process to take up a run."""
    assert racer.stdin is not None
    racer.stdin.write(run_id + "\n")
    racer.stdin.flush()


def said(racer: subprocess.Popen[str]) -> str:
    """Return the next line of a process."""
    assert racer.stdout is not None
    return racer.stdout.readline()


def tasks(store: Store, run_id: str) -> list[str]:
    """Return the tasks of a run's events."""
    return [e.event.task.task for e in store.events(run_id) if e.event.kind == "task_ended"]


def together(store: Store, *commits: tuple[Event, ...]) -> list[Any]:
    """Commit in one turn of a loop; return what each commit gave."""

    async def work() -> list[Any]:
        return await asyncio.gather(*(store.commit(*c) for c in commits), return_exceptions=True)

    return asyncio.run(work())


def test_of_two_processes_that_take_up_a_run_at_once_one_wins(store: Store) -> None:
    """Of two, exactly one gets the paused run; the other writes nothing. Twenty rounds."""
    for n in range(ROUNDS):
        put(store, running(store, f"r{n}"), RunEnded(f"r{n}", "paused", "user"))
    with racers(store) as both:
        for n in range(ROUNDS):
            for each in both:
                tell(each, f"r{n}")
            words = [said(each).strip() for each in both]
            assert ["busy", "mine"] == sorted(words)
            winner = both[words.index("mine")]
            assert [f"t{winner.pid}"] == tasks(store, f"r{n}")
            assert 5 == len(store.events(f"r{n}"))


@pytest.mark.parametrize("fence", [0, 1, 3])
def test_a_run_is_taken_up_with_the_next_fence(store: Store, fence: int) -> None:
    """A fence that is not the next one is RunBusy: somebody took the run up meanwhile."""
    put(store, running(store), RunEnded("r1", "paused"))
    with pytest.raises(RunBusy):
        put(store, running(store, fence=fence), task(0))
    assert (1, "paused", []) == (
        store.run("r1").fence,
        store.run("r1").status,
        tasks(store, "r1"),
    )
    put(store, running(store, fence=2))
    assert (2, "running") == (store.run("r1").fence, store.run("r1").status)


def test_a_new_run_has_fence_one(store: Store) -> None:
    """Nobody begins a run with another fence."""
    with pytest.raises(RunBusy):
        put(store, running(store, fence=2))
    assert [] == store.runs()


def test_what_was_never_taken_up_is_not_written(store: Store) -> None:
    """Neither a call nor a task nor an end is written of a run that nobody began here."""
    put(store, running(store, "other"))
    for event in (CallEnded(call()), task(), RunEnded("r1", "completed")):
        with pytest.raises(StoreError, match="never taken up"):
            put(store, event)
    assert (["other"], []) == ([run.run_id for run in store.runs()], store.calls())


def test_a_process_cannot_take_up_a_run_that_it_is_running(store: Store) -> None:
    """Its own living run is busy for it too, through another store as well."""
    put(store, running(store))
    other = Store(store.path)
    for each in (store, other):
        with pytest.raises(RunBusy):
            put(each, running(each, fence=2))
    put(store, task(0))
    assert ["t0"] == tasks(store, "r1")
    other.close()


def test_two_take_ups_in_one_turn_are_one(store: Store) -> None:
    """Of two coroutines that begin the same run in the same turn, the second is refused."""
    outcomes = together(store, (running(store), task(0)), (running(store), task(1)))
    assert [None, RunBusy] == [o if o is None else type(o) for o in outcomes]
    assert ["t0"] == tasks(store, "r1")


def test_a_run_that_was_taken_over_is_busy_and_its_neighbours_are_not(store: Store) -> None:
    """Whoever lost a run gets RunBusy on the next commit; commits of the same turn go through."""
    put(store, running(store, "lost"), running(store, "kept"), task(0, "lost"))
    owner = store.path.with_name("owners") / store.owner_name()
    owner.unlink()
    script = """
asyncio.run(store.commit(running(store, "lost", fence=2), task(1, "lost")))
store.close()
"""
    with process(script, store.path) as other:
        _, complaint = other.communicate(timeout=60)
    assert 0 == other.returncode, complaint
    commits = [(task(n, "lost" if n == 3 else "kept"),) for n in range(2, 6)]
    outcomes = together(store, *commits)
    assert [None, RunBusy, None, None] == [o if o is None else type(o) for o in outcomes]
    assert ["t0", "t1"] == tasks(store, "lost")
    assert ["t2", "t4", "t5"] == tasks(store, "kept")
    with pytest.raises(RunBusy):
        put(store, task(9, "kept"), task(9, "lost"))
    assert ["t2", "t4", "t5"] == tasks(store, "kept")


def test_the_fence_is_looked_at_after_each_checkpoint_too(store: Store) -> None:
    """A run that was taken over after thousands of writes is busy; no count of writes hides it."""
    put(store, running(store))
    put(store, *(task(n) for n in range(1999)))
    store.path.with_name("owners").joinpath(store.owner_name()).unlink()
    other = Store(store.path)
    put(other, running(other, fence=2), RunEnded("r1", "completed"))
    other.close()
    with pytest.raises(RunBusy):
        put(store, task(0))


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled", "paused"])
def test_after_its_end_nothing_is_written(store: Store, status: Any) -> None:
    """What comes after the end is refused, in the same turn, the same commit, and later."""
    put(store, running(store))
    outcomes = together(store, (RunEnded("r1", status),), (task(0),))
    assert [None, StoreError] == [o if o is None else type(o) for o in outcomes]
    with pytest.raises(StoreError, match="over"):
        put(store, task(1))
    if status != "paused":
        with pytest.raises(StoreError, match=f"over: {status}"):
            put(store, running(store, fence=2))
        assert (status, 2) == (store.run("r1").status, len(store.events("r1")))
        return
    put(store, running(store, fence=2))
    with pytest.raises(StoreError, match="over"):
        put(store, RunEnded("r1", status), task(2))
    assert [] == tasks(store, "r1")
    assert 3 == len(store.events("r1"))


def test_a_paused_run_can_be_cancelled_and_no_other(store: Store) -> None:
    """Stop pressed twice turns a pause into a cancellation; what is over stays as it is."""
    put(store, running(store), RunEnded("r1", "paused", "user"))
    put(store, RunEnded("r1", "cancelled", "user"))
    assert "cancelled" == store.run("r1").status
    for end in (RunEnded("r1", "paused"), RunEnded("r1", "cancelled")):
        with pytest.raises(StoreError, match="over"):
            put(store, end)
    put(store, running(store, "r2"), RunEnded("r2", "completed"))
    with pytest.raises(StoreError, match="over"):
        put(store, RunEnded("r2", "cancelled"))
    assert "completed" == store.run("r2").status
    put(store, running(store, "r3"))
    ends = together(store, (RunEnded("r3", "completed"),), (RunEnded("r3", "cancelled"),))
    assert [None, StoreError] == [o if o is None else type(o) for o in ends]
    assert "completed" == store.run("r3").status


def test_an_end_and_a_new_beginning_share_a_turn(store: Store) -> None:
    """A run that is paused can be taken up again in the same transaction, and goes on."""
    put(store, running(store))
    outcomes = together(store, (RunEnded("r1", "paused"),), (running(store, fence=2),), (task(0),))
    assert [None] * 3 == outcomes
    assert [1, 2, 3, 4] == [each.seq for each in store.events("r1")]
    (_, again) = [e.event for e in store.events("r1") if isinstance(e.event, RunStarted)]
    assert 2 == again.run.fence


def test_a_new_store_in_the_old_one_s_place_takes_nothing_of_the_old_run(store: Store) -> None:
    """When the file is replaced, a run of the old one does not write into a run of the new one."""
    put(store, running(store, "old"))
    store.close()
    for path in store.path.parent.glob("bmad.db*"):
        path.unlink()
    put(store, running(store, "new"))
    with pytest.raises(RunBusy):
        put(store, task(0, "old"))
    assert 1 == len(store.events("new"))
