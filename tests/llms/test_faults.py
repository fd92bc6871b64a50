"""The fault matrix: every fault, in each of four formats, plain and as a stream."""

from __future__ import annotations

import asyncio
import socket
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bmad_nb.errors import BadAnswer, BadRequest, ConnectionFailed, LLMError
from bmad_nb.llms.base import Card
from bmad_nb.llms.bodies import Deadlines
from bmad_nb.llms.endpoint import Endpoint
from bmad_nb.llms.http import HttpLLM
from bmad_nb.llms.wires.anthropic import AnthropicWire
from bmad_nb.llms.wires.base import Wire
from bmad_nb.llms.wires.gemini import GeminiWire
from bmad_nb.llms.wires.ollama import OllamaWire
from bmad_nb.llms.wires.openai import OpenAIWire
from bmad_nb.messages import Completion, Message, Request, Usage
from bmad_nb.secrets import Secret
from tests.fake_provider import FakeProviderProcess
from tests.fake_provider.kinds import FAULTS, objection
from tests.llms.asking import KEY, broken, error_of, locals_of

WIRES: dict[str, Wire] = {
    "openai": OpenAIWire(),
    "anthropic": AnthropicWire(),
    "gemini": GeminiWire(),
    "ollama": OllamaWire(),
}
STATUSES = (
    "301", "302", "303", "307", "308", "400", "401", "402", "403", "404", "408", "409", "413",
    "422", "425", "429", "500", "501", "502", "503", "504", "529",
)  # fmt: skip
HEAVY = {"huge", "huge_line", "gzip_bomb", "deep_json"}
"""One at a time: they fill memory on purpose."""
DEADLINES = Deadlines(6.0, first_byte_s=3.0, idle_s=1.5)
ANSWER = "all of this is a longer answer than one piece"

Expected = tuple[str, str, bool]
"""Class of the error, whether it was billed, and whether it may be tried again."""
GOOD: Expected = ("", "", False)
BAD: Expected = ("BadAnswer", "maybe", False)
SAID: Expected = ("BadAnswer", "yes", False)
REFUSED: Expected = ("Refused", "yes", False)
SLOW: Expected = ("RateLimited", "no", True)
FAILED: Expected = ("ServerFailed", "maybe", True)
BROKEN: Expected = ("ConnectionFailed", "maybe", True)
CUT: Expected = ("StreamCut", "maybe", True)
LATE: Expected = ("TimedOut", "maybe", True)
WRONG: Expected = ("BadRequest", "no", False)
EXPECTED: dict[str, Expected] = {
    **dict.fromkeys(
        ("ok", "after_terminator", "control", "crlf", "double_terminator", "flood",
         "lone_surrogate", "nan", "no_terminator", "no_usage", "nul", "plain_for_stream", "slow",
         "slow_first_byte", "split", "truncated", "unknown_events", "unknown_fields", "usage_huge",
         "usage_negative", "usage_null", "usage_text", "wrong_role", "wrong_type", "no_finish"),
        GOOD,
    ),
    **dict.fromkeys(
        ("bad_gzip", "bad_json", "bad_utf8", "brotli", "deep_json", "empty_body", "gzip_bomb",
         "html", "huge", "huge_line", "odd_content", "stream_for_plain", "truncated_json",
         "two_json"),
        BAD,
    ),
    **dict.fromkeys(("empty", "tool_call"), SAID),
    **dict.fromkeys(("filter", "filter_late", "refusal"), REFUSED),
    **dict.fromkeys(
        ("retry_date", "retry_garbage", "retry_huge", "retry_inf", "retry_ms", "retry_negative",
         "retry_none", "retry_past", "retry_reset", "wrapped_429", "429"),
        SLOW,
    ),
    **dict.fromkeys(
        ("500", "501", "502", "503", "504", "529", "cut_500", "stream_overloaded",
         "stream_server_error"),
        FAILED,
    ),
    **dict.fromkeys(("cut", "cut_chunk", "cut_head", "garbage", "reset", "reset_body"), BROKEN),
    **dict.fromkeys(("drip", "hang", "hang_body", "stall"), LATE),
    **dict.fromkeys(("redirect", "301", "302", "303", "307", "308", "400", "413", "422"), WRONG),
    "no_end": CUT,
    "length": ("Truncated", "yes", False),
    "context": ("ContextTooLong", "no", False),
    "quota": ("QuotaExhausted", "no", False),
    "401": ("AuthenticationFailed", "no", False),
    "402": ("QuotaExhausted", "no", False),
    "403": ("PermissionRefused", "no", False),
    "404": ("ModelNotFound", "no", False),
    "408": ("TimedOut", "no", True),
    "409": ("ServerFailed", "no", True),
    "425": ("ServerFailed", "no", True),
}  # fmt: skip
IN_A_STREAM: dict[str, Expected] = {
    **dict.fromkeys(("cut", "cut_chunk", "empty_body", "no_finish", "reset_body"), CUT),
    "wrong_type": BAD,
}
"""Where a stream differs: what has begun is kept, and cut."""
BY_FORMAT: dict[tuple[str, str], Expected] = {
    ("anthropic", "odd_content"): SAID,  # a block of a kind that nobody knows is left out
    ("ollama", "wrapped_429"): FAILED,  # its errors have no code
}


