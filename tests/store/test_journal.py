"""The store: private, durable, shared between processes, and never overwritten when it is odd."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import shutil
import signal
import sqlite3
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bmad_nb.errors import StoreCorrupt, StoreError, StoreTooNew, UnknownRun
from bmad_nb.events import CallEnded, CallIntended, CallRow, RunEnded, RunRow, RunStarted
from bmad_nb.messages import Message
from bmad_nb.secrets import Secret
from bmad_nb.store.journal import Store
from tests.store.writing import call, child, process, put, running


def test_looking_makes_nothing(store: Store, project: Path) -> None:
    """A store that is only looked at has no runs and makes no file."""
    assert ([], [], [], None, None) == (
        store.runs(),
        store.calls(),
        store.columns(["run_id"]),
        store.stored("key"),
        store.unfinished("key"),
    )
    assert [] == list(project.iterdir())


def test_what_is_committed_comes_back(store: Store) -> None:
    """Every field of runs and calls comes back as it went in, money to the last digit."""
    full = call(
        model="m", variant="temperature=1", sample=2, case="c", max_tokens=9, score=0.5,
        finish_reason="stop", error="e", error_kind="K", error_hint="h", scorer="exact",
        reference="r", input_tokens=1, output_tokens=2, cached_input_tokens=3, reasoning_tokens=4,
        cost_usd=Decimal("0.000000000001"), original_cost_usd=Decimal("123456.789012345678"),
        reserved_usd=Decimal(0), latency_s=0.25, original_latency_s=0.5, first_token_s=0.125,
        price_source="p", price_as_of="2026-01-01", billed="yes", from_store=True, simulated=True,
        runs_here=True, started_utc="s",
    )  # fmt: skip
    bare = CallRow("r1-1", "r1", "own/y", "key 1", "in_flight")
    begun = running(store, title="T", key="k", budget_usd=Decimal("0.05"))
    put(store, begun, CallEnded(full), CallIntended(bare), RunEnded("r1", "paused", "limit"))
    assert [full, bare] == store.calls("r1") == store.calls()
    (run,) = store.runs()
    assert run.ended_utc >= run.started_utc
    expected = dataclasses.replace(begun.run, status="paused", reason="limit")
    assert expected == dataclasses.replace(run, ended_utc="")
    assert [("r1", 1), ("r1", None)] == store.columns(["run_id", "input_tokens"])


def test_money_is_never_rounded_down(store: Store) -> None:
    """What is finer than a picodollar is rounded up, so that a sum never hides a cost."""
    put(store, running(store), CallEnded(call(cost_usd=Decimal("0.0000000000011"))))
    assert Decimal("0.000000000002") == store.calls()[0].cost_usd


@pytest.mark.parametrize(
    "text",
    ["", "plain", "ü 🧊 \u202e", "lone \ud800 \udfff", "nul \x00 in it", "\x1b]8;;x\x07", "\r\n\t",
     "x" * 10_000_000],
    ids=["empty", "plain", "unicode", "surrogates", "nul", "escapes", "space", "10 MB"],
)  # fmt: skip
def test_any_text_comes_back(store: Store, text: str) -> None:
    """Answers, prompts, cases, errors, references and titles come back byte for byte."""
    row = call(
        text=text,
        messages=(Message("system", text), Message("user", text)),
        case=text[:1000],
        error=text[:1000],
        error_hint=text[:1000],
        reference=text[:1000],
    )
    put(store, running(store, title=text[:80]), CallEnded(row))
    assert [row] == store.calls()
    assert text[:80] == store.runs()[0].title


def test_a_key_is_not_stored(store: Store, project: Path) -> None:
    """A loaded key in a prompt, an answer or an error is nowhere in the store's files."""
    key = Secret("sk-canary-stored-987654321").reveal()
    row = call(text=f"it is {key}", messages=(Message("user", key),), error=key, reference=key)
    put(store, running(store, title=key), CallEnded(row))
    assert "it is ***" == store.calls()[0].text
    for path in project.rglob("*"):
        if path.is_file():
            assert b"canary-stored" not in path.read_bytes(), path


