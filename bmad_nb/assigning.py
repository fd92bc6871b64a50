"""Which LLM does a task: by routes, objectives, prices and what was learned."""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bmad_nb.errors import UnknownName, Unroutable, UsageProblem
from bmad_nb.llms.catalog import Catalog
from bmad_nb.messages import Scalar
from bmad_nb.plan_parts import Assignment
from bmad_nb.render.base import listed
from bmad_nb.routers.base import Candidate, Choice, Demand, Router, chosen
from bmad_nb.routers.capability import Capability
from bmad_nb.routers.cheapest import Cheapest
from bmad_nb.routers.covering import cover
from bmad_nb.routers.efficient import Efficient, Lean
from bmad_nb.routers.fastest import Balanced, Fastest
from bmad_nb.routers.fixed import Fixed
from bmad_nb.settings import EngineSettings
from bmad_nb.workflow.model import Defaults, Task
from bmad_nb.workflow.parts import Params, Route

ROUTERS: dict[str, type[Router]] = {
    "fixed": Fixed, "cheapest": Cheapest, "capability": Capability, "fastest": Fastest,
    "balanced": Balanced, "efficient": Efficient, "lean": Lean,
}  # fmt: skip
_PREFER = {"cheapest": "cheapest", "best": "capability", "fastest": "fastest",
           "balanced": "balanced", "efficient": "efficient", "lean": "lean"}  # fmt: skip
_OBJECTIVES = {"cost_optimized": "cheapest", "latency_optimized": "fastest", "balanced": "balanced"}
"""The router that serves an objective; `priority_first` says nothing about LLMs."""

Setting = tuple[tuple[str, Scalar], ...]
Evidence = tuple[int, float | None, float | None]
"""Answers that were scored, and both ends of the 95 % interval of their mean."""


