"""The verbs that say how good answers are: `judge`, `rate` and `learned`."""

from __future__ import annotations

from typing import Any

import click

from bmad_nb.blinding import Blind
from bmad_nb.errors import UsageProblem
from bmad_nb.results import Comparison, Result, Text
from bmad_nb.scorers.judge import DEFAULT_RUBRIC
from bmad_nb.verbs.base import (
    Front,
    bound,
    json_option,
    out_option,
    replay_option,
    run_argument,
    shown,
)

task_type_option = click.option(
    "--task-type", default="", metavar="NAME", help="kind of task that is learned about"
)
test_option = click.option("--test", is_flag=True, help="learn nothing from it: a test set")


@click.command()
@run_argument
@click.option("-m", "--llms", "models", default="auto", metavar="ID[,ID…]", help="who judges")
@click.option("--rubric", metavar="TEXT", help="what a good answer is; in a cell, its text")
@click.option("--pairwise", is_flag=True, help="each two answers against each other, both orders")
@click.option("--samples", type=click.IntRange(1, 100), default=1, help="of each judge")
@click.option("--budget", metavar="USD", help="hard limit on what the judging may cost")
@click.option("--fresh", is_flag=True, help="ask anew, even where a judgement is stored")
@task_type_option
@test_option
@replay_option
@out_option
@json_option
@click.pass_obj
def judge(  # noqa: PLR0917  (click passes them by name)
    front: Front, /, run_id: str, models: str, rubric: str | None, pairwise: bool, samples: int,
    budget: str | None, fresh: bool, task_type: str, test: bool, replay: bool, out: str | None,
    as_json: bool,
) -> Any:  # fmt: skip
    """Let LLMs score the answers of a stored comparison."""
    body = (front.body or "").strip()
    if body and rubric:
        raise UsageProblem("The rubric is in the cell and behind --rubric.", hint="Give one.")
    found = front.workspace.judge(
        _result(front, run_id), models, rubric=rubric or body or DEFAULT_RUBRIC,
        pairwise=pairwise, samples=samples, budget_usd=budget, fresh=fresh, replay=replay,
        task_type=task_type, learn=not test,
    )  # fmt: skip
    return shown(bound(front, found, out), as_json=as_json)


@click.command()
@run_argument
@click.argument("label", required=False)
@click.argument("score", type=click.FloatRange(0, 1), required=False)
@click.option("--blind", is_flag=True, help="names hidden: LABEL is a letter; without one, show")
@click.option("--best", is_flag=True, help="the best one of its case, instead of a score")
@click.option("--case", default="", metavar="LABEL", help="the case, where there are cases")
@click.option("--by", default="", metavar="NAME", help="who says it")
@task_type_option
@test_option
@out_option
@json_option
@click.pass_obj
def rate(  # noqa: PLR0917  (click passes them by name)
    front: Front, /, run_id: str, label: str | None, score: float | None, blind: bool, best: bool,
    case: str, by: str, task_type: str, test: bool, out: str | None, as_json: bool,
) -> Any:  # fmt: skip
    """Say how good an answer is, from 0 to 1, or that it is the best one."""
    result = _result(front, run_id)
    hidden = _blind(result, case) if blind else None
    if hidden is not None and label is None:
        return shown(hidden, as_json=as_json)
    if label is None or (score is None) is not best:
        raise UsageProblem("Give a label, and a score from 0 to 1 or --best.")
    how: dict[str, Any] = {"case": case, "by": by, "task_type": task_type, "blind": blind}
    if hidden is not None:
        how["case"], label = hidden.case, hidden.label(label)
    space = front.workspace
    if score is None:
        found = space.pick(result, label, learn=not test, **how)
    else:
        found = space.rate(result, label, score, learn=not test, **how)
    return shown(bound(front, found, out), as_json=as_json)


@click.command()
@click.option("--at", type=click.IntRange(0), metavar="N", help="what was known at version N")
@click.option("--rollback", type=click.IntRange(0), metavar="N", help="forget what is behind N")
@json_option
@click.pass_obj
def learned(front: Front, /, at: int | None, rollback: int | None, as_json: bool) -> Any:
    """Show what scores have taught of LLMs, or go back to an earlier version of it."""
    if at is not None and rollback is not None:
        raise UsageProblem("--at shows, --rollback forgets.", hint="Give one of them.")
    record = front.workspace.learned
    if rollback is not None:
        record = record.rollback(rollback)
    elif at is not None:
        record = record.at(at)
    if as_json:
        return shown(record.df, as_json=True)
    off = "" if front.workspace.settings.engine.learning else "\nSwitched off: [engine] learning."
    return Text(f"{record!r}{off}")


def _blind(result: Result, case: str) -> Blind:
    if not isinstance(result, Comparison):
        raise UsageProblem("One answer cannot be rated blind.", hint="Compare several.")
    return result.blind(case)


def _result(front: Front, run_id: str) -> Result:
    """Return the stored answers that an id, or a variable that holds them, stands for."""
    held = front.names.get(run_id)
    found = held if isinstance(held, Result) else front.workspace.run_of(run_id)
    if not isinstance(found, Result):
        raise UsageProblem(
            f"Run {run_id} is a workflow.", hint="judge and rate take runs of ask and compare."
        )
    return found
