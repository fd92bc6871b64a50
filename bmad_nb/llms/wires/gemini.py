"""Google's generateContent and streamGenerateContent."""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from bmad_nb.llms.wires.base import (
    Saying,
    base64_of,
    dict_in,
    list_in,
    names_in,
    schema_of,
    settings_of,
    split_system,
)
from bmad_nb.messages import Message, Request, Token

_PARAMETERS = {
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "seed": "seed",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
    "reasoning_effort": "thinkingLevel",
    "top_logprobs": "logprobs",
}
_REASONS = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    **dict.fromkeys(
        ("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE"),
        "content_filter",
    ),
}


@dataclass(frozen=True, slots=True)
class GeminiWire:
    """The generateContent interface."""

    key_header: ClassVar[tuple[str, str]] = ("x-goog-api-key", "")
    headers: ClassVar[Mapping[str, str]] = {}

    def path(self, request: Request, *, stream: bool) -> str:
        """Return the path, in which the model stands."""
        model = urllib.parse.quote(request.model, safe="")
        return f"/models/{model}:" + (
            "streamGenerateContent?alt=sse" if stream else "generateContent"
        )

    def body(self, request: Request, *, stream: bool) -> dict[str, Any]:
        """Return the document that asks `request`; a stream has another path, not another body."""
        del stream
        settings = settings_of(request, _PARAMETERS, "Google's interface")
        level = settings.pop("thinkingLevel", None)
        if level is not None:
            settings["thinkingConfig"] = {"thinkingLevel": level}
        if "logprobs" in settings:
            settings["responseLogprobs"] = True
        settings["maxOutputTokens"] = request.max_tokens
        if request.schema:
            settings["responseMimeType"] = "application/json"
            settings["responseJsonSchema"] = schema_of(request)
        system, turns = split_system(request.messages)
        fields: dict[str, Any] = {
            "contents": [_turn(message) for message in turns],
            "generationConfig": settings,
        }
        if system:
            fields["systemInstruction"] = {"parts": [{"text": system}]}
        return fields

    def read(self, payload: dict[str, Any], saying: Saying) -> None:
        """Take a whole answer."""
        if not list_in(payload, "candidates") and not dict_in(payload, "promptFeedback"):
            raise saying.bad("no candidates")
        self.read_event(payload, saying)
        saying.finish_reason = saying.finish_reason or "stop"

    def read_event(self, payload: dict[str, Any], saying: Saying) -> None:
        """Take one document of a stream; it has the shape of a whole answer."""
        if isinstance(payload.get("modelVersion"), str):
            saying.model = payload["modelVersion"]
        blocked = dict_in(payload, "promptFeedback").get("blockReason")
        if isinstance(blocked, str):
            saying.refusal = f"the prompt was blocked ({blocked})"
            saying.finish_reason = "content_filter"
        candidates = list_in(payload, "candidates")
        candidate = candidates[0] if candidates and isinstance(candidates[0], dict) else {}
        for part in list_in(dict_in(candidate, "content"), "parts"):
            _part(part, saying)
        saying.end(candidate.get("finishReason"), _REASONS)
        saying.tokens += _tokens(dict_in(candidate, "logprobsResult"))
        _count(dict_in(payload, "usageMetadata"), saying)

    def probe(self) -> str:
        """Return the path of the list of models."""
        return "/models?pageSize=1000"

    def model_names(self, payload: object) -> list[str]:
        """Return the names in that list, as they are asked for."""
        return [name.removeprefix("models/") for name in names_in(payload, "models", "name")]


def _turn(message: Message) -> dict[str, Any]:
    images = [
        {"inlineData": {"mimeType": image.media_type, "data": base64_of(image)}}
        for image in message.images
    ]
    role = "model" if message.role == "assistant" else "user"
    return {"role": role, "parts": [*images, {"text": message.text}]}


def _part(part: object, saying: Saying) -> None:
    """Take a part of the content; thoughts are no part of the answer."""
    if not isinstance(part, dict):
        raise saying.bad("content of a wrong type")
    if "text" in part and not part.get("thought"):
        saying.say(part["text"])
    saying.called_tool |= "functionCall" in part


def _count(usage: dict[str, Any], saying: Saying) -> None:
    """Keep the counts; theirs of the answer leaves out the thoughts."""
    saying.count(
        usage,
        input_tokens="promptTokenCount",
        output_tokens="candidatesTokenCount",
        cached_input_tokens="cachedContentTokenCount",
        reasoning_tokens="thoughtsTokenCount",
    )
    parts = Saying(saying.llm)
    parts.count(usage, said="candidatesTokenCount", thought="thoughtsTokenCount")
    if parts.counts:
        saying.counts["output_tokens"] = sum(parts.counts.values())
    elif "promptTokenCount" in usage and "candidatesTokenCount" not in usage:
        saying.counts.setdefault("output_tokens", 0)  # it leaves out a count of zero


def _tokens(result: dict[str, Any]) -> list[Token]:
    chosen, others = list_in(result, "chosenCandidates"), list_in(result, "topCandidates")
    found = []
    for number, each in enumerate(chosen):
        pair = _pair(each)
        rivals = list_in(others[number], "candidates") if number < len(others) else []
        if pair is not None:
            pairs = (_pair(rival) for rival in rivals)
            found.append(Token(*pair, tuple(p for p in pairs if p is not None)))
    return found


def _pair(value: object) -> tuple[str, float] | None:
    if not isinstance(value, dict):
        return None
    token, logprob = value.get("token"), value.get("logProbability")
    if not isinstance(token, str) or not isinstance(logprob, int | float):
        return None
    return token, float(logprob)
