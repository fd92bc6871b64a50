"""The values of a workflow's inputs: typed, complete, and plain enough to be stored."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bmad_nb.errors import MissingInput, UnknownName, UsageProblem
from bmad_nb.workflow.model import Workflow
from bmad_nb.workflow.parts import Input

MAX_FILE = 4 * 1024 * 1024
"""Bytes of a file that is an input."""
_KINDS: dict[str, tuple[Any, str]] = {
    "string": (str, "a text"),
    "text": (str, "a text"),
    "file": (str, "the path of a file"),
    "integer": (int, "a whole number"),
    "number": ((int, float), "a number"),
    "boolean": (bool, "true or false"),
    "list": (list, "a list"),
    "object": (dict, "a mapping"),
}


def missing(workflow: Workflow, given: Mapping[str, Any]) -> list[str]:
    """Return the names of inputs that have no value."""
    return [n for n, each in workflow.inputs.items() if each.required and n not in given]


def bound(workflow: Workflow, given: Mapping[str, Any], *, partly: bool = False) -> dict[str, Any]:
    """Return a value for each input, as JSON has them.

    A DataFrame is a list of its rows. The content of a file takes the place of its path.

    Args:
        workflow: declares the inputs.
        given: values by name.
        partly: leave out what is missing, as for a plan, and read no file.

    Raises:
        UnknownName: no such input.
        MissingInput: an input has no value.
        UsageProblem: a value is not of the declared type.
    """
    for name in given:
        if name not in workflow.inputs:
            raise UnknownName("input", name, workflow.inputs)
    lacking = missing(workflow, given)
    if lacking and not partly:
        raise MissingInput(
            f"Workflow {workflow.id!r} needs a value for {', '.join(lacking)}.",
            hint=f"Give it with -p {lacking[0]}=…, or inputs={{{lacking[0]!r}: …}}.",
        )
    values = {}
    for name, declared in workflow.inputs.items():
        if name in given:
            values[name] = _checked(name, declared, given[name], partly=partly)
        elif not declared.required:
            values[name] = declared.default
    return values


def typed(workflow: Workflow, texts: Mapping[str, str]) -> dict[str, Any]:
    """Return values that were typed as text, read as their declared types say.

    Raises:
        UnknownName: no such input.
        UsageProblem: a text is not of the declared type.
    """
    values: dict[str, Any] = {}
    for name, text in texts.items():
        declared = workflow.inputs.get(name)
        if declared is None:
            raise UnknownName("input", name, workflow.inputs)
        values[name] = text if _KINDS[declared.type][0] is str else _read(name, declared, text)
    return values


def _read(name: str, declared: Input, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        if declared.type == "list":
            return [part.strip() for part in text.split(",") if part.strip()]
        said = _KINDS[declared.type][1]
        raise UsageProblem(
            f"{name}={text[:60]!r} is not {said}.", hint="Write it as JSON has it."
        ) from None


def _checked(name: str, declared: Input, value: Any, *, partly: bool) -> Any:
    value = _plain(name, value)
    kind, said = _KINDS[declared.type]
    is_flag = isinstance(value, bool) and kind is not bool
    if not isinstance(value, kind) or is_flag:
        raise UsageProblem(
            f"Input {name!r} must be {said}, not {type(value).__name__}.",
            hint="Change the value, or the type that the workflow declares.",
        )
    if declared.enum is not None and value not in declared.enum:
        raise UsageProblem(
            f"Input {name!r} cannot be {value!r:.60}.",
            hint=f"One of: {', '.join(map(str, declared.enum))}.",
        )
    return _content(name, value) if declared.type == "file" and not partly else value


def _plain(name: str, value: Any) -> Any:
    if hasattr(value, "to_json") and hasattr(value, "columns"):
        return json.loads(value.to_json(orient="records"))
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        value = value.item()
    if hasattr(value, "answers"):
        value = str(value)
    try:
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError("it is not finite")
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageProblem(
            f"Input {name!r} cannot be stored: {error}.",
            hint="Give text, numbers, lists, dictionaries or a DataFrame.",
        ) from None


def _content(name: str, path: str) -> str:
    try:
        with Path(path).expanduser().open("rb") as file:
            content = file.read(MAX_FILE + 1)
        if len(content) > MAX_FILE:
            raise ValueError(f"it has more than {MAX_FILE} bytes")
        return content.decode("utf-8")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise UsageProblem(
            f"Input {name!r}: the file {path} cannot be read: {why}.", hint="Give a text file."
        ) from None
