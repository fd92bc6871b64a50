"""What happens in a run, as plain data, and the one fold that turns it into the run's state.

The engine hands events to a journal; the store keeps them; everything that is shown is read from
there. An event is never changed once it is committed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, Protocol

from bmad_nb.errors import Billed
from bmad_nb.messages import Message

CallState = Literal["in_flight", "answered", "failed", "cancelled", "lost"]
"""`lost`: it was in flight when its process was killed, so it may have been billed."""

RunStatus = Literal["running", "completed", "paused", "cancelled", "failed", "interrupted"]
"""`interrupted`: it says running, but the process that ran it is gone."""


@dataclass(frozen=True, slots=True)
class CallRow:
    """All that is known of one LLM call; a row of the `calls` table."""

    call_id: str
    """`run_id` and a number within the run."""
    run_id: str
    llm: str
    """Id of the LLM, `endpoint/name`."""
    request_key: str
    """SHA-256 of the request: equal requests share one stored answer."""
    state: CallState
    model: str = ""
    """The model's name at its endpoint."""
    variant: str = ""
    """Setting in which the LLM was asked, such as `temperature=1`; empty for the plain one."""
    sample: int = 0
    """Number of the sample, from 0."""
    case: str = ""
    """Label of the case, which is the index in the DataFrame of `over=`; empty without one."""
    messages: tuple[Message, ...] = ()
    """The messages as sent."""
    max_tokens: int = 0
    """Most tokens that the answer was allowed to have."""
    text: str | None = None
    """The answer; None until there is one."""
    finish_reason: str = ""
    """`stop`, `length` (cut at `max_tokens`), or the provider's own word."""
    error: str = ""
    """What went wrong, one sentence; empty if nothing did."""
    error_kind: str = ""
    """Class name of the error, such as `RateLimited`."""
    error_hint: str = ""
    """What to do about the error."""
    score: float | None = None
    """Score in [0, 1]; None if nothing scored it."""
    scorer: str = ""
    """What scored it, such as `exact`."""
    reference: str | None = None
    """The right answer that the score was measured against."""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_input_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost_usd: Decimal | None = None
    """US dollars that this row cost: 0 from the store, None where no price is known."""
    original_cost_usd: Decimal | None = None
    """US dollars that the answer cost when it was made."""
    reserved_usd: Decimal | None = None
    """US dollars held back before the call: its worst case."""
    latency_s: float | None = None
    """Seconds that this row took; 0 for an answer from the store."""
    original_latency_s: float | None = None
    """Seconds that the answer took when it was made."""
    first_token_s: float | None = None
    """Seconds to the first token when the answer was made; None where it came in one piece."""
    price_source: str = ""
    """Where the price comes from; empty where none is known."""
    price_as_of: str = ""
    """ISO date of the price."""
    billed: Billed = "no"
    """Whether the provider charged for it: `maybe` where the call did not end in an answer."""
    from_store: bool = False
    """True where an earlier run's answer was used and no call was made."""
    simulated: bool = False
    """True where the LLM is simulated: answer, price and time are invented."""
    runs_here: bool = False
    """True where the model runs on this machine."""
    started_utc: str = ""
    """ISO time at which the call was written down, just before it was sent."""
    ended_utc: str = ""
    """ISO time at which its outcome was written down."""

    @property
    def label(self) -> str:
        """The LLM with its setting and, beyond the first, its sample: one column."""
        variant = f"?{self.variant}" if self.variant else ""
        sample = f" #{self.sample + 1}" if self.sample else ""
        return f"{self.llm}{variant}{sample}"


@dataclass(frozen=True, slots=True)
class RunRow:
    """All that is known of one run; a row of the `runs` table."""

    run_id: str
    verb: str
    """What was run: `ask` or `compare`."""
    status: RunStatus
    title: str = ""
    """First line of the prompt, cut short."""
    key: str = ""
    """SHA-256 of the verb and all its requests: the same cell has the same key."""
    reason: str = ""
    """Why it stopped: `user`, `limit`, or the class of an error."""
    budget_usd: Decimal | None = None
    """Limit in US dollars, if there was one."""
    started_utc: str = ""
    ended_utc: str = ""
    owner: str = ""
    """The process that runs it: boot id, pid and the time at which that process started."""


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run begins, or goes on after it was stopped."""

    run: RunRow
    kind: Literal["run_started"] = "run_started"


@dataclass(frozen=True, slots=True)
class CallIntended:
    """A call is about to be sent; its worst case is reserved."""

    call: CallRow
    kind: Literal["call_intended"] = "call_intended"


@dataclass(frozen=True, slots=True)
class CallEnded:
    """A call has an outcome: an answer, an error, or that it was broken off."""

    call: CallRow
    kind: Literal["call_ended"] = "call_ended"


@dataclass(frozen=True, slots=True)
class RunEnded:
    """A run has stopped, for good or until it is resumed."""

    run_id: str
    status: RunStatus
    reason: str = ""
    kind: Literal["run_ended"] = "run_ended"


Event = RunStarted | CallIntended | CallEnded | RunEnded


class Journal(Protocol):
    """Where the engine writes down what happens, before anybody acts on it."""

    async def commit(self, *events: Event) -> None:
        """Return once the events are durable against kill -9.

        Raises:
            StoreError: they could not be written; nothing of them was.
        """
        ...

    def stored(self, request_key: str) -> CallRow | None:
        """Return the newest answered call with this key, or None."""
        ...


@dataclass(slots=True)
class RunState:
    """State of a run: what a fold over its events gives."""

    run: RunRow | None = None
    status: RunStatus = "running"
    calls: dict[str, CallRow] = field(default_factory=dict)

    @property
    def spent_usd(self) -> Decimal:
        """US dollars that are known to be spent, simulated money left out."""
        return sum(
            (c.cost_usd for c in self.calls.values() if c.cost_usd and not c.simulated),
            Decimal(0),
        )


def fold(events: Iterable[Event]) -> RunState:
    """Return the state of a run after `events`, in their order."""
    state = RunState()
    for event in events:
        if isinstance(event, RunStarted):
            state.run, state.status = event.run, "running"
        elif isinstance(event, CallIntended | CallEnded):
            state.calls[event.call.call_id] = event.call
        else:
            state.status = event.status
    return state
