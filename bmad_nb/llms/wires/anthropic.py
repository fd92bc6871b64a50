"""Anthropic's messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from bmad_nb.llms.wires.base import (
    Saying,
    base64_of,
    dict_in,
    names_in,
    schema_of,
    settings_of,
    split_system,
)
from bmad_nb.messages import Message, Request

_PARAMETERS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "reasoning_effort": "effort",
}
_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
}
_UNCHECKED = frozenset(
    {
        "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength",
        "maxLength", "minItems", "maxItems", "uniqueItems", "pattern", "$schema", "default",
    }
)  # fmt: skip
"""Rules that the provider refuses in a schema; the answer is checked against them here."""


@dataclass(frozen=True, slots=True)
class AnthropicWire:
    """The messages interface."""

    key_header: ClassVar[tuple[str, str]] = ("x-api-key", "")
    headers: ClassVar[Mapping[str, str]] = {
        "anthropic-version": "2023-06-01",
        "Accept": "application/json",
    }

    def path(self, request: Request, *, stream: bool) -> str:
        """Return the path of messages."""
        del request, stream
        return "/messages"

    def body(self, request: Request, *, stream: bool) -> dict[str, Any]:
        """Return the document that asks `request`."""
        fields = settings_of(request, _PARAMETERS, "Anthropic's interface")
        effort = fields.pop("effort", None)
        system, turns = split_system(request.messages)
        fields["model"] = request.model
        fields["max_tokens"] = request.max_tokens
        fields["messages"] = [_turn(message) for message in turns]
        if system:
            fields["system"] = system
        output: dict[str, Any] = {} if effort is None else {"effort": effort}
        if request.schema:
            output["format"] = {"type": "json_schema", "schema": closed(schema_of(request))}
        if output:
            fields["output_config"] = output
        if stream:
            fields["stream"] = True
        return fields

    def read(self, payload: dict[str, Any], saying: Saying) -> None:
        """Take a whole message."""
        if not isinstance(payload.get("content"), list):
            raise saying.bad("no content")
        for block in payload["content"]:
            _block(block, saying)
        self._head(payload, saying)
        saying.end(payload.get("stop_reason"), _REASONS)
        saying.finish_reason = saying.finish_reason or "stop"

    def read_event(self, payload: dict[str, Any], saying: Saying) -> None:
        """Take one event of a stream."""
        match payload.get("type"):
            case "message_start":
                self._head(dict_in(payload, "message"), saying)
            case "content_block_start":
                _block(payload.get("content_block"), saying)
            case "content_block_delta":
                delta = dict_in(payload, "delta")
                if delta.get("type") == "text_delta":
                    saying.say(delta.get("text"))
            case "message_delta":
                saying.end(dict_in(payload, "delta").get("stop_reason"), _REASONS)
                _count(payload.get("usage"), saying)
            case "message_stop":
                saying.over = True

    def probe(self) -> str:
        """Return the path of the list of models."""
        return "/models"

    def model_names(self, payload: object) -> list[str]:
        """Return the ids in that list."""
        return names_in(payload, "data", "id")

    def _head(self, message: dict[str, Any], saying: Saying) -> None:
        if isinstance(message.get("model"), str):
            saying.model = message["model"]
        _count(message.get("usage"), saying)


def closed(schema: Any) -> Any:
    """Return a schema in the form that the provider takes: objects closed, no rules on sizes.

    What matches it and the rules that were left out matches the original.
    """
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made: dict[str, Any] = {}
    for name, value in schema.items():
        if name in {"properties", "$defs", "definitions"} and isinstance(value, dict):
            made[name] = {key: closed(each) for key, each in value.items()}
        elif name in {"enum", "const", "required"}:
            made[name] = value
        elif name not in _UNCHECKED:
            made[name] = closed(value)
    if made.get("type") == "object" or "properties" in made:
        made["additionalProperties"] = False
    return made


def _turn(message: Message) -> dict[str, Any]:
    if not message.images:
        return {"role": message.role, "content": message.text}
    parts: list[dict[str, Any]] = [
        {
            "type": "image",
            "source": {
                "type": "base64",
                "media_type": image.media_type,
                "data": base64_of(image),
            },
        }
        for image in message.images
    ]
    return {"role": message.role, "content": [*parts, {"type": "text", "text": message.text}]}


def _block(block: object, saying: Saying) -> None:
    """Take a block of content; reasoning is no part of the answer."""
    if not isinstance(block, dict):
        raise saying.bad("content of a wrong type")
    if block.get("type") == "text":
        saying.say(block.get("text"))
    saying.called_tool |= block.get("type") == "tool_use"


def _count(usage: object, saying: Saying) -> None:
    """Keep the counts; theirs of input leaves out what was read from or written to a cache."""
    theirs = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    parts = Saying(saying.llm)
    parts.count(usage, **{name: name for name in theirs})
    if parts.counts.get("input_tokens") is not None:
        saying.counts["input_tokens"] = sum(parts.counts.values())
    saying.count(
        usage,
        output_tokens="output_tokens",
        cached_input_tokens="cache_read_input_tokens",
        cache_write_tokens="cache_creation_input_tokens",
    )
    saying.count(dict_in(usage, "output_tokens_details"), reasoning_tokens="thinking_tokens")
