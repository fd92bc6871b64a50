"""What the four formats have in common: each reads a question, and spells answers and errors."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from tests.fake_provider.answers import Answer, Image, Question
from tests.fake_provider.wire import HttpRequest

Document = dict[str, Any]
REFUSAL = "I cannot help with that."
TOOL = "look_up"


@dataclass(slots=True)
class Parts:
    """The documents of a stream, by what they are there for."""

    start: list[Any] = field(default_factory=list)
    text: list[Any] = field(default_factory=list)
    end: list[Any] = field(default_factory=list)
    """Finish reason and usage."""
    terminator: list[Any] = field(default_factory=list)
    """What says that nothing more comes, if that is a document of its own."""

    @property
    def half(self) -> list[Any]:
        """The beginning of the stream with half of its text."""
        return self.start + self.text[: (len(self.text) + 1) // 2]

    @property
    def all(self) -> list[Any]:
        """The whole stream."""
        return self.start + self.text + self.end + self.terminator


@dataclass(frozen=True, slots=True)
class Failure:
    """An error in no format's words."""

    status: int
    message: str
    reason: Literal["", "context", "key", "model", "overloaded", "quota", "request"] = ""
    inside: bool = False
    """Whether it stands in an answer with status 200."""
    retry_after: str = ""
    """Seconds as text, where they are a number that a provider may repeat in the body."""


class Shape(Protocol):
    """One provider's format."""

    name: str
    models_path: str
    too_long: str
    """Its words for a prompt that does not fit: often they alone tell this error from others."""
    is_sse: bool
    """Whether streams are server-sent events; else they are lines of JSON."""
    is_named: bool
    """Whether each event of a stream has its document's `type` as its name."""

    def takes(self, request: HttpRequest) -> bool:
        """Return whether a request asks a question in this format."""
        ...

    def key(self, request: HttpRequest) -> str:
        """Return the key that came with a request."""
        ...

    def read(self, request: HttpRequest, body: Document) -> Question:
        """Return the question in a body.

        Raises:
            ValueError: the format requires something else.
        """
        ...

    def whole(self, said: Answer, question: Question) -> Document:
        """Return the answer as one document."""
        ...

    def parts(self, said: Answer, question: Question) -> Parts:
        """Return the answer as the documents of a stream."""
        ...

    def error(self, failure: Failure) -> tuple[int, Document]:
        """Return the status and the body of an error."""
        ...

    def reset_headers(self) -> tuple[dict[str, str], str]:
        """Return this provider's own headers for a limit, and what `Failure.retry_after` is."""
        ...

    def models(self, names: list[str]) -> Document:
        """Return the list of models."""
        ...


def dumps(document: object) -> bytes:
    """Return JSON in UTF-8 as it is, but for lone surrogates, which stay escapes."""
    return json.dumps(document, ensure_ascii=False).encode("utf-8", "backslashreplace")


def payload(document: object) -> bytes:
    """Return a document of a stream as bytes; text is sent as it is."""
    return document.encode() if isinstance(document, str) else dumps(document)


def framed(shape: Shape, document: object, body: bytes) -> bytes:
    """Return one event of a stream around the bytes of its document."""
    if not shape.is_sse:
        return body + b"\n"
    kind = document.get("type") if shape.is_named and isinstance(document, dict) else None
    name = f"event: {kind}\n".encode() if kind else b""
    return name + b"data: " + body + b"\n\n"


def stream_type(shape: Shape) -> str:
    """Return the content type of a stream."""
    return "text/event-stream; charset=utf-8" if shape.is_sse else "application/x-ndjson"


def bearer(request: HttpRequest) -> str:
    """Return the key of an Authorization header."""
    return request.headers.get("authorization", "").removeprefix("Bearer ")


def counted(name: str, said: Answer, **counts: int) -> Document:
    """Return the usage under its name, or nothing where none is told."""
    told = said.told
    return {} if told is None else {name: {each: told(n) for each, n in counts.items()}}


def turns(body: Document, name: str) -> list[Document]:
    """Return the list of turns.

    Raises:
        ValueError: there is none, or an element is no object.
    """
    found = body.get(name)
    if not isinstance(found, list) or not found or not all(isinstance(e, dict) for e in found):
        raise ValueError(f"'{name}' must be a list with at least one object.")
    return found


def most_tokens(value: object) -> int | None:
    """Return a limit on an answer's tokens, or None.

    Raises:
        ValueError: it is no count.
    """
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"The limit on tokens must be a number from 1 on, not {value!r}.")
    return value


def image(media_type: str, data: object) -> Image:
    """Return a picture out of its base64.

    Raises:
        ValueError: it is no picture's base64.
    """
    try:
        found = base64.b64decode(str(data), validate=True)
    except binascii.Error:
        found = b""
    if not found or not media_type.startswith("image/"):
        raise ValueError(f"A picture of type {media_type!r} has no base64 of its bytes.")
    return Image(media_type, hashlib.sha256(found).hexdigest()[:12])


def sniffed(data: object) -> Image:
    """Return a picture whose type is known from its first bytes alone.

    Raises:
        ValueError: it is no picture.
    """
    start = base64.b64decode(str(data)[:24])
    marks = {b"\x89PNG": "image/png", b"\xff\xd8": "image/jpeg", b"GIF8": "image/gif"}
    for mark, media_type in marks.items():
        if start.startswith(mark):
            return image(media_type, data)
    return image("image/webp" if start[8:12] == b"WEBP" else "unknown", data)


def schema_in(value: object, what: str) -> Document | None:
    """Return a JSON Schema, or None where there is none.

    Raises:
        ValueError: it is no object.
    """
    if value is not None and not isinstance(value, dict):
        raise ValueError(f"{what} must be a JSON Schema.")
    return value
