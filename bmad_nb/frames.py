"""Runs, tasks and calls as DataFrames. Each column is declared once: name, dtype, unit, meaning."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from bmad_nb.events import CallRow, RunRow, TaskRow
from bmad_nb.plan import root_of


class Column(NamedTuple):
    """One column of a frame."""

    name: str
    dtype: str
    unit: str
    meaning: str


CALLS = (
    Column("run_id", "string", "", "the run"),
    Column("task", "string", "", "task of a workflow that made it; empty outside of workflows"),
    Column("attempt", "int64", "", "number of the call within its task, from 1"),
    Column("case", "string", "", "label of the case; empty where there is only a prompt"),
    Column("llm", "string", "", "id of the LLM, endpoint/name"),
    Column("variant", "string", "", "setting in which it was asked; empty for the plain one"),
    Column("sample", "int64", "", "number of the sample, from 0"),
    Column("state", "string", "", "answered, failed, cancelled, in_flight or lost"),
    Column("answer", "string", "", "the answer; missing until there is one"),
    Column("score", "float64", "0 to 1", "how good the answer is; missing if nothing scored it"),
    Column("scorer", "string", "", "what scored it"),
    Column("reference", "string", "", "right answer that it was scored against"),
    Column("cost_usd", "float64", "USD", "cost of this row: 0 from the store, missing if unknown"),
    Column("original_cost_usd", "float64", "USD", "cost of the answer when it was made"),
    Column("latency_s", "float64", "s", "time of this row: 0 if from the store"),
    Column("original_latency_s", "float64", "s", "time of the answer when it was made"),
    Column("first_token_s", "float64", "s", "time to the first token when it was made"),
    Column("waited_s", "float64", "s", "time that it waited for its turn at its endpoint"),
    Column("input_tokens", "Int64", "tokens", "tokens of the prompt"),
    Column("output_tokens", "Int64", "tokens", "tokens of the answer"),
    Column("cached_input_tokens", "Int64", "tokens", "part of the prompt that was cached"),
    Column("cache_write_tokens", "Int64", "tokens", "part of the prompt that was put in a cache"),
    Column("reasoning_tokens", "Int64", "tokens", "part of the answer that was not shown"),
    Column("finish_reason", "string", "", "stop, length (cut at max_tokens) or another word"),
    Column("from_store", "bool", "", "no call was made: an earlier answer served"),
    Column("simulated", "bool", "", "answer, price and time are invented"),
    Column("runs_here", "bool", "", "the model runs on this machine"),
    Column("billed", "string", "", "no, yes, or maybe where the call broke off"),
    Column("error_kind", "string", "", "class of the error"),
    Column("error", "string", "", "what went wrong"),
    Column("price_source", "string", "", "where the price comes from"),
    Column("price_as_of", "string", "", "date of the price"),
    Column("input_usd_per_mtok", "float64", "USD/Mtok", "price of input that was used"),
    Column("output_usd_per_mtok", "float64", "USD/Mtok", "price of output that was used"),
    Column("prompt", "string", "", "last message as sent"),
    Column("started_utc", "datetime64[ns, UTC]", "UTC", "when the call was written down"),
    Column("ended_utc", "datetime64[ns, UTC]", "UTC", "when its outcome was written down"),
    Column("request_key", "string", "", "SHA-256 of the request"),
    Column("call_id", "string", "", "the call"),
)
"""Columns of the calls frame: a row per LLM call."""

RUNS = (
    Column("run_id", "string", "", "the run"),
    Column("verb", "string", "", "what was run"),
    Column("workflow", "string", "", "id of the workflow; empty for ask and compare"),
    Column("status", "string", "", "running, completed, paused, cancelled, failed or interrupted"),
    Column("title", "string", "", "beginning of the prompt"),
    Column("calls", "int64", "", "calls that were really made"),
    Column("from_store", "int64", "", "answers that came from the store"),
    Column("failed", "int64", "", "calls that brought no answer"),
    Column("maybe_billed", "int64", "", "calls that broke off and may have been billed"),
    Column("cost_usd", "float64", "USD", "known cost, simulated money left out"),
    Column("unpriced_calls", "int64", "", "calls whose price nobody knows"),
    Column("simulated_cost_usd", "float64", "USD", "invented cost of simulated LLMs"),
    Column("budget_usd", "float64", "USD", "limit, if there was one"),
    Column("reason", "string", "", "why it stopped"),
    Column("started_utc", "datetime64[ns, UTC]", "UTC", "when it began"),
    Column("ended_utc", "datetime64[ns, UTC]", "UTC", "when it stopped"),
)
"""Columns of the runs frame: a row per run."""

TASKS = (
    Column("run_id", "string", "", "the run"),
    Column("task", "string", "", "id of the task in its workflow"),
    Column("verb", "string", "", "kind of task: prompt, messages, python or set"),
    Column("state", "string", "", "done, failed, skipped or cancelled"),
    Column("llm", "string", "", "id of the LLM that answered; empty where none did"),
    Column("attempts", "int64", "", "LLM calls or function calls that it took"),
    Column("calls", "int64", "", "LLM calls that were really made in this run"),
    Column("from_store", "int64", "", "answers that came from the store"),
    Column("cost_usd", "float64", "USD", "cost of its calls: 0 if free, missing if one is unknown"),
    Column(
        "simulated", "bool", "", "a simulated LLM answered: answer, price and time are invented"
    ),
    Column(
        "duration_s", "float64", "s", "time from its beginning to its end; missing if it has none"
    ),
    Column("queued_s", "float64", "s", "time that it was ready and waited for a slot"),
    Column("rested_s", "float64", "s", "time that it waited between attempts"),
    Column("input_tokens", "Int64", "tokens", "tokens of its prompts, stored answers included"),
    Column("output_tokens", "Int64", "tokens", "tokens of its answers, stored ones included"),
    Column("degraded", "bool", "", "a fallback stood in"),
    Column("rung", "int64", "", "which fallback stood in, from 1; 0 is none"),
    Column("skipped_because", "string", "", "why it did not run"),
    Column("when", "string", "", "its condition as written"),
    Column(
        "when_value", "boolean", "", "what the condition gave; missing where it was not reached"
    ),
    Column("error_kind", "string", "", "class of the error"),
    Column("error", "string", "", "what went wrong"),
    Column("answer", "string", "", "its text, or its value as JSON; missing if it gave none"),
    Column("kept_from", "string", "", "earlier run whose result was taken over; empty if none"),
    Column("started_utc", "datetime64[ns, UTC]", "UTC", "when it began"),
    Column("ended_utc", "datetime64[ns, UTC]", "UTC", "when its outcome was written down"),
)
"""Columns of the tasks frame: a row per task of a workflow."""

PARTS = (
    Column("run_id", "string", "", "the run"),
    Column("task", "string", "", "id of the task that it is a part of"),
    Column("part", "string", "", "its name: each[3], draft#2, plan/draft"),
    Column("iteration", "Int64", "", "number of a round of a refinement, from 1"),
    Column("score", "float64", "0 to 1", "how good a judge found it; missing if none did"),
    *(column for column in TASKS if column.name not in {"run_id", "task", "when", "when_value"}),
)
"""Columns of the parts frame: a row per part of a task."""

USE = (
    Column("time_s", "float64", "s", "seconds since the first call began"),
    Column("in_flight", "int64", "", "calls that are made at this time"),
    Column("tokens_per_s", "float64", "tokens/s", "tokens of answers that come in at this time"),
)
"""Columns of the use frame: a row whenever a call begins or ends."""

MEMBERS = (
    Column("task", "string", "", "the task that several LLMs worked on"),
    Column("name", "string", "", "the member: its LLM, #2 behind a second sample, or an expert"),
    Column("llm", "string", "", "id of the LLM that answered"),
    Column("state", "string", "", "done, failed or skipped"),
    Column("answer", "string", "", "its short answer, as it was counted"),
    Column("score", "float64", "0 to 1", "score of its answer, where answers are scored"),
    Column("weight", "float64", "", "what its vote counts"),
    Column("taken", "bool", "", "its answer is the result"),
    Column("agrees", "bool", "", "it gave the same answer as the result"),
    Column("cost_usd", "float64", "USD", "cost in this run; 0 from the store"),
    Column("simulated", "bool", "", "its answer is invented"),
    Column("error", "string", "", "why it gave none"),
)
"""Columns of the members frame: a row for each LLM of a task that several worked on."""

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


def _frame(columns: Sequence[Column], values: dict[str, Any]) -> pd.DataFrame:
    frame = pd.DataFrame({c.name: _series(c, values[c.name]) for c in columns})
    frame.attrs["units"] = {c.name: c.unit for c in columns if c.unit}
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
