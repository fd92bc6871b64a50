"""The two templates for users of BMAD: documents to a gate, and a story through review to done."""

from __future__ import annotations

from typing import Any

import pytest

from bmad_nb.errors import RunPaused
from bmad_nb.runs.run import Run
from bmad_nb.templates import catalog
from bmad_nb.workspace import Workspace
from tests.templates.test_templates import WAIT, Said, ran, warnings


def answered(ws: Workspace, run_id: str, *choices: str) -> Run:
    """Answer what a run waits for, in order, and return it when it is over."""
    for choice in choices:
        run = ws.run_of(run_id)
        (name,) = {*run.state.questions} - {*run.state.answers}
        ws.approve(run_id, name, choice)
        try:
            done = ws.resume(run_id)
        except RunPaused:
            continue
        assert "completed" == done.status
        return done
    raise AssertionError("It waits for more.")


def led(
    ws: Workspace, name: str, said: Said, *choices: str, inputs: dict[str, Any] | None = None
) -> Run:
    """Run a template with planted answers of LLMs and of a person."""
    with pytest.raises(RunPaused) as paused:
        ran(ws, name, said, said, inputs=inputs)  # as author and as reviewer
    return answered(ws, paused.value.run_id, *choices)


@pytest.mark.parametrize("name", sorted(WAIT - {"requirement-analysis"}))
def test_it_runs_on_the_simulated_fleet_and_waits_for_a_person(ws: Workspace, name: str) -> None:
    """It waits once, completes with its sample input, and every output is there; all simulated."""
    flow = catalog.workflow(name)
    with pytest.raises(RunPaused) as paused:
        ws.run(flow, llms={"local/*": "sim/hasty"})
    run = answered(ws, paused.value.run_id, "build" if "service" in name else "go")
    assert [] == [key for key, value in run.outputs.items() if value is None]
    assert set(flow.outputs) == set(run.outputs)
    assert run.calls["simulated"].all()
    assert 0 == run.cost_usd


# --- a new service --------------------------------------------------------------------------------

REQUIREMENTS = [
    {"id": "R1", "text": "Seats are held.", "acceptance": "After 9 minutes it is held."},
    {"id": "R2", "text": "Seats are freed.", "acceptance": "After 11 minutes it is free."},
]


def service(*covers: list[str], verdict: str = "pass") -> dict[str, Any]:
    """Return what is answered: stories that cover these requirements, and the gate's verdict."""
    stories = [
        {"title": f"Story {n}", "covers": [{"id": each} for each in ids]}
        for n, ids in enumerate(covers)
    ]
    return {
        "Write a brief": {"users": "Passengers.", "leaves_out": "Payment."},
        "Write the requirements": {"requirements": REQUIREMENTS},
        "Decide how": {"parts": "One process.", "data": "One file.", "risk": "Clocks."},
        "Write the stories": {"stories": stories},
        "Are these stories": {"verdict": verdict, "missing": "Nothing."},
    }


def test_stories_that_cover_everything_pass_the_gate(ws: Workspace) -> None:
    """The gate is the reviewer's, a person says build, and the stories are there."""
    run = led(ws, "bmad-greenfield-service", service(["R1"], ["R2"]), "build")
    assert ("pass", []) == (run.outputs["verdict"], run.outputs["uncovered"])
    assert ["Story 0", "Story 1"] == [each["title"] for each in run.outputs["stories"]]
    assert [] == warnings(run, "coverage")


def test_a_requirement_without_a_story_fails_the_gate(ws: Workspace) -> None:
    """Planted: the reviewer passes stories that leave out a requirement; the gate fails, and names it."""
    run = led(ws, "bmad-greenfield-service", service(["R1"]), "stop")
    assert ("fail", ["Seats are freed."]) == (run.outputs["verdict"], run.outputs["uncovered"])
    assert ("stop", []) == (run.outputs["choice"], run.outputs["stories"])
    assert warnings(run, "coverage")


def test_a_story_for_a_requirement_that_is_none_fails_the_gate(ws: Workspace) -> None:
    """Planted: a story names a requirement that nobody wrote."""
    run = led(ws, "bmad-greenfield-service", service(["R1", "R2"], ["R7"]), "build")
    assert ("fail", []) == (run.outputs["verdict"], run.outputs["uncovered"])
    assert ["Story 1"] == run.state.tasks["coverage"].value["unknown"]


