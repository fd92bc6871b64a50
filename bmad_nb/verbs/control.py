"""The verbs that tell a run what to do, wherever it runs: `pause`, `cancel`, `approve`."""

from __future__ import annotations

import json
from typing import Any

import click

from bmad_nb.errors import UsageProblem
from bmad_nb.events import TaskAsked
from bmad_nb.render.base import plain
from bmad_nb.results import Text
from bmad_nb.verbs.base import Front, bound, json_option, out_option, run_argument, shown
from bmad_nb.verbs.running import without_body
from bmad_nb.verbs.wishes import rebound


@click.command()
@run_argument
@click.option("--now", is_flag=True, help="break off calls in flight, too: they may be billed")
@json_option
@click.pass_obj
def pause(front: Front, run_id: str, *, now: bool, as_json: bool) -> Any:
    """Let a running run begin nothing more. Calls in flight end, and it is stored as paused."""
    without_body(front)
    run = front.workspace.store.run(run_id)
    seen = front.workspace.pause(run.run_id, now=now)
    said = _said(front, run.run_id, seen, "pauses: nothing new begins", f"resume {run.run_id}")
    return shown(said, as_json=as_json)


@click.command()
@run_argument
@json_option
@click.pass_obj
def cancel(front: Front, run_id: str, *, as_json: bool) -> Any:
    """Stop a run for good. What it has cost and given is kept."""
    without_body(front)
    run = front.workspace.store.run(run_id)
    was_running = run.status == "running"
    seen = front.workspace.cancel(run.run_id)
    if not was_running:
        facts = {"run_id": run.run_id, "seen_utc": ""}
        return shown(Text(f"Run {run.run_id} is cancelled.", facts), as_json=as_json)
    said = _said(front, run.run_id, seen, "is being cancelled", f"show {run.run_id}")
    return shown(said, as_json=as_json)


@click.command()
@run_argument
@click.argument("task", required=False)
@click.argument("choice", required=False)
@click.option("--comment", default="", help="what the tasks behind it read as `comment`")
@click.option("--set", "fields", multiple=True, metavar="FIELD=TEXT", help="a field of its form")
@json_option
@click.pass_obj
def approve(
    front: Front, /, run_id: str, task: str | None, choice: str | None, as_json: bool, **given: Any
) -> Any:
    """Answer a task that waits for a person; without a task, list what is asked."""
    without_body(front)
    space = front.workspace
    run = space.store.run(run_id)
    if task is None or choice is None:
        return shown(_open_questions(space, run.run_id), as_json=as_json)
    fields = dict(_field(each) for each in given["fields"])
    seen = space.approve(run.run_id, task, choice, given["comment"], **fields)
    if run.status != "running":
        said = f"It is stored. Go on with: {_program(front)} resume {run.run_id}"
        facts = {"run_id": run.run_id, "task": task, "choice": choice, "seen_utc": ""}
        return shown(Text(said, facts), as_json=as_json)
    done = _said(front, run.run_id, seen, f"has the answer to {task!r}", f"show {run.run_id}")
    return shown(done, as_json=as_json)


@click.command()
@run_argument
@click.option("--at", required=True, metavar="TASK", help="the task to begin with")
@click.option("--set", "changes", multiple=True, metavar="NAME=VALUE", help="an input or TASK.KEY")
@click.option("-m", "--llms", multiple=True, metavar="OLD=NEW", help="NEW in OLD's place")
@click.option("--strategy", metavar="WORD", help="another strategy")
@click.option("--budget", metavar="USD", help="hard limit on what the new run may cost")
@click.option("--fresh", is_flag=True, help="ask anew, though an equal request is stored")
@out_option
@json_option
@click.pass_obj
def fork(front: Front, /, run_id: str, at: str, **given: Any) -> Any:
    """Begin a new run from the middle of another: what is before is taken over, free."""
    without_body(front)
    run = front.workspace.fork(
        run_id,
        at,
        set={name: _value(text) for name, text in map(_field, given["changes"])},
        llms=rebound(given["llms"]),
        strategy=given["strategy"],
        budget_usd=given["budget"],
        fresh=given["fresh"],
    )
    return shown(bound(front, run, given["out"]), as_json=given["as_json"])


def _value(text: str) -> Any:
    """Return a value as JSON says it, or the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _field(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise UsageProblem(f"--set cannot be {text!r}.", hint="Write --set FIELD=TEXT.")
    return name.strip(), value


def _program(front: Front) -> str:
    return "bmad" if front.kind == "shell" else "%bmad"


def _said(front: Front, run_id: str, seen: str, what: str, then: str) -> Text:
    facts = {"run_id": run_id, "seen_utc": seen}
    if not seen:
        said = f"Run {run_id} has not seen it yet; it is stored, and obeyed as soon as it looks."
        return Text(said, facts)
    said = f"Run {run_id} {what} (seen {seen[11:23]} UTC). Next: {_program(front)} {then}"
    return Text(said, facts)


def _open_questions(space: Any, run_id: str) -> Text:
    state = space.run_of(run_id).state
    asked = [each for name, each in state.questions.items() if name not in state.answers]
    if not asked:
        return Text(f"Run {run_id} asks nobody.", [])
    facts = [
        {"task": e.task, "question": e.question, "options": list(e.options), "form": list(e.form)}
        for e in asked
    ]
    return Text("\n\n".join(question_text(each) for each in asked), facts)


def question_text(asked: TaskAsked) -> str:
    """Return a question as lines that are safe on a terminal, what is shown beside it cut short."""
    lines = [f"{asked.task}: {asked.question}"]
    if asked.shown is not None:
        shown = asked.shown if isinstance(asked.shown, str) else json.dumps(asked.shown, indent=2)
        lines.append(shown if len(shown) <= 2_000 else shown[:2_000] + " …")
    if asked.options:
        lines.append(f"Options: {', '.join(asked.options)}")
    return plain("\n".join(lines))


def ask_here(asked: TaskAsked) -> dict[str, Any]:
    """Ask the person who waits here, and return the answer.

    Raises:
        KeyboardInterrupt: there is no more input; the run is paused, and asks again later.
    """
    print(question_text(asked))  # noqa: T201  (a person reads it)
    try:
        choice = input("> ").strip()
        while asked.options and choice not in asked.options:
            print(f"One of: {', '.join(asked.options)}")  # noqa: T201
            choice = input("> ").strip()
        comment = input("Comment (may be empty): ").strip() if asked.options else ""
        fields = {name: input(f"{name}: ").strip() for name in asked.form}
    except EOFError:
        raise KeyboardInterrupt from None
    return {"choice": choice, "comment": comment, "by": "here", **fields}
