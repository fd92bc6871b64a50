"""Running workflows: planning them, running them, and going on with one that was stopped."""

from __future__ import annotations

import concurrent.futures
import dataclasses
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from bmad_nb import _loop, parse
from bmad_nb.budget import parse_usd
from bmad_nb.errors import RunStopped, UnknownName, UsageProblem
from bmad_nb.forecast.asked import llms_of
from bmad_nb.forecast.history import History
from bmad_nb.forecast.ranges import Analysis, analyze
from bmad_nb.grading import Grading
from bmad_nb.plan import Plan, judges_of
from bmad_nb.planner import Wishes, make_plan
from bmad_nb.routers.base import Router
from bmad_nb.routers.choice import router_of
from bmad_nb.runs.adaptation import llm_seconds, order_of
from bmad_nb.runs.background import BackgroundRun
from bmad_nb.runs.execution import Execution
from bmad_nb.runs.lent import Lent
from bmad_nb.runs.lessons import lessons
from bmad_nb.runs.planned import Planned
from bmad_nb.runs.resuming import resumed
from bmad_nb.runs.run import Run
from bmad_nb.runs.tools import functions_of, identities
from bmad_nb.store import scores
from bmad_nb.workflow.model import Workflow

Definition = Workflow | str | Path
"""A workflow, the path of its file, or the id of one that was defined here."""


