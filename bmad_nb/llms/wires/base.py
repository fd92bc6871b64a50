"""What every wire format does, and what an answer said so far: no I/O here or in its members."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from bmad_nb.errors import BadAnswer, BadRequest, Refused, Truncated
from bmad_nb.llms.replies import said
from bmad_nb.messages import Completion, Image, Message, Request, Token, Usage

MOST_COUNT = 10**12
"""A larger count of tokens is nonsense, and would not fit the store's integers."""


_REFUSALS = {"content_filter", "refusal"}


@dataclass(slots=True)
class Saying:
    """What an answer has said so far: filled by one document, or by the events of a stream."""

    llm: str
    """Id of the LLM, for messages."""
    pieces: list[str] = field(default_factory=list)
    finish_reason: str = ""
    """Empty until the answer said why it ended."""
    counts: dict[str, int] = field(default_factory=dict)
    """Fields of `Usage` by name, as far as the provider counted."""
    model: str = ""
    refusal: str = ""
    """The provider's words where it refused."""
    called_tool: bool = False
    tokens: list[Token] = field(default_factory=list)
    over: bool = False
    """True once nothing more is to come."""

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self.pieces)

    @property
    def usage(self) -> Usage:
        """The tokens as far as they were counted."""
        return Usage(**self.counts)

    def count(self, fields: object, **names: str) -> None:
        """Keep counts that a document gives; what cannot be one is left out."""
        if isinstance(fields, dict):
            for name, theirs in names.items():
                value = fields.get(theirs)
                if isinstance(value, bool) or not isinstance(value, int):
                    continue
                if 0 <= value <= MOST_COUNT:
                    self.counts[name] = value

    def say(self, piece: object) -> None:
        """Add a piece of text.

        Raises:
            BadAnswer: it is none.
        """
        if not isinstance(piece, str):
            raise self.bad("content of a wrong type")
        self.pieces.append(piece)

    def end(self, reason: object, ours: Mapping[str, str]) -> None:
        """Keep why the answer ended, in our words where we have one."""
        if isinstance(reason, str) and reason:
            self.finish_reason = ours.get(reason, reason)

    def bad(self, what: str, *, hint: str = "") -> BadAnswer:
        """Return the error that an answer cannot be used."""
        return BadAnswer(f"{self.llm} sent {what}.", llm=self.llm, hint=hint, billed="maybe")

    def completion(self, latency_s: float, first_token_s: float | None = None) -> Completion:
        """Return the whole answer.

        Raises:
            BadAnswer: it holds no text; the message says what it holds instead.
        """
        text = self.text
        if not text.strip() or self.finish_reason in _REFUSALS:  # half a text is no answer either
            error = self._nothing_said()
            error.usage, error.text = self.usage, text
            raise error
        return Completion(
            text, self.usage, self.finish_reason or "stop", self.model, latency_s, first_token_s,
            tuple(self.tokens),
        )  # fmt: skip

    def _nothing_said(self) -> BadAnswer:
        llm = self.llm
        if self.refusal:
            what = f"{llm} refused to answer: {said(self.refusal)}"
            return Refused(what, llm=llm, hint="Ask another LLM, or ask otherwise.")
        if self.finish_reason in _REFUSALS:
            what = f"{llm} refused to answer: its filter held the answer back."
            return Refused(what, llm=llm, hint="Ask another LLM, or ask otherwise.")
        if self.finish_reason == "length":
            return Truncated(
                f"{llm} sent no text: all of max_tokens was used up before it said anything.",
                llm=llm,
                hint="Raise max_tokens: a model that reasons needs room before it answers.",
            )
        what = "a call of a tool and no text" if self.called_tool else "an empty answer"
        return BadAnswer(f"{llm} sent {what}.", llm=llm)


class Wire(Protocol):
    """One provider's way to write; pure."""

    key_header: ClassVar[tuple[str, str]]
    """Name of the header that carries the key, and what stands before the key in it."""
    headers: ClassVar[Mapping[str, str]]
    """Further headers of each request."""

    def path(self, request: Request, *, stream: bool) -> str:
        """Return what follows the base URL."""
        ...

    def body(self, request: Request, *, stream: bool) -> dict[str, Any]:
        """Return the document that asks `request`.

        Raises:
            BadRequest: this format cannot say a parameter of it.
        """
        ...

    def read(self, payload: dict[str, Any], saying: Saying) -> None:
        """Take a whole answer.

        Raises:
            BadAnswer: it is none.
        """
        ...

    def read_event(self, payload: dict[str, Any], saying: Saying) -> None:
        """Take one document of a stream; what it does not know does no harm.

        Raises:
            BadAnswer: it is broken.
        """
        ...

    def probe(self) -> str:
        """Return the path that lists models and costs nothing; used by `models check`."""
        ...

    def model_names(self, payload: object) -> list[str]:
        """Return the names in the answer to `probe`."""
        ...


def settings_of(request: Request, known: Mapping[str, str], wire: str) -> dict[str, Any]:
    """Return the parameters of a request under a format's own names.

    Args:
        request: the request.
        known: our names and the format's.
        wire: the format's name, for the message.

    Raises:
        BadRequest: the format has no such parameter.
    """
    for name, _ in request.params:
        if name not in known:
            raise BadRequest(
                f"{request.llm} cannot be asked with {name!r}: {wire} has no such parameter.",
                llm=request.llm,
                hint=f"It takes {', '.join(sorted(known))}.",
            )
    return {known[name]: value for name, value in request.params}


def split_system(messages: tuple[Message, ...]) -> tuple[str, list[Message]]:
    """Return the system text and the other turns, for formats that keep them apart."""
    system = "\n\n".join(m.text for m in messages if m.role == "system")
    return system, [m for m in messages if m.role != "system"]


def base64_of(image: Image) -> str:
    """Return a picture's bytes in base64."""
    return base64.b64encode(image.data).decode("ascii")


def schema_of(request: Request) -> Any:
    """Return the JSON Schema that the answer must match, or None."""
    return json.loads(request.schema) if request.schema else None


def list_in(value: object, name: str) -> list[Any]:
    """Return a field's list, or an empty one where it has none."""
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, list) else []


def dict_in(value: object, name: str) -> dict[str, Any]:
    """Return a field's object, or an empty one where it has none."""
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def names_in(payload: object, listed: str, name: str) -> list[str]:
    """Return the models' names out of a list of objects."""
    found = (each.get(name) for each in list_in(payload, listed) if isinstance(each, dict))
    return [each for each in found if isinstance(each, str)]
