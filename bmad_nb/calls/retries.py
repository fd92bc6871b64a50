"""After which errors a call is made again, how long to wait before, and the loop that does it."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from bmad_nb import errors
from bmad_nb.errors import BmadError, BudgetExceeded, LLMError
from bmad_nb.events import CallRow
from bmad_nb.plan_parts import Retries

T = TypeVar("T")

CAUSES = {
    "TimedOut": "timeout",
    "RateLimited": "rate_limit",
    "ServerFailed": "server",
    "CircuitOpen": "server",
    "ConnectionFailed": "network",
    "StreamCut": "network",
    "OutputInvalid": "invalid_output",
}
"""The word of `retry.for` for each class of error."""
PASSING = ("rate_limit", "server", "network", "timeout")
"""Causes that may pass by themselves: retried where nothing else is said."""
HOPELESS = {
    "AuthenticationFailed", "PermissionRefused", "ModelNotFound", "BadRequest", "ContextTooLong",
    "LocalModelUnavailable", "TemplateError", "MissingInput", "NotRecorded", "QuotaExhausted",
    "Refused", "RunPaused",
}  # fmt: skip
"""Errors that the same call brings again; `any` does not mean these."""
MOST_WAIT_S = 120.0
"""A provider that asks for a longer wait is not waited for."""


def again(error: BmadError, retries: Retries) -> bool:
    """Return whether an error is one after which a call is made again."""
    kind = type(error).__name__
    if isinstance(error, LLMError):
        if (error.retry_after_s or 0.0) > MOST_WAIT_S:
            return False
        if CAUSES.get(kind) in PASSING and not error.retryable:
            return False  # the provider said so, or there is something else to try
    if "any" in retries.causes:
        return kind not in HOPELESS
    return CAUSES.get(kind) in retries.causes


def wait_s(error: BmadError, retries: Retries, number: int) -> float:
    """Return the seconds to wait after the failed attempt `number`, counted from 1.

    What the provider asks for is the least. Beyond it the wait is drawn from zero to a bound that
    grows with each attempt ("full jitter": Brooker, AWS Architecture Blog, 2015).
    """
    longest = min(retries.backoff_s * retries.factor ** (number - 1), retries.max_backoff_s)
    own = random.uniform(0, longest) if retries.jitter else longest  # noqa: S311  (no secret)
    asked = error.retry_after_s if isinstance(error, LLMError) else None
    return own if asked is None else asked + (own if retries.jitter else 0.0)


async def attempts(
    once: Callable[[int], Awaitable[T]],
    retries: Retries,
    rest: Callable[[float], Awaitable[None]],
) -> T:
    """Return what an attempt brings, after as many as it takes and as are allowed.

    Args:
        once: makes one attempt; given its number, from 1.
        retries: how often, and after which errors.
        rest: waits so many seconds.

    Raises:
        BudgetExceeded: a limit; there is no further attempt.
        BmadError: that of the last attempt.
    """
    number = 1
    while True:
        try:
            return await once(number)
        except BudgetExceeded:
            raise
        except BmadError as error:
            if number >= retries.attempts or not again(error, retries):
                raise
            seconds = wait_s(error, retries, number)
        await rest(seconds)
        number += 1


def error_of(call: CallRow) -> BmadError:
    """Return the error that a failed call was stored with."""
    kind: Callable[..., BmadError] = getattr(errors, call.error_kind, errors.LLMError)
    return kind(call.error, llm=call.llm, hint=call.error_hint, billed=call.billed)
