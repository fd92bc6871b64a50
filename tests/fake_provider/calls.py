"""A request on its way to its answer: the events that it would get, and how bytes are sent."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from tests.fake_provider.answers import Answer, Question
from tests.fake_provider.config import ModelConfig
from tests.fake_provider.limits import Clock
from tests.fake_provider.shapes import (
    Failure,
    Parts,
    Shape,
    dumps,
    framed,
    payload,
    stream_type,
)
from tests.fake_provider.wire import Connection, HttpRequest, head

_ODD_LENGTH = 97
"""Bytes in a chunk of a stream: so few, and so odd, that chunks end within events and characters."""


@dataclass(frozen=True, slots=True)
class Event:
    """One document of an answer and its bytes, which a fault may have changed."""

    document: Any
    body: bytes


@dataclass(frozen=True, slots=True)
class Call:
    """A request that is to be answered."""

    connection: Connection
    request: HttpRequest
    shape: Shape
    question: Question
    model: ModelConfig
    said: Answer
    """What it would be answered without a fault."""
    trap_url: str
    clock: Clock

    @property
    def stream(self) -> bool:
        """Whether a stream was asked for."""
        return self.question.stream

    @property
    def content_type(self) -> str:
        """The content type of the right answer."""
        return stream_type(self.shape) if self.stream else "application/json"

    def saying(self, **changes: Any) -> Call:
        """Return a call whose answer says something else."""
        return dataclasses.replace(self, said=dataclasses.replace(self.said, **changes))

    def asking(self, *, stream: bool) -> Call:
        """Return a call that asks for a stream, or for none."""
        return dataclasses.replace(self, question=dataclasses.replace(self.question, stream=stream))

    @property
    def parts(self) -> Parts:
        """The documents of the answer's stream."""
        return self.shape.parts(self.said, self.question)

    def events(self) -> list[Event]:
        """Return the answer: one event, or those of its stream."""
        if self.stream:
            return [Event(each, payload(each)) for each in self.parts.all]
        whole = self.shape.whole(self.said, self.question)
        return [Event(whole, dumps(whole))]

    @property
    def middle(self) -> int:
        """The place of an event that holds text, as near to the middle as can be."""
        if not self.stream:
            return 0
        parts = self.parts
        return len(parts.start) + max(0, len(parts.text) - 1) // 2

    def spoiled(self, change: Callable[[bytes], bytes]) -> list[Event]:
        """Return the events, the middle one changed."""
        events = self.events()
        events[self.middle] = Event(events[self.middle].document, change(events[self.middle].body))
        return events

    def frames(self, events: Iterable[Event]) -> list[bytes]:
        """Return the bytes of each event as they are sent."""
        if not self.stream:
            return [each.body for each in events]
        return [framed(self.shape, each.document, each.body) for each in events]

    def documents(self, documents: Iterable[Any]) -> list[bytes]:
        """Return the frames of a stream's documents."""
        return self.frames(Event(each, payload(each)) for each in documents)

    async def sleep(self, seconds: float) -> None:
        """Wait for some seconds of the provider's clock."""
        await asyncio.sleep(self.clock.true_s(seconds))

    async def send(self, frames: list[bytes], content_type: str = "", **headers: str) -> None:
        """Send status 200 and the frames: as one body, or as a stream in odd chunks."""
        if not self.stream:
            kind = content_type or self.content_type
            await self.connection.reply(200, b"".join(frames), kind, **headers)
            return
        await self.begin(content_type, **headers)
        for number, frame in enumerate(frames):
            if number and self.model.chunk_s:
                await self.sleep(self.model.chunk_s)
            for start in range(0, len(frame), _ODD_LENGTH):
                await self.put(frame[start : start + _ODD_LENGTH])
        await self.finish()

    async def begin(self, content_type: str = "", **headers: str) -> None:
        """Send a head for a body in chunks."""
        kind = content_type or self.content_type
        await self.connection.write(head(200, kind, Transfer_Encoding="chunked", **headers))

    async def put(self, data: bytes) -> None:
        """Send one chunk."""
        await self.connection.write(b"%x\r\n%s\r\n" % (len(data), data))

    async def finish(self) -> None:
        """Send the end of the chunks."""
        await self.connection.write(b"0\r\n\r\n")

    async def fail(self, failure: Failure, **headers: str) -> None:
        """Send an error in the format of the call."""
        status, body = self.shape.error(failure)
        await self.connection.reply_json(status, body, **headers)
