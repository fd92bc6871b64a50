"""HTTP/1.1 with keep-alive, as little of it as LLM clients use, over asyncio's transports."""

from __future__ import annotations

import asyncio
import http
import json
import socket
import struct
import urllib.parse
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

_MOST_HEAD_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request, whole."""

    method: str
    path: str
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def bare_path(self) -> str:
        """The path without its query."""
        return self.path.partition("?")[0]

    @property
    def query(self) -> dict[str, list[str]]:
        """The fields of the query."""
        return urllib.parse.parse_qs(self.path.partition("?")[2], keep_blank_values=True)


@dataclass(slots=True, eq=False)
class Connection(asyncio.Protocol):
    """One connection of a client: requests in, one after the other, and bytes out.

    When the client goes away, the task that answers it is cancelled.
    """

    serve: Callable[[Connection, HttpRequest], Awaitable[None]]
    open_ones: set[Connection]
    counted: bool = False
    """True once it has brought a request that is not for the control interface."""
    _transport: asyncio.Transport | None = None
    _buffer: bytearray = field(default_factory=bytearray)
    _task: asyncio.Task[None] | None = None
    _writable: asyncio.Event = field(default_factory=asyncio.Event)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over a new connection."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=0)  # so that "written" means "in the kernel"
        self._writable.set()
        self.open_ones.add(self)

    def data_received(self, data: bytes) -> None:
        """Collect bytes until they are a request."""
        self._buffer += data
        if self._task is None:
            self._next()

    def pause_writing(self) -> None:
        """Hear that the kernel takes no more."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Hear that the kernel has taken everything."""
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop answering."""
        self.open_ones.discard(self)
        if self._task is not None:
            self._task.cancel()

    def close(self) -> None:
        """Close once everything written is out."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def reset(self) -> None:
        """Close at once so that the client hears of a reset, and of no end."""
        if self._transport is not None:
            raw = self._transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()

    async def write(self, data: bytes) -> None:
        """Return once the kernel has taken `data`.

        Raises:
            ConnectionResetError: the client is gone.
        """
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError
        self._transport.write(data)
        await self._writable.wait()

    async def reply(
        self, status: int, body: bytes, content_type: str = "application/json", **headers: str
    ) -> None:
        """Send a whole response; `_` in the names of headers becomes `-`."""
        await self.write(
            head(status, content_type, content_length=str(len(body)), **headers) + body
        )

    async def reply_json(self, status: int, value: object, **headers: str) -> None:
        """Send a JSON document."""
        await self.reply(status, json.dumps(value).encode(), **headers)

    def _next(self) -> None:
        """Begin to answer the next request, if it is all here."""
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > _MOST_HEAD_BYTES:
                self.abort()
            return
        first, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        method, _, rest = first.partition(" ")
        whole = end + 4 + int(headers.get("content-length", "0"))
        if len(self._buffer) < whole:
            return
        body = bytes(self._buffer[end + 4 : whole])
        del self._buffer[:whole]
        request = HttpRequest(method, rest.partition(" ")[0], headers, body)
        self._task = asyncio.get_running_loop().create_task(self._answer(request))

    async def _answer(self, request: HttpRequest) -> None:
        try:
            await self.serve(self, request)
        except ConnectionError:
            self.abort()
            return
        except asyncio.CancelledError:
            return
        self._task = None
        if self._buffer:
            self._next()


def head(status: int, content_type: str, **headers: str) -> bytes:
    """Return the first lines of a response; headers with an empty value are left out."""
    lines = [f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase if status in _KNOWN else 'Odd'}"]
    lines.append(f"Content-Type: {content_type}")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items() if value]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


_KNOWN = {int(each) for each in http.HTTPStatus}
