"""The LLM whose declared skills fit a task best."""

from __future__ import annotations

from collections.abc import Sequence

from bmad_nb.routers.base import Candidate, Choice, Demand, passing


class Capability:
    """Takes the candidate with the highest mean of the skills that the task names.

    Args:
        thrifty: of equally skilled ones take the cheaper.
    """

    name = "capability"
    is_blind = True

    def __init__(self, *, thrifty: bool = False) -> None:
        """Keep the setting."""
        self._thrifty = thrifty

    def choose(self, demand: Demand, candidates: Sequence[Candidate]) -> Choice:
        """Return the best candidate; of equal ones the first that was named.

        A task that names no skill is judged by the mean of all that are declared.

        Raises:
            Unroutable: none passes the hard filters.
        """
        found, rejected = passing(demand, candidates)
        ranked = sorted(
            found, key=lambda each: (-_fit(demand, each), _usd(each) if self._thrifty else 0)
        )
        best = _fit(demand, ranked[0])
        wanted = ", ".join(demand.capabilities) or "all declared skills"
        reason = f"declared {best:.2f} for {wanted}, the most of {len(found)} that can do it"
        others = tuple(
            (each.card.id, f"declared {_fit(demand, each):.2f} for {wanted}") for each in ranked[1:]
        )
        return Choice(ranked[0].card.id, reason, (*rejected, *others))


def _usd(candidate: Candidate) -> float:
    """Return US dollars per million tokens of the answer; what nobody knows comes last."""
    price = candidate.price
    return float("inf") if price is None else float(price.output_usd_per_mtok)


def _fit(demand: Demand, candidate: Candidate) -> float:
    """Return the mean declared score in [0, 1]; 0 where nothing is declared."""
    skills = dict(candidate.card.capabilities)
    names = list(demand.capabilities) or list(skills)
    return sum(skills.get(name, 0.0) for name in names) / len(names) if names else 0.0
