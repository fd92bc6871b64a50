"""The verbs that look at what was stored: `runs`, `show` and `trace`."""

from __future__ import annotations

from typing import Any

import click

from bmad_nb.results import Text
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


@click.command()
@click.argument("run_id")
@click.option(
    "--endpoint", metavar="URL", help="traces of the collector, where no variable says it"
)
@click.option("--texts", is_flag=True, help="send prompts and answers too")
@click.pass_obj
def trace(front: Front, run_id: str, endpoint: str | None, *, texts: bool) -> Any:
    """Send a stored run to an OpenTelemetry collector, as spans of its tasks and calls.

    Example: bmad trace 6b166d55 --endpoint http://127.0.0.1:4318/v1/traces
    """
    count = front.workspace.trace(run_id, endpoint, texts=texts)
    with_ = "with" if texts else "without"
    said = f"The collector took {count} spans of run {run_id}, {with_} prompts and answers."
    return Text(said, {"spans": count, "run_id": run_id, "texts": texts})
