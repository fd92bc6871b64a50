"""The verbs that look at what was stored: `runs` and `show`."""

from __future__ import annotations

from typing import Any

import click

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
@out_option
@json_option
@click.pass_obj
def show(front: Front, run_id: str, out: str | None, as_json: bool) -> Any:
    """Show a stored run again; nothing is asked."""
    return shown(bound(front, front.workspace.run_of(run_id), out), as_json=as_json)
