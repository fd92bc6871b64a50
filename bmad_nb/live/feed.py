"""A run that is watched: what is new in the store, what is being said, and how long it will take.

The store is looked at, not the engine: a run of another process shows the same, and so does one
that is opened again. Only the words of answers that are still on their way are taken from this
process, for they are not stored.
"""

from __future__ import annotations

import datetime
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Mapping

from bmad_nb.forecast.simulation import simulate
from bmad_nb.live.board import Board, Json, difference
from bmad_nb.plan import Step
from bmad_nb.store.journal import Store

LOOK_S = 0.1
"""Least seconds between two looks."""
_SHARE = 0.01
"""Share of the time that working out what is left may take."""


class Feed:
    """What is to be shown of a run, as frames: a whole one, then only what changed.

    Args:
        store: where it is stored.
        run_id: its id.
        texts: returns by call the end of the text that has come so far, for calls of this process.
    """

    slots = 10
    """Tasks at a time, where the run itself says nothing."""

    def __init__(
        self, store: Store, run_id: str, texts: Callable[[], Mapping[str, str]] | None = None
    ) -> None:
        """Read nothing yet."""
        self.store, self.run_id = store, run_id
        self.texts = texts or dict
        self.board = Board()
        self.number = 0
        """Number of the last frame."""
        self._live: Json = {}
        self._typical: dict[str, float] | None = None
        self._left_s: float | None = None
        self._next_s = 0.0
        self._interrupted = False
        self._checked_s = 0.0

    @property
    def is_over(self) -> bool:
        """True once nothing more happens to the run, unless somebody takes it up again."""
        return self._interrupted or self.board.state.status != "running"

    def look(self) -> Json | None:
        """Return the frame with what is new, or None where nothing is.

        Raises:
            UnknownRun: there is no such run.
            StoreError: the store cannot be read.
        """
        events = self.store.events(self.run_id, self.board.seq)
        change = self.board.take(events)
        self._check_owner(bool(events))
        live = self._now()
        part = difference(self._live, live)
        self._live = live
        if not change and not part:
            return None
        self.number += 1
        return {"n": self.number, "change": change, "live": part, **self._clock()}

    def whole(self) -> Json:
        """Return all that there is, as a frame that needs no other."""
        return {"n": self.number, "whole": self.board.whole, "live": self._live, **self._clock()}

    def _clock(self) -> Json:
        runs = not self.is_over
        now = datetime.datetime.now(datetime.UTC)
        return {"clock_s": round(self.board.clock_s(now if runs else None), 2), "runs": runs}

    def _check_owner(self, is_new: bool) -> None:
        """Notice, once a second, that the process which ran it is gone."""
        now = time.monotonic()
        if is_new:
            self._interrupted = False
        elif self.board.state.status == "running" and now - self._checked_s > 1:
            self._checked_s = now
            self._interrupted = self.store.run(self.run_id).status == "interrupted"

    def _now(self) -> Json:
        """Return what is true now and is no event: words that come in, seconds that are left."""
        found: Json = {}
        if self._interrupted:
            found["interrupted"] = True
        if self.is_over:
            return found
        flying = {c for calls in self.board.flying.values() for c in calls}
        texts = {call: text for call, text in self.texts().items() if call in flying and text}
        if texts:
            found["texts"] = texts
        left_s = self._left()
        if left_s is not None:
            found["left_s"] = left_s
        return found

    # --- how long it will take ------------------------------------------------------------------

    def _left(self) -> float | None:
        """Return about how many seconds are left; None where that cannot be known.

        The engine's own scheduler is run over what is left, each task as long as its LLM's answers
        were until now; so often that it takes a hundredth of the time at most.
        """
        began = time.monotonic()
        if began < self._next_s:
            return self._left_s
        self._left_s = self._reckoned()
        took = time.monotonic() - began
        self._next_s = began + max(1.0, took / _SHARE)
        return self._left_s

    def _reckoned(self) -> float | None:
        plan = self.board.state.plan
        if plan is None:
            return None
        tasks = self.board.state.tasks
        left = [step for step in plan["steps"] if step["id"] not in tasks]
        names = {step["id"] for step in left}
        by_llm = self._medians()
        clock_s = self.board.clock_s(datetime.datetime.now(datetime.UTC))
        seconds: dict[str, float] = {}
        for step in left:
            if "llm" not in step:
                continue
            known = by_llm.get(step["llm"])
            if known is None:
                return None
            since = [self.board.whole["calls"][c]["start_s"] for c in self.board.flying[step["id"]]]
            gone_s = clock_s - min(since) if since else 0.0
            seconds[step["id"]] = max(known - gone_s, known * 0.1)
        steps = [
            Step(s["id"], s["verb"], tuple(n for n in s["needs"] if n in names),
                 priority=s["priority"])
            for s in left
        ]  # fmt: skip
        slots = int(plan.get("limits", {}).get("concurrency") or self.slots)
        in_order = plan.get("strategy") == "sequential"
        made = simulate(steps, seconds, slots=slots, in_order=in_order)
        return float(round(made.makespan_s)) if made.makespan_s >= 1 else round(made.makespan_s, 1)

    def _medians(self) -> dict[str, float]:
        """Return the median seconds of an answer by LLM: of this run, else of the runs before."""
        if self._typical is None:
            before: defaultdict[str, list[float]] = defaultdict(list)
            for llm, _task, took in self.store.latencies():
                before[llm].append(took)
            self._typical = {llm: statistics.median(each) for llm, each in before.items()}
        own: defaultdict[str, list[float]] = defaultdict(list)
        calls = list(self.board.state.calls.values())[-500:]
        for call in calls:
            if call.state == "answered" and call.latency_s and not call.from_store:
                own[call.llm].append(call.latency_s)
        return self._typical | {llm: statistics.median(each) for llm, each in own.items()}