class Cell(NamedTuple):
    """One fault in one format, in one piece or as a stream."""

    fault: str
    shape: str
    stream: bool

    @property
    def expected(self) -> Expected:
        """What a client must make of it."""
        own = BY_FORMAT.get((self.shape, self.fault))
        streamed = IN_A_STREAM.get(self.fault) if self.stream else None
        return own or streamed or EXPECTED[self.fault]


CELLS = [
    Cell(fault, shape, stream)
    for shape in WIRES
    for stream in (False, True)
    for fault in sorted({*FAULTS, *STATUSES, "ok"})
    if not objection(fault, shape, stream=stream)
]
Outcome = tuple[Completion | BaseException, float]


async def asked(fake: FakeProviderProcess) -> dict[Cell, Outcome]:
    """Make one call for each cell, many at a time; return what came of it and how long it took."""
    found: dict[Cell, Outcome] = {}
    slots = {True: asyncio.Semaphore(1), False: asyncio.Semaphore(40)}
    endpoints = {
        (shape, stream): Endpoint(
            "fake", fake.base_url(shape), wire, Secret(KEY), deadlines=DEADLINES, stream=stream
        )
        for shape, wire in WIRES.items()
        for stream in (False, True)
    }

    async def one(cell: Cell) -> None:
        endpoint = endpoints[cell.shape, cell.stream]
        llm = HttpLLM(Card(f"fake/{cell.fault}", "fake", cell.fault), endpoint)
        turns = (Message("user", f"Tell me. [answer: {ANSWER}]"),)
        request = Request(llm.card.id, "fake", cell.fault, turns, 100)
        async with slots[cell.fault in HEAVY]:
            began = time.monotonic()
            try:
                outcome: Completion | BaseException = await llm.complete(request)
            except BaseException as error:
                outcome = error
            found[cell] = (outcome, time.monotonic() - began)

    await asyncio.gather(*map(one, CELLS))
    for endpoint in endpoints.values():
        await endpoint.aclose()
    return found


@pytest.fixture(scope="module")
def outcomes() -> Any:
    """Make all calls once, and count what came to the trap."""
    faults = {*FAULTS, *STATUSES}
    models = {name: {"fault_rates": {name: 1.0}, "slow_s": 0.2} for name in faults}
    with FakeProviderProcess({"models": {**models, "ok": {}}, "key": KEY}) as fake:
        yield asyncio.run(asked(fake)), fake.counts()


def test_the_matrix_is_large_and_whole() -> None:
    """It has at least 400 cells, and each fault of the fake provider has an expectation."""
    assert len(CELLS) >= 400
    assert {*FAULTS, *STATUSES, "ok"} == set(EXPECTED)
    assert {cell.fault for cell in CELLS} == set(EXPECTED)


@pytest.mark.parametrize("cell", CELLS, ids=lambda c: f"{c.shape}-{'s' * c.stream}{c.fault}")
def test_each_fault_is_an_answer_or_its_typed_error(outcomes: Any, cell: Cell) -> None:
    """The outcome is the one expected, within its deadline, without a key and without a raw error."""
    outcome, seconds = outcomes[0][cell]
    name, billed, retryable = cell.expected
    assert seconds < DEADLINES.total_s + 20  # a hang guard, for the machine may be busy
    if cell.expected == GOOD:
        assert isinstance(outcome, Completion), outcome
        assert outcome.text.startswith("all of this is")
        return
    assert isinstance(outcome, LLMError), outcome
    assert (name, billed, retryable) == (type(outcome).__name__, outcome.billed, outcome.retryable)
    assert f"fake/{cell.fault}" == outcome.llm
    assert outcome.llm in outcome.what
    assert outcome.__context__ is None
    assert outcome.__cause__ is None
    assert KEY not in str(outcome)
    assert KEY not in locals_of(outcome)
    assert len(str(outcome)) < 900


@pytest.mark.parametrize("shape", WIRES)
@pytest.mark.parametrize("stream", [False, True])
def test_waits_are_read_in_every_spelling(outcomes: Any, shape: str, *, stream: bool) -> None:
    """Seconds, milliseconds, dates and the providers' own ways are read; nonsense is not."""
    found = outcomes[0]

    def wait_s(fault: str) -> float | None:
        return found[Cell(fault, shape, stream)][0].retry_after_s  # type: ignore[no-any-return]

    assert (1.0, 1.0, 0.25) == (wait_s("429"), wait_s("503"), wait_s("retry_ms"))
    assert 0 <= (wait_s("retry_date") or -1) <= 2
    assert {None} == {wait_s(f"retry_{n}") for n in ("garbage", "inf", "negative", "none", "past")}
    if shape != "anthropic":
        assert 1.5 == wait_s("retry_reset")


