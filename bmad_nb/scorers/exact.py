"""Exact match: 1 if two texts are the same but for case, outer punctuation and space."""

from __future__ import annotations

from bmad_nb.answers.canonical import normalise
from bmad_nb.scorers.base import Score


class Exact:
    """1.0 for the same text, else 0.0."""

    name = "exact"

    def score(self, answer: str, reference: str) -> Score:
        """Compare the normalised texts."""
        same = normalise(answer) == normalise(reference)
        return Score(float(same), "same text" if same else "another text")
