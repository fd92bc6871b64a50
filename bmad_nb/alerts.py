"""Rules that say when a run needs a person: pure folds over its events, and the time.

Each rule fires once per episode: it has to hold off before it can fire again.
"""

from __future__ import annotations

import datetime
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from bmad_nb.events import (
    CallEnded,
    CallIntended,
    CallRow,
    Event,
    RunEnded,
    RunPausing,
    RunRow,
    RunStarted,
    TaskAnswered,
    TaskAsked,
    TaskEnded,
)
from bmad_nb.plan import root_of

WINDOW = 20
"""Newest calls of a run that its rates are made of."""
ENOUGH = 5
"""Calls, or scores, from which on a rate says something."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What is not normal."""

    spend: float = 0.8
    """Share of the limit, in [0, 1]."""
    errors: float = 0.3
    """Share of the newest calls that failed, in [0, 1]."""
    latency_s: float | None = None
    """Seconds under which nine of ten of the newest answers are to stay; None looks at none."""
    stall_s: float = 60.0
    """Seconds without any event, nobody being asked."""
    drop: float = 0.2
    """By how much the mean of the newest scores may be below that of those before, in [0, 1]."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One rule that fired."""

    run_id: str
    rule: str
    """`spend`, `errors`, `latency`, `stall`, `quality` or `owner`."""
    said: str
    """One sentence."""
    time_utc: str

    @property
    def line(self) -> str:
        """The alert in one line."""
        return f"ALERT {self.rule} · run {self.run_id} · {self.said}"


