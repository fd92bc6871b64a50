"""The verb `trace`: a stored run at an OpenTelemetry collector."""

from __future__ import annotations

from typing import Any

import click

from bmad_nb.results import Text
from bmad_nb.verbs.base import Front, json_option, run_argument, shown


@click.command()
@run_argument
@click.option("--endpoint", metavar="URL", help="where the collector takes traces")
@click.option("--texts", is_flag=True, help="send prompts and answers too")
@json_option
@click.pass_obj
def trace(front: Front, run_id: str, endpoint: str | None, *, texts: bool, as_json: bool) -> Any:
    """Send a stored run to an OpenTelemetry collector, as spans of its tasks and calls."""
    count = front.workspace.trace(run_id, endpoint, texts=texts)
    with_ = "with" if texts else "without"
    said = f"The collector took {count} spans of run {run_id}, {with_} prompts and answers."
    made = Text(said, {"spans": count, "run_id": run_id, "texts": texts})
    return shown(made, as_json=as_json)
