"""How problems speak of the places and values of a document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Path = tuple[Any, ...]
"""Keys and indexes from the root down."""


class Key(str):
    """The last step of a path that means the key itself, and not the value behind it."""

    __slots__ = ()


_GIVEN: tuple[tuple[Any, str], ...] = (
    (type(None), "empty"),
    (bool, "true or false"),
    (str, "a text"),
    ((list, tuple), "a list"),
    (Mapping, "a mapping"),
    ((int, float), "a number"),
)


def given(value: Any) -> str:
    """Return what kind of value somebody wrote, in the words of a document."""
    return next(
        (said for kind, said in _GIVEN if isinstance(value, kind)), f"a {type(value).__name__}"
    )


def called(path: Path) -> str:
    """Return how a value is called in a sentence, by the last steps of its path."""
    if not path:
        return "The workflow"
    if isinstance(path[-1], int):
        return f"Item {path[-1] + 1} of {str(path[-2])[:60]!r}" if len(path) > 1 else "An item"
    return repr(str(path[-1])[:60])
