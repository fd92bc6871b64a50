"""Every fault of the fake provider against the error that it must become."""

from __future__ import annotations

import socket
import sys
import tracemalloc
from pathlib import Path

import pytest

from bmad_nb.errors import (
    AuthenticationFailed,
    BadAnswer,
    BadRequest,
    ConnectionFailed,
    ContextTooLong,
    LLMError,
    ModelNotFound,
    PermissionRefused,
    RateLimited,
    ServerFailed,
    TimedOut,
)
from bmad_nb.messages import Usage
from tests.fake_provider import FAULTS
from tests.llms.asking import KEY, ask, broken, error_of, locals_of

STATUSES: dict[str, tuple[type[LLMError], str, bool]] = {
    "400": (BadRequest, "no", False),
    "401": (AuthenticationFailed, "no", False),
    "402": (RateLimited, "no", False),
    "403": (PermissionRefused, "no", False),
    "404": (ModelNotFound, "no", False),
    "408": (TimedOut, "no", True),
    "409": (ServerFailed, "no", True),
    "422": (BadRequest, "no", False),
    "429": (RateLimited, "no", True),
    "500": (ServerFailed, "maybe", True),
    "502": (ServerFailed, "maybe", True),
    "503": (ServerFailed, "maybe", True),
    "529": (ServerFailed, "maybe", True),
    "cut_500": (ServerFailed, "maybe", True),
    "context": (ContextTooLong, "no", False),
    "quota": (RateLimited, "no", False),
    "wrapped_429": (RateLimited, "no", True),
}
CONNECTIONS: dict[str, tuple[type[LLMError], str, bool]] = {
    "cut": (ConnectionFailed, "maybe", True),
    "cut_head": (ConnectionFailed, "maybe", True),
    "garbage": (ConnectionFailed, "maybe", True),
    "hang": (TimedOut, "maybe", True),
    "drip": (TimedOut, "maybe", True),
    "slow": (TimedOut, "maybe", True),
}
ANSWERS: dict[str, tuple[str, str]] = {
    "bad_gzip": ("cannot be unpacked", "maybe"),
    "bad_json": ("not JSON", "maybe"),
    "bad_utf8": ("not UTF-8", "maybe"),
    "brotli": ("packed as 'br'", "maybe"),
    "deep_json": ("nested too deeply", "maybe"),
    "empty": ("empty answer", "yes"),
    "gzip_bomb": ("more than 32 MiB", "maybe"),
    "html": ("web page", "maybe"),
    "huge": ("more than 32 MiB", "maybe"),
    "length": ("Raise max_tokens", "yes"),
    "refusal": ("I cannot help with that", "yes"),
}


@pytest.mark.parametrize("fault", [*STATUSES, *CONNECTIONS])
def test_each_failure_has_its_class(fault: str) -> None:
    """A bad status, a broken connection or a late answer is one class, with the right bill."""
    cls, billed, retryable = {**STATUSES, **CONNECTIONS}[fault]
    late = fault in {"hang", "drip", "slow"}
    with broken(fault, slow_s=20) as fake:
        error = error_of(fake.url, timeout_s=0.4 if late else 20)
        fake.wait_until(received=1, in_flight=0)
    assert cls is type(error)
    assert (billed, retryable) == (error.billed, error.retryable)
    assert "fake/small" == error.llm
    assert "fake/small" in str(error)
    if fault.isdigit():
        assert int(fault) == error.status


@pytest.mark.parametrize("fault", ANSWERS)
def test_each_bad_answer_says_what_is_wrong_with_it(fault: str) -> None:
    """Whatever comes with status 200 and is no completion is a BadAnswer that names the reason."""
    words, billed = ANSWERS[fault]
    with broken(fault) as fake:
        error = error_of(fake.url)
    assert BadAnswer is type(error)
    assert words in str(error)
    assert billed == error.billed
    assert error.__cause__ is None
    assert error.__context__ is None


def test_no_fault_of_the_fake_provider_is_untested() -> None:
    """Each fault that the fake provider has stands in one of the tables, or has its own test."""
    own = {"no_usage", "redirect"}
    assert FAULTS <= {*STATUSES, *CONNECTIONS, *ANSWERS, *own}


def test_without_usage_the_tokens_are_unknown() -> None:
    """An answer without usage has None for each count, never zero."""
    with broken("no_usage") as fake:
        found = ask(fake.url)
    assert Usage(None, None, None, None) == found.usage


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
