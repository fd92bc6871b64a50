"""What routers learn from and choose for, as plain arrays: questions, and what came of them.

A live task is one question; a replay is a hundred thousand. Both are the same two types, so that a
router that was written in a cell chooses the same live and in replay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

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
