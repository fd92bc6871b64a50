"""Runs, tasks and calls as DataFrames. Each column is declared once: name, dtype, unit, meaning."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from bmad_nb.columns import (
    CALLS,
    DECISIONS,
    LEARNED,
    MEMBERS,
    MITIGATIONS,
    PARTS,
    REVIEWS,
    RUNS,
    SCORES,
    SPENT,
    SWEEP,
    TASKS,
    USE,
    Column,
)
from bmad_nb.events import CallRow, RunRow, TaskRow
from bmad_nb.learning import Entry
from bmad_nb.plan import root_of
from bmad_nb.store.scores import ScoreRow

_PRICES = ("input_usd_per_mtok", "output_usd_per_mtok")
_COMPUTED = {"answer", "prompt", *_PRICES}
STORED_COLUMNS = (*(c.name for c in CALLS if c.name not in _COMPUTED), "price")
"""Columns of the calls frame that the store holds as columns."""


def calls(rows: Sequence[CallRow]) -> pd.DataFrame:
    """Return a frame with a row per call, texts among them; see `CALLS`."""
    values: dict[str, list[Any]] = {
        name: [getattr(row, name) for row in rows] for name in STORED_COLUMNS
    }
    _unpack(values.pop("price"), values)
    values["answer"] = [row.text for row in rows]
    values["prompt"] = [row.messages[-1].text if row.messages else None for row in rows]
    for name in _money(CALLS):
        values[name] = [None if v is None else float(v) for v in values[name]]
    return _frame(CALLS, values)


def stored_calls(rows: Sequence[tuple[Any, ...]], gone: Iterable[str]) -> pd.DataFrame:
    """Return a frame of the store's own columns, without texts.

    Args:
        rows: values in the order of `STORED_COLUMNS`, money in picodollars, texts as JSON bytes.
        gone: runs whose process died: their calls in flight are lost.
    """
    columns = zip(*rows, strict=True) if rows else ((),) * len(STORED_COLUMNS)
    values: dict[str, Any] = dict(zip(STORED_COLUMNS, columns, strict=True))
    for name in _money(CALLS):
        values[name] = pd.array(values[name], dtype="Int64").astype("Float64") / 1e12
    for name in ("case", "error", "reference"):
        values[name] = [None if v is None else _decoded(v) for v in values[name]]
    known = {body: json.loads(body) for body in set(values["price"]) if body}
    _unpack([known.get(body) for body in values.pop("price")], values)
    declared = [c for c in CALLS if c.name not in {"answer", "prompt"}]
    frame = _frame(declared, values)
    lost = frame["run_id"].isin(list(gone)) & (frame["state"] == "in_flight")
    frame.loc[lost, "state"] = "lost"
    frame.loc[lost, "billed"] = "maybe"
    return frame


def _unpack(prices: Iterable[Any], values: dict[str, Any]) -> None:
    """Add a column for each of the amounts that a price has."""
    found = list(prices)
    for name in _PRICES:
        values[name] = [None if price is None else float(price[name]) for price in found]


def tasks(
    rows: Sequence[TaskRow], calls: Sequence[CallRow], texts: Mapping[str, str]
) -> pd.DataFrame:
    """Return a frame with a row per task; see `TASKS`.

    Args:
        rows: the tasks.
        calls: the calls of the run, or of more runs than these.
        texts: by task, the text that answered it.
    """
    own: dict[tuple[str, str], list[CallRow]] = {}
    for call in calls:
        own.setdefault((call.run_id, root_of(call.task)), []).append(call)
    found = [_task(row, own.get((row.run_id, row.task), ()), texts) for row in rows]
    return _frame(TASKS, {c.name: [each[c.name] for each in found] for c in TASKS})


def parts(
    rows: Sequence[TaskRow], calls: Sequence[CallRow], texts: Mapping[str, str]
) -> pd.DataFrame:
    """Return a frame with a row per part of a task; see `PARTS`. Arguments as in `tasks`.

    A round's cost is what its draft and its judgement cost; a call belongs to the innermost part.
    """
    own: dict[tuple[str, str], list[CallRow]] = {}
    for call in calls:
        own.setdefault((call.run_id, call.task), []).append(call)
    found = []
    for row in rows:
        facts = row.facts or {}
        values = _task(row, own.get((row.run_id, row.task), ()), texts)
        values |= {"part": row.task, "task": root_of(row.task)}
        values |= {"iteration": facts.get("iteration"), "score": facts.get("score")}
        values["cost_usd"] = None if row.cost_usd is None else float(row.cost_usd)
        found.append(values)
    return _frame(PARTS, {c.name: [each[c.name] for each in found] for c in PARTS})


def members(rows: Iterable[TaskRow]) -> pd.DataFrame:
    """Return a row for each member of the tasks that several LLMs worked on; see `MEMBERS`."""
    found: list[dict[str, Any]] = []
    for row in rows:
        facts = row.facts or {}
        found += [
            {c.name: each.get(c.name) for c in MEMBERS}
            | {
                "task": row.task,
                "taken": each["name"] == facts.get("chosen"),
                "agrees": each["name"] in facts.get("support", ()),
                "simulated": bool(each.get("simulated")),
                "error": each.get("error") or each.get("skipped_because"),
            }
            for each in facts.get("members", ())
        ]
    return _frame(MEMBERS, {c.name: [each[c.name] for each in found] for c in MEMBERS})


def reviews(rows: Iterable[TaskRow]) -> pd.DataFrame:
    """Return a row for each finding of the peer reviews among some tasks; see `REVIEWS`."""
    found: list[dict[str, Any]] = []
    for row in rows:
        facts = row.facts or {}
        invented = {m["name"]: bool(m.get("simulated")) for m in facts.get("members", ())}
        found += [
            {**each, "task": row.task, "simulated": invented.get(each["reviewer"], False)}
            for each in facts.get("reviews", ())
        ]
    return _frame(REVIEWS, {c.name: [each[c.name] for each in found] for c in REVIEWS})


def scores(rows: Sequence[ScoreRow]) -> pd.DataFrame:
    """Return a row for each score of an answer; see `SCORES`."""
    values = {c.name: [getattr(row, c.name, None) for row in rows] for c in SCORES}
    return _frame(SCORES, {**values, "score": [row.value for row in rows]})


def decisions(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return a row for each choice of an LLM; see `DECISIONS`."""
    return _frame(DECISIONS, {c.name: [row[c.name] for row in rows] for c in DECISIONS})


