"""Where time and money went, as tables over the calls frame: sums of them equal the ledger.

Simulated money is never added to real money: it has columns of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from bmad_nb import frames
from bmad_nb.plan import root_of

QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
_KINDS = {
    "failed": "calls that brought no answer",
    "broken_off": "calls that were broken off: a second try beside a slow one, or an interrupt",
    "lost": "calls in flight when their process was killed",
    "duplicated": "the same request, answered again although its answer was stored",
}
"""Kinds of waste."""
Rows = list[dict[str, Any]]


def timing(calls: pd.DataFrame, by: Sequence[str] = ("task", "llm")) -> Rows:
    """Return a row per task and LLM, with the time that its answers took and waited for their turn.

    Answers from the store are left out: no call was made. Quantiles are linear between the two
    nearest values, as `pandas.Series.quantile` has them.

    Args:
        calls: columns as in `columns.CALLS`.
        by: what rows are grouped by.

    Returns:
        Rows with `by`, `n`, `service_p50_s`, `service_p90_s`, `service_p99_s` (from sending to the
        whole answer) and `queue_p50_s`, `queue_p90_s`, `queue_p99_s` (waiting before that); the
        longest p90 first. Seconds.
    """
    made = _rooted(calls[~calls["from_store"] & (calls["state"] == "answered")])
    found = []
    for keys, group in made.groupby(list(by), sort=True, dropna=False):
        row: dict[str, Any] = dict(zip(by, keys, strict=True)) | {"n": len(group)}
        for column, name in (("latency_s", "service"), ("waited_s", "queue")):
            values = group[column].fillna(0.0) if name == "queue" else group[column].dropna()
            for label, share in QUANTILES.items():
                row[f"{name}_{label}_s"] = float(values.quantile(share)) if len(values) else None
        found.append(row)
    return sorted(found, key=lambda each: -(each["service_p90_s"] or 0.0))


def performance(calls: pd.DataFrame, by: str) -> Rows:
    """Return a row per task, or per LLM, with what its calls took, cost and were worth.

    Args:
        calls: columns as in `columns.CALLS`.
        by: `task` or `llm`.

    Returns:
        Rows with `by`, `calls` (really made), `from_store`, `failed`, `service_s`, `queue_s` (sums
        in seconds), `cost_usd`, `simulated_cost_usd`, `unpriced` (calls) and `score` (mean in
        [0, 1], None where nothing was scored); the dearest first.
    """
    frame = _rooted(calls)
    rows = [
        {by: key or "(no task)", **_sums(group)}
        for key, group in frame.groupby(by, sort=True, dropna=False)
    ]
    return sorted(rows, key=lambda r: -(r["cost_usd"] + r["simulated_cost_usd"] + r["service_s"]))


def total(calls: pd.DataFrame) -> dict[str, Any]:
    """Return the sums of all calls, as `performance` has them by row."""
    return _sums(calls)


def _sums(group: pd.DataFrame) -> dict[str, Any]:
    made = ~group["from_store"]
    scores = group["score"].dropna()
    answered = made & (group["state"] == "answered")
    return {
        "calls": int(made.sum()),
        "from_store": int(group["from_store"].sum()),
        "failed": int((group["state"] == "failed").sum()),
        "service_s": float(group.loc[made, "latency_s"].sum()),
        "queue_s": float(group.loc[made, "waited_s"].sum()),
        "cost_usd": _money(group, simulated=False),
        "simulated_cost_usd": _money(group, simulated=True),
        "unpriced": int((answered & group["cost_usd"].isna()).sum()),
        "score": float(scores.mean()) if len(scores) else None,
    }


def efficiency(calls: pd.DataFrame) -> Rows:
    """Return a row per LLM with what its money bought.

    Returns:
        Rows with `llm`, `answers`, `cost_usd`, `simulated_cost_usd`, `per_answer_usd` (both kinds
        of money by answers that were paid for), `score` (mean in [0, 1]), `score_per_dollar`,
        `score_per_1k_tokens` (mean score by the mean tokens of an answer, prompt included),
        `cached_share` (of the prompts' tokens, that a provider had cached),
        `saved_usd` (what answers from the store cost when they were made) and `wasted_usd`.
    """
    frame = calls.assign(waste=_waste_of(calls))
    rows: Rows = []
    for llm, group in frame.groupby("llm", sort=True):
        answered = group[group["state"] == "answered"]
        paid = answered[~answered["from_store"]]
        spent = _money(group, simulated=False) + _money(group, simulated=True)
        scores = answered["score"].dropna()
        score = float(scores.mean()) if len(scores) else None
        per = spent / len(paid) if len(paid) else None
        rows.append({
            "llm": llm,
            "answers": len(answered),
            "cost_usd": _money(group, simulated=False),
            "simulated_cost_usd": _money(group, simulated=True),
            "per_answer_usd": per,
            "score": score,
            "score_per_dollar": score / per if score is not None and per else None,
            "score_per_1k_tokens": _per_1k(answered, score),
            "cached_share": _cached(answered),
            "saved_usd": float(group.loc[group["from_store"], "original_cost_usd"].sum()),
            "wasted_usd": float(group.loc[group["waste"] != "", "cost_usd"].sum()),
        })  # fmt: skip
    return sorted(rows, key=lambda r: -(r["cost_usd"] + r["simulated_cost_usd"]))


def _per_1k(answered: pd.DataFrame, score: float | None) -> float | None:
    """Return the mean score by 1,000 tokens; None where a score or all tokens are unknown."""
    tokens = (answered["input_tokens"] + answered["output_tokens"]).dropna()
    mean = float(tokens.mean()) if len(tokens) else 0.0
    return None if score is None or not mean else 1000 * score / mean


def _cached(answered: pd.DataFrame) -> float | None:
    """Return the share of prompt tokens that were cached; None where no provider says it."""
    told = answered.dropna(subset=["cached_input_tokens", "input_tokens"])
    asked = float(told["input_tokens"].sum())
    return float(told["cached_input_tokens"].sum()) / asked if asked else None


def waste(calls: pd.DataFrame) -> Rows:
    """Return a row per kind of waste: `kind`, `calls`, `cost_usd`, `unknown` (calls), `what`.

    The costs of all kinds and of `useful` are those of the ledger; both kinds of money.
    """
    kinds = _waste_of(calls)
    rows = [{**_wasted(kind, calls[kinds == kind]), "what": what} for kind, what in _KINDS.items()]
    useful = _wasted("useful", calls[(kinds == "") & ~calls["from_store"]])
    return [{**useful, "what": "answers that were paid for once"}, *rows]


def _wasted(kind: str, group: pd.DataFrame) -> dict[str, Any]:
    unknown = group["cost_usd"].isna() & (group["billed"] != "no")
    return {
        "kind": kind, "calls": len(group), "cost_usd": _money(group, simulated=False),
        "simulated_cost_usd": _money(group, simulated=True), "unknown": int(unknown.sum()),
    }  # fmt: skip


def _waste_of(calls: pd.DataFrame) -> pd.Series[Any]:
    """Return the kind of waste of each call; empty where it is none."""
    made = ~calls["from_store"]
    answered = made & (calls["state"] == "answered")
    again = calls[answered].duplicated(["request_key"], keep="first")
    found = pd.Series("", index=calls.index, dtype="object")
    found[made & (calls["state"] == "failed")] = "failed"
    found[made & (calls["state"] == "cancelled")] = "broken_off"
    found[made & (calls["state"] == "lost")] = "lost"
    found[again[again].index] = "duplicated"
    return found


def per_run(calls: pd.DataFrame, runs: pd.DataFrame) -> Rows:
    """Return a row per workflow with what one run, and one task of it, cost in the mean."""
    named = runs.set_index("run_id")["workflow"]
    frame = _rooted(calls).assign(workflow=calls["run_id"].map(named))
    rows: Rows = []
    for workflow, group in frame[frame["workflow"].fillna("") != ""].groupby("workflow", sort=True):
        many = group["run_id"].nunique()
        tasks = group[["run_id", "task"]].drop_duplicates().shape[0]
        spent = _money(group, simulated=False) + _money(group, simulated=True)
        rows.append({
            "workflow": workflow, "runs": many, "tasks": tasks, "per_run_usd": spent / many,
            "per_task_usd": spent / tasks, "simulated": bool(group["simulated"].all()),
        })  # fmt: skip
    return rows


def scored(calls: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Return the calls with the newest score of each, where the scores frame has one."""
    if scores.empty:
        return calls
    newest = scores.drop_duplicates("call_id", keep="last").set_index("call_id")["score"]
    return calls.assign(score=calls["call_id"].map(newest).fillna(calls["score"]))


def _rooted(calls: pd.DataFrame) -> pd.DataFrame:
    """Return calls with the task of a workflow in the place of its parts."""
    return calls.assign(task=[root_of(task) for task in calls["task"].fillna("")])


def _money(group: pd.DataFrame, *, simulated: bool) -> float:
    return float(group.loc[group["simulated"] == simulated, "cost_usd"].sum())


def rows(frame: pd.DataFrame) -> Rows:
    """Return the rows of a frame as plain values."""
    return frames.rows_of(frame)
