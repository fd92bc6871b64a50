"""Exact match: 1 if two texts are the same but for case, outer punctuation and space."""

from __future__ import annotations

import unicodedata

from bmad_nb.scorers.base import Score

_OUTER = " \t\n\r.,;:!?\"'`*()[]{}“”‘’"  # noqa: RUF001


def normalise(text: str) -> str:
    """Return the form in which two texts are compared.

    >>> normalise("  **Paris**. ")
    'paris'
    """
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split()).strip(_OUTER)


class Exact:
    """1.0 for the same text, else 0.0."""

    name = "exact"

    def score(self, answer: str, reference: str) -> Score:
        """Compare the normalised texts."""
        same = normalise(answer) == normalise(reference)
        return Score(float(same), "same text" if same else "another text")
