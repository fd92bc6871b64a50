"""A client of the four formats that knows nothing of ours: the fake provider's own tests use it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.fake_provider.handles import Handle

MOST_BYTES = 2**20
REFUSED = {"content_filter", "refusal", "SAFETY"}
PATHS = {
    "openai": "/chat/completions",
    "anthropic": "/messages",
    "gemini": "/models/{model}:{verb}",
    "ollama": "/api/chat",
}


class Unusable(Exception):
    """What came is no whole answer."""


@dataclass(slots=True)
class Heard:
    """What a client understood."""

    text: str = ""
    reason: str = ""
    counts: tuple[int | None, int | None] = (None, None)
    """Tokens of input and output, as far as they were told."""
    over: bool = False
    """Whether the terminator came."""
    documents: list[Any] = field(default_factory=list)


def request(
    fake: Handle, shape: str, prompt: str, *, stream: bool, model: str = "small", key: str = ""
) -> dict[str, Any]:
    """Return the arguments of `httpx.request` that ask a question."""
    verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
    path = PATHS[shape].replace("{model}", model).replace("{verb}", verb)
    turn: dict[str, Any] = {"role": "user", "content": prompt}
    body: dict[str, Any] = {"model": model, "messages": [turn], "stream": stream}
    headers = {"Idempotency-Key": key} if key else {}
    if shape == "openai" and stream:
        body["stream_options"] = {"include_usage": True}
    if shape == "anthropic":
        body["max_tokens"] = 1000
        headers["anthropic-version"] = "2023-06-01"
    if shape == "gemini":
        body = {"contents": [{"role": "user", "parts": [{"text": prompt}]}]}
    return {"method": "POST", "url": fake.base_url(shape) + path, "json": body, "headers": headers}


def ask(shape: str, asked: dict[str, Any], timeout_s: float = 10.0) -> Heard:
    """Ask and return what was heard.

    Raises:
        Unusable: nothing came that a client could use.
    """
    try:
        with httpx.stream(timeout=timeout_s, **asked) as response:
            found = _hear(shape, response)
    except (httpx.HTTPError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise Unusable(repr(error)) from error
    if not found.text.strip() or found.reason in REFUSED:
        raise Unusable(f"no text: {found}")
    return found


def _hear(shape: str, response: httpx.Response) -> Heard:
    body = bytearray()
    for piece in response.iter_bytes(2**16):
        body += piece
        if len(body) > MOST_BYTES:
            raise Unusable("too long")
    if response.status_code != 200:
        raise Unusable(f"status {response.status_code}")
    text = body.decode("utf-8")
    heard = Heard()
    # its content type may be wrong: look at the body itself
    if text.lstrip().startswith("{") and "\n" not in text.strip():
        heard.documents = [loads(text)]
        _WHOLE[shape](heard.documents[0], heard)
        return heard
    for document in documents(text):
        heard.documents.append(document)
        if isinstance(document, dict) and "error" in document:
            raise Unusable(document)
        if not heard.over:
            _CHUNK[shape](document, heard)
    # a stream of Gemini has no terminator, and one of OpenAI may lack it
    if not (heard.over or heard.reason):
        raise Unusable("cut off")
    return heard


def documents(text: str) -> Iterator[Any]:
    """Yield the documents of a stream, of events or of lines."""
    for line in text.replace("\r\n", "\n").split("\n"):
        data = line.removeprefix("data:").strip()
        if data and not line.startswith((":", "event:")):
            yield data if data == "[DONE]" else loads(data)


def loads(text: str) -> Any:
    """Read strict JSON."""

    def no_constant(name: str) -> None:
        raise ValueError(name)

    return json.loads(text, parse_constant=no_constant)


def _openai(document: Any, heard: Heard) -> None:
    choice = document["choices"][0]
    heard.text += choice["message"]["content"] or ""
    heard.reason = choice["finish_reason"] or ""
    _count(heard, document.get("usage"), "prompt_tokens", "completion_tokens")


def _openai_chunk(document: Any, heard: Heard) -> None:
    if document == "[DONE]":
        heard.over = True
        return
    for choice in document.get("choices", ()):
        heard.text += choice["delta"].get("content") or ""
        heard.reason = choice["finish_reason"] or heard.reason
    _count(heard, document.get("usage"), "prompt_tokens", "completion_tokens")


def _anthropic(document: Any, heard: Heard) -> None:
    heard.text += "".join(each["text"] for each in document["content"] if each["type"] == "text")
    heard.reason = document["stop_reason"] or ""
    _count(heard, document.get("usage"), "input_tokens", "output_tokens")


def _anthropic_chunk(document: Any, heard: Heard) -> None:
    heard.over = document["type"] == "message_stop"
    delta = document.get("delta", {})
    heard.text += delta.get("text", "")
    heard.reason = delta.get("stop_reason") or heard.reason
    _count(heard, document.get("usage"), "input_tokens", "output_tokens")


def _gemini(document: Any, heard: Heard) -> None:
    for candidate in document["candidates"] if "modelVersion" in document else ():
        parts = candidate.get("content", {}).get("parts", ())
        heard.text += "".join(each.get("text", "") for each in parts)
        heard.reason = candidate.get("finishReason") or heard.reason
    _count(heard, document.get("usageMetadata"), "promptTokenCount", "candidatesTokenCount")


def _ollama(document: Any, heard: Heard) -> None:
    if "message" in document:
        heard.text += document["message"]["content"]
        heard.over = document["done"]
        heard.reason = document.get("done_reason", "")
        _count(heard, document, "prompt_eval_count", "eval_count")


def _count(heard: Heard, usage: Any, given: str, said: str) -> None:
    if usage:
        heard.counts = (usage.get(given), usage.get(said))


_WHOLE = {"openai": _openai, "anthropic": _anthropic, "gemini": _gemini, "ollama": _ollama}
_CHUNK = {
    "openai": _openai_chunk,
    "anthropic": _anthropic_chunk,
    "gemini": _gemini,
    "ollama": _ollama,
}
