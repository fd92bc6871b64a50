"""The fake provider's server: OpenAI's chat completions on loopback, with counters."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections import deque
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tests.fake_provider import answers, faults
from tests.fake_provider.config import Config, ModelConfig
from tests.fake_provider.wire import Connection, HttpRequest


@dataclass(slots=True)
class Tally:
    """What was counted of one model, or of one request key."""

    received: int = 0
    """Requests that arrived whole."""
    sent: int = 0
    """Usable answers whose last byte the kernel took while the client was there."""
    failed: int = 0
    """Requests that were answered by an error or a planted fault."""
    aborted: int = 0
    """Requests whose client went away before the end."""
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal = Decimal(0)
    """US dollars billed; a model that was at work when its client left has billed nothing."""

    def to_json(self) -> dict[str, Any]:
        """Return the numbers, money as text."""
        return {**dataclasses.asdict(self), "cost_usd": str(self.cost_usd)}


@dataclass(slots=True)
class Counters:
    """Everything that is counted; it lives in the server's process alone."""

    total: Tally = field(default_factory=Tally)
    models: dict[str, Tally] = field(default_factory=dict)
    keys: dict[str, Tally] = field(default_factory=dict)
    """By Idempotency-Key header."""
    connections: int = 0
    """Connections that brought a request, those of this control interface left out."""
    peak_in_flight: int = 0
    trap: list[dict[str, Any]] = field(default_factory=list)
    """Requests at the second port, to which redirects point."""
    requests: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=2000))
    """The newest requests, with headers and body."""

    def of(self, model: str, key: str) -> tuple[Tally, ...]:
        """Return the tallies that a request counts in."""
        mine = [self.total, self.models.setdefault(model, Tally())]
        if key:
            mine.append(self.keys.setdefault(key, Tally()))
        return tuple(mine)