def mitigations(steps: Iterable[Mapping[str, Any]], calls: Sequence[CallRow]) -> pd.DataFrame:
    """Return a row for each weakness that something was done about; see `MITIGATIONS`."""
    rows = []
    for step in steps:
        more = [c for c in calls if root_of(c.task) == step["id"] and _is_extra(c)]
        extra = {"extra_calls": len(more), "extra_cost_usd": _cost(more)}
        rows += [{"task": step["id"], **each, **extra} for each in step.get("mitigations", ())]
    return _frame(MITIGATIONS, {c.name: [row[c.name] for row in rows] for c in MITIGATIONS})


def _is_extra(call: CallRow) -> bool:
    """Return whether not every task makes such a call: it is a repair, check, retry or part."""
    return call.attempt > 1 or any(e in call.task for e in (".check", ".judge", ".part"))


def learned(entries: Iterable[Entry]) -> pd.DataFrame:
    """Return a row for each LLM, setting and kind of task; see `LEARNED`."""
    rows = list(entries)
    return _frame(LEARNED, {c.name: [getattr(row, c.name) for row in rows] for c in LEARNED})


def use(calls: Sequence[CallRow]) -> pd.DataFrame:
    """Return how many calls were made at each time, and at which rate tokens came; see `USE`.

    A call's tokens are spread evenly over its time; answers from the store are left out.
    """
    changes: list[tuple[datetime.datetime, int, float]] = []
    for call in calls:
        lasted = _duration_s(call.started_utc, call.ended_utc)
        if call.from_store or not lasted:
            continue
        began, ended = map(datetime.datetime.fromisoformat, (call.started_utc, call.ended_utc))
        rate = (call.output_tokens or 0) / lasted
        changes += [(began, 1, rate), (ended, -1, -rate)]
    changes.sort()
    rows, many, speed = [], 0, 0.0
    for when, one, rate in changes:
        many, speed = many + one, speed + rate
        rows.append(((when - changes[0][0]).total_seconds(), many, max(0.0, round(speed, 9))))
    columns = list(zip(*rows, strict=True)) or [(), (), ()]
    return _frame(USE, {c.name: columns[n] for n, c in enumerate(USE)})


