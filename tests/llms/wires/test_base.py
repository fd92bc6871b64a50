"""What all wire formats promise of any document whatever."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmad_nb.errors import BadAnswer
from bmad_nb.llms.wires.anthropic import AnthropicWire
from bmad_nb.llms.wires.base import Wire
from bmad_nb.llms.wires.gemini import GeminiWire
from bmad_nb.llms.wires.ollama import OllamaWire
from bmad_nb.llms.wires.openai import OpenAIWire
from bmad_nb.messages import Completion, defect_of
from tests.llms.wires.reading import outcome

WIRES: list[Wire] = [OpenAIWire(), AnthropicWire(), GeminiWire(), OllamaWire()]
NAMES = st.sampled_from([
    "choices", "message", "content", "text", "delta", "finish_reason", "usage", "prompt_tokens",
    "type", "content_block", "stop_reason", "input_tokens", "candidates", "parts", "finishReason",
    "usageMetadata", "promptTokenCount", "done", "eval_count", "logprobs", "promptFeedback", "x",
])  # fmt: skip
WORDS = st.sampled_from(["text", "message_start", "content_block_delta", "text_delta", "STOP", "a"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize("wire", WIRES, ids=lambda w: type(w).__name__)
@pytest.mark.parametrize("stream", [False, True])
@settings(max_examples=150, deadline=None)
@given(payload=st.dictionaries(NAMES, JSON, max_size=5))
def test_any_document_is_an_answer_or_a_bad_one(
    wire: Wire, payload: dict[str, Any], *, stream: bool
) -> None:
    """Nothing that a provider could send raises anything else, and an answer has no defect."""
    found = outcome(wire, payload, stream=stream)
    if isinstance(found, BadAnswer):
        assert "e/m" == found.llm
        return
    assert isinstance(found, Completion)
    assert found.text.strip()
    assert "" == defect_of(found)


@pytest.mark.parametrize("wire", WIRES, ids=lambda w: type(w).__name__)
@settings(max_examples=50, deadline=None)
@given(payload=JSON)
def test_any_list_of_models_is_read(wire: Wire, payload: Any) -> None:
    """Whatever the list of models is, names are texts."""
    assert all(isinstance(name, str) for name in wire.model_names(payload))
