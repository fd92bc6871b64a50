"""The templates by name, what can be set in them, and the document that this makes.

A template is a workflow document like any other. What can be set are the defaults of its inputs,
the places that `metadata.parameters` names, `llm` (who does the tasks that name nobody) and
`max_tokens`.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bmad_nb import documents, parse
from bmad_nb.errors import UnknownName
from bmad_nb.workflow import inputs
from bmad_nb.workflow.model import Workflow

NAMES = (
    "code-generation", "code-review", "documentation-creation", "testing-strategy",
    "requirement-analysis", "architecture-design", "pattern-identification", "decision-support",
    "knowledge-extraction", "knowledge-synthesis", "knowledge-validation", "knowledge-application",
    "bmad-greenfield-service", "bmad-story-cycle",
)  # fmt: skip
_FOLDER = Path(__file__).parent
_KINDS = {bool: "boolean", int: "integer", float: "number", str: "text", list: "list",
          dict: "object"}  # fmt: skip
Place = tuple[str | int, ...]
"""Keys from the root of a document down to a value."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """Something that can be set in a template."""

    name: str
    kind: str
    """Its type, as inputs declare theirs."""
    description: str
    default: Any
    """What stands there; None where nothing does."""
    places: tuple[Place, ...]
    """Where its value is written."""
    enum: list[Any] | None = None
    """The values that it may have; None for any of its type."""

    def read(self, text: str) -> Any:
        """Return a value that was typed as text.

        Raises:
            UsageProblem: it is none of this type, or none of the allowed ones.
        """
        declared = {"type": self.kind} | ({"enum": self.enum} if self.enum else {})
        probe = Workflow("probe", inputs={self.name: declared})
        return inputs.bound(probe, inputs.typed(probe, {self.name: text}))[self.name]


def text_of(name: str) -> str:
    """Return the document of a template.

    Raises:
        UnknownName: there is no such template.
    """
    if name not in NAMES:
        raise UnknownName("template", name, NAMES)
    return (_FOLDER / f"{name}.yaml").read_text("utf-8")


def workflow(name: str) -> Workflow:
    """Return the workflow of a template.

    Raises:
        UnknownName: there is no such template.
    """
    return parse.loads(text_of(name), f"{name}.yaml")


def parameters(name: str) -> dict[str, Parameter]:
    """Return what can be set in a template: inputs, further places, `llm`, `max_tokens`.

    Raises:
        UnknownName: there is no such template.
    """
    return _parameters(workflow(name))


def _parameters(flow: Workflow) -> dict[str, Parameter]:
    data = flow.source.data if flow.source else {}
    found = [
        Parameter(key, each.type, each.description, each.default,
                  (("inputs", key, "default"),), each.enum)
        for key, each in flow.inputs.items()
    ]  # fmt: skip
    for key, said in flow.metadata.get("parameters", {}).items():
        at = said["at"] if isinstance(said["at"][0], list) else [said["at"]]
        default = _at(data, tuple(at[0]))
        kind = "text" if default is None else _KINDS[type(default)]
        found.append(Parameter(key, kind, said["description"], default, tuple(map(tuple, at))))
    about = "the LLM of all tasks that name none; without it your own default does them"
    whole = Parameter("llm", "text", about, None, (("defaults", "route"),))
    room: Place = ("defaults", "params", "max_tokens")
    about = "the most tokens of an answer; LLMs that reason need more"
    most = Parameter("max_tokens", "integer", about, _at(data, room), (room,))
    return {each.name: each for each in (whole, *found, most)}  # `llm` may say more of its own


def customised(name: str, values: Mapping[str, Any]) -> str:
    """Return the document of a template with other values in it; comments and layout stay.

    Args:
        name: the template.
        values: by the name of a parameter.

    Raises:
        UnknownName: there is no such template, or no such parameter in it.
        DefinitionError: with these values it would be no sound workflow.
    """
    text = text_of(name)
    flow = workflow(name)
    known, data = _parameters(flow), copy.deepcopy(flow.source.data if flow.source else {})
    for key, value in values.items():
        if key not in known:
            raise UnknownName("parameter", key, known)
        for place in known[key].places:
            _around(data, place)[place[-1]] = value
    if not values:
        return text
    made = documents.rewrite(text, data)
    parse.loads(made, f"{name}.yaml")
    return made


def _around(data: Any, place: Place) -> Any:
    """Return the collection in which a place lies."""
    for key in place[:-1]:
        data = data[key]
    return data


def _at(data: Any, place: Place) -> Any:
    """Return the value at a place of a document; None where nothing stands there."""
    around = _around(data, place)
    return around.get(place[-1]) if isinstance(around, dict) else around[place[-1]]
