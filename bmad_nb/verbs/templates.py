"""`bmad workflow create`: a workflow of your own out of a template."""

from __future__ import annotations

import contextlib
import json
import shlex
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from bmad_nb import parse
from bmad_nb.errors import UnknownName, UsageProblem
from bmad_nb.prompts import as_text
from bmad_nb.results import Text
from bmad_nb.secrets import looks_secret
from bmad_nb.templates import catalog
from bmad_nb.templates.catalog import Parameter
from bmad_nb.verbs.base import Front, json_option, shown
from bmad_nb.workflow.model import Workflow

WIDTH = 70
"""Characters of a default that are shown in a form."""


@click.command()
@click.option("--template", metavar="NAME", help="the template; --list names them")
@click.option(
    "--list", "is_list", is_flag=True, help="show the templates, or what can be set in one"
)
@click.option(
    "--set", "given", multiple=True, metavar="K=V", help="set a parameter of the template"
)  # fmt: skip
@click.option("--customize", is_flag=True, help="ask for each parameter on the terminal")
@click.option("-o", "--out", "file", metavar="FILE", help="where it goes; else NAME.yaml here")
@click.option("--force", is_flag=True, help="overwrite the file if it is there")
@json_option
@click.pass_obj
def create(
    front: Front,
    template: str | None,
    file: str | None,
    *,
    is_list: bool,
    given: tuple[str, ...],
    customize: bool,
    force: bool,
    as_json: bool,
) -> Any:
    """Write a workflow out of a template, with your own values in it."""
    if front.body is not None:
        raise UsageProblem(
            "This verb takes no text below its line.", hint="Write it with one %, in a line."
        )
    if is_list:
        return shown(_parameters(template) if template else _templates(), as_json=as_json)
    if template is None:
        raise UsageProblem("No template was named.", hint="--list shows them: --template NAME.")
    known = catalog.parameters(template)
    values = _values(template, known, given)
    path = Path(file or f"{template}.yaml")
    if not force:
        _refuse_if_there(path)
    if customize:
        values |= _asked(front, template, {n: p for n, p in known.items() if n not in values})
    text = catalog.customised(template, values)
    _write(path, text, force=force)
    flow = parse.load(path)
    if front.kind != "shell":
        front.workspace.define(flow)
    return shown(_told(front, path, flow, known, values), as_json=as_json)


def _templates() -> Text:
    """Return a line on each template."""
    flows = {name: catalog.workflow(name) for name in catalog.NAMES}
    width = max(map(len, flows))
    lines = [f"{name:<{width}}  {flow.description}" for name, flow in flows.items()]
    last = "What can be set in one: bmad workflow create --list --template NAME"
    value = [
        {"template": name, "title": flow.title, "description": flow.description,
         "inputs": list(flow.inputs)}
        for name, flow in flows.items()
    ]  # fmt: skip
    return Text("\n".join([*lines, "", last]), value)


def _parameters(template: str) -> Text:
    """Return a line on each parameter of a template."""
    known = catalog.parameters(template)
    width = max(map(len, known))
    lines = [
        f"{name:<{width}}  {each.description} ({each.kind}; {_brief(each.default)})"
        for name, each in known.items()
    ]
    value = [
        {"parameter": name, "type": each.kind, "description": each.description,
         "default": each.default}
        for name, each in known.items()
    ]  # fmt: skip
    return Text("\n".join(lines), value)


def _values(template: str, known: Mapping[str, Parameter], given: Sequence[str]) -> dict[str, Any]:
    """Return the values of `--set`.

    Raises:
        UsageProblem: one is not written `name=value`, or not of the right type.
        UnknownName: the template has no such parameter.
    """
    values = {}
    for each in given:
        name, equals, text = each.partition("=")
        if not equals:
            raise UsageProblem(f"{each!r} sets nothing.", hint="Write --set name=value.")
        if name not in known:
            raise UnknownName(f"parameter of {template}", name, known)
        if looks_secret(name, text):
            raise UsageProblem(
                f"The value of {name!r} looks like a key, and it would stand in the file.",
                hint='Keys are given by reference, api_key = "env:NAME" in the settings.',
            )
        values[name] = known[name].read(text)
    return values


