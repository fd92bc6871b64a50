"""Which LLM does a task, judges it, takes over where it fails: by routes, objectives and prices."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bmad_nb.errors import UnknownName, Unroutable, UsageProblem
from bmad_nb.llms.catalog import Catalog
from bmad_nb.messages import Scalar
from bmad_nb.plan import Assignment
from bmad_nb.routers.base import Candidate, Choice, Demand, Router, passing
from bmad_nb.routers.capability import Capability
from bmad_nb.routers.cheapest import Cheapest
from bmad_nb.routers.fastest import Balanced, Fastest
from bmad_nb.routers.fixed import Fixed
from bmad_nb.settings import EngineSettings
from bmad_nb.workflow.model import Defaults, Task
from bmad_nb.workflow.parts import Params, Route

ROUTERS: dict[str, type[Router]] = {
    "fixed": Fixed, "cheapest": Cheapest, "capability": Capability, "fastest": Fastest,
    "balanced": Balanced,
}  # fmt: skip
_PREFER = {"cheapest": "cheapest", "best": "capability", "fastest": "fastest",
           "balanced": "balanced"}  # fmt: skip
_OBJECTIVES = {"cost_optimized": "cheapest", "latency_optimized": "fastest", "balanced": "balanced"}
"""The router that serves an objective; `priority_first` says nothing about LLMs."""
MOST_HEALERS = 2
"""Other LLMs that the adaptive strategy tries where one fails."""

Setting = tuple[tuple[str, Scalar], ...]


@dataclass(frozen=True, slots=True)
class Choosing:
    """What the caller says about LLMs."""

    llms: Mapping[str, str] = field(default_factory=dict)
    """Ids of the document, or globs, and what takes their place."""
    router: Router | None = None
    """Chooses the LLM of every task that does not name exactly one."""
    pinned: Mapping[str, Assignment] = field(default_factory=dict)
    """LLMs of a run that goes on, by the step's content."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Median seconds of an answer so far, by LLM."""


