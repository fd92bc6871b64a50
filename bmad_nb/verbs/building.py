"""The verb that opens the task builder: `build`."""

from __future__ import annotations

from typing import Any

import click

from bmad_nb.errors import UsageProblem
from bmad_nb.verbs.base import Front, bound, out_option
from bmad_nb.verbs.running import SUFFIXES, found, without_body
from bmad_nb.verbs.wishes import allow_python_option


@click.command()
@click.argument("definition", metavar="[NAME|FILE]", required=False)
@allow_python_option
@out_option
@click.pass_obj
def build(front: Front, definition: str | None, out: str | None, *, allow_python: bool) -> Any:
    """Make or change a workflow in a form; a file need not be there yet."""
    without_body(front)
    if front.kind == "shell":
        raise UsageProblem(
            "The task builder is a form for notebooks.",
            hint="Type bmad lab, and there %bmad build; bmad plan FILE shows a workflow here.",
        )
    is_file = definition is not None and definition.lower().endswith(tuple(SUFFIXES))
    meant: Any = definition if definition is None or is_file else found(front, definition)
    return bound(front, front.workspace.build(meant, allow_python=allow_python), out)