def test_equal_texts_are_kept_once(store: Store) -> None:
    """A long prompt of a thousand calls takes its room once."""
    long = (Message("user", "z" * 50_000),)
    put(
        store,
        running(store),
        *(CallEnded(call(n, messages=long, text="same")) for n in range(1000)),
    )
    with store.reader() as connection:
        assert connection is not None
        assert (2,) == connection.execute("SELECT count(*) FROM texts").fetchone()


# --- files and rights ---------------------------------------------------------------------------


def test_all_files_are_private(store: Store, project: Path) -> None:
    """Under umask 000 the folder has 0700 and every file 0600, those of SQLite too."""
    before = os.umask(0)
    try:
        put(store, running(store), CallEnded(call()))
        files = {path.name: path.stat().st_mode & 0o777 for path in project.rglob("*")}
    finally:
        os.umask(before)
    assert {".bmad", "bmad.db", "bmad.db-wal", "bmad.db-shm", "bmad.db.lock"} <= set(files)
    assert {0o700} == {files.pop(".bmad"), files.pop("owners")}
    files.pop(".gitignore")
    assert {0o600} == set(files.values())


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_link_is_refused(project: Path, what: str) -> None:
    """A store behind a link is refused, and what the link names is not touched."""
    target = project / "elsewhere"
    path = project / ".bmad" / "bmad.db"
    if what == "file":
        path.parent.mkdir()
        target.write_text("theirs")
        path.symlink_to(target)
    else:
        target.mkdir()
        path.parent.symlink_to(target)
    with pytest.raises(StoreError):
        put(Store(path), RunStarted(RunRow("r1", "ask", "running", fence=1)))
    assert "theirs" == target.read_text() if what == "file" else [] == list(target.iterdir())


@pytest.mark.parametrize(
    "content", [b"", b"not a database at all, but long enough to be one\n" * 40, b"SQLite format 3"]
)
def test_an_odd_file_is_corrupt_and_left_as_it_is(project: Path, content: bytes) -> None:
    """An emptied or foreign file is StoreCorrupt for readers and writers, and is not changed."""
    first = Store(project / ".bmad" / "bmad.db")
    put(first, running(first), CallEnded(call()))
    first.close()
    first.path.write_bytes(content)
    second = Store(first.path)
    for attempt in (
        second.runs,
        second.calls,
        lambda: second.stored("key 0"),
        lambda: put(second, running(second, "r2"), CallEnded(call(1, "r2"))),
    ):
        with pytest.raises(StoreCorrupt):
            attempt()
    assert content == first.path.read_bytes()
    second.close()


def test_another_program_s_tables_are_left_alone(project: Path) -> None:
    """A SQLite file that is no store gets no tables from us."""
    path = project / "other.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE theirs (x)")
    other.close()
    before = path.read_bytes()
    store = Store(path)
    with pytest.raises(StoreCorrupt, match="another program"):
        put(store, running(store))
    with pytest.raises(StoreCorrupt, match="another program"):
        store.runs()
    assert before == path.read_bytes()


def test_a_newer_store_is_refused(store: Store) -> None:
    """A store of a later format is StoreTooNew for readers and writers, and is not changed."""
    put(store, running(store))
    store.close()
    with sqlite3.connect(store.path) as later:
        later.execute("PRAGMA user_version = 99")
    later.close()
    before = store.path.read_bytes()
    with pytest.raises(StoreTooNew, match="format 99"):
        store.runs()
    with pytest.raises(StoreTooNew, match="format 99"):
        put(store, running(store, "r2"))
    assert before == store.path.read_bytes()


def test_a_store_that_was_removed_begins_anew(store: Store) -> None:
    """Whoever deletes the file gets a new store, not an error."""
    put(store, running(store), CallEnded(call()))
    store.close()
    for path in store.path.parent.glob("bmad.db*"):
        if not path.name.endswith(".lock"):
            path.unlink()
    assert [] == store.calls()
    put(store, running(store), CallEnded(call(1)))
    assert ["r1-1"] == [row.call_id for row in store.calls()]


