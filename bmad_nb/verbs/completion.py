"""Completion of a `%bmad` line: verbs, options, LLM ids and variables; nobody is contacted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import click

from bmad_nb.errors import UsageProblem
from bmad_nb.llms.recordings import RUN
from bmad_nb.templates.catalog import NAMES
from bmad_nb.verbs.base import COMPLETERS
from bmad_nb.verbs.running import STOPPED, held
from bmad_nb.verbs.tree import bmad, command_of
from bmad_nb.workspace import default_workspace


def complete(line: str, names: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Return the fragment before the cursor and what it can become.

    Args:
        line: what stands between `%bmad` and the cursor.
        names: the variables of the notebook.
    """
    words = line.split(" ")
    fragment = words[-1]
    done = [word for word in words[:-1] if word]
    command, rest = command_of(done)
    if fragment.startswith("-"):
        return fragment, _starting(fragment, _options(command))
    if rest and rest[-1] in {"-m", "--model", "--llms"}:
        part = fragment.rpartition(",")[2]
        part = part if "?" in part else part.rpartition("=")[2]  # -m OLD=NEW
        space = default_workspace()
        known = [*space.settings.aliases, *space.catalog.ids(), *_of_runs(part)]
        return part, _like(part, known)
    if rest and rest[-1] == "--over":
        frames = [n for n, v in names.items() if hasattr(v, "columns") or isinstance(v, list)]
        return fragment, variables(fragment, {n: names[n] for n in frames})
    if rest and (values := _values(command, rest[-1])):
        return fragment, _starting(fragment, values)
    more = command.name == "diff" and len(rest) == 1
    return fragment, [] if rest and not more else _starting(fragment, _first(command, names))


def _values(command: click.Command, option: str) -> Sequence[str]:
    """Return the words that an option can have, if they are few."""
    if option == "--template":
        return NAMES
    if option == "--chat":
        return default_workspace().chats.names()
    for param in command.params:
        if option in param.opts and isinstance(param.type, click.Choice):
            return [str(each) for each in param.type.choices]
    return []


def _first(command: click.Command, names: Mapping[str, Any]) -> list[str]:
    """Return what can stand directly behind a verb: another, a workflow, or a run."""
    if isinstance(command, click.Group):
        return sorted(command.commands)
    space = default_workspace()
    if command.name in {"run", "plan", "build"}:
        return list(dict.fromkeys([*space.workflows, *held(names)]))
    known: dict[str | None, Callable[[], list[str]]] = {
        "help": lambda: sorted(bmad.commands),
        "chat": space.chats.names,
        "resume": _stopped,
    }
    if command.name in known:
        return known[command.name]()
    takes = [p.name for p in command.params if isinstance(p, click.Argument)]
    if takes[:1] not in (["run_id"], ["run_ids"], ["before"]):
        return []
    results = [name for name, value in names.items() if hasattr(value, "answers")]
    return [*results, *_newest()]


def variables(fragment: str, names: Mapping[str, Any]) -> list[str]:
    """Return the notebook's own variables that begin with `fragment`."""
    hidden = {"In", "Out", "exit", "quit", "get_ipython", "open"}
    shown = [n for n in names if not n.startswith("_") and n not in hidden]
    return sorted(_starting(fragment, shown))


def _stopped() -> list[str]:
    """Return the runs of workflows that can go on, the newest first."""
    runs = reversed(default_workspace().store.runs())
    return [run.run_id for run in runs if run.verb == "workflow" and run.status in STOPPED]


def _newest() -> list[str]:
    """Return the newest runs."""
    return [run.run_id for run in default_workspace().store.runs()[:-21:-1]]


def _of_runs(fragment: str) -> list[str]:
    """Return ids of recorded answers: of the run that is named, or of the newest runs."""
    space = default_workspace()
    if fragment.startswith(RUN) and fragment.count("/") > 1:
        try:
            return space.catalog.ids_of_run(fragment)
        except UsageProblem:
            return []
    newest = space.store.runs()[:-21:-1] if fragment.startswith("recorded/") else ()
    return [f"{RUN}{run.run_id}/" for run in newest]


def _options(command: click.Command) -> list[str]:
    found = [name for p in command.params if isinstance(p, click.Option) for name in p.opts]
    return sorted(
        [*found, "--help", "--python", "--cli", "--below"],
        key=lambda name: (not name.startswith("--"), name),
    )


def _starting(fragment: str, words: Iterable[str]) -> list[str]:
    return [word for word in words if word.startswith(fragment)]


def _like(fragment: str, ids: Iterable[str]) -> list[str]:
    """Return ids that begin with the fragment, before or behind their slash."""
    return [i for i in ids if i.startswith(fragment) or i.partition("/")[2].startswith(fragment)]


COMPLETERS.append(complete)
