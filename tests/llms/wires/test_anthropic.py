"""Anthropic's messages."""

from __future__ import annotations

import pytest

from bmad_nb.errors import BadRequest, Refused
from bmad_nb.llms.wires.anthropic import AnthropicWire, closed
from bmad_nb.messages import Usage
from tests.llms.wires.reading import TURNS, request, streamed, whole

WIRE = AnthropicWire()


def test_a_request_has_its_system_text_apart() -> None:
    """The system text stands on top, pictures are sources, `max_tokens` is always there."""
    body = WIRE.body(request(*TURNS, top_k=5, reasoning_effort="low"), stream=True)
    assert ("Be brief.", 50, 5, True) == (
        body["system"], body["max_tokens"], body["top_k"], body["stream"],
    )  # fmt: skip
    assert ["user", "assistant", "user"] == [m["role"] for m in body["messages"]]
    assert "base64" == body["messages"][-1]["content"][0]["source"]["type"]
    assert {"effort": "low"} == body["output_config"]


def test_a_seed_is_refused() -> None:
    """The format has none, and nothing is sent in the hope that it does not matter."""
    with pytest.raises(BadRequest, match="'seed'"):
        WIRE.body(request(seed=1), stream=False)


def test_a_schema_is_closed_and_without_sizes() -> None:
    """Objects are closed at every depth; a field that is called like a rule stays."""
    schema = {
        "type": "object", "minProperties": 1,
        "properties": {"minimum": {"type": "integer", "minimum": 3},
                       "list": {"type": "array", "items": {"type": "object"}, "maxItems": 2}},
        "required": ["minimum"],
    }  # fmt: skip
    found = closed(schema)
    assert {"minimum", "list"} == set(found["properties"])
    assert {"type": "integer"} == found["properties"]["minimum"]
    assert {"type": "object", "additionalProperties": False} == found["properties"]["list"]["items"]
    assert (False, ["minimum"]) == (found["additionalProperties"], found["required"])


def test_tokens_are_summed_and_told_apart() -> None:
    """What was read from and written to a cache is input too; theirs leaves it out."""
    usage = {"input_tokens": 3, "cache_read_input_tokens": 10, "cache_creation_input_tokens": 20,
             "output_tokens": 5}  # fmt: skip
    payload = {
        "content": [{"type": "text", "text": "a"}],
        "stop_reason": "end_turn",
        "usage": usage,
    }
    assert Usage(33, 5, 10, None, 20) == whole(WIRE, payload).usage


def test_a_stream_is_joined() -> None:
    """Text deltas make the text, thinking does not; the last count of output holds."""
    found = streamed(
        WIRE,
        {"type": "message_start", "message": {"model": "m-1", "usage": {"input_tokens": 7}}},
        {"type": "ping"},
        {"type": "content_block_start", "content_block": {"type": "thinking", "thinking": ""}},
        {"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": "hm"}},
        {"type": "content_block_start", "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "Be"}},
        {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "cause"}},
        {"type": "of the future"},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "max_tokens"},
            "usage": {"output_tokens": 2},
        },
        {"type": "message_stop"},
    )
    assert ("Because", "length", "m-1", Usage(7, 2)) == (
        found.text, found.finish_reason, found.model, found.usage,
    )  # fmt: skip


def test_a_refusal_is_none_of_its_half_texts() -> None:
    """What was said before it refused is kept with the error, and is no answer."""
    payload = {"content": [{"type": "text", "text": "Well"}], "stop_reason": "refusal"}
    with pytest.raises(Refused) as caught:
        whole(WIRE, payload)
    assert ("Well", "yes") == (caught.value.text, caught.value.billed)