class Running(Grading):
    """The part of a workspace that runs workflows."""

    def __init__(self, *args: Any, **options: Any) -> None:
        """Know no workflow yet."""
        super().__init__(*args, **options)
        self.workflows: dict[str, Workflow] = {}
        """Workflows that were defined here, by id."""

    def define(self, workflow: Workflow) -> Workflow:
        """Make a workflow known by its id, so that `%bmad run ID` finds it.

        Raises:
            DefinitionError: its names or expressions are wrong.
        """
        parse.check(workflow)
        self.workflows[workflow.id] = workflow
        return workflow

    def plan(
        self,
        workflow: Definition,
        inputs: Mapping[str, Any] | None = None,
        *,
        llms: Mapping[str, str] | None = None,
        strategy: str | None = None,
        router: Router | str | None = None,
        allow_python: bool = False,
        replay: bool = False,
    ) -> Planned:
        """Return what a run would do, in which order and by which LLM; nothing is asked.

        Args: those of `run`; what is missing is listed in `plan.missing`.

        Raises:
            DefinitionError: the definition is wrong.
            UsageProblem: an argument is.
        """
        flow = self.workflow_of(workflow)
        given = None if router is None else router_of(router)
        wishes = Wishes(inputs or {}, strategy, llms or {}, given, allow_python=allow_python)
        made = self.planned(flow, wishes, replay=replay)
        return self.shown(flow, made, command=f"%bmad run {flow.id}", inputs=inputs or {})

    def run(
        self,
        workflow: Definition,
        inputs: Mapping[str, Any] | None = None,
        *,
        llms: Mapping[str, str] | None = None,
        strategy: str | None = None,
        router: Router | str | None = None,
        budget_usd: float | str | Decimal | None = None,
        resume: Literal["auto", "never"] = "auto",
        allow_python: bool = False,
        replay: bool = False,
        background: bool = False,
    ) -> Run:
        """Run a workflow, or go on with the newest stopped run that is the same.

        Args:
            workflow: a `Workflow`, the path of a file, or the id of a defined one.
            inputs: values of its inputs by name.
            llms: ids or globs of the definition, and the LLMs that take their place.
            strategy: `sequential`, `parallel`, `adaptive` or `collaborative`, over what the
                definition says.
            router: chooses the LLM of every task that does not name exactly one; a name, such as
                `cheapest`, or an object with `name` and `choose`.
            budget_usd: hard limit in US dollars, over what the definition says.
            resume: `never` begins anew although an equal run was stopped.
            allow_python: lets a file's `python` tasks import and call what they name.
            replay: ask no LLM: what is stored or recorded answers. `python` tasks do run.
            background: return at once; `run.wait()` or `await run` waits for the end. A question
                to a person waits until it is answered, by a button or `approve`.

        Raises:
            DefinitionError: the definition is wrong.
            NotRunnable: something is missing, such as an input or a key.
            RunFailed: a task failed; `result` is the run.
            RunPaused: interrupted, or stopped by a limit; what is finished is kept.
        """
        given = None if router is None else router_of(router)
        wishes = Wishes(inputs or {}, strategy, llms or {}, given, allow_python=allow_python)
        execution = self.prepared(
            self.workflow_of(workflow),
            wishes,
            budget_usd,
            resume,
            replay=replay,
            alone=background,
        )
        return self.alone(execution) if background else self.go(execution)

    async def arun(
        self, workflow: Definition, inputs: Mapping[str, Any] | None = None, **options: Any
    ) -> Run:
        """Run a workflow, from code that has an event loop of its own; options as in `run`."""
        budget_usd, resume = options.pop("budget_usd", None), options.pop("resume", "auto")
        replay = options.pop("replay", False)
        options["llms"] = options.get("llms") or {}
        wishes = Wishes(inputs or {}, **options)
        execution = self.prepared(
            self.workflow_of(workflow), wishes, budget_usd, resume, replay=replay
        )
        return await _loop.arun(self._executed(execution))

    def resume(
        self,
        run_id: str,
        budget_usd: float | str | Decimal | None = None,
        *,
        definition: Definition | None = None,
        allow_python: bool = False,
        answers: Mapping[str, str] | None = None,
        replay: bool = False,
        background: bool = False,
    ) -> Run:
        """Go on with a run that was paused, failed, or whose process died.

        A paused or interrupted run goes on under its own id. One that is over stays as it is: a
        new run takes over what still holds.

        Args:
            run_id: its id, or the beginning of it.
            budget_usd: a new total in US dollars; a text such as `+1` adds to the old one.
            definition: an edited definition; tasks that it does not change are kept.
            allow_python: as in `run`; a run that was allowed stays so.
            answers: by task, what a person answers where a `human` fallback waits for it.
            replay: as in `run`.
            background: as in `run`.

        Raises:
            UnknownRun: there is none.
            UsageProblem: nothing of it is left to do, or it is no workflow.
            RunBusy: it is running.
        """
        execution = self.resumption(
            run_id, budget_usd, definition=definition, allow_python=allow_python, answers=answers,
            replay=replay, alone=background,
        )  # fmt: skip
        return self.alone(execution) if background else self.go(execution)

    def resumption(
        self,
        run_id: str,
        budget_usd: float | str | Decimal | None = None,
        *,
        definition: Definition | None = None,
        allow_python: bool = False,
        answers: Mapping[str, str] | None = None,
        replay: bool = False,
        alone: bool = False,
    ) -> Execution:
        """Return how a run would go on; its `changes` say what is kept. See `resume`."""
        run = self.store.run(run_id)
        flow = None if definition is None else self.workflow_of(definition)
        known = self.workflows.get(run.workflow)
        below = self.below(flow or known)
        if known is not None:
            below = {known.id: known, **below}
        return resumed(
            run, self.around(replay=replay, alone=alone), flow, below, budget_usd,
            allow_python=allow_python, answers=answers,
        )  # fmt: skip

    def go(self, execution: Execution) -> Run:
        """Run what `resumption` returned."""
        return self.wait(self._executed(execution), execution)

    def alone(self, execution: Execution) -> BackgroundRun:
        """Run it in the background; return once it is stored that it began."""
        outcome, stop = _loop.engine_loop().submit(self._executed(execution))
        while not (execution.begun or outcome.done()):
            concurrent.futures.wait([outcome], timeout=0.02)
        if not execution.begun:
            outcome.result()  # raises what kept it from beginning
        return BackgroundRun(execution.run.run_id, self, execution.progress, outcome, stop)

    def workflow_of(self, definition: Definition) -> Workflow:
        """Return a checked workflow.

        Raises:
            UnknownName: no workflow has this id, and no file this path.
        """
        if isinstance(definition, Workflow):
            parse.check(definition)
            return definition
        if not isinstance(definition, str | Path):
            kind = type(definition).__name__
            raise UsageProblem(
                f"A {kind} is no workflow.", hint="Give a Workflow, the path of a file or an id."
            )
        known = self.workflows.get(str(definition))
        if known is not None:
            return known
        if not Path(definition).suffix and not Path(definition).exists():
            raise UnknownName("workflow", str(definition), self.workflows)
        return parse.load(definition)

    def shown(
        self, flow: Workflow, plan: Plan, *, command: str, inputs: Mapping[str, Any]
    ) -> Planned:
        """Return a plan to show, with what is to be expected of it by the runs before."""

        def analysis() -> Analysis:
            catalog, engine = self.catalog, self.settings.engine
            llms = {name for s in plan.steps for name in llms_of(s)}
            cards = {name: catalog.llm(name).card for name in llms}
            return analyze(
                plan,
                History.of(self.store.samples()),
                {name: catalog.price(card) for name, card in cards.items()},
                slots=plan.limits.concurrency or engine.max_concurrent_tasks,
                skills={n: min(dict(c.capabilities).values())
                        for n, c in cards.items() if c.capabilities},
                items={s.id: len(inputs[s.repeat.over]) for s in plan.steps
                       if s.repeat and isinstance(inputs.get(s.repeat.over), list)},
                order=order_of(plan.objectives),
            )  # fmt: skip

        return Planned(flow, plan, command=command, analysis=analysis)

    def planned(self, flow: Workflow, wishes: Wishes, *, replay: bool = False) -> Plan:
        """Return the plan of a checked workflow; nothing is asked.

        Raises:
            UsageProblem: a wish that does not fit it.
        """
        below = self.below(flow)
        wishes = dataclasses.replace(
            wishes, functions=identities(functions_of(flow, below)), workflows=below,
            seconds=llm_seconds(self.store), **self.known(),
        )  # fmt: skip
        return make_plan(flow, self.llms(replay=replay), self.settings.engine, wishes)

    def below(self, flow: Workflow | None) -> dict[str, Workflow]:
        """Return the sub-workflows of a workflow and of those, by id.

        One is looked for in the folder of the document that names it, then among those that are
        defined here; the planner says what is not found.

        Raises:
            DefinitionError: one of them is wrong.
        """
        found: dict[str, Workflow] = {}
        todo = [flow] if flow is not None else []
        while todo:
            each = todo.pop()
            for task in each.tasks.values():
                name = task.workflow
                if name is not None and name not in found:
                    sub = parse.beside(each, name) or self.workflows.get(name)
                    if sub is not None:
                        found[name] = sub
                        todo.append(sub)
        return found

    def around(self, *, replay: bool = False, alone: bool = False) -> Lent:
        """Return what this workspace lends to a run; `alone` it waits for people by itself."""
        return Lent(
            self.store, self.llms(replay=replay), self.settings.engine, self.budgets,
            waits=alone or self.on_question is not None, watched=alone or self.watched,
        )  # fmt: skip

    def prepared(
        self,
        flow: Workflow,
        wishes: Wishes,
        budget_usd: Any,
        resume: str,
        *,
        replay: bool = False,
        alone: bool = False,
        fresh: bool = False,
    ) -> Execution:
        """Return a run that is ready to go, new or taken up again; nothing is written yet.

        Args: those of `run`, the wishes that it makes of them, and `fresh`, which asks anew.

        Raises:
            UsageProblem: an argument.
            NotRunnable: what is missing.
        """
        _check_kinds(wishes)
        if resume not in {"auto", "never"}:
            raise UsageProblem(f"resume cannot be {resume!r}.", hint="Use auto or never.")
        limit = None if budget_usd is None else parse_usd(budget_usd)
        below = self.below(flow)
        wishes = dataclasses.replace(
            wishes, workflows=below, seconds=llm_seconds(self.store), **self.known()
        )
        functions = functions_of(flow, below)
        earlier: Any = "auto" if resume == "auto" else None
        around = self.around(replay=replay, alone=alone)
        return Execution(
            flow, wishes, around, budget_usd=limit, functions=functions, earlier=earlier,
            fresh=fresh,
        )  # fmt: skip

    async def _executed(self, execution: Execution) -> Run:
        """Execute, and give the run itself along with what stopped it."""
        self.progress = execution.progress
        try:
            await execution.execute()
        except RunStopped as stopped:
            stopped.result = self._learned_from(execution)
            raise
        return self._learned_from(execution)

    def _learned_from(self, execution: Execution) -> Run:
        """Return a run, once what its judges said is kept."""
        run = Run(self.store, execution.run.run_id, self)
        if any(judges_of(step) for step in execution.plan.steps):
            types = {name: task.type for name, task in execution.workflow.tasks.items()}
            scores.keep(self.store, lessons(run.state, types))
        return run


def _check_kinds(wishes: Wishes) -> None:
    """Refuse arguments of a wrong kind.

    Raises:
        UsageProblem: it names the argument.
    """
    if not isinstance(wishes.inputs, Mapping) or not all(map(_is_text, wishes.inputs)):
        raise UsageProblem("inputs takes a dictionary of values by name.")
    rebound = wishes.llms
    if not isinstance(rebound, Mapping) or not all(map(_is_text, (*rebound, *rebound.values()))):
        raise UsageProblem('llms takes a dictionary such as {"old/id": "new/id"}.')
    if wishes.strategy is not None and not isinstance(wishes.strategy, str):
        raise UsageProblem("strategy takes a word such as parallel.")


def _is_text(value: object) -> bool:
    return isinstance(value, str)
