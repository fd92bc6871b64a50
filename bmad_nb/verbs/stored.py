"""Answers that become one: `collaborate` asks for them, `consensus` and `ensemble` ask nobody."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from bmad_nb.errors import UnknownName, UsageProblem
from bmad_nb.question import KINDS
from bmad_nb.templates import catalog as templates
from bmad_nb.verbs.asking import schema_of
from bmad_nb.verbs.base import (
    Front,
    bound,
    json_option,
    out_option,
    pair,
    param_option,
    replay_option,
    shown,
)
from bmad_nb.verbs.running import found, gone, without_body
from bmad_nb.verbs.wishes import Options, show_progress_option
from bmad_nb.workflow import inputs as values
from bmad_nb.workflow import output, references
from bmad_nb.workflow.model import Workflow

METHODS = ("majority", "weighted", "dawid_skene", "medoid")
_TOGETHER = tuple(kind for kind in KINDS if kind not in {"map", "refine", "expert", "cascade"})
results_option = click.option(
    "--results", multiple=True, metavar="ID[,ID…]", required=True,
    help="stored answers: runs, calls, or RUN/OUTPUT",
)  # fmt: skip


def _listed(texts: Sequence[str]) -> list[str]:
    return [part.strip() for text in texts for part in text.split(",") if part.strip()]


@click.command()
@results_option
@click.option("--method", type=click.Choice(METHODS), default="majority", show_default=True,
              help="how several answers become one")  # fmt: skip
@click.option("--weights", metavar="W,W…|ID=W,…", help="for weighted: in the order of the results")
@click.option("--field", metavar="NAME", help="field of a JSON answer that is voted on")
@click.option("--quorum", type=click.IntRange(1), default=1, help="least answers; else no result")
@out_option
@json_option
@click.pass_obj
def consensus(  # noqa: PLR0917  (click passes them by name)
    front: Front, /, results: tuple[str, ...], method: str, weights: str | None,
    field: str | None, quorum: int, out: str | None, as_json: bool,
) -> Any:  # fmt: skip
    """Let stored answers vote: the result, its weights, agreement and dissent. Nobody is asked.

    Without --weights, a weighted vote takes what scores have measured of each LLM.
    """
    from bmad_nb.stored.candidates import candidates
    from bmad_nb.stored.voting import vote

    without_body(front)
    given = candidates(front.workspace, _listed(results))
    told = None if weights is None else _weights(weights, given)
    if told is not None and method == "majority":
        raise UsageProblem("majority takes no weights.", hint="Add --method weighted.")
    report = vote(front.workspace, given, method=method, weights=told, quorum=quorum, field=field)
    return shown(bound(front, report, out), as_json=as_json)


def _weights(text: str, given: Sequence[Any]) -> dict[str, float]:
    """Return weights by name of a voter.

    Raises:
        UsageProblem: they cannot be read, or are not as many as there are voters.
    """
    parts = _listed([text])
    names = list(dict.fromkeys(each.name for each in given))
    pairs = [part.rpartition("=") for part in parts]
    try:
        numbers = [float(value) for _, _, value in pairs]
    except ValueError:
        raise UsageProblem(
            f"--weights cannot be {text!r:.80}.", hint="Write 0.9,0.6 or ID=0.9,ID=0.6."
        ) from None
    if all(name for name, _, _ in pairs):
        return {name.strip(): each for (name, _, _), each in zip(pairs, numbers, strict=True)}
    if any(name for name, _, _ in pairs) or len(numbers) != len(names):
        raise UsageProblem(
            f"There are {len(numbers)} weights for {len(names)} answers: {', '.join(names)}.",
            hint="Give one for each, in this order, or write ID=W.",
        )
    return dict(zip(names, numbers, strict=True))


@click.command()
@results_option
@click.option("--combine-outputs", is_flag=True, help="merge them (the default)")
@click.option("--quality-threshold", type=click.FloatRange(0, 1), metavar="S",
              help="leave out those whose score is below")  # fmt: skip
@click.option("--quorum", type=click.IntRange(1), default=1, help="least that are good enough")
@click.option("--schema", metavar="FILE|JSON", help="what the merged value must match")
@out_option
@json_option
@click.pass_obj
def ensemble(  # noqa: PLR0917  (click passes them by name)
    front: Front, /, results: tuple[str, ...], combine_outputs: bool,
    quality_threshold: float | None, quorum: int, schema: str | None, out: str | None,
    as_json: bool,
) -> Any:  # fmt: skip
    """Merge stored answers, and say of each part who gave it. Nobody is asked.

    JSON is merged by its form, field by field; of texts each passage is taken once. `bmad ensemble`
    lets an LLM write the merged text instead.
    """
    from bmad_nb.stored.candidates import candidates
    from bmad_nb.stored.merging import merge

    without_body(front)
    del combine_outputs  # merging is all that there is to do
    wanted = schema_of(schema)
    report = merge(
        candidates(front.workspace, _listed(results)),
        threshold=quality_threshold,
        quorum=quorum,
        schema=None if wanted is None else output.schema_of(wanted),
    )
    return shown(bound(front, report, out), as_json=as_json)


@click.command()
@click.option(
    "--task", required=True, metavar="TEXT|ID", help="a question, or a task of --definition"
)
@click.option("--llms", "-m", "llms", multiple=True, metavar="ID[,ID…]", help="who works on it")
@click.option("--definition", metavar="NAME|FILE", help="the workflow that has the task")
@click.option("--type", "kind", type=click.Choice(_TOGETHER), default="consensus",
              show_default=True, help="how they work together")  # fmt: skip
@click.option("--quorum", type=click.IntRange(1), help="least LLMs; more than half without")
@click.option("--method", metavar="WORD", help="how several answers become one")
@param_option
@click.option("--budget", metavar="USD", help="hard limit on what this run may cost")
@click.option("--new", is_flag=True, help="begin anew, though an equal run was stopped")
@replay_option
@out_option
@json_option
@show_progress_option
@click.pass_obj
def collaborate(front: Front, /, task: str, llms: tuple[str, ...], **given: Any) -> Any:
    """Let several LLMs work on one task: a row for each, and what they say together.

    An LLM that is unknown or lacks its key is named and left out, as long as enough are left.
    """
    without_body(front)
    space = front.workspace
    chosen, quorum = _present(front, _listed(llms), given["quorum"])
    params = dict(pair(text) for text in given["params"])
    text, more = _task(front, task, given["definition"], params)
    if given["quorum"]:
        more["quorum"] = quorum
    if given["method"]:
        more["method"] = given["method"]
    execution = space.collaboration(
        text, given["kind"], ",".join(chosen), budget_usd=given["budget"],
        resume="never" if given["new"] else "auto", replay=given["replay"], **more,
    )  # fmt: skip
    told = Options(out=given["out"], as_json=given["as_json"], show_progress=given["show_progress"])
    return gone(front, execution, told)


def _present(front: Front, named: Sequence[str], quorum: int | None) -> tuple[list[str], int]:
    """Return those of some LLMs that can be asked here, and how many are needed.

    Raises:
        UsageProblem: too few.
    """
    catalog = front.workspace.catalog
    there: list[str] = []
    absent: list[str] = []
    for each in named:
        try:
            missing = [
                card.missing
                for choice in catalog.choose(each)
                if (card := catalog.llm(choice.llm_id).card).missing
            ]
        except UnknownName as error:
            absent.append(f"{each} is unknown. {error.hint}".strip())
            continue
        if missing:
            absent.append(f"{each}: {missing[0]}")
        else:
            there.append(each)
    need = quorum or max(2, len(named) // 2 + 1)
    if named and len(there) < need:
        raise UsageProblem(
            f"{len(there)} of {len(named)} LLMs can be asked, and {need} are needed. "
            + " ".join(absent),
            hint="bmad models lists what is ready here; --quorum takes fewer.",
        )
    for each in absent:
        front.say(f"left out: {each}")
    return there, need


def _task(
    front: Front, task: str, definition: str | None, params: dict[str, Any]
) -> tuple[str, dict[str, Any]]:
    """Return the question that a task asks, and what goes with it.

    Raises:
        UnknownName: the workflow has no such task.
        UsageProblem: the task asks no LLM.
    """
    if definition is None and task not in templates.NAMES:
        return task, {"inputs": params or None}
    if definition is None:
        flow = templates.workflow(task)
        task = _first_asked(flow)
    else:
        flow = found(front, definition)
    if task not in flow.tasks:
        raise UnknownName(f"task of {flow.id!r}", task, flow.tasks)
    known = flow.tasks[task]
    if not isinstance(known.prompt, str):
        raise UsageProblem(f"Task {task!r} has no prompt.", hint="Name one that asks an LLM.")
    defaults = {n: i.default for n, i in flow.inputs.items() if i.default is not None}
    more: dict[str, Any] = {"inputs": {**defaults, **values.typed(flow, params)}}
    if known.output is not None:
        more["output"] = known.output
    if known.system:
        more["system"] = known.system
    return known.prompt, more


def _first_asked(flow: Workflow) -> str:
    """Return the first task of a template that asks an LLM and reads inputs alone.

    Raises:
        UsageProblem: each of its questions is asked of many things, or reads other tasks.
    """
    tasks = flow.to_dict()["tasks"]
    for name, task in flow.tasks.items():
        if isinstance(task.prompt, str) and not task.map and not references.needs(tasks, name):
            return name
    raise UsageProblem(
        f"Template {flow.id!r} has no single question.",
        hint=f"Write one out and run it: bmad workflow create --template {flow.id}",
    )
