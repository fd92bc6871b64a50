"""A circuit breaker: what only fails is left alone for a while.

After Nygard, Release It! (2007): closed, open, and half open for one trial.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from bmad_nb.errors import (
    CircuitOpen,
    ConnectionFailed,
    LLMError,
    QuotaExhausted,
    ServerFailed,
    TimedOut,
)

SPAN_S = 30.0
"""Only what happened in so many seconds counts."""
FAILURES = 5
"""Fewer failures than this open nothing."""
SHARE = 0.5
"""Share of failures from which it opens."""
FIRST_S, LONGEST_S = 5.0, 60.0
"""Seconds for which it opens: at first, doubled at each failed trial, and at most."""
QUOTA_S = 60.0
"""Seconds for which one error about a quota opens it."""
TRIAL_S = 1.0
"""Seconds after which those who came during a trial may ask again."""


_NO_QUOTA = "belongs to an account without quota"


def of_the_endpoint(error: BaseException | None) -> bool:
    """Return whether an error concerns all models of an endpoint: nothing was reached."""
    return isinstance(error, ConnectionFailed) and error.billed == "no"


def of_the_model(error: BaseException | None) -> bool:
    """Return whether an error may concern one model alone."""
    if of_the_endpoint(error):
        return False
    return isinstance(error, ServerFailed | ConnectionFailed | TimedOut)


class Breaker:
    """The breaker of an endpoint or of one model there; times are seconds of the loop's clock.

    Args:
        counts: says which errors are failures; of others only a quota that is used up matters.
        failures: fewer than so many open nothing.
        last: only so many of the newest ends count; None counts all of `SPAN_S`.
    """

    def __init__(
        self,
        counts: Callable[[BaseException | None], bool] = of_the_model,
        *,
        failures: int = FAILURES,
        last: int | None = None,
    ) -> None:
        """Begin closed."""
        self._counts, self._least, self._last = counts, failures, last
        self._ended: deque[tuple[float, bool]] = deque()
        self._failures = 0
        self._open_until: float | None = None
        self._open_s = FIRST_S
        self._because = ""
        self._trying = False

    @property
    def is_open(self) -> bool:
        """Whether calls are refused, but for a trial."""
        return self._open_until is not None

    def check(self, llm: str, now: float) -> None:
        """Let a call through.

        Raises:
            CircuitOpen: it is open, and no trial is due; `retry_after_s` says when one is.
        """
        if self._open_until is None or (now >= self._open_until and not self._trying):
            return
        wait_s = max(self._open_until - now, TRIAL_S if self._trying else 0.0)
        refused = CircuitOpen(
            f"{llm} was not asked: it {self._because}, and is left alone for a while.",
            llm=llm,
            hint=f"It is tried again in {wait_s:.0f} s; other LLMs are not concerned.",
            retry_after_s=wait_s,
        )
        refused.retryable = self._because != _NO_QUOTA  # money does not come by waiting
        raise refused

    def begin(self, now: float) -> None:
        """Take note that a call goes out; while it is open, that is the trial."""
        self._trying = self._open_until is not None and now >= self._open_until

    def record(self, error: BaseException | None, now: float) -> None:
        """Take note of how a call ended; what is not the endpoint's fault does not count."""
        if isinstance(error, QuotaExhausted) and self._counts is of_the_endpoint:
            self._because = _NO_QUOTA
            self._open(now, QUOTA_S)
            return
        failed = self._counts(error)
        if self._open_until is not None:
            self._end_trial(error, now, failed=failed)
            return
        if error is not None and not failed:
            return
        self._ended.append((now, failed))
        self._failures += failed
        most = self._last or len(self._ended)
        while self._ended[0][0] < now - SPAN_S or len(self._ended) > most:
            self._failures -= self._ended.popleft()[1]
        if self._failures >= self._least and self._failures >= SHARE * len(self._ended):
            self._because = f"failed {self._failures} times in {SPAN_S:g} s"
            self._open(now, FIRST_S)

    def _end_trial(self, error: BaseException | None, now: float, *, failed: bool) -> None:
        """Close after a trial that shows life; wait longer after one that failed."""
        if not self._trying:
            return  # it was on its way before the breaker opened
        self._trying = False
        if failed:
            self._open(now, min(2 * self._open_s, LONGEST_S))
        elif error is None or isinstance(error, LLMError):
            self._open_until = None
            self._ended.clear()
            self._failures = 0

    def _open(self, now: float, seconds: float) -> None:
        self._open_until, self._open_s = now + seconds, seconds
        self._trying = False
