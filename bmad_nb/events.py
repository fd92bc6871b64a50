"""What happens in a run, as plain data.

The engine hands events to a journal; the store keeps them; everything that is shown is read from
there. An event is never changed once it is committed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, Protocol

from bmad_nb.errors import Billed
from bmad_nb.messages import Message, Token

CallState = Literal["in_flight", "answered", "failed", "cancelled", "lost"]
"""`lost`: it was in flight when its process was killed, so it may have been billed."""

TaskState = Literal["waiting", "running", "done", "failed", "skipped", "cancelled"]
"""`skipped` is no failure: its condition did not hold, or nothing that it needs was done."""

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
    """The answer, or what came of it before the call failed; None where nothing came."""
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
    task: str = ""
    """Task of a workflow that made the call; empty outside of workflows."""
    attempt: int = 1
    """Number of the call within its task, from 1: retries, repairs and fallbacks count on."""
    cache_write_tokens: int | None = None
    price: Any = None
    """The price that was used, as `Price.to_json` writes it; None where none is known."""
    waited_s: float | None = None
    """Seconds that it waited for its turn at its endpoint before it was sent."""
    tokens: tuple[Token, ...] = ()
    """Tokens of the answer with their log-probabilities, where they were asked for and given."""

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
    fence: int = 0
    """How often it was taken up; only the process that took it up last may write to it."""
    workflow: str = ""
    """Id of the workflow; empty for a cell of `ask` or `compare`."""
    definition: Any = None
    """The workflow as JSON values, so that another process can go on with it."""
    inputs: Any = None
    """Its inputs as JSON values."""
    options: Any = None
    """What else was asked of the run as JSON values, such as the strategy."""


@dataclass(frozen=True, slots=True)
class TaskRow:
    """The outcome of one task of a workflow, or of a part of one; a row of the `tasks` frame."""

    run_id: str
    task: str
    """Id of the task in its workflow. That of a part goes on: `each[3]` is an item of a map,
    `draft#2` a round of a refinement, `plan/draft` a task of a sub-workflow."""
    state: TaskState
    verb: str = ""
    """What kind of task: `prompt`, `messages`, `python` or `set`."""
    content: str = ""
    """SHA-256 over all that decides its result: its own fields and those of all above it."""
    value: Any = None
    """What it gave, as a JSON value: the output of a schema, of a function, of `set`."""
    facts: Any = None
    """What else can be read of it by name, as JSON values, such as its score."""
    call_id: str = ""
    """The call that answered; its text is the task's text."""
    llm: str = ""
    """Id of the LLM that answered."""
    attempts: int = 0
    """LLM calls or function calls that it took."""
    error: str = ""
    """What went wrong, one sentence."""
    error_kind: str = ""
    """Class name of the error."""
    error_hint: str = ""
    """What to do about the error."""
    skipped_because: str = ""
    """Why it did not run, one sentence."""
    when: str = ""
    """The condition as written; empty without one."""
    when_value: bool | None = None
    """What the condition gave; None where it was not reached."""
    when_values: Any = None
    """The values that the condition read, by name, shortened."""
    degraded: bool = False
    """True where a fallback stood in."""
    rung: int = 0
    """Which fallback stood in, from 1; 0 is none."""
    cost_usd: Decimal | None = None
    """US dollars that its calls cost in this run; None where a price is unknown."""
    simulated: bool = False
    """True where a simulated LLM answered."""
    queued_s: float = 0.0
    """Seconds from the moment at which it could have begun until there was a slot for it."""
    rested_s: float = 0.0
    """Seconds that it waited between attempts."""
    kept_from: str = ""
    """The run that did it, where this run took its result over."""
    started_utc: str = ""
    ended_utc: str = ""


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run begins, or goes on after it was stopped."""

    run: RunRow
    kind: Literal["run_started"] = "run_started"


@dataclass(frozen=True, slots=True)
class RunPlanned:
    """The plan of a run: what is to be done, by which LLM, and why that one."""

    run_id: str
    plan: Mapping[str, Any]
    """`Plan.to_dict()`."""
    kind: Literal["run_planned"] = "run_planned"


@dataclass(frozen=True, slots=True)
class PriceChanged:
    """A price changed while a run was going on; later decisions are made with the new one."""

    run_id: str
    llm: str
    old: Mapping[str, str] | None
    """The price before, as `Price.to_json` writes it; None where nobody knew it."""
    new: Mapping[str, str] | None
    kind: Literal["price_changed"] = "price_changed"


@dataclass(frozen=True, slots=True)
class Routed:
    """An LLM was chosen for a call at the moment of the call."""

    run_id: str
    task: str
    """The task, or the part of one, that asks."""
    call_id: str
    llm: str
    router: str
    reason: str
    """One sentence."""
    candidates: Any = ()
    """Everybody who could have been asked, as JSON values: `llm`, `expected` score in [0, 1],
    `seconds`, `usd_per_mtok` and `outcome`, which says why it was taken or not."""
    propensity: float | None = None
    """Probability in (0, 1] of the choice; None: it was certain."""
    learned: int | None = None
    """Version of what scores had taught; None where nothing is learned from."""
    stood: Any = None
    """What stood at that moment as JSON values: `left_usd`, `in_flight`."""
    attempt: int = 1
    kind: Literal["routed"] = "routed"


@dataclass(frozen=True, slots=True)
class TaskAsked:
    """A person is asked something; the task waits, the rest of the run goes on."""

    run_id: str
    task: str
    question: str
    options: tuple[str, ...] = ()
    """What may be chosen; empty where any text is an answer."""
    form: tuple[str, ...] = ()
    """Names of further fields."""
    shown: Any = None
    """What is shown beside it, as a JSON value."""
    until_utc: str = ""
    """ISO time at which it is not waited for any more; empty for no such time."""
    kind: Literal["task_asked"] = "task_asked"


@dataclass(frozen=True, slots=True)
class TaskAnswered:
    """A person has answered, or the time for it was over."""

    run_id: str
    task: str
    answer: Mapping[str, Any]
    """`choice`, `comment`, `by`, and the fields of the form."""
    wish: int = 0
    """The wish that brought it from another process; 0 where none did."""
    kind: Literal["task_answered"] = "task_answered"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """An assertion about the run was looked at and did not hold, or held where it is to be seen."""

    run_id: str
    task: str
    that: str
    holds: bool
    action: str
    values: Any = None
    """What it read, by name, shortened."""
    kind: Literal["checkpoint"] = "checkpoint"


@dataclass(frozen=True, slots=True)
class RunPausing:
    """A wish to stop was seen: no call starts behind this; those in flight may end."""

    run_id: str
    reason: str = "user"
    wish: int = 0
    """The wish of another process that it answers; 0 where none did."""
    kind: Literal["run_pausing"] = "run_pausing"


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
class TaskEnded:
    """A task has an outcome: done, failed, skipped or broken off."""

    task: TaskRow
    kind: Literal["task_ended"] = "task_ended"


@dataclass(frozen=True, slots=True)
class RunEnded:
    """A run has stopped, for good or until it is resumed."""

    run_id: str
    status: RunStatus
    reason: str = ""
    outputs: Any = None
    """The workflow's outputs as JSON values; None before they are all there."""
    kind: Literal["run_ended"] = "run_ended"


Event = (
    RunStarted | RunPlanned | PriceChanged | Routed | CallIntended | CallEnded | TaskEnded
    | TaskAsked | TaskAnswered | Checkpoint | RunPausing | RunEnded
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wish:
    """What another process wants of a run; the one that runs it sees and obeys."""

    number: int
    run_id: str
    kind: Literal["pause", "cancel", "answer"]
    payload: Mapping[str, Any]
    """Of a pause and of a cancellation `now`; of an answer `task` and `answer`."""
    by: str = ""
    """Who wants it."""
    seen_utc: str = ""
    """ISO time at which the run saw it; empty before."""


class Journal(Protocol):
    """Where the engine writes down what happens, before anybody acts on it."""

    async def commit(self, *events: Event) -> None:
        """Return once the events are durable against kill -9.

        Raises:
            StoreError: they could not be written; nothing of them was.
        """
        ...

    def stored(self, request_key: str, run_id: str = "") -> CallRow | None:
        """Return the newest answered call with this key, or None; of one run where it is named."""
        ...
