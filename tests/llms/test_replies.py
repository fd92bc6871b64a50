"""What replies mean: any JSON is a completion or a typed error."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bmad_nb.errors import (
    BadAnswer,
    LLMError,
)
from bmad_nb.llms.replies import failure, retry_after_s, said
from bmad_nb.llms.wires.base import Saying
from bmad_nb.llms.wires.openai import OpenAIWire
from bmad_nb.messages import Completion, Usage
from bmad_nb.secrets import Secret
from tests.llms.asking import KEY


def parse_completion(payload: object, llm: str, latency_s: float) -> Completion:
    """Read a whole chat completion, as `HttpLLM` does with what came over HTTP."""
    saying = Saying(llm)
    if not isinstance(payload, dict):
        raise saying.bad("JSON that is no object")
    OpenAIWire().read(payload, saying)
    return saying.completion(latency_s)


def test_long_messages_are_cut_after_the_keys_are_out() -> None:
    """At most 500 printable characters are shown, and a key on the edge leaves no piece."""
    Secret(KEY)
    text = said("x" * 490 + KEY + "\x1b[31m\n\ud800" + "y" * 1000)
    assert 500 == len(text)
    assert "sk-canary" not in text
    assert text.isprintable()


NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SKEWED = {"date": format_datetime(NOW - timedelta(hours=1), usegmt=True)}


@pytest.mark.parametrize(
    ("value", "others", "expected"),
    [
        ("7", {}, 7.0),
        ("0.5", {}, 0.5),
        ("0", {}, 0.0),
        ("", {}, None),
        ("-3", {}, None),
        ("inf", {}, None),
        ("nan", {}, None),
        ("soon", {}, None),
        (format_datetime(NOW + timedelta(seconds=9), usegmt=True), {}, 9.0),
        (format_datetime(NOW - timedelta(seconds=9), usegmt=True), {}, None),
        (format_datetime(NOW - timedelta(minutes=59), usegmt=True), SKEWED, 60.0),
        ("Sun, 01 Mar 99999 00:00:00 GMT", {}, None),
    ],
)
def test_retry_after_forms(value: str, others: dict[str, str], expected: float | None) -> None:
    """Seconds and dates are read, by the provider's clock if it says its time; nonsense is None."""
    found = retry_after_s({"retry-after": value, **others}, NOW.timestamp())
    assert expected == found


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
SHAPED = st.fixed_dictionaries(
    {},
    optional={
        "choices": JSON
        | st.lists(
            JSON
            | st.fixed_dictionaries(
                {},
                optional={
                    "finish_reason": st.sampled_from(["stop", "length", "content_filter"]) | JSON,
                    "message": JSON
                    | st.fixed_dictionaries(
                        {},
                        optional={
                            "content": JSON
                            | st.lists(
                                JSON
                                | st.fixed_dictionaries(
                                    {"type": st.sampled_from(["text", "refusal", "image"]) | JSON},
                                    optional={"text": JSON, "refusal": JSON},
                                ),
                                max_size=3,
                            ),
                            "refusal": JSON,
                            "tool_calls": JSON,
                        },
                    ),
                },
            ),
            max_size=2,
        ),
        "usage": JSON
        | st.fixed_dictionaries(
            {},
            optional={
                "prompt_tokens": JSON,
                "completion_tokens": JSON,
                "prompt_tokens_details": JSON | st.dictionaries(st.just("cached_tokens"), JSON),
                "completion_tokens_details": JSON,
            },
        ),
        "model": JSON,
        "error": JSON,
    },
)


