"""The protocol of scorers, the score that they give, and the interval of a mean of scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, stdev
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


def interval(
    values: Sequence[float], *, bounded: bool = True, level: float = 0.95
) -> tuple[float | None, float | None]:
    """Return an interval of a mean, of 95 % if nothing else is said; none of fewer than two values.

    Of zeros and ones it is Wilson's ("Probable inference, the law of succession, and statistical
    inference", 1927), else Student's t.

    Args:
        values: what the mean is of.
        bounded: they are scores in [0, 1]; else they are only never below zero.
        level: its confidence in (0, 1); more than 0.95 where several are looked at.

    >>> [round(end, 3) for end in interval([1.0, 1.0, 0.0, 1.0])]
    [0.301, 0.954]
    """
    count = len(values)
    if count < 2:
        return None, None
    mean = fmean(values)
    z = _Z95 if level == 0.95 else NormalDist().inv_cdf((1 + level) / 2)
    if bounded and all(each in (0.0, 1.0) for each in values):
        spread = z * math.sqrt(mean * (1 - mean) / count + z**2 / (4 * count**2))
        centre, scale = mean + z**2 / (2 * count), 1 + z**2 / count
        return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)
    half = _t(count - 1, z, level) * stdev(values) / math.sqrt(count)
    return max(0.0, mean - half), min(1.0, mean + half) if bounded else mean + half


def _t(degrees: int, z: float, level: float) -> float:
    """Return Student's t, two-sided: from the table at 95 %, else by its expansion in the normal.

    Source: Abramowitz and Stegun (1964), 26.7.5; with ten degrees of freedom it is off by 0.001.
    """
    if level == 0.95:
        return _T95[degrees - 1] if degrees <= len(_T95) else z
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    more = math.fsum(each / degrees**power for power, each in enumerate(terms, start=1))
    return z + more
