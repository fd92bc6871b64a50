"""Faults in how an answer is sent: broken documents, bodies, streams, times and connections."""

from __future__ import annotations

import asyncio
import functools
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

from tests.fake_provider.calls import Call, Event
from tests.fake_provider.shapes import Failure
from tests.fake_provider.wire import head

HUGE_BYTES = 40 * 2**20
BOMB_BYTES = 200 * 2**20
_PIECE_BYTES = 2**16
_DRIP_S = 0.02
_UNKNOWN = {"type": "hologram", "hologram": [1, None]}
Way = Callable[[Call], Awaitable[None]]


def _spoiling(change: Callable[[bytes], bytes], **saying: Any) -> Way:
    """Return how to answer with the document, or the middle one of a stream, changed."""

    async def way(call: Call) -> None:
        changed = call.saying(**saying)
        await changed.send(changed.frames(changed.spoiled(change)))

    return way


def _adding(field: bytes) -> Callable[[bytes], bytes]:
    """Return how a field is put at the end of a document."""
    return lambda body: body[:-1] + b", " + field + b"}" if body.endswith(b"}") else body


async def _unknown_fields(call: Call) -> None:
    add = _adding(b'"hologram": {"x": [1, null]}')
    events = [Event(each.document, add(each.body)) for each in call.events()]
    await call.send(call.frames(events))


# ---- the order of a stream


def _ordered(order: Callable[[Call], list[Any]]) -> Way:
    """Return how to send a stream of other documents than the right ones."""

    async def way(call: Call) -> None:
        await call.send(call.documents(order(call)))

    return way


def _unknown_events(call: Call) -> list[Any]:
    parts = call.parts
    mixed = [each for event in parts.text for each in (_UNKNOWN, event)]
    return [*parts.start, _UNKNOWN, *mixed, *parts.end, *parts.terminator]


def _error_midway(failure: Failure) -> Way:
    return _ordered(lambda call: [*call.parts.half, call.shape.error(failure)[1]])


async def _crlf(call: Call) -> None:
    between = b": a comment\r\n\r\n:\r\n\r\n" if call.shape.is_sse else b"\r\n\r\n"
    frames = call.frames(call.events())
    await call.send([between + each.replace(b"\n", b"\r\n") for each in frames])


async def _huge_line(call: Call) -> None:
    await call.begin()
    await call.put(b'data: {"hologram": "' if call.shape.is_sse else b'{"hologram": "')
    await _fill(call, b"x" * _PIECE_BYTES)


async def _plain_for_stream(call: Call) -> None:
    plain = call.asking(stream=False)
    await plain.send(plain.frames(plain.events()))


async def _stream_for_plain(call: Call) -> None:
    stream = call.asking(stream=True)
    await stream.send(stream.frames(stream.events()))


# ---- bodies


def _body(body: bytes, content_type: str = "", **headers: str) -> Way:
    """Return how to answer 200 with a body that is none of the answer's."""

    async def way(call: Call) -> None:
        await call.connection.reply(200, body, content_type or call.content_type, **headers)

    return way


async def _flood(call: Call) -> None:
    """Send what keeps a connection alive amid a stream, or before a document."""
    idle = b": keep-alive\n\n" if call.stream and call.shape.is_sse else b"\n"
    frames = call.frames(call.events())
    frames.insert(call.middle, idle * 5000)
    await call.send(frames)


