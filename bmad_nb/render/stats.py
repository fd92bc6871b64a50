"""Paired differences between LLMs over cases, with intervals; standard library only.

Three things keep the claim "95 % taken together" true for few cases, where a plain percentile
bootstrap is too sure (with 12 cases and 3 equal LLMs it found a difference in 16 % of trials):
the level counts all pairs, since the best LLM is chosen after the fact; the interval is widened
by what Student's t is wider than the normal; and so many cases must differ that a sign test could
reach the level at all.
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
        return f"{100 * self.level:.3g} %"

    @property
    def method(self) -> str:
        """How the intervals were made, one sentence."""
        if self.cases > BOOTSTRAP_CASES:
            how = f"Normal approximation over {self.cases:,} cases"
        else:
            how = (
                f"Paired bootstrap over {self.cases} cases, {DRAWS:,} draws, seed {SEED}, "
                "widened as Student's t is"
            )
        many = len(self.differences)
        if many == 1:
            return f"{how}, interval at {self.percent}."
        return (
            f"{how}. The best is chosen after the fact among {many * (many + 1) // 2} pairs, so "
            f"each interval is at {self.percent} ({100 * (1 - ALPHA):.0f} % taken together)."
        )


def paired(
    best: Sequence[float], others: Mapping[str, Sequence[float]], *, llms: int | None = None
) -> Paired:
    """Return how far `best` is above each of `others`, case by case.

    Args:
        best: scores in [0, 1], one per case.
        others: scores of the others on the same cases, in the same order.
        llms: how many are compared in all, where `others` are not all of them.
    """
    llms = llms or len(others) + 1
    alpha = ALPHA / max(1, llms * (llms - 1) // 2)
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
    wider = _wider(cases, alpha)
    bounds = []
    for gap, found in zip(gaps, sums, strict=True):
        found.sort()
        centre = fmean(gap)
        low, high = found[edge] / cases, found[DRAWS - 1 - edge] / cases
        bounds.append((centre - wider * (centre - low), centre + wider * (high - centre)))
    return bounds


def _wider(cases: int, alpha: float) -> float:
    """Return how much wider than a bootstrap interval that of Student's t is for few cases.

    The quantile of t is Cornish and Fisher's expansion in that of the normal; the root is for the
    bootstrap's spread, which divides by n where the sample's divides by n - 1.
    """
    z, free = NormalDist().inv_cdf(1 - alpha / 2), cases - 1
    t = (
        z
        + (z**3 + z) / (4 * free)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * free**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * free**3)
    )
    return math.sqrt(cases / free) * t / z


def _normal(gap: Sequence[float], z: float) -> tuple[float, float]:
    """Return mean ± z standard errors."""
    centre, half = fmean(gap), z * stdev(gap) / math.sqrt(len(gap))
    return centre - half, centre + half
