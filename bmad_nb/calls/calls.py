"""A batch of LLM calls, run durably: stored answers first, then the rest, within the budget.

Two barriers stand around each call. Its intent, with the money reserved for its worst case, is
durable before it is sent; its outcome and cost are durable before anybody sees the answer. So a
kill loses no stored answer, and what is sent again is at most what was in flight.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
from collections.abc import Awaitable, Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any, Literal, Protocol

from bmad_nb.calls import outcomes
from bmad_nb.calls.hedging import first_answer
from bmad_nb.calls.retries import attempts, error_of
from bmad_nb.errors import BadAnswer, BmadError, BudgetExceeded, LLMError, TimedOut
from bmad_nb.events import CallEnded, CallIntended, CallRow, Event, Journal
from bmad_nb.messages import Completion, Request, Usage, defect_of
from bmad_nb.plan_parts import Retries

Now = Callable[[], str]
Heard = Callable[[str], None]
ONCE = Retries()
"""No further attempt."""


class Purse(Protocol):
    """What the engine needs of a budget; `Reservation` is its own affair."""

    async def reserve(self, request: Request) -> object:
        """Hold back the worst case, or raise BudgetExceeded."""
        ...

    def give_back(self, held: object) -> None:
        """Take back the reservation of a call that was not sent."""
        ...

    def settle(self, held: object, cost_usd: Decimal | None, tokens: int | None = None) -> None:
        """Replace the reservation by what was really used; None keeps the worst case."""
        ...


class Gate(Protocol):
    """What paces the calls of an LLM; `turn` is its own affair."""

    async def enter(self, tokens: int) -> Any:
        """Wait for one's turn, or raise CircuitOpen."""
        ...

    def leave(self, turn: Any, error: BaseException | None, tokens: int | None) -> None:
        """Take note of how the call ended, and of the tokens that it used."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class Ask:
    """One call to be made."""

    row: CallRow
    """What is known before the call; carries the LLM's id, variant, sample, case and price."""
    request: Request
    complete: Callable[[Request], Awaitable[Completion]]
    """Asks the LLM."""
    cost: Callable[[Usage], Decimal | None]
    """Cost of the tokens in US dollars; None where no price is known."""
    score: Callable[[CallRow], CallRow]
    """Returns the row with its score, or the row itself."""
    purse: Purse
    timeout_s: float
    """Most seconds for the call."""
    gate: Gate
    """Lets the call through when it is its turn."""
    seal: Callable[[CallRow], Sequence[Event]] = lambda _row: ()
    """Returns what is to be committed together with the outcome."""
    is_usable: Callable[[CallRow], bool] = lambda _row: True
    """Returns whether a stored answer of another run may serve."""
    stream: Callable[[Request, Heard], Awaitable[Completion]] | None = None
    """Asks the LLM and is told each piece of the answer; None where it gives it in one."""
    hedge_s: float | None = None
    """Seconds after which it is sent once more beside the first; None is never."""


class Progress(Protocol):
    """Told of each row as it changes, so that a cell can show where the run stands."""

    def __call__(self, row: CallRow) -> None:
        """Take note of `row`; must not raise and must not block."""
        ...


