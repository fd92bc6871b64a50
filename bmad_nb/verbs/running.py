"""The verbs that run workflows: `run`, `resume`, and `workflow execute`."""

from __future__ import annotations

import contextlib
import dataclasses
import shlex
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from bmad_nb import parse
from bmad_nb.budget import parse_usd
from bmad_nb.errors import NotRunnable, RunPaused, UnknownName, UnknownRun, UsageProblem
from bmad_nb.events import RunRow
from bmad_nb.plan import Plan, assignments
from bmad_nb.planner import Wishes
from bmad_nb.runs.earlier import Change, difference, earlier_run
from bmad_nb.runs.execution import Execution
from bmad_nb.runs.planned import Planned
from bmad_nb.runs.run import Run
from bmad_nb.verbs.base import (
    Front,
    bound,
    json_option,
    out_option,
    refuse_background,
    replay_option,
    run_argument,
    shown,
)
from bmad_nb.verbs.wishes import (
    NEWEST,
    Options,
    allow_python_option,
    background_option,
    refuse_beside_resume,
    running_options,
    show_progress_option,
    wishes_of,
)
from bmad_nb.workflow import inputs as values
from bmad_nb.workflow.model import Workflow

SUFFIXES = {".yaml", ".yml", ".json"}
"""How the name of a workflow's file ends."""
STOPPED = {"paused", "interrupted", "failed", "cancelled"}
"""States of a run that can go on, or whose finished tasks a new run takes over."""


@click.command()
@click.argument("definition", metavar="NAME|FILE")
@running_options
@click.pass_obj
def run(front: Front, /, definition: str, **options: Any) -> Any:
    """Run a workflow: one that is defined here, a variable that holds one, or a file."""
    return _run(front, definition, Options(**options))


@click.command()
@click.argument("definition", metavar="NAME|FILE")
@running_options
@click.pass_obj
def plan(front: Front, /, definition: str, **options: Any) -> Any:
    """Show what a run would do, take and cost, and what it lacks; nobody is asked."""
    return _run(front, definition, dataclasses.replace(Options(**options), dry_run=True))


@click.command()
@click.option("--definition", required=True, metavar="NAME|FILE", help="the workflow")
@click.option(
    "--resume", is_flag=False, flag_value=NEWEST, metavar="[RUN]",
    help="go on with this run, or with the newest stopped one",
)  # fmt: skip
@click.option("--detach", is_flag=True, help="go on in a process of its own, and print its run")
@running_options
@click.pass_obj
def execute(front: Front, /, definition: str, **options: Any) -> Any:
    """Run a workflow, or go on with a run of it after the definition was edited."""
    told = Options(**options)
    if told.detach:
        return _detached(front, definition, told)
    return _run(front, definition, told)


def _detached(front: Front, definition: str, told: Options) -> Any:
    """Run a file's workflow in a process of its own.

    Raises:
        UsageProblem: only this process knows the workflow, or options contradict each other.
    """
    from bmad_nb.verbs.detaching import detached

    without_body(front)
    if told.dry_run or told.out:
        raise UsageProblem("--detach gives nothing back here.", hint="Leave --dry-run and -o out.")
    if Path(definition).suffix.lower() not in SUFFIXES:
        raise UsageProblem(
            f"Another process cannot read {definition!r}.", hint="--detach takes a file."
        )
    found(front, definition)  # what is wrong with it is said here, at once
    return detached(front, told.words(definition), as_json=told.as_json)


@click.command()
@run_argument
@click.option("--definition", metavar="NAME|FILE", help="an edited definition")
@click.option("--budget", metavar="USD", help="a new total, or +USD on top of the old one")
@click.option(
    "--answer", multiple=True, metavar="TASK=TEXT", help="what a task that waits for a person gets"
)
@allow_python_option
@replay_option
@out_option
@json_option
@show_progress_option
@background_option
@click.pass_obj
def resume(
    front: Front, /, run_id: str, definition: str | None, answer: tuple[str, ...], **options: Any
) -> Any:
    """Go on with a run that was paused, failed, or whose process died."""
    without_body(front)
    flow = None if definition is None else found(front, definition)
    row = front.workspace.store.run(run_id)
    return _resumed(front, row, flow, Options(**options), _answers(answer))


