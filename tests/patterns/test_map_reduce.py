"""Merging as a table: how many prompts, of which items, in which order."""

from __future__ import annotations

import random
from typing import Any

import pytest

from bmad_nb.errors import TaskFailed
from bmad_nb.events import TaskRow
from bmad_nb.outcome import TaskResult
from bmad_nb.patterns.base import Outcome, Reply
from bmad_nb.patterns.map_reduce import reduction
from bmad_nb.plan import Step
from bmad_nb.plan_parts import Reducing

STEP = Step("merge", "reduce", turns=(("user", "Merge: {{ items }}"),), schema={"type": "object"})


def merged(
    items: list[Any], seed: int | None = None, most: int = 10_000, **options: Any
) -> tuple[Outcome, list[int], list[Any]]:
    """Merge by joining texts; return the outcome, the prompts of each level, the last items."""
    chance = random.Random(seed)
    working = reduction(STEP, Reducing("facts", "Merge", **options), {"facts": items})
    wanted = next(working)
    levels = []
    while True:
        levels.append(len(wanted.parts))
        order = list(enumerate(wanted.parts))
        if seed is not None:
            chance.shuffle(order)  # who is ready first does not matter
        replies: dict[int, Reply] = {}
        for number, part in order:
            text = "+".join(str(each) for each in part.names["items"])[:most]
            row = TaskRow("r", f"merge{part.name}", "done")
            replies[number] = Reply(row, TaskResult(row, text))
        last = wanted.parts
        try:
            wanted = working.send([replies[n] for n in range(len(last))])
        except StopIteration as end:
            assert last[0].step.schema is not None
            return end.value, levels, list(last[0].names["items"])


@pytest.mark.parametrize(
    ("count", "batch", "levels"),
    [
        (200, 8, [25, 4, 1]),
        (8, 8, [1]),
        (9, 8, [2, 1]),
        (0, 8, [1]),
        (1, 2, [1]),
        (7, 2, [4, 2, 1]),
    ],
)
def test_a_tree_has_as_many_prompts_as_it_needs(count: int, batch: int, levels: list[int]) -> None:
    """`batch` items a prompt, level by level, until one is left."""
    outcome, found, _ = merged([f"f{n}" for n in range(count)], batch=batch)
    assert levels == found
    assert len(levels) == outcome.facts["levels"]


@pytest.mark.parametrize("seed", range(5))
def test_the_order_is_that_of_the_list(seed: int) -> None:
    """Whoever answers first, the result is the same."""
    items = [f"f{n}" for n in range(50)]
    outcome, _, _ = merged(items, seed, batch=4)
    assert outcome.taken is not None
    assert "+".join(items) == outcome.taken.result.spelled


def test_no_prompt_is_larger_than_the_room() -> None:
    """Groups are made by size where the room is known, and one item that does not fit is said."""
    _, levels, _ = merged(["x" * 300 for _ in range(20)], most=50, batch=None, room_tokens=400)
    assert levels[0] >= 6
    with pytest.raises(TaskFailed, match="do not fit"):
        merged(["x" * 5000, "y"], batch=None, room_tokens=400)


def test_what_a_map_gives_is_taken_without_what_failed() -> None:
    """Of `items` and `errors` the first are merged, null left out."""
    row = TaskRow("r", "facts", "done", value={"items": ["a", None, "b"], "errors": [{"index": 1}]})
    _, levels, last = merged(TaskResult(row, None), batch=9)  # type: ignore[arg-type]
    assert ([1], ["a", "b"]) == (levels, last)
