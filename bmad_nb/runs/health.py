"""How LLMs do at this moment: who fails or has become slow is left alone, and tried again later."""

from __future__ import annotations

import statistics
from collections import defaultdict, deque
from collections.abc import Callable, Mapping

from bmad_nb.calls.breaker import Breaker
from bmad_nb.errors import CircuitOpen
from bmad_nb.events import CallRow

LAST, BAD = 5, 3
"""An LLM is left alone when so many (`BAD`) of so many newest calls (`LAST`) went badly."""
SLOWER, LEAST_S = 4.0, 0.25
"""A call is slow beyond so many times the usual seconds, and by so many seconds at least."""
KNOWN = 3
"""Answers after which it is known what is usual."""
_FAILED = {"ServerFailed", "ConnectionFailed", "StreamCut", "TimedOut"}
_FOR_LONG = {"QuotaExhausted", "AuthenticationFailed", "PermissionRefused", "ModelNotFound"}
"""Errors after which the next call would fail too."""


class _BadlyError(Exception):
    """Stands for a call that failed or was slow."""


class Health:
    """Takes note of the calls of a run and says who is to be left alone.

    Args:
        clock: the time in seconds.
        usual: median seconds of an answer in runs before, by LLM.
    """

    def __init__(self, clock: Callable[[], float], usual: Mapping[str, float]) -> None:
        """Know of nobody that does badly."""
        self._clock, self._usual = clock, dict(usual)
        self._breakers: dict[str, Breaker] = {}
        self._seconds: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=50))
        self._waited: dict[str, float] = {}
        self._flying: dict[str, tuple[str, float]] = {}
        self._why: dict[str, str] = {}

    def note(self, row: CallRow) -> None:
        """Take note of a call that was sent, or has ended."""
        now = self._clock()
        if row.state == "in_flight":
            self._flying[row.call_id] = row.llm, now
            self._waited[row.llm] = row.waited_s or 0.0
            return
        was_flying = self._flying.pop(row.call_id, None)
        if row.from_store or row.state in {"cancelled", "lost"} or row.error_kind == "CircuitOpen":
            return
        if row.state == "failed" and row.error_kind in _FAILED | _FOR_LONG:
            times = BAD if row.error_kind in _FOR_LONG else 1
            self._bad(row.llm, f"failed with {row.error_kind}", now, times)
        elif row.state == "answered" and row.latency_s is not None:
            if self._is_slow(row.llm, row.latency_s):
                if was_flying is not None:  # else it counted while it was in flight
                    self._bad(row.llm, f"took {row.latency_s:.1f} s", now)
                return
            self._seconds[row.llm].append(row.latency_s)
            self._breaker(row.llm).record(None, now)

    def left_alone(self, llm: str) -> str:
        """Return why an LLM is to be left alone at this moment; empty if it may be asked."""
        now = self._clock()
        for call_id, (name, began) in list(self._flying.items()):
            if name == llm and self._is_slow(llm, now - began):
                del self._flying[call_id]
                self._bad(llm, f"has not answered for {now - began:.1f} s", now)
        try:
            self._breaker(llm).check(llm, now)
        except CircuitOpen as error:
            again = f"it is tried again in {error.retry_after_s:.1f} s"
            return f"{BAD} of its newest calls went badly, the last {self._why[llm]}; {again}"
        return ""

    def chosen(self, llm: str) -> bool:
        """Take note that an LLM is asked; return whether that is a trial after a rest."""
        breaker = self._breaker(llm)
        breaker.begin(self._clock())
        return breaker.is_open

    def seconds(self, llm: str) -> float | None:
        """Return the median seconds of an answer, with what calls wait for their turn."""
        usual = self._median(llm)
        return None if usual is None else usual + self._waited.get(llm, 0.0)

    @property
    def in_flight(self) -> int:
        """Calls of the run that are on their way."""
        return len(self._flying)

    def _bad(self, llm: str, why: str, now: float, times: int = 1) -> None:
        self._why[llm] = why
        for _ in range(times):
            self._breaker(llm).record(_BadlyError(why), now)

    def _is_slow(self, llm: str, seconds: float) -> bool:
        usual = self._median(llm)
        return usual is not None and seconds > max(SLOWER * usual, usual + LEAST_S)

    def _median(self, llm: str) -> float | None:
        own = self._seconds[llm]
        return statistics.median(own) if len(own) >= KNOWN else self._usual.get(llm)

    def _breaker(self, llm: str) -> Breaker:
        if llm not in self._breakers:
            self._breakers[llm] = Breaker(
                lambda error: isinstance(error, _BadlyError), failures=BAD, last=LAST
            )
        return self._breakers[llm]