@dataclass(slots=True)
class Watched:
    """What the rules look at of one run.

    Args:
        run: its row.
        limits: what is not normal.
    """

    run: RunRow
    limits: Limits
    last_utc: str = ""
    """Time of its newest event."""
    ended: deque[tuple[bool, float]] = field(default_factory=lambda: deque(maxlen=WINDOW))
    """Of each of the newest calls, whether it failed, and its seconds."""
    scores: list[float] = field(default_factory=list)
    firing: set[str] = field(default_factory=set)
    """Rules whose episode goes on."""
    flying: dict[str, CallRow] = field(default_factory=dict)
    """Calls in flight by id."""
    done: set[str] = field(default_factory=set)
    """Tasks that have an outcome, parts of tasks left out."""
    costs: dict[str, tuple[bool, Decimal]] = field(default_factory=dict)
    """By call, whether it is simulated, and US dollars."""
    waiting: set[str] = field(default_factory=set)
    """Tasks that wait for a person."""
    is_pausing: bool = False

    def take(self, time_utc: str, event: Event) -> None:
        """Take note of an event."""
        self.last_utc = max(self.last_utc, time_utc)
        match event:
            case RunStarted(run=run):
                self.run, self.is_pausing = run, False
                self.flying.clear()
            case CallIntended(call=call):
                self.flying[call.call_id] = call
            case CallEnded(call=call):
                self._ended(call)
            case TaskEnded(task=task):
                score = (task.facts or {}).get("score")
                if isinstance(score, int | float):
                    self.scores.append(float(score))
                self.waiting.discard(task.task)
                if root_of(task.task) == task.task:
                    self.done.add(task.task)
            case TaskAsked(task=name):
                self.waiting.add(name)
            case TaskAnswered(task=name):
                self.waiting.discard(name)
            case RunPausing():
                self.is_pausing = True

    def _ended(self, call: CallRow) -> None:
        self.flying.pop(call.call_id, None)
        if call.cost_usd:
            self.costs[call.call_id] = (call.simulated, call.cost_usd)
        if not call.from_store and call.state in {"answered", "failed"}:
            self.ended.append((call.state == "failed", call.latency_s or 0.0))

    def spent_usd(self, *, simulated: bool) -> Decimal:
        """Return what its calls cost in US dollars, of one kind of money."""
        return sum((usd for sort, usd in self.costs.values() if sort is simulated), Decimal(0))

    def look(self, now: datetime.datetime) -> list[Alert]:
        """Return the rules that began to hold since the last look."""
        held = dict(self._holding(now))
        new = [rule for rule in held if rule not in self.firing]
        self.firing = set(held)
        when = now.isoformat(timespec="milliseconds")
        return [Alert(self.run.run_id, rule, held[rule], when) for rule in new]

    def _holding(self, now: datetime.datetime) -> Iterator[tuple[str, str]]:
        """Yield each rule that holds now, with its sentence."""
        yield from self._spending()
        failed = sum(one for one, _ in self.ended)
        many = len(self.ended)
        if many >= ENOUGH and failed / many >= self.limits.errors:
            yield "errors", f"{failed} of the newest {many} calls failed."
        yield from self._slow()
        yield from self._dropped()
        if self.run.status == "interrupted":
            yield "owner", "the process that ran it is gone; resume it to go on."
        elif self.run.status == "running" and not self.is_pausing:
            yield from self._stalled(now)

    def _spending(self) -> Iterator[tuple[str, str]]:
        limit = self.run.budget_usd
        if not limit:
            return
        for simulated in (False, True):
            spent = self.spent_usd(simulated=simulated)
            if float(spent / limit) >= self.limits.spend:
                sort = "simulated " if simulated else ""
                yield "spend", f"{sort}${spent:f} of ${limit:f} is spent."
                return

    def _slow(self) -> Iterator[tuple[str, str]]:
        times = sorted(seconds for failed, seconds in self.ended if not failed)
        slo = self.limits.latency_s
        if slo is None or len(times) < ENOUGH:
            return
        ninth = times[min(len(times) - 1, int(0.9 * len(times)))]
        if ninth > slo:
            yield "latency", f"one answer of ten takes over {ninth:.2f} s; the limit is {slo:g} s."

    def _dropped(self) -> Iterator[tuple[str, str]]:
        newest, before = self.scores[-ENOUGH:], self.scores[:-ENOUGH]
        if len(before) < ENOUGH:
            return
        now, then = sum(newest) / len(newest), sum(before) / len(before)
        if then - now >= self.limits.drop:
            yield (
                "quality",
                f"the newest {ENOUGH} scores have a mean of {now:.2f}, {then:.2f} before.",
            )

    def _stalled(self, now: datetime.datetime) -> Iterator[tuple[str, str]]:
        if self.waiting or not self.last_utc:
            return
        quiet_s = (now - datetime.datetime.fromisoformat(self.last_utc)).total_seconds()
        if quiet_s >= self.limits.stall_s:
            flying = sorted({call.llm for call in self.flying.values()})
            on = f", waiting for {flying[0]}" if flying else ""
            yield "stall", f"nothing has happened for {quiet_s:.0f} s{on}."


def line_of(event: Event) -> str:
    """Return what happened, in a few words."""
    match event:
        case RunStarted(run=run):
            return f"{'goes on' if run.fence > 1 else 'begins'}: {run.workflow or run.verb}"
        case CallIntended(call=call):
            return f"asks {call.llm}" + (f" for {call.task}" if call.task else "")
        case CallEnded(call=call):
            return _call_line(call)
        case TaskEnded(task=task):
            why = task.error or task.skipped_because
            return f"{task.state} {task.task}" + (f": {why}" if why else "")
        case RunEnded(status=status, reason=reason):
            return status + (f" ({reason})" if reason else "")
    return event.kind.replace("_", " ")


def _call_line(call: CallRow) -> str:
    if call.from_store:
        return f"{call.llm} answered from the store"
    if call.state != "answered":
        return f"{call.llm} {call.state}: {call.error_kind or call.error}"
    sort = " (simulated)" if call.simulated else ""
    money = "" if call.cost_usd is None else f", ${call.cost_usd.normalize():f}{sort}"
    return f"{call.llm} answered in {call.latency_s or 0:.2f} s{money}"
