"""The verbs: one click tree for `%%bmad`, `%bmad` and `bmad`, with every option once.

A command returns the object to show; the faces (magics, command line) only show it. What differs
between the faces stands in `Front`.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import click

from bmad_nb import __version__, expressions
from bmad_nb.errors import BmadError, UnknownName, UsageProblem
from bmad_nb.grid import read_cases
from bmad_nb.llms.catalog import number_or_text
from bmad_nb.prompts import HOLE, as_text
from bmad_nb.results import Text
from bmad_nb.results import as_json as json_of
from bmad_nb.workspace import Workspace

F = TypeVar("F", bound=Callable[..., Any])
_MARK = re.compile(r"\x00(\d+)\x00")
_TEMPLATES = {"--system", "--reference"}


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
    say: Callable[[str], None] = print
    """Shows a line at once, before the verb is done."""


class Tree(click.Group):
    """A group that answers a wrong verb with the nearest right one."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find the verb, or say which is like it."""
        name = args[0] if args else ""
        if name and not name.startswith("-") and self.get_command(ctx, name) is None:
            raise UnknownName("verb", name, self.list_commands(ctx))
        return super().resolve_command(ctx, args)


@click.group(
    cls=Tree,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="In a notebook: %load_ext bmad_nb, then %%bmad VERB above a prompt, or %bmad VERB.",
)
@click.version_option(__version__, "--version", message="bmad_nb %(version)s")
def bmad() -> None:
    """Work with several LLMs: ask, compare, and see what it cost."""


def asking_options(command: F) -> F:
    """Add the options that ask and compare share."""
    options = [
        click.option("-o", "--out", metavar="NAME", help="bind the result to a variable"),
        click.option("-p", "--param", "params", multiple=True, metavar="K=V", help="fills {{ K }}"),
        click.option("--budget", metavar="USD", help="hard limit on what this run may cost"),
        click.option("--fresh", is_flag=True, help="ask anew, even where an answer is stored"),
        click.option("--raw", is_flag=True, help="leave {{ }} in the prompt as it is"),
        click.option("--reference", metavar="TEXT", help="right answer, or a column of --over"),
        click.option("--system", metavar="TEXT", help="system message"),
        click.option("--temperature", type=float, help="0 repeats itself, higher varies"),
        click.option("--max-tokens", type=int, help="most tokens of an answer"),
        click.option("--seed", type=int, help="seed of the sampling, where a backend has one"),
        click.option("--json", "as_json", is_flag=True, help="print JSON (shell)"),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def model_option(command: F) -> F:
    """Add `-m`."""
    return click.option(
        "-m", "--model", "--llms", "models", multiple=True, metavar="ID[,ID…]",
        help="LLMs: ids with commas, globs such as sim/*, settings as ID?temperature=1",
    )(command)  # fmt: skip


@bmad.command()
@model_option
@asking_options
@click.argument("prompt", nargs=-1)
@click.pass_obj
def ask(front: Front, /, models: tuple[str, ...], prompt: tuple[str, ...], **options: Any) -> Any:
    """Ask one LLM.

    Example: %%bmad ask -m local -o r
    """
    return _asked(front, front.workspace.ask, prompt, ",".join(models) or None, options)


@bmad.command()
@model_option
@click.option("-n", "--samples", type=click.IntRange(1), default=1, help="how often each is asked")
@click.option("--over", metavar="NAME", help="cases: a DataFrame, a CSV or a JSONL file")
@click.option("--vary", multiple=True, metavar="K=V,V", help="settings, such as temperature=0,1")
@asking_options
@click.argument("prompt", nargs=-1)
@click.pass_obj
def compare(  # noqa: PLR0917  (click passes them by name)
    front: Front, /, models: tuple[str, ...], prompt: tuple[str, ...], over: str | None,
    vary: tuple[str, ...], samples: int, **options: Any,
) -> Any:  # fmt: skip
    """Ask several LLMs the same, and set the answers side by side.

    Example: %%bmad compare -m local,sim/careful,sim/hasty -n 3 --budget 0.05 -o r
    """
    if not models:
        raise UsageProblem(
            "compare needs LLMs.", hint="Write -m ID,ID; %bmad models lists what is ready here."
        )
    options["samples"] = samples
    options["vary"] = dict(_varied(text) for text in vary) or None
    options["over"] = _cases(front, over) if over else None
    return _asked(front, front.workspace.compare, prompt, ",".join(models), options)


@bmad.command()
@click.option("--limit", type=click.IntRange(1), default=20, help="how many, the newest first")
@click.option("--json", "as_json", is_flag=True, help="print JSON (shell)")
@click.pass_obj
def runs(front: Front, limit: int, as_json: bool) -> Any:
    """List the runs of this project's store."""
    return _out(front.workspace.runs().head(limit), as_json=as_json)


@bmad.command()
@click.argument("run_id")
@click.option("-o", "--out", metavar="NAME", help="bind the result to a variable")
@click.option("--json", "as_json", is_flag=True, help="print JSON (shell)")
@click.pass_obj
def show(front: Front, run_id: str, out: str | None, as_json: bool) -> Any:
    """Show a stored run again; nothing is asked."""
    return _out(_bound(front, front.workspace.run_of(run_id), out), as_json=as_json)


@bmad.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="print JSON (shell)")
@click.pass_context
def models(context: click.Context, as_json: bool) -> Any:
    """List LLMs; install or verify the embedded model."""
    if context.invoked_subcommand is None:
        return context.invoke(list_models, as_json=as_json)
    return None


