"""What is done where everybody who may do a task is weaker than it needs: in order, and recorded.

Avoid (another LLM that meets the need), scaffold (a form with repairs, a calculator, parts one by
one, worked examples), verify (a checker that is strong in it), escalate (to one that is). Nothing
of it happens unless the route says `mitigate: auto`.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from bmad_nb.companions import Companions
from bmad_nb.plan_parts import Assignment, Checking, Judging, Mitigation
from bmad_nb.routers.base import Candidate, Demand, obstacle
from bmad_nb.workflow.model import Task

REPAIRS = 7
"""Repairs of one answer under mitigation: with a skill of 0.5, 99.6 % of answers become sound."""
ENOUGH = 2
"""Worked examples from which on they are shown."""
FORMS = {"json", "structured_output"}
"""Skills that a schema with repairs makes up for."""
PARTED = {"planning", "reasoning", "multi_step"}
"""Skills that doing a task in parts makes up for."""
SUMS = {"math", "arithmetic"}
"""Skills that a calculator makes up for."""
_RUBRIC = (
    "The answer is right and complete. Look above all at what this needs: {skill}. One slip there "
    "makes it a bad answer."
)


def mitigations(assigner: Companions, task_id: str, task: Task) -> tuple[Mitigation, ...]:
    """Return what is done about skills that the LLMs of a route lack; empty where nothing is.

    Args:
        assigner: says who may do the task.
        task_id: the task.
        task: its definition.

    Raises:
        UnknownName: its route names an LLM that is not there.
    """
    route = assigner.route(task)
    if route.mitigate is None or not route.capabilities:
        return ()
    demand = assigner.demand(task_id, task)
    candidates = assigner.candidates(task)
    if any(not obstacle(demand, each) for each in candidates):
        if route.mitigate == "off":
            return ()
        return tuple(
            Mitigation(name, need, have, "avoid", f"{each.card.id} is passed over")
            for each in candidates
            for name, (have, need) in _short(demand, each).items()
        )
    without = dataclasses.replace(demand, capabilities={})
    left = [each for each in candidates if not obstacle(without, each)]
    if not left:
        return ()
    best = min(
        left, key=lambda each: sum(need - have for have, need in _short(demand, each).values())
    )
    if route.mitigate == "off":
        return tuple(
            Mitigation(
                name, need, have, "off", f"{best.card.id} is taken as it is", llm=best.card.id
            )
            for name, (have, need) in _short(demand, best).items()
        )
    found = [
        _measures(assigner, task, best, name, short) for name, short in _short(demand, best).items()
    ]
    return tuple(each for some in found for each in some) if all(found) else ()


def _short(demand: Demand, candidate: Candidate) -> dict[str, tuple[float, float]]:
    """Return the skills in which a candidate is below need: what it has, and what is needed."""
    skills = dict(candidate.card.capabilities)
    return {
        name: (skills.get(name, 0.0), need)
        for name, need in demand.capabilities.items()
        if skills.get(name, 0.0) < need
    }


def _measures(
    assigner: Companions, task: Task, weak: Candidate, skill: str, short: tuple[float, float]
) -> list[Mitigation]:
    """Return the measures that can be taken, in their order; empty where none can."""
    have, need = short
    if skill in FORMS and task.output is not None:
        said = f"the schema stands in the prompt, and an answer may be repaired {REPAIRS} times"
        return [Mitigation(skill, need, have, "scaffold", said, llm=weak.card.id)]
    if skill in SUMS:
        said = f"a calculator checks the answer, which may be repaired {REPAIRS} times"
        return [Mitigation(skill, need, have, "scaffold", said, llm=weak.card.id)]
    found = []
    if skill in PARTED:
        said = "the task is split: its parts are listed, done one by one, and put together"
        found.append(Mitigation(skill, need, have, "scaffold", said, llm=weak.card.id))
    shown = assigner.examples(task, weak.card)
    if len(shown) >= ENOUGH:
        said = f"{len(shown)} worked examples of {task.type} tasks stand before the question"
        found.append(Mitigation(skill, need, have, "scaffold", said, None, weak.card.id, shown))
    strong = assigner.strong_in(skill, need, weak.card)
    if strong is None:
        return found
    said = f"{strong.llm} checks the answer, and takes over where it is not good enough"
    return [*found, Mitigation(skill, need, have, "verify", said, strong, llm=weak.card.id)]


def mended(measures: tuple[Mitigation, ...], least: float) -> dict[str, Any]:
    """Return the fields of a step that carry measures out.

    Args:
        measures: what is done.
        least: least score of a checked answer.
    """
    found: dict[str, Any] = {"mitigations": measures} if measures else {}
    kinds = {each.measure for each in measures}
    if "off" in kinds:
        found["repairs"] = 0
    mends = {each.skill for each in measures if each.measure == "scaffold" and not each.examples}
    if mends & PARTED:
        found["splits"] = True
    mends -= PARTED
    if mends:
        found["repairs"] = REPAIRS
        found["calculator"] = bool(mends & SUMS)
    shown = dict(pair for each in measures for pair in each.examples)
    if shown:
        found["examples"] = tuple(shown.items())
    checks = [
        Checking(
            judge=Judging(rubric=_RUBRIC.format(skill=each.skill), assignment=each.by),
            least=least,
            on_fail="escalate",
        )
        for each in measures
        if each.measure == "verify"
    ]
    if checks:
        found["more_checks"] = tuple(checks)
        found["best"] = next(each.by for each in measures if each.by)
    return found


def said_of(assignment: Assignment, measures: tuple[Mitigation, ...]) -> Assignment:
    """Return an assignment whose reason names the measures that go with it."""
    taken = [f"{each.measure} {each.skill} ({each.have:g} of {each.need:g}): {each.said}"
             for each in measures if each.measure != "avoid"]  # fmt: skip
    if not taken:
        return assignment
    return dataclasses.replace(assignment, reason="; ".join((assignment.reason, *taken)))
