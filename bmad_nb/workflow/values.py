"""The small values of a definition: durations, money, names, and the words that have a meaning."""

from __future__ import annotations

import re
import typing
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_MONEY = re.compile(r"\$?([0-9]+(?:\.[0-9]+)?)")
_NO_DURATION = "must be a duration such as 90s, 500ms, 10m or 2d"
_NO_MONEY = "must be an amount of US dollars such as $0.50"
FUNCTION = r"^[^\s:]+:[^\s:]+$"
"""What names a function: the module that has it, and its name there."""
NAME = r"^[a-z][a-z0-9_]{0,62}$"
"""What ids of tasks, inputs and outputs look like."""
WORKFLOW_ID = r"^[a-z][a-z0-9_-]{0,62}$"


def seconds(value: Any) -> Any:
    """Return a duration such as `90s`, `500ms` or `2d` in seconds; a number is seconds."""
    if isinstance(value, str):
        found = _DURATION.fullmatch(value)
        if found is None:
            raise ValueError(_NO_DURATION)
        value = float(found[1]) * _UNITS[found[2]]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
        raise ValueError(_NO_DURATION)
    return float(value)


def _spelled(value: float) -> str:
    """Return seconds with the digits that Python shows, and without an exponent."""
    return f"{Decimal(repr(value)):f}".removesuffix(".0") + "s"


def _dollars(value: Any) -> Any:
    if isinstance(value, str):
        found = _MONEY.fullmatch(value)
        value = Decimal(found[1]) if found else None
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = Decimal(
            str(float(value)) if isinstance(value, float) else value
        )  # as it is shown: 0.1, and not all that a float is
    if not isinstance(value, Decimal) or not value.is_finite() or not 0 <= value < 10**9:
        raise ValueError(_NO_MONEY)
    return value


def _amount(value: Decimal) -> str:
    """Return an amount with all its digits, and with cents where it has a fraction."""
    whole, _, cents = f"{value.normalize():f}".partition(".")
    return f"${whole}" + (f".{cents:0<2}" if cents else "")


def no_flag(value: Any) -> Any:
    """Return a value that is not true or false, which Python takes for 1 and 0."""
    if isinstance(value, bool):
        raise ValueError("must be a number")  # noqa: TRY004  (pydantic takes this one)
    return value


def named_function(value: Any) -> Any:
    """Return a function, or the `module:function` that names one."""
    if callable(value) or value is None:
        return value
    if not isinstance(value, str) or re.fullmatch(FUNCTION[1:-1], value) is None:
        raise ValueError("must name a function as module:function")
    return value


Duration = Annotated[
    float,
    BeforeValidator(seconds),
    PlainSerializer(_spelled, when_used="unless-none"),
    WithJsonSchema(
        {
            "type": ["string", "number"],
            "pattern": r"^[0-9]+(\.[0-9]+)?(ms|s|m|h|d)$",
            "minimum": 0,
            "exclusiveMaximum": 1e9,
        }
    ),
]
"""Seconds; written `90s`, `500ms`, `10m`, `2d` or as a number of seconds."""
Money = Annotated[
    Decimal,
    BeforeValidator(_dollars),
    PlainSerializer(_amount, when_used="unless-none"),
    WithJsonSchema(
        {
            "type": ["string", "number"],
            "pattern": r"^\$?[0-9]+(\.[0-9]+)?$",
            "minimum": 0,
            "exclusiveMaximum": 1e9,
        }
    ),
]
"""US dollars; written `$0.50`."""
FunctionName = Annotated[
    str, BeforeValidator(named_function), WithJsonSchema({"type": "string", "pattern": FUNCTION})
]
"""A function that a judge or a reduction calls, as module:function."""
Unit = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(pattern=NAME)]
Expression = Annotated[str, Field(min_length=1, description="an expression, without braces")]
Template = Annotated[str, Field(description="a text with {{ expression }} holes")]
InputType = Literal["string", "text", "integer", "number", "boolean", "list", "object", "file"]
Objective = Literal["priority_first", "cost_optimized", "latency_optimized", "balanced"]
Strategy = Literal["sequential", "parallel", "adaptive", "collaborative"]
Priority = Literal["low", "medium", "high", "critical"]
Join = Literal["all", "any", "all_done"]
Verb = Literal["prompt", "messages", "python", "workflow", "approve", "set", "reduce"]
Cause = Literal[
    "timeout", "rate_limit", "server", "network", "invalid_output", "low_quality", "any"
]
Cache = Literal["read_write", "refresh"]
VERBS: tuple[str, ...] = typing.get_args(Verb)
"""A task has exactly one of these keys."""


class Part(BaseModel):
    """A part of a definition: strict, frozen, and without keys that nobody knows."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
