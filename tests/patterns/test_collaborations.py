"""Best of n, peer review, experts and cascades as tables."""

from __future__ import annotations

from typing import Any

import pytest

from bmad_nb.errors import NoQuorum
from bmad_nb.patterns.base import Part
from bmad_nb.patterns.best_of_n import best_of_n
from bmad_nb.patterns.consultation import consultation
from bmad_nb.patterns.escalation import by_agreement, cascade
from bmad_nb.patterns.peer_review import peer_review
from bmad_nb.plan import Step
from bmad_nb.plan_parts import Assignment, Cascading, Collaborating, Judging, Member
from tests.patterns.drive import Played, members, play

STEP = Step("ask", "prompt", turns=(("user", "Write {{ what }}."),),
            assignment=Assignment("my/a"))  # fmt: skip
NAMES = {"what": "code"}


def llm(part: Part) -> str:
    """Return who is asked."""
    assert part.step.assignment is not None
    return part.step.assignment.llm.removeprefix("my/")


# --- best of n ------------------------------------------------------------------------------------


def best(scores: dict[str, float | None], threshold: float | None = None) -> Played:
    """Play a best of n with the score of each member; None is one that fails."""

    def answer(part: Part) -> Any:
        if part.name == ".judge":
            name = part.messages[-1].text.rpartition("text of ")[2][0]
            return {"score": scores[name], "feedback": "so"}
        if scores[llm(part)] is None:
            raise RuntimeError("down")
        return f"text of {llm(part)}"

    judge = Judging(rubric="Good?", assignment=Assignment("my/j"))
    part = Collaborating("best_of_n", members(*scores), judge=judge, threshold=threshold)
    return play(best_of_n(STEP, part, NAMES), answer, around=NAMES)


def test_the_best_score_is_taken_and_all_are_told() -> None:
    """All are asked at once, the first of equals wins, one that failed is told."""
    found = best({"a": 0.4, "b": 0.9, "c": 0.9, "d": None})
    assert "text of b" == found.text
    assert [0.4, 0.9, 0.9, None] == [row["score"] for row in found.outcome.facts["members"]]
    assert 1 == len(found.rounds)


def test_a_threshold_ends_it_early() -> None:
    """One after another, and the first that is good enough is the last that is asked."""
    found = best({"a": 0.4, "b": 0.8, "c": 0.9}, threshold=0.8)
    assert ("text of b", 2) == (found.text, found.outcome.facts["asked"])
    assert found.outcome.facts["threshold_met"] is True
    worse = best({"a": 0.4, "b": 0.5}, threshold=0.8)
    assert ("text of b", False) == (worse.text, worse.outcome.facts["threshold_met"])


def test_without_an_answer_there_is_no_best() -> None:
    """If all fail there is an error that says why."""
    found = best({"a": None, "b": None})
    assert isinstance(found.outcome.error, NoQuorum)
    assert "down" in found.outcome.error.what


# --- peer review ----------------------------------------------------------------------------------


def reviewed(rounds: int, findings: dict[str, list[list[tuple[str, str]]]]) -> Played:
    """Play a review: the findings of each reviewer, round by round."""
    left = {name: iter(each) for name, each in findings.items()}

    def answer(part: Part) -> Any:
        if part.name.startswith(".review"):
            new = next(left[llm(part)], [])
            said: dict[str, Any] = {
                "findings": [{"severity": sev, "claim": claim} for sev, claim in new]
            }
            if "verdicts" in (part.step.schema or {}).get("properties", {}):
                numbers = part.step.schema["properties"]["verdicts"]["items"]["properties"][
                    "number"
                ]["enum"]
                said["verdicts"] = [{"number": n, "verdict": "resolved"} for n in numbers]
            return said
        if part.name.startswith(".revision"):
            numbers = part.step.schema["properties"]["dispositions"]["items"]["properties"][
                "number"
            ]["enum"]
            return {
                "answer": f"better after {part.name}",
                "dispositions": [
                    {"number": n, "disposition": "fixed", "why": "true"} for n in numbers
                ],
            }
        return "draft"

    who = members("a", *findings)
    return play(peer_review(STEP, Collaborating("peer_review", who, rounds=rounds), NAMES), answer)


def test_a_finding_is_mended_and_confirmed() -> None:
    """Draft, review, revision, second review that finds nothing: converged, each with a verdict."""
    found = reviewed(3, {"b": [[("critical", "off by one")], []], "c": [[], []]})
    assert "better after .revision1" == found.text
    (finding,) = found.outcome.facts["reviews"]
    assert ("critical", "off by one", "fixed", "resolved", "b") == tuple(
        finding[key] for key in ("severity", "claim", "disposition", "verdict", "reviewer")
    )
    assert found.outcome.facts["converged"] is True
    assert 2 == found.outcome.facts["rounds"]


