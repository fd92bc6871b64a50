"""Anthropic's messages."""

from __future__ import annotations

import datetime
from typing import Any

from tests.fake_provider.answers import Answer, Image, Question
from tests.fake_provider.shapes import (
    TOOL,
    Document,
    Failure,
    Parts,
    counted,
    image,
    most_tokens,
    schema_in,
    turns,
)
from tests.fake_provider.wire import HttpRequest

_REASONS = {
    "stop": "end_turn", "length": "max_tokens", "filter": "refusal", "tool": "tool_use",
}  # fmt: skip
_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


class AnthropicShape:
    """`POST /v1/messages`."""

    name = "anthropic"
    models_path = "/v1/models"
    too_long = "prompt is too long: 9 tokens > 8 maximum"
    is_sse = True
    is_named = True

    def takes(self, request: HttpRequest) -> bool:
        """Return whether the path is that of messages."""
        return request.bare_path == "/v1/messages"

    def key(self, request: HttpRequest) -> str:
        """Return the key of the x-api-key header."""
        return request.headers.get("x-api-key", "")

    def read(self, request: HttpRequest, body: Document) -> Question:
        """Return the question in a message's body."""
        if "anthropic-version" not in request.headers:
            raise ValueError("anthropic-version: header is required")
        if body.get("max_tokens") is None:
            raise ValueError("max_tokens: Field required")
        read = [_turn(each) for each in turns(body, "messages")]
        messages = [(role, text) for role, text, _ in read]
        if body.get("system"):
            messages.insert(0, ("system", _texts(body["system"])))
        return Question(
            model=str(body.get("model")),
            messages=tuple(messages),
            max_tokens=most_tokens(body["max_tokens"]),
            seed="None",
            temperature=float(body.get("temperature") or 0),
            stream=bool(body.get("stream")),
            images=tuple(image for _, _, images in read for image in images),
            schema=_schema((body.get("output_config") or {}).get("format")),
        )

    def whole(self, said: Answer, question: Question) -> Document:
        """Return a message."""
        content = [_block(said, said.text)] if said.text or _is_special(said) else []
        reason = _reason(said)
        counts = _usage(said, output_tokens=said.output_tokens)
        return {**_empty(said, question), "content": content, "stop_reason": reason, **counts}

    def parts(self, said: Answer, question: Question) -> Parts:
        """Return the events of a message with one block; its last count is of the whole."""
        message = {**_empty(said, question), **_usage(said, output_tokens=1)}
        start: list[Any] = [{"type": "message_start", "message": message}]
        stop: list[Any] = []
        if said.text or _is_special(said):
            block = _block(said, "")
            start += [{"type": "content_block_start", "index": 0, "content_block": block}]
            stop = [{"type": "content_block_stop", "index": 0}]
        start += [{"type": "ping"}]
        delta = {"stop_reason": _reason(said), "stop_sequence": None}
        end = {"type": "message_delta", "delta": delta, **_usage(said, said.output_tokens)}
        text = [_delta(piece) for piece in said.pieces]
        return Parts(start, text, [*stop, end], [{"type": "message_stop"}])

    def error(self, failure: Failure) -> tuple[int, Document]:
        """Return an error; a used up account is 402, and an overload 529."""
        status = {"quota": 402, "overloaded": 529}.get(failure.reason, failure.status)
        default = "api_error" if status >= 500 else "invalid_request_error"
        error = {"type": _TYPES.get(status, default), "message": failure.message}
        return status, {"type": "error", "error": error, "request_id": "req_fake"}

    def reset_headers(self) -> tuple[dict[str, str], str]:
        """Return the time at which requests are taken again, 2 s ahead."""
        now = datetime.datetime.now(datetime.UTC)
        then = [now + datetime.timedelta(seconds=s) for s in (2, 360)]
        requests, tokens_ = (each.strftime("%Y-%m-%dT%H:%M:%SZ") for each in then)
        return {
            "anthropic_ratelimit_requests_remaining": "0",
            "anthropic_ratelimit_requests_reset": requests,
            "anthropic_ratelimit_tokens_remaining": "100",
            "anthropic_ratelimit_tokens_reset": tokens_,
        }, ""

    def models(self, names: list[str]) -> Document:
        """Return the list of models."""
        models = [{"type": "model", "id": name, "display_name": name.title()} for name in names]
        ends = {"first_id": names[0] if names else None, "last_id": names[-1] if names else None}
        return {"data": models, "has_more": False, **ends}


def _texts(content: object) -> str:
    """Return the text of a string or of a list of text blocks."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list) or not all("text" in each for each in content):
        raise ValueError("A text must be a string or a list of blocks of text.")
    return "".join(str(each["text"]) for each in content)


def _turn(turn: Document) -> tuple[str, str, list[Image]]:
    role, content = turn.get("role"), turn.get("content")
    if role not in {"user", "assistant"}:
        raise ValueError(f"messages: a role must be 'user' or 'assistant', not {role!r}.")
    if not isinstance(content, list):
        return role, _texts(content), []
    pictures = [each["source"] for each in content if each.get("type") == "image"]
    if any(each.get("type") != "base64" for each in pictures):
        raise ValueError("messages: a picture's source must be of type base64.")
    images = [image(str(each["media_type"]), each["data"]) for each in pictures]
    return role, _texts([each for each in content if each.get("type") != "image"]), images


def _schema(form: object) -> Document | None:
    if form is None:
        return None
    if not isinstance(form, dict) or form.get("type") != "json_schema":
        raise ValueError("output_config.format.type must be 'json_schema'.")
    return schema_in(form["schema"], "output_config.format.schema")


def _is_special(said: Answer) -> bool:
    return said.odd or said.finish_reason == "tool"


def _block(said: Answer, text: str) -> Document:
    if said.odd:
        return {"type": "hologram", "hologram": 42}
    if said.finish_reason == "tool":
        return {"type": "tool_use", "id": "toolu_1", "name": TOOL, "input": {}}
    return {"type": "text", "text": text}


def _empty(said: Answer, question: Question) -> Document:
    return {
        "id": question.answer_id,
        "type": "message",
        "role": said.role or "assistant",
        "model": question.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def _delta(piece: str) -> Document:
    delta = {"type": "text_delta", "text": piece}
    return {"type": "content_block_delta", "index": 0, "delta": delta}


def _reason(said: Answer) -> str | None:
    return _REASONS.get(said.finish_reason or "", said.finish_reason)


def _usage(said: Answer, output_tokens: int) -> Document:
    """Return counts of which `input_tokens` leaves out what came from the cache."""
    return counted(
        "usage",
        said,
        input_tokens=said.input_tokens - said.cached_tokens,
        cache_creation_input_tokens=0,
        cache_read_input_tokens=said.cached_tokens,
        output_tokens=output_tokens,
    )
