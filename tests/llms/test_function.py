"""Your own function as an LLM: sync or async, its answers, its errors, its identity."""

from __future__ import annotations

import asyncio
import functools
import threading
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from bmad_nb.errors import BadAnswer, RateLimited
from bmad_nb.llms.base import LLM
from bmad_nb.llms.function import FunctionLLM
from bmad_nb.messages import Completion, Message, Price, Request, Usage


def request(prompt: str = "Why?", **params: Any) -> Request:
    """Return a request to the function."""
    turns = (Message("system", "Be brief."), Message("user", prompt))
    return Request("own/f", "here", "f", turns, 10, tuple(sorted(params.items())))


def ask(function: Callable[..., Any], **params: Any) -> Completion:
    """Ask a function once, with a guard against hanging."""

    async def work() -> Completion:
        async with asyncio.timeout(20):
            return await FunctionLLM("own/f", function).complete(request(**params))

    return asyncio.run(work())


async def later(messages: list[Message]) -> str:
    """Answer after a turn of the loop."""
    await asyncio.sleep(0)
    return messages[-1].text.upper()


class Shouter:
    """An object that can be called."""

    def __init__(self, mark: str = "!") -> None:
        """Keep what is put behind the answer."""
        self.mark = mark

    def __call__(self, messages: list[Message]) -> str:
        """Answer loudly."""
        return messages[-1].text.upper() + self.mark


class LaterShouter(Shouter):
    """An object whose call is awaited."""

    async def __call__(self, messages: list[Message]) -> str:  # type: ignore[override]
        """Answer loudly, later."""
        await asyncio.sleep(0)
        return messages[-1].text.upper() + self.mark


@pytest.mark.parametrize(
    ("expected", "function"),
    [
        ("WHY?", lambda messages: messages[-1].text.upper()),
        ("WHY?", later),
        ("WHY?!", Shouter()),
        ("WHY??", LaterShouter("?")),
        ("2", lambda messages: str(len(messages))),
        ("Be brief.", lambda messages: messages[0].text),
        ("x: Why?", functools.partial(lambda mark, messages: f"{mark}: {messages[-1].text}", "x")),
        ("done", lambda messages: asyncio.sleep(0, "done")),
        ("", lambda messages: ""),
        ("[Message(role='system', text='Be brief.'), Message(role='user', text='Why?')]", str),
    ],
)
def test_a_function_answers(expected: str, function: Callable[..., Any]) -> None:
    """Sync, async, callable objects and partials answer from the list of messages."""
    found = ask(function)
    assert expected == found.text
    assert 0 <= found.latency_s < 20
    assert Usage() == found.usage


def test_a_completion_is_taken_as_it_is() -> None:
    """A function that counts its own tokens returns a Completion, and nothing is changed in it."""
    given = Completion("x", Usage(1, 2), "length", "mine", 9.0, 1.0)
    assert given is ask(lambda messages: given)


def test_parameters_reach_only_who_takes_them() -> None:
    """A function with **params gets them; one without is called with the messages alone."""
    assert "{'temperature': 1}" == ask(lambda messages, **params: str(params), temperature=1).text
    assert "alone" == ask(lambda messages: "alone", temperature=1).text


def raising(error: BaseException) -> Callable[..., Any]:
    """Return a function that raises."""

    def function(messages: list[Message]) -> str:
        raise error

    return function


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no"),
        KeyError("x"),
        StopIteration(3),
        RecursionError(),
        TimeoutError(),
        SystemExit(),
        KeyboardInterrupt(),
    ],
)
def test_an_error_of_the_function_is_a_bad_answer(error: BaseException) -> None:
    """Whatever a function raises is BadAnswer that names it, at once, and may have cost money."""
    with pytest.raises(BadAnswer) as caught:
        ask(raising(error))
    assert type(error).__name__ in caught.value.what
    assert "own/f" in caught.value.what
    assert ("own/f", "maybe") == (caught.value.llm, caught.value.billed)


