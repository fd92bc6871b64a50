"""Events as they come back: typed, whole, in their order, and small in the file."""

from __future__ import annotations

import asyncio
import dataclasses
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmad_nb.errors import StoreError, UnknownRun
from bmad_nb.events import (
    CallEnded,
    CallIntended,
    CallRow,
    Event,
    RunEnded,
    RunPlanned,
    RunRow,
    RunStarted,
    TaskEnded,
    TaskRow,
)
from bmad_nb.messages import Message
from bmad_nb.secrets import Secret
from bmad_nb.state import fold
from bmad_nb.store import stamped
from bmad_nb.store.journal import Store
from tests.store.writing import call, put, running, task

# Two surrogates side by side are one character to JSON, so only the lower ones are drawn.
CHARACTERS = st.one_of(
    st.characters(exclude_categories=("Cs",)), st.sampled_from('\x00\udc80\udfff\u202e\\"')
)
TEXTS = st.one_of(
    st.text(CHARACTERS, max_size=20),
    st.builds(lambda text, n: text * n, st.text(CHARACTERS, min_size=1, max_size=3),
              st.integers(1000, 3000)),
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(CHARACTERS, max_size=8), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
MONEY = st.none() | st.decimals(0, 1000, places=12)
COUNTS = st.none() | st.integers(0, 2**40)
SECONDS = st.none() | st.floats(0, 1e6)
INTENTS = st.builds(
    CallRow, st.sampled_from(["r1-0", "r1-1", "r1-2"]), st.just("r1"), st.just("own/x"),
    st.just("key"), st.just("in_flight"), case=TEXTS, reference=st.none() | TEXTS,
    messages=st.lists(st.builds(Message, st.just("user"), TEXTS), max_size=2).map(tuple),
    sample=st.integers(0, 9), reserved_usd=MONEY, simulated=st.booleans(), task=st.just("t1"),
    attempt=st.integers(1, 9), started_utc=st.just("2026-01-01T00:00:00+00:00"),
)  # fmt: skip
OUTCOMES = st.fixed_dictionaries({
    "state": st.sampled_from(["answered", "failed", "cancelled", "lost"]),
    "text": st.none() | TEXTS, "error": TEXTS, "error_hint": TEXTS, "score": SECONDS,
    "scorer": st.just("exact"), "input_tokens": COUNTS, "output_tokens": COUNTS,
    "cached_input_tokens": COUNTS, "reasoning_tokens": COUNTS, "cost_usd": MONEY,
    "original_cost_usd": MONEY, "latency_s": SECONDS, "original_latency_s": SECONDS,
    "first_token_s": SECONDS, "billed": st.sampled_from(["no", "yes", "maybe"]),
    "from_store": st.booleans(), "finish_reason": st.just("stop"), "error_kind": st.just("K"),
    "ended_utc": st.just("2026-01-01T00:00:01+00:00"),
})  # fmt: skip
TASKS = st.builds(
    TaskRow, st.just("r1"), st.sampled_from(["t1", "t2"]),
    st.sampled_from(["done", "failed", "skipped", "cancelled"]), value=VALUES, error=TEXTS,
    skipped_because=TEXTS, when=TEXTS, when_value=st.none() | st.booleans(), when_values=VALUES,
    degraded=st.booleans(), rung=st.integers(0, 3), cost_usd=st.none() | st.decimals(0, 1000),
    attempts=st.integers(0, 9), simulated=st.booleans(),
)  # fmt: skip


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[Event, ...]]:
    """Draw the commits of a run: calls that may have an outcome, tasks, plans, and its end."""
    run = RunRow(
        "r1", "workflow", "running", title=draw(TEXTS), key="k", budget_usd=draw(MONEY), fence=1,
        started_utc="2026-01-01T00:00:00+00:00", workflow="flow", definition=draw(VALUES),
        inputs=draw(VALUES), options=draw(VALUES),
    )  # fmt: skip
    commits: list[tuple[Event, ...]] = [(RunStarted(run),)]
    for intent in draw(st.lists(INTENTS, max_size=3, unique_by=lambda row: row.call_id)):
        commits.append((CallIntended(intent),))
        if draw(st.booleans()):
            ended = dataclasses.replace(intent, **draw(OUTCOMES))
            commits.append((CallEnded(ended), TaskEnded(draw(TASKS))))
    commits += [(TaskEnded(row),) for row in draw(st.lists(TASKS, max_size=2))]
    commits += [(RunPlanned("r1", {"steps": plan}),) for plan in draw(st.lists(VALUES, max_size=1))]
    if draw(st.booleans()):
        last = {e.task.task: e.task.state for c in commits for e in c if isinstance(e, TaskEnded)}
        may = ["completed"] if "failed" not in last.values() else []
        status = draw(st.sampled_from([*may, "paused", "failed", "cancelled"]))
        commits.append((RunEnded("r1", status, draw(st.just("user")), draw(VALUES)),))
    return commits


