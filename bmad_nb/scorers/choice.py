"""Every scorer that has a name."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from bmad_nb.errors import UnknownName, UsageProblem
from bmad_nb.scorers.base import Score, Scorer

_HOME = {
    "exact": ("exact", "Exact"),
    "numeric": ("numeric", "Numeric"),
    "regex": ("texts", "Regex"),
    "token_f1": ("texts", "TokenF1"),
    "rouge_l": ("texts", "RougeL"),
    "wording": ("texts", "Semantic"),
    "json_schema": ("structure", "JsonSchema"),
    "code_tests": ("code", "CodeTests"),
}
NAMES = tuple(_HOME)
"""Scorers that take an answer and a reference."""


def scorer_of(given: str | Scorer | Callable[[str, str], Any]) -> Scorer:
    """Return the scorer of a name, an object that is one, or your own function as one.

    Raises:
        UnknownName: there is none of that name.
        UsageProblem: it is neither.
    """
    if isinstance(given, str):
        if given not in _HOME:
            raise UnknownName("scorer", given, NAMES)
        module, name = _HOME[given]
        found: Scorer = getattr(importlib.import_module(f"bmad_nb.scorers.{module}"), name)()
        return found
    if isinstance(given, type):
        raise UsageProblem(f"{given.__name__} is a class.", hint=f"Give {given.__name__}().")
    if callable(getattr(given, "score", None)) and isinstance(getattr(given, "name", None), str):
        return given  # type: ignore[return-value]
    if callable(given):
        return _Own(given)
    raise UsageProblem(
        f"A {type(given).__name__} is no scorer.",
        hint=f"Give one of {', '.join(NAMES)}, or a function of answer and reference.",
    )


class _Own:
    """A function of the user as a scorer."""

    def __init__(self, function: Callable[[str, str], Any]) -> None:
        self._function = function
        self.name = getattr(function, "__name__", "own").strip("<>")

    def score(self, answer: str, reference: str) -> Score:
        """Call it.

        Raises:
            UsageProblem: it gave no number from 0 to 1.
        """
        value = self._function(answer, reference)
        if isinstance(value, Score):
            return value
        if hasattr(value, "item"):
            value = value.item()
        if not isinstance(value, int | float) or not 0 <= value <= 1:
            raise UsageProblem(
                f"The scorer {self.name} gave {str(value)[:60]!r}.",
                hint="It returns a number from 0 to 1.",
            )
        return Score(float(value))
