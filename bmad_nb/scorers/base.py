"""The protocol of scorers, and the score that they give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Score:
    """How good one answer is."""

    value: float
    """In [0, 1]; 1 is best."""
    explanation: str = ""
    """Why, in a few words."""


class Scorer(Protocol):
    """Compares an answer with a reference. It never fails on an odd answer: it scores it."""

    name: str

    def score(self, answer: str, reference: str) -> Score:
        """Return the score of `answer` against `reference`."""
        ...
