"""LLMs behind the OpenAI wire format: hosted ones, and servers on one's own machine.

An `Endpoint` owns the connections, an `OpenAILLM` is one model there. Nothing is imported or
opened before the first call: httpx and its transport take 0.7 s to load.

Environment proxies (HTTPS_PROXY and its like) are honoured as httpx honours them, except for
loopback, where a proxy could only carry a local model's key and texts off the machine.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import time
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bmad_nb.errors import (
    AuthenticationFailed,
    BadAnswer,
    BadRequest,
    ConnectionFailed,
    LLMError,
    SettingsError,
    TimedOut,
)
from bmad_nb.llms._openai_replies import (
    broken_json,
    error_in_payload,
    failure,
    parse_completion,
    said,
)
from bmad_nb.llms.base import Card
from bmad_nb.messages import Completion, Request
from bmad_nb.secrets import Secret

if TYPE_CHECKING:
    import httpx

__all__ = ["Endpoint", "OpenAILLM", "Reply", "check_base_url", "parse_completion"]

MAX_BODY_BYTES = 32 * 1024 * 1024
"""Most bytes of an answer, counted after decompression."""
MAX_ERROR_BYTES = 64 * 1024
"""Bytes that are read of an answer that is an error; the rest is dropped."""
CONNECT_TIMEOUT_S = 15.0
"""Most seconds for DNS, TCP and TLS together."""
IDLE_CONNECTION_S = 60.0
"""Seconds for which an unused connection is kept open."""

# brotli and zstd reach far higher ratios per 16 KiB chunk than gzip's thousand
_ENCODINGS = {"", "identity", "gzip", "deflate"}


def check_base_url(url: str, *, allow_http: bool = False) -> str:
    """Return an endpoint's base URL without its last slash.

    Args:
        url: such as `https://api.openai.com/v1`.
        allow_http: permit plain http to other machines than this one.

    Raises:
        SettingsError: the URL cannot be used, or a key would travel in clear text.

    >>> check_base_url("http://127.0.0.1:8000/v1/")
    'http://127.0.0.1:8000/v1'
    """
    hint = "Write it like https://api.example.com/v1."
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise SettingsError("A base_url has characters that a URL cannot have.", hint=hint)
    try:
        parts = urllib.parse.urlsplit(url)
        host = parts.hostname
        port = parts.port
    except ValueError:
        raise SettingsError("A base_url is not a URL.", hint=hint) from None
    if parts.scheme not in {"http", "https"} or not host or port == 0:
        raise SettingsError("A base_url needs http:// or https:// and a host.", hint=hint)
    if "@" in parts.netloc:  # not repeated in the message: what stands before @ may be a key
        raise SettingsError(
            "A base_url holds a user name or password.",
            hint='Take it out and give the key by reference: api_key = "env:NAME".',
        )
    if "?" in url or "#" in url:
        raise SettingsError(
            f"The base_url of host {host} has a query or a fragment.",
            hint='Take it out; a key is given by reference: api_key = "env:NAME".',
        )
    if parts.scheme == "http" and not allow_http and not _is_loopback(host):
        raise SettingsError(
            f"The base_url of host {host} is plain http, so its key could be read on the way.",
            hint="Use https, or set allow_http = true for this endpoint.",
        )
    return url.rstrip("/")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back over HTTP, whole and not yet read as anything."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    """Header names are found in any case."""
    body: bytes = field(repr=False)  # a provider may repeat the key in it
    latency_s: float
    """Seconds from sending the request to the last byte."""


class Endpoint:
    """One base URL with its key and its open connections, shared by all of its models.

    Args:
        name: the first part of its LLMs' ids, as it is shown in messages.
        base_url: as `check_base_url` returned it; plain http is the caller's decision.
        key: sent in the Authorization header and nowhere else; None sends no such header.
        timeout_s: most seconds for one call, from its start to the last byte.
        max_tokens_field: how this endpoint calls the limit on an answer's tokens.

    Raises:
        SettingsError: the base URL cannot be used.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        key: Secret | None = None,
        *,
        timeout_s: float = 300.0,
        max_tokens_field: str = "max_tokens",
    ) -> None:
        """Keep the settings; nothing is opened."""
        self.name = name
        self.base_url = check_base_url(base_url, allow_http=True)
        self.timeout_s = timeout_s
        self.max_tokens_field = max_tokens_field
        self._key = key
        self._clients: dict[asyncio.AbstractEventLoop, httpx.AsyncClient] = {}

    async def post(self, path: str, body: bytes, *, llm: str, idempotency_key: str = "") -> Reply:
        """Send a JSON document and return the reply, whatever its status.

        Args:
            path: what follows the base URL, such as `/chat/completions`.
            body: the JSON document.
            llm: id of the LLM, for the messages of errors.
            idempotency_key: lets a provider see that two requests are one call.

        Raises:
            TimedOut: no whole reply within `timeout_s`.
            ConnectionFailed: no connection, or it broke; `billed` tells which.
            BadAnswer: the body is too large or its compression is broken.
        """
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
        }
        if idempotency_key:
            headers["Idempotency-Key"] = idempotency_key
        self._check_key(llm)
        problem: LLMError
        try:
            client = self._client()
            async with asyncio.timeout(self.timeout_s):
                return await self._exchange(client, path, body, headers)
        except TimeoutError:
            problem = TimedOut(
                f"{llm} gave no whole answer within {self.timeout_s:g} s.",
                llm=llm,
                hint="Raise default_timeout_s under [engine], or ask for fewer tokens.",
                billed="maybe",
            )
        except _Unreadable as error:
            problem = BadAnswer(f"{llm} sent {error}.", llm=llm, billed="maybe")
        except Exception as error:  # noqa: BLE001  (errors of three libraries come through here)
            problem = self._failure(error, llm)
        # raised out here, so that no httpx error, which carries the headers, stands in the context
        raise problem

    async def aclose(self) -> None:
        """Close all connections; the endpoint opens new ones when it is asked again."""
        here = asyncio.get_running_loop()
        while self._clients:
            loop, client = self._clients.popitem()
            if loop is here:
                await client.aclose()
            elif loop.is_running():
                closing = asyncio.run_coroutine_threadsafe(client.aclose(), loop)
                await asyncio.wrap_future(closing)

    async def _exchange(
        self, client: httpx.AsyncClient, path: str, body: bytes, headers: dict[str, str]
    ) -> Reply:
        started = time.perf_counter()
        request = client.build_request("POST", self.base_url + path, content=body, headers=headers)
        response = await client.send(
            request, auth=self._sign, stream=True, follow_redirects=False
        )  # fmt: skip
        try:
            data = await _read(response)
        finally:
            await response.aclose()
        latency_s = time.perf_counter() - started
        return Reply(response.status_code, response.headers, data, latency_s)

    def _client(self) -> httpx.AsyncClient:
        """Return the client of the running loop; a new one costs 55 ms for TLS."""
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is not None:
            return client
        import httpx
        import httpx_aiohttp

        for dead in [each for each in self._clients if each.is_closed()]:
            del self._clients[dead]
        parts = urllib.parse.urlsplit(self.base_url)
        # below the whole deadline, so that a call which never connected is known as such
        connect_s = min(CONNECT_TIMEOUT_S, 0.9 * self.timeout_s)
        client = httpx_aiohttp.HttpxAiohttpClient(
            trust_env=not _is_loopback(parts.hostname or ""),
            follow_redirects=False,
            timeout=httpx.Timeout(None, connect=connect_s, pool=connect_s),
            # 0 is "no limit" to aiohttp: how many calls fly at once is the engine's decision
            limits=httpx.Limits(max_connections=0, keepalive_expiry=IDLE_CONNECTION_S),
        )
        self._clients[loop] = client
        return client

    def _sign(self, request: httpx.Request) -> httpx.Request:
        if self._key is not None:
            request.headers["Authorization"] = f"Bearer {self._key.reveal()}"
        return request

    def _check_key(self, llm: str) -> None:
        if self._key is not None and not _fits_header(self._key):
            raise AuthenticationFailed(
                f"The key of endpoint {self.name!r} has characters that no header can carry.",
                llm=llm,
                hint="Set its environment variable again, without line breaks and spaces.",
            )

    def _failure(self, error: Exception, llm: str) -> LLMError:
        """Return what an error of httpx, aiohttp or the system means."""
        import aiohttp
        import httpx

        host = urllib.parse.urlsplit(self.base_url).netloc
        detail = said(str(error)) or type(error).__name__
        if isinstance(error, httpx.DecodingError):
            return BadAnswer(f"{llm} sent a body that cannot be unpacked.", llm=llm, billed="maybe")
        if isinstance(error, httpx.RemoteProtocolError):  # only httpx's own redirect code has it
            return BadRequest(
                f"{llm} was redirected by {host} to an address that cannot be read.",
                llm=llm,
                hint="Redirects are never followed; correct the endpoint's base_url.",
            )
        before_sending = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
        if isinstance(error.__cause__, before_sending) or isinstance(error, before_sending):
            return ConnectionFailed(
                f"{llm} could not be reached at {host}: {detail}",
                llm=llm,
                hint="Check the endpoint's base_url and the network; nothing was sent.",
                billed="no",
            )
        if isinstance(error, OSError):  # httpx wraps those of a call; this one made no client
            return ConnectionFailed(
                f"{llm} cannot be reached, for TLS cannot be set up here: {detail}",
                llm=llm,
                hint="Check SSL_CERT_FILE and SSL_CERT_DIR.",
                billed="no",
            )
        return ConnectionFailed(
            f"The connection of {llm} to {host} broke before the answer was whole: {detail}",
            llm=llm,
            hint="The call may have been billed.",
            billed="maybe",
        )


