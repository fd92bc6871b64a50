"""Keys that contradict each other, or say nothing where they stand.

Like `references`, it looks at plain data, so that all problems are said at once. What a JSON Schema
can say of these rules is said by `model.json_schema` from the same tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bmad_nb.errors import Problem
from bmad_nb.workflow.hints import guess, listed
from bmad_nb.workflow.values import VERBS
from bmad_nb.workflow.words import Key, Path, called, given

_ASKING = ("prompt", "messages", "reduce")
TAKEN_BY: dict[str, tuple[str, ...]] = {
    "system": _ASKING,
    "llm": (*_ASKING, "workflow"),
    "route": (*_ASKING, "workflow"),
    "params": (*_ASKING, "workflow"),
    "refine": _ASKING,
    "collaborate": _ASKING,
    "output": (*_ASKING, "python", "workflow"),
    "with": ("python", "workflow"),
    "retry": (*_ASKING, "python", "workflow"),
    "timeout": (*_ASKING, "python", "workflow"),
}
"""Keys of a task that only some verbs take."""
ONE_OF: dict[str, tuple[str, ...]] = {
    "fallback": ("route", "prompt", "value", "human", "stored", "skip"),
    "judge": ("that", "rubric", "python"),
    "reduce": ("prompt", "python"),
}
"""Parts that have exactly one of these keys."""
_MEMBERS = ("models", "n", "diverse", "quorum")
_VOTING = (
    *_MEMBERS, "method", "field", "answers", "threshold", "rounds", "stop_early", "judge",
    "weights", "synthesizer", "on_disagree",
)  # fmt: skip
COLLABORATIONS: dict[str, tuple[str, ...]] = {
    "vote": _VOTING, "consensus": _VOTING, "debate": _VOTING, "ensemble": _VOTING,
    "best_of_n": (*_MEMBERS, "threshold", "judge"),
    "peer_review": ("models", "n", "diverse", "rounds"),
    "expert": ("experts",),
    "cascade": ("models", "n", "diverse", "field", "answers", "threshold", "strong"),
}  # fmt: skip
"""Keys of a collaboration that mean something, by its type."""
DEFAULT_METHODS = {"ensemble": "synthesis", "debate": "judge"}
"""How answers become one where no method is named; else by majority, or by their weights."""
INPUT_KINDS: dict[str, tuple[Any, str]] = {
    "string": (str, "a text"),
    "text": (str, "a text"),
    "file": (str, "the path of a file"),
    "integer": (int, "a whole number"),
    "number": ((int, float), "a number"),
    "boolean": (bool, "true or false"),
    "list": (list, "a list"),
    "object": (dict, "a mapping"),
}
"""Types of inputs: the types of Python, and their words."""


def fits(value: Any, kind: str) -> bool:
    """Return whether a value has the type that an input declares; true is no number."""
    is_flag = isinstance(value, bool) and kind != "boolean"
    return isinstance(value, INPUT_KINDS[kind][0]) and not is_flag


def check(data: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what contradicts in a definition; what has a wrong type is left to the model."""
    for name, declared in _items(data.get("inputs")):
        if isinstance(declared, Mapping):
            yield from _input(declared, ("inputs", name))
    yield from _route(_mapping(data.get("defaults")).get("route"), ("defaults", "route"))
    for task_id, task in _items(data.get("tasks")):
        if isinstance(task, Mapping):
            path = ("tasks", task_id)
            yield from _verb(task, path)
            yield from _task(task, path)
            yield from _parts(task, path)
            yield from _approve(task.get("approve"), (*path, "approve"))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _items(value: Any) -> Iterator[tuple[str, Any]]:
    yield from _mapping(value).items()


def _list(value: Any) -> Iterator[tuple[int, Any]]:
    yield from enumerate(value if isinstance(value, list) else ())


def _problem(path: Path, what: str, hint: str = "") -> Problem:
    return Problem(0, 0, what, hint, path)


