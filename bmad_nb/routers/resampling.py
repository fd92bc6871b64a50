"""Paired bootstrap over queries: how sure a mean or a difference is."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
DRAWS = 2_000
"""Draws of a bootstrap."""
BLOCKS = 4_000
"""Most groups of queries that are drawn; a table with fewer queries is drawn query by query."""


class Bootstrap:
    """The same draws of queries for everything that is measured, so that differences are paired.

    A table of more than `BLOCKS` queries is dealt into as many groups by chance, and groups are
    drawn: means of groups vary as queries do, and a million calls cost no more than ten thousand.

    Args:
        many: queries.
        seed: of the draws.
        draws: how many.
    """

    def __init__(self, many: int, seed: int = 0, draws: int = DRAWS) -> None:
        """Deal the queries into groups and draw."""
        rng = np.random.default_rng(seed)
        self.many, self.draws = many, draws
        groups = min(many, BLOCKS)
        self._order = rng.permutation(many)
        self._edges = np.linspace(0, many, groups + 1).astype(np.intp)[:-1]
        picked = rng.integers(0, groups, size=(draws, groups), dtype=np.int32)
        offset = np.arange(draws, dtype=np.int64)[:, None] * groups
        counts = np.bincount((picked + offset).ravel(), minlength=draws * groups)
        self._weights = counts.reshape(draws, groups).astype(np.float64)
        sizes = np.diff(np.append(self._edges, many)).astype(np.float64)
        self._sizes = self._weights @ sizes

    def means(self, values: NDArray[np.floating[Any]]) -> tuple[Floats, Floats]:
        """Return the means of columns, and the means in each draw.

        Args:
            values: shape (queries, columns).

        Returns:
            Shapes (columns,) and (draws, columns).
        """
        sums = np.add.reduceat(values[self._order], self._edges, axis=0, dtype=np.float64)
        return sums.sum(axis=0) / self.many, (self._weights @ sums) / self._sizes[:, None]


DUST = 1e-12
"""What is nearer to 0 is 0: sums of the same numbers differ by less, and that is no difference."""


def interval(draws: Floats, level: float = 0.95) -> tuple[float, float]:
    """Return the percentile interval of the draws of a bootstrap; NaN where too few are numbers."""
    known = draws[~np.isnan(draws)]
    if len(known) < max(1, 0.5 * len(draws)):
        return math.nan, math.nan
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return _cleaned(float(low)), _cleaned(float(high))


def _cleaned(value: float) -> float:
    return 0.0 if abs(value) < DUST else value


def unbiased(value: float, draws: Floats) -> Floats:
    """Return draws without the bias that a best-of brings, so that chance alone shows no gain.

    A hull takes the best of several noisy points, and is too high for it. How much the draws lie
    above the value estimates how much the value lies above the truth (Efron and Tibshirani, "An
    introduction to the bootstrap", 1993, chapter 10); both are taken off.
    """
    return draws - 2 * max(0.0, float(np.nanmean(draws)) - value)
