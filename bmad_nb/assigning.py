"""Which LLM does a task, judges it, takes over where it fails: by routes, objectives and prices."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from bmad_nb.errors import UnknownName, Unroutable, UsageProblem
from bmad_nb.llms.catalog import Catalog
from bmad_nb.llms.families import family_of
from bmad_nb.messages import Scalar
from bmad_nb.plan_parts import Assignment
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
    quality: Mapping[tuple[str, str], float] = field(default_factory=dict)
    """Learned mean score in [0, 1], by LLM and type of task."""


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
        return [self._candidate(name, task) for name in settings], settings

    def _candidate(self, name: str, task: Task | None = None) -> Candidate:
        card = self._catalog.llm(name).card
        quality = None if task is None else self.quality(name, task)
        return Candidate(card, self._catalog.price(card), self._choosing.seconds.get(name), quality)

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

    def pool(
        self,
        task_id: str,
        route: Route | None,
        author: Assignment | None,
        diverse: str | None,
    ) -> list[Assignment]:
        """Return different LLMs that could work on a task together, the author first.

        Of each name or glob of the route the preferred one comes before any second one; without
        names it is everybody who is ready, simulated ones only beside a simulated author.

        Args:
            task_id: the task.
            route: who may.
            author: who does it anyway; left out where the route names others.
            diverse: `family` takes one of each family of models.
        """
        route = route or Route()
        try:
            groups, settings = self._groups(route, author)
            everybody = [each for group in groups for each in group]
            demand = Demand(
                task_id, capabilities=route.capabilities, context_tokens=route.context,
                max_cost_usd=route.max_cost, exclude=route.exclude,
            )  # fmt: skip
            left = {each.card.id for each in passing(demand, everybody)[0]}
        except (UnknownName, UsageProblem, Unroutable) as error:
            self._missing((task_id,), f"{error.what} {error.hint}".strip())
            return [author] if author else []
        ranked = [
            sorted((c for c in group if c.card.id in left), key=_by_skill(route))
            for group in groups
        ]
        firsts = [group[0].card.id for group in ranked if group]
        seconds = [each.card.id for group in ranked for each in group[1:]]
        order = list(dict.fromkeys([*firsts, *seconds]))
        if author is not None and (author.llm in order or not route.models):
            order = [author.llm, *(each for each in order if each != author.llm)]
        if diverse == "family":
            order = list({family_of(each): each for each in reversed(order)}.values())[::-1]
        return [
            author
            if author is not None and name == author.llm
            else self._assignment(Choice(name, "works together"), settings, "together")
            for name in order
        ]

    def _groups(
        self, route: Route, author: Assignment | None
    ) -> tuple[list[list[Candidate]], dict[str, Setting]]:
        """Return the candidates of each name of a route, and the setting of each."""
        settings: dict[str, Setting] = {}
        groups = []
        for spec in route.models:
            group = []
            for choice in self._catalog.choose(self.bound_id(spec)):
                if choice.llm_id not in settings:
                    settings[choice.llm_id] = choice.params
                    group.append(self._candidate(choice.llm_id))
                elif settings[choice.llm_id] != choice.params:
                    hint = "A member is an LLM: name it once, and ask it oftener with n."
                    raise UsageProblem(f"{choice.llm_id} is named in two settings.", hint=hint)
            groups.append(group)
        if not route.models:
            ready = self._ready(simulated=bool(author and author.simulated))
            groups = [[self._candidate(name) for name in ready]]
        return groups, settings

    def judge(
        self,
        task_id: str,
        route: Route | None,
        author: Assignment | None,
        *,
        other: bool,
        apart: Collection[str] = (),
    ) -> tuple[Assignment | None, str]:
        """Return the LLM that judges, and what a reader should know of it.

        Args:
            task_id: the task that is judged.
            route: who may judge; None for anybody.
            author: whom the task is given to.
            other: whether it should be another LLM than the author.
            apart: further LLMs that it should not be, nor of their families, because it judges
                their answers too.
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
            if apart and other:
                families = {family_of(name) for name in apart}
                choosing = (
                    [c for c in choosing if family_of(c.card.id) not in families]
                    or [c for c in choosing if c.card.id not in apart]
                    or choosing
                )
            router = self._router(route, choosing) if route.models else Capability()
            choice = router.choose(demand, choosing)
        except (UnknownName, UsageProblem, Unroutable) as error:
            self._missing((task_id,), f"Nobody can judge it: {error.what} {error.hint}".strip())
            return None, ""
        note = ""
        if apart and choice.llm in apart:
            note = (
                f"The answers to task {task_id!r} are judged by {choice.llm}, which wrote one of "
                "them: no other LLM is here."
            )
        elif other and author is not None and choice.llm == author.llm:
            note = (
                f"Task {task_id!r} is judged by its own author {author.llm}: no other LLM is here."
            )
        return self._assignment(choice, settings, router.name), note


def _by_skill(route: Route) -> Callable[[Candidate], Any]:
    """Return the order of preference among LLMs that may work together: skill, price, name."""
    cheapest = route.prefer == "cheapest"

    def key(each: Candidate) -> tuple[float, float, str]:
        skills = dict(each.card.capabilities)
        names = list(route.capabilities) or list(skills)
        fit = sum(skills.get(name, 0.0) for name in names) / len(names) if names else 0.0
        usd = float("inf") if each.price is None else float(each.price.output_usd_per_mtok)
        return (usd, -fit, each.card.id) if cheapest else (-fit, usd, each.card.id)

    return key


def merged(*parts: Params | None) -> dict[str, Any]:
    """Return parameters, later ones over earlier ones; what nobody set is not among them."""
    found: dict[str, Any] = {}
    for part in parts:
        if part is not None:
            fields = part.model_dump(exclude_none=True, exclude={"extra"})
            found |= {**fields, **part.extra}
    return found
