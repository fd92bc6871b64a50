"""A definition in the original specification's shape, translated into ours.

There, tasks are a list of `{id, name, task_type, inputs, outputs, dependencies, llm_requirements,
priority, timeout, retry_config}`. A task there has no prompt of its own: its name, its kind, its
inputs and what it depends on make one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from bmad_nb.errors import Problem, nearest

_WORKFLOW = {"id", "name", "description", "tasks", "execution_strategy", "optimization_objectives",
             "constraints", "metadata", "inputs"}  # fmt: skip
_TASK = {"id", "name", "task_type", "inputs", "outputs", "dependencies", "llm_requirements",
         "priority", "timeout", "retry_config", "status", "execution_metadata"}  # fmt: skip
_LIMITS = {"max_cost_usd": "cost", "max_duration_s": "time", "max_tokens": "tokens",
           "max_calls": "calls", "max_concurrent_tasks": "concurrency"}  # fmt: skip
_COLLABORATE = {"type": "type", "num_llms": "n", "threshold": "threshold", "method": "method",
                "quorum": "quorum", "rounds": "rounds"}  # fmt: skip


def is_original(data: Mapping[str, Any]) -> bool:
    """Return whether a document has the original shape: its tasks are a list."""
    return isinstance(data.get("tasks"), list) and "workflow" not in data


class Translation(NamedTuple):
    """A document in our shape, and how to find its tasks in the original."""

    data: dict[str, Any]
    problems: list[Problem]
    """What could not be taken over; paths are those of the original document."""
    places: dict[str, int]
    """Index of each task in the original list."""


def translate(data: Mapping[str, Any]) -> Translation:
    """Return the same workflow in our shape."""
    found = _unknown(data, _WORKFLOW, ())
    tasks: dict[str, Any] = {}
    places: dict[str, int] = {}
    for index, task in enumerate(data["tasks"]):
        path = ("tasks", index)
        if not isinstance(task, Mapping) or not isinstance(task.get("id"), str):
            found.append(Problem(0, 0, "A task is a mapping with an id.", "", path))
            continue
        name = _name(task["id"])
        if name in tasks:
            found.append(Problem(0, 0, f"There are two tasks {task['id']!r}.", "", (*path, "id")))
        found += _unknown(task, _TASK, path)
        tasks[name], places[name] = _task(task), index
    limits, wrong = _renamed(data.get("constraints"), _LIMITS, ("constraints",))
    whole = {
        "workflow": data.get("id"),
        "title": data.get("name"),
        "description": data.get("description"),
        "strategy": data.get("execution_strategy", "sequential"),
        "objectives": data.get("optimization_objectives"),
        "limits": limits,
        "tasks": tasks,
        "metadata": data.get("metadata"),
    }
    return Translation(_without_empty(whole), found + wrong, places)


def _without_empty(fields: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in fields.items() if v not in (None, {}, [])}


def _list(value: Any) -> Any:
    """Return a list as it is; what is none is left for the model to refuse, if it says anything."""
    return value if isinstance(value, list) else [] if value is None else [value]


def _name(text: Any) -> Any:
    return text.lower().replace("-", "_") if isinstance(text, str) else text


def _task(task: Mapping[str, Any]) -> dict[str, Any]:
    wanted = task.get("llm_requirements")
    wanted = wanted if isinstance(wanted, Mapping) else {}
    together = wanted.get("collaboration")
    collaborate, _ = _renamed(together, _COLLABORATE, ())
    several = isinstance(together, Mapping) and together.get("multi_llm", True)
    route = {k: v for k, v in wanted.items() if k != "collaboration"}
    retry = task.get("retry_config")
    priority = task.get("priority")
    found = {
        "title": task.get("name"),
        "type": task.get("task_type"),
        "prompt": _prompt(task),
        "needs": [_name(each) for each in _list(task.get("dependencies"))],
        "collaborate": {"n": 3, **collaborate} if several else None,
        "route": route,
        "priority": priority.lower() if isinstance(priority, str) else priority,
        "timeout": task.get("timeout"),
        "retry": retry,
        "metadata": task.get("execution_metadata"),
    }
    return _without_empty(found)


def _prompt(task: Mapping[str, Any]) -> str:
    """Return the prompt that the parts of a task amount to."""
    kind = str(task.get("task_type") or "").replace("_", " ")
    lines = [f"{task.get('name') or task['id']}." + (f" This is a task of {kind}." if kind else "")]
    inputs = task.get("inputs")
    for name, value in inputs.items() if isinstance(inputs, Mapping) else ():
        lines.append(f"{name}: {value}")
    outputs = task.get("outputs")
    if isinstance(outputs, list | Mapping) and outputs:
        lines.append(f"Give: {', '.join(map(str, outputs))}.")
    for each in _list(task.get("dependencies")):
        lines.append(f"Result of {each}:\n{{{{ {_name(each)}.text }}}}")
    return "\n".join(lines)


def _unknown(data: Mapping[str, Any], known: set[str], path: tuple[Any, ...]) -> list[Problem]:
    found = []
    for key in data:
        if key not in known:
            guess = nearest(str(key), known)
            hint = f"Did you mean {guess!r}?" if guess else f"Known: {', '.join(sorted(known))}."
            found.append(Problem(0, 0, f"There is no key {key!r} here.", hint, (*path, key)))
    return found


def _renamed(
    value: Any, names: Mapping[str, str], path: tuple[Any, ...]
) -> tuple[dict[str, Any], list[Problem]]:
    if not isinstance(value, Mapping):
        return {}, []
    known = {**{v: v for v in names.values()}, **names}
    found = _unknown(value, set(known) | {"multi_llm"}, path)
    return {known[k]: v for k, v in value.items() if k in known}, found
