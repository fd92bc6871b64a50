"""How events are spelled in SQLite, and how they are read back."""

from __future__ import annotations

import dataclasses
import json
import operator
import sqlite3
from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple

from bmad_nb.errors import StoreCorrupt
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
from bmad_nb.store import schema

LONG = 4096
"""Bytes of a payload from which on it stands in the table of texts."""
_TASK = [(f.name, f.default) for f in dataclasses.fields(TaskRow) if f.name != "run_id"]
_task_values = operator.attrgetter(*(name for name, _ in _TASK))
_INTENDED: dict[str, Any] = {
    **{f.name: f.default for f in dataclasses.fields(CallRow) if f.name in schema.OUTCOME},
    "state": "in_flight",
}


class Stamped(NamedTuple):
    """An event with its place in its run."""

    seq: int
    """Number within the run, from 1."""
    time_utc: str
    event: Event


def run_id_of(event: Event) -> str:
    """Return the run that an event belongs to."""
    match event:
        case RunStarted(run=row) | CallIntended(call=row) | CallEnded(call=row):
            return row.run_id
        case TaskEnded(task=row):
            return row.run_id
    return event.run_id


def payload_of(event: Event) -> dict[str, Any]:
    """Return what of an event is not in another table, as JSON values."""
    match event:
        case TaskEnded(task=task):
            return _task(task)
        case CallIntended(call=call) | CallEnded(call=call):
            return {"call_id": call.call_id}
        case RunPlanned(plan=plan):
            return {"plan": plan}
        case RunStarted(run=run):
            budget = None if run.budget_usd is None else str(run.budget_usd)
            return {"fence": run.fence, "owner": run.owner, "budget_usd": budget}
        case RunEnded():
            return {"status": event.status, "reason": event.reason, "outputs": event.outputs}


def _task(row: TaskRow) -> dict[str, Any]:
    """Return the fields that are not at their defaults; money as decimal text."""
    found = {
        name: value
        for (name, default), value in zip(_TASK, _task_values(row), strict=True)
        if value != default
    }
    if row.cost_usd is not None:
        found["cost_usd"] = str(row.cost_usd)
    return found


def keep_event(writer: sqlite3.Connection, event: Event, number: int, time_utc: str) -> None:
    """Insert an event; a long payload is stored once, among the texts.

    Args:
        writer: the connection.
        event: the event.
        number: its id.
        time_utc: the time.

    Raises:
        TypeError: it holds something that is no JSON value.
        ValueError: it holds NaN or an infinity.
    """
    body = schema.spell(payload_of(event))
    if len(body) > LONG:
        body = b"@" + schema.keep_text(writer, body)
    writer.execute(schema.KEEP_EVENT, (number, time_utc, event.kind, body))


def event_of(
    connection: sqlite3.Connection,
    kind: str,
    body: bytes,
    run: RunRow,
    call: Callable[[str], CallRow],
) -> Event:
    """Return the event that a row spells.

    Args:
        connection: where long payloads are.
        kind: its kind.
        body: its payload.
        run: the run that it belongs to.
        call: gives a call by its id.

    Raises:
        StoreCorrupt: nobody knows such an event.
    """
    long = body[:1] == b"@"
    payload = schema.text_of(connection, body[1:]) if long else json.loads(body)
    match kind:
        case "task_ended":
            cost = payload.get("cost_usd")
            money = None if cost is None else Decimal(cost)
            return TaskEnded(TaskRow(**{**payload, "run_id": run.run_id, "cost_usd": money}))
        case "call_ended":
            return CallEnded(call(payload["call_id"]))
        case "call_intended":
            intended = dataclasses.replace(call(payload["call_id"]), **_INTENDED)
            return CallIntended(intended)
        case "run_planned":
            return RunPlanned(run.run_id, payload["plan"])
        case "run_started":
            return RunStarted(_as_started(run, payload))
        case "run_ended":
            return RunEnded(
                run.run_id, payload["status"], payload["reason"], payload.get("outputs")
            )
    raise StoreCorrupt(f"The store has an event of unknown kind {kind!r}.", hint="Update bmad_nb.")


def _as_started(run: RunRow, payload: dict[str, Any]) -> RunRow:
    """Return a run as it was taken up; version 1 of the store did not keep fence and budget."""
    budget = payload.get("budget_usd", run.budget_usd)
    return dataclasses.replace(
        run,
        status="running",
        reason="",
        ended_utc="",
        fence=payload.get("fence", 0),
        owner=payload.get("owner", run.owner),
        budget_usd=None if budget is None else Decimal(budget),
    )