# --- one story ------------------------------------------------------------------------------------

WORK = "def health(): return 503"
STORY = catalog.parameters("bmad-story-cycle")["story"].default


def cycle(
    *drafts: str, holds: bool = True, mend: str = "patch", quote: str = "return 503"
) -> dict[str, Any]:
    """Return what is answered: one finding of each reviewer, its verdict, and drafts of the repair."""
    left = iter(drafts)
    finding = {"findings": [{"quote": quote, "claim": "It says that it is ill."}]}
    verdict = {"holds": holds, "mend": mend, "severity": "critical", "why": "It is so."}
    return {
        "Write what must hold": {"acceptance": ["It answers 200."]},
        "Build this story": {"work": WORK, "claims": "It answers 200."},
        "Review this work": finding,
        "Its developer claims": finding,
        "Does this defect": verdict,
        "Mend this work": lambda _text: {"work": next(left)},
        "These parts are wrong": lambda _text: {"work": next(left)},
    }


def test_a_finding_that_holds_is_mended(ws: Workspace) -> None:
    """A second draft without the wrong part ends it; the triager's weight stands at the finding."""
    run = led(ws, "bmad-story-cycle", cycle(WORK + " # better", "def health(): return 200"), "go")
    assert ("complete", "def health(): return 200") == (run.outputs["status"], run.outputs["work"])
    assert {("critical", "patch")} == {(f["severity"], f["mend"]) for f in run.outputs["findings"]}
    assert 2 == run.state.tasks["repair"].facts["iterations"]
    assert [] == run.outputs["open"] == warnings(run, "status")


def test_only_one_reviewer_sees_what_the_developer_claims(ws: Workspace) -> None:
    """The claims stand in one review's prompt and not in the other's."""
    run = led(ws, "bmad-story-cycle", cycle("def health(): return 200"), "go")
    prompts = dict(zip(run.calls["task"], run.calls["prompt"], strict=True))
    assert "It answers 200." in prompts["informed.1"].partition("Claims:")[2]
    assert "Claims" not in prompts["blind.1"]


def test_work_that_stays_wrong_is_blocked_after_five_drafts(ws: Workspace) -> None:
    """Planted: every draft has the wrong part; it ends, is called blocked, and what is open is listed."""
    run = led(ws, "bmad-story-cycle", cycle(*[f"{WORK} # {n}" for n in range(9)]), "go")
    assert "blocked" == run.outputs["status"]
    assert "return 503" == run.outputs["open"][0]["quote"]
    assert 5 == run.state.tasks["repair"].facts["iterations"]
    assert warnings(run, "status")


def test_an_invented_quote_and_a_refuted_finding_are_dropped_with_a_reason(ws: Workspace) -> None:
    """Planted: what is quoted stands nowhere; nothing is mended, and reviewers are warned of."""
    run = led(ws, "bmad-story-cycle", cycle(quote="return 404"), "go")
    assert ("complete", WORK, []) == tuple(run.outputs[k] for k in ("status", "work", "findings"))
    assert "does not stand in the source" in run.outputs["dropped"][0]["reason"]
    assert warnings(run, "blind") and warnings(run, "informed")
    run = led(ws, "bmad-story-cycle", cycle(holds=False), "go")
    assert ["It is so."] * 2 == [each["reason"] for each in run.outputs["dropped"]]


def test_a_wrong_specification_is_a_question_and_no_repair(ws: Workspace) -> None:
    """What is to be mended in the specification is not patched into the work."""
    run = led(ws, "bmad-story-cycle", cycle(mend="bad_spec"), "go")
    assert ("partial", WORK) == (run.outputs["status"], run.outputs["work"])
    assert 2 == len(run.outputs["open_questions"])


def test_a_person_stops_at_the_specification_or_at_the_end(ws: Workspace) -> None:
    """Both checkpoints of a story are asked; after stop nothing is built, or it is not called done."""
    asked = {"story": {**STORY, "spec_checkpoint": True}}
    run = led(ws, "bmad-story-cycle", cycle(), "stop", inputs=asked)
    assert "stopped" == run.outputs["status"]
    assert {"skipped"} == {run.state.tasks[n].state for n in ("build", "blind", "repair", "status")}
    run = led(ws, "bmad-story-cycle", cycle("def health(): return 200"), "go", "stop", inputs=asked)
    assert "stopped" == run.outputs["status"]
