"""The LLM that has answered fastest so far, and the one that is the best bargain of both."""

from __future__ import annotations

from collections.abc import Sequence

from bmad_nb.routers.base import Candidate, Choice, Demand, passing


class Fastest:
    """Takes the candidate with the lowest median latency; one never asked here comes last."""

    name = "fastest"
    is_blind = True

    def choose(self, demand: Demand, candidates: Sequence[Candidate]) -> Choice:
        """Return the fastest candidate; of equal ones the first that was named.

        Raises:
            Unroutable: none passes the hard filters.
        """
        found, rejected = passing(demand, candidates)
        ranked = sorted(found, key=lambda each: (each.seconds is None, each.seconds or 0.0))
        others = tuple((each.card.id, f"slower: {_said(each.seconds)}") for each in ranked[1:])
        reason = f"the fastest of {len(found)} that can do it: {_said(ranked[0].seconds)}"
        return Choice(ranked[0].card.id, reason, (*rejected, *others))


class Balanced:
    """Takes the candidate with the least sum of cost and latency, each as a share of the most."""

    name = "balanced"
    is_blind = True

    def choose(self, demand: Demand, candidates: Sequence[Candidate]) -> Choice:
        """Return the best bargain; what is unknown of a candidate counts as the most.

        Raises:
            Unroutable: none passes the hard filters.
        """
        found, rejected = passing(demand, candidates)
        costs = [None if each.price is None else _usd(each) for each in found]
        shares = [
            (cost + seconds, number)
            for number, (cost, seconds) in enumerate(
                zip(_shares(costs), _shares([each.seconds for each in found]), strict=True)
            )
        ]
        ranked = sorted(shares)
        others = tuple(
            (found[n].card.id, f"cost and latency {share:.2f}") for share, n in ranked[1:]
        )
        share, first = ranked[0]
        reason = f"the least of cost and latency together, {share:.2f} of 2, of {len(found)}"
        return Choice(found[first].card.id, reason, (*rejected, *others))


def _usd(candidate: Candidate) -> float:
    """Return US dollars per million tokens, three of input for one of output."""
    price = candidate.price
    if price is None:
        return 0.0
    return float(price.input_usd_per_mtok * 3 + price.output_usd_per_mtok) / 4


def _shares(values: Sequence[float | None]) -> list[float]:
    known = [value for value in values if value is not None]
    most = max(known, default=0.0)
    return [1.0 if value is None else (value / most if most else 0.0) for value in values]


def _said(seconds: float | None) -> str:
    return "never asked here" if seconds is None else f"median {seconds:.2f} s"
