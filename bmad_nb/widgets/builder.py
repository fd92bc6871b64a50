"""The task builder: a workflow that is made, changed, tried and taken away in a cell."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bmad_nb import documents
from bmad_nb.errors import BmadError, UnknownName, UsageProblem
from bmad_nb.render import form
from bmad_nb.render.form import Said
from bmad_nb.runs.planned import Planned
from bmad_nb.widgets.around import is_live
from bmad_nb.widgets.draft import Draft, starter
from bmad_nb.widgets.making import SUFFIXES, Making, problems_by_task
from bmad_nb.widgets.sheet import Sheet
from bmad_nb.widgets.sketch import graph
from bmad_nb.workflow.model import Workflow
from bmad_nb.workspace import Workspace, default_workspace


class Builder(Making):
    """The task builder: a form for a workflow.

    The last expression of a cell shows it. In a saved notebook, and where nobody sits before the
    kernel, the definition stands there as it is. What the form does can be done from Python too:
    `text`, `problems`, `workflow`, `plan()`, `run()`, `save()`, `to_yaml()`, `to_cell()` and
    `to_python()`; `last_run` is the run that was made here last.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        """Make no widget yet: that is done when the form is first shown."""
        super().__init__(*args, **options)
        self._sheet: Sheet | None = None
        self._making = threading.Lock()

    @property
    def form(self) -> Sheet:
        """The form; its widgets are made when it is first asked for."""
        with self._making:
            if self._sheet is None:
                self._sheet = Sheet(self)
            return self._sheet

    def _planned(self) -> Planned | None:
        try:
            return None if self.draft.workflow is None else self.plan()
        except BmadError:
            return None

    def static(self) -> dict[str, Any]:
        """Return the definition as a saved notebook shows it."""
        planned = self._planned()
        view = None if planned is None else planned.view()
        problems = self.problems
        counts = problems_by_task(Said("", each) for each in problems)
        drawn = graph(self.id, self.draft.tasks, counts)
        html = form.definition_html(self.id, view, drawn, self.text, problems)
        text = form.definition_text(self.id, view, self.text, problems)
        return {"text/plain": text, "text/html": html}

    def _repr_mimebundle_(self, **_wanted: Any) -> dict[str, Any]:
        """Return the form where somebody can use it, and the definition for all others."""
        bundle = self.static()
        if not is_live():
            return bundle
        live = self.form.box._repr_mimebundle_()
        data = live[0] if isinstance(live, tuple) else live
        return {**(data or {}), **bundle}

    def __repr__(self) -> str:
        """Return the definition as plain text, safe on a terminal."""
        return str(self.static()["text/plain"])


def build(
    workflow: Workflow | str | Path | None = None,
    *,
    workspace: Workspace | None = None,
    inputs: Mapping[str, Any] | None = None,
    allow_python: bool = False,
) -> Builder:
    """Open the task builder: a form that makes or changes a workflow, shows its plan and runs it.

    Args:
        workflow: a `Workflow`, the id of one that was defined here, or the path of a file, which
            may be broken or not be there yet; None begins a new one.
        workspace: plans and runs it; the default one if None.
        inputs: values of inputs that cannot be typed into a field, such as a DataFrame.
        allow_python: lets a run import and call what `python` tasks name.

    Raises:
        UnknownName: no workflow has this id.
        WorkflowError: the file cannot be read.
        DefinitionError: a task calls a function that no text can name.
    """
    space = default_workspace() if workspace is None else workspace
    draft = _draft_of(workflow, space)
    return Builder(draft, space, inputs=inputs, allow_python=allow_python)


def _draft_of(workflow: Workflow | str | Path | None, space: Workspace) -> Draft:
    if workflow is None:
        return Draft(starter("untitled"))
    if isinstance(workflow, str) and workflow in space.workflows:
        workflow = space.workflows[workflow]
    if isinstance(workflow, Workflow):
        return _of_workflow(workflow)
    if not isinstance(workflow, str | Path):
        kind = type(workflow).__name__
        raise UsageProblem(
            f"A {kind} is no workflow.", hint="Give a Workflow, the path of a file or an id."
        )
    path = Path(workflow)
    if path.suffix.lower() not in SUFFIXES:
        raise UnknownName("workflow or workflow file (.yaml, .yml, .json)", str(workflow),
                          space.workflows)  # fmt: skip
    return Draft.of_file(path)


def _of_workflow(flow: Workflow) -> Draft:
    """Return the draft of a workflow: of its file where it was read from one and still is as that.

    Raises:
        DefinitionError: a task calls a function that no text can name.
    """
    text = flow.to_yaml()
    name = flow.source.name if flow.source is not None else ""
    if Path(name).suffix.lower() in SUFFIXES and Path(name).is_file():
        found = Draft.of_file(Path(name))
        if documents.same(found.data, flow.source.data if flow.source else None):
            found.write(text)
            return found
    return Draft(text)
