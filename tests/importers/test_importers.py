"""Documents of BMAD become workflows that load, run, and say what they leave out."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmad_nb import documents, parse
from bmad_nb.errors import DefinitionError, RunPaused
from bmad_nb.importers import bmad4, stories
from bmad_nb.workflow.model import Workflow
from bmad_nb.workspace import Workspace

SERVICE = """\
workflow:
  id: greenfield-service
  name: A new service
  description: >-
    From an idea
    to a planned service.
  type: greenfield
  sequence:
    - agent: analyst
      creates: brief.md
      optional_steps: [brainstorming_session]
      notes: "Keep it short: {{ no hole }}"
    - agent: pm
      creates: prd.md
      requires: brief.md
    - agent: architect
      creates: architecture.md
      requires: [prd.md, coding_rules.md]
    - agent: pm
      updates: prd.md (if needed)
      requires: architecture.md
      condition: architecture_suggests_changes
    - agent: po
      validates: all_artifacts
      uses: po-checklist
    - agent: various
      updates: any_flagged_documents
      condition: checklist_has_issues
    - project_setup_guidance:
        action: guide_project_structure
    - agent: sm
      action: create_story
      creates: story.md
      requires: prd.md
      repeats: for_each_epic
    - agent: dev
      action: implement_story
      creates: code
      requires: story.md
      optional: true
  flow_diagram: |
    graph TD
"""
STORIES = """\
- id: "1.1"
  title: Health check
  description: It answers on /health.
  spec_checkpoint: true
  done_checkpoint: true
  invoke_dev_with: the standard library only
- id: "1.2"
  title: A counter
"""


def ended(
    ws: Workspace, flow: Workflow, choose: Callable[[str], str], **inputs: str
) -> dict[str, str]:
    """Run a workflow, answer its questions, and return the state of each task."""
    going = lambda: ws.run(flow, inputs, llms={"*": "own/mine"})  # noqa: E731
    for _ in range(9):
        try:
            run = going()
        except RunPaused as paused:
            run_id, run = paused.run_id, ws.run_of(paused.run_id)
            for name in {*run.state.questions} - {*run.state.answers}:
                ws.approve(run_id, name, choose(name))
            going = functools.partial(ws.resume, run_id)
        else:
            assert "completed" == run.status
            return dict(zip(run.tasks["task"], run.tasks["state"], strict=True))
    raise AssertionError("it asks for ever")


@pytest.fixture
def service() -> bmad4.Imported:
    """Give the service's document as a workflow."""
    return bmad4.read(SERVICE, "service.yaml")


def test_each_step_of_an_agent_is_a_task(service: bmad4.Imported) -> None:
    """Creating, updating and validating become prompts, in the order of the document."""
    flow = service.workflow
    assert ("greenfield-service", "A new service") == (flow.id, flow.title)
    assert "From an idea to a planned service." == flow.description
    assert "sequential" == flow.strategy
    prompts = [name for name, task in flow.tasks.items() if task.type]
    assert [
        "create_brief_md", "create_prd_md", "create_architecture_md", "update_prd_md",
        "validate_all_artifacts", "update_any_flagged_documents", "create_story", "implement_story",
    ] == prompts  # fmt: skip


def test_a_required_document_is_the_newest_version_of_it(service: bmad4.Imported) -> None:
    """Who requires a document reads it; one that may be updated is read with what was before."""
    tasks = service.workflow.tasks
    assert "{{ create_brief_md.text }}" in tasks["create_prd_md"].prompt
    newest = "{{ coalesce(update_prd_md.text, create_prd_md.text) }}"
    assert newest in tasks["list_of_epic"].prompt
    assert ("any", "all") == (tasks["list_of_epic"].join, tasks["create_prd_md"].join)
    assert "{{ create_story.items }}" in tasks["implement_story"].prompt


def test_what_nobody_makes_is_an_input(service: bmad4.Imported) -> None:
    """It has an empty default, and is said."""
    assert ["request", "given_coding_rules_md"] == list(service.workflow.inputs)
    assert "coding_rules.md: no step makes it, so it is an input." in service.unmapped


