"""What the engine is given to act on the world, and what it notes of a task at work."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Awaitable, Mapping
from decimal import Decimal
from typing import Any, Protocol

from bmad_nb.calls.calls import Ask
from bmad_nb.engine.result import TaskResult
from bmad_nb.errors import TaskFailed
from bmad_nb.events import CallRow, TaskRow
from bmad_nb.messages import Message
from bmad_nb.plan import Assignment, Step

Facts = dict[str, Any]
"""Fields of a task's row, as far as they are known."""


class Tools(Protocol):
    """What the engine is given to act on the world; all else it does itself."""

    async def ask(
        self,
        step: Step,
        assignment: Assignment,
        messages: tuple[Message, ...],
        *,
        number: int,
        sample: int,
    ) -> Ask:
        """Return the call that asks `assignment`'s LLM.

        Args:
            step: the step.
            assignment: whom it asks.
            messages: what.
            number: counts the task's calls from 1.
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

    def answer(self, step: Step) -> str | None:
        """Return what a person has answered in a step's place, or None."""
        ...


@dataclasses.dataclass(slots=True)
class Work:
    """A task while it is being done."""

    step: Step
    facts: Facts
    calls: int = 0
    cost_usd: Decimal | None = Decimal(0)
    rung: int = 0
    unusable: int = 0
    """Attempts whose answers had no usable form, with all of their repairs."""
    sealed: TaskRow | None = None
    """The outcome, once it is durable together with its call's."""

    def paid(self, call: CallRow) -> None:
        """Add the cost of a call; what nobody knows makes the sum unknown."""
        if call.cost_usd is None or self.cost_usd is None:
            self.cost_usd = self.cost_usd if call.billed == "no" else None
        else:
            self.cost_usd += call.cost_usd


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
