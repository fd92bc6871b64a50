"""A workflow as a durable run: begun or taken up again, executed, stored to its end."""

from __future__ import annotations

import asyncio
import dataclasses
import uuid
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal

from bmad_nb.calls.calls import Calls
from bmad_nb.engine.run import Engine
from bmad_nb.engine.slots import Slots
from bmad_nb.engine.tasks import Around, Tasks
from bmad_nb.errors import (
    AnswerNeeded,
    BudgetExceeded,
    NotRunnable,
    RunCancelled,
    RunFailed,
    RunPaused,
)
from bmad_nb.events import (
    CallEnded,
    CallRow,
    Event,
    RunEnded,
    RunPlanned,
    RunRow,
    RunStarted,
    RunStatus,
    TaskAnswered,
    TaskEnded,
    TaskRow,
)
from bmad_nb.messages import fingerprint
from bmad_nb.outcome import TaskResult
from bmad_nb.plan import Plan, assignments, root_of, with_members
from bmad_nb.plan_parts import Assignment
from bmad_nb.planner import Wishes, make_plan
from bmad_nb.runs.adaptation import Adaptation, order_of, typical_costs, typical_seconds
from bmad_nb.runs.asks import cancel_run, lost
from bmad_nb.runs.assertions import Assertions, SoFar
from bmad_nb.runs.control import Steered, watch
from bmad_nb.runs.earlier import Change, Earlier, difference, earlier_run, kept
from bmad_nb.runs.lent import Lent
from bmad_nb.runs.people import People
from bmad_nb.runs.progress import Progress
from bmad_nb.runs.repricing import Repricing
from bmad_nb.runs.routing import Live
from bmad_nb.runs.tools import Before, Tools, identities
from bmad_nb.state import RunState
from bmad_nb.steps.values import outputs_of
from bmad_nb.store.reading import now_utc
from bmad_nb.workflow import inputs as values
from bmad_nb.workflow.model import Workflow


