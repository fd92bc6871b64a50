"""What becomes of a call, as rows."""

from __future__ import annotations

import dataclasses

import pytest

from bmad_nb.calls.outcomes import changed
from bmad_nb.events import CallRow

ROW = CallRow("r-1", "r", "own/x", "key", "in_flight", sample=2, waited_s=0.5)


def test_a_changed_row_is_what_replace_gives() -> None:
    """Named facts are new, all others stay, and the row itself is as it was."""
    facts = {"state": "answered", "text": "yes", "latency_s": 1.0}
    before = dataclasses.astuple(ROW)
    assert dataclasses.replace(ROW, **facts) == changed(ROW, **facts)
    assert before == dataclasses.astuple(ROW)


def test_a_fact_that_no_row_has_is_refused() -> None:
    """A wrong name is an error, and no column that is lost."""
    with pytest.raises(TypeError, match="colour"):
        changed(ROW, colour="red")