def _answers(given: Iterable[str]) -> dict[str, str]:
    """Return answers by task.

    Raises:
        UsageProblem: one names no task.
    """
    found = {}
    for each in given:
        task, equals, text = each.partition("=")
        if not (task and equals):
            raise UsageProblem(f"--answer cannot be {each!r}.", hint="Write --answer TASK=TEXT.")
        found[task.strip()] = text
    return found


def without_body(front: Front) -> None:
    """Refuse a cell's text below a verb that takes none.

    Raises:
        UsageProblem: there is one.
    """
    if front.body is not None:
        raise UsageProblem(
            "This verb takes no text below its line.", hint="Write it with one %, in a line."
        )


def found(front: Front, name: str) -> Workflow:
    """Return the workflow that is meant: by its id, a variable's name, or a file's path.

    Raises:
        UnknownName: there is none.
        DefinitionError: it is wrong.
    """
    known = front.workspace.workflows.get(name) or front.names.get(name)
    if isinstance(known, Workflow):
        parse.check(known)  # in Python it may have been changed since
        return known
    if Path(name).suffix.lower() in SUFFIXES:
        return parse.load(name)
    names = [*front.workspace.workflows, *held(front.names)]
    raise UnknownName("workflow or workflow file (.yaml, .yml, .json)", name, names)


def held(names: Mapping[str, Any]) -> list[str]:
    """Return the names of variables that hold a workflow."""
    return [name for name, value in names.items() if isinstance(value, Workflow)]


def planned(
    front: Front,
    flow: Workflow,
    made: Plan,
    definition: str = "",
    inputs: Mapping[str, Any] | None = None,
) -> Planned:
    """Return a plan to show, with the command that runs it.

    Args:
        front: where the command is to be typed.
        flow: the workflow.
        made: its plan.
        definition: how the user calls the workflow; its id if empty.
        inputs: values of inputs, as far as they are known.
    """
    program = "bmad" if front.kind == "shell" else "%bmad"
    words = [program, "run", shlex.quote(definition or flow.id)]
    words += [f"-p {name}=…" for name in values.missing(flow, {})]
    return front.workspace.shown(flow, made, command=" ".join(words), inputs=inputs or {})


# --- a new run --------------------------------------------------------------------------------


def _run(front: Front, definition: str, options: Options) -> Any:
    without_body(front)
    flow = found(front, definition)
    if options.resume is not None:
        refuse_beside_resume(options)
        row = _stopped_run(front, flow, options.resume)
        if not options.dry_run:
            return _resumed(front, row, flow, options)
        made = _plan_of_edited(front, row, flow, options)
    else:
        wishes = wishes_of(flow, options)
        budget_usd = None if options.budget is None else parse_usd(options.budget)
        if not options.dry_run:
            resume = "never" if options.new else "auto"
            execution = front.workspace.prepared(
                flow, wishes, budget_usd, resume, replay=options.replay, alone=options.background
            )
            return gone(front, execution, options)
        made = front.workspace.planned(flow, wishes, replay=options.replay)
    if options.strict and made.missing:
        raise NotRunnable(flow.id, made.missing)
    inputs = row.inputs if options.resume is not None else wishes.inputs
    return _given(front, planned(front, flow, made, definition, inputs), options)


# --- a run that goes on -----------------------------------------------------------------------


def _stopped_run(front: Front, flow: Workflow, run_id: str) -> RunRow:
    """Return a stored run; the newest stopped one of the workflow where no id was given.

    Raises:
        UnknownRun: there is none.
    """
    store = front.workspace.store
    if run_id != NEWEST:
        return store.run(run_id)
    stopped = [r for r in store.runs() if r.workflow == flow.id and r.status in STOPPED]
    if not stopped:
        raise UnknownRun(
            f"There is no stopped run of {flow.id!r} in {store.path}.",
            hint="Leave --resume out to begin one.",
        )
    return store.run(stopped[-1].run_id)


