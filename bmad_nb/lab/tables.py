"""Recorded answers of several LLMs to the same questions, read out of DataFrames.

`queries` has a row for each question (`query_id`), `calls` a row for each question and LLM
(`query_id`, `model` or `llm`, `answer` or `response`, and where known `score` in [0, 1] and
`cost_usd`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
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

    @classmethod
    def of(
        cls,
        queries: pd.DataFrame,
        calls: pd.DataFrame,
        llms: Sequence[str] | str | None,
        kind: Kind,
        *,
        whole: bool = False,
    ) -> Table:
        """Read tables.

        Raises:
            UsageProblem: a column is missing.
            UnknownName: an LLM has no call.
        """
        if kind not in KINDS:
            raise UnknownName("kind of answers", kind, KINDS)
        _check(queries, calls)
        names = named(calls)
        there = sorted(names.unique())
        wanted = list(dict.fromkeys(names_of(llms))) or there
        for name in wanted:
            if name not in there:
                raise UnknownName("LLM in these calls", name, there)
        chosen = names.isin(wanted)
        mine, names = calls[chosen], names[chosen]
        if pd.DataFrame({"query": mine["query_id"], "llm": names}).duplicated().any():
            raise UsageProblem(
                "The calls have two rows for one query and LLM.", hint="Keep one of them."
            )
        raw, kind = answers_of(mine, kind, whole=whole)
        found: dict[Any, Row] = {q: Row(q, {}, {}, {}, {}) for q in queries["query_id"]}
        columns = (mine["query_id"], names, raw, numbers_of(mine, "score"),
                   numbers_of(mine, "cost_usd"))  # fmt: skip
        for query, llm, answer, score, cost in zip(*columns, strict=True):
            row = found.get(query)
            if row is not None:
                row.raw[llm], row.votes[llm] = answer, canonical(answer, kind)
                row.cost_usd[llm] = cost
                if not math.isnan(score):
                    row.scores[llm] = score
        rows = list(found.values())
        if rows and not any(row.raw for row in rows):
            raise UsageProblem(
                "No call belongs to any of these queries.",
                hint="Both tables name a query in the same way, in the column query_id: look at "
                "the types too.",
            )
        return cls(wanted, rows, kind)

    @property
    def scored(self) -> list[Row]:
        """Rows in which every LLM that answered has a score."""
        return [row for row in self.rows if len(row.scores) == len(row.raw) > 0]


def _check(queries: Any, calls: Any) -> None:
    """Refuse what are no tables of queries and calls.

    Raises:
        UsageProblem: it says which, and why.
    """
    for name, frame in (("queries", queries), ("calls", calls)):
        if not isinstance(frame, pd.DataFrame):
            raise UsageProblem(f"{name} is a {type(frame).__name__}.", hint="Give a DataFrame.")
        need(frame, name, "query_id")
    if queries["query_id"].duplicated().any():
        raise UsageProblem("The queries have two rows for one query_id.", hint="Keep one.")


def names_of(llms: Sequence[str] | str | None) -> list[str]:
    """Return ids of LLMs; one text is one id.

    Raises:
        UsageProblem: they are none.
    """
    if llms is None:
        return []
    found = [llms] if isinstance(llms, str) else list(llms)
    if not found or not all(isinstance(each, str) for each in found):
        raise UsageProblem("llms is no list of names.", hint="Leave it out to take everybody.")
    return found


def named(calls: pd.DataFrame, table: str = "calls") -> pd.Series[str]:
    """Return who made each call, as texts.

    Raises:
        UsageProblem: no column says it, or a row does not.
    """
    column = "model" if "model" in calls.columns else "llm"
    need(calls, table, column)
    if calls[column].isna().any():
        raise UsageProblem(f"A row of the {table} does not say which LLM it is of ({column}).")
    return calls[column].astype(object).map(str)


def need(frame: pd.DataFrame, name: str, column: str) -> None:
    """Raise `UsageProblem` where a table lacks a column."""
    if column not in frame.columns:
        raise UsageProblem(
            f"The table of {name} has no column {column!r}.",
            hint=f"It has: {', '.join(map(str, frame.columns))}.",
        )


def answers_of(
    calls: pd.DataFrame, kind: Kind, *, whole: bool = False
) -> tuple[list[str | None], Kind]:
    """Return the short answer of each call, and what answers are.

    They are extracted from `response` where the column `answer` says nothing at all.

    Args:
        calls: recorded answers.
        kind: what answers are.
        whole: a response that holds no short answer is one as a whole.

    Raises:
        UsageProblem: there is neither.
    """
    given = [_text(each) for each in calls["answer"]] if "answer" in calls.columns else []
    if any(each is not None for each in given):
        return given, kind_of(given) if kind == "auto" else kind
    texts = [_text(each) for each in calls["response"]] if "response" in calls.columns else []
    if len(calls) and all(each is None for each in texts):
        raise UsageProblem(
            "The calls hold no answers: neither the column 'answer' nor 'response' has a text.",
            hint=f"They have: {', '.join(map(str, calls.columns))}.",
        )
    found = [final_answer(each, kind) for each in texts]
    if kind == "auto":
        kind = kind_of(found)
        if kind == "number":  # then the last number of a text is its answer
            found = [final_answer(each, kind) for each in texts]
    if whole:
        found = [short or text for short, text in zip(found, texts, strict=True)]
    return found, kind


def _text(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    missing = value is None or (pd.api.types.is_scalar(value) and bool(pd.isna(value)))
    return None if missing else str(value)


def numbers_of(calls: pd.DataFrame, column: str) -> list[float]:
    """Return a column as numbers; NaN where there is none."""
    if column not in calls.columns:
        return [math.nan] * len(calls)
    numbers = pd.to_numeric(calls[column], errors="coerce")
    return [float(each) for each in numbers.to_numpy(dtype="float64", na_value=math.nan)]
