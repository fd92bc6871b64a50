"""One batch of calls as a durable run: begun or taken up again, executed, stored to its end."""

from __future__ import annotations

import asyncio
import dataclasses
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeVar

from bmad_nb.budget import Budget
from bmad_nb.calls.calls import Ask, Calls
from bmad_nb.calls.retries import PASSING
from bmad_nb.errors import BudgetExceeded, RunPaused
from bmad_nb.events import CallEnded, CallRow, RunEnded, RunRow, RunStarted, RunStatus, TaskAsked
from bmad_nb.grid import Cell
from bmad_nb.llms.base import Card
from bmad_nb.messages import Price, fingerprint
from bmad_nb.plan_parts import Retries
from bmad_nb.results import Result
from bmad_nb.runs.asks import ask_of, cancel_run, lost, spent
from bmad_nb.runs.progress import Progress
from bmad_nb.settings import EngineSettings
from bmad_nb.store.journal import Store
from bmad_nb.store.reading import now_utc

R = TypeVar("R", bound=Result)
Place = tuple[str, str, str, int]
"""Case, LLM, variant and sample: where an answer stands in a comparison."""
_LOOK_S = 0.2
"""Seconds between two looks at a run of another process that asks the same."""


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
        replay: nobody is asked, so no stopped run is taken up: what it lacks could not be had.
        budget_usd: limit of this run in US dollars; None is no limit.
        store: where it is written down.
        settings: how many at a time, and how long each may take.
        price_of: price of an LLM, or None.
        above: budgets over this run's own, by whether the money is simulated.
        schema: JSON Schema that the answers were asked to match.
        scored: answers are compared with their references as they come.
        watched: somebody sees answers as they come.
    """

    def __init__(
        self,
        verb: str,
        title: str,
        cells: Sequence[Cell],
        *,
        fresh: bool,
        replay: bool,
        budget_usd: Decimal | None,
        store: Store,
        settings: EngineSettings,
        price_of: Callable[[Card], Price | None],
        above: Mapping[bool, Budget],
        schema: Mapping[str, Any] | None = None,
        scored: bool = True,
        watched: bool = False,
    ) -> None:
        """Start nothing yet."""
        self._watched = watched
        self.cells = cells
        self.progress = Progress(len(cells))
        self._fresh, self._replay = fresh, replay
        self._store, self._settings = store, settings
        self._price_of, self._above, self._schema = price_of, above, schema
        self._scored = scored
        self._known: dict[Place, CallRow] = {}
        self._earlier: tuple[CallRow, ...] = ()
        self._started = time.monotonic()
        self._waited_for = ""
        requests = [[c.case, c.variant, c.request.key, c.reference] for c in cells]
        self.run = RunRow(
            run_id=uuid.uuid4().hex[:8],
            verb=verb,
            status="running",
            title=" ".join(title.split())[:80],
            key=fingerprint([verb, fresh, requests]),
            budget_usd=budget_usd,
            options={"calls": len(cells)},
        )
        self.begun = False

    async def execute(self, kind: type[R]) -> R:
        """Run all cells that have no answer yet.

        Raises:
            RunPaused: cancelled from outside, or stopped by a budget; `result` has what is there.
            StoreError: something could not be written down.
        """
        calls = Calls(
            self._store,
            now_utc,
            limit=self._settings.max_concurrent_tasks,
            progress=self.progress,
            retries=Retries(self._settings.retry_attempts + 1, causes=PASSING),
            hear=self.progress.said if self._watched else None,
        )
        beginning = asyncio.ensure_future(self._begin())
        try:
            asks = await asyncio.shield(beginning)
            await self._wait_for_others()
            await calls.run(asks)
        except asyncio.CancelledError:
            await beginning  # it may be durable already: then it must not say running for ever
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

    questions: Sequence[TaskAsked] = ()
    """A batch asks nobody."""

    async def answered(self, task: str, answer: Mapping[str, Any]) -> None:
        """Take no answer: there is no question."""

    async def cancel(self) -> None:
        """Store the run as cancelled, after a second interrupt."""
        if self.begun:
            await cancel_run(self._store, self.run.run_id)

    async def _begin(self) -> list[Ask]:
        """Store that the run begins, or goes on; return what is still to be asked."""
        stopped = None if self._replay else self._store.unfinished(self.run.key)
        self.run = dataclasses.replace(
            self.run,
            run_id=stopped.run_id if stopped else self.run.run_id,
            started_utc=stopped.started_utc if stopped else now_utc(),
            owner=self._store.owner_name(),
            fence=(stopped.fence if stopped else 0) + 1,
        )
        calls = self._store.calls(self.run.run_id) if stopped else []
        gone = [lost(c) for c in calls if c.state in {"in_flight", "lost"}]
        await self._store.commit(RunStarted(self.run), *map(CallEnded, gone))
        self.begun = True
        self._known = {_place(c): c for c in calls if c.state == "answered"}
        self._earlier = (*(c for c in calls if c.state in {"failed", "cancelled"}), *gone)
        for row in self._known.values():
            self.progress(row)
        own = {s: Budget(self.run.budget_usd, spent(calls, simulated=s)) for s in (False, True)}
        return self._asks(own)

    async def _wait_for_others(self) -> None:
        """Wait while another process asks the same: what it stores is not paid for twice.

        Which of two that begin at once goes first is decided by the order in the store.
        """
        while not (self._fresh or self._replay) and (others := self._store.ahead(self.run)):
            self._waited_for = others[0].run_id
            await asyncio.sleep(_LOOK_S)

    def _asks(self, own: Mapping[bool, Budget]) -> list[Ask]:
        asks = []
        batch = uuid.uuid4().hex[:6]
        for number, cell in enumerate(self.cells):
            if _place_of(cell) in self._known:
                continue
            card = cell.llm.card
            request = cell.request
            if self._fresh:
                request = dataclasses.replace(request, fresh=self.run.run_id)
            asks.append(
                ask_of(
                    cell.llm,
                    request,
                    self._price_of(card),
                    (own[card.simulated], self._above[card.simulated]),
                    timeout_s=self._settings.default_timeout_s,
                    hedge_s=self._settings.hedge_after_s,
                    scored=self._scored,
                    call_id=f"{self.run.run_id}-{batch}-{number}",
                    run_id=self.run.run_id,
                    variant=cell.variant,
                    case=cell.case,
                    reference=cell.reference,
                )
            )
        return asks

    async def _finish(self, kind: type[R], calls: Calls, status: RunStatus, reason: str) -> R:
        broken = [row for row in calls.rows.values() if row.state == "cancelled"]
        end = RunEnded(self.run.run_id, status, reason)
        await self._store.commit(*map(CallEnded, broken), end)
        tried = sorted(calls.rows.values(), key=lambda row: row.state == "answered")
        done = {**self._known, **{_place(row): row for row in tried}}
        rows = [done[place] for cell in self.cells if (place := _place_of(cell)) in done]
        self.run = dataclasses.replace(
            self.run, status=status, reason=reason, ended_utc=now_utc()
        )  # fmt: skip
        others = [row for row in calls.rows.values() if row is not done[_place(row)]]
        earlier = (*self._earlier, *others)
        return kind(
            self.run,
            rows,
            notes=(
                *notes(rows, (*rows, *earlier)),
                *self._others(),
                *self._overspent((*rows, *earlier)),
            ),
            duration_s=time.monotonic() - self._started,
            earlier=earlier,
            schema=self._schema,
        )

    def _others(self) -> tuple[str, ...]:
        """Say whom it waited for."""
        said = f"It waited for run {self._waited_for} of another process, which asked the same."
        return (said,) if self._waited_for else ()

    def _overspent(self, rows: Sequence[CallRow]) -> tuple[str, ...]:
        """Say that a limit was passed, which only a wrong count of tokens can bring about."""
        limit = self.run.budget_usd
        passed = limit is not None and any(
            spent(rows, simulated=simulated) > limit for simulated in (False, True)
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
    calls_made = list(all_calls)
    again = sum(call.attempt > 1 and not call.from_store for call in calls_made)
    if again:
        said.append(
            f"{again} {'call was' if again == 1 else 'calls were'} made again after errors."
        )
    lost = sum(call.state == "lost" for call in calls_made)
    if lost:
        calls = "call was" if lost == 1 else "calls were"
        said.append(
            f"{lost} {calls} in flight when an earlier process was killed, and may have been "
            "billed twice."
        )
    return tuple(said)


def _place(row: CallRow) -> Place:
    return (row.case, row.llm, row.variant, row.sample)


def _place_of(cell: Cell) -> Place:
    return (cell.case, cell.llm.card.id, cell.variant, cell.request.sample)
