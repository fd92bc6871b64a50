"""The verbs about definitions: `%%bmad workflow NAME`, and the group `bmad workflow`."""

from __future__ import annotations

import builtins
import dataclasses
import json
import keyword
import re
from collections.abc import Sequence
from typing import Any

import click

from bmad_nb import parse
from bmad_nb.errors import DefinitionError, Problem, UsageProblem, WorkflowError
from bmad_nb.results import Text
from bmad_nb.verbs.base import Front, Json, Tree, json_option, shown
from bmad_nb.verbs.control import approve, cancel, pause
from bmad_nb.verbs.exporting import export
from bmad_nb.verbs.importing import import_
from bmad_nb.verbs.measuring import analyze, metrics, status
from bmad_nb.verbs.monitoring import monitor
from bmad_nb.verbs.optimizing import optimize
from bmad_nb.verbs.routing import route
from bmad_nb.verbs.running import execute, planned, resume, without_body
from bmad_nb.verbs.stored import collaborate, consensus, ensemble
from bmad_nb.verbs.templates import create
from bmad_nb.workflow import inputs as values
from bmad_nb.workflow.model import Workflow, json_schema
from bmad_nb.workflow.values import WORKFLOW_ID

RESERVED = {
    "execute", "resume", "validate", "schema", "create", "status", "collaborate", "consensus",
    "ensemble", "optimize", "analyze", "route", "monitor", "metrics", "export", "pause", "cancel",
    "approve", "import", "completion", "store",
}  # fmt: skip
"""Words that stand behind `workflow`, now or later, so that no cell can give them as an id."""


class Workflows(Tree):
    """A group whose first word, above the text of a cell, is the id that the text defines."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find the verb; above a text it is always the one that defines."""
        if ctx.obj.body is None:
            return super().resolve_command(ctx, args)
        if args[0] in RESERVED:
            raise UsageProblem(
                f"{args[0]!r} is kept for a verb and cannot be the id of a workflow.",
                hint="Choose another id. A verb is written with one %, without text below.",
            )
        return "", define, args


@click.group(cls=Workflows, invoke_without_command=True)
@click.pass_context
def workflow(context: click.Context) -> None:
    """Define, check and run workflows. %%bmad workflow NAME defines one from a cell's YAML."""
    if context.invoked_subcommand is None:
        if context.obj.body is not None:
            raise UsageProblem("The workflow needs an id.", hint="Write %%bmad workflow NAME.")
        click.echo(context.get_help())


@click.command()
@click.argument("name")
@click.pass_obj
def define(front: Front, name: str) -> Any:
    """Define a workflow from the YAML of a cell, and show what it would do."""
    flow = front.workspace.define(_read(front.body or "", name))
    if name.isidentifier() and not keyword.iskeyword(name) and not hasattr(builtins, name):
        front.bind[name] = flow
    plan = front.workspace.plan(flow).plan
    # Inputs have no value yet, and that is no problem: the planner lists them before all else.
    missing = plan.missing[len(values.missing(flow, {})) :]
    return planned(front, flow, dataclasses.replace(plan, missing=missing))


def _read(body: str, name: str) -> Workflow:
    """Return the workflow of a cell.

    Raises:
        UsageProblem: the name cannot be an id.
        DefinitionError: the text is wrong, or gives another id than the line above it.
    """
    if not re.fullmatch(WORKFLOW_ID, name):
        raise UsageProblem(
            f"{name!r} cannot be the id of a workflow.",
            hint="Begin with a small letter; then small letters, digits, _ and -, at most 63.",
        )
    flow = parse.loads(body, name="cell", workflow_id=name)
    if flow.id != name and flow.source is not None:
        key = "workflow" if "workflow" in flow.source.data else "id"
        place = flow.source.position((key,))
        what = f"The id is {flow.id!r} here, and {name!r} in the line of the magic."
        hint = "Write the same, or leave the key out."
        raise DefinitionError([Problem(*place, what, hint, (key,))], "cell")
    return flow


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--all", "every", is_flag=True, help="say all problems, not the first twenty")
@json_option
@click.pass_obj
def validate(front: Front, files: Sequence[str], *, every: bool, as_json: bool) -> Any:
    """Check definitions, and say their problems with line and column."""
    without_body(front)
    said, wrong, facts = [], [], []
    for file in files:
        try:
            flow = parse.load(file)
            said.append(f"{file}: sound, {_size(flow)}")
            facts.append({"file": file, "workflow": flow.id, "tasks": len(flow.tasks)})
        except WorkflowError as error:
            if every and isinstance(error, DefinitionError):
                error.what = "\n".join(_lines(error, file))
            wrong.append(error)
            said.append(f"{error.what} {error.hint}".strip())
    if len(files) == len(wrong) == 1:
        raise wrong[0]
    if wrong:
        count = f"{len(wrong)} of {len(files)} definitions are wrong:"
        raise WorkflowError("\n".join([count, *said]))
    return shown(Text("\n".join(said), facts), as_json=as_json)


def _lines(error: DefinitionError, file: str) -> list[str]:
    """Return how many problems there are, and a line for each."""
    count = len(error.problems)
    lines = [f"  {file}:{p.line}:{p.column}: {p.what} {p.hint}".rstrip() for p in error.problems]
    return [f"{count} problem{'s' * (count != 1)} in {file}:", *lines]


def _size(flow: Workflow) -> str:
    count = len(flow.tasks)
    return f"{count} task{'s' * (count != 1)}"


@click.command()
@click.pass_obj
def schema(front: Front) -> Any:
    """Print the JSON Schema of a definition, for editors."""
    without_body(front)
    return Json(json.dumps(json_schema(), indent=2))


for _command in (
    execute, create, resume, validate, schema, pause, cancel, approve, status, analyze, metrics,
    export, import_, route, collaborate, consensus, ensemble, monitor, optimize,
):  # fmt: skip
    workflow.add_command(_command)