@settings(max_examples=400, deadline=None)
@example({"choices": [{"finish_reason": "stop", "message": {"content": [{"type": []}]}}]})
@given(JSON | SHAPED)
def test_any_json_is_a_completion_or_a_bad_answer(payload: object) -> None:
    """Whatever JSON a provider sends, the result is a Completion or a BadAnswer, nothing else."""
    bad: BadAnswer | None = None
    try:
        found = parse_completion(payload, "fake/small", 1.0)
    except BadAnswer as error:
        bad = error
    if bad is not None:
        assert "fake/small" == bad.llm
        assert len(str(bad)) < 700
        return
    assert found.text.strip()
    assert found.finish_reason
    counts = (found.usage.input_tokens, found.usage.output_tokens, found.usage.cached_input_tokens)
    assert all(each is None or (type(each) is int and each >= 0) for each in counts)


@settings(max_examples=200, deadline=None)
@given(
    status=st.integers(300, 999),
    headers=st.dictionaries(st.sampled_from(["location", "retry-after", "date"]), st.text()),
    body=st.binary() | (JSON | SHAPED).map(lambda value: json.dumps(value).encode()),
)
def test_any_error_reply_is_a_typed_error(
    status: int, headers: dict[str, str], body: bytes
) -> None:
    """Whatever comes with a status from 300 on, the result is an LLMError of that status."""
    error = failure(status, headers, body, "fake/small", "fake")
    assert isinstance(error, LLMError)
    assert status == error.status
    assert ("maybe" if status >= 500 else "no") == error.billed
    assert len(str(error)) < 900


def completion(message: object, **others: object) -> dict[str, object]:
    """Return a completion document around a message."""
    return {"choices": [{"message": message, "finish_reason": "stop"}], **others}


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        ([], "JSON that is no object"),
        ({}, "no choices"),
        ({"choices": []}, "no choices"),
        ({"choices": {"0": 1}}, "no choices"),
        ({"choices": [None]}, "no choices"),
        ({"choices": [{}]}, "a choice without a message"),
        (completion("hello"), "a choice without a message"),
        (completion({"content": 5}), "content of a wrong type"),
        (completion({"content": [5]}), "content of a wrong type"),
        (completion({"content": [{"type": "image_url", "text": "a"}]}), "content that is not text"),
        (completion({"content": None, "refusal": "No."}), "refused to answer: No."),
        (
            completion({"content": [{"type": "refusal", "refusal": "No."}]}),
            "refused to answer: No.",
        ),
        (completion({"content": None, "tool_calls": [{}]}), "a call of a tool"),
        (completion({"content": " \n"}), "an empty answer"),
    ],
)
def test_what_is_no_answer(payload: object, words: str) -> None:
    """Each wrong shape is a BadAnswer whose message says what came instead."""
    with pytest.raises(BadAnswer) as caught:
        parse_completion(payload, "fake/small", 1.0)
    assert words in str(caught.value)


def test_text_in_parts_is_joined() -> None:
    """A list of text parts is one text."""
    parts = [{"type": "text", "text": "One "}, {"type": "text", "text": "two."}]
    found = parse_completion(completion({"content": parts}), "fake/small", 2.0)
    assert Completion("One two.", latency_s=2.0) == found


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 5, "completion_tokens": 7}, Usage(5, 7)),
        ({"prompt_tokens": -5, "completion_tokens": 7.0}, Usage(None, None)),
        ({"prompt_tokens": True, "completion_tokens": "7"}, Usage(None, None)),
        ({"prompt_tokens": 10**30}, Usage(None, None)),
        (
            {
                "prompt_tokens": 5,
                "completion_tokens": 7,
                "prompt_tokens_details": {"cached_tokens": 3},
                "completion_tokens_details": {"reasoning_tokens": 6},
            },
            Usage(5, 7, 3, 6),
        ),
        ({"prompt_tokens_details": None, "completion_tokens_details": [1]}, Usage()),
        (None, Usage()),
    ],
)
def test_tokens_are_counts_or_unknown(usage: object, expected: Usage) -> None:
    """A count that is absent, negative, absurd or no integer is unknown."""
    found = parse_completion(completion({"content": "a"}, usage=usage), "fake/small", 1.0)
    assert expected == found.usage
