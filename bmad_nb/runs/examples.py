"""Worked examples of a kind of task: questions that were answered well, with their answers."""

from __future__ import annotations

from bmad_nb.store import scores
from bmad_nb.store.journal import Store

MOST = 3
"""Examples that stand before a question."""
GOOD = 0.9
"""Least score in [0, 1] of an example."""
LONGEST = 2_000
"""Most characters of a question, or of an answer."""
_LOOKED_AT = 200


def examples_of(store: Store, kind: str, *, simulated: bool) -> tuple[tuple[str, str], ...]:
    """Return the newest well answered questions of a kind, each with its answer.

    Args:
        store: the store.
        kind: the kind of task; nothing is an example of an empty one.
        simulated: whether simulated LLMs gave the answers: theirs are for each other.
    """
    if not kind:
        return ()
    rows = [
        row
        for row in scores.to_learn(store)
        if row.task_type == kind and row.value >= GOOD and row.simulated == simulated
    ]
    found: dict[str, str] = {}
    for row in reversed(rows[-_LOOKED_AT:]):
        for call in store.calls(row.run_id):
            if call.call_id != row.call_id or call.state != "answered" or not call.text:
                continue
            question = call.messages[-1].text if call.messages else ""
            if question and max(len(question), len(call.text)) <= LONGEST:
                found.setdefault(question, call.text)
        if len(found) == MOST:
            break
    return tuple(reversed(found.items()))
