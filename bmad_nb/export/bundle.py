"""A run as one JSON value, all that the store has of it; and the way back into another store.

Keys are taken out of every text, and so is what has the shape of one. What names this machine (the
process that ran it) is left out.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
import re
import sqlite3
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from bmad_nb.errors import StoreCorrupt, UsageProblem
from bmad_nb.events import CallRow, RunRow
from bmad_nb.messages import Image, Message, Token
from bmad_nb.secrets import resolve, scrub
from bmad_nb.settings import Settings
from bmad_nb.store import schema, scores, stamped
from bmad_nb.store.journal import Store
from bmad_nb.store.reading import now_utc
from bmad_nb.store.scores import ScoreRow

FORMAT = "bmad-run"
VERSION = 1
MOST_BYTES = 1 << 30
_ID = re.compile(r"[0-9A-Za-z_-][0-9A-Za-z_.-]{0,79}")
"""Ids stand in commands that are shown, and in notebooks: nothing else is taken for one."""
_ODD = (
    KeyError, TypeError, ValueError, ArithmeticError, AttributeError, sqlite3.IntegrityError,
    StoreCorrupt,
)  # fmt: skip
"""What goes wrong with an export that was changed by hand; a full disk is none of these."""
_PLAIN = {str, int, float, bool, Decimal, NoneType}
_AMOUNTS = ("_usd", "_s", "_tokens")
Row = TypeVar("Row", RunRow, CallRow, ScoreRow)
_MONEY = {f.name for f in dataclasses.fields(CallRow) if f.name.endswith("_usd")} | {"budget_usd"}


def know_keys(settings: Settings) -> None:
    """Load the keys that the settings refer to, so that they are known where they stand."""
    for endpoint in settings.endpoints.values():
        if endpoint.api_key is not None:
            resolve(endpoint.api_key)


def bundle(store: Store, run_id: str) -> dict[str, Any]:
    """Return a run with its calls, events and scores, as JSON values without keys.

    Raises:
        UnknownRun: there is none.
    """
    run = store.run(run_id)
    found = {
        "format": FORMAT,
        "version": VERSION,
        "exported_utc": now_utc(),
        "run": _values(dataclasses.replace(run, owner="")),
        "calls": [_call(call) for call in store.calls(run.run_id)],
        "events": [
            {"seq": seq, "time_utc": when, "kind": event.kind, "payload": _payload(event)}
            for seq, when, event in store.events(run.run_id)
        ],
        "scores": [_values(row) for row in scores.of_run(store, run.run_id)],
    }
    clean: dict[str, Any] = scrubbed(found)
    return clean


def scrubbed(value: Any) -> Any:
    """Return a JSON value without keys in its texts."""
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, Mapping):
        return {scrub(str(name)): scrubbed(each) for name, each in value.items()}
    return [scrubbed(each) for each in value] if isinstance(value, list | tuple) else value


def _payload(event: Any) -> dict[str, Any]:
    payload = stamped.payload_of(event)
    payload.pop("owner", None)
    return payload


def _values(row: RunRow | ScoreRow) -> dict[str, Any]:
    return {f.name: _plain(getattr(row, f.name)) for f in dataclasses.fields(row)}


def _call(call: CallRow) -> dict[str, Any]:
    values = {f.name: _plain(getattr(call, f.name)) for f in dataclasses.fields(call)}
    values["messages"] = [
        [m.role, m.text, *([image.media_type, image.digest] for image in m.images)]
        for m in call.messages
    ]
    values["tokens"] = [[t.text, t.logprob, [list(o) for o in t.others]] for t in call.tokens]
    return values


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Decimal) else value


# --- the way back ---------------------------------------------------------------------------------


def read_bundle(path: Path) -> dict[str, Any]:
    """Return what `export --format json` wrote.

    Raises:
        UsageProblem: the file cannot be read, or is none of these.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UsageProblem(f"{path} is over 1 GiB.", hint="Import runs one by one.")
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise UsageProblem(
            f"{path} cannot be read: {error.strerror}.",
            hint="Give the path of a file that bmad export RUN --format json --to FILE wrote.",
        ) from None
    except (ValueError, RecursionError):
        raise UsageProblem(
            f"{path} is no JSON.", hint="Write it with: bmad export RUN --format json --to FILE"
        ) from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise UsageProblem(
            f"{path} is no export of a run.",
            hint="Write it with: bmad export RUN --format json --to FILE",
        )
    if found.get("version") != VERSION:
        raise UsageProblem(
            f"{path} has version {found.get('version')!r}, and this bmad_nb reads {VERSION}.",
            hint="Update bmad_nb.",
        )
    return found


def bring_in(store: Store, found: Mapping[str, Any], *, again: bool = False) -> RunRow:
    """Put an exported run into a store; it may run no code there, whatever it was allowed before.

    Args:
        store: where it goes.
        found: what `bundle` gave.
        again: the run may be there, and then takes on what has happened since; one that went on
            in this store by itself stays as it is.

    Raises:
        UsageProblem: the run is there already, or the export does not hold together.
    """
    try:
        run, calls = _run_of(found["run"]), [_call_of(each) for each in found["calls"]]
        marks = [_score_of(each) for each in found["scores"]]
        events = [_event_of(each) for each in found["events"]]
    except _ODD as error:
        raise _broken(error) from None
    if not _ID.fullmatch(run.run_id) or not all(_ID.fullmatch(e.call_id) for e in calls):
        raise _broken("an id that is none")
    if ({e.run_id for e in calls} | {e.run_id for e in marks}) - {run.run_id}:
        raise _broken("rows of another run")

    def work(writer: sqlite3.Connection) -> None:
        query = "SELECT 1 FROM runs WHERE run_id = ?"
        if writer.execute(query, (run.run_id,)).fetchone():
            if again and _has_grown(writer, run.run_id, events):
                _take_out(writer, run.run_id)
            elif again:
                return
            else:
                raise UsageProblem(
                    f"Run {run.run_id} is in this store already.",
                    hint=f"See it: bmad show {run.run_id}",
                )
        try:
            _write(writer, run, calls, events)
        except _ODD as error:
            raise _broken(error) from None

    store.write(work)
    there = {dataclasses.replace(row, number=0) for row in scores.of_run(store, run.run_id)}
    scores.keep(store, [row for row in marks if row not in there])
    return store.run(run.run_id)


