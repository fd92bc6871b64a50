"""A hard limit on money: the worst case is reserved before a call and settled after it."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from bmad_nb.errors import BudgetExceeded, PriceUnknown, UsageProblem
from bmad_nb.messages import Price, Request

_AMOUNT = re.compile(r"^\$?(\d+(?:\.\d*)?|\.\d+)$")


def parse_usd(text: str | float | Decimal) -> Decimal:
    """Return an amount of US dollars.

    >>> parse_usd("$0.50")
    Decimal('0.50')

    Raises:
        UsageProblem: it is not a finite amount of zero or more.
    """
    if isinstance(text, str) and text.strip().startswith("+"):
        raise UsageProblem(
            f"{text!r}: a budget is a total here.", hint="Write the new total, without a plus."
        )
    if isinstance(text, str):
        match = _AMOUNT.match(text.strip())
        spelled = match.group(1) if match else "nan"
    else:
        spelled = str(text)
    try:
        amount = Decimal(spelled)
    except InvalidOperation:
        amount = Decimal("nan")
    if not amount.is_finite() or amount < 0:
        raise UsageProblem(f"{text!r} is not a budget.", hint="Write US dollars, such as 0.50.")
    return amount


@dataclass(slots=True)
class Reservation:
    """Money that is held back for one call."""

    amount_usd: Decimal
    """Worst case of the call."""
    open: bool = True


class Budget:
    """One purse with a limit, for all calls of a run that are paid in the same kind of money.

    Invariant: `spent_usd + held_usd <= limit_usd` whenever there is a limit.
    """

    def __init__(self, limit_usd: Decimal | None = None, spent_usd: Decimal = Decimal(0)) -> None:
        """Start with `spent_usd` gone already, as after a resume; no limit means no refusal."""
        self.limit_usd = limit_usd
        self.spent_usd = spent_usd
        self.held_usd = Decimal(0)
        self._settled = asyncio.Event()

    async def reserve(self, llm: str, price: Price | None, request: Request) -> Reservation:
        """Hold back the worst case, waiting for running calls if they may leave enough.

        Raises:
            PriceUnknown: there is a limit and no price to reckon the worst case with.
            BudgetExceeded: it does not fit, however the running calls end.
        """
        if self.limit_usd is None:
            return self._hold(price.worst_case(request) if price else Decimal(0))
        if price is None:
            raise PriceUnknown(
                f"The price of {llm} is unknown, so a budget cannot cover it.",
                hint=f'Give it in the settings under [prices."{llm}"], or run without a budget.',
            )
        worst = price.worst_case(request)
        while self.spent_usd + self.held_usd + worst > self.limit_usd:
            if not self.held_usd:
                raise self._exceeded(llm, worst)
            self._settled.clear()
            await self._settled.wait()
        return self._hold(worst)

    def settle(self, reservation: Reservation, cost_usd: Decimal | None) -> None:
        """Replace a reservation by the real cost; None keeps the worst case as spent."""
        if not reservation.open:
            return
        reservation.open = False
        self.held_usd -= reservation.amount_usd
        self.spent_usd += reservation.amount_usd if cost_usd is None else cost_usd
        self._settled.set()

    def _hold(self, amount: Decimal) -> Reservation:
        self.held_usd += amount
        return Reservation(amount)

    def _exceeded(self, llm: str, worst: Decimal) -> BudgetExceeded:
        left = (self.limit_usd or Decimal(0)) - self.spent_usd
        return BudgetExceeded(
            f"The next call to {llm} could cost ${worst:f}, and ${left:f} of "
            f"${self.limit_usd:f} is left.",
            hint="Raise the budget, or lower max_tokens.",
            limit_usd=self.limit_usd,
            spent_usd=self.spent_usd,
            needed_usd=worst,
        )
