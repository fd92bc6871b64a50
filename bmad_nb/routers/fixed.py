"""The first LLM that was named and may be taken."""

from __future__ import annotations

from collections.abc import Sequence

from bmad_nb.routers.base import Candidate, Choice, Demand, passing


class Fixed:
    """Takes the first candidate in the order in which they were named."""

    name = "fixed"
    is_blind = True

    def choose(self, demand: Demand, candidates: Sequence[Candidate]) -> Choice:
        """Return the first candidate that passes the hard filters.

        Raises:
            Unroutable: none does.
        """
        found, rejected = passing(demand, candidates)
        reason = "named for this task" if len(candidates) == 1 else "the first that was named"
        others = tuple((each.card.id, "named later") for each in found[1:])
        return Choice(found[0].card.id, reason, (*rejected, *others))