def test_a_function_that_runs_out_does_not_hang() -> None:
    """`next` on an iterator that is at its end is BadAnswer, in a sync and an async function."""
    empty = iter(())

    async def soon(messages: list[Message]) -> str:
        return next(empty)

    for function in (lambda messages: next(empty), soon):
        with pytest.raises(BadAnswer):
            ask(function)


def test_an_error_of_our_own_kind_goes_through() -> None:
    """A function may say itself what went wrong, with the errors of bmad_nb."""
    with pytest.raises(RateLimited):
        ask(raising(RateLimited("Slow down.")))


@pytest.mark.parametrize("value", [None, 3, b"x", ["x"], {"text": "x"}])
def test_anything_but_text_is_a_bad_answer(value: Any) -> None:
    """What is neither text nor a Completion is refused with its type."""
    with pytest.raises(BadAnswer, match=type(value).__name__):
        ask(lambda messages: value)


def test_ten_blocking_functions_run_at_a_time() -> None:
    """As many blocking functions run at once as calls may be in flight: ten by default."""
    together = threading.Barrier(10, timeout=15)

    def function(messages: list[Message]) -> str:
        together.wait()
        return "met"

    async def work() -> list[Completion]:
        llm = FunctionLLM("own/f", function)
        return await asyncio.gather(*(llm.complete(request(str(n))) for n in range(10)))

    assert ["met"] * 10 == [found.text for found in asyncio.run(work())]


def test_waiting_for_a_blocking_function_can_be_given_up() -> None:
    """A timeout does not wait for a function that blocks."""
    release = threading.Event()
    llm = FunctionLLM("own/f", lambda messages: str(release.wait(30)))

    async def work() -> float:
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await llm.complete(request())
        took = time.monotonic() - began
        release.set()
        return took

    assert asyncio.run(work()) < 5


def test_the_card() -> None:
    """The card says what was declared, and that the function runs here unless it is simulated."""
    price = Price(Decimal(1), Decimal(2))
    llm = FunctionLLM("own/f", later, price=price, capabilities={"math": 0.5})
    assert isinstance(llm, LLM)
    card = llm.card
    assert ("own/f", "f", price, (("math", 0.5),)) == (
        card.id,
        card.model,
        card.price,
        card.capabilities,
    )
    assert (True, False) == (card.runs_here, card.simulated)
    invented = FunctionLLM("own/f", later, simulated=True).card
    assert (False, True) == (invented.runs_here, invented.simulated)
    asyncio.run(llm.aclose())


def identity(function: Callable[..., Any]) -> str:
    """Return what a function is known by."""
    return FunctionLLM("own/f", function).card.identity


def made(source: str) -> Callable[..., Any]:
    """Return a function whose source nobody can look up, as in `python -c`."""
    names: dict[str, Any] = {}
    exec(source, names)
    return names["f"]


def test_the_same_function_has_the_same_identity() -> None:
    """A function keeps its identity, so that its answers are found again."""
    assert identity(later) == identity(later)
    assert identity(made("f = lambda m: 'a'")) == identity(made("f = lambda m: 'a'"))
    assert identity(Shouter("!")) == identity(Shouter("!"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (later, raising),
        (made("f = lambda m: 'a'"), made("f = lambda m: 'b'")),
        (made("f = lambda m: m[0]"), made("f = lambda m: m[1]")),
        (
            made("def f(m):\n def g(): return 1\n return g()"),
            made("def f(m):\n def g(): return 2\n return g()"),
        ),
        (functools.partial(raising), functools.partial(later)),
        (functools.partial(raising, 1), functools.partial(raising, 2)),
        (Shouter(), LaterShouter()),
    ],
)
def test_a_changed_function_has_another_identity(
    one: Callable[..., Any], other: Callable[..., Any]
) -> None:
    """A function whose code or bound arguments changed is asked anew."""
    assert identity(one) != identity(other)
