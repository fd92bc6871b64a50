"""One question to an LLM, or one call of a function: its retries, repairs and fallbacks."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Mapping
from typing import Any

from bmad_nb import prompts
from bmad_nb.answers.calculating import refuted
from bmad_nb.answers.odds import odds
from bmad_nb.calls.calls import Calls, Now
from bmad_nb.calls.retries import attempts
from bmad_nb.errors import (
    AnswerNeeded,
    BmadError,
    BudgetExceeded,
    CircuitOpen,
    OutputInvalid,
    RunStopped,
    TaskFailed,
    TimedOut,
)
from bmad_nb.events import CallRow, Event, TaskEnded, TaskRow
from bmad_nb.messages import Message, Request
from bmad_nb.plan import Step
from bmad_nb.plan_parts import Assignment, Fallback
from bmad_nb.steps.work import Asked, Tools, Work, plain
from bmad_nb.workflow import output

NO_CURE = {"BudgetExceeded", "PriceUnknown", "TemplateError", "MissingInput", "NotRecorded"}
"""Errors that another LLM would bring as well."""


class Ladder:
    """Tries a step as it is written, and then each of its fallbacks.

    Args:
        calls: makes LLM calls durably.
        tools: how to ask and to call.
        now: the time as ISO text.
        texts: where the text of a durable answer is put, by the name of its task or part.
    """

    def __init__(self, calls: Calls, tools: Tools, now: Now, texts: dict[str, str]) -> None:
        """Do nothing yet."""
        self.calls, self._tools, self._now, self._texts = calls, tools, now, texts

    async def down(self, work: Work) -> TaskRow:
        """Return the outcome of a step that has no parts.

        Raises:
            BudgetExceeded: a limit stops the run.
            AnswerNeeded: a person is to answer, and has not.
        """
        errors: list[BmadError] = []
        for rung, fallback in enumerate((None, *work.step.fallbacks)):
            if not self._is_tried(work, rung, fallback, errors):
                continue
            work.rung = rung
            try:
                return await self._on_rung(work, fallback)
            except (AnswerNeeded, RunStopped):
                raise
            except BmadError as error:
                if isinstance(error, BudgetExceeded) and error.on_limit == "pause":
                    raise
                errors.append(error)
        for each in errors:
            if isinstance(each, BudgetExceeded) and each.on_limit == "degrade":
                raise each
        said = f"No person was asked about task {work.step.id!r}, and one has answered."
        return work.failed(self._now(), errors[0] if errors else TaskFailed(said))

    def _is_tried(
        self, work: Work, rung: int, fallback: Fallback | None, errors: list[BmadError]
    ) -> bool:
        """Return whether a rung has its turn, after what went wrong on those before it."""
        if rung < work.step.first_rung:
            return False
        if self._tools.answer(work.name) is not None:  # nothing else is tried again
            return fallback is not None and fallback.kind == "human"
        if fallback is None or not errors:
            return True
        if fallback.on_limit:
            return isinstance(errors[-1], BudgetExceeded)
        return not (fallback.heals and type(errors[-1]).__name__ in NO_CURE)

    def in_its_place(self, work: Work, error: BmadError) -> TaskRow:
        """Return what the first fallback gives that takes no time, or else the failure."""
        for rung, fallback in enumerate(work.step.fallbacks, start=1):
            if fallback.kind in {"value", "skip", "stored"}:
                work.rung = rung
                with contextlib.suppress(TaskFailed):  # nothing is stored
                    return self._without_asking(work, fallback)
        return work.failed(self._now(), error)

    async def _on_rung(self, work: Work, fallback: Fallback | None) -> TaskRow:
        step = work.step
        if fallback is None and step.verb == "python":
            return await self._call(work)
        if fallback is not None and fallback.kind == "human":
            return await self._by_a_person(work, fallback)
        if fallback is not None and fallback.kind in {"value", "skip", "stored"}:
            return self._without_asking(work, fallback)
        assignment = fallback.llm if fallback and fallback.llm else step.assignment
        messages = work.messages
        if fallback is not None and fallback.prompt is not None:
            turns = (*(t for t in step.turns if t[0] == "system"), ("user", fallback.prompt))
            messages = self._filled(work, turns)
        if assignment is None:
            raise TaskFailed(f"Task {step.id!r} has no LLM.")
        messages = messages or self._filled(work, step.turns)
        return await self._asked(work, assignment, _with_form(step, _with_examples(step, messages)))

    def _without_asking(self, work: Work, fallback: Fallback) -> TaskRow:
        """Return what a fallback gives that asks nobody."""
        if fallback.kind == "value":
            return work.ended(self._now(), "done", value=fallback.value)
        if fallback.kind == "skip":
            because = "It failed, and may be left out."
            return work.ended(self._now(), "skipped", skipped_because=because)
        row, text = self._tools.stored(work.step)
        self._texts[work.name] = text
        kept = {name: getattr(row, name) for name in ("value", "facts", "call_id", "llm")}
        origin = row.kept_from or row.run_id
        return work.ended(
            self._now(), "done", **kept, simulated=row.simulated, kept_from=origin
        )  # fmt: skip

    async def _by_a_person(self, work: Work, fallback: Fallback) -> TaskRow:
        """Return what a person says in the place of an LLM."""
        text = prompts.fill(fallback.question or "", work.names)
        given = await self._tools.person(work.name, Asked(text), work.lane)
        answer = str(given["choice"])
        schema = work.step.schema
        value = answer if schema is None else output.read_answer(answer, schema)
        return work.ended(self._now(), "done", value=value)

    # --- LLMs -----------------------------------------------------------------------------------

    def _filled(self, work: Work, turns: tuple[tuple[Any, str], ...]) -> tuple[Message, ...]:
        return tuple(Message(role, prompts.fill(text, work.names)) for role, text in turns)

    async def _asked(
        self, work: Work, assignment: Assignment, messages: tuple[Message, ...]
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
                error.retryable &= work.rung == len(work.step.fallbacks)
                raise

        return await attempts(once, work.step.retries, work.lane.rest)

    async def _repaired(
        self, work: Work, assignment: Assignment, messages: tuple[Message, ...]
    ) -> TaskRow:
        """Ask, and tell the LLM at most twice what is wrong with the form of its answer."""
        repairs_left = work.step.repairs
        while True:
            call = await self._once(work, assignment, messages, repairs_left)
            if work.sealed is not None:
                return work.sealed
            messages = self._told(work.step, call, messages, repairs_left)
            repairs_left -= 1

    async def _once(
        self, work: Work, assignment: Assignment, messages: tuple[Message, ...], repairs_left: int
    ) -> CallRow:
        work.calls += 1
        ask = await self._tools.ask(
            work.step, assignment, messages, task=work.name, number=work.calls,
            sample=work.sample + work.unusable,
        )  # fmt: skip
        ask = dataclasses.replace(
            ask,
            seal=lambda call: self._seal(work, call),
            is_usable=lambda call: self._leads_on(work.step, ask.request, call, repairs_left),
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
        work.sealed = work.ended(
            self._now(),
            "done",
            value=value,
            call_id=call.call_id,
            llm=call.llm,
            simulated=call.simulated,
            facts=_odds(work.step, call),
        )
        if work.step.schema is None or value is not None:  # null is a value, not the text of one
            self._texts[work.name] = call.text or ""
        return (TaskEnded(work.sealed),)

    def _leads_on(self, step: Step, request: Request, call: CallRow, repairs_left: int) -> bool:
        """Return whether a stored answer can be used, or a stored repair of it can."""
        if self._is_usable(step, call):
            return True
        if not repairs_left:
            return False
        told = self._told(step, call, request.messages, repairs_left)
        after = dataclasses.replace(request, messages=told)
        known = self.calls.journal.stored(after.key)
        return known is not None and self._leads_on(step, after, known, repairs_left - 1)

    def _is_usable(self, step: Step, call: CallRow) -> bool:
        """Return whether a stored answer of another run has the form that this task wants."""
        try:
            self._value(step, call)
        except OutputInvalid:
            return False
        return True

    def _value(self, step: Step, call: CallRow) -> Any:
        if step.calculator and (why := refuted(_asked(call), call.text or "")):
            raise OutputInvalid(f"{why[0].upper()}{why[1:]}.", llm=call.llm)
        return None if step.schema is None else output.read_answer(call.text or "", step.schema)

    # --- functions ------------------------------------------------------------------------------

    async def _call(self, work: Work) -> TaskRow:
        step = work.step
        arguments = {n: filled(v, work.names) for n, v in (step.arguments or {}).items()}

        async def once(_number: int) -> TaskRow:
            work.calls += 1
            value = await self._called(step, arguments)
            return work.ended(self._now(), "done", value=value)

        return await attempts(once, step.retries, work.lane.rest)

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


def filled(value: Any, names: Mapping[str, Any]) -> Any:
    """Return a value with the holes of its texts filled, however deep they stand."""
    if isinstance(value, str):
        return plain(prompts.value_of(value, names))
    if isinstance(value, Mapping):
        return {name: filled(each, names) for name, each in value.items()}
    return [filled(each, names) for each in value] if isinstance(value, list) else value


def _odds(step: Step, call: CallRow) -> dict[str, Any] | None:
    """Return how likely each choice was, where one was asked for and its tokens tell."""
    if not call.tokens or not isinstance(step.schema, Mapping):
        return None
    field = step.schema.get("properties", {}).get("choice")
    choices = field.get("enum") if isinstance(field, Mapping) else None
    found = (
        odds(call.tokens, [each for each in choices if isinstance(each, str)]) if choices else {}
    )
    return {"odds": found} if found else None


def _asked(call: CallRow) -> str:
    """Return the question of a call, before any word on what was wrong with an answer."""
    return next((each.text for each in call.messages if each.role == "user"), "")


def _with_examples(step: Step, messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Put worked examples behind the system text; they are text of others, and no templates."""
    if not step.examples:
        return messages
    first = [each for each in messages if each.role == "system"]
    shown = [m for q, a in step.examples for m in (Message("user", q), Message("assistant", a))]
    return (*first, *shown, *(each for each in messages if each.role != "system"))


def _with_form(step: Step, messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Return messages with a word on the form of the answer."""
    if step.schema is None:
        return messages
    *before, last = messages
    text = f"{last.text}\n\n{output.instruction(step.schema)}"
    return (*before, dataclasses.replace(last, text=text))
