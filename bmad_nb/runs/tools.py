"""What the engine is given to act on the world: LLM calls within their limits, and functions."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import importlib
import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from bmad_nb import expressions
from bmad_nb._functions import in_thread, source_hash
from bmad_nb.budget import Budget, Level, OnLimit, Quota
from bmad_nb.calls.calls import Ask
from bmad_nb.errors import BmadError, TaskFailed
from bmad_nb.events import CallRow, RunRow, TaskRow
from bmad_nb.grid import request
from bmad_nb.messages import Message, canonical_json, variant_name
from bmad_nb.plan import Plan, Step, root_of
from bmad_nb.plan_parts import Assignment, RunLimits, TaskLimits
from bmad_nb.runs.asks import ask_of, spent
from bmad_nb.runs.assertions import Assertions
from bmad_nb.runs.lent import Lent
from bmad_nb.runs.people import People
from bmad_nb.runs.repricing import Repricing
from bmad_nb.runs.routing import Live, Moment
from bmad_nb.secrets import redact
from bmad_nb.steps.work import Asked, Place
from bmad_nb.workflow import inputs
from bmad_nb.workflow.model import Workflow


def functions_of(
    workflow: Workflow | None, below: Mapping[str, Workflow] | None = None
) -> dict[str, Callable[..., Any]]:
    """Return the functions that a workflow was given in Python, by task.

    Those of sub-workflows, `below`, are called `workflow/task`.
    """
    tasks = dict(workflow.tasks) if workflow else {}
    for flow in (below or {}).values():
        tasks |= {f"{flow.id}/{name}": task for name, task in flow.tasks.items()}
    return {name: task.python for name, task in tasks.items() if callable(task.python)}


def identities(functions: Mapping[str, Callable[..., Any]]) -> dict[str, str]:
    """Return what each function is, by task: a changed one is another task."""
    return {task: source_hash(function) for task, function in functions.items()}


@dataclass(frozen=True, slots=True)
class Before:
    """What a run did before it was stopped."""

    calls: Sequence[CallRow] = ()
    """Calls that it made; they count against its limits."""
    parts: Mapping[str, TaskRow] = field(default_factory=dict)
    """Outcomes of parts of its tasks, by name."""


class Tools:
    """Asks LLMs and calls functions for one run.

    Args:
        run: the run.
        plan: its plan.
        around: the workspace's part.
        before: what this run did before it was stopped.
        functions: functions that the caller handed over, by task.
        workflows: definitions of its sub-workflows, by id.
        people: asks people.
        assertions: looks at assertions.
        repricing: says which LLM a step is given by the prices of the moment.
        live: says it by all that stands at the moment of a call; None keeps to the plan.
    """

    def __init__(
        self,
        run: RunRow,
        plan: Plan,
        around: Lent,
        before: Before,
        *,
        functions: Mapping[str, Callable[..., Any]],
        workflows: Mapping[str, Workflow],
        people: People,
        assertions: Assertions,
        repricing: Repricing,
        live: Live | None = None,
    ) -> None:
        """Reckon what is used up already."""
        self.people, self._assertions, self._repricing = people, assertions, repricing
        self._live = live
        self._run, self._around, self._functions = run, around, functions
        self._workflows, self._parts = workflows, before.parts
        self._before, self._made = before.calls, len(before.calls)
        self._levels = {
            simulated: _levels(plan.limits, run.budget_usd, before.calls, "", simulated=simulated)
            for simulated in (False, True)
        }
        self._limited = dict(_limited(plan, ""))
        self._task_levels: dict[tuple[str, bool], tuple[Level, ...]] = {}
        self.hedges: dict[str, float] = {}
        """Seconds after which a call of an LLM is hedged, as the adaptive strategy found them."""

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
        """Return the call that asks `assignment`'s LLM; arguments as in `steps.work.Tools`.

        Raises:
            UsageProblem: a parameter that no backend takes.
        """
        planned, assignment = assignment, await self._repricing.assignment(step, assignment)
        self._made += 1
        call_id = f"{self._run.run_id}-{self._run.fence}-{self._made}"
        if self._live is not None:
            moment = Moment(
                task, call_id, number, messages, self._left_usd,
                lambda name: self._worst_usd(step, name, messages),
            )  # fmt: skip
            at_once = planned if planned is step.assignment else assignment
            assignment = await self._live.assignment(step, at_once, moment)
        llm = self._around.catalog.llm(assignment.llm)
        params = {**dict(step.params), **dict(assignment.params)}
        if step.max_tokens is not None:
            params.setdefault("max_tokens", step.max_tokens)
        fresh = self._run.run_id if step.refresh and not self._around.catalog.replay else ""
        schema = "" if step.schema is None else canonical_json(step.schema).decode()
        return ask_of(
            llm,
            request(llm, messages, params, sample=sample, fresh=fresh, schema=schema),
            self._around.catalog.price(llm.card),
            self._limits(task, step, simulated=llm.card.simulated),
            timeout_s=step.timeout_s,
            hedge_s=self._hedge_s(llm.card.id),
            call_id=call_id,
            run_id=self._run.run_id,
            variant=variant_name(dict(assignment.params)),
            task=task,
            attempt=number,
        )

    def _left_usd(self, simulated: bool) -> Decimal | None:
        """Return what the run and the workspace may still spend; None without a limit."""
        budgets = (self._levels[simulated][0], self._around.budgets[simulated])
        left = [
            each.limit_usd - each.spent_usd - each.held_usd
            for each in budgets
            if isinstance(each, Budget) and each.limit_usd is not None
        ]
        return min(left, default=None)

    def _worst_usd(self, step: Step, llm_id: str, messages: tuple[Message, ...]) -> Decimal | None:
        """Return what a call could cost at most with an LLM; None where nobody knows it."""
        llm = self._around.catalog.llm(llm_id)
        price = self._around.catalog.price(llm.card)
        params = {} if step.max_tokens is None else {"max_tokens": step.max_tokens}
        return None if price is None else price.worst_case(request(llm, messages, params))

    def _limits(self, task: str, step: Step, *, simulated: bool) -> tuple[Level, ...]:
        """Return the limits above a call: the run's, the workspace's, its tasks', its own."""
        levels = [*self._levels[simulated], self._around.budgets[simulated]]
        for scope in scopes(task):
            if scope in self._limited:
                levels += self._levels_of(scope, simulated=simulated)
        one = step.max_cost_usd
        if one is not None:
            levels.append(Budget(Decimal(one), scope=" for one call", on_limit="fail"))
        return tuple(levels)

    def _levels_of(self, scope: str, *, simulated: bool) -> tuple[Level, ...]:
        """Return the levels of the limits that stand over a task or a sub-workflow."""
        own = self._task_levels.get((scope, simulated))
        if own is None:
            limits = self._limited[scope]
            before = [call for call in self._before if scope in scopes(call.task)]
            limit_usd = None if limits.cost_usd is None else Decimal(limits.cost_usd)
            said = f" for {'workflow' if scope.endswith('/') else 'task'} {scope.rstrip('/')!r}"
            own = _levels(limits, limit_usd, before, said, simulated=simulated)
            self._task_levels[scope, simulated] = own
        return own

    def _hedge_s(self, llm: str) -> float | None:
        """Return after how many seconds a call is sent once more beside the first."""
        return self._around.settings.hedge_after_s or self.hedges.get(llm)

    def bound(self, step: Step, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the inputs of a sub-workflow, checked and with their defaults.

        Raises:
            TaskFailed: they do not fit what it declares.
        """
        flow = self._workflows[step.plan.workflow if step.plan else ""]
        try:
            return inputs.bound(flow, given)
        except BmadError as error:
            raise TaskFailed(
                f"Task {step.id!r} gives workflow {flow.id!r} wrong inputs: {error.what}",
                hint=error.hint,
            ) from None

    def kept(self, task: str, content: str) -> tuple[TaskRow, str | None] | None:
        """Return what a part gave before, and its text; None if it is to be done."""
        row = self._parts.get(task)
        if row is None or row.content != content or row.state not in {"done", "skipped"}:
            return None
        call = self._around.store.call(row.call_id) if row.call_id else None
        return row, call.text if call else None

    def answer(self, task: str) -> Mapping[str, Any] | None:
        """Return what a person has answered, or None."""
        return self.people.answer(task)

    def person(self, task: str, asked: Asked, place: Place) -> Awaitable[Mapping[str, Any]]:
        """Return what a person answers; see `People.ask`."""
        return self.people.ask(task, asked, place)

    def asserted(self, step: Step, moment: str, names: Mapping[str, Any]) -> Awaitable[None]:
        """Look at the assertions of a step that belong to a moment; see `Assertions.look`."""
        return self._assertions.look(step, moment, names)

    def stored(self, step: Step) -> tuple[TaskRow, str]:
        """Return the newest result of a step in an earlier run of this workflow, and its text.

        Raises:
            TaskFailed: there is none.
        """
        row = self._around.store.newest_result(self._run.workflow, step.id, not_in=self._run.run_id)
        if row is None:
            raise TaskFailed(
                f"Task {step.id!r} has no stored result that could stand in.",
                hint="There is one as soon as a run of this workflow has done it once.",
            )
        call = self._around.store.call(row.call_id) if row.call_id else None
        return row, (call.text if call else None) or ""

    async def call(self, step: Step, arguments: Mapping[str, Any]) -> Any:
        """Call the function of a `python` step; one that may block runs in a thread of its own.

        Raises:
            TaskFailed: it is not there, or it raised.
        """
        try:
            function = self._functions.get(step.function) or _imported(step.function)
            if inspect.iscoroutinefunction(function):
                return await function(**arguments)
            answer = await in_thread(functools.partial(function, **arguments))
            return await answer if inspect.isawaitable(answer) else answer
        except BmadError:
            raise
        except (Exception, KeyboardInterrupt, SystemExit, asyncio.CancelledError) as error:
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task and task.cancelling():
                raise  # we were cancelled; else something inside of the function was
            raise TaskFailed(
                f"The function of task {step.id!r} raised {redact(expressions.told(error))}",
                hint="Mend the function, and run it again; what is finished is kept.",
            ) from error


def scopes(task: str) -> list[str]:
    """Return what stands over a call of a part: tasks, and sub-workflows with a slash behind.

    >>> scopes("plan/draft#2.judge")
    ['plan', 'plan/', 'plan/draft']
    """
    found: list[str] = []
    above = ""
    for name in task.split("/"):
        found += [above] if above else []
        found.append(above + root_of(name))
        above += f"{root_of(name)}/"
    return found


def _limited(plan: Plan, prefix: str) -> Iterator[tuple[str, TaskLimits]]:
    """Yield the limits of the tasks of a plan and of its sub-workflows, by what they stand over."""
    for step in plan.steps:
        if step.limits is not None:
            yield prefix + step.id, step.limits
        if step.plan is not None:
            limits = dataclasses.asdict(step.plan.limits)
            limits.pop("concurrency")
            if any(limits[name] is not None for name in ("cost_usd", "calls", "tokens")):
                yield f"{prefix}{step.id}/", TaskLimits(**limits)
            yield from _limited(step.plan, f"{prefix}{step.id}/")


def _levels(
    limits: TaskLimits | RunLimits,
    limit_usd: Decimal | None,
    before: Sequence[CallRow],
    scope: str,
    *,
    simulated: bool,
) -> tuple[Level, ...]:
    """Return the budget and the quotas that some limits stand for, with what is used of them.

    Calls and tokens of simulated LLMs have quotas of their own, as their money has a budget.
    """
    on_limit: OnLimit = limits.on_limit
    sent = [call for call in before if call.simulated is simulated and not call.from_store]
    tokens = sum((call.input_tokens or 0) + (call.output_tokens or 0) for call in sent)
    budget = Budget(limit_usd, spent(before, simulated=simulated), on_limit=on_limit, scope=scope)
    calls = Quota(limits.calls, "calls", len(sent), on_limit=on_limit, scope=scope)
    quota = Quota(limits.tokens, "tokens", tokens, on_limit=on_limit, scope=scope)
    return (budget, calls, quota)


def _imported(name: str) -> Callable[..., Any]:
    """Return the function that `module:function` names.

    Raises:
        TaskFailed: there is none.
    """
    module, _, path = name.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise TaskFailed(
            f"{name!r} cannot be imported: {error}.", hint="Write module:function."
        ) from None
    if not callable(found):
        raise TaskFailed(f"{name!r} is not a function.", hint="Write module:function.")
    function: Callable[..., Any] = found
    return function
