"""LLMs that run on this machine, without a key: small open weights in a child process.

The child (`local_host.py`) starts with the first call, is shared by all workspaces of the process,
and ends with it, after ten idle minutes, or when unused. If it dies, the next call starts another.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import dataclasses
import importlib.util
import json
import os
import platform
import secrets
import select
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from concurrent.futures import Future
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from bmad_nb.errors import ConnectionFailed, LLMError, LocalModelUnavailable
from bmad_nb.llms.base import Card
from bmad_nb.llms.weights import EmbeddedModel, Progress, install, model_of
from bmad_nb.messages import FREE, Completion, Request
from bmad_nb.secrets import Secret

if TYPE_CHECKING:
    from bmad_nb.llms.http import HttpLLM

SLOTS = 4
"""Requests that are worked on at the same time; more of them queue in the child."""
IDLE_S = 600.0
"""Seconds without a connection after which the child ends."""
START_TIMEOUT_S = 120.0
"""Most seconds for loading the weights."""
CALL_TIMEOUT_S = 3600.0
"""Most seconds for one call; large, for calls queue in the child and the engine has its own."""
DEFAULT_SEED = 1
"""Seed of the first sample where the caller gives none."""
DEFAULT_MAX_TOKENS = 128

_WITHOUT = "The simulated fleet, such as sim/careful, works without it."


def unavailable() -> tuple[str, str]:
    """Return why an embedded model cannot run here and what to do; both empty if it can."""
    machine = platform.machine().lower()
    if importlib.util.find_spec("xllamacpp") is None:
        if machine not in {"x86_64", "amd64", "aarch64", "arm64"}:
            return f"xllamacpp, which runs the model, has no build for {machine}", _WITHOUT
        return (
            "the package xllamacpp, which runs the model, is not installed",
            f'Run: pip install "bmad-nb[local]". {_WITHOUT}',
        )
    if sys.platform == "linux" and machine in {"x86_64", "amd64"} and not _has_avx2():
        return "this machine's processor lacks AVX2, which xllamacpp needs", _WITHOUT
    return "", ""


def _has_avx2() -> bool:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return True  # unknown; a child that cannot run will say so
    return " avx2 " in text.replace("\n", " ")


class LocalLLM:
    """One embedded model; nothing is fetched or started before the first call.

    Args:
        name: a name of `weights.models()`.
        progress: told in one line what a slow first step is doing; called from other threads.
        threads: threads that compute; two on a busy two-core machine are slower than one.

    Raises:
        UnknownName: there is no such model.
    """

    def __init__(
        self, name: str = "smollm2-135m", progress: Progress | None = None, *, threads: int = 1
    ) -> None:
        """Look the model up and say whether it can run here."""
        self._model = model_of(name)
        self._progress = progress
        self._threads = threads
        self._asked: tuple[_Child, HttpLLM] | None = None
        missing, remedy = unavailable()
        self.card = Card(
            id=f"local/{name}",
            identity=f"sha256:{self._model.sha256}",
            model=name,
            price=FREE,
            context_tokens=self._model.context_tokens,
            default_max_tokens=DEFAULT_MAX_TOKENS,
            capabilities=self._model.capabilities,
            sees_images=False,
            runs_here=True,
            missing=missing,
            remedy=remedy,
            tags=(self._model.licence,),
        )

    async def complete(self, request: Request) -> Completion:
        """Answer `request`; the first call may fetch the weights and starts the child.

        The same seed gives the same text. Without one the seed is fixed, and each sample adds its
        number: samples differ, and come again. `latency_s` leaves the start of the child out.

        Raises:
            LocalModelUnavailable: the model cannot run here, or its weights cannot be had.
            LLMError: the call brought no usable answer.
        """
        return await self.stream(request)

    async def stream(self, request: Request, on_text: Any = None) -> Completion:
        """Answer `request` as `complete` does, piece by piece where somebody hears them."""
        if self.card.missing:
            raise LocalModelUnavailable(
                f"{self.card.id} cannot run here: {self.card.missing}.",
                llm=self.card.id,
                hint=self.card.remedy,
            )
        seed = dict(request.params).get("seed", DEFAULT_SEED)
        if isinstance(seed, int):  # llama.cpp takes -1 for "any"
            own = {**dict(request.params), "seed": (seed + request.sample) % 2**31}
            request = dataclasses.replace(request, params=tuple(sorted(own.items())))
        llm, child = await self._client()
        try:
            return await (llm.stream(request, on_text) if on_text else llm.complete(request))
        except ConnectionFailed:  # it was killed or went idle at this moment; asking again is free
            await asyncio.to_thread(child.ends_within, 0.5)
        llm, _ = await self._client()
        return await (llm.stream(request, on_text) if on_text else llm.complete(request))

    async def request_count(self) -> int | None:
        """Return how many requests the child has counted since it started; None without a child."""
        child = _host(self._model, self._threads).child
        if child is None or not child.lives():
            return None
        return await asyncio.to_thread(child.requests)

    async def aclose(self) -> None:
        """Close the connections, and end the child if no other LLM of this process uses it."""
        asked, self._asked = self._asked, None
        if asked is not None:
            await asked[1].aclose()
        host = _host(self._model, self._threads)
        host.users.discard(self)
        if not host.users:
            host.end()  # not in a thread: none can be started any more when the interpreter ends

    async def _client(self) -> tuple[HttpLLM, _Child]:
        host = _host(self._model, self._threads)
        host.users.add(self)
        try:
            child = await host.running(self._progress)
        except LLMError as error:
            error.llm = self.card.id
            raise
        asked = self._asked
        if asked is not None and asked[0] is child:
            return asked[1], child
        from bmad_nb.llms.bodies import Deadlines
        from bmad_nb.llms.endpoint import Endpoint
        from bmad_nb.llms.http import HttpLLM
        from bmad_nb.llms.wires.openai import OpenAIWire

        deadlines = Deadlines(CALL_TIMEOUT_S, idle_s=CALL_TIMEOUT_S)
        endpoint = Endpoint("local", child.url, OpenAIWire(), child.key, deadlines=deadlines)
        llm = HttpLLM(self.card, endpoint)
        self._asked = (child, llm)
        if asked is not None:
            await asked[1].aclose()  # what is still in flight there fails and is asked again
        return llm, child


class _Host:
    """The child of one model in this process: started once, however many ask for it at once."""

    def __init__(self, model: EmbeddedModel, threads: int) -> None:
        self.child: _Child | None = None
        self.users: weakref.WeakSet[LocalLLM] = weakref.WeakSet()
        self._model, self._threads = model, threads
        self._lock = threading.Lock()
        self._starting: Future[_Child] | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._waiting = 0

    async def running(self, progress: Progress | None) -> _Child:
        """Return the living child, starting it if need be; works from any event loop."""
        with self._lock:
            if self.child is not None and self.child.lives():
                return self.child
            if self._starting is None:
                self._begin(progress)
            starting, stop = self._starting, self._stop
            self._waiting += 1
        assert starting is not None  # noqa: S101  (_begin has set it)
        try:
            return await asyncio.wrap_future(starting)
        finally:
            with self._lock:
                self._waiting -= 1
                if not self._waiting:  # all who waited are gone: what is not done yet is not wanted
                    stop.set()
                    if self._starting is starting:
                        self._starting = None

    def _begin(self, progress: Progress | None) -> None:
        self._starting = Future()
        self._starting.set_running_or_notify_cancel()  # one waiter's cancelling is not the others'
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._start, args=(self._starting, self._stop, progress), daemon=True
        )
        self._thread.start()

    def _start(
        self, starting: Future[_Child], stop: threading.Event, progress: Progress | None
    ) -> None:
        """Fetch the weights if they are missing and start the child; runs in a thread."""
        try:
            weights = install(self._model.name, progress, stop=stop)
            child = _Child(self._model, weights, self._threads, stop)
        except BaseException as error:  # noqa: BLE001  (whoever waits gets it)
            with self._lock:
                if self._starting is starting:
                    self._starting = None
            starting.set_exception(error)
            return
        with self._lock:
            if stop.is_set():
                old: _Child | None = child  # whoever waited has gone
            else:
                old, self.child, self._starting = self.child, child, None
        if old is not None:
            old.end()
        starting.set_result(child)

    def end(self) -> None:
        """End the child and whatever is starting; returns within a few seconds."""
        with self._lock:
            child, self.child = self.child, None
            self._stop.set()
            thread = self._thread
        if thread is not None:
            thread.join(timeout=3)
        if child is not None:
            child.end()


class _Child:
    """A running child process.

    Args:
        model: what it runs.
        weights: the file.
        threads: threads that compute.
        stop: when it is set, starting is broken off.

    Raises:
        LocalModelUnavailable: it did not come up.
    """

    def __init__(
        self, model: EmbeddedModel, weights: Path, threads: int, stop: threading.Event
    ) -> None:
        self.key = Secret(secrets.token_urlsafe(32))
        self._talk = threading.Lock()
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  (closed by end())
        verbose = bool(os.environ.get("BMAD_LOCAL_DEBUG"))
        # by its path and not by -m: found wherever this package is, and -P keeps the modules of
        # the working directory from standing in for those of the standard library
        self._process = subprocess.Popen(  # noqa: S603  (our own file)
            [sys.executable, "-P", str(Path(__file__).with_name("local_host.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if verbose else self._errors,
            start_new_session=True,  # an interrupt in the kernel must not end it
        )
        config = {
            "weights": str(weights),
            "model": model.name,
            "key": self.key.reveal(),
            "threads": threads,
            "slots": SLOTS,
            "context_tokens": model.context_tokens,
            "idle_s": IDLE_S,
            "verbose": verbose,
        }
        try:
            self._send(json.dumps(config))
            self.url = self._wait_for_url(model, stop)
            """Base URL, up to `/v1`."""
        except BaseException:
            self.end()
            raise

    def _wait_for_url(self, model: EmbeddedModel, stop: threading.Event) -> str:
        reply = self._reply(START_TIMEOUT_S, stop)
        if "url" in reply:
            return str(reply["url"])
        if stop.is_set():
            raise LocalModelUnavailable(f"The start of {model.name} was broken off.")
        raise self._did_not_start(model, str(reply.get("error", "")))

    def lives(self) -> bool:
        """Return whether the process still runs."""
        return self._process.poll() is None

    def ends_within(self, timeout_s: float) -> bool:
        """Wait for the process's end; its connections break a moment before it is seen as dead."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def requests(self) -> int | None:
        """Return how many requests the child has counted; None if it died meanwhile."""
        with self._talk:
            self._send("count")
            count = self._reply(10.0, threading.Event()).get("requests")
        return count if isinstance(count, int) else None

    def end(self) -> None:
        """End the process and close the pipes; may be called more than once."""
        for pipe in (self._process.stdin, self._process.stdout, self._errors):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        if not self.ends_within(0.5):
            self._process.kill()
            self._process.wait()

    def _send(self, line: str) -> None:
        pipe = self._process.stdin
        assert pipe is not None  # noqa: S101
        with contextlib.suppress(OSError, ValueError):  # it is gone; the missing reply says so
            pipe.write(line.encode() + b"\n")
            pipe.flush()

    def _reply(self, timeout_s: float, stop: threading.Event) -> dict[str, Any]:
        """Return the child's next line, or an empty dictionary if it ends or takes too long."""
        pipe = self._process.stdout
        assert pipe is not None  # noqa: S101
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and not stop.is_set():
            ready, _, _ = select.select([pipe], [], [], 0.1)
            if ready:
                line = pipe.readline()  # written in one piece
                found: dict[str, Any] = json.loads(line) if line.endswith(b"\n") else {}
                return found
        return {}

    def _did_not_start(self, model: EmbeddedModel, why: str) -> LocalModelUnavailable:
        code = self._process.returncode if self.ends_within(1.0) else None
        self._errors.seek(0)
        words = self._errors.read()[-2000:].decode("utf-8", "replace").strip().splitlines()
        if code is None:
            why = f"it was not ready after {START_TIMEOUT_S:.0f} s"
        elif code < 0:
            why = f"its process was ended by signal {-code}"
        detail = f" ({words[-1].strip()[:200]})" if words else ""
        return LocalModelUnavailable(
            f"The embedded model {model.name} did not start: {why or f'exit code {code}'}{detail}.",
            hint=f"Run: bmad doctor. {_WITHOUT}",
        )


_hosts: dict[tuple[int, str, int], _Host] = {}
_hosts_lock = threading.Lock()


def _host(model: EmbeddedModel, threads: int) -> _Host:
    """Return this process's host of a model; after a fork the new process has its own."""
    key = (os.getpid(), model.sha256, threads)
    with _hosts_lock:
        if not _hosts:
            atexit.register(_end_all)
        if key not in _hosts:
            _hosts[key] = _Host(model, threads)
        return _hosts[key]


def _end_all() -> None:
    for (pid, _, _), host in list(_hosts.items()):
        if pid == os.getpid():
            host.end()
