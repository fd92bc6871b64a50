"""The original specification's own names, over this engine; see `docs/original.md`."""

from __future__ import annotations

import dataclasses
import enum
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bmad_nb import parse
from bmad_nb.errors import RunFailed, UsageProblem
from bmad_nb.messages import Message
from bmad_nb.runs.run import Run
from bmad_nb.workflow.model import Workflow
from bmad_nb.workspace import Workspace

WorkflowStatus = enum.Enum(
    "WorkflowStatus", {"PENDING": "pending", "RUNNING": "running", "COMPLETED": "completed",
                       "FAILED": "failed", "PAUSED": "paused", "CANCELLED": "cancelled"},
)  # fmt: skip
TaskPriority = enum.Enum(
    "TaskPriority", {"CRITICAL": "critical", "HIGH": "high", "MEDIUM": "medium", "LOW": "low"}
)


_KEYS = {"default_timeout": "default_timeout_s"}


@dataclass
class WorkflowTask:
    """One task, with the specification's fields."""

    id: str
    name: str = ""
    task_type: str = ""
    inputs: dict[str, Any] = field(default_factory=dict)
    outputs: Any = field(default_factory=list)
    dependencies: list[str] = field(default_factory=list)
    llm_requirements: dict[str, Any] = field(default_factory=dict)
    priority: Any = "medium"
    timeout: float | None = None
    retry_config: dict[str, Any] | None = None
    status: Any = "pending"
    execution_metadata: dict[str, Any] = field(default_factory=dict)


@dataclass
class WorkflowDefinition:
    """A workflow, with the specification's fields."""

    id: str
    name: str = ""
    description: str = ""
    tasks: Sequence[WorkflowTask | Mapping[str, Any]] = ()
    execution_strategy: str = "sequential"
    optimization_objectives: Sequence[str] = ()
    constraints: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def to_workflow(self, context: Mapping[str, Any] | None = None) -> Workflow:
        """Return it in our own model, with an input for each value of `context`."""
        data = {f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self)}
        data["tasks"] = [_task(each) for each in self.tasks]
        inputs = {name: {"type": _kind(value)} for name, value in (context or {}).items()}
        return parse.from_dict({k: v for k, v in {**data, "inputs": inputs}.items() if v}, self.id)


class UniversalWorkflowOrchestrator:
    """Runs workflows.

    Args:
        llm_interface: a `Workspace`; or functions of messages by name, the first of which does what
            names no LLM; or an object with `execute_task(task, assigned_llm)` and names in `llms`.
        config: the specification's keys; a `Workspace` has its own settings.
    """

    def __init__(self, llm_interface: Any = None, config: Mapping[str, Any] | None = None) -> None:
        """Connect the LLMs."""
        if isinstance(llm_interface, Workspace):
            self.workspace = llm_interface
            return
        engine = {_KEYS.get(key, key): value for key, value in (config or {}).items()}
        functions = _functions(llm_interface)
        if functions:
            engine["default_llm"] = f"own/{next(iter(functions))}"
        self.workspace = Workspace({"engine": engine})
        for name, function in functions.items():
            self.workspace.add_llm(name, function)

    async def execute_workflow(
        self,
        workflow_definition: WorkflowDefinition | Mapping[str, Any],
        execution_context: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Run a workflow, whose tasks read the context as `{{ name }}`, and return what it gave."""
        given = workflow_definition
        given = given if isinstance(given, WorkflowDefinition) else WorkflowDefinition(**given)
        flow = given.to_workflow(execution_context)
        try:
            run = await self.workspace.arun(flow, dict(execution_context or {}))
        except RunFailed as failed:
            run = failed.result
        return _session(run)


def _functions(interface: Any) -> dict[str, Callable[..., Any]]:
    if interface is None or isinstance(interface, Mapping):
        return dict(interface or {})
    execute = getattr(interface, "execute_task", None)
    if execute is None:
        said = f"A {type(interface).__name__} is no LLM interface."
        raise UsageProblem(said, hint="Give functions by name, or an object with execute_task.")
    return {name: _asking(execute, name) for name in getattr(interface, "llms", ("interface",))}


def _asking(execute: Callable[..., Any], llm: str) -> Callable[..., Any]:
    async def ask(messages: Sequence[Message]) -> Any:
        answer = execute({"prompt": messages[-1].text}, assigned_llm=llm)
        return await answer if inspect.isawaitable(answer) else answer

    return ask


def _plain(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


def _task(task: WorkflowTask | Mapping[str, Any]) -> dict[str, Any]:
    own = task if isinstance(task, WorkflowTask) else WorkflowTask(**task)
    fields = {f.name: _plain(getattr(own, f.name)) for f in dataclasses.fields(own)}
    return {k: v for k, v in fields.items() if k != "status" and v not in (None, "", [], {})}


def _kind(value: Any) -> str:
    kinds = {bool: "boolean", int: "integer", float: "number", str: "text", list: "list"}
    return next((word for kind, word in kinds.items() if isinstance(value, kind)), "object")


def _session(run: Run) -> dict[str, Any]:
    plan, rows = run.state.plan or {}, run.state.tasks
    analysis = {key: plan.get(key) for key in ("missing", "notes", "limits")}
    return {
        "session_id": run.id,
        "status": WorkflowStatus("paused" if run.status == "interrupted" else run.status),
        "workflow_analysis": analysis,
        "execution_plan": plan,
        "results": {name: run.text(name) for name, row in rows.items() if row.state == "done"},
        "errors": {name: row.error for name, row in rows.items() if row.state == "failed"},
        "execution_time_s": run.duration_s,
        "cost_usd": run.cost_usd,
    }
