"""How good is an answer? By an expression, by a function, or by an LLM that is asked."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

from bmad_nb import expressions, prompts
from bmad_nb.errors import BmadError, TaskFailed
from bmad_nb.messages import Message
from bmad_nb.patterns.base import Part, Parts, Reply
from bmad_nb.patterns.members import bare
from bmad_nb.plan import Step
from bmad_nb.plan_parts import Assignment, Judging
from bmad_nb.scorers.fencing import addresses_judge
from bmad_nb.scorers.judge import SCHEMA, judgement


class Verdict(NamedTuple):
    """What a judge thinks of an answer."""

    score: float
    """In [0, 1]."""
    feedback: str = ""
    """What would make it better; empty where nobody said."""
    judgements: int = 1
    """How many the score is the mean of."""
    flagged: str = ""
    """Words with which the answer addresses its judge; empty if it does not."""


def judged(
    step: Step, judging: Judging, names: Mapping[str, Any], reply: Reply, name: str
) -> Generator[Parts, Sequence[Reply], Verdict]:
    """Return the verdict on an answer.

    Args:
        step: the task that it answers.
        judging: who judges.
        names: what the rubric can read.
        reply: the answer.
        name: what the judgements are called.

    Raises:
        TaskFailed: the judge gave none.
    """
    local = {**names, "out": reply.result}
    if judging.that:
        return Verdict(float(bool(expressions.evaluate(expressions.parse(judging.that), local))))
    if judging.function:
        (given,) = yield Parts([_called(step, judging, reply, name)])
        return Verdict(_number(step, given))
    asked = "\n\n".join(prompts.fill(text, names) for role, text in step.turns if role == "user")
    rubric = prompts.fill(judging.rubric, local)
    messages = judgement(rubric, asked, reply.result.spelled)
    judges = judging.panel or (judging.assignment,)
    parts = [
        _asked(step, judge, messages, f"{name}{number}", sample)
        for number, (judge, sample) in enumerate(product(judges, range(judging.samples)), start=1)
    ]
    if len(parts) == 1:
        parts = [_asked(step, judges[0], messages, name, 0)]
    replies = yield Parts(parts)
    said = [each.row.value for each in replies if each.is_done]
    if not said:
        raise _no_verdict(step, replies[0])
    score = sum(each["score"] for each in said) / len(said)
    feedback = "\n".join(dict.fromkeys(each["feedback"] for each in said))
    return Verdict(score, feedback, len(said), addresses_judge(reply.result.spelled))


def _asked(
    step: Step, judge: Assignment | None, messages: tuple[Message, ...], name: str, sample: int
) -> Part:
    work = bare(step, verb="prompt", assignment=judge, schema=SCHEMA, params=())
    return Part(name, work, {}, messages, sample)


def _called(step: Step, judging: Judging, reply: Reply, name: str) -> Part:
    arguments = {"out": reply.result["output"]}
    work = bare(step, verb="python", function=judging.function, arguments=arguments, schema=None)
    return Part(name, work)


def _number(step: Step, given: Reply) -> float:
    value = given.row.value
    if not given.is_done:
        raise _no_verdict(step, given)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise TaskFailed(
            f"The judge of task {step.id!r} gave {expressions.brief(value)}.",
            hint="It returns a number from 0 to 1.",
        )
    return float(value)


def _no_verdict(step: Step, reply: Reply) -> BmadError:
    return TaskFailed(
        f"The judge of task {step.id!r} gave no judgement: {reply.row.error}",
        hint=reply.row.error_hint,
    )
