"""The small safe language of `{{ }}` holes: names, look-ups, constants and a few functions.

A hole is parsed to Python's syntax tree and walked by hand; nothing is compiled or evaluated by
Python, and a dot is a look-up in a dictionary, never an attribute of an object.
"""

from __future__ import annotations

import ast
import json
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bmad_nb.errors import MissingInput, TemplateError, nearest

MAX_LENGTH = 1000
"""Characters of one expression."""
MAX_DEPTH = 32
"""Levels of one expression."""


def _head(value: Any, count: int = 5) -> Any:
    if not isinstance(count, int) or not 0 <= count <= 100_000:
        raise TemplateError("head() takes a value and a count from 0 to 100000.")
    return value.head(count) if hasattr(value, "head") else value[:count]


def _round(value: Any, digits: int | None = None) -> Any:
    if digits is not None and not (isinstance(digits, int) and -400 <= digits <= 400):
        raise TemplateError("round() takes a number and digits from -400 to 400.")
    return round(value, digits)  # more digits would reckon with 10**digits for hours


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": abs,
    "head": _head,
    "json": lambda value: json.dumps(value, ensure_ascii=False, indent=2),
    "len": len,
    "lower": lambda text: str(text).lower(),
    "max": max,
    "min": min,
    "round": _round,
    "sum": sum,
    "upper": lambda text: str(text).upper(),
}


def parse(source: str) -> ast.expr:
    """Return the syntax tree of one expression.

    Raises:
        TemplateError: it is too long, too deep, or not in the language.
    """
    text = source.strip()
    if not text:
        raise TemplateError("A hole {{ }} is empty.", hint="Put a name into it: {{ name }}.")
    if len(text) > MAX_LENGTH:
        raise TemplateError(f"An expression has more than {MAX_LENGTH} characters.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise TemplateError(
            f"{{{{ {_short(text)} }}}} is not an expression.",
            hint="A hole takes a name, name.field, name[0] or a function such as head(name, 5).",
        ) from None
    _check(tree, text, 0)
    return tree


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "…"


def _check(node: ast.expr, text: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise TemplateError(f"{{{{ {_short(text)} }}}} is nested too deeply.")
    match node:
        case ast.Name():
            return
        case ast.Constant(value=str() | int() | float() | bool() | None):
            return
        case ast.Attribute(value=inner, attr=name) if not name.startswith("_"):
            _check(inner, text, depth + 1)
        case ast.Subscript(value=inner, slice=index):
            _check(inner, text, depth + 1)
            _check(index, text, depth + 1)
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float())):
            return
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
            if name not in FUNCTIONS:
                guess = nearest(name, FUNCTIONS)
                raise TemplateError(
                    f"There is no function {name!r}.",
                    hint=(f"Did you mean {guess!r}? " if guess else "")
                    + f"Known: {', '.join(FUNCTIONS)}.",
                )
            for argument in arguments:
                _check(argument, text, depth + 1)
        case _:
            raise TemplateError(
                f"{{{{ {_short(text)} }}}} has {type(node).__name__} in it, unknown to holes.",
                hint="Compute it in Python first, and put the name into the hole.",
            )


def names(tree: ast.expr) -> set[str]:
    """Return the names that an expression needs from outside."""
    called = {id(n.func) for n in ast.walk(tree) if isinstance(n, ast.Call)}
    return {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and id(n) not in called}


def evaluate(tree: ast.expr, values: Mapping[str, Any]) -> Any:
    """Return the value of a parsed expression.

    Raises:
        MissingInput: a name or a field is not there; the nearest one is named.
        TemplateError: a function cannot take the value.
    """
    match tree:
        case ast.Constant(value=value):
            return value
        case ast.UnaryOp(operand=ast.Constant(value=int() | float() as value)):
            return -value
        case ast.Name(id=name):
            if name not in values:
                raise _missing(name, name, values)
            return values[name]
        case ast.Attribute(value=inner, attr=name):
            return _look_up(evaluate(inner, values), name, ast.unparse(tree))
        case ast.Subscript(value=inner, slice=index):
            return _look_up(evaluate(inner, values), evaluate(index, values), ast.unparse(tree))
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return _call(name, [evaluate(a, values) for a in arguments])
    raise TemplateError(f"{type(tree).__name__} is not in the language of holes.")


def _missing(name: str, shown: str, known: Mapping[Any, Any]) -> MissingInput:
    visible = [k for k in known if isinstance(k, str) and not k.startswith("_")]
    guess = nearest(name, visible)
    return MissingInput(
        f"{{{{ {_short(shown)} }}}} is not defined.",
        hint=f"Did you mean {guess}?" if guess else "Define it first; nothing was sent.",
    )


def _look_up(holder: Any, key: Any, shown: str) -> Any:
    try:
        hash(key)
    except TypeError:
        raise MissingInput(
            f"{{{{ {_short(shown)} }}}} is not there.",
            hint="A look-up takes a text or a number in its brackets.",
        ) from None
    if isinstance(holder, Mapping):
        if key in holder:
            return holder[key]
        raise _missing(str(key), shown, holder)
    if isinstance(holder, Sequence) and isinstance(key, int) and -len(holder) <= key < len(holder):
        return holder[key]
    if hasattr(holder, "columns") and key in list(holder.columns):
        return list(holder[key])
    raise MissingInput(
        f"{{{{ {_short(shown)} }}}} is not there.",
        hint="A dot and brackets look into dictionaries, lists and columns; compute anything else "
        "in Python first.",
    )


def _call(name: str, arguments: list[Any]) -> Any:
    try:
        value = FUNCTIONS[name](*arguments)
    except (
        TypeError,
        ValueError,
        LookupError,
        ArithmeticError,
        RecursionError,
        AttributeError,
    ) as error:
        raise TemplateError(f"{name}() cannot be used so: {error}.") from None
    if isinstance(value, float) and not math.isfinite(value):
        raise TemplateError(f"{name}() gave {value}.")
    return value