def _task(row: TaskRow, calls: Sequence[CallRow], texts: Mapping[str, str]) -> dict[str, Any]:
    stored = sum(call.from_store for call in calls)
    plain = row.value is None or isinstance(row.value, str)
    value = row.value if plain else json.dumps(row.value, ensure_ascii=False)
    computed = {
        "calls": len(calls) - stored,
        "from_store": stored,
        "cost_usd": _cost(calls),
        "duration_s": _duration_s(row.started_utc, row.ended_utc),
        "input_tokens": _known_sum(call.input_tokens for call in calls),
        "output_tokens": _known_sum(call.output_tokens for call in calls),
        "answer": texts.get(row.task, value),
    }
    return {c.name: computed[c.name] if c.name in computed else getattr(row, c.name) for c in TASKS}


def _cost(calls: Iterable[CallRow]) -> float | None:
    """Return what calls cost in US dollars; None where one may have cost what nobody knows."""
    sent = [call for call in calls if call.cost_usd is not None or call.billed != "no"]
    if any(call.cost_usd is None for call in sent):
        return None
    return float(sum(call.cost_usd or 0 for call in sent))


def _known_sum(counts: Iterable[int | None]) -> int | None:
    """Return the sum of what was counted; None where there was something, and nobody counted."""
    counted = list(counts)
    known = [count for count in counted if count is not None]
    return sum(known) if known or not counted else None


def _duration_s(started_utc: str, ended_utc: str) -> float | None:
    if not (started_utc and ended_utc):
        return None
    began, ended = map(datetime.datetime.fromisoformat, (started_utc, ended_utc))
    return (ended - began).total_seconds()


def runs(rows: Sequence[RunRow], sums: Mapping[str, Mapping[str, float]]) -> pd.DataFrame:
    """Return a frame with a row per run, the newest first.

    Args:
        rows: the runs.
        sums: by run, what its calls sum up to, as `Store.sums` gives it.
    """
    found = [_run(row, sums.get(row.run_id, {})) for row in reversed(rows)]
    return _frame(RUNS, {c.name: [each[c.name] for each in found] for c in RUNS})


def _run(row: RunRow, sums: Mapping[str, float]) -> dict[str, Any]:
    found = {c.name: getattr(row, c.name, sums.get(c.name, 0)) for c in RUNS}
    if row.status == "interrupted":  # what was in flight when its process died may be billed
        found["maybe_billed"] += sums.get("in_flight", 0)
    found["budget_usd"] = None if row.budget_usd is None else float(row.budget_usd)
    return found


def _money(columns: Sequence[Column]) -> list[str]:
    return [c.name for c in columns if c.unit == "USD"]


def _decoded(value: bytes) -> Any:
    return "" if value == b'""' else json.loads(value)


