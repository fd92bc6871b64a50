"""Pacing: declared limits are kept, others are found, in virtual time against a token bucket."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from bmad_nb.calls.breaker import Breaker, of_the_endpoint
from bmad_nb.calls.pacing import LONG_S, Gates, Pacer, Spacing, Turn
from bmad_nb.calls.retries import attempts
from bmad_nb.errors import CircuitOpen, LLMError, QuotaExhausted, RateLimited, ServerFailed
from bmad_nb.llms.base import Pace
from bmad_nb.plan_parts import Retries
from tests.engine import virtual

FOUR = Retries(4, causes=("rate_limit", "server"))


@pytest.fixture(autouse=True)
def _same_jitter() -> None:
    """Draw the same waits at each run."""
    random.seed(0)


class Bucket:
    """A provider that allows so many calls a second, and a burst."""

    def __init__(self, per_s: float, burst: float, latency_s: float, after_s: float | None) -> None:
        self.per_s, self.burst, self.level, self._at = per_s, burst, burst, 0.0
        self._latency_s, self._after_s = latency_s, after_s
        self.log: list[tuple[float, bool]] = []
        """When each call came, and whether it was answered."""

    async def answer(self) -> None:
        """Answer, or refuse.

        Raises:
            RateLimited: too many came.
        """
        now = asyncio.get_running_loop().time()
        self.level = min(self.burst, self.level + (now - self._at) * self.per_s)
        self._at = now
        is_answered = self.level >= 1
        self.log.append((now, is_answered))
        if not is_answered:
            await asyncio.sleep(0.005)
            true_s = (1 - self.level) / self.per_s
            raise RateLimited(
                "429", retry_after_s=true_s if self._after_s is None else self._after_s
            )
        self.level -= 1
        await asyncio.sleep(self._latency_s)


async def storm(bucket: Bucket, pacer: Pacer, calls: int, workers: int = 64) -> int:
    """Make calls through a pacer, with retries; return how many failed in the end."""
    left, failed = iter(range(calls)), 0

    async def once(_number: int) -> None:
        turn = await pacer.enter(100)
        problem: BaseException | None = None
        try:
            await bucket.answer()
        except RateLimited as error:
            problem = error
            raise
        finally:
            pacer.leave(turn, problem, 100)

    async def worker() -> None:
        nonlocal failed
        for _ in left:
            try:
                await attempts(once, FOUR, asyncio.sleep)
            except RateLimited:
                failed += 1

    await asyncio.gather(*(worker() for _ in range(workers)))
    return failed


def stormed(bucket: Bucket, pace: Pace, calls: int) -> tuple[float, float, int]:
    """Return used share of what was allowed and share of refusals after ten seconds, and failures."""
    failed, _ = virtual.run(storm(bucket, Pacer("x", pace, Breaker()), calls))
    late = [(at, ok) for at, ok in bucket.log if at > 10]
    answered = [at for at, ok in late if ok]
    used = len(answered) / (answered[-1] - 10) / bucket.per_s
    return used, sum(not ok for _, ok in late) / len(late), failed


@pytest.mark.parametrize("latency_s", [0.05, 1.0, 2.0])
@pytest.mark.parametrize(("burst", "after_s"), [(20, None), (1, None), (20, 1.0)])
def test_an_unknown_limit_is_found(latency_s: float, burst: float, after_s: float | None) -> None:
    """64 workers at 20 calls a second: at least 90 % used, at most 5 % refused, none failed."""
    used, refused, failed = stormed(Bucket(20, burst, latency_s, after_s), Pace(), 2000)
    assert (True, True, 0) == (used >= 0.9, refused <= 0.05, failed), (used, refused, failed)


@pytest.mark.parametrize(("per_s", "calls"), [(20.0, 2000), (1.0, 200)])
def test_a_declared_limit_is_kept(per_s: float, calls: int) -> None:
    """With rpm declared at least 95 % of it is used and at most 1 % refused."""
    used, refused, failed = stormed(Bucket(per_s, 1, 0.05, None), Pace(rpm=60 * per_s), calls)
    assert (True, True, 0) == (used >= 0.95, refused <= 0.01, failed), (used, refused, failed)


def test_declared_tokens_are_kept() -> None:
    """With tpm declared, calls come as fast as their tokens allow; what was not used comes back."""
    pacer = Pacer("x", Pace(tpm=60_000), Breaker())

    async def work(used: int) -> float:
        for _ in range(50):
            turn = await pacer.enter(1000)
            pacer.leave(turn, None, used)
        return asyncio.get_running_loop().time()

    assert pytest.approx(49 / 0.98) == virtual.run(work(1000))[0]
    pacer = Pacer("x", Pace(tpm=60_000), Breaker())
    assert pytest.approx(49 / 0.98 / 2) == virtual.run(work(500))[0]


def test_a_declared_number_in_flight_is_kept() -> None:
    """No more calls fly than are declared, and those who wait go in the order in which they came."""
    pacer = Pacer("x", Pace(in_flight=3), Breaker())
    seen: list[int] = []
    flying = most = 0

    async def one(number: int) -> None:
        nonlocal flying, most
        turn = await pacer.enter(1)
        seen.append(number)
        flying += 1
        most = max(most, flying)
        await asyncio.sleep(1)
        flying -= 1
        pacer.leave(turn, None, 1)

    async def work() -> None:
        await asyncio.gather(*map(one, range(10)))

    _, seconds = virtual.run(work())
    assert (3, list(range(10)), 4.0) == (most, seen, seconds)


def test_a_server_that_takes_few_at_once_is_learned() -> None:
    """Where only five may fly, refusals become few though nothing was declared."""
    pacer, refused, flying = Pacer("x", Pace(), Breaker()), [], 0

    async def once(_number: int) -> None:
        nonlocal flying
        turn = await pacer.enter(1)
        problem: LLMError | None = None
        flying += 1
        try:
            await asyncio.sleep(0.01)
            if flying > 5:
                problem = RateLimited("busy", retry_after_s=0.1)
                refused.append(asyncio.get_running_loop().time())
                raise problem
            await asyncio.sleep(1)
        finally:
            flying -= 1
            pacer.leave(turn, problem, 1)

    async def work() -> None:
        retries = Retries(20, causes=("rate_limit",))
        await asyncio.gather(*(attempts(once, retries, asyncio.sleep) for _ in range(300)))

    _, seconds = virtual.run(work())
    assert seconds < 90  # 60 s is the least
    assert sum(at > 10 for at in refused) <= 0.1 * 300


def test_a_used_up_window_is_waited_for() -> None:
    """After two refusals with a long Retry-After and no answer between, nobody is asked before."""
    pacer = Pacer("x", Pace(), Breaker())

    async def work() -> float:
        pacer.leave(await pacer.enter(1), None, 1)
        for _ in range(2):
            turn = await pacer.enter(1)
            pacer.leave(turn, RateLimited("429", retry_after_s=30), None)
            await asyncio.sleep(5)
        await pacer.enter(1)
        return asyncio.get_running_loop().time()

    at, _ = virtual.run(work())
    assert LONG_S < 35 <= at <= 36


def test_a_cancelled_wait_gives_its_turn_to_the_next() -> None:
    """Who goes away while waiting takes no slot with him, even at the moment of being let in."""
    pacer = Pacer("x", Pace(in_flight=1), Breaker())

    async def work() -> None:
        turn = await pacer.enter(1)
        waiting = [asyncio.ensure_future(pacer.enter(1)) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        pacer.leave(turn, None, 1)
        waiting[1].cancel()  # it has just been let in
        got = await asyncio.wait_for(waiting[2], 5)
        assert isinstance(got, Turn)
        pacer.leave(got, None, 1)
        pacer.leave(await asyncio.wait_for(pacer.enter(1), 5), None, 1)

    virtual.run(work())


def test_an_open_breaker_refuses_those_who_wait() -> None:
    """Calls that wait when an endpoint's breaker opens fail at once instead of being sent."""
    pacer = Pacer("x", Pace(in_flight=1), Breaker(of_the_endpoint))

    async def work() -> list[Any]:
        turn = await pacer.enter(1)
        waiting = [asyncio.ensure_future(pacer.enter(1)) for _ in range(5)]
        await asyncio.sleep(0)
        pacer.leave(turn, QuotaExhausted("spent"), None)
        return await asyncio.gather(*waiting, return_exceptions=True)

    found, seconds = virtual.run(work())
    assert [CircuitOpen] * 5 == [type(each) for each in found]
    assert 0 == seconds


