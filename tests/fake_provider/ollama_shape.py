"""Ollama's chat."""

from __future__ import annotations

import dataclasses

from tests.fake_provider.answers import Answer, Image, Question
from tests.fake_provider.shapes import (
    TOOL,
    Document,
    Failure,
    Parts,
    bearer,
    most_tokens,
    schema_in,
    sniffed,
    turns,
)
from tests.fake_provider.wire import HttpRequest

_WHEN = "2026-01-01T00:00:00.000000Z"
_NS_PER_TOKEN = 1_000_000
"""Nanoseconds that each token is said to have taken."""


class OllamaShape:
    """`POST /api/chat`."""

    name = "ollama"
    models_path = "/api/tags"
    too_long = "the input length exceeds the context length"
    is_sse = False
    is_named = False

    def takes(self, request: HttpRequest) -> bool:
        """Return whether the path is that of chats."""
        return request.bare_path == "/api/chat"

    def key(self, request: HttpRequest) -> str:
        """Return the key that a server in the cloud would be sent; others have none."""
        return bearer(request)

    def read(self, request: HttpRequest, body: Document) -> Question:
        """Return the question in a chat's body, which is streamed unless it says otherwise."""
        options = body.get("options") or {}
        read = [_turn(each) for each in turns(body, "messages")]
        most = options.get("num_predict")
        form = body.get("format") or None
        return Question(
            model=str(body.get("model")),
            messages=tuple((role, text) for role, text, _ in read),
            # negative numbers mean: no limit
            max_tokens=None if isinstance(most, int) and most < 0 else most_tokens(most),
            seed=str(options.get("seed")),
            temperature=float(options.get("temperature") or 0),
            stream=bool(body.get("stream", True)),
            images=tuple(image for _, _, images in read for image in images),
            schema={"type": "object"} if form == "json" else schema_in(form, "format"),
        )

    def whole(self, said: Answer, question: Question) -> Document:
        """Return the answer in one line."""
        return _line(said, question, said.text) | _done(said)

    def parts(self, said: Answer, question: Question) -> Parts:
        """Return a line for each piece, and a last one without text that is both end and sign."""
        text = [_line(said, question, piece) | {"done": False} for piece in said.pieces]
        if said.odd or said.finish_reason == "tool":
            text = [_line(said, question, "") | {"done": False}]
        plain = dataclasses.replace(said, odd=False, finish_reason="stop")
        return Parts([], text, [], [_line(plain, question, "") | _done(said)])

    def error(self, failure: Failure) -> tuple[int, Document]:
        """Return an error, which is no more than its text."""
        status = 503 if failure.reason == "overloaded" else failure.status
        return status, {"error": failure.message}

    def reset_headers(self) -> tuple[dict[str, str], str]:
        """Return what a gateway in front of it would send."""
        return {"x_ratelimit_remaining_requests": "0", "x_ratelimit_reset_requests": "1.5s"}, ""

    def models(self, names: list[str]) -> Document:
        """Return the list of models."""
        models = [{"name": n, "model": n, "modified_at": _WHEN, "size": 1} for n in names]
        return {"models": models}


def _turn(turn: Document) -> tuple[str, str, list[Image]]:
    content = turn.get("content")
    if not isinstance(content, str):
        raise ValueError("Each message needs a 'role' and a 'content' of text.")
    return str(turn.get("role")), content, [sniffed(each) for each in turn.get("images") or ()]


def _message(said: Answer, text: str) -> Document:
    message: Document = {"role": said.role or "assistant", "content": text}
    if said.odd:
        message["content"] = 42
    if said.finish_reason == "tool":
        message["tool_calls"] = [{"function": {"name": TOOL, "arguments": {}}}]
    return message


def _line(said: Answer, question: Question, text: str) -> Document:
    head = {"model": question.model, "created_at": _WHEN}
    return {**head, "message": _message(said, text)}


def _done(said: Answer) -> Document:
    done: Document = {"done": True}
    if said.finish_reason:
        done["done_reason"] = "length" if said.finish_reason == "length" else "stop"
    if said.told is None:
        return done
    read_ns, said_ns = said.input_tokens * _NS_PER_TOKEN, said.output_tokens * _NS_PER_TOKEN
    return done | {
        "total_duration": read_ns + said_ns,
        "load_duration": 0,
        "prompt_eval_count": said.told(said.input_tokens),
        "prompt_eval_duration": read_ns,
        "eval_count": said.told(said.output_tokens),
        "eval_duration": said_ns,
    }
