"""The verbs that ask LLMs: `ask` and `compare`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from bmad_nb import documents
from bmad_nb.errors import UnknownName, UsageProblem
from bmad_nb.grid import read_cases
from bmad_nb.llms.catalog import number_or_text
from bmad_nb.scorers.choice import NAMES as SCORERS
from bmad_nb.verbs.base import (
    Front,
    bound,
    complete_value,
    json_option,
    out_option,
    pair,
    param_option,
    refuse_background,
    replay_option,
    shown,
)
from bmad_nb.verbs.wishes import background_option

F = TypeVar("F", bound=Callable[..., Any])

model_option = click.option(
    "-m", "--model", "--llms", "models", multiple=True, metavar="ID[,ID…]",
    help="LLMs: ids with commas, globs such as sim/*, settings as ID?temperature=1",
    shell_complete=complete_value,
)  # fmt: skip

cases_option = click.option(
    "--over", metavar="NAME", help="cases: a DataFrame, a CSV or a JSONL file"
)


def asking_options(command: F) -> F:
    """Add the options that ask and compare share."""
    options = [
        out_option,
        param_option,
        click.option("--budget", metavar="USD", help="hard limit on what this run may cost"),
        click.option("--fresh", is_flag=True, help="ask anew, even where an answer is stored"),
        replay_option,
        click.option("--raw", is_flag=True, help="leave {{ }} in the prompt as it is"),
        click.option("--reference", metavar="TEXT", help="right answer, or a column of --over"),
        click.option("--system", metavar="TEXT", help="system message"),
        click.option("--image", "images", multiple=True, metavar="FILE", help="a picture to show"),
        click.option(
            "--schema", metavar="FILE|JSON", help="JSON Schema, or {field: type}, to be matched"
        ),
        click.option("--temperature", type=float, help="0 repeats itself, higher varies"),
        click.option("--max-tokens", type=int, help="most tokens of an answer"),
        click.option("--seed", type=int, help="seed of the sampling, where a backend has one"),
        json_option,
        background_option,
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


@click.command()
@model_option
@click.option("--chat", metavar="NAME", help="a conversation: its turns go before the prompt")
@asking_options
@click.argument("prompt", nargs=-1)
@click.pass_obj
def ask(front: Front, /, models: tuple[str, ...], prompt: tuple[str, ...], **options: Any) -> Any:
    """Ask one LLM."""
    return _asked(front, front.workspace.ask, prompt, ",".join(models) or None, options)


@click.command()
@model_option
@click.option("-n", "--samples", type=click.IntRange(1), default=1, help="how often each is asked")
@cases_option
@click.option("--vary", multiple=True, metavar="K=V,V", help="settings, such as temperature=0,1")
@click.option("--scorer", type=click.Choice(SCORERS), help="how answers meet --reference")
@click.option("--judge", metavar="ID[,ID…]", help="LLMs that score the answers, or auto")
@click.option("--rubric", metavar="TEXT", help="what a good answer is, for --judge")
@click.option("--pairwise", is_flag=True, help="judge each two answers in both orders")
@click.option("--task-type", default="", metavar="NAME", help="what is learned from scores about")
@asking_options
@click.argument("prompt", nargs=-1)
@click.pass_obj
def compare(  # noqa: PLR0917  (click passes them by name)
    front: Front, /, models: tuple[str, ...], prompt: tuple[str, ...], over: str | None,
    vary: tuple[str, ...], samples: int, **options: Any,
) -> Any:  # fmt: skip
    """Ask several LLMs the same, and set the answers side by side."""
    if not models:
        raise UsageProblem(
            "compare needs LLMs.", hint="Write -m ID,ID; %bmad models lists what is ready here."
        )
    options["samples"] = samples
    options["vary"] = dict(_varied(text) for text in vary) or None
    options["over"] = read_cases_of(front, over)
    return _asked(front, front.workspace.compare, prompt, ",".join(models), options)


def _asked(
    front: Front, method: Callable[..., Any], prompt: tuple[str, ...], llms: str | None,
    options: dict[str, Any],
) -> Any:  # fmt: skip
    out, as_json = options.pop("out"), options.pop("as_json")
    inputs = {**front.names, **dict(pair(text) for text in options.pop("params"))}
    if options["background"]:
        refuse_background(front, as_json=as_json)
    options["budget_usd"] = options.pop("budget")
    options["images"] = list(options["images"]) or None
    options["output"] = schema_of(options.pop("schema"))
    chosen = {name: value for name, value in options.items() if value is not None}
    text = question_of(front, prompt)
    return shown(bound(front, method(text, llms, inputs=inputs, **chosen), out), as_json=as_json)


def question_of(front: Front, words: tuple[str, ...]) -> str:
    """Return the prompt: the cell's text, the words behind the verb, or standard input."""
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


def schema_of(given: str | None) -> Any:
    """Return the schema that a file or the option itself spells, in YAML or JSON.

    Raises:
        UsageProblem: it cannot be read.
    """
    if given is None:
        return None
    if given.lstrip().startswith("{"):
        return documents.read(given.encode(), "--schema").data
    try:
        return documents.read(Path(given).read_bytes(), given).data
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise UsageProblem(
            f"{given} cannot be read: {why}.", hint="--schema takes a file, or {field: type}."
        ) from None


def _varied(text: str) -> tuple[str, list[Any]]:
    name, equals, values = text.partition("=")
    if not equals or not values:
        raise UsageProblem(f"{text!r} is not a setting.", hint="Write --vary temperature=0,1.")
    return name.strip(), [number_or_text(value.strip()) for value in values.split(",")]


def read_cases_of(front: Front, name: str | None) -> Any:
    """Return the table that `--over` names: a variable, or a file; None without one.

    Raises:
        UnknownName: there is none.
    """
    if not name:
        return None
    if name in front.names:
        return front.names[name]
    path = Path(name)
    if front.kind == "shell" or path.suffix in {".csv", ".jsonl"}:
        return read_cases(path)
    raise UnknownName("variable", name, [n for n in front.names if not n.startswith("_")])
