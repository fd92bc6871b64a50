"""A batch of calls: what is sent and how often, what is written down first, and what stops it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Awaitable, Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bmad_nb.budget import Budget, Purse
from bmad_nb.calls.calls import Ask, Calls
from bmad_nb.calls.pacing import OpenGate
from bmad_nb.errors import BudgetExceeded, RateLimited, StoreError
from bmad_nb.events import (
    CallEnded,
    CallIntended,
    CallRow,
    Event,
    RunRow,
    RunStarted,
    TaskEnded,
    TaskRow,
)
from bmad_nb.messages import Completion, Message, Price, Request, Usage
from bmad_nb.store.journal import Store
from bmad_nb.store.reading import now_utc

PRICE = Price(Decimal(0), Decimal(1))
"""A token of output costs a millionth of a dollar."""


def micro(count: int) -> Decimal:
    """Return millionths of a dollar."""
    return Decimal(count) / 1_000_000


class Journal:
    """A store that also says, in order, what it was told."""

    def __init__(self, store: Store) -> None:
        """Begin with nothing told."""
        self.store = store
        self.told: list[Event] = []
        self.full = False

    async def commit(self, *events: Event) -> None:
        """Keep the events, or fail where the disk is said to be full."""
        if self.full:
            raise StoreError("The disk is full.")
        await self.store.commit(*events)
        self.told += events

    def stored(self, request_key: str, run_id: str = "") -> CallRow | None:
        """Return what the store has."""
        return self.store.stored(request_key, run_id)


class Bench:
    """Asks, an LLM that counts, a journal and a budget."""

    def __init__(self, folder: Path, limit_usd: Decimal | None = None) -> None:
        """Set up with an LLM that answers at once."""
        self.journal = Journal(Store(folder / ".bmad" / "bmad.db"))
        self.budget = Budget(limit_usd)
        self.sent: list[str] = []
        self.in_flight = self.most = 0
        self.seen: list[CallRow] = []
        self.begun: set[str] = set()
        self.answer: Callable[[Request], Awaitable[Completion]] = self.at_once

    async def at_once(self, request: Request) -> Completion:
        """Answer with the prompt and one token for each letter."""
        return Completion(request.prompt.upper(), Usage(1, len(request.prompt)))

    async def complete(self, request: Request) -> Completion:
        """Count, and answer."""
        self.sent.append(request.prompt)
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        try:
            return await self.answer(request)
        finally:
            self.in_flight -= 1

    def take_up(self, run_id: str) -> None:
        """Let the store begin the run, once."""
        if run_id not in self.begun:
            self.begun.add(run_id)
            run = RunRow(run_id, "ask", "running", owner=self.journal.store.owner_name(), fence=1)
            asyncio.run(self.journal.store.commit(RunStarted(run)))

    def ask(
        self,
        number: int,
        prompt: str,
        max_tokens: int = 10,
        run_id: str = "r",
        *,
        fresh: bool = False,
        timeout_s: float = 20,
        seal: Callable[[CallRow], Sequence[Event]] = lambda _row: (),
    ) -> Ask:
        """Return one ask."""
        turns = (Message("user", prompt),)
        request = Request("own/x", "here", "x", turns, max_tokens, fresh=run_id if fresh else "")
        row = CallRow(f"{run_id}-{number}", run_id, "own/x", request.key, "in_flight",
                      case=f"c{number}", messages=turns)  # fmt: skip
        self.take_up(run_id)
        score = lambda row: dataclasses.replace(row, score=float(len(row.text or "")))  # noqa: E731
        purse = Purse((self.budget,), "own/x", PRICE)
        return Ask(
            row, request, self.complete, PRICE.cost, score, purse, timeout_s, OpenGate(), seal
        )

    def run(self, *asks: Ask, limit: int = 10) -> Calls:
        """Run a batch, with a guard against hanging."""
        calls = Calls(self.journal, now_utc, limit=limit, progress=self.seen.append)

        async def work() -> None:
            async with asyncio.timeout(30):
                await calls.run(asks)

        asyncio.run(work())
        return calls


@pytest.fixture
def benches(project: Path) -> Iterator[Callable[..., Bench]]:
    """Give a maker of benches on one folder, whose stores are closed in the end."""
    with contextlib.ExitStack() as made:

        def make(limit_usd: Decimal | None = None) -> Bench:
            bench = Bench(project, limit_usd)
            made.callback(bench.journal.store.close)
            return bench

        yield make


@pytest.fixture
def bench(benches: Callable[..., Bench]) -> Bench:
    """Give a bench without a limit."""
    return benches()


def test_each_ask_gets_its_answer(bench: Bench) -> None:
    """A row has the answer, tokens, cost, times and score of its call."""
    calls = bench.run(bench.ask(0, "ab"), bench.ask(1, "cde"))
    row = calls.rows["r-1"]
    assert ("answered", "CDE", "c1", 3.0) == (row.state, row.text, row.case, row.score)
    assert (1, 3, micro(3), micro(3)) == (
        row.input_tokens,
        row.output_tokens,
        row.cost_usd,
        row.original_cost_usd,
    )
    assert ("yes", False) == (row.billed, row.from_store)
    assert row.started_utc <= row.ended_utc
    assert {"r-0", "r-1"} == set(calls.rows)
    assert micro(5) == bench.budget.spent_usd
    assert Decimal(0) == bench.budget.held_usd


def test_the_intent_is_durable_before_anything_is_sent(bench: Bench) -> None:
    """When the LLM is asked, the store already has the call in flight and what it may cost."""
    found: list[CallRow] = []

    async def look(request: Request) -> Completion:
        found.extend(bench.journal.store.calls())
        return Completion("x")

    bench.answer = look
    bench.run(bench.ask(0, "ab"))
    assert ["in_flight"] == [row.state for row in found]
    assert micro(10) == found[0].reserved_usd


def test_the_outcome_is_durable_before_anybody_sees_it(bench: Bench) -> None:
    """Progress shows an answer only when the store has it."""
    states: list[str] = []

    def look(row: CallRow) -> None:
        states.append(f"{row.state}, stored as {bench.journal.store.calls()[0].state}")

    calls = Calls(bench.journal, now_utc, limit=1, progress=look)
    asyncio.run(calls.run([bench.ask(0, "ab")]))
    assert ["in_flight, stored as in_flight", "answered, stored as answered"] == states


def test_equal_requests_are_sent_once(bench: Bench) -> None:
    """Of twenty equal requests one is sent; the others take its answer and cost nothing."""

    async def slowly(request: Request) -> Completion:
        await asyncio.sleep(0.01)
        return Completion("same", Usage(1, 5))

    bench.answer = slowly
    calls = bench.run(*(bench.ask(n, "ab") for n in range(20)), bench.ask(20, "other"))
    assert ["ab", "other"] == sorted(bench.sent)
    assert {"same"} == {row.text for row in calls.rows.values()}
    assert [f"c{n}" for n in range(21)] == sorted(
        (row.case for row in calls.rows.values()), key=lambda case: int(case[1:])
    )
    copies = [row for row in calls.rows.values() if row.from_store]
    assert 19 == len(copies)
    assert {Decimal(0)} == {row.cost_usd for row in copies}
    assert {micro(5)} == {row.original_cost_usd for row in copies}
    assert micro(10) == bench.budget.spent_usd


def test_equal_requests_share_a_failure(bench: Bench) -> None:
    """When the one that was sent fails, the others fail with it and are not sent in turn."""

    async def fail(request: Request) -> Completion:
        await asyncio.sleep(0.01)
        raise RateLimited("Slow down.", llm="own/x", hint="Wait.")

    bench.answer = fail
    calls = bench.run(*(bench.ask(n, "ab") for n in range(5)))
    assert ["ab"] == bench.sent
    assert {("failed", "RateLimited", False)} == {
        (row.state, row.error_kind, row.from_store) for row in calls.rows.values()
    }


def test_a_stored_answer_is_served_without_a_call(bench: Bench) -> None:
    """The second run sends nothing, costs nothing, keeps the original cost, and scores anew."""
    first = bench.run(bench.ask(0, "ab")).rows["r-0"]
    calls = bench.run(bench.ask(7, "ab", run_id="s"))
    row = calls.rows["s-7"]
    assert ["ab"] == bench.sent
    assert (True, Decimal(0), first.cost_usd, 0.0, "no") == (
        row.from_store,
        row.cost_usd,
        row.original_cost_usd,
        row.latency_s,
        row.billed,
    )
    assert ("s", "c7", "AB", 2.0) == (row.run_id, row.case, row.text, row.score)


def test_fresh_asks_anew(bench: Bench) -> None:
    """With fresh, a stored answer is not used, and equal requests are still sent once."""
    bench.run(bench.ask(0, "ab"))
    bench.run(
        bench.ask(1, "ab", run_id="s", fresh=True), bench.ask(2, "ab", run_id="s", fresh=True)
    )
    assert ["ab", "ab"] == bench.sent
    bench.run(bench.ask(3, "ab", run_id="s", fresh=True))
    assert ["ab", "ab"] == bench.sent, "Its own run's new answer serves."
    bench.run(bench.ask(0, "ab", run_id="t", fresh=True))
    assert ["ab"] * 3 == bench.sent


@pytest.mark.parametrize("limit", [1, 3, 10])
def test_at_most_limit_calls_are_in_flight(bench: Bench, limit: int) -> None:
    """However many wait, no more than the limit are in flight, and the limit is used."""

    async def slowly(request: Request) -> Completion:
        await asyncio.sleep(0.002)
        return Completion("x")

    bench.answer = slowly
    bench.run(*(bench.ask(n, f"p{n}") for n in range(40)), limit=limit)
    assert (limit, 40) == (bench.most, len(bench.sent))


def test_the_budget_stops_what_does_not_fit(benches: Callable[..., Bench]) -> None:
    """With money for three worst cases that are really spent, three calls are made."""
    bench = benches(micro(35))

    async def dear(request: Request) -> Completion:
        await asyncio.sleep(0.001)
        return Completion("x", Usage(0, 10))

    bench.answer = dear
    calls = bench.run(*(bench.ask(n, f"p{n}") for n in range(20)))
    assert (3, 3) == (len(bench.sent), len(calls.rows))
    assert calls.exceeded is not None
    assert micro(30) == bench.budget.spent_usd
    assert Decimal(0) == bench.budget.held_usd
    assert 3 == len(bench.journal.store.calls())


def test_equal_requests_are_stopped_with_the_first(benches: Callable[..., Bench]) -> None:
    """What waits for a request that the budget refused ends too, without a row."""
    bench = benches(micro(5))
    calls = bench.run(*(bench.ask(n, "ab") for n in range(4)))
    assert ([], {}) == (bench.sent, calls.rows)
    assert calls.exceeded is not None


def test_stored_answers_need_no_budget(benches: Callable[..., Bench]) -> None:
    """A budget of nothing still serves what is stored."""
    rich = benches()
    rich.run(rich.ask(0, "ab"))
    poor = benches(Decimal(0))
    calls = poor.run(poor.ask(1, "ab", run_id="s"))
    assert ("AB", None) == (calls.rows["s-1"].text, calls.exceeded)


@pytest.mark.parametrize(
    "error",
    [ValueError("odd"), ZeroDivisionError(), KeyError("k"), AttributeError("a"), OSError(5)],
)
def test_any_error_of_an_llm_is_a_failed_row(bench: Bench, error: Exception) -> None:
    """An LLM that raises what it should not has a failed row that names it; others go on."""

    async def fail(request: Request) -> Completion:
        if request.prompt == "bad":
            raise error
        return await bench.at_once(request)

    bench.answer = fail
    calls = bench.run(bench.ask(0, "bad"), bench.ask(1, "good"))
    row = calls.rows["r-0"]
    assert ("failed", "LLMError", "maybe", None) == (
        row.state,
        row.error_kind,
        row.billed,
        row.cost_usd,
    )
    assert type(error).__name__ in row.error
    assert "answered" == calls.rows["r-1"].state
    assert Decimal(0) == bench.budget.held_usd


@pytest.mark.parametrize(
    ("billed", "cost", "spent"),
    [("no", Decimal(0), 0), ("maybe", None, 10), ("yes", None, 10)],
)
def test_what_a_failed_call_may_have_cost(
    bench: Bench, billed: Any, cost: Decimal | None, spent: int
) -> None:
    """A call that surely was not billed costs nothing; any other counts in full in the budget."""

    async def fail(request: Request) -> Completion:
        raise RateLimited("No.", billed=billed)

    bench.answer = fail
    row = bench.run(bench.ask(0, "ab")).rows["r-0"]
    assert (billed, cost) == (row.billed, row.cost_usd)
    assert micro(spent) == bench.budget.spent_usd


def test_a_call_that_takes_too_long_fails(bench: Bench) -> None:
    """After its time a call is given up as TimedOut, maybe billed, and others keep their answers."""
    stopped: list[str] = []

    async def hang(request: Request) -> Completion:
        if request.prompt == "slow":
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                stopped.append(request.prompt)
                raise
        return await bench.at_once(request)

    bench.answer = hang
    calls = bench.run(bench.ask(0, "slow", timeout_s=0.05), bench.ask(1, "ab"))
    assert ["slow"] == stopped
    row = calls.rows["r-0"]
    assert ("failed", "TimedOut", "maybe") == (row.state, row.error_kind, row.billed)
    assert "0.05 s" in row.error
    assert "answered" == calls.rows["r-1"].state


def test_a_cancelled_batch_keeps_what_it_has(bench: Bench) -> None:
    """Cancelled, a batch breaks off what is in flight, marks it maybe billed, and sends no more."""

    async def hang(request: Request) -> Completion:
        if request.prompt != "quick":
            await asyncio.sleep(60)
        return Completion("x", Usage(0, 1))

    bench.answer = hang
    calls = Calls(bench.journal, now_utc, limit=3, progress=bench.seen.append)
    asks = [bench.ask(0, "quick"), *(bench.ask(n, f"p{n}") for n in range(1, 9))]

    async def work() -> None:
        task = asyncio.create_task(calls.run(asks))
        while len(bench.sent) < 4:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert {asyncio.current_task()} == asyncio.all_tasks()

    asyncio.run(work())
    states = [row.state for row in calls.rows.values()]
    assert (1, 3) == (states.count("answered"), states.count("cancelled"))
    assert 4 == len(bench.sent)
    broken = [row for row in calls.rows.values() if row.state == "cancelled"]
    assert {"maybe"} == {row.billed for row in broken}
    assert 0 == bench.in_flight
    assert Decimal(0) == bench.budget.held_usd
    assert micro(31) == bench.budget.spent_usd


def test_when_nothing_can_be_written_nothing_is_sent(bench: Bench) -> None:
    """Without a durable intent no call is made, and its money is free again."""
    bench.journal.full = True
    with pytest.raises(StoreError):
        bench.run(*(bench.ask(n, f"p{n}") for n in range(5)))
    assert [] == bench.sent
    assert Decimal(0) == bench.budget.held_usd


def test_a_disk_that_fills_up_stops_the_batch(bench: Bench) -> None:
    """When an outcome cannot be written, no further call is sent."""

    async def fill(request: Request) -> Completion:
        await asyncio.sleep(0.001)
        bench.journal.full = len(bench.sent) >= 3
        return Completion("x")

    bench.answer = fill
    with pytest.raises(StoreError):
        bench.run(*(bench.ask(n, f"p{n}") for n in range(20)), limit=1)
    assert 3 == len(bench.sent)


def test_odd_finish_reasons_are_one_short_word(bench: Bench) -> None:
    """A provider's own word is kept in ASCII and cut, for it goes into a column."""

    async def odd(request: Request) -> Completion:
        return Completion("x", finish_reason="ü\ud800" + "y" * 100)

    bench.answer = odd
    reason = bench.run(bench.ask(0, "ab")).rows["r-0"].finish_reason
    assert reason.isascii()
    assert 40 == len(reason)


