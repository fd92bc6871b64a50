"""The templates, each at work: what it must show, and that a planted bad answer does not pass.

The LLMs here are functions that say what is planted: this proves mechanics, not anybody's quality.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import pytest

from bmad_nb import parse
from bmad_nb.errors import RunFailed, RunPaused
from bmad_nb.messages import Price
from bmad_nb.runs.run import Run
from bmad_nb.templates import catalog
from bmad_nb.weighing import ranking
from bmad_nb.workspace import Workspace

Said = Mapping[str, Any]
"""What is answered, by words that stand in the request; a function of it may decide."""


def teller(said: Said) -> Callable[[Any], str]:
    """Return an LLM that answers as planted."""

    def answer(messages: Any) -> str:
        text = "\n".join(message.text for message in messages)
        for words, planted in said.items():
            if words in text:
                value = planted(text) if callable(planted) else planted
                return value if isinstance(value, str) else json.dumps(value)
        raise AssertionError(f"Nobody planted an answer to: {text[:300]}")

    return answer


def ran(
    ws: Workspace,
    name: str,
    said: Said,
    *others: Said,
    inputs: Mapping[str, Any] | None = None,
    values: Mapping[str, Any] | None = None,
) -> Run:
    """Return a run of a template with planted LLMs in the place of its own."""
    price = Price(Decimal(1), Decimal(1), source="test")
    for number, each in enumerate((said, *others)):
        ws.add_llm(f"x{number}", teller(each), price=price)
    planted = {"llm": "own/x0", "panel": ["own/x0"], "reviewer": "own/x1"}
    known = catalog.parameters(name)
    chosen = {key: value for key, value in planted.items() if key in known} | dict(values or {})
    flow = parse.loads(catalog.customised(name, chosen))
    return ws.run(flow, dict(inputs or {}), allow_python=True)


def warnings(run: Run, task: str) -> list[str]:
    """Return what the checks of a task warned of."""
    return list((run.state.tasks[task].facts or {}).get("warnings", ()))


WAIT = {"requirement-analysis", "bmad-greenfield-service", "bmad-story-cycle"}
"""Templates that wait for a person."""


@pytest.mark.parametrize("name", [n for n in catalog.NAMES if n not in WAIT])
def test_a_template_runs_on_the_simulated_fleet(ws: Workspace, name: str) -> None:
    """It completes with its sample input, and every output has a value; all of it is simulated."""
    flow = catalog.workflow(name)
    run = ws.run(flow, llms={"local/*": "sim/hasty"}, allow_python=True)
    assert "completed" == run.status
    assert [] == [key for key, value in run.outputs.items() if value is None]
    assert set(flow.outputs) == set(run.outputs)
    assert run.calls["simulated"].all()
    assert 0 == run.cost_usd


# --- code -----------------------------------------------------------------------------------------

RIGHT = """```python
def fare(age):
    if age < 0:
        raise ValueError
    return 0 if age < 6 else 2 if age < 18 else 4
```"""
WRONG = "```python\ndef fare(age):\n    return 4\n```"


def test_the_candidate_that_passes_the_tests_is_chosen(ws: Workspace) -> None:
    """Of a wrong and a right candidate the right one is taken, and nobody is asked to repair."""
    run = ran(ws, "code-generation", {"plainly": WRONG, "few lines": RIGHT})
    assert (RIGHT, True, "All tests pass.") == tuple(run.outputs.values())
    assert "skipped" == run.state.tasks["repair"].state
    assert [] == warnings(run, "chosen")


def test_a_repair_is_taken_where_it_passes_more(ws: Workspace) -> None:
    """Where no candidate passes, the best one is mended once, told what failed."""
    asked: list[str] = []
    run = ran(
        ws, "code-generation", {"Correct this": lambda text: asked.append(text) or RIGHT, "": WRONG}
    )
    assert (RIGHT, True) == (run.outputs["code"], run.outputs["tests_pass"])
    assert "1 of 6 tests pass" in asked[0]
    assert WRONG in asked[0]


def test_code_that_fails_its_tests_is_said_to(ws: Workspace) -> None:
    """Planted: every candidate and the repair are wrong, and the output says so."""
    run = ran(ws, "code-generation", {"": WRONG})
    assert run.outputs["tests_pass"] is False
    assert run.outputs["said"].startswith("No candidate passes all tests. The best one: 1 of 6")
    assert ["out.score == 1 does not hold."] == warnings(run, "chosen")


FINDINGS = [
    {"quote": "return sum(numbers) / len(numbers)", "severity": "major", "claim": "Empty list."},
    {"quote": "file = open(path)", "severity": "minor", "claim": "Nobody closes it."},
    {"quote": "def add(item, items=[]):", "severity": "major", "claim": "All calls share it."},
    {"quote": "return file.read()", "severity": "critical", "claim": "It deletes the file."},
]
REVIEWED = {
    "You review": {"findings": []},
    "Does this defect": lambda text: {
        "holds": "deletes" not in text, "why": "Reading deletes nothing."
    },
    "Write a review": {"summary": "Three defects."},
}  # fmt: skip


def test_a_review_finds_planted_bugs_and_drops_what_is_refuted(ws: Workspace) -> None:
    """Three planted bugs stay, one refuted claim goes with its reason; nobody reviews itself."""
    said = {**REVIEWED, "List the defects": {"findings": FINDINGS}}
    author = {k: v for k, v in said.items() if k != "You review"}
    run = ran(ws, "code-review", author, REVIEWED)
    assert FINDINGS[:3] == run.outputs["findings"]
    assert [{**FINDINGS[3], "reason": "Reading deletes nothing."}] == run.outputs["dropped"]
    members = run.state.tasks["review"].facts["members"]
    assert ["own/x0", "own/x1"] == [row["llm"] for row in members]
    assert [] == warnings(run, "review")


def test_a_finding_on_code_that_is_not_there_is_dropped(ws: Workspace) -> None:
    """Planted: a quote that the diff does not have is warned of, and never reported."""
    invented = {"quote": "os.remove(path)", "severity": "major", "claim": "Gone."}
    said = {**REVIEWED, "List the defects": {"findings": [invented]}}
    said.pop("You review")
    run = ran(ws, "code-review", said, REVIEWED)
    assert ["all(f.quote in diff for f in out.findings) does not hold."] == warnings(run, "review")
    assert ([], "No finding holds.") == (run.outputs["findings"], run.outputs["report"])
    assert "does not stand in the source" in run.outputs["dropped"][0]["reason"]


OUTLINE = {"purpose": "It tells the tide.", "names": ["height"]}


def test_a_dead_reference_is_flagged(ws: Workspace) -> None:
    """A page may name what the modules have; planted: a name that they do not have is listed."""
    page = {"page": "`height(hours)` uses `wave`; a `Berth` takes a ship with `moor()`."}
    run = ran(ws, "documentation-creation", {"Say for": OUTLINE, "Write for": page})
    assert ([], 8) == (run.outputs["dead_references"], run.outputs["references_checked"])
    assert [] == warnings(run, "references")
    bad = {"page": "Call `height()`, then `sink()`."}
    run = ran(ws, "documentation-creation", {"Say for": OUTLINE, "Write for": bad})
    assert [(1, "sink"), (2, "sink")] == [
        (each["text"], each["reference"]) for each in run.outputs["dead_references"]
    ]
    assert ["len(out.dead) == 0 does not hold."] == warnings(run, "references")


CASES = {
    "List what": {"risks": ["small children", "a negative age"]},
    "Describe one": lambda text: {
        "case": "negative" if "a negative age\n" in text else "small", "expected": "see the code"
    },
}  # fmt: skip


def test_generated_tests_run_and_their_coverage_is_reckoned(ws: Workspace) -> None:
    """Two tests pass, and reach two more of the lines than the one that was there."""
    tests = {
        "Write one": lambda text: {
            "test": "try:\n    fare(-1)\nexcept ValueError:\n    pass\nelse:\n    assert False"
            if "negative see" in text else "assert fare(3) == 0"
        }
    }  # fmt: skip
    run = ran(ws, "testing-strategy", {**CASES, **tests})
    assert (2, 0, 0) == tuple(run.outputs[k] for k in ("passed", "failed", "unusable"))
    assert 1.0 == run.outputs["coverage_after"]
    gain = run.outputs["coverage_after"] - run.outputs["coverage_before"]
    assert gain == pytest.approx(run.outputs["coverage_delta"])
    assert gain > 0
    assert [] == warnings(run, "executed")


def test_a_test_that_is_none_does_not_count(ws: Workspace) -> None:
    """Planted: words, and code without an assert, are unusable, and a warning says so."""
    bad = {"Write one": lambda text: {"test": "fare(3)" if "small" in text else "It works!"}}
    run = ran(ws, "testing-strategy", {**CASES, **bad})
    assert (0, 2, 0) == tuple(run.outputs[k] for k in ("passed", "unusable", "coverage_delta"))
    assert warnings(run, "executed")


# --- requirements, architecture, decisions --------------------------------------------------------

REVIEW = {"good": "yes", "advice": "Nothing."}
REQUIREMENTS = [
    {"id": "R1", "text": "Seats are held.", "acceptance": "After 9 minutes it is there."}
]


def test_requirements_are_drafted_and_approved(ws: Workspace) -> None:
    """It waits for a person, and goes on as it is told; every item has an acceptance criterion."""
    said = {"Write testable": {"requirements": REQUIREMENTS}, "Is this": REVIEW}
    with pytest.raises(RunPaused, match=r"Accept 1 requirements \(1 good\)"):
        ran(ws, "requirement-analysis", said)
    run = ws.run_of(ws.runs()["run_id"].iloc[-1])
    assert 1 == run.state.tasks["draft"].facts["iterations"]
    ws.approve(run.id, "signoff", "accept")
    done = run.resume()
    assert ("completed", "accept") == (done.status, done.outputs["choice"])
    assert all(each["acceptance"] for each in done.outputs["requirements"])
    assert [REVIEW] == done.outputs["reviews"]


def test_a_requirement_without_a_criterion_does_not_pass(ws: Workspace) -> None:
    """Planted: no criterion is no answer; one that repeats is drafted anew, and then warned of."""
    bare = [{"id": "R1", "text": "Seats are held."}]
    with pytest.raises(RunFailed, match="acceptance"):
        ran(ws, "requirement-analysis", {"": {"requirements": bare}})
    same = {"requirements": [{**REQUIREMENTS[0], "acceptance": "Seats are held."}]}
    said = {"Write testable": same, "Write these": same, "Is this": REVIEW}
    with pytest.raises(RunPaused) as caught:
        ran(ws, "requirement-analysis", said)
    run = ws.run_of(caught.value.run_id)
    assert warnings(run, "draft")
    assert 2 == run.state.tasks["draft"].facts["iterations"]


def architects(*choices: int) -> list[Said]:
    """Return LLMs that propose the same and choose as given."""
    options = [
        {"name": n, "for": "It is quick.", "against": "It is dear."} for n in ("hub", "mesh")
    ]
    return [
        {
            "merged answer": {"answer": {"options": options}, "used": ["A"]},
            "Choose one": {"choice": choice, "why": "It holds."},
            "Propose two": {"options": options},
            "Name the most": f"Risk of {choice}.",
        }
        for choice in choices
    ]


PANEL = {"panel": ["own/x0", "own/x1", "own/x2"]}


def test_an_architecture_is_chosen_and_its_dissent_kept(ws: Workspace) -> None:
    """Two options, experts by their condition, two of three voices decide, and the third is named."""
    run = ran(ws, "architecture-design", *architects(2, 2, 1), values=PANEL)
    assert 2 <= len(run.outputs["options"])
    assert "mesh" == run.outputs["choice"]
    assert [{"answer": "1", "members": ["own/x2"]}] == run.outputs["dissent"]
    experts = {row["name"]: row["state"] for row in run.state.tasks["risks"].facts["members"]}
    assert {"security": "done", "operations": "done"} == experts
    dry = ran(ws, "architecture-design", *architects(2, 2, 1), values=PANEL,
              inputs={"requirements": "A map."})  # fmt: skip
    assert "skipped" == dry.state.tasks["risks"].facts["members"][0]["state"]


def test_two_times_the_same_architecture_is_warned_of(ws: Workspace) -> None:
    """Planted: two options of one name; and the third of two options is no answer at all."""
    same = {"name": "hub", "for": "It is quick.", "against": "It is dear."}
    said = {
        **architects(1)[0],
        "merged answer": {"answer": {"options": [same, same]}, "used": ["A"]},
    }
    assert warnings(ran(ws, "architecture-design", said), "options")
    with pytest.raises(RunFailed, match="at most 2"):
        ran(ws, "architecture-design", *architects(3, 3, 3), values=PANEL)


def scorer(text: str) -> Any:
    """Score diesel 9 for its price and 2 for its comfort, and battery 3 and 8."""
    high = ("diesel" in text.split("Option:")[1]) == ("Criterion: price" in text)
    return {"score": (9 if high else 2) if "Option: diesel" in text else (8 if high else 3),
            "why": "So."}  # fmt: skip


def test_a_ranking_follows_from_its_table_and_turns_where_it_says(ws: Workspace) -> None:
    """Totals are the weighted means of the table; past the computed weight the other option wins."""
    run = ran(ws, "decision-support", {"Score this": scorer})
    outputs = run.outputs
    assert 12 == len(outputs["table"])
    by_hand = {
        option: sum(
            weight * sum(r["score"] for r in outputs["table"]
                         if (r["option"], r["criterion"]) == (option, name)) / 3
            for name, weight in (("price", 0.6), ("comfort", 0.4))
        )
        for option in ("diesel", "battery")
    }  # fmt: skip
    assert by_hand == {r["option"]: pytest.approx(r["total"]) for r in outputs["totals"]}
    assert "diesel" == outputs["winner"]
    turn = outputs["sensitivity"][0]
    assert ("price", "battery") == (turn["criterion"], turn["to"])
    for step, winner in ((0.01, "diesel"), (-0.01, "battery")):
        at = turn["flips_at"] + step
        weights = [{"name": "price", "weight": at}, {"name": "comfort", "weight": 1 - at}]
        again = ran(ws, "decision-support", {"Score this": scorer}, inputs={"criteria": weights})
        assert winner == again.outputs["winner"]
        again_by_hand = ranking(run.state.tasks["cells"].value, weights, {
            name: run.state.tasks[name].value["items"]
            for name in ("engineer", "treasurer", "passenger")
        })  # fmt: skip
        assert again_by_hand["totals"] == again.outputs["totals"]


def test_a_score_beyond_the_scale_does_not_pass(ws: Workspace) -> None:
    """Planted: 11 of 10 is no answer, however often it is said."""
    with pytest.raises(RunFailed, match="at most 10"):
        ran(ws, "decision-support", {"Score this": {"score": 11, "why": "So."}})


# --- patterns and knowledge -----------------------------------------------------------------------


def topic(text: str) -> Any:
    """Name a topic by words of the text, and quote its last sentence."""
    entry = text.splitlines()[1]
    words = {"late": "late ferry", "machine": "broken ticket machine"}
    found = next((name for word, name in words.items() if word in entry), "coffee")
    return {"topic": found, "quote": entry}


def test_patterns_are_counted_by_their_rows(ws: Workspace) -> None:
    """Counts equal the rows, each pattern has its quotes, and what comes once is no pattern."""
    said = {"Name the topic": topic, "Give the pattern": {"name": "A pattern"}}
    run = ran(ws, "pattern-identification", said)
    assert [3, 2] == [each["count"] for each in run.outputs["patterns"]]
    texts = catalog.parameters("pattern-identification")["texts"].default
    for each in run.outputs["patterns"]:
        assert each["count"] == len(each["quotes"]) >= 2
        assert set(each["quotes"]) <= set(texts)
    assert ["coffee"] == [row["topic"] for row in run.outputs["single"]]
    assert 6 == run.outputs["texts_with_evidence"]


def test_an_invented_quote_is_no_evidence(ws: Workspace) -> None:
    """Planted: a text whose quote does not stand in it counts for nothing, and shows as degraded."""
    said = {
        "Name the topic": lambda text: (
            {"topic": "late ferry", "quote": "It was so late!"} if "We came late" in text
            else topic(text)
        ),
        "Give the pattern": {"name": "A pattern"},
    }  # fmt: skip
    run = ran(ws, "pattern-identification", said)
    assert [2, 2] == [each["count"] for each in run.outputs["patterns"]]
    assert 5 == run.outputs["texts_with_evidence"]
    assert run.state.tasks["extract"].degraded


def test_every_quote_of_a_fact_stands_in_its_source(ws: Workspace) -> None:
    """True quotes stay; planted: a document for which one is invented gives no fact at all."""
    true = {"fact": "length", "quote": "Its length is 140 metres."}
    said = {"List facts": lambda text: {"facts": [
        true if "built in 1911" in text else {"fact": "people", "quote": "It carries 900 people."}
    ]}}  # fmt: skip
    run = ran(ws, "knowledge-extraction", said)
    assert [{**true, "source": 1}] == run.outputs["facts"]
    assert [1, 0] == run.outputs["per_document"]
    assert run.state.tasks["extract"].degraded
    extractions = run.parts[run.parts["part"].str.startswith("extract[1]")]
    assert extractions["attempts"].sum() >= 3  # it was told what is wrong, and asked again


def synthesis(answer: str) -> Said:
    """Return an LLM that extracts the lengths of the sample, merges them, and answers."""

    def facts(text: str) -> Any:
        metres = "140" if "in 1911" in text else "120"
        quote = f"The length of the pier is {metres} metres."
        fact = {"about": "Length of the pier", "value": f"{metres} metres", "quote": quote}
        return {"facts": [fact]}

    return {"List the facts": facts, "Merge these": "140 metres, 120 metres",
            "Answer the question": {"text": answer}}  # fmt: skip


def test_a_planted_contradiction_is_listed(ws: Workspace) -> None:
    """Both values stand in the list with their quotes and sources, whatever the answer says."""
    run = ran(ws, "knowledge-synthesis", synthesis("It has 140 metres, or 120 metres."))
    (found,) = run.outputs["contradictions"]
    assert [("140 metres", 1), ("120 metres", 2)] == [
        (fact["value"], fact["source"]) for fact in found["facts"]
    ]
    assert [] == warnings(run, "answer")


def test_an_answer_that_hides_a_contradiction_is_warned_of(ws: Workspace) -> None:
    """Planted: an answer with one of two values; the other is in the list all the same."""
    run = ran(ws, "knowledge-synthesis", synthesis("It has 140 metres."))
    assert warnings(run, "answer")
    assert 2 == len(run.outputs["contradictions"][0]["facts"])


def test_the_claims_are_fifty_and_balanced() -> None:
    """50 different claims of true, false and unknown; every beginning of the list is balanced."""
    claims = catalog.parameters("knowledge-validation")["claims"].default
    assert 50 == len({each["claim"] for each in claims})
    truths = [each["truth"] for each in claims]
    for count in range(1, 51):
        by = [truths[:count].count(truth) for truth in ("true", "false", "unknown")]
        assert 1 >= max(by) - min(by)


def test_verdicts_on_all_claims_are_held_against_what_is_true(ws: Workspace) -> None:
    """On the 50 claims, a validator that is wrong on ten and unsure of none is reckoned so."""
    claims = catalog.parameters("knowledge-validation")["claims"].default
    truth = {each["claim"]: each["truth"] for each in claims}
    wrong = {each["claim"] for each in claims if each["truth"] == "true"}
    wrong = set(sorted(wrong)[:10])

    def verdict(text: str) -> Any:
        claim = text.splitlines()[1]
        said = "false" if claim in wrong else truth[claim]
        return {"verdict": said, "confidence": 0.9}

    run = ran(ws, "knowledge-validation", {"Is this claim": verdict}, inputs={"most": 50})
    found = run.outputs["calibration"]
    assert (50, 40, 10, 0) == tuple(found[k] for k in ("claims", "right", "wrong", "abstained"))
    assert (0.8, 0.9) == (found["accuracy"], found["confidence"])
    assert found["calibration_error"] == pytest.approx(0.1)
    assert found["brier"] == pytest.approx(0.8 * 0.01 + 0.2 * 0.81)
    assert "unknown" in {each["verdict"] for each in run.outputs["verdicts"]}


def test_an_unsure_or_divided_verdict_becomes_unknown(ws: Workspace) -> None:
    """Planted: a verdict without confidence, and three validators who all differ, are no verdicts."""
    sure = {"Is this claim": {"verdict": "true", "confidence": 0.3}}
    run = ran(ws, "knowledge-validation", sure, inputs={"most": 1})
    assert [{"verdict": "unknown", "confidence": 0}] == run.outputs["verdicts"]
    each = [
        {"Is this claim": {"verdict": said, "confidence": 0.9}}
        for said in ("true", "false", "unknown")
    ]
    run = ran(ws, "knowledge-validation", *each, values=PANEL, inputs={"most": 1})
    assert [{"verdict": "unknown", "confidence": 0}] == run.outputs["verdicts"]
    assert run.state.tasks["validate"].degraded


def test_an_uncited_sentence_is_flagged(ws: Workspace) -> None:
    """A cited answer passes; planted: a bare sentence and a citation of nothing are listed."""
    good = {"text": "The pier is closed in storms [F1]. It is 140 metres long [F2]."}
    run = ran(ws, "knowledge-application", {"Answer the question": good})
    assert ([], ["F1", "F2"]) == (run.outputs["uncited"], run.outputs["cited"])
    assert [] == warnings(run, "cited")
    assert "F4" not in [fact["id"] for fact in run.outputs["facts"]]
    bad = {"text": "The pier is closed in storms [F1]. Bring a coat. It is red [F9]."}
    run = ran(ws, "knowledge-application", {"Answer the question": bad})
    assert ["Bring a coat.", "It is red [F9]."] == run.outputs["uncited"]
    assert ["F9"] == run.outputs["unknown_citations"]
    assert warnings(run, "cited")
