"""A program that is written against the original specification's own names runs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bmad_nb import parse
from bmad_nb.errors import DefinitionError, UsageProblem
from bmad_nb.original import (
    TaskPriority,
    UniversalWorkflowOrchestrator,
    WorkflowDefinition,
    WorkflowStatus,
    WorkflowTask,
)
from bmad_nb.workspace import Workspace

TASK = {
    "id": "draft", "name": "Draft the notes", "task_type": "documentation_creation",
    "inputs": {"changes": "{{ changes }}"}, "outputs": ["notes"], "dependencies": [],
    "llm_requirements": {"models": ["own/two"]}, "priority": "high", "timeout": 120,
    "retry_config": {"attempts": 2}, "status": "pending", "execution_metadata": {"team": "docs"},
}  # fmt: skip


def definition(strategy: str) -> WorkflowDefinition:
    """Return three tasks, the last of which needs both others."""
    return WorkflowDefinition(
        id="release-notes",
        name="Release notes",
        tasks=[
            WorkflowTask(**TASK),
            WorkflowTask("facts", name="List the facts", priority=TaskPriority.LOW),
            {"id": "publish", "name": "Final text", "dependencies": ["draft", "facts"]},
        ],
        execution_strategy=strategy,
        optimization_objectives=["cost_optimized", "balanced"],
        constraints={"max_calls": 10, "max_duration_s": 60},
        metadata={"team": "docs"},
    )


class Interface:
    """An LLM interface as the specification has it."""

    llms = ("one", "two")

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    async def execute_task(self, task: dict[str, Any], assigned_llm: str) -> str:
        """Answer with the first line of the prompt, in capitals."""
        self.asked.append((assigned_llm, task["prompt"]))
        return f"{assigned_llm}: {task['prompt'].splitlines()[0].upper()}"


@pytest.mark.parametrize("strategy", ["sequential", "parallel", "adaptive", "collaborative"])
def test_a_program_against_the_original_names_runs(project: Path, strategy: str) -> None:
    """All four strategies: the assigned LLM is really asked, dependencies hold, the run is stored."""
    interface = Interface()
    orchestrator = UniversalWorkflowOrchestrator(interface, {"max_concurrent_tasks": 2})
    try:
        session = asyncio.run(
            orchestrator.execute_workflow(definition(strategy), {"changes": "Faster search"})
        )
        assert WorkflowStatus.COMPLETED is session["status"]
        assert {"draft", "facts", "publish"} == set(session["results"])
        by_prompt = {prompt.split(".")[0]: llm for llm, prompt in interface.asked}
        assert {"Draft the notes": "two", "List the facts": "one", "Final text": "one"} == by_prompt
        assert "Faster search" in next(p for llm, p in interface.asked if llm == "two")
        assert interface.asked[-1][1].startswith("Final text")
        assert session["results"]["draft"] in interface.asked[-1][1]
        assert strategy == session["execution_plan"]["strategy"]
        run = orchestrator.workspace.run_of(session["session_id"])
        assert ("completed", 3) == (run.status, len(run.tasks))
    finally:
        orchestrator.workspace.close()


def test_a_failure_is_told_and_never_a_result(project: Path) -> None:
    """A failed task stands among the errors; what needed it did not run."""

    def broken(messages: Any) -> str:
        if "facts" in messages[-1].text:
            raise ValueError("no facts")
        return "fine"

    orchestrator = UniversalWorkflowOrchestrator({"two": broken}, {"retry_attempts": 0})
    try:
        session = asyncio.run(
            orchestrator.execute_workflow(definition("parallel"), {"changes": "x"})
        )
    finally:
        orchestrator.workspace.close()
    assert WorkflowStatus.FAILED is session["status"]
    assert {"draft"} == set(session["results"])
    assert "no facts" in session["errors"]["facts"]


def test_fields_load_unchanged_and_go_to_our_format(project: Path) -> None:
    """`WorkflowTask(**fields)` keeps every field; the YAML reads back to the same workflow."""
    task = WorkflowTask(**TASK)
    assert all(getattr(task, name) == value for name, value in TASK.items())
    flow = definition("adaptive").to_workflow({"changes": "x"})
    assert flow == parse.loads(flow.to_yaml())
    assert ("high", 120.0) == (flow.tasks["draft"].priority, flow.tasks["draft"].timeout)


def test_unknown_words_are_load_errors(project: Path) -> None:
    """A strategy or an objective that is none lists those that there are."""
    with pytest.raises(DefinitionError, match="sequential"):
        definition("sequentiall").to_workflow({"changes": "x"})
    wrong = WorkflowDefinition("w", tasks=[{"id": "a", "name": "A"}],
                               optimization_objectives=["cheap"])  # fmt: skip
    with pytest.raises(DefinitionError, match="cost_optimized"):
        wrong.to_workflow()


def test_constraints_are_enforced(project: Path) -> None:
    """`max_calls` of the definition stops the run, which can go on."""
    from bmad_nb.errors import RunPaused

    tight = definition("sequential")
    tight.constraints = {"max_calls": 1}
    orchestrator = UniversalWorkflowOrchestrator({"two": lambda messages: "x"})
    try:
        with pytest.raises(RunPaused, match=r"limits\.calls"):
            asyncio.run(orchestrator.execute_workflow(tight, {"changes": "x"}))
        assert ["paused"] == list(orchestrator.workspace.runs()["status"])
    finally:
        orchestrator.workspace.close()


def test_a_workspace_is_an_interface_and_nothing_else_without_a_method(ws: Workspace) -> None:
    """A workspace lends its LLMs; an object that cannot execute a task is refused."""
    ws.add_llm("two", lambda messages: "x")
    plain = WorkflowDefinition("w", tasks=[{**TASK, "inputs": {}}])
    session = asyncio.run(UniversalWorkflowOrchestrator(ws).execute_workflow(plain))
    assert {"draft": "x"} == session["results"]
    with pytest.raises(UsageProblem, match="no LLM interface"):
        UniversalWorkflowOrchestrator(object())


@pytest.mark.parametrize(
    ("key", "value", "setting"),
    [
        ("max_concurrent_tasks", 3, "max_concurrent_tasks"),
        ("default_timeout", 7, "default_timeout_s"),
        ("retry_attempts", 0, "retry_attempts"),
        ("cost_optimization", False, "cost_optimization"),
        ("quality_threshold", 0.5, "quality_threshold"),
    ],
)
def test_each_configuration_key_is_a_setting(
    project: Path, key: str, value: Any, setting: str
) -> None:
    """It has the specification's default, and changing it changes the setting behind it."""
    defaults = {"max_concurrent_tasks": 10, "default_timeout_s": 300, "retry_attempts": 3,
                "cost_optimization": True, "quality_threshold": 0.8}  # fmt: skip
    for config, expected in (({}, defaults[setting]), ({key: value}, value)):
        orchestrator = UniversalWorkflowOrchestrator(None, config)
        try:
            assert expected == getattr(orchestrator.workspace.settings.engine, setting)
        finally:
            orchestrator.workspace.close()