class Assigner:
    """Assigns LLMs to the tasks of a workflow.

    Args:
        catalog: what there is.
        engine: settings.
        choosing: what the caller says.
        defaults: what a task has that says nothing.
        objectives: names of the objectives, the first first.
        missing: called with the path below the task and a sentence, where nobody can do it.
    """

    def __init__(
        self,
        catalog: Catalog,
        engine: EngineSettings,
        choosing: Choosing,
        defaults: Defaults,
        *,
        objectives: tuple[str, ...],
        missing: Callable[[tuple[str, ...], str], None],
    ) -> None:
        """Assign nothing yet."""
        self._catalog, self._engine, self._choosing = catalog, engine, choosing
        self._defaults, self._objectives, self._missing = defaults, objectives, missing
        self.rebound: set[str] = set()
        """Ids of the caller that took the place of others."""

    def route(self, task: Task) -> Route:
        """Return the route of a task: its own, with `llm` as its short form, or the default."""
        route = task.route or self._defaults.route or Route()
        return route.model_copy(update={"models": task.llm}) if task.llm else route

    def bound_id(self, name: str) -> str:
        """Return what takes the place of an id of the document."""
        for old, new in self._choosing.llms.items():
            if name == old or fnmatch.fnmatchcase(name, old):
                self.rebound.add(old)
                return new
        return name

    def default_llm(self) -> str:
        """Return the LLM of a task without a route."""
        return self.bound_id(self._engine.default_llm)

    # --- the author -----------------------------------------------------------------------------

    def assigned(
        self, task_id: str, task: Task, route: Route, content: str = ""
    ) -> Assignment | None:
        """Return the LLM of a task; None if nobody can do it, which is said.

        Args:
            task_id: the task.
            task: its definition.
            route: who may do it.
            content: hash of the step; an LLM that was pinned by it is kept.
        """
        try:
            if content and (pinned := self._choosing.pinned.get(content)):
                self._catalog.llm(pinned.llm)  # it may have gone since
                return pinned
            found, settings = self._candidates(route)
            router = self._router(route, found)
            choice = router.choose(self._demand(task_id, task, route), found)
        except (UnknownName, UsageProblem, Unroutable) as error:
            where = (task_id, "llm" if task.llm else "route")
            self._missing(where, f"{error.what} {error.hint}".strip())
            return None
        return self._assignment(choice, settings, router.name)

    def _assignment(
        self, choice: Choice, settings: Mapping[str, Setting], router: str
    ) -> Assignment:
        return Assignment(
            choice.llm,
            settings.get(choice.llm, ()),
            router,
            choice.reason,
            choice.rejected,
            simulated=self._catalog.llm(choice.llm).card.simulated,
        )

    def _demand(self, task_id: str, task: Task, route: Route) -> Demand:
        return Demand(
            task=task_id,
            type=task.type,
            capabilities=route.capabilities,
            context_tokens=route.context,
            max_tokens=merged(self._defaults.params, task.params).get("max_tokens"),
            max_cost_usd=route.max_cost,
            exclude=route.exclude,
        )

    def _router(self, route: Route, candidates: list[Candidate]) -> Router:
        if self._choosing.router is not None and len(candidates) != 1:
            return self._choosing.router
        first = self._objectives[0] if self._objectives else ""
        wanted = _PREFER.get(route.prefer or "") or _OBJECTIVES.get(first)
        if route.policy in ROUTERS:
            return ROUTERS[route.policy]()
        if len(candidates) < 2:
            return Fixed()
        if wanted is not None:
            return ROUTERS[wanted]()
        if route.capabilities:
            return Capability(thrifty=self._engine.cost_optimization)
        priced = all(each.price is not None for each in candidates)
        return Cheapest() if self._engine.cost_optimization and priced else Fixed()

    def _candidates(self, route: Route) -> tuple[list[Candidate], dict[str, Setting]]:
        """Return the LLMs that a route allows, and the setting of each.

        Where none is named: the default, or all that are ready and real if something is demanded.
        """
        settings: dict[str, Setting] = {}
        for spec in route.models:
            for choice in self._catalog.choose(self.bound_id(spec)):
                settings.setdefault(choice.llm_id, choice.params)
        if not route.models:
            demanding = route.prefer or route.capabilities or route.context or self._choosing.router
            if demanding:
                settings = dict.fromkeys(self._ready(), ())
            else:
                for choice in self._catalog.choose(self.default_llm()):
                    settings[choice.llm_id] = choice.params
        return [self._candidate(name) for name in settings], settings

    def _candidate(self, name: str) -> Candidate:
        card = self._catalog.llm(name).card
        return Candidate(card, self._catalog.price(card), self._choosing.seconds.get(name))

    def _ready(self, *, simulated: bool = False) -> list[str]:
        """Return the LLMs that could be asked now: the real ones, or the simulated ones."""
        cards = self._catalog.cards(recorded=False)
        return [c.id for c in cards if not c.missing and c.simulated is simulated]

    # --- those beside the author ----------------------------------------------------------------

    def others(self, task_id: str, task: Task, author: Assignment | None) -> list[Assignment]:
        """Return other LLMs of the task's own route that could do it, the preferred ones first."""
        route = self.route(task)
        try:
            found, settings = self._candidates(route)
            left, _ = passing(self._demand(task_id, task, route), found)
        except (UnknownName, UsageProblem, Unroutable):
            return []
        left = [each for each in left if author is None or each.card.id != author.llm]
        return [
            self._assignment(Choice(each.card.id, "takes over"), settings, "healing")
            for each in left[:MOST_HEALERS]
        ]

    def best(self, task_id: str, task: Task, author: Assignment | None) -> Assignment | None:
        """Return the most capable LLM besides the author, for a check that escalates."""
        route = self.route(task)
        wanted = task.type, route.capabilities
        try:
            found, settings = self._candidates(route)
            others = [c for c in found if author is None or c.card.id != author.llm]
            if not others:
                names = self._ready(simulated=bool(author and author.simulated))
                others = [self._candidate(n) for n in names if not author or n != author.llm]
            demand = Demand(task_id, wanted[0], wanted[1], exclude=route.exclude)
            return self._assignment(Capability().choose(demand, others), settings, "escalation")
        except (UnknownName, UsageProblem, Unroutable):
            return None

    def judge(
        self, task_id: str, route: Route | None, author: Assignment | None, *, other: bool
    ) -> tuple[Assignment | None, str]:
        """Return the LLM that judges, and what a reader should know of it.

        Args:
            task_id: the task that is judged.
            route: who may judge; None for anybody.
            author: whom the task is given to.
            other: whether it should be another LLM than the author.
        """
        route = route or Route()
        try:
            found, settings = self._candidates(route)
            if not route.models and author is not None:
                ready = self._ready(simulated=author.simulated)
                small = [n for n in ready if n.startswith("local/")]  # too small to judge others
                others = ready if author.llm in small else [n for n in ready if n not in small]
                names = [author.llm, *others]
                found = [self._candidate(name) for name in dict.fromkeys(names)]
                settings = {}
            another = [c for c in found if author is None or c.card.id != author.llm]
            demand = Demand(task_id, "judge", route.capabilities, exclude=route.exclude)
            choosing = another if other and another else found
            router = self._router(route, choosing) if route.models else Capability()
            choice = router.choose(demand, choosing)
        except (UnknownName, UsageProblem, Unroutable) as error:
            self._missing((task_id,), f"Nobody can judge it: {error.what} {error.hint}".strip())
            return None, ""
        note = ""
        if other and author is not None and choice.llm == author.llm:
            note = (
                f"Task {task_id!r} is judged by its own author {author.llm}: no other LLM is here."
            )
        return self._assignment(choice, settings, router.name), note


def merged(*parts: Params | None) -> dict[str, Any]:
    """Return parameters, later ones over earlier ones; what nobody set is not among them."""
    found: dict[str, Any] = {}
    for part in parts:
        if part is not None:
            fields = part.model_dump(exclude_none=True, exclude={"extra"})
            found |= {**fields, **part.extra}
    return found