@models.command("list")
@click.argument("pattern", default="*")
@click.option("--json", "as_json", is_flag=True, help="print JSON (shell)")
@click.pass_obj
def list_models(front: Front, pattern: str = "*", as_json: bool = False) -> Any:
    """List LLMs that are known by name, what works here first."""
    from bmad_nb import checks

    return _out(checks.models(front.workspace, pattern), as_json=as_json)


@models.command()
@click.argument("name", default="smollm2-135m")
@click.pass_obj
def install(front: Front, name: str) -> Any:
    """Fetch the weights of an embedded model, once."""
    from bmad_nb.llms import weights

    path = weights.install(_embedded(name), front.say)
    return Text(f"{name} is ready: {path}", {"model": name, "path": str(path)})


@models.command()
@click.argument("name", default="smollm2-135m")
@click.pass_obj
def verify(front: Front, name: str) -> Any:  # noqa: ARG001  (every verb takes the front)
    """Check the weights of an embedded model against their hash."""
    from bmad_nb.llms import weights

    weights.verify(_embedded(name))
    return Text(f"{name}: the weights have the right SHA-256.", {"model": name, "verified": True})


@bmad.command()
@click.option("--json", "as_json", is_flag=True, help="print JSON (shell)")
@click.pass_obj
def doctor(front: Front, as_json: bool) -> Any:
    """Check this machine: what works, what is missing, what to do."""
    from bmad_nb import checks

    return _out(checks.doctor(front.workspace), as_json=as_json)


@bmad.command()
@click.option(
    "--folder", type=click.Path(path_type=Path), default=Path("bmad-demo"), help="where it goes"
)
@click.option("--simulated", is_flag=True, help="a simulated LLM in the embedded model's place")
@click.option("--json", "as_json", is_flag=True, help="print JSON (shell)")
@click.pass_obj
def demo(front: Front, folder: Path, simulated: bool, as_json: bool) -> Any:
    """Run the quickstart notebook on the embedded model, through papermill."""
    from bmad_nb import tour

    shown = tour.demo(front.workspace, folder, front.say, simulated=simulated)
    return _out(shown, as_json=as_json)


@bmad.command(context_settings={"ignore_unknown_options": True})
@click.argument("notebook", required=False, type=click.Path(path_type=Path))
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def lab(front: Front, notebook: Path | None, options: tuple[str, ...]) -> Any:
    """Open a notebook in JupyterLab: the demo's where none is named. OPTIONS are JupyterLab's."""
    from bmad_nb import tour

    if front.kind != "shell":
        raise UsageProblem("JupyterLab is open already.", hint="Run bmad lab in a terminal.")
    if notebook is not None and str(notebook).startswith("-"):
        notebook, options = None, (str(notebook), *options)
    return tour.lab(notebook, options)


# --- helpers of the verbs -----------------------------------------------------------------------


