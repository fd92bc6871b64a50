"""What other tasks read of a task: names of the result first, then fields of its value."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from bmad_nb.events import TaskRow
from bmad_nb.outcome import TaskResult


def result(text: str | None = None, **fields: Any) -> TaskResult:
    return TaskResult(TaskRow("r", "t", fields.pop("state", "done"), **fields), text)


def test_a_text_is_text_and_output() -> None:
    """Without a form, the answer is all of it."""
    found = result("hello", llm="lab/a", cost_usd=Decimal("0.5"))

    assert ("hello", "hello", "hello") == (found["text"], found["output"], found.spelled)
    assert ("lab/a", 0.5, "done") == (found["llm"], found["cost_usd"], found["state"])


def test_fields_of_a_value_are_read_by_name() -> None:
    """A mapping's fields stand beside the names of every result, which go first."""
    found = result('{"size": 3, "text": "inner"}', value={"size": 3, "text": "inner"})

    assert 3 == found["size"]
    assert '{"size": 3, "text": "inner"}' == found["text"]
    assert "inner" == found["output"]["text"]
    assert "size" in found
    assert "colour" not in found
    with pytest.raises(KeyError):
        found["colour"]


@pytest.mark.parametrize("state", ["skipped", "failed"])
def test_without_a_value_every_field_is_null(state: str) -> None:
    """What was left out or failed can be read, and says nothing but how it ended."""
    found = result(state=state, error="It broke.")

    assert found.absent
    assert (None, None, None) == (found["text"], found["output"], found["anything"])
    assert (state, "It broke.") == (found["state"], found["error"])


def test_a_value_spells_itself() -> None:
    """Named alone in a prompt, a task without an answer is its value as text."""
    assert '{\n  "a": 1\n}' == result(value={"a": 1}).spelled
