"""A definition as lines of Python: the calls that build it, with every text as a literal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_WIDTH = 88
"""Characters of a line, where a literal can be broken at all."""


def spelled(data: Mapping[str, Any], keys: Mapping[str, str], name: str) -> str:
    """Return Python that builds the workflow which plain data defines.

    Args:
        data: the definition as `Workflow.to_dict` gives it.
        keys: by key of a task, the argument that is written for it where the key is a word of
            Python.
        name: the variable that it is bound to.
    """
    rest = {key: value for key, value in data.items() if key not in {"workflow", "tasks"}}
    calls = [_call(f"{name} = bmad_nb.Workflow", data["workflow"], rest)]
    for task_id, task in data.get("tasks", {}).items():
        given = {keys.get(key, key): value for key, value in task.items()}
        calls.append(_call(f"{name}.task", task_id, given))
    return "\n".join(["import bmad_nb", "", *calls, ""])


def _call(function: str, first: str, given: Mapping[str, Any]) -> str:
    """Return a call with its arguments, in one line where they fit."""
    flat = ", ".join([_flat(first), *(f"{key}={_flat(value)}" for key, value in given.items())])
    if len(function) + len(flat) + 2 <= _WIDTH and not any(map(_has_lines, given.values())):
        return f"{function}({flat})"
    lines = [f"{function}(", f"    {_flat(first)},"]
    for key, value in given.items():
        lines += _hung(f"    {key}=", value, 4)
    return "\n".join([*lines, ")"])


def _flat(value: Any) -> str:
    """Return a literal in one line, in double quotes wherever they need no escape."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_flat(key)}: {_flat(each)}' for key, each in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_flat, value))}]"
    said = repr(value)
    return f'"{said[1:-1]}"' if said.startswith("'") and '"' not in said else said


def _has_lines(value: Any) -> bool:
    """Return whether a text of several lines is somewhere in a value."""
    if isinstance(value, Mapping):
        return any(map(_has_lines, value.values()))
    if isinstance(value, list):
        return any(map(_has_lines, value))
    return isinstance(value, str) and "\n" in value.rstrip("\n")


def _hung(head: str, value: Any, indent: int) -> Iterator[str]:
    """Yield the lines of a value behind its name, with a comma at the end."""
    flat = _flat(value)
    whole = not _has_lines(value) and len(head) + len(flat) < _WIDTH
    pad = " " * (indent + 4)
    if isinstance(value, str) and _has_lines(value):
        yield f"{head}("
        yield from (f"{pad}{_flat(line)}" for line in value.splitlines(keepends=True))
        yield f"{' ' * indent}),"
    elif whole or not value or not isinstance(value, Mapping | list):
        yield f"{head}{flat},"
    elif isinstance(value, Mapping):
        yield f"{head}{{"
        for key, each in value.items():
            yield from _hung(f"{pad}{_flat(key)}: ", each, indent + 4)
        yield f"{' ' * indent}}},"
    else:
        yield f"{head}["
        for each in value:
            yield from _hung(pad, each, indent + 4)
        yield f"{' ' * indent}],"
