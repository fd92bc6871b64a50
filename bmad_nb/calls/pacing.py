"""How fast one model is asked: its declared limits, and those that its refusals teach.

Two limits are found out by trial. The number of calls in flight grows by one for each round of
answers and shrinks to four fifths at a refusal (additive increase, multiplicative decrease: Chiu
and Jain 1989). The calls a second are unlimited until a refusal comes; then they are set just below
what was being answered, and creep up again until the next one.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from typing import Any, NamedTuple

from bmad_nb.calls.breaker import Breaker, of_the_endpoint
from bmad_nb.errors import LLMError, QuotaExhausted, RateLimited
from bmad_nb.llms.base import Pace

FIRST_IN_FLIGHT = 20
"""Calls in flight that are tried first, where nothing is declared."""
MOST_IN_FLIGHT = 1000
SHRINK = 0.8
"""Share of the calls in flight that is kept after a refusal."""
KEEP = 0.95
"""Share of the measured rate that is kept after a refusal."""
CREEP = 1.02
"""Factor by which the found rate grows with about ten calls, or in a second if that is more."""
LEAST_PER_S = 0.05
"""Calls a second that are tried however many are refused."""
LONG_S = 2.0
"""A longer Retry-After, and nothing answered since the last refusal: a window is used up, and
nobody is asked before its end. A shorter one is a matter of pace, and waits with its own call."""
DECLARED = 0.98
"""Share of a declared limit that is used; clocks differ."""
_KNOWN = 8
"""Answers from which a rate is reckoned."""


class OpenGate:
    """A gate for what needs no pacing."""

    async def enter(self, tokens: int) -> None:
        """Let through at once."""

    def leave(self, turn: Any, error: BaseException | None, tokens: int | None) -> None:
        """Take no note."""


class Spacing:
    """Even spacing of what costs a part of a rate; one number is all its state.

    It is the generic cell rate algorithm without a burst: whoever comes pays for what follows.
    """

    def __init__(self, per_s: float) -> None:
        """Let the first one through at once."""
        self.per_s = per_s
        self.opens_at = 0.0
        """Time before which nothing may go through, in seconds of the loop's clock."""

    def take(self, amount: float, now: float) -> None:
        """Let something through, and move the time for the next."""
        self.opens_at = max(now, self.opens_at) + amount / self.per_s

    def give_back(self, amount: float) -> None:
        """Correct what was taken too much, or too little where it is negative."""
        self.opens_at -= amount / self.per_s


class Window:
    """Calls in flight: how many there are, and how many there may be."""

    def __init__(self, limit: int | None) -> None:
        """Begin with a declared limit, or with a guess."""
        self._most = limit or MOST_IN_FLIGHT
        self._limit = float(min(limit or FIRST_IN_FLIGHT, self._most))
        self._is_cut = False
        self.in_flight = 0

    @property
    def limit(self) -> int:
        """Most calls in flight at this moment, at least 1."""
        return max(1, int(self._limit))

    def grow(self) -> None:
        """Take note of an answer; only a full window has shown that more could fit."""
        if self.in_flight >= self.limit:
            step = 1 / self._limit if self._is_cut else 1.0
            self._limit = min(self._limit + step, self._most)

    def shrink(self) -> None:
        """Take note of a refusal."""
        self._limit = max(1.0, self._limit * SHRINK)
        self._is_cut = True


