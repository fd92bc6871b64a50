"""The verbs that run workflows: `run`, `resume`, and `workflow execute`."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import click

from bmad_nb import documents, parse
from bmad_nb.budget import parse_usd
from bmad_nb.errors import NotRunnable, UnknownName, UnknownRun, UsageProblem
from bmad_nb.events import RunRow
from bmad_nb.plan import Plan
from bmad_nb.planner import Wishes
from bmad_nb.runs.earlier import Change, difference, earlier_run
from bmad_nb.runs.execution import Execution, functions_of
from bmad_nb.runs.run import Planned, Run
from bmad_nb.runs.tools import Around
from bmad_nb.verbs.base import Front, bound, json_option, out_option, pair, param_option, shown
from bmad_nb.workflow import inputs as values
from bmad_nb.workflow.model import Workflow

F = TypeVar("F", bound=Callable[..., Any])

SUFFIXES = {".yaml", ".yml", ".json"}
"""How the name of a workflow's file ends."""
STOPPED = {"paused", "interrupted", "failed", "cancelled"}
"""States of a run that can go on, or whose finished tasks a new run takes over."""
NEWEST = ""
"""What `--resume` without an id stands for."""

_allow_python = click.option(
    "--allow-python", is_flag=True, help="let python tasks import and call what they name"
)
_show_progress = click.option(
    "--show-progress", is_flag=True, help="say the run's id, and at its end tasks, money, seconds"
)


@dataclass(frozen=True, slots=True)
class Options:
    """What can be said behind `run`, `workflow execute` and `resume`."""

    out: str | None = None
    as_json: bool = False
    budget: str | None = None
    allow_python: bool = False
    show_progress: bool = False
    params: tuple[str, ...] = ()
    params_file: str | None = None
    llms: tuple[str, ...] = ()
    strategy: str | None = None
    new: bool = False
    dry_run: bool = False
    strict: bool = False
    resume: str | None = None
    """Id of a run, `NEWEST`, or None."""


