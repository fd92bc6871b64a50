"""Ollama's own chat interface, whose streams are lines of JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from bmad_nb.llms.wires.base import (
    Saying,
    base64_of,
    list_in,
    names_in,
    schema_of,
    settings_of,
)
from bmad_nb.llms.wires.openai import logprobs_in
from bmad_nb.messages import Message, Request

_OPTIONS = {
    name: name
    for name in (
        "frequency_penalty", "min_p", "num_ctx", "presence_penalty", "repeat_penalty", "seed",
        "temperature", "top_k", "top_p",
    )
}  # fmt: skip
_OUTSIDE = {"reasoning_effort": "think", "top_logprobs": "top_logprobs"}
"""Parameters that stand beside the options."""


@dataclass(frozen=True, slots=True)
class OllamaWire:
    """The chat interface."""

    key_header: ClassVar[tuple[str, str]] = ("Authorization", "Bearer ")
    headers: ClassVar[Mapping[str, str]] = {}

    def path(self, request: Request, *, stream: bool) -> str:
        """Return the path of the chat."""
        del request, stream
        return "/api/chat"

    def body(self, request: Request, *, stream: bool) -> dict[str, Any]:
        """Return the document that asks `request`."""
        settings = settings_of(request, _OPTIONS | _OUTSIDE, "Ollama's interface")
        fields: dict[str, Any] = {
            name: settings.pop(name) for name in _OUTSIDE.values() if name in settings
        }
        if "top_logprobs" in fields:
            fields["logprobs"] = True
        settings["num_predict"] = request.max_tokens
        fields["model"] = request.model
        fields["messages"] = [_turn(message) for message in request.messages]
        fields["options"] = settings
        fields["stream"] = stream
        if request.schema:
            fields["format"] = schema_of(request)
        return fields

    def read(self, payload: dict[str, Any], saying: Saying) -> None:
        """Take a whole answer."""
        if not isinstance(payload.get("message"), dict):
            raise saying.bad("no message")
        self.read_event(payload, saying)
        saying.finish_reason = saying.finish_reason or "stop"

    def read_event(self, payload: dict[str, Any], saying: Saying) -> None:
        """Take one line of a stream; it has the shape of a whole answer."""
        if isinstance(payload.get("model"), str):
            saying.model = payload["model"]
        message = payload.get("message")
        if isinstance(message, dict):
            if message.get("content") is not None:
                saying.say(message["content"])
            saying.called_tool |= bool(message.get("tool_calls"))
        saying.tokens += logprobs_in(list_in(payload, "logprobs"))
        saying.count(payload, input_tokens="prompt_eval_count", output_tokens="eval_count")
        if payload.get("done") is True:
            saying.end(payload.get("done_reason"), {})
            saying.over = True

    def probe(self) -> str:
        """Return the path of the list of models."""
        return "/api/tags"

    def model_names(self, payload: object) -> list[str]:
        """Return the names in that list."""
        return names_in(payload, "models", "name")


def _turn(message: Message) -> dict[str, Any]:
    turn: dict[str, Any] = {"role": message.role, "content": message.text}
    if message.images:
        turn["images"] = [base64_of(image) for image in message.images]
    return turn