class FoundRate:
    """Calls a second that refusals have taught; no limit before there was one."""

    def __init__(self) -> None:
        """Know nothing."""
        self._taken: deque[float] = deque(maxlen=256)
        """When calls went out that were not refused: unlike answers, they tell of this moment."""
        self._sent = self._refusals = 0  # since the rate was set
        self._found: float | None = None
        self._since = 0.0
        self._is_known = False

    def per_s(self, now: float) -> float | None:
        """Return the calls a second that are tried now; None is no limit."""
        if self._found is None:
            return None
        since_s = max(now - self._since, 0.0)
        if not self._is_known:  # a search: twice as many each second
            return self._found * float(2.0 ** min(since_s, 20.0))
        # in units of about ten calls: slow near the last limit, then ever faster away from it
        units = min(since_s * min(1.0, self._found / 10), 30.0)
        grown: float = CREEP ** (units + (units / 6) ** 3)
        return self._found * grown

    def sent(self, now: float) -> None:
        """Take note of a call that goes out."""
        self._taken.append(now)
        self._sent += 1

    def refused(self, began: float, now: float, *, is_news: bool, least: float) -> None:
        """Take note of a refusal.

        Args:
            began: when the call had gone out.
            now: the time.
            is_news: whether the last change of pace shows already; then the rate is set just below
                what is being taken.
            least: calls a second below which the rate is not set.
        """
        if began in self._taken:
            self._taken.remove(began)
        self._refusals += began >= self._since  # earlier ones were counted out already
        if not is_news:
            return
        measured, tried = self._measured(now), self.per_s(now)
        burst = sum(now - at <= 1.0 for at in self._taken)
        if tried is None:  # as many in a second as were taken at first
            self._found = max(1.0, burst) if measured is None else KEEP * measured
        elif measured is None:
            self._found = tried / 2
        else:  # far above what is taken, it has grown while nobody asked much
            is_near = self._is_known and tried <= 2 * measured
            share = self._refusals / self._sent if self._sent >= _KNOWN else 0.0
            self._found = KEEP * (tried * (1 - share) if is_near else measured)
        self._sent = self._refusals = 0
        self._found = max(self._found, least)
        self._is_known = measured is not None or (tried is None and burst >= _KNOWN)
        self._since = now

    def rest(self, until: float) -> None:
        """Do not grow before a time, for nobody is asked until then."""
        self._since = until

    def _measured(self, now: float) -> float | None:
        """Return the calls a second of late, or None where there were too few."""
        late = [at for at in self._taken if now - at <= 0.5]
        if len(late) < _KNOWN:
            late = [at for at in self._taken if now - at <= 10.0][-2 * _KNOWN :]
        if len(late) < _KNOWN or now - late[0] < 0.25:  # a first burst tells nothing
            return None
        return len(late) / (now - late[0])


class Turn(NamedTuple):
    """A call that was let through."""

    began: float
    tokens: int