def _verb(task: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    there = [verb for verb in VERBS if task.get(verb) is not None]
    hint = f"A task has exactly one of: {', '.join(VERBS)}."
    if not there:
        yield _problem((*path[:-1], Key(path[-1])), f"Task {called(path)} has no verb.", hint)
    elif len(there) > 1:
        written = [key for key in task if key in there]
        said = f"Task {called(path)} has {' and '.join(written)}."
        yield _problem((*path, Key(written[1])), said, hint)
    for key, verbs in TAKEN_BY.items():
        if len(there) == 1 and there[0] not in verbs and task.get(key) is not None:
            said = f"{key!r} says nothing in a task with {there[0]!r}."
            yield _problem((*path, Key(key)), said, f"Only these take it: {', '.join(verbs)}.")


def _task(task: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    if "else" in task and task.get("when") is None:
        said = "'else' has no 'when' that could be false."
        yield _problem((*path, Key("else")), said, "Add when: …, or remove it.")
    route = task.get("route")
    names_models = isinstance(route, str) or _mapping(route).get("models")
    if task.get("llm") is not None and names_models:
        said = "'llm' and 'route' both name LLMs."
        yield _problem((*path, Key("llm")), said, "Keep one of them.")
    yield from _twice(task.get("needs"), (*path, "needs"))


def _twice(value: Any, path: Path) -> Iterator[Problem]:
    seen = set()
    for index, each in _list(value):
        if isinstance(each, str):
            if each in seen:
                said = f"{each[:60]!r} stands in {path[-1]!r} twice."
                yield _problem((*path, index), said, "Remove one.")
            seen.add(each)


def _parts(task: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    yield from _one_of(task.get("reduce"), "reduce", (*path, "reduce"))
    for index, rung in _list(task.get("fallback")):
        yield from _one_of(rung, "fallback", (*path, "fallback", index))
        yield from _route(_mapping(rung).get("route"), (*path, "fallback", index, "route"))
    for index, check in _list(task.get("checks")):
        yield from _check(check, (*path, "checks", index))
    for key in ("refine", "collaborate"):
        yield from _one_of(_mapping(task.get(key)).get("judge"), "judge", (*path, key, "judge"))
    yield from _route(task.get("route"), (*path, "route"))
    yield from _collaborate(task.get("collaborate"), (*path, "collaborate"))


def _one_of(value: Any, part: str, path: Path) -> Iterator[Problem]:
    if not isinstance(value, Mapping):
        return
    keys = ONE_OF[part]
    there = [key for key in keys if key in value and (value[key] is not None or key == "value")]
    if len(there) != 1:
        has = " and ".join(there) or "none of its keys"
        said = f"{called(path)} has {has}."
        yield _problem(path, said, f"It has exactly one of: {', '.join(keys)}.")


def _check(check: Any, path: Path) -> Iterator[Problem]:
    if not isinstance(check, Mapping):
        return
    judge = check.get("judge")
    if all(check.get(key) is None for key in ("that", "judge", "grounded", "tests")):
        hint = "Add that: …, judge: …, grounded: … or tests: …."
        yield _problem(path, f"{called(path)} checks nothing.", hint)
    elif check.get("min") is not None and judge is None:
        said = "'min' has no 'judge' whose score it could be."
        yield _problem((*path, Key("min")), said, "Add judge: …, or remove it.")
    yield from _one_of(judge, "judge", (*path, "judge"))


def _route(route: Any, path: Path) -> Iterator[Problem]:
    if not isinstance(route, Mapping) or route.get("cascade") is not None:
        return
    if route.get("policy") == "cascade":
        said = "The policy 'cascade' has no LLMs to go through."
        yield _problem((*path, "policy"), said, "Add cascade: [the cheapest, …].")
    if route.get("accept") is not None:
        said = "'accept' has no 'cascade' that it could end."
        yield _problem((*path, Key("accept")), said, "Add cascade: …, or remove it.")


def _collaborate(part: Any, path: Path) -> Iterator[Problem]:
    if not isinstance(part, Mapping):
        return
    kind = part.get("type")
    if kind == "expert" and not part.get("experts"):
        said = "An expert consultation has no experts."
        yield _problem((*path, "type"), said, "Add experts: {name: {role: …}}.")
    if not isinstance(kind, str) or kind not in COLLABORATIONS:
        return
    known = {"type", "anonymous", *COLLABORATIONS[kind]}
    for key in part:
        if key not in known and part[key] not in (None, [], {}):
            said = f"{key!r:.60} says nothing in a collaboration of type {kind!r}."
            more = f"It takes {listed(sorted(COLLABORATIONS[kind]))}."
            yield _problem((*path, Key(key)), said, f"Remove it. {more}")
    yield from _method(part, path)


def _method(part: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    """Yield keys that do not go with how answers become one."""
    default = DEFAULT_METHODS.get(part["type"], "weighted" if part.get("weights") else "majority")
    method = part.get("method") or default
    if not isinstance(method, str):
        return  # its type is said elsewhere
    judges = method == "judge" or part.get("on_disagree") == "judge"
    if part.get("weights") and method != "weighted":
        said = f"'weights' says nothing to the method {method!r:.60}."
        yield _problem((*path, Key("weights")), said, "Write method: weighted, or remove it.")
    if part.get("stop_early") and method not in {"majority", "weighted"}:
        said = f"'stop_early' says nothing to the method {method!r:.60}, which needs all answers."
        yield _problem((*path, Key("stop_early")), said, "Remove it.")
    if part.get("synthesizer") and method != "synthesis":
        said = f"'synthesizer' says nothing to the method {method!r:.60}."
        yield _problem((*path, Key("synthesizer")), said, "Write method: synthesis, or remove it.")
    if part.get("judge") is None or part["type"] == "best_of_n":
        return
    if not judges:
        said = "'judge' is never asked."
        yield _problem((*path, Key("judge")), said, "Write method: judge or on_disagree: judge.")
    elif isinstance(part["judge"], Mapping) and part["judge"].get("rubric") is None:
        said = "A judge that chooses among answers needs a rubric."
        yield _problem((*path, "judge"), said, "Write judge: {rubric: …}.")


def _approve(approve: Any, path: Path) -> Iterator[Problem]:
    if not isinstance(approve, Mapping):
        return
    yield from _twice(approve.get("options"), (*path, "options"))
    chosen, options = approve.get("on_timeout"), approve.get("options", ["yes", "no"])
    if chosen is not None and approve.get("timeout") is None:
        said = "'on_timeout' has no 'timeout' that could pass."
        yield _problem((*path, Key("on_timeout")), said, "Add timeout: …, or remove it.")
    if isinstance(chosen, str) and isinstance(options, list) and chosen not in options:
        words = [each for each in options if isinstance(each, str)]
        near = guess(chosen, words)
        hint = f"Did you mean {near!r}?" if near else f"Options: {listed(words)}."
        yield _problem((*path, "on_timeout"), f"{chosen[:60]!r} is not an option.", hint)


def _input(declared: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    kind, values = declared.get("type"), declared.get("enum")
    if not isinstance(kind, str) or kind not in INPUT_KINDS:
        return
    if kind == "file" and "default" in declared:
        said = "An input that is a file cannot have a default."
        yield _problem((*path, Key("default")), said, "Give its path for each run.")
        return
    for index, each in _list(values):
        if not fits(each, kind):
            where = (*path, "enum", index)
            said = f"{called(where)} must be {INPUT_KINDS[kind][1]}, not {given(each)}."
            yield _problem(where, said)
    if "default" in declared and not fits(declared["default"], kind):
        said = f"'default' must be {INPUT_KINDS[kind][1]}, not {given(declared['default'])}."
        yield _problem((*path, "default"), said)
    elif "default" in declared and isinstance(values, list) and declared["default"] not in values:
        said = f"The default {declared['default']!r:.60} is not in 'enum'."
        yield _problem((*path, "default"), said, "Add it there, or choose another.")
