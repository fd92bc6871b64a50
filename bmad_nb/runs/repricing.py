"""Decisions made anew where a price changes while a run is going on."""

from __future__ import annotations

from collections.abc import Callable

from bmad_nb.events import PriceChanged, RunPlanned
from bmad_nb.messages import Price
from bmad_nb.plan import Plan, Step
from bmad_nb.plan_parts import Assignment
from bmad_nb.pricing import PriceBook
from bmad_nb.store.journal import Store


class Repricing:
    """Looks, before each call, whether prices are still those that its LLM was chosen by.

    Args:
        run_id: the run.
        store: where a change is written down.
        prices: the price book.
        replan: returns the plan as it is made with the prices of this moment.
        plan: the plan of the run; what its tasks' judges and sub-workflows are given stays.
    """

    def __init__(
        self,
        run_id: str,
        store: Store,
        prices: PriceBook,
        replan: Callable[[], Plan],
        *,
        plan: Plan,
    ) -> None:
        """Begin with the prices of this moment."""
        self._run_id, self._store, self._prices, self._replan = run_id, store, prices, replan
        self._version = prices.version
        self._chosen: dict[str, Assignment] = {}
        self._stale = False
        self._planned = {step.id: step.assignment for step in plan.steps}

    def replan(self) -> None:
        """Choose anew before the next call, though no price has changed."""
        self._stale = True

    async def assignment(self, step: Step, planned: Assignment) -> Assignment:
        """Return the LLM of a step by the prices of this moment.

        What was chosen by hand stays, and so does a fallback.

        Raises:
            StoreError: a change could not be written down.
        """
        if planned is not self._planned.get(step.id):
            return planned
        version = self._prices.version
        if version != self._version or self._stale:
            self._stale = False
            changes = self._prices.changes(self._version)
            self._version = version
            plan = self._replan()
            self._chosen = {each.id: each.assignment for each in plan.steps if each.assignment}
            await self._store.commit(
                *(
                    PriceChanged(self._run_id, c.llm, _spelled(c.old), _spelled(c.new))
                    for c in changes
                ),
                RunPlanned(self._run_id, plan.to_dict()),
            )
        return self._chosen.get(step.id, planned)


def _spelled(price: Price | None) -> dict[str, str] | None:
    return None if price is None else price.to_json()
