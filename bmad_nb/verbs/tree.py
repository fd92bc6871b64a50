"""The click tree `bmad`, and the one way to run a verb of it.

A command returns the object to show; the faces (magics, command line) only show it. What differs
between the faces stands in `base.Front`.
"""

from __future__ import annotations

import copy
import importlib
from collections import UserDict
from collections.abc import Mapping, Sequence
from typing import Any

import click

from bmad_nb import __version__
from bmad_nb.errors import BmadError, UnknownName, UsageProblem
from bmad_nb.verbs.base import Front, Tree
from bmad_nb.verbs.examples import epilog
from bmad_nb.verbs.spelling import asked_for, spelled


@click.group(
    cls=Tree,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="In a notebook: %load_ext bmad_nb, then %%bmad VERB above a prompt, or %bmad VERB.",
)
@click.version_option(__version__, "--version", message="bmad_nb %(version)s")
def bmad() -> None:
    """Work with several LLMs: ask, compare, run workflows, and see what it cost."""


class _Verbs(UserDict[str, click.Command]):
    """The verbs by name, each loaded when it is first wanted: a cell that asks needs few of them.

    Args:
        homes: by name, the module of this family that a verb stands in.
    """

    def __init__(self, homes: Mapping[str, str]) -> None:
        super().__init__(dict.fromkeys(homes, _ABSENT))
        self._homes = homes

    def __getitem__(self, name: str) -> click.Command:
        if self.data[name] is _ABSENT:
            module = importlib.import_module(f"bmad_nb.verbs.{self._homes[name]}")
            there = [*vars(module).values(), *getattr(module, "COMMANDS", ())]
            command = next(c for c in there if isinstance(c, click.Command) and c.name == name)
            self.data[name] = _exemplified(command, (name,))
        return self.data[name]


_ABSENT = click.Command("absent")
_HOMES = {
    "asking": "ask compare",
    "together": "vote consensus best-of ensemble review consult debate cascade refine map",
    "running": "plan run resume",
    "workflows": "workflow",
    "building": "build",
    "sweeping": "sweep",
    "control": "pause cancel approve fork",
    "looking": "runs show diff cost",
    "tracing": "trace",
    "grading": "judge rate learned",
    "routing": "record route",
    "replaying": "replay",
    "measuring": "metrics",
    "exporting": "export import",
    "keeping": "store",
    "shells": "completion",
    "machine": "models doctor demo lab",
    "about": "display status chat help traceback",
}


def _exemplified(command: click.Command, words: tuple[str, ...]) -> click.Command:
    """Return a verb with its examples below its help: one in two places is two commands."""
    own = copy.copy(command)
    own.epilog = command.epilog or epilog(" ".join(words)) or None
    if isinstance(own, click.Group):
        own.commands = {n: _exemplified(c, (*words, n)) for n, c in own.commands.items()}
    return own


bmad.commands = _Verbs({name: home for home, names in _HOMES.items() for name in names.split()})


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
    language, words = asked_for(words)
    try:
        if language is None or not words:
            return _main(front, words)
        verb, context = _read(front, words)
        return spelled(front, language, verb, context, lambda front: _main(front, words))
    except click.UsageError as error:
        raise _usage(front, error) from None
    except click.Abort:
        raise KeyboardInterrupt from None


def _main(front: Front, words: list[str]) -> Any:
    prog = _prog(front)
    given: dict[str, Any] = {}
    if front.defaults:
        given["default_map"] = _defaults(bmad, front.defaults)
    return bmad.main(args=words, prog_name=prog, standalone_mode=False, obj=front, **given)


def _read(front: Front, words: list[str]) -> tuple[list[str], click.Context]:
    """Return a verb's words, and click's reading of what stands behind them."""
    command, rest = command_of(words)
    verb = words[: len(words) - len(rest)]
    if verb == ["workflow"] and front.body is not None:
        from bmad_nb.verbs.workflows import define

        command, verb = define, ["workflow", "define"]
    elif isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        raise UnknownName("verb", rest[0], command.commands)
    path = f"{_prog(front)} {' '.join(verb)}"
    below: Any = _defaults(bmad, front.defaults)
    for word in verb:
        below = below.get(word, {})
    return verb, command.make_context(path, list(rest), obj=front, default_map=below)


def _defaults(group: click.Group, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values as click's defaults for each verb that has such an option."""
    found: dict[str, Any] = {}
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            found[name] = _defaults(command, values)
        elif name != "resume":  # there a budget is a new total for an old run
            known = {param.name for param in command.params}
            found[name] = {key: value for key, value in values.items() if key in known}
    return found


def _prog(front: Front) -> str:
    return {"cell": "%%bmad", "line": "%bmad", "shell": "bmad"}[front.kind]


def _usage(front: Front, error: click.UsageError) -> BmadError:
    """Turn click's complaint into ours, with the nearest right option."""
    if isinstance(error, click.NoSuchOption) and error.ctx is not None:
        known = [o for p in error.ctx.command.params for o in p.opts if o.startswith("-")]
        return UnknownName("option", error.option_name, known)
    verb = error.ctx.command_path if error.ctx else _prog(front)
    return UsageProblem(error.format_message(), hint=f"See {verb.replace('%%', '%')} --help.")
