"""A batch of calls: barriers, slots, single flight, budget and failures."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from bmad_nb.engine.calls import Ask, Calls
from bmad_nb.errors import BudgetExceeded, ServerFailed
from bmad_nb.events import CallEnded, CallIntended, CallRow
from bmad_nb.messages import Completion, Message, Request, Usage


class Log:
    """A journal in a list."""

    def __init__(self):
        self.events, self.answers = [], {}

    async def commit(self, *events):
        await asyncio.sleep(0)
        self.events.extend(events)

    def stored(self, key):
        return self.answers.get(key)


class Purse:
    """Money for a number of calls; none by default is no limit."""

    def __init__(self, calls=10**9):
        self.left, self.settled = calls, []

    async def reserve(self, request):
        if not self.left:
            raise BudgetExceeded("nothing is left")
        self.left -= 1
        return object()

    def settle(self, reservation, cost_usd):
        self.settled.append(cost_usd)


def ask(number, complete, purse=None, text=None):
    """Return an ask with its own prompt, or with `text` to make two equal."""
    request = Request("a/one", "url", "one", (Message("user", text or f"p{number}"),), 8)
    row = CallRow(f"c{number}", "run", "a/one", request.key, "in_flight")
    return Ask(row, request, complete, lambda usage: Decimal(1), lambda row: row, purse or Purse())


def run(asks, *, limit=10, timeout_s=5.0, log=None, fresh=False):
    """Run asks to their end and return what is known of them, and the journal."""
    log = log or Log()

    async def whole():
        calls = Calls(
            log,
            lambda: "now",
            limit=limit,
            timeout_s=timeout_s,
            fresh=fresh,
            progress=lambda row: None,
        )
        await calls.run(asks)
        return calls

    return asyncio.run(whole()), log


async def fine(request):
    return Completion("answer", Usage(1, 1))


def test_the_intent_is_durable_before_the_call_and_the_outcome_before_the_answer_is_seen():
    """When an LLM is asked its intent is committed; when a row can be read its outcome is."""
    log = Log()
    seen = []

    async def look(request):
        seen.append([type(event) for event in log.events])
        return Completion("answer")

    calls, log = run([ask(1, look)], log=log)

    assert [[CallIntended]] == seen
    assert [CallIntended, CallEnded] == [type(event) for event in log.events]
    assert "answer" == calls.rows["c1"].text


def test_at_most_the_limit_is_in_flight():
    """Of fifty calls never more than the limit run at a time, and the limit is used."""
    flying, most = 0, 0

    async def count(request):
        nonlocal flying, most
        flying += 1
        most = max(most, flying)
        await asyncio.sleep(0.001)
        flying -= 1
        return Completion("answer")

    run([ask(n, count) for n in range(50)], limit=7)

    assert 7 == most


def test_equal_requests_are_sent_once():
    """Of three equal requests one is sent; the others take its answer and cost nothing."""
    sent = []

    async def count(request):
        sent.append(request)
        await asyncio.sleep(0.001)
        return Completion("answer", Usage(1, 1))

    calls, _ = run([ask(n, count, text="same") for n in range(3)])

    assert 1 == len(sent)
    assert [Decimal(1), Decimal(0), Decimal(0)] == [calls.rows[f"c{n}"].cost_usd for n in range(3)]
    assert [False, True, True] == [calls.rows[f"c{n}"].from_store for n in range(3)]


def test_a_budget_stops_what_was_not_sent():
    """With money for two of five calls two are made, and the error is kept."""
    purse = Purse(calls=2)
    calls, _ = run([ask(n, fine, purse) for n in range(5)], limit=1)

    assert ["c0", "c1"] == sorted(calls.rows)
    assert isinstance(calls.exceeded, BudgetExceeded)


@pytest.mark.parametrize(
    ("expected", "billed", "error"),
    [
        ("ServerFailed", "maybe", ServerFailed("down")),
        ("ServerFailed", "no", ServerFailed("down", billed="no")),
        ("LLMError", "maybe", KeyError("a defect")),
    ],
)
def test_every_failure_becomes_a_row(expected, billed, error):
    """An LLM's own error and a defect in its code are rows with their class; others go on."""

    async def fail(request):
        raise error

    calls, _ = run([ask(1, fail), ask(2, fine)])

    assert expected == calls.rows["c1"].error_kind
    assert billed == calls.rows["c1"].billed
    assert "answered" == calls.rows["c2"].state


def test_what_may_have_been_billed_keeps_its_reservation():
    """A call of unknown outcome is settled at its worst case, an unbilled one at nothing."""

    async def fail(request):
        raise ServerFailed("down")

    async def refuse(request):
        raise ServerFailed("down", billed="no")

    lost, free = Purse(), Purse()
    run([ask(1, fail, lost), ask(2, refuse, free)])

    assert [None] == lost.settled
    assert [Decimal(0)] == free.settled


def test_a_call_that_hangs_is_cut():
    """After timeout_s the call is TimedOut, and it was cancelled."""
    cancelled = []

    async def hang(request):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    calls, _ = run([ask(1, hang)], timeout_s=0.05)

    assert "TimedOut" == calls.rows["c1"].error_kind
    assert [True] == cancelled


def test_a_cancelled_batch_breaks_off_what_is_in_flight():
    """Cancelling ends every call; each that was sent has a row that may have been billed."""

    async def whole():
        started = asyncio.Event()

        async def hang(request):
            started.set()
            await asyncio.sleep(60)

        log = Log()
        calls = Calls(
            log, lambda: "now", limit=2, timeout_s=90, fresh=False, progress=lambda row: None
        )
        task = asyncio.create_task(calls.run([ask(n, hang) for n in range(5)]))
        await started.wait()
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return calls, len(asyncio.all_tasks())

    calls, tasks = asyncio.run(whole())

    assert ["cancelled", "cancelled"] == [row.state for row in calls.rows.values()]
    assert {"maybe"} == {row.billed for row in calls.rows.values()}
    assert 1 == tasks
