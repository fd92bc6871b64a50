"""Retries: after which errors, how long to wait, and what the loop makes of it."""

from __future__ import annotations

import asyncio

import pytest

from bmad_nb.calls.retries import MOST_WAIT_S, PASSING, again, attempts, error_of, wait_s
from bmad_nb.errors import (
    AuthenticationFailed,
    BadRequest,
    BmadError,
    BudgetExceeded,
    CircuitOpen,
    ConnectionFailed,
    LLMError,
    OutputInvalid,
    QuotaExhausted,
    RateLimited,
    Refused,
    ServerFailed,
    StreamCut,
    TimedOut,
)
from bmad_nb.events import CallRow
from bmad_nb.plan_parts import Retries

USUAL = Retries(4, causes=PASSING)
ANY = Retries(4, causes=("any",))


@pytest.mark.parametrize(
    ("error", "usual", "any_"),
    [
        (RateLimited("x"), True, True),
        (ServerFailed("x"), True, True),
        (ConnectionFailed("x"), True, True),
        (StreamCut("x"), True, True),
        (TimedOut("x"), True, True),
        (CircuitOpen("x"), True, True),
        (OutputInvalid("x"), False, True),
        (LLMError("x"), False, True),
        (QuotaExhausted("x"), False, False),
        (Refused("x"), False, False),
        (BadRequest("x"), False, False),
        (AuthenticationFailed("x"), False, False),
    ],
)
def test_which_errors_are_tried_again(error: BmadError, *, usual: bool, any_: bool) -> None:
    """What passes by itself is tried again; what the same call brings again is not, even by any."""
    assert (usual, any_) == (again(error, USUAL), again(error, ANY))


def test_a_provider_that_says_no_is_believed() -> None:
    """An error of the server that it calls final is not tried again, nor is too long a wait."""
    final = ServerFailed("x", status=500)
    final.retryable = False
    assert not again(final, USUAL)
    assert again(RateLimited("x", retry_after_s=MOST_WAIT_S), USUAL)
    assert not again(RateLimited("x", retry_after_s=MOST_WAIT_S + 1), USUAL)


def test_waits_grow_up_to_the_longest() -> None:
    """Without jitter each wait is longer by the factor, and none is longer than the longest."""
    retries = Retries(backoff_s=1, factor=3, max_backoff_s=10, jitter=False)
    assert [1, 3, 9, 10, 10] == [wait_s(ServerFailed("x"), retries, n) for n in range(1, 6)]


def test_jitter_draws_from_the_whole_wait() -> None:
    """With jitter waits lie between nothing and the reckoned one, and differ."""
    retries = Retries(backoff_s=4, factor=2, max_backoff_s=100)
    waits = [wait_s(ServerFailed("x"), retries, 2) for _ in range(200)]
    assert 0 <= min(waits) < 2
    assert 6 < max(waits) <= 8


def test_what_the_provider_asks_for_is_the_least() -> None:
    """Retry-After goes first, and jitter only adds to it."""
    error = RateLimited("x", retry_after_s=7.0)
    assert 7.0 == wait_s(error, Retries(jitter=False), 1)
    assert 0.0 == wait_s(RateLimited("x", retry_after_s=0.0), Retries(jitter=False), 1)
    assert all(7.0 <= wait_s(error, Retries(backoff_s=4), 1) <= 11.0 for _ in range(50))


def looped(retries: Retries, *errors: BmadError) -> tuple[list[int], list[float], str]:
    """Return the attempts that were made, the waits, and what came of it."""
    made: list[int] = []
    waits: list[float] = []

    async def once(number: int) -> str:
        made.append(number)
        if number <= len(errors):
            raise errors[number - 1]
        return "done"

    async def rest(seconds: float) -> None:
        waits.append(seconds)

    try:
        said = asyncio.run(attempts(once, retries, rest))
    except BmadError as error:
        said = error.what
    return made, waits, said


def test_the_loop_ends_with_the_first_answer_or_the_last_error() -> None:
    """It waits between attempts, stops at the allowed number, and lets hopeless errors through."""
    plain = Retries(3, jitter=False, causes=PASSING)
    assert ([1], [], "done") == looped(plain)
    assert ([1, 2], [1.0], "done") == looped(plain, TimedOut("a"))
    three = [TimedOut("a"), TimedOut("b"), TimedOut("c")]
    assert ([1, 2, 3], [1.0, 2.0], "c") == looped(plain, *three)
    assert ([1, 2], [1.0], "b") == looped(plain, TimedOut("a"), BadRequest("b"))
    assert ([1], [], "a") == looped(plain, BudgetExceeded("a"))
    assert ([1], [], "a") == looped(Retries(1, causes=PASSING), TimedOut("a"))


def test_an_error_comes_back_from_its_row() -> None:
    """A stored failure gives the error of its class again."""
    row = CallRow("c", "r", "e/x", "k", "failed", error="a", error_kind="StreamCut",
                  error_hint="b", billed="maybe")  # fmt: skip
    found = error_of(row)
    assert isinstance(found, StreamCut)
    assert ("a", "b", "maybe", "e/x") == (found.what, found.hint, found.billed, found.llm)
