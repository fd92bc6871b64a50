"""What every LLM does, whatever is behind it: one contract over all of them."""

from __future__ import annotations

import asyncio
import importlib.metadata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bmad_nb.errors import LLMError
from bmad_nb.llms.base import LLM, Card
from bmad_nb.messages import Completion, Request, Usage, defect_of
from bmad_nb.workspace import Workspace
from tests.fake_provider import FakeProvider

PATHS = {"openai": "/v1", "anthropic": "/v1", "gemini": "/v1beta", "ollama": ""}


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeProvider]:
    """Give a provider that takes its time, so that a call can be broken off."""
    with FakeProvider({"models": {"small": {"latency_s": 0.05}}}) as fake:
        yield fake


class Own:
    """An object of the protocol, as somebody would write it in a cell."""

    def __init__(self) -> None:
        self.card = Card("own/object", "object:1", "object")

    async def complete(self, request: Request) -> Completion:
        """Answer by an echo."""
        await asyncio.sleep(0)
        return Completion(f"You said: {request.prompt}", Usage(3, 4))

    async def aclose(self) -> None:
        """Have nothing to give back."""


def plain(messages: Any) -> str:
    """Answer as a function."""
    return f"You said: {messages[-1].text}"


async def later(messages: Any) -> str:
    """Answer as a coroutine."""
    await asyncio.sleep(0)
    return f"You said: {messages[-1].text}"


def make_plugin() -> LLM:
    """Return what an entry point names."""
    return Own()


MEMBERS = [
    *PATHS, *(f"{kind}-stream" for kind in PATHS),
    "local", "simulated", "function", "coroutine", "object", "entry point", "recorded",
]  # fmt: skip


@pytest.fixture
def space(
    project: Path, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Workspace]:
    """Give a workspace that knows every kind of LLM."""
    root = provider.url.removesuffix("/v1")
    endpoints = {
        f"my-{kind}{suffix}": {"kind": kind, "base_url": root + path, "stream": bool(suffix)}
        for kind, path in PATHS.items()
        for suffix in ("", "-stream")
    }
    (project / "answers.csv").write_text("prompt,answer\nWhy?,Because.\n", encoding="utf-8")
    entry = importlib.metadata.EntryPoint(
        "plugin/mine", "tests.llms.test_contract:make_plugin", "bmad_nb.llms"
    )
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [entry])
    config = {"endpoints": endpoints, "recorded": {"table": {"path": str(project / "answers.csv")}}}
    made = Workspace(config, store=project / "store.db")
    made.add_llm("function", plain)
    made.add_llm("coroutine", later)
    made.add_llm("object", Own())
    yield made
    made.close()


def id_of(member: str) -> str:
    """Return the id under which a member is asked."""
    fixed = {
        "local": "local/smollm2-135m",
        "simulated": "sim/hasty",
        "function": "own/function",
        "coroutine": "own/coroutine",
        "object": "own/object",
        "entry point": "plugin/mine",
        "recorded": "recorded/table",
    }
    return fixed.get(member, f"my-{member}/small")


@pytest.mark.parametrize("member", MEMBERS)
def test_it_has_a_card_and_answers(space: Workspace, member: str) -> None:
    """Its card has its id, its answer is whole, and the ledger has a row of it."""
    llm = space.catalog.llm(id_of(member))
    assert isinstance(llm, LLM)
    assert id_of(member) == llm.card.id
    assert llm.card.identity

    result = space.ask("Why?", id_of(member), max_tokens=30)
    (row,) = result.rows
    assert ("answered", id_of(member)) == (row.state, row.llm)
    assert result.text.strip()
    assert (row.latency_s or 0) >= 0
    again = space.ask("Why?", id_of(member), max_tokens=30)
    assert (True, result.text) == (again.rows[0].from_store, again.text)


@pytest.mark.parametrize("member", MEMBERS)
def test_its_answer_has_no_defect(space: Workspace, member: str) -> None:
    """Asked by itself, it returns a completion that the engine takes, and gives all back."""
    llm = space.catalog.llm(id_of(member))

    async def work() -> Completion:
        from bmad_nb.messages import Message

        request = Request(
            llm.card.id, llm.card.identity, llm.card.model, (Message("user", "Why?"),), 30
        )
        try:
            return await asyncio.wait_for(llm.complete(request), 60)
        finally:
            await llm.aclose()
            await llm.aclose()

    assert "" == defect_of(asyncio.run(work()))


@pytest.mark.parametrize("member", [*PATHS, *(f"{kind}-stream" for kind in PATHS), "coroutine"])
def test_a_call_that_is_broken_off_ends_at_once(
    space: Workspace, provider: FakeProvider, member: str
) -> None:
    """Cancelling lets the cancellation through, and nothing of the call goes on."""
    llm = space.catalog.llm(id_of(member))

    async def work(ask: Callable[[], Any]) -> None:
        task = asyncio.ensure_future(ask())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises((asyncio.CancelledError, LLMError)):
            done = await task
            assert done  # a coroutine may have ended before
            raise asyncio.CancelledError
        await llm.aclose()

    from bmad_nb.messages import Message

    request = Request(
        llm.card.id, llm.card.identity, llm.card.model, (Message("user", "Stop?"),), 30
    )
    asyncio.run(work(lambda: llm.complete(request)))
    provider.wait_until(in_flight=0)
