"""Asking over the OpenAI wire format: what is sent, connections, cancelling, keys, base URLs."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import subprocess
import sys
from typing import Any

import pytest

from bmad_nb.errors import (
    AuthenticationFailed,
    BadRequest,
    ConnectionFailed,
    SettingsError,
    TimedOut,
)
from bmad_nb.llms.base import LLM, Card
from bmad_nb.llms.endpoint import Endpoint
from bmad_nb.llms.http import HttpLLM
from bmad_nb.llms.urls import check_base_url
from bmad_nb.llms.wires.openai import OpenAIWire
from bmad_nb.messages import Completion, Usage
from bmad_nb.secrets import Secret
from tests.fake_provider import FakeProvider, FakeProviderProcess
from tests.llms.asking import KEY, ROOT, ask, broken, child, error_of, locals_of, question, run


def test_an_answer_comes_with_its_tokens_and_time() -> None:
    """Text, tokens, finish reason, model name and latency are what the provider sent."""
    with FakeProvider({"models": {"small": {"latency_s": 0.05}}}) as fake:
        found = ask(fake.url, question("How much? [answer: 42]"))
    assert "42" == found.text
    assert Usage(3 + 4 + 6 + 4, 1, 0, 0) == found.usage
    assert ("stop", "small") == (found.finish_reason, found.model)
    assert 0.05 <= found.latency_s < 30
    assert found.first_token_s is None


def test_the_request_holds_what_was_asked_and_the_key_stands_in_one_header_only() -> None:
    """Parameters are JSON fields, the request key is a header, and the LLM key is nowhere else."""
    request = question("ü \ud800 [answer: 7]", temperature=0.5, seed=3)
    with FakeProvider({"key": KEY}) as fake:
        assert "7" == ask(fake.url, request).text
        (seen,) = fake.requests()
    body = json.loads(seen["body"])
    expected = {
        "model": "small",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "ü \ud800 [answer: 7]"},
        ],
        "max_tokens": 100,
        "temperature": 0.5,
        "seed": 3,
    }
    assert expected == body
    assert request.key == seen["headers"]["idempotency-key"]
    assert f"Bearer {KEY}" == seen["headers"].pop("authorization")
    assert KEY not in json.dumps(seen)


def test_without_a_key_no_authorization_is_sent() -> None:
    """An endpoint without a key sends no Authorization header."""
    with FakeProvider() as fake:
        ask(fake.url, key="")
        (seen,) = fake.requests()
    assert "authorization" not in seen["headers"]


def test_the_field_of_the_token_limit_is_the_endpoint_s() -> None:
    """An endpoint can name the limit max_completion_tokens."""
    with FakeProvider() as fake:
        ask(fake.url, wire=OpenAIWire("max_completion_tokens"))
        (seen,) = fake.requests()
    body = json.loads(seen["body"])
    assert (100, None) == (body["max_completion_tokens"], body.get("max_tokens"))


def test_a_hundred_calls_share_one_client() -> None:
    """100 calls at once are in flight together, each gets its own answer, and none is repeated."""

    async def many(llm: HttpLLM) -> list[Completion]:
        other = HttpLLM(llm.card, llm.endpoint)  # a second model name at the same endpoint
        both = (llm, other)
        found = await asyncio.gather(
            *(both[i % 2].complete(question(f"[answer: {i}]")) for i in range(100))
        )
        assert 1 == len(llm.endpoint._clients)
        return found

    with FakeProvider({"models": {"small": {"latency_s": 0.5}}}) as fake:
        found = run(fake.url, many)
        counts = fake.counts()
    assert [str(i) for i in range(100)] == [each.text for each in found]
    assert (100, 100, 100) == (counts["received"], counts["sent"], counts["peak_in_flight"])
    assert {1} == {each["received"] for each in counts["keys"].values()}


def test_connections_are_used_again() -> None:
    """Ten calls one after the other need one connection."""

    async def ten(llm: HttpLLM) -> None:
        for i in range(10):
            await llm.complete(question(sample=i))

    with FakeProvider() as fake:
        run(fake.url, ten)
        assert 1 == fake.counts()["connections"]


@pytest.mark.parametrize("fault", ["hang", "drip"])
def test_cancelling_closes_the_socket(fault: str) -> None:
    """A cancelled call raises CancelledError, and the server sees its connection go."""

    async def cancelled(llm: HttpLLM) -> None:
        call = asyncio.create_task(llm.complete(question()))
        while not call.done():
            await asyncio.sleep(0)
            if (await asyncio.to_thread(fake.counts))["in_flight"]:
                break
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        # the client is still open: it is the connection of this call that was closed
        await asyncio.to_thread(fake.wait_until, in_flight=0, open_connections=0)

    with broken(fault) as fake:
        run(fake.url, cancelled)
        counts = fake.counts()
    assert (1, 0, 1) == (counts["received"], counts["sent"], counts["aborted"])


def test_after_a_timeout_the_socket_is_closed_too() -> None:
    """No call goes on at the provider once TimedOut is raised."""

    async def late(llm: HttpLLM) -> None:
        with pytest.raises(TimedOut):
            await llm.complete(question())
        await asyncio.to_thread(fake.wait_until, in_flight=0, open_connections=0)

    with broken("hang") as fake:
        run(fake.url, late, timeout_s=0.3)


def test_a_cut_is_not_repeated_behind_our_back() -> None:
    """A connection that the server closes while idle or at work never makes the client send twice."""

    async def twice(llm: HttpLLM) -> None:
        await llm.complete(question())
        with pytest.raises(ConnectionFailed):
            await llm.complete(question(sample=1))

    with FakeProvider({"models": {"small": {"faults": ["ok", "cut_head"]}}}) as fake:
        run(fake.url, twice)
        assert 2 == fake.counts()["received"]


def test_closing_is_repeatable_and_not_final() -> None:
    """An LLM can be closed twice and asked again, also from a second loop."""

    async def once() -> Completion:
        try:
            return await llm.complete(question())
        finally:
            await llm.aclose()
            await llm.aclose()

    with FakeProvider() as fake:
        llm = HttpLLM(
            Card("fake/small", fake.url, "small"), Endpoint("fake", fake.url, OpenAIWire())
        )
        assert asyncio.run(once()).text == asyncio.run(once()).text


def test_it_is_an_llm() -> None:
    """It follows the protocol, and its endpoint with the key in it cannot be pickled."""
    endpoint = Endpoint("fake", "https://api.example.com/v1", OpenAIWire(), Secret(KEY))
    llm = HttpLLM(Card("fake/small", "https://api.example.com/v1", "small"), endpoint)
    assert isinstance(llm, LLM)
    with pytest.raises(TypeError, match="Secret"):
        pickle.dumps(llm)


def test_an_llm_that_misses_its_key_is_not_asked() -> None:
    """A card that says what is missing makes a typed error without a request."""

    async def incomplete() -> None:
        card = Card("fake/small", fake.url, "small", missing="X is not set.", remedy="Set X.")
        with pytest.raises(AuthenticationFailed, match=r"X is not set. Set X\."):
            await HttpLLM(card, Endpoint("fake", fake.url, OpenAIWire())).complete(question())

    with FakeProvider() as fake:
        asyncio.run(incomplete())
        assert 0 == fake.counts()["received"]


@pytest.mark.parametrize("key", ["sk-first-line\nX-Evil: 1", "sk-ключ-ключ", "sk-with space"])
def test_a_key_that_no_header_can_carry_is_refused_unseen(key: str) -> None:
    """Such a key is a typed error that does not show it, and nothing is sent."""
    with FakeProvider() as fake:
        error = error_of(fake.url, key=key)
        assert 0 == fake.counts()["received"]
    assert AuthenticationFailed is type(error)
    assert key not in locals_of(error)
    assert key not in str(error)


@pytest.mark.parametrize(
    ("name", "value"),
    [("model", "other"), ("stream", True), ("n", 3), ("max_tokens", 9), ("messages", "")],
)
def test_parameters_cannot_take_the_place_of_our_fields(name: str, value: Any) -> None:
    """A parameter that would change what is asked, or its worst case, is refused unsent."""
    with FakeProvider() as fake:
        error = error_of(fake.url, question(**{name: value}))
        assert 0 == fake.counts()["received"]
    assert BadRequest is type(error)
    assert repr(name) in str(error)


def test_a_proxy_is_never_asked_for_loopback() -> None:
    """With a proxy in the environment, a local server is asked directly."""
    script = (
        "import sys\nfrom tests.llms.asking import ask\n"
        "print(ask(sys.argv[1]).text[:9])\n"
    )  # fmt: skip
    with FakeProvider() as fake, pytest.MonkeyPatch.context() as patch:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            patch.setenv(name, fake.trap_url)
        patch.delenv("NO_PROXY", raising=False)
        patch.delenv("no_proxy", raising=False)
        assert "answer of" == child(script, fake.url)
        assert [] == fake.trap_hits()


def test_importing_and_building_loads_no_http_client() -> None:
    """Before the first call neither httpx nor aiohttp is in memory."""
    script = (
        "import sys\n"
        "from bmad_nb.llms.base import Card\n"
        "from bmad_nb.llms.endpoint import Endpoint\n"
        "from bmad_nb.llms.http import HttpLLM\n"
        "from bmad_nb.llms.wires.openai import OpenAIWire\n"
        "HttpLLM(Card('a/b', 'u', 'b'), Endpoint('a', 'https://a.example/v1', OpenAIWire()))\n"
        "heavy = {'httpx', 'httpx_aiohttp', 'aiohttp', 'pydantic', 'pandas'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
        "import httpx\n"
        "print(sorted(heavy & set(sys.modules))[0])\n"
    )
    assert ["[]", "httpx"] == child(script).splitlines()


@pytest.mark.parametrize(
    ("url", "allow_http", "expected"),
    [
        ("https://api.example.com/v1/", False, "https://api.example.com/v1"),
        ("https://api.example.com", False, "https://api.example.com"),
        ("http://127.0.0.1:8000/v1", False, "http://127.0.0.1:8000/v1"),
        ("http://127.9.9.9/v1", False, "http://127.9.9.9/v1"),
        ("http://localhost:1/v1", False, "http://localhost:1/v1"),
        ("http://[::1]:1/v1", False, "http://[::1]:1/v1"),
        ("http://192.168.1.5:11434/v1", True, "http://192.168.1.5:11434/v1"),
        ("http://192.168.1.5:11434/v1", False, None),
        ("http://localhost.example.com/v1", False, None),
        ("http://127.0.0.1.example.com/v1", False, None),
        ("http://0.0.0.0/v1", False, None),
        ("https://user:secret@api.example.com/v1", False, None),
        ("https://user@api.example.com/v1", True, None),
        ("http://api.example.com@127.0.0.1/v1", False, None),
        ("http://127.0.0.1\\@api.example.com/v1", False, None),
        ("https://api.example.com/v1?key=secret", False, None),
        ("https://api.example.com/v1?", False, None),
        ("https://api.example.com/v1#secret", False, None),
        ("ftp://api.example.com/v1", True, None),
        ("file:///etc/passwd", True, None),
        ("api.example.com/v1", True, None),
        ("https:///v1", True, None),
        ("https://[::1/v1", True, None),
        ("https://a.example:99999/v1", True, None),
        ("https://a.example:0/v1", True, None),
        ("https://a.example/v1\r\nX: 1", True, None),
        ("https://exämple.com/v1", True, None),
        ("", True, None),
    ],
)
def test_base_urls(url: str, allow_http: bool, expected: str | None) -> None:
    """Plain http is for loopback unless allowed; user names, queries and fragments never pass."""
    if expected is not None:
        assert expected == check_base_url(url, allow_http=allow_http)
        return
    with pytest.raises(SettingsError) as caught:
        check_base_url(url, allow_http=allow_http)
    assert "secret" not in str(caught.value)


def test_the_server_s_counts_survive_a_killed_client() -> None:
    """After kill -9 of a client with calls in flight, the provider's own process still knows them."""
    script = (
        "import asyncio, sys\n"
        "from tests.llms.asking import question, run\n"
        "async def many(llm):\n"
        "    await asyncio.gather(*(llm.complete(question(sample=i)) for i in range(5)))\n"
        "run(sys.argv[1], many)\n"
    )
    with FakeProviderProcess({"models": {"small": {"latency_s": 60}}}) as fake:
        client = subprocess.Popen([sys.executable, "-c", script, fake.url], cwd=ROOT)
        try:
            fake.wait_until(received=5, in_flight=5)
        finally:
            client.kill()
            client.wait()
        counts = fake.wait_until(in_flight=0)
    assert (5, 0, 5) == (counts["received"], counts["sent"], counts["aborted"])
    assert os.getpid() != fake.pid
