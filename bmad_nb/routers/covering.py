"""A team of LLMs that together meet a need which none of them meets alone."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

from bmad_nb.errors import Unroutable
from bmad_nb.routers.base import Candidate, Demand, obstacle, passing

MOST_EXACT = 14
"""Candidates up to which the cheapest team is found by looking at all; beyond it greedily."""
MOST_MEMBERS = 4


def cover(demand: Demand, candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the cheapest team whose members meet all needed skills among them.

    It is a weighted set cover (Chvátal, "A greedy heuristic for the set-covering problem", 1979):
    exact for few candidates, else greedy. The cost of a team is the sum of its members' prices;
    one without a known price costs more than all others together.

    Raises:
        Unroutable: no team covers the need; each skill that nobody has is named.
    """
    without = replace(demand, capabilities={})
    left, _ = passing(without, candidates)
    skills = {each.card.id: _met(demand, each) for each in left}
    lacking = [n for n in demand.capabilities if not any(n in met for met in skills.values())]
    if lacking:
        listed = "; ".join(f"{each.card.id}: {obstacle(demand, each)}" for each in left[:12])
        raise Unroutable(
            f"No team can do task {demand.task!r}: nobody has {', '.join(lacking)}. {listed}.",
            hint="Ask for less, or name another LLM; nothing was sent.",
        )
    useful = [each for each in left if skills[each.card.id]]
    prices = _prices(useful)
    wanted = set(demand.capabilities)
    if len(useful) > MOST_EXACT:
        return _greedy(useful, skills, prices, wanted)
    teams = (
        team
        for size in range(1, min(MOST_MEMBERS, len(wanted), len(useful)) + 1)
        for team in itertools.combinations(useful, size)
        if set().union(*(skills[each.card.id] for each in team)) >= wanted
    )
    best = min(
        teams, key=lambda team: (sum(prices[e.card.id] for e in team), len(team)), default=None
    )
    return list(best) if best is not None else _greedy(useful, skills, prices, wanted)


def _met(demand: Demand, candidate: Candidate) -> frozenset[str]:
    """Return the needed skills that a candidate has."""
    skills = dict(candidate.card.capabilities)
    return frozenset(n for n, need in demand.capabilities.items() if skills.get(n, -1.0) >= need)


def _prices(candidates: Sequence[Candidate]) -> dict[str, float]:
    known = {
        each.card.id: float(each.price.input_usd_per_mtok + each.price.output_usd_per_mtok)
        for each in candidates
        if each.price is not None
    }
    unknown = 1.0 + sum(known.values())
    return {each.card.id: known.get(each.card.id, unknown) for each in candidates}


def _greedy(
    useful: Sequence[Candidate], skills: dict[str, frozenset[str]], prices: dict[str, float],
    wanted: set[str],
) -> list[Candidate]:  # fmt: skip
    team: list[Candidate] = []
    missing = set(wanted)
    while missing:
        best = min(
            (each for each in useful if skills[each.card.id] & missing),
            key=lambda each: prices[each.card.id] / len(skills[each.card.id] & missing),
        )
        team.append(best)
        missing -= skills[best.card.id]
    return team
