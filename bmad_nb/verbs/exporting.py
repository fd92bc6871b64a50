"""The verbs that take a run out of the store and bring one in: `export` and `import`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from bmad_nb.errors import UsageProblem
from bmad_nb.render.base import plain
from bmad_nb.results import Text
from bmad_nb.store import scores
from bmad_nb.verbs.base import Front, Json, json_option, shown
from bmad_nb.verbs.measuring import write_new
from bmad_nb.verbs.running import without_body

FORMATS = ("summary", "detailed", "json", "csv", "parquet", "html", "ipynb")
_TABLES = ("calls", "tasks", "parts", "members", "scores", "runs")
table_option = click.option(
    "--table", type=click.Choice(_TABLES), default="calls", show_default=True,
    help="which table csv and parquet hold",
)  # fmt: skip


@click.command()
@click.argument("run_id", metavar="[RUN]", required=False)
@click.option("--results", metavar="RUN", help="the run, the same as the word RUN")
@click.option("--format", "form", type=click.Choice(FORMATS), default="summary", show_default=True,
              help="how it is written")  # fmt: skip
@table_option
@click.option("--to", metavar="FILE", help="write it there; without, it is printed")
@click.option("--force", is_flag=True, help="overwrite the file")
@json_option
@click.pass_obj
def export(  # noqa: PLR0917  (click passes them by name)
    front: Front, /, run_id: str | None, results: str | None, form: str, table: str,
    to: str | None, force: bool, as_json: bool,
) -> Any:  # fmt: skip
    """Write a run as text, JSON, a table, a page or a notebook: complete, and without keys."""
    without_body(front)
    wanted = results or run_id
    if wanted is None:
        raise UsageProblem("No run is named.", hint="Write --results RUN; bmad runs lists them.")
    if results and run_id and results != run_id:
        raise UsageProblem("Two runs are named.", hint="Export them one by one.")
    body = _written(front, wanted, "json" if as_json and form == "summary" else form, table)
    if to is not None:
        write_new(Path(to), body, force=force)
        run = front.workspace.store.run(wanted).run_id
        facts = {"run_id": run, "format": form, "file": to, "bytes": Path(to).stat().st_size}
        return shown(Text(f"Run {run} is written: {to}", facts), as_json=as_json)
    if isinstance(body, bytes):
        if front.kind != "shell" or sys.stdout.isatty():
            raise UsageProblem("Parquet is no text.", hint="Write --to FILE.parquet.")
        sys.stdout.buffer.write(body)
        return None
    if front.kind != "shell" or sys.stdout.isatty():
        body = plain(body)  # codes in an answer reach no terminal; a file and a pipe have them
    return Json(body.removesuffix("\n"))


def _written(  # noqa: PLR0911  (one for each format)
    front: Front, run_id: str, form: str, table: str
) -> str | bytes:
    """Return a run in one of the formats.

    Raises:
        UnknownRun: there is none.
    """
    from bmad_nb.export import bundle, pages, tables

    space = front.workspace
    bundle.know_keys(space.settings)
    found = space.run_of(run_id)
    calls, marks = space.store.calls(found.id), scores.of_run(space.store, found.id)
    match form:
        case "summary":
            return pages.summary(found)
        case "detailed":
            return pages.detailed(found, calls, marks)
        case "json":
            return json.dumps(bundle.bundle(space.store, found.id), indent=1)
        case "csv":
            return tables.as_csv(tables.frame_of(space, found.id, table))
        case "parquet":
            return tables.as_parquet(tables.frame_of(space, found.id, table))
        case "html":
            return pages.page(found, calls, marks)
    return pages.notebook(found)


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@json_option
@click.pass_obj
def bring(front: Front, file: Path, as_json: bool) -> Any:
    """Bring a run in that `export --format json` wrote, from any machine; nobody is asked.

    Its answers then serve equal requests here: import only what you would trust as your own.
    """
    from bmad_nb.export.bundle import bring_in, read_bundle

    without_body(front)
    run = bring_in(front.workspace.store, read_bundle(file))
    program = "bmad" if front.kind == "shell" else "%bmad"
    facts = {"run_id": run.run_id, "status": run.status}
    said = f"Run {run.run_id} is here now ({run.status}). Look: {program} show {run.run_id}"
    return shown(Text(said, facts), as_json=as_json)
