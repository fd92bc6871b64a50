"""Numeric match: 1 if the last number of the answer is the reference number."""

from __future__ import annotations

import math
import re

from bmad_nb.scorers.base import Score
from bmad_nb.scorers.exact import Exact

_NUMBER = re.compile(
    r"[-+\u2212]?\d{1,3}(?:,\d{3})+(?:\.\d+)?(?!\d)"  # 1,234.5
    r"|[-+\u2212]?\d+(?:\.\d+)?(?:[eE][-+]?\d{1,3})?"
)
MAX_LENGTH = 100_000
"""Characters at the end of an answer that are searched for a number."""


def last_number(text: str) -> float | None:
    """Return the last number in a text, thousands separators allowed, or None.

    A hyphen right behind a digit or a letter is a dash, and one before a space is a bullet.

    >>> last_number("It rose from 7 to 1,234.50 dollars"), last_number("none")
    (1234.5, None)
    """
    tail = text[-MAX_LENGTH:]
    value = None
    for match in _NUMBER.finditer(tail):
        spelled = match.group().replace(",", "").replace("\u2212", "-")
        before = tail[match.start() - 1 : match.start()]
        if spelled[0] in "+-" and before.isalnum():
            spelled = spelled[1:]
        value = float(spelled)
    return value if value is None or math.isfinite(value) else None


def as_number(text: str) -> float | None:
    """Return the value of a text that is a number and nothing else, or None."""
    match = _NUMBER.fullmatch(text.strip().removeprefix("$").rstrip("%").strip())
    return last_number(match.group()) if match else None


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