def test_every_event_is_told_in_order(bench: Bench) -> None:
    """A call's intent goes before its outcome, and nothing is told twice."""
    bench.run(bench.ask(0, "ab"), bench.ask(1, "ab"), bench.ask(2, "cd"))
    told = [(event.kind, event.call.call_id) for event in bench.journal.told
            if isinstance(event, CallIntended | CallEnded)]  # fmt: skip
    assert sorted(told) == sorted(
        [("call_intended", "r-0"), ("call_ended", "r-0"), ("call_ended", "r-1"),
         ("call_intended", "r-2"), ("call_ended", "r-2")]
    )  # fmt: skip
    for call_id in ("r-0", "r-2"):
        assert told.index(("call_intended", call_id)) < told.index(("call_ended", call_id))


def test_nothing_to_ask_is_nothing_done(bench: Bench, project: Path) -> None:
    """An empty batch ends at once and writes nothing."""
    assert {} == bench.run().rows
    assert [] == list(project.iterdir())


def asked(bench: Bench, *asks: Ask, limit: int = 10) -> list[CallRow | BaseException]:
    """Return what single asks give that begin at the same time."""
    calls = Calls(bench.journal, now_utc, limit=limit, progress=bench.seen.append)

    async def work() -> list[CallRow | BaseException]:
        async with asyncio.timeout(30):
            return await asyncio.gather(*map(calls.ask, asks), return_exceptions=True)

    return asyncio.run(work())


