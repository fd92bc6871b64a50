"""Budgets: what may be spent is never passed, and nobody waits for money that cannot come."""

from __future__ import annotations

import asyncio
import random
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmad_nb.budget import Budget, Reservation, parse_usd
from bmad_nb.errors import BudgetExceeded, PriceUnknown, UsageProblem
from bmad_nb.messages import Message, Price, Request

PRICE = Price(Decimal(0), Decimal(1))
"""One dollar per million tokens of output; input is free."""


def request(max_tokens: int) -> Request:
    """Return a request whose worst case is `max_tokens` millionths of a dollar at `PRICE`."""
    return Request("own/x", "here", "x", (Message("user", "?"),), max_tokens)


def micro(count: int) -> Decimal:
    """Return millionths of a dollar."""
    return Decimal(count) / 1_000_000


@pytest.mark.parametrize(
    ("expected", "text"),
    [("0.50", "$0.50"), ("1", "1"), ("0.1", 0.1), ("0", 0), ("0.5", ".5"),
     ("3.", "3."), ("2.5", Decimal("2.5")), ("7", " 7 ")],
)  # fmt: skip
def test_an_amount_is_exact(expected: str, text: Any) -> None:
    """What a person writes as an amount is that amount, to the digit."""
    assert Decimal(expected) == parse_usd(text)


@pytest.mark.parametrize(
    "text",
    ["-1", -1, "a lot", "", "1e3", "1,000", "NaN", float("nan"), float("inf"), "$", "1 USD", "+1", "++1",
     "$-1", Decimal("-0.01"), Decimal("Infinity")],
)  # fmt: skip
def test_what_is_no_amount_is_refused(text: Any) -> None:
    """A negative, endless or unreadable amount is a UsageProblem."""
    with pytest.raises(UsageProblem):
        parse_usd(text)


def test_without_a_limit_nothing_is_refused() -> None:
    """Without a limit every call may go, even one without a price; what is spent is counted."""

    async def spend() -> Budget:
        budget = Budget()
        budget.settle(await budget.reserve("x", None, request(5)), None)
        budget.settle(await budget.reserve("x", PRICE, request(10**9)), micro(7))
        return budget

    budget = asyncio.run(spend())
    assert (micro(7), Decimal(0)) == (budget.spent_usd, budget.held_usd)


def test_a_reservation_is_replaced_by_the_real_cost() -> None:
    """The worst case is held until the cost is known; then only the cost is gone, once."""

    async def spend() -> None:
        budget = Budget(micro(100))
        held = await budget.reserve("x", PRICE, request(60))
        assert (micro(60), Decimal(0)) == (budget.held_usd, budget.spent_usd)
        budget.settle(held, micro(10))
        budget.settle(held, micro(10))
        assert (Decimal(0), micro(10)) == (budget.held_usd, budget.spent_usd)

    asyncio.run(spend())


def test_an_unknown_cost_counts_as_the_worst_case() -> None:
    """A call whose cost nobody knows is counted in full: it may have been billed."""

    async def spend() -> Decimal:
        budget = Budget(micro(100))
        budget.settle(await budget.reserve("x", PRICE, request(60)), None)
        return budget.spent_usd

    assert micro(60) == asyncio.run(spend())


def test_what_does_not_fit_is_refused_with_its_amounts() -> None:
    """A call that cannot fit is BudgetExceeded at once, with limit, spent and needed."""

    async def spend() -> None:
        await Budget(micro(100), spent_usd=micro(50)).reserve("own/x", PRICE, request(51))

    with pytest.raises(BudgetExceeded) as caught:
        asyncio.run(spend())
    error = caught.value
    assert (micro(100), micro(50), micro(51)) == (
        error.limit_usd,
        error.spent_usd,
        error.needed_usd,
    )
    assert (
        "The next call to own/x could cost $0.000051, and $0.00005 of $0.0001 is left."
        == error.what
    )


