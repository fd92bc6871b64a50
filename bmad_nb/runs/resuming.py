"""A stored run goes on: with its own definition or an edited one, more money, and answers."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from bmad_nb import parse
from bmad_nb.budget import parse_usd
from bmad_nb.errors import RunBusy, UnknownName, UsageProblem
from bmad_nb.events import RunRow, TaskAsked
from bmad_nb.plan import root_of
from bmad_nb.planner import Wishes
from bmad_nb.runs.earlier import Earlier, earlier_run
from bmad_nb.runs.execution import Execution
from bmad_nb.runs.lent import Lent
from bmad_nb.runs.people import checked_answer
from bmad_nb.runs.tools import functions_of
from bmad_nb.workflow.model import Workflow


def resumed(
    run: RunRow,
    around: Lent,
    edited: Workflow | None,
    workflows: Mapping[str, Workflow],
    budget_usd: Any,
    *,
    allow_python: bool,
    answers: Mapping[str, str] | None = None,
) -> Execution:
    """Return how a stored run goes on, with its own definition or an edited one.

    Raises:
        UsageProblem: nothing of it is left to do, or it is no workflow.
        RunBusy: it is running.
    """
    if run.verb != "workflow":
        raise UsageProblem(
            f"Run {run.run_id} is no workflow.", hint="Run its cell again: it goes on by itself."
        )
    if run.status == "running":
        raise RunBusy(f"Run {run.run_id} is running.", hint="Wait for it, or interrupt it first.")
    if run.status == "completed" and edited is None:
        raise UsageProblem(
            f"Run {run.run_id} is completed.", hint=f"See it: %bmad show {run.run_id}"
        )
    earlier = earlier_run(around.store, run.run_id)
    options = run.options or {}
    flow = edited or parse.from_dict(run.definition, run.workflow)
    stored = {n: parse.from_dict(d, n) for n, d in (options.get("workflows") or {}).items()}
    below = {**workflows, **stored} if edited is None else {**stored, **workflows}
    wishes = Wishes(
        inputs=run.inputs or {},
        strategy=options.get("strategy"),
        llms=options.get("llms") or {},
        allow_python=allow_python or bool(options.get("allow_python")),
        workflows=below,
    )
    known = workflows.get(run.workflow)
    return Execution(
        flow,
        wishes,
        around,
        budget_usd=_total(run, budget_usd),
        functions=functions_of(edited or known, workflows),
        earlier=earlier,
        answers=_fitting(flow, earlier, answers or {}),
    )


def _fitting(
    flow: Workflow, earlier: Earlier, answers: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    """Return answers as their questions want them.

    Raises:
        UnknownName: there is no such task.
        UsageProblem: an answer is none of the options.
    """
    found = {}
    for task, text in answers.items():
        if root_of(task) not in flow.tasks:
            raise UnknownName("task", task, flow.tasks)
        question = earlier.state.questions.get(task) or TaskAsked("", task, "")
        found[task] = {**checked_answer(question, task, text, "", {}), "by": getpass.getuser()}
    return found


def _total(run: RunRow, budget_usd: Any) -> Decimal | None:
    """Return the limit of a run that goes on; `+1` adds to what it had."""
    if budget_usd is None:
        return None
    text = str(budget_usd).strip()
    if text.startswith("+") and run.budget_usd is None:
        raise UsageProblem(
            f"Run {run.run_id} has no budget that {text!r} could add to.",
            hint="Write a total, without a plus.",
        )
    added = parse_usd(text.removeprefix("+"))
    return added + run.budget_usd if text.startswith("+") and run.budget_usd else added
