"""The words of a magic's line, with its holes filled."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Mapping
from typing import Any

import click

from bmad_nb import expressions
from bmad_nb.errors import UsageProblem
from bmad_nb.prompts import HOLE, as_text
from bmad_nb.verbs.tree import command_of

_MARK = re.compile(r"\x00(\d+)\x00")
_TYPED = re.compile(r"(?:-p|--param=)?\w+=\x00(\d+)\x00")
_TEMPLATES = {"--system", "--reference"}


def split(line: str, names: Mapping[str, Any]) -> list[str]:
    """Return the words of a magic's line, with `{{ }}` filled; what is filled in is never split.

    A list becomes a comma list, so that `-m {{ models }}` takes a Python list; as the whole value
    of a workflow's input, whatever is no text becomes JSON. Words that are templates themselves
    (the prompt, the system message, the reference) keep their holes: these are filled once, case
    by case.

    Raises:
        UsageProblem: the quotes do not match, or a value has no JSON.
        TemplateError: a hole cannot be filled.
    """
    holes: list[str] = []

    def mark(match: re.Match[str]) -> str:
        holes.append(match.group(0))
        return f"\x00{len(holes) - 1}\x00"

    def value(match: re.Match[str]) -> Any:
        inner = HOLE.fullmatch(holes[int(match.group(1))])
        return expressions.evaluate(expressions.parse(inner.group(1) if inner else ""), names)

    def text(match: re.Match[str]) -> str:
        found = value(match)
        return ",".join(map(str, found)) if isinstance(found, list | tuple) else as_text(found)

    try:
        words = shlex.split(HOLE.sub(mark, line.replace("\x00", "")))
    except ValueError as error:
        raise UsageProblem(f"The line cannot be split into words: {error}.") from None
    command, _ = command_of(words)
    filled = []
    for before, word in zip(["", *words], words, strict=False):
        spell: Callable[[re.Match[str]], str] = text
        if _is_template(command, before, word):
            spell = lambda match: holes[int(match.group(1))]  # noqa: E731
        elif _is_input(command, before, word):
            spell = lambda match: _json(value(match))  # noqa: E731
        filled.append(_MARK.sub(spell, word))
    return filled


def _options(command: click.Command) -> list[click.Option]:
    return [param for param in command.params if isinstance(param, click.Option)]


def _is_input(command: click.Command, before: str, word: str) -> bool:
    """Return whether a word is `name={{ hole }}`, an input of a verb that types its inputs."""
    typed = any(option.name == "params_file" for option in _options(command))
    behind = before in {"-p", "--param"} or word.startswith(("-p", "--param="))
    return typed and behind and _TYPED.fullmatch(word) is not None


def _json(value: Any) -> str:
    """Return a text as it is, and all else as JSON.

    Raises:
        UsageProblem: it has none.
    """
    value = expressions.spelled(value)
    if isinstance(value, str) or hasattr(value, "answers"):
        return str(value)
    try:
        return json.dumps(value, default=_plainer)
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageProblem(
            f"A {type(value).__name__} cannot be an input: {error}.",
            hint="Give text, numbers, lists, dictionaries or a DataFrame.",
        ) from None


def _plainer(value: Any) -> Any:
    """Return a table as its rows, a number or an array of numpy as Python's, a date as text."""
    if hasattr(value, "columns"):
        return json.loads(value.to_json(orient="records", date_format="iso"))
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a {type(value).__name__} is no value of JSON")


def _is_template(command: click.Command, before: str, word: str) -> bool:
    """Return whether a word of the line is a prompt, a system message or a reference."""
    options = _options(command)
    if not any(option.name == "system" for option in options):
        return False
    if before in _TEMPLATES or word.partition("=")[0] in _TEMPLATES:
        return True
    takes_value = {name for option in options if not option.is_flag for name in option.opts}
    return not word.startswith("-") and before not in takes_value
