"""Routers that predict what each LLM would score and cost, and take the best bargain."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bmad_nb.routers import guarding
from bmad_nb.routers.batch import Learns, best_of, columns, price_ratio, turned
from bmad_nb.routers.blending import Blend, Makes, ladder
from bmad_nb.routers.outcomes import Outcomes, Picks, Questions
from bmad_nb.routers.predictors import (
    Costs,
    Length,
    Neighbours,
    Ridge,
    TaskMeans,
    seeing,
    viewed,
)
from bmad_nb.routers.singles import Zero

Floats = NDArray[np.float64]
MOST_HISTORY = 12_000
"""Most questions that are learned from; of more a part is taken by chance."""


class Predicting(Learns):
    """Takes the LLM with the most expected score less what its expected cost is worth.

    Args:
        points_per_usd: score that one US dollar is worth; 0 looks at scores only.
    """

    def __init__(self, *, points_per_usd: float = 0.0) -> None:
        """Keep the setting."""
        self.points_per_usd = points_per_usd

    def makes(self, score: Floats) -> Sequence[Makes]:
        """Return what makes the predictors that this router learns with."""
        raise NotImplementedError

    def learn(self, outcomes: Outcomes) -> None:
        """Learn predictors of score and cost."""
        outcomes = sampled(outcomes)
        self._cards = outcomes.questions.cards
        self._seeing = seeing(outcomes.questions)
        view = viewed(self._seeing, outcomes.questions)
        self._blend = Blend(self.makes(outcomes.score), pick=self.name != "learned")
        self._blend.learn(view, outcomes.score)
        self._costs = Costs()
        self._costs.learn(_lengths(outcomes.questions.prompts), outcomes.cost_usd)

    def expected(self, questions: Questions) -> tuple[Floats, Floats]:
        """Return expected scores and US dollars; shape (questions, LLMs), NaN is unknown.

        Raises:
            UsageProblem: it has seen no outcomes.
        """
        self.need()
        where = columns(self.llms, questions.llms)
        score = self._blend.predict(viewed(self._seeing, questions))
        usd = turned(self._costs.predict(_lengths(questions.prompts)), where)
        for place, llm in enumerate(questions.llms):
            usd[:, place] *= price_ratio(questions.cards.get(llm), self._cards.get(llm))
        return np.clip(turned(score, where), 0.0, 1.0), usd

    def choose_many(self, questions: Questions) -> Picks:
        """Return the choice for each question, with what was expected of all.

        Raises:
            UsageProblem: it has seen no outcomes.
        """
        score, usd = self.expected(questions)
        chosen = best_of(score, usd, self.points_per_usd)
        return Picks(chosen, expected=score, expected_usd=usd)


class PromptLength(Predicting):
    """Looks at the length of a prompt only. On public tables it nearly equals learned routers."""

    name = "prompt-length"

    def makes(self, score: Floats) -> Sequence[Makes]:
        """Return the one predictor."""
        del score
        return [Length]


class TaskMean(Predicting):
    """Looks at the kind of task only; where it is not given it is told from the text."""

    name = "task-mean"

    def makes(self, score: Floats) -> Sequence[Makes]:
        """Return the one predictor."""
        del score
        return [TaskMeans]


class NearestNeighbours(Predicting):
    """Asks what LLMs scored on the most similar prompts; how many is chosen on the history."""

    name = "knn"

    def makes(self, score: Floats) -> Sequence[Makes]:
        """Return the predictor with its numbers of neighbours."""
        del score
        return [Neighbours]


class Linear(Predicting):
    """Ridge regression on words, surface and kind of task; its penalty is chosen on the history.

    For two LLMs it is the regression of the gap between them, since it is linear in the scores.
    """

    name = "linear"

    def makes(self, score: Floats) -> Sequence[Makes]:
        """Return the predictor with its penalties."""
        del score
        return [Ridge]


class Learned(Predicting):
    """What the product chooses by itself: a blend of all that the history is large enough for.

    It stands back behind the Zero router where its own history does not show that it is better,
    and says so in `note`.

    Args:
        points_per_usd: score that one US dollar is worth; 0 looks at scores only.
        guard: False lets it act in any case.
        seed: of the draws of the guard.
    """

    name = "learned"

    def __init__(self, *, points_per_usd: float = 0.0, guard: bool = True, seed: int = 0) -> None:
        """Keep the setting."""
        super().__init__(points_per_usd=points_per_usd)
        self.guard, self.seed = guard, seed
        self.note = ""
        """What it does instead of routing, and why; empty where it routes."""
        self._zero: Zero | None = None

    def makes(self, score: Floats) -> Sequence[Makes]:
        """Return the rungs of the ladder that the history reaches."""
        return ladder(score)

    def learn(self, outcomes: Outcomes) -> None:
        """Learn, and look whether it is shown to be better than what needs no router."""
        super().learn(outcomes)
        outcomes = sampled(outcomes)
        usd = self._costs.predict(_lengths(outcomes.questions.prompts))
        self.shown = guarding.gain(outcomes, self._blend.held, usd, self.seed)
        self.note, self._zero = "", None
        if self.guard and not self.shown.holds:
            self._zero = Zero(seed=self.seed).fit(outcomes)
            self.note = f"The router learned stands back behind the Zero router: {self.shown.said}."

    @property
    def acting(self) -> Learned | Zero:
        """Return the router that really chooses: itself, or the Zero router."""
        return self._zero or self

    def choose_many(self, questions: Questions) -> Picks:
        """Return the choice for each question.

        Raises:
            UsageProblem: it has seen no outcomes.
        """
        self.need()
        return (
            super().choose_many(questions)
            if self._zero is None
            else self._zero.choose_many(questions)
        )

    def reason(self, questions: Questions, picks: Picks, row: int) -> str:
        """Return why, and whether it stood back."""
        if self._zero is None:
            return super().reason(questions, picks, row)
        return f"{self._zero.reason(questions, picks, row)}; no router is shown to be better"


@lru_cache(maxsize=2)
def sampled(outcomes: Outcomes) -> Outcomes:
    """Return the part of a history that is learned from; the same for all routers."""
    many = len(outcomes.questions)
    if many <= MOST_HISTORY:
        return outcomes
    rows = np.sort(np.random.default_rng(0).choice(many, MOST_HISTORY, replace=False))
    return outcomes.take(rows)


def _lengths(prompts: Sequence[str]) -> Floats:
    return np.fromiter(map(len, prompts), dtype=np.float64, count=len(prompts))
