"""Gemini's generateContent."""

from __future__ import annotations

import re
import urllib.parse

from tests.fake_provider.answers import Answer, Image, Question, tokens
from tests.fake_provider.shapes import (
    TOOL,
    Document,
    Failure,
    Parts,
    image,
    most_tokens,
    schema_in,
    turns,
)
from tests.fake_provider.wire import HttpRequest

_PATH = re.compile(r"/v1beta/models/([^:]+):(generateContent|streamGenerateContent)")
_REASONS = {"stop": "STOP", "length": "MAX_TOKENS", "filter": "SAFETY", "tool": "STOP"}
_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_RPC = "type.googleapis.com/google.rpc."


class GeminiShape:
    """`POST /v1beta/models/{model}:generateContent` and `:streamGenerateContent?alt=sse`."""

    name = "gemini"
    models_path = "/v1beta/models"
    too_long = "The input token count (9) exceeds the maximum number of tokens allowed (8)."
    is_sse = True
    is_named = False

    def takes(self, request: HttpRequest) -> bool:
        """Return whether the path asks a model."""
        return _PATH.fullmatch(request.bare_path) is not None

    def key(self, request: HttpRequest) -> str:
        """Return the key of the x-goog-api-key header."""
        return request.headers.get("x-goog-api-key", "")

    def read(self, request: HttpRequest, body: Document) -> Question:
        """Return the question in a body; the model stands in the path."""
        found = _PATH.fullmatch(request.bare_path)
        assert found is not None
        stream = found[2] == "streamGenerateContent"
        if stream and "alt=sse" not in request.path.partition("?")[2].split("&"):
            raise ValueError("Only ?alt=sse is streamed here, and no JSON array.")
        config = body.get("generationConfig") or {}
        read = [_turn(each) for each in turns(body, "contents")]
        messages = [(role, text) for role, text, _ in read]
        if body.get("systemInstruction"):
            messages.insert(0, ("system", _parts(body["systemInstruction"])[0]))
        return Question(
            model=urllib.parse.unquote(found[1]),
            messages=tuple(messages),
            max_tokens=most_tokens(config.get("maxOutputTokens")),
            seed=str(config.get("seed")),
            temperature=float(config.get("temperature") or 0),
            stream=stream,
            images=tuple(image for _, _, images in read for image in images),
            schema=_schema(config),
        )

    def whole(self, said: Answer, question: Question) -> Document:
        """Return a response with one candidate, or none where the prompt was blocked."""
        return _response(said, question, _content(said, said.text), said.output_tokens)

    def parts(self, said: Answer, question: Question) -> Parts:
        """Return responses whose counts grow; the last has a finish reason, and often text."""
        pieces = said.pieces
        if not pieces:
            return Parts(end=[self.whole(said, question)])
        text, spoken = [], ""
        for piece in pieces[:-1]:
            spoken += piece
            so_far = min(tokens(spoken) + said.reasoning_tokens, said.output_tokens)
            candidate = {"content": _content(said, piece), "index": 0}
            text.append(_document(said, question, [candidate], so_far))
        last = _content(said, pieces[-1])
        return Parts([], text, [_response(said, question, last, said.output_tokens)])

    def error(self, failure: Failure) -> tuple[int, Document]:
        """Return an error with its details; a wrong key is a 400 here."""
        status = {"key": 400, "overloaded": 503}.get(failure.reason, failure.status)
        error: Document = {
            "code": status,
            "message": failure.message,
            "status": _STATUSES.get(status, "UNKNOWN"),
        }
        details = _details(failure)
        return status, {"error": {**error, **({"details": details} if details else {})}}

    def reset_headers(self) -> tuple[dict[str, str], str]:
        """Return no header: the time stands in the error's details."""
        return {}, "1.5"

    def models(self, names: list[str]) -> Document:
        """Return the list of models."""
        methods = ["generateContent", "countTokens"]
        return {
            "models": [
                {"name": f"models/{n}", "displayName": n, "supportedGenerationMethods": methods}
                for n in names
            ]
        }


def _parts(content: object) -> tuple[str, list[Image]]:
    parts = content.get("parts") if isinstance(content, dict) else None
    if not isinstance(parts, list) or not parts:
        raise ValueError("A content needs a list of parts.")
    texts, images = [], []
    for part in parts:
        if "inlineData" in part:
            images.append(image(str(part["inlineData"]["mimeType"]), part["inlineData"]["data"]))
        elif isinstance(part.get("text"), str):
            texts.append(part["text"])
        else:
            raise ValueError(f"A part with the fields {sorted(part)} is not known.")
    return "".join(texts), images


def _turn(turn: Document) -> tuple[str, str, list[Image]]:
    role = turn.get("role")
    if role not in {"user", "model"}:
        raise ValueError(f"Please use a valid role: user, model; not {role!r}.")
    return ("assistant" if role == "model" else "user", *_parts(turn))


def _schema(config: Document) -> Document | None:
    found = config.get("responseJsonSchema", config.get("responseSchema"))
    is_json = config.get("responseMimeType") == "application/json"
    if found is not None and not is_json:
        raise ValueError("A schema needs responseMimeType 'application/json'.")
    if found is None and is_json:
        return {"type": "object"}
    return schema_in(found, "generationConfig.responseJsonSchema")


def _content(said: Answer, text: str) -> Document:
    content: Document = {"role": said.role or "model"}
    if said.odd:
        return {"parts": [{"text": 42}], **content}
    if said.finish_reason == "tool":
        return {"parts": [{"functionCall": {"name": TOOL, "args": {}}}], **content}
    return {"parts": [{"text": text}], **content} if text else content


def _response(said: Answer, question: Question, content: Document, so_far: int) -> Document:
    if said.finish_reason == "refusal":
        blocked = {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}
        return blocked | _document(said, question, [], so_far)
    candidate: Document = {"content": content, "index": 0}
    if said.finish_reason == "filter" and "parts" not in content:
        del candidate["content"]
    if said.finish_reason:
        reason = _REASONS.get(said.finish_reason, said.finish_reason)
        candidate["finishReason"] = reason
    return _document(said, question, [candidate], so_far)


def _document(
    said: Answer, question: Question, candidates: list[Document], so_far: int
) -> Document:
    document: Document = {"candidates": candidates} if candidates else {}
    if said.told is not None:
        document["usageMetadata"] = {
            name: said.told(number) for name, number in _counts(said, so_far).items() if number
        }
    return {**document, "modelVersion": question.model, "responseId": question.answer_id}


def _counts(said: Answer, so_far: int) -> dict[str, int]:
    """Return counts as protocol buffers have them, where a zero is left out."""
    return {
        "promptTokenCount": said.input_tokens,
        "candidatesTokenCount": so_far - said.reasoning_tokens,
        "thoughtsTokenCount": said.reasoning_tokens,
        "cachedContentTokenCount": said.cached_tokens,
        "totalTokenCount": said.input_tokens + so_far,
    }


def _details(failure: Failure) -> list[Document]:
    if failure.reason == "key":
        info = {"reason": "API_KEY_INVALID", "domain": "googleapis.com"}
        return [{"@type": f"{_RPC}ErrorInfo", **info}]
    if failure.reason == "quota":
        violation = {
            "quotaMetric": "generativelanguage.googleapis.com/generate_requests_per_model_per_day",
            "quotaId": "GenerateRequestsPerDayPerProjectPerModel",
        }
        return [{"@type": f"{_RPC}QuotaFailure", "violations": [violation]}]
    if failure.retry_after:
        return [{"@type": f"{_RPC}RetryInfo", "retryDelay": f"{failure.retry_after}s"}]
    return []
