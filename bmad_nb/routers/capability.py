"""The LLM that is best at a kind of task: by what was measured, and else by what is declared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from bmad_nb.routers.base import Candidate, Choice, Demand, passing


class Capability:
    """Takes the candidate that is expected to do best.

    That is its measured quality at this kind of task, and where nothing was measured yet (a cold
    start) the mean of the declared skills that the task names.

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
            found, key=lambda each: (-_expected(demand, each), _usd(each) if self._thrifty else 0)
        )
        others = tuple((each.card.id, _said(demand, each)) for each in ranked[1:])
        reason = f"{_said(demand, ranked[0])}, the most of {len(found)} that can do it"
        if not any(each.scored for each in found):
            reason += "; nothing was measured yet at this kind of task"
        expected = tuple((each.card.id, _expected(demand, each)) for each in found)
        return Choice(ranked[0].card.id, reason, (*rejected, *others), expected)


def _expected(demand: Demand, candidate: Candidate) -> float:
    """Return the measured quality in [0, 1] at this kind of task, else what is declared."""
    measured = candidate.scored and candidate.quality is not None
    return float(candidate.quality or 0.0) if measured else _fit(demand, candidate)


def _said(demand: Demand, candidate: Candidate) -> str:
    """Return what is expected of a candidate, and what that is based on."""
    value = _expected(demand, candidate)
    if not candidate.scored:
        return f"declared {value:.2f} for {', '.join(demand.capabilities) or 'all declared skills'}"
    ends = "" if candidate.low is None else f", {candidate.low:.2f} to {candidate.high:.2f}"
    return f"measured {value:.2f} at {demand.type or 'any task'} (n={candidate.scored}{ends})"


def by_skill(
    capabilities: Mapping[str, float], *, cheapest: bool
) -> Callable[[Candidate], tuple[float, float, str]]:
    """Return the order of preference among LLMs that may work together: skill, price, name."""
    demand = Demand("", capabilities=capabilities)

    def key(each: Candidate) -> tuple[float, float, str]:
        fit, usd = _fit(demand, each), _usd(each)
        return (usd, -fit, each.card.id) if cheapest else (-fit, usd, each.card.id)

    return key


def _usd(candidate: Candidate) -> float:
    """Return US dollars per million tokens of the answer; what nobody knows comes last."""
    price = candidate.price
    return float("inf") if price is None else float(price.output_usd_per_mtok)


def _fit(demand: Demand, candidate: Candidate) -> float:
    """Return the mean declared score in [0, 1]; 0 where nothing is declared."""
    skills = dict(candidate.card.capabilities)
    names = list(demand.capabilities) or list(skills)
    return sum(skills.get(name, 0.0) for name in names) / len(names) if names else 0.0
