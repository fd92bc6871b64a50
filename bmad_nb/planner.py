"""From a workflow to a plan: the order, the LLM of each task, and what is missing. Costs nothing.

Nobody is contacted and no code but ours is executed, whatever the definition says.
"""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bmad_nb.errors import UnknownName, Unroutable, UsageProblem
from bmad_nb.llms.catalog import Catalog
from bmad_nb.messages import Scalar, fingerprint
from bmad_nb.plan import (
    PRIORITIES,
    Assignment,
    Fallback,
    Plan,
    Retries,
    RunLimits,
    Step,
    TaskLimits,
    written_order,
)
from bmad_nb.routers.base import Candidate, Demand, Router
from bmad_nb.routers.capability import Capability
from bmad_nb.routers.cheapest import Cheapest
from bmad_nb.routers.fixed import Fixed
from bmad_nb.settings import EngineSettings
from bmad_nb.workflow import inputs as values
from bmad_nb.workflow import output, references
from bmad_nb.workflow.model import Defaults, Task, Workflow
from bmad_nb.workflow.parts import Limits, Params, Retry, Route

ROUTERS: dict[str, type[Router]] = {"fixed": Fixed, "cheapest": Cheapest, "capability": Capability}
_PREFER: dict[str, type[Router]] = {"cheapest": Cheapest, "best": Capability}
_NOT_YET = ("map", "refine", "collaborate", "checks", "checkpoint")
_NOT_YET_VERBS = {"workflow", "approve", "reduce"}
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
        self, workflow: Workflow, catalog: Catalog, engine: EngineSettings, wishes: Wishes
    ) -> None:  # fmt: skip
        self._flow, self._catalog, self._engine, self._wishes = workflow, catalog, engine, wishes
        self._defaults = workflow.defaults or Defaults()
        self._data = workflow.to_dict()["tasks"] if workflow.tasks else {}
        self._missing: list[str] = []
        self._inputs = values.bound(workflow, wishes.inputs, partly=True)
        self._input_hashes = {k: fingerprint(v) for k, v in self._inputs.items()}
        self._rebound: set[str] = set()

    def plan(self) -> Plan:
        lacking = values.missing(self._flow, self._wishes.inputs)
        self._missing += [f"Input {name!r} has no value." for name in lacking]
        needs = {t: tuple(references.needs(self._data, t)) for t in self._flow.tasks}
        steps: dict[str, Step] = {}
        for task_id in written_order(needs):
            steps[task_id] = self._step(task_id, needs[task_id], steps)
        self._check_rebinding()
        return Plan(
            workflow=self._flow.id,
            strategy=self._strategy(),
            steps=tuple(steps.values()),
            outputs=self._outputs(needs),
            limits=self._run_limits(),
            missing=tuple(dict.fromkeys(self._missing)),
            notes=self._notes(),
            title=self._flow.title,
        )

    def _strategy(self) -> str:
        known = ("sequential", "parallel", "adaptive", "collaborative")
        strategy = self._wishes.strategy or self._flow.strategy or "parallel"
        if strategy not in known:
            raise UnknownName("strategy", strategy, known)
        if strategy not in {"sequential", "parallel"}:
            self._missing.append(f"Strategy {strategy!r} cannot be run by this version.")
        return strategy

    def _notes(self) -> tuple[str, ...]:
        if not self._flow.objectives:
            return ()
        return ("Objectives are kept in the definition and not yet acted on.",)

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
        own = self._own_hash(task_id, task)
        content = fingerprint([own, [done[name].content for name in needs]])
        params = _params(self._defaults.params, task.params)
        retry = task.retry or self._defaults.retry or Retry()
        asks = task.verb in {"prompt", "messages"}
        route = self._route(task)
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
            assignment=self._assigned(task_id, task, route, content) if asks else None,
            params=tuple(sorted((k, v) for k, v in params.items() if k != "max_tokens")),
            max_tokens=params.get("max_tokens"),
            max_cost_usd=None if route.max_cost is None else f"{route.max_cost:f}",
            schema=None if task.output is None else output.schema_of(task.output),
            retries=self._retries(retry, asks=asks),
            timeout_s=task.timeout or self._defaults.timeout or self._engine.default_timeout_s,
            fallbacks=self._fallbacks(task_id, task),
            limits=_task_limits(task.limits),
            priority=PRIORITIES[task.priority],
            refresh=(task.cache or self._defaults.cache) == "refresh",
            content=content,
            own=own,
            layer=1 + max((done[name].layer for name in needs), default=-1),
            title=task.title,
        )

    def _own_hash(self, task_id: str, task: Task) -> str:
        """Return the hash of all in a task itself that decides its result."""
        fields = {k: v for k, v in self._data[task_id].items() if k not in _NO_EFFECT}
        if task_id in self._wishes.functions:
            fields["python"] = self._wishes.functions[task_id]
        route = self._route(task)
        models = [self._bound_id(each) for each in route.models] or [self._default_llm()]
        inputs = sorted(
            (path[0], self._input_hashes.get(path[0], ""))
            for place in references.places(self._data[task_id])
            for path in references.read(place)
            if path[0] in self._flow.inputs
        )
        params = _params(self._defaults.params, task.params)
        wanted = route.model_dump(exclude_unset=True, exclude={"models"}, mode="json")
        return fingerprint([fields, models, wanted, params, inputs])

    def _note_unsupported(self, task_id: str, task: Task) -> None:
        used = [key for key in _NOT_YET if getattr(task, key)]
        used += [task.verb] if task.verb in _NOT_YET_VERBS else []
        route = self._route(task)
        for key in ("min_quality", "max_latency", "cascade", "accept"):
            used += [f"route.{key}"] if getattr(route, key) is not None else []
        used += [f"route.prefer: {route.prefer}"] if route.prefer in {"fastest", "balanced"} else []
        if route.policy not in {None, "static", *ROUTERS}:
            used.append(f"route.policy: {route.policy}")
        self._missing += [
            f"{self._where(task_id)}Task {task_id!r} uses {key}, which this version cannot run."
            for key in used
        ]

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
        if callable(task.python):
            return task_id
        if not self._wishes.allow_python and task_id not in self._wishes.functions:
            self._missing.append(
                f"{self._where(task_id, 'python')}Task {task_id!r} calls {task.python}, code from "
                "outside this document: allow it with --allow-python or allow_python=True."
            )
        return str(task.python)

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

    def _fallbacks(self, task_id: str, task: Task) -> tuple[Fallback, ...]:
        found = []
        for rung in task.fallback:
            if rung.route is not None:
                chosen = self._assigned(task_id, task, rung.route, "")
                found.append(Fallback(llm=chosen, kind="llm"))
            elif rung.prompt is not None:
                found.append(Fallback(prompt=rung.prompt, kind="prompt"))
            elif rung.human is not None:
                found.append(Fallback(question=rung.human, kind="human"))
            elif rung.skip or rung.stored:
                found.append(Fallback(kind="skip" if rung.skip else "stored"))
            else:
                found.append(Fallback(value=rung.value, kind="value"))
        if any(_degrades(limits) for limits in (task.limits, self._flow.limits)):
            found += self._cheaper(task_id, task)
        return tuple(found)

    def _cheaper(self, task_id: str, task: Task) -> list[Fallback]:
        """Return the cheapest LLM that may do a task, for where a limit leaves no room."""
        if task.verb not in {"prompt", "messages"}:
            return []
        route = self._route(task).model_copy(update={"prefer": "cheapest", "policy": None})
        chosen = self._assigned(task_id, task, route, "")
        return [] if chosen is None else [Fallback(llm=chosen, kind="llm", on_limit=True)]

    # --- which LLM ------------------------------------------------------------------------------

    def _route(self, task: Task) -> Route:
        route = task.route or self._defaults.route or Route()
        return route.model_copy(update={"models": task.llm}) if task.llm else route

    def _default_llm(self) -> str:
        return self._bound_id(self._engine.default_llm)

    def _bound_id(self, name: str) -> str:
        """Return what takes the place of an id of the document."""
        for old, new in self._wishes.llms.items():
            if name == old or fnmatch.fnmatchcase(name, old):
                self._rebound.add(old)
                return new
        return name

    def _check_rebinding(self) -> None:
        for old in self._wishes.llms:
            if old not in self._rebound:
                named = {m for t in self._flow.tasks.values() for m in self._route(t).models}
                raise UnknownName("LLM in this workflow", old, {*named, self._engine.default_llm})

    def _assigned(
        self, task_id: str, task: Task, route: Route, content: str
    ) -> Assignment | None:  # fmt: skip
        try:
            if content and (pinned := self._wishes.pinned.get(content)):
                self._catalog.llm(pinned.llm)  # it may have gone since
                return pinned
            found, settings = self._candidates(route)
            router = self._router(route, len(found))
            demand = Demand(
                task=task_id,
                type=task.type,
                capabilities=route.capabilities,
                context_tokens=route.context,
                max_tokens=_params(self._defaults.params, task.params).get("max_tokens"),
                max_cost_usd=route.max_cost,
                exclude=route.exclude,
            )
            choice = router.choose(demand, found)
        except (UnknownName, UsageProblem, Unroutable) as error:
            place = self._where(task_id, "llm" if task.llm else "route")
            self._missing.append(f"{place}{error.what} {error.hint}".strip())
            return None
        return Assignment(
            choice.llm,
            settings[choice.llm],
            router.name,
            choice.reason,
            choice.rejected,
            simulated=self._catalog.llm(choice.llm).card.simulated,
        )

    def _router(self, route: Route, candidates: int) -> Router:
        if self._wishes.router is not None and candidates != 1:
            return self._wishes.router
        if route.policy in ROUTERS:
            return ROUTERS[route.policy]()
        kind = _PREFER.get(
            route.prefer or "", ROUTERS["capability" if route.capabilities else "fixed"]
        )
        return kind() if candidates > 1 else Fixed()

    def _candidates(
        self, route: Route
    ) -> tuple[list[Candidate], dict[str, tuple[tuple[str, Scalar], ...]]]:
        """Return the LLMs that a route allows, and the setting of each.

        Where none is named: the default, or all that are ready and real if something is demanded.
        """
        settings: dict[str, tuple[tuple[str, Scalar], ...]] = {}
        for spec in route.models:
            for choice in self._catalog.choose(self._bound_id(spec)):
                settings.setdefault(choice.llm_id, choice.params)
        if not route.models:
            demanding = route.prefer or route.capabilities or route.context or self._wishes.router
            if demanding:
                cards = self._catalog.cards(recorded=False)
                ready = [c.id for c in cards if not (c.missing or c.simulated)]
                settings = dict.fromkeys(ready, ())
            else:
                for choice in self._catalog.choose(self._default_llm()):
                    settings[choice.llm_id] = choice.params
        cards = [self._catalog.llm(name).card for name in settings]
        return [Candidate(card, self._catalog.price(card)) for card in cards], settings

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


def _params(*parts: Params | None) -> dict[str, Any]:
    """Return parameters, later ones over earlier ones; what nobody set is not among them."""
    merged: dict[str, Any] = {}
    for part in parts:
        if part is not None:
            fields = part.model_dump(exclude_none=True, exclude={"extra"})
            merged |= {**fields, **part.extra}
    return merged


def _turns(task: Task) -> tuple[tuple[Any, str], ...]:
    if task.messages is not None:
        turns = [(turn.role, turn.content) for turn in task.messages]
    else:
        turns = [("user", task.prompt)] if task.prompt is not None else []
    return tuple([("system", task.system)] if task.system else []) + tuple(turns)
