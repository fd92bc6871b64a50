"""Questions to people: asked durably, answered here, from another process, or after a resume."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Mapping
from typing import Any

from bmad_nb import expressions
from bmad_nb.errors import AnswerNeeded, TaskFailed, UsageProblem
from bmad_nb.events import TaskAnswered, TaskAsked
from bmad_nb.secrets import redact
from bmad_nb.steps.work import Asked, Place
from bmad_nb.store.journal import Store


class People:
    """What a run asks people, and what they have answered.

    Args:
        run_id: the run.
        store: where questions and answers are written down.
        asked: questions from before, by task.
        answers: answers from before, by task.
        waits: whether somebody may answer while the run goes on.
    """

    def __init__(
        self,
        run_id: str,
        store: Store,
        asked: Mapping[str, TaskAsked],
        answers: Mapping[str, Mapping[str, Any]],
        *,
        waits: bool,
    ) -> None:
        """Ask nothing yet."""
        self._run_id, self._store, self.waits = run_id, store, waits
        self._asked, self._answers = dict(asked), dict(answers)
        self._open: dict[str, asyncio.Future[Mapping[str, Any]]] = {}

    def answer(self, task: str) -> Mapping[str, Any] | None:
        """Return what was answered, or None."""
        return self._answers.get(task)

    @property
    def waiting(self) -> list[TaskAsked]:
        """Questions that are waited for now."""
        return [self._asked[task] for task in list(self._open) if task in self._asked]

    async def given(self, task: str, answer: Mapping[str, Any], wish: int = 0) -> None:
        """Write down an answer, and let the task that waits for it go on."""
        await self._store.commit(TaskAnswered(self._run_id, task, answer, wish))
        self._answers[task] = answer
        waiting = self._open.pop(task, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    async def ask(self, task: str, asked: Asked, place: Place) -> Mapping[str, Any]:
        """Return what a person answers; the slot is given to others meanwhile.

        Raises:
            AnswerNeeded: nobody is there who could be asked now.
            TaskFailed: the time is over, and nothing was said for that.
        """
        known = self._answers.get(task)
        if known is not None:
            return known
        question = self._asked.get(task) or await self._put(task, asked)
        left_s = _left_s(question)
        if self.waits and (left_s is None or left_s > 0):
            place.let_go()
            await self._waited(task, place, left_s)
            if task in self._answers:
                return self._answers[task]
            left_s = _left_s(question)
        if left_s is not None and left_s <= 0:
            return await self._late(task, asked)
        raise _needed(self._run_id, question)

    async def _put(self, task: str, asked: Asked) -> TaskAsked:
        until = ""
        if asked.timeout_s is not None:
            now = datetime.datetime.now(datetime.UTC)
            until = (now + datetime.timedelta(seconds=asked.timeout_s)).isoformat()
        question = TaskAsked(
            self._run_id, task, redact(asked.text), asked.options, asked.form, asked.shown, until
        )
        await self._store.commit(question)
        self._asked[task] = question
        return question

    async def _waited(self, task: str, place: Place, left_s: float | None) -> None:
        """Wait until there is an answer, the time is over, or the run begins nothing more."""
        answer = self._open[task] = asyncio.get_running_loop().create_future()
        halted = asyncio.ensure_future(place.until_halted(left_s))
        try:
            await asyncio.wait({answer, halted}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            halted.cancel()
            self._open.pop(task, None)

    async def _late(self, task: str, asked: Asked) -> Mapping[str, Any]:
        if not asked.on_timeout:
            raise TaskFailed(
                f"Nobody answered task {task!r} in time.",
                hint="Add on_timeout, give it more time, or answer sooner.",
            )
        answer = {"choice": asked.on_timeout, "comment": "", "by": "timeout"}
        await self.given(task, answer)
        return answer


def _left_s(question: TaskAsked) -> float | None:
    """Return the seconds that a question is still waited for; None is for ever."""
    if not question.until_utc:
        return None
    until = datetime.datetime.fromisoformat(question.until_utc)
    return (until - datetime.datetime.now(datetime.UTC)).total_seconds()


def _needed(run_id: str, question: TaskAsked) -> AnswerNeeded:
    task = question.task
    one_of = f" ({', '.join(question.options)})" if question.options else ""
    how = (
        f"%bmad approve {run_id} {task} {question.options[0]}" if question.options
        else f'%bmad resume {run_id} --answer {task}="…"'
    )  # fmt: skip
    needed = AnswerNeeded(
        f"Task {task!r} waits for a person{one_of}: {question.question}", hint=f"Answer it: {how}"
    )
    needed.task = task
    return needed


def checked_answer(
    question: TaskAsked | None, task: str, choice: str, comment: str, fields: Mapping[str, str]
) -> dict[str, Any]:
    """Return an answer that fits its question.

    Raises:
        UsageProblem: it is not one of the options, or has a field that nobody asked for.
    """
    if question is None:
        raise UsageProblem(f"Nobody is asked about task {task!r}.", hint="See it: %bmad show RUN")
    if question.options and choice not in question.options:
        raise UsageProblem(
            f"{expressions.brief(choice)} is not an option of task {task!r}.",
            hint=f"Options: {', '.join(question.options)}.",
        )
    for name in fields:
        if name not in question.form:
            known = ", ".join(question.form) or "none"
            raise UsageProblem(f"Task {task!r} has no field {name!r}.", hint=f"Fields: {known}.")
    return {"choice": choice, "comment": comment, **dict.fromkeys(question.form, ""), **fields}
