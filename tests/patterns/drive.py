"""Drives a pattern: a function answers each part, and the table of what was asked is kept."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bmad_nb.events import TaskRow
from bmad_nb.outcome import TaskResult
from bmad_nb.patterns.base import Outcome, Part, Reply, Working
from bmad_nb.plan_parts import Assignment, Member

Answer = Callable[[Part], Any]
"""Returns the text or the value of a part; an exception is a part that failed."""


@dataclass
class Played:
    """What a pattern did."""

    outcome: Outcome
    rounds: list[list[str]] = field(default_factory=list)
    """Names of the parts of each round."""
    parts: list[Part] = field(default_factory=list)

    @property
    def asked(self) -> list[str]:
        """Names of all parts."""
        return [name for each in self.rounds for name in each]

    @property
    def text(self) -> str:
        """The answer as it reads."""
        if self.outcome.is_own_value:
            return str(self.outcome.value)
        assert self.outcome.taken is not None
        return self.outcome.taken.result.spelled


def members(*names: str, **fields: Any) -> tuple[Member, ...]:
    """Return members, each with an LLM of its own name."""
    return tuple(Member(name, Assignment(f"my/{name}"), **fields) for name in names)


def play(working: Working, answer: Answer, *, seed: int | None = None, around: Any = ()) -> Played:
    """Drive a pattern to its end; with a seed, parts are done in an order of chance.

    Args:
        working: the pattern.
        answer: answers each part.
        seed: of the order.
        around: names that the texts of parts read.
    """
    played = Played(Outcome())
    chance = random.Random(seed)
    wanted = next(working)
    while True:
        parts = list(wanted.parts)
        played.rounds.append([part.name for part in parts])
        played.parts += parts
        order = list(range(len(parts)))
        if seed is not None:
            chance.shuffle(order)
        replies = {n: _done(parts[n], answer, played, dict(around)) for n in order}
        try:
            wanted = working.send([replies[n] for n in range(len(parts))])
        except StopIteration as end:
            played.outcome = end.value
            return played


def _done(part: Part, answer: Answer, played: Played, around: dict[str, Any]) -> Reply:
    if part.pattern is not None:
        inner = play(part.pattern({**around, **part.names}), answer, around=around)
        played.parts += inner.parts
        taken = inner.outcome.taken
        assert taken is not None
        facts = {**(taken.row.facts or {}), **inner.outcome.facts}
        row = TaskRow("r", part.name, taken.row.state, value=taken.row.value, facts=facts,
                      llm=taken.row.llm, error=taken.row.error)  # fmt: skip
        return Reply(row, TaskResult(row, taken.result.text))
    llm = part.step.assignment.llm if part.step.assignment else ""
    try:
        said = answer(part)
    except Exception as error:
        row = TaskRow(
            "r", part.name, "failed", llm=llm, error=str(error), error_kind="ServerFailed"
        )
        return Reply(row, TaskResult(row, None))
    is_text = isinstance(said, str)
    row = TaskRow("r", part.name, "done", llm=llm, value=None if is_text else said)
    return Reply(row, TaskResult(row, said if is_text else json.dumps(said)))
