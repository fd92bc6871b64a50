"""How the tests of LLMs ask: one question, one call, one error, one fresh interpreter."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from bmad_nb.errors import LLMError
from bmad_nb.llms.base import Card
from bmad_nb.llms.bodies import Deadlines
from bmad_nb.llms.endpoint import Endpoint
from bmad_nb.llms.http import HttpLLM
from bmad_nb.llms.wires.base import Wire
from bmad_nb.llms.wires.openai import OpenAIWire
from bmad_nb.messages import Completion, Message, Request
from bmad_nb.secrets import Secret
from tests.canary import KEYS
from tests.fake_provider import FakeProvider

T = TypeVar("T")
KEY = KEYS["asking"]
ROOT = Path(__file__).resolve().parents[2]


def question(prompt: str = "Why?", sample: int = 0, **params: Any) -> Request:
    """Return a request for model `small`."""
    return Request(
        llm="fake/small",
        identity="http://fake",
        model="small",
        messages=(Message("system", "Be brief."), Message("user", prompt)),
        max_tokens=100,
        params=tuple(sorted(params.items())),
        sample=sample,
    )


def run(url: str, work: Callable[[HttpLLM], Awaitable[T]], **options: Any) -> T:
    """Run `work` with an LLM at `url`, close it, and guard against hanging."""

    async def whole() -> T:
        key = options.pop("key", KEY)
        wire: Wire = options.pop("wire", OpenAIWire())
        stream = options.pop("stream", False)
        secret = Secret(key) if key else None
        deadlines = Deadlines(options.pop("timeout_s", 300.0), **options)
        endpoint = Endpoint("fake", url, wire, secret, deadlines=deadlines, stream=stream)
        llm = HttpLLM(Card("fake/small", url, "small"), endpoint)
        try:
            async with asyncio.timeout(60):
                return await work(llm)
        finally:
            await llm.aclose()

    return asyncio.run(whole())


def ask(url: str, request: Request | None = None, **options: Any) -> Completion:
    """Ask once."""
    return run(url, lambda llm: llm.complete(request or question()), **options)


def error_of(url: str, request: Request | None = None, **options: Any) -> LLMError:
    """Ask once and return the error."""
    with pytest.raises(LLMError) as caught:
        ask(url, request, **options)
    return caught.value


def locals_of(error: LLMError) -> str:
    """Return all that a traceback could show of the local variables in our own code."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    ours = [each for each in frames if "bmad_nb" in each.f_code.co_filename]
    assert ours
    assert error.__context__ is None
    return repr([each.f_locals for each in ours])


def broken(fault: str, **model: Any) -> FakeProvider:
    """Return a provider whose model has one fault in every request."""
    return FakeProvider({"models": {"small": {"fault_rates": {fault: 1.0}, **model}}})


def child(script: str, *arguments: str) -> str:
    """Run a script in a fresh interpreter at the root of the repository; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