class Calls:
    """Runs a batch of asks.

    Args:
        journal: where intents and outcomes are committed.
        now: the time as ISO text.
        limit: most calls of a batch in flight at a time.
        progress: told of each row as it changes.
        retries: when a call of a batch is made again.
        hear: told by call of each piece of an answer; None asks for whole answers.
    """

    def __init__(
        self,
        journal: Journal,
        now: Now,
        *,
        limit: int,
        progress: Progress,
        retries: Retries = ONCE,
        hear: Callable[[str, str], None] | None = None,
    ) -> None:
        """Start nothing yet."""
        self.journal, self._now, self._progress = journal, now, progress
        self._retries, self._hear = retries, hear
        self._errors: dict[str, LLMError] = {}
        self._slots = asyncio.Semaphore(limit)
        self._first: dict[str, asyncio.Future[CallRow]] = {}
        self.rows: dict[str, CallRow] = {}
        """Outcome by call id; what was never sent has none."""
        self.exceeded: BudgetExceeded | None = None
        """Set when a call of a batch did not fit the budget; nothing is sent after that."""
        self._halted: BmadError | None = None
        self._entering: set[asyncio.Timeout] = set()

    def halt(self, error: BmadError) -> None:
        """Send nothing more: who asks, or waits for its turn, gets the error; others may end."""
        self._halted = error
        for wait in self._entering:
            wait.reschedule(asyncio.get_running_loop().time())

    async def run(self, asks: Iterable[Ask]) -> None:
        """Bring an outcome for each ask, unless the budget or a cancellation stops it.

        Raises:
            asyncio.CancelledError: after every call in flight was broken off; `rows` has them.
            StoreError: something could not be written down, and nothing was sent after that.
        """
        waiting = await self._serve_stored(list(asks))
        tasks = [asyncio.ensure_future(self._one(ask)) for ask in waiting]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve_stored(self, asks: list[Ask]) -> list[Ask]:
        """Answer from the store what it has, in one commit; return the rest."""
        served, waiting = [], []
        for number, ask in enumerate(asks):
            if number % 200 == 199:
                await asyncio.sleep(0)  # an interrupt or another run gets its turn
            stored = self._stored(ask)
            if stored is None:
                waiting.append(ask)
            else:
                served.append(self._copy(ask, stored))
        if served:
            await self.journal.commit(*(CallEnded(row) for row in served))
            for row in served:
                self._keep(row)
        return waiting

    def _stored(self, ask: Ask) -> CallRow | None:
        """Return a stored answer; where a new one is wanted, only one that this run made."""
        own = ask.row.run_id
        stored = self.journal.stored(ask.row.request_key, own if ask.request.fresh else "")
        if stored is None or stored.run_id == own or ask.is_usable(stored):
            return stored
        return self.journal.stored(ask.row.request_key, own)

    async def _one(self, ask: Ask) -> None:
        """Ask until there is an answer, as often as is allowed."""

        async def once(number: int) -> None:
            row = await self.ask(numbered(ask, number))
            if row.state != "answered":
                raise self.error_of(row)

        try:
            await attempts(once, self._retries, asyncio.sleep)
        except BudgetExceeded as error:
            self.exceeded = self.exceeded or error
        except LLMError:
            pass  # its row says it

    def error_of(self, row: CallRow) -> BmadError:
        """Return the error of a call that failed."""
        return self._errors.pop(row.call_id, None) or error_of(row)

    async def ask(self, ask: Ask) -> CallRow:
        """Return the outcome of one ask, an error among the outcomes.

        Of equal requests only the first is sent; the others take its outcome.

        Raises:
            BudgetExceeded: the call does not fit; it was not sent.
            StoreError: it could not be written down.
        """
        key = ask.row.request_key
        while (first := self._first.get(key)) is not None:
            try:
                outcome = await asyncio.shield(first)
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if first.cancelled() and not (task and task.cancelling()):
                    continue  # the first was broken off: this one takes its place
                raise
            return await self._end(ask, self._copy(ask, outcome))
        first = self._first[key] = asyncio.get_running_loop().create_future()
        try:
            async with self._slots:
                stored = self._stored(ask)  # another run may have brought the answer meanwhile
                row = await (
                    self._send(ask) if stored is None else self._end(ask, self._copy(ask, stored))
                )
        except BaseException:
            del self._first[key]
            first.cancel()  # limits are each one's own: the next takes its place
            raise
        if row.state != "answered":
            del self._first[key]  # a further attempt is sent again
        if row.error_kind == "TimedOut":  # so are deadlines
            first.cancel()
        else:
            first.set_result(row)
        return row

    async def _end(self, ask: Ask, row: CallRow) -> CallRow:
        """Write down an outcome, and what is to be durable together with it."""
        await self.journal.commit(CallEnded(row), *ask.seal(row))
        self._keep(row)
        return row

    async def _send(self, ask: Ask) -> CallRow:
        """Send, once more beside it if it is slow and that is wished, and return the outcome."""
        if ask.hedge_s is None:
            return await self._paced(ask)
        beside = numbered(ask, "h")
        return await first_answer(
            lambda: self._paced(ask), lambda: self._paced(beside), ask.hedge_s
        )

    async def _paced(self, ask: Ask) -> CallRow:
        """Wait for its turn, send, and write down what came of it."""
        if self.exceeded is not None:
            raise self.exceeded
        clock = asyncio.get_running_loop().time
        came = clock()
        try:
            turn = await self._entered(ask)
        except LLMError as error:
            return await self._end(ask, self._failed(ask, ask.row, error, 0.0))
        waited_s = clock() - came
        problem: BaseException | None = asyncio.CancelledError()
        row: CallRow | None = None
        try:
            row, problem = await self._sent(ask, waited_s)
        finally:
            tokens = 0 if row is None else outcomes.tokens_of(row)
            ask.gate.leave(turn, problem, tokens)
        return await self._end(ask, row)

    async def _entered(self, ask: Ask) -> Any:
        """Wait for a turn, as long as anything is sent at all."""
        if self._halted is not None:
            raise self._halted
        try:
            async with asyncio.timeout(None) as wait:
                self._entering.add(wait)
                try:
                    return await ask.gate.enter(ask.request.likely_tokens)
                finally:
                    self._entering.discard(wait)
        except TimeoutError:
            if self._halted is None:
                raise
            raise self._halted from None

    async def _sent(self, ask: Ask, waited_s: float) -> tuple[CallRow, LLMError | None]:
        """Reserve, write down the intent, send and settle; return the outcome and its error."""
        reservation = await self._reserved(ask)
        row = outcomes.changed(
            ask.row,
            waited_s=waited_s,
            started_utc=self._now(),
            reserved_usd=getattr(reservation, "amount_usd", None),
        )
        try:
            await self.journal.commit(CallIntended(row))
        except BaseException:  # it may be written all the same, and was not sent
            ask.purse.give_back(reservation)
            self._keep(self._unsent(row))
            raise
        if self._halted is not None:  # it came in the very moment: the intent is taken back
            ask.purse.give_back(reservation)
            await self.journal.commit(CallEnded(self._unsent(row)))
            raise self._halted
        self._progress(row)
        clock = asyncio.get_running_loop().time
        sent = clock()
        problem: LLMError | None = None
        try:
            completion = await self._complete(ask)
            if not completion.latency_s:  # an LLM of the user's need not measure itself
                completion = dataclasses.replace(completion, latency_s=clock() - sent)
            row = outcomes.answered(row, completion, ask.cost(completion.usage), self._now())
            row = ask.score(row)
        except LLMError as error:
            problem = error
            row = self._failed(ask, row, error, clock() - sent)
        except asyncio.CancelledError:
            self._keep(outcomes.broken_off(row, self._now()))
            ask.purse.settle(reservation, None)
            raise
        unbilled = Decimal(0) if row.billed == "no" else None  # None keeps the worst case
        cost_usd = unbilled if row.cost_usd is None else row.cost_usd
        ask.purse.settle(reservation, cost_usd, outcomes.tokens_of(row))
        return row, problem

    def _unsent(self, row: CallRow) -> CallRow:
        return outcomes.changed(row, state="cancelled", billed="no", ended_utc=self._now())

    async def _reserved(self, ask: Ask) -> object:
        """Hold back the worst case of a call.

        Raises:
            BudgetExceeded: it does not fit, or another call of the batch did not.
        """
        reservation = await ask.purse.reserve(ask.request)
        if stop := self.exceeded or self._halted:
            ask.purse.give_back(reservation)
            raise stop
        return reservation

    def _failed(self, ask: Ask, row: CallRow, error: LLMError, elapsed_s: float) -> CallRow:
        """Return the row of a failure, and keep the error itself for whoever tries again."""
        cost_usd = None if error.usage is None else ask.cost(error.usage)
        self._errors[row.call_id] = error
        return outcomes.failed(row, error, elapsed_s, cost_usd, self._now())

    async def _complete(self, ask: Ask) -> Completion:
        try:
            async with asyncio.timeout(ask.timeout_s):
                if self._hear is None or ask.stream is None:
                    completion = await ask.complete(ask.request)
                else:
                    hear = functools.partial(self._hear, ask.row.call_id)
                    completion = await ask.stream(ask.request, hear)
        except LLMError:
            raise
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise  # we were cancelled; else somebody's code behind the LLM was
            raise LLMError(f"{ask.row.llm} broke off by itself.", llm=ask.row.llm) from None
        except TimeoutError:
            raise TimedOut(
                f"{ask.row.llm} gave no answer within {ask.timeout_s:g} s.",
                llm=ask.row.llm,
                hint="Raise its timeout, or [engine] default_timeout_s, and run it again.",
            ) from None
        except Exception as error:
            raise LLMError(
                f"{ask.row.llm} raised {type(error).__name__}: {error}",
                llm=ask.row.llm,
                hint="That is a defect in the code behind this LLM; other answers are kept.",
            ) from error
        if defect := defect_of(completion):
            raise BadAnswer(
                f"{ask.row.llm} gave no usable completion: {defect}.",
                llm=ask.row.llm,
                billed="maybe",
                hint="That is a defect in the code behind this LLM; other answers are kept.",
            )
        return completion

    def _copy(self, ask: Ask, source: CallRow) -> CallRow:
        """Return the outcome of an equal request as a row of this ask, with its own score."""
        return ask.score(outcomes.copied(ask.row, source, self._now()))

    def _keep(self, row: CallRow) -> None:
        self.rows[row.call_id] = row
        self._progress(row)


def numbered(ask: Ask, number: int | Literal["h"]) -> Ask:
    """Return a further attempt at a call, or one beside it; it has a row of its own."""
    if number == 1:
        return ask
    attempt = ask.row.attempt if number == "h" else number
    call_id = f"{ask.row.call_id}.{number}"
    return dataclasses.replace(
        ask, row=dataclasses.replace(ask.row, call_id=call_id, attempt=attempt)
    )