def test_conditions_options_and_repeats_become_tasks_of_their_own(service: bmad4.Imported) -> None:
    """An LLM answers a condition, a person decides on what is optional, a list is gone through."""
    tasks = service.workflow.tasks
    assert "is_architecture_suggests_changes.holds" == tasks["update_prd_md"].when
    assert "{{ validate_all_artifacts.text }}" in tasks["is_checklist_has_issues"].prompt
    assert ["do", "leave"] == tasks["want_implement_story"].approve.options
    assert "want_implement_story.choice == 'do'" == tasks["implement_story"].when
    assert "all_done" == tasks["create_brief_md"].join
    assert "list_of_epic.names" == tasks["create_story"].map.over


def test_what_is_not_taken_over_is_said(service: bmad4.Imported) -> None:
    """Advice, diagrams and types of projects are named, and so are documents without a name."""
    said = " ".join(service.unmapped)
    for each in ("flow_diagram", "type", "project_setup_guidance", "any_flagged_documents"):
        assert each in said
    assert len(set(service.unmapped)) == len(service.unmapped)


def test_braces_of_a_document_are_no_holes(service: bmad4.Imported) -> None:
    """What looks like a hole in somebody's notes stays text."""
    assert "{ { no hole } }" in service.workflow.tasks["create_brief_md"].prompt


def test_the_workflow_runs_without_what_a_person_leaves_out(ws: Workspace) -> None:
    """Optional steps that are left do not stop those who read them, and the rest is done."""
    flow = bmad4.read(SERVICE, "service.yaml").workflow
    seen: list[str] = []

    def answer(messages: Any) -> str:
        seen.append(messages[-1].text)
        if "Is it so" in seen[-1]:
            return json.dumps({"holds": "flagged" not in seen[-1] and "check" not in seen[-1]})
        if "List each" in seen[-1]:
            return json.dumps({"names": ["one", "two"]})
        if "Say pass" in seen[-1]:
            return json.dumps({"verdict": "concerns", "findings": ["No date."]})
        return f"text {len(seen)}"

    ws.add_llm("mine", answer)
    states = ended(ws, flow, lambda _task: "leave", request="a service")
    assert "skipped" == states["brainstorming_session"] == states["implement_story"]
    assert "done" == states["create_brief_md"] == states["update_prd_md"] == states["create_story"]
    assert "skipped" == states["update_any_flagged_documents"]


def test_stories_are_built_one_after_the_other(ws: Workspace) -> None:
    """Each reads what the one before it built; a checkpoint is a question that can stop the rest."""
    found = stories.read(STORIES, "stories.yaml")
    tasks = found.workflow.tasks
    assert () == found.unmapped
    assert "{{ story_1_1_build.text }}" in tasks["story_1_2_spec"].prompt
    assert "the standard library only" in tasks["story_1_1_build"].prompt
    ws.add_llm("mine", lambda _messages: "built")
    states = ended(ws, found.workflow, lambda task: "stop" if "done" in task else "go")
    assert ("done", "skipped", "skipped") == tuple(
        states[each] for each in ("story_1_1_build", "story_1_2_spec", "story_1_2_build")
    )


def test_a_mapping_with_stories_is_the_same() -> None:
    """A list on top, and one below `stories:`, give one workflow; other keys are said."""
    inner = "\n".join(f"  {line}" for line in STORIES.splitlines())
    found = stories.read(f"version: 1\nstories:\n{inner}\n")
    assert stories.read(STORIES).workflow.to_dict() == found.workflow.to_dict()
    assert ("version: is not known.",) == found.unmapped


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("a: 1", (1, 1), "no workflow of BMAD"),
        ("workflow: {sequence: []}", (1, 22), "list of steps"),
        ("workflow: {sequence: [1]}", (1, 23), "must be a mapping"),
        ("workflow: {sequence: [{workflow_end: x}]}", (1, 22), "names an agent"),
        ("workflow: {id: [x], sequence: [{agent: a}]}", (1, 16), "'id' must be a text"),
        ("workflow:\n  sequence:\n  - {agent: a, requires: {b: 1}}", (3, 26), "'requires'"),
    ],
)
def test_a_wrong_document_is_said_with_its_place(
    text: str, place: tuple[int, int], said: str
) -> None:
    """One typed error, with line and column."""
    with pytest.raises(DefinitionError) as found:
        bmad4.read(text, "x.yaml")
    (problem,) = found.value.problems
    assert place == problem[:2]
    assert said in problem.what


