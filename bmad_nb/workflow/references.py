"""Who reads whom: the names in a definition's texts and expressions, and what is wrong with them.

It looks at plain data, not at the model, so that a document with a wrong key still gets all its
problems said at once.
"""

from __future__ import annotations

import graphlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from bmad_nb import expressions, prompts
from bmad_nb.errors import Problem, TemplateError
from bmad_nb.workflow import output
from bmad_nb.workflow.hints import guess, listed
from bmad_nb.workflow.words import Key, Path

_FIELDS = """
    output text value score items errors error state llm cost_usd latency_s degraded choice comment
    by iterations threshold_met agreement dissent members vote_share contributors reviews
"""
RESULT_FIELDS = frozenset(_FIELDS.split())
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


_TEXTS: tuple[tuple[str, bool, tuple[str, ...]], ...] = (
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
    ("refine.judge.route.accept", False, _SCORED),
    ("refine.prompt", True, (*_SCORED, "comment")),
    ("route.accept", False, _SCORED),
    ("checks.*.that", False, _SCORED),
    ("checks.*.grounded", False, _SCORED),
    ("checks.*.tests", True, _SCORED),
    ("checks.*.judge", False, _SCORED),
    ("checks.*.judge.that", False, _SCORED),
    ("checks.*.judge.rubric", True, _SCORED),
    ("checks.*.judge.route.accept", False, _SCORED),
    ("checkpoint.*.that", False, ("run", *_SCORED)),
    ("collaborate.judge", False, _ANSWER),
    ("collaborate.judge.that", False, _ANSWER),
    ("collaborate.judge.rubric", True, _ANSWER),
    ("collaborate.judge.route.accept", False, _SCORED),
    ("collaborate.synthesizer.accept", False, _SCORED),
    ("collaborate.strong.accept", False, _SCORED),
    ("collaborate.experts.*.when", False, ()),
    ("collaborate.experts.*.route.accept", False, _SCORED),
    ("reduce.prompt", True, ("items", "errors")),
    ("approve.ask", True, ()),
    ("approve.show", False, ()),
    ("fallback.*.prompt", True, ()),
    ("fallback.*.human", True, ()),
    ("fallback.*.route.accept", False, _SCORED),
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


def check(data: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what is wrong with the names of a definition: unknown, reserved, or in a circle."""
    yield from _checked_ids(data)
    everything = _mapping(data, "tasks")
    tasks = {key: task for key, task in everything.items() if isinstance(task, Mapping)}
    if "tasks" not in data or everything == data["tasks"] == {}:
        path = ("tasks",) if "tasks" in data else ()
        yield _problem(path, "The workflow has no tasks.", "Add one under tasks:.")
    sound = True
    for where, place, task_id in _all_places(data, tasks):
        for problem in _checked_place(data, tasks, place, task_id, where):
            sound = False
            yield problem
    for task_id in tasks:
        for problem in _checked_needs(task_id, tasks, everything):
            sound = False
            yield problem
    if sound:
        yield from _circle(tasks)


def _all_places(
    data: Mapping[str, Any], tasks: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[Path, Place, str | None]]:
    """Yield every text that reads names, with its path from the root, and its task if any."""
    for task_id, task in tasks.items():
        for place in places(task):
            yield ("tasks", task_id, *place.path), place, task_id
    for path, text in _at(data, ["outputs", "*"], ()):
        yield path, Place(path, text, is_template=False), None
    for path, text in _at(data, ["defaults", "route", "accept"], ()):
        yield path, Place(path, text, is_template=False, local=_SCORED), None


def _problem(path: Path, what: str, hint: str = "") -> Problem:
    return Problem(0, 0, what, hint, path)


def _mapping(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = data.get(key)
    return value if isinstance(value, Mapping) else {}


def _checked_ids(data: Mapping[str, Any]) -> Iterator[Problem]:
    inputs, tasks = _mapping(data, "inputs"), _mapping(data, "tasks")
    for kind in ("inputs", "tasks"):
        for name in _mapping(data, kind):
            if name in expressions.RESERVED_NAMES:
                hint = f"Take another name, such as {name}_1."
                said = f"{name!r} has a meaning of its own in expressions."
                yield _problem((kind, Key(name)), said, hint)
            elif kind == "tasks" and name in inputs:
                said = f"{str(name)[:60]!r} is an input and a task."
                yield _problem((kind, Key(name)), said, "Rename one.")
    for task_id, task in tasks.items():
        item = _mapping(task, "map").get("as") if isinstance(task, Mapping) else None
        if not isinstance(item, str) or item == "item":
            continue
        if item in {"index", *expressions.RESERVED_NAMES} or item in inputs or item in tasks:
            path = ("tasks", task_id, "map", "as")
            yield _problem(path, f"{item[:60]!r} has a meaning already.", "Take another name.")


def _checked_needs(
    task_id: str, tasks: Mapping[str, Mapping[str, Any]], everything: Mapping[str, Any]
) -> Iterator[Problem]:
    for name, path in needs(tasks, task_id).items():
        where = ("tasks", task_id, *path)
        if name == task_id:
            yield _problem(where, f"Task {task_id[:60]!r} needs itself.", "Remove that.")
        elif name not in everything:
            near = guess(name, (t for t in everything if t != task_id))
            hint = f"Did you mean {near!r}?" if near else f"Tasks: {_few(everything)}."
            yield _problem(where, f"There is no task {name[:60]!r}.", hint)


def _few(names: Mapping[str, Any]) -> str:
    return listed(sorted(str(name)[:60] for name in names))


def _checked_place(
    data: Mapping[str, Any],
    tasks: Mapping[str, Mapping[str, Any]],
    place: Place,
    task_id: str | None,
    where: Path,
) -> Iterator[Problem]:
    inputs, everything = _mapping(data, "inputs"), _mapping(data, "tasks")
    try:
        found = read(place)
    except TemplateError as error:
        yield _problem(where, error.what, error.hint)
        return
    for path in found:
        name = path[0]
        if name in tasks and name != task_id:
            yield from _unknown_field(where, tasks[name], path)
        elif name not in inputs and name not in everything:
            near = guess(name, (*place.local, *inputs, *(t for t in everything if t != task_id)))
            hint = f"Did you mean {near!r}?" if near else (
                f"Inputs: {_few(inputs)}. Tasks: {_few(everything)}."
            )  # fmt: skip
            yield _problem(where, f"There is no input or task {name[:60]!r}.", hint)


def _unknown_field(
    where: Path, task: Mapping[str, Any], path: tuple[str, ...]
) -> Iterator[Problem]:
    """Say that a field is read which the task's declared output does not have."""
    fields = fields_of(task)
    if len(path) < 2 or fields is None or path[1] in fields or path[1] in RESULT_FIELDS:
        return
    near = guess(path[1], [*fields, *sorted(RESULT_FIELDS)])
    hint = f"Did you mean {path[0]}.{near}?" if near else (
        f"Its fields: {listed(fields)}." if fields else "It declares no output with fields."
    )  # fmt: skip
    said = f"Task {path[0][:60]!r} has no field {path[1][:60]!r}."
    yield _problem(where, said, hint)


def fields_of(task: Mapping[str, Any]) -> list[str] | None:
    """Return the fields that a task's result is known to have; None where anything may come."""
    if isinstance(task.get("set"), Mapping):
        return list(task["set"])
    if isinstance(task.get("approve"), Mapping):
        return list(_mapping(task["approve"], "form"))
    declared = task.get("output")
    if not isinstance(declared, Mapping):
        answers = any(isinstance(task.get(key), str | list) for key in ("prompt", "messages"))
        return [] if answers and declared is None else None
    schema = output.schema_of(declared)
    properties = schema.get("properties")
    return list(properties) if isinstance(properties, Mapping) else None


def _circle(tasks: Mapping[str, Mapping[str, Any]]) -> Iterator[Problem]:
    graph = {task_id: needs(tasks, task_id) for task_id in tasks}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        around = error.args[1]
        shown = " → ".join([*around[:12], "…"] if len(around) > 13 else around)
        path = ("tasks", around[1], *graph[around[1]].get(around[0], ()))
        yield _problem(path, f"The tasks wait for each other: {shown}.", "Break the circle.")