def _has_grown(
    writer: sqlite3.Connection, run_id: str, events: Sequence[tuple[int, str, str, Any]]
) -> bool:
    """Return whether `events` go on from those that the store has of a run."""
    query = "SELECT number FROM runs WHERE run_id = ?"
    number = writer.execute(query, (run_id,)).fetchone()[0]
    ends = (schema.before(number), schema.before(number + 1))
    query = "SELECT id, time_utc, kind FROM events WHERE id > ? AND id <= ? ORDER BY id DESC"
    last = writer.execute(query, ends).fetchone()
    if last is None:
        return True
    mine = [(schema.before(number) + seq, when, kind) for seq, when, kind, _ in events]
    return last in mine[:-1]


def _take_out(writer: sqlite3.Connection, run_id: str) -> None:
    """Remove a run's rows; its texts stay, for they come again."""
    query = "SELECT number FROM runs WHERE run_id = ?"
    number = writer.execute(query, (run_id,)).fetchone()[0]
    ends = (schema.before(number), schema.before(number + 1))
    writer.execute("DELETE FROM events WHERE id > ? AND id <= ?", ends)
    writer.execute("DELETE FROM calls WHERE run_id = ?", (run_id,))
    writer.execute("DELETE FROM runs WHERE run_id = ?", (run_id,))


def _broken(why: object) -> UsageProblem:
    said = why if isinstance(why, str) else type(why).__name__
    return UsageProblem(
        f"The export does not hold together ({said}); nothing was imported.",
        hint="Export the run again where it was made.",
    )


def _write(
    writer: sqlite3.Connection,
    run: RunRow,
    calls: Sequence[CallRow],
    events: Sequence[tuple[int, str, str, Any]],
) -> None:
    number = schema.keep_run(writer, dataclasses.replace(run, status="running"))
    known = {call.call_id: call for call in calls}
    for call in calls:
        schema.keep_call(writer, call)
    for seq, when, kind, payload in events:
        body = json.dumps(payload).encode()
        event = stamped.event_of(writer, kind, body, run, known.__getitem__)
        stamped.keep_event(writer, event, schema.before(number) + seq, when)
    if run.status not in {"running", "interrupted"}:  # those have no living owner here
        writer.execute(schema.END_RUN, (run.status, run.reason, run.ended_utc, number))


def _run_of(values: Mapping[str, Any]) -> RunRow:
    options = values["options"]
    if isinstance(options, dict) and options.get("allow_python"):
        options = {**options, "allow_python": False}
    return _sound(RunRow(**{**values, "options": options, "owner": "", **_money_of(values)}))


def _call_of(values: Mapping[str, Any]) -> CallRow:
    state = (
        "in_flight" if values["state"] == "lost" and not values["ended_utc"] else values["state"]
    )
    messages = tuple(
        Message(role, text, tuple(Image(kind, b"", digest) for kind, digest in images))
        for role, text, *images in values["messages"]
    )
    tokens = tuple(
        Token(text, logprob, tuple((other, at) for other, at in others))
        for text, logprob, others in values["tokens"]
    )
    more = {"state": state, "messages": messages, "tokens": tokens}
    return _sound(CallRow(**{**values, **more, **_money_of(values)}))


def _money_of(values: Mapping[str, Any]) -> dict[str, Any]:
    return {n: None if values[n] is None else Decimal(values[n]) for n in _MONEY & values.keys()}


def _score_of(values: Mapping[str, Any]) -> ScoreRow:
    return _sound(ScoreRow(**{**values, "number": 0}))


def _event_of(values: Mapping[str, Any]) -> tuple[int, str, str, dict[str, Any]]:
    seq, when, kind, payload = (values[n] for n in ("seq", "time_utc", "kind", "payload"))
    datetime.datetime.fromisoformat(when)
    if type(seq) is not int or seq < 0 or not isinstance(payload, dict):
        raise TypeError(kind)
    return seq, when, str(kind), payload


def _sound(row: Row) -> Row:
    """Return a row whose values have the types of its fields: every frame is made of them.

    Raises:
        TypeError: one has another type.
        ValueError: a time is no time, a number is none, or an amount is below 0.
    """
    hints: dict[str, Any] = get_type_hints(type(row))
    for name, hint in hints.items():
        value = getattr(row, name)
        if get_origin(hint) is Literal and value not in get_args(hint):
            raise ValueError(name)
        kinds = set(get_args(hint)) if isinstance(hint, UnionType) else {hint}
        if kinds <= _PLAIN and type(value) not in kinds | ({int} if float in kinds else set()):
            raise TypeError(name)
        if isinstance(value, int | float | Decimal) and (
            not math.isfinite(value) or (value < 0 and name.endswith(_AMOUNTS))
        ):
            raise ValueError(name)
        if name.endswith("_utc") and value:
            datetime.datetime.fromisoformat(value)
    return row
