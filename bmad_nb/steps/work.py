"""What the engine is given to act on the world, and what it notes of a task at work."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Awaitable, Mapping
from decimal import Decimal
from typing import Any, Protocol

from bmad_nb.calls.calls import Ask
from bmad_nb.errors import BmadError, TaskFailed
from bmad_nb.events import CallRow, TaskRow, TaskState
from bmad_nb.messages import Message
from bmad_nb.outcome import TaskResult
from bmad_nb.plan import Step
from bmad_nb.plan_parts import Assignment
from bmad_nb.secrets import redact

Facts = dict[str, Any]
"""Fields of a task's row, as far as they are known."""


class Place(Protocol):
    """The place of a task among those at work: a slot, or a wait for one."""

    queued_s: float
    """Seconds that it waited for slots."""
    rested_s: float
    """Seconds that it waited between attempts."""
    rank: tuple[float, ...]
    """Its place in the order of preference."""

    @property
    def slots(self) -> Any:
        """The slots of the run: `engine.slots.Slots`."""
        ...

    def part(self, number: int) -> Place:
        """Return the place of a part of it, which has no slot yet."""
        ...

    async def rest(self, seconds: float) -> None:
        """Give the slot to others for a while, and get one back."""
        ...

    def let_go(self) -> None:
        """Give the slot to others."""
        ...

    async def turn(self) -> None:
        """Wait for a slot."""
        ...

    async def until_halted(self, seconds: float | None) -> None:
        """Wait so long, or until the run begins nothing more."""
        ...


class Tools(Protocol):
    """What the engine is given to act on the world; all else it does itself."""

    async def ask(
        self,
        step: Step,
        assignment: Assignment,
        messages: tuple[Message, ...],
        *,
        task: str,
        number: int,
        sample: int,
    ) -> Ask:
        """Return the call that asks `assignment`'s LLM.

        Args:
            step: the step.
            assignment: whom it asks.
            messages: what.
            task: the task, or the part of one, that asks.
            number: counts its calls from 1.
            sample: counts its attempts that gave no usable answer, so that the next asks anew.
        """
        ...

    def call(self, step: Step, arguments: Mapping[str, Any]) -> Awaitable[Any]:
        """Call the function of a `python` step."""
        ...

    def stored(self, step: Step) -> tuple[TaskRow, str]:
        """Return the newest result of a step in an earlier run, and its text.

        Raises:
            TaskFailed: there is none.
        """
        ...

    def kept(self, task: str, content: str) -> tuple[TaskRow, str | None] | None:
        """Return what a part gave before, and its text; None if it is to be done."""
        ...

    def answer(self, task: str) -> Mapping[str, Any] | None:
        """Return what a person has answered, or None: `choice`, `comment`, `by` and others."""
        ...

    def bound(self, step: Step, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the inputs of a sub-workflow, checked and with their defaults.

        Raises:
            TaskFailed: they do not fit what it declares.
        """
        ...

    def person(self, task: str, asked: Asked, place: Place) -> Awaitable[Mapping[str, Any]]:
        """Return what a person answers; the question is durable before anybody is asked.

        Raises:
            AnswerNeeded: nobody is there who could be asked now.
            TaskFailed: the time is over, and nothing was said for that.
        """
        ...

    def asserted(self, step: Step, moment: str, names: Mapping[str, Any]) -> Awaitable[None]:
        """Look at the assertions of a step that belong to a moment, and act on those that fail.

        Raises:
            TaskFailed: one says that its task fails.
        """
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class Asked:
    """A question to a person, its texts filled."""

    text: str
    options: tuple[str, ...] = ()
    """What may be chosen; empty where any text is an answer."""
    form: tuple[str, ...] = ()
    """Names of further fields."""
    shown: Any = None
    """What is shown beside it, as a JSON value."""
    timeout_s: float | None = None
    on_timeout: str = ""


@dataclasses.dataclass(slots=True)
class Work:
    """A task, or a part of one, while it is being done."""

    step: Step
    facts: Facts
    names: Mapping[str, Any]
    """What its texts read."""
    lane: Place
    messages: tuple[Message, ...] = ()
    """What an LLM is asked; empty where the step's own texts say it."""
    sample: int = 0
    calls: int = 0
    cost_usd: Decimal | None = Decimal(0)
    rung: int = 0
    unusable: int = 0
    """Attempts whose answers had no usable form, with all of their repairs."""
    sealed: TaskRow | None = None
    """The outcome, once it is durable together with its call's."""
    part_simulated: bool = False
    """Whether a simulated LLM had a part in it."""
    part_degraded: bool = False
    """Whether a fallback stood in for a part of it."""
    waited: tuple[float, float] = (0.0, 0.0)
    """What its place had waited already, for slots and between attempts."""

    @property
    def name(self) -> str:
        """The id of the task, or of the part."""
        return str(self.facts["task"])

    def paid(self, call: CallRow) -> None:
        """Add the cost of a call; what nobody knows makes the sum unknown."""
        if call.cost_usd is None or self.cost_usd is None:
            self.cost_usd = self.cost_usd if call.billed == "no" else None
        else:
            self.cost_usd += call.cost_usd

    def add(self, row: TaskRow) -> None:
        """Add what a part of it took."""
        self.calls += row.attempts
        self.part_simulated |= row.simulated
        self.part_degraded |= row.degraded
        known = self.cost_usd is not None and row.cost_usd is not None
        self.cost_usd = self.cost_usd + row.cost_usd if known else None  # type: ignore[operator]

    def ended(self, now: str, state: TaskState, **fields: Any) -> TaskRow:
        """Return its outcome, with what it took."""
        reckoned = {
            "attempts": self.calls, "cost_usd": self.cost_usd, "rung": self.rung,
            "degraded": self.rung > 0, "simulated": self.part_simulated,
            "queued_s": round(self.lane.queued_s - self.waited[0], 6),
            "rested_s": round(self.lane.rested_s - self.waited[1], 6),
        }  # fmt: skip
        return TaskRow(**{**self.facts, **reckoned, **fields}, state=state, ended_utc=now)

    def failed(self, now: str, error: BmadError, **fields: Any) -> TaskRow:
        """Return that it failed, and why."""
        said = {"error": redact(error.what), "error_hint": redact(error.hint)}
        kind = type(error).__name__
        return self.ended(
            now, "failed", error_kind=kind, rung=0, degraded=False, **said, **fields
        )  # fmt: skip


def plain(value: Any) -> Any:
    """Return a value as the JSON that is stored.

    Raises:
        TaskFailed: it is not made of what JSON has.
    """
    if value is None or isinstance(value, str | bool):
        return value
    try:
        return json.loads(json.dumps(value, allow_nan=False, default=_field_of))
    except (TypeError, ValueError, RecursionError) as error:
        raise TaskFailed(
            f"A {type(value).__name__} cannot be stored: {error}.",
            hint="Give text, finite numbers, lists and dictionaries.",
        ) from None


def _field_of(value: Any) -> Any:
    """Return another task's result as its value; let JSON refuse all else."""
    if isinstance(value, TaskResult):
        return value["output"]
    raise TypeError(f"{type(value).__name__} is not JSON")
