"""Ollama's chat."""

from __future__ import annotations

from bmad_nb.llms.wires.ollama import OllamaWire
from bmad_nb.messages import Usage
from tests.llms.wires.reading import TURNS, request, streamed, whole

WIRE = OllamaWire()


def test_a_request_has_its_options_apart() -> None:
    """Settings of the sampling stand under `options`, `stream` is always said, schemas as they are."""
    asked = request(
        *TURNS, seed=3, num_ctx=4096, reasoning_effort="low", schema='{"type":"object"}'
    )
    body = WIRE.body(asked, stream=False)
    assert {"seed": 3, "num_ctx": 4096, "num_predict": 50} == body["options"]
    assert (False, "low", {"type": "object"}) == (body["stream"], body["think"], body["format"])
    assert 1 == len(body["messages"][-1]["images"])
    assert "images" not in body["messages"][0]


def test_a_stream_of_lines_is_joined() -> None:
    """Thinking is left out; the last line has the counts and why it ended."""
    found = streamed(
        WIRE,
        {"message": {"content": "", "thinking": "hm"}, "done": False},
        {"message": {"content": "Be"}, "done": False},
        {"message": {"content": "cause"}, "done": False},
        {"message": {"content": ""}, "done": True, "done_reason": "length",
         "prompt_eval_count": 8, "eval_count": 3, "model": "m:1"},
    )  # fmt: skip
    assert ("Because", "length", Usage(8, 3), "m:1") == (
        found.text, found.finish_reason, found.usage, found.model,
    )  # fmt: skip


def test_a_whole_answer_is_the_last_line_alone() -> None:
    """Without a stream there is one document."""
    found = whole(WIRE, {"message": {"content": "a"}, "done": True, "done_reason": "stop"})
    assert ("a", "stop") == (found.text, found.finish_reason)
