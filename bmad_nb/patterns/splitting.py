"""A task that is split: its LLM lists the parts, does each, and puts them together.

Source: Zhou et al. (2023), "Least-to-most prompting". Differs: parts are independent, so that they
are done at the same time, and there are at most four.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from bmad_nb.messages import Message
from bmad_nb.patterns.base import Outcome, Part, Parts, Working
from bmad_nb.patterns.members import bare, filled, task_of
from bmad_nb.plan import Step
from bmad_nb.scorers.fencing import mark_of

MOST = 4
"""Parts of a task."""
LONGEST = 500
"""Characters of the description of a part."""
_LIST = (
    "List the parts that this task has, two to four, each on a line of its own and so that it can "
    "be done without the others. Do not do them.\n\nThe task:\n<{mark}>\n{task}\n</{mark}>"
)
_PART = (
    "Do only this part of a task: {part}\n\nThe whole task:\n<{mark}>\n{task}\n</{mark}>\n\nGive "
    "only what this part asks for."
)
_WHOLE = "{task}\n\nIts parts were done already:\n<{mark}>\n{done}\n</{mark}>"
_NUMBER = re.compile(r"^\s*(?:[-*•]|\(?\d{1,2}[.):])\s*")


def splitting(step: Step, names: Mapping[str, Any], messages: tuple[Message, ...] = ()) -> Working:
    """List the parts, do each, then the whole; where nothing is listed, only the whole.

    Args:
        step: the task.
        names: what its texts can read.
        messages: what the LLM is asked; empty where the step's own texts say it.
    """
    asked = filled(step, names, messages)
    task = task_of(asked)
    system = tuple(each for each in asked if each.role == "system")
    mark = mark_of(task)
    inner = dataclasses.replace(step, splits=False)
    plain = bare(step, splits=False, schema=None, examples=())

    def said(text: str) -> tuple[Message, ...]:
        return (*system, Message("user", text))

    (listed,) = yield Parts([Part(".parts", plain, {}, said(_LIST.format(mark=mark, task=task)))])
    parts = parts_of(listed.result.spelled) if listed.is_done else []
    done = []
    if len(parts) > 1:
        replies = yield Parts([
            Part(f".part{n}", plain, {}, said(_PART.format(part=part, mark=mark, task=task)))
            for n, part in enumerate(parts, start=1)
        ])  # fmt: skip
        done = [
            f"{part}\n{reply.result.spelled}"
            for part, reply in zip(parts, replies, strict=True)
            if reply.is_done
        ]
    if not done:
        (whole,) = yield Parts([Part(".whole", inner, {}, asked)])
        return Outcome(taken=whole)
    text = _WHOLE.format(task=asked[-1].text, mark=mark_of(*done), done="\n\n".join(done))
    last = (*asked[:-1], dataclasses.replace(asked[-1], text=text))
    (whole,) = yield Parts([Part(".whole", inner, {}, last)])
    return Outcome(taken=whole, facts={"parts": len(done)})


def parts_of(text: str) -> list[str]:
    r"""Return the parts that a list names, at most four.

    >>> parts_of("1. Find it\n\n- Sum it up")
    ['Find it', 'Sum it up']
    """
    lines = (_NUMBER.sub("", line).strip() for line in text.splitlines())
    return [line[:LONGEST] for line in lines if line][:MOST]
