"""Several answers, each scored, and the best one is taken: best of n.

With a threshold they are asked for one after another, and the first that is good enough ends it.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any

from bmad_nb.errors import NoQuorum
from bmad_nb.messages import Message
from bmad_nb.patterns.base import Outcome, Part, Parts, Reply, Working
from bmad_nb.patterns.judging import judged
from bmad_nb.patterns.members import bare, brief, filled, member_part
from bmad_nb.plan import Step
from bmad_nb.plan_parts import Collaborating, Judging, Member


def best_of_n(
    step: Step,
    part: Collaborating,
    names: Mapping[str, Any],
    messages: tuple[Message, ...] = (),
) -> Working:
    """Return the answer with the highest score; of equal ones the first member's.

    Facts: `score` in [0, 1], `threshold_met`, `members` (a row each with its score, also of those
    that were not asked because an earlier one was good enough: none), `asked`.

    Args:
        step: the task.
        part: who answers, who judges, and which score is enough.
        names: what its texts and the rubric can read.
        messages: what is asked; empty where the step's own texts say it.
    """
    asked = filled(step, names, messages)
    one_by_one = part.threshold is not None
    replies: list[tuple[Member, Reply]] = []
    left = list(enumerate(part.members, start=1))
    while left:
        now, left = (left[:1], left[1:]) if one_by_one else (left, [])
        given = yield Parts([_candidate(step, part, m, n, asked) for n, m in now])
        replies += [(member, reply) for (_, member), reply in zip(now, given, strict=True)]
        last = replies[-1][1]
        if part.threshold is not None and last.is_done and _score(last) >= part.threshold:
            break
    done = [(member, reply) for member, reply in replies if reply.is_done]
    judge = part.judge
    facts: dict[str, Any] = {
        "pattern": "best_of_n",
        "members": [_row(member, reply) for member, reply in replies],
        "asked": len(replies),
        "judged_by": [j.llm for j in (judge.panel or (judge.assignment,)) if j] if judge else [],
        **({"self_consistency": True} if part.is_self_consistency else {}),
    }
    if len(done) < min(part.quorum, len(replies)) or not done:
        errors = "; ".join(f"{m.name}: {r.row.error}" for m, r in replies if not r.is_done)
        said = (
            f"{len(done)} of {len(replies)} members answered task {step.id!r} and were scored. "
            f"{errors[:300]}"
        )
        return Outcome(error=NoQuorum(said.strip()), facts=facts)
    member, best = max(done, key=lambda each: _score(each[1]))
    score = _score(best)
    facts |= {"score": score, "chosen": member.name}
    if part.threshold is not None:
        facts["threshold_met"] = score >= part.threshold
    return Outcome(taken=best, facts=facts)


def _candidate(
    step: Step, part: Collaborating, member: Member, number: int, messages: tuple[Message, ...]
) -> Part:
    """Return a part that answers, and is scored."""
    own = member_part(step, member, ".answer", messages)
    judge = part.judge or Judging()

    def pattern(local: Mapping[str, Any]) -> Generator[Parts, Sequence[Reply], Outcome]:
        (reply,) = yield Parts([own])
        if not reply.is_done:
            return Outcome(taken=reply)
        verdict = yield from judged(step, judge, local, reply, ".judge")
        facts: dict[str, Any] = {"score": verdict.score, "feedback": verdict.feedback}
        if verdict.flagged:
            facts["flagged"] = verdict.flagged
        return Outcome(taken=reply, facts=facts)

    work = bare(step, verb="prompt", assignment=member.assignment)
    return Part(f".member{number}", work, pattern=pattern)


def _score(reply: Reply) -> float:
    return float((reply.row.facts or {}).get("score", 0.0))


def _row(member: Member, reply: Reply) -> dict[str, Any]:
    facts = reply.row.facts or {}
    return {
        "name": member.name,
        "llm": reply.row.llm or member.assignment.llm,
        "answer": brief(reply.result.spelled) if reply.is_done else None,
        "score": facts.get("score"),
        "feedback": facts.get("feedback"),
        "flagged": facts.get("flagged"),
        "state": reply.row.state,
        "error": reply.row.error or None,
        "cost_usd": None if reply.row.cost_usd is None else float(reply.row.cost_usd),
        "simulated": reply.row.simulated,
    }
