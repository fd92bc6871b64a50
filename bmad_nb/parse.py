"""From a text or a file to a workflow, with every problem said at once, by line and column.

Nothing in a document is executed, and nobody is contacted.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bmad_nb import documents
from bmad_nb.documents import Document
from bmad_nb.errors import DefinitionError, Problem, WorkflowError
from bmad_nb.workflow import original_shape, output, references
from bmad_nb.workflow.model import Workflow


def load(path: str | Path) -> Workflow:
    """Return the workflow that a file defines, in our shape or in the original specification's.

    Raises:
        DefinitionError: with every problem, each with line and column.
        WorkflowError: the file cannot be read.
    """
    try:
        content = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise WorkflowError(
            f"{path} cannot be read: {why}.", hint="Give the path of a workflow file."
        ) from None
    return loads(content, str(path))


def loads(text: str | bytes, name: str = "", *, workflow_id: str = "") -> Workflow:
    """Return the workflow that a text defines.

    Args:
        text: YAML.
        name: what problems are said to be in, such as the file's name.
        workflow_id: id of the workflow where the text has none of its own.

    Raises:
        DefinitionError: with every problem, each with line and column.
    """
    document = documents.read(text, name)
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
    """Check the names, expressions and outputs of a workflow that was built in Python.

    Raises:
        DefinitionError: with every problem.
    """
    found = _named_problems(workflow.to_dict())
    if found:
        raise DefinitionError(found, workflow.id)


def _checked(data: Mapping[str, Any], document: Document) -> Workflow:
    found: list[Problem] = []
    places: dict[str, int] = {}
    if original_shape.is_original(data):
        data, problems, places = original_shape.translate(data)
        found += problems
    workflow = None
    try:
        workflow = Workflow(**data)
    except DefinitionError as error:
        found += error.problems
    found += _named_problems(data)
    if found or workflow is None:
        placed = [_placed(problem, document, places) for problem in found]
        raise DefinitionError(sorted(set(placed)), document.name)
    if document.text:
        workflow.read_from(document)
    return workflow


def _named_problems(data: Mapping[str, Any]) -> list[Problem]:
    found = references.check(data)
    tasks = data.get("tasks")
    for task_id, task in tasks.items() if isinstance(tasks, Mapping) else ():
        wanted = task.get("output") if isinstance(task, Mapping) else None
        if isinstance(wanted, Mapping):
            found += output.problems(wanted, ("tasks", task_id, "output"))
    return found


def _placed(problem: Problem, document: Document, places: Mapping[str, int]) -> Problem:
    """Return a problem with its line and column; a wrong key is shown at the key itself."""
    path = problem.path
    if places and path[:1] == ("tasks",) and len(path) > 1 and path[1] in places:
        path = ("tasks", places[path[1]], *path[2:])
    is_key = problem.what.startswith(("There is no key", "'")) or len(path) == 2
    where = document.position(path, key=is_key)
    return problem._replace(line=where.line, column=where.column, path=path)
