"""One batch of calls as a durable run: begun or taken up again, executed, stored to its end."""

from __future__ import annotations

import asyncio
import dataclasses
import time
import uuid
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeVar

from bmad_nb.budget import Budget, Reservation
from bmad_nb.engine.calls import Ask, Calls
from bmad_nb.errors import AuthenticationFailed, BudgetExceeded, RunPaused
from bmad_nb.events import CallEnded, CallRow, RunEnded, RunRow, RunStarted, RunStatus
from bmad_nb.grid import Cell
from bmad_nb.llms.base import LLM, Card
from bmad_nb.messages import Completion, Price, Request, fingerprint
from bmad_nb.results import Result
from bmad_nb.scorers.numeric import scorer_for
from bmad_nb.secrets import redact
from bmad_nb.settings import EngineSettings
from bmad_nb.store import Store, now_utc

R = TypeVar("R", bound=Result)
Place = tuple[str, str, str, int]
"""Case, LLM, variant and sample: where an answer stands in a comparison."""


class Progress:
    """Where a run stands; filled by the engine's thread, read by the cell's."""

    def __init__(self, total: int = 0) -> None:
        """Start at nothing done of `total`."""
        self.total = total
        self.note = ""
        self.rows: dict[str, CallRow] = {}
        self.started = time.monotonic()

    def __call__(self, row: CallRow) -> None:
        """Take note of a row."""
        self.rows[row.call_id] = row

    def line(self) -> str:
        """Return one line: calls done and running, money, seconds."""
        rows = list(self.rows.values())
        running = sum(row.state == "in_flight" for row in rows)
        spent = sum((r.cost_usd for r in rows if r.cost_usd and not r.simulated), Decimal(0))
        parts = [f"{len(rows) - running}/{self.total} answers", f"{running} running"]
        parts += [f"${spent:.4f}", f"{time.monotonic() - self.started:.0f} s"]
        if self.note:
            parts.append(self.note)
        return " · ".join([*parts, "Interrupt keeps finished answers"])


@dataclasses.dataclass(frozen=True, slots=True)
class _Held:
    """Reservations in all budgets that stand above one call."""

    parts: tuple[Reservation, ...]

    @property
    def amount_usd(self) -> Decimal:
        return self.parts[0].amount_usd


@dataclasses.dataclass(frozen=True, slots=True)
class _Purse:
    """The run's budget and the workspace's above it, for one LLM."""

    budgets: tuple[Budget, ...]
    llm: str
    price: Price | None

    async def reserve(self, request: Request) -> _Held:
        held: list[Reservation] = []
        try:
            for budget in self.budgets:
                held.append(await budget.reserve(self.llm, self.price, request))  # noqa: PERF401
        except BaseException:
            self.settle(_Held(tuple(held)), Decimal(0))
            raise
        return _Held(tuple(held))

    def settle(self, reservation: Any, cost_usd: Decimal | None) -> None:
        for budget, part in zip(self.budgets, reservation.parts, strict=False):
            budget.settle(part, cost_usd)


