"""The LLM that gives the most quality for its money, or for its tokens."""

from __future__ import annotations

from collections.abc import Sequence

from bmad_nb.routers.base import Candidate, Choice, Demand, passing

_FREE_USD = 1e-9
"""What stands for free: of free ones the best is taken."""


class Efficient:
    """Takes the candidate with the highest quality per US dollar.

    One whose price or quality nobody knows comes last.
    """

    name = "efficient"

    def choose(self, demand: Demand, candidates: Sequence[Candidate]) -> Choice:
        """Return the most efficient candidate; of equal ones the first that was named.

        Raises:
            Unroutable: none passes the hard filters.
        """
        found, rejected = passing(demand, candidates)
        ranked = sorted(found, key=lambda each: -_worth(each))
        others = tuple((each.card.id, f"less efficient: {_said(each)}") for each in ranked[1:])
        reason = (
            f"the most quality for its money of {len(found)} that can do it: {_said(ranked[0])}"
        )
        return Choice(ranked[0].card.id, reason, (*rejected, *others))


def _worth(candidate: Candidate) -> float:
    """Return points of quality for a dollar per million tokens; -1 where nobody knows."""
    if candidate.price is None or candidate.quality is None:
        return -1.0
    usd = float(candidate.price.input_usd_per_mtok * 3 + candidate.price.output_usd_per_mtok) / 4
    return candidate.quality / max(usd, _FREE_USD)


def _said(candidate: Candidate) -> str:
    worth = _worth(candidate)
    if worth < 0:
        return "its price or quality is unknown"
    if worth > 1 / _FREE_USD / 100:
        return f"quality {candidate.quality:.2f}, free"
    return f"{worth:.3g} points for a dollar per million tokens"


class Lean:
    """Takes the candidate with the highest quality per 1,000 tokens of its answers so far.

    Where all are free, or nobody knows prices, tokens are what time and energy are spent on. One
    whose answers were never counted, or whose quality nobody knows, comes last.
    """

    name = "lean"

    def choose(self, demand: Demand, candidates: Sequence[Candidate]) -> Choice:
        """Return the leanest candidate; of equal ones the first that was named.

        Raises:
            Unroutable: none passes the hard filters.
        """
        found, rejected = passing(demand, candidates)
        ranked = sorted(found, key=lambda each: -_per_token(each))
        others = tuple((each.card.id, f"less lean: {_counted(each)}") for each in ranked[1:])
        reason = (
            f"the most quality for its tokens of {len(found)} that can do it: {_counted(ranked[0])}"
        )
        return Choice(ranked[0].card.id, reason, (*rejected, *others))


def _per_token(candidate: Candidate) -> float:
    """Return points of quality for 1,000 tokens; -1 where nobody knows."""
    if not candidate.tokens or candidate.quality is None:
        return -1.0
    return 1000 * candidate.quality / candidate.tokens


def _counted(candidate: Candidate) -> str:
    worth = _per_token(candidate)
    return "its tokens or quality are unknown" if worth < 0 else f"{worth:.3g} points a 1k tokens"
