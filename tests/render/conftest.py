"""Rows and views that the render tests share."""

from __future__ import annotations

from decimal import Decimal

import pytest

from bmad_nb.events import CallRow
from bmad_nb.messages import Message
from bmad_nb.render.base import ComparisonView

PROMPT = (Message("user", "What is the capital of France?"),)


def make_row(llm="a/one", text="Paris", **fields):
    """Return an answered call; a failed one where `text` is None."""
    given = {
        "call_id": "7f3a:1", "run_id": "7f3a", "llm": llm, "request_key": "4be190c2",
        "state": "answered" if text is not None else "failed", "text": text, "messages": PROMPT,
        "max_tokens": 200,
    }  # fmt: skip
    if text is not None:
        given |= {"cost_usd": Decimal("0.0001"), "latency_s": 1.0, "finish_reason": "stop",
                  "input_tokens": 10, "output_tokens": 2}  # fmt: skip
    if fields.get("score") is not None:
        given |= {"scorer": "exact", "reference": "Paris"}
    return CallRow(**(given | fields))


def make_view(*rows, **fields):
    """Return a view of a completed comparison."""
    return ComparisonView(
        **(
            {"run_id": "7f3a", "verb": "compare", "rows": tuple(rows), "status": "completed"}
            | fields
        )
    )


@pytest.fixture
def row():
    """Return the function that makes rows."""
    return make_row


@pytest.fixture
def view():
    """Return the function that makes views."""
    return make_view
