"""Recorded tables as arrays: what routers are fitted on and judged by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bmad_nb.answers.canonical import canonical
from bmad_nb.errors import UnknownName, UsageProblem
from bmad_nb.lab.tables import answers_of, named, names_of, need
from bmad_nb.routers.outcomes import Outcomes, Questions
from bmad_nb.routers.texts import Prompts

TYPES = ("type", "task_type", "subset")
"""Columns of queries that say the kind of task; the first that is there counts."""
INVENTED = "Simulated LLMs: this shows how it works, not how good anybody is."
IMPUTED = 0.5
"""Share of an LLM's calls whose cost must be known before its mean stands for the others."""


@dataclass(frozen=True, slots=True, eq=False)
class Recorded:
    """Tables as they were read."""

    ids: NDArray[Any]
    """`query_id` of each question."""
    outcomes: Outcomes
    notes: tuple[str, ...]
    """What a reader should know of them, sentences."""
    simulated: frozenset[str] = frozenset()
    """Ids of simulated LLMs: their answers are invented."""


def read(
    queries: pd.DataFrame,
    calls: pd.DataFrame,
    llms: Sequence[str] | str | None = None,
    *,
    answers: bool = False,
) -> Recorded:
    """Return recorded tables as arrays.

    Args:
        queries: `query_id`, `prompt`, and `type` (or `subset`) where it is known.
        calls: `query_id`, `model` (or `llm`), `score` in [0, 1], and where known `cost_usd` and
            `latency_s`.
        llms: whose calls; everybody's if None, in the order of the alphabet.
        answers: short answers are read too, for cascades by agreement.

    Raises:
        UsageProblem: a column is missing, a row stands twice, or a score is no score.
        UnknownName: an LLM has no call.
    """
    _check(queries, calls)
    names = named(calls)
    there = sorted(names.unique())
    wanted = list(dict.fromkeys(names_of(llms))) or there
    for name in wanted:
        if name not in there:
            raise UnknownName("LLM in these calls", name, there)
    ids = queries["query_id"].to_numpy()
    rows = pd.Index(queries["query_id"]).get_indexer(pd.Index(calls["query_id"]))
    columns = pd.Index(wanted).get_indexer(pd.Index(names))
    mine = (rows >= 0) & (columns >= 0)
    if len(ids) and len(calls) and not mine.any():
        raise UsageProblem(
            "No call belongs to any of these queries.",
            hint="Both tables name a query in the same way, in the column query_id: look at the "
            "types too.",
        )
    rows, columns, calls = rows[mine], columns[mine], calls[mine]
    flat = rows * len(wanted) + columns
    if len(np.unique(flat)) < len(flat):
        raise UsageProblem(
            "The calls have two rows for one query and LLM.", hint="Keep one of them."
        )
    shape = (len(ids), len(wanted))
    score = _filled(calls, "score", flat, shape)
    _sound(score, "score", 1.0)
    cost = _filled(calls, "cost_usd", flat, shape)
    _sound(cost, "cost_usd", np.inf)
    latency = _filled(calls, "latency_s", flat, shape) if "latency_s" in calls.columns else None
    questions = Questions(_prompts(queries), _types(queries), tuple(wanted))
    said = _answers(calls, flat, shape) if answers else None
    made = np.zeros(len(ids) * len(wanted), dtype=np.bool_)
    made[flat] = True
    cost, notes = _imputed(cost, made.reshape(shape), wanted)
    invented = _invented(calls, named(calls))
    if invented:
        notes = (*notes, INVENTED)
    if bare := sum(not each for each in questions.prompts):
        why = "no router can tell them apart, and random sends all of them to one LLM."
        notes = (*notes, f"{bare:,} queries have no prompt: {why}")
    return Recorded(ids, Outcomes(questions, score, cost, latency, said), notes, invented)


def _invented(calls: pd.DataFrame, names: pd.Series[str]) -> frozenset[str]:
    if "simulated" not in calls.columns:
        return frozenset()
    return frozenset(names[calls["simulated"].isin([True, "True"])])


def _check(queries: Any, calls: Any) -> None:
    for name, frame in (("queries", queries), ("calls", calls)):
        if not isinstance(frame, pd.DataFrame):
            raise UsageProblem(f"{name} is a {type(frame).__name__}.", hint="Give a DataFrame.")
        need(frame, name, "query_id")
    need(calls, "calls", "score")
    if queries["query_id"].duplicated().any():
        raise UsageProblem("The queries have two rows for one query_id.", hint="Keep one.")


def _filled(
    calls: pd.DataFrame, column: str, flat: NDArray[np.intp], shape: tuple[int, int]
) -> NDArray[np.float64]:
    found = np.full(shape[0] * shape[1], np.nan)
    if column in calls.columns:
        numbers = pd.to_numeric(calls[column], errors="coerce")
        found[flat] = numbers.to_numpy(dtype="float64", na_value=np.nan)
    return found.reshape(shape)


def _sound(values: NDArray[np.float64], column: str, most: float) -> None:
    wrong = (values < 0) | (values > most) | np.isinf(values)
    if wrong.any():
        raise UsageProblem(
            f"The column {column} of the calls holds {values[wrong][0]:g}.",
            hint="A score is in [0, 1]." if most == 1.0 else "A cost is US dollars, from 0.",
        )


def _prompts(queries: pd.DataFrame) -> Prompts:
    if "prompt" not in queries.columns:
        return Prompts([""] * len(queries))
    return Prompts([each if isinstance(each, str) else "" for each in queries["prompt"]])


def _types(queries: pd.DataFrame) -> list[str]:
    for column in TYPES:
        if column in queries.columns:
            return ["" if pd.isna(each) else str(each) for each in queries[column]]
    return [""] * len(queries)


def _answers(
    calls: pd.DataFrame, flat: NDArray[np.intp], shape: tuple[int, int]
) -> list[list[str | None]]:
    short, kind = answers_of(calls, "auto")
    found: list[list[str | None]] = [[None] * shape[1] for _ in range(shape[0])]
    for place, answer in zip(flat.tolist(), short, strict=True):
        found[place // shape[1]][place % shape[1]] = canonical(answer, kind)
    return found


def _imputed(
    cost: NDArray[np.float64], made: NDArray[np.bool_], llms: Sequence[str]
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Return costs with the mean of an LLM where one of its calls has none, or was never made.

    A history in which each query met one LLM knows the costs of all of them.
    """
    known = ~np.isnan(cost)
    if known.all() or not len(cost):
        return cost, ()
    share = known.sum(axis=0) / np.maximum(1, made.sum(axis=0))
    if share.min() < IMPUTED:
        free = [llm for llm, each in zip(llms, share, strict=True) if each < IMPUTED]
        few = f"{len(free)} of {len(llms)} LLMs" if len(free) < len(llms) else "any LLM"
        return np.full_like(cost, np.nan), (f"Costs are left out: they are unknown for {few}.",)
    mean = np.where(known, cost, 0).sum(axis=0) / known.sum(axis=0)
    many = int((made & ~known).sum())
    note = f"{many:,} calls without a cost count with the mean cost of their LLM."
    return np.where(known, cost, mean), (note,) * (many > 0)
