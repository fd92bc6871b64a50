"""An LLM behind HTTP, whatever its wire format: one question out, one answer back."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from bmad_nb.errors import AuthenticationFailed, BadRequest, ConnectionFailed, LLMError, StreamCut
from bmad_nb.llms.base import Card
from bmad_nb.llms.endpoint import Endpoint, Reply
from bmad_nb.llms.replies import broken_json, error_in_payload, failure
from bmad_nb.llms.wires.base import Saying
from bmad_nb.messages import Completion, Request


class HttpLLM:
    """One model at an endpoint.

    Args:
        card: what the catalogue knows of it.
        endpoint: where it is asked, and in which format; several models share one.
    """

    def __init__(self, card: Card, endpoint: Endpoint) -> None:
        """Keep both; nothing is contacted."""
        self.card = card
        self.endpoint = endpoint

    async def complete(self, request: Request) -> Completion:
        """Answer `request`, as a stream where the endpoint is set to stream.

        Raises:
            LLMError: the call brought no usable answer; `billed` says whether it may have cost,
                `usage` and `text` hold what came before it failed.
        """
        if self.endpoint.stream:
            return await self._streamed(request, lambda _piece: None)
        return await self._in_one_piece(request)

    async def _in_one_piece(self, request: Request) -> Completion:
        saying = Saying(self.card.id)
        return self._whole(await self._send(request, saying, stream=False), saying)

    async def stream(self, request: Request, on_text: Callable[[str], None]) -> Completion:
        """Answer `request` piece by piece, unless the endpoint is set not to stream.

        Args:
            request: the question.
            on_text: told of each piece of text as it comes; must not block.

        Raises:
            StreamCut: it ended before it was whole.
            LLMError: as in `complete`.
        """
        if self.endpoint.stream is False:
            return await self._in_one_piece(request)
        return await self._streamed(request, on_text)

    async def _streamed(self, request: Request, on_text: Callable[[str], None]) -> Completion:
        saying = Saying(self.card.id)
        firsts: list[float] = []

        def take(document: str, elapsed_s: float) -> bool:
            told = len(saying.pieces)
            self._document(document, saying)
            for piece in saying.pieces[told:]:
                if piece:
                    on_text(piece)
            if saying.pieces and not firsts:
                firsts.append(elapsed_s)
            return saying.over

        try:
            reply = await self._send(request, saying, stream=True, take=take)
            if reply.body:
                return self._whole(reply, saying)
            if not saying.finish_reason:
                raise self._cut()
            return saying.completion(reply.latency_s, firsts[0] if firsts else None)
        except LLMError as error:
            begun = bool(saying.pieces or saying.counts)
            known = self._cut() if type(error) is ConnectionFailed and begun else error
            known.usage, known.text = saying.usage, saying.text
            problem = known
        raise problem  # out here, so that no broken document stands in the context

    async def aclose(self) -> None:
        """Close the connections of the endpoint, which other models may open again."""
        await self.endpoint.aclose()

    async def model_names(self) -> list[str]:
        """Return the models that the endpoint lists; a request that costs nothing.

        Raises:
            LLMError: it could not be asked.
        """
        reply = await self.endpoint.send(self.endpoint.wire.probe(), None, llm=self.card.id)
        return self.endpoint.wire.model_names(self._payload(reply))

    async def _send(
        self, request: Request, saying: Saying, *, stream: bool, take: Any = None
    ) -> Reply:
        if self.card.missing:
            raise AuthenticationFailed(
                f"{saying.llm} cannot be asked: {self.card.missing}",
                llm=saying.llm,
                hint=self.card.remedy,
            )
        wire = self.endpoint.wire
        try:
            body = json.dumps(wire.body(request, stream=stream), allow_nan=False).encode("ascii")
        except ValueError:
            raise BadRequest(
                f"{saying.llm} cannot be asked with a number that is infinite or not a number.",
                llm=saying.llm,
            ) from None
        return await self.endpoint.send(
            wire.path(request, stream=stream),
            body,
            llm=saying.llm,
            idempotency_key=request.idempotency_key,
            take=take,
        )

    def _whole(self, reply: Reply, saying: Saying) -> Completion:
        """Return the answer of a reply that came in one piece."""
        payload = self._payload(reply)
        if not isinstance(payload, dict):
            raise saying.bad("JSON that is no object")
        self.endpoint.wire.read(payload, saying)
        return saying.completion(reply.latency_s)

    def _payload(self, reply: Reply) -> object:
        """Return the document of a reply.

        Raises:
            LLMError: its status, its body or its content says that there is none.
        """
        if not 200 <= reply.status < 300:
            raise failure(
                reply.status, reply.headers, reply.body, self.card.id, self.endpoint.name
            )  # fmt: skip
        return self._loaded(reply.body)

    def _document(self, document: str, saying: Saying) -> None:
        """Take one document of a stream."""
        if document.strip() == "[DONE]":
            saying.over = True
            return
        payload = self._loaded(document.encode("utf-8", "surrogatepass"))
        if isinstance(payload, dict):
            self.endpoint.wire.read_event(payload, saying)

    def _loaded(self, body: bytes) -> object:
        problem: LLMError | None = None
        payload: object = None
        try:
            payload = json.loads(body.decode())
        except (ValueError, RecursionError) as error:
            problem = broken_json(error, body, self.card.id)
        # out here the broken body does not stand in the context of what is raised
        problem = problem or error_in_payload(payload, self.card.id, self.endpoint.name)
        if problem is not None:
            raise problem
        return payload

    def _cut(self) -> StreamCut:
        return StreamCut(
            f"The stream of {self.card.id} ended before the answer was whole.",
            llm=self.card.id,
            hint="What came is kept with the failed call; it may have been billed.",
            billed="maybe",
        )