class Batch:
    """A prompt's cells, run as one durable run.

    The same verb, requests and cases have the same key. If the newest run with that key was paused
    or its process died, this one goes on where that one stopped: what it has is kept, what it
    spent counts.

    Args:
        verb: `ask` or `compare`.
        title: what the table of runs shows.
        cells: the calls to be.
        fresh: ask anew, even where an answer is stored.
        budget_usd: limit of this run in US dollars; None is no limit.
        store: where it is written down.
        settings: how many at a time, and how long each may take.
        price_of: price of an LLM, or None.
        above: budgets over this run's own, by whether the money is simulated.
    """

    def __init__(
        self,
        verb: str,
        title: str,
        cells: Sequence[Cell],
        *,
        fresh: bool,
        budget_usd: Decimal | None,
        store: Store,
        settings: EngineSettings,
        price_of: Callable[[Card], Price | None],
        above: Mapping[bool, Budget],
    ) -> None:
        """Start nothing yet."""
        self.cells = cells
        self.progress = Progress(len(cells))
        self._fresh = fresh
        self._store, self._settings = store, settings
        self._price_of, self._above = price_of, above
        self._known: dict[Place, CallRow] = {}
        self._earlier: tuple[CallRow, ...] = ()
        self._started = time.monotonic()
        requests = [[c.case, c.variant, c.request.key, c.reference] for c in cells]
        self.run = RunRow(
            run_id=uuid.uuid4().hex[:8],
            verb=verb,
            status="running",
            title=" ".join(title.split())[:80],
            key=fingerprint([verb, fresh, requests]),
            budget_usd=budget_usd,
        )
        self.begun = False

    async def execute(self, kind: type[R]) -> R:
        """Run all cells that have no answer yet.

        Raises:
            RunPaused: cancelled from outside, or stopped by a budget; `result` has what is there.
            StoreError: something could not be written down.
        """
        asks = await self._begin()
        calls = Calls(
            self._store,
            now_utc,
            limit=self._settings.max_concurrent_tasks,
            timeout_s=self._settings.default_timeout_s,
            fresh=self._fresh,
            progress=self.progress,
        )
        try:
            await calls.run(asks)
        except asyncio.CancelledError:
            result = await self._finish(kind, calls, "paused", "user")
            raise self._paused("Interrupted:", "Run the cell again to go on.", result) from None
        except BaseException as error:
            await self._finish(kind, calls, "failed", type(error).__name__)
            raise
        if calls.exceeded is not None:
            result = await self._finish(kind, calls, "paused", "limit")
            raise self._over_budget(calls.exceeded, result) from None
        rows = (*calls.rows.values(), *self._known.values())
        answered = any(row.state == "answered" for row in rows)
        return await self._finish(kind, calls, "completed" if answered else "failed", "")

    async def cancel(self) -> None:
        """Store the run as cancelled, after a second interrupt."""
        if self.begun:
            await self._store.commit(RunEnded(self.run.run_id, "cancelled", "user"))

    async def _begin(self) -> list[Ask]:
        """Store that the run begins, or goes on; return what is still to be asked."""
        stopped = self._store.unfinished(self.run.key)
        self.run = dataclasses.replace(
            self.run,
            run_id=stopped.run_id if stopped else self.run.run_id,
            started_utc=stopped.started_utc if stopped else now_utc(),
            owner=self._store.owner_name(),
        )
        calls = self._store.calls(self.run.run_id) if stopped else []
        lost = [_lost(c) for c in calls if c.state in {"in_flight", "lost"}]
        await self._store.commit(RunStarted(self.run), *map(CallEnded, lost))
        self.begun = True
        self._known = {_place(c): c for c in calls if c.state == "answered"}
        self._earlier = (*(c for c in calls if c.state in {"failed", "cancelled"}), *lost)
        for row in self._known.values():
            self.progress(row)
        own = {s: Budget(self.run.budget_usd, _spent(calls, simulated=s)) for s in (False, True)}
        return self._asks(own)

    def _asks(self, own: Mapping[bool, Budget]) -> list[Ask]:
        asks = []
        batch = uuid.uuid4().hex[:6]
        for number, cell in enumerate(self.cells):
            if _place_of(cell) in self._known:
                continue
            card = cell.llm.card
            price = self._price_of(card)
            budgets = (own[card.simulated], self._above[card.simulated])
            asks.append(
                Ask(
                    row=_row(f"{self.run.run_id}-{batch}-{number}", self.run.run_id, cell, price),
                    request=dataclasses.replace(
                        cell.request, fresh=self.run.run_id if self._fresh else ""
                    ),
                    complete=_asking(cell.llm),
                    cost=price.cost if price else lambda _usage: None,
                    score=_score,
                    purse=_Purse(budgets, card.id, price),
                )
            )
        return asks

    async def _finish(self, kind: type[R], calls: Calls, status: RunStatus, reason: str) -> R:
        broken = [row for row in calls.rows.values() if row.state == "cancelled"]
        end = RunEnded(self.run.run_id, status, reason)
        await self._store.commit(*map(CallEnded, broken), end)
        done = {**self._known, **{_place(row): row for row in calls.rows.values()}}
        rows = [done[place] for cell in self.cells if (place := _place_of(cell)) in done]
        self.run = dataclasses.replace(
            self.run, status=status, reason=reason, ended_utc=now_utc()
        )  # fmt: skip
        return kind(
            self.run,
            rows,
            notes=(*notes(rows, (*rows, *self._earlier)), *self._overspent(rows)),
            duration_s=time.monotonic() - self._started,
            earlier=self._earlier,
        )

    def _overspent(self, rows: Sequence[CallRow]) -> tuple[str, ...]:
        """Say that a limit was passed, which only a wrong count of tokens can bring about."""
        limit = self.run.budget_usd
        passed = limit is not None and any(
            _spent(rows, simulated=simulated) > limit for simulated in (False, True)
        )
        if not passed:
            return ()
        return ("The budget was passed: an LLM counted more tokens than it was allowed.",)

    def _paused(self, what: str, hint: str, result: Result) -> RunPaused:
        answered = sum(row.state == "answered" for row in result.rows)
        kept = f"{answered} of {len(self.cells)} answers are kept."
        return RunPaused(f"{what} {kept}", hint=hint, run_id=self.run.run_id, result=result)

    def _over_budget(self, error: BudgetExceeded, result: Result) -> RunPaused:
        hint = f"{error.hint} Then run the cell again; only the rest is asked."
        return self._paused(f"{error.what} The run is paused:", hint, result)