def test_a_file_that_was_never_filled_is_a_new_store(project: Path) -> None:
    """An empty file, as `touch` or a kill at the first step leaves it, is no store yet."""
    path = project / "mine.db"
    path.touch()
    store = Store(path)
    assert [] == store.runs()
    put(store, running(store), CallEnded(call()))
    assert 1 == len(store.calls())
    store.close()


def test_a_missing_text_is_corrupt(store: Store) -> None:
    """A row whose text was taken away is StoreCorrupt, not an empty answer."""
    put(store, running(store), CallEnded(call()))
    store.close()
    with sqlite3.connect(store.path) as tampering:
        tampering.execute("DELETE FROM texts")
    tampering.close()
    with pytest.raises(StoreCorrupt, match="missing"):
        store.calls()


def test_a_small_write_leaves_the_writer_s_locks(store: Store) -> None:
    """After a score or a wish of this process, a reader elsewhere takes nothing from the writer."""
    put(store, running(store), CallEnded(call()))
    store.wish("r1", "pause", {}, by="a test")
    assert 1 == _calls_seen_elsewhere(store)
    put(store, CallEnded(call(1)))
    assert 2 == _calls_seen_elsewhere(store)


def test_a_copy_made_by_hand_costs_nothing(store: Store) -> None:
    """A process that copies its open store as a plain file loses its locks, and no commit."""
    put(store, running(store))
    for number in range(3):
        shutil.copy(store.path, store.path.with_name("copy.db"))
        assert number == _calls_seen_elsewhere(store)  # it closes the store, as if it were the last
        put(store, CallEnded(call(number)))
    assert 3 == _calls_seen_elsewhere(store)


def _calls_seen_elsewhere(store: Store) -> int:
    """Return how many calls a process sees that opens the store, reads and leaves it."""
    said, _ = process("print(len(store.calls()))", store.path).communicate(timeout=60)
    return int(said)


# --- writing ------------------------------------------------------------------------------------


def test_many_commits_share_few_transactions(store: Store) -> None:
    """200 commits that are ready together make far fewer transactions, and all are there."""
    put(store, running(store))

    async def together() -> list[str]:
        assert store._writer is not None
        seen: list[str] = []
        store._writer.set_trace_callback(seen.append)
        await asyncio.gather(*(store.commit(CallEnded(call(n))) for n in range(200)))
        store._writer.set_trace_callback(None)
        return [sql for sql in seen if sql == "COMMIT"]

    commits = asyncio.run(together())
    assert 1 <= len(commits) <= 5
    assert 200 == len(store.calls())


def test_a_commit_returns_when_it_is_durable(store: Store) -> None:
    """When commit returns, another connection sees the rows."""

    async def work() -> list[int]:
        seen = []
        await store.commit(running(store))
        for number in range(5):
            await store.commit(CallEnded(call(number)))
            seen.append(len(store.calls()))
        return seen

    assert [1, 2, 3, 4, 5] == asyncio.run(work())


@pytest.mark.parametrize(
    "facts",
    [{"input_tokens": 2**70}, {"model": "\ud800"}, {"variant": "\ud800"}, {"text": {1, 2}},
     {"state": "dreaming"}, {"score": object()}],
    ids=lambda wrong: next(iter(wrong)) + type(next(iter(wrong.values()))).__name__,
)  # fmt: skip
def test_a_value_that_cannot_be_stored_is_an_error_and_no_hang(
    store: Store, facts: dict[str, Any]
) -> None:
    """What SQLite cannot take fails its own commit with StoreError; others go on."""

    async def work() -> None:
        await store.commit(running(store), CallEnded(call(0)))
        async with asyncio.timeout(20):
            with pytest.raises(StoreError):
                await store.commit(CallEnded(call(1, **facts)))
        await store.commit(CallEnded(call(2)))

    asyncio.run(work())
    assert ["r1-0", "r1-2"] == [row.call_id for row in store.calls()]


