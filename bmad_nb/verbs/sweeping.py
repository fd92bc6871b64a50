"""The verb `sweep`: a notebook over a grid of parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bmad_nb.verbs.base import Front, bind_option, bound, json_option, pair, param_option, shown
from bmad_nb.verbs.running import without_body


@click.command()
@click.argument("notebook", type=click.Path(path_type=Path))
@click.option("--grid", required=True, metavar="FILE", type=click.Path(path_type=Path),
              help="YAML: a list of values for each parameter, or a list of cases")  # fmt: skip
@param_option
@click.option("--executor", default="local", show_default=True, metavar="WHERE",
              help="local, dask (a cluster here), or the address of a scheduler")  # fmt: skip
@click.option("--parallel", type=click.IntRange(1), metavar="N", help="notebooks at a time")
@click.option("--out", metavar="FOLDER", type=click.Path(path_type=Path),
              help="where the executed notebooks go; NOTEBOOK-sweep without")  # fmt: skip
@click.option("--budget-usd", "--budget", "budget", metavar="USD",
              help="hard limit on all that the sweep in this folder spends")  # fmt: skip
@bind_option
@json_option
@click.pass_obj
def sweep(  # noqa: PLR0917  (click passes them by name)
    front: Front, /, notebook: Path, grid: Path, params: tuple[str, ...], executor: str,
    parallel: int | None, out: Path | None, budget: str | None, name: str | None, as_json: bool,
) -> Any:  # fmt: skip
    """Run a notebook for each point of a grid, through papermill; run it again to go on."""
    from bmad_nb.sweeps import driving

    without_body(front)
    result = driving.sweep(
        notebook, grid, executor, parameters={n: _typed(v) for n, v in map(pair, params)},
        parallel=parallel, out=out, budget_usd=budget, workspace=front.workspace, say=front.say,
    )  # fmt: skip
    answer = shown(bound(front, result, name), as_json=as_json)
    answer.exit_code = result.ends_with()
    return answer


def _typed(text: str) -> Any:
    """Return the value of `-p` as papermill's own command line takes it."""
    words = {"True": True, "true": True, "False": False, "false": False, "None": None, "null": None}
    if text in words:
        return words[text]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
