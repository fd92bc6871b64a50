"""What can be said behind `run`, `workflow execute` and `resume`: options, inputs, other LLMs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from bmad_nb import documents
from bmad_nb.errors import UsageProblem
from bmad_nb.planner import Wishes
from bmad_nb.verbs.base import json_option, out_option, pair, param_option, replay_option
from bmad_nb.workflow import inputs as values
from bmad_nb.workflow.model import Workflow

F = TypeVar("F", bound=Callable[..., Any])

NEWEST = ""
"""What `--resume` without an id stands for."""

allow_python_option = click.option(
    "--allow-python", is_flag=True, help="let python tasks import and call what they name"
)
background_option = click.option(
    "--background", is_flag=True, help="give a handle at once; wait with r.wait() or await r"
)
show_progress_option = click.option(
    "--show-progress", is_flag=True, help="say the run's id, and at its end tasks, money, seconds"
)


@dataclass(frozen=True, slots=True)
class Options:
    """What can be said behind `run`, `workflow execute` and `resume`."""

    out: str | None = None
    as_json: bool = False
    budget: str | None = None
    allow_python: bool = False
    replay: bool = False
    show_progress: bool = False
    background: bool = False
    params: tuple[str, ...] = ()
    params_file: str | None = None
    llms: tuple[str, ...] = ()
    strategy: str | None = None
    new: bool = False
    dry_run: bool = False
    strict: bool = False
    resume: str | None = None
    """Id of a run, `NEWEST`, or None."""
    detach: bool = False

    def words(self, definition: str) -> list[str]:
        """Return the words that say the same to `bmad workflow execute`, without `--detach`."""
        found = ["workflow", "execute", "--definition", definition, "--show-progress"]
        flags = ("allow_python", "replay", "new")
        found += [f"--{name.replace('_', '-')}" for name in flags if getattr(self, name)]
        for name in ("budget", "strategy"):
            value = getattr(self, name)
            found += [] if value is None else [f"--{name}={value}"]
        found += [] if self.params_file is None else [f"--params={self.params_file}"]
        found += [f"--param={each}" for each in self.params]
        found += [f"--llms={each}" for each in self.llms]
        if self.resume is not None:
            found += ["--resume"] if self.resume == NEWEST else [f"--resume={self.resume}"]
        return found


def running_options(command: F) -> F:
    """Add the options that run and workflow execute share."""
    options = [
        param_option,
        click.option("--params", "params_file", metavar="FILE", help="inputs as YAML, below -p"),
        click.option("-m", "--llms", multiple=True, metavar="OLD=NEW", help="NEW in OLD's place"),
        click.option("--strategy", metavar="WORD", help="sequential, parallel, adaptive …"),
        click.option("--budget", metavar="USD", help="hard limit on what this run may cost"),
        click.option("--new", is_flag=True, help="begin anew, though an equal run was stopped"),
        allow_python_option,
        replay_option,
        click.option("--dry-run", is_flag=True, help="show the plan and what it lacks; ask nobody"),
        click.option("--strict", is_flag=True, help="with --dry-run: fail if it lacks anything"),
        out_option,
        json_option,
        show_progress_option,
        background_option,
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def wishes_of(flow: Workflow, options: Options) -> Wishes:
    """Return what the options of a new run ask for; `-p` goes over `--params`.

    Raises:
        UsageProblem: one of them cannot be read.
        DefinitionError: the file of `--params` cannot.
    """
    texts = dict(pair(text) for text in options.params)
    return Wishes(
        inputs={**_mapping(options.params_file), **values.typed(flow, texts)},
        strategy=options.strategy,
        llms=rebound(options.llms),
        allow_python=options.allow_python,
    )


def _mapping(path: str | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        return documents.read(Path(path).read_bytes(), path).data
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise UsageProblem(
            f"{path} cannot be read: {why}.", hint="--params takes a YAML or JSON file of inputs."
        ) from None


def rebound(texts: Iterable[str]) -> dict[str, str]:
    """Return the LLMs of `--llms OLD=NEW,OLD=NEW`."""
    found = {}
    for part in filter(None, (each.strip() for text in texts for each in text.split(","))):
        old, _, new = part.partition("=")
        if not old or not new:
            raise UsageProblem(
                f"{part!r} does not say which LLM takes whose place.",
                hint="Write -m OLD=NEW; -m '*=sim/careful' stands in for all.",
            )
        found[old] = new
    return found


def refuse_beside_resume(options: Options) -> None:
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
