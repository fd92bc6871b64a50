"""The fake provider itself: what it says, what it counts, and that it outlives its clients."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import time
import urllib.parse
from collections import Counter
from decimal import Decimal
from typing import Any

import httpx
import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fake_provider import FakeProvider, FakeProviderProcess, kinds
from tests.fake_provider.client import Unusable, ask, documents, request
from tests.fake_provider.config import ModelConfig
from tests.fake_provider.limits import Limits, in_header
from tests.fake_provider.schemas import example

Kinds = pytest.mark.parametrize("kind", [FakeProvider, FakeProviderProcess])
SHAPES = ["openai", "anthropic", "gemini", "ollama"]
Shapes = pytest.mark.parametrize("shape", SHAPES)
Modes = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
LONG = "Grüße aus Köln, 🎉🎊 und noch ein paar Wörter"
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n and its bytes").decode()


def post(
    url: str, prompt: str, model: str = "small", key: str = "", **fields: Any
) -> tuple[int, dict[str, Any]]:
    """Ask with the standard library's client; return status and JSON."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    body = {"model": model, "messages": [{"role": "user", "content": prompt}], **fields}
    headers = {"Idempotency-Key": key} if key else {}
    try:
        connection.request("POST", f"{parts.path}/chat/completions", json.dumps(body), headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def text(url: str, prompt: str, model: str = "small", key: str = "", **fields: Any) -> str:
    """Ask and return the answer's text."""
    status, answer = post(url, prompt, model, key, **fields)
    assert 200 == status
    found: str = answer["choices"][0]["message"]["content"]
    return found


@Kinds
def test_both_kinds_answer_count_and_start_anew(
    kind: type[FakeProvider | FakeProviderProcess],
) -> None:
    """In a thread or in a process, it answers alike, counts by model and key, and can be reset."""
    price = {"input_usd_per_mtok": "1000", "output_usd_per_mtok": "0.5"}
    with kind({"models": {"small": {"price": price}, "other": {}}}) as fake:
        first = text(fake.url, "Why?", key="k1")
        assert first == text(fake.url, "Why?", key="k1")
        assert first.startswith("answer of small to ")
        assert text(fake.url, "Why?", "other") != first
        counts = fake.counts()
        assert (3, 3, 0) == (counts["received"], counts["sent"], counts["in_flight"])
        assert (2, 2) == (counts["keys"]["k1"]["received"], counts["keys"]["k1"]["sent"])
        assert 1 == counts["models"]["other"]["received"]
        small = counts["models"]["small"]
        assert (10, 14) == (small["input_tokens"], small["output_tokens"])
        assert Decimal("0.010007") == Decimal(small["cost_usd"])
        assert 3 == len(fake.requests())
        fake.reset()
        assert 0 == fake.counts()["received"]
        assert [] == fake.requests()


def test_answers_do_not_depend_on_order_or_run() -> None:
    """Two providers with one seed say the same, in whatever order they are asked; another seed differs."""
    prompts = [f"question {i} [answer: {i}]" for i in range(30)]
    model = {"small": {"skill": 0.5}}
    with FakeProvider({"models": model}) as one, FakeProvider({"models": model}) as two:
        forth = {each: text(one.url, each) for each in prompts}
        back = {each: text(two.url, each) for each in reversed(prompts)}
    with FakeProvider({"models": model, "seed": 1}) as three:
        other = {each: text(three.url, each) for each in prompts}
    assert forth == back
    assert forth != other


def test_skill_is_the_share_of_right_answers() -> None:
    """Over 400 questions the share of right answers is the planted skill, within 4 deviations."""
    with FakeProvider({"models": {"small": {"skill": {"math": 0.7, "default": 0.0}}}}) as fake:
        found = [text(fake.url, f"{i} [skill: math] [answer: {i}]") == str(i) for i in range(400)]
        assert "wrong-" in text(fake.url, "[answer: Paris]")
    assert 0.7 - 4 * 0.023 < sum(found) / 400 < 0.7 + 4 * 0.023


def test_samples_differ_only_at_a_temperature() -> None:
    """At temperature 0 the request key changes nothing; above, each key has its own answer."""
    with FakeProvider({"models": {"small": {"skill": 0.0}}}) as fake:
        cold = {text(fake.url, "[answer: 5]", key=f"k{i}") for i in range(10)}
        warm = {text(fake.url, "[answer: 5]", key=f"k{i}", temperature=1) for i in range(10)}
    assert 1 == len(cold)
    assert len(warm) > 1
    assert "5" not in cold | warm


def test_answers_end_at_max_tokens() -> None:
    """An answer longer than max_tokens is cut there, with finish reason `length`."""
    with FakeProvider() as fake:
        _, answer = post(fake.url, "[answer: abcdefghijkl]", max_tokens=2)
    choice = answer["choices"][0]
    assert ("abcdefgh", "length") == (choice["message"]["content"], choice["finish_reason"])
    assert 2 == answer["usage"]["completion_tokens"]


def test_scripted_faults_come_in_order_and_begin_anew() -> None:
    """A script is played once per model; reset and configure rewind it."""
    config = {"models": {"small": {"faults": ["500", "ok", "429"]}}}
    with FakeProvider(config) as fake:
        played = [post(fake.url, "Why?")[0] for _ in range(4)]
        fake.reset()
        again = post(fake.url, "Why?")[0]
        fake.configure(config)
        anew = post(fake.url, "Why?")[0]
        counts = fake.counts()
    assert [500, 200, 429, 200] == played
    assert (500, 500) == (again, anew)
    assert (2, 0, 2) == (counts["received"], counts["sent"], counts["failed"])


def test_random_faults_have_their_rate_and_a_retry_draws_anew() -> None:
    """Faults by probability come at their rate, repeat with the seed, and a retry can succeed."""
    config = {"models": {"small": {"fault_rates": {"500": 0.2, "429": 0.1}}}}

    def statuses() -> list[int]:
        with FakeProvider(config) as fake:
            return [post(fake.url, f"question {i}", key=f"k{i}")[0] for i in range(300)]

    found = statuses()
    counted = Counter(found)
    assert found == statuses()
    assert 0.2 - 0.1 < counted[500] / 300 < 0.2 + 0.1
    assert 0.1 - 0.07 < counted[429] / 300 < 0.1 + 0.07
    with FakeProvider(config) as fake:
        assert 200 in [post(fake.url, "question 0", key="one")[0] for _ in range(20)]


def test_wrong_keys_and_models_are_refused_and_counted() -> None:
    """A wrong key is 401, an unknown model 404, a malformed body 400."""
    with FakeProvider({"models": {"small": {}, "locked": {"key": "sk-1"}}}) as fake:
        assert 401 == post(fake.url, "Why?", "locked")[0]
        assert 404 == post(fake.url, "Why?", "none")[0]
        assert 400 == post(fake.url, "Why?", messages=[])[0]
        assert 400 == post(fake.url, "Why?", max_tokens=0)[0]
        counts = fake.counts()
    assert (2, 0) == (counts["received"], counts["sent"])


def test_one_more_than_it_takes_is_429() -> None:
    """A model with max_in_flight 0 takes any number, with 1 it refuses the second at once."""
    slow = {"latency_s": 60, "max_in_flight": 1}
    with FakeProvider({"models": {"small": slow}}) as fake:
        parts = urllib.parse.urlsplit(fake.url)
        waiting = http.client.HTTPConnection(parts.netloc, timeout=30)
        body = json.dumps({"model": "small", "messages": [{"role": "user", "content": "Why?"}]})
        waiting.request("POST", "/v1/chat/completions", body)
        fake.wait_until(in_flight=1)
        assert 429 == post(fake.url, "Why?")[0]
        waiting.close()
        counts = fake.wait_until(in_flight=0)
    assert (2, 0, 1, 1) == tuple(counts[each] for each in ("received", "sent", "failed", "aborted"))


def test_random_latency_repeats() -> None:
    """A lognormal latency depends on the question alone."""
    from tests.fake_provider import answers
    from tests.fake_provider.config import Config

    model = Config.from_json(
        {"models": {"small": {"latency_s": {"median": 2.0, "sigma": 0.5}}}}
    ).models["small"]
    asked = [answers.Question("small", (("user", str(i)),), None, "0") for i in range(500)]
    found = sorted(answers.latency_s(each, model, 0) for each in asked)
    assert found == sorted(answers.latency_s(each, model, 0) for each in reversed(asked))
    assert 1.7 < found[250] < 2.35
    assert 500 == len(set(found))


@pytest.mark.parametrize(
    "config",
    [
        {"modles": {}},
        {"models": {"small": {"skil": 1}}},
        {"models": {"small": {"faults": ["503", "explode"]}}},
        {"models": {"small": {"fault_rates": {"200": 1}}}},
        {"models": {"small": {"latency_s": {"mean": 1, "sigma": 1}}}},
        {"models": {"small": {"price": {"usd": 1}}}},
        {"models": {"small": {"outage_kind": "404"}}},
        {"time_scale": 0},
    ],
)
def test_a_misspelt_configuration_is_refused(config: dict[str, Any]) -> None:
    """A wrong word in a configuration is an error and never a provider without the fault."""
    with pytest.raises(ValueError, match="knows no"):
        FakeProvider(config)
    with FakeProvider() as fake, pytest.raises(ValueError, match="knows no"):
        fake.configure(config)


def test_models_are_listed_and_other_paths_are_not_found() -> None:
    """GET /v1/models lists the models; an unknown path is 404; requests may come in pieces."""
    with FakeProvider({"models": {"a": {}, "b": {}}}) as fake:
        parts = urllib.parse.urlsplit(fake.url)
        with socket.create_connection((parts.hostname or "", parts.port or 0), 10) as raw:
            for piece in (b"GET /v1/mod", b"els HTTP/1.1\r\nHost: x\r\n", b"\r\n"):
                raw.sendall(piece)
            raw.sendall(b"GET /v1/none HTTP/1.1\r\n\r\n")  # kept alive, and already waiting
            with raw.makefile("rb") as lines:
                listed = b"".join(lines.readline() for _ in range(5))
                other = lines.readline()
        counts = fake.counts()
    assert b'"id": "a"' in listed
    assert b'"id": "b"' in listed
    assert b"404" in other or b"404" in listed
    assert 1 == counts["connections"]


def test_a_server_process_ends_with_its_test() -> None:
    """When the standard input of the process closes, it ends by itself."""
    with FakeProviderProcess() as fake:
        assert fake._process is not None
        assert None is fake._process.poll()
    assert 0 == fake._process.returncode


def whole(asked: dict[str, Any]) -> httpx.Response:
    """Send a request and return the whole response."""
    return httpx.request(timeout=10, **asked)


@Shapes
@Modes
def test_all_formats_say_and_bill_the_same(shape: str, stream: bool) -> None:
    """One question has one answer, one end, one count and one bill in all formats and modes."""
    price = {"input_usd_per_mtok": "1000", "output_usd_per_mtok": "0.5"}
    prompt = f"[answer: {LONG}]"
    with FakeProvider({"models": {"small": {"price": price}}}) as fake:
        first = request(fake, "openai", prompt, stream=False, key="k1")
        other = request(fake, shape, prompt, stream=stream, key="k2")
        said, heard = ask("openai", first), ask(shape, other)
        assert ask(shape, request(fake, shape, "Why?", stream=stream)).text == text(
            fake.url, "Why?"
        )
        keys = fake.counts()["keys"]
    assert LONG == said.text == heard.text
    assert (20, 14) == said.counts == heard.counts
    assert heard.reason in {"stop", "end_turn", "STOP"}
    assert keys["k1"] == keys["k2"]
    assert (20, 14) == (keys["k2"]["input_tokens"], keys["k2"]["output_tokens"])
    assert Decimal("0.020007") == Decimal(keys["k2"]["cost_usd"])


def test_a_stream_of_openai_counts_only_if_asked() -> None:
    """The last chunk has the usage and no choice if it was asked for; then comes [DONE]."""
    with FakeProvider() as fake:
        asked = request(fake, "openai", f"[answer: {LONG}]", stream=True)
        counted = list(documents(whole(asked).text))
        del asked["json"]["stream_options"]
        silent = list(documents(whole(asked).text))
    assert ["[DONE]", "[DONE]"] == [counted.pop(), silent.pop()]
    last = counted.pop()
    assert ([], 14) == (last["choices"], last["usage"]["completion_tokens"])
    assert {None} == {each["usage"] for each in counted}
    assert not any("usage" in each for each in silent)
    assert [None, "stop"] == [each["choices"][0]["finish_reason"] for each in silent[-2:]]
    assert "assistant" == silent[0]["choices"][0]["delta"]["role"]


def test_a_stream_of_anthropic_names_its_events() -> None:
    """Each event is named by its type, and they come in the documented order."""
    with FakeProvider() as fake:
        response = whole(request(fake, "anthropic", "[answer: Hello, you]", stream=True))
    names = [line[7:] for line in response.text.splitlines() if line.startswith("event: ")]
    found = list(documents(response.text))
    assert names == [each["type"] for each in found]
    deltas = ["content_block_delta", "content_block_delta"]
    assert [
        "message_start", "content_block_start", "ping", *deltas, "content_block_stop",
        "message_delta", "message_stop",
    ] == names  # fmt: skip
    assert found[0]["message"]["usage"]["input_tokens"] == found[-2]["usage"]["input_tokens"] > 0
    assert [] == found[0]["message"]["content"]


def test_a_stream_of_gemini_grows_its_counts_and_ends_with_a_reason() -> None:
    """Counts are running totals, and the last response has text and the finish reason."""
    with FakeProvider() as fake:
        asked = request(fake, "gemini", f"[answer: {LONG}]", stream=True)
        found = list(documents(whole(asked).text))
        asked["url"] = asked["url"].replace("?alt=sse", "")
        assert 400 == whole(asked).status_code
    counts = [each["usageMetadata"]["candidatesTokenCount"] for each in found]
    assert len(found) > 3
    assert sorted(set(counts)) == counts
    reasons = [each["candidates"][0].get("finishReason") for each in found]
    assert ["STOP"] == [each for each in reasons if each] == [reasons[-1]]
    assert found[-1]["candidates"][0]["content"]["parts"][0]["text"]


def test_ollama_streams_unless_told_otherwise() -> None:
    """Without `stream` the answer comes in lines, of which the last is done and has the counts."""
    with FakeProvider() as fake:
        asked = request(fake, "ollama", "[answer: Hello, you]", stream=True)
        del asked["json"]["stream"]
        response = whole(asked)
    found = list(documents(response.text))
    assert "application/x-ndjson" == response.headers["content-type"]
    assert [False, False, True] == [each["done"] for each in found]
    assert ("stop", 3) == (found[-1]["done_reason"], found[-1]["eval_count"])
    assert 0 < found[-1]["total_duration"]


@Shapes
def test_streams_are_cut_within_events_and_characters(shape: str) -> None:
    """A stream's chunks end amid UTF-8 and events; with `split` each is one byte."""
    prompt = f"[answer: {'ü🎉' * 60}]"
    with FakeProvider({"models": {"small": {"faults": ["ok", "split"]}}}) as fake:
        asked = request(fake, shape, prompt, stream=True)
        sizes, broken = [], 0
        for _ in range(2):
            with httpx.stream(timeout=10, **asked) as response:
                pieces = list(response.iter_raw())
            sizes.append(Counter(map(len, pieces)))
            broken += sum("\ufffd" in each.decode("utf-8", "replace") for each in pieces)
    assert broken
    assert 97 == max(sizes[0])
    assert {1} == set(sizes[1])


@Shapes
@Modes
def test_each_format_has_its_key_header(shape: str, stream: bool) -> None:
    """The key is taken from the format's own header; another one is refused as the format does."""
    headers = {
        "openai": ("Authorization", "Bearer sk-1"),
        "anthropic": ("x-api-key", "sk-1"),
        "gemini": ("x-goog-api-key", "sk-1"),
        "ollama": ("Authorization", "Bearer sk-1"),
    }
    name, value = headers[shape]
    with FakeProvider({"key": "sk-1"}) as fake:
        asked = request(fake, shape, "Why?", stream=stream)
        assert (400 if shape == "gemini" else 401) == whole(asked).status_code
        asked["headers"][name] = value
        assert ask(shape, asked).text
        asked["headers"][name] = value + "2"
        assert (400 if shape == "gemini" else 401) == whole(asked).status_code


def test_a_key_in_a_url_is_an_offence() -> None:
    """`?key=` is answered by 400 in any format and counted; without it nothing is."""
    with FakeProvider() as fake:
        asked = request(fake, "gemini", "Why?", stream=False)
        assert 200 == whole(asked).status_code
        assert 0 == fake.counts()["offences"]
        response = whole({**asked, "url": asked["url"] + "?key=sk-1"})
        counts = fake.counts()
    assert (400, "INVALID_ARGUMENT") == (response.status_code, response.json()["error"]["status"])
    assert (1, 1) == (counts["offences"], counts["received"])


def test_each_format_lists_the_models() -> None:
    """The four lists have the models' names where their formats have them."""
    with FakeProvider({"models": {"a": {}, "b": {}}}) as fake:
        openai = httpx.get(f"{fake.url}/models").json()
        anthropic = httpx.get(f"{fake.url}/models", headers={"x-api-key": "k"}).json()
        gemini = httpx.get(f"{fake.base_url('gemini')}/models").json()
        ollama = httpx.get(f"{fake.base_url('ollama')}/api/tags").json()
    assert ["a", "b"] == [each["id"] for each in openai["data"]]
    assert [("a", "model"), ("b", "model")] == [(m["id"], m["type"]) for m in anthropic["data"]]
    assert ["models/a", "models/b"] == [each["name"] for each in gemini["models"]]
    assert ["a", "b"] == [each["name"] for each in ollama["models"]]


@pytest.mark.parametrize(
    ("shape", "change"),
    [
        ("openai", {"messages": [{"role": "user", "content": [{"type": "sound"}]}]}),
        ("openai", {"response_format": {"type": "json_schema"}}),
        ("anthropic", {"max_tokens": None}),
        ("anthropic", {"messages": [{"role": "system", "content": "Be brief."}]}),
        ("gemini", {"contents": [{"role": "assistant", "parts": [{"text": "Why?"}]}]}),
        ("gemini", {"generationConfig": {"responseJsonSchema": {}}}),
        ("ollama", {"messages": [{"role": "user", "content": "Why?", "images": ["@"]}]}),
        ("ollama", {"options": {"num_predict": "many"}}),
    ],
)
def test_what_a_format_does_not_allow_is_400(shape: str, change: dict[str, Any]) -> None:
    """A body that the real provider would refuse is refused, with its words in the format."""
    with FakeProvider() as fake:
        asked = request(fake, shape, "Why?", stream=False)
        asked["json"] |= change
        response = whole(asked)
    assert 400 == response.status_code
    assert "error" in response.json()


def test_anthropic_needs_its_version() -> None:
    """Without an anthropic-version header the answer is 400."""
    with FakeProvider() as fake:
        asked = request(fake, "anthropic", "Why?", stream=False)
        del asked["headers"]["anthropic-version"]
        assert 400 == whole(asked).status_code


ERRORS = {
    "429": ["rate_limit_exceeded", "rate_limit_error", "RESOURCE_EXHAUSTED", "planted 429"],
    "401": ["Incorrect API key", "authentication_error", "UNAUTHENTICATED", "Incorrect API key"],
    "404": ["planted 404", "not_found_error", "NOT_FOUND", "planted 404"],
    "413": ["planted 413", "request_too_large", "planted 413", "planted 413"],
    "529": ["server_error", "overloaded_error", "planted 529", "planted 529"],
    "context": ["context_length_exceeded", "too long", "token count", "context length"],
    "quota": ["insufficient_quota", "billing_error", "PerDay", "quota"],
    "wrapped_429": ['"code": 429', "rate_limit_error", "RESOURCE_EXHAUSTED", "slow down"],
    "retry_reset": ["requests", "rate_limit_error", '"retryDelay": "1.5s"', "planted"],
}


@pytest.mark.parametrize("fault", ERRORS)
@Modes
def test_errors_are_spelt_in_each_format(fault: str, stream: bool) -> None:
    """Each format says an error with its own status and words, in a stream as outside of one."""
    status = int(fault) if fault.isdigit() else {"context": 400, "wrapped_429": 200}.get(fault, 429)
    with FakeProvider({"models": {"small": {"fault_rates": {fault: 1.0}}}}) as fake:
        for shape, words in zip(SHAPES, ERRORS[fault], strict=True):
            response = whole(request(fake, shape, "Why?", stream=stream))
            due = 402 if (shape, fault) == ("anthropic", "quota") else status
            assert due == response.status_code, shape
            assert words in response.text
        assert 0 == fake.counts()["input_tokens"]


def with_image(shape: str, asked: dict[str, Any]) -> None:
    """Put a picture into a question."""
    if shape == "gemini":
        part = {"inlineData": {"mimeType": "image/png", "data": PNG}}
        asked["json"]["contents"][0]["parts"].append(part)
        return
    turn = asked["json"]["messages"][0]
    block = {"type": "text", "text": turn["content"]}
    if shape == "openai":
        url = f"data:image/png;base64,{PNG}"
        turn["content"] = [{"type": "image_url", "image_url": {"url": url}}, block]
    elif shape == "anthropic":
        source = {"type": "base64", "media_type": "image/png", "data": PNG}
        turn["content"] = [{"type": "image", "source": source}, block]
    else:
        turn["images"] = [PNG]


@Shapes
def test_a_picture_counts_a_hundred_tokens_and_is_logged(shape: str) -> None:
    """Pictures are read in each format, count 100 tokens and stand in the log by their type."""
    with FakeProvider() as fake:
        asked = request(fake, shape, "What is it?", stream=False)
        bare = ask(shape, asked)
        with_image(shape, asked)
        seen = ask(shape, asked)
        logged = [each["question"]["images"] for each in fake.requests()]
    assert [[], ["image/png"]] == logged
    assert (100, 0) == tuple(b - a for a, b in zip(bare.counts, seen.counts, strict=True))
    assert bare.text != seen.text


SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "size": {"type": "integer", "minimum": 1},
        "kind": {"enum": ["small", "big"]},
        "parts": {"type": "array", "items": {"$ref": "#/$defs/part"}},
    },
    "required": ["name", "size", "kind", "parts"],
    "additionalProperties": False,
    "$defs": {"part": {"type": "object", "properties": {"ok": {"type": ["boolean", "null"]}}}},
}


