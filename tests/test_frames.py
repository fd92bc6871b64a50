"""Frames: declared columns and dtypes, and the same values by either way out of the store."""

from __future__ import annotations

import asyncio
import dataclasses
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest

from bmad_nb import frames
from bmad_nb.events import (
    CallEnded,
    CallIntended,
    CallRow,
    RunEnded,
    RunRow,
    RunStarted,
    TaskRow,
)
from bmad_nb.messages import Message
from bmad_nb.store.journal import Store

FULL = CallRow(
    "r1-0", "r1", "own/x", "key", "answered", model="m", variant="temperature=1", sample=1,
    case="c ü", messages=(Message("system", "s"), Message("user", "Why?")), max_tokens=5,
    text="Because.", finish_reason="stop", error="", score=0.5, scorer="exact", reference="r",
    input_tokens=3, output_tokens=2, cached_input_tokens=1, reasoning_tokens=0,
    cost_usd=Decimal("0.0000123"), original_cost_usd=Decimal("0.0000123"),
    reserved_usd=Decimal("0.1"), latency_s=0.25, original_latency_s=0.25, first_token_s=0.125,
    price_source="p", price_as_of="2026-01-01", billed="yes",
    started_utc="2026-01-01T00:00:00.000001+00:00", ended_utc="2026-01-01T00:00:01+00:00",
)  # fmt: skip
BARE = CallRow("r1-1", "r1", "own/y", "key2", "in_flight", started_utc="2026-01-01T00:00:00+00:00")
FAILED = dataclasses.replace(
    BARE, call_id="r1-2", state="failed", error="lone \ud800, nul \x00", error_kind="RateLimited",
    billed="maybe", cost_usd=None,
)  # fmt: skip
COPY = dataclasses.replace(
    FULL, call_id="r2-0", run_id="r2", from_store=True, cost_usd=Decimal(0), latency_s=0.0
)
SIMULATED = dataclasses.replace(FULL, call_id="r2-1", run_id="r2", simulated=True, case="\ud800")
UNPRICED = dataclasses.replace(FULL, call_id="r2-2", run_id="r2", cost_usd=None)
ROWS = [FULL, BARE, FAILED, COPY, SIMULATED, UNPRICED]


def stored(store: Store, rows: list[CallRow]) -> Store:
    """Return the store, which then holds rows."""
    if rows:
        names = sorted({row.run_id for row in rows})
        owner = store.owner_name()
        begun = [RunStarted(RunRow(n, "ask", "running", owner=owner, fence=1)) for n in names]
        asyncio.run(store.commit(*begun, *map(CallEnded, rows)))
    return store


def declared(
    columns: tuple[frames.Column, ...], *, without: tuple[str, ...] = ()
) -> dict[str, str]:
    """Return the declared dtypes by name."""
    return {c.name: c.dtype for c in columns if c.name not in without}


def dtypes(frame: pd.DataFrame) -> dict[str, str]:
    """Return the dtypes that a frame has by name."""
    return {str(name): str(dtype) for name, dtype in frame.dtypes.items()}


@pytest.mark.parametrize("rows", [ROWS, [BARE], []], ids=["many", "one without an answer", "none"])
def test_calls_have_the_declared_columns(rows: list[CallRow]) -> None:
    """Names, order and dtypes are as declared, with answers or without, and with no rows at all."""
    frame = frames.calls(rows)
    expected = declared(frames.CALLS)
    assert list(expected) == list(frame.columns)
    assert expected == dtypes(frame)
    assert len(rows) == len(frame)
    assert "USD" == frame.attrs["units"]["cost_usd"]


def test_values_are_those_of_the_row() -> None:
    """A row's values are in its columns; the prompt is the last message as sent."""
    row = frames.calls([FULL]).iloc[0]
    assert ("Why?", "Because.", "c ü", 0.5) == (row.prompt, row.answer, row.case, row.score)
    assert (1.23e-05, 0.25, 3, 1) == (row.cost_usd, row.latency_s, row.input_tokens, row["sample"])
    assert pd.Timestamp("2026-01-01T00:00:01", tz="UTC") == row.ended_utc


def test_what_is_unknown_is_missing_and_not_zero() -> None:
    """Unknown cost, tokens, score, answer and time are missing values."""
    row = frames.calls([BARE]).iloc[0]
    names = ["answer", "score", "cost_usd", "latency_s", "input_tokens", "ended_utc", "reference"]
    assert [True] * len(names) == [pd.isna(row[name]) for name in names]


def test_lone_surrogates_can_be_shown() -> None:
    """Text that Arrow refuses is shown with a question mark in its place."""
    assert "lone ?, nul \x00" == frames.calls([FAILED]).iloc[0].error


