"""Assertions about a run: looked at where they stand, acted on where they do not hold, once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

from bmad_nb import expressions
from bmad_nb.errors import RunPaused, TaskFailed, TemplateError
from bmad_nb.events import CallRow, Checkpoint
from bmad_nb.plan import Step
from bmad_nb.plan_parts import Asserting
from bmad_nb.store.journal import Store


class SoFar:
    """What a run has used up, as expressions read it under the name `run`."""

    def __init__(
        self, limit_usd: Decimal | None, before: Iterable[CallRow], active_s: float
    ) -> None:
        """Begin with what it used before it was stopped."""
        self.cost_usd, self.simulated_cost_usd = Decimal(0), Decimal(0)
        self.calls = self.tokens = self.tasks = self.failed = 0
        self._limit_usd, self._active_s, self._began = limit_usd, active_s, time.monotonic()
        for call in before:
            self.call(call)

    def call(self, row: CallRow) -> None:
        """Add a call that has ended."""
        if row.state == "in_flight" or row.from_store:
            return
        self.calls += 1
        self.tokens += (row.input_tokens or 0) + (row.output_tokens or 0)
        if row.simulated:
            self.simulated_cost_usd += row.cost_usd or 0
        else:
            self.cost_usd += row.cost_usd or 0

    def task(self, state: str) -> None:
        """Add a task that has an outcome."""
        self.tasks += 1
        self.failed += state == "failed"

    def values(self) -> dict[str, Any]:
        """Return the values by name; simulated money counts where no other was spent."""
        cost = self.cost_usd or self.simulated_cost_usd
        limit = self._limit_usd
        return {
            "cost_usd": float(cost),
            "limit_usd": None if limit is None else float(limit),
            "share": None if not limit else float(cost / limit),
            "calls": self.calls,
            "tokens": self.tokens,
            "tasks": self.tasks,
            "failed": self.failed,
            "seconds": self._active_s + time.monotonic() - self._began,
        }


class Assertions:
    """The assertions of a run.

    Args:
        run_id: the run.
        store: where it is written down that one did not hold.
        fired: those that were acted on before, as (task, expression): each acts once.
        so_far: what the run has used up.
        replan: called where one says that LLMs are to be chosen anew.
    """

    def __init__(
        self,
        run_id: str,
        store: Store,
        fired: Iterable[tuple[str, str]],
        so_far: SoFar,
        replan: Callable[[], None],
    ) -> None:
        """Look at nothing yet."""
        self._run_id, self._store, self._fired = run_id, store, set(fired)
        self._so_far, self._replan = so_far, replan

    async def look(self, step: Step, moment: str, names: Mapping[str, Any]) -> None:
        """Look at the assertions of a step that belong to a moment.

        Raises:
            TaskFailed: one says that the task fails.
            RunPaused: one says that the run is to stop.
        """
        for each in step.asserts:
            if each.at == moment and (step.id, each.that) not in self._fired:
                await self._one(step, each, {**names, "run": self._so_far.values()})

    async def _one(self, step: Step, each: Asserting, names: Mapping[str, Any]) -> None:
        tree = expressions.parse(each.that)
        try:
            holds = bool(expressions.evaluate(tree, names))
            values = expressions.shown_values(tree, names)
        except TemplateError as error:
            holds, values = False, {"error": error.what}
        if holds:
            return
        self._fired.add((step.id, each.that))
        await self._store.commit(
            Checkpoint(self._run_id, step.id, each.that, False, each.action, values)
        )
        said = f"{each.that} does not hold at task {step.id!r}."
        if each.action == "fail":
            shown = ", ".join(f"{name} = {value}" for name, value in values.items())
            raise TaskFailed(said, hint=f"Its values: {shown}.")
        if each.action == "pause":
            stop = RunPaused(said, hint="See what it read in run.checkpoints, then go on with it.")
            stop.reason = "checkpoint"
            raise stop
        if each.action == "replan":
            self._replan()