def _fits_header(key: Secret) -> bool:
    """Tell whether a header can carry the key; here, so that no raising frame holds its text."""
    text = key.reveal()
    return text.isascii() and text.isprintable() and " " not in text


class _Unreadable(Exception):
    """A body is too large, or packed in a way that is not read."""


async def _read(response: httpx.Response) -> bytes:
    """Return the body; of an error only its beginning, even where it breaks off."""
    failed = response.status_code >= 300
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if encoding not in _ENCODINGS:
        if failed:
            return b""
        raise _Unreadable(f"a body packed as {said(encoding)!r}, which was not asked for")
    limit = MAX_ERROR_BYTES if failed else MAX_BODY_BYTES
    parts: list[bytes] = []
    size = 0
    try:
        async for part in response.aiter_bytes():
            parts.append(part)
            size += len(part)
            if size > limit:
                break
    except Exception:
        if not failed:
            raise
    if size > limit and not failed:
        raise _Unreadable(f"more than {limit // 2**20} MiB; the rest was not read")
    return b"".join(parts)[:limit]


_OWN_FIELDS = frozenset({"model", "messages", "stream", "n"})


class OpenAILLM:
    """One model at an endpoint that speaks OpenAI's chat completions.

    Args:
        card: what the catalogue knows of it.
        endpoint: where it is asked; several models share one.
    """

    def __init__(self, card: Card, endpoint: Endpoint) -> None:
        """Keep both; nothing is contacted."""
        self.card = card
        self.endpoint = endpoint

    async def complete(self, request: Request) -> Completion:
        """Answer `request` in one piece.

        Raises:
            LLMError: the call brought no usable answer; `billed` says whether it may have cost.
        """
        llm = self.card.id
        if self.card.missing:
            raise AuthenticationFailed(
                f"{llm} cannot be asked: {self.card.missing}", llm=llm, hint=self.card.remedy
            )
        reply = await self.endpoint.post(
            "/chat/completions",
            self._body(request),
            llm=llm,
            idempotency_key=request.idempotency_key,
        )
        if not 200 <= reply.status < 300:
            raise failure(reply.status, reply.headers, reply.body, llm, self.endpoint.name)
        problem: LLMError | None = None
        try:
            payload: object = json.loads(reply.body.decode())
        except (ValueError, RecursionError) as error:
            problem = broken_json(error, reply.body, llm)
        # out here the broken body does not stand in the context of what is raised
        problem = problem or error_in_payload(payload, llm, self.endpoint.name)
        if problem is not None:
            raise problem
        return parse_completion(payload, llm, reply.latency_s)

    async def aclose(self) -> None:
        """Close the connections of the endpoint, which other models may open again."""
        await self.endpoint.aclose()

    def _body(self, request: Request) -> bytes:
        fields: dict[str, object] = dict(request.params)
        taken = sorted((_OWN_FIELDS | {self.endpoint.max_tokens_field}) & fields.keys())
        if taken:
            raise BadRequest(
                f"{self.card.id} cannot be asked with parameter {taken[0]!r}.",
                llm=self.card.id,
                hint="bmad_nb sets it itself; use max_tokens= and samples= for length and number.",
            )
        fields["model"] = request.model
        fields["messages"] = [{"role": m.role, "content": m.text} for m in request.messages]
        fields[self.endpoint.max_tokens_field] = request.max_tokens
        try:
            return json.dumps(fields, allow_nan=False).encode("ascii")
        except ValueError:
            raise BadRequest(
                f"{self.card.id} cannot be asked with a number that is infinite or not a number.",
                llm=self.card.id,
            ) from None