class Server:
    """One fake provider, bound to the loop that starts it."""

    def __init__(self, config: Config) -> None:
        """Keep the configuration; `start` opens the ports."""
        self.config = config
        self.counters = Counters()
        self.url = ""
        """Base URL with `/v1`, as an endpoint's settings have it."""
        self.trap_url = ""
        self._flying: dict[str, int] = {}
        self._scripted: dict[str, int] = {}
        self._open: set[Connection] = set()
        self._servers: list[asyncio.Server] = []

    async def start(self, port: int = 0) -> None:
        """Listen on loopback; port 0 takes a free one."""
        self.url = f"http://127.0.0.1:{await self._listen(self._serve, port)}/v1"
        self.trap_url = f"http://127.0.0.1:{await self._listen(self._serve_trap, 0)}"

    async def stop(self) -> None:
        """Close the ports and all connections, and let their tasks end."""
        for server in self._servers:
            server.close()
        for connection in list(self._open):
            connection.abort()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            await asyncio.wait(others, timeout=5)

    def counts(self) -> dict[str, Any]:
        """Return all counters as JSON data."""
        numbers = self.counters
        return {
            **numbers.total.to_json(),
            "in_flight": sum(self._flying.values()),
            "peak_in_flight": numbers.peak_in_flight,
            "connections": numbers.connections,
            "open_connections": sum(each.counted for each in self._open),
            "trap": len(numbers.trap),
            "models": {name: each.to_json() for name, each in numbers.models.items()},
            "keys": {name: each.to_json() for name, each in numbers.keys.items()},
        }

    async def _listen(self, serve: Any, port: int) -> int:
        def connection() -> Connection:
            return Connection(serve, self._open)

        loop = asyncio.get_running_loop()
        server = await loop.create_server(connection, "127.0.0.1", port, backlog=1024)
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def _serve_trap(self, connection: Connection, request: HttpRequest) -> None:
        self.counters.trap.append(_logged(request))
        await connection.reply_json(200, {})

    async def _serve(self, connection: Connection, request: HttpRequest) -> None:
        path = request.path.partition("?")[0]
        if path.startswith("/_control/"):
            await self._control(connection, request, path.removeprefix("/_control/"))
            return
        if not connection.counted:
            connection.counted = True
            self.counters.connections += 1
        self.counters.requests.append(_logged(request))
        route = (request.method, path)
        if route == ("POST", "/v1/chat/completions"):
            await self._chat(connection, request)
        elif route == ("GET", "/v1/models"):
            models = [{"id": name, "object": "model"} for name in self.config.models]
            await connection.reply_json(200, {"object": "list", "data": models})
        else:
            await connection.reply_json(404, faults.error_body("no such path", "not_found"))

    async def _control(self, connection: Connection, request: HttpRequest, verb: str) -> None:
        reply: object = {}
        if verb == "counts":
            reply = self.counts()
        elif verb == "requests":
            reply = list(self.counters.requests)
        elif verb == "trap":
            reply = self.counters.trap
        elif verb == "reset":
            self.counters = Counters()
            self._scripted.clear()
        elif verb == "config":
            try:
                self.config = Config.from_json(json.loads(request.body))
            except (ValueError, TypeError, KeyError) as error:
                await connection.reply_json(400, faults.error_body(str(error), "config"))
                return
            self._scripted.clear()
        else:
            await connection.reply_json(404, {})
            return
        await connection.reply_json(200, reply)

    async def _chat(self, connection: Connection, request: HttpRequest) -> None:
        """Count a request, answer it and count how that ended."""
        try:
            body = json.loads(request.body)
            key = request.headers.get("idempotency-key", "")
            question = answers.read_question(body, self.config.seed, key)
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            await connection.reply_json(400, faults.error_body(str(error), "invalid_request_error"))
            return
        name = question.model
        tallies = self.counters.of(name, key)
        attempt = tallies[2].received if key else 0
        for tally in tallies:
            tally.received += 1
        self._flying[name] = self._flying.get(name, 0) + 1
        flying = sum(self._flying.values())
        self.counters.peak_in_flight = max(self.counters.peak_in_flight, flying)
        outcome = "aborted"
        try:
            fault = await self._answer(connection, request, question, tallies, attempt)
            outcome = "sent" if fault in faults.GOOD else "failed"
        finally:
            self._flying[name] -= 1
            for tally in tallies:
                setattr(tally, outcome, getattr(tally, outcome) + 1)

    async def _answer(
        self,
        connection: Connection,
        request: HttpRequest,
        question: answers.Question,
        tallies: tuple[Tally, ...],
        attempt: int,
    ) -> str:
        """Answer a question and return the fault with which that was done."""
        model = self.config.models.get(question.model)
        refused = self._refusal(request, question.model, model)
        if refused is not None or model is None:
            status, error = refused or (500, {})
            await connection.reply_json(status, error)
            return str(status)
        number = self._scripted.get(question.model, 0)
        self._scripted[question.model] = number + 1
        fault = answers.fault(question, model, number, attempt)
        if model.max_in_flight and self._flying[question.model] > model.max_in_flight:
            fault = "429"
        if fault not in faults.BILLED:
            await faults.answer(self._call(connection, request, model, {}), fault)
            return fault
        await asyncio.sleep(answers.latency_s(question, model, attempt))
        said = answers.answer(question, model)
        for tally in tallies:
            tally.input_tokens += said.input_tokens
            tally.output_tokens += said.output_tokens
            tally.cost_usd += (
                model.input_usd_per_mtok * said.input_tokens
                + model.output_usd_per_mtok * said.output_tokens
            ) / 1_000_000
        completion = _completion(question.model, said, request)
        await faults.answer(self._call(connection, request, model, completion), fault)
        return fault

    def _call(
        self,
        connection: Connection,
        request: HttpRequest,
        model: ModelConfig,
        completion: dict[str, Any],
    ) -> faults.Call:
        return faults.Call(connection, request, model, completion, self.trap_url)

    def _refusal(
        self, request: HttpRequest, name: str, model: ModelConfig | None
    ) -> tuple[int, dict[str, Any]] | None:
        """Return status and body for a wrong key or an unknown model, or None."""
        due = (model.key if model else "") or self.config.key
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if due and given != due:
            words = f"Incorrect API key provided: {given}"
            return 401, faults.error_body(words, "invalid_request_error", "invalid_api_key")
        if model is None:
            words = f"The model '{name}' does not exist"
            return 404, faults.error_body(words, "invalid_request_error", "model_not_found")
        return None


def _completion(name: str, said: answers.Answer, request: HttpRequest) -> dict[str, Any]:
    return {
        "id": f"fake-{request.headers.get('idempotency-key', '')[:12]}",
        "object": "chat.completion",
        "created": 0,
        "model": name,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": said.text},
                "finish_reason": said.finish_reason,
            }
        ],
        "usage": {
            "prompt_tokens": said.input_tokens,
            "completion_tokens": said.output_tokens,
            "total_tokens": said.input_tokens + said.output_tokens,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
    }


def _logged(request: HttpRequest) -> dict[str, Any]:
    return {
        "method": request.method,
        "path": request.path,
        "headers": request.headers,
        "body": request.body[:20_000].decode("utf-8", "replace"),
    }