def _running_options(command: F) -> F:
    """Add the options that run and workflow execute share."""
    options = [
        param_option,
        click.option("--params", "params_file", metavar="FILE", help="YAML or JSON; -p goes first"),
        click.option("-m", "--llms", multiple=True, metavar="OLD=NEW", help="NEW in OLD's place"),
        click.option("--strategy", metavar="WORD", help="parallel or sequential"),
        click.option("--budget", metavar="USD", help="hard limit on what this run may cost"),
        click.option("--new", is_flag=True, help="begin anew, though an equal run was stopped"),
        _allow_python,
        click.option("--dry-run", is_flag=True, help="show the plan and what it lacks; ask nobody"),
        click.option("--strict", is_flag=True, help="with --dry-run: fail if it lacks anything"),
        out_option,
        json_option,
        _show_progress,
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


@click.command()
@click.argument("definition", metavar="NAME|FILE")
@_running_options
@click.pass_obj
def run(front: Front, /, definition: str, **options: Any) -> Any:
    """Run a workflow: one that is defined here, a variable that holds one, or a file.

    Example: %bmad run summary -p topic=ice --budget 0.05 -o r
    """
    return _run(front, definition, Options(**options))


@click.command()
@click.option("--definition", required=True, metavar="NAME|FILE", help="the workflow")
@click.option(
    "--resume", is_flag=False, flag_value=NEWEST, metavar="[RUN]",
    help="go on with this run, or with the newest stopped one",
)  # fmt: skip
@_running_options
@click.pass_obj
def execute(front: Front, /, definition: str, **options: Any) -> Any:
    """Run a workflow, or go on with a run of it after the definition was edited.

    Example: bmad workflow execute --definition summary.yaml --resume
    """
    return _run(front, definition, Options(**options))


@click.command()
@click.argument("run_id", metavar="RUN")
@click.option("--definition", metavar="NAME|FILE", help="an edited definition")
@click.option("--budget", metavar="USD", help="a new total, or +USD on top of the old one")
@_allow_python
@out_option
@json_option
@_show_progress
@click.pass_obj
def resume(front: Front, /, run_id: str, definition: str | None, **options: Any) -> Any:
    """Go on with a run that was paused, failed, or whose process died.

    Example: %bmad resume 6b166d55 --budget +0.10
    """
    without_body(front)
    flow = None if definition is None else found(front, definition)
    return _resumed(front, front.workspace.store.run(run_id), flow, Options(**options))


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


def planned(front: Front, flow: Workflow, plan: Plan, definition: str = "") -> Planned:
    """Return a plan to show, with the command that runs it.

    Args:
        front: where the command is to be typed.
        flow: the workflow.
        plan: its plan.
        definition: how the user calls the workflow; its id if empty.
    """
    program = "bmad" if front.kind == "shell" else "%bmad"
    words = [program, "run", shlex.quote(definition or flow.id)]
    words += [f"-p {name}=…" for name in values.missing(flow, {})]
    return Planned(flow, plan, command=" ".join(words))


# --- a new run --------------------------------------------------------------------------------


def _run(front: Front, definition: str, options: Options) -> Any:
    without_body(front)
    flow = found(front, definition)
    if options.resume is not None:
        _refuse_beside_resume(options)
        row = _stopped_run(front, flow, options.resume)
        if not options.dry_run:
            return _resumed(front, row, flow, options)
        plan = _plan_of_edited(front, row, flow, options)
    elif options.dry_run:
        plan = _plan(front, flow, options)
    else:
        return _gone(front, _execution(front, flow, options), options)
    if options.strict and plan.missing:
        raise NotRunnable(flow.id, plan.missing)
    return _given(front, planned(front, flow, plan, definition), options)


def _plan(front: Front, flow: Workflow, options: Options) -> Plan:
    if options.budget is not None:
        parse_usd(options.budget)
    found = front.workspace.plan(
        flow,
        _inputs(flow, options),
        llms=_rebound(options.llms),
        strategy=options.strategy,
        allow_python=options.allow_python,
    )
    return found.plan


def _execution(front: Front, flow: Workflow, options: Options) -> Execution:
    space = front.workspace
    wishes = Wishes(
        inputs=_inputs(flow, options),
        strategy=options.strategy,
        llms=_rebound(options.llms),
        allow_python=options.allow_python,
    )
    return Execution(
        flow,
        wishes,
        Around(space.store, space.catalog, space.settings.engine, space.budgets),
        budget_usd=None if options.budget is None else parse_usd(options.budget),
        functions=functions_of(flow),
        earlier=None if options.new else "auto",
    )


def _inputs(flow: Workflow, options: Options) -> dict[str, Any]:
    """Return the values of `--params`, and those of `-p` over them."""
    texts = dict(pair(text) for text in options.params)
    return {**_read_params(options.params_file), **values.typed(flow, texts)}


def _read_params(path: str | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        return documents.read(Path(path).read_bytes(), path).data
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise UsageProblem(
            f"{path} cannot be read: {why}.", hint="--params takes a YAML or JSON file of inputs."
        ) from None


def _rebound(texts: Iterable[str]) -> dict[str, str]:
    """Return the LLMs of `--llms OLD=NEW,OLD=NEW`."""
    rebound = {}
    for part in filter(None, (each.strip() for text in texts for each in text.split(","))):
        old, _, new = part.partition("=")
        if not old or not new:
            raise UsageProblem(
                f"{part!r} does not say which LLM takes whose place.",
                hint="Write -m OLD=NEW; -m '*=sim/careful' stands in for all.",
            )
        rebound[old] = new
    return rebound


# --- a run that goes on -----------------------------------------------------------------------


def _refuse_beside_resume(options: Options) -> None:
    """Refuse options that a run which goes on has already.

    Raises:
        UsageProblem: one was given.
    """
    given = {
        "-p": options.params,
        "--params": options.params_file,
        "--llms": options.llms,
        "--strategy": options.strategy,
        "--new": options.new,
    }
    beside = [name for name, value in given.items() if value]
    if beside:
        raise UsageProblem(
            f"{', '.join(beside)} cannot stand beside --resume: the run keeps its inputs and LLMs.",
            hint="Leave it out, or begin a new run without --resume.",
        )


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
    if row.workflow and row.workflow != flow.id:
        raise UsageProblem(
            f"Run {row.run_id} is one of {row.workflow!r}, and this defines {flow.id!r}.",
            hint="Give the definition of the run's own workflow.",
        )


def _plan_of_edited(front: Front, row: RunRow, flow: Workflow, options: Options) -> Plan:
    """Return the plan of a run that would go on, and say what would become of its tasks."""
    _check_same(row, flow)
    earlier = row.options or {}
    found = front.workspace.plan(
        flow,
        row.inputs,
        llms=earlier.get("llms"),
        strategy=earlier.get("strategy"),
        allow_python=options.allow_python or bool(earlier.get("allow_python")),
    )
    changes = difference(found.plan, earlier_run(front.workspace.store, row.run_id))
    _say(front, options, _told(changes))
    return found.plan


def _resumed(front: Front, row: RunRow, flow: Workflow | None, options: Options) -> Any:
    if flow is not None:
        _check_same(row, flow)
    execution = front.workspace.resumption(
        row.run_id, options.budget, definition=flow, allow_python=options.allow_python
    )
    if flow is not None:
        _say(front, options, _told(execution.changes))
    return _gone(front, execution, options)


def _told(changes: Sequence[Change]) -> list[str]:
    """Return what becomes of each task, a line each."""
    width = max((len(change.task) for change in changes), default=0)
    return [f"{each.fate}  {each.task:<{width}}  {each.why}" for each in changes]


# --- what is said and given back --------------------------------------------------------------


def _gone(front: Front, execution: Execution, options: Options) -> Any:
    """Run to the end, say what was asked to be said, and give the run back."""
    space = front.workspace
    if front.kind == "shell" or options.show_progress:
        execution.on_begin = lambda run_id: _say(front, options, [f"run {run_id}"])
    try:
        result = space.go(execution)
    finally:
        if options.show_progress and space.on_tick is None and execution.begun:
            _say(front, options, [summary(Run(space.store, execution.run.run_id))])
    return _given(front, result, options)


def _say(front: Front, options: Options, lines: Iterable[str]) -> None:
    """Say lines at once, unless a notebook was asked for JSON: they would stand in it."""
    if front.kind == "shell" or not options.as_json:
        for line in lines:
            front.say(line)


def _given(front: Front, result: Any, options: Options) -> Any:
    return shown(bound(front, result, options.out), as_json=options.as_json)


def summary(run: Run) -> str:
    """Return one line from the store: tasks done of all, money spent of the limit, seconds."""
    states = Counter(row.state for row in run.state.tasks.values())
    total = len((run.state.plan or {}).get("steps", ()))
    parts = [f"{states['done']}/{total} tasks done"]
    parts += [f"{states[state]} {state}" for state in ("failed", "skipped") if states[state]]
    limit = "" if run.run.budget_usd is None else f" of ${run.run.budget_usd:f}"
    parts.append(f"${run.cost_usd.normalize():f}{limit}")
    invented = Decimal(run.to_json()["simulated_cost_usd"])
    parts += [f"simulated ${invented.normalize():f}{limit}"] if invented else []
    return " · ".join([*parts, f"{run.duration_s or 0:.1f} s"])
