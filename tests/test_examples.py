"""The example documents run: refined and approved, branched into another workflow, map and merge."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bmad_nb import parse
from bmad_nb.errors import NotRunnable, RunPaused
from bmad_nb.messages import Price
from bmad_nb.workspace import Workspace

EXAMPLES = Path(__file__).parent / "data" / "workflows"
TOUR = """
workflow: tour-planning
inputs: {brief: text}
tasks: {days: {prompt: "Plan the tour: {{ brief }}", llm: local/small}}
outputs: {plan: days.text}
"""


def answer(messages: Any) -> str:
    """Answer what the examples ask, in the form that they want."""
    text = messages[-1].text
    if "Rubric:" in text:
        return json.dumps({"score": 0.95 if "better" in text else 0.6, "feedback": "Go on."})
    if "minutes" in text or "recipe" in messages[0].text:
        again = "better" if len(messages) > 1 else "first"
        return json.dumps({"steps": [{"number": 1, "text": f"{again}: stir", "minutes": 3}]})
    if "short or long" in text:
        return json.dumps({"size": "long" if "far" in text else "short"})
    return f"done: {text.splitlines()[0]}"


@pytest.fixture
def space(ws: Workspace) -> Iterator[Workspace]:
    """Give a workspace whose two LLMs know the examples."""
    price = Price(Decimal(1), Decimal(2), source="test")
    ws.add_llm("x", answer, price=price)
    ws.add_llm("y", answer, price=price, capabilities={"judging": 0.9})  # the best judge here
    return ws


def test_a_recipe_is_refined_and_then_approved(space: Workspace) -> None:
    """Two drafts, each judged twice by another LLM; then it waits, and goes on as it is told."""
    flow = parse.load(EXAMPLES / "2_recipe_refine.yaml")
    options: Any = {"llms": {"local/smollm2-135m": "own/x"}}
    with pytest.raises(RunPaused, match="Cook these 1 steps") as caught:
        space.run(flow, {"dish": "soup"}, **options)
    run = space.run_of(caught.value.run_id)
    judged = run.calls[run.calls["task"].str.contains("judge")]
    assert {"own/y"} == set(judged["llm"])
    assert (2, 4) == (run.state.tasks["cook"].facts["iterations"], len(judged))
    space.approve(run.id, "taste", "yes")
    done = run.resume()
    assert ("yes", "better: stir") == (done.outputs["choice"], done.outputs["steps"][0]["text"])
    assert ["change"] == list(done.tasks[done.tasks["state"] == "skipped"]["task"])


@pytest.mark.parametrize(("wish", "branch"), [("a walk", "outing"), ("far away", "tour")])
def test_a_trip_goes_one_way_or_the_other(space: Workspace, wish: str, branch: str) -> None:
    """Short trips are planned and checked here, long ones by another workflow."""
    flow = parse.load(EXAMPLES / "5_trip_branch.yaml")
    with pytest.raises(NotRunnable, match="tour-planning"):
        space.run(flow, {"wish": wish}, llms={"local/*": "own/x"})
    space.define(parse.loads(TOUR))
    run = space.run(flow, {"wish": wish}, llms={"local/*": "own/x"})
    assert run.outputs["result"].startswith("done: Plan the")
    states = dict(zip(run.tasks["task"], run.tasks["state"], strict=True))
    assert "done" == states[branch]
    assert "skipped" == states[({"outing", "tour"} - {branch}).pop()]
    assert ("tour/days" in set(run.parts["part"])) == (branch == "tour")


def test_what_still_needs_collaboration_says_so(space: Workspace) -> None:
    """Example 6 is planned as a whole, and refused before anything is sent."""
    flow = parse.load(EXAMPLES / "6_archive_mapreduce.yaml")
    plan = space.plan(flow).plan
    assert any("uses collaborate" in each for each in plan.missing)
    verbs = {step.id: step.verb for step in plan.steps}
    assert "reduce" in verbs.values()
    assert any(step.repeat for step in plan.steps)
