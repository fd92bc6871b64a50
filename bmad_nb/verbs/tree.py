"""The click tree `bmad`, and the one way to run a verb of it.

A command returns the object to show; the faces (magics, command line) only show it. What differs
between the faces stands in `base.Front`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from bmad_nb import __version__
from bmad_nb.errors import BmadError, UnknownName, UsageProblem
from bmad_nb.verbs import (
    asking,
    control,
    grading,
    looking,
    machine,
    running,
    together,
    tracing,
    workflows,
)
from bmad_nb.verbs.base import Front, Tree


@click.group(
    cls=Tree,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="In a notebook: %load_ext bmad_nb, then %%bmad VERB above a prompt, or %bmad VERB.",
)
@click.version_option(__version__, "--version", message="bmad_nb %(version)s")
def bmad() -> None:
    """Work with several LLMs: ask, compare, run workflows, and see what it cost."""


for _command in (
    asking.ask, asking.compare, *together.COMMANDS,
    running.plan, running.run, running.resume, workflows.workflow,
    control.pause, control.cancel, control.approve, control.fork,
    looking.runs, looking.show, looking.display, tracing.trace,
    grading.judge, grading.rate, grading.learned,
    machine.models, machine.doctor, machine.demo, machine.lab,
):  # fmt: skip
    bmad.add_command(_command)


def command_of(words: Sequence[str]) -> tuple[click.Command, list[str]]:
    """Return the verb that words begin with, and the words behind it."""
    command: click.Command = bmad
    rest = list(words)
    while rest and isinstance(command, click.Group) and rest[0] in command.commands:
        command = command.commands[rest.pop(0)]
    return command, rest


def call(front: Front, words: list[str]) -> Any:
    """Run one verb and return the object to show.

    Raises:
        BmadError: whatever went wrong, click's own complaints among it.
    """
    try:
        return bmad.main(args=words, prog_name=_prog(front), standalone_mode=False, obj=front)
    except click.UsageError as error:
        raise _usage(front, error) from None
    except click.Abort:
        raise KeyboardInterrupt from None


def _prog(front: Front) -> str:
    return {"cell": "%%bmad", "line": "%bmad", "shell": "bmad"}[front.kind]


def _usage(front: Front, error: click.UsageError) -> BmadError:
    """Turn click's complaint into ours, with the nearest right option."""
    if isinstance(error, click.NoSuchOption) and error.ctx is not None:
        known = [o for p in error.ctx.command.params for o in p.opts if o.startswith("-")]
        return UnknownName("option", error.option_name, known)
    verb = error.ctx.command_path if error.ctx else _prog(front)
    return UsageProblem(error.format_message(), hint=f"See {verb.replace('%%', '%')} --help.")
