"""Which LLM a call goes to, decided at the moment of the call and written down with its reasons."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from bmad_nb.assigning import Assigner
from bmad_nb.events import Routed
from bmad_nb.messages import Message
from bmad_nb.plan import Plan, Step
from bmad_nb.plan_parts import Assignment
from bmad_nb.planner import Wishes, choosing_of
from bmad_nb.routers.base import Candidate
from bmad_nb.runs.health import Health
from bmad_nb.runs.lent import Lent
from bmad_nb.workflow.model import Defaults, Workflow

_HEALING = {"healing", "escalation"}


@dataclasses.dataclass(frozen=True, slots=True)
class Moment:
    """What a choice at the moment of a call needs to know of it."""

    task: str
    """The task, or the part of one, that asks."""
    call_id: str
    attempt: int
    messages: tuple[Message, ...]
    left_usd: Callable[[bool], Decimal | None]
    """US dollars that are left, of real or of simulated money; None without a limit."""
    worst_usd: Callable[[str], Decimal | None]
    """What the call could cost at most with an LLM; None where nobody knows it."""


class Live:
    """Chooses the LLM of a task's calls by health, price, queue, money left and learned quality.

    Args:
        run_id: the run.
        workflow: its definition.
        wishes: what the caller said of LLMs, and what was learned of them.
        around: the workspace's part: LLMs, prices, settings, and where choices are written down.
        plan: what is chosen for anew; judges, members and sub-workflows keep whom they have.
    """

    def __init__(
        self, run_id: str, workflow: Workflow, wishes: Wishes, around: Lent, plan: Plan
    ) -> None:
        """Choose nothing yet."""
        self._run_id, self._workflow, self._wishes = run_id, workflow, wishes
        self._store = around.store
        self._planned = {step.id: step.assignment for step in plan.steps}
        self.health = Health(asyncio.get_running_loop().time, wishes.seconds)
        self._assigner = Assigner(
            around.catalog,
            around.settings,
            dataclasses.replace(choosing_of(wishes), pinned={}),
            workflow.defaults or Defaults(),
            objectives=tuple(workflow.objectives),
            missing=lambda _path, _said: None,
        )

    async def assignment(self, step: Step, planned: Assignment, moment: Moment) -> Assignment:
        """Return whom a call goes to; a step that names one LLM keeps it.

        Raises:
            Unroutable: nobody passes the hard filters any more.
            StoreError: the choice could not be written down.
        """
        if planned.router in _HEALING:
            await self._write(planned, moment, self._fallen(planned))
            return planned
        task = self._workflow.tasks.get(step.id)
        if task is None or planned is not self._planned.get(step.id):
            return planned
        found = self._assigner.live(
            step.id, task, moment.messages[-1].text, lambda each: self._seen(each, moment)
        )
        if found is None:
            return planned
        chosen, candidates = found
        if self.health.chosen(chosen.llm):
            chosen = dataclasses.replace(chosen, reason=f"a trial after a rest; {chosen.reason}")
        await self._write(chosen, moment, [_row(each, chosen) for each in candidates])
        return chosen

    def _seen(self, candidate: Candidate, moment: Moment) -> tuple[Candidate, str]:
        """Return a candidate as it stands now, and why it is to be left alone, if it is."""
        llm = candidate.card.id
        now = dataclasses.replace(candidate, seconds=self.health.seconds(llm))
        why = self.health.left_alone(llm)
        left, worst = moment.left_usd(candidate.card.simulated), moment.worst_usd(llm)
        if not why and left is not None and worst is not None and worst > left:
            why = f"a call could cost ${worst:f}, and ${left:f} is left"
        return now, why

    async def _write(
        self, chosen: Assignment, moment: Moment, candidates: list[dict[str, Any]]
    ) -> None:
        left = moment.left_usd(chosen.simulated)
        await self._store.commit(
            Routed(
                self._run_id, moment.task, moment.call_id, chosen.llm, chosen.router, chosen.reason,
                candidates, chosen.propensity, self._wishes.learned,
                {"left_usd": None if left is None else str(left),
                 "in_flight": self.health.in_flight},
                moment.attempt,
            )
        )  # fmt: skip

    def _fallen(self, chosen: Assignment) -> list[dict[str, Any]]:
        return [{"llm": chosen.llm, "outcome": "it stands in for one that failed"}]


def _row(candidate: Candidate, chosen: Assignment) -> dict[str, Any]:
    """Return a candidate as JSON values; what nobody knows is left out."""
    llm = candidate.card.id
    said: Mapping[str, str] = {**dict(chosen.rejected), chosen.llm: "chosen"}
    expected = dict(chosen.expected).get(llm, candidate.quality)
    price = None if candidate.price is None else float(candidate.price.output_usd_per_mtok)
    fields = {
        "llm": llm, "expected": expected, "low": candidate.low, "high": candidate.high,
        "scored": candidate.scored or None, "seconds": candidate.seconds, "usd_per_mtok": price,
        "outcome": said.get(llm, ""), "simulated": candidate.card.simulated or None,
    }  # fmt: skip
    return {name: value for name, value in fields.items() if value is not None}
