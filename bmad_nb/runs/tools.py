"""What the engine is given to act on the world: LLM calls within their limits, and functions."""

from __future__ import annotations

import asyncio
import functools
import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from bmad_nb import expressions
from bmad_nb._functions import in_thread
from bmad_nb.budget import Budget, Level, OnLimit, Quota
from bmad_nb.calls.calls import Ask
from bmad_nb.errors import BmadError, TaskFailed
from bmad_nb.events import CallRow, RunRow, TaskRow
from bmad_nb.grid import request
from bmad_nb.llms.catalog import Catalog
from bmad_nb.messages import Message, canonical_json, variant_name
from bmad_nb.plan import Assignment, Plan, RunLimits, Step, TaskLimits
from bmad_nb.runs.asks import ask_of, spent
from bmad_nb.runs.repricing import Repricing
from bmad_nb.secrets import redact
from bmad_nb.settings import EngineSettings
from bmad_nb.store.journal import Store


@dataclass(frozen=True, slots=True)
class Around:
    """What a workspace lends to a run."""

    store: Store
    catalog: Catalog
    settings: EngineSettings
    budgets: Mapping[bool, Budget]
    """Budgets over this run's own, by whether the money is simulated."""


class Tools:
    """Asks LLMs and calls functions for one run.

    Args:
        run: the run.
        plan: its plan.
        around: the workspace's part.
        before: calls that this run made before it was stopped; they count against its limits.
        functions: functions that the caller handed over, by task.
        answers: what a person has answered, by task.
        repricing: says which LLM a step is given by the prices of the moment.
    """

    def __init__(
        self,
        run: RunRow,
        plan: Plan,
        around: Around,
        before: Sequence[CallRow],
        *,
        functions: Mapping[str, Callable[..., Any]],
        answers: Mapping[str, str],
        repricing: Repricing,
    ) -> None:
        """Reckon what is used up already."""
        self._answers, self._repricing = answers, repricing
        self._run, self._around, self._functions = run, around, functions
        self._before, self._made = before, len(before)
        limit_usd = run.budget_usd
        self._levels = {
            simulated: _levels(plan.limits, limit_usd, before, "", simulated=simulated)
            for simulated in (False, True)
        }
        self._task_levels: dict[tuple[str, bool], tuple[Level, ...]] = {}

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

        Raises:
            UsageProblem: a parameter that no backend takes.
        """
        assignment = await self._repricing.assignment(step, assignment)
        llm = self._around.catalog.llm(assignment.llm)
        params = {**dict(step.params), **dict(assignment.params)}
        if step.max_tokens is not None:
            params.setdefault("max_tokens", step.max_tokens)
        fresh = self._run.run_id if step.refresh and not self._around.catalog.replay else ""
        schema = "" if step.schema is None else canonical_json(step.schema).decode()
        self._made += 1
        return ask_of(
            llm,
            request(llm, messages, params, sample=sample, fresh=fresh, schema=schema),
            self._around.catalog.price(llm.card),
            self._limits(step, simulated=llm.card.simulated),
            timeout_s=step.timeout_s,
            hedge_s=self._around.settings.hedge_after_s,
            call_id=f"{self._run.run_id}-{self._run.fence}-{self._made}",
            run_id=self._run.run_id,
            variant=variant_name(dict(assignment.params)),
            task=step.id,
            attempt=number,
        )

    def _limits(self, step: Step, *, simulated: bool) -> tuple[Level, ...]:
        """Return the limits above a call of a step: the run's, the workspace's, its own."""
        levels = (*self._levels[simulated], self._around.budgets[simulated])
        own = self._task_levels.get((step.id, simulated))
        if own is None and step.limits is not None:
            before = [call for call in self._before if call.task == step.id]
            cost = step.limits.cost_usd
            limit_usd = None if cost is None else Decimal(cost)
            scope = f" for task {step.id!r}"
            own = _levels(step.limits, limit_usd, before, scope, simulated=simulated)
            self._task_levels[step.id, simulated] = own
        one = step.max_cost_usd
        each = (
            () if one is None else (Budget(Decimal(one), scope=" for one call", on_limit="fail"),)
        )
        return (*levels, *(own or ()), *each)

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

    def answer(self, step: Step) -> str | None:
        """Return what a person has answered in a step's place, or None."""
        return self._answers.get(step.id)

    async def call(self, step: Step, arguments: Mapping[str, Any]) -> Any:
        """Call the function of a `python` step; one that may block runs in a thread of its own.

        Raises:
            TaskFailed: it is not there, or it raised.
        """
        try:
            function = self._functions.get(step.id) or _imported(step.function)
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