def _asked(
    front: Front, method: Callable[..., Any], prompt: tuple[str, ...], llms: str | None,
    options: dict[str, Any],
) -> Any:  # fmt: skip
    out, as_json = options.pop("out"), options.pop("as_json")
    if out is not None and not out.isidentifier():
        raise UsageProblem(f"{out!r} cannot be the name of a variable.")
    inputs = {**front.names, **dict(_pair(text) for text in options.pop("params"))}
    options["budget_usd"] = options.pop("budget")
    chosen = {name: value for name, value in options.items() if value is not None}
    text = _prompt(front, prompt)
    return _out(_bound(front, method(text, llms, inputs=inputs, **chosen), out), as_json=as_json)


def _prompt(front: Front, words: tuple[str, ...]) -> str:
    if front.body is not None:
        if words:
            raise UsageProblem(
                f"{words[0]!r} stands behind the verb, and the prompt is in the cell.",
                hint="Options only, on the first line.",
            )
        return front.body.strip("\n")
    if words in {(), ("-",)} and front.kind == "shell":
        return sys.stdin.read()
    return " ".join(words)


def _bound(front: Front, result: Any, name: str | None) -> Any:
    if name is not None:
        result.name = name
        front.bind[name] = result
    return result


def _out(result: Any, *, as_json: bool) -> Any:
    return Json(json_of(result)) if as_json else result


class Json:
    """JSON text that a face prints as it is."""

    def __init__(self, text: str) -> None:
        """Keep the text."""
        self.text = text

    def __repr__(self) -> str:
        """Return the JSON itself."""
        return self.text


def _pair(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise UsageProblem(f"{text!r} is not an input.", hint="Write -p name=value.")
    return name, value


def _varied(text: str) -> tuple[str, list[Any]]:
    name, equals, values = text.partition("=")
    if not equals or not values:
        raise UsageProblem(f"{text!r} is not a setting.", hint="Write --vary temperature=0,1.")
    return name.strip(), [number_or_text(value.strip()) for value in values.split(",")]


def _cases(front: Front, name: str) -> Any:
    if name in front.names:
        return front.names[name]
    path = Path(name)
    if front.kind == "shell" or path.suffix in {".csv", ".jsonl"}:
        return read_cases(path)
    raise UnknownName("variable", name, [n for n in front.names if not n.startswith("_")])


def _embedded(name: str) -> str:
    from bmad_nb.llms.weights import models

    short = name.removeprefix("local/")
    if short not in models():
        raise UnknownName("embedded model", name, models())
    return short


def split(line: str, names: Mapping[str, Any]) -> list[str]:
    """Return the words of a magic's line, with `{{ }}` filled; what is filled in is never split.

    A list becomes a comma list, so that `-m {{ models }}` takes a Python list. Words that are
    templates themselves (the prompt, the system message, the reference) keep their holes: these
    are filled once, case by case.

    Raises:
        UsageProblem: the quotes do not match.
        TemplateError: a hole cannot be filled.
    """
    holes: list[str] = []

    def mark(match: re.Match[str]) -> str:
        holes.append(match.group(0))
        return f"\x00{len(holes) - 1}\x00"

    def value(match: re.Match[str]) -> str:
        inner = HOLE.fullmatch(holes[int(match.group(1))])
        found = expressions.evaluate(expressions.parse(inner.group(1) if inner else ""), names)
        return ",".join(map(str, found)) if isinstance(found, list | tuple) else as_text(found)

    try:
        words = shlex.split(HOLE.sub(mark, line.replace("\x00", "")))
    except ValueError as error:
        raise UsageProblem(f"The line cannot be split into words: {error}.") from None
    filled = []
    for before, word in zip(["", *words], words, strict=False):
        is_template = _is_template(words[0], before, word)
        kept = (lambda match: holes[int(match.group(1))]) if is_template else value
        filled.append(_MARK.sub(kept, word))
    return filled


def _is_template(verb: str, before: str, word: str) -> bool:
    """Return whether a word of the line is a prompt, a system message or a reference."""
    command = bmad.commands.get(verb)
    options = [p for p in command.params if isinstance(p, click.Option)] if command else []
    if not any(option.name == "system" for option in options):
        return False
    if before in _TEMPLATES or word.partition("=")[0] in _TEMPLATES:
        return True
    takes_value = {name for option in options if not option.is_flag for name in option.opts}
    return not word.startswith("-") and before not in takes_value


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
    verb = error.ctx.command.name if error.ctx else ""
    help_line = f"{_prog(front)} {verb} --help" if verb != "bmad" else f"{_prog(front)} --help"
    return UsageProblem(error.format_message(), hint=f"See {help_line.replace('%%', '%')}.")
