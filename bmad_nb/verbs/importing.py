"""`bmad workflow import`: a document of another tool, as a workflow of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bmad_nb import documents, parse
from bmad_nb.errors import UsageProblem
from bmad_nb.importers import bmad4, stories
from bmad_nb.importers.base import Imported
from bmad_nb.results import Text
from bmad_nb.verbs.base import Front, json_option, shown
from bmad_nb.verbs.running import without_body


@click.command("import")
@click.argument("file", metavar="FILE")
@click.option("--bmad4", "kind", flag_value="bmad4", help="it is a workflow of BMAD v4")
@click.option("--stories", "kind", flag_value="stories", help="it is a stories.yaml of BMAD")
@click.option("-o", "--out", metavar="FILE", help="where it is written; else it is shown")
@click.option("--force", is_flag=True, help="write over a file that is there")
@json_option
@click.pass_obj
def import_(
    front: Front, file: str, kind: str | None, out: str | None, *, force: bool, as_json: bool
) -> Any:
    """Make a workflow of a document of BMAD, and say what could not be taken over."""
    without_body(front)
    found = _read(file, kind)
    text = found.workflow.to_yaml()
    said = [f"Not taken over: {each}" for each in found.unmapped]
    facts: dict[str, Any] = {
        "file": out, "tasks": len(found.workflow.tasks), "unmapped": list(found.unmapped)
    }  # fmt: skip
    if out is None:
        lines = [text.rstrip(), *(f"# {each}" for each in said)]
        made = Text("\n".join(lines), {**facts, "definition": found.workflow.to_dict()})
        return shown(made, as_json=as_json)
    _write(out, text, force=force)
    count = facts["tasks"]
    first = f"{out}: {count} task{'s' * (count != 1)}. Next: bmad plan {out}"
    return shown(Text("\n".join([first, *said]), facts), as_json=as_json)


def _write(out: str, text: str, *, force: bool) -> None:
    """Write a file.

    Raises:
        UsageProblem: it is there already, or cannot be written.
    """
    try:
        with Path(out).open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        hint = "Give another name, or --force."
        raise UsageProblem(f"{out} is there already.", hint=hint) from None
    except OSError as error:
        raise UsageProblem(f"{out} cannot be written: {error.strerror}.") from None


def _read(file: str, kind: str | None) -> Imported:
    """Return what a file amounts to; what it is shows in it where nobody says so.

    Raises:
        WorkflowError: it cannot be read.
        DefinitionError: it is neither, or wrong.
    """
    content = parse.content_of(file)
    if kind is None:
        data = documents.read(content, file, listed=True).data
        if bmad4.is_bmad4(data):
            kind = "bmad4"
        elif stories.is_stories(data):
            kind = "stories"
    readers = {"bmad4": bmad4.read, "stories": stories.read}
    if kind is None:
        raise UsageProblem(
            f"{file} is neither a workflow of BMAD v4 nor a list of stories.",
            hint="The first has workflow: with sequence: below, the second is a list with ids.",
        )
    return readers[kind](content, file)