def test_nothing_found_leaves_the_draft() -> None:
    """Reviewers who find nothing cost no revision."""
    found = reviewed(3, {"b": [[]], "c": [[]]})
    assert ("draft", 1, True) == (
        found.text, found.outcome.facts["rounds"], found.outcome.facts["converged"]
    )  # fmt: skip


def test_rounds_are_bounded_and_it_is_said() -> None:
    """Reviewers that always find more end with `non_convergence`."""
    more = [[("major", f"defect {n}")] for n in range(9)]
    found = reviewed(2, {"b": more})
    assert found.outcome.facts["non_convergence"] is True
    assert ["fixed", "fixed"] == [f["disposition"] for f in found.outcome.facts["reviews"]]
    assert 2 == sum(name.startswith(".revision") for name in found.asked)


def test_nobody_knows_whom() -> None:
    """No prompt of a review has the name of an LLM, and each reviewer gets its own findings only."""
    found = reviewed(2, {"b": [[("major", "from b")], []], "c": [[("minor", "from c")], []]})
    for part in found.parts:
        for message in part.messages:
            assert "my/" not in message.text
    second = next(p for p in found.parts if p.name == ".review2.1")
    assert "from b" in second.messages[-1].text
    assert "from c" not in second.messages[-1].text


# --- experts --------------------------------------------------------------------------------------


def test_experts_are_asked_where_it_is_their_business() -> None:
    """One whose `when` is false is not asked; the answer cites by name; who is not cited is told."""
    experts = (
        Member("law", Assignment("my/b"), role="lawyer", when="'contract' in what"),
        Member("tax", Assignment("my/c"), role="accountant"),
        Member("sea", Assignment("my/d"), role="sailor", when="'ship' in what"),
    )

    def answer(part: Part) -> str:
        if part.name == ".answer":
            assert "It is void" in part.messages[-1].text
            return "The contract is void [law]."
        assert part.messages[0].role == "system"
        return {"b": "It is void", "c": "No tax is due"}[llm(part)]

    found = play(
        consultation(STEP, Collaborating("expert", experts), {"what": "a contract"}), answer
    )
    assert [".expert.law", ".expert.tax", ".answer"] == found.asked
    facts = found.outcome.facts
    assert (["law"], ["tax"]) == (facts["cited"], facts["uncited"])
    states = {row["name"]: row["state"] for row in facts["members"]}
    assert {"law": "done", "tax": "done", "sea": "skipped"} == states


def test_an_answer_comes_without_experts_too() -> None:
    """Where no expert is asked, or all fail, the task's own LLM answers."""
    experts = (Member("law", Assignment("my/b"), when="1 > 2"),)
    found = play(consultation(STEP, Collaborating("expert", experts), NAMES), lambda _: "plain")
    assert ([".answer"], "plain") == (found.asked, found.text)


# --- cheap first ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sure", "asked", "result"),
    [([0.9, 0.9, 0.9], 1, 0.9), ([0.1, 0.8, 0.9], 2, 0.8), ([0.1, 0.2, 0.3], 3, 0.3),
     ([None, 0.8, 0.9], 2, 0.8)],
)  # fmt: skip
def test_a_cascade_goes_on_until_an_answer_is_accepted(
    sure: list[float | None], asked: int, result: float
) -> None:
    """The first accepted answer ends it; the last one's is taken as it is."""

    def answer(part: Part) -> Any:
        said = sure["abc".index(llm(part))]
        if said is None:
            raise RuntimeError("down")
        return {"sure": said}

    part = Cascading(tuple(Assignment(f"my/{n}") for n in "abc"), "out.sure >= 0.7")
    found = play(cascade(STEP, part, NAMES), answer)
    assert asked == len(found.asked)
    assert found.outcome.taken is not None
    assert {"sure": result} == found.outcome.taken.row.value
    assert asked - 1 == found.outcome.facts["escalations"]


@pytest.mark.parametrize(
    ("answers", "accepted"),
    [({"a": "4", "b": "4.0"}, True), ({"a": "4", "b": "5"}, False), ({"a": "4", "b": None}, False),
     ({"a": None, "b": None}, False)],
)  # fmt: skip
def test_what_cheap_ones_say_alike_is_accepted(answers: Any, accepted: bool) -> None:
    """Else the strong LLM is asked, once; one that failed agrees with nobody."""

    def answer(part: Part) -> str:
        said = {**answers, "s": "6"}[llm(part)]
        if said is None:
            raise RuntimeError("down")
        return str(said)

    part = Collaborating("cascade", members("a", "b"), strong=Assignment("my/s"))
    found = play(by_agreement(STEP, part, NAMES), answer)
    assert ("4" if accepted else "6") == found.text
    assert accepted is found.outcome.facts["accepted"]
    assert (".strong" in found.asked) is not accepted
