"""What other processes want of a run: it looks into the store several times a second, and obeys."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import Any

from bmad_nb.calls.calls import Calls
from bmad_nb.engine.slots import Slots
from bmad_nb.errors import (
    RunBusy,
    RunCancelled,
    RunPaused,
    RunStopped,
    StoreError,
    UsageProblem,
)
from bmad_nb.events import (
    CallEnded,
    RunEnded,
    RunPausing,
    RunRow,
    RunStarted,
    RunStatus,
    TaskAsked,
    Wish,
)
from bmad_nb.runs.asks import lost
from bmad_nb.runs.people import People
from bmad_nb.store.journal import Store

LOOK_S = 0.1
"""Seconds between two looks: a wish is acknowledged within a second, whatever else goes on."""
PATIENCE_S = 5.0
"""Seconds for which a wish is waited for to be seen."""


class Steered:
    """A run that can be told to stop, and be answered, while it goes on.

    Args:
        store: where it is written down that a wish was seen.
        run_id: the run.
        slots: its slots.
    """

    def __init__(self, store: Store, run_id: str, slots: Slots) -> None:
        """Go on, until something else is said."""
        self._steered, self._run_id, self._slots = store, run_id, slots
        self._calls: Calls
        self._people: People
        self._main: asyncio.Task[Any] | None = None
        self._stop: tuple[RunStatus, RunStopped] | None = None

    async def pause(self, wish: int, by: str, *, now: bool) -> None:
        """Begin nothing more, and say so; with `now` break off what is in flight, too."""
        stop = RunPaused(f"Paused by {by}")
        stop.reason = "pause"
        await self._halt(stop, RunPausing(self._run_id, "pause", wish))
        if now and self._main is not None:
            self._stop = ("paused", stop)
            self._main.cancel()

    async def stop(self, wish: int, by: str) -> None:
        """Break off, for good."""
        said = f"Run {self._run_id} was cancelled by {by}."
        stop = RunCancelled(said, run_id=self._run_id)
        await self._halt(stop, RunPausing(self._run_id, "cancel", wish))
        self._stop = ("cancelled", stop)
        if self._main is not None:
            self._main.cancel()

    async def answered(self, task: str, answer: Mapping[str, Any], wish: int = 0) -> None:
        """Take what a person says."""
        await self._people.given(task, answer, wish)

    async def _halt(self, stop: RunStopped, seen: RunPausing) -> None:
        """Send nothing more and begin nothing more, and only then say that it was seen."""
        self._calls.halt(stop)
        self._slots.halt(stop)
        await self._steered.commit(seen)

    @property
    def questions(self) -> Sequence[TaskAsked]:
        """What people are asked now."""
        return self._people.waiting if hasattr(self, "_people") else ()


async def watch(store: Store, run_id: str, run: Steered) -> None:
    """Look for wishes until cancelled, and obey each."""
    last = 0
    while True:
        with contextlib.suppress(StoreError):  # it is looked at again; other commits will say it
            for wish in store.wishes(run_id, last):
                last = wish.number
                await obey(wish, run)
        await asyncio.sleep(LOOK_S)


async def obey(wish: Wish, run: Steered) -> None:
    """Do what is wanted."""
    match wish.kind:
        case "pause":
            await run.pause(wish.number, wish.by, now=bool(wish.payload.get("now")))
        case "cancel":
            await run.stop(wish.number, wish.by)
        case "answer":
            await run.answered(wish.payload["task"], wish.payload["answer"], wish.number)


def wanted(store: Store, run: RunRow, kind: str, payload: Mapping[str, Any], by: str) -> str:
    """Tell the process that runs a run what is wanted; return when it saw it, as ISO text.

    Empty where it has not within a few seconds: the wish stands, and is seen later.
    """
    number = store.wish(run.run_id, kind, payload, by)
    until_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < until_s:
        seen = store.wish_seen(number)
        if seen or store.run(run.run_id).status != "running":
            return seen
        time.sleep(0.05)
    return ""


async def cancelled(store: Store, run: RunRow) -> None:
    """Store a run that nobody runs as cancelled.

    Raises:
        UsageProblem: it is over.
        RunBusy: somebody has just taken it up.
    """
    if run.status not in {"paused", "interrupted"}:
        raise UsageProblem(f"Run {run.run_id} is {run.status}.", hint="There is nothing to cancel.")
    taken = dataclasses.replace(
        run, status="running", owner=store.owner_name(), fence=run.fence + 1
    )  # fmt: skip
    gone = [lost(call) for call in store.calls(run.run_id) if call.state in {"in_flight", "lost"}]
    try:
        await store.commit(
            RunStarted(taken), *map(CallEnded, gone), RunEnded(run.run_id, "cancelled", "user")
        )
    except StoreError as error:
        if isinstance(error, RunBusy):
            raise
        raise UsageProblem(f"Run {run.run_id} cannot be cancelled: {error.what}") from None
