"""CPU time of an LLM call, plain and streaming, beside httpx over the same transport.

Run: python tests/benchmarks/client.py [ROUNDS]. The server is a process of its own and answers
after 50 ms; 100 calls are in flight. In each round every contender makes the same calls, one after
the other; medians go to tests/benchmarks/results/client.json.

- floor: httpx over httpx-aiohttp, a JSON document out, one back; for streams httpx-sse on top
- LLM: our client alone, `HttpLLM.complete` and `.stream`
- ledger: the whole way of a comparison, with budget, pacing, retries and two durable commits
"""

from __future__ import annotations

import asyncio
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import httpx_aiohttp
import httpx_sse

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bmad_nb import _loop
from bmad_nb.llms.base import Card
from bmad_nb.llms.endpoint import Endpoint
from bmad_nb.llms.http import HttpLLM
from bmad_nb.llms.wires.openai import OpenAIWire
from bmad_nb.messages import Message, Request
from bmad_nb.workspace import Workspace
from tests.fake_provider import FakeProviderProcess

CALLS, IN_FLIGHT = 1000, 100
STREAMS, CHUNKS = 40, 500
LONG = "x" * (8 * CHUNKS)
TARGETS = {"ledger / floor": 1.5, "chunk: LLM / floor": 2.0, "p99: ledger / floor": 1.5}

Ask = Callable[[int], Awaitable[None]]


def client() -> httpx.AsyncClient:
    """Return a plain client over the transport that we use too."""
    return httpx_aiohttp.HttpxAiohttpClient(
        timeout=60, limits=httpx.Limits(max_connections=0), trust_env=False
    )


def body(prompt: str, *, stream: bool = False) -> bytes:
    """Return a chat completion's request."""
    more = {"stream": True} if stream else {}
    turns = [{"role": "user", "content": prompt}]
    return json.dumps({"model": "small", "max_tokens": 5000, "messages": turns, **more}).encode()


def request(prompt: str) -> Request:
    """Return the same for our client."""
    return Request("b/small", "b", "small", (Message("user", prompt),), 5000)


async def spread(count: int, ask: Ask) -> list[float]:
    """Make calls, 100 at a time; return the seconds of each."""
    slots = asyncio.Semaphore(IN_FLIGHT)
    took: list[float] = []

    async def one(number: int) -> None:
        async with slots:
            started = time.perf_counter()
            await ask(number)
            took.append(time.perf_counter() - started)

    await asyncio.gather(*(one(number) for number in range(count)))
    return took


def measured(work: Callable[[], Awaitable[list[float]]]) -> tuple[float, float]:
    """Return CPU seconds and the 99th percentile of the latencies."""
    before = time.process_time()
    took = sorted(_loop.run(_coroutine(work)))
    cpu_s = time.process_time() - before
    return cpu_s, took[int(0.99 * (len(took) - 1))]


async def _coroutine(work: Callable[[], Awaitable[list[float]]]) -> list[float]:
    return await work()


