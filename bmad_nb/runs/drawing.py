"""The graph of a run or of a plan, as the displays draw it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from bmad_nb.events import TaskRow
from bmad_nb.render.run import GraphNode, GraphView
from bmad_nb.state import RunState


def graph_of(
    steps: list[dict[str, Any]],
    rows: Mapping[str, TaskRow],
    state: RunState | None,
    name: str = "",
) -> GraphView:
    """Return the graph of a run, or of a plan where there is no state yet."""
    running = {c.task for c in state.calls.values() if c.state == "in_flight"} if state else set()
    nodes = tuple(node_of(step, rows.get(step["id"]), running) for step in steps)
    edges = tuple((need, step["id"]) for step in steps for need in step["needs"])
    title = name or (state.run.workflow if state and state.run else "")
    return GraphView(title, nodes, edges)


def _notes(step: Mapping[str, Any]) -> list[str]:
    """Return what modifies a step, in words."""
    words = {"when": "{}", "map": "for each of {}", "reduce": "of {}", "refine": "until {}"}
    said = [form.format(step[key]) for key, form in words.items() if step.get(key)]
    part = step.get("collaborate")
    if part:
        by = f" by {part['method']}" if part["type"] in {"vote", "consensus", "debate"} else ""
        said.append(f"{part['type']} of {len(part['members'])}{by}")
        said += [f"{key}: {part[key]['llm']}" for key in ("combiner", "strong") if key in part]
    if step.get("judges"):
        said.append(f"judged by {', '.join(step['judges'])}")
    if step.get("cascade"):
        said.append(f"cascade of {len(step['cascade'])}")
    return said + ([f"checks: {step['checks']}"] if step.get("checks") else [])


def node_of(step: Mapping[str, Any], row: TaskRow | None, running: Collection[str]) -> GraphNode:
    """Return one task as it is drawn: in its own state, or running where calls of it are."""
    note = ", ".join(_notes(step))
    if row is not None:
        note = row.error_kind or (row.when if row.state == "skipped" else "")
        if row.state == "done" and "refine" in step and row.facts:
            note = f"score {row.facts.get('score', 0):.2f}"
        elif row.state == "done" and "collaborate" in step and row.facts:
            note = f"agreement {row.facts['agreement']:.2f}" if "agreement" in row.facts else ""
        elif row.state == "done" and "map" in step and isinstance(row.value, Mapping):
            note = f"{len(row.value.get('items', ()))} items"
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