def test_a_folder_that_vanishes_is_an_error_and_no_hang(store: Store) -> None:
    """When somebody removes the folder, the next commit fails instead of waiting for ever."""
    put(store, running(store), CallEnded(call()))
    shutil.rmtree(store.path.parent)

    async def work() -> None:
        async with asyncio.timeout(20):
            await store.commit(CallEnded(call(1)))

    with pytest.raises(StoreError):
        asyncio.run(work())
    put(store, running(store, "r2"))
    assert ["r2"] == [run.run_id for run in store.runs()]


def test_a_fork_writes_through_a_connection_of_its_own(store: Store) -> None:
    """A forked child has its own owner and connection, and its end ends nothing of the parent's."""
    script = """
asyncio.run(store.commit(running(store, "parent"), CallEnded(call(0, "parent"))))
writer = store._writer
child_id = os.fork()
if child_id == 0:
    asyncio.run(store.commit(running(store, "child"), CallEnded(call(1, "child"))))
    os._exit(0 if store._writer is not writer else 1)
assert os.waitpid(child_id, 0)[1] == 0
asyncio.run(store.commit(CallEnded(call(2, "parent"))))
print({run.run_id: run.status for run in store.runs()}, len(store.calls()))
store.close()
"""
    assert "{'parent': 'running', 'child': 'interrupted'} 3\n" == child(script, store.path)


def test_an_outcome_takes_the_place_of_its_intent(store: Store) -> None:
    """A call is one row from intent to outcome, and its events tell the way."""
    put(store, running(store), CallIntended(call(0, state="in_flight", text=None)))
    put(store, CallEnded(call(0)))
    assert ["answered"] == [row.state for row in store.calls()]
    with store.reader() as connection:
        assert connection is not None
        (rows,) = connection.execute("SELECT count(*) FROM calls").fetchone()
    assert 1 == rows
    told = [(each.seq, each.event.kind) for each in store.events("r1")]
    assert [(1, "run_started"), (2, "call_intended"), (3, "call_ended")] == told


def test_the_newest_answer_to_a_request_is_found(store: Store) -> None:
    """`stored` gives the newest answer that was really made; failures and copies do not count."""
    rows = [
        call(0, text="old", ended_utc="2026-01-01"),
        call(1, text="new", ended_utc="2026-01-02"),
        call(2, text="copy", ended_utc="2026-01-03", from_store=True),
        call(3, text=None, ended_utc="2026-01-04", state="failed"),
    ]
    put(
        store,
        running(store),
        *(CallEnded(dataclasses.replace(row, request_key="same")) for row in rows),
    )
    found = store.stored("same")
    assert found is not None
    assert "new" == found.text
    assert store.stored("another") is None


def test_runs_are_found_by_the_beginning_of_their_id(store: Store) -> None:
    """An id or its beginning finds a run; none or two are an error that names the newest."""
    put(store, running(store, "abc1"), running(store, "abd2"), running(store, "abc"))
    assert "abd2" == store.run("abd").run_id
    assert "abc" == store.run("abc").run_id
    for wrong in ("ab", "zz", ""):
        with pytest.raises(UnknownRun, match="abd2"):
            store.run(wrong)


def test_writing_goes_on_after_close(store: Store) -> None:
    """A closed store opens again when it is used."""
    put(store, running(store), CallEnded(call(0)))
    store.close()
    store.close()
    put(store, CallEnded(call(1)))
    assert 2 == len(store.calls())


def test_the_log_is_checkpointed_by_the_way(store: Store) -> None:
    """After some thousands of writes the log has gone into the file and does not grow for ever."""

    async def work() -> None:
        await store.commit(running(store))
        for part in range(6):
            rows = [call(part * 500 + n) for n in range(500)]
            await store.commit(*map(CallEnded, rows))

    asyncio.run(work())
    before = store.path.with_name("bmad.db").stat().st_size
    assert before > 100_000


# --- several processes --------------------------------------------------------------------------


