"""Recorded answers of several LLMs to the same questions, read out of DataFrames.

`queries` has a row for each question (`query_id`), `calls` a row for each question and LLM
(`query_id`, `model` or `llm`, `answer` or `response`, and where known `score` in [0, 1] and
`cost_usd`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from bmad_nb.answers.canonical import KINDS, Kind, canonical, kind_of
from bmad_nb.answers.extracting import final_answer
from bmad_nb.errors import UnknownName, UsageProblem


class Advice(UserWarning):
    """What would be better, said before it costs anything."""


@dataclass(frozen=True, slots=True)
class Row:
    """The answers to one query."""

    query_id: Any
    votes: dict[str, str | None]
    raw: dict[str, str | None]
    scores: dict[str, float]
    cost_usd: dict[str, float]


@dataclass(frozen=True, slots=True)
class Table:
    """Answers of some LLMs to some questions."""

    llms: list[str]
    rows: list[Row]
    kind: Kind
    has_scores: bool = field(default=False)

    @classmethod
    def of(
        cls, queries: pd.DataFrame, calls: pd.DataFrame, llms: Sequence[str] | None, kind: Kind
    ) -> Table:
        """Read tables.

        Raises:
            UsageProblem: a column is missing.
            UnknownName: an LLM has no call.
        """
        if kind not in KINDS:
            raise UnknownName("kind of answers", kind, KINDS)
        need(queries, "queries", "query_id")
        need(calls, "calls", "query_id")
        named = "model" if "model" in calls.columns else "llm"
        need(calls, "calls", named)
        if "answer" not in calls.columns:
            need(calls, "calls", "response")
        there = sorted(str(each) for each in calls[named].unique())
        for name in llms or ():
            if name not in there:
                raise UnknownName("LLM in these calls", name, there)
        wanted = list(dict.fromkeys(llms)) if llms else there
        mine = calls[calls[named].isin(wanted)]
        if mine.duplicated(["query_id", named]).any():
            raise UsageProblem(
                "The calls have two rows for one query and LLM.", hint="Keep one of them."
            )
        raw = answers_of(mine, kind)
        kind = kind_of(raw) if kind == "auto" else kind
        found: dict[Any, Row] = {q: Row(q, {}, {}, {}, {}) for q in queries["query_id"]}
        columns = (mine["query_id"], mine[named], raw, numbers_of(mine, "score"),
                   numbers_of(mine, "cost_usd"))  # fmt: skip
        for query, llm, answer, score, cost in zip(*columns, strict=True):
            row = found.get(query)
            if row is not None:
                row.raw[llm], row.votes[llm] = answer, canonical(answer, kind)
                row.cost_usd[llm] = cost
                if not math.isnan(score):
                    row.scores[llm] = score
        rows = list(found.values())
        has_scores = bool(rows) and all(len(row.scores) == len(row.raw) > 0 for row in rows)
        return cls(wanted, rows, kind, has_scores)


def need(frame: pd.DataFrame, name: str, column: str) -> None:
    """Raise `UsageProblem` where a table lacks a column."""
    if column not in frame.columns:
        raise UsageProblem(
            f"The table of {name} has no column {column!r}.",
            hint=f"It has: {', '.join(map(str, frame.columns))}.",
        )


def answers_of(calls: pd.DataFrame, kind: Kind) -> list[str | None]:
    """Return the short answer of each call, extracted where there is no column `answer`."""
    if "answer" in calls.columns:
        return [each if isinstance(each, str) else _text(each) for each in calls["answer"]]
    responses = [each if isinstance(each, str) else None for each in calls["response"]]
    return [final_answer(each, kind) for each in responses]


def _text(value: Any) -> str | None:
    missing = value is None or (isinstance(value, float) and math.isnan(value))
    return None if missing or value is pd.NA else str(value)


def numbers_of(calls: pd.DataFrame, column: str) -> list[float]:
    """Return a column as numbers; NaN where there is none."""
    if column not in calls.columns:
        return [math.nan] * len(calls)
    return [float(each) for each in pd.to_numeric(calls[column], errors="coerce")]
