"""Confidence that means what it says: of answers with 0.8, eight in ten are right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

LEAST = 30
"""Scored answers below which nothing is calibrated."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """An increasing step function from a raw confidence to the share that was right.

    Isotonic regression by pooling adjacent violators (Ayer et al., 1955).
    """

    edges: tuple[float, ...]
    """Raw confidence in [0, 1] at which each step begins, increasing."""
    values: tuple[float, ...]
    """Share in [0, 1] that was right on each step, increasing."""

    def __call__(self, confidence: float) -> float:
        """Return the calibrated confidence."""
        found = self.values[0]
        for edge, value in zip(self.edges, self.values, strict=True):
            if confidence < edge - 1e-12:
                break
            found = value
        return found


def calibrated(confidences: Sequence[float], scores: Sequence[float]) -> Calibration | None:
    """Return how raw confidences are to be read; None where too few are known.

    Args:
        confidences: raw, in [0, 1].
        scores: what came of them, in [0, 1].

    >>> fit = calibrated([0.6] * 20 + [1.0] * 20, [0.0] * 10 + [1.0] * 30)
    >>> round(fit(0.6), 2), round(fit(1.0), 2)
    (0.5, 0.98)
    """
    if len(confidences) < LEAST:
        return None
    groups: dict[float, list[float]] = {}
    for confidence, score in zip(confidences, scores, strict=True):
        groups.setdefault(round(confidence, 9), []).append(score)
    steps: list[tuple[float, list[float]]] = []
    for confidence in sorted(groups):
        steps.append((confidence, groups[confidence]))
        while len(steps) > 1 and fmean(steps[-2][1]) >= fmean(steps[-1][1]):
            (edge, before), (_, after) = steps[-2:]
            steps[-2:] = [(edge, before + after)]
    values = [(sum(scores) + 0.5) / (len(scores) + 1) for _, scores in steps]  # never quite sure
    for place in range(1, len(values)):
        values[place] = max(values[place], values[place - 1])
    return Calibration(tuple(edge for edge, _ in steps), tuple(values))


def error(confidences: Sequence[float], scores: Sequence[float], bins: int = 10) -> float:
    """Return the expected calibration error in [0, 1], over bins of equal width.

    >>> error([0.9, 0.9], [1.0, 0.0])
    0.4
    """
    found: dict[int, list[tuple[float, float]]] = {}
    for confidence, score in zip(confidences, scores, strict=True):
        found.setdefault(min(int(confidence * bins), bins - 1), []).append((confidence, score))
    gaps = (
        len(each) * abs(fmean(c for c, _ in each) - fmean(s for _, s in each))
        for each in found.values()
    )
    return sum(gaps) / len(confidences) if confidences else 0.0
