"""One task, done: its condition, its parts, its sub-workflow, its question to a person."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from bmad_nb import expressions, prompts
from bmad_nb.calls.calls import Calls, Now
from bmad_nb.engine.run import Ended, Engine
from bmad_nb.engine.slots import Halted, Lane
from bmad_nb.errors import (
    AnswerNeeded,
    BmadError,
    BudgetExceeded,
    RunStopped,
    StoreError,
    TaskFailed,
    TemplateError,
)
from bmad_nb.events import Journal, TaskEnded, TaskRow
from bmad_nb.messages import fingerprint
from bmad_nb.outcome import TaskResult
from bmad_nb.patterns.base import Outcome, Part, Parts, Reply, Working
from bmad_nb.patterns.choice import begun
from bmad_nb.plan import Step
from bmad_nb.steps.ladder import Ladder, filled
from bmad_nb.steps.values import outputs_of, over, set_of
from bmad_nb.steps.work import Asked, Facts, Place, Tools, Work, plain

_TAKEN = ("value", "call_id", "llm", "simulated", "degraded", "rung")
"""What a task has from the part whose answer it is."""


@dataclasses.dataclass(frozen=True, slots=True)
class Around:
    """What the tasks of a run share with those of its sub-workflows.

    Args:
        run_id: the run.
        calls: makes LLM calls durably.
        tools: how to ask and to call.
        journal: where outcomes are committed.
        now: the time as ISO text.
        told: called with each durable outcome of a task, for progress.
    """

    run_id: str
    calls: Calls
    tools: Tools
    journal: Journal
    now: Now
    told: Callable[[TaskRow], None] = lambda _row: None


class Tasks:
    """Does steps for the engine.

    Args:
        around: what the whole run shares.
        names: what templates and expressions can read: the inputs, and results as they come.
        prefix: what the names of its tasks begin with, in a sub-workflow.
        salt: what decides results beside the steps: the inputs of a sub-workflow.
    """

    def __init__(
        self, around: Around, names: dict[str, Any], *, prefix: str = "", salt: str = ""
    ) -> None:
        """Do nothing yet."""
        self.around, self.names, self._prefix, self._salt = around, names, prefix, salt
        self._begun: dict[str, Facts] = {}
        self._texts: dict[str, str] = {}
        self.is_simulated = False
        """Whether a simulated LLM had a part in what was done."""
        self._ladder = Ladder(around.calls, around.tools, around.now, self._texts)

    # --- what the engine calls ------------------------------------------------------------------

    def at_once(self, step: Step, skipped_because: str) -> TaskRow | None:
        """Return the outcome of a step that takes no time, or None if it takes some."""
        facts = self._facts(step)
        if skipped_because:
            return self._ended(facts, "skipped", skipped_because=skipped_because)
        try:
            if step.when and not self._holds(step, facts):
                return self._not_taken(step, facts)
            if step.verb == "set" and not (step.asserts or step.checks or step.repeat):
                return self._ended(facts, "done", value=set_of(step, self.names))
        except (TemplateError, TaskFailed) as error:
            said = {"error": error.what, "error_hint": error.hint}
            return self._ended(facts, "failed", error_kind=type(error).__name__, **said)
        self._begun[step.id] = facts
        return None

    async def in_time(self, step: Step, lane: Lane) -> Ended:
        """Do a step that takes time.

        Raises:
            BudgetExceeded: a limit stops the whole run.
            AnswerNeeded: it waits for a person.
        """
        work = Work(step, self._begun.pop(step.id), self.names, lane)
        limit_s = step.limits.time_s if step.limits else None
        try:
            async with asyncio.timeout(limit_s):
                row = await self._asserted(work)
        except TimeoutError:
            error = TaskFailed(
                f"Task {step.id!r} took longer than its {limit_s:g} s.", hint="Raise limits.time."
            )
            row = self._ladder.in_its_place(work, error)
        return Ended(row, is_stored=row is work.sealed)

    def settled(self, row: TaskRow) -> None:
        """Let other steps read a durable outcome."""
        self.is_simulated |= row.simulated
        self.names[row.task.removeprefix(self._prefix)] = TaskResult(
            row, self._texts.pop(row.task, None)
        )
        self.around.told(row)

    # --- conditions and assertions --------------------------------------------------------------

    def _facts(self, step: Step, name: str = "", content: str = "") -> Facts:
        """Return what is known of an outcome before there is one."""
        own = content or (fingerprint([step.content, self._salt]) if self._salt else step.content)
        return {
            "run_id": self.around.run_id,
            "task": name or self._prefix + step.id,
            "verb": step.verb,
            "content": own,
            "started_utc": self.around.now(),
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

    def _ended(self, facts: Facts, state: Any, **fields: Any) -> TaskRow:
        return TaskRow(**facts, state=state, ended_utc=self.around.now(), **fields)

    async def _asserted(self, work: Work) -> TaskRow:
        """Do a step between the assertions that stand before and behind it."""
        step, tools = work.step, self.around.tools
        if not step.asserts:
            return await self._done(work)
        try:
            await tools.asserted(step, "start", work.names)
            row = await self._done(work)
            result = TaskResult(row, self._texts.get(work.name))
            await tools.asserted(step, "end", {**work.names, "out": result, **_score(row)})
        except (BudgetExceeded, RunStopped, AnswerNeeded):
            raise
        except BmadError as error:
            return work.failed(self.around.now(), error)
        return row

    # --- what a step is made of -----------------------------------------------------------------

    async def _done(self, work: Work, working: Working | None = None) -> TaskRow:
        """Return the outcome of a task or of a part, however it is made."""
        step = work.step
        try:
            working = working or begun(step, work.names, work.messages)
            if working is not None:
                return await self._driven(work, working)
            match step.verb:
                case "workflow":
                    return await self._sub(work)
                case "approve":
                    return await self._approved(work)
                case "set":
                    return work.ended(self.around.now(), "done", value=set_of(step, work.names))
        except BudgetExceeded:
            raise
        except (TemplateError, TaskFailed) as error:
            return self._ladder.in_its_place(work, error)
        return await self._ladder.down(work)

    async def _driven(self, work: Work, working: Working) -> TaskRow:
        """Do the parts that a pattern wants, until it returns an outcome."""
        replies: Sequence[Reply] = ()
        try:
            wanted = next(working)
            while True:
                replies = await self._replies(work, wanted)
                wanted = working.send(replies)
        except StopIteration as end:
            outcome: Outcome = end.value
        taken = outcome.taken
        facts = {**(taken.row.facts or {}), **outcome.facts} if taken else dict(outcome.facts)
        if outcome.error is not None:
            failed = self._ladder.in_its_place(work, outcome.error)
            return dataclasses.replace(failed, facts=facts or None, value=outcome.value) if (
                failed.state == "failed"
            ) else failed  # fmt: skip
        if taken is None:
            return work.ended(
                self.around.now(), "done", value=outcome.value, facts=facts or None,
                degraded=work.part_degraded,
            )  # fmt: skip
        fields = {name: getattr(taken.row, name) for name in _TAKEN}
        if outcome.is_own_value:
            fields |= {"value": outcome.value, "call_id": ""}  # its text is not the call's
        elif taken.result.text is not None:
            self._texts[work.name] = taken.result.text
        fields["simulated"] |= work.part_simulated
        for name in ("error", "error_kind", "error_hint", "skipped_because"):
            fields[name] = getattr(taken.row, name)
        return work.ended(self.around.now(), taken.row.state, facts=facts or None, **fields)

    # --- parts ----------------------------------------------------------------------------------

    async def _replies(self, work: Work, wanted: Parts) -> list[Reply]:
        """Do parts, as many at a time as there are slots; each is durable before the next reads it.

        Raises:
            AnswerNeeded: one waits for a person; the others were done.
            BudgetExceeded: a limit stops the run.
        """
        if len(wanted.parts) == 1:
            replies = [await self._part(work, wanted.parts[0], work.lane)]
        else:
            work.lane.let_go()
            replies = await self._at_once(work, wanted)
        for reply in replies:
            work.add(reply.row)
        return replies

    async def _at_once(self, work: Work, wanted: Parts) -> list[Reply]:
        found: dict[int, Reply] = {}
        stops: list[BaseException] = []
        todo = iter(enumerate(wanted.parts))

        async def worker() -> None:
            for number, part in todo:
                lane = work.lane.part(number)
                try:
                    found[number] = await self._part(work, part, lane)
                    await self._each_asserted(work, found[number])
                except Halted:
                    return  # the others may end what they have in flight
                except BmadError as error:
                    stops.append(error)
                    if isinstance(error, BudgetExceeded | RunStopped | StoreError):
                        lane.slots.halt(error)
                finally:
                    lane.let_go()

        many = min(len(wanted.parts), wanted.at_once or work.lane.slots.limit)
        async with asyncio.TaskGroup() as group:
            for _ in range(many):
                group.create_task(worker())
        if stops:
            raise next((s for s in stops if not isinstance(s, AnswerNeeded)), stops[0])
        if len(found) < len(wanted.parts):
            raise Halted
        return [found[number] for number in range(len(wanted.parts))]

    async def _each_asserted(self, work: Work, reply: Reply) -> None:
        if any(each.at == "each_item" for each in work.step.asserts):
            local = {**work.names, "out": reply.result, **_score(reply.row)}
            await self.around.tools.asserted(work.step, "each_item", local)

    async def _part(self, above: Work, part: Part, lane: Place) -> Reply:
        """Return the durable outcome of a part: what it gave before, or what it gives now."""
        name = above.name + part.name
        content = fingerprint(
            [above.facts["content"], part.name, plain(dict(part.names)), part.step.first_rung,
             [[m.role, m.text] for m in part.messages], part.sample]
        )  # fmt: skip
        kept = self.around.tools.kept(name, content)
        if kept is not None:
            row = await self._taken_over(kept[0])
            return Reply(row, _result(part.step, row, kept[1]))
        waited = (lane.queued_s, lane.rested_s)
        await lane.turn()
        names = over(above.names, part.names)
        facts = self._facts(part.step, name, content)
        work = Work(part.step, facts, names, lane, part.messages, part.sample, waited=waited)
        row = await self._done(work, part.pattern(names) if part.pattern else None)
        if row is not work.sealed:
            await self.around.journal.commit(TaskEnded(row))
        return Reply(row, TaskResult(row, self._texts.pop(name, None)))

    async def _taken_over(self, row: TaskRow) -> TaskRow:
        """Return what a part gave before, as a row of this run."""
        if row.run_id == self.around.run_id:
            return row
        origin = row.kept_from or row.run_id
        row = dataclasses.replace(
            row, run_id=self.around.run_id, kept_from=origin, cost_usd=Decimal(0)
        )
        await self.around.journal.commit(TaskEnded(row))
        return row

    # --- a sub-workflow -------------------------------------------------------------------------

    async def _sub(self, work: Work) -> TaskRow:
        """Run the tasks of a sub-workflow as tasks of this run, each with a slot of its own."""
        step = work.step
        plan = step.plan
        if plan is None:
            raise TaskFailed(f"Task {step.id!r} has no sub-workflow.")
        inputs = self.around.tools.bound(step, filled(dict(step.arguments or {}), work.names))
        salt = fingerprint([work.facts["content"], plain(inputs)])
        below = Tasks(self.around, dict(inputs), prefix=f"{work.name}/", salt=salt)
        kept = below.keep(plan.steps)
        work.lane.let_go()
        engine = Engine(
            plan.steps, self.around.journal, below, slots=work.lane.slots,
            schedule={"within": work.lane.rank},
            in_order=plan.strategy == "sequential",
            kept={row.task.removeprefix(below._prefix): row.state for row in kept},
        )  # fmt: skip
        await engine.run()
        work.part_simulated |= below.is_simulated
        for name in (n for n in below.names if isinstance(below.names[n], TaskResult)):
            cost = below.names[name].cost_usd
            work.cost_usd = None if cost is None or work.cost_usd is None else work.cost_usd + cost
        failed = [name for name, state in engine.states.items() if state == "failed"]
        if failed:
            first = below.names[failed[0]]
            raise TaskFailed(
                f"Sub-workflow {plan.workflow!r} failed at {failed[0]}: {first.error}",
                hint=first.hint,
            )
        return work.ended(self.around.now(), "done", value=outputs_of(plan, below.names))

    def keep(self, steps: Sequence[Step]) -> list[TaskRow]:
        """Take over what tasks of a sub-workflow gave before; return it."""
        found: dict[str, TaskRow] = {}
        for step in steps:
            own = fingerprint([step.content, self._salt])
            before = self.around.tools.kept(self._prefix + step.id, own)
            if before is not None and all(name in found for name in step.needs):
                found[step.id] = before[0]
                self.is_simulated |= before[0].simulated
                self.names[step.id] = _result(step, *before)
        return list(found.values())

    # --- a person -------------------------------------------------------------------------------

    async def _approved(self, work: Work) -> TaskRow:
        """Ask a person; the choice is read as `choice`, `comment` and `by`."""
        question = work.step.question
        if question is None:
            raise TaskFailed(f"Task {work.step.id!r} asks nothing.")
        shown = None
        if question.show:
            tree = expressions.parse(question.show)
            shown = plain(expressions.evaluate(tree, work.names))
        text = prompts.fill(question.ask, work.names)
        asked = Asked(
            text, question.options, question.form, shown, question.timeout_s, question.on_timeout
        )
        value = await self.around.tools.person(work.name, asked, work.lane)
        return work.ended(self.around.now(), "done", value=dict(value))


def _score(row: TaskRow) -> dict[str, Any]:
    return {"score": (row.facts or {}).get("score")}


def _result(step: Step, row: TaskRow, text: str | None) -> TaskResult:
    """Return what others read of an outcome that was stored; null is a value, not its text."""
    is_null = step.schema is not None and row.value is None
    return TaskResult(row, None if is_null else text)
