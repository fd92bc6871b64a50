"""An answer with checks: asked again, escalated, left to a person, or let pass with a warning."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Mapping, Sequence
from typing import Any, NamedTuple

from bmad_nb import expressions, prompts
from bmad_nb.answers.quoting import ungrounded
from bmad_nb.errors import CheckFailed, TaskFailed, TemplateError, TestsFailed, UngroundedQuote
from bmad_nb.messages import Message
from bmad_nb.patterns.base import Outcome, Part, Parts, Reply, Working
from bmad_nb.patterns.judging import judged
from bmad_nb.patterns.members import bare
from bmad_nb.plan import Step
from bmad_nb.plan_parts import Checking, Question

MOST_RETRIES = 2
"""How often an LLM is told what its answer lacks."""
LEAST = 0.5
"""Least score of a judge where a check names none."""
_LLM_KINDS = {"llm", "prompt"}


RUNS_CODE = "bmad_nb.scorers.code:passed"
"""What runs the tests of an answer's code, once that is allowed."""
_Said = tuple[str, type[CheckFailed]]
"""Why a check does not hold, one sentence, empty if it does; and the error that this is."""
_HOLDS: _Said = ("", CheckFailed)


class _Fault(NamedTuple):
    check: Checking
    said: str
    kind: type[CheckFailed]


def checked(step: Step, names: Mapping[str, Any], messages: tuple[Message, ...] = ()) -> Working:
    """Ask, look whether all checks hold, and act on the first that does not.

    `retry` tells the LLM what is wrong, at most twice; `escalate` asks a better one; `repair` does
    the one and then the other. A check that
    still fails is a failure of the attempt: the next fallback is tried, and what a fallback gives
    without asking anybody is not checked.

    Args:
        step: the task.
        names: what its texts can read.
        messages: what the LLM is asked; empty where the step's own texts say it.
    """
    inner = dataclasses.replace(step, checks=())
    asked = messages
    retries, number, escalated = MOST_RETRIES, 0, False
    warnings: list[str] = []
    while True:
        number += 1
        (reply,) = yield Parts([Part(f".{number}", inner, {}, asked)])
        if not reply.is_done or not _was_asked(step, reply):
            return Outcome(taken=reply)
        fault = yield from _fault(step, names, reply, f".{number}", warnings)
        facts = {"warnings": warnings} if warnings else {}
        if fault is None:
            return Outcome(taken=reply, facts=facts)
        on_fail = fault.check.on_fail
        if on_fail == "human":
            return (yield from _left_to_a_person(step, reply, fault, number))
        if on_fail in {"retry", "repair"} and retries:
            retries -= 1
            asked = _told(step, names, asked, reply, fault)
            continue
        asked, best = messages, step.best
        if on_fail in {"escalate", "repair"} and not escalated and best:
            escalated = True
            inner = dataclasses.replace(inner, assignment=best, collaborating=None, cascading=None)
            continue
        if reply.row.rung >= len(step.fallbacks):
            said = f"The answer to task {step.id!r} failed a check: {fault.said}"
            hint = "Its answers are stored; mend the check, the prompt, or take another LLM."
            return Outcome(error=fault.kind(said, hint=hint), facts=facts)
        inner = dataclasses.replace(  # a fallback is one LLM's, or nobody's
            inner, first_rung=reply.row.rung + 1, collaborating=None, cascading=None
        )


def _was_asked(step: Step, reply: Reply) -> bool:
    """Return whether an LLM or a function gave the answer, and not a fallback beside them."""
    rung = reply.row.rung
    return not rung or step.fallbacks[rung - 1].kind in _LLM_KINDS


def _fault(
    step: Step, names: Mapping[str, Any], reply: Reply, name: str, warnings: list[str]
) -> Generator[Parts, Sequence[Reply], _Fault | None]:
    """Return the first check that does not hold and is more than a warning."""
    for place, check in enumerate(step.checks, start=1):
        said, kind = yield from _said(step, check, names, reply, f"{name}.check{place}")
        if said and check.on_fail == "warn":
            warnings.append(said)
        elif said:
            return _Fault(check, said, kind)
    return None


def _said(
    step: Step, check: Checking, names: Mapping[str, Any], reply: Reply, name: str
) -> Generator[Parts, Sequence[Reply], _Said]:
    local = {**names, "out": reply.result}
    try:
        if check.that and not expressions.evaluate(expressions.parse(check.that), local):
            return f"{check.that} does not hold.", CheckFailed
        if check.grounded and (said := _ungrounded(check.grounded, local, reply)):
            return said, UngroundedQuote
    except TemplateError as error:
        return f"{check.that or check.grounded} cannot be decided: {error.what}", CheckFailed
    if check.tests and (said := (yield from _failing(step, check, local, reply, name))):
        return said, TestsFailed
    if check.judge is not None:
        least = LEAST if check.least is None else check.least
        verdict = yield from judged(step, check.judge, names, reply, name)
        if verdict.score < least:
            more = f" {verdict.feedback}" if verdict.feedback else ""
            said = f"Its score is {verdict.score:.2f}, and {least:g} is wanted.{more}"
            return said, CheckFailed
    return _HOLDS


def _ungrounded(source: str, local: Mapping[str, Any], reply: Reply) -> str:
    """Return which quotes do not stand in a source; empty if all do."""
    text = prompts.as_text(expressions.evaluate(expressions.parse(source), local))
    wrong = ungrounded(reply.result.spelled, text)
    listed = ", ".join(f"“{quote[:120]}”" for quote in wrong[:3])
    return f"It quotes {listed}, which does not stand in {source}." if wrong else ""


def _failing(
    step: Step, check: Checking, local: Mapping[str, Any], reply: Reply, name: str
) -> Generator[Parts, Sequence[Reply], str]:
    """Run the tests of an answer's code; return what fails, empty if nothing does."""
    tests = prompts.fill(check.tests, local)
    arguments = {"answer": reply.result.spelled, "tests": tests}
    work = bare(step, verb="python", function=RUNS_CODE, arguments=arguments, schema=None)
    (given,) = yield Parts([Part(f"{name}.tests", work)])
    if not given.is_done:
        return f"Its tests cannot be run: {given.row.error}"
    return "" if given.row.value["score"] == 1 else f"{given.row.value['said']}."


def _told(
    step: Step,
    names: Mapping[str, Any],
    before: tuple[Message, ...],
    reply: Reply,
    fault: _Fault,
) -> tuple[Message, ...]:
    """Return the conversation, the answer, and what is wrong with it."""
    first = before or tuple(Message(r, prompts.fill(t, names)) for r, t in step.turns)
    wrong = f"Your answer is not accepted: {fault.said}\nGive the whole answer again, corrected."
    return (*first, Message("assistant", reply.result.spelled), Message("user", wrong))


def _left_to_a_person(step: Step, reply: Reply, fault: _Fault, number: int) -> Working:
    question = Question(ask="{{ text }}", show="out", options=("accept", "stop"))
    work = dataclasses.replace(step, verb="approve", question=question, checks=(), fallbacks=())
    ask = f"The answer to task {step.id!r} failed a check: {fault.said} Take it all the same?"
    (answer,) = yield Parts([Part(f".{number}.human", work, {"text": ask, "out": reply.result})])
    if answer.is_done and answer.row.value["choice"] == "accept":
        return Outcome(taken=reply, facts={"warnings": [fault.said]})
    return Outcome(error=TaskFailed(f"A person did not take the answer to {step.id!r}."))
