"""Runs and calls as DataFrames. Each column is declared once: name, dtype, unit, meaning."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import pandas as pd

from bmad_nb.events import CallRow, RunRow


class Column(NamedTuple):
    """One column of a frame."""

    name: str
    dtype: str
    unit: str
    meaning: str


CALLS = (
    Column("run_id", "string", "", "the run"),
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
    Column("input_tokens", "Int64", "tokens", "tokens of the prompt"),
    Column("output_tokens", "Int64", "tokens", "tokens of the answer"),
    Column("cached_input_tokens", "Int64", "tokens", "part of the prompt that was cached"),
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

_COMPUTED = {"answer", "prompt"}
STORED_COLUMNS = tuple(c.name for c in CALLS if c.name not in _COMPUTED)
"""Columns of the calls frame that the store holds as columns."""


def calls(rows: Sequence[CallRow]) -> pd.DataFrame:
    """Return a frame with a row per call, texts among them; see `CALLS`."""
    values: dict[str, list[Any]] = {
        name: [getattr(row, name) for row in rows] for name in STORED_COLUMNS
    }
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
    declared = [c for c in CALLS if c.name not in _COMPUTED]
    frame = _frame(declared, values)
    lost = frame["run_id"].isin(list(gone)) & (frame["state"] == "in_flight")
    frame.loc[lost, "state"] = "lost"
    frame.loc[lost, "billed"] = "maybe"
    return frame


def runs(rows: Sequence[RunRow], frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame with a row per run, the newest first.

    Args:
        rows: the runs.
        frame: their calls, as `stored_calls` gives them.
    """
    made = ~frame["from_store"]
    real = ~frame["simulated"]
    count = {
        "calls": made,
        "from_store": frame["from_store"],
        "failed": frame["state"] == "failed",
        "maybe_billed": frame["billed"] == "maybe",
        "unpriced_calls": made & (frame["state"] == "answered") & frame["cost_usd"].isna(),
    }
    money = {
        "cost_usd": frame["cost_usd"].where(real, 0.0),
        "simulated_cost_usd": frame["cost_usd"].where(frame["simulated"], 0.0),
    }
    sums = {name: v.groupby(frame["run_id"]).sum() for name, v in {**count, **money}.items()}
    values: dict[str, list[Any]] = {
        c.name: [getattr(r, c.name) for r in rows] for c in RUNS if c.name not in sums
    }
    values["budget_usd"] = [None if v is None else float(v) for v in values["budget_usd"]]
    for name, column in sums.items():
        found = column.to_dict()
        values[name] = [found.get(r.run_id, 0) for r in rows]
    return _frame(RUNS, values).iloc[::-1].reset_index(drop=True)


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