def test_one_ask_returns_its_outcome(bench: Bench) -> None:
    """`ask` gives the row of an answer, of a stored one and of a failure alike."""

    async def fail(request: Request) -> Completion:
        raise RateLimited("No.", billed="no")

    first = asked(bench, bench.ask(0, "ab"))
    second = asked(bench, bench.ask(1, "ab"))
    bench.answer = fail
    third = asked(bench, bench.ask(2, "cd"))
    rows = [row for row in (*first, *second, *third) if isinstance(row, CallRow)]
    assert [("answered", "AB", False), ("answered", "AB", True), ("failed", None, False)] == [
        (row.state, row.text, row.from_store) for row in rows
    ]
    assert ["ab", "cd"] == bench.sent


def test_an_ask_over_the_budget_raises(benches: Callable[..., Bench]) -> None:
    """What does not fit raises to its own caller; what fits goes on after it."""
    bench = benches(micro(25))
    outcomes = asked(bench, bench.ask(0, "ab", 10), bench.ask(1, "cd", 100), bench.ask(2, "ef", 10))
    assert [CallRow, BudgetExceeded, CallRow] == [type(each) for each in outcomes]
    assert ["ab", "ef"] == sorted(bench.sent)


def test_what_seals_an_outcome_is_durable_with_it(bench: Bench) -> None:
    """`seal` is given the outcome, and its events are committed together with it or not at all."""
    told: list[CallRow] = []

    def seal(row: CallRow) -> list[Event]:
        told.append(row)
        return [TaskEnded(TaskRow("r", "t", "done", call_id=row.call_id))]

    asked(bench, bench.ask(0, "ab", seal=seal))
    assert [("r-0", "answered")] == [(row.call_id, row.state) for row in told]
    kinds = ["run_started", "call_intended", "call_ended", "task_ended"]
    assert kinds == [each.event.kind for each in bench.journal.store.events("r")]
    odd = [TaskEnded(TaskRow("r", "odd", "done", value=object()))]
    (outcome,) = asked(bench, bench.ask(1, "cd", seal=lambda _row: odd))
    assert isinstance(outcome, StoreError)
    assert "in_flight" == bench.journal.store.calls()[-1].state


