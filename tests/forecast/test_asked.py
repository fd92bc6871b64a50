"""Which LLMs a task asks and how often at most: held to what runs really did."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from bmad_nb.messages import Message
from bmad_nb.patterns.peer_review import DISPOSITIONS
from bmad_nb.workflow.model import Workflow
from bmad_nb.workspace import Workspace


def answering(name: str) -> Any:
    """Return an LLM that gives its own name as answer, in whatever form is wanted."""

    def llm(messages: Sequence[Message]) -> str:  # noqa: PLR0911  (a form each)
        text = "\n".join(m.text for m in messages)
        if '"ranking"' in text:
            return json.dumps({"ranking": ["A", "B", "C"]})
        if '"choice"' in text:
            return json.dumps({"choice": "A", "why": "x"})
        if '"score"' in text:
            return json.dumps({"score": 0.1, "feedback": "more"})
        if '"dispositions"' in text:
            number = int(text.rsplit('"integer","enum":[', 1)[1].split("]")[0].split(",")[0])
            said = {"number": number, "disposition": DISPOSITIONS[1], "why": "no"}
            return json.dumps({"answer": name, "dispositions": [said]})
        if '"used"' in text:
            return json.dumps({"answer": name, "used": ["A"]})
        if '"findings"' in text:
            found = {"severity": "major", "claim": f"{name} {len(text)}"}
            verdicts = {"verdicts": []} if '"verdicts"' in text else {}
            return json.dumps({"findings": [found], **verdicts})
        return f"The answer is {name}."

    return llm


THREE = "own/a,own/b,own/c"
KINDS: list[tuple[str, dict[str, Any], int]] = [
    ("vote", {}, 3),
    ("vote", {"method": "rank"}, 6),
    ("vote", {"method": "judge"}, 5),
    ("vote", {"method": "majority", "on_disagree": "judge", "threshold": 0.9}, 5),
    ("consensus", {"threshold": 0.9, "rounds": 3}, 9),
    ("debate", {"rounds": 2}, 8),
    ("ensemble", {}, 4),
    ("best_of_n", {"n": 3}, 6),
    ("best_of_n", {"n": 3, "judge": {"rubric": "good?", "samples": 2}}, 9),
    ("peer_review", {"rounds": 2}, 7),
    ("cascade", {"strong": "own/d"}, 4),
    ("refine", {"max": 2}, 4),
    ("expert", {"experts": {"law": {"role": "a lawyer"}, "tax": {"role": "x"}}}, 3),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "options", "most"), KINDS)
def test_the_plan_knows_how_many_calls_there_are(
    ws: Workspace, kind: str, options: dict[str, Any], most: int
) -> None:
    """Where nobody agrees, a run makes exactly as many calls as the plan said, by the same LLMs."""
    for name in "abcd":
        ws.add_llm(name, answering(name))
    llms = "own/a" if kind in {"refine", "expert"} else THREE
    execution = ws.collaboration("Who?", kind, llms, **options)
    planned = ws.shown(execution.workflow, execution.plan, command="", inputs={})
    run = ws.go(execution)
    assert planned.analysis is not None
    assert (most, most) == (planned.analysis.calls, len(run.calls))
    assert set(run.calls["llm"]) == set(planned.llms)


def test_a_review_that_nobody_can_do_has_an_estimate(ws: Workspace) -> None:
    """A peer review whose LLMs are not there asks nobody, and its plan is reckoned all the same."""
    flow = Workflow("papers")
    flow.task(
        "read", prompt="Read.", collaborate={"type": "peer_review", "models": ["gone/a", "gone/b"]}
    )
    planned = ws.plan(flow)
    assert planned.plan.missing
    assert 0 == planned.analysis.calls
