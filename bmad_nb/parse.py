"""From a text or a file to a workflow, with every problem said at once, by line and column.

Nothing in a document is executed, and nobody is contacted.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bmad_nb import documents
from bmad_nb.documents import Document
from bmad_nb.errors import DefinitionError, Problem, WorkflowError
from bmad_nb.workflow import original_shape, output, references, rules
from bmad_nb.workflow.model import Workflow
from bmad_nb.workflow.words import Key

MOST_PROBLEMS = 100
"""Problems of names and rules that are said at once."""


def load(path: str | Path) -> Workflow:
    """Return the workflow that a file defines, in our shape or in the original specification's.

    Raises:
        DefinitionError: with every problem, each with line and column.
        WorkflowError: the file cannot be read.
    """
    return loads(content_of(path), str(path))


def content_of(path: str | Path) -> bytes:
    """Return the content of a file, one byte more than a document may have at most.

    Raises:
        WorkflowError: it cannot be read.
    """
    try:
        return _start_of(Path(path))
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise WorkflowError(
            f"{path} cannot be read: {why}.", hint="Give the path of a workflow file."
        ) from None


def beside(flow: Workflow, name: str) -> Workflow | None:
    """Return the workflow with this id from a document in the folder of another's, or None.

    Raises:
        DefinitionError: it is there, and wrong.
    """
    folder = Path(flow.source.name).parent if flow.source and flow.source.name else None
    if folder is None or not folder.is_dir():
        return None
    first = re.compile(rf"^workflow:\s*[\"']?{re.escape(name)}[\"']?\s*(#.*)?$", re.MULTILINE)
    for path in sorted((*folder.glob("*.yaml"), *folder.glob("*.yml"))):
        small = path.is_file() and path.stat().st_size <= documents.MAX_BYTES
        if small and first.search(path.read_text(encoding="utf-8", errors="replace")):
            found = load(path)
            if found.id == name:
                return found
    return None


def _start_of(path: Path) -> bytes:
    if path.exists() and not path.is_file():  # a pipe would never end
        raise ValueError("it is not a file")
    with path.open("rb") as file:
        return file.read(documents.MAX_BYTES + 1)


def loads(text: str | bytes, name: str = "", *, workflow_id: str = "") -> Workflow:
    """Return the workflow that a text defines.

    Args:
        text: YAML.
        name: what problems are said to be in, such as the file's name.
        workflow_id: id of the workflow where the text has none of its own.

    Raises:
        DefinitionError: with every problem, each with line and column.
    """
    return understood(documents.read(text, name), workflow_id=workflow_id)


def understood(document: Document, *, workflow_id: str = "") -> Workflow:
    """Return the workflow that a document defines, once it has been read; see `loads`.

    Raises:
        DefinitionError: with every problem, each with line and column.
    """
    data = document.data
    if workflow_id and "workflow" not in data and not original_shape.is_original(data):
        data = {"workflow": workflow_id, **data}
    return _checked(data, document)


def from_dict(data: Mapping[str, Any], name: str = "") -> Workflow:
    """Return the workflow that plain data defines, such as a stored run's.

    Raises:
        DefinitionError: with every problem.
    """
    return _checked(data, Document(dict(data), "", name, {}))


def check(workflow: Workflow) -> None:
    """Check the names, rules, expressions and outputs of a workflow that was built in Python.

    Raises:
        DefinitionError: with every problem.
    """
    spelled = workflow.to_dict()
    documents.check(spelled)
    found = list(itertools.islice(_named_problems(spelled), MOST_PROBLEMS))
    if found:
        raise DefinitionError([_placed(each, workflow.source) for each in found], workflow.id)


def _checked(data: Mapping[str, Any], document: Document) -> Workflow:
    found: list[Problem] = []
    original = original_shape.is_original(data)
    if original:
        translation = original_shape.translate(data)
        data, found = translation.data, list(translation.problems)
    workflow = None
    ours: list[Problem] = []
    try:
        workflow = Workflow(**data)
    except DefinitionError as error:
        ours += error.problems
    ours += itertools.islice(_named_problems(data), MOST_PROBLEMS)
    if original:
        ours = [translation.told(problem) for problem in ours]
    found += ours
    if found or workflow is None:
        placed = {_placed(problem, document) for problem in found}
        raise DefinitionError(sorted(placed, key=lambda each: each[:4]), document.name)
    if document.text:
        workflow.read_from(document)
    return workflow


def _named_problems(data: Mapping[str, Any]) -> Iterator[Problem]:
    yield from references.check(data)
    yield from rules.check(data)
    tasks = data.get("tasks")
    for task_id, task in tasks.items() if isinstance(tasks, Mapping) else ():
        wanted = task.get("output") if isinstance(task, Mapping) else None
        if isinstance(wanted, Mapping):
            yield from output.problems(wanted, ("tasks", task_id, "output"))


def _placed(problem: Problem, document: Document | None) -> Problem:
    """Return a problem with its line and column; a wrong key is shown at the key itself."""
    path = problem.path
    is_key = bool(path) and isinstance(path[-1], Key)
    where = document.position(path, key=is_key) if document is not None else (0, 0)
    plain = tuple(str(step) if isinstance(step, Key) else step for step in path)
    return problem._replace(line=where[0], column=where[1], path=plain)