def with_schema(shape: str, asked: dict[str, Any]) -> None:
    """Ask for an answer of a form."""
    form = {"type": "json_schema", "schema": SCHEMA}
    json_schema = {"name": "answer", "schema": SCHEMA}
    config = {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA}
    asked["json"] |= {
        "openai": {"response_format": {"type": "json_schema", "json_schema": json_schema}},
        "anthropic": {"output_config": {"format": form}},
        "gemini": {"generationConfig": config},
        "ollama": {"format": SCHEMA},
    }[shape]


@Shapes
@Modes
def test_a_schema_is_answered_by_an_example_and_logged(shape: str, stream: bool) -> None:
    """With a schema the answer is valid JSON for it, unless the prompt plants another."""
    with FakeProvider() as fake:
        asked = request(fake, shape, "Who?", stream=stream)
        with_schema(shape, asked)
        found = json.loads(ask(shape, asked).text)
        planted = request(fake, shape, "[answer: me]", stream=stream)
        with_schema(shape, planted)
        assert "me" == ask(shape, planted).text
        logged = [each["question"]["schema"] for each in fake.requests()]
    assert {"name": "text", "size": 1, "kind": "small", "parts": [{"ok": True}]} == found
    assert [SCHEMA, SCHEMA] == logged


@pytest.mark.parametrize(
    "schema",
    [
        SCHEMA,
        {},
        {"const": 0},
        {"type": "string", "minLength": 9},
        {"type": "string", "maxLength": 2},
        {"type": "number", "minimum": 7},
        {"type": "number", "maximum": -7},
        {"anyOf": [{"type": "null"}, {"type": "string"}]},
        {"allOf": [{"properties": {"a": {"type": "number"}}, "required": ["a"]}], "type": "object"},
        {"type": "array", "items": {"type": "boolean"}, "minItems": 3},
        {"type": "object", "properties": {"me": {"$ref": "#"}}},
        {"type": "object", "required": ["undeclared"]},
    ],
)
def test_examples_are_valid(schema: dict[str, Any]) -> None:
    """The example of a schema is valid for it, and recursion ends."""
    jsonschema.validate(example(schema), schema)
    json.dumps(example(schema))


