"""OpenAI's chat completions."""

from __future__ import annotations

import dataclasses
from typing import Any

from tests.fake_provider.answers import Answer, Image, Question
from tests.fake_provider.shapes import (
    REFUSAL,
    TOOL,
    Document,
    Failure,
    Parts,
    bearer,
    counted,
    image,
    most_tokens,
    schema_in,
    turns,
)
from tests.fake_provider.wire import HttpRequest

_REASONS = {"refusal": "stop", "filter": "content_filter", "tool": "tool_calls"}
_TYPES = {"quota": "insufficient_quota", "overloaded": "server_error"}
_CODES = {
    "context": "context_length_exceeded",
    "key": "invalid_api_key",
    "model": "model_not_found",
    "quota": "insufficient_quota",
}


class OpenAIShape:
    """`POST /v1/chat/completions`."""

    name = "openai"
    models_path = "/v1/models"
    too_long = "This model's maximum context length is 8 tokens."
    is_sse = True
    is_named = False

    def takes(self, request: HttpRequest) -> bool:
        """Return whether the path is that of chat completions."""
        return request.bare_path == "/v1/chat/completions"

    def key(self, request: HttpRequest) -> str:
        """Return the key of the Authorization header."""
        return bearer(request)

    def read(self, request: HttpRequest, body: Document) -> Question:
        """Return the question in a chat completion's body."""
        read = [_turn(each) for each in turns(body, "messages")]
        most = body.get("max_tokens", body.get("max_completion_tokens"))
        top = body.get("top_logprobs") or 0
        options = body.get("stream_options") or {}
        return Question(
            model=str(body.get("model")),
            messages=tuple((role, text) for role, text, _ in read),
            max_tokens=most_tokens(most),
            seed=str(body.get("seed")),
            temperature=float(body.get("temperature") or 0),
            stream=bool(body.get("stream")),
            images=tuple(image for _, _, images in read for image in images),
            schema=_schema(body.get("response_format") or {}),
            top_logprobs=top if body.get("logprobs") else None,
            include_usage=bool(options.get("include_usage")),
        )

    def whole(self, said: Answer, question: Question) -> Document:
        """Return a chat completion."""
        choice = {"index": 0, "message": _message(said), "finish_reason": _reason(said)}
        if question.top_logprobs is not None:
            choice["logprobs"] = _logprobs(said.text, question.top_logprobs)
        return {
            "id": question.answer_id,
            "object": "chat.completion",
            "created": 0,
            "model": question.model,
            "choices": [choice],
            **_usage(said),
        }

    def parts(self, said: Answer, question: Question) -> Parts:
        """Return chunks, the usage behind the last choice if it is asked for, and [DONE]."""

        def chunk(delta: Document, reason: str | None = None, text: str = "") -> Document:
            choice: Document = {"index": 0, "delta": delta, "finish_reason": reason}
            if question.top_logprobs is not None:
                shown = _logprobs(text, question.top_logprobs) if text else None
                choice["logprobs"] = shown
            return _chunk(question, [choice])

        first = _message(dataclasses.replace(said, text=""))
        end = [chunk({}, _reason(said))]
        if question.include_usage:
            end += [{**_chunk(question, []), **_usage(said)}]
        text = [chunk({"content": piece}, text=piece) for piece in said.pieces]
        return Parts([chunk(first)], text, end, ["[DONE]"])

    def error(self, failure: Failure) -> tuple[int, Document]:
        """Return an error; within a 200 its code is the status, as gateways write it."""
        kind = "server_error" if failure.status >= 500 else "invalid_request_error"
        if failure.status == 429:
            kind = "requests"
        code: Any = "rate_limit_exceeded" if failure.status == 429 else None
        error = {
            "message": failure.message,
            "type": _TYPES.get(failure.reason, kind),
            "param": None,
            "code": failure.status if failure.inside else _CODES.get(failure.reason, code),
        }
        return failure.status, {"error": error}

    def reset_headers(self) -> tuple[dict[str, str], str]:
        """Return headers of which only those count whose remainder is 0."""
        return {
            "x_ratelimit_remaining_requests": "0",
            "x_ratelimit_reset_requests": "1.5s",
            "x_ratelimit_remaining_tokens": "100",
            "x_ratelimit_reset_tokens": "6m0s",
        }, ""

    def models(self, names: list[str]) -> Document:
        """Return the list of models."""
        models = [{"id": name, "object": "model"} for name in names]
        return {"object": "list", "data": models}


def _turn(turn: Document) -> tuple[str, str, list[Image]]:
    content = turn.get("content")
    if isinstance(content, str):
        return str(turn.get("role")), content, []
    if not isinstance(content, list):
        raise ValueError("Each message needs a 'role' and a 'content' of text.")
    texts, images = [], []
    for part in content:
        if part.get("type") == "text":
            texts.append(str(part["text"]))
        elif part.get("type") == "image_url":
            head, _, data = str(part["image_url"]["url"]).partition(";base64,")
            images.append(image(head.removeprefix("data:"), data))
        else:
            raise ValueError(f"A content part of type {part.get('type')!r} is not known.")
    return str(turn.get("role")), "".join(texts), images


def _schema(form: Document) -> Document | None:
    kind = form.get("type", "text")
    if kind == "json_schema":
        return schema_in(form["json_schema"]["schema"], "response_format.json_schema.schema")
    if kind not in {"text", "json_object"}:
        raise ValueError(f"A response_format of type {kind!r} is not known.")
    return {"type": "object"} if kind == "json_object" else None


def _message(said: Answer) -> Document:
    message: Document = {"role": said.role or "assistant", "content": said.text}
    if said.odd:
        message["content"] = 42
    if said.finish_reason == "refusal":
        message |= {"content": None, "refusal": REFUSAL}
    if said.finish_reason == "tool":
        function = {"name": TOOL, "arguments": "{}"}
        call = {"index": 0, "id": "call_1", "type": "function", "function": function}
        message |= {"content": None, "tool_calls": [call]}
    return message


def _reason(said: Answer) -> str | None:
    return _REASONS.get(said.finish_reason or "", said.finish_reason)


def _chunk(question: Question, choices: list[Document]) -> Document:
    chunk = {
        "id": question.answer_id,
        "object": "chat.completion.chunk",
        "created": 0,
        "model": question.model,
        "choices": choices,
    }
    return {**chunk, "usage": None} if question.include_usage else chunk


def _usage(said: Answer) -> Document:
    found = counted(
        "usage",
        said,
        prompt_tokens=said.input_tokens,
        completion_tokens=said.output_tokens,
        total_tokens=said.input_tokens + said.output_tokens,
    )
    if found:
        found["usage"] |= counted("prompt_tokens_details", said, cached_tokens=said.cached_tokens)
        found["usage"] |= counted(
            "completion_tokens_details", said, reasoning_tokens=said.reasoning_tokens
        )
    return found


def _logprobs(text: str, top: int) -> Document:
    """Return a token for each four characters, each likelier than the one before."""
    pieces = [text[i : i + 4] for i in range(0, len(text), 4)]
    content = []
    for number, piece in enumerate(pieces, start=1):
        logprob = -1.0 / number
        others = [(piece, logprob), *((f"{piece}{i}", logprob - i) for i in range(1, top))][:top]
        content.append({**_token(piece, logprob), "top_logprobs": [_token(*o) for o in others]})
    return {"content": content, "refusal": None}


def _token(token: str, logprob: float) -> Document:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode("utf-8", "replace"))}