@pytest.mark.parametrize("rows", [ROWS, [BARE], []], ids=["many", "one without an answer", "none"])
def test_both_ways_out_of_the_store_agree(store: Store, rows: list[CallRow]) -> None:
    """The quick way without texts gives the same frame as the way over objects."""
    store = stored(store, rows)
    slow = frames.calls(store.calls()).drop(columns=["answer", "prompt"])
    quick = frames.stored_calls(store.columns(frames.STORED_COLUMNS), [])
    slow.attrs = quick.attrs = {}
    pd.testing.assert_frame_equal(slow, quick)
    assert declared(frames.CALLS, without=("answer", "prompt")) == dtypes(quick)


def test_calls_in_flight_of_a_dead_process_are_lost(store: Store) -> None:
    """What was in flight when its process died is lost and may have been billed."""
    quick = frames.stored_calls(
        stored(store, ROWS).columns(frames.STORED_COLUMNS), ["r1"]
    ).set_index("call_id")
    assert ("lost", "maybe") == tuple(quick.loc["r1-1", ["state", "billed"]])
    assert ("answered", "yes") == tuple(quick.loc["r1-0", ["state", "billed"]])


def run_frame(store: Store, *runs: RunRow) -> pd.DataFrame:
    """Return the frame of runs over the rows above."""
    for run in runs:
        ended = [CallEnded(row) for row in ROWS if row.run_id == run.run_id]
        end = RunEnded(run.run_id, run.status, run.reason)
        begun = RunStarted(dataclasses.replace(run, status="running", fence=1))
        asyncio.run(store.commit(begun, *ended, *([end] if run.status != "running" else [])))
    return frames.runs(store.runs(), store.sums())


FIRST = RunRow("r1", "ask", "paused", title="one", reason="limit", budget_usd=Decimal("0.5"),
               started_utc="2026-01-01T00:00:00+00:00")  # fmt: skip
SECOND = RunRow("r2", "compare", "completed", started_utc="2026-01-02T00:00:00+00:00")
EMPTY = RunRow("r3", "ask", "failed", started_utc="2026-01-03T00:00:00+00:00")


def test_runs_have_the_declared_columns(store: Store) -> None:
    """Names, order and dtypes of runs are as declared; the newest run stands first."""
    frame = run_frame(store, FIRST, SECOND, EMPTY)
    assert declared(frames.RUNS) == dtypes(frame)
    assert list(declared(frames.RUNS)) == list(frame.columns)
    assert ["r3", "r2", "r1"] == list(frame.run_id)
    assert declared(frames.RUNS) == dtypes(frames.runs([], {}))


@pytest.mark.parametrize(
    ("run_id", "expected"),
    [
        ("r1", {"calls": 3, "from_store": 0, "failed": 1, "maybe_billed": 1, "cost_usd": 1.23e-05,
                "unpriced_calls": 0, "simulated_cost_usd": 0.0, "budget_usd": 0.5,
                "reason": "limit", "status": "paused", "title": "one"}),
        ("r2", {"calls": 2, "from_store": 1, "failed": 0, "maybe_billed": 0, "cost_usd": 0.0,
                "unpriced_calls": 1, "simulated_cost_usd": 1.23e-05, "status": "completed"}),
        ("r3", {"calls": 0, "from_store": 0, "cost_usd": 0.0, "unpriced_calls": 0}),
    ],
)  # fmt: skip
def test_a_run_sums_its_calls(store: Store, run_id: str, expected: dict[str, Any]) -> None:
    """Counts and sums are per run; simulated money and unpriced calls stand apart."""
    row = run_frame(store, FIRST, SECOND, EMPTY).set_index("run_id").loc[run_id]
    assert expected == {name: row[name] for name in expected}


def test_every_stored_column_is_a_field_of_the_row() -> None:
    """What the frame reads from the store is what a call row has."""
    fields = {field.name for field in dataclasses.fields(CallRow)}
    assert set(frames.STORED_COLUMNS) <= fields
    assert {"answer", "prompt", *frames._PRICES} == {c.name for c in frames.CALLS} - fields


DONE = TaskRow(
    "r1", "t1", "done", verb="prompt", call_id="c2", llm="own/x", attempts=2, when="inputs.go",
    when_value=True, rung=1, degraded=True, cost_usd=Decimal("0.5"),
    started_utc="2026-01-01T00:00:00+00:00", ended_utc="2026-01-01T00:00:02.500000+00:00",
)  # fmt: skip
SET = TaskRow("r1", "t2", "done", verb="set", value={"ü": [1, None]}, kept_from="r0")
SKIPPED = TaskRow("r1", "t3", "skipped", skipped_because="It was not needed.", when="1 > 2",
                  when_value=False)  # fmt: skip