def test_gemini_s_own_types_are_understood() -> None:
    """Types in capital letters give the same example."""
    schema = {"type": "OBJECT", "properties": {"a": {"type": "STRING"}, "b": {"type": "NUMBER"}}}
    assert {"a": "text", "b": 1} == example(schema)


@Modes
def test_log_probabilities_stand_beside_each_token(stream: bool) -> None:
    """The tokens of OpenAI's format make up the text, each with the alternatives asked for."""
    with FakeProvider() as fake:
        asked = request(fake, "openai", f"[answer: {LONG}]", stream=stream)
        asked["json"] |= {"logprobs": True, "top_logprobs": 2}
        heard = ask("openai", asked)
        choices = [c for d in heard.documents if d != "[DONE]" for c in d["choices"]]
    tokens = [t for c in choices if c["logprobs"] for t in c["logprobs"]["content"]]
    assert heard.text == LONG == "".join(each["token"] for each in tokens)
    assert {2} == {len(each["top_logprobs"]) for each in tokens}
    assert all(each["logprob"] == each["top_logprobs"][0]["logprob"] <= 0 for each in tokens)
    assert LONG.encode() == b"".join(bytes(each["bytes"]) for each in tokens)


@Shapes
@Modes
def test_cached_and_reasoning_tokens_are_told_as_each_provider_does(
    shape: str, stream: bool
) -> None:
    """Anthropic leaves cached tokens out of the input, and Gemini thoughts out of the output."""
    model = {"cached_tokens": 3, "reasoning_tokens": 20}
    with FakeProvider({"models": {"small": model}}) as fake:
        heard = ask(shape, request(fake, shape, "[answer: Hello, you]", stream=stream))
        counts = fake.counts()
    told = heard.counts
    assert (9, 23) == (counts["input_tokens"], counts["output_tokens"])
    assert (6 if shape == "anthropic" else 9, 3 if shape == "gemini" else 23) == told
    last = json.dumps(heard.documents)
    names = {"openai": "reasoning_tokens", "gemini": "thoughtsTokenCount"}
    if shape in names:
        assert f'"{names[shape]}": 20' in last


