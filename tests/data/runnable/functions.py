"""Functions that the example workflows call."""

from __future__ import annotations


def count_words(text: str, euros: float) -> dict[str, float]:
    """Return how many words a text has, and the money as it came."""
    return {"words": len(text.split()), "euros": euros}


async def gust(knots: int) -> int:
    """Return the speed of gusts in a wind of so many knots."""
    return knots * 3 // 2
