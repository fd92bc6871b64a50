"""Google's generateContent."""

from __future__ import annotations

import dataclasses

import pytest

from bmad_nb.errors import Refused
from bmad_nb.llms.wires.gemini import GeminiWire
from bmad_nb.messages import Token, Usage
from tests.llms.wires.reading import TURNS, request, streamed, whole

WIRE = GeminiWire()


def said(*parts: object, reason: str = "STOP", **more: object) -> dict[str, object]:
    """Return an answer with these parts."""
    return {"candidates": [{"content": {"parts": list(parts)}, "finishReason": reason, **more}]}


def test_a_request_speaks_of_users_and_models() -> None:
    """Roles have Google's names, settings its spelling; the model stands in the path alone."""
    body = WIRE.body(request(*TURNS, top_p=0.5, seed=3, reasoning_effort="high"), stream=True)
    assert ["user", "model", "user"] == [turn["role"] for turn in body["contents"]]
    assert "image/png" == body["contents"][-1]["parts"][0]["inlineData"]["mimeType"]
    settings = body["generationConfig"]
    assert (0.5, 3, 50) == (settings["topP"], settings["seed"], settings["maxOutputTokens"])
    assert {"thinkingLevel": "high"} == settings["thinkingConfig"]
    assert "model" not in body


def test_a_models_name_cannot_leave_its_place_in_the_path() -> None:
    """Slashes, colons and question marks of a name are quoted."""
    odd = dataclasses.replace(request(), model="../x?key=1:generate")
    assert "/models/..%2Fx%3Fkey%3D1%3Agenerate:generateContent" == WIRE.path(odd, stream=False)
    assert WIRE.path(request(), stream=True).endswith(":streamGenerateContent?alt=sse")


def test_a_schema_is_asked_for_as_json() -> None:
    """The JSON Schema travels with the type of the answer."""
    settings = WIRE.body(request(schema='{"type":"object"}'), stream=False)["generationConfig"]
    assert ("application/json", {"type": "object"}) == (
        settings["responseMimeType"], settings["responseJsonSchema"],
    )  # fmt: skip


def test_thoughts_are_billed_and_not_said() -> None:
    """They are part of the output's tokens, and no part of the text."""
    usage = {"promptTokenCount": 9, "candidatesTokenCount": 2, "thoughtsTokenCount": 30,
             "cachedContentTokenCount": 4}  # fmt: skip
    payload = {**said({"text": "hm", "thought": True}, {"text": "a"}), "usageMetadata": usage}
    found = whole(WIRE, payload)
    assert ("a", Usage(9, 32, 4, 30)) == (found.text, found.usage)


def test_a_count_that_is_left_out_is_zero_and_a_broken_one_unknown() -> None:
    """Google leaves out zeros; nonsense is not taken for one."""
    plain = {**said({"text": "a"}), "usageMetadata": {"promptTokenCount": 9}}
    assert Usage(9, 0) == whole(WIRE, plain).usage
    broken = {"promptTokenCount": 9, "candidatesTokenCount": -1}
    assert Usage(9, None) == whole(WIRE, {**said({"text": "a"}), "usageMetadata": broken}).usage


def test_a_stream_is_joined() -> None:
    """Each event has the shape of an answer; the last one says why it ended."""
    first = {"candidates": [{"content": {"parts": [{"text": "Be"}]}}]}
    found = streamed(WIRE, first, said({"text": "cause"}, reason="MAX_TOKENS"))
    assert ("Because", "length") == (found.text, found.finish_reason)


@pytest.mark.parametrize(
    "payload",
    [
        {"promptFeedback": {"blockReason": "SAFETY"}},
        {"candidates": [{"finishReason": "SAFETY"}]},
        {"candidates": [{"finishReason": "RECITATION", "content": {"parts": [{"text": "We"}]}}]},
    ],
)
def test_what_is_held_back_is_a_refusal(payload: dict[str, object]) -> None:
    """A blocked prompt and a withheld answer are no answers."""
    with pytest.raises(Refused):
        whole(WIRE, payload)


def test_log_probabilities_are_read() -> None:
    """Chosen tokens stand beside those that could have been."""
    result = {
        "chosenCandidates": [{"token": "yes", "logProbability": -0.1}],
        "topCandidates": [{"candidates": [{"token": "no", "logProbability": -3}]}],
    }
    found = whole(WIRE, said({"text": "yes"}, logprobsResult=result))
    assert (Token("yes", -0.1, (("no", -3.0),)),) == found.tokens
