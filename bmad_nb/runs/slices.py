"""The slice of a sweep's budget that one of its notebooks may spend, and the answers lent to it.

A sweep says both in the environment of the notebook's kernel: `BMAD_SLICE` is the most that the
calls of the notebook's own store may have cost in all, in US dollars, first real and then simulated
money; `BMAD_ANSWERS` is a store whose answers serve too and that is never written. What a kernel
that died had spent is read from the notebook's store, where every call stands with its worst case
before it is sent.
"""

from __future__ import annotations

import functools
import json
import os
from decimal import Decimal
from pathlib import Path

from bmad_nb._files import Claim
from bmad_nb.budget import Budget, Reservation, parse_usd
from bmad_nb.errors import BudgetExceeded, StoreLocked, UsageProblem
from bmad_nb.messages import Price, Request
from bmad_nb.store import schema
from bmad_nb.store.reading import Reading

SLICE, ANSWERS = "BMAD_SLICE", "BMAD_ANSWERS"
REFUSED = "refused.json"
"""Written beside the notebook's store when a call did not fit into the slice."""
_SPENT = ("simulated", "state", "billed", "cost_usd", "reserved_usd", "from_store")


def answers() -> Path | None:
    """Return the store whose answers serve here too, or None."""
    named = os.environ.get(ANSWERS)
    return Path(named) if named else None


@functools.cache
def around(path: Path, *, simulated: bool) -> Budget | None:
    """Return the budget around all of this process, or None; money has one of each kind.

    Args:
        path: the store that its calls are kept in; another one than the notebook's own is not
            counted by the sweep, so that what costs money is refused there.
        simulated: the kind of money.
    """
    limit = os.environ.get(SLICE)
    if not limit:
        return None
    if os.environ.get("BMAD_STORE") != str(path):
        uncounted = " for calls that are kept in another store than the notebook's own"
        return Budget(Decimal(0), scope=uncounted)
    return Slice(path, parse_usd(limit.split()[simulated]), simulated=simulated)


class Slice(Budget):
    """What the calls of one store may cost in all; one process at a time can spend of it."""

    def __init__(self, path: Path, limit_usd: Decimal, *, simulated: bool) -> None:
        """Lock nothing and read nothing yet: most processes spend nothing."""
        super().__init__(limit_usd, scope=" in this notebook's slice of the sweep's budget")
        self._path, self._simulated = path, simulated
        self._begun, self._pid = False, os.getpid()

    async def reserve(self, llm: str, price: Price | None, request: Request) -> Reservation:
        """Hold back the worst case of a call.

        Raises:
            BudgetExceeded: it does not fit, and that is written down for the sweep.
            PriceUnknown: nobody knows the worst case.
            UsageProblem: another process of this notebook spends its slice.
        """
        if self._pid != os.getpid():  # a fork has its own idea of what is spent
            raise _taken()
        if not self._begun:
            _claim(self._path.parent)
            self.used += spent_of(Reading(self._path, sync="normal"))[self._simulated]
            self._begun = True
        try:
            return await super().reserve(llm, price, request)
        except BudgetExceeded as error:
            said = json.dumps({"needed_usd": str(error.needed_usd)})
            (self._path.parent / REFUSED).write_text(said)
            error.hint = "The sweep runs this notebook again if it has money left."
            raise


@functools.cache
def _claim(folder: Path) -> Claim:
    """Be the one process that spends the slice, for as long as this one lives."""
    try:
        return Claim(folder / "slice.lock", timeout_s=0)
    except StoreLocked:
        raise _taken() from None


def _taken() -> UsageProblem:
    return UsageProblem(
        "Another process of this notebook spends its slice of the sweep's budget.",
        hint="Ask in the notebook's own cells, or run the sweep without a budget.",
    )


def spent_of(store: Reading) -> dict[bool, Decimal]:
    """Return what the calls of a store cost, by whether the money is simulated.

    Where a cost is unknown the worst case counts, unless nothing was billed.
    """
    total = {False: 0, True: 0}
    for simulated, state, billed, cost, reserved, stored in store.columns(_SPENT):
        if stored:
            continue
        worst = cost is None and (billed != "no" or state in {"in_flight", "lost"})
        total[bool(simulated)] += (reserved if worst else cost) or 0
    return {simulated: schema.money(pico) or Decimal(0) for simulated, pico in total.items()}
