"""The values of a workflow's inputs: typed, complete, and plain enough to be stored."""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bmad_nb.errors import MissingInput, UnknownName, UsageProblem
from bmad_nb.workflow.model import Workflow
from bmad_nb.workflow.parts import Input
from bmad_nb.workflow.rules import INPUT_KINDS, fits
from bmad_nb.workflow.words import given

MAX_FILE = 4 * 1024 * 1024
"""Bytes of a file that is an input."""


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
        values[name] = text if INPUT_KINDS[declared.type][0] is str else _read(name, declared, text)
    return values


def _read(name: str, declared: Input, text: str) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if declared.type == "list" and not isinstance(value, list):
        return [part.strip() for part in text.split(",") if part.strip()]
    if not fits(value, declared.type):
        said = INPUT_KINDS[declared.type][1]
        raise UsageProblem(f"{name}={text[:60]!r} is not {said}.", hint="Write it as JSON has it.")
    return value


def _checked(name: str, declared: Input, value: Any, *, partly: bool) -> Any:
    value = _stored(name, value)
    if not fits(value, declared.type):
        raise UsageProblem(
            f"Input {name!r} must be {INPUT_KINDS[declared.type][1]}, not {given(value)}.",
            hint="Change the value, or the type that the workflow declares.",
        )
    if declared.enum is not None and value not in declared.enum:
        raise UsageProblem(
            f"Input {name!r} cannot be {value!r:.60}.",
            hint=f"One of: {', '.join(map(str, declared.enum))}.",
        )
    return _content(name, value) if declared.type == "file" and not partly else value


def _stored(name: str, value: Any) -> Any:
    """Return a value as JSON has it.

    Raises:
        UsageProblem: it cannot be stored.
    """
    try:
        plain = _plain(value)
        json.dumps(plain, allow_nan=False, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        why = "a text has half a character in it"
    except RecursionError:
        why = "it is nested too deeply"
    except (TypeError, ValueError) as error:
        why = str(error)
    else:
        return plain
    raise UsageProblem(
        f"Input {name!r} cannot be stored: {why}.",
        hint="Give text, numbers, lists, dictionaries or a DataFrame.",
    )


def _plain(value: Any) -> Any:
    """Return what a value says, without the types of pandas and numpy."""
    if isinstance(value, Mapping):
        return {_key(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if hasattr(value, "columns") and hasattr(value, "to_dict"):
        return _rows(value)
    if hasattr(value, "tolist"):  # arrays, series and scalars of numpy
        return _plain(value.tolist())
    return _scalar(value)


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise TypeError(f"the key {key!r:.60} is not a text")
    return key


def _scalar(value: Any) -> Any:
    if isinstance(value, datetime.date):
        return value.isoformat()
    if hasattr(value, "answers"):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} is not a finite number")
    if value is not None and not isinstance(value, str | int | float):
        raise TypeError(f"a {type(value).__name__} is not text, number, list or dictionary")
    return value


def _rows(frame: Any) -> list[Any]:
    """Return the rows of a DataFrame; what is missing in it is null."""
    names = [str(name) for name in frame.columns]
    if len(set(names)) < len(names):
        raise ValueError("two columns have the same name")
    present = frame.notna().to_numpy().tolist()
    columns = [frame.iloc[:, number].tolist() for number in range(len(names))]
    return [
        {
            name: _plain(column[row]) if there[number] else None
            for number, (name, column) in enumerate(zip(names, columns, strict=True))
        }
        for row, there in enumerate(present)
    ]


def _content(name: str, path: str) -> str:
    try:
        return _text_of(Path(path).expanduser())
    except UnicodeDecodeError:
        why = "it is not text in UTF-8"
    except (OSError, ValueError, RuntimeError) as error:
        why = getattr(error, "strerror", None) or str(error)
    raise UsageProblem(
        f"Input {name!r}: the file {path} cannot be read: {why}.", hint="Give a text file."
    )


def _text_of(path: Path) -> str:
    if path.exists() and not path.is_file():  # a pipe would never end
        raise ValueError("it is not a file")
    with path.open("rb") as file:
        content = file.read(MAX_FILE + 1)
    if len(content) > MAX_FILE:
        raise ValueError(f"it has more than {MAX_FILE} bytes")
    return content.decode("utf-8")
