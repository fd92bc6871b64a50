"""What the fake provider is told to be: models with skills, times, prices, limits and faults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal
from typing import Any

from tests.fake_provider.kinds import (
    BILLED,
    FAULTS,
    GOOD,
    MEANINGLESS,
    MEANINGS,
    PLAIN_ONLY,
    STREAM_ONLY,
)

__all__ = [
    "BILLED", "FAULTS", "GOOD", "MEANINGLESS", "MEANINGS", "PLAIN_ONLY", "STREAM_ONLY", "Config",
    "ModelConfig",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """One model of the fake provider."""

    skill: Mapping[str, float] = field(default_factory=dict)
    """Probability in [0, 1] of a right answer by capability; `default` serves all others."""
    latency_s: float | tuple[float, float] = 0.0
    """Seconds before the answer: fixed, or median and sigma of a lognormal."""
    chunk_s: float = 0.0
    """Seconds between the events of a stream."""
    faults: tuple[str, ...] = ()
    """Faults of the first requests, in their order; `ok` is a request without one."""
    fault_rates: Mapping[str, float] = field(default_factory=dict)
    """Probability in [0, 1] by fault, for the requests behind those of `faults`."""
    retry_after: str = "1"
    """The Retry-After header of 429 and 503, as it is sent; empty for none."""
    slow_s: float = 0.5
    """Seconds that the faults `slow` and `slow_first_byte` add."""
    location: str = ""
    """Where a redirect points; empty is the trap on a second port."""
    key: str = ""
    """Key that a request must bring; empty for the provider's own."""
    max_in_flight: int = 0
    """Requests at once before it answers 429; 0 is no limit, here and in the next three."""
    rpm: int = 0
    """Requests in any 60 s; refused ones do not count."""
    rps: float = 0.0
    """Requests per second: a bucket of max(1, rps), filled all the time."""
    tpm: int = 0
    """Tokens of questions and answers in any 60 s."""
    outage: tuple[float, float] | None = None
    """Seconds from and to, since configured or reset, in which no request is answered."""
    outage_kind: str = "503"
    """`503`, or `reset` for connections that are reset."""
    cached_tokens: int = 0
    """Most tokens of a question that its usage calls cached."""
    reasoning_tokens: int = 0
    """Tokens that an answer takes before its text; max_tokens limits both together."""
    input_usd_per_mtok: Decimal = Decimal(0)
    """US dollars per million tokens of input, cached or not."""
    output_usd_per_mtok: Decimal = Decimal(0)
    """US dollars per million tokens of output, reasoning among them."""


@dataclass(frozen=True, slots=True)
class Config:
    """The whole provider."""

    models: Mapping[str, ModelConfig] = field(default_factory=lambda: {"small": ModelConfig()})
    seed: int = 0
    key: str = ""
    """Key that every request must bring; empty for none."""
    time_scale: float = 1.0
    """How many times as fast the provider's clock runs: it divides all seconds and minutes above,
    and so the true wait in the Retry-After of a limit."""

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Config:
        """Read a configuration.

        Raises:
            ValueError: a name in it does not exist.
        """
        _known(value, {"models", "seed", "key", "time_scale"})
        models = {name: _model(each) for name, each in value.get("models", {"small": {}}).items()}
        time_scale = float(value.get("time_scale", 1.0))
        if not 0 < time_scale <= 1e6:
            raise ValueError(f"The fake provider knows no time_scale of {time_scale}.")
        return cls(models, int(value.get("seed", 0)), value.get("key", ""), time_scale)


def _known(value: Mapping[str, Any], names: set[str]) -> None:
    unknown = sorted(set(value) - names)
    if unknown:
        raise ValueError(f"The fake provider knows no {unknown[0]!r}; it knows {sorted(names)}.")


def _model(value: Mapping[str, Any]) -> ModelConfig:
    _known(value, {each.name for each in fields(ModelConfig)} | {"price"})
    given = dict(value)
    skill = given.get("skill", {})
    given["skill"] = {"default": skill} if isinstance(skill, int | float) else dict(skill)
    latency_s = given.get("latency_s", 0.0)
    if isinstance(latency_s, Mapping):
        _known(latency_s, {"median", "sigma"})
        given["latency_s"] = (float(latency_s["median"]), float(latency_s["sigma"]))
    given["faults"] = tuple(str(each) for each in given.get("faults", ()))
    for name in (*given["faults"], *given.get("fault_rates", {})):
        is_status = name.isdigit() and 300 <= int(name) <= 599
        if not is_status and name not in {*FAULTS, "ok"}:
            raise ValueError(f"The fake provider knows no fault {name!r}.")
    if given.get("outage") is not None:
        begin, end = given["outage"]
        given["outage"] = (float(begin), float(end))
    if given.get("outage_kind", "503") not in {"503", "reset"}:
        raise ValueError(f"The fake provider knows no outage_kind {given['outage_kind']!r}.")
    price = given.pop("price", {})
    _known(price, {"input_usd_per_mtok", "output_usd_per_mtok"})
    given.update({name: Decimal(str(amount)) for name, amount in price.items()})
    return ModelConfig(**given)