def _asked(front: Front, template: str, known: Mapping[str, Parameter]) -> dict[str, Any]:
    """Ask the person who sits here for each parameter; an empty answer keeps what stands there.

    Raises:
        UsageProblem: nobody sits here.
        KeyboardInterrupt: there is no more input; nothing is written.
    """
    if front.workspace.on_question is None:
        raise UsageProblem(
            "Nobody can be asked here.", hint="Give values with --set name=value instead."
        )
    # data on standard output stays data
    with contextlib.redirect_stdout(sys.stderr if front.kind == "shell" else sys.stdout):
        print(f"{template}: an empty line keeps what stands in brackets.")  # noqa: T201
        values = {name: _answer(each) for name, each in known.items()}
    return {name: value for name, value in values.items() if value != known[name].default}


def _answer(parameter: Parameter) -> Any:
    """Ask for one value until it can be read."""
    print(f"\n{parameter.name}: {parameter.description}")  # noqa: T201
    while True:
        try:
            text = input(f"  [{_brief(parameter.default)}] > ").strip()
        except EOFError:
            raise KeyboardInterrupt from None
        if not text:
            return parameter.default
        try:
            return parameter.read(text)
        except UsageProblem as error:
            print(f"  {error.what} {error.hint}".rstrip())  # noqa: T201


def _brief(value: Any) -> str:
    """Return a default in one line."""
    if value is None:
        return "nothing"
    text = as_text(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    first, *more = text.strip().split("\n")
    cut = first if len(first) <= WIDTH else f"{first[: WIDTH - 1]}…"
    return f"{cut} … {len(more) + 1} lines" if more else cut


def _refuse_if_there(path: Path) -> None:
    if path.exists() or path.is_symlink():
        raise UsageProblem(
            f"{path} is there already, and stays as it is.",
            hint="-o FILE takes another place; --force overwrites it.",
        )


def _write(path: Path, text: str, *, force: bool) -> None:
    """Write a file whole or not at all.

    Raises:
        UsageProblem: it is there and may not be overwritten, or it cannot be written.
    """
    try:
        if force:
            beside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
            try:
                beside.write_text(text, "utf-8")
                beside.replace(path)
            finally:
                beside.unlink(missing_ok=True)
        else:
            with path.open("x", encoding="utf-8") as new:  # somebody may have been faster
                new.write(text)
    except FileExistsError:
        _refuse_if_there(path)
    except OSError as error:
        raise UsageProblem(
            f"{path} cannot be written: {error.strerror}.", hint="-o FILE takes another place."
        ) from None


def _names_llms(parameter: Parameter) -> bool:
    """Return whether a parameter says which LLMs are asked."""
    return any({"route", "llm", "models"} & set(place) for place in parameter.places)


def _told(
    front: Front,
    path: Path,
    flow: Workflow,
    known: Mapping[str, Parameter],
    values: Mapping[str, Any],
) -> Text:
    """Return what was written, and how it is run."""
    program = "bmad" if front.kind == "shell" else "%bmad"
    runs_code = any(
        (task.python or "").startswith("bmad_nb.scorers.") for task in flow.tasks.values()
    )
    words = [program, "workflow execute --definition", shlex.quote(str(path))]
    words += ["--allow-python"] if runs_code else []
    lines = [f"{path}: {flow.title}, {len(flow.tasks)} tasks.", f"Run it: {' '.join(words)}"]
    if runs_code:
        lines.append("It runs code that an LLM wrote, in a process of its own with limits.")
    asks_local = front.workspace.settings.engine.default_llm.startswith("local/")
    if asks_local and not any(_names_llms(known[name]) for name in values):
        simulated = "-m 'local/*=sim/careful'"
        lines.append(f"On the simulated fleet: {' '.join(words)} {simulated}")
    value = {"file": str(path), "workflow": flow.id, "tasks": list(flow.tasks), "set": dict(values)}
    return Text("\n".join(lines), value)
