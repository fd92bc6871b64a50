"""Which LLMs a step asks, and how often each at most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from bmad_nb.patterns.splitting import MOST
from bmad_nb.plan import Step
from bmad_nb.plan_parts import Assignment, Collaborating, Judging


def calls_of(step: Step) -> dict[str, int]:
    """Return by LLM how many calls one item of a step takes at most, the author first.

    Retries, repairs and fallbacks are left out. What may end early (rounds, drafts, cascades)
    counts in full: a budget must hold then too.
    """
    found: Counter[str] = Counter()
    if step.collaborating is not None:
        _add(found, _together(step, step.collaborating))
    elif step.cascading is not None:
        _add(found, ((each, 1) for each in step.cascading.assignments))
    elif step.assignment is not None:
        found[step.assignment.llm] += MOST + 2 if step.splits else 1
    if step.refining is not None:
        judges = Counter[str]()
        _add(judges, _judges(step.refining.judge))
        found = Counter(
            {llm: step.refining.most * count for llm, count in (found + judges).items()}
        )
    for check in step.checks:
        _add(found, _judges(check.judge))
    return dict(found)


def llms_of(step: Step) -> list[str]:
    """Return the LLMs that a step asks, the author first."""
    return list(calls_of(step))


def _together(step: Step, part: Collaborating) -> Iterable[tuple[Assignment | None, int]]:
    members = [member.assignment for member in part.members]
    everybody = [(each, 1) for each in members]
    match part.type:
        case "expert":
            return [(step.assignment, 1), *everybody]
        case "cascade":
            return [*everybody, (part.strong, 1)]
        case "best_of_n":
            judges = _judges(part.judge)
            return [*everybody, *((who, count * len(members)) for who, count in judges)]
        case "peer_review":
            return [(each, part.rounds + (n == 0)) for n, each in enumerate(members)]
    calls: list[tuple[Assignment | None, int]] = [(each, part.rounds) for each in members]
    if part.method == "rank":
        calls += everybody
    if part.method == "judge" or part.on_disagree == "judge":
        calls += [(who, 2 * count) for who, count in _judges(part.judge)]
    return [*calls, (part.combiner, 1)]


def _judges(judging: Judging | None) -> list[tuple[Assignment | None, int]]:
    if judging is None:
        return []
    return [(each, judging.samples) for each in judging.panel or (judging.assignment,)]


def _add(found: Counter[str], calls: Iterable[tuple[Assignment | None, int]]) -> None:
    for who, count in calls:
        if who is not None:
            found[who.llm] += count
