"""The ways in which the fake provider misbehaves."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from tests.fake_provider.config import ModelConfig
from tests.fake_provider.wire import Connection, HttpRequest, head

BILLED = {
    "ok",
    "slow",
    "drip",
    "cut",
    "empty",
    "refusal",
    "length",
    "no_usage",
    "bad_json",
    "bad_utf8",
}
"""Requests that cost money: the model has worked on them."""
GOOD = {"ok", "slow", "drip", "no_usage"}
"""Requests that end with a usable answer."""
HUGE_BYTES = 40 * 2**20
BOMB_BYTES = 200 * 2**20


@dataclass(frozen=True, slots=True)
class Call:
    """A request that is to be answered."""

    connection: Connection
    request: HttpRequest
    model: ModelConfig
    completion: dict[str, Any]
    """The answer that it would have without a fault."""
    trap_url: str

    @property
    def message(self) -> dict[str, Any]:
        """The message inside of `completion`."""
        message: dict[str, Any] = self.completion["choices"][0]["message"]
        return message


def error_body(message: str, kind: str, code: str | int | None = None) -> dict[str, Any]:
    """Return an error as OpenAI writes it."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


async def answer(call: Call, fault: str) -> None:
    """Answer a request with a fault, or without one for `ok`."""
    if fault.isdigit():
        await _status(call, int(fault))
    elif fault in _WAYS:
        await _WAYS[fault](call)
    else:
        await call.connection.reply_json(200, call.completion)


async def _status(call: Call, status: int) -> None:
    key = call.request.headers.get("authorization", "").removeprefix("Bearer ")
    # real providers repeat keys too, at least in part
    words = f"Incorrect API key provided: {key}" if status == 401 else f"planted {status}"
    after = call.model.retry_after if status in {429, 503} else ""
    target = call.model.location or f"{call.trap_url}/v1/chat/completions"
    await call.connection.reply_json(
        status,
        error_body(words, "planted"),
        Retry_After=after,
        Location=target if status < 400 else "",
    )


async def _context(call: Call) -> None:
    words = "This model's maximum context length is 8 tokens."
    body = error_body(words, "invalid_request_error", "context_length_exceeded")
    await call.connection.reply_json(400, body)


async def _quota(call: Call) -> None:
    body = error_body(
        "You exceeded your current quota.", "insufficient_quota", "insufficient_quota"
    )
    await call.connection.reply_json(429, body)


async def _wrapped_429(call: Call) -> None:
    await call.connection.reply_json(200, error_body("slow down", "rate", 429))


async def _slow(call: Call) -> None:
    await asyncio.sleep(call.model.slow_s)
    await call.connection.reply_json(200, call.completion)


async def _hang(call: Call) -> None:
    await asyncio.Event().wait()


async def _drip(call: Call) -> None:
    body = json.dumps(call.completion).encode()
    await call.connection.write(head(200, "application/json", Content_Length=str(len(body))))
    for byte in body:
        await call.connection.write(bytes([byte]))
        await asyncio.sleep(0.02)


async def _cut(call: Call) -> None:
    body = json.dumps(call.completion).encode()
    first = head(200, "application/json", Content_Length=str(len(body)))
    await call.connection.write(first + body[: len(body) // 2])
    call.connection.close()


async def _cut_500(call: Call) -> None:
    """Break off in the middle of an error."""
    await call.connection.write(head(500, "application/json", Content_Length="999") + b'{"err')
    call.connection.close()


async def _cut_head(call: Call) -> None:
    call.connection.close()


async def _garbage(call: Call) -> None:
    await call.connection.write(b"\x16\x03\x01 this is no HTTP\r\n\r\n")
    call.connection.close()


async def _html(call: Call) -> None:
    page = b"<!DOCTYPE html><html><script>alert(1)</script>Sign in to the hotel's network</html>"
    await call.connection.reply(200, page, "text/html")


async def _bad_json(call: Call) -> None:
    await call.connection.reply(200, json.dumps(call.completion).encode()[:-2])


async def _bad_utf8(call: Call) -> None:
    call.message["content"] = "@"
    body = json.dumps(call.completion).encode().replace(b'"@"', b'"\xff\xfe\x80"')
    await call.connection.reply(200, body)


async def _deep_json(call: Call) -> None:
    await call.connection.reply(200, b"[" * 200_000 + b"]" * 200_000)


async def _empty(call: Call) -> None:
    call.message["content"] = ""
    await call.connection.reply_json(200, call.completion)


async def _refusal(call: Call) -> None:
    call.message.update(content=None, refusal="I cannot help with that.")
    await call.connection.reply_json(200, call.completion)


async def _length(call: Call) -> None:
    call.message["content"] = ""
    call.completion["choices"][0]["finish_reason"] = "length"
    await call.connection.reply_json(200, call.completion)


async def _no_usage(call: Call) -> None:
    del call.completion["usage"]
    await call.connection.reply_json(200, call.completion)


async def _redirect(call: Call) -> None:
    await _status(call, 307)


async def _huge(call: Call) -> None:
    """Send 40 MiB in chunks, so that no Content-Length warns the client."""
    await call.connection.write(head(200, "application/json", Transfer_Encoding="chunked"))
    piece = b" " * 2**16
    for _ in range(HUGE_BYTES // len(piece)):
        await call.connection.write(b"%x\r\n%s\r\n" % (len(piece), piece))
    await call.connection.write(b"0\r\n\r\n")


async def _bad_gzip(call: Call) -> None:
    await call.connection.reply(200, b"\x1f\x8b this is no gzip", Content_Encoding="gzip")


async def _brotli(call: Call) -> None:
    """Send a packing that no client asks for here, and that can hide a far bigger bomb."""
    await call.connection.reply(200, b"{}", Content_Encoding="br")


async def _gzip_bomb(call: Call) -> None:
    """Send 200 kB that unpack to 200 MiB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    piece = b" " * 2**20
    body = b"".join(packer.compress(piece) for _ in range(BOMB_BYTES // len(piece)))
    await call.connection.reply(200, body + packer.flush(), Content_Encoding="gzip")


_WAYS: dict[str, Callable[[Call], Awaitable[None]]] = {
    "bad_gzip": _bad_gzip,
    "bad_json": _bad_json,
    "bad_utf8": _bad_utf8,
    "brotli": _brotli,
    "context": _context,
    "cut": _cut,
    "cut_500": _cut_500,
    "cut_head": _cut_head,
    "deep_json": _deep_json,
    "drip": _drip,
    "empty": _empty,
    "garbage": _garbage,
    "gzip_bomb": _gzip_bomb,
    "hang": _hang,
    "html": _html,
    "huge": _huge,
    "length": _length,
    "no_usage": _no_usage,
    "quota": _quota,
    "redirect": _redirect,
    "refusal": _refusal,
    "slow": _slow,
    "wrapped_429": _wrapped_429,
}
