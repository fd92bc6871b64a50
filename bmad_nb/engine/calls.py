"""A batch of LLM calls, run durably: stored answers first, then the rest, within the budget.

Two barriers stand around each call. Its intent, with the money reserved for its worst case, is
durable before it is sent; its outcome and cost are durable before anybody sees the answer. So a
kill loses no stored answer, and what is sent again is at most what was in flight.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Iterable, Sequence
from decimal import Decimal
from typing import Protocol

from bmad_nb.errors import BadAnswer, BudgetExceeded, LLMError, TimedOut
from bmad_nb.events import CallEnded, CallIntended, CallRow, Event, Journal
from bmad_nb.messages import Completion, Request, Usage, defect_of
from bmad_nb.secrets import redact

Now = Callable[[], str]


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
    seal: Callable[[CallRow], Sequence[Event]] = lambda _row: ()
    """Returns what is to be committed together with the outcome."""


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
    """

    def __init__(self, journal: Journal, now: Now, *, limit: int, progress: Progress) -> None:
        """Start nothing yet."""
        self._journal, self._now, self._progress = journal, now, progress
        self._slots = asyncio.Semaphore(limit)
        self._first: dict[str, asyncio.Future[CallRow]] = {}
        self.rows: dict[str, CallRow] = {}
        """Outcome by call id; what was never sent has none."""
        self.exceeded: BudgetExceeded | None = None
        """Set when a call of a batch did not fit the budget; nothing is sent after that."""

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
            await self._journal.commit(*(CallEnded(row) for row in served))
            for row in served:
                self._keep(row)
        return waiting

    def _stored(self, ask: Ask) -> CallRow | None:
        """Return a stored answer; where a new one is wanted, only one that this run made."""
        run_id = ask.row.run_id if ask.request.fresh else ""
        return self._journal.stored(ask.row.request_key, run_id)

    async def _one(self, ask: Ask) -> None:
        try:
            await self.ask(ask)
        except BudgetExceeded as error:
            self.exceeded = self.exceeded or error

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
        except BaseException as error:
            del self._first[key]
            if isinstance(error, BudgetExceeded):
                first.set_exception(error)
                first.exception()  # looked at: nobody may be waiting
            else:
                first.cancel()
            raise
        first.set_result(row)
        if row.state != "answered":
            del self._first[key]  # a further attempt is sent again
        return row

    async def _end(self, ask: Ask, row: CallRow) -> CallRow:
        """Write down an outcome, and what is to be durable together with it."""
        await self._journal.commit(CallEnded(row), *ask.seal(row))
        self._keep(row)
        return row

    async def _send(self, ask: Ask) -> CallRow:
        """Reserve, write down the intent, send, settle, write down the outcome."""
        if self.exceeded is not None:
            raise self.exceeded
        reservation = await ask.purse.reserve(ask.request)
        if self.exceeded is not None:
            ask.purse.give_back(reservation)
            raise self.exceeded
        row = dataclasses.replace(
            ask.row, started_utc=self._now(), reserved_usd=getattr(reservation, "amount_usd", None)
        )
        try:
            await self._journal.commit(CallIntended(row))
        except BaseException:
            ask.purse.give_back(reservation)
            raise
        self._progress(row)
        clock = asyncio.get_running_loop().time
        sent = clock()
        try:
            row = ask.score(self._answered(ask, row, await self._complete(ask)))
        except LLMError as error:
            row = self._failed(row, error, clock() - sent)
        except asyncio.CancelledError:
            self._keep(self._broken_off(row))
            ask.purse.settle(reservation, None)
            raise
        unbilled = Decimal(0) if row.billed == "no" else None  # None keeps the worst case
        cost_usd = unbilled if row.cost_usd is None else row.cost_usd
        ask.purse.settle(reservation, cost_usd, _tokens(row))
        return await self._end(ask, row)

    async def _complete(self, ask: Ask) -> Completion:
        try:
            async with asyncio.timeout(ask.timeout_s):
                completion = await ask.complete(ask.request)
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

    def _answered(self, ask: Ask, row: CallRow, completion: Completion) -> CallRow:
        usage = completion.usage
        cost_usd = ask.cost(usage)
        return dataclasses.replace(
            row,
            state="answered",
            text=redact(completion.text),  # as the store keeps it
            finish_reason=_word(completion.finish_reason),
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cached_input_tokens=usage.cached_input_tokens,
            reasoning_tokens=usage.reasoning_tokens,
            cost_usd=cost_usd,
            original_cost_usd=cost_usd,
            latency_s=completion.latency_s,
            original_latency_s=completion.latency_s,
            first_token_s=completion.first_token_s,
            billed="yes",
            ended_utc=self._now(),
        )

    def _broken_off(self, row: CallRow) -> CallRow:
        return dataclasses.replace(row, state="cancelled", billed="maybe", ended_utc=self._now())

    def _failed(self, row: CallRow, error: LLMError, elapsed_s: float) -> CallRow:
        return dataclasses.replace(
            row,
            state="failed",
            error=redact(error.what),
            error_kind=type(error).__name__,
            error_hint=redact(error.hint),
            billed=error.billed,
            cost_usd=Decimal(0) if error.billed == "no" else None,
            latency_s=elapsed_s,
            ended_utc=self._now(),
        )

    def _copy(self, ask: Ask, source: CallRow) -> CallRow:
        """Return the outcome of an equal request as a row of this ask, which costs nothing."""
        row = dataclasses.replace(
            source,
            **{name: getattr(ask.row, name) for name in _OWN},
            cost_usd=Decimal(0),
            reserved_usd=None,
            latency_s=0.0,
            billed="no",
            from_store=source.state == "answered",
            started_utc=self._now(),
            ended_utc=self._now(),
        )
        return ask.score(row)

    def _keep(self, row: CallRow) -> None:
        self.rows[row.call_id] = row
        self._progress(row)


_OWN = (
    "call_id", "run_id", "llm", "variant", "sample", "case", "score", "scorer", "reference",
    "task", "attempt",
)  # fmt: skip
"""Columns that belong to the asking side: an answer may serve another case of another run."""


def _tokens(row: CallRow) -> int | None:
    """Return the tokens of a call; None where nobody counted, and 0 where nothing was billed."""
    if row.billed == "no":
        return 0
    if row.input_tokens is None or row.output_tokens is None:
        return None
    return row.input_tokens + row.output_tokens


def _word(reason: str) -> str:
    """Return a provider's finish reason as one short plain word."""
    return reason.encode("ascii", "backslashreplace").decode()[:40]