def outcome(shape: str, asked: dict[str, Any], timeout_s: float) -> bool:
    """Return whether a client that is as lenient as can be got an answer."""
    try:
        ask(shape, asked, timeout_s)
    except Unusable:
        return False
    return True


@pytest.mark.parametrize("fault", sorted(kinds.FAULTS))
def test_each_fault_is_what_its_sets_say(fault: str) -> None:
    """In a plain answer and in a stream: GOOD is usable and counted as sent, BILLED has a bill."""
    number = sorted(kinds.FAULTS).index(fault)
    for stream in (False, True):
        usual = SHAPES[(number + stream) % 4]
        shape = next(
            (s for s in (usual, *SHAPES) if not kinds.objection(fault, s, stream=stream)), ""
        )
        if not shape:
            continue
        config = {"time_scale": 20, "models": {"small": {"fault_rates": {fault: 1.0}}}}
        with FakeProvider(config) as fake:
            asked = request(fake, shape, f"[answer: {LONG}]", stream=stream)
            late = fault in {"hang", "hang_body", "stall"}
            usable = outcome(shape, asked, 0.5 if late else 10.0)
            counts = fake.wait_until(received=1, in_flight=0)
        assert (fault in kinds.GOOD) is usable, (shape, stream)
        assert usable is (counts["sent"] == 1), (shape, stream)
        assert (fault in kinds.BILLED) is (counts["input_tokens"] > 0), (shape, stream)


