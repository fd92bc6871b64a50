"""The protocol of routers, what a task demands, and the hard filters that all of them obey."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol

from bmad_nb.errors import Unroutable, UsageProblem
from bmad_nb.llms.base import Card
from bmad_nb.messages import Price


@dataclass(frozen=True, slots=True)
class Demand:
    """What a task wants of an LLM."""

    task: str
    """Id of the task."""
    type: str = ""
    """Kind of task, such as `code_generation`."""
    capabilities: Mapping[str, float] = field(default_factory=dict)
    """Capability and its least declared score in [0, 1]."""
    context_tokens: int | None = None
    """Tokens that must fit the LLM's context."""
    max_tokens: int | None = None
    """Most tokens of the answer."""
    max_cost_usd: Decimal | None = None
    """Most US dollars that one call may cost."""
    exclude: Sequence[str] = ()
    """Ids or globs that may not be taken."""
    min_quality: float | None = None
    """Least quality in [0, 1]; one of which nothing is known may be taken."""
    max_latency_s: float | None = None
    """Most median seconds; one that was never asked may be taken."""
    prompt: str = ""
    """Text that is to be sent; empty where a plan is made before it is known."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An LLM that could be taken, and what it costs."""

    card: Card
    price: Price | None
    """None where nobody knows it."""
    seconds: float | None = None
    """Median seconds of its answers so far; None where it was never asked here."""
    quality: float | None = None
    """Quality in [0, 1] for this kind of task, learned or else declared; None is unknown."""
    usd: float | None = None
    """Mean US dollars of one of its calls so far; None where none was paid."""
    scored: int = 0
    """Answers to this kind of task that were scored; 0 where its quality is only declared."""
    low: float | None = None
    """Lower end of the 95 % interval of their mean score; None where nobody knows it."""
    high: float | None = None
    tokens: float | None = None
    """Mean tokens of its answers so far, their prompts among them; None where none was counted."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The LLM that a router took, and why."""

    llm: str
    reason: str
    """One sentence."""
    rejected: tuple[tuple[str, str], ...] = ()
    """LLMs that were not taken, each with its reason."""
    expected: tuple[tuple[str, float], ...] = ()
    """LLMs and the score in [0, 1] that the router expects of each, where it expects one."""
    propensity: float | None = None
    """Probability in (0, 1] with which it was made; None: it was certain."""


class Router(Protocol):
    """Chooses one of several LLMs; the same object serves plans, live calls and replays."""

    name: str

    def choose(self, demand: Demand, candidates: Sequence[Candidate]) -> Choice:
        """Return the choice.

        Raises:
            Unroutable: no candidate passes the hard filters.
        """
        ...


def chosen(router: Router, demand: Demand, candidates: Sequence[Candidate]) -> Choice:
    """Return what a router chooses; it may be anybody's, so it is looked at.

    Raises:
        Unroutable: no candidate passes the hard filters.
        UsageProblem: it returned no choice, or chose none of the candidates.
    """
    choice = router.choose(demand, candidates)
    if not isinstance(choice, Choice):
        raise UsageProblem(
            f"choose of the router {router.name!r} returned a {type(choice).__name__}.",
            hint="Return a bmad_nb.Choice(llm, reason).",
        )
    if all(choice.llm != each.card.id for each in candidates):
        raise UsageProblem(
            f"The router {router.name!r} chose {choice.llm!r}, which is no candidate.",
            hint=f"It may choose: {', '.join(each.card.id for each in candidates[:12])}.",
        )
    return choice


def obstacle(demand: Demand, candidate: Candidate) -> str:
    """Return the hard filter that a candidate fails, as a phrase; empty if it may be taken."""
    card = candidate.card
    if any(fnmatch.fnmatchcase(card.id, each) for each in demand.exclude):
        return "it is excluded"
    if card.missing:
        return card.missing
    skills = dict(card.capabilities)
    for name, least in demand.capabilities.items():
        if name not in skills:
            return f"its {name} is not declared, and {least:g} is needed"
        if skills[name] < least:
            return f"its {name} is {skills[name]:g}, and {least:g} is needed"
    return _short_of(demand, candidate) or _too_dear(demand, candidate)


def _short_of(demand: Demand, candidate: Candidate) -> str:
    """Return in which measure a candidate is short; what nobody knows is no obstacle."""
    card, wanted = candidate.card, demand.context_tokens
    least, known = demand.min_quality, candidate.quality
    if least is not None and known is not None and known < least:
        return f"its quality is {known:.2f}, and {least:g} is needed"
    most, seconds = demand.max_latency_s, candidate.seconds
    if most is not None and seconds is not None and seconds > most:
        return f"it takes {seconds:.1f} s, and may take {most:g} s"
    if wanted is not None and (card.context_tokens is None or card.context_tokens < wanted):
        has = "unknown" if card.context_tokens is None else f"{card.context_tokens} tokens"
        return f"its context is {has}, and {wanted} tokens are needed"
    return ""


def _too_dear(demand: Demand, candidate: Candidate) -> str:
    limit = demand.max_cost_usd
    if limit is None:
        return ""
    if candidate.price is None:
        return f"its price is unknown, and a call may cost at most ${limit:f}"
    tokens = demand.max_tokens or candidate.card.default_max_tokens
    least = candidate.price.output_usd_per_mtok * tokens / 1_000_000
    if least > limit:
        return f"its answer alone could cost ${least:f}, and a call may cost at most ${limit:f}"
    return ""


def passing(
    demand: Demand, candidates: Sequence[Candidate]
) -> tuple[list[Candidate], tuple[tuple[str, str], ...]]:
    """Return the candidates that pass all hard filters, and the others with their reasons.

    Raises:
        Unroutable: none passes; each is named with the filter that it fails.
    """
    found, rejected = [], []
    for candidate in candidates:
        why = obstacle(demand, candidate)
        if why:
            rejected.append((candidate.card.id, why))
        else:
            found.append(candidate)
    if not found:
        listed = "; ".join(f"{llm}: {why}" for llm, why in rejected[:12]) or "there is none"
        raise Unroutable(
            f"No LLM can do task {demand.task!r}: {listed}.",
            hint="Ask for less, name another LLM, or set its key; nothing was sent.",
        )
    return found, tuple(rejected)
