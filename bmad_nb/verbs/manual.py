"""The page docs/commands.md, written from the click tree: `python -m bmad_nb.verbs.manual`."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator

import click

from bmad_nb.verbs.examples import EXAMPLES
from bmad_nb.verbs.tree import bmad

_TOP = """\
# Commands

Each command in a shell (`bmad VERB …`) is the same in a notebook (`%bmad VERB …`; what takes a
text is also `%%bmad VERB …` above it). This page is written from the commands themselves:
`python -m bmad_nb.verbs.manual > docs/commands.md`.

Data goes to standard output; progress, alerts and errors go to standard error. A terminal gets
tables and a live board, a pipe plain lines without any code. `--json` prints one JSON value (of
`monitor`, one a line). Exit codes: 0 done, 1 failed, 2 wrong use or definition, 3 paused or waiting
for a person, 4 stopped by a limit, 130 interrupted.
"""


def commands(
    group: click.Group, path: tuple[str, ...] = ("bmad",)
) -> Iterator[tuple[str, click.Command]]:
    """Yield every command of a tree with its words, sorted."""
    for name, command in sorted(group.commands.items()):
        words = (*path, name)
        yield " ".join(words), command
        if isinstance(command, click.Group):
            yield from commands(command, words)


def page() -> str:
    """Return the page."""
    return "\n".join([_TOP, *(_section(words, command) for words, command in commands(bmad))])


def _section(words: str, command: click.Command) -> str:
    usage = " ".join([words, *command.collect_usage_pieces(click.Context(command))])
    lines = [f"## {words}", "", said(command), "", "```text", usage, "```", ""]
    rows = list(_options(command))
    if rows:
        lines += ["| option | what it does |", "|---|---|", *rows, ""]
    examples = EXAMPLES.get(words.partition(" ")[2], ())
    if examples:
        lines += ["```text", "\n\n".join(examples), "```", ""]
    return "\n".join(lines)


def said(command: click.Command) -> str:
    """Return what a command's help says, in one line."""
    return " ".join(inspect.cleandoc(command.help or "").split())


def _options(command: click.Command) -> Iterator[str]:
    for param in command.params:
        if isinstance(param, click.Option):
            record = param.get_help_record(click.Context(command))
            if record is not None:
                head, about = (" ".join(each.split()).replace("|", "\\|") for each in record)
                yield f"| `{head}` | {about} |"


if __name__ == "__main__":
    sys.stdout.write(page())
