"""Completion in a shell: the script that `bmad completion` prints, and what it asks for."""

from __future__ import annotations

import shutil
from typing import Any

import click
from click.shell_completion import get_completion_class

from bmad_nb.errors import UsageProblem
from bmad_nb.verbs.base import Front, Json

PROGRAM = "bmad"
VARIABLE = "_BMAD_COMPLETE"
"""The environment variable through which the shell asks."""


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> Any:
    """Print the script that completes verbs, options, runs and LLMs in a shell.

    It goes into ~/.bashrc or ~/.zshrc as: eval "$(bmad completion bash)"; fish wants it in
    ~/.config/fish/completions/bmad.fish.
    """
    front: Front = context.obj
    if front.kind != "shell":
        raise UsageProblem("A notebook completes by itself.", hint="Press Tab behind %bmad.")
    if shell == "bash" and shutil.which("bash") is None:
        raise UsageProblem("There is no bash here to complete for.")
    kind = get_completion_class(shell)
    if kind is None:
        raise UsageProblem(f"There is no completion for {shell}.")
    return Json(kind(context.find_root().command, {}, PROGRAM, VARIABLE).source().strip())