def test_a_fault_without_a_meaning_says_so() -> None:
    """A fault of streams in a plain answer, or of another format, is a 400 and never an answer."""
    asked_for = [
        ("no_terminator", "openai", False, "outside of a stream"),
        ("stream_for_plain", "openai", True, "in a stream"),
        ("no_terminator", "gemini", True, "in the format gemini"),
        ("refusal", "ollama", False, "in the format ollama"),
    ]
    with FakeProvider() as fake:
        for fault, shape, stream, words in asked_for:
            fake.configure({"models": {"small": {"faults": [fault]}}})
            response = whole(request(fake, shape, "Why?", stream=stream))
            assert 400 == response.status_code
            assert f"fault {fault} has no meaning {words}" in response.text
        assert (4, 0) == tuple(fake.counts()[name] for name in ("failed", "input_tokens"))


def test_the_sets_of_faults_name_faults() -> None:
    """Each set has known names only, and each fault is described by one line."""
    named = {*kinds.GOOD, *kinds.BILLED, *kinds.STREAM_ONLY, *kinds.PLAIN_ONLY}
    for each in kinds.MEANINGLESS.values():
        named |= each
    assert set() == named - kinds.FAULTS - {"ok"}
    assert kinds.GOOD - {"ok"} <= kinds.BILLED
    assert all(line and "\n" not in line for line in kinds.MEANINGS.values())


