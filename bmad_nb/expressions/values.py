"""The values of the language: what they may be, how large they grow, and how they are shown."""

from __future__ import annotations

import itertools
import json
import math
import numbers
import reprlib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

MAX_STEPS = 10_000
"""Steps of one evaluation: nodes visited, items gone through, thousands of characters copied."""
MAX_TEXT = 1_000_000
"""Characters of a text that an expression makes."""
MAX_ITEMS = 100_000
"""Items of a list that an expression makes, those of lists inside it included."""
MAX_INTEGER = 10**30
"""Size of a whole number that an expression reckons with."""
SCALARS = frozenset({str, int, float, bool, type(None)})
"""Types whose values are no tables, lists or results."""


class Refused(Exception):
    """What is wrong, as the end of a sentence; `evaluate` puts the expression before it."""


class Work:
    """The steps that are left of one evaluation.

    Attributes:
        left: steps.
        guessing: whether a missing name is worth a search for the nearest one.
    """

    __slots__ = ("guessing", "left")

    def __init__(self) -> None:
        """Start with all steps."""
        self.left = MAX_STEPS
        self.guessing = True

    def spend(self, steps: int) -> None:
        """Take steps away.

        Raises:
            Refused: there are not so many left.
        """
        self.left -= steps
        if self.left < 0:
            raise Refused(f"it takes more than {MAX_STEPS} steps")


def limited(value: Any, work: Work) -> Any:
    """Return what was made; a copy of much costs steps.

    Raises:
        Refused: it is too large, or a number that is not finite.
    """
    kind = type(value)
    if kind is float and not math.isfinite(value):
        raise Refused(f"a number is {value}")
    if kind is int and not -MAX_INTEGER <= value <= MAX_INTEGER:
        raise Refused("a whole number is over 10**30")
    if kind is str:
        fits(len(value), MAX_TEXT, work)
    elif kind is list or kind is tuple:
        fits(len(value), MAX_ITEMS, work)
    return value


def fits(length: int, most: int, work: Work) -> None:
    """Pay for a text or list of `length`, before it is made if its length is known.

    Raises:
        Refused: it is longer than `most`.
    """
    if length > most:
        raise Refused(f"a {'text' if most == MAX_TEXT else 'list'} is longer than {most}")
    work.spend(length // 1000)


def number(value: Any) -> int | float | None:
    """Return the number to reckon with, those of numpy too; None for what is none, such as a bool.

    Raises:
        Refused: it is too large, or not finite.
    """
    kind = type(value)
    if kind is int or kind is float:
        small = -MAX_INTEGER <= value <= MAX_INTEGER
        found: int | float = value if small else limited(value, Work())
        return found
    if kind is bool or not isinstance(value, numbers.Real):
        return None
    return number(int(value) if isinstance(value, numbers.Integral) else float(value))


def each_of(value: Any, work: Work) -> Iterator[Any]:
    """Yield the items of a list, a table's column or the like; each costs a step.

    Raises:
        Refused: it is a text, or has no items; a generator of the user is never used up.
    """
    if not isinstance(value, Collection) or isinstance(value, str | bytes):
        raise Refused(f"a list is needed, not {brief(value)}")
    for item in value:
        work.spend(1)
        yield item


def weight(value: Any, most: int) -> int:
    """Return how many items lie in lists and dictionaries; counts no further than `most`.

    What lies in two places counts twice, as it would in a text.
    """
    count, waiting = 0, [value]
    while waiting and count <= most:
        each = waiting.pop()
        if isinstance(each, list | tuple | dict):
            count += len(each)
            inside = each.values() if isinstance(each, dict) else each
            waiting.extend(itertools.islice(inside, most + 1))
    return count


def spelled(value: Any) -> Any:
    """Return a value, or for the result of a task the text that it stands for (`spelled`)."""
    if type(value) in SCALARS or not isinstance(value, Mapping):
        return value
    text = getattr(value, "spelled", None)
    return text if isinstance(text, str) else value


def is_absent(value: Any) -> bool:
    """Return whether a value is the result of a task that was skipped (`absent`)."""
    return isinstance(value, Mapping) and getattr(value, "absent", False) is True


def short(text: str) -> str:
    """Return a text of at most 60 characters."""
    return text if len(text) <= 60 else text[:57] + "…"


def brief(value: Any, most: int = 60) -> str:
    """Return a short text of any value, of `most` characters; never raises."""
    form = reprlib.Repr()
    form.maxstring = form.maxother = most
    try:
        said = form.repr(spelled(value))
        return said if len(said) <= most else f"{said[: most - 1]}…"
    except Exception:  # noqa: BLE001  (anybody's object)
        return f"a {type(value).__name__}"[:most]


def told(error: BaseException) -> str:
    """Return what an error says, as the end of a sentence; never raises."""
    try:
        return (
            str(error)
            if isinstance(error, Refused)
            else short(f"{type(error).__name__}: {error}").rstrip(".")
        )
    except Exception:  # noqa: BLE001  (the text of an error may raise another)
        return type(error).__name__


def json_text(value: Any, most: int, *, indent: int | None = 2, allow_nan: bool = True) -> str:
    """Return a value as JSON.

    Raises:
        Refused: it has more than `most` characters; no more than these are made.
        TypeError: it is not a value of JSON.
        ValueError: it contains itself, or a number that `allow_nan` forbids.
    """
    form = json.JSONEncoder(
        ensure_ascii=False, indent=indent, allow_nan=allow_nan, default=_as_dict
    )
    pieces, length = [], 0
    for piece in form.iterencode(value):
        length += len(piece)
        if length > most:
            raise Refused(f"its JSON is longer than {most} characters")
        pieces.append(piece)
    return "".join(pieces)


def _as_dict(value: Any) -> dict[Any, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(f"a {type(value).__name__} is no value of JSON")
    return dict(value)
