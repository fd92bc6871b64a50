"""OpenAI's chat completions, as OpenAI, vLLM, llama.cpp, OpenRouter, Groq and others speak it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from bmad_nb.errors import BadRequest
from bmad_nb.llms.wires.base import (
    Saying,
    base64_of,
    dict_in,
    list_in,
    names_in,
    schema_of,
)
from bmad_nb.messages import Message, Request, Token

_OWN_FIELDS = frozenset({"model", "messages", "stream", "stream_options", "n", "response_format"})
_REASONS = {"max_tokens": "length", "end_turn": "stop", "eos": "stop", "model_length": "length"}
"""Words of compatible servers for OpenAI's own."""


@dataclass(frozen=True, slots=True)
class OpenAIWire:
    """Chat completions.

    Args:
        max_tokens_field: what the endpoint calls the limit on an answer's tokens.
        structured: how it is told a JSON Schema: `json_schema`, `json_object` (valid JSON only),
            or `prompt` (nothing but the words of the prompt).
    """

    max_tokens_field: str = "max_tokens"
    structured: Literal["json_schema", "json_object", "prompt"] = "json_schema"
    key_header: ClassVar[tuple[str, str]] = ("Authorization", "Bearer ")
    headers: ClassVar[Mapping[str, str]] = {}

    def path(self, request: Request, *, stream: bool) -> str:
        """Return the path of chat completions."""
        del request, stream
        return "/chat/completions"

    def body(self, request: Request, *, stream: bool) -> dict[str, Any]:
        """Return the document that asks `request`; parameters pass as they are.

        Raises:
            BadRequest: a parameter has the name of a field that is ours.
        """
        fields: dict[str, Any] = dict(request.params)
        taken = sorted((_OWN_FIELDS | {self.max_tokens_field}) & fields.keys())
        if taken:
            raise BadRequest(
                f"{request.llm} cannot be asked with parameter {taken[0]!r}.",
                llm=request.llm,
                hint="bmad_nb sets it itself; use max_tokens= and samples= for length and number.",
            )
        fields["model"] = request.model
        fields["messages"] = [_turn(message) for message in request.messages]
        fields[self.max_tokens_field] = request.max_tokens
        if "top_logprobs" in fields:
            fields["logprobs"] = True
        if request.schema and self.structured != "prompt":
            fields["response_format"] = self._format(schema_of(request))
        if stream:
            fields |= {"stream": True, "stream_options": {"include_usage": True}}
        return fields

    def read(self, payload: dict[str, Any], saying: Saying) -> None:
        """Take a whole chat completion."""
        choice = _choice(payload, saying)
        message = choice.get("message")
        if not isinstance(message, dict):
            raise saying.bad("a choice without a message")
        self._common(payload, choice, message, saying)
        saying.finish_reason = saying.finish_reason or "stop"

    def read_event(self, payload: dict[str, Any], saying: Saying) -> None:
        """Take one chunk; the last one may hold the usage and no choice."""
        choices = list_in(payload, "choices")
        choice = choices[0] if choices and isinstance(choices[0], dict) else {}
        self._common(payload, choice, dict_in(choice, "delta"), saying)
        # Groq counts in a field of its own
        _count(dict_in(payload, "x_groq").get("usage"), saying)

    def probe(self) -> str:
        """Return the path of the list of models."""
        return "/models"

    def model_names(self, payload: object) -> list[str]:
        """Return the ids in that list."""
        return names_in(payload, "data", "id")

    def _format(self, schema: Any) -> dict[str, Any]:
        if self.structured == "json_object":
            return {"type": "json_object"}
        named = {"name": "answer", "schema": schema, "strict": is_strict(schema)}
        return {"type": "json_schema", "json_schema": named}

    def _common(
        self, payload: dict[str, Any], choice: dict[str, Any], said: dict[str, Any], saying: Saying
    ) -> None:
        """Take what whole answers and chunks have in common."""
        if isinstance(payload.get("model"), str):
            saying.model = payload["model"]
        _content(said.get("content"), saying)
        if isinstance(said.get("refusal"), str):
            saying.refusal += said["refusal"]
        saying.called_tool |= bool(said.get("tool_calls"))
        saying.end(choice.get("finish_reason"), _REASONS)
        saying.tokens += logprobs_in(list_in(dict_in(choice, "logprobs"), "content"))
        _count(payload.get("usage"), saying)


def is_strict(schema: Any) -> bool:
    """Return whether a schema keeps the rules under which OpenAI promises a matching answer.

    Each object must list all of its properties as required and allow no others.
    """
    if isinstance(schema, list):
        return all(map(is_strict, schema))
    if not isinstance(schema, dict):
        return True
    properties = schema.get("properties")
    if schema.get("type") == "object" or isinstance(properties, dict):
        names = set(properties) if isinstance(properties, dict) else set()
        required = schema.get("required", [])
        if schema.get("additionalProperties") is not False or names != set(required):
            return False
    return all(map(is_strict, schema.values()))


def _turn(message: Message) -> dict[str, Any]:
    if not message.images:
        return {"role": message.role, "content": message.text}
    parts: list[dict[str, Any]] = [
        {
            "type": "image_url",
            "image_url": {"url": f"data:{image.media_type};base64,{base64_of(image)}"},
        }
        for image in message.images
    ]
    return {"role": message.role, "content": [*parts, {"type": "text", "text": message.text}]}


def _choice(payload: dict[str, Any], saying: Saying) -> dict[str, Any]:
    choices = payload.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise saying.bad("no choices")
    choice: dict[str, Any] = choices[0]
    return choice


def _content(content: object, saying: Saying) -> None:
    """Take text, or a list of parts that are text."""
    if isinstance(content, list):
        for part in content:
            if not isinstance(part, dict):
                raise saying.bad("content of a wrong type")
            kind = part.get("type", "text")
            if kind == "refusal":
                saying.refusal += str(part.get("refusal") or "")
            elif kind == "text":
                saying.say(part.get("text"))
            elif kind in ("thinking", "reasoning"):  # a tuple: the kind may be no text at all
                continue
            else:
                raise saying.bad("content that is not text")
    elif content is not None:
        saying.say(content)


def _count(usage: object, saying: Saying) -> None:
    saying.count(usage, input_tokens="prompt_tokens", output_tokens="completion_tokens")
    cached = dict_in(usage, "prompt_tokens_details")
    saying.count(cached, cached_input_tokens="cached_tokens")
    if not cached:  # DeepSeek's own name
        saying.count(usage, cached_input_tokens="prompt_cache_hit_tokens")
    thought = dict_in(usage, "completion_tokens_details")
    saying.count(thought, reasoning_tokens="reasoning_tokens")


def logprobs_in(values: list[Any]) -> list[Token]:
    """Return the tokens of a list of log-probabilities; what is none is left out."""
    return [token for token in map(_token, values) if token is not None]


def _token(value: object) -> Token | None:
    pair = _pair(value)
    if pair is None:
        return None
    others = (_pair(each) for each in list_in(value, "top_logprobs"))
    return Token(*pair, tuple(each for each in others if each is not None))


def _pair(value: object) -> tuple[str, float] | None:
    if not isinstance(value, dict):
        return None
    token, logprob = value.get("token"), value.get("logprob")
    if not isinstance(token, str) or not isinstance(logprob, int | float):
        return None
    return token, float(logprob)