@settings(max_examples=60, deadline=None)
@given(histories())
def test_the_fold_of_what_is_stored_is_the_fold_of_what_was_committed(
    commits: list[tuple[Event, ...]],
) -> None:
    """Every kind of event comes back typed, with each text, number and nested value as it was."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / ".bmad" / "bmad.db")

        async def work() -> None:
            for commit in commits:
                await store.commit(*commit)

        asyncio.run(work())
        back = store.events("r1")
        store.close()
    told = [event for commit in commits for event in commit]
    assert fold(told) == fold(each.event for each in back)
    assert [event.kind for event in told] == [each.event.kind for each in back]
    assert list(range(1, len(told) + 1)) == [each.seq for each in back]


def test_two_sessions_of_a_run_are_one_row_of_events(store: Store) -> None:
    """Numbers go on without a gap over a pause; `after` gives the rest, in order."""
    put(store, running(store), task(0), CallEnded(call()))
    put(store, RunEnded("r1", "paused", "user"))
    other = Store(store.path)
    put(other, running(other, fence=2), task(1), RunEnded("r1", "completed"))
    other.close()
    kinds = ["run_started", "task_ended", "call_ended", "run_ended",
             "run_started", "task_ended", "run_ended"]  # fmt: skip
    told = store.events("r1")
    assert list(enumerate(kinds, 1)) == [(each.seq, each.event.kind) for each in told]
    assert told[5:] == store.events("r1", after=5)
    assert [] == store.events("r1", after=7)
    fences = [each.event.run.fence for each in told if isinstance(each.event, RunStarted)]
    assert [1, 2] == fences
    assert sorted(each.time_utc for each in told) == [each.time_utc for each in told]


def test_events_of_runs_do_not_mix(store: Store) -> None:
    """Runs that are written at the same time have their own numbers, from 1."""
    put(store, running(store, "a"), running(store, "b"))
    for number in range(3):
        put(store, task(number, "b"), task(number, "a"))
    for name in ("a", "b"):
        told = store.events(name)
        assert [1, 2, 3, 4] == [each.seq for each in told]
        assert {name} == {stamped.run_id_of(each.event) for each in told}


def test_events_of_no_run_are_an_error(store: Store) -> None:
    """A run that is not there is UnknownRun, before there is a store and after."""
    with pytest.raises(UnknownRun):
        store.events("r1")
    put(store, running(store))
    with pytest.raises(UnknownRun):
        store.events("r2")


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), object(), {1, 2}, {"deep": [b"bytes"]}],
    ids=lambda value: type(value).__name__,
)
def test_a_value_without_a_spelling_fails_alone(store: Store, value: Any) -> None:
    """It is a StoreError of its own commit; its neighbours of the same turn are durable."""

    async def work() -> list[Any]:
        await store.commit(running(store))
        commits = [store.commit(task(n, value=value if n == 3 else n)) for n in range(7)]
        return await asyncio.gather(*commits, return_exceptions=True)

    outcomes = asyncio.run(work())
    assert [3] == [n for n, outcome in enumerate(outcomes) if outcome is not None]
    assert isinstance(outcomes[3], StoreError)
    told = store.events("r1")
    names = [each.event.task.task for each in told if isinstance(each.event, TaskEnded)]
    assert ["t0", "t1", "t2", "t4", "t5", "t6"] == names
    assert list(range(1, 8)) == [each.seq for each in told]


def test_what_sqlite_refuses_fails_alone_too(store: Store) -> None:
    """A number, a state or an object that only SQLite refuses takes no neighbour with it."""
    odd: list[dict[str, Any]] = [
        {"input_tokens": 2**70}, {"state": "dreaming"}, {"model": "\ud800"}, {"variant": object()},
        {"score": float("nan")},
    ]  # fmt: skip

    async def work() -> list[Any]:
        await store.commit(running(store))
        rows = [call(n, **(odd[n // 2] if n % 2 else {})) for n in range(2 * len(odd))]
        commits = [store.commit(CallEnded(row)) for row in rows]
        return await asyncio.gather(*commits, return_exceptions=True)

    outcomes = asyncio.run(work())
    assert [None, StoreError] * len(odd) == [o if o is None else type(o) for o in outcomes]
    assert [f"r1-{n}" for n in range(0, 2 * len(odd), 2)] == [c.call_id for c in store.calls()]


def test_a_failed_commit_leaves_nothing_of_itself(store: Store) -> None:
    """What stood before the odd value in the same commit is not there either."""
    put(store, running(store))
    with pytest.raises(StoreError):
        put(store, task(0), CallEnded(call()), task(1, value=object()))
    assert (["run_started"], []) == ([e.event.kind for e in store.events("r1")], store.calls())


def test_a_key_stays_out_of_events_and_breaks_no_value(
    store: Store, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key is taken out of strings only: numbers and names that look like it stay."""
    monkeypatch.setattr("bmad_nb.secrets._known", set())
    key = Secret('sk-"quoted"\\canary-77').reveal()
    number = Secret("31415926").reveal()
    Secret("status")
    value = {"said": [f"it is {key}", {key: 1}], "count": int(number)}
    put(store, running(store, inputs={"x": key}), task(0, value=value, error=key))
    put(store, RunEnded("r1", "completed", outputs={"y": key}))
    (ended,) = [e.event.task for e in store.events("r1") if isinstance(e.event, TaskEnded)]
    assert {"said": ["it is ***", {"***": 1}], "count": 31415926} == ended.value
    assert {"x": "***"} == store.run("r1").inputs
    assert "completed" == fold(each.event for each in store.events("r1")).status
    store.close()
    for path in project.rglob("*"):
        if path.is_file():
            assert b"canary-77" not in path.read_bytes(), path


