"""What a workflow and its run show, as plain data, and the sentences made from it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from bmad_nb.events import CallRow, RunRow, TaskRow, TaskState
from bmad_nb.render.base import NONE, ComparisonView, counted, cut, listed, seconds, usd
from bmad_nb.render.columns import money

MOST_BOXES, MOST_EDGES = 60, 300
"""Tasks and lines of a graph that are drawn one by one."""
MOST_TASKS, MOST_OUTPUTS, MOST_PROBLEMS = 60, 12, 20
"""Rows of the table, and outputs, that are shown."""
OUTPUT_LIMIT, ANSWER_LIMIT = 2000, 200
"""Characters of an output, and of a task's answer, that are shown."""

_ORDER: tuple[TaskState, ...] = ("done", "running", "waiting", "skipped", "failed", "cancelled")
"""In which states are counted."""
_URGENT: tuple[TaskState, ...] = ("failed", "cancelled", "running", "skipped", "done", "waiting")
"""In which a long table keeps its tasks."""


@dataclass(frozen=True, slots=True)
class GraphNode:
    """One task in a picture."""

    id: str
    layer: int
    """Its column: 0 needs nothing, each other one is to the right of all that it needs."""
    verb: str
    state: TaskState = "waiting"
    title: str = ""
    llm: str = ""
    note: str = ""
    """What else is said of it, such as its condition, its error or its cost."""
    simulated: bool = False


@dataclass(frozen=True, slots=True)
class GraphView:
    """Tasks and what they need."""

    name: str
    nodes: tuple[GraphNode, ...]
    edges: tuple[tuple[str, str], ...]
    """Pairs of ids, from needed to needing."""

    @property
    def needs(self) -> dict[str, list[str]]:
        """The ids that each task needs, in the order of the edges."""
        found: dict[str, list[str]] = {node.id: [] for node in self.nodes}
        for needed, needing in self.edges:
            found[needing].append(needed)
        return found

    @property
    def drawn(self) -> bool:
        """True where each task has a box; False where there are too many, which are dots."""
        return len(self.nodes) <= MOST_BOXES and len(self.edges) <= MOST_EDGES


@dataclass(frozen=True, slots=True)
class WorkflowView:
    """All that the definition of a workflow shows."""

    graph: GraphView
    title: str = ""
    description: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    """What is known before it runs, such as its inputs, its cost and its limits."""
    problems: tuple[str, ...] = ()
    """What is wrong with it, one sentence each."""
    next_steps: tuple[str, ...] = ()
    """Commands that can be copied."""


@dataclass(frozen=True, slots=True)
class RunView:
    """All that a run of a workflow shows."""

    run: RunRow
    graph: GraphView
    """Each task in the state that it has in this run."""
    tasks: tuple[TaskRow, ...] = ()
    calls: tuple[CallRow, ...] = ()
    outputs: Mapping[str, Any] | None = None
    """JSON values by name; None before they are all there."""
    duration_s: float | None = None
    """Seconds that the run took."""
    notes: tuple[str, ...] = ()
    """Sentences that weaken or explain the result."""
    next_steps: tuple[str, ...] = ()
    """Commands that can be copied."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """Text of the answer by task."""
    name: str = "r"
    """The variable that holds the result."""

    @property
    def rows(self) -> list[tuple[GraphNode, TaskRow]]:
        """Each task of the graph with its outcome, one in waiting where there is none yet."""
        found = {task.task: task for task in self.tasks}
        return [(n, found.get(n.id) or TaskRow(self.run.run_id, n.id, n.state, n.verb))
                for n in self.graph.nodes]  # fmt: skip


def states_of(nodes: Sequence[GraphNode]) -> dict[TaskState, int]:
    """Return how many tasks are in each state that occurs."""
    found = Counter(node.state for node in nodes)
    return {state: found[state] for state in _ORDER if found[state]}


def size_of(graph: GraphView) -> str:
    """Return how many tasks and layers a graph has, in words."""
    layers = len({node.layer for node in graph.nodes})
    return f"{counted(len(graph.nodes), 'task')} in {counted(layers, 'layer')}"


def workflow_sentence(view: WorkflowView) -> str:
    """Return what a workflow is, or that it cannot run."""
    title = view.title or view.graph.name
    count = len(view.problems)
    return f"{title}: {counted(count, 'problem')} to solve before it can run" if count else title


def origin(view: RunView) -> str:
    """Return which run of which workflow it is, and when it began."""
    started = f"started {view.run.started_utc[:19].replace('T', ' ')} UTC"
    parts = [f"workflow {view.graph.name}", f"run {view.run.run_id}"]
    return " · ".join([*parts, started] if view.run.started_utc else parts)


_PAUSED = {
    "limit": "paused by its limit", "human": "paused until a person answers",
    "checkpoint": "paused by a checkpoint",
}  # fmt: skip


def sentence(view: RunView) -> str:
    """Return how a run went, such as `Paused by its limit: 3 of 8 tasks done`."""
    counts = states_of(view.graph.nodes)
    total, done = len(view.graph.nodes), counts.get("done", 0)
    status = view.run.status
    so_far = f"{done:,} of {counted(total, 'task')} done"
    if status == "completed":
        others = [f"{n:,} {state}" for state, n in counts.items() if state != "done"]
        said = ", ".join([f"{counted(done, 'task')} done", *others])
    elif status == "failed":
        failed = [node.id for node in view.graph.nodes if node.state == "failed"]
        said = f"{listed(failed)}; {so_far}" if failed else so_far
    else:
        said = so_far
    word = _PAUSED.get(view.run.reason, status) if status == "paused" else status
    stood_in = sum(task.degraded for task in view.tasks)
    fallback = f"; a fallback stood in for {stood_in:,}" if stood_in else ""
    return f"{word[0].upper()}{word[1:]}: {said}{fallback}"


def figures(view: RunView) -> str:
    """Return calls, cost and time of a run on one line."""
    made = sum(not call.from_store for call in view.calls)
    flying = sum(call.state == "in_flight" for call in view.calls)
    stored = len(view.calls) - made
    parts = [f"{counted(made, 'call')} made"]
    parts += [f"{flying:,} in flight"] * bool(flying)
    parts += [f"{counted(stored, 'answer')} from the store"] * bool(stored)
    parts.append(money(comparison(view.calls)).sentence)
    if view.duration_s is not None:
        parts.append(seconds(view.duration_s))
    return " · ".join(parts)


def comparison(rows: Iterable[CallRow] = (), steps: tuple[str, ...] = ()) -> ComparisonView:
    """Return what a run has in common with a comparison: its calls, and what comes next."""
    return ComparisonView("", "", tuple(rows), "completed", next_steps=steps)


def as_text(value: Any, indent: int | None = None) -> str:
    """Return a JSON value as people read it: a text as it is, all else as JSON."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, indent=indent, default=str)


