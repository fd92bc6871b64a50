"""A workflow as a durable run: begun or taken up again, executed, stored to its end."""

from __future__ import annotations

import asyncio
import dataclasses
import uuid
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal

from bmad_nb import expressions, parse
from bmad_nb._functions import source_hash
from bmad_nb.budget import parse_usd
from bmad_nb.calls.calls import Calls
from bmad_nb.engine.result import TaskResult
from bmad_nb.engine.run import Engine
from bmad_nb.engine.tasks import Tasks
from bmad_nb.engine.work import plain
from bmad_nb.errors import (
    AnswerNeeded,
    BudgetExceeded,
    NotRunnable,
    RunBusy,
    RunFailed,
    RunPaused,
    TaskFailed,
    UnknownName,
    UsageProblem,
    WorkflowError,
)
from bmad_nb.events import (
    CallEnded,
    Event,
    RunEnded,
    RunPlanned,
    RunRow,
    RunStarted,
    RunStatus,
    TaskEnded,
    TaskRow,
)
from bmad_nb.messages import fingerprint
from bmad_nb.plan import Assignment, Plan, assignments
from bmad_nb.planner import Wishes, make_plan
from bmad_nb.runs.asks import cancel_run, lost
from bmad_nb.runs.earlier import Change, Earlier, difference, earlier_run, kept
from bmad_nb.runs.progress import Progress
from bmad_nb.runs.repricing import Repricing
from bmad_nb.runs.tools import Around, Tools
from bmad_nb.store.reading import now_utc
from bmad_nb.workflow import inputs as values
from bmad_nb.workflow.model import Workflow


def functions_of(workflow: Workflow | None) -> dict[str, Callable[..., Any]]:
    """Return the functions that a workflow was given in Python, by task."""
    tasks = workflow.tasks if workflow else {}
    return {name: task.python for name, task in tasks.items() if callable(task.python)}


def identities(functions: Mapping[str, Callable[..., Any]]) -> dict[str, str]:
    """Return what each function is, by task: a changed one is another task."""
    return {task: source_hash(function) for task, function in functions.items()}


def resumed(
    run: RunRow,
    around: Around,
    edited: Workflow | None,
    functions: Mapping[str, Callable[..., Any]],
    budget_usd: Any,
    *,
    allow_python: bool,
    answers: Mapping[str, str] | None = None,
) -> Execution:
    """Return how a stored run goes on, with its own definition or an edited one.

    Raises:
        UsageProblem: nothing of it is left to do, or it is no workflow.
        RunBusy: it is running.
    """
    if run.verb != "workflow":
        raise UsageProblem(
            f"Run {run.run_id} is no workflow.", hint="Run its cell again: it goes on by itself."
        )
    if run.status == "running":
        raise RunBusy(f"Run {run.run_id} is running.", hint="Wait for it, or interrupt it first.")
    if run.status == "completed" and edited is None:
        raise UsageProblem(
            f"Run {run.run_id} is completed.", hint=f"See it: %bmad show {run.run_id}"
        )
    for task in answers or {}:
        if task not in (edited.tasks if edited else (run.definition or {}).get("tasks", {})):
            raise UnknownName("task", task, (run.definition or {}).get("tasks", {}))
    options = run.options or {}
    flow = edited or parse.from_dict(run.definition, run.workflow)
    wishes = Wishes(
        inputs=run.inputs or {},
        strategy=options.get("strategy"),
        llms=options.get("llms") or {},
        allow_python=allow_python or bool(options.get("allow_python")),
    )
    return Execution(
        flow,
        wishes,
        around,
        budget_usd=_total(run, budget_usd),
        functions=functions,
        earlier=earlier_run(around.store, run.run_id),
        answers=answers,
    )


def _total(run: RunRow, budget_usd: Any) -> Decimal | None:
    """Return the limit of a run that goes on; `+1` adds to what it had."""
    if budget_usd is None:
        return None
    text = str(budget_usd).strip()
    if text.startswith("+") and run.budget_usd is None:
        raise UsageProblem(
            f"Run {run.run_id} has no budget that {text!r} could add to.",
            hint="Write a total, without a plus.",
        )
    added = parse_usd(text.removeprefix("+"))
    return added + run.budget_usd if text.startswith("+") and run.budget_usd else added


