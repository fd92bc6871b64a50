"""One task, done: its condition, its verb, its retries and its fallbacks."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import Callable, Mapping
from typing import Any

from bmad_nb import expressions, prompts
from bmad_nb.calls.calls import Calls, Now
from bmad_nb.calls.retries import attempts
from bmad_nb.engine.result import TaskResult
from bmad_nb.engine.run import Ended, Lane
from bmad_nb.engine.work import Facts, Tools, Work, plain
from bmad_nb.errors import (
    AnswerNeeded,
    BmadError,
    BudgetExceeded,
    CircuitOpen,
    OutputInvalid,
    TaskFailed,
    TemplateError,
    TimedOut,
)
from bmad_nb.events import CallRow, Event, TaskEnded, TaskRow, TaskState
from bmad_nb.messages import Message
from bmad_nb.plan import Assignment, Fallback, Step
from bmad_nb.secrets import redact
from bmad_nb.workflow import output

MOST_REPAIRS = 2
"""How often an LLM is told what is wrong with the form of its answer."""


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
        work = Work(step, self._begun.pop(step.id))
        limit_s = step.limits.time_s if step.limits else None
        try:
            async with asyncio.timeout(limit_s):
                row = await self._down_the_ladder(work, lane)
        except TimeoutError:
            error = TaskFailed(
                f"Task {step.id!r} took longer than its {limit_s:g} s.", hint="Raise limits.time."
            )
            row = self._in_its_place(work, error)
        return Ended(row, is_stored=row is work.sealed)

    def _in_its_place(self, work: Work, error: BmadError) -> TaskRow:
        """Return what the first fallback gives that takes no time, or else the failure."""
        for rung, fallback in enumerate(work.step.fallbacks, start=1):
            if fallback.kind in {"value", "skip", "stored"}:
                work.rung = rung
                with contextlib.suppress(TaskFailed):  # nothing is stored
                    return self._without_asking(work, fallback, None)
        return self._failed(self._reckoned(work), error)

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

    async def _down_the_ladder(self, work: Work, lane: Lane) -> TaskRow:
        """Try the task as it is written, and then each fallback, until one gives a result.

        Raises:
            BudgetExceeded: a limit stops the run.
            AnswerNeeded: a person is to answer, and has not.
        """
        step, answer = work.step, self._tools.answer(work.step)
        errors: list[BmadError] = []
        for rung, fallback in enumerate((None, *step.fallbacks)):
            work.rung = rung
            if answer is not None and not (fallback and fallback.kind == "human"):
                continue  # a person has answered already: nothing else is tried again
            if fallback and fallback.on_limit and not isinstance(errors[-1], BudgetExceeded):
                continue
            try:
                return await self._on_rung(work, lane, fallback, answer)
            except AnswerNeeded:
                raise
            except BmadError as error:
                if isinstance(error, BudgetExceeded) and error.on_limit == "pause":
                    raise
                errors.append(error)
        for each in errors:
            if isinstance(each, BudgetExceeded) and each.on_limit == "degrade":
                raise each
        nothing = TaskFailed(f"No person was asked about task {step.id!r}, and one has answered.")
        return self._failed(self._reckoned(work), errors[0] if errors else nothing)

    async def _on_rung(
        self, work: Work, lane: Lane, fallback: Fallback | None, answer: str | None
    ) -> TaskRow:
        step = work.step
        if fallback is None and step.verb == "python":
            return await self._call(work, lane)
        if fallback is not None and fallback.kind in {"value", "skip", "stored", "human"}:
            return self._without_asking(work, fallback, answer)
        assignment = fallback.llm if fallback and fallback.llm else step.assignment
        turns = step.turns
        if fallback is not None and fallback.prompt is not None:
            turns = (*(t for t in turns if t[0] == "system"), ("user", fallback.prompt))
        if assignment is None:
            raise TaskFailed(f"Task {step.id!r} has no LLM.")
        return await self._asked(work, lane, assignment, self._messages(step, turns))

    def _without_asking(self, work: Work, fallback: Fallback, answer: str | None) -> TaskRow:
        """Return what a fallback gives that asks no LLM."""
        step, facts = work.step, self._reckoned(work)
        match fallback.kind:
            case "value":
                return self._ended(facts, "done", value=fallback.value)
            case "skip":
                because = "It failed, and may be left out."
                return self._ended(facts, "skipped", skipped_because=because)
            case "stored":
                row, text = self._tools.stored(step)
                self._texts[step.id] = text
                kept = {name: getattr(row, name) for name in ("value", "call_id", "llm")}
                origin = row.kept_from or row.run_id
                return self._ended(facts, "done", **kept, simulated=row.simulated, kept_from=origin)
        if answer is None:
            needed = AnswerNeeded(
                f"Task {step.id!r} waits for a person: "
                f"{prompts.fill(fallback.question or '', self.names)}",
                hint=f'Answer it: %bmad resume {self._run_id} --answer {step.id}="…"',
            )
            needed.task = step.id
            raise needed
        value = answer if step.schema is None else output.read_answer(answer, step.schema)
        return self._ended(facts, "done", value=value)

    # --- LLMs -----------------------------------------------------------------------------------

    def _messages(self, step: Step, turns: tuple[tuple[Any, str], ...]) -> tuple[Message, ...]:
        messages = [Message(role, prompts.fill(text, self.names)) for role, text in turns]
        if step.schema is not None:
            last = messages[-1]
            text = f"{last.text}\n\n{output.instruction(step.schema)}"
            messages[-1] = Message(last.role, text)
        return tuple(messages)

    async def _asked(
        self, work: Work, lane: Lane, assignment: Assignment, messages: tuple[Message, ...]
    ) -> TaskRow:
        """Ask, and ask again as the step's retries say.

        Raises:
            BmadError: the last attempt failed.
        """

        async def once(_number: int) -> TaskRow:
            try:
                return await self._repaired(work, assignment, messages)
            except OutputInvalid:
                work.unusable += 1
                raise
            except CircuitOpen as error:  # nobody waits where something else can be tried
                error.retryable = work.rung == len(work.step.fallbacks)
                raise

        return await attempts(once, work.step.retries, lane.rest)

    async def _repaired(
        self, work: Work, assignment: Assignment, messages: tuple[Message, ...]
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
        self, work: Work, assignment: Assignment, messages: tuple[Message, ...]
    ) -> CallRow:
        work.calls += 1
        ask = await self._tools.ask(
            work.step, assignment, messages, number=work.calls, sample=work.unusable
        )
        ask = dataclasses.replace(
            ask,
            seal=lambda call: self._seal(work, call),
            is_usable=lambda call: self._is_usable(work.step, call),
        )
        call = await self.calls.ask(ask)
        self.calls.rows.pop(call.call_id, None)  # it is in the store, and here no more needed
        if call.state != "answered":
            raise self.calls.error_of(call)
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

    def _seal(self, work: Work, call: CallRow) -> tuple[Event, ...]:
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
        if work.step.schema is None or value is not None:  # null is a value, not the text of one
            self._texts[work.step.id] = call.text or ""
        return (TaskEnded(work.sealed),)

    def _is_usable(self, step: Step, call: CallRow) -> bool:
        """Return whether a stored answer of another run has the form that this task wants."""
        try:
            self._value(step, call)
        except OutputInvalid:
            return False
        return True

    def _value(self, step: Step, call: CallRow) -> Any:
        return None if step.schema is None else output.read_answer(call.text or "", step.schema)

    # --- functions ------------------------------------------------------------------------------

    async def _call(self, work: Work, lane: Lane) -> TaskRow:
        step = work.step
        arguments = {name: self._argument(v) for name, v in (step.arguments or {}).items()}

        async def once(_number: int) -> TaskRow:
            work.calls += 1
            value = await self._called(step, arguments)
            return self._ended(self._reckoned(work), "done", value=value)

        return await attempts(once, step.retries, lane.rest)

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

    def _reckoned(self, work: Work) -> Facts:
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
