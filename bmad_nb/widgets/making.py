"""A workflow in the making: its text, what is wrong with it, what a run would take, its runs."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from bmad_nb.budget import parse_usd
from bmad_nb.documents import Document, Position
from bmad_nb.errors import BmadError, DefinitionError, Problem, UsageProblem
from bmad_nb.forecast.ranges import Analysis
from bmad_nb.plan import Plan
from bmad_nb.planner import Wishes
from bmad_nb.render.base import seconds, usd
from bmad_nb.render.form import Said
from bmad_nb.runs.execution import Execution
from bmad_nb.runs.planned import Planned
from bmad_nb.runs.run import Run
from bmad_nb.secrets import looks_secret
from bmad_nb.widgets.draft import Draft
from bmad_nb.workflow import inputs as values
from bmad_nb.workflow.model import Workflow
from bmad_nb.workspace import Workspace

SUFFIXES = {".yaml", ".yml", ".json"}
"""How the name of a workflow's file ends."""


class Making:
    """A workflow in the making: its text, what is wrong with it, its plan, its runs.

    Args:
        draft: the text that is edited.
        space: plans and runs it.
        inputs: values of inputs that cannot be typed into a field, such as a DataFrame.
        allow_python: lets a run import and call what `python` tasks name.
    """

    def __init__(
        self,
        draft: Draft,
        space: Workspace,
        *,
        inputs: Mapping[str, Any] | None = None,
        allow_python: bool = False,
    ) -> None:
        """Read nothing yet."""
        self.draft, self.space = draft, space
        self.given = dict(inputs or {})
        self.typed: dict[str, str] = {}
        """What was typed for the inputs, by name."""
        self.budget = ""
        """What was typed for the most money of a run."""
        self.allow_python = allow_python
        self.name = "builder"
        """The variable that holds it."""
        self.last_run: Run | None = None
        """The run that was made here last."""

    # --- what it is ---------------------------------------------------------------------------

    @property
    def text(self) -> str:
        """The YAML as it is now."""
        return self.draft.text

    @property
    def path(self) -> Path | None:
        """The file that it is saved to; None where it has none yet."""
        return self.draft.path

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All that is wrong with the definition, each with its place."""
        return self.draft.problems

    @property
    def workflow(self) -> Workflow:
        """The workflow.

        Raises:
            DefinitionError: something is wrong with it.
        """
        if self.draft.workflow is None:
            raise DefinitionError(self.problems, str(self.path or ""))
        return self.draft.workflow

    @property
    def id(self) -> str:
        """Its id, as far as it has one."""
        found = self.draft.data.get("workflow") or self.draft.data.get("id")
        return found[:63] if isinstance(found, str) else "workflow"

    # --- taking it away -----------------------------------------------------------------------

    def to_yaml(self) -> str:
        """Return it as YAML: the text itself."""
        return self.text

    def to_cell(self) -> str:
        """Return it as a cell that defines it.

        Raises:
            DefinitionError: something is wrong with it.
        """
        return f"%%bmad workflow {self.workflow.id}\n{self.text.replace(chr(13), '')}"

    def to_python(self) -> str:
        """Return it as Python that builds an equal workflow.

        Raises:
            DefinitionError: something is wrong with it.
        """
        return self.workflow.to_python()

    def save(self, path: str | Path | None = None, *, over: bool = False) -> Path:
        """Write the text to its file, whole or not at all, and make the workflow known by its id.

        Args:
            path: another file than its own; without one of its own, `ID.yaml`.
            over: write also over a file that somebody else changed, or that was there already.

        Raises:
            WorkflowError: somebody else changed the file, or it cannot be written.
        """
        target = None if path is None else Path(path)
        if target is None and self.path is None:
            target = Path(f"{self.workflow.id}.yaml")
        if target is not None and target.suffix.lower() not in SUFFIXES:
            raise UsageProblem(f"{target} is no name of a workflow's file.",
                               hint="Its end is .yaml, .yml or .json.")  # fmt: skip
        saved = self.draft.save(target, over=over)
        if self.draft.workflow is not None:
            self.space.define(self.draft.workflow)
        return saved

    # --- trying it ----------------------------------------------------------------------------

    def inputs(self, flow: Workflow | None = None) -> dict[str, Any]:
        """Return the values of inputs that there are: given in Python, or typed.

        Raises:
            UsageProblem: one is not of its type, or looks like a key.
        """
        flow = self.workflow if flow is None else flow
        typed = {n: t for n, t in self.typed.items() if t.strip() and n in flow.inputs}
        for name, text in typed.items():
            if looks_secret(name, text):
                raise UsageProblem(
                    f"The input {name!r} looks like a key, and inputs are stored.",
                    hint='Keys are given by reference, api_key = "env:NAME" in the settings.',
                )
        given = {name: value for name, value in self.given.items() if name in flow.inputs}
        return {**given, **values.typed(flow, typed)}

    def plan(self, flow: Workflow | None = None) -> Planned:
        """Return what a run would do, take and lack; nobody is asked.

        Args:
            flow: the workflow as it was a moment ago; as it is now if None.

        Raises:
            DefinitionError: something is wrong with it.
            UsageProblem: an input is.
        """
        flow = self.workflow if flow is None else flow
        inputs = self.inputs(flow)
        wishes = Wishes(inputs, allow_python=self.allow_python)
        made = self.space.planned(flow, wishes)
        known = self.draft.is_saved and self.path is not None
        command = f"%bmad run {shlex.quote(str(self.path))}" if known else f"{self.name}.run()"
        return self.space.shown(flow, made, command=command, inputs=inputs)

    def prepared(self) -> Execution:
        """Return a run that is ready to go, new or taken up again.

        Raises:
            DefinitionError: something is wrong with the workflow.
            NotRunnable: something is missing.
            UsageProblem: an input, or the budget.
        """
        flow = self.space.define(self.workflow)
        wishes = Wishes(self.inputs(), allow_python=self.allow_python)
        budget = parse_usd(self.budget.strip().lstrip("$")) if self.budget.strip() else None
        return self.space.prepared(flow, wishes, budget, "auto")

    def run(self, inputs: Mapping[str, Any] | None = None, **options: Any) -> Run:
        """Run the workflow as it is now and wait for it; options as of `Workspace.run`.

        Args:
            inputs: values by name, over those that were given or typed before.
            **options: such as `budget_usd`.
        """
        options.setdefault("allow_python", self.allow_python)
        flow = self.space.define(self.workflow)
        self.last_run = self.space.run(flow, {**self.inputs(), **(inputs or {})}, **options)
        return self.last_run


def problems_by_task(problems: Iterable[Said]) -> dict[str, int]:
    """Return how many problems each task has."""
    found: dict[str, int] = {}
    for path in (each.problem.path for each in problems):
        if len(path) > 1 and path[0] == "tasks":
            found[str(path[1])] = found.get(str(path[1]), 0) + 1
    return found


def missing_of(plan: Plan, document: Document) -> list[Said]:
    """Return what a plan lacks here, each with the place in its document that it is about."""
    name = document.name
    places: dict[Position, tuple[Any, ...]] = {}
    for path, (_, at) in document.places.items():
        if len(path) > 1 and path[0] == "tasks":
            places.setdefault(at, path)
    found = []
    for said in plan.missing:
        text = said.removeprefix(f"{name}:" if name else "line ")
        line, _, rest = text.partition(":")
        column, _, words = rest.partition(": ")
        if text != said and line.isdecimal() and column.isdecimal():
            at = Position(int(line), int(column))
            path = places.get(at, ())
            path = (*path, "llm") if len(path) == 2 else path
            what, dot, hint = words.partition(". ")
            problem = Problem(*at, what + dot.strip(), hint, path)
            found.append(Said(str(path[1]) if path else "", problem, warns=True))
        else:
            found.append(Said("", Problem(0, 0, said), warns=True))
    return found


def expectations(planned: Planned, analysis: Analysis, budget: str) -> list[tuple[str, str, str]]:
    """Return what a run is expected to take: cost, time and calls, with an aside for each."""
    simulated = {step.assignment.simulated for step in planned.plan.steps if step.assignment}
    note = {True: "simulated"} if simulated == {True} else {True: "in part simulated"}
    aside = note.get(True in simulated, "")
    money = ("price unknown" if analysis.cost_usd is None
             else _between(analysis.cost_usd.low, analysis.cost_usd.high, _dollars))  # fmt: skip
    limit = planned.plan.limits.cost_usd  # a plan has it as text
    with contextlib.suppress(BmadError):  # half an amount was typed
        limit = str(parse_usd(budget.strip().lstrip("$"))) if budget.strip() else limit
    of_limit = "" if limit is None else f"of a {usd(Decimal(limit))} limit"
    guessed = sum("guess" in basis for basis in analysis.basis.values())
    basis = f"{guessed} of {len(analysis.basis)} guessed" if guessed else ""
    span = _between(analysis.latency_s.low, analysis.latency_s.high, seconds)
    return [
        ("Estimate, nobody was asked", money, ", ".join(filter(None, (of_limit, aside)))),
        ("Time (80 % range)", span, basis),
        ("Calls", f"{analysis.calls:,}", "at most"),
    ]


def _between(low: float, high: float, said: Any) -> str:
    first, last = said(low), said(high)
    return str(first) if first == last else f"{first} to {last}"


def _dollars(amount: float) -> str:
    return usd(Decimal(str(amount)))
