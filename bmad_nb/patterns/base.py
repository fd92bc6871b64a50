"""The protocol of patterns: what is asked for next, and what came of it.

A pattern is a generator. It yields parts that are to be done, all at a time, receives a reply for
each of them, and returns the outcome of the task. It knows no event loop, no money and no store,
so that a test of it is a table: given these replies, these next parts, this outcome.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from bmad_nb.errors import BmadError
from bmad_nb.events import TaskRow
from bmad_nb.messages import Message
from bmad_nb.outcome import TaskResult
from bmad_nb.plan import Step


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a task, with a durable outcome of its own."""

    name: str
    """What it is called behind the name of what it is a part of, such as `[3]`."""
    step: Step
    """What is to be done."""
    names: Mapping[str, Any] = field(default_factory=dict)
    """What its texts read besides what is read around it."""
    messages: tuple[Message, ...] = ()
    """What an LLM is asked; empty where the step's own texts say it."""
    sample: int = 0
    """Number of the sample: equal requests with other numbers are other requests."""
    pattern: Pattern | None = None
    """How it is done where it has parts itself."""


class Reply(NamedTuple):
    """What came of a part."""

    row: TaskRow
    result: TaskResult
    """What expressions read of it."""

    @property
    def is_done(self) -> bool:
        """Whether it has a result."""
        return self.row.state == "done"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a pattern makes of the replies."""

    value: Any = None
    taken: Reply | None = None
    """The part whose answer it is; its value, text and LLM are the outcome's."""
    is_own_value: bool = False
    """Whether `value` is the outcome's, although `taken` says who made it."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What else can be read of it by name."""
    error: BmadError | None = None
    """Why it failed; None if it did not."""


class Parts(NamedTuple):
    """Parts that may be done at the same time."""

    parts: Sequence[Part]
    at_once: int | None = None
    """Most of them at a time; None leaves it to the run."""


class Pattern(Protocol):
    """Begins the work on one task."""

    def __call__(self, names: Mapping[str, Any], /) -> Generator[Parts, Sequence[Reply], Outcome]:
        """Yield parts, receive their replies, return the outcome.

        Args:
            names: what the texts of the task can read.
        """
        ...


Working = Generator[Parts, Sequence[Reply], Outcome]
"""A pattern at work."""