def key_of(view: RunView, name: str) -> str:
    """Return the expression that gives a whole output."""
    return f"{view.name}.outputs[{json.dumps(name, ensure_ascii=False)}]"


def kept_rows(view: RunView) -> list[tuple[GraphNode, TaskRow]]:
    """Return the rows of the table: all of them, or of a long one those that matter most."""
    rows = view.rows
    if len(rows) <= MOST_TASKS:
        return rows
    return sorted(rows, key=lambda each: _URGENT.index(each[0].state))[:MOST_TASKS]


def left_out(view: RunView) -> str:
    """Return the sentence that says how many tasks the table leaves out; empty if none."""
    more = len(view.graph.nodes) - MOST_TASKS
    if more <= 0:
        return ""
    return f"{more:,} more in {view.name}.tasks; failed, cancelled and running ones stand first."


def needs_words(needs: Iterable[str]) -> str:
    """Return what a task needs, in words."""
    return f"needs {listed([cut(each, 80) for each in needs], 4)}"


def cost_of(task: TaskRow) -> tuple[str, str]:
    """Return the cost of a task, and `simulated` where it is invented."""
    if task.cost_usd is None and not (task.llm and task.attempts):
        return NONE, ""
    return usd(task.cost_usd), "simulated" if task.simulated else ""


def took(task: TaskRow) -> float | None:
    """Return the seconds that a task took; None where it has not begun and ended."""
    try:
        start, end = (datetime.fromisoformat(t) for t in (task.started_utc, task.ended_utc))
        return (end - start).total_seconds()
    except (TypeError, ValueError):
        return None


def told(view: RunView, task: TaskRow) -> tuple[str, str]:
    """Return the start of a task's answer or why there is none, and what else is to be said."""
    asides = []
    if task.degraded:
        asides.append(f"fallback {task.rung} stood in")
    if task.kept_from:
        asides.append(f"kept from run {cut(task.kept_from, 80)}")
    if task.when and (task.when_value or (task.state == "done" and task.when_value is not None)):
        gave = "held" if task.when_value else "did not hold"
        asides.append(f"when {cut(task.when, 200)} {gave}{_read(task.when_values)}")
    asides += _facts(task.facts)
    if task.error:
        kind = f"{task.error_kind}: " if task.error_kind else ""
        asides += [cut(task.error_hint, 400)] * bool(task.error_hint)
        return f"{kind}{cut(task.error, 600)}", "; ".join(asides)
    if task.skipped_because:
        return cut(task.skipped_because, 400), "; ".join(asides)
    text = view.texts.get(task.task)
    if text is None:
        text = "" if task.value is None else as_text(task.value)
    short = cut(text[:ANSWER_LIMIT], 4 * ANSWER_LIMIT)
    return short + "…" * (len(short) < len(text)), "; ".join(asides)


def _facts(facts: Any) -> list[str]:
    """Return what is known of a task beside its answer: how often it was drafted, and warnings."""
    known = facts if isinstance(facts, Mapping) else {}
    said = []
    if "score" in known and "iterations" in known:
        said.append(f"score {known['score']:.2f} after {counted(known['iterations'], 'draft')}")
    return said + [cut(f"warning: {each}", 200) for each in known.get("warnings", ())]


def _read(values: Any) -> str:
    """Return the values that a condition read, in brackets."""
    if not isinstance(values, Mapping) or not values:
        return ""
    said = [f"{name} = {json.dumps(value, ensure_ascii=False, default=str)}"
            for name, value in values.items()]  # fmt: skip
    return f" ({cut(', '.join(said), 200)})"


def purse(view: RunView, *, simulated: bool) -> tuple[Decimal, Decimal]:
    """Return the US dollars of a run that are spent, and those held for calls in flight."""
    calls = [call for call in view.calls if call.simulated == simulated]
    spent = sum((call.cost_usd or Decimal(0) for call in calls), Decimal(0))
    flying = [call.reserved_usd for call in calls if call.state == "in_flight"]
    return spent, sum((each for each in flying if each is not None), Decimal(0))
