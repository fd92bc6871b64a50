"""A run of a workflow, read from the store: what it gave, what it cost, and how it looks."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from bmad_nb.errors import UnknownName
from bmad_nb.events import RunRow, RunState, RunStatus, TaskRow, fold
from bmad_nb.messages import canonical_json
from bmad_nb.plan import Plan, RunLimits
from bmad_nb.render.run import GraphNode, GraphView, RunView, WorkflowView
from bmad_nb.results import MIME, MIME_VERSION
from bmad_nb.runs.earlier import active_s
from bmad_nb.store.journal import Store
from bmad_nb.store.stamped import Stamped
from bmad_nb.workflow.model import Workflow

if TYPE_CHECKING:
    import pandas as pd

    from bmad_nb.charts import Chart

_MOST_TEXT = 64_000
"""Characters of outputs that go into the machine-readable form."""


class Run:
    """One run of a workflow.

    `run.outputs` has the workflow's outputs, `run.tasks` a row per task, `run.calls` a row per LLM
    call. All of it is one fold over the stored events, read when it is first asked for.

    Args:
        store: where it is stored.
        run_id: its id.
    """

    def __init__(self, store: Store, run_id: str) -> None:
        """Read nothing yet."""
        self._store = store
        self.id = run_id
        self.name = "r"
        """The variable that the card's own examples speak of."""

    @functools.cached_property
    def _stamped(self) -> list[Stamped]:
        return self._store.events(self.id)

    @functools.cached_property
    def state(self) -> RunState:
        """The state that its events fold to."""
        state = fold(each.event for each in self._stamped)
        row = self._store.run(self.id)
        if row.status == "interrupted":
            state.status = "interrupted"
        return state

    @property
    def run(self) -> RunRow:
        """The row of the runs frame."""
        return self._store.run(self.id)

    @property
    def status(self) -> RunStatus:
        """`running`, `completed`, `failed`, `paused`, `cancelled` or `interrupted`."""
        return self.state.status

    @property
    def outputs(self) -> Mapping[str, Any]:
        """The workflow's outputs by name; empty before the run is over."""
        return self.state.outputs or {}

    @property
    def tasks(self) -> pd.DataFrame:
        """A row per task, with the columns of `bmad_nb.frames.TASKS`."""
        from bmad_nb import frames

        return frames.tasks(self._task_rows(), list(self.state.calls.values()), self._texts())

    @property
    def calls(self) -> pd.DataFrame:
        """A row per LLM call, with the columns of `bmad_nb.frames.CALLS`."""
        from bmad_nb import frames

        return frames.calls(list(self.state.calls.values()))

    @property
    def cost_usd(self) -> Decimal:
        """Known cost of this run in US dollars; simulated money is not in it."""
        return self.state.spent_usd

    @property
    def why(self) -> str:
        """Which LLM each task was given and why, and why others did not run; a line each."""
        lines = []
        for step in self._steps:
            row = self.state.tasks.get(step["id"])
            if row is not None and row.skipped_because:
                lines.append(f"{step['id']}: skipped. {row.skipped_because}")
            elif "llm" in step:
                stood = (
                    f" A fallback stood in: {row.llm or 'a value'}." if row and row.degraded else ""
                )
                lines.append(f"{step['id']}: {step['llm']}, {step['reason']}.{stood}")
            else:
                lines.append(f"{step['id']}: needs no LLM.")
        return "\n".join(lines)

    @property
    def duration_s(self) -> float | None:
        """Seconds that it ran, without those while it was stopped; None while it runs."""
        return None if self.status == "running" else active_s(self._stamped)

    def text(self, task: str) -> str:
        """Return the text that a task gave.

        Raises:
            UnknownName: no such task has a result.
        """
        texts = self._texts()
        row = self.state.tasks.get(task)
        if task in texts:
            return texts[task]
        if row is None or row.state != "done":
            done = [name for name, each in self.state.tasks.items() if each.state == "done"]
            raise UnknownName("finished task", task, done)
        return row.value if isinstance(row.value, str) else json.dumps(row.value)

    def plot(self) -> Chart:
        """Return the timeline of its calls as a plotly figure with a static twin."""
        from bmad_nb.charts.over_time import timeline

        return timeline(self.tasks, self.calls)

    def view(self) -> RunView:
        """Return what the displays draw."""
        state = self.state
        return RunView(
            run=self.run,
            graph=_graph(self._steps, state.tasks, state),
            tasks=tuple(self._task_rows()),
            calls=tuple(state.calls.values()),
            outputs=state.outputs,
            duration_s=self.duration_s,
            notes=self._notes(),
            next_steps=self._next_steps(),
            texts=self._texts(),
            name=self.name,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the run as JSON values, as the MIME type carries it; money as text."""
        tasks = [_brief(row) for row in self._task_rows()]
        outputs = dict(self.outputs)
        whole = len(canonical_json(outputs)) <= _MOST_TEXT
        return {
            "version": MIME_VERSION,
            "run_id": self.id,
            "verb": "workflow",
            "workflow": self.run.workflow,
            "status": self.status,
            "reason": self.state.reason,
            "outputs": outputs if whole else None,
            "texts": "here" if whole else "in the store",
            "cost_usd": str(self.cost_usd),
            "simulated_cost_usd": str(
                sum((c.cost_usd for c in self.state.calls.values() if c.simulated and c.cost_usd),
                    Decimal(0))
            ),
            "calls_made": sum(not call.from_store for call in self.state.calls.values()),
            "tasks": tasks,
            "notes": list(self._notes()),
        }  # fmt: skip

    @property
    def _steps(self) -> list[dict[str, Any]]:
        steps: list[dict[str, Any]] = list((self.state.plan or {}).get("steps", ()))
        return steps

    def _task_rows(self) -> list[TaskRow]:
        found = self.state.tasks
        return [found[step["id"]] for step in self._steps if step["id"] in found]

    def _texts(self) -> dict[str, str]:
        calls = dict(self.state.calls)
        texts = {}
        for row in self.state.tasks.values():
            call = calls.get(row.call_id) or (
                self._store.call(row.call_id) if row.call_id else None
            )
            if call is not None and call.text is not None:
                texts[row.task] = call.text
        return texts

    def _notes(self) -> tuple[str, ...]:
        said = []
        lost = sum(call.state == "lost" for call in self.state.calls.values())
        if lost:
            calls = "call was" if lost == 1 else "calls were"
            said.append(
                f"{lost} {calls} in flight when an earlier process was killed, and may have been "
                "billed twice."
            )
        old = sorted({row.kept_from for row in self._task_rows() if row.kept_from})
        if old:
            said.append(f"Unchanged tasks were taken over from run {', '.join(old)}.")
        return (*said, *(self.state.plan or {}).get("notes", ()))

    def _next_steps(self) -> tuple[str, ...]:
        if self.status in {"paused", "interrupted"}:
            return (f"%bmad resume {self.id}", f"bmad workflow resume {self.id}")
        return (f"{self.name}.outputs", f"{self.name}.tasks", f"{self.name}.plot()")

    def _repr_mimebundle_(self, **_wanted: Any) -> dict[str, Any]:
        """Return the static bundle: nothing in it runs, and nothing is fetched."""
        from bmad_nb.render.run_card import run_html

        return {"text/plain": repr(self), "text/html": run_html(self.view()), MIME: self.to_json()}

    def __repr__(self) -> str:
        """Return the plain form, safe on a terminal."""
        from bmad_nb.render.run_text import run_text

        return run_text(self.view())


class Planned:
    """A workflow with its plan, as a cell shows it before anything is run."""

    def __init__(self, workflow: Workflow, plan: Plan, *, command: str = "") -> None:
        """Keep both, and the command that runs it."""
        self.workflow, self.plan, self._command = workflow, plan, command

    def view(self) -> WorkflowView:
        """Return what the displays draw."""
        flow = self.workflow
        inputs = [
            f"{n}: {i.type}" + ("" if i.required else " (has a default)")
            for n, i in flow.inputs.items()
        ]
        facts = [
            ("inputs", ", ".join(inputs) or "none"),
            ("strategy", self.plan.strategy),
            ("LLMs", ", ".join(self.llms) or "none"),
            ("limits", _limits(self.plan.limits)),
            ("outputs", ", ".join(name for name, _ in self.plan.outputs)),
        ]
        facts += [("note", note) for note in self.plan.notes]
        steps = self.plan.to_dict()["steps"]
        return WorkflowView(
            graph=_graph(steps, {}, None, name=flow.id),
            title=flow.title,
            description=flow.description,
            facts=tuple(facts),
            problems=self.plan.missing,
            next_steps=(self._command,) if self._command else (),
        )

    @property
    def llms(self) -> list[str]:
        """Ids of the LLMs that the plan asks."""
        found = (step.assignment.llm for step in self.plan.steps if step.assignment)
        return list(dict.fromkeys(found))

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON values."""
        return self.plan.to_dict()

    def _repr_mimebundle_(self, **_wanted: Any) -> dict[str, Any]:
        """Return the static bundle."""
        from bmad_nb.render.run_card import workflow_html

        return {"text/plain": repr(self), "text/html": workflow_html(self.view())}

    def __repr__(self) -> str:
        """Return the plain form, safe on a terminal."""
        from bmad_nb.render.run_text import workflow_text

        return workflow_text(self.view())


_AT_LIMIT = {
    "pause": "the run is paused",
    "degrade": "fallbacks stand in, or the run is paused",
    "fail": "the task fails",
}


def _limits(limits: RunLimits) -> str:
    """Return limits in words, and what happens where one is reached."""
    said = [f"${limits.cost_usd}"] if limits.cost_usd is not None else []
    said += [f"{limits.calls:,} calls"] if limits.calls is not None else []
    said += [f"{limits.tokens:,} tokens"] if limits.tokens is not None else []
    at_once = f"{limits.concurrency} tasks at a time" if limits.concurrency else ""
    then = _AT_LIMIT[limits.on_limit]
    reached = [f"{', '.join(said)}; then {then}"] if said else []
    in_time = "" if limits.time_s is None else f"{limits.time_s:g} s; then the run is paused"
    return "; ".join(filter(None, [*reached, in_time, at_once])) or "none"


def _graph(
    steps: list[dict[str, Any]],
    rows: Mapping[str, TaskRow],
    state: RunState | None,
    name: str = "",
) -> GraphView:
    running = {c.task for c in state.calls.values() if c.state == "in_flight"} if state else set()
    nodes = tuple(_node(step, rows.get(step["id"]), running) for step in steps)
    edges = tuple((need, step["id"]) for step in steps for need in step["needs"])
    title = name or (state.run.workflow if state and state.run else "")
    return GraphView(title, nodes, edges)


def _node(step: Mapping[str, Any], row: TaskRow | None, running: set[str]) -> GraphNode:
    note = step.get("when", "")
    if row is not None:
        note = row.error_kind or (row.when if row.state == "skipped" else "")
    state = row.state if row else ("running" if step["id"] in running else "waiting")
    return GraphNode(
        id=step["id"],
        layer=step["layer"],
        verb=step["verb"],
        state=state,
        title=step.get("title", ""),
        llm=(row.llm if row and row.llm else step.get("llm", "")),
        note=note,
        simulated=bool(row and row.simulated) or bool(step.get("simulated")),
    )


def _brief(row: TaskRow) -> dict[str, Any]:
    """Return a task without its text, which the calls have."""
    return {
        "task": row.task, "state": row.state, "llm": row.llm, "attempts": row.attempts,
        "cost_usd": None if row.cost_usd is None else str(row.cost_usd),
        "simulated": row.simulated, "degraded": row.degraded, "rung": row.rung,
        "error_kind": row.error_kind, "error": row.error, "skipped_because": row.skipped_because,
    }  # fmt: skip
