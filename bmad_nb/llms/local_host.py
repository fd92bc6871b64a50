"""The process in which an embedded model runs; started by `bmad_nb.llms.local`, never by hand.

A process of its own, so that an illegal instruction or a lack of memory in native code cannot
take a notebook's kernel down. It is configured by one JSON line on stdin, for a key on the
command line or in the environment could be seen by others. On stdout it answers with one JSON
line, `{"url": …}` or `{"error": …}`, and later with one line for each line `count`. It ends when
stdin ends: the parent is gone then, however it went.

llama.cpp's server listens on a port that nobody is told; before it stands a gate that counts the
requests. They are counted here, where the work is done, so that "no call was made" rests on more
than the word of the client. Standard library and xllamacpp only: nothing of bmad_nb is imported.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import threading
import time
import urllib.parse
from typing import IO, Any, NoReturn

os.environ["OMP_WAIT_POLICY"] = "passive"  # before libgomp loads: spinning threads starve others

COUNTED = b"POST /v1/chat/completions"
MAX_HEAD_BYTES = 64 * 1024
CHUNK_BYTES = 64 * 1024


class Ledger:
    """Counts requests, and appends what happens to the file that BMAD_LOCAL_LOG names."""

    def __init__(self, path: str) -> None:
        """Write the line of this process's start; an empty path writes nothing."""
        self.requests = 0
        self._path = path
        self._append({"event": "start", "pid": os.getpid()})

    def count(self) -> None:
        """Count one request before it is worked on."""
        self.requests += 1
        self._append({"event": "request", "pid": os.getpid(), "count": self.requests})

    def _append(self, line: dict[str, object]) -> None:
        if not self._path:
            return
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        with contextlib.suppress(OSError):  # a full disk must not stop the answers
            descriptor = os.open(self._path, flags, 0o600)
            try:
                os.write(descriptor, json.dumps(line).encode() + b"\n")
            finally:
                os.close(descriptor)


class Gate:
    """Passes bytes to llama.cpp and back, counts requests, and hands a broken connection on.

    Args:
        host: where llama.cpp listens.
        port: its port.
        ledger: told of each request.
    """

    def __init__(self, host: str, port: int, ledger: Ledger) -> None:
        """Open nothing yet."""
        self._host, self._port, self._ledger = host, port, ledger
        self._open = 0
        self._quiet_since = time.monotonic()

    @property
    def idle_s(self) -> float:
        """Seconds since the last connection was closed; 0 while one is open."""
        return 0.0 if self._open else time.monotonic() - self._quiet_since

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until either side closes it; then close the other side too.

        llama.cpp stops computing when its side is closed.
        """
        self._open += 1
        try:
            with contextlib.suppress(OSError, asyncio.LimitOverrunError):
                inner_reader, inner_writer = await asyncio.open_connection(self._host, self._port)
                try:
                    await _first_of(
                        self._requests(reader, inner_writer), _copy(inner_reader, writer)
                    )
                finally:
                    inner_writer.close()
        finally:
            writer.close()
            self._open -= 1
            self._quiet_since = time.monotonic()

    async def _requests(self, reader: asyncio.StreamReader, inner: asyncio.StreamWriter) -> None:
        """Pass requests on, head by head, until the client closes or says no plain length."""
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                return
            length = body_length(head)
            if length is None:
                return
            if head.startswith(COUNTED):
                self._ledger.count()
            inner.write(head)
            while length:
                chunk = await reader.read(min(length, CHUNK_BYTES))
                if not chunk:
                    return
                inner.write(chunk)
                await inner.drain()
                length -= len(chunk)


def body_length(head: bytes) -> int | None:
    """Return how many bytes follow the head of a request; None if it does not say so plainly."""
    lengths: list[bytes] = []
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"transfer-encoding":
            return None
        if name.strip().lower() == b"content-length":
            lengths.append(value.strip())
    if not lengths:
        return 0
    return int(lengths[0]) if len(lengths) == 1 and lengths[0].isdigit() else None


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(CHUNK_BYTES):
        writer.write(chunk)
        await writer.drain()


async def _first_of(*ways: Any) -> None:
    """Run until one of the coroutines ends, then break the others off."""
    tasks = [asyncio.ensure_future(way) for way in ways]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def start_server(config: dict[str, Any]) -> Any:
    """Load the weights and return xllamacpp's server, which already listens.

    Raises:
        Exception: whatever xllamacpp raises for weights that it cannot load.
    """
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = config["weights"]
    params.model_alias = {config["model"]}  # else every answer names the path of the weights
    params.n_parallel = config["slots"]
    params.n_ctx = config["slots"] * config["context_tokens"]
    params.fit_params = False  # n_ctx as it is asked for, not as it would fit
    params.n_gpu_layers = 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = config["threads"]
    params.cache_ram_mib = 0  # the default keeps up to 8 GiB of old prompts
    params.api_keys = [config["key"]]
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.ui = params.endpoint_slots = params.endpoint_metrics = False
    params.offline = True
    params.verbosity = 3 if config["verbose"] else 1
    return xllamacpp.Server(params)


async def serve(config: dict[str, Any], answers: IO[str], ledger: Ledger) -> NoReturn:
    """Load, say where, and serve until the process is idle for too long or its parent is gone."""
    parent = os.getppid()
    try:
        started = time.perf_counter()
        server = start_server(config)
        load_s = time.perf_counter() - started
    except Exception as error:  # noqa: BLE001  (native code; the parent makes a sentence of it)
        tell(answers, {"error": str(error) or type(error).__name__})
        os._exit(1)
    inner = urllib.parse.urlsplit(server.listening_address)
    gate = Gate(inner.hostname or "127.0.0.1", inner.port or 0, ledger)
    listener = await asyncio.start_server(gate.pass_on, "127.0.0.1", 0, limit=MAX_HEAD_BYTES)
    port = listener.sockets[0].getsockname()[1]
    tell(answers, {"url": f"http://127.0.0.1:{port}/v1", "load_s": round(load_s, 3)})
    while gate.idle_s < config["idle_s"] and os.getppid() == parent:  # noqa: ASYNC110  (no event)
        await asyncio.sleep(min(1.0, config["idle_s"] / 4))
    os._exit(0)


def tell(answers: IO[str], line: dict[str, object]) -> None:
    """Write one JSON line to the parent."""
    with contextlib.suppress(OSError):
        answers.write(json.dumps(line) + "\n")
        answers.flush()


def obey(answers: IO[str], ledger: Ledger) -> NoReturn:
    """Answer the parent's lines; end the process when there can be no more."""
    for line in sys.stdin:
        if line.strip() == "count":
            tell(answers, {"requests": ledger.requests})
    os._exit(0)


def main() -> None:
    """Run as the child process."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # native code that prints would break the lines of JSON
    first = sys.stdin.readline()
    if not first:
        return
    ledger = Ledger(os.environ.get("BMAD_LOCAL_LOG", ""))
    threading.Thread(target=obey, args=(answers, ledger), daemon=True).start()
    asyncio.run(serve(json.loads(first), answers, ledger))


if __name__ == "__main__":
    main()
