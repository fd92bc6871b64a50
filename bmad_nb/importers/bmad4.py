"""Workflows of BMAD v4: agents that create, update and validate documents in sequence.

Documents become results of tasks: who requires one reads it. A condition, which is a name there
and read by an LLM, becomes a task that answers it; what is optional becomes a question to a
person; what repeats is done for each item of a list that a task makes first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bmad_nb import documents
from bmad_nb.documents import Document
from bmad_nb.errors import DefinitionError, Problem
from bmad_nb.importers.base import ROLES, Imported, made, slug, text_of

_TOP = {"id", "name", "description", "sequence"}
_STEP = {"agent", "creates", "updates", "validates", "requires", "action", "condition", "optional",
         "optional_steps", "repeats", "uses", "notes"}  # fmt: skip
_EVERYTHING = re.compile(r"all_(artifacts|documents)\w*|any_\w+")
"""Names that stand for all documents there are."""
_VERBS = ("creates", "updates", "validates")


def is_bmad4(data: Mapping[str, Any]) -> bool:
    """Return whether a document is a workflow of BMAD v4."""
    inner = data.get("workflow")
    return isinstance(inner, dict) and "sequence" in inner


def read(text: str | bytes, name: str = "") -> Imported:
    """Return the workflow that a BMAD v4 document amounts to.

    Args:
        text: its YAML.
        name: what problems are said to be in, such as the file's name.

    Raises:
        DefinitionError: it is no such document; with line and column.
    """
    document = documents.read(text, name)
    if not is_bmad4(document.data):
        hint = "It begins with workflow:, and has sequence: below that."
        raise DefinitionError([Problem(1, 1, "This is no workflow of BMAD v4.", hint)], name)
    return _Reading(document).result()


class _Reading:
    """One document while it is read."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._whole: dict[str, Any] = document.data["workflow"]
        self._tasks: dict[str, dict[str, Any]] = {}
        self._inputs: dict[str, Any] = {"request": {"type": "text"}}
        self._unmapped: list[str] = []
        self._newest: dict[str, list[str]] = {}
        """Tasks that gave a version of each document, the newest first; the last always ran."""
        self._certain: set[str] = set()
        """Documents of which there is a version whatever was left out."""
        self._mapped: set[str] = set()
        self._findings = ""
        """The newest task that held documents against each other."""

    def result(self) -> Imported:
        for key in self._whole:
            if key not in _TOP:
                self._unmapped.append(f"{key}: is for people, or drawn anew.")
        sequence = self._whole["sequence"]
        if not isinstance(sequence, list) or not sequence:
            raise self._wrong(("sequence",), "The sequence must be a list of steps.", "")
        for index, step in enumerate(sequence):
            self._step(step, ("sequence", index))
        if not self._tasks:
            raise self._wrong(("sequence",), "No step of the sequence names an agent.", "")
        title = self._text(("name",))
        data = {
            "workflow": slug(self._text(("id",)) or title or "imported").replace("_", "-"),
            "title": title,
            "description": self._text(("description",)),
            "inputs": self._inputs,
            "strategy": "sequential",
            "tasks": self._tasks,
        }
        return made({k: v for k, v in data.items() if v}, self._unmapped, self._document)

    # --- steps ----------------------------------------------------------------------------------

    def _step(self, step: Any, path: tuple[Any, ...]) -> None:
        if not isinstance(step, dict):
            raise self._wrong(path, "A step must be a mapping.", "Write agent: … in it.")
        if "agent" not in step:
            named = ", ".join(map(str, step)) or "an empty step"
            self._unmapped.append(f"{named}: is advice to a person, and no task.")
            return
        self._unmapped += [f"Step {path[-1] + 1}: {key!r} is not known." for key in step
                           if key not in _STEP]  # fmt: skip
        said = {key: self._text((*path, key)) for key in _STEP - {"requires", "optional_steps"}}
        verb = next((each for each in _VERBS if said[each]), "")
        thing = _thing(said[verb]) if verb else ""
        words = said["action"] or f"{verb.rstrip('s') or 'work'} {thing}"
        title = f"{said['agent']}: {words.replace('_', ' ')}".strip()
        needed = self._required(step, path)
        guards = [*self._asked(said, title), *self._judged(said, needed)]
        helpers = self._helpers(step, path, said["agent"])
        over = self._listed(said, needed)
        name = slug(words, self._taken)
        shown = [*map(self._shown, needed), *map(_aside, helpers)]
        body = ["The request: {{ request }}", _prompt(title, said, verb, thing, over), *shown]
        task = _task(title, said["agent"], "\n\n".join(body), over)
        if verb == "validates":
            verdict = {"verdict": {"enum": ["pass", "concerns", "fail"]}, "findings": ["string"]}
            task["output"] = verdict
        if guards:
            task["when"] = " and ".join(guards)
        if helpers:
            task["join"] = "all_done"  # all of them may have been left out
        else:
            task |= self._joined(needed)
        self._tasks[name] = task
        if over:
            self._mapped.add(name)
        self._gave(name, verb, thing, certain=not guards)

    def _gave(self, name: str, verb: str, thing: str, *, certain: bool) -> None:
        """Remember what a task gives to later steps.

        Args:
            name: the task.
            verb: creates, updates, validates or nothing.
            thing: the document.
            certain: it cannot be left out, so that no older version is ever read.
        """
        if verb == "validates":
            self._findings = name
        elif _EVERYTHING.fullmatch(thing):
            self._unmapped.append(f"{thing}: which these are is not known beforehand, so no later "
                                  f"step reads what {name} gives.")  # fmt: skip
        elif verb:
            self._newest[thing] = [name, *([] if certain else self._newest.get(thing, []))]
            if certain:
                self._certain.add(thing)

    def _asked(self, said: Mapping[str, str], title: str) -> list[str]:
        """Ask a person whether an optional step is wanted; return the condition on the answer."""
        if said["optional"].lower() != "true":
            return []
        name = slug(f"want {said['action'] or title}", self._taken)
        self._tasks[name] = {"approve": {"ask": f"{title}. Do it?", "options": ["do", "leave"]}}
        return [f"{name}.choice == 'do'"]

    def _judged(self, said: Mapping[str, str], needed: list[str]) -> list[str]:
        """Let an LLM answer a condition; return the expression that reads its answer."""
        if not said["condition"]:
            return []
        words = said["condition"].replace("_", " ")
        name = slug(f"is {said['condition']}", self._taken)
        shown = [self._shown(each) for each in needed]
        if self._findings:
            shown.append(f"What a check of them found:\n{{{{ {self._findings}.text }}}}")
        parts = ["The request: {{ request }}", *shown, f"Is it so: {words}?"]
        task: dict[str, Any] = {
            "title": f"Is it so: {words}?",
            "prompt": "\n\n".join(parts),
            "output": {"holds": "boolean"},
        }
        self._tasks[name] = task | self._joined(needed)
        return [f"{name}.holds"]

    def _helpers(self, step: Mapping[str, Any], path: tuple[Any, ...], agent: str) -> list[str]:
        """Make a task that a person may leave out of each of a step's optional steps."""
        found = []
        given = step.get("optional_steps") or []
        for number, _ in enumerate(given if isinstance(given, list) else [given]):
            where = (*path, "optional_steps", number) if isinstance(given, list) else (
                *path, "optional_steps")  # fmt: skip
            words = self._text(where).replace("_", " ")
            (guard,) = self._asked({"optional": "true", "action": words}, f"{agent}: {words}")
            name = slug(words, self._taken)
            self._tasks[name] = {
                "title": f"{agent}: {words}",
                "prompt": f"The request: {{{{ request }}}}\n\nDo this for it: {words}.",
                "when": guard,
            }
            found.append(name)
        return found

    def _listed(self, said: Mapping[str, str], needed: list[str]) -> str:
        """Make the list that a repeated step goes through; return the expression that reads it."""
        if not said["repeats"]:
            return ""
        words = said["repeats"].removeprefix("for_each_").replace("_", " ")
        name = slug(f"list of {words}", self._taken)
        shown = [self._shown(each) for each in needed]
        parts = ["The request: {{ request }}", *shown, f"List each {words} by name."]
        self._tasks[name] = {
            "title": f"What it is done for: each {words}",
            "prompt": "\n\n".join(parts),
            "output": {"names": ["string"]},
        } | self._joined(needed)
        return f"{name}.names"

    # --- documents ------------------------------------------------------------------------------

    def _required(self, step: Mapping[str, Any], path: tuple[Any, ...]) -> list[str]:
        """Return the documents that a step reads, each once; unknown ones become inputs."""
        given = step.get("requires")
        listed = isinstance(given, list)
        places = [(*path, "requires", n) for n in range(len(given or []))] if listed else (
            [(*path, "requires")] if given else [])  # fmt: skip
        names = [_thing(self._text(place)) for place in places]
        verb = next((each for each in ("updates", "validates") if step.get(each)), "")
        if verb:
            names.append(_thing(self._text((*path, verb))))
        found: dict[str, None] = {}
        for name in names:
            if _EVERYTHING.fullmatch(name):
                found |= dict.fromkeys(self._newest)
            elif name in self._newest:
                found[name] = None
            else:
                found[name] = None
                self._newest[name] = []
                self._inputs[self._input(name)] = {"type": "text", "default": ""}
                self._unmapped.append(f"{name}: no step makes it, so it is an input.")
        return list(found)

    def _input(self, name: str) -> str:
        return slug(f"given {name}", self._tasks)

    def _shown(self, name: str) -> str:
        """Return the part of a prompt that shows the newest version of a document."""
        versions = [f"{each}.items" if each in self._mapped else f"{each}.text"
                    for each in self._newest[name]]  # fmt: skip
        if not versions:
            value = self._input(name)
        elif len(versions) == 1 and name in self._certain:
            value = versions[0]
        else:
            given = self._input(name)
            last = given if given in self._inputs else "'There is none.'"
            without = [] if name in self._certain else [last]
            value = f"coalesce({', '.join([*versions, *without])})"
        return f"{name}:\n{{{{ {value} }}}}"

    def _joined(self, needed: list[str]) -> dict[str, str]:
        """Return how a task waits for these documents, of which versions may have been left out."""
        if any(self._newest[each] and each not in self._certain for each in needed):
            return {"join": "all_done"}  # there may be none: that stops nobody who reads it
        if any(len(self._newest[each]) > 1 for each in needed):
            return {"join": "any"}
        return {}

    @property
    def _taken(self) -> set[str]:
        return {*self._tasks, *self._inputs, "piece"}

    # --- words ----------------------------------------------------------------------------------

    def _text(self, path: tuple[Any, ...]) -> str:
        value: Any = self._whole
        for key in path:
            value = value.get(key) if isinstance(value, dict) else value[key]
        if isinstance(value, bool):
            return str(value).lower()
        return text_of(value, self._document, ("workflow", *path))

    def _wrong(self, path: tuple[Any, ...], what: str, hint: str) -> DefinitionError:
        place = self._document.position(("workflow", *path))
        return DefinitionError([Problem(*place, what, hint, path)], self._document.name)


