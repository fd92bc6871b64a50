"""What the importers share: their result, names for tasks, and roles in words of our own."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from bmad_nb import documents, parse
from bmad_nb.documents import Document
from bmad_nb.errors import DefinitionError, Problem
from bmad_nb.expressions import RESERVED_NAMES
from bmad_nb.workflow.model import Workflow

MOST_NAME = 48
"""Characters of a name that is made of somebody's words."""
ROLES = {
    "analyst": "You study a market and its users, and say only what evidence supports.",
    "pm": "You are a product manager: you turn needs into requirements that can be tested.",
    "architect": "You are a software architect: you weigh options, and choose the simplest.",
    "po": "You are a product owner: you hold documents against each other and name each gap.",
    "sm": "You plan work: you write stories that one developer can finish without asking.",
    "dev": "You are a developer: you write small, tested changes and say what you left out.",
    "qa": "You are a tester: you look for what breaks, and give the steps that show it.",
    "ux-expert": "You design interfaces: you begin with the user's task and its errors.",
}
"""What an LLM is told of each role."""


@dataclass(frozen=True, slots=True)
class Imported:
    """A workflow that was made of another tool's document."""

    workflow: Workflow
    unmapped: tuple[str, ...]
    """What is in the document and not in the workflow, a sentence each."""


def made(data: Mapping[str, Any], unmapped: list[str], document: Document) -> Imported:
    """Return the workflow that an importer spelled, read as a file of ours is.

    Raises:
        DefinitionError: the document asks for something that no workflow can be, such as more
            tasks than one may have.
    """
    try:
        flow = parse.loads(documents.write(data), document.name)
    except DefinitionError as error:
        found = [each._replace(line=0, column=0) for each in error.problems]
        raise DefinitionError(found, f"{document.name}, as a workflow") from None
    return Imported(flow, tuple(dict.fromkeys(unmapped)))


def slug(words: str, taken: Collection[str] = (), *, instead: str = "step") -> str:
    """Return words as the name of a task or input that is not taken.

    >>> slug("PRD.md (if needed)"), slug("sorted"), slug("a", {"a"})
    ('prd_md_if_needed', 'sorted_step', 'a_2')
    """
    plain = re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")[:MOST_NAME].strip("_")
    if not plain or not plain[0].isalpha():
        plain = f"{instead}_{plain}".strip("_")
    if plain in RESERVED_NAMES:
        plain = f"{plain}_{instead}"
    name, count = plain, 2
    while name in taken:
        name, count = f"{plain}_{count}", count + 1
    return name


def text_of(value: Any, document: Document, path: tuple[Any, ...]) -> str:
    """Return a value as one line of text; nothing is no text.

    Raises:
        DefinitionError: it is a list or a mapping.
    """
    if isinstance(value, list | dict):
        said = f"{path[-1]!r} must be a text here."
        place = document.position(path)
        raise DefinitionError([Problem(*place, said, "Write one line.", path)], document.name)
    return "" if value is None else literal(" ".join(str(value).split()))


def literal(text: str) -> str:
    """Return a text in which nothing is a hole of a prompt."""
    return text.replace("{{", "{ {").replace("}}", "} }")