class Execution(Steered):
    """One run of one workflow.

    Args:
        workflow: what to do; checked.
        wishes: inputs, strategy, LLMs and rights.
        around: the workspace's part.
        budget_usd: limit of this run in US dollars; None leaves the workflow's own.
        functions: functions that the caller handed over, by task.
        earlier: id of the run to go on with, `auto` for the newest stopped one that is the same,
            or empty for a new one.
        answers: what a person has answered, by task.
        fresh: ask anew, even where an answer is stored.

    Raises:
        NotRunnable: something is missing, such as a key or an input; all of it is named.
    """

    def __init__(
        self,
        workflow: Workflow,
        wishes: Wishes,
        around: Lent,
        *,
        budget_usd: Decimal | None = None,
        functions: Mapping[str, Callable[..., Any]] | None = None,
        earlier: Earlier | Literal["auto"] | None = "auto",
        answers: Mapping[str, Mapping[str, Any]] | None = None,
        fresh: bool = False,
    ) -> None:
        """Plan; nothing is written and nobody is contacted."""
        self.workflow, self._around, self._functions = workflow, around, functions or {}
        self._answers, self._fresh = dict(answers or {}), fresh
        self._wishes = dataclasses.replace(
            wishes,
            # a stored run has the contents of its files, not their paths
            inputs=values.bound(workflow, wishes.inputs, partly=isinstance(earlier, Earlier)),
            functions=identities(self._functions),
        )
        self.plan = self._planned({})
        self._earlier = self._found(earlier)
        before = self._earlier or self._replayed()
        if before is not None and before.state.plan is not None:
            self.plan = with_members(self._planned(self._pins(before)), before.state.plan)
        if self.plan.missing:
            raise NotRunnable(workflow.id, self.plan.missing)
        self.kept = kept(self.plan.steps, self._earlier)
        self.run = self._run_row(budget_usd)
        self.progress = Progress(len(self.plan.steps), "tasks")
        self.progress.limit_usd = self.run.budget_usd
        self.begun = False
        self._live: Live | None = None
        super().__init__(around.store, self.run.run_id, Slots(self._at_once()))
        self.on_begin: Callable[[str], None] = lambda _run_id: None
        """Called with the run's id once the run is durable."""

    def _planned(self, pinned: Mapping[str, Assignment]) -> Plan:
        wishes = dataclasses.replace(self._wishes, pinned=pinned)
        plan = make_plan(self.workflow, self._around.catalog, self._around.settings, wishes)
        if not self._fresh:
            return plan
        steps = tuple(dataclasses.replace(step, refresh=True) for step in plan.steps)
        return dataclasses.replace(plan, steps=steps)

    def _pins(self, before: Earlier) -> dict[str, Assignment]:
        """Return the LLMs that a run keeps, by content; before a fork whatever that is now."""
        plan = before.state.plan or {"steps": []}
        pins = assignments(plan)
        contents = {step.id: step.content for step in self.plan.steps}
        for step in plan["steps"]:
            if step["id"] in before.anyway and step["content"] in pins:
                pins[contents[step["id"]]] = pins[step["content"]]
        return pins

    def note(self, **facts: Any) -> None:
        """Keep facts of the run among its options; before it begins."""
        self.run = dataclasses.replace(self.run, options={**self.run.options, **facts})

    @property
    def key(self) -> str:
        """SHA-256 over what is to be done: the same cell run again has the same key."""
        contents = [step.content for step in self.plan.steps]
        return fingerprint(["workflow", self.workflow.id, contents, dict(self._wishes.inputs)])

    @property
    def changes(self) -> list[Change]:
        """What becomes of each task of the run that this one goes on with."""
        return [] if self._earlier is None else difference(self.plan, self._earlier)

    def _found(self, earlier: Earlier | Literal["auto"] | None) -> Earlier | None:
        if earlier != "auto":
            return earlier
        # what a stopped run lacks could not be had in replay mode: it waits for another day
        replay = self._around.catalog.replay
        stopped = None if replay else self._around.store.unfinished(self.key)
        return None if stopped is None else earlier_run(self._around.store, stopped.run_id)

    def _replayed(self) -> Earlier | None:
        """Return, in replay mode, the newest run that was the same.

        Its LLMs have answers in the store, though keys that came or went would choose others now.
        """
        store = self._around.store
        runs = store.runs() if self._around.catalog.replay else ()
        same = [run.run_id for run in runs if run.key == self.key]
        return earlier_run(store, same[-1]) if same else None

    def _run_row(self, budget_usd: Decimal | None) -> RunRow:
        before = self._earlier.state.run if self._earlier and self._earlier.same_run else None
        limit = self.plan.limits.cost_usd
        budget = Decimal(limit) if budget_usd is None and limit is not None else budget_usd
        given = budget_usd is not None
        if budget_usd is None and before is not None and (before.options or {}).get("budget_given"):
            budget, given = before.budget_usd, True
        return RunRow(
            run_id=before.run_id if before else uuid.uuid4().hex[:8],
            verb="workflow",
            status="running",
            title=self.workflow.title or self.workflow.id,
            key=self.key,
            budget_usd=budget,
            started_utc=before.started_utc if before else now_utc(),
            owner="",
            fence=before.fence + 1 if before else 1,
            workflow=self.workflow.id,
            definition=self.workflow.to_dict(),
            inputs=dict(self._wishes.inputs),
            options={
                "strategy": self._wishes.strategy,
                "llms": dict(self._wishes.llms),
                "allow_python": self._wishes.allow_python,
                "budget_given": given,
                "learned": self._wishes.learned,
                "workflows": {n: f.to_dict() for n, f in self._wishes.workflows.items()},
            },
        )

    # --- running --------------------------------------------------------------------------------

    async def execute(self) -> None:
        """Run every task that has no outcome yet.

        Raises:
            RunPaused: cancelled from outside, or stopped by a limit.
            RunFailed: a task failed that others or the outcome needed.
            RunBusy: another process has taken the run up.
            StoreError: something could not be written down.
        """
        beginning = asyncio.ensure_future(self._begin())
        try:
            await asyncio.shield(beginning)
        except asyncio.CancelledError:
            await beginning  # it may be durable already: then it must not say running for ever
            await self._end("paused", "user", self._tasks())
            raise self._paused("Interrupted") from None
        tasks = self._tasks()
        self._main = asyncio.current_task()
        watching = asyncio.ensure_future(watch(self._around.store, self.run.run_id, self))
        engine = Engine(
            self.plan.steps,
            self._around.store,
            tasks,
            slots=self._slots,
            schedule=self._schedule(),
            in_order=self.plan.strategy == "sequential",
            kept={row.task: row.state for row in self.kept},
            measured=self._adapt.seconds if self.plan.strategy == "adaptive" else None,
        )
        try:
            async with asyncio.timeout(self._time_left_s()):
                await engine.run()
        except asyncio.CancelledError:
            status, stop = self._stop or ("paused", RunPaused("Interrupted"))
            await self._end(status, getattr(stop, "reason", "user"), tasks)
            if isinstance(stop, RunCancelled):
                raise stop from None
            raise self._paused(stop.what) from None
        except TimeoutError:
            await self._end("paused", "limit", tasks)
            limit_s = self.plan.limits.time_s
            what = f"The limit of {limit_s:g} s is used up"
            raise self._paused(what, "Raise limits.time in the definition.") from None
        except BudgetExceeded as error:
            await self._end("paused", "limit", tasks)
            raise self._paused(error.what, error.hint) from None
        except AnswerNeeded as error:
            await self._end("paused", "human", tasks)
            raise self._paused(error.what, error.hint, go_on=False) from None
        except RunPaused as stop:
            await self._end("paused", stop.reason, tasks)
            raise self._paused(stop.what, stop.hint) from None
        except BaseException as error:
            await self._end("failed", type(error).__name__, tasks)
            raise
        finally:
            watching.cancel()
        failed = [name for name, state in engine.states.items() if state == "failed"]
        await self._end("failed" if failed else "completed", "", tasks)
        if failed:
            raise self._failed(failed, tasks)

    async def cancel(self) -> None:
        """Store the run as cancelled, after a second interrupt."""
        if self.begun:
            await cancel_run(self._around.store, self.run.run_id)

    async def _begin(self) -> None:
        """Store that the run begins or goes on, its plan, and what it takes over."""
        self.run = dataclasses.replace(self.run, owner=self._around.store.owner_name())
        events: list[Event] = [
            RunStarted(self.run),
            RunPlanned(self.run.run_id, self.plan.to_dict()),
        ]
        earlier = self._earlier
        if earlier is not None and earlier.same_run:
            gone = (c for c in earlier.state.calls.values() if c.state in {"in_flight", "lost"})
            events += [CallEnded(lost(call)) for call in gone]
        elif earlier is not None:
            self.kept = [self._taken_over(row) for row in self.kept]
            events += map(TaskEnded, self.kept)
        run_id = self.run.run_id
        events += [TaskAnswered(run_id, task, each) for task, each in self._answers.items()]
        for wish in self._around.store.wishes(run_id) if earlier else ():
            if wish.kind == "answer":  # it came while nobody ran it
                self._answers[wish.payload["task"]] = wish.payload["answer"]
                events.append(
                    TaskAnswered(run_id, wish.payload["task"], wish.payload["answer"], wish.number)
                )
        await self._around.store.commit(*events)
        self.begun = True
        self.on_begin(self.run.run_id)
        for row in self.kept:
            self.progress.task(row)

    def _taken_over(self, row: TaskRow) -> TaskRow:
        return dataclasses.replace(
            row,
            run_id=self.run.run_id,
            content=self.plan.step(row.task).content,
            kept_from=row.kept_from or row.run_id,
            cost_usd=Decimal(0),
        )

    def _tasks(self) -> Tasks:
        store, run_id = self._around.store, self.run.run_id
        earlier = self._earlier
        mine = earlier.state if earlier and earlier.same_run else RunState()
        before = Before(list(mine.calls.values()), earlier.state.tasks if earlier else {})
        self._so_far = SoFar(self.run.budget_usd, before.calls, self._used_s())
        answers = {**mine.answers, **self._answers}
        self._people = People(run_id, store, mine.questions, answers, waits=self._around.waits)
        repricing = Repricing(
            run_id, store, self._around.catalog.prices, lambda: self._planned({}), plan=self.plan
        )
        fired = [(each.task, each.that) for each in mine.checkpoints]
        if self.plan.strategy == "adaptive":
            self._live = Live(run_id, self.workflow, self._wishes, self._around, self.plan)
        tools = Tools(
            self.run, self.plan, self._around, before, functions=self._functions,
            workflows=self._wishes.workflows, people=self._people, repricing=repricing,
            assertions=Assertions(run_id, store, fired, self._so_far, repricing.replan),
            live=self._live,
        )  # fmt: skip
        self._adapt = Adaptation(self.plan, store, tools.hedges)
        # the engine's own slots are the ones that count
        most = max((step.repeat.most for step in self.plan.steps if step.repeat), default=0)
        limit = max(1, most, len(self.plan.steps))
        hear = self.progress.said if self._around.watched else None
        self._calls = Calls(store, now_utc, limit=limit, progress=self._note, hear=hear)
        around = Around(run_id, self._calls, tools, store, now_utc, self._told)
        return Tasks(around, self._names())

    def _names(self) -> dict[str, Any]:
        """Return what the first tasks can read: inputs, and results from before."""
        names: dict[str, Any] = dict(self._wishes.inputs)
        with_schema = {step.id for step in self.plan.steps if step.schema is not None}
        for row in self.kept:
            call = self._around.store.call(row.call_id) if row.call_id else None
            is_null = row.value is None and row.task in with_schema
            names[row.task] = TaskResult(row, call.text if call and not is_null else None)
        return names

    def _note(self, row: CallRow) -> None:
        self.progress(row)
        self._so_far.call(row)
        if self.plan.strategy == "adaptive":
            self._adapt.note(row)
        if self._live is not None:
            self._live.health.note(row)

    def _told(self, row: TaskRow) -> None:
        if row.task == root_of(row.task):  # one of a sub-workflow is a part of one
            self.progress.task(row)
            self._so_far.task(row.state)

    def _at_once(self) -> int:
        limit = self.plan.limits.concurrency or self._around.settings.max_concurrent_tasks
        return 1 if self.plan.strategy == "sequential" else limit

    def _schedule(self) -> dict[str, Any]:
        """Return what is preferred among tasks that are ready, and how long each may be."""
        seconds = typical_seconds(self.plan, self._around.store)
        costs = typical_costs(self.plan, self._around.catalog)
        return {"seconds": seconds, "costs": costs, "order": order_of(self.plan.objectives)}

    def _time_left_s(self) -> float | None:
        limit_s = self.plan.limits.time_s
        return None if limit_s is None else max(0.0, limit_s - self._used_s())

    def _used_s(self) -> float:
        return self._earlier.active_s if self._earlier and self._earlier.same_run else 0.0

    async def _end(self, status: RunStatus, reason: str, tasks: Tasks) -> None:
        """Store how the run stopped, calls that were broken off among it."""
        broken = [call for call in self._calls.rows.values() if call.state == "cancelled"]
        over = status in {"completed", "failed"}
        outputs = outputs_of(self.plan, tasks.names) if over else None
        end = RunEnded(self.run.run_id, status, reason, outputs)
        await self._around.store.commit(*map(CallEnded, broken), end)

    # --- what is said ---------------------------------------------------------------------------

    def _paused(self, what: str, hint: str = "", *, go_on: bool = True) -> RunPaused:
        run_id = self.run.run_id
        done = self.progress.done
        how = f"Run it again to go on, or: %bmad resume {run_id}" if go_on else ""
        said = what if what.endswith("?") else f"{what.rstrip('.')}."
        return RunPaused(
            f"{said} {done} of {len(self.plan.steps)} tasks are done and kept.",
            hint=f"{hint} {how}".strip(),
            run_id=run_id,
        )

    def _failed(self, failed: Sequence[str], tasks: Tasks) -> RunFailed:
        said = " ".join(f"{name}: {tasks.names[name].error}" for name in failed[:4])
        others = f" And {len(failed) - 4} more." if len(failed) > 4 else ""
        return RunFailed(
            f"Run {self.run.run_id} of {self.workflow.id!r} failed. {said}{others}",
            hint=tasks.names[failed[0]].hint,
            run_id=self.run.run_id,
        )
