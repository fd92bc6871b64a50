"""Hedging: a second try beside a slow first one, and what of it the ledger says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path

import pytest

from bmad_nb.calls.hedging import first_answer
from bmad_nb.errors import BudgetExceeded
from bmad_nb.events import CallRow
from bmad_nb.workspace import Workspace
from tests.engine import virtual
from tests.fake_provider import FakeProvider


def after(
    seconds: float, state: str, call_id: str, log: list[str]
) -> Callable[[], Awaitable[CallRow]]:
    """Return a send that ends after a while."""

    async def send() -> CallRow:
        log.append(f"{call_id} sent")
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            log.append(f"{call_id} broken off")
            raise
        if state == "over":
            raise BudgetExceeded("no money")
        return CallRow(call_id, "r", "e/x", "k", state)  # type: ignore[arg-type]

    return send


@pytest.mark.parametrize(
    ("first", "second", "won", "took", "log"),
    [
        ((1, "answered"), (1, "answered"), "a", 1, ["a sent"]),
        ((9, "answered"), (1, "answered"), "b", 3, ["a sent", "b sent", "a broken off"]),
        ((3, "answered"), (9, "answered"), "a", 3, ["a sent", "b sent", "b broken off"]),
        ((5, "answered"), (1, "failed"), "a", 5, ["a sent", "b sent"]),
        ((3, "failed"), (4, "answered"), "b", 6, ["a sent", "b sent"]),
        ((3, "failed"), (4, "failed"), "a", 6, ["a sent", "b sent"]),
        ((1, "failed"), (1, "answered"), "a", 1, ["a sent"]),
        ((5, "answered"), (0, "over"), "a", 5, ["a sent", "b sent"]),
    ],
)
def test_the_first_answer_is_taken(
    first: tuple[float, str], second: tuple[float, str], won: str, took: float, log: list[str]
) -> None:
    """After two seconds a second one goes out; the first answer of either wins."""
    told: list[str] = []
    row, seconds = virtual.run(first_answer(after(*first, "a", told), after(*second, "b", told), 2))
    assert (won, took, log) == (row.call_id, seconds, told)


def test_the_ledger_has_both(project: Path) -> None:
    """The slow one is broken off and may have been billed; the answer is the quick one's."""
    with FakeProvider({"models": {"small": {"faults": ["hang"], "latency_s": 0.01}}}) as fake:
        config = {
            "endpoints": {"my": {"base_url": fake.url}},
            "engine": {"hedge_after_s": 0.2},
            "prices": {"my/small": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 1}},
        }
        space = Workspace(config, store=project / "store.db")
        result = space.ask("[answer: 42] So?", "my/small", budget_usd=1)
        rows = {row.state: row for row in space.store.calls()}
        assert ("42", 2) == (result.text, fake.counts()["received"])
        assert {"answered", "cancelled"} == set(rows)
        assert ("maybe", None) == (rows["cancelled"].billed, rows["cancelled"].cost_usd)
        assert rows["answered"].cost_usd == result.cost_usd > Decimal(0)
        assert 1 == len({row.request_key for row in rows.values()})
        keys = {each["headers"]["idempotency-key"] for each in fake.requests()}
        assert 1 == len(keys)
        again = space.ask("[answer: 42] So?", "my/small")
        assert again.rows[0].from_store
        space.close()
