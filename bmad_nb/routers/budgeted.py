"""A router that keeps to a mean cost of a question: the price of a score is what it turns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bmad_nb.errors import UsageProblem
from bmad_nb.routers.batch import Learns, best_of
from bmad_nb.routers.learned import Learned, Predicting
from bmad_nb.routers.outcomes import Outcomes, Picks, Questions

HALVINGS = 60
PACE = 0.05
"""Share by which the price of a score turns when a question costs twice what it may."""


class Budgeted(Learns):
    """Takes the most expected score that a mean of so many US dollars a question pays for.

    What one US dollar is worth in points is found on the history by bisection; in live use
    `paid(usd)` after each call turns it, so that the mean is kept although prices or questions
    change (dual descent; Balseiro and Gur, "Learning in repeated auctions with budgets", 2019).

    Args:
        usd: mean US dollars that a question may cost.
        router: what predicts score and cost.
    """

    name = "budgeted"

    def __init__(self, usd: float, router: Predicting | None = None) -> None:
        """Keep the limit.

        Raises:
            UsageProblem: it is no amount.
        """
        if not np.isfinite(usd) or usd < 0:
            raise UsageProblem(f"A question cannot cost ${usd!r}.", hint="Give an amount from 0.")
        self.usd, self._router = float(usd), router or Learned(guard=False)
        self.points_per_usd = 0.0
        self.note = ""

    def learn(self, outcomes: Outcomes) -> None:
        """Learn score and cost, and find the price that keeps to the limit on the history.

        Raises:
            UsageProblem: no cost is known.
        """
        if outcomes.cheapest is None:
            raise UsageProblem(
                "No call of this history has a cost, so no budget can be kept.",
                hint="Record costs, or use the router learned.",
            )
        self._router = self._router.fit(outcomes)
        score, usd = self._router.expected(outcomes.questions)
        self.points_per_usd = price_for(score, usd, self.usd)
        least = float(np.nanmin(usd, axis=1).mean())
        self.note = (
            f"${self.usd:.3g} a question is less than the cheapest LLMs cost (${least:.3g})."
            if least > self.usd
            else ""
        )

    def choose_many(self, questions: Questions) -> Picks:
        """Return the choice for each question, at the price that holds now.

        Raises:
            UsageProblem: it has seen no outcomes.
        """
        self.need()
        score, usd = self._router.expected(questions)
        chosen = best_of(score, usd, self.points_per_usd)
        return Picks(chosen, expected=score, expected_usd=usd)

    def paid(self, usd: float) -> None:
        """Turn the price of a score after a call that cost so much.

        It rises where questions cost more than they may, and falls where they cost less.
        """
        if not self.usd or not np.isfinite(usd):
            return
        over = np.clip((usd - self.usd) / self.usd, -1.0, 10.0)
        scale = max(self.points_per_usd, 0.01 / self.usd)
        self.points_per_usd = max(0.0, self.points_per_usd + PACE * float(over) * scale)


def price_for(score: NDArray[np.float64], usd: NDArray[np.float64], limit: float) -> float:
    """Return the least points per US dollar at which choices cost at most `limit` in the mean.

    Infinite where even the cheapest choices cost more.

    Args:
        score: expected scores; shape (questions, LLMs).
        usd: expected US dollars; same shape.
        limit: mean US dollars of a question.
    """
    rows = np.arange(len(score))

    def cost(points: float) -> float:
        return float(usd[rows, best_of(score, usd, points)].mean())

    if cost(0.0) <= limit:
        return 0.0
    if cost(np.inf) > limit:
        return float("inf")
    low, high = 0.0, 1.0
    while cost(high) > limit:
        low, high = high, high * 4.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if cost(middle) <= limit else (middle, high)
    return high