def test_formats_share_scripts_and_counters() -> None:
    """A script of faults is played once, whoever asks in whatever format."""
    with FakeProvider({"models": {"small": {"faults": ["500", "ok", "503", "ok"]}}}) as fake:
        found = [
            whole(request(fake, shape, "Why?", stream=False, key="k")).status_code
            for shape in SHAPES
        ]
        counts = fake.counts()
    assert [500, 200, 503, 200] == found
    assert (4, 2, 2) == tuple(counts["keys"]["k"][n] for n in ("received", "sent", "failed"))


def test_a_client_that_leaves_a_stream_has_paid_for_it() -> None:
    """A stream that its client leaves is aborted, and billed in full."""
    with FakeProvider({"models": {"small": {"chunk_s": 60}}}) as fake:
        asked = request(fake, "openai", "[answer: Hello, you]", stream=True)
        with httpx.stream(timeout=10, **asked) as response:
            next(response.iter_raw())
        counts = fake.wait_until(in_flight=0)
    assert (1, 0, 3) == tuple(counts[each] for each in ("aborted", "sent", "output_tokens"))


@pytest.mark.parametrize(
    ("shape", "limit"),
    [("anthropic", {"rpm": 2}), ("gemini", {"rps": 0.05}), ("ollama", {"tpm": 40})],
)
def test_a_limit_says_the_true_wait(shape: str, limit: dict[str, Any]) -> None:
    """Over a limit the answer is 429; after the seconds of its Retry-After it is 200 again."""
    with FakeProvider({"time_scale": 60, "models": {"small": limit}}) as fake:
        asked = request(fake, shape, "[answer: Hello, you]", stream=False)
        found = [whole(asked)]
        while found[-1].status_code == 200 and len(found) < 100:
            found.append(whole(asked))
        wait = found[-1].headers["retry-after"]
        time.sleep(float(wait))
        found.append(whole(asked))
        counts = fake.counts()
    assert [200, 429, 200] == [found[0].status_code, *(each.status_code for each in found[-2:])]
    assert (1, 1) == (counts["limited"], counts["failed"])
    assert 0 < float(wait) <= 1
    if shape == "gemini":
        assert f'"retryDelay": "{wait}s"' in found[-2].text


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(1, 60)), max_size=40))
@settings(deadline=None, max_examples=60)
def test_limits_hold_and_their_waits_are_the_shortest(asked: list[tuple[float, int]]) -> None:
    """No minute has more requests or tokens than allowed, no second more than the bucket gives."""
    limits = Limits(ModelConfig(rpm=5, rps=2.0, tpm=100))
    now_s, taken = 0.0, []
    for pause_s, tokens in asked:
        now_s += pause_s
        wait_s = limits.wait_s(now_s, tokens)
        if wait_s:
            assert limits.wait_s(now_s + wait_s * 0.98, tokens) > 0, "not the shortest wait"
            now_s += wait_s
            assert 0 == limits.wait_s(now_s, tokens), "not the true wait"
        taken.append((now_s, tokens))
        minute = [n for then_s, n in taken if then_s > now_s - 60 + 1e-3]
        assert len(minute) <= 5
        assert sum(minute) <= 100
        assert len([1 for then_s, _ in taken if then_s > now_s - 1 + 1e-3]) <= 2 + 2