UNTOLD = TaskRow("r1", "t4", "failed", error="lone \ud800", error_kind="RateLimited")
TASKS = [DONE, SET, SKIPPED, UNTOLD]
TASK_CALLS = [
    dataclasses.replace(FULL, call_id="c1", task="t1", state="failed", billed="no", text=None,
                        cost_usd=Decimal(0), input_tokens=None, output_tokens=None),
    dataclasses.replace(FULL, call_id="c2", task="t1", attempt=2, cost_usd=Decimal("0.5")),
    dataclasses.replace(FULL, call_id="c3", task="t1", from_store=True, billed="no",
                        cost_usd=Decimal(0)),
    dataclasses.replace(FAILED, call_id="c4", task="t4"),
    dataclasses.replace(FULL, call_id="c5", task="t2", run_id="another"),
]  # fmt: skip


def tasks() -> pd.DataFrame:
    """Return the frame of the tasks above."""
    return frames.tasks(TASKS, TASK_CALLS, {"t1": "Because."}).set_index("task")


@pytest.mark.parametrize("rows", [TASKS, [SKIPPED], []], ids=["many", "one skipped", "none"])
def test_tasks_have_the_declared_columns(rows: list[TaskRow]) -> None:
    """Names, order and dtypes of tasks are as declared, whatever happened, and with none at all."""
    frame = frames.tasks(rows, TASK_CALLS, {})
    assert declared(frames.TASKS) == dtypes(frame)
    assert list(declared(frames.TASKS)) == list(frame.columns)
    assert [row.task for row in rows] == list(frame.task)
    assert ("USD", "s") == (frame.attrs["units"]["cost_usd"], frame.attrs["units"]["duration_s"])


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("t1", {"calls": 2, "from_store": 1, "cost_usd": 0.5, "input_tokens": 6, "attempts": 2,
                "output_tokens": 4, "duration_s": 2.5, "answer": "Because.", "rung": 1,
                "degraded": True, "when_value": True, "llm": "own/x", "kept_from": ""}),
        ("t2", {"calls": 0, "from_store": 0, "cost_usd": 0.0, "input_tokens": 0,
                "answer": '{"ü": [1, null]}', "kept_from": "r0", "verb": "set"}),
        ("t3", {"calls": 0, "cost_usd": 0.0, "state": "skipped", "when_value": False,
                "skipped_because": "It was not needed.", "when": "1 > 2"}),
        ("t4", {"calls": 1, "error": "lone ?", "error_kind": "RateLimited", "degraded": False}),
    ],
)  # fmt: skip
def test_a_task_sums_its_calls(task: str, expected: dict[str, Any]) -> None:
    """Calls, tokens and cost are those of the task in its run; an answer is text or JSON."""
    row = tasks().loc[task]
    assert expected == {name: row[name] for name in expected}


def test_what_is_unknown_of_a_task_is_missing() -> None:
    """A cost and tokens that nobody knows, a time and an answer that are not there, are missing."""
    frame = tasks()
    assert {"t4"} == set(frame.index[frame.cost_usd.isna()])
    assert {"t4"} == set(frame.index[frame.input_tokens.isna()])
    assert {"t3", "t4"} == set(frame.index[frame.answer.isna()])
    assert {"t2", "t3", "t4"} == set(frame.index[frame.duration_s.isna()])
    assert {"t2", "t4"} == set(frame.index[frame.when_value.isna()])


def test_a_run_of_a_dead_process_counts_what_was_in_flight(store: Store) -> None:
    """Its calls in flight may have been billed, in the frame of runs as in that of calls."""
    begun = RunRow("r1", "workflow", "running", workflow="flow", fence=1)
    asyncio.run(store.commit(RunStarted(begun), CallIntended(BARE)))
    (row,) = frames.runs(store.runs(), store.sums()).itertuples()
    assert ("interrupted", 1, "flow") == (row.status, row.maybe_billed, row.workflow)


def test_use_counts_calls_in_flight_and_the_rate_of_tokens() -> None:
    """Two calls that overlap: one, two, one, none; their tokens are spread over their time."""

    def call(number: int, began: int, ended: int, tokens: int) -> CallRow:
        begun, end = (f"2026-01-01T00:00:{s:02}+00:00" for s in (began, ended))
        return CallRow(str(number), "r", "a/b", "k", "answered", output_tokens=tokens,
                       started_utc=begun, ended_utc=end)  # fmt: skip

    stored = dataclasses.replace(call(3, 0, 9, 99), from_store=True)
    found = frames.use([call(1, 0, 4, 40), call(2, 2, 6, 20), stored])
    assert [0.0, 2.0, 4.0, 6.0] == list(found["time_s"])
    assert [1, 2, 1, 0] == list(found["in_flight"])
    assert [10.0, 15.0, 5.0, 0.0] == list(found["tokens_per_s"])
    assert 0 == len(frames.use([stored]))
