"""The breaker: when it opens, how it tries, when it closes."""

from __future__ import annotations

import pytest

from bmad_nb.calls.breaker import FIRST_S, LONGEST_S, QUOTA_S, Breaker, of_the_endpoint
from bmad_nb.errors import (
    AuthenticationFailed,
    BadAnswer,
    CircuitOpen,
    ConnectionFailed,
    QuotaExhausted,
    RateLimited,
    ServerFailed,
    TimedOut,
)


def wait_s(breaker: Breaker, now: float) -> float | None:
    """Return how long a call is refused, or None if it is let through."""
    try:
        breaker.check("e/x", now)
    except CircuitOpen as error:
        return error.retry_after_s
    return None


def broken(at: float = 0.0) -> Breaker:
    """Return a breaker that five failures have opened."""
    breaker = Breaker()
    for _ in range(5):
        breaker.begin(at)
        breaker.record(ServerFailed("no"), at)
    return breaker


def test_five_failures_open_it() -> None:
    """Four failures do not, the fifth does; the error says when it is tried again, and why."""
    breaker = Breaker()
    for error in (ServerFailed("a"), ConnectionFailed("b"), TimedOut("c"), ServerFailed("d")):
        breaker.record(error, 0.0)
    assert not breaker.is_open
    breaker.record(ServerFailed("e"), 1.0)
    assert (True, FIRST_S) == (breaker.is_open, wait_s(breaker, 1.0))
    with pytest.raises(CircuitOpen, match="failed 5 times") as caught:
        breaker.check("e/x", 2.0)
    assert ("no", True, "e/x") == (caught.value.billed, caught.value.retryable, caught.value.llm)


def test_half_of_the_calls_must_fail() -> None:
    """Six answers keep five failures from opening it; old ones are forgotten."""
    breaker = Breaker()
    for _ in range(6):
        breaker.record(None, 0.0)
    for _ in range(5):
        breaker.record(ServerFailed("x"), 1.0)
    assert not breaker.is_open
    breaker.record(ServerFailed("x"), 30.5)  # the answers are more than 30 s old
    assert breaker.is_open


def test_what_is_not_the_endpoints_fault_does_not_count() -> None:
    """Refusals, bad answers and wrong keys open nothing, however many."""
    breaker = Breaker()
    for error in (RateLimited("a"), BadAnswer("b"), AuthenticationFailed("c")) * 10:
        breaker.record(error, 0.0)
    assert not breaker.is_open


def test_one_quota_error_opens_it() -> None:
    """There is no use in asking an account without quota."""
    endpoint, model = Breaker(of_the_endpoint), Breaker()
    for breaker in (endpoint, model):
        breaker.record(QuotaExhausted("spent"), 0.0)
    assert [QUOTA_S, None] == [wait_s(breaker, 0.0) for breaker in (endpoint, model)]


def test_a_model_that_fails_leaves_its_neighbours_alone() -> None:
    """Errors of a server open the model's breaker; only what is out of reach opens the endpoint's."""
    endpoint, model = Breaker(of_the_endpoint), Breaker()
    for breaker in (endpoint, model):
        for _ in range(5):
            breaker.record(ServerFailed("x"), 0.0)
    assert [False, True] == [endpoint.is_open, model.is_open]
    endpoint, model = Breaker(of_the_endpoint), Breaker()
    for breaker in (endpoint, model):
        for _ in range(5):
            breaker.record(ConnectionFailed("x", billed="no"), 0.0)
    assert [True, False] == [endpoint.is_open, model.is_open]


def test_a_single_trial_closes_it_or_doubles_the_wait() -> None:
    """When the time is up one call goes through; others wait for what comes of it."""
    breaker = broken()
    assert wait_s(breaker, FIRST_S - 0.1) == pytest.approx(0.1)
    assert wait_s(breaker, FIRST_S) is None
    breaker.begin(FIRST_S)
    assert wait_s(breaker, FIRST_S) == 1.0
    breaker.record(TimedOut("still"), FIRST_S)
    assert 2 * FIRST_S == wait_s(breaker, FIRST_S)
    again = 3 * FIRST_S
    assert wait_s(breaker, again) is None
    breaker.begin(again)
    breaker.record(None, again)
    assert (False, None) == (breaker.is_open, wait_s(breaker, again))


def test_the_wait_is_bounded() -> None:
    """It never grows beyond the longest."""
    breaker, now = broken(), FIRST_S
    for _ in range(10):
        breaker.begin(now)
        breaker.record(ServerFailed("x"), now)
        waited = wait_s(breaker, now)
        assert waited is not None
        now += waited
    assert LONGEST_S == waited


def test_what_was_on_its_way_neither_closes_nor_opens_it_longer() -> None:
    """Calls that were sent before it opened do not end the trial that is not yet due."""
    breaker = broken()
    breaker.record(None, 1.0)
    breaker.record(ServerFailed("x"), 2.0)
    assert FIRST_S - 2 == wait_s(breaker, 2.0)
    assert breaker.is_open
