"""The state of a run: one fold over its events, for all that shows or goes on with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from bmad_nb.events import (
    CallEnded,
    CallIntended,
    CallRow,
    Checkpoint,
    Event,
    RunEnded,
    RunPausing,
    RunPlanned,
    RunRow,
    RunStarted,
    RunStatus,
    TaskAnswered,
    TaskAsked,
    TaskEnded,
    TaskRow,
)


@dataclass(slots=True)
class RunState:
    """State of a run: what a fold over its events gives."""

    run: RunRow | None = None
    status: RunStatus = "running"
    reason: str = ""
    plan: Mapping[str, Any] | None = None
    calls: dict[str, CallRow] = field(default_factory=dict)
    tasks: dict[str, TaskRow] = field(default_factory=dict)
    outputs: Any = None
    questions: dict[str, TaskAsked] = field(default_factory=dict)
    """What a person was asked, by task; those that are in `answers` are answered."""
    answers: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    checkpoints: list[Checkpoint] = field(default_factory=list)
    is_pausing: bool = False

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
        advance(state, event)
    return state


def advance(state: RunState, event: Event) -> None:
    """Take one more event into a state: the step of which `fold` is the whole."""
    match event:
        case RunStarted(run=run):
            state.run, state.status, state.reason = run, "running", ""
            state.is_pausing = False
        case CallIntended(call=call) | CallEnded(call=call):
            state.calls[call.call_id] = call
        case TaskEnded(task=task):
            state.tasks[task.task] = task
        case RunEnded(status=status, reason=reason, outputs=outputs):
            state.status, state.reason, state.outputs = status, reason, outputs
        case _:
            _told(state, event)


def _told(state: RunState, event: Event) -> None:
    """Take note of what is said about a run beside its tasks and calls."""
    match event:
        case RunPlanned(plan=plan):
            state.plan = plan
        case TaskAsked():
            state.questions[event.task] = event
        case TaskAnswered(task=name, answer=answer):
            state.answers[name] = answer
        case Checkpoint():
            state.checkpoints.append(event)
        case RunPausing():
            state.is_pausing = True
