"""The verbs that look at what was stored: `runs` and `show`, and how it is displayed."""

from __future__ import annotations

from typing import Any

import click

from bmad_nb.errors import UsageProblem
from bmad_nb.live.mode import WORDS, choose
from bmad_nb.results import Text
from bmad_nb.runs.run import Run
from bmad_nb.verbs.base import Front, bound, json_option, out_option, shown


@click.command()
@click.option("--limit", type=click.IntRange(1), default=20, help="how many, the newest first")
@json_option
@click.pass_obj
def runs(front: Front, limit: int, as_json: bool) -> Any:
    """List the runs of this project's store."""
    return shown(front.workspace.runs().head(limit), as_json=as_json)


@click.command()
@click.argument("run_id")
@click.option("--live", is_flag=True, help="as a monitor with buttons, wherever it runs (notebook)")
@out_option
@json_option
@click.pass_obj
def show(front: Front, run_id: str, *, live: bool, out: str | None, as_json: bool) -> Any:
    """Show a stored run again; nothing is asked.

    Example: %bmad show 6b166d55 --live
    """
    run = bound(front, front.workspace.run_of(run_id), out)
    if not live:
        return shown(run, as_json=as_json)
    if front.kind == "shell" or not isinstance(run, Run):
        raise UsageProblem(
            "--live shows a run of a workflow, in a notebook.", hint=f"Write: show {run_id}"
        )
    return run.monitor()


@click.command()
@click.argument("mode", type=click.Choice(WORDS))
@click.pass_obj
def display(front: Front, mode: str) -> Any:
    """Choose what cells show from now on: live views, what stays in the notebook, or what fits.

    Example: %bmad display static
    """
    del front
    choose(mode)
    return Text(f"Cells are displayed {'as the front end allows' if mode == 'auto' else mode}.")
