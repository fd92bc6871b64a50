"""Runs of workflows within one budget, found again where they are there already."""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from typing import Any

from bmad_nb.budget import parse_usd
from bmad_nb.errors import RunFailed, RunStopped
from bmad_nb.events import RunRow
from bmad_nb.planner import Wishes
from bmad_nb.runs.execution import Execution
from bmad_nb.runs.run import Run
from bmad_nb.workflow.model import Workflow
from bmad_nb.workspace import Workspace

_STOPPED = {"paused", "interrupted"}


def token_of(row: RunRow) -> str:
    """Return what a run, with its texts, belongs to, such as an experiment; empty of others."""
    return str((row.options or {}).get("experiment", ""))


@dataclasses.dataclass(slots=True)
class BudgetedRuns:
    """Runs that share a budget and a token; a run of the same with the same token is taken again.

    Each run may spend what is left, so its own reservations keep all of them within the limit.
    Simulated money has a purse of its own with the same limit.
    """

    space: Workspace
    budget_usd: Any = None
    """US dollars of all runs together, those of an earlier try among them; None is no limit."""
    costs: dict[str, dict[bool, Decimal]] = dataclasses.field(default_factory=dict)
    """US dollars by run, and by whether they are simulated; what may have been billed counts with
    its worst case."""

    def recall(self, workflow: str, token: str) -> None:
        """Count what earlier runs of a workflow with this token have spent."""
        store = self.space.store
        for row in store.runs():
            if row.workflow == workflow and token_of(store.run(row.run_id)) == token:
                self._count(Run(self.space.store, row.run_id, self.space))

    @property
    def spent(self) -> dict[bool, Decimal]:
        """US dollars of all runs that are known, by whether they are simulated."""
        return {
            kind: sum((each[kind] for each in self.costs.values()), Decimal(0))
            for kind in (True, False)
        }

    def run(self, flow: Workflow, wishes: Wishes, token: str, *, fresh: bool = False) -> Run:
        """Return a run: a finished one, one that goes on, a new one; a failed one too.

        Args:
            flow: the workflow.
            wishes: inputs and what else is wanted.
            token: what it belongs to, so that runs of something else are not taken.
            fresh: ask anew even where an answer is stored.

        Raises:
            RunPaused: interrupted, or the budget is used up; what is finished is kept.
            NotRunnable: something is missing.
        """
        execution = self.space.prepared(flow, wishes, self.left, "never", fresh=fresh)
        try:
            run = self._earlier(execution, token)
            if run is None:
                execution.note(experiment=token)
                run = self._go(execution)
        except RunStopped as stopped:
            if isinstance(stopped.result, Run):
                self._count(stopped.result)
            raise
        self._count(run)
        return run

    @property
    def left(self) -> Decimal | None:
        """US dollars that may still be spent; None without a limit."""
        if self.budget_usd is None:
            return None
        left: Decimal = parse_usd(self.budget_usd) - max(self.spent.values())
        return max(Decimal(0), left)

    def _count(self, run: Run) -> None:
        costs = {True: Decimal(0), False: Decimal(0)}
        for call in run.state.calls.values():
            worst = call.reserved_usd if call.billed == "maybe" else None
            costs[call.simulated] += call.cost_usd or worst or Decimal(0)
        self.costs[run.id] = costs

    def _earlier(self, execution: Execution, token: str) -> Run | None:
        """Return a run of the same, gone on with if it was stopped; None if there is none."""
        store = self.space.store
        same = [run.run_id for run in store.runs() if run.key == execution.key]
        for run_id in reversed(same):
            row = store.run(run_id)
            if token_of(row) != token:
                continue
            if row.status == "completed":
                return Run(store, run_id, self.space)
            if row.status in _STOPPED:
                again = self.space.resumption(run_id, self._total(run_id))
                again.note(experiment=token)  # else it would not be found once more
                return self._go(again)
        return None

    def _total(self, run_id: str) -> Decimal | None:
        """Return what a stopped run may take in all: what is left, and what it took itself."""
        if self.left is None:
            return None
        own = self.costs.get(run_id)
        return self.left + max(own.values()) if own else self.left

    def _go(self, execution: Execution) -> Run:
        try:
            return self.space.go(execution)
        except RunFailed as failed:
            run: Run = failed.result
            return run
