"""The verbs of the routing lab: `record` and `route`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bmad_nb import lab
from bmad_nb.errors import UnknownName, UsageProblem
from bmad_nb.results import Text
from bmad_nb.runs.run import Run
from bmad_nb.scorers.choice import NAMES as SCORERS
from bmad_nb.verbs.asking import cases_option, model_option, question_of, read_cases_of
from bmad_nb.verbs.base import Front, bound, json_option, out_option, replay_option, shown
from bmad_nb.verbs.running import found, without_body

if TYPE_CHECKING:
    from bmad_nb.lab import Recording

COLUMN = "{{ prompt }}"
"""The prompt of a table without a template."""


@click.command()
@model_option
@cases_option
@click.option("--reference", metavar="COLUMN", help="column of --over that has the right answers")
@click.option("--scorer", type=click.Choice(SCORERS), help="how answers meet --reference")
@click.option("--judge", metavar="ID[,ID…]", help="LLMs that score the answers, or auto")
@click.option("--runs", metavar="ID[,ID…]", help="take stored runs instead of asking; all for all")
@click.option("--save", metavar="FILE", help="write both tables: .csv, .parquet, .jsonl")
@click.option("--budget", metavar="USD", help="hard limit on what this may cost")
@click.option("--system", metavar="TEXT", help="system message")
@click.option("--max-tokens", type=int, help="most tokens of an answer")
@replay_option
@out_option
@json_option
@click.argument("prompt", nargs=-1)
@click.pass_obj
def record(  # noqa: PLR0917  (click passes them by name)
    front: Front, /, models: tuple[str, ...], over: str | None, runs: str | None, save: str | None,
    out: str | None, as_json: bool, prompt: tuple[str, ...], **options: Any,
) -> Any:  # fmt: skip
    """Record your own prompts x LLMs x scores; what is stored is not paid again."""
    if save is not None:
        from bmad_nb.lab.files import ending_of

        ending_of(Path(save))  # before anything is paid
    if runs is not None:
        without_body(front)
        if models or over is not None or prompt:
            raise UsageProblem(
                "--runs takes stored answers, and asks nobody.",
                hint="Leave out -m, --over and the prompt.",
            )
        ids = [] if runs == "all" else [each.strip() for each in runs.split(",") if each.strip()]
        made = lab.record_of(*ids, ws=front.workspace)
    else:
        made = _recorded(front, models, over, prompt, options)
    saved = [str(path) for path in made.save(save)] if save else []
    if out is not None:
        front.bind[out] = made
    return shown(Recorded(made, saved), as_json=as_json)


def _recorded(
    front: Front, models: tuple[str, ...], over: str | None, prompt: tuple[str, ...],
    options: dict[str, Any],
) -> Recording:  # fmt: skip
    if not models:
        raise UsageProblem(
            "record needs LLMs.", hint="Write -m ID,ID; %bmad models lists what is ready here."
        )
    cases = read_cases_of(front, over)
    if cases is None:
        raise UsageProblem("record needs cases.", hint="Write --over NAME, a DataFrame or a CSV.")
    bare = front.body is None and not prompt
    options["budget_usd"] = options.pop("budget")
    options["inputs"] = None if bare else dict(front.names)
    chosen = {name: value for name, value in options.items() if value is not None}
    return lab.record(
        cases, ",".join(models), template=COLUMN if bare else question_of(front, prompt),
        dataset=Path(over or "own").stem, ws=front.workspace, **chosen,
    )  # fmt: skip


class Recorded(Text):
    """A recording as a verb shows it."""

    def __init__(self, made: Recording, saved: list[str]) -> None:
        """Keep the table, and where it was written."""
        text = repr(made) + (f"\nwritten: {', '.join(saved)}" if saved else "")
        summary = made.summary.astype(object).where(made.summary.notna(), None)
        super().__init__(text, {"queries": len(made.queries), "llms": summary.to_dict("records"),
                                "files": saved})  # fmt: skip


@click.command()
@click.argument("definition", metavar="NAME|FILE|RUN")
@click.option("--tasks", default="auto", metavar="auto|ID,ID", help="which tasks; auto is all")
@click.option(
    "--capabilities-aware/--cost-only", "aware", default=True,
    help="look at needs and skills, or at cost and latency alone",
)  # fmt: skip
@click.option("--llms", "rebound", multiple=True, metavar="OLD=NEW", help="another LLM for one")
@out_option
@json_option
@click.pass_obj
def route(  # noqa: PLR0917  (click passes them by name)
    front: Front, /, definition: str, tasks: str, aware: bool, rebound: tuple[str, ...],
    out: str | None, as_json: bool,
) -> Any:  # fmt: skip
    """Show which LLM each task would go to and why, and what LLMs can do; nobody is asked.

    Of a run it shows why each call went where it went.
    """
    without_body(front)
    result = routed(front, definition, tasks, aware=aware, rebound=rebound)
    return shown(bound(front, result, out), as_json=as_json)


def routed(
    front: Front, definition: str, tasks: str = "auto", *, aware: bool = True,
    rebound: tuple[str, ...] = (),
) -> Any:  # fmt: skip
    """Return the routes of a workflow's tasks, or why the calls of a run went where they went.

    Args:
        front: where it was typed.
        definition: a workflow by its id, variable or file, or the id of a run.
        tasks: `auto` for all, or ids with commas.
        aware: whether needs and skills count, or only cost and latency.
        rebound: `OLD=NEW`, LLMs that take the place of others.

    Raises:
        UnknownName: there is no such workflow, run or task.
    """
    names = [] if tasks == "auto" else [each.strip() for each in tasks.split(",") if each.strip()]
    try:
        flow = found(front, definition)
    except UnknownName:
        run = _run(front, definition)
        if run is None:
            raise
        return run.explain(*names)
    llms = dict(_pair(each) for each in rebound)
    return front.workspace.route(flow, tasks=names, capabilities=aware, llms=llms)


def _run(front: Front, name: str) -> Run | None:
    """Return the run of a workflow that a variable or an id names, or None."""
    held = front.names.get(name)
    if isinstance(held, Run):
        return held
    ids = [each.run_id for each in front.workspace.store.runs() if each.verb == "workflow"]
    same = [each for each in ids if name and each.startswith(name)]
    return Run(front.workspace.store, same[0], front.workspace) if len(same) == 1 else None


def _pair(text: str) -> tuple[str, str]:
    old, equals, new = text.partition("=")
    if not (old and equals and new):
        raise UsageProblem(f"--llms cannot be {text!r}.", hint="Write --llms old/id=new/id.")
    return old, new
