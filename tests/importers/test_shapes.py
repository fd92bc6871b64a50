"""The six kinds of BMAD v4 workflows, in all their keys: each imports, validates, draws and runs.

The documents are written here in words of our own, in the shape of those that BMAD ships: for a
new project and for one that is there, of a whole application, a service or an interface.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from bmad_nb import documents, parse
from bmad_nb.errors import RunPaused
from bmad_nb.importers import bmad4, stories
from bmad_nb.llms import local, weights
from bmad_nb.runs.run import Run
from bmad_nb.workspace import Workspace

KINDS = [
    (age, what) for age in ("greenfield", "brownfield") for what in ("fullstack", "service", "ui")
]
KEYS = {"agent", "creates", "updates", "validates", "requires", "action", "condition", "optional",
        "optional_steps", "repeats", "uses", "notes"}  # fmt: skip
"""What a step may have."""


def beginning(age: str) -> list[dict[str, Any]]:
    """Return the first steps: an idea that is shaped, or a project that is looked at."""
    if age == "greenfield":
        return [
            {"agent": "analyst", "creates": "brief.md",
             "optional_steps": ["brainstorming_session", "market_questions"], "notes": "Keep it short."},
            {"agent": "pm", "creates": "prd.md", "requires": "brief.md"},
        ]  # fmt: skip
    return [
        {"step": "look_around", "agent": "analyst", "action": "classify the change", "notes": "Ask."},
        {"agent": "architect", "action": "analyse_what_is_there", "creates": "as-is.md",
         "condition": "documentation_is_missing"},
        {"agent": "pm", "creates": "brownfield-prd.md", "uses": "brownfield-template",
         "requires": "as-is.md"},
    ]  # fmt: skip


def document(age: str, what: str) -> str:
    """Return a document of one kind."""
    prd = "prd.md" if age == "greenfield" else "brownfield-prd.md"
    design = [{"agent": "ux-expert", "creates": "ui-spec.md", "requires": prd, "optional_steps": ["talk_to_users"]},
              {"agent": "ux-expert", "creates": "ui_prompt (optional)", "requires": "ui-spec.md",
               "condition": "user_wants_it_generated"}]  # fmt: skip
    seen = [prd, "ui-spec.md"] if what != "service" else [prd]
    sequence = [
        *beginning(age),
        *(design if what != "service" else []),
        {"agent": "architect", "creates": f"{what}-architecture.md", "requires": seen},
        {"agent": "pm", "updates": f"{prd} (if needed)", "requires": f"{what}-architecture.md",
         "condition": "architecture_suggests_prd_changes"},
        {"agent": "po", "validates": "all_artifacts", "uses": "po-checklist"},
        {"agent": "various", "updates": "any_flagged_documents", "condition": "checklist_has_issues"},
        {"project_setup_guidance": None, "action": "say_where_things_go"},
        {"agent": "po", "action": "shard_documents", "creates": "shards", "requires": "all_artifacts_in_project"},
        {"agent": "sm", "action": "create_story", "creates": "story.md", "requires": "shards",
         "repeats": "for_each_epic"},
        {"agent": "analyst/pm", "action": "review_story", "updates": "story.md", "optional": True},
        {"agent": "dev", "action": "implement_story", "creates": "code", "requires": "story.md"},
        {"agent": "qa", "action": "review_code", "updates": "code", "requires": ["code"], "optional": True},
        {"workflow_end": None, "action": "all_stories_are_done"},
    ]  # fmt: skip
    whole = {
        "id": f"{age}-{what}", "name": f"{age} {what}", "description": "From an idea to code.",
        "type": age, "project_types": ["web-app", "prototype"], "sequence": sequence,
        "flow_diagram": "```mermaid\ngraph TD\n```",
        "decision_guidance": {"when_to_use": ["It is new."]},
        "handoff_prompts": {"analyst_to_pm": "The brief is ready: {{ brief }}"},
    }  # fmt: skip
    return documents.write({"workflow": whole})


def answer(messages: Any) -> str:
    """Say what is asked for, in the form that an imported task wants."""
    text = messages[-1].text
    if "Is it so" in text:
        return json.dumps({"holds": "missing" not in text})
    if "List each" in text:
        return json.dumps({"names": ["one", "two"]})
    if "Say pass" in text:
        return json.dumps({"verdict": "concerns", "findings": ["No date."]})
    return "A text."


def led(ws: Workspace, flow: Any, llm: str, **inputs: str) -> Run:
    """Run a workflow, answer each question with its first choice, and return the run."""
    ws.define(flow)
    try:
        return ws.run(flow, inputs, llms={"*": llm})
    except RunPaused as paused:
        run_id = paused.run_id
    for _ in range(9):
        run = ws.run_of(run_id)
        for name in {*run.state.questions} - {*run.state.answers}:
            ws.approve(run_id, name, flow.tasks[name].approve.options[0])
        try:
            return ws.resume(run_id)
        except RunPaused:
            continue
    raise AssertionError("It asks for ever.")


def test_the_documents_have_every_key_of_a_step() -> None:
    """What is tried below are all keys that steps have."""
    data = [documents.read(document(*kind)).data["workflow"]["sequence"] for kind in KINDS]
    assert KEYS <= {key for sequence in data for step in sequence for key in step}


@pytest.mark.parametrize(("age", "what"), KINDS)
def test_a_document_imports_validates_draws_and_runs(ws: Workspace, age: str, what: str) -> None:
    """Steps of agents are tasks, a written copy is the same, the plan has a graph, the run completes."""
    found = bmad4.read(document(age, what), f"{age}-{what}.yaml")
    flow = found.workflow
    assert f"{age}-{what}" == flow.id
    assert flow.to_dict() == parse.loads(flow.to_yaml()).to_dict()
    assert ("design" in what or "create_ui_spec_md" in flow.tasks) == (what != "service")
    ws.add_llm("mine", answer)
    shown = ws.plan(flow, {"request": "A page."}, llms={"*": "own/mine"})._repr_mimebundle_()
    assert "<svg" in shown["text/html"]
    assert "implement_story" in shown["text/html"]
    run = led(ws, flow, "own/mine", request="A page that shows tides.")
    assert "completed" == run.status
    states = {name: task.state for name, task in run.state.tasks.items()}
    assert {"done", "skipped"} >= set(states.values())
    assert "done" == states["implement_story"] == states["validate_all_artifacts"]
    assert "done" == states["update_prd_md" if age == "greenfield" else "update_brownfield_prd_md"]


@pytest.mark.parametrize(("age", "what"), KINDS)
def test_what_is_not_taken_over_is_said(age: str, what: str) -> None:
    """Every key and step that has no task is named: nothing is dropped in silence."""
    said = "\n".join(bmad4.read(document(age, what)).unmapped)
    for each in ("type", "project_types", "flow_diagram", "decision_guidance", "handoff_prompts",
                 "project_setup_guidance", "workflow_end", "any_flagged_documents"):  # fmt: skip
        assert each in said, each
    assert (age == "brownfield") == ("'step' is not known" in said)


def test_a_list_of_stories_has_every_key(ws: Workspace) -> None:
    """Stories with both checkpoints, hints to the developer and an unknown key import and run."""
    text = documents.write({"stories": [
        {"id": "1.1", "title": "Tides", "description": "Show them.", "spec_checkpoint": True,
         "done_checkpoint": True, "invoke_dev_with": "no network", "status": "done"},
        {"id": "1.2", "title": "Winds", "description": "Show them, too."},
    ]})  # fmt: skip
    found = stories.read(text, "stories.yaml")
    assert ("Story 1: 'status' is not known.",) == found.unmapped
    assert "no network" in found.workflow.tasks["story_1_1_build"].prompt
    ws.add_llm("mine", answer)
    run = led(ws, found.workflow, "own/mine", project="A page.")
    assert "completed" == run.status
    assert 2 == len(run.state.answers)


@pytest.mark.long
@pytest.mark.skipif(
    bool(local.unavailable()[0]) or weights.path_of("smollm2-135m") is None,
    reason="the embedded model is not installed: bmad models install",
)
def test_an_imported_document_runs_on_the_embedded_model(ws: Workspace) -> None:
    """A short one completes without a key: an LLM answers its condition, and what it says decides."""
    whole = {"id": "short", "name": "Short", "sequence": [
        {"agent": "analyst", "creates": "brief.md"},
        {"agent": "pm", "updates": "brief.md", "requires": "brief.md", "condition": "it_is_too_long"},
        {"agent": "po", "validates": "all_artifacts"},
    ]}  # fmt: skip
    flow = bmad4.read(documents.write({"workflow": whole})).workflow
    for task in flow.tasks.values():
        assert task.approve is None
    run = led(ws, flow, "local/smollm2-135m", request="A page that shows tides.")
    assert "completed" == run.status
    assert {"local/smollm2-135m"} == set(run.calls["llm"])
