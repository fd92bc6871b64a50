"""Does a JSON value match a schema? For the keywords that an output may use, and no others.

A library for the whole of JSON Schema takes most of a second to import, for formats and references
that are refused here anyway; the tests hold this one to its verdicts.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Path = tuple[Any, ...]
Defect = tuple[Path, str]
"""Keys and indexes from the root down, and what is wrong there, as a phrase."""

_BOUNDS: tuple[tuple[str, Callable[[Any, Any], bool], str], ...] = (
    ("minimum", operator.ge, "at least"),
    ("maximum", operator.le, "at most"),
    ("exclusiveMinimum", operator.gt, "more than"),
    ("exclusiveMaximum", operator.lt, "less than"),
)
_KINDS: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "number": lambda value: _is_number(value),  # noqa: PLW0108  (it is defined below)
    "integer": lambda value: _is_number(value) and (isinstance(value, int) or value.is_integer()),
}


def defects(value: Any, schema: Mapping[str, Any], path: Path = ()) -> Iterator[Defect]:
    """Yield everything in which a value does not match a schema."""
    kind = schema.get("type")
    if kind is not None and not _KINDS[kind](value):
        yield path, f"must be {_named(kind)}, and is {_short(value)}"
        return
    if "const" in schema and not _same(value, schema["const"]):
        yield path, f"must be {_short(schema['const'])}, and is {_short(value)}"
    if "enum" in schema and not any(_same(value, each) for each in schema["enum"]):
        listed = ", ".join(map(_short, schema["enum"]))
        yield path, f"must be one of {listed}, and is {_short(value)}"
    if "anyOf" in schema and all(any(defects(value, each)) for each in schema["anyOf"]):
        yield path, "matches none of the forms that it may have"
    for applies, check in _CHECKS:
        if applies(value):
            yield from check(value, schema, path)


def _of_number(value: Any, schema: Mapping[str, Any], path: Path) -> Iterator[Defect]:
    for key, holds, words in _BOUNDS:
        if key in schema and not holds(value, schema[key]):
            yield path, f"must be {words} {schema[key]}, and is {value}"


def _of_text(value: Any, schema: Mapping[str, Any], path: Path) -> Iterator[Defect]:
    yield from _of_length(len(value), schema, path, "Length", "characters")


def _of_list(value: Any, schema: Mapping[str, Any], path: Path) -> Iterator[Defect]:
    yield from _of_length(len(value), schema, path, "Items", "items")
    if schema.get("uniqueItems") and len(set(map(_frozen, value))) < len(value):
        yield path, "has an item twice"
    if "items" in schema:
        for number, each in enumerate(value):
            yield from defects(each, schema["items"], (*path, number))


def _of_mapping(value: Any, schema: Mapping[str, Any], path: Path) -> Iterator[Defect]:
    yield from _of_length(len(value), schema, path, "Properties", "fields")
    known = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in value:
            yield path, f"lacks the field {name!r}"
    for name, each in value.items():
        if name in known:
            yield from defects(each, known[name], (*path, name))
        elif schema.get("additionalProperties") is False:
            yield path, f"has the field {name[:60]!r}, which nobody asked for"


def _of_length(
    length: int, schema: Mapping[str, Any], path: Path, what: str, unit: str
) -> Iterator[Defect]:
    least, most = schema.get(f"min{what}", 0), schema.get(f"max{what}", math.inf)
    if length < least:
        yield path, f"must have at least {least} {unit}, and has {length}"
    if length > most:
        yield path, f"must have at most {most} {unit}, and has {length}"


_CHECKS: tuple[tuple[Callable[[Any], bool], Callable[..., Iterator[Defect]]], ...] = (
    (_KINDS["number"], _of_number),
    (_KINDS["string"], _of_text),
    (_KINDS["array"], _of_list),
    (_KINDS["object"], _of_mapping),
)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _same(one: Any, other: Any) -> bool:
    """Return whether two JSON values are equal; true is not 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[k], other[k]) for k in one)
    return bool(one == other)


def _frozen(value: Any) -> Any:
    """Return something that can be in a set, and is equal exactly where JSON values are."""
    if isinstance(value, list):
        return ("list", *map(_frozen, value))
    if isinstance(value, dict):
        return frozenset((key, _frozen(each)) for key, each in value.items())
    return ("flag", value) if isinstance(value, bool) else value


def _named(kind: str) -> str:
    names = {"string": "a text", "boolean": "true or false", "null": "null", "array": "a list",
             "object": "a mapping", "number": "a number", "integer": "a whole number"}  # fmt: skip
    return names[kind]


def _short(value: Any) -> str:
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    shown = repr(value) if isinstance(value, str) else str(value).lower()
    return shown if len(shown) <= 60 else shown[:57] + "…"
