"""The verbs about the session: `status`, `help`, `display`, `traceback` and `chat`."""

from __future__ import annotations

from typing import Any

import click

from bmad_nb.chats import turns_text
from bmad_nb.errors import UnknownName, UsageProblem
from bmad_nb.live.mode import WORDS
from bmad_nb.results import Text
from bmad_nb.verbs.base import Front, json_option, shown


@click.command()
@json_option
@click.pass_obj
def status(front: Front, as_json: bool) -> Any:
    """Show what is ready here: LLMs, money, the last runs, and what to do next."""
    from bmad_nb.verbs.screen import screen

    return shown(screen(front), as_json=as_json)


@click.command("help", context_settings={"ignore_unknown_options": True})
@click.argument("verb", nargs=-1)
@click.pass_context
def help_(context: click.Context, verb: tuple[str, ...]) -> Any:
    """Explain a verb, with examples to be copied."""
    root = context.find_root()
    command, path = root.command, root.info_name or "bmad"
    for word in verb:
        below = command.commands if isinstance(command, click.Group) else {}
        if word not in below:
            raise UnknownName("verb", word, below)
        command, path = below[word], f"{path} {word}"
    made = click.Context(command, info_name=path, obj=context.obj)
    return Text(command.get_help(made))


@click.command()
@click.argument("mode", type=click.Choice(WORDS))
@click.pass_obj
def display(front: Front, mode: str) -> Any:
    """Choose what cells show from now on: live views, what stays in the notebook, or what fits."""
    front.display(mode)
    return Text(f"Cells are displayed {'as the front end allows' if mode == 'auto' else mode}.")


@click.command()
@click.pass_obj
def traceback(front: Front) -> Any:
    """Show the last error of a cell with all its frames."""
    if front.traceback is None:
        raise UsageProblem("Only a notebook keeps the last error.", hint="Errors are whole there.")
    text = front.traceback()
    return Text(text or "No error of %bmad yet.")


@click.command()
@click.argument("name", metavar="[NAME]", required=False)
@click.option("--show", "show", is_flag=True, help="list its turns, as they go before a question")
@click.option("--drop", type=int, multiple=True, metavar="N", help="leave turn N out from now on")
@click.option("--clear", is_flag=True, help="begin anew; the store keeps what was said")
@json_option
@click.pass_obj
def chat(  # noqa: PLR0917  (click passes them by name)
    front: Front, /, name: str | None, show: bool, drop: tuple[int, ...], clear: bool, as_json: bool
) -> Any:
    """Look at the context of a conversation, and cut it. %%bmad ask --chat NAME adds to it."""
    del show  # what it does without the other options, too
    chats = front.workspace.chats
    if name is None:
        names = chats.names()
        said = ", ".join(names) or "no chat yet: %%bmad ask --chat NAME begins one."
        return shown(Text(f"Chats: {said}", names), as_json=as_json)
    if clear and drop:
        raise UsageProblem("--clear drops all turns.", hint="Give one of --clear and --drop.")
    if clear:
        chats.clear(name)
    for number in drop:
        chats.drop(name, number)
    turns = chats.turns(name)
    facts = [
        {"number": turn.number, "llm": turn.call.llm, "question": turn.question,
         "answer": turn.call.text, "simulated": turn.call.simulated}
        for turn in turns
    ]  # fmt: skip
    return shown(Text(turns_text(name, turns), facts), as_json=as_json)
