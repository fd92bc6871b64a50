"""Who works together on a task, and how their answers become one, as the engine takes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from bmad_nb.companions import Companions
from bmad_nb.consensus.cascades import break_even
from bmad_nb.consensus.voting import log_odds
from bmad_nb.errors import UnknownName, UsageProblem
from bmad_nb.llms.catalog import Catalog
from bmad_nb.patterns.members import deciding_field
from bmad_nb.plan_parts import Assignment, Collaborating, Judging, Member
from bmad_nb.scorers.fencing import LETTERS
from bmad_nb.scorers.judge import DEFAULT_RUBRIC
from bmad_nb.workflow import output
from bmad_nb.workflow.model import Task
from bmad_nb.workflow.parts import Collaborate, Judge
from bmad_nb.workflow.rules import DEFAULT_METHODS

DEFAULT_JUDGE = Judge(rubric=DEFAULT_RUBRIC)
"""Who judges a refinement that names nobody."""
DEFAULT_ROUNDS = {"consensus": 2, "debate": 2, "peer_review": 2}
"""Most rounds where none is named; else one."""
TYPICAL_TOKENS = 500
"""Tokens of a prompt, and of an answer, where nothing is known of them."""
DEFAULT_THRESHOLD = 0.6
"""Share of the vote that a consensus wants where neither it nor a method is named."""


class Collaborations:
    """Reads what tasks say of several LLMs.

    Args:
        assigner: assigns LLMs.
        catalog: what they cost.
        judge: reads who scores.
        note: called with what a reader should know.
    """

    def __init__(
        self,
        assigner: Companions,
        catalog: Catalog,
        judge: Callable[..., Judging],
        note: Callable[[str], Any],
    ) -> None:
        """Read nothing yet."""
        self._assigner, self._catalog = assigner, catalog
        self._judge, self._note = judge, note

    def of(self, task_id: str, task: Task, author: Assignment | None) -> Collaborating | None:
        """Return who works on a task together, and how; None where it is one LLM's."""
        part = task.collaborate
        if part is None:
            return None
        if part.type == "expert":
            if not part.experts:
                said = f"Task {task_id!r} consults nobody."
                self._assigner.lacks((task_id, "collaborate", "experts"), said)
            return self._experts(task_id, task, part, author)
        members, note = self._members(task_id, task, part, author)
        voting = "weighted" if part.weights else "majority"
        method: Any = part.method or DEFAULT_METHODS.get(part.type, voting)
        schema = None if task.output is None else output.schema_of(task.output)
        together = Collaborating(
            type=part.type,
            members=members,
            method=method,
            field=part.field or deciding_field(schema),
            answers=part.answers,
            threshold=self._threshold(part),
            quorum=part.quorum or self._quorum(part, len(members)),
            rounds=part.rounds or DEFAULT_ROUNDS.get(part.type, 1),
            stop_early=part.stop_early and method in {"majority", "weighted"},
            judge=self._chooser(task_id, part, method, members, author),
            combiner=self._combiner(task_id, task, part, method, author),
            strong=self._strong(task_id, task, part),
            on_disagree=part.on_disagree or "",
            note=note,
        )
        for key, said in _faults(part, together, schema):
            self._assigner.lacks((task_id, "collaborate", key), f"Task {task_id!r} {said}")
        self._warn(task_id, part, together)
        return together

    def _members(
        self, task_id: str, task: Task, part: Collaborate, author: Assignment | None
    ) -> tuple[tuple[Member, ...], str]:
        """Return who works together, the author first, and what a reader should know of it."""
        route = self._assigner.route(task)
        if part.models:
            route = route.model_copy(update={"models": part.models, "prefer": route.prefer})
        pool = self._assigner.pool(task_id, route, author, part.diverse)
        named = len(part.models)
        wanted = part.n or (max(named, 2) if named else 3)
        if pool and pool[0].router == "cover":  # nobody meets the need alone, and these together do
            wanted = len(pool)
        chosen = pool[:wanted]
        note = ""
        if len(chosen) < wanted and not self._may_repeat(part):
            kind = "families of LLMs" if part.diverse == "family" else "different LLMs"
            said = f"Task {task_id!r} wants {wanted} {kind}, and {len(chosen)} can be asked here."
            self._assigner.lacks((task_id, "collaborate"), f"{said} Name more, or set their keys.")
        weights = self._weights(task_id, part, chosen, task)
        members = []
        for place in range(max(len(chosen), wanted) if self._may_repeat(part) else len(chosen)):
            a = chosen[place % len(chosen)] if chosen else None
            if a is not None:
                number, samples = divmod(place, len(chosen))[0], _samples(place, chosen, wanted)
                name = f"{a.llm}#{number + 1}" if number else a.llm
                members.append(Member(name, a, number, round(weights[a.llm] / samples, 6)))
        if len(chosen) > 1 and len(members) % len(chosen):
            self._note(
                f"Task {task_id!r} asks {len(chosen)} LLMs for {len(members)} answers: the answers "
                "of an LLM that is asked oftener count for less, so that each LLM has one vote."
            )
        if len(chosen) == 1 < len(members):
            note = (
                f"Task {task_id!r} asks {chosen[0].llm} {len(members)} times: that is "
                "self-consistency, not several LLMs."
            )
            self._note(note)
        return tuple(members), note

    def _may_repeat(self, part: Collaborate) -> bool:
        """Return whether one LLM may be asked several times: never to review itself."""
        return part.diverse in {None, "none"} and part.type != "peer_review"

    def _weights(
        self, task_id: str, part: Collaborate, chosen: list[Assignment], task: Task
    ) -> dict[str, float]:
        """Return what each member's vote counts: as written, else by what is known of its quality.

        One of which nothing is known counts as much as the others do on average.
        """
        if part.weights:
            written = {self._known_id(name): w for name, w in part.weights.items()}
            members = {a.llm for a in chosen}
            if chosen and (strange := sorted(written.keys() - members)):
                said = f"Task {task_id!r} weighs {', '.join(strange)}, which is no member of it."
                self._assigner.lacks((task_id, "collaborate", "weights"), said)
            return {a.llm: written.get(a.llm, 1.0) for a in chosen}
        if part.method != "weighted":
            return {a.llm: 1.0 for a in chosen}
        quality = {a.llm: self._assigner.quality(a.llm, task) for a in chosen}
        known = {llm: log_odds(each) for llm, each in quality.items() if each is not None}
        if not any(known.values()):
            self._note(
                f"Task {task_id!r} weighs its members equally: nothing is known of their quality."
            )
            return {a.llm: 1.0 for a in chosen}
        mean = sum(known.values()) / len(known)
        return {a.llm: round(known.get(a.llm, mean), 6) for a in chosen}

    def _known_id(self, name: str) -> str:
        """Return the id of an LLM as a document names it, without its setting."""
        bound = self._assigner.bound_id(name)
        try:
            return self._catalog.choose(bound)[0].llm_id
        except (UnknownName, UsageProblem):
            return bound

    def _experts(
        self, task_id: str, task: Task, part: Collaborate, author: Assignment | None
    ) -> Collaborating:
        members = []
        for name, expert in part.experts.items():
            found = author
            if expert.route is not None:
                found = self._assigner.assigned(task_id, task, expert.route)
            if found is not None:
                role, when = expert.role or name, expert.when or ""
                members.append(Member(name, found, role=role, when=when))
        return Collaborating("expert", tuple(members))

    def _threshold(self, part: Collaborate) -> float | None:
        if part.threshold is None and part.type in {"consensus", "debate"} and not part.method:
            return DEFAULT_THRESHOLD
        return part.threshold

    def _quorum(self, part: Collaborate, members: int) -> int:
        """Return the least answers where none is named: more than half; of an ensemble, two."""
        if part.type in {"best_of_n", "cascade", "peer_review"}:
            return 1
        return min(2, members) if part.type == "ensemble" else members // 2 + 1

    def _chooser(
        self, task_id: str, part: Collaborate, method: str, members: tuple[Member, ...],
        author: Assignment | None,
    ) -> Judging | None:  # fmt: skip
        """Return who scores or chooses, where somebody does."""
        names = {m.assignment.llm for m in members}
        if part.judge is not None or part.type == "best_of_n":
            judge = part.judge or DEFAULT_JUDGE
            return self._judge(task_id, judge, author, "collaborate", apart=names)
        if method == "judge" or part.on_disagree == "judge":
            chosen, note = self._assigner.judge(task_id, None, author, other=True, apart=names)
            if note:
                self._note(note)
            return Judging(assignment=chosen)
        return None

    def _combiner(
        self, task_id: str, task: Task, part: Collaborate, method: str, author: Assignment | None
    ) -> Assignment | None:
        if method != "synthesis":
            return None
        if part.synthesizer is None:
            return author
        return self._assigner.assigned(task_id, task, part.synthesizer)

    def _strong(self, task_id: str, task: Task, part: Collaborate) -> Assignment | None:
        if part.type != "cascade" or part.strong is None:
            return None
        return self._assigner.assigned(task_id, task, part.strong)

    def _typical_usd(self, llm: str) -> float | None:
        """Return US dollars of a call of ordinary length; None where its price is unknown."""
        price = self._catalog.price(self._catalog.llm(llm).card)
        if price is None:
            return None
        return float(price.input_usd_per_mtok + price.output_usd_per_mtok) * TYPICAL_TOKENS / 1e6

    def _warn(self, task_id: str, part: Collaborate, together: Collaborating) -> None:
        """Say before anything is spent where a cascade costs more than its strong LLM."""
        if part.type != "cascade" or together.strong is None:
            return
        limit = break_even(
            [self._typical_usd(m.assignment.llm) for m in together.members],
            self._typical_usd(together.strong.llm),
        )
        self._note(f"Task {task_id!r}: {limit.said}")