def test_a_result_takes_its_room_once(store: Store) -> None:
    """400 results of 1 KB take less than 1.5 times their bytes, and twice as many twice as much."""
    sizes = []
    for part in range(2):
        put(store, running(store, f"r{part}"))
        put(
            store,
            *(task(n, f"r{part}", value=f"{part} {n:05} ".ljust(1024, "x")) for n in range(400)),
        )
        store.close()
        sizes.append(store.path.stat().st_size)
    empty = Store(store.path.with_name("empty.db"))
    put(empty, running(empty))
    empty.close()
    constant = empty.path.stat().st_size
    assert sizes[0] - constant < 1.5 * 400 * 1024
    assert sizes[1] - sizes[0] < 1.5 * 400 * 1024


def test_answers_do_not_spill_onto_pages_of_their_own(store: Store) -> None:
    """400 answers of 1 KB with their calls and tasks take less than three times their bytes."""
    put(store, running(store))
    for n in range(400):
        ended = call(n, text=f"{n:05} ".ljust(1024, "y"), task=f"t{n}")
        put(store, CallEnded(ended), task(n, call_id=ended.call_id))
    store.close()
    assert store.path.stat().st_size < 3 * 400 * 1024


def test_an_answer_is_stored_once_beside_its_task(store: Store) -> None:
    """The text of a call is in no event: the task of the call only names it."""
    text = "canary " + "y" * 2000
    ended = call(0, text=text, task="t0")
    put(store, running(store), CallEnded(ended), task(0, call_id=ended.call_id))
    store.close()
    assert 1 == store.path.read_bytes().count(b"canary")


def test_a_long_value_is_kept_once(store: Store) -> None:
    """Equal values of 100 KB take their room once, and come back."""
    long = {"text": "ü" * 50_000}
    put(store, running(store), *(task(n, value=long) for n in range(20)))
    state = fold(each.event for each in store.events("r1"))
    assert [long] * 20 == [row.value for row in state.tasks.values()]
    with store.reader() as connection:
        assert connection is not None
        (most,) = connection.execute("SELECT max(length(payload)) FROM events").fetchone()
    assert most <= stamped.LONG


def test_a_result_that_is_an_output_too_is_kept_once(store: Store) -> None:
    """A long result takes its room once: as a value, as an output, and taken over by a new run."""
    long = {"text": "x" * 50_000}
    put(store, running(store), task(0, value=long), RunEnded("r1", "completed", "", {"o": long}))
    put(store, running(store, "r2"), task(0, "r2", value=long, kept_from="r1"))
    state = fold(each.event for each in store.events("r1"))
    assert (long, {"o": long}) == (state.tasks["t0"].value, state.outputs)
    with store.reader() as connection:
        assert connection is not None
        assert (1,) == connection.execute("SELECT count(*) FROM texts").fetchone()


def test_each_beginning_is_as_it_was(store: Store) -> None:
    """A run that goes on with another definition keeps the first one in its first event."""
    first = running(store, definition={"tasks": "x" * 9000}, inputs={"n": 1}, title="one")
    second = running(store, fence=2, definition={"tasks": "y"}, title="two", key="k")
    put(store, first, RunEnded("r1", "paused"))
    put(store, second)
    begun = [each.event for each in store.events("r1") if isinstance(each.event, RunStarted)]
    assert [first, second] == begun


def test_names_come_back_in_their_order(store: Store) -> None:
    """A workflow's tasks, a result's fields and the outputs are in the order in which they went."""
    ordered = {"z": 1, "a": {"y": 1, "b": 2}}
    begun = running(store, definition=ordered)
    put(store, begun, task(0, value=ordered), RunEnded("r1", "completed", "", ordered))
    state = fold(each.event for each in store.events("r1"))
    for value in (store.run("r1").definition, state.tasks["t0"].value, state.outputs):
        assert repr(ordered) == repr(value)


def test_money_of_a_task_is_exact(store: Store) -> None:
    """A task's cost comes back to its last digit."""
    cost = Decimal("0.1234567890123456789")
    put(store, running(store), task(0, cost_usd=cost))
    assert cost == fold(each.event for each in store.events("r1")).tasks["t0"].cost_usd


def test_a_reader_sees_one_moment(store: Store) -> None:
    """While a reader looks, what is committed meanwhile is not half there."""
    put(store, running(store))
    with store.reader() as connection:
        assert connection is not None
        count = "SELECT count(*) FROM events"
        before = connection.execute(count).fetchone()
        put(store, task(0))
        assert before == connection.execute(count).fetchone()
    assert 2 == len(store.events("r1"))