def notes(rows: Sequence[CallRow], all_calls: Iterable[CallRow]) -> tuple[str, ...]:
    """Return the sentences that say what a reader must know about where answers come from."""
    said = []
    stored = sum(row.from_store for row in rows)
    if rows and stored == len(rows):
        said.append("All answers come from the store; no LLM call was made.")
    elif stored:
        said.append(f"{stored} of {len(rows)} answers come from the store.")
    lost = sum(call.state == "lost" for call in all_calls)
    if lost:
        calls = "call was" if lost == 1 else "calls were"
        said.append(
            f"{lost} {calls} in flight when an earlier process was killed, and may have been "
            "billed twice."
        )
    return tuple(said)


def _row(call_id: str, run_id: str, cell: Cell, price: Price | None) -> CallRow:
    card, request = cell.llm.card, cell.request
    return CallRow(
        call_id=call_id,
        run_id=run_id,
        llm=card.id,
        request_key=request.key,
        state="in_flight",
        model=request.model,
        variant=cell.variant,
        sample=request.sample,
        case=cell.case,
        messages=tuple(dataclasses.replace(m, text=redact(m.text)) for m in request.messages),
        max_tokens=request.max_tokens,
        reference=cell.reference,
        price_source=price.source if price else "",
        price_as_of=price.as_of if price else "",
        simulated=card.simulated,
        runs_here=card.runs_here,
    )


def _asking(llm: LLM) -> Callable[[Request], Coroutine[Any, Any, Completion]]:
    """Return the LLM's `complete`, or a refusal that contacts nobody where something is missing."""
    card = llm.card
    if not card.missing or card.runs_here:  # what runs here says itself, on its first call
        return llm.complete

    async def refuse(request: Request) -> Completion:
        raise AuthenticationFailed(
            f"{request.llm} was not asked: {card.missing}.", llm=card.id, hint=card.remedy
        )

    return refuse


def _score(row: CallRow) -> CallRow:
    if row.reference is None or row.state != "answered":
        return dataclasses.replace(row, score=None, scorer="")
    scorer = scorer_for(row.reference)
    score = scorer.score(row.text or "", row.reference)
    return dataclasses.replace(row, score=score.value, scorer=scorer.name)


def _lost(call: CallRow) -> CallRow:
    return dataclasses.replace(call, state="lost", billed="maybe", ended_utc=now_utc())


def _place(row: CallRow) -> Place:
    return (row.case, row.llm, row.variant, row.sample)


def _place_of(cell: Cell) -> Place:
    return (cell.case, cell.llm.card.id, cell.variant, cell.request.sample)


def _spent(calls: Iterable[CallRow], *, simulated: bool) -> Decimal:
    """Return what a run has cost so far; where that is unknown, a call counts in full."""
    total = Decimal(0)
    for call in calls:
        if call.simulated is simulated:
            worst = call.cost_usd is None and (call.billed != "no" or call.state == "in_flight")
            total += (call.reserved_usd if worst else call.cost_usd) or Decimal(0)
    return total