def _samples(place: int, chosen: Sequence[Assignment], wanted: int) -> int:
    """Return how often a member's LLM answers more than others do; 1 where all answer as often."""
    count = len(chosen)
    if wanted <= count or wanted % count == 0:
        return 1
    return wanted // count + (place % count < wanted % count)


def _faults(
    part: Collaborate, together: Collaborating, schema: Mapping[str, Any] | None
) -> Iterator[tuple[str, str]]:
    """Yield the keys with which a collaboration could not come to a result, and why."""
    members = together.members
    if members and together.quorum > len(members):
        yield "quorum", f"wants {together.quorum} answers of {len(members)} members."
    if members and not any(member.weight for member in members):
        yield "weights", "gives nobody's vote any weight."
    if part.type == "peer_review" and len(members) == 1:
        yield "n", "has nobody besides the author to review its answer."
    lettered = together.method in {"judge", "rank", "synthesis"} or part.on_disagree == "judge"
    if lettered and len(members) > len(LETTERS):
        yield "n", f"shows {len(members)} answers at once, and {len(LETTERS)} can be lettered."
    fields = (schema or {}).get("properties", {})
    if part.field and part.field not in fields:
        has = f"its output has {', '.join(fields)}" if fields else "it has no output"
        yield "field", f"votes on the field {part.field!r}, and {has}."
    if part.type == "cascade":
        if part.strong is None:
            yield "strong", "has nobody to ask where the cheap LLMs disagree: name strong."
        elif together.strong and together.strong.llm in {m.assignment.llm for m in members}:
            yield "strong", f"has {together.strong.llm} among the cheap LLMs too."
