"""A definition in the original specification's shape, translated into ours.

There, tasks are a list of `{id, name, task_type, inputs, outputs, dependencies, llm_requirements,
priority, timeout, retry_config}`. A task there has no prompt of its own: its name, its kind, its
inputs and what it depends on make one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from bmad_nb.errors import Problem
from bmad_nb.workflow.hints import suggestion
from bmad_nb.workflow.words import Key, Path, given

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_WORKFLOW = {
    "id": "workflow", "name": "title", "description": "description", "inputs": "inputs",
    "execution_strategy": "strategy", "optimization_objectives": "objectives",
    "constraints": "limits", "metadata": "metadata", "tasks": "tasks",
}  # fmt: skip
_TASK = {
    "id": "id", "name": "title", "task_type": "type", "dependencies": "needs",
    "llm_requirements": "route", "priority": "priority", "timeout": "timeout",
    "retry_config": "retry", "execution_metadata": "metadata", "inputs": "prompt",
    "outputs": "prompt", "status": "",
}  # fmt: skip
_LIMITS = {"max_cost_usd": "cost", "max_duration_s": "time", "max_tokens": "tokens",
           "max_calls": "calls", "max_concurrent_tasks": "concurrency"}  # fmt: skip
_COLLABORATE = {"type": "type", "num_llms": "n", "threshold": "threshold", "method": "method",
                "quorum": "quorum", "rounds": "rounds", "multi_llm": "multi_llm"}  # fmt: skip
_RETRY = {"max_attempts": "attempts", "attempts": "attempts", "backoff": "backoff",
          "factor": "factor", "max_backoff": "max_backoff", "jitter": "jitter"}  # fmt: skip
_KINDS: dict[str, tuple[type, ...]] = {"inputs": (dict,), "outputs": (dict, list)}


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

    def told(self, problem: Problem) -> Problem:
        """Return a problem of our shape with the path and the key of the original document."""
        path = problem.path
        if path[:1] == ("tasks",) and len(path) > 1 and path[1] in self.places:
            index = self.places[path[1]]
            behind = _backwards(path[2:], _TASK) if len(path) > 2 else (Key("id"),)
            if behind[:1] == ("collaborate",):
                inner = _backwards(behind[1:], _COLLABORATE)
                last = "collaboration" if inner else Key("collaboration")
                behind = ("llm_requirements", last, *inner)
            elif behind[:1] == ("retry_config",):
                behind = ("retry_config", *_backwards(behind[1:], _RETRY))
            new: Path = ("tasks", index, *behind)
        else:
            new = _backwards(path, _WORKFLOW)
            if new[:1] == ("constraints",):
                new = ("constraints", *_backwards(new[1:], _LIMITS))
        what = problem.what
        if not path:
            what = what.replace("'workflow'", "'id'")
        elif new[-1] != "id":
            what = what.replace(repr(str(path[-1])), repr(str(new[-1])), 1)
        return problem._replace(what=what, path=new)


def _backwards(path: Path, names: Mapping[str, str]) -> Path:
    """Return a path whose first step is called as in the original."""
    if not path:
        return ()
    found = next((old for old, new in names.items() if new == path[0]), path[0])
    step = Key(found) if isinstance(path[0], Key) else found
    return (step, *path[1:])


def translate(data: Mapping[str, Any]) -> Translation:
    """Return the same workflow in our shape."""
    found = _unknown(data, _WORKFLOW, ())
    tasks: dict[str, Any] = {}
    places: dict[str, int] = {}
    known = {_name(each.get("id")) for each in data["tasks"]
             if isinstance(each, Mapping) and isinstance(each.get("id"), str)}  # fmt: skip
    for index, task in enumerate(data["tasks"]):
        path = ("tasks", index)
        if not isinstance(task, Mapping) or not isinstance(task.get("id"), str):
            said = "A task must be a mapping with an id."
            found.append(Problem(0, 0, said, "Write id: …, a text.", path))
            continue
        name = _name(task["id"])
        if name in tasks:
            said = f"There are two tasks {task['id'][:60]!r}."
            found.append(Problem(0, 0, said, "Rename one.", (*path, "id")))
        tasks[name], wrong = _task(task, path, known)
        found += wrong
        places[name] = index
    limits, wrong = _renamed(data.get("constraints"), _LIMITS, ("constraints",))
    whole = {
        "workflow": data.get("id"),
        "title": data.get("name"),
        "description": data.get("description"),
        "inputs": data.get("inputs"),
        "strategy": _lower(data.get("execution_strategy", "sequential")),
        "objectives": _each_lower(data.get("optimization_objectives")),
        "limits": limits,
        "metadata": data.get("metadata"),
    }
    return Translation({**_said(whole), "tasks": tasks}, found + wrong, places)


def _said(fields: dict[str, Any]) -> dict[str, Any]:
    """Return what is said; a value of a wrong type is left for the model to refuse."""
    return {key: value for key, value in fields.items() if value not in (None, {}, [])}


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _each_lower(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_lower(key): each for key, each in value.items()}
    return [_lower(each) for each in value] if isinstance(value, list) else value


def _name(text: Any) -> Any:
    return text.lower().replace("-", "_") if isinstance(text, str) else text


def _task(
    task: Mapping[str, Any], path: Path, known: set[Any]
) -> tuple[dict[str, Any], list[Problem]]:
    found = _unknown(task, _TASK, path)
    for key, kinds in _KINDS.items():
        if task.get(key) is not None and not isinstance(task[key], kinds):
            words = " or ".join("a mapping" if kind is dict else "a list" for kind in kinds)
            said = f"{key!r} must be {words}, not {given(task[key])}."
            found.append(Problem(0, 0, said, "", (*path, key)))
    route = task.get("llm_requirements")
    collaborate = None
    if isinstance(route, Mapping) and "collaboration" in route:
        where = (*path, "llm_requirements", "collaboration")
        together, wrong = _renamed(route["collaboration"], _COLLABORATE, where)
        found += wrong
        route = {key: value for key, value in route.items() if key != "collaboration"}
        if isinstance(together, dict) and together.pop("multi_llm", True):
            together = {"n": 3, **together}
            collaborate = together
        elif not isinstance(together, dict):
            collaborate = together
    retry, wrong = _renamed(task.get("retry_config"), _RETRY, (*path, "retry_config"))
    needs = task.get("dependencies")
    fields = {
        "title": task.get("name"),
        "type": task.get("task_type"),
        "prompt": _prompt(task, known),
        "needs": [_name(each) for each in needs] if isinstance(needs, list) else needs,
        "collaborate": collaborate,
        "route": route,
        "priority": _lower(task.get("priority")),
        "timeout": task.get("timeout"),
        "retry": retry,
        "metadata": task.get("execution_metadata"),
    }
    return _said(fields), found + wrong


def _prompt(task: Mapping[str, Any], known: set[Any]) -> str:
    """Return the prompt that the parts of a task amount to."""
    kind = str(task.get("task_type") or "").replace("_", " ")
    lines = [f"{task.get('name') or task['id']}." + (f" This is a task of {kind}." if kind else "")]
    inputs, outputs, needs = task.get("inputs"), task.get("outputs"), task.get("dependencies")
    for name, value in inputs.items() if isinstance(inputs, Mapping) else ():
        shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        lines.append(f"{name}: {shown}")
    if isinstance(outputs, list | Mapping) and outputs:
        lines.append(f"Give: {', '.join(map(str, outputs))}.")
    for each in needs if isinstance(needs, list) else ():
        name = _name(each)
        if isinstance(name, str) and name in known and _NAME.fullmatch(name):
            lines.append(f"Result of {each}:\n{{{{ {name}.text }}}}")
    return "\n".join(lines)


def _unknown(data: Mapping[str, Any], known: Mapping[str, str], path: Path) -> list[Problem]:
    return [
        Problem(0, 0, f"There is no key {str(key)[:60]!r} here.", suggestion(key, known),
                (*path, Key(key)))
        for key in data if key not in known
    ]  # fmt: skip


def _renamed(value: Any, names: Mapping[str, str], path: Path) -> tuple[Any, list[Problem]]:
    """Return a mapping with our keys; what is none is left for the model to refuse."""
    if not isinstance(value, Mapping):
        return value, []
    return {names[k]: v for k, v in value.items() if k in names}, _unknown(value, names, path)
