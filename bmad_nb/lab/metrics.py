"""Measures of routing, exactly as their papers define them; where we differ it is said.

Every function takes its measure over the last axis, so that the draws of a bootstrap are measured
at once.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bmad_nb.routers.hull import area, hull
from bmad_nb.routers.resampling import DRAWS, Bootstrap, interval, unbiased

Floats = NDArray[np.float64]
ARENA_MAX, ARENA_MIN, ARENA_BETA = 200.0, 0.0044, 0.1
"""US dollars per 1,000 queries, and the weight of cost, of RouterArena."""


def pgr(quality: ArrayLike, weak: ArrayLike, strong: ArrayLike) -> Floats:
    """Return the share of the gap between two LLMs that is closed; NaN where there is no gap.

    Source: Ong et al. (2024), "RouteLLM", section 3.

    >>> float(pgr(0.75, 0.5, 1.0))
    0.5
    """
    gap = np.asarray(strong, dtype=float) - np.asarray(weak, dtype=float)
    gain = np.asarray(quality, dtype=float) - np.asarray(weak, dtype=float)
    return np.asarray(
        np.divide(gain, gap, out=np.full(np.broadcast(gain, gap).shape, np.nan), where=gap != 0)
    )


def apgr(share: Floats, quality: Floats, weak: ArrayLike, strong: ArrayLike) -> Floats:
    """Return the mean PGR over the share of calls to the strong LLM, from 0 to 1.

    Choosing by chance has 0.5 in expectation; it can exceed 1, because a router can be better than
    the strong LLM.

    Args:
        share: share in [0, 1] of calls to the strong LLM at each setting, rising; shape (..., S).
        quality: mean score at each setting; shape (..., S).
        weak: mean score of the weak LLM; shape (...,).
        strong: mean score of the strong LLM; shape (...,).

    >>> share = np.linspace(0, 1, 11)
    >>> round(float(apgr(share, 0.6 + 0.2 * share, 0.6, 0.8)), 9)
    0.5
    """
    curve = pgr(quality, np.asarray(weak)[..., None], np.asarray(strong)[..., None])
    span = share[..., -1] - share[..., 0]
    total = np.trapezoid(curve, share, axis=-1)
    return np.divide(total, span, out=np.full(np.shape(total), np.nan), where=span > 0)


def cpt(
    share: Floats, quality: Floats, weak: ArrayLike, strong: ArrayLike, target: float
) -> Floats:
    """Return the least % of calls to the strong LLM that close `target` of the gap.

    RouteLLM reads it off with `np.interp`, which is right for a rising curve only; here it is the
    first crossing, which is the same where the curve rises.

    Args:
        share: as in `apgr`.
        quality: as in `apgr`.
        weak: as in `apgr`.
        strong: as in `apgr`.
        target: share of the gap in (0, 1].

    >>> share = np.linspace(0, 1, 11)
    >>> round(float(cpt(share, 0.6 + 0.2 * share, 0.6, 0.8, 0.8)), 6)
    80.0
    """
    curve = pgr(quality, np.asarray(weak)[..., None], np.asarray(strong)[..., None])
    reached = curve >= target - 1e-12
    first = np.argmax(reached, axis=-1)[..., None]
    before = np.maximum(first - 1, 0)
    y1, y0 = np.take_along_axis(curve, first, -1), np.take_along_axis(curve, before, -1)
    x1, x0 = np.take_along_axis(share, first, -1), np.take_along_axis(share, before, -1)
    part = np.divide(target - y0, y1 - y0, out=np.zeros_like(y1), where=y1 > y0)
    found = x0 + np.clip(part, 0, 1) * (x1 - x0)
    found = np.where(first == 0, x1, found)[..., 0]
    return np.where(reached.any(axis=-1), 100 * found, np.nan)


def aiq(cost: Floats, quality: Floats, low: ArrayLike, high: ArrayLike) -> Floats:
    """Return the mean height of the non-decreasing convex hull from `low` to `high` cost.

    Source: Hu et al. (2024), "RouterBench", section 3. Differs: the mean is over the range of
    costs itself, and what is too cheap to be had counts 0.

    Args:
        cost: mean cost at each setting; shape (..., S).
        quality: mean score at each setting; shape (..., S).
        low: cost of the cheapest single LLM; shape (...,).
        high: cost of the dearest single LLM; shape (...,).
    """
    shape = cost.shape[:-1]
    costs, qualities = cost.reshape(-1, cost.shape[-1]), quality.reshape(-1, cost.shape[-1])
    lows, highs = (np.broadcast_to(each, shape).reshape(-1) for each in (low, high))
    found = [area(*each) for each in zip(costs, qualities, lows, highs, strict=True)]
    return np.array(found).reshape(shape)


def oracle(score: Floats, cost: Floats | None = None) -> NDArray[np.intp]:
    """Return the column of the best score of each query, the cheapest of equal ones.

    It is inflated by chance: with two choices and many LLMs somebody is always right.
    """
    known = np.nan_to_num(score, nan=-1.0)
    if cost is None or np.isnan(cost).all():
        return np.asarray(np.argmax(known, axis=1).astype(np.intp))
    top = known >= known.max(axis=1, keepdims=True)
    return np.asarray(
        np.argmin(np.where(top, np.nan_to_num(cost, nan=np.inf), np.inf), axis=1).astype(np.intp)
    )


def arena(quality: ArrayLike, usd: ArrayLike) -> Floats:
    """Return the score of RouterArena: quality and cheapness as one harmonic mean.

    Args:
        quality: mean score in [0, 1].
        usd: mean US dollars of a query; counted as at least 0.0044 and at most 200 per 1,000.

    >>> round(float(arena(0.5, 0.2)), 3), round(float(arena(0.5, 0.0000044)), 4)
    (0.0, 0.5238)
    """
    cost = np.clip(1000 * np.asarray(usd, dtype=float), ARENA_MIN, ARENA_MAX)
    cheap = (math.log2(ARENA_MAX) - np.log2(cost)) / (math.log2(ARENA_MAX) - math.log2(ARENA_MIN))
    good = np.asarray(quality, dtype=float)
    below = ARENA_BETA * good + cheap
    above = (1 + ARENA_BETA) * good * cheap
    return np.asarray(np.divide(above, below, out=np.zeros(np.shape(below)), where=below > 0))


def brier(expected: Floats, score: Floats) -> float:
    """Return the mean squared error of expected scores; NaN where nothing is known of both.

    >>> brier(np.array([0.5, 1.0]), np.array([1.0, 1.0]))
    0.125
    """
    gap = expected - score
    return float(np.nanmean(gap**2)) if not np.isnan(gap).all() else math.nan


def calibration_error(expected: Floats, score: Floats, bins: int = 10) -> float:
    """Return the expected calibration error in [0, 1], over bins of equal width (ECE).

    >>> calibration_error(np.array([0.9, 0.9]), np.array([1.0, 0.0]))
    0.4
    """
    there = ~np.isnan(expected) & ~np.isnan(score)
    if not there.any():
        return math.nan
    sure, came = expected[there], score[there]
    places = np.clip((sure * bins).astype(int), 0, bins - 1)
    gaps = np.bincount(places, sure - came, minlength=bins)
    return float(np.round(np.abs(gaps).sum() / len(sure), 12))


def wilson(mean: float, many: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson, 1927).

    >>> [round(each, 3) for each in wilson(0.75, 4)]
    [0.301, 0.954]
    """
    if not many:
        return math.nan, math.nan
    z = 1.959964
    centre, scale = mean + z**2 / (2 * many), 1 + z**2 / many
    spread = z * math.sqrt(max(0.0, mean * (1 - mean)) / many + z**2 / (4 * many**2))
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


__all__ = [
    "DRAWS", "Bootstrap", "aiq", "apgr", "arena", "brier", "calibration_error", "cpt", "hull",
    "interval",    "oracle", "pgr", "unbiased", "wilson",
]  # fmt: skip