@functools.cache
def _bomb() -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    piece = b" " * 2**20
    body = b"".join(packer.compress(piece) for _ in range(BOMB_BYTES // len(piece)))
    return body + packer.flush()


async def _gzip_bomb(call: Call) -> None:
    """Send 200 kB that unpack to 200 MiB."""
    await _body(_bomb(), Content_Encoding="gzip")(call)


async def _huge(call: Call) -> None:
    """Send 40 MiB in chunks, so that no Content-Length warns the client."""
    piece = b" " * _PIECE_BYTES
    if call.stream:
        long = call.saying(text="x" * 2 * _PIECE_BYTES, piece_length=_PIECE_BYTES)
        (piece, *_) = long.documents(long.parts.text)
    await call.begin()
    await _fill(call, piece)


async def _fill(call: Call, piece: bytes) -> None:
    for _ in range(HUGE_BYTES // _PIECE_BYTES):
        await call.put(piece)
    await call.finish()


async def _wrong_type(call: Call) -> None:
    await call.send(call.frames(call.events()), "text/plain")


# ---- times and connections


async def _hang(call: Call) -> None:
    await asyncio.Event().wait()


async def _hang_body(call: Call) -> None:
    await call.begin()
    await _hang(call)


async def _slow(call: Call) -> None:
    await call.sleep(call.model.slow_s)
    await call.send(call.frames(call.events()))


async def _slow_first_byte(call: Call) -> None:
    await call.begin()
    await call.sleep(call.model.slow_s)
    for frame in call.frames(call.events()):
        await call.put(frame)
    await call.finish()


async def _bytewise(call: Call, pause_s: float) -> None:
    if call.stream:
        await call.begin()
    body = b"".join(call.frames(call.events()))
    if not call.stream:
        first = head(200, call.content_type, Content_Length=str(len(body)))
        await call.connection.write(first)
    for byte in body:
        await call.sleep(pause_s)
        await (call.put if call.stream else call.connection.write)(bytes([byte]))
    if call.stream:
        await call.finish()


async def _drip(call: Call) -> None:
    await _bytewise(call, _DRIP_S)


async def _split(call: Call) -> None:
    await _bytewise(call, 0)


async def _half(call: Call) -> None:
    """Send the first half of the answer and leave it at that."""
    body = b"".join(call.frames(call.events()))
    half = body[: (len(body) + 1) // 2]
    if call.stream:
        await call.begin()
        await call.put(half)
    else:
        first = head(200, call.content_type, Content_Length=str(len(body)))
        await call.connection.write(first + half)


async def _stall(call: Call) -> None:
    await _half(call)
    await _hang(call)


async def _cut(call: Call) -> None:
    await _half(call)
    call.connection.close()


async def _reset_body(call: Call) -> None:
    await _half(call)
    await asyncio.sleep(0.05)  # a reset throws away what the client has not read yet
    call.connection.reset()


async def _cut_chunk(call: Call) -> None:
    body = b"".join(call.frames(call.events()))
    half = body[: (len(body) + 1) // 2]
    await call.begin()
    await call.connection.write(b"%x\r\n%s" % (len(body), half))
    call.connection.close()


async def _cut_500(call: Call) -> None:
    """Break off in the middle of an error."""
    first = head(500, "application/json", Content_Length="999")
    await call.connection.write(first + b'{"err')
    call.connection.close()


async def _cut_head(call: Call) -> None:
    call.connection.close()


async def _reset(call: Call) -> None:
    call.connection.reset()


async def _garbage(call: Call) -> None:
    await call.connection.write(b"\x16\x03\x01 this is no HTTP\r\n\r\n")
    call.connection.close()


_PAGE = b"<!DOCTYPE html><html><script>alert(1)</script>Sign in to the hotel's network</html>"
_DEEP = b"[" * 200_000 + b"]" * 200_000

BREAKAGES: dict[str, Way] = {
    "after_terminator": _ordered(lambda call: [*call.parts.all, *call.parts.text]),
    "bad_gzip": _body(b"\x1f\x8b this is no gzip", Content_Encoding="gzip"),
    "bad_json": _spoiling(lambda body: body.replace(b'":', b'" =', 1)),
    "bad_utf8": _spoiling(lambda body: body.replace(b"@", b"\xff\xfe\x80", 1), text="@" * 24),
    "brotli": _body(b"{}", Content_Encoding="br"),
    "crlf": _crlf,
    "cut": _cut,
    "cut_500": _cut_500,
    "cut_chunk": _cut_chunk,
    "cut_head": _cut_head,
    "deep_json": _spoiling(lambda _: _DEEP),
    "double_terminator": _ordered(lambda call: [*call.parts.all, *call.parts.terminator]),
    "drip": _drip,
    "empty_body": _body(b""),
    "flood": _flood,
    "garbage": _garbage,
    "gzip_bomb": _gzip_bomb,
    "hang": _hang,
    "hang_body": _hang_body,
    "html": _body(_PAGE, "text/html"),
    "huge": _huge,
    "huge_line": _huge_line,
    "nan": _spoiling(_adding(b'"hologram": NaN')),
    "no_end": _ordered(lambda call: call.parts.half),
    "no_terminator": _ordered(lambda call: call.parts.start + call.parts.text + call.parts.end),
    "plain_for_stream": _plain_for_stream,
    "reset": _reset,
    "reset_body": _reset_body,
    "slow": _slow,
    "slow_first_byte": _slow_first_byte,
    "split": _split,
    "stall": _stall,
    "stream_for_plain": _stream_for_plain,
    "stream_overloaded": _error_midway(Failure(503, "Overloaded", "overloaded", inside=True)),
    "stream_server_error": _error_midway(
        Failure(500, "The server had an error.", inside=True)
    ),
    "truncated_json": _spoiling(lambda body: body[:-2]),
    "two_json": _spoiling(lambda body: body + body),
    "unknown_events": _ordered(_unknown_events),
    "unknown_fields": _unknown_fields,
    "wrong_type": _wrong_type,
}  # fmt: skip
"""How each of these faults is sent."""
