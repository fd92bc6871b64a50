"""A workflow with its plan, and what is to be expected of it, as a cell shows them before a run."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from bmad_nb.forecast.asked import llms_of
from bmad_nb.forecast.ranges import Analysis, Range
from bmad_nb.plan import Plan
from bmad_nb.plan_parts import RunLimits
from bmad_nb.render.base import counted, seconds, usd
from bmad_nb.render.run import WorkflowView
from bmad_nb.runs.drawing import graph_of
from bmad_nb.workflow.model import Workflow


class Planned:
    """A workflow with its plan, as a cell shows it before anything is run.

    Args:
        workflow: the workflow.
        plan: its plan.
        command: what runs it.
        analysis: reckons what is to be expected; asks nobody.
    """

    def __init__(
        self,
        workflow: Workflow,
        plan: Plan,
        *,
        command: str = "",
        analysis: Callable[[], Analysis] | None = None,
    ) -> None:
        """Reckon nothing yet."""
        self.workflow, self.plan, self._command = workflow, plan, command
        self._analysis = analysis

    @functools.cached_property
    def analysis(self) -> Analysis | None:
        """Cost, time and quality as ranges, parallelism, risks and what would be faster."""
        return None if self._analysis is None else self._analysis()

    def diff(self, other: Planned) -> list[str]:
        """Return what is otherwise in another plan, a line each; empty where they are equal."""
        mine, theirs = self.plan.to_dict(), other.plan.to_dict()
        lines = [
            f"{key}: {mine[key]} → {theirs[key]}"
            for key in ("strategy", "limits", "outputs")
            if mine[key] != theirs[key]
        ]
        steps = [{step["id"]: step for step in plan["steps"]} for plan in (mine, theirs)]
        for name in dict.fromkeys((*steps[0], *steps[1])):
            before, after = (each.get(name) for each in steps)
            if before is None or after is None:
                lines.append(f"{name}: {'new' if before is None else 'gone'}")
                continue
            lines += [
                f"{name}.{key}: {before.get(key)} → {after.get(key)}"
                for key in sorted({*before, *after} - {"content", "own", "layer"})
                if before.get(key) != after.get(key)
            ]
        return lines

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
            ("LLMs", ", ".join(self._named()) or "none"),
            ("limits", _limits(self.plan.limits)),
            ("outputs", ", ".join(name for name, _ in self.plan.outputs)),
        ]
        facts += self._estimates()
        facts += [("note", note) for note in self.plan.notes]
        steps = self.plan.to_dict()["steps"]
        return WorkflowView(
            graph=graph_of(steps, {}, None, name=flow.id),
            title=flow.title,
            description=flow.description,
            facts=tuple(facts),
            problems=self.plan.missing,
            next_steps=(self._command,) if self._command else (),
        )

    def _estimates(self) -> list[tuple[str, str]]:
        found = self.analysis
        if found is None or not self.plan.steps:
            return []
        cost = "cost unknown" if found.cost_usd is None else _said(found.cost_usd, _usd)
        invented = {step.assignment.simulated for step in self.plan.steps if step.assignment}
        if True in invented:  # its prices and times are invented
            cost += " (simulated)" if invented == {True} else " (in part simulated)"
        guessed = sum("guess" in basis for basis in found.basis.values())
        basis = f", {guessed} of {len(found.basis)} LLM tasks guessed" if guessed else ""
        asked = counted(found.calls, "call")
        estimate = f"{cost} · {_said(found.latency_s, seconds)} · {asked}{basis}"
        facts = [("estimate", f"{estimate} (80 % range)")]
        if found.most_at_once > 1:
            facts.append(("at a time", f"up to {found.most_at_once} tasks"))
        facts += [("risk", risk) for risk in found.risks]
        return facts + [("faster", each) for each in found.suggestions]

    @property
    def llms(self) -> list[str]:
        """Ids of the LLMs that the plan asks."""
        return list(dict.fromkeys(name for step in self.plan.steps for name in llms_of(step)))

    def _named(self) -> list[str]:
        """Return the ids of the LLMs; the simulated ones say so."""
        steps = self.plan.steps
        invented = {llm for step in steps if step.assignment and step.assignment.simulated
                    for llm in llms_of(step)}  # fmt: skip
        return [f"{llm} (simulated)" if llm in invented else llm for llm in self.llms]

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON values, and what is to be expected of it."""
        found = self.analysis
        expected = {} if found is None else {"analysis": dataclasses.asdict(found)}
        return {**self.plan.to_dict(), **expected}

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


def _usd(amount: float) -> str:
    return usd(Decimal(repr(amount)))


def _said(found: Range, spell: Callable[[float], str]) -> str:
    low, high = spell(found.low), spell(found.high)
    return low if low == high else f"{low} to {high}"
