"""OpenAI's format, and how compatible servers differ from it."""

from __future__ import annotations

from typing import Any

import pytest

from bmad_nb.llms.wires.openai import OpenAIWire, is_strict
from bmad_nb.messages import Token, Usage
from tests.llms.wires.reading import TURNS, request, streamed, whole

WIRE = OpenAIWire()


def choice(message: dict[str, Any], reason: str | None = "stop", **more: Any) -> dict[str, Any]:
    """Return a whole chat completion."""
    return {"choices": [{"message": message, "finish_reason": reason, **more}]}


def delta(content: Any = None, reason: str | None = None, **more: Any) -> dict[str, Any]:
    """Return a chunk of a stream."""
    return {"choices": [{"delta": {"content": content, **more}, "finish_reason": reason}]}


def test_a_request_has_turns_pictures_and_parameters() -> None:
    """Roles stay, a picture is a data address before its text, parameters pass as they are."""
    body = WIRE.body(request(*TURNS, temperature=0.5, seed=3), stream=True)
    assert ["system", "user", "assistant", "user"] == [m["role"] for m in body["messages"]]
    picture, text = body["messages"][-1]["content"]
    assert picture["image_url"]["url"].startswith("data:image/png;base64,iVBORw0K")
    assert {"type": "text", "text": "What is this?"} == text
    assert (0.5, 3, 50) == (body["temperature"], body["seed"], body["max_tokens"])
    assert ({"include_usage": True}, True) == (body["stream_options"], body["stream"])


@pytest.mark.parametrize(
    ("structured", "kind"), [("json_schema", "json_schema"), ("json_object", "json_object")]
)
def test_a_schema_is_asked_for_as_the_server_takes_it(structured: Any, kind: str) -> None:
    """With its schema, as JSON without one, or not at all."""
    asked = request(schema='{"type":"object"}')
    body = OpenAIWire(structured=structured).body(asked, stream=False)
    assert kind == body["response_format"]["type"]
    assert "response_format" not in OpenAIWire(structured="prompt").body(asked, stream=False)


def test_a_schema_is_strict_where_the_provider_can_promise_it() -> None:
    """Each object must be closed and list all of its fields as required."""
    strict = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"],
              "additionalProperties": False}  # fmt: skip
    assert is_strict(strict)
    assert not is_strict({**strict, "required": []})
    assert not is_strict({**strict, "properties": {"a": {"type": "object"}}})


def test_tokens_are_told_apart() -> None:
    """Cached ones are part of the input, reasoning part of the output."""
    usage = {"prompt_tokens": 9, "completion_tokens": 7, "prompt_tokens_details":
             {"cached_tokens": 4}, "completion_tokens_details": {"reasoning_tokens": 5}}  # fmt: skip
    found = whole(WIRE, {**choice({"content": "a"}), "usage": usage})
    assert Usage(9, 7, 4, 5) == found.usage


@pytest.mark.parametrize(
    ("server", "payload", "usage"),
    [
        ("DeepSeek: its own name for cached tokens, reasoning beside the answer",
         {**choice({"content": "a", "reasoning_content": "hm"}),
          "usage": {"prompt_tokens": 9, "completion_tokens": 7, "prompt_cache_hit_tokens": 3}},
         Usage(9, 7, 3)),
        ("Mistral: content in parts, thoughts among them",
         choice({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
                             {"type": "text", "text": "a"}]}), Usage()),
        ("llama.cpp: timings beside it", {**choice({"content": "a"}), "timings": {"predicted_n": 1}},
         Usage()),
        ("vLLM: nulls wherever there is nothing",
         {**choice({"content": "a", "tool_calls": [], "refusal": None}), "prompt_logprobs": None},
         Usage()),
        ("OpenRouter: a native reason beside OpenAI's",
         {**choice({"content": "a", "reasoning": "hm"}, native_finish_reason="end_turn"),
          "provider": "x", "usage": {"prompt_tokens": 2, "completion_tokens": 1, "cost": 0.1}},
         Usage(2, 1)),
    ],
    ids=lambda value: value.split(":")[0] if isinstance(value, str) else "",
)  # fmt: skip
def test_compatible_servers_are_understood(
    server: str, payload: dict[str, Any], usage: Usage
) -> None:
    """What a server adds does no harm, and its thoughts are no part of the answer."""
    found = whole(WIRE, payload)
    assert ("a", usage) == (found.text, found.usage), server


def test_a_stream_is_joined() -> None:
    """Pieces make the text; the usage comes in a last chunk without a choice, or Groq's own way."""
    pieces = (delta("", role="assistant"), delta("Be"), delta("cause"), delta(None, "stop"))
    last = {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}}
    found = streamed(WIRE, *pieces, last)
    assert ("Because", "stop", Usage(5, 2), 0.5) == (
        found.text, found.finish_reason, found.usage, found.first_token_s,
    )  # fmt: skip
    groq = {
        **delta(None, "stop"),
        "x_groq": {"usage": {"prompt_tokens": 6, "completion_tokens": 3}},
    }
    assert Usage(6, 3) == streamed(WIRE, delta("a"), groq).usage


def test_log_probabilities_are_read() -> None:
    """Each token has its own and those of its rivals; broken entries are left out."""
    content = [
        {"token": "yes", "logprob": -0.1, "top_logprobs": [{"token": "no", "logprob": -2.5}, {}]},
        {"token": 5}, "odd",
    ]  # fmt: skip
    found = whole(WIRE, choice({"content": "yes"}, logprobs={"content": content}))
    assert (Token("yes", -0.1, (("no", -2.5),)),) == found.tokens
    assert True is WIRE.body(request(top_logprobs=2), stream=False)["logprobs"]
