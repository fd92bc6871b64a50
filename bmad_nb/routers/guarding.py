"""Never below the Zero router: a learned router acts only where it is shown to be better.

Shown is: the paired bootstrap over the questions of the history, each predicted by what had not
seen it, leaves zero out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bmad_nb.routers.hull import area
from bmad_nb.routers.outcomes import Outcomes, Picks
from bmad_nb.routers.resampling import Bootstrap, interval, unbiased
from bmad_nb.routers.sweeping import STEPS, swept

Floats = NDArray[np.float64]
DRAWS = 1_000
LEAST = 20
"""Questions below which nothing is shown."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a router gains over what needs none, in held-out predictions of its own history."""

    metric: str
    value: float
    low: float
    high: float
    questions: int

    @property
    def holds(self) -> bool:
        """Whether the gain is shown."""
        return self.low > 0

    @property
    def said(self) -> str:
        """One sentence."""
        if math.isinf(self.high):
            return (
                f"its history has a score of every LLM for {self.questions} of {LEAST} questions "
                f"that are the least to show anything"
            )
        verdict = "shown" if self.holds else "no difference shown"
        bar = "the best single LLM" if self.metric == "quality" else "the Zero router"
        return (
            f"{self.metric} {self.value:+.3f} [{self.low:+.3f}, {self.high:+.3f}] against {bar} on "
            f"{self.questions:,} held-out questions of its history: {verdict}"
        )


def gain(outcomes: Outcomes, expected: Floats, usd: Floats, seed: int = 0) -> Shown:
    """Return what choosing by held-out expectations gains over single LLMs and their mixtures.

    It is measured for two LLMs in APGR above chance, which needs no hull and so shows smaller
    gains; for more in AIQ where costs are known, else in quality above the best single LLM.

    Args:
        outcomes: the history.
        expected: score that was expected of each LLM, by what had not seen the question.
        usd: expected costs; NaN where unknown.
        seed: of the draws.
    """
    full = ~np.isnan(outcomes.score).any(axis=1)
    known = not np.isnan(outcomes.cost_usd[full]).any() and bool(full.any())
    metric = "APGR" if outcomes.score.shape[1] == 2 else "AIQ" if known else "quality"
    rows = np.flatnonzero(full)
    if outcomes.score.shape[1] < 2:
        return Shown(metric, 0.0, 0.0, 0.0, len(rows))
    if len(rows) < LEAST:
        return Shown(metric, 0.0, float("-inf"), float("inf"), len(rows))
    part = outcomes.take(rows)
    strong, cheap = part.best, part.cheapest if known else None
    picks = Picks(
        np.argmax(expected[rows], axis=1).astype(np.intp),
        expected=expected[rows],
        expected_usd=usd[rows] if known else None,
    )
    sweep = swept(None, part.questions, picks, cheap=cheap, strong=strong, steps=STEPS)
    value, drawn = _measured(metric, part, picks, sweep.llm, seed=seed)
    low, high = interval(drawn)
    return Shown(metric, value, low, high, len(rows))


def _measured(
    metric: str, part: Outcomes, picks: Picks, llm: NDArray[np.int16], *, seed: int
) -> tuple[float, Floats]:
    strong, boot = part.best, Bootstrap(len(part.questions), seed, DRAWS)
    rows = np.arange(len(part.questions))
    if metric == "quality":
        gap = part.score[rows, picks.llm] - part.score[:, strong]
        value, drawn = boot.means(gap[:, None])
        return float(value[0]), drawn[:, 0]
    score = np.stack([part.score[rows, each] for each in llm], axis=1)
    other = np.stack(
        [(each == strong) if metric == "APGR" else part.cost_usd[rows, each] for each in llm],
        axis=1,
    )
    singles = np.hstack([part.score, part.cost_usd if metric == "AIQ" else part.score])
    value, drawn = boot.means(np.hstack([score, other.astype(float), singles]))
    each = np.array([_one(metric, row, len(llm), strong) for row in np.vstack([value, drawn])])
    drawn = unbiased(float(each[0]), each[1:]) if metric == "AIQ" else each[1:]
    return float(each[0]), drawn


def _one(metric: str, row: Floats, steps: int, strong: int) -> float:
    score, other = row[:steps], row[steps : 2 * steps]
    single, usd = np.split(row[2 * steps :], 2)
    if metric == "AIQ":
        low, high = float(usd.min()), float(usd.max())
        return area(other, score, low, high) - area(usd, single, low, high)
    weak = single[1 - strong]
    gap = float(single[strong] - weak)
    return float(np.trapezoid((score - weak) / gap, other)) - 0.5 if gap > 0 else 0.0