def test_a_failure_is_sent_again_when_it_is_asked_again(bench: Bench) -> None:
    """Only an answer serves later asks of the same batch; after a failure a retry is sent."""

    async def fail_once(request: Request) -> Completion:
        if len(bench.sent) == 1:
            raise RateLimited("No.", billed="no")
        return Completion("x")

    bench.answer = fail_once
    calls = Calls(bench.journal, now_utc, limit=3, progress=bench.seen.append)

    async def work() -> list[str]:
        return [(await calls.ask(bench_ask)).state for bench_ask in asks]

    asks = [bench.ask(n, "ab") for n in range(3)]
    assert ["failed", "answered", "answered"] == asyncio.run(work())
    assert ["ab", "ab"] == bench.sent


def test_when_the_first_is_broken_off_the_next_takes_its_place(bench: Bench) -> None:
    """Of two equal asks the second is sent when the first is cancelled, and gets its own answer."""

    async def slowly(request: Request) -> Completion:
        await asyncio.sleep(0.02)
        return Completion("x")

    bench.answer = slowly
    calls = Calls(bench.journal, now_utc, limit=3, progress=bench.seen.append)
    asks = [bench.ask(n, "ab") for n in range(2)]

    async def work() -> CallRow:
        first, second = [asyncio.create_task(calls.ask(ask)) for ask in asks]
        while not bench.sent:
            await asyncio.sleep(0.001)
        first.cancel()
        async with asyncio.timeout(20):
            return await second

    row = asyncio.run(work())
    assert ("r-1", "answered", False) == (row.call_id, row.state, row.from_store)
    assert ["ab", "ab"] == bench.sent
    assert "cancelled" == calls.rows["r-0"].state