class Round:
    """All contenders, each with connections of its own that are warm."""

    def __init__(self, url: str, folder: Path) -> None:
        """Keep the address."""
        self.url = f"{url}/chat/completions"
        self.plain = client()
        self.llm = HttpLLM(Card("b/small", url, "small"), Endpoint("b", url, OpenAIWire()))
        config = {
            "endpoints": {"b": {"base_url": url}},
            "prices": {"b/small": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 1}},
            "engine": {"max_concurrent_tasks": IN_FLIGHT},
        }
        self.space = Workspace(config, store=folder / "store.db", budget_usd=1000)

    async def floor(self, number: int) -> None:
        """Make a call with httpx alone."""
        reply = await self.plain.post(self.url, content=body(f"Say {number}."))
        assert json.loads(reply.content)["choices"]

    async def ours(self, number: int) -> None:
        """Make a call with our client."""
        assert (await self.llm.complete(request(f"Say {number}."))).text

    async def floor_stream(self, number: int) -> None:
        """Read a stream with httpx and httpx-sse alone."""
        prompt, pieces = f"[answer: {LONG}] {number}", []
        async with self.plain.stream("POST", self.url, content=body(prompt, stream=True)) as reply:
            async for event in httpx_sse.EventSource(reply).aiter_sse():
                if event.data != "[DONE]":
                    for choice in json.loads(event.data)["choices"]:
                        pieces.append(choice["delta"].get("content") or "")
        assert len(LONG) == len("".join(pieces))

    async def our_stream(self, number: int) -> None:
        """Read a stream with our client."""
        told: list[str] = []
        found = await self.llm.stream(request(f"[answer: {LONG}] {number}"), told.append)
        assert len(LONG) == len(found.text)

    def ledger(self, number: int) -> tuple[float, float]:
        """Make calls as a comparison does; `number` keeps rounds apart."""
        before = time.process_time()
        cases = [{"n": f"{number} {n}"} for n in range(CALLS)]
        result = self.space.compare("Say {{ n }}.", ["b/small"], over=cases, budget_usd=500)
        cpu_s = time.process_time() - before
        took = sorted(row.latency_s or 0.0 for row in result.rows)
        assert all(row.state == "answered" and not row.from_store for row in result.rows)
        return cpu_s, took[int(0.99 * (len(took) - 1))]

    async def close(self) -> None:
        """Give everything back."""
        await self.plain.aclose()
        await self.llm.aclose()


def one_round(bench: Round, number: int) -> dict[str, float]:
    """Return milliseconds of CPU a call, microseconds a chunk, and latencies."""
    floor_s, floor_p99 = measured(lambda: spread(CALLS, bench.floor))
    llm_s, llm_p99 = measured(lambda: spread(CALLS, bench.ours))
    ledger_s, ledger_p99 = bench.ledger(number)
    floor_chunk_s, _ = measured(lambda: spread(STREAMS, bench.floor_stream))
    llm_chunk_s, _ = measured(lambda: spread(STREAMS, bench.our_stream))
    return {
        "floor ms a call": 1e3 * floor_s / CALLS,
        "LLM ms a call": 1e3 * llm_s / CALLS,
        "ledger ms a call": 1e3 * ledger_s / CALLS,
        "floor us a chunk": 1e6 * floor_chunk_s / STREAMS / CHUNKS,
        "LLM us a chunk": 1e6 * llm_chunk_s / STREAMS / CHUNKS,
        "floor p99 ms": 1e3 * floor_p99,
        "LLM p99 ms": 1e3 * llm_p99,
        "ledger p99 ms": 1e3 * ledger_p99,
        "LLM / floor": llm_s / floor_s,
        "ledger / floor": ledger_s / floor_s,
        "chunk: LLM / floor": llm_chunk_s / floor_chunk_s,
        "p99: ledger / floor": ledger_p99 / floor_p99,
    }


def main(rounds: int) -> int:
    """Measure, print and store; return 1 if a target was missed."""
    model = {"latency_s": 0.05}
    with (
        tempfile.TemporaryDirectory() as folder,
        FakeProviderProcess({"models": {"small": model}}) as fake,
    ):
        bench = Round(fake.url, Path(folder))
        one_round(bench, -1)  # connections, imports, the store
        found = [one_round(bench, number) for number in range(rounds)]
        _loop.run(bench.close())
        bench.space.close()
    medians = {name: round(statistics.median(r[name] for r in found), 3) for name in found[0]}
    missed = [name for name, most in TARGETS.items() if medians[name] > most]
    result = {
        "python": platform.python_version(),
        "rounds": rounds,
        "calls": CALLS,
        "in_flight": IN_FLIGHT,
        "medians": medians,
        "targets": TARGETS,
        "missed": missed,
    }
    text = json.dumps(result, indent=1)
    print(text)
    path = Path(__file__).parent / "results" / "client.json"
    path.write_text(text + "\n", encoding="utf-8")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
