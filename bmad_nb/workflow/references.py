"""Who reads whom: the names in a definition's texts and expressions, and what is wrong with them.

It looks at plain data, not at the model, so that a document with a wrong key still gets all its
problems said at once.
"""

from __future__ import annotations

import graphlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from bmad_nb import expressions, prompts
from bmad_nb.errors import Problem, TemplateError, nearest
from bmad_nb.workflow.values import VERBS

Path = tuple[Any, ...]
RESULT_FIELDS = frozenset(
    "output text value score items errors error state llm cost_usd latency_s degraded choice "
    "comment by iterations threshold_met agreement dissent members".split()
)
"""What every task's result may have, whatever its output declares."""
_ANSWER = ("out",)
_SCORED = ("out", "score")


class Place(NamedTuple):
    """A text of a task in which names are read."""

    path: Path
    """Keys from the task down."""
    text: str
    is_template: bool
    local: tuple[str, ...] = ()
    """Names that exist only here, such as `out` in a check."""


def places(task: Mapping[str, Any]) -> Iterator[Place]:
    """Yield every text of a task that reads names; what is not a text is left to the model."""
    mapped = task.get("map") if isinstance(task.get("map"), Mapping) else {}
    item = mapped.get("as", "item") if isinstance(mapped, Mapping) and mapped else None
    local = (item, "index") if isinstance(item, str) else ()
    for key, is_template, names in _TEXTS:
        for path, text in _at(task, key.split("."), ()):
            around = () if key.startswith(("when", "map.over")) else local
            yield Place(path, text, is_template, (*around, *names))
    for path, text in _texts(task.get("with"), ("with",)):
        yield Place(path, text, True, local)


_TEXTS = (
    ("when", False, ()),
    ("prompt", True, ()),
    ("system", True, ()),
    ("messages.*.content", True, ()),
    ("set.*", False, ()),
    ("map.over", False, ()),
    ("map.key", False, ()),
    ("refine.until", False, _SCORED),
    ("refine.judge", False, _SCORED),
    ("refine.judge.that", False, _SCORED),
    ("refine.judge.rubric", True, _SCORED),
    ("refine.prompt", True, (*_SCORED, "comment")),
    ("route.accept", False, _SCORED),
    ("checks.*.that", False, _SCORED),
    ("checks.*.judge", False, _SCORED),
    ("checks.*.judge.that", False, _SCORED),
    ("checks.*.judge.rubric", True, _SCORED),
    ("checkpoint.*.that", False, ("run", *_SCORED)),
    ("collaborate.judge", False, _ANSWER),
    ("collaborate.judge.rubric", True, _ANSWER),
    ("collaborate.experts.*.when", False, ()),
    ("reduce.prompt", True, ("items", "errors")),
    ("approve.ask", True, ()),
    ("approve.show", False, ()),
    ("fallback.*.prompt", True, ()),
    ("fallback.*.human", True, ()),
)
"""Where texts stand in a task, whether they are templates, and the names that exist only there."""


def _at(value: Any, keys: list[str], path: Path) -> Iterator[tuple[Path, str]]:
    if not keys:
        if isinstance(value, str):
            yield path, value
    elif keys[0] != "*":
        if isinstance(value, Mapping) and keys[0] in value:
            yield from _at(value[keys[0]], keys[1:], (*path, keys[0]))
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from _at(each, keys[1:], (*path, key))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _at(each, keys[1:], (*path, index))