def of_columns(columns: Sequence[Column], rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Return a frame of rows, with the columns that are declared and their units in `attrs`."""
    found = list(rows)
    return _frame(columns, {c.name: [row.get(c.name) for row in found] for c in columns})


def spent(calls: pd.DataFrame, by: str = "llm") -> pd.DataFrame:
    """Return what calls cost, by `llm`, `task` or `day` (in UTC); see `SPENT`.

    Args:
        calls: a row per call, as `calls` or `stored_calls` gives it.
        by: what is summed up.
    """
    keys = calls["started_utc"].dt.strftime("%Y-%m-%d") if by == "day" else calls[by]
    if by == "task":
        keys = keys.str.partition("/")[0].str.partition("[")[0].str.partition("#")[0]
        keys = keys.mask(keys == "", "(no workflow)")
    simulated, stored = calls["simulated"].astype(bool), calls["from_store"].astype(bool)
    made, answered = ~stored, calls["state"] == "answered"
    cost = calls["cost_usd"].astype("float64")
    parts = pd.DataFrame({
        "by": keys,
        "calls": made,
        "from_store": stored,
        "failed": ~answered,
        "cost_usd": cost.where(~simulated),
        "saved_usd": calls["original_cost_usd"].astype("float64").where(stored & ~simulated),
        "unpriced_calls": made & (answered | (calls["billed"] == "yes")) & cost.isna(),
        "simulated_cost_usd": cost.where(simulated),
        "input_tokens": calls["input_tokens"].where(made),
        "output_tokens": calls["output_tokens"].where(made),
    })  # fmt: skip
    found = parts.groupby("by", sort=True, dropna=False).sum(numeric_only=True).reset_index()
    order = ["by"] if by == "day" else ["cost_usd", "simulated_cost_usd", "calls"]
    found = found.sort_values(order, ascending=by == "day", kind="stable")
    return of_columns(SPENT, found.to_dict("records"))  # type: ignore[arg-type]


def _frame(columns: Sequence[Column], values: dict[str, Any]) -> pd.DataFrame:
    frame = pd.DataFrame({c.name: _series(c, values[c.name]) for c in columns})
    frame.attrs["units"] = {c.name: c.unit for c in columns if c.unit}
    frame.attrs["columns"] = {c.name: c.meaning for c in columns}
    return frame


def _series(column: Column, values: Any) -> pd.Series[Any]:
    if column.dtype.startswith("datetime"):
        texts = pd.Series([v or None for v in values], dtype="object")
        return pd.to_datetime(texts, utc=True, format="ISO8601").astype("datetime64[ns, UTC]")
    if column.dtype == "string":
        return pd.Series([_printable(v) for v in values], dtype="string")
    return pd.Series(values, dtype=column.dtype)


def _printable(value: Any) -> Any:
    """Return text without lone surrogates, which Arrow-backed columns refuse."""
    if isinstance(value, str) and not value.isascii():
        return value.encode("utf-8", "replace").decode()
    return value


def sweep(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return a row per notebook of a sweep: `SWEEP`, and its parameters behind the number.

    A parameter that has the name of a column of `SWEEP` gets `_parameter` behind its own. One that
    a notebook does not have is missing; lists and mappings are JSON.

    Args:
        rows: the columns, and `parameters` by name.
    """
    frame = of_columns(SWEEP, rows)
    names = dict.fromkeys(name for row in rows for name in row["parameters"])
    for place, name in enumerate(names, 1):
        values = [row["parameters"].get(name) for row in rows]
        plain = [json.dumps(v) if isinstance(v, list | tuple | dict) else v for v in values]
        column = name if name not in frame else f"{name}_parameter"
        if all(v is None or isinstance(v, str) for v in plain):
            series = pd.Series([_printable(v) for v in plain], dtype="string")
        else:
            series = pd.Series(plain, dtype="object").infer_objects()
        frame.insert(place, column, series)
    return frame


def of_rows(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Return a frame of plain rows, with the types that pandas finds."""
    return pd.DataFrame([dict(row) for row in rows])


def rows_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a frame as plain values; what is missing is None."""
    names = list(frame.columns)
    columns = [
        [None if pd.isna(value) else value for value in frame[name].tolist()] for name in names
    ]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
