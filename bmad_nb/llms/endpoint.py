"""One HTTP address with its key, its connections and its deadlines.

Nothing is imported or opened before the first call: httpx and its transport take 0.7 s to load.

Environment proxies (HTTPS_PROXY and its like) are honoured as httpx honours them, except for
loopback, where a proxy could only carry a local model's key and texts off the machine.
"""

from __future__ import annotations

import asyncio
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
    TimedOut,
)
from bmad_nb.llms.bodies import (
    Deadlines,
    Take,
    Unreadable,
    Watch,
    documents,
    read,
    streams,
)
from bmad_nb.llms.replies import said
from bmad_nb.llms.urls import check_base_url, is_loopback
from bmad_nb.llms.wires.base import Wire
from bmad_nb.secrets import Secret

if TYPE_CHECKING:
    import httpx

_AGENT = {"User-Agent": "bmad_nb", "Accept-Encoding": "gzip"}
MOST_URLS = 1000
"""Addresses that are kept parsed; one a model for Google's interface, else one an endpoint."""
IDLE_CONNECTION_S = 60.0
"""Seconds for which an unused connection is kept open."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back over HTTP, and not yet read as anything."""

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
        wire: how it writes; says which header carries the key.
        key: sent in that header and nowhere else; None sends no such header.
        deadlines: how long it may take.
        stream: ask for streams wherever an answer is wanted; False asks for none even where
            somebody watches, None only there.

    Raises:
        SettingsError: the base URL cannot be used.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        wire: Wire,
        key: Secret | None = None,
        *,
        deadlines: Deadlines | None = None,
        stream: bool | None = None,
    ) -> None:
        """Keep the settings; nothing is opened."""
        self.name, self.wire, self.stream = name, wire, stream
        self.base_url = check_base_url(base_url, allow_http=True)
        self.deadlines = deadlines or Deadlines()
        self._key = key
        self._clients: dict[asyncio.AbstractEventLoop, httpx.AsyncClient] = {}
        self._urls: dict[str, httpx.URL] = {}
        # below the whole deadline, so that a call which never connected is known as such
        connect_s = min(self.deadlines.connect_s, 0.9 * self.deadlines.total_s)
        self._timeout = {"connect": connect_s, "pool": connect_s, "read": None, "write": None}

    async def send(
        self,
        path: str,
        body: bytes | None,
        *,
        llm: str,
        idempotency_key: str = "",
        take: Take | None = None,
    ) -> Reply:
        """Send a JSON document and return the reply, whatever its status.

        Args:
            path: what follows the base URL, such as `/chat/completions`.
            body: the JSON document; None sends a GET without one.
            llm: id of the LLM, for the messages of errors.
            idempotency_key: lets a provider see that two requests are one call.
            take: given each document of a stream as it comes; the reply has no body then. A server
                that answers in one piece all the same fills the body.

        Raises:
            TimedOut: a deadline passed; the message says which.
            ConnectionFailed: no connection, or it broke; `billed` tells which.
            BadAnswer: the body is too large or its compression is broken.
        """
        kind = "application/json" if take is None else "text/event-stream, application/x-ndjson"
        headers = {**self.wire.headers, **_AGENT, "Accept": kind}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if idempotency_key:
            headers["Idempotency-Key"] = idempotency_key
        self._check_key(llm)
        problem: LLMError
        watch = Watch(self.deadlines)
        try:
            client = self._client()
            request = self._request(path, body, headers)
            async with asyncio.timeout(self.deadlines.total_s):
                return await self._exchange(client, request, watch, take)
        except TimeoutError:
            problem = TimedOut(
                f"{llm} {watch.passed()}.",
                llm=llm,
                hint="Raise its timeout, or ask for fewer tokens; the call may have been billed.",
                billed="maybe",
            )
        except Unreadable as error:
            problem = BadAnswer(f"{llm} sent {error}.", llm=llm, billed="maybe")
        except LLMError as error:  # from `take`
            problem = error
        except Exception as error:  # noqa: BLE001  (errors of three libraries come through here)
            problem = self._failure(error, llm)
        # raised out here, so that no httpx error, which carries the headers, stands in the context
        problem.__context__ = None
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

    def _request(self, path: str, body: bytes | None, headers: dict[str, str]) -> httpx.Request:
        """Return a request; not the client's, which parses the address anew each time."""
        import httpx

        url = self._urls.get(path)
        if url is None:
            url = httpx.URL(self.base_url + path)
            if len(self._urls) < MOST_URLS:
                self._urls[path] = url
        return httpx.Request(
            "GET" if body is None else "POST",
            url,
            headers=headers,
            content=body,
            extensions={"timeout": self._timeout},
        )

    async def _exchange(
        self, client: httpx.AsyncClient, request: httpx.Request, watch: Watch, take: Take | None
    ) -> Reply:
        watch.begin()
        head_s = None if take is None else self.deadlines.first_byte_s
        async with asyncio.timeout(head_s):
            response = await client.send(
                request, auth=self._sign, stream=True, follow_redirects=False
            )  # fmt: skip
        try:
            data = b""
            async with asyncio.timeout(None) as watch.idle:
                if take is not None and streams(response):
                    await documents(response, watch, take)
                else:
                    data = await read(response, watch)
        except TimeoutError:
            if not watch.drains:
                raise
        finally:
            await response.aclose()
        return Reply(response.status_code, response.headers, data, watch.elapsed_s())

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
        client = httpx_aiohttp.HttpxAiohttpClient(
            trust_env=not is_loopback(parts.hostname or ""),
            follow_redirects=False,
            # 0 is "no limit" to aiohttp: how many calls fly at once is decided before
            limits=httpx.Limits(max_connections=0, keepalive_expiry=IDLE_CONNECTION_S),
        )
        self._clients[loop] = client
        return client

    def _sign(self, request: httpx.Request) -> httpx.Request:
        if self._key is not None:
            name, prefix = self.wire.key_header
            request.headers[name] = prefix + self._key.reveal()
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