def test_two_processes_write_at_once(store: Store) -> None:
    """Two processes that write at the same time keep all rows, and the file is sound."""
    script = """
run_id = sys.argv[2]
async def work():
    await store.commit(running(store, run_id))
    for part in range(40):
        await asyncio.gather(*(store.commit(CallEnded(call(part * 5 + n, run_id))) for n in range(5)))
asyncio.run(work())
store.close()
"""
    both = [process(script, store.path, name) for name in ("one", "two")]
    for each in both:
        _, complaint = each.communicate(timeout=120)
        assert 0 == each.returncode, complaint
    assert (200, 200) == (len(store.calls("one")), len(store.calls("two")))
    with store.reader() as connection:
        assert connection is not None
        assert ("ok",) == connection.execute("PRAGMA integrity_check").fetchone()


def test_a_killed_process_loses_nothing_that_was_committed(store: Store) -> None:
    """After kill -9 in the midst of writing, every acknowledged row is there and its run is over."""
    script = """
async def work():
    await store.commit(running(store, "r9", key="k"))
    await store.commit(CallIntended(call(99999, "r9", state="in_flight", text=None)))
    for number in range(100000):
        await store.commit(CallEnded(call(number, "r9")))
        print(number, flush=True)
asyncio.run(work())
"""
    with process(script, store.path) as writing:
        assert writing.stdout is not None
        said = [writing.stdout.readline() for _ in range(50)]
        assert "running" == store.runs()[0].status
        assert store.unfinished("k") is None
        writing.send_signal(signal.SIGKILL)
        said += writing.stdout.read().split("\n")
    acknowledged = {int(line) for line in said if line.strip()}
    rows = {row.call_id: row for row in store.calls("r9")}
    assert {f"r9-{number}" for number in acknowledged} <= set(rows)
    assert ("lost", "maybe") == (rows["r9-99999"].state, rows["r9-99999"].billed)
    assert "interrupted" == store.runs()[0].status
    unfinished = store.unfinished("k")
    assert unfinished is not None
    assert "r9" == unfinished.run_id


def test_a_full_disk_keeps_what_was_stored(store: Store) -> None:
    """When the file may not grow, commit is StoreError; earlier rows stay, and the file is sound."""
    script = """
import random, resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
async def work():
    await store.commit(running(store))
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
    for number in range(1000):
        try:
            noise = random.Random(number).randbytes(10_000).hex()
            await store.commit(CallEnded(call(number, text=noise)))
        except StoreError as error:
            print("StoreError:", number, type(error).__name__, flush=True)
            return
asyncio.run(work())
"""
    kind, number, name = child(script, store.path).split()
    assert ("StoreError:", "StoreError") == (kind, name)
    assert int(number) > 3
    assert int(number) == len(store.calls())
    with store.reader() as connection:
        assert connection is not None
        assert ("ok",) == connection.execute("PRAGMA integrity_check").fetchone()


def test_a_reader_does_not_wait_for_a_writer(store: Store) -> None:
    """Reading what is there takes no longer because somebody writes."""
    put(store, running(store), *(CallEnded(call(n)) for n in range(50)))

    async def work() -> float:
        longest = 0.0
        writing = asyncio.gather(*(store.commit(CallEnded(call(100 + n))) for n in range(200)))
        for _ in range(10):
            began = time.monotonic()
            assert 50 <= len(await asyncio.to_thread(store.calls))
            longest = max(longest, time.monotonic() - began)
        await writing
        return longest

    assert asyncio.run(work()) < 10


def test_payloads_are_ascii_json(store: Store) -> None:
    """Events are plain ASCII JSON: nothing in the store can be revived as an object."""
    put(store, running(store), CallEnded(call()), RunEnded("r1", "completed"))
    with store.reader() as connection:
        assert connection is not None
        payloads = [row[0] for row in connection.execute("SELECT payload FROM events")]
        bodies = [row[0] for row in connection.execute("SELECT body FROM texts")]
    assert 3 == len(payloads)
    assert all(isinstance(json.loads(payload), dict) and payload.isascii() for payload in payloads)
    assert all(body[:1] == b"j" and body.isascii() for body in bodies)