def test_what_just_fits_is_allowed() -> None:
    """A worst case that equals what is left is allowed, and a free call always is."""

    async def spend() -> Budget:
        budget = Budget(micro(100), spent_usd=micro(50))
        await budget.reserve("x", PRICE, request(50))
        await budget.reserve("x", Price(Decimal(0), Decimal(0)), request(10**6))
        return budget

    assert micro(50) == asyncio.run(spend()).held_usd


def test_without_a_price_a_budget_covers_nothing() -> None:
    """Under a limit, an LLM without a known price is not asked, and the remedy is said."""

    async def spend() -> None:
        await Budget(Decimal(1000)).reserve("lab/new", None, request(1))

    with pytest.raises(PriceUnknown) as caught:
        asyncio.run(spend())
    assert '[prices."lab/new"]' in caught.value.hint


def test_a_call_waits_while_others_may_leave_room() -> None:
    """A call that does not fit now waits for those in flight, and goes when they leave enough."""

    async def spend() -> list[str]:
        said: list[str] = []
        budget = Budget(micro(100))
        first = await budget.reserve("x", PRICE, request(80))

        async def second() -> None:
            await budget.reserve("x", PRICE, request(60))
            said.append("second goes")

        waiting = asyncio.create_task(second())
        for _ in range(5):
            await asyncio.sleep(0)
        said.append("first ends")
        budget.settle(first, micro(40))
        async with asyncio.timeout(5):
            await waiting
        return said

    assert ["first ends", "second goes"] == asyncio.run(spend())


def test_a_waiting_call_is_refused_when_nothing_can_leave_room() -> None:
    """When those in flight have spent too much, a waiting call is refused and waits no longer."""

    async def spend() -> None:
        budget = Budget(micro(100))
        first = await budget.reserve("x", PRICE, request(80))
        waiting = asyncio.create_task(budget.reserve("x", PRICE, request(60)))
        await asyncio.sleep(0)
        budget.settle(first, micro(41))
        async with asyncio.timeout(5):
            await waiting

    with pytest.raises(BudgetExceeded):
        asyncio.run(spend())


def test_of_64_at_once_with_money_for_ten_at_most_ten_go() -> None:
    """64 concurrent calls that cost their worst case: ten go, 54 are refused, none hangs."""

    async def spend() -> tuple[list[str], Budget]:
        budget = Budget(micro(109))

        async def one() -> str:
            try:
                held = await budget.reserve("x", PRICE, request(10))
            except BudgetExceeded:
                return "refused"
            await asyncio.sleep(random.random() / 1000)
            budget.settle(held, None)
            return "went"

        async with asyncio.timeout(20):
            return list(await asyncio.gather(*(one() for _ in range(64)))), budget

    outcomes, budget = asyncio.run(spend())
    assert (10, 54) == (outcomes.count("went"), outcomes.count("refused"))
    assert (micro(100), Decimal(0)) == (budget.spent_usd, budget.held_usd)


calls = st.lists(
    st.tuples(
        st.integers(1, 60),
        st.one_of(st.none(), st.floats(0, 1)),
        st.integers(0, 3),
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 150), calls)
def test_spent_and_held_never_pass_the_limit(
    limit: int, wanted: list[tuple[int, float | None, int]]
) -> None:
    """Whatever the order, costs and waits: spent + held <= limit at every step, and all end."""

    async def spend() -> None:
        budget = Budget(micro(limit))
        seen: list[bool] = []

        def look() -> None:
            seen.append(budget.spent_usd + budget.held_usd <= micro(limit))
            seen.append(budget.held_usd >= 0)

        async def one(tokens: int, share: float | None, steps: int) -> None:
            try:
                held: Reservation = await budget.reserve("x", PRICE, request(tokens))
            except BudgetExceeded:
                return
            finally:
                look()
            for _ in range(steps):
                await asyncio.sleep(0)
            budget.settle(held, None if share is None else held.amount * Decimal(share))
            look()

        async with asyncio.timeout(20):
            await asyncio.gather(*(one(*call) for call in wanted))
        assert all(seen)
        assert Decimal(0) == budget.held_usd

    asyncio.run(spend())
