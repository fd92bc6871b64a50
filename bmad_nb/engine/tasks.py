"""One task, done: its condition, its verb, its retries and its fallbacks."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from typing import Any, Protocol

from bmad_nb import expressions, prompts
from bmad_nb.engine.calls import Ask, Calls, Now
from bmad_nb.engine.causes import again, error_of
from bmad_nb.engine.result import TaskResult
from bmad_nb.engine.run import Ended, Lane
from bmad_nb.errors import (
    BmadError,
    BudgetExceeded,
    OutputInvalid,
    TaskFailed,
    TemplateError,
    TimedOut,
)
from bmad_nb.events import CallRow, Event, TaskEnded, TaskRow, TaskState
from bmad_nb.messages import Message
from bmad_nb.plan import Assignment, Fallback, Retries, Step
from bmad_nb.secrets import redact
from bmad_nb.workflow import output

MOST_REPAIRS = 2
"""How often an LLM is told what is wrong with the form of its answer."""
Facts = dict[str, Any]
"""Fields of a task's row, as far as they are known."""


class Tools(Protocol):
    """What the engine is given to act on the world; all else it does itself."""

    def ask(
        self, step: Step, assignment: Assignment, messages: tuple[Message, ...], number: int
    ) -> Ask:
        """Return the call that asks `assignment`'s LLM; `number` counts the task's calls from 1."""
        ...

    def call(self, step: Step, arguments: Mapping[str, Any]) -> Awaitable[Any]:
        """Call the function of a `python` step."""
        ...

    def wait_s(self, retries: Retries, number: int) -> float:
        """Return the seconds to wait after the failed attempt `number`."""
        ...


@dataclasses.dataclass(slots=True)
class _Work:
    """A task while it is being done."""

    step: Step
    facts: Facts
    calls: int = 0
    cost_usd: Decimal | None = Decimal(0)
    rung: int = 0
    sealed: TaskRow | None = None
    """The outcome, once it is durable together with its call's."""

    def paid(self, call: CallRow) -> None:
        if call.cost_usd is None or self.cost_usd is None:
            self.cost_usd = self.cost_usd if call.billed == "no" else None
        else:
            self.cost_usd += call.cost_usd


