"""What the verbs share: where they were typed, common options, and how a result is given back."""

from __future__ import annotations

import builtins
import keyword
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import click
from click.shell_completion import CompletionItem

from bmad_nb.errors import BmadError, UnknownName, UsageProblem
from bmad_nb.live.mode import choose
from bmad_nb.results import as_json as json_of
from bmad_nb.secrets import looks_secret
from bmad_nb.workspace import Workspace


def _variable(_context: click.Context, _option: click.Parameter, name: str | None) -> str | None:
    """Return the name of `-o`, if a variable can have it."""
    if name is not None and (not name.isidentifier() or keyword.iskeyword(name)):
        raise UsageProblem(f"{name!r} cannot be the name of a variable.")
    if name is not None and hasattr(builtins, name):
        raise UsageProblem(f"-o {name} would hide Python's own.", hint="Use another name.")
    return name


COMPLETERS: list[Callable[[str, Mapping[str, Any]], tuple[str, list[str]]]] = []
"""What completes values; `verbs.completion` puts itself here, so that it loads only for that."""


def complete_value(
    _context: click.Context, parameter: click.Parameter, fragment: str
) -> list[CompletionItem]:
    """Return what a value can become in a shell: a run for RUN, an LLM for -m."""
    words = "show" if isinstance(parameter, click.Argument) else "ask -m"
    items: list[CompletionItem] = []
    for complete in COMPLETERS:
        try:
            part, found = complete(f"{words} {fragment}", {})
        except BmadError:  # a broken settings file is said where it is used
            continue
        head = fragment.removesuffix(part)
        items += [CompletionItem(head + each) for each in found if each.startswith(part)]
    return items


run_argument = click.argument("run_id", metavar="RUN", shell_complete=complete_value)
json_option = click.option("--json", "as_json", is_flag=True, help="print JSON (shell)")
out_option = click.option(
    "-o", "--out", metavar="NAME", help="bind the result to a variable", callback=_variable
)
bind_option = click.option(
    "-o", "name", metavar="NAME", help="bind the result to a variable", callback=_variable
)
"""The same where `--out` is a folder."""
param_option = click.option(
    "-p", "--param", "params", multiple=True, metavar="K=V", help="value of {{ K }} or of input K"
)
replay_option = click.option(
    "--replay", is_flag=True, help="ask no LLM: stored and recorded answers only, even of --fresh"
)


@dataclass(slots=True)
class Front:
    """Where a verb was typed, and what is around it."""

    workspace: Workspace
    kind: Literal["cell", "line", "shell"]
    body: str | None = None
    """Text below the `%%bmad` line."""
    names: Mapping[str, Any] = field(default_factory=dict)
    """Variables that holes and `--over` can name."""
    bind: dict[str, Any] = field(default_factory=dict)
    """What `-o NAME` wants bound, filled by the verb."""
    hold: Callable[[Any], bool] | None = None
    """Waits where a run was paused by the live view's own button; True once it is to go on."""
    say: Callable[[str], None] = print
    """Shows a line at once, before the verb is done."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Values of options that the user has set for all verbs, such as `budget`."""
    traceback: Callable[[], str] | None = None
    """Returns the last error with all its frames; None where nobody keeps it."""
    display: Callable[[str], None] = choose
    """Chooses what cells show; a face that has it as a setting keeps that in step."""


def refuse_background(front: Front, *, as_json: bool) -> None:
    """Refuse to go on behind a command line that is done: its process would end.

    Raises:
        UsageProblem: always in a shell; in a notebook where JSON of the result is wanted at once.
    """
    if front.kind == "shell":
        raise UsageProblem(
            "--background is for notebooks: here the run would end with the command.",
            hint="Write & behind the command, and watch it with: bmad runs",
        )
    if as_json:
        raise UsageProblem(
            "--background gives a handle, and --json wants the result.",
            hint="Leave one of them out.",
        )


class Tree(click.Group):
    """A group that answers a wrong verb with the nearest right one."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find the verb, or say which is like it."""
        name = args[0] if args else ""
        if name and not name.startswith("-") and self.get_command(ctx, name) is None:
            raise UnknownName("verb", name, self.list_commands(ctx))
        return super().resolve_command(ctx, args)


class Json:
    """JSON text that a face prints as it is."""

    exit_code = 0
    """What a command line ends with."""

    def __init__(self, text: str) -> None:
        """Keep the text."""
        self.text = text

    def __repr__(self) -> str:
        """Return the JSON itself."""
        return self.text


def shown(result: Any, *, as_json: bool) -> Any:
    """Return what a face shows: the result, or its JSON."""
    return Json(json_of(result)) if as_json else result


def bound(front: Front, result: Any, name: str | None) -> Any:
    """Return the result under the name that `-o` gave it, if any, and let the face bind it."""
    if name is not None:
        result.name = name
        front.bind[name] = result
    return result


def pair(text: str) -> tuple[str, Any]:
    """Return the name and the value of `-p name=value`.

    Raises:
        UsageProblem: it is not written so.
    """
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise UsageProblem(f"{text!r} is not an input.", hint="Write -p name=value.")
    if looks_secret(name, value):
        raise UsageProblem(
            f"The input {name!r} looks like a key, and inputs are stored.",
            hint='Keys are given by reference, api_key = "env:NAME" in the settings.',
        )
    return name, value
