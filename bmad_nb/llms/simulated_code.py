"""The one program that the simulated fleet can write and test: planted, right and wrong."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Program:
    """A function that is asked for by its name."""

    name: str
    right: str
    """An answer with code that does what it should."""
    wrong: tuple[str, ...]
    """Answers with code that does not."""
    tests: tuple[str, ...]
    """Tests that the right code passes."""
    false_tests: tuple[str, ...]
    """Tests that it does not pass."""


FARE = Program(
    "fare",
    right=(
        "```python\ndef fare(age):\n    if age < 0:\n        raise ValueError(age)\n"
        "    if age < 6:\n        return 0\n    return 2 if age < 18 else 4\n```"
    ),
    wrong=(
        "```python\ndef fare(age):\n    return 2 if age < 18 else 4\n```",
        "```python\ndef fare(age):\n    return 0 if age <= 6 else 2 if age <= 18 else 4\n```",
    ),
    tests=(
        "assert fare(5) == 0",
        "assert fare(17) == 2",
        "try:\n    fare(-1)\nexcept ValueError:\n    pass\nelse:\n    assert False",
        "assert fare(18) == 4",
    ),
    false_tests=("assert fare(6) == 0", "assert fare(18) == 2"),
)


def asked_for(prompt: str) -> Program | None:
    """Return the program that a prompt asks to be written; None if it asks for none."""
    wanted = re.search(r"\b(?:write|correct)\b[^\n]*\bfunction\b[^\n]*", prompt, re.IGNORECASE)
    return FARE if wanted and re.search(r"\bfare\(", prompt) else None


def tests_for(prompt: str, *, right: bool) -> tuple[str, ...]:
    """Return tests of the program that a prompt shows; none if it shows none of ours."""
    if re.search(r"\bfare\(", prompt) is None:
        return ()
    return FARE.tests if right else FARE.false_tests
