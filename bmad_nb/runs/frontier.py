"""What a dearer LLM would bring: the plans of a workflow that no other plan beats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

from bmad_nb.assigning import Assigner
from bmad_nb.errors import UsageProblem
from bmad_nb.messages import Usage
from bmad_nb.plan import root_of
from bmad_nb.render.text import table_text
from bmad_nb.routers.base import obstacle
from bmad_nb.routers.pareto import Option, PlanPoint, best_at, frontier
from bmad_nb.workflow.model import Task, Workflow

if TYPE_CHECKING:
    import pandas as pd

USUAL = (500, 500)
"""Tokens of a prompt and of an answer of ordinary length."""


class Ran(Protocol):
    """What is needed of a run."""

    @property
    def state(self) -> Any:
        """Its state."""
        ...


@dataclass(frozen=True, slots=True)
class Frontier:
    """The plans of a workflow that no other plan beats in both cost and quality."""

    tasks: tuple[str, ...]
    points: tuple[PlanPoint, ...]
    """From cheap to dear: each costs more than the one before, and is better."""
    recommended: PlanPoint
    usd_per_point: float
    notes: tuple[str, ...] = ()

    @property
    def df(self) -> pd.DataFrame:
        """A row for each plan.

        Columns: `cost_usd` of a run, `quality` (mean expected score in [0, 1]), `usd_per_point`
        (what one more point costs against the plan before; missing of the first), `recommended`,
        and for each task the LLM that does it.
        """
        from bmad_nb import frames

        return frames.of_rows(self._rows())

    def _rows(self) -> list[dict[str, Any]]:
        rows = []
        before: PlanPoint | None = None
        for point in self.points:
            step = None
            if before is not None:
                step = (point.cost_usd - before.cost_usd) / (point.quality - before.quality)
            rows.append(
                {"cost_usd": point.cost_usd, "quality": point.quality, "usd_per_point": step,
                 "recommended": point == self.recommended,
                 **dict(zip(self.tasks, point.llms, strict=True))}
            )  # fmt: skip
            before = point
        return rows

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"tasks": list(self.tasks), "plans": self._rows(), "notes": list(self.notes)}

    def __repr__(self) -> str:
        """Return the plans as text, the recommended one marked."""
        rows = [
            ("> " if row["recommended"] else "  ") + f"${row['cost_usd']:.3g}"
            for row in self._rows()
        ]
        table = [
            (mark, f"{p.quality:.3f}", *p.llms) for mark, p in zip(rows, self.points, strict=True)
        ]
        said = f"{len(self.points)} plans that no other beats; a point of quality is worth "
        return "\n".join(
            [f"{said}${self.usd_per_point:g}. {' '.join(self.notes)}".strip(),
             table_text(["cost", "quality", *self.tasks], table)]
        )  # fmt: skip


def frontier_of(
    flow: Workflow,
    assigner: Assigner,
    tokens: Mapping[str, tuple[float, float]],
    llms: Sequence[str],
    usd_per_point: float,
) -> Frontier:
    """Return the frontier of a workflow.

    Args:
        flow: the workflow.
        assigner: says who may do a task, what it costs, and how good it is.
        tokens: by task, tokens of its prompts and of its answers in a run; ordinary ones else.
        llms: who may do any task; those of its route if empty.
        usd_per_point: US dollars that one point of mean quality is worth.

    Raises:
        UsageProblem: nobody who may do a task has both a price and a known quality.
    """
    asking = {n: t for n, t in flow.tasks.items() if t.verb in {"prompt", "messages"}}
    steps = [_options(name, task, assigner, tokens, llms) for name, task in asking.items()]
    points = frontier(steps)
    notes = ["Expected, not measured on these tasks."]
    if not tokens:
        notes.append(f"Tokens are guessed: {USUAL[0]} and {USUAL[1]} for each task.")
    return Frontier(tuple(asking), tuple(points), best_at(points, usd_per_point), usd_per_point,
                    tuple(notes))  # fmt: skip


def _options(
    name: str,
    task: Task,
    assigner: Assigner,
    tokens: Mapping[str, tuple[float, float]],
    llms: Sequence[str],
) -> list[Option]:
    demand = assigner.demand(name, task)
    given, answered = tokens.get(name, USUAL)
    usage = Usage(round(given), round(answered))
    found = [
        Option(each.card.id, float(each.price.cost(usage) or Decimal(0)), each.quality)
        for each in assigner.candidates(task, llms)
        if each.price is not None and each.quality is not None and not obstacle(demand, each)
    ]
    if not found:
        raise UsageProblem(
            f"Of nobody who may do task {name!r} both price and quality are known.",
            hint="Score some answers (judge, rate), declare capabilities, or set prices.",
        )
    return found


def tokens_of(run: Ran) -> dict[str, tuple[float, float]]:
    """Return by task the tokens of all its prompts and answers in a run."""
    found: dict[str, list[tuple[int, int]]] = {}
    for call in run.state.calls.values():
        if call.state == "answered" and call.input_tokens is not None:
            pair = (call.input_tokens, call.output_tokens or 0)
            found.setdefault(root_of(call.task), []).append(pair)
    return {
        task: (sum(a for a, _ in pairs), sum(b for _, b in pairs)) for task, pairs in found.items()
    }
