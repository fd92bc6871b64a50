"""Many rankings into one: each place counts (Borda), and ties are said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def borda(rankings: Mapping[str, Sequence[str]], candidates: Sequence[str]) -> dict[str, float]:
    """Return the mean of the points in [0, 1] that each candidate got, 1 for the first place.

    What a ranking leaves out shares the places behind it; what it names twice counts once.

    Args:
        rankings: for each judge, candidates from the best to the worst.
        candidates: all that could be ranked.

    >>> borda({"x": ["a", "b", "c"], "y": ["b", "a", "c"]}, ["a", "b", "c"])
    {'a': 0.75, 'b': 0.75, 'c': 0.0}
    """
    last = max(1, len(candidates) - 1)
    points = dict.fromkeys(candidates, 0.0)
    for judge in sorted(rankings):
        order = [each for each in dict.fromkeys(rankings[judge]) if each in points]
        left = [each for each in candidates if each not in order]
        for place, each in enumerate(order):
            points[each] += 1 - place / last
        if left:
            mean_place = (len(order) + len(candidates) - 1) / 2
            for each in left:
                points[each] += 1 - mean_place / last
    return {name: total / max(1, len(rankings)) for name, total in points.items()}
