"""The protocol of scorers, the score that they give, and the interval of a mean of scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Literal, Protocol

Source = Literal["check", "judge", "human"]
"""Where a score comes from: a reckoned check, an LLM, or a person."""
_T95 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
    2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
    2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
"""Student's t at 95 %, two-sided, for 1 to 30 degrees of freedom."""
_Z95 = 1.96


@dataclass(frozen=True, slots=True)
class Score:
    """How good one answer is."""

    value: float
    """In [0, 1]; 1 is best."""
    explanation: str = ""
    """Why, in a few words."""
    source: Source = "check"
    n: int = 1
    """Checks, judgements or ratings that it is the mean of."""
    low: float | None = None
    """Lower end of its 95 % interval; None where nobody knows how sure it is."""
    high: float | None = None


class Scorer(Protocol):
    """Compares an answer with a reference. It never fails on an odd answer: it scores it."""

    name: str

    def score(self, answer: str, reference: str) -> Score:
        """Return the score of `answer` against `reference`."""
        ...


def interval(values: Sequence[float], *, bounded: bool = True) -> tuple[float | None, float | None]:
    """Return a 95 % interval of a mean; none of fewer than two values.

    Of zeros and ones it is Wilson's ("Probable inference, the law of succession, and statistical
    inference", 1927), else Student's t.

    Args:
        values: what the mean is of.
        bounded: they are scores in [0, 1]; else they are only never below zero.

    >>> [round(end, 3) for end in interval([1.0, 1.0, 0.0, 1.0])]
    [0.301, 0.954]
    """
    count = len(values)
    if count < 2:
        return None, None
    mean = fmean(values)
    if bounded and all(each in (0.0, 1.0) for each in values):
        spread = _Z95 * math.sqrt(mean * (1 - mean) / count + _Z95**2 / (4 * count**2))
        centre, scale = mean + _Z95**2 / (2 * count), 1 + _Z95**2 / count
        return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)
    t = _T95[count - 2] if count - 2 < len(_T95) else _Z95
    half = t * stdev(values) / math.sqrt(count)
    return max(0.0, mean - half), min(1.0, mean + half) if bounded else mean + half