WORDS = st.text(max_size=12) | st.sampled_from(["items", "prd.md", "all_artifacts", "{{ x }}", "1"])
STEP = st.fixed_dictionaries(
    {"agent": WORDS},
    optional=dict.fromkeys(("creates", "updates", "validates", "requires", "action", "condition", "repeats", "uses", "notes", "other"), WORDS)
    | {"optional": st.booleans(), "optional_steps": st.lists(WORDS, max_size=2)},
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(STEP, min_size=1, max_size=5), WORDS)
def test_whatever_the_words_are_the_result_is_a_workflow_or_a_typed_error(
    steps: list[dict[str, Any]], name: str
) -> None:
    """Names that clash, holes and empty words give a sound workflow; nothing else is raised."""
    try:
        text = documents.write({"workflow": {"id": name, "sequence": steps}})
        found = bmad4.read(text)
    except DefinitionError:
        return
    assert found.workflow.to_dict() == parse.loads(found.workflow.to_yaml()).to_dict()


def test_the_command_line_writes_a_file_and_never_over_one(project: Path) -> None:
    """The file is sound, what is left out is said, a second time is refused without --force."""
    (project / "service.yaml").write_text(SERVICE, encoding="utf-8")
    (project / "list.yaml").write_text("- 1\n", encoding="utf-8")
    program = [sys.executable, "-m", "bmad_nb", "workflow"]

    def bmad(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*program, *words], cwd=project, capture_output=True, text=True, timeout=60)  # fmt: skip

    first = bmad("import", "service.yaml", "-o", "ours.yaml")
    assert 0 == first.returncode, first.stderr
    assert "Not taken over: flow_diagram" in first.stdout
    assert parse.load(project / "ours.yaml").tasks
    again = bmad("import", "service.yaml", "-o", "ours.yaml")
    assert (2, "--force" in again.stderr) == (again.returncode, True)
    assert 2 == bmad("import", "list.yaml").returncode


def test_a_document_that_was_not_wanted_stops_nobody_who_reads_it(ws: Workspace) -> None:
    """Its condition does not hold: who requires it, and a check of everything, are done without it."""
    flow = bmad4.read("""\
workflow:
  id: lacking
  sequence:
    - {agent: architect, creates: as-is.md, condition: it_is_not_documented}
    - {agent: pm, creates: prd.md, requires: as-is.md}
    - {agent: po, validates: all_artifacts}
""").workflow
    seen: list[str] = []

    def answer(messages: Any) -> str:
        seen.append(messages[-1].text)
        if "Is it so" in seen[-1]:
            return json.dumps({"holds": False})
        if "Say pass" in seen[-1]:
            return json.dumps({"verdict": "pass", "findings": []})
        return "text"

    ws.add_llm("mine", answer)
    states = ended(ws, flow, lambda _task: "do", request="x")
    assert ("skipped", "done", "done") == tuple(
        states[each] for each in ("create_as_is_md", "create_prd_md", "validate_all_artifacts")
    )
    assert "as-is.md:\nThere is none." in seen[1]


def test_a_given_document_that_may_be_updated_is_read_as_it_was_given() -> None:
    """Its update is not wanted: who requires it reads what was given for it."""
    flow = bmad4.read("""\
workflow:
  id: given
  sequence:
    - {agent: pm, updates: prd.md, condition: it_is_old}
    - {agent: dev, creates: code, requires: prd.md}
""").workflow
    prompt = flow.tasks["create_code"].prompt
    assert "{{ coalesce(update_prd_md.text, given_prd_md) }}" in prompt
    assert "all_done" == flow.tasks["create_code"].join
