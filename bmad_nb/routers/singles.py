"""Routers that know LLMs only as wholes: the best one, the cheapest one, and mixtures of few."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bmad_nb.routers.batch import Learns, best_of, columns, price_ratio, turned
from bmad_nb.routers.hull import hull
from bmad_nb.routers.outcomes import Outcomes, Picks, Questions
from bmad_nb.routers.texts import draws


class _Wholes(Learns):
    """What is learned of LLMs as wholes: mean score and mean cost."""

    def learn(self, outcomes: Outcomes) -> None:
        """Keep the mean score and cost of each LLM."""
        self._cards = outcomes.questions.cards
        self._score, self._usd = outcomes.mean_score, outcomes.mean_usd

    def known(self, questions: Questions) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return mean score and mean cost of the LLMs of some questions; NaN is unknown.

        Raises:
            UsageProblem: it has seen no outcomes.
        """
        self.need()
        where = columns(self.llms, questions.llms)
        usd = turned(self._usd[None, :], where)[0]
        for place, llm in enumerate(questions.llms):
            usd[place] *= price_ratio(questions.cards.get(llm), self._cards.get(llm))
        return turned(self._score[None, :], where)[0], usd


class BestSingle(_Wholes):
    """Takes the LLM with the highest mean score of the history for everything.

    Args:
        points_per_usd: score that one US dollar is worth; 0 looks at scores only.
    """

    name = "best-single"

    def __init__(self, *, points_per_usd: float = 0.0) -> None:
        """Keep the setting."""
        self.points_per_usd = points_per_usd

    def choose_many(self, questions: Questions) -> Picks:
        """Return the same choice for each question.

        Raises:
            UsageProblem: it has seen no outcomes.
        """
        score, usd = self.known(questions)
        taken = int(best_of(score[None, :], usd[None, :], self.points_per_usd)[0])
        return Picks(np.full(len(questions), taken, dtype=np.intp))

    def reason(self, questions: Questions, picks: Picks, row: int) -> str:
        """Return why: its mean score."""
        taken = int(picks.llm[row])
        score, _ = self.known(questions)
        if np.isnan(score[taken]):
            return "none of these was ever scored: the first"
        return f"mean score {score[taken]:.2f}, the best of {len(questions.llms)} in the history"


class Zero(_Wholes):
    """Mixes the LLMs on the hull of cost and quality by chance, whatever the prompt is.

    The baseline that every router must beat (Hu et al., "RouterBench", 2024).

    Args:
        usd: mean US dollars that a question may cost; None takes the best single LLM.
        seed: of the chance.
    """

    name = "zero"

    def __init__(self, *, usd: float | None = None, seed: int = 0) -> None:
        """Keep the setting."""
        self.usd, self.seed = usd, seed

    def mixture(self, questions: Questions, usd: float | None) -> NDArray[np.float64]:
        """Return the probability of each LLM that gives the most quality for this mean cost.

        Args:
            questions: whose LLMs they are.
            usd: mean US dollars of a question; None for as many as it takes.
        """
        score, cost = self.known(questions)
        found = np.zeros(len(score))
        if np.isnan(score).all():
            found[0] = 1.0
            return found
        if usd is None or np.isnan(cost).any():
            found[best_of(score[None, :], cost[None, :], 0.0)[0]] = 1.0
            return found
        x, _, which = hull(cost, np.nan_to_num(score, nan=-1.0))
        place = int(np.searchsorted(x, usd, side="right"))
        if place in {0, len(x)}:
            found[which[max(0, place - 1)]] = 1.0
            return found
        share = (usd - x[place - 1]) / (x[place] - x[place - 1])
        found[which[place - 1]], found[which[place]] = 1 - share, share
        return found

    def mixtures(self, questions: Questions, steps: int) -> NDArray[np.float64]:
        """Return mixtures from all cheap to the best, as shape (steps, LLMs)."""
        score, cost = self.known(questions)
        if np.isnan(cost).any() and len(score) == 2 and not np.isnan(score).any():
            shares = np.linspace(0.0, 1.0, steps)
            best = int(np.argmax(score))
            return np.stack(
                [shares if best == 0 else 1 - shares, 1 - shares if best == 0 else shares], 1
            )
        if np.isnan(cost).any():
            return self.mixture(questions, None)[None, :]
        budgets = np.linspace(np.nanmin(cost), np.nanmax(cost), steps)
        return np.stack([self.mixture(questions, float(each)) for each in budgets])

    def choose_many(self, questions: Questions) -> Picks:
        """Return a choice by chance from the mixture for each question, with its probability.

        Raises:
            UsageProblem: it has seen no outcomes.
        """
        weights = self.mixture(questions, self.usd)
        chosen = drawn(weights, questions, self.seed)
        return Picks(chosen, propensity=weights[chosen])

    def reason(self, questions: Questions, picks: Picks, row: int) -> str:
        """Return why: the mixture."""
        del picks, row
        weights = self.mixture(questions, self.usd)
        said = [f"{w:.0%} {llm}" for llm, w in zip(questions.llms, weights, strict=True) if w > 0]
        if len(said) == 1:
            return "the best single LLM within this budget, whatever the prompt is"
        return f"by chance from the best mixture of single LLMs: {', '.join(said)}"


def drawn(weights: NDArray[np.float64], questions: Questions, seed: int) -> NDArray[np.intp]:
    """Return a column by chance for each question, in proportion to weights of LLMs."""
    edges = np.cumsum(weights)
    places = np.searchsorted(edges, draws(questions.prompts, seed) * edges[-1], side="right")
    last = int(np.flatnonzero(weights)[-1])
    return np.asarray(np.minimum(places, last).astype(np.intp))
