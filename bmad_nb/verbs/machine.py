"""The verbs about this machine: `models`, `doctor`, `demo` and `lab`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bmad_nb.errors import UnknownName, UsageProblem
from bmad_nb.results import Text
from bmad_nb.verbs.base import Front, json_option, shown


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def models(context: click.Context, as_json: bool) -> Any:
    """List and check LLMs; install or verify the embedded model."""
    if context.invoked_subcommand is None:
        return context.invoke(list_models, as_json=as_json)
    return None


@models.command("list")
@click.argument("pattern", default="*")
@json_option
@click.pass_obj
def list_models(front: Front, pattern: str = "*", as_json: bool = False) -> Any:
    """List LLMs that are known by name, what works here first."""
    from bmad_nb.verbs import checks

    return shown(checks.models(front.workspace, pattern), as_json=as_json)


@models.command()
@click.argument("names", nargs=-1, metavar="[LLM|ENDPOINT]...")
@json_option
@click.pass_obj
def check(front: Front, names: tuple[str, ...], as_json: bool) -> Any:
    """Say for each endpoint or LLM what works and what is missing; nothing is charged."""
    from bmad_nb.verbs import probing

    return shown(probing.check(front.workspace, names), as_json=as_json)


@models.command()
@click.argument("name", default="smollm2-135m")
@json_option
@click.pass_obj
def install(front: Front, name: str, as_json: bool) -> Any:
    """Fetch the weights of an embedded model, once."""
    from bmad_nb.llms import weights

    path = weights.install(_embedded(name), front.say)
    facts = {"model": name, "path": str(path)}
    return shown(Text(f"{name} is ready: {path}", facts), as_json=as_json)


@models.command()
@click.argument("name", default="smollm2-135m")
@json_option
@click.pass_obj
def verify(front: Front, name: str, as_json: bool) -> Any:  # noqa: ARG001  (every verb takes the front)
    """Check the weights of an embedded model against their hash."""
    from bmad_nb.llms import weights

    weights.verify(_embedded(name))
    facts = {"model": name, "verified": True}
    return shown(Text(f"{name}: the weights have the right SHA-256.", facts), as_json=as_json)


@click.command()
@json_option
@click.pass_obj
def doctor(front: Front, as_json: bool) -> Any:
    """Check this machine: what works, what is missing, what to do."""
    from bmad_nb.verbs import checks

    return shown(checks.doctor(front.workspace), as_json=as_json)


@click.command()
@click.option(
    "--folder", type=click.Path(path_type=Path), default=Path("bmad-demo"), help="where it goes"
)
@click.option("--simulated", is_flag=True, help="a simulated LLM in the embedded model's place")
@json_option
@click.pass_obj
def demo(front: Front, folder: Path, simulated: bool, as_json: bool) -> Any:
    """Run the quickstart notebook on the embedded model, through papermill."""
    from bmad_nb.verbs import tour

    result = tour.demo(front.workspace, folder, front.say, simulated=simulated)
    return shown(result, as_json=as_json)


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("notebook", required=False, type=click.Path(path_type=Path))
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def lab(front: Front, notebook: Path | None, options: tuple[str, ...]) -> Any:
    """Open a notebook in JupyterLab: the demo's where none is named. OPTIONS are JupyterLab's."""
    from bmad_nb.verbs import tour

    if front.kind != "shell":
        raise UsageProblem("JupyterLab is open already.", hint="Run bmad lab in a terminal.")
    if notebook is not None and str(notebook).startswith("-"):
        notebook, options = None, (str(notebook), *options)
    return tour.lab(notebook, options)


def _embedded(name: str) -> str:
    from bmad_nb.llms.weights import models

    short = name.removeprefix("local/")
    if short not in models():
        raise UnknownName("embedded model", name, models())
    return short
