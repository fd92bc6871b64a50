"""Telling runs what to do, wherever they run: pause, cancel, approve, fork."""

from __future__ import annotations

import dataclasses
import getpass
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from bmad_nb import _loop, parse
from bmad_nb.budget import parse_usd
from bmad_nb.errors import UnknownName, UsageProblem
from bmad_nb.events import RunRow
from bmad_nb.forecast.bottlenecks import Bottleneck
from bmad_nb.plan import root_of
from bmad_nb.planner import Wishes
from bmad_nb.routers.base import Router
from bmad_nb.running import Running
from bmad_nb.runs import control
from bmad_nb.runs.adaptation import llm_seconds
from bmad_nb.runs.earlier import Earlier, earlier_run
from bmad_nb.runs.execution import Execution
from bmad_nb.runs.people import checked_answer
from bmad_nb.runs.run import Run
from bmad_nb.runs.tools import functions_of

_NEXT = {
    "paused": "It is paused already; go on with it: %bmad resume RUN",
    "interrupted": "The process that ran it is gone; go on with it: %bmad resume RUN",
}


class Steering(Running):
    """The part of a workspace that tells runs what to do."""

    def pause(self, run_id: str, *, now: bool = False) -> str:
        """Let a running run begin nothing more; return when it saw that, as ISO text.

        Calls in flight may end, and the run is stored as paused. It works from any process, and
        whatever the run's own process is doing.

        Args:
            run_id: its id, or the beginning of it.
            now: break off calls in flight too; they may have been billed.

        Raises:
            UsageProblem: it is not running.
        """
        run = self.store.run(run_id)
        if run.status != "running":
            raise UsageProblem(f"Run {run.run_id} is {run.status}.", hint=_NEXT.get(run.status, ""))
        _check_workflow(run)
        return control.wanted(self.store, run, "pause", {"now": now}, getpass.getuser())

    def cancel(self, run_id: str) -> str:
        """Stop a run for good; return when its process saw that, empty where none runs it.

        What is in flight is broken off; what it cost and gave is kept.

        Raises:
            UsageProblem: it is over.
        """
        run = self.store.run(run_id)
        if run.status == "running":
            _check_workflow(run)
            return control.wanted(self.store, run, "cancel", {}, getpass.getuser())
        _loop.run(control.cancelled(self.store, run))
        return ""

    def approve(self, run_id: str, task: str, choice: str, comment: str = "", **fields: str) -> str:
        """Answer a task that waits for a person; return when the run saw it, if it is running.

        Args:
            run_id: its id, or the beginning of it.
            task: the task that waits.
            choice: one of its options.
            comment: what the tasks behind it read as `comment`.
            **fields: further fields of its form.

        Raises:
            UsageProblem: nobody asks that, it is answered, or the choice is none of the options.
        """
        run = self.store.run(run_id)
        state = Run(self.store, run.run_id).state
        if run.status not in {"running", "paused", "interrupted"}:
            raise UsageProblem(
                f"Run {run.run_id} is {run.status}.", hint="It asks nobody any more."
            )
        if task in state.answers:
            raise UsageProblem(f"Task {task!r} was answered already.")
        answer = checked_answer(state.questions.get(task), task, choice, comment, fields)
        payload = {"task": task, "answer": {**answer, "by": getpass.getuser()}}
        if run.status == "running":
            return control.wanted(self.store, run, "answer", payload, getpass.getuser())
        self.store.wish(run.run_id, "answer", payload, getpass.getuser())
        return ""

    def fork(
        self,
        run_id: str,
        at: str,
        *,
        set: Mapping[str, Any] | None = None,  # noqa: A002  (the word of the interface)
        llms: Mapping[str, str] | None = None,
        strategy: str | None = None,
        router: Router | None = None,
        budget_usd: float | str | Decimal | None = None,
        fresh: bool = False,
    ) -> Run:
        """Begin a new run from the middle of another: what is before `at` is taken over, free.

        `at` and all that reads it is done anew. `new.compare(old)` shows what came of it.

        Args:
            run_id: the run, or the beginning of its id.
            at: the task to begin with.
            set: what is different: an input by its name, or a key of a task as `task.prompt`.
            llms: ids or globs of the definition, and the LLMs that take their place.
            strategy: another strategy.
            router: chooses the LLM of every task that does not name exactly one.
            budget_usd: hard limit of the new run in US dollars.
            fresh: ask anew although an equal request is stored.

        Raises:
            UnknownName: no such task or input.
            DefinitionError: a key that was set makes the definition wrong.
        """
        execution = self._forked(
            run_id, at, dict(set or {}), Wishes({}, strategy, llms or {}, router), budget_usd,
            fresh=fresh,
        )  # fmt: skip
        return self.go(execution)

    def improve(self, run_id: str) -> tuple[Bottleneck, Run]:
        """Run a workflow again with what held it up mended; return the cause and the new run.

        The largest saving that can be had by a setting is taken: more tasks at a time, another
        strategy, another LLM. `run.duration_s` of the new run stands beside `predicted_s`.

        Args:
            run_id: the run, or the beginning of its id.

        Raises:
            UsageProblem: nothing held it up that a setting could mend.
        """
        row = self.store.run(run_id)
        if row.verb != "workflow":
            raise UsageProblem(f"Run {row.run_id} is no workflow.", hint="Look at its calls.")
        old = Run(self.store, row.run_id, self)
        for found in old.bottlenecks():
            if found.cause in {"slots", "order", "slow_llm"}:
                return found, self._again(old, found)
        raise UsageProblem(
            f"Nothing held run {old.id} up that a setting could mend.",
            hint="See run.bottlenecks() for what else it waited for.",
        )

    def _again(self, old: Run, found: Bottleneck) -> Run:
        run = old.run
        definition, options = dict(run.definition), run.options or {}
        change = dict(found.change)
        if "max_concurrent_tasks" in change:
            limits = {**(definition.get("limits") or {})}
            definition["limits"] = {**limits, "concurrency": change["max_concurrent_tasks"]}
        wishes = Wishes(
            inputs=run.inputs or {},
            strategy=change.get("strategy") or options.get("strategy"),
            llms={**(options.get("llms") or {}), **change.get("llms", {})},
            allow_python=bool(options.get("allow_python")),
        )
        flow = parse.from_dict(definition, run.workflow)
        below = {n: parse.from_dict(d, n) for n, d in (options.get("workflows") or {}).items()}
        known = self.workflows.get(run.workflow)
        execution = Execution(
            flow,
            dataclasses.replace(wishes, workflows=below, seconds=llm_seconds(self.store)),
            self.around(),
            functions=functions_of(known, self.below(known)),
            earlier=None,
            fresh=True,  # an answer from the store would take no time
        )
        return self.go(execution)

    def _forked(
        self,
        run_id: str,
        at: str,
        changes: dict[str, Any],
        wishes: Wishes,
        budget_usd: Any,
        *,
        fresh: bool,
    ) -> Execution:
        run = self.store.run(run_id)
        if run.verb != "workflow":
            raise UsageProblem(f"Run {run.run_id} is no workflow.", hint="Ask again instead.")
        options = run.options or {}
        definition = {**run.definition, "tasks": dict(run.definition["tasks"])}
        inputs = _changed(definition, run.inputs or {}, changes)
        flow = parse.from_dict(definition, run.workflow)
        if at not in flow.tasks:
            raise UnknownName("task", at, flow.tasks)
        stored = {n: parse.from_dict(d, n) for n, d in (options.get("workflows") or {}).items()}
        known = self.workflows.get(run.workflow)
        below = {**self.below(known), **stored}
        wishes = dataclasses.replace(
            wishes,
            inputs=inputs,
            strategy=wishes.strategy or options.get("strategy"),
            llms={**(options.get("llms") or {}), **wishes.llms},
            allow_python=bool(options.get("allow_python")),
            workflows=below,
            seconds=llm_seconds(self.store),
        )
        earlier = _before(earlier_run(self.store, run.run_id), at)
        execution = Execution(
            flow,
            wishes,
            self.around(),
            budget_usd=None if budget_usd is None else parse_usd(budget_usd),
            functions=functions_of(known, below),
            earlier=earlier,
            fresh=fresh,
        )
        execution.note(forked_from=run.run_id, at=at)
        return execution


