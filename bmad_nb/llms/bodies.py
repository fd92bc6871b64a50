"""Reading what comes back: whole bodies and streams, within deadlines and limits of size."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bmad_nb.llms.replies import said

if TYPE_CHECKING:
    import httpx

MAX_BODY_BYTES = 32 * 1024 * 1024
"""Most bytes of an answer, counted after decompression."""
MAX_ERROR_BYTES = 64 * 1024
"""Bytes that are read of an answer that is an error; the rest is dropped."""
DRAIN_S = 0.5
"""Seconds for the rest of a stream that has said all, so that its connection can be used again."""
# brotli and zstd reach far higher ratios per 16 KiB chunk than gzip's thousand
_ENCODINGS = {"", "identity", "gzip", "deflate"}


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long an endpoint may take; all in seconds."""

    total_s: float = 300.0
    """For one call, from its start to the last byte."""
    connect_s: float = 15.0
    """For DNS, TCP and TLS together."""
    first_byte_s: float | None = None
    """To the head of a streamed answer; None is the whole of `total_s`."""
    idle_s: float = 60.0
    """Between two pieces of an answer that has begun."""


Take = Callable[[str, float], bool]
"""Takes a document of a stream and the seconds since the request; returns whether it is over."""


class Unreadable(Exception):
    """A body is too large, or packed in a way that is not read."""


class Watch:
    """The clock of one exchange: when it began, and how long it may be silent."""

    def __init__(self, deadlines: Deadlines) -> None:
        """Start."""
        self._deadlines = deadlines
        self._clock = asyncio.get_running_loop().time
        self._began = time.perf_counter()
        self.drains = False
        """True once the stream has said all."""
        self.idle: asyncio.Timeout | None = None
        """Runs once the head of the reply is there."""

    def begin(self) -> None:
        """Start anew, when the request is about to be sent."""
        self._began = time.perf_counter()

    def elapsed_s(self) -> float:
        """Return the seconds since then."""
        return time.perf_counter() - self._began

    def heard(self) -> None:
        """Wait anew for the next piece."""
        if self.idle is not None and not self.drains:
            self.idle.reschedule(self._clock() + self._deadlines.idle_s)

    def drain(self) -> None:
        """Wait a moment for the end of a stream that has said all."""
        self.drains = True
        if self.idle is not None:
            self.idle.reschedule(self._clock() + DRAIN_S)

    def passed(self) -> str:
        """Say which deadline it was."""
        limits = self._deadlines
        if self.idle is not None and self.idle.expired():
            return f"went silent for {limits.idle_s:g} s in the middle of its answer"
        if self.idle is None and self.elapsed_s() < 0.99 * limits.total_s:
            return f"did not begin to answer within {limits.first_byte_s:g} s"
        return f"gave no whole answer within {limits.total_s:g} s"


def streams(response: httpx.Response) -> bool:
    """Return whether a reply is the stream that was asked for."""
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    return response.is_success and kind in {"text/event-stream", "application/x-ndjson"}


async def _pieces(
    response: httpx.Response, watch: Watch, limit: int
) -> AsyncGenerator[bytes]:  # fmt: skip
    """Yield the unpacked body as it comes, up to a limit and within the idle deadline."""
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if encoding not in _ENCODINGS:
        raise Unreadable(f"a body packed as {said(encoding)!r}, which was not asked for")
    size = 0
    watch.heard()
    async for piece in response.aiter_bytes():
        watch.heard()
        size += len(piece)
        if size > limit:
            raise Unreadable(f"more than {limit // 2**20} MiB; the rest was not read")
        yield piece


async def read(response: httpx.Response, watch: Watch) -> bytes:
    """Return the body; of an error only its beginning, even where it breaks off."""
    failed = response.status_code >= 300
    parts: list[bytes] = []
    try:
        limit = MAX_ERROR_BYTES if failed else MAX_BODY_BYTES
        async for piece in _pieces(response, watch, limit):
            parts.append(piece)  # noqa: PERF401  (what came before an error is kept)
    except Exception:
        if not failed:
            raise
    return b"".join(parts)


async def documents(response: httpx.Response, watch: Watch, take: Take) -> None:
    """Hand over the documents of a stream; once it is over, only wait for its end."""
    over = False
    is_sse = "event-stream" in response.headers.get("content-type", "")
    found = _events(response, watch) if is_sse else _lines(response, watch)
    try:
        async with contextlib.aclosing(found):
            async for document in found:
                if not over and take(document, watch.elapsed_s()):
                    over = True
                    watch.drain()
    except TimeoutError:
        raise
    except Exception:
        if not over:
            raise


class _Text:
    """A response as httpx-sse wants it: its headers, and its text, strictly decoded."""

    def __init__(self, response: httpx.Response, watch: Watch) -> None:
        self.headers = response.headers
        self._response, self._watch = response, watch

    async def aiter_text(self) -> AsyncGenerator[str]:
        decoder = codecs.getincrementaldecoder("utf-8")("strict")
        pieces = _pieces(self._response, self._watch, MAX_BODY_BYTES)
        try:
            async with contextlib.aclosing(pieces):
                async for piece in pieces:
                    yield decoder.decode(piece)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            raise Unreadable("bytes that are not UTF-8") from None


async def _events(response: httpx.Response, watch: Watch) -> AsyncGenerator[str]:
    """Yield the data of server-sent events."""
    import httpx_sse

    source: Any = _Text(response, watch)
    async with contextlib.aclosing(httpx_sse.EventSource(source).aiter_sse()) as events:
        async for event in events:
            if event.data:
                yield event.data


async def _lines(response: httpx.Response, watch: Watch) -> AsyncGenerator[str]:
    """Yield lines that are not empty."""
    begun: list[str] = []  # of a line that is not whole yet
    async with contextlib.aclosing(_Text(response, watch).aiter_text()) as texts:
        async for text in texts:
            first, *more = text.split("\n")
            begun.append(first)
            if more:
                for line in filter(str.strip, ["".join(begun), *more[:-1]]):
                    yield line
                begun = [more[-1]]
    if (last := "".join(begun)).strip():
        yield last