def test_models_of_one_address_share_a_breaker_and_not_a_pace() -> None:
    """A quota that is used up closes the whole endpoint; limits belong to each model."""
    gates = Gates()
    one = gates.of("e/a", "https://e", "a", Pace())
    two = gates.of("e/b", "https://e", "b", Pace())
    other = gates.of("f/a", "https://f", "a", Pace())
    assert one is gates.of("again/a", "https://e", "a", Pace())
    assert one is not two

    async def work() -> None:
        one.leave(await one.enter(1), QuotaExhausted("spent"), None)
        with pytest.raises(CircuitOpen):
            await two.enter(1)
        other.leave(await other.enter(1), None, 1)

    virtual.run(work())


def test_spacing_is_even() -> None:
    """Each one pays for the next, and what is given back is earlier for the next."""
    spacing = Spacing(2.0)
    spacing.take(1, 10.0)
    assert 10.5 == spacing.opens_at
    spacing.take(4, 10.5)
    assert 12.5 == spacing.opens_at
    spacing.give_back(2)
    assert 11.5 == spacing.opens_at


@pytest.mark.parametrize(
    ("error", "most"),
    [
        (ServerFailed("503", status=503), 16),
        (ServerFailed("529", status=529), 16),
        (RateLimited("429", status=429), 1),
        (ServerFailed("500", status=500), 20),
        (QuotaExhausted("spent", status=429), 0),
    ],
)
def test_what_a_failure_says_about_the_pace(error: LLMError, most: int) -> None:
    """An overload lets fewer fly, too many requests space them, another failure does neither."""

    async def flights() -> int:
        pacer = Pacer("x", Pace(), Breaker(of_the_endpoint), Breaker())
        pacer.leave(await pacer.enter(1), error, None)
        turns = [asyncio.ensure_future(pacer.enter(1)) for _ in range(40)]
        await asyncio.sleep(0)
        done = sum(turn.done() and turn.exception() is None for turn in turns)
        for turn in turns:
            turn.cancel()
        await asyncio.gather(*turns, return_exceptions=True)
        return done

    assert most == virtual.run(flights())[0]