@pytest.mark.parametrize(("rps", "most"), [(2.0, 2), (0.5, 1)])
def test_a_bucket_holds_a_second_and_fills_all_the_time(rps: float, most: int) -> None:
    """From a full bucket max(1, rps) requests go at once, and then one each 1 / rps seconds."""
    limits = Limits(ModelConfig(rps=rps))
    assert [0.0] * most == [limits.wait_s(100.0, 1) for _ in range(most)]
    assert pytest.approx(1 / rps) == limits.wait_s(100.0, 1)
    assert 0 == limits.wait_s(100.0 + 1 / rps, 1)
    assert pytest.approx(0.5 / rps) == limits.wait_s(100.0 + 1.5 / rps, 1)
    assert [0.0] * most == [limits.wait_s(1000.0, 1) for _ in range(most)]
    assert limits.wait_s(1000.0, 1) > 0


def test_a_wait_is_rounded_up() -> None:
    """The seconds of a header are never less than the wait."""
    assert ["0.01", "0.30", "1.24"] == [in_header(each) for each in (0.0001, 0.3, 1.231)]


def test_a_request_larger_than_a_minute_waits_a_minute() -> None:
    """A request over the whole limit is refused each time, with a minute to wait."""
    limits = Limits(ModelConfig(tpm=10))
    assert [60.0, 60.0] == [limits.wait_s(0.0, 11), limits.wait_s(60.0, 11)]


