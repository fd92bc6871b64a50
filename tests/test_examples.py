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


def review(messages: Any) -> Any:
    """Find one defect, and nothing once it is mended."""
    text = messages[-1].text
    found = [] if "mended" in text else [{"severity": "major", "claim": "No quote."}]
    verdicts = {"verdicts": [{"number": 1, "verdict": "resolved"}]} if "verdicts" in text else {}
    return {"findings": found, **verdicts}


def revise(messages: Any) -> Any:
    """Mend all that was found."""
    lines = messages[-1].text.splitlines()
    numbers = [int(line.split(".")[0]) for line in lines if line[:1].isdigit()]
    risk = {"clause": "roof", "page": 1, "danger": "cost", "quote": "mended: pays for the roof"}
    done = [{"number": n, "disposition": "fixed", "why": "true"} for n in numbers]
    return {"answer": {"risks": [risk]}, "dispositions": done}


PLANS = {"plans": [{"name": "pond", "plants": ["reed"], "work": ["dig"]}]}
SAID: dict[str, Any] = {
    "You review": review,
    "Reviewers found": revise,
    "Name only risks": {"risks": [{"clause": "a", "page": 1, "danger": "b", "quote": "c"}]},
    "Does the contract say so": {"holds": True, "why": "It does."},
    "certain mail": {"kind": "order", "sure": 0.9},
    "order, a complaint or spam": {"kind": "order", "sure": 0.3},
    "Choose a plan": {"plan": "pond", "why": "It is wet."},
    "merged answer": {"answer": PLANS, "used": ["A"]},
    "Propose one garden": PLANS,
    "What does this letter say": {"facts": [{"fact": "rain", "quote": "letter"}]},
    "List what contradicts": {"doubts": ["none"]},
}
"""What the LLMs of the examples say, by the first words that stand in their request."""


def several(messages: Any) -> str:
    """Answer what the examples with several LLMs ask."""
    asked = messages[0].text + messages[-1].text
    for words, said in SAID.items():
        if words in asked:
            return json.dumps(said(messages) if callable(said) else said)
    return f"done: {messages[-1].text.splitlines()[0]}"


@pytest.fixture
def house(ws: Workspace) -> Iterator[Workspace]:
    """Give a workspace with three LLMs of three families."""
    price = Price(Decimal(1), Decimal(2), source="test")
    for name in ("gpt-one", "claude-two", "qwen-three"):
        ws.add_llm(name, several, price=price, capabilities={"writing": 0.8, "general": 0.9})
    return ws


def test_a_contract_is_reviewed_by_others_than_its_reader(house: Workspace) -> None:
    """Two of other families review, the author mends what they find, and each risk is tried."""
    flow = parse.load(EXAMPLES / "1_contract_check.yaml")
    names = {"local/smollm2-135m": "own/qwen-three"}
    run = house.run(flow, {"contract": "The tenant pays for the roof."}, llms=names)
    facts = run.state.tasks["read"].facts
    author, *reviewers = [row["llm"] for row in facts["members"]]
    assert 3 == len({author, *reviewers})
    assert "mended" in run.outputs["risks"][0]["quote"]
    assert {"fixed"} == {f["disposition"] for f in facts["reviews"]}
    assert run.outputs["letter"].startswith("done: Write a letter")
    assert {"own/gpt-one", "own/claude-two", "own/qwen-three"} >= set(run.calls["llm"])


def test_mails_go_to_a_larger_model_where_the_small_one_is_unsure(house: Workspace) -> None:
    """The first LLM's sure answers are taken; the others go up to the last."""
    flow = parse.load(EXAMPLES / "3_mail_cascade.yaml")
    names = {"local/small": "own/gpt-one", "openai/medium": "own/claude-two",
             "anthropic/large": "own/qwen-three"}  # fmt: skip
    mails = [{"id": n, "body": "certain mail" if n % 2 else "hm"} for n in range(4)]
    run = house.run(flow, {"mails": mails}, llms=names)
    by_llm = run.calls["llm"].value_counts().to_dict()
    assert {"own/gpt-one": 4, "own/claude-two": 2, "own/qwen-three": 2} == by_llm
    assert 4 == run.outputs["counts"]["items"]


def test_a_garden_is_planned_by_several_and_chosen_by_a_vote(house: Workspace) -> None:
    """Ensemble, experts by their condition, consensus; agreement and dissent are outputs."""
    flow = parse.load(EXAMPLES / "4_garden_consensus.yaml")
    names = {"claude-*": "own/claude-two", "gpt-*": "own/gpt-one",
             "local/smollm2-135m": "own/qwen-three"}  # fmt: skip
    run = house.run(flow, {"wishes": "a pond"}, llms=names)
    assert ("pond", 1.0, []) == tuple(run.outputs[n] for n in ("plan", "agreement", "dissent"))
    experts = {row["name"]: row["state"] for row in run.state.tasks["dangers"].facts["members"]}
    assert {"water": "done", "trees": "done"} == experts
    dry = house.run(flow, {"wishes": "a lawn"}, llms=names)
    experts = {row["name"]: row["state"] for row in dry.state.tasks["dangers"].facts["members"]}
    assert {"water": "skipped", "trees": "done"} == experts


def test_an_archive_is_read_merged_and_doubted_by_three(house: Workspace) -> None:
    """Example 6 runs to its end; three different LLMs vote on the problems."""
    flow = parse.load(EXAMPLES / "6_archive_mapreduce.yaml")
    letters = [{"text": f"letter {n}"} for n in range(8)]
    names = {"local/smollm2-135m": "own/qwen-three"}
    run = house.run(flow, {"letters": letters, "question": "the rain"}, llms=names)
    assert run.outputs["answer"].startswith("done: Answer the rain")
    assert 3 == run.members["llm"].nunique()
    assert run.members["agrees"].all()
