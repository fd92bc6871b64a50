"""Events and their fold: the state of a run is what its events say, and nothing else."""

from __future__ import annotations

import dataclasses
from decimal import Decimal

import pytest

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
from bmad_nb.state import RunState, fold

RUN = RunRow("r1", "ask", "running")
CALL = CallRow("r1-0", "r1", "sim/careful", "key", "in_flight")
DONE = dataclasses.replace(CALL, state="answered", text="yes", cost_usd=Decimal("0.25"))


TASK = TaskRow("r1", "t1", "failed")


def test_nothing_happened() -> None:
    """A run without events has no calls and has spent nothing."""
    state = fold([])
    assert (None, {}, Decimal(0)) == (state.run, state.calls, state.spent_usd)


@pytest.mark.parametrize(
    ("status", "call", "events"),
    [
        ("running", None, [RunStarted(RUN)]),
        ("running", "in_flight", [RunStarted(RUN), CallIntended(CALL)]),
        ("running", "answered", [RunStarted(RUN), CallIntended(CALL), CallEnded(DONE)]),
        ("paused", "in_flight", [RunStarted(RUN), CallIntended(CALL), RunEnded("r1", "paused")]),
        ("running", None, [RunStarted(RUN), RunEnded("r1", "paused"), RunStarted(RUN)]),
        ("completed", "answered", [RunStarted(RUN), CallEnded(DONE), RunEnded("r1", "completed")]),
    ],
)
def test_the_state_follows_the_events(status: str, call: str | None, events: list[Event]) -> None:
    """The last word on the run and on each call is its state."""
    state = fold(events)
    assert status == state.status
    assert call == (state.calls[CALL.call_id].state if state.calls else None)


def test_the_last_word_on_plan_task_and_outputs_holds() -> None:
    """A task that was done anew, a newer plan and the outputs at the end are the run's state."""
    again = dataclasses.replace(TASK, state="done", value=3)
    state = fold([
        RunPlanned("r1", {"steps": [1]}), TaskEnded(TASK), RunPlanned("r1", {"steps": [2]}),
        TaskEnded(again), RunEnded("r1", "completed", outputs={"x": 3}),
    ])  # fmt: skip
    assert ({"steps": [2]}, {"t1": again}, {"x": 3}) == (state.plan, state.tasks, state.outputs)


def test_what_was_spent_is_certain_and_real() -> None:
    """Spent is the sum of known costs; unknown ones and simulated money are not in it."""
    rows = [
        DONE,
        dataclasses.replace(DONE, call_id="b", cost_usd=None),
        dataclasses.replace(DONE, call_id="c", simulated=True),
        dataclasses.replace(DONE, call_id="d", cost_usd=Decimal("0.05")),
    ]
    assert Decimal("0.30") == fold(CallEnded(row) for row in rows).spent_usd


def test_folding_in_two_parts_is_folding_once() -> None:
    """A fold depends on nothing but the order of the events."""
    events: list[Event] = [RunStarted(RUN), CallIntended(CALL), CallEnded(DONE)]
    assert fold(iter(events)) == fold(tuple(events))
    assert isinstance(fold(events), RunState)


@pytest.mark.parametrize(
    ("expected", "variant", "sample"),
    [
        ("sim/careful", "", 0),
        ("sim/careful?temperature=1", "temperature=1", 0),
        ("sim/careful #2", "", 1),
        ("sim/careful?seed=3 #3", "seed=3", 2),
    ],
)
def test_a_column_is_named_by_llm_setting_and_sample(
    expected: str, variant: str, sample: int
) -> None:
    """The label tells two columns of a comparison apart."""
    assert expected == dataclasses.replace(CALL, variant=variant, sample=sample).label


def test_events_carry_their_kind() -> None:
    """Each event is tagged, so that a stored one can be told from the others."""
    events = (
        RunStarted(RUN), RunPlanned("r1", {}), CallIntended(CALL), CallEnded(DONE),
        TaskEnded(TASK), RunEnded("r1", "failed"),
    )  # fmt: skip
    expected = [
        "run_started", "run_planned", "call_intended", "call_ended", "task_ended", "run_ended",
    ]  # fmt: skip
    assert expected == [event.kind for event in events]
