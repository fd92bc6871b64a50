"""What replies in the OpenAI wire format mean: pure functions, no I/O."""

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
    RateLimited,
    ServerFailed,
    TimedOut,
)
from bmad_nb.messages import Completion, Usage
from bmad_nb.secrets import redact

_CONTEXT = re.compile(
    r"context_length_exceeded|exceed_context_size|maximum context length|context (?:window|length)"
    r"|available context size|prompt is too long|too many (?:input )?tokens",
    re.IGNORECASE,
)
_QUOTA = {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"}
_KINDS: dict[int, tuple[type[LLMError], str]] = {
    401: (AuthenticationFailed, "Check the key of endpoint {endpoint}."),
    402: (RateLimited, ""),
    403: (PermissionRefused, "Ask another model, or use another key for endpoint {endpoint}."),
    404: (ModelNotFound, "Check the model's name and the base_url of endpoint {endpoint}."),
    408: (TimedOut, ""),
    409: (ServerFailed, ""),  # the same request is still at work there; it may be asked again
    425: (ServerFailed, ""),
    429: (RateLimited, ""),
}
_MOST_TOKENS = 10**12  # a larger count is nonsense and would not fit the store's integers


def said(text: str) -> str:
    """Return a provider's words fit to be shown: no keys, one line, at most 500 characters."""
    clean = redact(text)[:20_000]  # cut afterwards, for half a key would not be recognised
    printable = "".join(c if c.isprintable() else " " for c in clean)
    words = " ".join(printable.split())
    return words if len(words) <= 500 else words[:499] + "…"


def parse_completion(payload: object, llm: str, latency_s: float) -> Completion:
    """Return the answer that a chat completion holds.

    Args:
        payload: the JSON document, of whatever type.
        llm: id of the LLM, for messages.
        latency_s: seconds that the call took.

    Raises:
        BadAnswer: it holds no text; the message says what it holds instead.
    """
    if not isinstance(payload, dict):
        raise _bad(llm, "JSON that is no object")
    choices = payload.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise _bad(llm, "no choices")
    message = choices[0].get("message")
    if not isinstance(message, dict):
        raise _bad(llm, "a choice without a message")
    finish = choices[0].get("finish_reason")
    finish_reason = finish if isinstance(finish, str) and finish else "stop"
    text = _text(message, llm, finish_reason)
    model = payload.get("model")
    return Completion(
        text=text,
        usage=_usage(payload.get("usage")),
        finish_reason=finish_reason,
        model=model if isinstance(model, str) else "",
        latency_s=latency_s,
    )


def _text(message: dict[str, object], llm: str, finish_reason: str) -> str:
    content = message.get("content")
    refusal = message.get("refusal")
    pieces: list[str] = []
    if isinstance(content, str):
        pieces.append(content)
    elif isinstance(content, list):
        for part in content:
            if not isinstance(part, dict):
                raise _bad(llm, "content of a wrong type")
            if part.get("type") == "refusal":
                refusal = part.get("refusal")
                continue
            piece = part.get("text")
            if part.get("type", "text") != "text" or not isinstance(piece, str):
                raise _bad(llm, "content that is not text")
            pieces.append(piece)
    elif content is not None:
        raise _bad(llm, "content of a wrong type")
    text = "".join(pieces)
    if text.strip():
        return text
    raise _nothing_said(message, llm, finish_reason, refusal)


def _nothing_said(
    message: dict[str, object], llm: str, finish_reason: str, refusal: object
) -> BadAnswer:
    if isinstance(refusal, str) and refusal.strip():
        return _bad(llm, f"a refusal: {said(refusal)}", hint="Ask another LLM.", billed="yes")
    if finish_reason == "length":
        return _bad(
            llm,
            "no text: all of max_tokens was used up before it said anything",
            hint="Raise max_tokens.",
            billed="yes",
        )
    if finish_reason == "content_filter":
        return _bad(llm, "no text: its content filter held it back", billed="yes")
    if message.get("tool_calls"):
        return _bad(llm, "a call of a tool and no text", billed="yes")
    return _bad(llm, "an empty answer", billed="yes")


def _bad(llm: str, what: str, *, hint: str = "", billed: Billed = "maybe") -> BadAnswer:
    return BadAnswer(f"{llm} sent {what}.", llm=llm, hint=hint, billed=billed)


def _usage(value: object) -> Usage:
    if not isinstance(value, dict):
        return Usage()
    return Usage(
        input_tokens=_count(value, "prompt_tokens"),
        output_tokens=_count(value, "completion_tokens"),
        cached_input_tokens=_count(value.get("prompt_tokens_details"), "cached_tokens"),
        reasoning_tokens=_count(value.get("completion_tokens_details"), "reasoning_tokens"),
    )


def _count(fields: object, name: str) -> int | None:
    """Return a number of tokens, or None for anything that cannot be one."""
    value = fields.get(name) if isinstance(fields, dict) else None
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_TOKENS:
        return value
    return None


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
    """Return the error that some gateways wrap into a reply with status 200, or None."""
    if not isinstance(payload, dict) or "choices" in payload or not payload.get("error"):
        return None
    code, _, message = _error_fields(payload)
    if code.isascii() and code.isdigit() and len(code) == 3 and code >= "400":
        return _by_status(int(code), {}, payload, llm, endpoint)
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
    code, kind = error.get("code"), error.get("type")
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
    spent = status == 402 or bool({code, kind} & _QUOTA)
    if issubclass(cls, RateLimited) and spent:
        hint = f"The account of endpoint {endpoint!r} has no quota left; waiting does not help."
    words = said(message)
    error = cls(
        f"{llm} answered with HTTP {status}" + (f": {words}" if words else "."),
        llm=llm,
        hint=hint,
        status=status,
        billed="maybe" if status >= 500 else "no",
        retry_after_s=retry_after_s(headers, time.time()),
    )
    if issubclass(cls, RateLimited) and spent:
        error.retryable = False
    return error


def _kind_of(status: int, words: str, endpoint: str) -> tuple[type[LLMError], str]:
    """Return the class for a status from 400 on, and what to do."""
    if status in {400, 413, 422} and _CONTEXT.search(words):
        return ContextTooLong, "Shorten the prompt, lower max_tokens or ask an LLM that takes more."
    cls, hint = _KINDS.get(status, (ServerFailed if status >= 500 else BadRequest, ""))
    return cls, hint.format(endpoint=repr(endpoint))


def retry_after_s(headers: Mapping[str, str], now_s: float) -> float | None:
    """Return the seconds that a reply asks to wait, or None if it asks for nothing sensible.

    Args:
        headers: those of the reply; its own `date` is believed before this machine's clock.
        now_s: seconds since 1970 by this machine's clock.

    >>> retry_after_s({"retry-after": "1.5"}, 0.0)
    1.5
    """
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    try:
        wait_s = float(value)
    except ValueError:
        then = _seconds_of(value)
        sent = _seconds_of(headers.get("date", ""))
        if then is None:
            return None
        wait_s = then - (now_s if sent is None else sent)
    return wait_s if math.isfinite(wait_s) and wait_s >= 0 else None


def _seconds_of(http_date: str) -> float | None:
    try:
        moment = email.utils.parsedate_to_datetime(http_date)
        if moment.tzinfo is None:  # "-0000" and no zone at all both mean UTC here
            moment = moment.replace(tzinfo=dt.UTC)
        return moment.timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
