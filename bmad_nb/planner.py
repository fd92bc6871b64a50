"""From a workflow to a plan: the order, the LLM of each task, and what is missing. Costs nothing.

Nobody is contacted and no code but ours is executed, whatever the definition says.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from bmad_nb.assigning import ROUTERS, Choosing, Evidence, merged, no_examples
from bmad_nb.companions import Companions
from bmad_nb.errors import UnknownName, UsageProblem
from bmad_nb.llms.catalog import Catalog
from bmad_nb.messages import fingerprint
from bmad_nb.mitigating import mended, mitigations, said_of
from bmad_nb.modifiers import Modifiers
from bmad_nb.plan import PRIORITIES, Plan, Step, written_order
from bmad_nb.plan_parts import Assignment, Fallback, Mitigation, Retries, RunLimits, TaskLimits
from bmad_nb.reducers import FREE
from bmad_nb.routers.base import Router
from bmad_nb.settings import EngineSettings
from bmad_nb.workflow import inputs as values
from bmad_nb.workflow import output, references
from bmad_nb.workflow.model import Defaults, Task, Workflow
from bmad_nb.workflow.parts import Limits, Retry

STRATEGIES = ("sequential", "parallel", "adaptive", "collaborative")
MOST_NESTED = 8
"""Sub-workflows within each other."""
MOST_TASKS = 20_000
"""Tasks of sub-workflows that are planned: each use of one has tasks of its own."""
_ROUTERS = {*ROUTERS, "static", "cascade"}
_NO_EFFECT = {"title", "metadata", "priority", "retry", "timeout", "limits", "cache", "checkpoint",
              "type", "llm", "route", "params"}  # fmt: skip
"""Keys of a task that do not change its result, or that stand in its hash in another form."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the caller wants beside what the document says."""

    inputs: Mapping[str, Any] = field(default_factory=dict)
    strategy: str | None = None
    llms: Mapping[str, str] = field(default_factory=dict)
    """Ids of the document, or globs, and what takes their place."""
    router: Router | None = None
    """Chooses the LLM of every task that does not name exactly one."""
    functions: Mapping[str, str] = field(default_factory=dict)
    """Identity of each function that the caller handed over, by task."""
    allow_python: bool = False
    pinned: Mapping[str, Assignment] = field(default_factory=dict)
    """LLMs of a run that goes on, by the step's content."""
    workflows: Mapping[str, Workflow] = field(default_factory=dict)
    """Definitions of sub-workflows, by id."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    tokens: Mapping[str, float] = field(default_factory=dict)
    """Mean tokens of an answer so far with its prompt, and before it median seconds, by LLM."""
    quality: Mapping[tuple[str, str], float] = field(default_factory=dict)
    """Learned mean score in [0, 1], by LLM and type of task."""
    evidence: Mapping[tuple[str, str], Evidence] = field(default_factory=dict)
    """What that is based on."""
    examples: Callable[..., Sequence[tuple[str, str]]] = no_examples
    learned: int | None = None
    """Version of what was learned; None where nothing is learned from."""


def choosing_of(wishes: Wishes) -> Choosing:
    """Return what wishes say about LLMs."""
    return Choosing(**{each.name: getattr(wishes, each.name) for each in fields(Choosing)})


def make_plan(
    workflow: Workflow, catalog: Catalog, engine: EngineSettings, wishes: Wishes
) -> Plan:  # fmt: skip
    """Return the plan of a workflow that has been checked.

    Raises:
        UsageProblem: an input, a strategy or a rebinding that does not fit.
    """
    return _Planner(workflow, catalog, engine, wishes).plan()


class _Planner:
    def __init__(
        self,
        workflow: Workflow,
        catalog: Catalog,
        engine: EngineSettings,
        wishes: Wishes,
        above: tuple[str, ...] = (),
    ) -> None:
        self._flow, self._catalog, self._engine, self._wishes = workflow, catalog, engine, wishes
        self._above = (*above, workflow.id)
        self._defaults = workflow.defaults or Defaults()
        self._data = workflow.to_dict()["tasks"] if workflow.tasks else {}
        self._missing: list[str] = []
        self._room = MOST_TASKS
        self._notes_of: list[str] = []
        self._inputs = values.bound(workflow, wishes.inputs, partly=True)
        self._input_hashes = {k: fingerprint(v) for k, v in self._inputs.items()}
        choosing = choosing_of(wishes)
        self._assigner = Companions(
            catalog,
            engine,
            choosing,
            self._defaults,
            objectives=tuple(workflow.objectives),
            missing=self._lacks,
        )
        self._modifiers = Modifiers(
            self._assigner, catalog, engine, self._checked_function, self._notes_of.append
        )

    def plan(self) -> Plan:
        if not self._above[1:]:
            lacking = values.missing(self._flow, self._wishes.inputs)
            self._missing += [f"Input {name!r} has no value." for name in lacking]
        needs = {t: tuple(references.needs(self._data, t)) for t in self._flow.tasks}
        steps: dict[str, Step] = {}
        if self._above[1:]:
            self._room -= len(needs)
            if self._room <= 0:
                said = f"Its sub-workflows have more than {MOST_TASKS:,} tasks, all uses counted."
                self._missing.append(said)
        for task_id in written_order(needs):
            steps[task_id] = self._step(task_id, needs[task_id], steps)
        if not self._above[1:]:
            self._check_rebinding()
        return Plan(
            workflow=self._flow.id,
            strategy=self._strategy(),
            steps=tuple(steps.values()),
            outputs=self._outputs(needs),
            limits=self._run_limits(),
            objectives=_objectives(self._flow),
            missing=tuple(dict.fromkeys(self._missing)),
            notes=tuple(dict.fromkeys(self._notes_of)),
            title=self._flow.title,
        )

    def _lacks(self, path: tuple[str, ...], said: str) -> None:
        self._missing.append(f"{self._where(*path)}{said}")

    def _strategy(self) -> str:
        strategy = self._wishes.strategy or self._flow.strategy or "parallel"
        if strategy not in STRATEGIES:
            raise UnknownName("strategy", strategy, STRATEGIES)
        return strategy

    def _outputs(self, needs: Mapping[str, Sequence[str]]) -> tuple[tuple[str, str], ...]:
        """Return the declared outputs; without any, the results that no task reads."""
        if self._flow.outputs:
            return tuple(self._flow.outputs.items())
        read = {name for each in needs.values() for name in each}
        return tuple((t, f"{t}.output") for t in self._flow.tasks if t not in read)

    # --- one task -------------------------------------------------------------------------------

    def _step(self, task_id: str, needs: tuple[str, ...], done: Mapping[str, Step]) -> Step:
        task = self._flow.tasks[task_id]
        self._note_unsupported(task_id, task)
        below = self._below(task_id, task)
        own = self._own_hash(task_id, task, below)
        content = fingerprint([own, [done[name].content for name in needs]])
        params = merged(self._defaults.params, task.params)
        retry = task.retry or self._defaults.retry or Retry()
        asks = task.verb in {"prompt", "messages"} or bool(task.reduce and task.reduce.prompt)
        route = self._assigner.route(task)
        measures = self._measures(task_id, task) if asks else ()
        if any(each.measure != "avoid" for each in measures):  # nobody meets the need as it is
            route = route.model_copy(update={"capabilities": {}, "models": [measures[0].llm]})
        chosen = self._assigner.assigned(task_id, task, route, content) if asks else None
        chosen = chosen and said_of(chosen, measures)
        more = mended(measures, self._engine.quality_threshold)
        fields = self._modifiers.of(task_id, task, chosen)
        fields["checks"] = (*fields["checks"], *more.pop("more_checks", ()))
        return Step(
            id=task_id,
            verb=task.verb,
            needs=needs,
            join=task.join,
            when=task.when or "",
            otherwise=task.otherwise,
            has_otherwise=task.has_otherwise,
            turns=_turns(task),
            fields=tuple((task.set or {}).items()),
            function=self._function(task_id, task),
            arguments=task.arguments or None,
            assignment=chosen,
            params=tuple(sorted((k, v) for k, v in params.items() if k != "max_tokens")),
            max_tokens=params.get("max_tokens"),
            max_cost_usd=None if route.max_cost is None else f"{route.max_cost:f}",
            schema=None if task.output is None else output.schema_of(task.output),
            retries=self._retries(retry, asks=asks),
            timeout_s=task.timeout or self._defaults.timeout or self._engine.default_timeout_s,
            fallbacks=self._fallbacks(task_id, task, chosen),
            limits=_task_limits(task.limits),
            priority=PRIORITIES[task.priority],
            refresh=(task.cache or self._defaults.cache) == "refresh",
            plan=below,
            **{**fields, **more},
            content=content,
            own=own,
            layer=1 + max((done[name].layer for name in needs), default=-1),
            title=task.title,
        )

    def _measures(self, task_id: str, task: Task) -> tuple[Mitigation, ...]:
        """Return what is done about skills that the LLMs of a task lack."""
        try:
            return mitigations(self._assigner, task_id, task)
        except (UnknownName, UsageProblem):
            return ()  # the assignment says it

    def _key(self, task_id: str) -> str:
        """Return under which name a task's function is handed over."""
        return f"{self._flow.id}/{task_id}" if self._above[1:] else task_id

    def _below(self, task_id: str, task: Task) -> Plan | None:
        """Return the plan of the sub-workflow that a task runs; what hinders it is said."""
        if task.workflow is None:
            return None
        if self._room <= 0:
            return None
        if task.workflow in self._above or len(self._above) > MOST_NESTED:
            around = " → ".join([*self._above, task.workflow])
            self._lacks((task_id, "workflow"), f"Workflows run each other without end: {around}.")
            return None
        flow = self._wishes.workflows.get(task.workflow)
        if flow is None:
            known = ", ".join(sorted(self._wishes.workflows)) or "none"
            self._lacks(
                (task_id, "workflow"),
                f"Task {task_id!r} runs workflow {task.workflow!r}, which is neither beside this "
                f"document nor defined here. Known: {known}.",
            )
            return None
        for name in task.arguments:
            if name not in flow.inputs:
                said = f"Workflow {flow.id!r} has no input {name!r}."
                self._lacks((task_id, "with", name), said)
        for name in values.missing(flow, task.arguments):
            said = f"Task {task_id!r} gives no value for input {name!r} of workflow {flow.id!r}."
            self._lacks((task_id,), said)
        wishes = dataclasses.replace(self._wishes, inputs={})
        planner = _Planner(flow, self._catalog, self._engine, wishes, self._above)
        planner._room = self._room
        plan = planner.plan()
        self._room = planner._room
        self._missing += [f"In {flow.id!r}: {each}" for each in plan.missing]
        self._notes_of += plan.notes
        self._assigner.rebound |= planner._assigner.rebound
        return plan

    def _own_hash(self, task_id: str, task: Task, below: Plan | None) -> str:
        """Return the hash of all in a task itself that decides its result."""
        fields = {k: v for k, v in self._data[task_id].items() if k not in _NO_EFFECT}
        if self._key(task_id) in self._wishes.functions:
            fields["python"] = self._wishes.functions[self._key(task_id)]
        if below is not None:
            fields["workflow"] = [below.workflow, [step.content for step in below.steps],
                                  list(below.outputs)]  # fmt: skip
        route, bound = self._assigner.route(task), self._assigner.bound_id
        models = [bound(each) for each in route.models] or [self._assigner.default_llm()]
        models += [bound(each) for each in (route.cascade or ())]
        models += [bound(each) for each in (task.collaborate.models if task.collaborate else ())]
        inputs = sorted(
            (path[0], self._input_hashes.get(path[0], ""))
            for place in references.places(self._data[task_id])
            for path in references.read(place)
            if path[0] in self._flow.inputs
        )
        params = merged(self._defaults.params, task.params)
        wanted = route.model_dump(exclude_unset=True, exclude={"models"}, mode="json")
        return fingerprint([fields, models, wanted, params, inputs])

    def _note_unsupported(self, task_id: str, task: Task) -> None:
        route = self._assigner.route(task)
        if route.policy not in {None, *_ROUTERS}:
            said = f"route.policy: {route.policy}, which this version cannot run"
            self._lacks((task_id,), f"Task {task_id!r} uses {said}.")

    def _where(self, *path: Any) -> str:
        """Return `file:line:column: ` of a task or a key, where it came from a document."""
        document = self._flow.source
        if document is None or not path:
            return ""
        place = document.position(("tasks", *path))
        name = f"{document.name}:" if document.name else "line "
        return f"{name}{place.line}:{place.column}: "

    def _function(self, task_id: str, task: Task) -> str:
        if task.python is None:
            return ""
        if callable(task.python) or self._key(task_id) in self._wishes.functions:
            return self._key(task_id)
        return self._checked_function(task_id, str(task.python), "python")

    def _checked_function(self, task_id: str, name: str, *path: str) -> str:
        """Return the name of a function, and say where it may not be called."""
        if not self._wishes.allow_python and name not in FREE:
            self._lacks(
                (task_id, *path),
                f"Task {task_id!r} calls {name}, code from outside this document: allow it with "
                "--allow-python or allow_python=True.",
            )
        return name

    def _retries(self, retry: Retry, *, asks: bool) -> Retries:
        default = self._engine.retry_attempts + 1 if asks else 1
        return Retries(
            attempts=retry.attempts or default,
            backoff_s=retry.backoff,
            factor=retry.factor,
            max_backoff_s=retry.max_backoff,
            jitter=retry.jitter,
            causes=tuple(retry.causes),
        )

    def _fallbacks(
        self, task_id: str, task: Task, author: Assignment | None
    ) -> tuple[Fallback, ...]:
        found = []
        for rung in task.fallback:
            if rung.route is not None:
                chosen = self._assigner.assigned(task_id, task, rung.route)
                found.append(Fallback(llm=chosen, kind="llm"))
            elif rung.prompt is not None:
                found.append(Fallback(prompt=rung.prompt, kind="prompt"))
            elif rung.human is not None:
                found.append(Fallback(question=rung.human, kind="human"))
            elif rung.skip or rung.stored:
                found.append(Fallback(kind="skip" if rung.skip else "stored"))
            else:
                found.append(Fallback(value=rung.value, kind="value"))
        if self._strategy() == "adaptive" and author is not None:
            others = self._assigner.others(task_id, task, author)
            found[:0] = [Fallback(llm=each, kind="llm", heals=True) for each in others]
        if any(_degrades(limits) for limits in (task.limits, self._flow.limits)):
            found += self._cheaper(task_id, task)
        return tuple(found)

    def _cheaper(self, task_id: str, task: Task) -> list[Fallback]:
        """Return the cheapest LLM that may do a task, for where a limit leaves no room."""
        if task.verb not in {"prompt", "messages"}:
            return []
        route = self._assigner.route(task)
        route = route.model_copy(update={"prefer": "cheapest", "policy": None})
        chosen = self._assigner.assigned(task_id, task, route)
        return [] if chosen is None else [Fallback(llm=chosen, kind="llm", on_limit=True)]

    def _check_rebinding(self) -> None:
        for old in self._wishes.llms:
            if old not in self._assigner.rebound:
                tasks = self._flow.tasks.values()
                named = {m for t in tasks for m in self._assigner.route(t).models}
                raise UnknownName("LLM in this workflow", old, {*named, self._engine.default_llm})

    def _run_limits(self) -> RunLimits:
        limits = self._flow.limits
        if limits is None:
            return RunLimits()
        fields = dataclasses.asdict(_task_limits(limits) or TaskLimits())
        return RunLimits(**fields, concurrency=limits.concurrency)


def _degrades(limits: Limits | None) -> bool:
    return limits is not None and limits.on_limit == "degrade"


def _task_limits(limits: Limits | None) -> TaskLimits | None:
    if limits is None:
        return None
    return TaskLimits(
        cost_usd=None if limits.cost is None else f"{limits.cost:f}",
        calls=limits.calls,
        tokens=limits.tokens,
        time_s=limits.time,
        on_limit=limits.on_limit,
    )


def _objectives(flow: Workflow) -> tuple[tuple[tuple[str, float], ...], ...]:
    """Return what is preferred, first things first; weights stand beside each other."""
    if isinstance(flow.objectives, Mapping):
        return (tuple(flow.objectives.items()),)
    return tuple(((name, 1.0),) for name in flow.objectives)


def _turns(task: Task) -> tuple[tuple[Any, str], ...]:
    if task.messages is not None:
        turns = [(turn.role, turn.content) for turn in task.messages]
    else:
        prompt = task.reduce.prompt if task.reduce else task.prompt
        turns = [("user", prompt)] if prompt is not None else []
    return tuple([("system", task.system)] if task.system else []) + tuple(turns)
