"""The cheapest LLM that may be taken, by its list price."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from bmad_nb.messages import Price
from bmad_nb.routers.base import Candidate, Choice, Demand, passing

_UNKNOWN = "price unknown"
_OUTPUT_SHARE = 3
"""Tokens of input for each token of output, as an ordinary prompt and its answer have them."""


class Cheapest:
    """Takes the candidate with the lowest price; one whose price is unknown comes last.

    Where no price is known at all, what calls have cost so far decides.
    """

    name = "cheapest"
    is_blind = True

    def choose(self, demand: Demand, candidates: Sequence[Candidate]) -> Choice:
        """Return the cheapest candidate; of equal ones the first that was named.

        Raises:
            Unroutable: none passes the hard filters.
        """
        found, rejected = passing(demand, candidates)
        paid = all(each.price is None for each in found)
        ranked = sorted(found, key=_paid if paid else _listed)
        said = _said_paid if paid else _said
        others = tuple((each.card.id, _against(said(each))) for each in ranked[1:])
        if paid and ranked[0].usd is None:
            reason = f"the first of {len(found)} that can do it: nobody's price is known"
            return Choice(ranked[0].card.id, reason, (*rejected, *others))
        reason = f"the cheapest of {len(found)} that can do it: {said(ranked[0])}"
        return Choice(ranked[0].card.id, reason, (*rejected, *others))


def _against(said: str) -> str:
    return said if said == _UNKNOWN else f"dearer: {said}"


def _blended(price: Price | None) -> Decimal:
    """Return US dollars per million tokens of an ordinary mixture of input and output."""
    if price is None:
        return Decimal(0)
    parts = price.input_usd_per_mtok * _OUTPUT_SHARE + price.output_usd_per_mtok
    return parts / (_OUTPUT_SHARE + 1)


def _listed(candidate: Candidate) -> tuple[bool, Decimal]:
    return candidate.price is None, _blended(candidate.price)


def _paid(candidate: Candidate) -> tuple[bool, float]:
    return candidate.usd is None, candidate.usd or 0.0


def _said_paid(candidate: Candidate) -> str:
    return _UNKNOWN if candidate.usd is None else f"${candidate.usd:.2g} a call so far"


def _said(candidate: Candidate) -> str:
    price = candidate.price
    if price is None:
        return _UNKNOWN
    return "free" if not _blended(price) else f"${_blended(price):.4g} per million tokens"
