"""The protocol that every LLM follows, and the card that says what is known about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from bmad_nb.messages import Completion, Price, Request


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast an endpoint lets itself be asked; None is not declared, and is found out."""

    rpm: float | None = None
    """Requests a minute."""
    tpm: float | None = None
    """Tokens of input and output a minute."""
    in_flight: int | None = None
    """Calls at a time."""


@dataclass(frozen=True, slots=True)
class Card:
    """What the catalogue knows of an LLM, before any call."""

    id: str
    """`endpoint/name`."""
    identity: str
    """What really answers: the endpoint's URL, or the weights' hash; part of a request's key."""
    model: str
    """The model's name at its endpoint."""
    price: Price | None = None
    """List price; None is unknown, never free."""
    context_tokens: int | None = None
    """Tokens that prompt and answer may have together; None is unknown."""
    default_max_tokens: int = 1024
    """Most tokens of an answer when the caller names no number."""
    capabilities: tuple[tuple[str, float], ...] = ()
    """Declared skill in [0, 1] by name, such as `("math", 0.9)`."""
    sees_images: bool | None = None
    """Whether it takes pictures; None is unknown, and it is asked."""
    pace: Pace | None = None
    """Limits of its endpoint; None where it needs no pacing, as what runs in this process."""
    simulated: bool = False
    """True for a member of the simulated fleet: its answers, prices and times are invented."""
    runs_here: bool = False
    """True where the model runs on this machine and no text leaves it."""
    missing: str = ""
    """What is missing before it can be asked, such as a key; empty when it is ready."""
    remedy: str = ""
    """What to do about `missing`."""
    tags: tuple[str, ...] = field(default=())
    """Short words for tables, such as the licence."""


@runtime_checkable
class LLM(Protocol):
    """Something that answers a request.

    `complete` runs on the engine's own event loop. It raises `LLMError` for every failure of the
    other end, and lets `asyncio.CancelledError` through after it has stopped the call.
    """

    card: Card

    async def complete(self, request: Request) -> Completion:
        """Answer `request`.

        Raises:
            LLMError: the call brought no usable answer.
        """
        ...

    async def aclose(self) -> None:
        """Give back connections and processes; may be called more than once."""
        ...
