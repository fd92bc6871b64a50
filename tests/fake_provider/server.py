"""The fake provider's server: four providers' formats on one port of loopback, with counters."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from tests.fake_provider import answers, faults, kinds
from tests.fake_provider.anthropic_shape import AnthropicShape
from tests.fake_provider.calls import Call
from tests.fake_provider.config import Config, ModelConfig
from tests.fake_provider.counters import Counters, Tally
from tests.fake_provider.gemini_shape import GeminiShape
from tests.fake_provider.limits import Clock, Limits, in_header
from tests.fake_provider.ollama_shape import OllamaShape
from tests.fake_provider.openai_shape import OpenAIShape
from tests.fake_provider.shapes import Failure, Shape
from tests.fake_provider.wire import Connection, HttpRequest

_OPENAI, _ANTHROPIC = OpenAIShape(), AnthropicShape()
SHAPES: tuple[Shape, ...] = (_OPENAI, _ANTHROPIC, GeminiShape(), OllamaShape())


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
        self._open: set[Connection] = set()
        self._servers: list[asyncio.Server] = []
        self._begin()

    def _begin(self) -> None:
        """Begin scripts, limits and clock anew."""
        self._scripted: dict[str, int] = {}
        self._clock = Clock(self.config.time_scale)
        self._limits = {name: Limits(model) for name, model in self.config.models.items()}

    async def start(self, port: int = 0) -> None:
        """Listen on loopback; port 0 takes a free one."""
        self.url = f"http://127.0.0.1:{await self._listen(self._serve, port)}/v1"
        self.trap_url = f"http://127.0.0.1:{await self._listen(self._serve_trap, 0)}"
        self._begin()

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
        return {
            **self.counters.to_json(),
            "in_flight": sum(self._flying.values()),
            "open_connections": sum(each.counted for each in self._open),
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
        path = request.bare_path
        if path.startswith("/_control/"):
            await self._control(connection, request, path.removeprefix("/_control/"))
            return
        if not connection.counted:
            connection.counted = True
            self.counters.connections += 1
        self.counters.requests.append(_logged(request))
        shape = _shape_of(request)
        asked = request.method == "POST" and shape.takes(request)
        listed = request.method == "GET" and path == shape.models_path
        if "key" in request.query:
            self.counters.offences += 1
            words = "A key in a URL is written into logs; send it in a header."
            await _fail(connection, shape, Failure(400, words, "request"))
        elif asked:
            await self._ask(connection, request, shape)
        elif listed:
            await self._list(connection, request, shape)
        else:
            await _fail(connection, shape, Failure(404, "no such path", "request"))

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
            self._begin()
        elif verb == "config":
            try:
                self.config = Config.from_json(json.loads(request.body))
            except (ValueError, TypeError, KeyError) as error:
                await _fail(connection, _OPENAI, Failure(400, str(error), "request"))
                return
            self._begin()
        else:
            await connection.reply_json(404, {})
            return
        await connection.reply_json(200, reply)

    async def _list(self, connection: Connection, request: HttpRequest, shape: Shape) -> None:
        refused = self._wrong_key(shape, request, self.config.key)
        if refused is not None:
            await _fail(connection, shape, refused)
            return
        await connection.reply_json(200, shape.models(list(self.config.models)))

    async def _ask(self, connection: Connection, request: HttpRequest, shape: Shape) -> None:
        """Count a request, answer it and count how that ended."""
        key = request.headers.get("idempotency-key", "")
        try:
            question = shape.read(request, json.loads(request.body))
        except (ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
            words = f"{type(error).__name__}: {error}"
            await _fail(connection, shape, Failure(400, words, "request"))
            return
        self.counters.requests[-1]["question"] = {"shape": shape.name, **question.to_json()}
        question = question.seeded(self.config.seed, key)
        name = question.model
        model = self.config.models.get(name, ModelConfig())
        said = answers.answer(question, model)
        call = Call(connection, request, shape, question, model, said, self.trap_url, self._clock)
        tallies = self.counters.of(name, key)
        attempt = tallies[2].received if key else 0
        for tally in tallies:
            tally.received += 1
        self._flying[name] = self._flying.get(name, 0) + 1
        flying = sum(self._flying.values())
        self.counters.peak_in_flight = max(self.counters.peak_in_flight, flying)
        outcome = "aborted"
        try:
            fault = await self._answer(call, tallies, attempt)
            outcome = "sent" if fault in kinds.GOOD else "failed"
        finally:
            self._flying[name] -= 1
            for tally in tallies:
                setattr(tally, outcome, getattr(tally, outcome) + 1)

    async def _answer(self, call: Call, tallies: tuple[Tally, ...], attempt: int) -> str:
        """Answer a question and return the fault or status with which that was done."""
        question, model, name = call.question, call.model, call.question.model
        refused = self._wrong_key(call.shape, call.request, model.key or self.config.key)
        if refused is None and name not in self.config.models:
            refused = Failure(404, f"The model '{name}' does not exist", "model")
        if refused is not None:
            await call.fail(refused)
            return "refused"
        number = self._scripted.get(name, 0)
        self._scripted[name] = number + 1
        is_out = self._limits[name].is_out(self._clock.now_s)
        wait = None if is_out else self._wait(call)
        if wait is not None:
            for tally in tallies:
                tally.limited += 1
            await faults.refuse(call, wait)
            return "limited"
        fault = model.outage_kind if is_out else answers.fault(question, model, number, attempt)
        objection = kinds.objection(fault, call.shape.name, stream=question.stream)
        if fault in kinds.BILLED and not objection:
            await call.sleep(answers.latency_s(question, model, attempt))
            for tally in tallies:
                tally.bill(call.said, model)
        return await faults.answer(call, fault)

    def _wait(self, call: Call) -> str | None:
        """Return the Retry-After of a request over a limit, or None and count the request."""
        name, model, said = call.question.model, call.model, call.said
        if model.max_in_flight and self._flying[name] > model.max_in_flight:
            return model.retry_after
        used = said.input_tokens + said.output_tokens
        wait_s = self._limits[name].wait_s(self._clock.now_s, used)
        return in_header(self._clock.true_s(wait_s)) if wait_s else None

    def _wrong_key(self, shape: Shape, request: HttpRequest, due: str) -> Failure | None:
        """Return the failure of a request that brings another key than is due."""
        given = shape.key(request)
        if due and given != due:
            return Failure(401, f"Incorrect API key provided: {given}", "key")
        return None


def _shape_of(request: HttpRequest) -> Shape:
    """Return the format of a request, which for the path of OpenAI's models its key decides."""
    if request.bare_path == "/v1/models" and "x-api-key" in request.headers:
        return _ANTHROPIC
    for shape in SHAPES:
        if shape.takes(request) or request.bare_path == shape.models_path:
            return shape
    return _OPENAI


async def _fail(connection: Connection, shape: Shape, failure: Failure) -> None:
    status, body = shape.error(failure)
    await connection.reply_json(status, body)


def _logged(request: HttpRequest) -> dict[str, Any]:
    return {
        "method": request.method,
        "path": request.path,
        "headers": request.headers,
        "body": request.body[:20_000].decode("utf-8", "replace"),
    }