def _check_same(row: RunRow, flow: Workflow) -> None:
    if row.workflow != flow.id:
        kind = row.workflow or row.verb
        raise UsageProblem(
            f"Run {row.run_id} is one of {kind!r}, and this defines {flow.id!r}.",
            hint="Give the definition of the run's own workflow.",
        )


def _plan_of_edited(front: Front, row: RunRow, flow: Workflow, options: Options) -> Plan:
    """Return the plan of a run that would go on, and say what would become of its tasks."""
    _check_same(row, flow)
    said = row.options or {}
    earlier = earlier_run(front.workspace.store, row.run_id)
    wishes = Wishes(
        inputs=row.inputs or {},
        strategy=said.get("strategy"),
        llms=said.get("llms") or {},
        allow_python=options.allow_python or bool(said.get("allow_python")),
        pinned=assignments(earlier.state.plan) if earlier.state.plan else {},
    )
    made = front.workspace.planned(flow, wishes, replay=options.replay)
    _say(front, options, _told(difference(made, earlier)))
    return made


def _resumed(
    front: Front,
    row: RunRow,
    flow: Workflow | None,
    options: Options,
    answers: Mapping[str, str] | None = None,
) -> Any:
    if flow is not None:
        _check_same(row, flow)
    execution = front.workspace.resumption(
        row.run_id,
        options.budget,
        definition=flow,
        allow_python=options.allow_python,
        answers=answers,
        replay=options.replay,
        alone=options.background,
    )
    if flow is not None:
        _say(front, options, _told(execution.changes))
    return gone(front, execution, options)


def _told(changes: Sequence[Change]) -> list[str]:
    """Return what becomes of each task, a line each."""
    width = max((len(change.task) for change in changes), default=0)
    return [f"{each.fate}  {each.task:<{width}}  {each.why}" for each in changes]


# --- what is said and given back --------------------------------------------------------------


def gone(front: Front, execution: Execution, options: Options) -> Any:
    """Run to the end, say what was asked to be said, and give the run back."""
    space = front.workspace
    if options.background:
        refuse_background(front, as_json=options.as_json)
        return _given(front, space.alone(execution), options)
    if front.kind == "shell" or options.show_progress:
        execution.on_begin = lambda run_id: _say(front, options, [f"run {run_id}"])
    # what a task prints is no part of the data on standard output
    printed = sys.stderr if front.kind == "shell" else sys.stdout
    try:
        with contextlib.redirect_stdout(printed):
            result = _went(front, execution)
    finally:
        if options.show_progress and front.kind != "cell" and execution.begun:
            _say(front, options, [summary(Run(space.store, execution.run.run_id))])
    return _given(front, result, options)


def _went(front: Front, execution: Execution) -> Run:
    """Run to the end; where a live view paused it, wait there until it is told to go on."""
    space = front.workspace
    while True:
        try:
            return space.go(execution)
        except RunPaused as stopped:
            if front.hold is None or not front.hold(stopped):
                raise
            execution = space.resumption(stopped.run_id)


def _say(front: Front, options: Options, lines: Iterable[str]) -> None:
    """Say lines at once, unless a notebook was asked for JSON: they would stand in it."""
    if front.kind == "shell" or not options.as_json:
        for line in lines:
            front.say(line)


def _given(front: Front, result: Any, options: Options) -> Any:
    return shown(bound(front, result, options.out), as_json=options.as_json)


def summary(run: Run) -> str:
    """Return one line from the store: tasks done of all, money spent of the limit, seconds."""
    planned = {step["id"] for step in (run.state.plan or {}).get("steps", ())}
    states = Counter(row.state for row in run.state.tasks.values() if row.task in planned)
    total = len(planned)
    parts = [f"{states['done']}/{total} tasks done"]
    parts += [f"{states[state]} {state}" for state in ("failed", "skipped") if states[state]]
    limit = "" if run.run.budget_usd is None else f" of ${run.run.budget_usd:f}"
    parts.append(f"${run.cost_usd.normalize():f}{limit}")
    invented = Decimal(run.to_json()["simulated_cost_usd"])
    parts += [f"simulated ${invented.normalize():f}{limit}"] if invented else []
    return " · ".join([*parts, f"{run.duration_s or 0:.1f} s"])