def _check_workflow(run: RunRow) -> None:
    """Refuse to steer what does not look for wishes.

    Raises:
        UsageProblem: it is a cell of ask or compare.
    """
    if run.verb != "workflow":
        raise UsageProblem(
            f"Run {run.run_id} is one of {run.verb!r}, which is not steered from elsewhere.",
            hint="Interrupt it where it runs: what it has is kept, and it goes on from there.",
        )


def _changed(
    definition: dict[str, Any], inputs: Mapping[str, Any], changes: Mapping[str, Any]
) -> dict[str, Any]:
    """Put changes into a definition; return the inputs with theirs.

    Raises:
        UnknownName: there is neither such an input nor such a task.
    """
    found = dict(inputs)
    for name, value in changes.items():
        task, dot, key = name.partition(".")
        if not dot and name in (definition.get("inputs") or {}):
            found[name] = value
        elif dot and task in definition["tasks"]:
            definition["tasks"][task] = {**definition["tasks"][task], key: value}
        else:
            raise UnknownName(
                "input or task.key", name, {*(definition.get("inputs") or {}), *definition["tasks"]}
            )
    return found


def _before(earlier: Earlier, at: str) -> Earlier:
    """Return what of a run stands before a task: neither it nor what reads it."""
    steps = (earlier.state.plan or {}).get("steps", ())
    gone = {at}
    for step in steps:  # in an order in which each comes after what it needs
        if gone & {*step["needs"]}:
            gone.add(step["id"])
    kept = {name: row for name, row in earlier.state.tasks.items() if root_of(name) not in gone}
    plan = {**(earlier.state.plan or {}), "steps": [s for s in steps if s["id"] not in gone]}
    state = dataclasses.replace(earlier.state, tasks=kept, plan=plan)
    return Earlier(state, same_run=False, active_s=0.0, anyway=frozenset(kept))