class Tasks:
    """Does steps for the engine.

    Args:
        run_id: the run.
        names: what templates and expressions can read: the inputs, and results as they come.
        calls: makes LLM calls durably.
        tools: how to ask and to call.
        now: the time as ISO text.
        told: called with each durable outcome, for progress.
    """

    def __init__(
        self,
        run_id: str,
        names: dict[str, Any],
        calls: Calls,
        tools: Tools,
        *,
        now: Now,
        told: Callable[[TaskRow], None] = lambda _row: None,
    ) -> None:
        """Do nothing yet."""
        self._run_id, self.names, self.calls = run_id, names, calls
        self._tools, self._now, self._told_of = tools, now, told
        self._begun: dict[str, Facts] = {}
        self._texts: dict[str, str] = {}

    # --- what the engine calls ------------------------------------------------------------------

    def at_once(self, step: Step, skipped_because: str) -> TaskRow | None:
        """Return the outcome of a step that takes no time, or None if it takes some."""
        facts = self._facts(step)
        if skipped_because:
            return self._ended(facts, "skipped", skipped_because=skipped_because)
        try:
            if step.when and not self._holds(step, facts):
                return self._not_taken(step, facts)
            if step.verb == "set":
                value = {
                    name: plain(expressions.evaluate(expressions.parse(text), self.names))
                    for name, text in step.fields
                }
                return self._ended(facts, "done", value=value)
        except (TemplateError, TaskFailed) as error:
            return self._failed(facts, error)
        self._begun[step.id] = facts
        return None

    async def in_time(self, step: Step, lane: Lane) -> Ended:
        """Do a step that takes time.

        Raises:
            BudgetExceeded: a limit stops the whole run.
        """
        work = _Work(step, self._begun.pop(step.id))
        limit_s = step.limits.time_s if step.limits else None
        try:
            async with asyncio.timeout(limit_s):
                row = await self._down_the_ladder(work, lane)
        except TimeoutError:
            error = TaskFailed(
                f"Task {step.id!r} took longer than its {limit_s:g} s.", hint="Raise limits.time."
            )
            row = self._failed(self._reckoned(work), error)
        return Ended(row, is_stored=row is work.sealed)

    def settled(self, row: TaskRow) -> None:
        """Let other steps read a durable outcome."""
        self.names[row.task] = TaskResult(row, self._texts.pop(row.task, None))
        self._told_of(row)

    # --- conditions -----------------------------------------------------------------------------

    def _facts(self, step: Step) -> Facts:
        """Return what is known of a step's outcome before there is one."""
        return {
            "run_id": self._run_id,
            "task": step.id,
            "verb": step.verb,
            "content": step.content,
            "started_utc": self._now(),
        }

    def _holds(self, step: Step, facts: Facts) -> bool:
        """Return what a condition gives, and keep what it read among the facts."""
        tree = expressions.parse(step.when)
        read = expressions.shown_values(tree, self.names)
        try:
            value = bool(expressions.evaluate(tree, self.names))
        except TemplateError as error:
            shown = ", ".join(f"{name} = {value!r}" for name, value in read.items())
            raise TaskFailed(
                f"The condition {step.when!r} of task {step.id!r} cannot be decided: {error.what}",
                hint=f"Its values: {shown}." if shown else error.hint,
            ) from None
        facts |= {"when": step.when, "when_value": value, "when_values": read}
        return value

    def _not_taken(self, step: Step, facts: Facts) -> TaskRow:
        if step.has_otherwise:
            return self._ended(facts, "done", value=step.otherwise)
        shown = ", ".join(f"{k} = {json.dumps(v)}" for k, v in facts["when_values"].items())
        because = f"{step.when} does not hold" + (f": {shown}." if shown else ".")
        return self._ended(facts, "skipped", skipped_because=because)

    # --- the ladder of fallbacks ----------------------------------------------------------------

    async def _down_the_ladder(self, work: _Work, lane: Lane) -> TaskRow:
        """Try the task as it is written, and then each fallback, until one gives a result."""
        first: BmadError | None = None
        for rung, fallback in enumerate((None, *work.step.fallbacks)):
            work.rung = rung
            try:
                return await self._on_rung(work, lane, fallback)
            except BudgetExceeded as error:
                if error.on_limit == "pause":
                    raise
                first = first or error
            except BmadError as error:
                first = first or error
        return self._failed(self._reckoned(work), first or TaskFailed("Nothing was tried."))

    async def _on_rung(self, work: _Work, lane: Lane, fallback: Fallback | None) -> TaskRow:
        step = work.step
        if fallback is None and step.verb == "python":
            return await self._call(work, lane)
        if fallback is not None and fallback.kind == "value":
            return self._ended(self._reckoned(work), "done", value=fallback.value)
        if fallback is not None and fallback.kind == "skip":
            because = "It failed, and may be left out."
            return self._ended(self._reckoned(work), "skipped", skipped_because=because)
        assignment = fallback.llm if fallback and fallback.llm else step.assignment
        turns = step.turns
        if fallback is not None and fallback.prompt is not None:
            turns = (*(t for t in turns if t[0] == "system"), ("user", fallback.prompt))
        if assignment is None:
            raise TaskFailed(f"Task {step.id!r} has no LLM.")
        return await self._asked(work, lane, assignment, self._messages(step, turns))

    # --- LLMs -----------------------------------------------------------------------------------

    def _messages(self, step: Step, turns: tuple[tuple[Any, str], ...]) -> tuple[Message, ...]:
        messages = [Message(role, prompts.fill(text, self.names)) for role, text in turns]
        if step.schema is not None:
            last = messages[-1]
            text = f"{last.text}\n\n{output.instruction(step.schema)}"
            messages[-1] = Message(last.role, text)
        return tuple(messages)

    async def _asked(
        self, work: _Work, lane: Lane, assignment: Assignment, messages: tuple[Message, ...]
    ) -> TaskRow:
        """Ask, and ask again as the step's retries say.

        Raises:
            BmadError: the last attempt failed.
        """
        retries, number = work.step.retries, 1
        while True:
            try:
                return await self._repaired(work, assignment, messages)
            except BudgetExceeded:
                raise
            except BmadError as error:
                if number >= retries.attempts or not again(type(error).__name__, retries):
                    raise
            await lane.rest(self._tools.wait_s(retries, number))
            number += 1

    async def _repaired(
        self, work: _Work, assignment: Assignment, messages: tuple[Message, ...]
    ) -> TaskRow:
        """Ask, and tell the LLM at most twice what is wrong with the form of its answer."""
        repairs_left = MOST_REPAIRS
        while True:
            call = await self._once(work, assignment, messages)
            if work.sealed is not None:
                return work.sealed
            messages = self._told(work.step, call, messages, repairs_left)
            repairs_left -= 1

    async def _once(
        self, work: _Work, assignment: Assignment, messages: tuple[Message, ...]
    ) -> CallRow:
        work.calls += 1
        ask = self._tools.ask(work.step, assignment, messages, work.calls)
        ask = dataclasses.replace(ask, seal=lambda call: self._seal(work, call))
        call = await self.calls.ask(ask)
        self.calls.rows.pop(call.call_id, None)  # it is in the store, and here no more needed
        if call.state != "answered":
            raise error_of(call)
        return call

    def _told(
        self, step: Step, call: CallRow, messages: tuple[Message, ...], repairs_left: int
    ) -> tuple[Message, ...]:
        """Return the conversation with what is wrong with the form of the last answer.

        Raises:
            OutputInvalid: it was told often enough.
        """
        try:
            self._value(step, call)
        except OutputInvalid as error:
            if not repairs_left:
                raise OutputInvalid(
                    f"The answer to task {step.id!r} cannot be used: {error.what}",
                    llm=call.llm,
                    hint="Ask for a simpler output, or another LLM; the answers are stored.",
                ) from None
            told = Message("user", output.repair_request(error))
            return (*messages, Message("assistant", call.text or ""), told)
        return messages

    def _seal(self, work: _Work, call: CallRow) -> tuple[Event, ...]:
        """Return the task's outcome, to be durable together with the call's, if it has one."""
        work.paid(call)
        if call.state != "answered":
            return ()
        try:
            value = self._value(work.step, call)
        except OutputInvalid:
            return ()
        work.sealed = self._ended(
            self._reckoned(work),
            "done",
            value=value,
            call_id=call.call_id,
            llm=call.llm,
            simulated=call.simulated,
        )
        self._texts[work.step.id] = call.text or ""
        return (TaskEnded(work.sealed),)

    def _value(self, step: Step, call: CallRow) -> Any:
        return None if step.schema is None else output.read_answer(call.text or "", step.schema)

    # --- functions ------------------------------------------------------------------------------

    async def _call(self, work: _Work, lane: Lane) -> TaskRow:
        step, retries = work.step, work.step.retries
        arguments = {name: self._argument(v) for name, v in (step.arguments or {}).items()}
        while True:
            work.calls += 1
            try:
                value = await self._called(step, arguments)
                return self._ended(self._reckoned(work), "done", value=value)
            except BmadError as error:
                if work.calls >= retries.attempts or not again(type(error).__name__, retries):
                    raise
            await lane.rest(self._tools.wait_s(retries, work.calls))

    def _argument(self, value: Any) -> Any:
        """Return a value with the holes of its texts filled, however deep they stand."""
        if isinstance(value, str):
            return plain(prompts.value_of(value, self.names))
        if isinstance(value, Mapping):
            return {name: self._argument(each) for name, each in value.items()}
        return [self._argument(each) for each in value] if isinstance(value, list) else value

    async def _called(self, step: Step, arguments: Mapping[str, Any]) -> Any:
        try:
            async with asyncio.timeout(step.timeout_s):
                value = plain(await self._tools.call(step, arguments))
        except TimeoutError:
            raise TimedOut(
                f"Task {step.id!r} took longer than {step.timeout_s:g} s.",
                hint="Raise its timeout; a function that runs in a thread goes on behind.",
                billed="no",
            ) from None
        return value if step.schema is None else output.check_value(value, step.schema)

    # --- outcomes -------------------------------------------------------------------------------

    def _reckoned(self, work: _Work) -> Facts:
        """Return the facts with what the task took so far."""
        return {
            **work.facts,
            "attempts": work.calls,
            "cost_usd": work.cost_usd,
            "rung": work.rung,
            "degraded": work.rung > 0,
        }

    def _failed(self, facts: Facts, error: BmadError) -> TaskRow:
        said = {"error": redact(error.what), "error_hint": redact(error.hint)}
        kind = type(error).__name__
        return self._ended(
            {**facts, "rung": 0, "degraded": False}, "failed", error_kind=kind, **said
        )

    def _ended(self, facts: Facts, state: TaskState, **fields: Any) -> TaskRow:
        return TaskRow(**facts, state=state, ended_utc=self._now(), **fields)


def plain(value: Any) -> Any:
    """Return a value as the JSON that is stored.

    Raises:
        TaskFailed: it is not made of what JSON has.
    """
    if value is None or isinstance(value, str | bool | int):
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
