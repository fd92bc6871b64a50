"""Cheap LLMs first: one after another until an answer is accepted, or until two of them agree.

The first is a cascade (Chen, Zaharia and Zou, "FrugalGPT", 2023) whose test is an expression; the
second accepts what several cheap LLMs say alike, and asks the strong one else.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from bmad_nb import expressions
from bmad_nb.consensus.voting import agreement, tally
from bmad_nb.messages import Message
from bmad_nb.patterns.base import Outcome, Part, Parts, Reply, Working
from bmad_nb.patterns.members import ballot, bare, filled, member_part, rows_of
from bmad_nb.plan import Step
from bmad_nb.plan_parts import Cascading, Collaborating


def cascade(
    step: Step, part: Cascading, names: Mapping[str, Any], messages: tuple[Message, ...] = ()
) -> Working:
    """Ask LLMs in their order until one's answer is accepted; the last one's is taken as it is.

    Facts: `escalations` (LLMs whose answer was not accepted or did not come), `tried`.

    Args:
        step: the task; its fallbacks follow the last LLM.
        part: the LLMs, and the test.
        names: what the test can read, besides `out`.
        messages: what is asked; empty where the step's own texts say it.

    Raises:
        TemplateError: the test cannot be decided.
    """
    inner = dataclasses.replace(step, cascading=None)
    tried: list[dict[str, Any]] = []
    last = len(part.assignments)
    reply: Reply | None = None
    for number, assignment in enumerate(part.assignments, start=1):
        fallbacks = step.fallbacks if number == last else ()
        work = dataclasses.replace(inner, assignment=assignment, fallbacks=fallbacks)
        (reply,) = yield Parts([Part(f".llm{number}", work, {}, messages)])
        accepted = reply.is_done and (number == last or _holds(part, names, reply))
        tried.append({"llm": assignment.llm, "accepted": accepted, "state": reply.row.state})
        if accepted:
            break
    facts = {"escalations": len(tried) - 1, "tried": tried}
    return Outcome(taken=reply, facts=facts)


def _holds(part: Cascading, names: Mapping[str, Any], reply: Reply) -> bool:
    if not part.accept:
        return True
    tree = expressions.parse(part.accept)
    return bool(expressions.evaluate(tree, {**names, "out": reply.result}))


def by_agreement(
    step: Step,
    part: Collaborating,
    names: Mapping[str, Any],
    messages: tuple[Message, ...] = (),
) -> Working:
    """Take what the cheap members say alike; else ask the strong LLM.

    Facts: `accepted`, `agreement`, `members`, `escalations`.

    Args:
        step: the task.
        part: the cheap members, the strong LLM, and which share must agree (all by default).
        names: what its texts can read.
        messages: what is asked; empty where the step's own texts say it.
    """
    first = filled(step, names, messages)
    given = yield Parts(
        [member_part(step, m, f".member{n}", first) for n, m in enumerate(part.members, start=1)]
    )
    replies = {m.name: reply for m, reply in zip(part.members, given, strict=True)}
    found = ballot(part, replies)
    vote = tally(found.votes)
    enough = (1.0 if part.threshold is None else part.threshold) * len(part.members) - 1e-9
    agreed = len(vote.support) > 1 and len(vote.support) >= enough and not vote.tied
    accepted = agreed and not found.is_prose
    facts: dict[str, Any] = {
        "pattern": "cascade",
        "accepted": accepted,
        "agreement": round(agreement(found.votes), 6),
        "members": rows_of(part.members, replies, found),
        "escalations": int(not accepted),
    }
    if accepted:
        return Outcome(taken=replies[vote.support[0]], facts=facts)
    work = bare(step, assignment=part.strong, fallbacks=step.fallbacks)
    (reply,) = yield Parts([Part(".strong", work, {}, first)])
    return Outcome(taken=reply, facts=facts)