class Pacer:
    """Lets calls of one model through, in the order in which they came.

    Args:
        llm: id of the LLM, for messages.
        pace: what is declared.
        breakers: that of the endpoint and that of the model.
    """

    def __init__(self, llm: str, pace: Pace, *breakers: Breaker) -> None:
        """Let the first ones through at once."""
        self.pace = pace
        self._llm, self._breakers = llm, breakers
        self._window, self._found = Window(pace.in_flight), FoundRate()
        self._requests = Spacing(DECLARED * pace.rpm / 60) if pace.rpm else None
        self._tokens = Spacing(DECLARED * pace.tpm / 60) if pace.tpm else None
        self._learned = Spacing(1.0)
        self._held_until, self._last_cut = 0.0, -math.inf
        self._latency_s = 0.05  # of answers, smoothed
        self._is_answered = False  # since the last refusal
        self._waiting: deque[tuple[asyncio.Future[None], int]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    async def enter(self, tokens: int) -> Turn:
        """Wait for one's turn.

        Args:
            tokens: what the call will use, as far as one can tell.

        Raises:
            CircuitOpen: the endpoint is left alone for a while.
        """
        loop = asyncio.get_running_loop()
        self._check(loop.time())
        if self._waiting or not self._is_free(loop.time()):
            turn: asyncio.Future[None] = loop.create_future()
            self._waiting.append((turn, tokens))
            self._admit()
            try:
                await turn
                self._check(loop.time())
            except BaseException:
                if turn.done() and not turn.cancelled() and turn.exception() is None:
                    self._window.in_flight -= 1
                    self._admit()
                raise
        else:
            self._book(tokens, loop.time())
        for breaker in self._breakers:
            breaker.begin(loop.time())
        return Turn(loop.time(), tokens)

    def leave(self, turn: Turn, error: BaseException | None, tokens: int | None) -> None:
        """Take note of how a call ended.

        Args:
            turn: what `enter` returned.
            error: what went wrong, or None.
            tokens: what it used; None where nobody counted.
        """
        now = asyncio.get_running_loop().time()
        for breaker in self._breakers:
            breaker.record(error, now)
        if error is None:
            self._is_answered = True
            self._latency_s += (now - turn.began - self._latency_s) / 8
            self._window.grow()
        elif isinstance(error, LLMError) and _is_refusal(error):
            self._refused(turn, error, now)
        if self._tokens is not None and tokens is not None:
            self._tokens.give_back(turn.tokens - tokens)
        self._window.in_flight -= 1
        self._admit()

    @property
    def waiting(self) -> int:
        """Calls that wait for their turn."""
        return len(self._waiting)

    def _check(self, now: float) -> None:
        """Let a call through both breakers.

        Raises:
            CircuitOpen: one of them is open.
        """
        for breaker in self._breakers:
            breaker.check(self._llm, now)

    def _refused(self, turn: Turn, error: LLMError, now: float) -> None:
        wait_s = error.retry_after_s or 0.0
        if wait_s > LONG_S and not self._is_answered:
            self._held_until = max(self._held_until, now + wait_s)
        self._is_answered = False
        # as long as what the last refusal changed does not show, a further one says nothing new
        is_news = turn.began >= self._last_cut and now - self._last_cut >= self._latency_s
        if self._requests is None and isinstance(error, RateLimited):
            # who says "again in a second" takes at least one call in a second
            least = 1 / max(wait_s, 1.0) if 0 < wait_s <= LONG_S else LEAST_PER_S
            self._found.refused(turn.began, now, is_news=is_news, least=least)
        if is_news:
            self._last_cut = now
            self._window.shrink()
        if self._held_until > now:
            self._found.rest(self._held_until)

    def _opens_at(self) -> float:
        spacings = (self._requests, self._tokens, self._learned)
        return max(self._held_until, *(each.opens_at for each in spacings if each is not None))

    def _has_room(self, now: float) -> bool:
        """Return whether one more may fly: a known rate needs room for its own latency."""
        rate = self._found.per_s(now)
        needed = 0.0 if rate is None else 1.5 * rate * self._latency_s
        return self._window.in_flight < max(self._window.limit, min(needed, MOST_IN_FLIGHT))

    def _is_free(self, now: float) -> bool:
        return self._has_room(now) and self._opens_at() <= now

    def _book(self, tokens: int, now: float) -> None:
        self._window.in_flight += 1
        self._found.sent(now)
        found = self._found.per_s(now)
        if found is not None:
            self._learned.per_s = found
            self._learned.take(1, now)
        if self._requests is not None:
            self._requests.take(1, now)
        if self._tokens is not None:
            self._tokens.take(tokens, now)

    def _admit(self) -> None:
        """Let in all whose turn it is, and set the clock for the next."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        loop = asyncio.get_running_loop()
        while self._waiting:
            turn, tokens = self._waiting[0]
            if turn.done():  # cancelled meanwhile
                self._waiting.popleft()
            elif self._is_free(loop.time()):
                self._waiting.popleft()
                self._book(tokens, loop.time())
                turn.set_result(None)
            else:
                if self._has_room(loop.time()):
                    self._timer = loop.call_at(self._opens_at(), self._admit)
                return


def _is_refusal(error: LLMError) -> bool:
    """Return whether an error says that too much was asked at once."""
    if isinstance(error, QuotaExhausted):
        return False
    return isinstance(error, RateLimited) or error.status in {503, 529}


class Gates:
    """The pacers of a process: one for each model at an address, one breaker for all there."""

    def __init__(self) -> None:
        """Know nobody yet."""
        self._breakers: dict[str, Breaker] = {}
        self._pacers: dict[tuple[str, str], Pacer] = {}

    def of(self, llm: str, identity: str, model: str, pace: Pace) -> Pacer:
        """Return the pacer of a model; all who ask the same model share one."""
        pacer = self._pacers.get((identity, model))
        if pacer is None or pacer.pace != pace:
            shared = self._breakers.setdefault(identity, Breaker(of_the_endpoint))
            pacer = self._pacers[identity, model] = Pacer(llm, pace, shared, Breaker())
        return pacer

    def reset(self) -> None:
        """Forget what was learned; calls that wait keep the pacers that they wait at."""
        self._breakers.clear()
        self._pacers.clear()


GATES = Gates()
"""Those of this process: all of its cells and workspaces share them."""
