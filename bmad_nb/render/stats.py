"""Paired differences between LLMs over cases, with intervals; standard library only.

A difference counts as shown if its interval leaves zero out and if so many cases differ that a
sign test could reach the level at all. The second rule is needed because a percentile bootstrap
over a few cases, above all with scores of 0 and 1, leaves zero out too easily.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from statistics import NormalDist, fmean, stdev

DRAWS = 10_000
SEED = 7
ALPHA = 0.05
BOOTSTRAP_CASES = 200
"""Above this many cases the normal approximation takes over."""
SAME = 1e-9
"""Scores closer than this are a tie."""


@dataclass(frozen=True, slots=True)
class Difference:
    """How far one LLM is above another, over the cases that both have a score for."""

    against: str
    mean: float
    low: float
    high: float
    won: int
    tied: int
    lost: int
    shown: bool
    """True where the interval leaves zero out and enough cases differ."""

    @property
    def differing(self) -> int:
        """Cases in which the two scores differ."""
        return self.won + self.lost


@dataclass(frozen=True, slots=True)
class Paired:
    """The differences of one LLM from each of the others."""

    differences: tuple[Difference, ...]
    cases: int
    level: float
    """Level of each interval in [0, 1], widened so that all together hold at 95 %."""
    needed: int
    """Cases that must differ before a difference can be shown."""

    @property
    def percent(self) -> str:
        """The level in words, such as `99 %`."""
        return f"{100 * self.level:.4g} %"

    @property
    def method(self) -> str:
        """How the intervals were made, one sentence."""
        if self.cases > BOOTSTRAP_CASES:
            how = f"Normal approximation over {self.cases:,} cases"
        else:
            how = f"Paired bootstrap over {self.cases} cases, {DRAWS:,} draws, seed {SEED}"
        many = len(self.differences)
        if many == 1:
            return f"{how}, interval at {self.percent}."
        together = f"{100 * (1 - ALPHA):.0f} % taken together"
        return f"{how}. {many} comparisons, so each interval is at {self.percent} ({together})."


def paired(best: Sequence[float], others: Mapping[str, Sequence[float]]) -> Paired:
    """Return how far `best` is above each of `others`, case by case.

    Args:
        best: scores in [0, 1], one per case.
        others: scores of the others on the same cases, in the same order.
    """
    comparisons = max(1, len(others))
    alpha = ALPHA / comparisons
    needed = 1 + math.ceil(-math.log2(alpha))
    gaps = tuple(tuple(a - b for a, b in zip(best, each, strict=True)) for each in others.values())
    bounds = _bounds(gaps, alpha)
    found = []
    for name, gap, (low, high) in zip(others, gaps, bounds, strict=True):
        won = sum(each > SAME for each in gap)
        lost = sum(each < -SAME for each in gap)
        clear = (low > SAME or high < -SAME) and won + lost >= needed
        found.append(
            Difference(name, fmean(gap), low, high, won, len(gap) - won - lost, lost, clear)
        )
    return Paired(tuple(found), len(best), 1 - alpha, needed)


@lru_cache(maxsize=64)
def _bounds(gaps: tuple[tuple[float, ...], ...], alpha: float) -> list[tuple[float, float]]:
    """Return an interval for the mean of each row of `gaps`, at level 1 - alpha."""
    if not gaps:
        return []
    cases = len(gaps[0])
    if cases < 2:
        return [(-1.0, 1.0) for _ in gaps]
    if cases > BOOTSTRAP_CASES:
        z = NormalDist().inv_cdf(1 - alpha / 2)
        return [_normal(gap, z) for gap in gaps]
    rng = random.Random(SEED)  # noqa: S311 - a resampling, not a secret
    places = range(cases)
    sums: list[list[float]] = [[] for _ in gaps]
    for _ in range(DRAWS):
        pick = itemgetter(*rng.choices(places, k=cases))
        for gap, found in zip(gaps, sums, strict=True):
            found.append(sum(pick(gap)))
    edge = math.floor(DRAWS * alpha / 2)
    ordered = [sorted(each) for each in sums]
    return [(each[edge] / cases, each[DRAWS - 1 - edge] / cases) for each in ordered]


def _normal(gap: Sequence[float], z: float) -> tuple[float, float]:
    """Return mean ± z standard errors."""
    centre, half = fmean(gap), z * stdev(gap) / math.sqrt(len(gap))
    return centre - half, centre + half
