"""A calculator for arithmetic that stands in a prompt, to check an answer with."""

from __future__ import annotations

import re

from bmad_nb import expressions
from bmad_nb.answers.numbers import last_number
from bmad_nb.errors import BmadError

_NUMBER = r"\d+(?:\.\d+)?"
_SUM = re.compile(rf"(?<![\w.])\(*-?{_NUMBER}\)*(?:\s*[-+*/x×÷]\s*\(*-?{_NUMBER}\)*)+(?![\w.]*\w)")  # noqa: RUF001
_SIGNS = str.maketrans({"x": "*", "×": "*", "÷": "/"})  # noqa: RUF001
_NEAR = 1e-6
"""Numbers that differ by a smaller share are equal."""


def sums_in(text: str) -> dict[str, float]:
    """Return the arithmetic that stands in a text, and its value.

    >>> sums_in("What is 17 * 23, and what (2 + 3) x 4?")
    {'17 * 23': 391.0, '(2 + 3) x 4': 20.0}
    """
    found = {}
    for match in _SUM.finditer(text):
        said = match.group().strip()
        if len(said) > 200:
            continue
        try:
            value = expressions.evaluate(expressions.parse(said.translate(_SIGNS)), {})
        except (BmadError, ValueError, ArithmeticError):
            continue
        if isinstance(value, int | float):
            found[said] = float(value)
    return found


def refuted(prompt: str, answer: str) -> str:
    """Return why the calculator refutes an answer; empty if it agrees, or has nothing to say.

    It speaks where the prompt has exactly one calculation, and takes the answer's last number.

    >>> refuted("What is 17 * 23?", "It is 381.")
    '17 * 23 is 391, and the answer says 381'
    """
    sums = sums_in(prompt)
    if len(sums) != 1:
        return ""
    ((said, right),) = sums.items()
    given = last_number(answer)
    if given is None:
        return f"{said} is {right:g}, and the answer has no number"
    if abs(given - right) <= _NEAR * max(1.0, abs(right)):
        return ""
    return f"{said} is {right:.12g}, and the answer says {given:.12g}"
