"""Writing YAML: plain data as a document that every reader reads back to the same data."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from bmad_nb.documents.reading import MAX_BYTES, MAX_DEPTH, MAX_NODES, MOST_DIGITS
from bmad_nb.errors import DefinitionError, Problem

WIDTH = 60
"""Characters of a list or mapping that is written in one line."""
_MOST_KEY = 1000
"""Characters of a key with its quotes; YAML finds no colon behind 1,024."""
_PLAIN = re.compile(r"(?:[^\W\d]|\$)[\w ./()+=<>;$%~^'?!&*@-]*(?<! )|[0-9]+(?:ms|s|m|h|d)")
_WORDS = frozenset({"null", "true", "false", "yes", "no", "on", "off"})
"""What some reader of YAML takes for something else than a text."""


def write(data: Mapping[str, Any]) -> str:
    r"""Return JSON-like data as a YAML document that reads back to the same data.

    >>> print(write({"a": ["on", 1.5], "b": "two\nlines\n"}), end="")
    a: ["on", 1.5]
    b: |
      two
      lines

    Raises:
        DefinitionError: something in it is no JSON, or the document could not be read again.
    """
    whole = "\n".join(lines(checked(data), 0)) + "\n" if data else "{}\n"
    if len(whole.encode("utf-8")) > MAX_BYTES:
        raise DefinitionError([Problem(0, 0, f"The document would have over {MAX_BYTES} bytes.",
                                       "Move data into inputs.")])  # fmt: skip
    return whole


def check(data: Mapping[str, Any]) -> None:
    """Return if data can be written.

    Raises:
        DefinitionError: something in it is no JSON, or there is too much of it.
    """
    checked(data)


def checked(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return data as dictionaries, lists and scalars.

    Raises:
        DefinitionError: something in it is no JSON, or there is too much of it.
    """
    count = 0

    def visit(value: Any, path: tuple[Any, ...]) -> Any:
        nonlocal count
        count += 1
        if count > MAX_NODES:
            _refuse((), f"There are more than {MAX_NODES} values", "Split it.")
        is_mapping = isinstance(value, Mapping)
        if len(path) >= MAX_DEPTH and (is_mapping or isinstance(value, list | tuple)):
            _refuse(path[:5], f"This is nested more than {MAX_DEPTH} deep", "Make it flatter.")
        if is_mapping:
            count += len(value)
            return {_key(key, path): visit(each, (*path, key)) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [visit(each, (*path, index)) for index, each in enumerate(value)]
        _check_scalar(value, path)
        return value

    result: dict[str, Any] = visit(data, ())
    return result


def _refuse(path: tuple[Any, ...], what: str, hint: str) -> None:
    raise DefinitionError([Problem(0, 0, f"{what}, and cannot be written.", hint, path)])


def _key(key: Any, path: tuple[Any, ...]) -> str:
    if not isinstance(key, str):
        _refuse(path, f"The key {key!r:.60} is not a text", "Make a text of it.")
    _check_scalar(key, path)
    if len(scalar(key)) > _MOST_KEY:
        _refuse(path, f"A key has more than {_MOST_KEY} characters", "Make it a value.")
    return str(key)


def _check_scalar(value: Any, path: tuple[Any, ...]) -> None:
    if isinstance(value, str):
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            _refuse(path, "A text has half a character in it", "Remove it.")
    elif isinstance(value, float):
        if not math.isfinite(value):
            _refuse(path, f"{value} is not a finite number", "Use null, or a text.")
    elif isinstance(value, int):
        if abs(value) >= 10 ** (MOST_DIGITS - 1):  # one for the sign
            _refuse(path, f"A number has more than {MOST_DIGITS - 1} digits", "Use a text.")
    elif value is not None:
        what = type(value).__name__
        _refuse(path, f"A {what} is no text, number, list or mapping", "Use one of these.")


def lines(value: Any, indent: int) -> Iterator[str]:
    """Yield the lines of a list or a mapping that is not empty, each with its indent."""
    pad = " " * indent
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _hung(f"{pad}{scalar(key)}:", each, indent)
    else:
        for each in value:
            yield from _hung(f"{pad}-", each, indent)


def _hung(head: str, value: Any, indent: int) -> Iterator[str]:
    """Yield a value behind its key or dash."""
    if is_literal(value):
        yield head + " " + header(value)
        yield from literal(value, indent + 2)
    elif is_flat(value):
        yield f"{head} {flat(value)}"
    elif head.endswith("-"):
        first, *rest = lines(value, indent + 2)
        yield head + first[indent + 1 :]
        yield from rest
    else:
        yield head
        yield from lines(value, indent + 2)


def is_flat(value: Any) -> bool:
    """Return whether a value is written in one line: a scalar, or a short list of scalars."""
    if not isinstance(value, dict | list) or not value:
        return True
    inner = list(value.values()) if isinstance(value, dict) else value
    if len(inner) > WIDTH or any(isinstance(each, dict | list) for each in inner):
        return False
    return not any(is_literal(each) for each in inner) and len(flat(value)) <= WIDTH


def flat(value: Any) -> str:
    """Return a value in one line, as it may stand anywhere."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar(k)}: {flat(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flat, value)) + "]"
    return scalar(value)


def scalar(value: Any) -> str:
    """Return a scalar in one line; a text is quoted wherever a reader could take it otherwise."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):
        return float.__repr__(value)
    if isinstance(value, int):
        return int.__repr__(value)
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return str(value)
    # YAML's double quotes take all of JSON's escapes, and wider ones
    quoted = json.dumps(value, ensure_ascii=False)
    return "".join(each if each.isprintable() else _escaped(each) for each in quoted)


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\U{code:08x}" if code > 0xFFFF else f"\\u{code:04x}"


def is_literal(value: Any) -> bool:
    """Return whether a text of several lines can stand as it is, behind a | and indented."""
    if not isinstance(value, str) or "\n" not in value or value[0] in " \n":
        return False
    each = value.removesuffix("\n").split("\n")
    return bool(each[-1]) and all(line.isprintable() and line.rstrip() == line for line in each)


def header(text: str) -> str:
    """Return the sign in front of a literal text."""
    return "|" if text.endswith("\n") else "|-"


def literal(text: str, indent: int) -> Iterator[str]:
    """Yield the lines of a literal text."""
    for line in text.removesuffix("\n").split("\n"):
        yield " " * indent + line if line else ""
