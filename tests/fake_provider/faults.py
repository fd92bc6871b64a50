"""Faults in what is said: refusals before the model works, and answers that say odd things."""

from __future__ import annotations

import datetime
import email.utils
from collections.abc import Awaitable, Callable
from typing import Any

from tests.fake_provider import kinds
from tests.fake_provider.broken import BREAKAGES
from tests.fake_provider.calls import Call
from tests.fake_provider.shapes import Failure


async def answer(call: Call, fault: str) -> str:
    """Answer a call with a fault, or without one for `ok`; return the fault or status it was.

    A fault that has no meaning here is answered by a 400 that says so.
    """
    objection = kinds.objection(fault, call.shape.name, stream=call.stream)
    if objection:
        await call.fail(Failure(400, objection, "request"))
        return "400"
    if fault.isdigit():
        await _status(call, int(fault))
    elif fault in _REFUSALS:
        await _REFUSALS[fault](call)
    elif fault in _RETRIES:
        await _retry(call, fault)
    elif fault in BREAKAGES:
        await BREAKAGES[fault](call)
    else:
        changed = call.saying(**_sayings(call).get(fault, {}))
        await changed.send(changed.frames(changed.events()))
    return fault


async def refuse(call: Call, after: str, status: int = 429, words: str = "slow down") -> None:
    """Answer an error with a Retry-After, and a target where the status is a redirect's."""
    target = call.model.location or f"{call.trap_url}{call.request.path}"
    is_number = after.replace(".", "", 1).isdigit()
    await call.fail(
        Failure(status, words, retry_after=after if is_number else ""),
        Retry_After=after,
        Location=target if status < 400 else "",
    )


async def _status(call: Call, status: int) -> None:
    # real providers repeat keys too, at least in part
    leak = f"Incorrect API key provided: {call.shape.key(call.request)}"
    after = call.model.retry_after if status in {429, 503} else ""
    await refuse(call, after, status, leak if status == 401 else f"planted {status}")


async def _retry(call: Call, fault: str) -> None:
    """Send a 429 whose time is said in an unusual way, or wrongly."""
    headers, told = _RETRIES[fault](call)
    await call.fail(Failure(429, "planted 429", retry_after=told), **headers)


def _header(value: Callable[[], str]) -> Callable[[Call], tuple[dict[str, str], str]]:
    return lambda _: ({"Retry_After": value()}, "")


def _soon() -> str:
    now = datetime.datetime.now(datetime.UTC)
    return email.utils.format_datetime(now + datetime.timedelta(seconds=2), usegmt=True)


_RETRIES: dict[str, Callable[[Call], tuple[dict[str, str], str]]] = {
    "retry_date": _header(_soon),
    "retry_garbage": _header(lambda: "soon; or {not}"),
    "retry_huge": _header(lambda: "1000000000000"),
    "retry_inf": _header(lambda: "inf"),
    "retry_ms": lambda _: ({"Retry_After_Ms": "250"}, ""),
    "retry_negative": _header(lambda: "-5"),
    "retry_none": lambda _: ({}, ""),
    "retry_past": _header(lambda: "Wed, 21 Oct 2015 07:28:00 GMT"),
    "retry_reset": lambda call: call.shape.reset_headers(),
}


async def _context(call: Call) -> None:
    await call.fail(Failure(400, call.shape.too_long, "context"))


async def _quota(call: Call) -> None:
    words = "You exceeded your current quota, please check your plan and billing details."
    await call.fail(Failure(429, words, "quota"))


async def _wrapped_429(call: Call) -> None:
    _, body = call.shape.error(Failure(429, "slow down", inside=True))
    await call.send(call.documents([body]))


async def _redirect(call: Call) -> None:
    await _status(call, 307)


_REFUSALS: dict[str, Callable[[Call], Awaitable[None]]] = {
    "context": _context,
    "quota": _quota,
    "redirect": _redirect,
    "wrapped_429": _wrapped_429,
}


def _sayings(call: Call) -> dict[str, dict[str, Any]]:
    """Return what each fault of saying changes in the answer."""
    said = call.said
    rest = said.text[len(said.half) :]
    return {
        "control": {"text": f"{said.half}\x1b[31m\x07\x08\x9b\u202e\u2066\r\x7f{rest}"},
        "empty": {"text": ""},
        "filter": {"text": "", "finish_reason": "filter"},
        "filter_late": {"text": said.half, "finish_reason": "filter"},
        "length": {"text": "", "finish_reason": "length"},
        "lone_surrogate": {"text": f"{said.half}\ud800{rest}"},
        "no_finish": {"finish_reason": None},
        "no_usage": {"told": None},
        "nul": {"text": f"{said.half}\x00{rest}"},
        "odd_content": {"text": "", "odd": True},
        "refusal": {"text": "", "finish_reason": "refusal"},
        "tool_call": {"text": "", "finish_reason": "tool"},
        "truncated": {"text": said.half, "finish_reason": "length"},
        "usage_huge": {"told": lambda _: 10**30},
        "usage_negative": {"told": lambda count: -count - 1},
        "usage_null": {"told": lambda _: None},
        "usage_text": {"told": lambda _: "many"},
        "wrong_role": {"role": "robot"},
    }
