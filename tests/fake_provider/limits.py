"""How many requests a model takes: sliding minutes, a bucket per second, outages, and their clock."""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import dataclass, field

from tests.fake_provider.config import ModelConfig

_MINUTE_S = 60.0
_ROUNDING = 1e-6
"""Seconds, and shares of a request, that a clock's arithmetic may miss."""


class Clock:
    """The provider's own time, `scale` times as fast as the world's."""

    def __init__(self, scale: float = 1.0) -> None:
        """Begin at 0."""
        self.scale = scale
        self._began_s = time.monotonic()

    @property
    def now_s(self) -> float:
        """Seconds on this clock since it began."""
        return (time.monotonic() - self._began_s) * self.scale

    def true_s(self, seconds: float) -> float:
        """Return how long some seconds of this clock take in the world."""
        return seconds / self.scale


@dataclass(slots=True)
class Limits:
    """What one model has taken, and whether it takes more."""

    model: ModelConfig
    taken: deque[tuple[float, int]] = field(default_factory=deque)
    """Time and tokens of each request of the last minute."""
    _bucket: float | None = None
    _filled_s: float = 0.0

    def is_out(self, now_s: float) -> bool:
        """Return whether the model is amid its outage."""
        outage = self.model.outage
        return outage is not None and outage[0] <= now_s < outage[1]

    def wait_s(self, now_s: float, tokens: int) -> float:
        """Take a request and return 0, or return the seconds after which it may come again."""
        while self.taken and self.taken[0][0] <= now_s - _MINUTE_S + _ROUNDING:
            self.taken.popleft()
        self._fill(now_s)
        wait_s = max(self._of_rpm(now_s), self._of_tpm(now_s, tokens), self._of_rps())
        if wait_s > 0:
            return wait_s
        self.taken.append((now_s, tokens))
        if self._bucket is not None:
            self._bucket -= 1
        return 0.0

    def _fill(self, now_s: float) -> None:
        if self.model.rps:
            most = max(1.0, self.model.rps)
            level = most if self._bucket is None else self._bucket
            self._bucket = min(most, level + (now_s - self._filled_s) * self.model.rps)
            self._filled_s = now_s

    def _of_rps(self) -> float:
        if self._bucket is None or self._bucket >= 1 - _ROUNDING:
            return 0.0
        return (1 - self._bucket) / self.model.rps

    def _of_rpm(self, now_s: float) -> float:
        over = len(self.taken) - self.model.rpm
        if not self.model.rpm or over < 0:
            return 0.0
        return self.taken[over][0] + _MINUTE_S - now_s

    def _of_tpm(self, now_s: float, tokens: int) -> float:
        if not self.model.tpm:
            return 0.0
        over = sum(each for _, each in self.taken) + tokens - self.model.tpm
        for then_s, each in self.taken:
            if over <= 0:
                return 0.0
            over -= each
            if over <= 0:
                return then_s + _MINUTE_S - now_s
        return _MINUTE_S if over > 0 else 0.0  # more than a whole minute takes


def in_header(seconds: float) -> str:
    """Return a wait for a Retry-After header, rounded up to 0.01 s."""
    return f"{math.ceil(seconds * 100) / 100:.2f}"