class Execution:
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

    Raises:
        NotRunnable: something is missing, such as a key or an input; all of it is named.
    """

    def __init__(
        self,
        workflow: Workflow,
        wishes: Wishes,
        around: Around,
        *,
        budget_usd: Decimal | None = None,
        functions: Mapping[str, Callable[..., Any]] | None = None,
        earlier: Earlier | Literal["auto"] | None = "auto",
        answers: Mapping[str, str] | None = None,
    ) -> None:
        """Plan; nothing is written and nobody is contacted."""
        self.workflow, self._around, self._functions = workflow, around, functions or {}
        self._answers = answers or {}
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
            self.plan = self._planned(assignments(before.state.plan))
        if self.plan.missing:
            raise NotRunnable(workflow.id, self.plan.missing)
        self.kept = kept(self.plan.steps, self._earlier)
        self.run = self._run_row(budget_usd)
        self.progress = Progress(len(self.plan.steps), "tasks")
        self.progress.limit_usd = self.run.budget_usd
        self.begun = False
        self.on_begin: Callable[[str], None] = lambda _run_id: None
        """Called with the run's id once the run is durable."""

    def _planned(self, pinned: Mapping[str, Assignment]) -> Plan:
        wishes = dataclasses.replace(self._wishes, pinned=pinned)
        return make_plan(self.workflow, self._around.catalog, self._around.settings, wishes)

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
        engine = Engine(
            self.plan.steps,
            self._around.store,
            tasks,
            limit=self.plan.limits.concurrency or self._around.settings.max_concurrent_tasks,
            in_order=self.plan.strategy == "sequential",
            kept={row.task: row.state for row in self.kept},
        )
        try:
            async with asyncio.timeout(self._time_left_s()):
                await engine.run()
        except asyncio.CancelledError:
            await self._end("paused", "user", tasks)
            raise self._paused("Interrupted") from None
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
        except BaseException as error:
            await self._end("failed", type(error).__name__, tasks)
            raise
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
        await self._around.store.commit(*events)
        self.begun = True
        self.on_begin(self.run.run_id)
        for row in self.kept:
            self.progress.task(row)

    def _taken_over(self, row: TaskRow) -> TaskRow:
        return dataclasses.replace(
            row, run_id=self.run.run_id, kept_from=row.kept_from or row.run_id, cost_usd=Decimal(0)
        )

    def _tasks(self) -> Tasks:
        names: dict[str, Any] = dict(self._wishes.inputs)
        with_schema = {step.id for step in self.plan.steps if step.schema is not None}
        for row in self.kept:
            call = self._around.store.call(row.call_id) if row.call_id else None
            is_null = row.value is None and row.task in with_schema
            names[row.task] = TaskResult(row, call.text if call and not is_null else None)
        earlier = self._earlier
        before = earlier.state.calls.values() if earlier and earlier.same_run else ()
        tools = Tools(
            self.run,
            self.plan,
            self._around,
            list(before),
            functions=self._functions,
            answers=self._answers,
            repricing=Repricing(
                self.run.run_id,
                self._around.store,
                self._around.catalog.prices,
                lambda: self._planned({}),
            ),
        )
        slots = max(1, len(self.plan.steps))  # the engine's own slots are the ones that count
        calls = Calls(self._around.store, now_utc, limit=slots, progress=self.progress)
        return Tasks(self.run.run_id, names, calls, tools, now=now_utc, told=self.progress.task)

    def _time_left_s(self) -> float | None:
        limit_s = self.plan.limits.time_s
        if limit_s is None:
            return None
        used = self._earlier.active_s if self._earlier and self._earlier.same_run else 0.0
        return max(0.0, limit_s - used)

    async def _end(self, status: RunStatus, reason: str, tasks: Tasks) -> None:
        """Store how the run stopped, calls that were broken off among it."""
        broken = [call for call in tasks.calls.rows.values() if call.state == "cancelled"]
        outputs = self._outputs(tasks) if status in {"completed", "failed"} else None
        end = RunEnded(self.run.run_id, status, reason, outputs)
        await self._around.store.commit(*map(CallEnded, broken), end)

    def _outputs(self, tasks: Tasks) -> dict[str, Any]:
        """Return the workflow's outputs; one that cannot be had is null."""
        found = {}
        for name, text in self.plan.outputs:
            try:
                found[name] = plain(expressions.evaluate(expressions.parse(text), tasks.names))
            except (WorkflowError, TaskFailed):
                found[name] = None
        return found

    # --- what is said ---------------------------------------------------------------------------

    def _paused(self, what: str, hint: str = "", *, go_on: bool = True) -> RunPaused:
        run_id = self.run.run_id
        done = self.progress.done
        how = f"Run it again to go on, or: %bmad resume {run_id}" if go_on else ""
        return RunPaused(
            f"{what.rstrip('.')}. {done} of {len(self.plan.steps)} tasks are done and kept.",
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