def test_an_outage_is_a_window_of_the_provider_s_clock() -> None:
    """An outage begins at its first second and is over at its last."""
    limits = Limits(ModelConfig(outage=(5.0, 7.0)))
    found = [limits.is_out(now_s) for now_s in (0.0, 4.9, 5.0, 6.9, 7.0, 100.0)]
    assert [False, False, True, True, False, False] == found
    assert not Limits(ModelConfig()).is_out(0.0)


@pytest.mark.parametrize("kind", ["503", "reset"])
def test_amid_its_outage_a_model_answers_nobody(kind: str) -> None:
    """An outage is a 503 or a reset connection, for its model alone, and bills nothing."""
    out = {"small": {"outage": [0, 1e9], "outage_kind": kind}, "other": {"outage": [1e9, 2e9]}}
    with FakeProvider({"models": out}) as fake:
        asked = request(fake, "ollama", "Why?", stream=False)
        if kind == "503":
            assert 503 == whole(asked).status_code
        else:
            with pytest.raises(httpx.ReadError):
                whole(asked)
        assert 0 == fake.counts()["input_tokens"]
        other = request(fake, "ollama", "Why?", stream=False, model="other")
        assert 200 == whole(other).status_code
        fake.configure({"models": {"small": {}}})
        assert 200 == whole(asked).status_code
