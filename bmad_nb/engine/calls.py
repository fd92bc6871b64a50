"""A batch of LLM calls, run durably: stored answers first, then the rest, within the budget.

Two barriers stand around each call. Its intent, with the money reserved for its worst case, is
durable before it is sent; its outcome and cost are durable before anybody sees the answer. So a
kill loses no stored answer, and what is sent again is at most what was in flight.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Iterable
from decimal import Decimal
from typing import Protocol

from bmad_nb.errors import BadAnswer, BudgetExceeded, LLMError, TimedOut
from bmad_nb.events import CallEnded, CallIntended, CallRow, Journal
from bmad_nb.messages import Completion, Request, Usage, defect_of
from bmad_nb.secrets import redact

Now = Callable[[], str]


class Purse(Protocol):
    """What the engine needs of a budget; `Reservation` is its own affair."""

    async def reserve(self, request: Request) -> object:
        """Hold back the worst case, or raise BudgetExceeded."""
        ...

    def settle(self, reservation: object, cost_usd: Decimal | None) -> None:
        """Replace the reservation by the real cost."""
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
        limit: most calls in flight at a time.
        timeout_s: most seconds for one call.
        fresh: ask anew, even where an answer is stored.
        progress: told of each row as it changes.
    """

    def __init__(
        self, journal: Journal, now: Now, *, limit: int, timeout_s: float, fresh: bool,
        progress: Progress,
    ) -> None:  # fmt: skip
        """Start nothing yet."""
        self._journal, self._now = journal, now
        self._slots = asyncio.Semaphore(limit)
        self._timeout_s, self._fresh, self._progress = timeout_s, fresh, progress
        self._first: dict[str, asyncio.Future[CallRow]] = {}
        self.rows: dict[str, CallRow] = {}
        """Outcome by call id; what was never sent has none."""
        self.exceeded: BudgetExceeded | None = None
        """Set when a call did not fit the budget; nothing is sent after that."""

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
        if self._fresh:
            return asks
        served, waiting = [], []
        for number, ask in enumerate(asks):
            if number % 200 == 199:
                await asyncio.sleep(0)  # an interrupt or another run gets its turn
            stored = self._journal.stored(ask.row.request_key)
            if stored is None:
                waiting.append(ask)
            else:
                served.append(self._copy(ask, stored))
        if served:
            await self._journal.commit(*(CallEnded(row) for row in served))
            for row in served:
                self._keep(row)
        return waiting

    async def _one(self, ask: Ask) -> None:
        """Ask once; of equal requests only the first is sent, the others take its answer."""
        key = ask.row.request_key
        first = self._first.get(key)
        if first is None:
            self._first[key] = asyncio.get_running_loop().create_future()
            async with self._slots:
                row = await self._again_or_send(ask)
            if row is not None:
                self._first[key].set_result(row)
            else:
                self._first[key].cancel()
            return
        try:
            outcome = await asyncio.shield(first)
        except asyncio.CancelledError:
            if first.cancelled():  # stopped by the budget, as the first was
                return
            raise
        row = self._copy(ask, outcome)
        await self._journal.commit(CallEnded(row))
        self._keep(row)

    async def _again_or_send(self, ask: Ask) -> CallRow | None:
        """Look into the store once more, for another run may have brought the answer meanwhile."""
        stored = None if self._fresh else self._journal.stored(ask.row.request_key)
        if stored is None:
            return await self._send(ask)
        row = self._copy(ask, stored)
        await self._journal.commit(CallEnded(row))
        self._keep(row)
        return row

    async def _send(self, ask: Ask) -> CallRow | None:
        """Reserve, write down the intent, send, settle, write down the outcome."""
        if self.exceeded is not None:
            return None
        try:
            reservation = await ask.purse.reserve(ask.request)
        except BudgetExceeded as error:
            self.exceeded = self.exceeded or error
            return None
        if self.exceeded is not None:
            ask.purse.settle(reservation, Decimal(0))
            return None
        row = dataclasses.replace(
            ask.row, started_utc=self._now(), reserved_usd=getattr(reservation, "amount_usd", None)
        )
        try:
            await self._journal.commit(CallIntended(row))
        except BaseException:
            ask.purse.settle(reservation, Decimal(0))
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
        ask.purse.settle(reservation, unbilled if row.cost_usd is None else row.cost_usd)
        await self._journal.commit(CallEnded(row))
        self._keep(row)
        return row

    async def _complete(self, ask: Ask) -> Completion:
        try:
            async with asyncio.timeout(self._timeout_s):
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
                f"{ask.row.llm} gave no answer within {self._timeout_s:g} s.",
                llm=ask.row.llm,
                hint="Raise [engine] default_timeout_s, or run the cell again.",
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


_OWN = ("call_id", "run_id", "llm", "variant", "sample", "case", "score", "scorer", "reference")
"""Columns that belong to the asking side: an answer may serve another case of another run."""


def _word(reason: str) -> str:
    """Return a provider's finish reason as one short plain word."""
    return reason.encode("ascii", "backslashreplace").decode()[:40]
