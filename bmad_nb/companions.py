"""Which LLMs stand beside the author of a task: who judges, helps, and takes over on a failure."""

from __future__ import annotations

from collections.abc import Collection

from bmad_nb.assigning import Assigner, Setting
from bmad_nb.errors import UnknownName, Unroutable, UsageProblem
from bmad_nb.llms.base import Card
from bmad_nb.llms.families import family_of
from bmad_nb.plan_parts import Assignment
from bmad_nb.routers.base import Candidate, Choice, Demand, passing
from bmad_nb.routers.capability import Capability, by_skill
from bmad_nb.routers.cheapest import Cheapest
from bmad_nb.routers.covering import cover
from bmad_nb.workflow.model import Task
from bmad_nb.workflow.parts import Route

MOST_HEALERS = 2
"""Other LLMs that the adaptive strategy tries where one fails."""


class Companions(Assigner):
    """Assigns LLMs to tasks, and others to stand beside them. Arguments as of `Assigner`."""

    def examples(self, task: Task, weak: Card) -> tuple[tuple[str, str], ...]:
        """Return worked examples of a task's kind for an LLM that is weak in it."""
        return tuple(self._choosing.examples(task.type, simulated=weak.simulated))

    def strong_in(self, skill: str, need: float, weak: Card) -> Assignment | None:
        """Return the cheapest LLM that is ready and meets a need; None if there is none."""
        names = self._ready(simulated=weak.simulated)
        demand = Demand("", capabilities={skill: need}, exclude=(weak.id,))
        try:
            choice = Cheapest().choose(demand, [self._candidate(name) for name in names])
        except Unroutable:
            return None
        return self._assignment(choice, {}, "mitigation")

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
            try:
                left = {each.card.id for each in passing(demand, everybody)[0]}
            except Unroutable:
                team = cover(demand, everybody)
                return [
                    self._assignment(Choice(each.card.id, "part of a team"), settings, "cover")
                    for each in team
                ]
        except (UnknownName, UsageProblem, Unroutable) as error:
            self._missing((task_id,), f"{error.what} {error.hint}".strip())
            return [author] if author else []
        preferred = by_skill(route.capabilities, cheapest=route.prefer == "cheapest")
        ranked = [
            sorted((each for each in group if each.card.id in left), key=preferred)
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
