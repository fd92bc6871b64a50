"""What pydantic finds wrong with a definition, in our words and with the place in the document."""

from __future__ import annotations

import re
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from bmad_nb.errors import Problem
from bmad_nb.workflow.hints import suggestion
from bmad_nb.workflow.words import Key, Path, called, given

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
_SENTENCES: dict[str, Callable[[Any], str]] = {
    "greater_than_equal": lambda context: f"must be at least {context['ge']:g}",
    "less_than_equal": lambda context: f"must be at most {context['le']:g}",
    "too_short": lambda context: f"must have at least {context['min_length']} of them",
    "string_too_short": lambda _: "must not be empty",
    "finite_number": lambda _: "must be a finite number",
    "value_error": lambda context: str(context["error"]),
}


def problems_of(
    error: ValidationError, fields: Mapping[str, Any], model: type[BaseModel]
) -> list[Problem]:
    """Return each problem of a validation in our words, with its path in the definition.

    Args:
        error: what pydantic found.
        fields: what it looked at.
        model: the class that it was to become, whose keys are suggested.
    """
    found: dict[Path, Problem] = {}
    places: list[Path] = []
    wanted: dict[Path, list[str]] = {}
    for each in error.errors(include_url=False):
        path = _in_document(each["loc"], fields)
        if each["type"] in _KINDS:
            wanted.setdefault(path, []).append(_KINDS[each["type"]])
        what, hint, is_key = _said(each, path, wanted.get(path, []), model)
        place = (*path[:-1], Key(path[-1])) if is_key and path else path
        missing = each["loc"][-1] if each["type"] == "missing" else ""
        if (*path, missing) not in found:
            places.append(path)
        found[*path, missing] = Problem(0, 0, what, hint, place)
    # of a union, only the branch counts whose type the value has
    branches = {path[:end] for path in places for end in range(len(path))}
    return [each for path, each in zip(places, found.values(), strict=True)
            if not (path in wanted and path in branches)]  # fmt: skip


def _in_document(loc: Path, fields: Any) -> Path:
    """Return the part of pydantic's path that the document has; the rest are names of unions."""
    path: list[Any] = []
    here: Any = fields
    for step in loc:
        inside = isinstance(here, Mapping) and step in here
        if inside or (isinstance(here, list) and isinstance(step, int) and step < len(here)):
            path.append(step)
            here = here[step]
    return tuple(path)


def _said(
    each: Any, path: Path, wanted: list[str], model: type[BaseModel]
) -> tuple[str, str, bool]:
    """Return what is wrong, what to do, and whether the key is what a person looks at."""
    kind, context, last = each["type"], each.get("ctx", {}), each["loc"][-1]
    value = each["input"]
    if kind == "extra_forbidden":
        known = sorted(_keys_at(each["loc"][:-1], model))
        return f"There is no key {str(last)[:60]!r} here.", suggestion(last, known), True
    if kind == "missing":
        return f"{called(path)} lacks the key {str(last)!r}.", "Add it.", True
    if kind == "literal_error":
        words = re.findall(r"'([^']*)'", context["expected"]) or [context["expected"]]
        hint = suggestion(value, words) if isinstance(value, str) else ""
        every = f"One of: {', '.join(words)}."
        said = f"{value!r:.60}" if isinstance(value, str | int | float) else given(value)
        return f"{called(path)} cannot be {said}.", hint if hint.startswith("Did") else every, False
    if kind == "string_pattern_mismatch":
        is_key = last == "[key]"
        dash = " -" if path == ("workflow",) else ""
        hint = f"Lower-case letters, digits and _{dash}, a letter first, at most 63 characters."
        return f"{str(value)[:60]!r} cannot be a name.", hint, is_key
    if kind in _KINDS:
        needed = " or ".join(dict.fromkeys(wanted))
        return f"{called(path)} must be {needed}, not {given(value)}.", "", False
    rule = _SENTENCES.get(kind, lambda _: "cannot have this value")
    return f"{called(path)} {rule(context)}.", "", False


def _keys_at(loc: Path, model: type[BaseModel]) -> Iterator[str]:
    """Yield the keys that `model` knows at a path."""
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
    for name, field in model.model_fields.items():
        yield field.alias or name


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_model_in(each) for each in typing.get_args(annotation))
    return next((each for each in found if each is not None), None)