def _texts(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    """Yield the texts of a value, with the way to each; nothing here is deeper than a document."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from _texts(each, (*path, key))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _texts(each, (*path, index))


def read(place: Place) -> list[tuple[str, ...]]:
    """Return the dotted names that a place reads from outside itself.

    Raises:
        TemplateError: its text is not in the language.
    """
    if place.is_template:
        found = prompts.references(place.text)
    else:
        found = expressions.references(expressions.parse(place.text))
    return [path for path in found if path[0] not in place.local]


def needs(tasks: Mapping[str, Mapping[str, Any]], task_id: str) -> dict[str, Path]:
    """Return the tasks that one task needs, each with the place that names it first.

    Order: as written in `needs`, then as its texts read them.
    """
    task = tasks[task_id]
    found: dict[str, Path] = {}
    listed = task.get("needs")
    for index, name in enumerate(listed if isinstance(listed, list) else ()):
        if isinstance(name, str):
            found.setdefault(name, ("needs", index))
    reduce = task.get("reduce")
    if isinstance(reduce, Mapping) and isinstance(reduce.get("from"), str):
        found.setdefault(reduce["from"], ("reduce", "from"))
    for place in places(task):
        try:
            for path in read(place):
                if path[0] in tasks:
                    found.setdefault(path[0], place.path)
        except TemplateError:
            continue  # said by `check`
    return found


def check(data: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong with the names of a definition: unknown, reserved, or in a circle."""
    found = _checked_ids(data)
    tasks = {k: v for k, v in _mapping(data, "tasks").items() if isinstance(v, Mapping)}
    if not _mapping(data, "tasks"):
        found.append(_problem(("tasks",), "The workflow has no tasks.", "Add one under tasks:."))
    for task_id, task in tasks.items():
        found += _checked_verb(task_id, task)
        found += _checked_needs(task_id, task, tasks)
        for place in places(task):
            found += _checked_place(data, tasks, place, task_id)
    for name, text in _mapping(data, "outputs").items():
        if isinstance(text, str):
            place = Place(("outputs", name), text, is_template=False)
            found += _checked_place(data, tasks, place, None)
    return found or _circle(tasks)


def _problem(path: Path, what: str, hint: str = "") -> Problem:
    return Problem(0, 0, what, hint, path)


def _mapping(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = data.get(key)
    return value if isinstance(value, Mapping) else {}


def _checked_ids(data: Mapping[str, Any]) -> list[Problem]:
    found = []
    inputs = _mapping(data, "inputs")
    for kind in ("inputs", "tasks"):
        for name in _mapping(data, kind):
            if name in expressions.RESERVED_NAMES:
                hint = f"Take another name, such as {name}_1."
                found.append(_problem((kind, name), f"{name!r} has a meaning of its own.", hint))
            elif kind == "tasks" and name in inputs:
                found.append(
                    _problem((kind, name), f"{name!r} is an input and a task.", "Rename one.")
                )
    for task_id, task in _mapping(data, "tasks").items():
        item = _mapping(task, "map").get("as") if isinstance(task, Mapping) else None
        taken = item in expressions.RESERVED_NAMES and item != "item"
        if isinstance(item, str) and (taken or item in inputs or item in data["tasks"]):
            path = ("tasks", task_id, "map", "as")
            found.append(_problem(path, f"{item!r} has a meaning already.", "Take another name."))
    return found


def _checked_verb(task_id: str, task: Mapping[str, Any]) -> list[Problem]:
    there = [verb for verb in VERBS if task.get(verb) is not None]
    if len(there) == 1:
        return []
    said = f"has {' and '.join(there)}" if there else "has no verb"
    return [
        _problem(
            ("tasks", task_id),
            f"Task {task_id!r} {said}.",
            f"A task has exactly one of: {', '.join(VERBS)}.",
        )
    ]


def _checked_needs(
    task_id: str, task: Mapping[str, Any], tasks: Mapping[str, Any]
) -> list[Problem]:
    found = []
    for name, path in needs({**tasks, task_id: task}, task_id).items():
        where = ("tasks", task_id, *path)
        if name == task_id:
            found.append(_problem(where, f"Task {task_id!r} needs itself.", "Remove that."))
        elif name not in tasks:
            guess = nearest(name, (t for t in tasks if t != task_id))
            hint = f"Did you mean {guess!r}?" if guess else f"Tasks: {_listed(tasks)}."
            found.append(_problem(where, f"There is no task {name!r}.", hint))
    return found


def _listed(names: Mapping[str, Any]) -> str:
    shown = sorted(names)[:12]
    return ", ".join(shown) + (", …" if len(names) > 12 else "")


def _checked_place(
    data: Mapping[str, Any], tasks: Mapping[str, Any], place: Place, task_id: str | None
) -> list[Problem]:
    where = place.path if task_id is None else ("tasks", task_id, *place.path)
    inputs = _mapping(data, "inputs")
    try:
        found = read(place)
    except TemplateError as error:
        return [_problem(where, error.what, error.hint)]
    said = {}
    for path in found:
        name = path[0]
        if name in tasks and name != task_id:
            said[path] = _unknown_field(where, tasks[name], path)
        elif name not in inputs and name != task_id:
            guess = nearest(name, (*inputs, *(t for t in tasks if t != task_id), *place.local))
            hint = f"Did you mean {guess!r}?" if guess else (
                f"Inputs: {_listed(inputs) or 'none'}. Tasks: {_listed(tasks)}."
            )  # fmt: skip
            said[path] = [_problem(where, f"There is no input or task {name!r}.", hint)]
    return [each for problems in said.values() for each in problems]


def _unknown_field(where: Path, task: Mapping[str, Any], path: tuple[str, ...]) -> list[Problem]:
    """Say that a field is read which the task's declared output does not have."""
    fields = fields_of(task)
    if len(path) < 2 or fields is None or path[1] in fields or path[1] in RESULT_FIELDS:
        return []
    guess = nearest(path[1], [*fields, *RESULT_FIELDS])
    hint = f"Did you mean {path[0]}.{guess}?" if guess else f"Its fields: {', '.join(fields)}."
    return [_problem(where, f"Task {path[0]!r} has no field {path[1]!r}.", hint)]


def fields_of(task: Mapping[str, Any]) -> list[str] | None:
    """Return the fields that a task's result is known to have; None where anything may come."""
    if isinstance(task.get("set"), Mapping):
        return list(task["set"])
    output = task.get("output")
    if not isinstance(output, Mapping):
        return [] if isinstance(task.get("prompt"), str) else None
    if "type" not in output and "$ref" not in output:
        return list(output)
    properties = output.get("properties")
    return list(properties) if isinstance(properties, Mapping) else None


def _circle(tasks: Mapping[str, Mapping[str, Any]]) -> list[Problem]:
    graph = {task_id: set(needs(tasks, task_id)) for task_id in tasks}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        around = error.args[1]
        shown = " → ".join([*around[:12], "…"] if len(around) > 13 else around)
        path = ("tasks", around[1], *needs(tasks, around[1]).get(around[0], ()))
        return [_problem(path, f"The tasks wait for each other: {shown}.", "Break the circle.")]
    return []
