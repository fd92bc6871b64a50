"""What routers learn from and choose for, as plain arrays: questions, and what came of them.

A live task is one question; a replay is a hundred thousand. Both are the same two types, so that a
router that was written in a cell chooses the same live and in replay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bmad_nb.errors import UsageProblem
from bmad_nb.llms.base import Card


@dataclass(frozen=True, slots=True, eq=False)
class Questions:
    """What is to be routed, and to whom it may go."""

    prompts: Sequence[str]
    """Text of each question."""
    types: Sequence[str]
    """Kind of task of each question, such as a subject; empty where nobody knows it."""
    llms: tuple[str, ...]
    """Ids of the LLMs that may be asked: the columns of all arrays."""
    cards: Mapping[str, Card] = field(default_factory=dict)
    """What is declared of LLMs, where it is known."""

    def __len__(self) -> int:
        """Return how many questions there are."""
        return len(self.prompts)

    def take(self, rows: NDArray[np.intp]) -> Questions:
        """Return some of the questions, in this order."""
        return Questions(taken(self.prompts, rows), taken(self.types, rows), self.llms, self.cards)


def taken(texts: Sequence[Any], rows: NDArray[np.intp]) -> Sequence[Any]:
    """Return some members of a sequence; one that knows how does it by itself."""
    own = getattr(texts, "take", None)
    return own(rows) if own is not None else [texts[row] for row in rows]


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """What came of questions: the record that a router is fitted on, or judged on."""

    questions: Questions
    score: NDArray[np.float64]
    """Score in [0, 1]; shape (questions, LLMs), NaN where an LLM was not asked or not scored."""
    cost_usd: NDArray[np.float64]
    """Cost in US dollars; shape (questions, LLMs), NaN where nobody knows it."""
    latency_s: NDArray[np.float64] | None = None
    """Seconds of an answer; shape (questions, LLMs), NaN where nobody knows it."""
    answers: Sequence[Sequence[str | None]] | None = None
    """Short answers in one spelling, by question and LLM: what an agreement is seen by."""

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit the questions.

        Raises:
            UsageProblem: a shape is wrong.
        """
        shape = (len(self.questions), len(self.questions.llms))
        for name in ("score", "cost_usd", "latency_s"):
            array = getattr(self, name)
            if array is not None and array.shape != shape:
                raise UsageProblem(
                    f"{name} has the shape {array.shape}, and there are {shape[0]} questions and "
                    f"{shape[1]} LLMs."
                )

    def take(self, rows: NDArray[np.intp]) -> Outcomes:
        """Return what came of some of the questions, in this order."""
        return Outcomes(
            self.questions.take(rows),
            self.score[rows],
            self.cost_usd[rows],
            None if self.latency_s is None else self.latency_s[rows],
            None if self.answers is None else taken(self.answers, rows),
        )

    @property
    def mean_score(self) -> NDArray[np.float64]:
        """Mean score of each LLM; shape (LLMs,), NaN where it was never scored."""
        return _mean(self.score)

    @property
    def mean_usd(self) -> NDArray[np.float64]:
        """Mean cost of each LLM in US dollars; shape (LLMs,), NaN where nobody knows it."""
        return _mean(self.cost_usd)

    @property
    def best(self) -> int:
        """Column of the LLM with the highest mean score; of equal ones the cheaper.

        Raises:
            UsageProblem: nothing was scored.
        """
        mean, usd = self.mean_score, self.mean_usd
        if np.isnan(mean).all():
            raise UsageProblem("No call of this history has a score.", hint="Score some first.")
        order = np.lexsort((np.nan_to_num(usd, nan=np.inf), -np.nan_to_num(mean, nan=-1.0)))
        return int(order[0])

    @property
    def cheapest(self) -> int | None:
        """Column of the LLM with the lowest mean cost; None where no cost is known."""
        usd = self.mean_usd
        return None if np.isnan(usd).all() else int(np.nanargmin(usd))


def _mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    there = ~np.isnan(values)
    count = there.sum(axis=0)
    total = np.where(there, values, 0.0).sum(axis=0)
    return np.asarray(
        np.divide(total, count, out=np.full(values.shape[1], np.nan), where=count > 0)
    )


@dataclass(frozen=True, slots=True, eq=False)
class Picks:
    """What a router chose for each question."""

    llm: NDArray[np.intp]
    """Column of the LLM whose answer counts; shape (questions,)."""
    asked: NDArray[np.bool_] | None = None
    """Every LLM that is asked and paid for; shape (questions, LLMs). None: only the chosen one."""
    propensity: NDArray[np.float64] | None = None
    """Probability in (0, 1] with which the choice was made; None: it was certain."""
    expected: NDArray[np.float64] | None = None
    """Score that the router expects of each LLM; shape (questions, LLMs), NaN where it has none."""
    expected_usd: NDArray[np.float64] | None = None
    """US dollars that the router expects each call to cost; shape (questions, LLMs)."""
    reasons: Sequence[str] | None = None
    """Why, one sentence a question, where the router said it."""
