"""The verbs that look at what was stored: `runs`, `show`, `diff` and `cost`."""

from __future__ import annotations

from typing import Any

import click

from bmad_nb.comparing import ONLY, SORTS
from bmad_nb.errors import UsageProblem
from bmad_nb.results import Comparison
from bmad_nb.runs.run import Run
from bmad_nb.verbs.base import Front, bound, json_option, out_option, run_argument, shown


@click.command()
@click.option("--limit", type=click.IntRange(1), default=20, help="how many, the newest first")
@json_option
@click.pass_obj
def runs(front: Front, limit: int, as_json: bool) -> Any:
    """List the runs of this project's store, the newest first."""
    return shown(front.workspace.runs().head(limit), as_json=as_json)


@click.command()
@run_argument
@click.option("--live", is_flag=True, help="as a monitor with buttons, wherever it runs (notebook)")
@click.option("-m", "--llms", "models", default="", metavar="ID[,ID…]", help="only these LLMs")
@click.option("--baseline", metavar="LABEL", help="the column that others are compared with")
@click.option("--text", metavar="WORDS", help="only cases that contain them")
@click.option("--only", type=click.Choice(ONLY), help="only such cases of a comparison")
@click.option(
    "--sort", type=click.Choice(SORTS), help="order of the cases; what needs a look first"
)
@out_option
@json_option
@click.pass_obj
def show(front: Front, /, run_id: str, *, out: str | None, as_json: bool, **options: Any) -> Any:
    """Show a stored run again, or a part of a comparison; nothing is asked."""
    found = stored(front, run_id)
    if options.pop("live"):
        return _monitor(front, found)
    if any(options.values()):
        if not isinstance(found, Comparison):
            raise UsageProblem(f"Run {run_id} is no comparison.", hint="Leave the options out.")
        found = _part(found, **options)
    return shown(bound(front, found, out), as_json=as_json)


def _monitor(front: Front, found: Any) -> Any:
    """Return the live view of a run.

    Raises:
        UsageProblem: it is none of a workflow, or nothing here could show it.
    """
    if front.kind == "shell" or not isinstance(found, Run):
        raise UsageProblem(
            "--live shows a run of a workflow, in a notebook.", hint="Leave the option out."
        )
    return found.monitor()


def _part(
    found: Comparison, *, models: str, text: str | None, only: str | None, sort: str | None,
    baseline: str | None,
) -> Comparison:  # fmt: skip
    """Return what options select of a comparison, in the order that they say."""
    if models or text or only:
        found = found.where(models or "*", text=text or "", only=only or "")  # type: ignore[arg-type]
    if sort:
        found = found.sorted(sort)
    return found.from_baseline(baseline) if baseline else found


@click.command()
@click.argument("before", metavar="EARLIER")
@click.argument("now", metavar="RUN")
@out_option
@json_option
@click.pass_obj
def diff(front: Front, before: str, now: str, out: str | None, as_json: bool) -> Any:
    """Compare a run with an earlier one: regressions, what is fixed, what reads otherwise."""
    old, new = stored(front, before), stored(front, now)
    if not any(isinstance(old, kind) and isinstance(new, kind) for kind in (Run, Comparison)):
        raise UsageProblem("These are runs of different kinds.", hint="Give two of one kind.")
    return shown(bound(front, new.against(old), out), as_json=as_json)


@click.command()
@click.argument("run_id", metavar="[RUN]", required=False)
@click.option(
    "--by", type=click.Choice(["llm", "task", "day"]), default="llm", help="what is summed up"
)
@json_option
@click.pass_obj
def cost(front: Front, run_id: str | None, by: str, as_json: bool) -> Any:
    """Say what calls cost: all of the store's, or those of a run. Simulated money stands apart."""
    return shown(front.workspace.spent(by, run_id), as_json=as_json)


def stored(front: Front, name: str) -> Any:
    """Return what a variable holds, or what the store has under an id."""
    held = front.names.get(name)
    return held if isinstance(held, Comparison | Run) else front.workspace.run_of(name)
