"""How tests start a fake provider and read its counters."""

from __future__ import annotations

import asyncio
import http.client
import json
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.fake_provider.config import Config
from tests.fake_provider.server import Server


class Handle:
    """What both kinds have in common: everything goes over HTTP, as it would from elsewhere."""

    url = ""
    """Base URL with `/v1`, as an endpoint's settings have it."""
    trap_url = ""
    """Second port, to which redirects point; nobody should ever come there."""

    def base_url(self, shape: str) -> str:
        """Return the base URL of a format, as an endpoint's settings have it."""
        root_url = self.url.removesuffix("/v1")
        return root_url + {"gemini": "/v1beta", "ollama": ""}.get(shape, "/v1")

    def counts(self) -> dict[str, Any]:
        """Return the server's counters: totals, by model and by request key."""
        answer: dict[str, Any] = self._ask("GET", "counts")
        return answer

    def requests(self) -> list[dict[str, Any]]:
        """Return the newest 2,000 requests with method, path, headers, body and question."""
        answer: list[dict[str, Any]] = self._ask("GET", "requests")
        return answer

    def trap_hits(self) -> list[dict[str, Any]]:
        """Return the requests that came to the second port."""
        answer: list[dict[str, Any]] = self._ask("GET", "trap")
        return answer

    def reset(self) -> None:
        """Set all counters to zero, and begin scripted faults, limits and the clock anew."""
        self._ask("POST", "reset")

    def configure(self, config: Mapping[str, Any]) -> None:
        """Replace the configuration; begin scripted faults, limits and the clock anew."""
        self._ask("POST", "config", config)

    def wait_until(self, **expected: Any) -> dict[str, Any]:
        """Return the counters once they have these values; a guard against hanging ends it.

        Raises:
            AssertionError: after 10 s they still have not.
        """
        until_s = time.monotonic() + 10
        while True:
            counts = self.counts()
            found = {name: counts[name] for name in expected}
            if found == expected:
                return counts
            assert time.monotonic() < until_s, f"expected {expected}, found {found}"
            time.sleep(0.01)

    def _ask(self, method: str, verb: str, body: object = None) -> Any:
        connection = http.client.HTTPConnection(urllib.parse.urlsplit(self.url).netloc, timeout=30)
        try:
            connection.request(method, f"/_control/{verb}", json.dumps(body) if body else None)
            response = connection.getresponse()
            answer = json.loads(response.read())
            if response.status != 200:
                raise ValueError(answer)
            return answer
        finally:
            connection.close()


class FakeProvider(Handle):
    """A fake provider in this process, with a thread and a loop of its own.

    Args:
        config: see `config.Config`; without one there is a model `small` that answers at once.
    """

    def __init__(self, config: Mapping[str, Any] | None = None) -> None:
        """Read the configuration."""
        self._server = Server(Config.from_json(config or {}))
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._done: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="fake-provider", daemon=True)

    def __enter__(self) -> Self:
        """Start it."""
        self._thread.start()
        assert self._ready.wait(10), "The fake provider did not start."
        self.url, self.trap_url = self._server.url, self._server.trap_url
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop it and close its connections."""
        assert self._loop is not None
        assert self._done is not None
        self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._done = asyncio.get_running_loop(), asyncio.Event()
        await self._server.start()
        self._ready.set()
        await self._done.wait()
        await self._server.stop()


class FakeProviderProcess(Handle):
    """A fake provider in a process of its own: its counters survive a kill -9 of the client.

    Args:
        config: see `config.Config`.
    """

    def __init__(self, config: Mapping[str, Any] | None = None) -> None:
        """Check the configuration here, where the error is easy to see."""
        Config.from_json(config or {})
        self._config = json.dumps(config or {})
        self._process: subprocess.Popen[bytes] | None = None
        self.pid = 0

    def __enter__(self) -> Self:
        """Start it."""
        command = [sys.executable, "-m", "tests.fake_provider", "--until-stdin-closes"]
        self._process = subprocess.Popen(
            [*command, "--config", self._config],
            cwd=Path(__file__).resolve().parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        started = json.loads(self._process.stdout.readline())
        self.url, self.trap_url = started["url"], started["trap_url"]
        self.pid = started["pid"]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop it."""
        assert self._process is not None
        try:
            self._process.communicate(timeout=10)  # closing its standard input ends it
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