@pytest.mark.parametrize("cell", [c for c in CELLS if c.fault in {"no_usage", "usage_huge",
    "usage_negative", "usage_null", "usage_text"}], ids=lambda c: f"{c.shape}-{'s' * c.stream}{c.fault}")  # fmt: skip
def test_tokens_that_nobody_counted_are_unknown(outcomes: Any, cell: Cell) -> None:
    """Absent, absurd, negative and wordy counts are unknown, never zero."""
    assert Usage() == outcomes[0][cell][0].usage


def test_a_cut_stream_keeps_what_came(outcomes: Any) -> None:
    """The error of a stream that ended early holds the text so far."""
    for shape in WIRES:
        error = outcomes[0][Cell("no_end", shape, True)][0]
        assert error.text
        assert ANSWER.startswith(error.text)


def test_nothing_follows_a_redirect(outcomes: Any) -> None:
    """The second port saw no request, and no key stood in an address."""
    counts = outcomes[1]
    assert (0, 0) == (counts["trap"], counts["offences"])


@pytest.mark.parametrize("fault", ["gzip_bomb", "huge"])
def test_what_an_answer_takes_in_memory_is_bounded(fault: str) -> None:
    """Of 200 MiB packed into 200 kB, and of 40 MiB in chunks, less than 64 MiB are ever held."""
    with broken(fault) as fake:
        error_of(fake.url)  # whatever is imported at the first call
        tracemalloc.start()
        try:
            error_of(fake.url)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert 30 * 2**20 < peak < 64 * 2**20  # below 30 it would not have read what it may read


@pytest.mark.parametrize("status", ["301", "302", "303", "307", "308"])
def test_redirects_are_never_followed(status: str) -> None:
    """A redirect is a BadRequest that names its target; neither request nor key arrives there."""
    with broken(status) as fake:
        error = error_of(fake.url)
        assert [] == fake.trap_hits()
        # the planted positive: the trap does see who comes
        ask_directly = error_of(f"{fake.trap_url}/v1")
        (hit,) = fake.trap_hits()
    assert BadRequest is type(error)
    assert ("no", int(status)) == (error.billed, error.status)
    assert fake.trap_url.removeprefix("http://") in str(error)
    assert "never followed" in str(error)
    assert BadAnswer is type(ask_directly)
    assert f"Bearer {KEY}" == hit["headers"]["authorization"]


@pytest.mark.parametrize("location", ["http://[bad", "/elsewhere", "http://u:p@[::1", "\x80"])
def test_odd_redirects_are_refused_too(location: str) -> None:
    """A redirect to nowhere, to an odd address or to the same host is a BadRequest as well."""
    with broken("redirect", location=location) as fake:
        error = error_of(fake.url)
        assert 1 == fake.counts()["received"]
    assert BadRequest is type(error)


def test_the_provider_s_words_are_shown_without_the_key() -> None:
    """A provider that repeats the key in its message cannot make an error or its traceback show it."""
    with broken("401") as fake:
        error = error_of(fake.url)
    assert "Incorrect API key provided: ***" in str(error)
    assert KEY not in str(error) + repr(error) + repr(vars(error))
    assert KEY not in locals_of(error)


def test_an_endpoint_that_nobody_serves_costs_nothing() -> None:
    """A refused connection is a ConnectionFailed that was not billed."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    error = error_of(f"http://127.0.0.1:{port}/v1")
    assert ConnectionFailed is type(error)
    assert ("no", True) == (error.billed, error.retryable)
    assert f"127.0.0.1:{port}" in str(error)


@pytest.mark.skipif(sys.platform != "linux", reason="a full backlog drops packets on Linux only")
def test_a_connection_that_is_never_made_costs_nothing() -> None:
    """A host that does not even take the connection is a ConnectionFailed that was not billed."""
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for each in (first, second):
            each.setblocking(False)
            each.connect_ex(full.getsockname())
        error = error_of(f"http://127.0.0.1:{full.getsockname()[1]}/v1", timeout_s=0.5)
    assert ConnectionFailed is type(error)
    assert "no" == error.billed


def test_retry_after_is_read() -> None:
    """The seconds of a Retry-After header stand in the error."""
    with broken("429", retry_after="7") as fake:
        assert 7.0 == error_of(fake.url).retry_after_s


def test_certificates_that_cannot_be_read_are_a_typed_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong SSL_CERT_FILE is a ConnectionFailed that names it; nothing is sent."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    error = error_of("https://bmad.invalid/v1")
    assert ConnectionFailed is type(error)
    assert "no" == error.billed
    assert "SSL_CERT_FILE" in str(error)
