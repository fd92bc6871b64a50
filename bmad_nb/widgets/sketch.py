"""What can be seen of a definition as plain data, sound or not: names, needs, LLMs, its graph."""

from __future__ import annotations

import copy
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from bmad_nb.prompts import HOLE
from bmad_nb.render.run import GraphNode, GraphView
from bmad_nb.workflow import references
from bmad_nb.workflow.values import VERBS

Tasks = Mapping[str, Mapping[str, Any]]
SIMULATED = "sim/"
"""How the ids of the simulated fleet begin."""
_COMMENT = re.compile(r"(?:^|(?<=\s))#[^\n\r]*", re.MULTILINE)
"""What looks like a comment; in a text that a value holds it is one too, and stays as it is."""
_QUOTED = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""


def verb_of(task: Mapping[str, Any]) -> str:
    """Return the verb that a task has first, empty if none."""
    return next((key for key in task if key in VERBS), "")


def kind_of(task: Mapping[str, Any]) -> str:
    """Return what a task is called in short: how LLMs work together on it, else its verb."""
    together = task.get("collaborate")
    kind = together.get("type") if isinstance(together, Mapping) else None
    return str(kind)[:40] if kind else verb_of(task)


def llm_path(task: Mapping[str, Any]) -> tuple[str, ...]:
    """Return where a task names its LLMs: `llm`, or as its route spells it."""
    route = task.get("route")
    if "llm" in task or route is None:
        return ("llm",)
    if isinstance(route, Mapping):
        return ("route", "models") if "models" in route else ("llm",)
    return ("route",)


def llms_of(task: Mapping[str, Any]) -> list[str]:
    """Return the LLMs that a task names itself, as they are written."""
    here: Any = task
    for step in llm_path(task):
        here = here.get(step) if isinstance(here, Mapping) else None
    return [here] if isinstance(here, str) else [str(e) for e in here or ()][:20]


def are_simulated(task: Mapping[str, Any]) -> bool:
    """Return whether one of the LLMs that a task names itself is of the simulated fleet."""
    return any(each.startswith(SIMULATED) for each in llms_of(task))


def names(data: Mapping[str, Any], tasks: Tasks, task_id: str) -> list[str]:
    """Return what a prompt of a task can read: inputs, and results of tasks that need it not."""
    behind = _behind(tasks, task_id)
    found = [str(name) for name in keys(data.get("inputs"))]
    mapped = tasks[task_id].get("map")
    if isinstance(mapped, Mapping):
        found = [str(mapped.get("as", "item")), "index", *found]
    for name, task in tasks.items():
        if name not in behind:
            found += [f"{name}.{field}" for field in _results(task)]
    return found


def waits_for(tasks: Tasks, task_id: str) -> list[str]:
    """Return the tasks that a task reads without naming them in `needs`."""
    listed = tasks[task_id].get("needs")
    own = listed if isinstance(listed, list) else []
    return [n for n in references.needs(tasks, task_id) if n in tasks and n not in own]


def _behind(tasks: Tasks, task_id: str) -> set[str]:
    """Return a task and all that need it, directly or not."""
    needs = {name: set(references.needs(tasks, name)) for name in tasks}
    found, grown = {task_id}, True
    while grown:
        more = {name for name, each in needs.items() if each & found} - found
        found |= more
        grown = bool(more)
    return found


def graph(name: object, tasks: Tasks, counts: Mapping[str, int]) -> GraphView:
    """Return the graph of tasks, as far as it can be seen; circles are cut open.

    Args:
        name: of the workflow.
        tasks: by id.
        counts: problems by task.
    """
    needs = {task: [n for n in references.needs(tasks, task) if n in tasks and n != task]
             for task in tasks}  # fmt: skip
    layers: dict[str, int] = {}
    for task in tasks:
        _layer(task, needs, layers)
    nodes = tuple(
        GraphNode(task, layers[task], kind_of(said), llm=", ".join(llms_of(said)),
                  simulated=are_simulated(said),
                  note=f"✕ {counts[task]} wrong" if counts.get(task) else "")
        for task, said in tasks.items()
    )  # fmt: skip
    edges = tuple((need, task) for task in tasks for need in needs[task])
    return GraphView(str(name or "")[:200], nodes, edges)


def keys(value: Any) -> list[Any]:
    """Return the keys of a mapping, none of anything else."""
    return list(value) if isinstance(value, Mapping) else []


def _results(task: Mapping[str, Any]) -> list[str]:
    """Return the fields of a task's result that are worth reading."""
    if "map" in task:
        return ["items"]
    if "approve" in task:
        return ["choice", "comment", *(references.fields_of(task) or ())]
    fields = references.fields_of(task)
    return [*fields] if fields else ["text"] if fields is not None else ["text", "output"]


def _layer(name: str, needs: Mapping[str, list[str]], layers: dict[str, int]) -> None:
    """Note the columns of a task and of all that it needs: each one to the right of its needs."""
    if name in layers:
        return
    layers[name] = 0
    stack = [(name, iter(needs[name]))]
    while stack:
        here, rest = stack[-1]
        need = next((each for each in rest if each not in layers), None)
        if need is None:
            stack.pop()
            layers[here] = max((layers[each] + 1 for each in needs[here]), default=0)
        else:
            layers[need] = 0
            stack.append((need, iter(needs[need])))


def with_reads(data: Mapping[str, Any], old: str, new: str) -> dict[str, Any]:
    """Return data in which what read one task reads another name; texts that do not parse stay."""
    changed = copy.deepcopy(dict(data))
    tasks = [task for task in changed["tasks"].values() if isinstance(task, dict)]
    for task in tasks:
        for place in references.places(task):
            if old not in place.local:
                _put_text(task, place.path, _read_as(place.text, old, new, place.is_template))
        needs = task.get("needs")
        if isinstance(needs, list):
            task["needs"] = [new if each == old else each for each in needs]
        reduce = task.get("reduce")
        if isinstance(reduce, dict) and reduce.get("from") == old:
            reduce["from"] = new
    outputs = changed.get("outputs")
    if isinstance(outputs, dict):
        for name, text in outputs.items():
            if isinstance(text, str):
                outputs[name] = _read_as(text, old, new, is_template=False)
    return changed


def _put_text(task: Any, path: Sequence[Any], text: str) -> None:
    for step in path[:-1]:
        task = task[step]
    task[path[-1]] = text


def _read_as(text: str, old: str, new: str, is_template: bool) -> str:
    """Return an expression or a template with one name for another; texts in quotes stay."""
    name = re.compile(rf"({_QUOTED})|(?<![\w.]){re.escape(old)}(?!\w)")

    def named(expression: str) -> str:
        return name.sub(lambda found: found[1] or new, expression)

    if not is_template:
        return named(text)
    return HOLE.sub(lambda hole: f"{{{{{named(hole[1])}}}}}", text)


def lost_comments(before: str, after: str) -> tuple[str, ...]:
    r"""Return the comments of a text that another one has no more.

    >>> lost_comments("a: [b,  # why\n c]  # end", "a: [c]  # end")
    ('# why',)
    """
    gone = Counter(_COMMENT.findall(before)) - Counter(_COMMENT.findall(after))
    return tuple(each.strip() for each in gone.elements())
