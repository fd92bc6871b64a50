"""Hard limits on money, calls and tokens: reserved before a call, settled after it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, Protocol

from bmad_nb.errors import BudgetExceeded, PriceUnknown, UsageProblem
from bmad_nb.messages import Price, Request

OnLimit = Literal["pause", "degrade", "fail"]
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
    """What is held back for one call: US dollars, or a number of calls or tokens."""

    amount: Decimal
    """Worst case of the call."""
    open: bool = True
    around: Reservation | None = None
    """What is held back for the same call in the budget around this one."""


class Level(Protocol):
    """One limit above a call."""

    async def reserve(self, llm: str, price: Price | None, request: Request) -> Reservation:
        """Hold back the worst case, waiting for running calls if they may leave enough.

        Raises:
            BudgetExceeded: it does not fit, however the running calls end.
        """
        ...

    def settle(
        self, reservation: Reservation, cost_usd: Decimal | None, tokens: int | None
    ) -> None:
        """Replace a reservation by what was really used; None keeps the worst case."""
        ...

    def release(self, reservation: Reservation, used: Decimal | None) -> None:
        """Put `used` in the place of a reservation; None keeps the worst case."""
        ...


class _Allowance:
    """A limit, what is used of it, and what is held back.

    Invariant: `used + held <= limit` whenever there is a limit.
    """

    def __init__(self, limit: Decimal | None, used: Decimal, on_limit: OnLimit) -> None:
        self.limit, self.used, self.held = limit, used, Decimal(0)
        self._on_limit: OnLimit = on_limit
        self._settled = asyncio.Event()

    async def hold(self, amount: Decimal, exceeded: Callable[[], BudgetExceeded]) -> Reservation:
        while self.limit is not None and self.used + self.held + amount > self.limit:
            if not self.held:
                error = exceeded()
                error.on_limit = self._on_limit
                raise error
            self._settled.clear()
            await self._settled.wait()
        self.held += amount
        return Reservation(amount)

    def release(self, reservation: Reservation, used: Decimal | None) -> None:
        """Put `used` in the place of a reservation; None keeps the worst case."""
        if not reservation.open:
            return
        reservation.open = False
        self.held -= reservation.amount
        self.used += reservation.amount if used is None else used
        self._settled.set()


class Budget(_Allowance):
    """A limit on money, for all calls that are paid in the same kind of money.

    Args:
        limit_usd: US dollars; no limit means no refusal.
        spent_usd: gone already, as after a resume.
        on_limit: what happens to the run where the next call does not fit.
        scope: what the limit stands over, for the message.
        around: a budget that this one is a part of; each call has to fit into both.
    """

    def __init__(
        self,
        limit_usd: Decimal | None = None,
        spent_usd: Decimal = Decimal(0),
        *,
        on_limit: OnLimit = "pause",
        scope: str = "",
        around: Budget | None = None,
    ) -> None:
        """Start with nothing held back."""
        super().__init__(limit_usd, spent_usd, on_limit)
        self._scope, self._around = scope, around

    @property
    def limit_usd(self) -> Decimal | None:
        """The limit, in US dollars."""
        return self.limit

    @property
    def spent_usd(self) -> Decimal:
        """What is spent, in US dollars."""
        return self.used

    @property
    def held_usd(self) -> Decimal:
        """What is held back for calls in flight, in US dollars."""
        return self.held

    async def reserve(self, llm: str, price: Price | None, request: Request) -> Reservation:
        """Hold back the worst case, waiting for running calls if they may leave enough.

        Raises:
            PriceUnknown: there is a limit and no price to reckon the worst case with.
            BudgetExceeded: it does not fit, however the running calls end.
        """
        if price is None and self.limit is not None:
            raise PriceUnknown(
                f"The price of {llm} is unknown, so a budget cannot cover it.",
                hint=f'Give it in the settings under [prices."{llm}"], or run without a budget.',
            )
        worst = price.worst_case(request) if price else Decimal(0)
        around = await self._around.reserve(llm, price, request) if self._around else None
        try:
            held = await self.hold(worst, lambda: self._exceeded(llm, worst))
        except BaseException:
            if self._around and around:
                self._around.release(around, Decimal(0))
            raise
        held.around = around
        return held

    def release(self, reservation: Reservation, used: Decimal | None) -> None:
        """Put `used` in the place of a reservation; None keeps the worst case."""
        if self._around and reservation.around:
            self._around.release(reservation.around, used)
        super().release(reservation, used)

    def settle(
        self, reservation: Reservation, cost_usd: Decimal | None, tokens: int | None = None
    ) -> None:
        """Replace a reservation by the real cost; None keeps the worst case as spent."""
        del tokens
        self.release(reservation, cost_usd)

    def _exceeded(self, llm: str, worst: Decimal) -> BudgetExceeded:
        left = (self.limit or Decimal(0)) - self.used
        return BudgetExceeded(
            f"The next call to {llm} could cost ${worst:f}, and ${left:f} of "
            f"${self.limit:f} is left{self._scope}.",
            hint="Raise the budget, or lower max_tokens.",
            limit_usd=self.limit,
            spent_usd=self.used,
            needed_usd=worst,
        )


class Quota(_Allowance):
    """A limit on the number of calls, or of tokens of input and output together.

    Args:
        limit: most calls or tokens; None is no limit.
        unit: which of them.
        used: gone already, as after a resume.
        on_limit: what happens to the run where the next call does not fit.
        scope: what the limit stands over, for the message.
    """

    def __init__(
        self,
        limit: int | None,
        unit: Literal["calls", "tokens"],
        used: int = 0,
        *,
        on_limit: OnLimit = "pause",
        scope: str = "",
    ) -> None:
        """Start with nothing held back."""
        super().__init__(None if limit is None else Decimal(limit), Decimal(used), on_limit)
        self._unit, self._scope = unit, scope

    async def reserve(self, llm: str, price: Price | None, request: Request) -> Reservation:
        """Hold back one call, or the most tokens that the call can have.

        Raises:
            BudgetExceeded: it does not fit, however the running calls end.
        """
        del price
        worst = 1 if self._unit == "calls" else request.most_tokens

        def exceeded() -> BudgetExceeded:
            left = (self.limit or Decimal(0)) - self.used
            could = "" if self._unit == "calls" else f" could have {worst} tokens, and"
            return BudgetExceeded(
                f"The next call to {llm}{could} does not fit: {left} of {self.limit} "
                f"{self._unit} are left{self._scope}.",
                hint=f"Raise limits.{self._unit}.",
            )

        return await self.hold(Decimal(worst), exceeded)

    def settle(
        self, reservation: Reservation, cost_usd: Decimal | None, tokens: int | None
    ) -> None:
        """Replace a reservation by what was used; a call counts whatever became of it."""
        del cost_usd
        spent = None if self._unit == "calls" or tokens is None else Decimal(tokens)
        self.release(reservation, spent)


@dataclass(frozen=True, slots=True)
class Held:
    """Reservations in all limits that stand above one call."""

    parts: tuple[Reservation, ...]

    @property
    def amount_usd(self) -> Decimal:
        """US dollars that are held back."""
        return self.parts[0].amount


@dataclass(frozen=True, slots=True)
class Purse:
    """All limits above one LLM's calls; the first is a budget."""

    levels: tuple[Level, ...]
    llm: str
    price: Price | None

    async def reserve(self, request: Request) -> Held:
        """Hold back the worst case at every level, or at none.

        Raises:
            BudgetExceeded: it does not fit at one of them.
        """
        held: list[Reservation] = []
        try:
            for level in self.levels:
                held.append(await level.reserve(self.llm, self.price, request))  # noqa: PERF401
        except BaseException:
            self.give_back(Held(tuple(held)))
            raise
        return Held(tuple(held))

    def give_back(self, held: Any) -> None:
        """Take back a reservation of a call that was not sent."""
        for level, part in zip(self.levels, held.parts, strict=False):
            level.release(part, Decimal(0))

    def settle(self, held: Any, cost_usd: Decimal | None, tokens: int | None = None) -> None:
        """Replace what was held by what was used; None keeps the worst case."""
        for level, part in zip(self.levels, held.parts, strict=False):
            level.settle(part, cost_usd, tokens)
