"""Why a call failed, and whether the same call may succeed later."""

from __future__ import annotations

from collections.abc import Callable

from bmad_nb import errors
from bmad_nb.errors import BmadError
from bmad_nb.events import CallRow
from bmad_nb.plan import Retries

CAUSES = {
    "TimedOut": "timeout",
    "RateLimited": "rate_limit",
    "ServerFailed": "server",
    "ConnectionFailed": "network",
    "OutputInvalid": "invalid_output",
}
"""The word of `retry.for` for each class of error."""
HOPELESS = {
    "AuthenticationFailed", "PermissionRefused", "ModelNotFound", "BadRequest", "ContextTooLong",
    "LocalModelUnavailable", "TemplateError", "MissingInput",
}  # fmt: skip
"""Errors that the same call brings again; `any` does not mean these."""


def again(error_kind: str, retries: Retries) -> bool:
    """Return whether an error of this class is one after which a call is made again."""
    if "any" in retries.causes:
        return error_kind not in HOPELESS
    return CAUSES.get(error_kind) in retries.causes


def error_of(call: CallRow) -> BmadError:
    """Return the error that a failed call was stored with."""
    kind: Callable[..., BmadError] = getattr(errors, call.error_kind, errors.LLMError)
    return kind(call.error, llm=call.llm, hint=call.error_hint, billed=call.billed)
