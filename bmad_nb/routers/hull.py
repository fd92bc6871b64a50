"""The best mixtures of policies: the non-decreasing convex hull in the plane of cost and quality.

Source: Hu et al. (2024), "RouterBench", section 3. Differs: costs between `low` and `high` are
averaged over their own range, not divided by the largest cost.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
SLACK = 1e-9
"""Share of a cost below which two costs are the same: sums of the same numbers differ by less."""


def hull(cost: Floats, quality: Floats) -> tuple[Floats, Floats, NDArray[np.intp]]:
    """Return the corners of the upper concave hull that never falls, from cheap to dear.

    Any point of it can be had by mixing two policies at random; right of its last corner more
    money brings nothing.

    Args:
        cost: cost of each policy; shape (policies,).
        quality: quality of each policy; shape (policies,).

    Returns:
        Costs and qualities of the corners, and which policies they are.

    >>> found = hull(np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.1, 0.8, 0.5, 0.7]))
    >>> [list(map(float, each)) for each in found]
    [[1.0, 2.0], [0.1, 0.8], [0.0, 1.0]]
    """
    order = np.lexsort((-quality, cost))
    xs, ys = cost.tolist(), quality.tolist()
    kept: list[int] = []
    for place in order.tolist():
        x, y = xs[place], ys[place]
        if kept and y <= ys[kept[-1]]:
            continue
        while len(kept) > 1:
            (x0, y0), (x1, y1) = ((xs[k], ys[k]) for k in kept[-2:])
            if (y1 - y0) * (x - x1) > (y - y1) * (x1 - x0):
                break
            kept.pop()
        if len(kept) == 1 and xs[kept[0]] == x:
            kept.pop()
        kept.append(place)
    chosen = np.array(kept, dtype=np.intp)
    return cost[chosen], quality[chosen], chosen


def height(x: Floats, cost: Floats, quality: Floats) -> Floats:
    """Return the height of a hull with these corners; 0 where it is too cheap to be had."""
    found = np.interp(x, cost, quality)
    return np.asarray(np.where(x < cost[0] * (1 - SLACK), 0.0, found))


def area(cost: Floats, quality: Floats, low: float, high: float) -> float:
    """Return the mean height of the hull of policies over the costs from `low` to `high` (AIQ).

    It counts as 0 where no policy is cheap enough. With `low` equal to `high` it is the height
    there.

    >>> area(np.array([0.0, 1.0]), np.array([0.0, 1.0]), 0.0, 1.0)
    0.5
    """
    x, y, _ = hull(cost, quality)
    if high - low <= SLACK * high:
        return float(height(np.array([high]), x, y)[0])
    start = max(low, float(x[0]))
    if start >= high:
        return 0.0
    inside = x[(x > start) & (x < high)]
    edges = np.concatenate([[start], inside, [high]])
    return float(np.trapezoid(np.interp(edges, x, y), edges) / (high - low))
