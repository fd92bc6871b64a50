"""What pydantic finds wrong with a definition, in our words and with the place in the document."""

from __future__ import annotations

import re
import typing
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from bmad_nb.errors import Problem, nearest


_KINDS = {
    "string_type": "a text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}
_GIVEN = {str: "a text", list: "a list", dict: "a mapping", bool: "true or false", type(None): "empty"}


def problems_of(
    error: ValidationError, fields: Mapping[str, Any], model: type[BaseModel]
) -> list[Problem]:
    """Return each problem of a validation in our words, with its path in the definition.

    Args:
        error: what pydantic found.
        fields: what it looked at.
        model: the class that it was to become, whose keys are suggested.
    """
    found: dict[tuple[Any, ...], Problem] = {}
    for each in error.errors(include_url=False):
        path = _in_document(each["loc"], fields)
        found.setdefault(path, Problem(0, 0, *_said(each, path, model), path))
    return list(found.values())


def _in_document(loc: tuple[Any, ...], fields: Any) -> tuple[Any, ...]:
    """Return the part of pydantic's path that the document has, and the missing key behind it."""
    path: list[Any] = []
    here: Any = fields
    for step in loc:
        inside = isinstance(here, Mapping) and step in here
        if inside or (isinstance(here, list) and isinstance(step, int) and step < len(here)):
            path.append(step)
            here = here[step]
    return tuple(path)


def _said(each: Any, path: tuple[Any, ...], model: type[BaseModel]) -> tuple[str, str]:
    """Return what is wrong, and what to do, for one of pydantic's errors."""
    kind, context, last = each["type"], each.get("ctx", {}), str(each["loc"][-1])
    shown = f"{path[-1]!r}" if path else "The workflow"
    if kind == "extra_forbidden":
        known = _keys_at(each["loc"][:-1], model)
        guess = nearest(last, known)
        hint = f"Did you mean {guess!r}?" if guess else f"Known: {', '.join(sorted(known))}."
        return f"There is no key {last!r} here.", hint
    if kind == "missing":
        return f"{shown} lacks {last!r}.", ""
    if kind == "literal_error":
        words = re.findall(r"'([^']*)'", context["expected"])
        guess = nearest(str(each["input"]), words) or nearest(str(each["input"]).lower(), words)
        hint = f"Did you mean {guess!r}? " if guess else ""
        return f"{shown} cannot be {each['input']!r:.60}.", f"{hint}One of: {', '.join(words)}."
    if kind == "string_pattern_mismatch":
        return (
            f"{each['input']!r:.80} cannot be a name.",
            "Lower-case letters, digits and _ , a letter first, at most 63.",
        )
    if kind == "value_error":
        return f"{shown}: {str(context['error'])}.", ""
    if kind in _KINDS:
        what = _GIVEN.get(type(each["input"]), repr(each["input"])[:40])
        return f"{shown} must be {_KINDS[kind]}, not {what}.", ""
    return f"{shown}: {each['msg'][0].lower()}{each['msg'][1:]}.", ""


def _keys_at(loc: tuple[Any, ...], model: type[BaseModel]) -> list[str]:
    """Return the keys that `model` knows at a path."""
    in_mapping = False
    for step in loc:
        if in_mapping or isinstance(step, int):
            in_mapping = False
            continue
        fields = {f.alias or n: f.annotation for n, f in model.model_fields.items()}
        if step in fields:
            inner = _model_in(fields[step])
            in_mapping = "dict[" in str(fields[step]) and inner is not None
            model = inner or model
    return [f.alias or n for n, f in model.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_model_in(each) for each in typing.get_args(annotation))
    return next((each for each in found if each is not None), None)
