"""Draft, judge, draft again: a loop that ends when the answer is good, or gets no better.

The judge's words go into the next request (Madaan et al., "Self-Refine", 2023); by default another
LLM judges than drafts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Mapping, Sequence
from typing import Any

from bmad_nb import expressions, prompts
from bmad_nb.errors import TaskFailed
from bmad_nb.messages import Message
from bmad_nb.patterns.base import Outcome, Part, Parts, Reply, Working
from bmad_nb.patterns.judging import judged
from bmad_nb.plan import Step
from bmad_nb.plan_parts import Question, Refining

CHOICES = ("accept", "again", "stop")
"""What a person may say of a best draft that is not good enough."""
_UNSAID = "It is not good enough yet."
_AGAIN = (
    "A reviewer gave your answer {score:.2f} of 1 and said:\n{comment}\n\n"
    "Write the whole answer anew, and better. Give only the answer."
)


def refinement(step: Step, refining: Refining, names: Mapping[str, Any]) -> Working:
    """Draft until `until` holds, at most `most` times, and not on where it gets no better.

    Each round is a part with `iteration`, `score` and `feedback`; a person who is asked at the end
    may wish for one more.

    Args:
        step: makes a draft.
        refining: the judge, and when to stop.
        names: what its texts can read.
    """
    rounds: list[Reply] = []
    comment = ""
    wanted = refining.most
    while True:
        is_good = yield from _rounds(step, refining, names, rounds, wanted=wanted, comment=comment)
        drafts = [each for each in rounds if each.is_done]
        if not drafts:
            return Outcome(taken=rounds[-1])
        if is_good:
            return _outcome(drafts[-1], rounds, is_met=True)
        kept = max(drafts, key=_score) if refining.keep == "best" else drafts[-1]
        if refining.on_exhausted != "human":
            return _exhausted(step, refining, kept, rounds)
        (answer,) = yield Parts([_question(step, kept, len(rounds))])
        said = answer.row.value if answer.is_done else {"choice": "stop"}
        if said["choice"] == "accept":
            return _outcome(kept, rounds, is_met=False)
        if said["choice"] == "stop":
            why = "A person stopped it." if answer.is_done else answer.row.error
            return Outcome(error=TaskFailed(f"No draft of task {step.id!r} is good enough. {why}"))
        comment, wanted = said.get("comment") or "", len(rounds) + 1


def _rounds(
    step: Step, refining: Refining, names: Mapping[str, Any], rounds: list[Reply], *, wanted: int,
    comment: str,
) -> Generator[Parts, Sequence[Reply], bool]:  # fmt: skip
    """Add rounds, as many as are wanted at most; return whether the last one is good."""
    stalled = 0
    while len(rounds) < wanted:
        best = max(map(_score, rounds), default=-1.0)
        (reply,) = yield Parts([_round(step, refining, names, rounds, comment)])
        rounds.append(reply)
        if not reply.is_done:
            return False
        local = {**names, "out": reply.result, "score": _score(reply)}
        if expressions.evaluate(expressions.parse(refining.until), local):
            return True
        stalled = 0 if _score(reply) > best + refining.min_gain else stalled + 1
        comment = ""
        if refining.patience is not None and stalled >= refining.patience:
            return False
    return False


def _score(reply: Reply) -> float:
    return float((reply.row.facts or {}).get("score", 0.0))


def _round(
    step: Step, refining: Refining, names: Mapping[str, Any], before: Sequence[Reply], comment: str
) -> Part:
    """Return one round: a draft and its judgement."""
    draft = dataclasses.replace(step, refining=None)
    number = len(before) + 1
    messages: tuple[Message, ...] = ()
    if before:
        comment = comment or str((before[-1].row.facts or {}).get("feedback") or _UNSAID)
        messages = _request(draft, refining, names, before[-1], comment)

    def pattern(local: Mapping[str, Any]) -> Working:
        (reply,) = yield Parts([Part(".draft", draft, {}, messages)])
        if not reply.is_done:
            return Outcome(taken=reply)
        score, feedback = 1.0, ""
        if refining.judge is not None:
            score, feedback, *_ = yield from judged(step, refining.judge, local, reply, ".judge")
        facts = {"iteration": number, "score": score, "feedback": feedback}
        return Outcome(taken=reply, facts=facts)

    return Part(f"#{number}", draft, messages=messages, pattern=pattern)


def _request(
    draft: Step, refining: Refining, names: Mapping[str, Any], last: Reply, comment: str
) -> tuple[Message, ...]:
    """Return what asks for the next draft: the task, the last draft, and what was said of it."""
    local = {**names, "out": last.result, "score": _score(last), "comment": comment}
    if refining.prompt:
        system = [Message(r, prompts.fill(t, names)) for r, t in draft.turns if r == "system"]
        return (*system, Message("user", prompts.fill(refining.prompt, local)))
    turns = tuple(Message(role, prompts.fill(text, names)) for role, text in draft.turns)
    again = _AGAIN.format(score=_score(last), comment=comment)
    return (*turns, Message("assistant", last.result.spelled), Message("user", again))


def _question(step: Step, best: Reply, number: int) -> Part:
    ask = (
        f"No draft of task {step.id!r} is good enough. Take the best one (score "
        f"{_score(best):.2f}), ask for another one with your comment, or stop?"
    )
    question = Question(ask="{{ text }}", show="out", options=CHOICES)
    work = dataclasses.replace(
        step, verb="approve", question=question, refining=None, checks=(), fallbacks=()
    )
    return Part(f"#{number}.human", work, {"text": ask, "out": best.result})


def _outcome(kept: Reply, rounds: Sequence[Reply], *, is_met: bool) -> Outcome:
    facts = {"score": _score(kept), "iterations": len(rounds), "threshold_met": is_met}
    return Outcome(taken=kept, facts=facts)


def _exhausted(step: Step, refining: Refining, kept: Reply, rounds: Sequence[Reply]) -> Outcome:
    if refining.on_exhausted == "fail":
        said = (
            f"No draft of task {step.id!r} is good enough: of {len(rounds)} the best has a score "
            f"of {_score(kept):.2f}, and {refining.until} is wanted."
        )
        hint = "Lower `until`, raise `max`, or take another LLM; the drafts are stored."
        return Outcome(error=TaskFailed(said, hint=hint))
    return _outcome(kept, rounds, is_met=False)
