"""What replies mean that are no answers, in any wire format: pure functions, no I/O."""

from __future__ import annotations

import datetime as dt
import email.utils
import json
import math
import re
import time
import urllib.parse
from collections.abc import Mapping

from bmad_nb.errors import (
    AuthenticationFailed,
    BadAnswer,
    BadRequest,
    Billed,
    ContextTooLong,
    LLMError,
    ModelNotFound,
    PermissionRefused,
    QuotaExhausted,
    RateLimited,
    ServerFailed,
    TimedOut,
)
from bmad_nb.secrets import redact

_CONTEXT = re.compile(
    r"context_length_exceeded|exceed_context_size|maximum context length|context (?:window|length)"
    r"|available context size|prompt is too long|too many (?:input )?tokens"
    r"|input token count .{0,20}exceeds",
    re.IGNORECASE,
)
_QUOTA = {
    "insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "billing_error",
    "credit_balance_too_low",
}  # fmt: skip
_SPENT = re.compile(r"credit balance is too low|per ?day|daily (?:limit|quota)", re.IGNORECASE)
"""Words of a 429 for which waiting a minute does not help."""
_NO_QUOTA = re.compile(r"exceeded your current quota", re.IGNORECASE)
"""The same, unless the reply says how long to wait: Google says it of each minute too."""
_KINDS: dict[int, tuple[type[LLMError], str]] = {
    401: (AuthenticationFailed, "Check the key of endpoint {endpoint}."),
    402: (QuotaExhausted, ""),
    403: (PermissionRefused, "Ask another model, or use another key for endpoint {endpoint}."),
    404: (ModelNotFound, "Check the model's name and the base_url of endpoint {endpoint}."),
    408: (TimedOut, ""),
    409: (ServerFailed, ""),  # the same request is still at work there; it may be asked again
    425: (ServerFailed, ""),
    429: (RateLimited, ""),
}
_STATUS_OF = {
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "timeout_error": 408,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "api_error": 500,
    "server_error": 500,
    "internal_server_error": 500,
    "overloaded_error": 529,
    "RESOURCE_EXHAUSTED": 429,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
"""Status for which an error's type stands where an answer with status 200 holds it."""


def said(text: str) -> str:
    """Return a provider's words fit to be shown: no keys, one line, at most 500 characters."""
    clean = redact(text)[:20_000]  # cut afterwards, for half a key would not be recognised
    printable = "".join(c if c.isprintable() else " " for c in clean)
    words = " ".join(printable.split())
    return words if len(words) <= 500 else words[:499] + "…"


def _bad(llm: str, what: str, *, hint: str = "", billed: Billed = "maybe") -> BadAnswer:
    return BadAnswer(f"{llm} sent {what}.", llm=llm, hint=hint, billed=billed)


def broken_json(error: Exception, body: bytes, llm: str) -> BadAnswer:
    """Return the error for a reply with a good status whose body is no JSON."""
    if isinstance(error, RecursionError):
        return _bad(llm, "JSON that is nested too deeply")
    if isinstance(error, UnicodeDecodeError):
        return _bad(llm, "bytes that are not UTF-8")
    if not body.strip():
        return _bad(llm, "an empty body")
    if body.lstrip()[:1] == b"<":
        return _bad(
            llm,
            "a web page where JSON was due",
            hint="Check the endpoint's base_url; it often ends in /v1.",
        )
    return _bad(llm, "a body that is not JSON")


def error_in_payload(payload: object, llm: str, endpoint: str) -> LLMError | None:
    """Return the error that stands in a reply with status 200 or in a stream, or None."""
    if not isinstance(payload, dict) or not payload.get("error"):
        return None
    code, kind, message = _error_fields(payload)
    is_status = code.isascii() and code.isdigit() and len(code) == 3 and code >= "400"
    status = int(code) if is_status else _STATUS_OF.get(kind) or _STATUS_OF.get(code)
    if status:
        return _by_status(status, {}, payload, llm, endpoint)
    if isinstance(payload["error"], str):  # as Ollama says that the model has failed
        return ServerFailed(f"{llm} failed: {said(message)}", llm=llm, billed="maybe")
    return _bad(llm, f"an error in place of an answer: {said(message) or 'it says no more'}")


def failure(
    status: int, headers: Mapping[str, str], body: bytes, llm: str, endpoint: str
) -> LLMError:
    """Return the error that a reply outside of 200 to 299 stands for.

    Args:
        status: HTTP status.
        headers: found in any case of their names, or in lower case.
        body: the reply's body, or its beginning.
        llm: id of the LLM.
        endpoint: name of the endpoint.
    """
    if status < 400:
        return _redirected(status, headers.get("location", ""), llm)
    payload: object
    try:
        payload = json.loads(body.decode())
    except (ValueError, RecursionError):
        text = body.decode("utf-8", "replace")
        payload = "" if text.lstrip().startswith("<") else text
    return _by_status(status, headers, payload, llm, endpoint)


def _redirected(status: int, location: str, llm: str) -> BadRequest:
    try:
        host = urllib.parse.urlsplit(location).netloc.rpartition("@")[2]
    except ValueError:
        host = ""
    target = f"to {said(host)}" if host else "elsewhere on the same host"
    return BadRequest(
        f"{llm} was redirected {target} (HTTP {status}).",
        llm=llm,
        hint="Redirects are never followed, for they could carry a key to another machine; "
        "correct the endpoint's base_url.",
        status=status,
    )


def _error_fields(payload: object) -> tuple[str, str, str]:
    """Return code, type and message of an error document, each empty where it has none."""
    if isinstance(payload, list) and payload:  # Google wraps a stream's error so
        payload = payload[0]
    if isinstance(payload, str):
        return "", "", payload
    if not isinstance(payload, dict):
        return "", "", ""
    error = payload.get("error", payload)
    if isinstance(error, str):
        return "", "", error
    if not isinstance(error, dict):
        return "", "", ""
    message = error.get("message") or error.get("detail") or ""
    code, kind = error.get("code"), error.get("type") or error.get("status")
    return (
        str(code) if isinstance(code, str | int) else "",
        kind if isinstance(kind, str) else "",
        message if isinstance(message, str) else "",
    )


def _by_status(
    status: int, headers: Mapping[str, str], payload: object, llm: str, endpoint: str
) -> LLMError:
    code, kind, message = _error_fields(payload)
    cls, hint = _kind_of(status, f"{code} {kind} {message}", endpoint)
    wait_s = retry_after_s(headers, time.time(), payload)
    if cls is RateLimited and (
        {code, kind} & _QUOTA
        or _SPENT.search(message + _violations(payload))
        or (wait_s is None and _NO_QUOTA.search(message))
    ):
        cls = QuotaExhausted
    if cls is QuotaExhausted:
        hint = f"The account of endpoint {endpoint!r} has no quota left; waiting does not help."
    words = said(message)
    error = cls(
        f"{llm} answered with HTTP {status}" + (f": {words}" if words else "."),
        llm=llm,
        hint=hint,
        status=status,
        billed="maybe" if status >= 500 else "no",
        retry_after_s=wait_s,
    )
    wish = headers.get("x-should-retry", "")
    if wish in {"true", "false"} and cls is not QuotaExhausted:
        error.retryable = wish == "true"
    return error


def _kind_of(status: int, words: str, endpoint: str) -> tuple[type[LLMError], str]:
    """Return the class for a status from 400 on, and what to do."""
    if status in {400, 413, 422} and _CONTEXT.search(words):
        return ContextTooLong, "Shorten the prompt, lower max_tokens or ask an LLM that takes more."
    cls, hint = _KINDS.get(status, (ServerFailed if status >= 500 else BadRequest, ""))
    return cls, hint.format(endpoint=repr(endpoint))


def retry_after_s(headers: Mapping[str, str], now_s: float, payload: object = None) -> float | None:
    """Return the seconds that a reply asks to wait, or None if it asks for nothing sensible.

    Args:
        headers: those of the reply; its own `date` is believed before this machine's clock.
        now_s: seconds since 1970 by this machine's clock.
        payload: the reply's document, in which Google says it.

    >>> retry_after_s({"retry-after": "1.5"}, 0.0)
    1.5
    """
    asked = (
        _number(headers.get("retry-after-ms", ""), 1000),
        _after(headers, now_s),
        _retry_info(payload),
        _reset(headers),
    )
    return next((wait_s for wait_s in asked if wait_s is not None), None)


def _number(text: str, divisor: float = 1) -> float | None:
    try:
        value = float(text) / divisor
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def _after(headers: Mapping[str, str], now_s: float) -> float | None:
    """Return what Retry-After says, in seconds or as a date."""
    value = headers.get("retry-after", "").strip()
    wait_s = _number(value)
    if wait_s is not None or not value:
        return wait_s
    then, sent = _seconds_of(value), _seconds_of(headers.get("date", ""))
    if then is None:
        return None
    left_s = then - (now_s if sent is None else sent)
    return left_s if left_s >= 0 else None


def _details(payload: object) -> list[dict[str, object]]:
    """Return what Google puts among the details of an error."""
    if isinstance(payload, list) and payload:
        payload = payload[0]
    error = payload.get("error") if isinstance(payload, dict) else None
    details = error.get("details") if isinstance(error, dict) else None
    found = details if isinstance(details, list) else []
    return [each for each in found if isinstance(each, dict)]


def _retry_info(payload: object) -> float | None:
    """Return the delay that Google asks for: `"30s"`."""
    for each in _details(payload):
        delay = each.get("retryDelay")
        if isinstance(delay, str) and delay.endswith("s"):
            return _number(delay[:-1])
    return None


def _violations(payload: object) -> str:
    """Return the names of the quotas that Google says are used up."""
    found = (each.get("violations") for each in _details(payload))
    listed = [v for each in found if isinstance(each, list) for v in each if isinstance(v, dict)]
    return " ".join(str(violation.get("quotaId", "")) for violation in listed)


_SPAN = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")


def _reset(headers: Mapping[str, str]) -> float | None:
    """Return when a limit that is used up is full again, as OpenAI says it: `1m30s`."""
    waits = []
    for what in ("requests", "tokens"):
        span = _SPAN.fullmatch(headers.get(f"x-ratelimit-reset-{what}", "").strip())
        if headers.get(f"x-ratelimit-remaining-{what}") == "0" and span and span.group():
            hours, minutes, seconds, millis = (float(part or 0) for part in span.groups())
            waits.append(hours * 3600 + minutes * 60 + seconds + millis / 1000)
    return max(waits) if waits else None


def _seconds_of(http_date: str) -> float | None:
    try:
        moment = email.utils.parsedate_to_datetime(http_date)
        if moment.tzinfo is None:  # "-0000" and no zone at all both mean UTC here
            moment = moment.replace(tzinfo=dt.UTC)
        return moment.timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