def _thing(words: str) -> str:
    """Return the name of a document without what is said about it in brackets.

    >>> _thing("prd.md (if needed)")
    'prd.md'
    """
    return re.sub(r"\s*\(.*", "", words).strip() or words


def _task(title: str, agent: str, prompt: str, over: str) -> dict[str, Any]:
    """Return a task as an agent does it, for each item of a list if there is one."""
    task: dict[str, Any] = {
        "title": title,
        "type": slug(agent, instead="agent"),
        "system": ROLES.get(agent.split("/", maxsplit=1)[0], f"You work as {agent}."),
        "prompt": prompt,
    }
    if over:
        task["map"] = {"over": over, "as": "piece"}
    return task


def _prompt(title: str, said: Mapping[str, str], verb: str, thing: str, over: str) -> str:
    lines = [f"Your task is this. {title}."]
    if over:
        lines.append("Do it for this one only: {{ piece }}")
    if verb == "updates":
        lines.append(f"Give {thing} anew and whole, with what has to change.")
    if verb == "validates":
        lines.append("Say pass, concerns or fail, and each thing that you found.")
    if said["uses"]:
        lines.append(f"Go by: {said['uses'].replace('-', ' ')}.")
    if said["notes"]:
        lines.append(f"Mind: {said['notes']}")
    return "\n".join(lines)


def _aside(name: str) -> str:
    """Return the part of a prompt that shows what an optional step gave, if it was done."""
    return f"{{{{ coalesce({name}.text, '') }}}}"
