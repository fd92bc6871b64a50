"""The fake provider itself: what it says, what it counts, and that it outlives its clients."""

from __future__ import annotations

import http.client
import json
import socket
import urllib.parse
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest

from tests.fake_provider import FakeProvider, FakeProviderProcess

Kinds = pytest.mark.parametrize("kind", [FakeProvider, FakeProviderProcess])


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
        assert 400 == post(fake.url, "Why?", stream=True)[0]
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
