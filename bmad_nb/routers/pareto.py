"""Which LLM for which step: the plans that no other plan beats in both cost and quality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Option:
    """An LLM that could do a step."""

    llm: str
    cost_usd: float
    """Expected US dollars of the step."""
    quality: float
    """Expected score in [0, 1]."""


@dataclass(frozen=True, slots=True)
class PlanPoint:
    """A choice for every step."""

    llms: tuple[str, ...]
    """The LLM of each step."""
    cost_usd: float
    """Expected US dollars of all steps."""
    quality: float
    """Mean expected score of the steps."""


def frontier(steps: Sequence[Sequence[Option]]) -> list[PlanPoint]:
    """Return the plans that no other plan dominates, from cheap to dear.

    One dominates another if it costs no more and is no worse, and is better in one of them. Costs
    add up over steps, and so do scores; so what is dominated among the first steps can be left out
    before the next is looked at, and the result is that of looking at all plans.
    """
    points: list[tuple[float, float, tuple[str, ...]]] = [(0.0, 0.0, ())]
    for options in steps:
        grown = [
            (cost + each.cost_usd, quality + each.quality, (*llms, each.llm))
            for cost, quality, llms in points
            for each in options
        ]
        points = _undominated(grown)
    many = max(1, len(steps))
    return [PlanPoint(llms, cost, quality / many) for cost, quality, llms in points]


def _undominated(
    points: Sequence[tuple[float, float, tuple[str, ...]]],
) -> list[tuple[float, float, tuple[str, ...]]]:
    found: list[tuple[float, float, tuple[str, ...]]] = []
    for point in sorted(points, key=lambda each: (each[0], -each[1], each[2])):
        if not found or point[1] > found[-1][1] + 1e-12:
            found.append(point)
    return found


def best_at(points: Sequence[PlanPoint], usd_per_point: float) -> PlanPoint:
    """Return the plan that is worth most where one point of mean quality is worth so many dollars.

    With 0 it is the cheapest; the more a point is worth, the dearer it may be.
    """
    return max(
        points, key=lambda each: (usd_per_point * each.quality - each.cost_usd, each.quality)
    )
