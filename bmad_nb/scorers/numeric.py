"""Numeric match: 1 if the last number of the answer is the reference number."""

from __future__ import annotations

import math

from bmad_nb.answers.numbers import as_number, last_number
from bmad_nb.scorers.base import Score
from bmad_nb.scorers.exact import Exact


class Numeric:
    """1.0 where the last number of the answer equals the reference within one millionth."""

    name = "numeric"

    def score(self, answer: str, reference: str) -> Score:
        """Compare the last number of the answer with the reference."""
        given, wanted = last_number(answer), as_number(reference)
        if given is None or wanted is None:
            return Score(0.0, "no number in the answer" if given is None else "no number to meet")
        same = math.isclose(given, wanted, rel_tol=1e-6, abs_tol=1e-9)
        return Score(float(same), f"{given:g} against {wanted:g}")


def scorer_for(reference: str) -> Exact | Numeric:
    """Return the scorer that suits a reference: `numeric` for a number, else `exact`."""
    return Numeric() if as_number(reference) is not None else Exact()
