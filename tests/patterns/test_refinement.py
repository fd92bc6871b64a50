"""Refinement as a table: given these scores, these drafts are asked for, and this one is kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from bmad_nb.events import TaskRow
from bmad_nb.outcome import TaskResult
from bmad_nb.patterns.base import Outcome, Part, Reply
from bmad_nb.patterns.refinement import refinement
from bmad_nb.plan import Step
from bmad_nb.plan_parts import Judging, Refining

STEP = Step("draft", "prompt", turns=(("user", "Write about {{ topic }}."),))
JUDGE = Judging(rubric="Good?")


def reply(part: Part, **fields: Any) -> Reply:
    """Return what came of a part."""
    row = TaskRow("r", f"draft{part.name}", fields.pop("state", "done"), **fields)
    return Reply(row, TaskResult(row, fields.get("text", f"text of {part.name}")))


def played(
    refining: Refining, scores: Sequence[float | None], answers: Sequence[str] = ()
) -> tuple[Outcome, list[str]]:
    """Drive a refinement with the scores of its rounds; None is a round that failed."""
    working = refinement(STEP, refining, {"topic": "ice"})
    left, choices = iter(scores), iter(answers)
    names: list[str] = []
    wanted = next(working)
    while True:
        (part,) = wanted.parts
        names.append(part.name)
        if part.name.endswith(".human"):
            answer = {"choice": next(choices), "comment": "More.", "by": "p"}
            given = reply(part, verb="approve", value=answer)
        else:
            score = next(left)
            given = (
                reply(part, state="failed", error="gone")
                if score is None
                else reply(part, facts={"score": score, "feedback": "Better.", "iteration": 1})
            )
        try:
            wanted = working.send([given])
        except StopIteration as end:
            return end.value, names


@pytest.mark.parametrize(
    ("scores", "options", "rounds", "kept", "met"),
    [
        ([0.9], {}, 1, "#1", True),
        ([0.5, 0.7, 0.9], {"most": 5}, 3, "#3", True),
        ([0.6, 0.8, 0.7, 0.6], {"most": 9, "patience": 2}, 4, "#2", False),
        ([0.6, 0.8, 0.7], {"most": 3}, 3, "#2", False),
        ([0.6, 0.8, 0.7], {"most": 3, "keep": "last"}, 3, "#3", False),
        ([0.5, 0.51, 0.52], {"most": 9, "patience": 2, "min_gain": 0.1}, 3, "#3", False),
        ([0.5, None], {"most": 5}, 2, "#1", False),
    ],
)
def test_rounds_and_what_is_kept(
    scores: list[float | None], options: dict[str, Any], rounds: int, kept: str, met: bool
) -> None:
    """Good enough, no more gain, no more rounds, a failed round: each ends it as it should."""
    outcome, names = played(Refining("score >= 0.85", JUDGE, **options), scores)
    assert rounds == len(names)
    assert outcome.taken is not None
    assert f"draft{kept}" == outcome.taken.row.task
    assert (met, rounds) == (outcome.facts["threshold_met"], outcome.facts["iterations"])


def test_a_first_round_that_fails_is_the_outcome() -> None:
    """Without any draft there is nothing to keep: its error is the task's."""
    outcome, _ = played(Refining("score >= 0.85", JUDGE), [None])
    assert outcome.taken is not None
    assert "failed" == outcome.taken.row.state


@pytest.mark.parametrize(
    ("answers", "names", "failed"),
    [
        (["accept"], ["#1", "#2", "#2.human"], False),
        (["stop"], ["#1", "#2", "#2.human"], True),
        (["again", "accept"], ["#1", "#2", "#2.human", "#3", "#3.human"], False),
    ],
)
def test_a_person_decides_where_nothing_is_good(
    answers: list[str], names: list[str], failed: bool
) -> None:
    """Accept takes the best, stop fails, again asks for one more draft and then again."""
    refining = Refining("score >= 0.85", JUDGE, most=2, on_exhausted="human")
    outcome, asked = played(refining, [0.5, 0.6, 0.7], answers)
    assert names == asked
    assert failed == (outcome.error is not None)
