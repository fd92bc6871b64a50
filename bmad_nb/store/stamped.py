"""How events are spelled in SQLite, and how they are read back."""

from __future__ import annotations

import dataclasses
import json
import operator
import sqlite3
from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple

from bmad_nb.errors import StoreCorrupt, StoreError
from bmad_nb.events import (
    CallEnded,
    CallIntended,
    CallRow,
    Checkpoint,
    Event,
    PriceChanged,
    Routed,
    RunEnded,
    RunPausing,
    RunPlanned,
    RunRow,
    RunStarted,
    TaskAnswered,
    TaskAsked,
    TaskEnded,
    TaskRow,
)
from bmad_nb.plan import root_of
from bmad_nb.store import schema

LONG = 4096
"""Bytes of a payload from which on it stands in the table of texts."""
_DEFAULTS = {
    kind: [(f.name, f.default) for f in dataclasses.fields(kind) if f.name != "run_id"]
    for kind in (TaskRow, RunRow)
}
_VALUES = {
    kind: operator.attrgetter(*(name for name, _ in fields)) for kind, fields in _DEFAULTS.items()
}
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


def failed_after(failed: frozenset[str], event: Event) -> frozenset[str]:
    """Return the tasks of a run that have failed, after one more event.

    Args:
        failed: those that had failed before.
        event: what was done.

    Raises:
        StoreError: the run is said to be completed although one has.
    """
    if isinstance(event, TaskEnded):
        name = event.task.task
        if event.task.state == "failed" and name == root_of(name):
            return failed | {name}
        return failed - {name} if failed else failed
    if isinstance(event, RunEnded) and event.status == "completed" and failed:
        raise StoreError(
            f"Run {event.run_id} is not completed: {', '.join(sorted(failed))} failed."
        )
    return failed


def payload_of(event: Event) -> dict[str, Any]:
    """Return what of an event is not in another table, as JSON values."""
    match event:
        case TaskEnded(task=task):
            return _fields(task, "cost_usd")
        case CallIntended(call=call) | CallEnded(call=call):
            return {"call_id": call.call_id}
        case RunPlanned(plan=plan):
            return {"plan": plan}
        case PriceChanged() | Routed() | TaskAsked() | TaskAnswered() | Checkpoint() | RunPausing():
            return {
                f.name: getattr(event, f.name)
                for f in dataclasses.fields(event)
                if f.name not in {"run_id", "kind"}
            }
        case RunStarted(run=run):
            return _fields(run, "budget_usd")
        case RunEnded():
            return {"status": event.status, "reason": event.reason, "outputs": event.outputs}


def _fields(row: TaskRow | RunRow, money: str) -> dict[str, Any]:
    """Return the fields that are not at their defaults; money as decimal text."""
    kind = type(row)
    found = {
        name: value
        for (name, default), value in zip(_DEFAULTS[kind], _VALUES[kind](row), strict=True)
        if value != default
    }
    if money in found:
        found[money] = str(found[money])
    return found


def _inside(payload: dict[str, Any]) -> dict[str, Any]:
    """Return where the values of a payload stand: those of a run's end among its outputs."""
    outputs = payload.get("outputs")
    return outputs if isinstance(outputs, dict) else payload


def _apart(writer: sqlite3.Connection, payload: dict[str, Any]) -> dict[str, Any]:
    """Return a payload with its long values among the texts, where equal ones share their room."""
    values = _inside(payload)
    spelled = {name: schema.spell(value) for name, value in values.items()}
    apart = {
        name: schema.keep_text(writer, body).hex()
        for name, body in spelled.items()
        if len(body) > LONG
    }
    rest = {name: None if name in apart else value for name, value in values.items()}
    whole = rest if values is payload else {**payload, "outputs": rest}
    return {**whole, "apart": apart}


def _joined(connection: sqlite3.Connection, payload: dict[str, Any]) -> dict[str, Any]:
    """Return a payload with its long values in their places."""
    apart = payload.pop("apart", {})
    values = _inside(payload)
    for name, digest in apart.items():
        values[name] = schema.text_of(connection, bytes.fromhex(digest))
    return payload


def keep_event(writer: sqlite3.Connection, event: Event, number: int, time_utc: str) -> None:
    """Insert an event; what is long of it is stored once, among the texts.

    Args:
        writer: the connection.
        event: the event.
        number: its id.
        time_utc: the time.

    Raises:
        TypeError: it holds something that is no JSON value.
        ValueError: it holds NaN or an infinity.
    """
    payload = payload_of(event)
    body = schema.spell(payload, names_are_ours=True)
    if len(body) > LONG:
        body = schema.spell(_apart(writer, payload), names_are_ours=True)
    if len(body) > LONG:  # many values of middling length
        body = b"@" + schema.keep_text(writer, body)
    writer.execute(schema.KEEP_EVENT, (number, time_utc, event.kind, body))


_PLAIN: dict[str, Callable[..., Event]] = {
    "price_changed": PriceChanged, "task_answered": TaskAnswered, "checkpoint": Checkpoint,
    "run_pausing": RunPausing, "routed": Routed,
}  # fmt: skip
"""Events that are their payload and nothing else."""


def event_of(  # noqa: PLR0911  (one for each kind)
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
    payload = _joined(connection, payload)
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
        case "task_asked":
            listed = {name: tuple(payload[name]) for name in ("options", "form")}
            return TaskAsked(run.run_id, **{**payload, **listed})
        case "price_changed" | "task_answered" | "checkpoint" | "run_pausing" | "routed":
            return _PLAIN[kind](run.run_id, **payload)
        case "run_started":
            return RunStarted(_as_started(run, payload))
        case "run_ended":
            return RunEnded(
                run.run_id, payload["status"], payload["reason"], payload.get("outputs")
            )
    raise StoreCorrupt(f"The store has an event of unknown kind {kind!r}.", hint="Update bmad_nb.")


def _as_started(run: RunRow, payload: dict[str, Any]) -> RunRow:
    """Return a run as it was taken up; version 1 of the store kept little more than its owner."""
    if "status" not in payload:
        before: dict[str, Any] = {"status": "running", "reason": "", "ended_utc": "", "fence": 0}
        return dataclasses.replace(run, **before, owner=payload["owner"])
    budget = payload.get("budget_usd")
    money = None if budget is None else Decimal(budget)
    return RunRow(**{**payload, "run_id": run.run_id, "budget_usd": money})