def no_examples(_kind: str, *, simulated: bool) -> Sequence[tuple[str, str]]:
    """Know no worked example."""
    del simulated
    return ()


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
    quality: Mapping[tuple[str, str], float] = field(default_factory=dict)
    """Learned mean score in [0, 1], by LLM and type of task."""
    evidence: Mapping[tuple[str, str], Evidence] = field(default_factory=dict)
    """What that is based on."""
    tokens: Mapping[str, float] = field(default_factory=dict)
    """Mean tokens of an answer so far, its prompt among them, by LLM."""
    examples: Callable[..., Sequence[tuple[str, str]]] = no_examples
    """Returns questions and answers of a kind of task that were scored well; takes the kind, and
    whether simulated LLMs gave them."""


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
        self._named: dict[str, dict[str, Setting]] = {}
        self.rebound: set[str] = set()
        """Ids of the caller that took the place of others."""

    def route(self, task: Task) -> Route:
        """Return the route of a task: its own, with `llm` as its short form, or the default.

        The author of a collaboration is the first of its members where nobody else is named; of a
        cascade it is the first that is asked.
        """
        route = task.route or self._defaults.route or Route()
        named = task.llm or (route.cascade or [])[:1]
        if not named and not route.models and task.collaborate:
            named = task.collaborate.models[:1]
        return route.model_copy(update={"models": named}) if named else route

    def lacks(self, path: tuple[str, ...], said: str) -> None:
        """Say what is missing for a run."""
        self._missing(path, said)

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
            found, settings = self._candidates(route, task)
            router = self._router(route, found)
            choice = chosen(router, self._demand(task_id, task, route), found)
        except (UnknownName, UsageProblem, Unroutable) as error:
            if isinstance(error, Unroutable) and (team := self.team(task_id, task, route)):
                return self._assignment(team[0], settings, "cover")
            where = (task_id, "llm" if task.llm else "route")
            self._missing(where, f"{error.what} {error.hint}".strip())
            return None
        return self._assignment(choice, settings, router.name)

    def team(self, task_id: str, task: Task, route: Route) -> list[Choice]:
        """Return the LLMs that together can do what nobody can alone; only of a collaboration."""
        if not (task.collaborate and route.capabilities):
            return []
        if task.collaborate.models:
            route = route.model_copy(update={"models": task.collaborate.models})
        try:
            found = cover(self._demand(task_id, task, route), self._candidates(route, task)[0])
        except (UnknownName, UsageProblem, Unroutable):
            return []
        names = listed(each.card.id for each in found)
        said = f"nobody meets {', '.join(route.capabilities)} alone; the cheapest team is {names}"
        return [Choice(each.card.id, said) for each in found]

    def candidates(self, task: Task, llms: Sequence[str] = ()) -> list[Candidate]:
        """Return everybody whom the route of a task allows, whether or not they pass its filters.

        Args:
            task: the task.
            llms: ids that take the place of those of its route.

        Raises:
            UnknownName: it names an LLM that is not there.
        """
        if llms:
            return [self._candidate(name, task) for name in llms]
        return self._candidates(self.route(task), task)[0]

    def choice(
        self, task_id: str, task: Task, candidates: list[Candidate], prompt: str = ""
    ) -> tuple[Choice, str]:
        """Return the choice among some candidates, and the name of the router that made it.

        Raises:
            Unroutable: nobody passes the hard filters.
        """
        router = self._router(self.route(task), candidates)
        demand = dataclasses.replace(self.demand(task_id, task), prompt=prompt)
        return chosen(router, demand, candidates), router.name

    def demand(self, task_id: str, task: Task) -> Demand:
        """Return what a task wants of an LLM."""
        return self._demand(task_id, task, self.route(task))

    def live(
        self,
        task_id: str,
        task: Task,
        prompt: str,
        seen: Callable[[Candidate], tuple[Candidate, str]],
    ) -> tuple[Assignment, list[Candidate]] | None:
        """Return the LLM for a call of this moment, and who could be asked; None without a choice.

        Args:
            task_id: the task.
            task: its definition.
            prompt: what is to be sent.
            seen: returns a candidate as it stands now, and why it is to be left alone, if it is.

        Raises:
            Unroutable: nobody passes the hard filters.
        """
        route = self.route(task)
        if task_id not in self._named:  # ids are looked up once, prices at each call
            self._named[task_id] = self._settings(route)
        settings = self._named[task_id]
        if len(settings) < 2:
            return None
        found = [self._candidate(name, task) for name in settings]
        stand = [seen(each) for each in found]
        resting = tuple((each.card.id, why) for each, why in stand if why)
        left = [each for each, why in stand if not why] or [each for each, _ in stand]
        router = self._router(route, found)
        demand = dataclasses.replace(self._demand(task_id, task, route), prompt=prompt)
        try:
            choice = chosen(router, demand, left)
        except Unroutable:  # then one that does badly is better than none
            try:
                choice = chosen(router, demand, [each for each, _ in stand])
            except Unroutable:  # the plan was made in spite of that
                return None
        choice = dataclasses.replace(
            choice, rejected=(*choice.rejected, *(r for r in resting if r[0] != choice.llm))
        )
        return self._assignment(choice, settings, router.name), [each for each, _ in stand]

    def _assignment(
        self, choice: Choice, settings: Mapping[str, Setting], router: str
    ) -> Assignment:
        return Assignment(
            choice.llm,
            settings.get(choice.llm, ()),
            router,
            choice.reason,
            choice.rejected,
            self._catalog.llm(choice.llm).card.simulated,
            getattr(choice, "expected", ()),
            getattr(choice, "propensity", None),
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
            min_quality=route.min_quality,
            max_latency_s=route.max_latency,
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

    def _candidates(
        self, route: Route, task: Task | None = None
    ) -> tuple[list[Candidate], dict[str, Setting]]:
        """Return the LLMs that a route allows, and the setting of each."""
        settings = self._settings(route)
        return [self._candidate(name, task) for name in settings], settings

    def _settings(self, route: Route) -> dict[str, Setting]:
        """Return the setting of each LLM that a route allows.

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
        return settings

    def _candidate(self, name: str, task: Task | None = None) -> Candidate:
        card = self._catalog.llm(name).card
        quality = None if task is None else self.quality(name, task)
        known = self._choosing.evidence.get((name, task.type)) if task else None
        scored, low, high = known or (0, None, None)
        seconds = self._choosing.seconds.get(name)
        tokens = self._choosing.tokens.get(name)
        price = self._catalog.price(card)
        return Candidate(card, price, seconds, quality, None, scored, low, high, tokens)

    def quality(self, llm: str, task: Task) -> float | None:
        """Return what is known of an LLM's quality in [0, 1] for a task; None if nothing is.

        What was learned from scores goes before what is declared.
        """
        learned = self._choosing.quality.get((llm, task.type))
        if learned is not None:
            return learned
        skills = dict(self._catalog.llm(llm).card.capabilities)
        wanted = list(self.route(task).capabilities) or list(skills)
        if not skills or not wanted:
            return None
        return sum(skills.get(name, 0.0) for name in wanted) / len(wanted)

    def _ready(self, *, simulated: bool = False) -> list[str]:
        """Return the LLMs that could be asked now: the real ones, or the simulated ones."""
        cards = self._catalog.cards(recorded=False)
        return [c.id for c in cards if not c.missing and c.simulated is simulated]


def merged(*parts: Params | None) -> dict[str, Any]:
    """Return parameters, later ones over earlier ones; what nobody set is not among them."""
    found: dict[str, Any] = {}
    for part in parts:
        if part is not None:
            fields = part.model_dump(exclude_none=True, exclude={"extra"})
            found |= {**fields, **part.extra}
    return found
