"""How the tests of wire formats read and ask: one question, one answer, one stream."""

from __future__ import annotations

from typing import Any

from bmad_nb.errors import BadAnswer
from bmad_nb.llms.wires.base import Saying, Wire
from bmad_nb.messages import Completion, Image, Message, Request

PICTURE = Image("image/png", b"\x89PNG\r\n\x1a\nx")
TURNS = (
    Message("system", "Be brief."),
    Message("user", "Who?"),
    Message("assistant", "Me."),
    Message("user", "What is this?", (PICTURE,)),
)


def request(*turns: Message, schema: str = "", **params: Any) -> Request:
    """Return a request for model `m`."""
    messages = turns or (Message("user", "Why?"),)
    return Request("e/m", "e", "m", messages, 50, tuple(sorted(params.items())), schema=schema)


def whole(wire: Wire, payload: dict[str, Any]) -> Completion:
    """Read an answer that came in one piece."""
    saying = Saying("e/m")
    wire.read(payload, saying)
    return saying.completion(1.0)


def streamed(wire: Wire, *events: dict[str, Any]) -> Completion:
    """Read an answer event by event."""
    saying = Saying("e/m")
    for event in events:
        wire.read_event(event, saying)
    return saying.completion(1.0, 0.5)


def outcome(wire: Wire, payload: Any, *, stream: bool) -> Completion | BadAnswer:
    """Read any document; return the answer or the one error that there may be."""
    saying = Saying("e/m")
    try:
        (wire.read_event if stream else wire.read)(payload, saying)
        return saying.completion(1.0)
    except BadAnswer as error:
        return error
