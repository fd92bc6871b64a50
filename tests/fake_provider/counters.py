"""What is counted: requests, tokens and money, in all, by model and by request key."""

from __future__ import annotations

import dataclasses
from collections import deque
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tests.fake_provider.answers import Answer
from tests.fake_provider.config import ModelConfig


@dataclass(slots=True)
class Tally:
    """What was counted of one model, or of one request key."""

    received: int = 0
    """Requests that arrived whole."""
    sent: int = 0
    """Usable answers whose last byte the kernel took while the client was there."""
    failed: int = 0
    """Requests that were answered by an error or a planted fault."""
    aborted: int = 0
    """Requests whose client went away before the end."""
    limited: int = 0
    """Requests that a limit of the model refused; they are among the failed."""
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal = Decimal(0)
    """US dollars billed; a model that was at work when its client left has billed nothing, and
    one that had begun its stream has billed all of it."""

    def bill(self, said: Answer, model: ModelConfig) -> None:
        """Add what an answer costs."""
        self.input_tokens += said.input_tokens
        self.output_tokens += said.output_tokens
        self.cost_usd += (
            model.input_usd_per_mtok * said.input_tokens
            + model.output_usd_per_mtok * said.output_tokens
        ) / 1_000_000

    def to_json(self) -> dict[str, Any]:
        """Return the numbers, money as text."""
        return {**dataclasses.asdict(self), "cost_usd": str(self.cost_usd)}


@dataclass(slots=True)
class Counters:
    """Everything that is counted; it lives in the server's process alone."""

    total: Tally = field(default_factory=Tally)
    models: dict[str, Tally] = field(default_factory=dict)
    keys: dict[str, Tally] = field(default_factory=dict)
    """By Idempotency-Key header."""
    connections: int = 0
    """Connections that brought a request, those of this control interface left out."""
    offences: int = 0
    """Requests with a key in their URL."""
    peak_in_flight: int = 0
    trap: list[dict[str, Any]] = field(default_factory=list)
    """Requests at the second port, to which redirects point."""
    requests: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=2000))
    """The newest requests, with headers, body and, where it could be read, the question."""

    def of(self, model: str, key: str) -> tuple[Tally, ...]:
        """Return the tallies that a request counts in."""
        mine = [self.total, self.models.setdefault(model, Tally())]
        if key:
            mine.append(self.keys.setdefault(key, Tally()))
        return tuple(mine)

    def to_json(self) -> dict[str, Any]:
        """Return all numbers as JSON data."""
        return {
            **self.total.to_json(),
            "peak_in_flight": self.peak_in_flight,
            "connections": self.connections,
            "offences": self.offences,
            "trap": len(self.trap),
            "models": {name: each.to_json() for name, each in self.models.items()},
            "keys": {name: each.to_json() for name, each in self.keys.items()},
        }
