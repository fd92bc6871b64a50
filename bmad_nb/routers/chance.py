"""Routers that look at nothing: by chance, and by turns."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

import numpy as np
from numpy.typing import NDArray

from bmad_nb.routers.base import Candidate, Choice, Demand
from bmad_nb.routers.batch import InBatches
from bmad_nb.routers.outcomes import Picks, Questions
from bmad_nb.routers.texts import draws


class Random(InBatches):
    """Takes each candidate with the same probability; the same prompt is sent to the same LLM.

    Args:
        seed: another seed, other choices.
    """

    name = "random"

    def __init__(self, seed: int = 0) -> None:
        """Keep the seed."""
        self.seed = seed

    def choose_many(self, questions: Questions) -> Picks:
        """Return a choice by chance for each question, with its probability."""
        many = len(questions.llms)
        chosen = np.minimum((draws(questions.prompts, self.seed) * many).astype(np.intp), many - 1)
        return Picks(chosen, propensity=np.full(len(questions), 1 / many))

    def margin(self, questions: Questions) -> NDArray[np.float64]:
        """Return who is sent to the strong LLM first when more may be: by chance."""
        return draws(questions.prompts, self.seed)

    def reason(self, questions: Questions, picks: Picks, row: int) -> str:
        """Return why: chance."""
        del picks, row
        return f"by chance among {len(questions.llms)}"


class RoundRobin(InBatches):
    """Takes the candidates by turns, in the order in which they were named."""

    name = "round-robin"

    def __init__(self) -> None:
        """Begin with the first."""
        self._turns = count()

    def choose_many(self, questions: Questions) -> Picks:
        """Return the choices of a table, the first question to the first LLM."""
        return Picks(np.arange(len(questions), dtype=np.intp) % len(questions.llms))

    def choose(self, demand: Demand, candidates: Sequence[Candidate]) -> Choice:
        """Return the candidate whose turn it is among those that pass the hard filters.

        Raises:
            Unroutable: none does.
        """
        choice = super().choose(demand, candidates)
        names = [choice.llm, *(llm for llm, why in choice.rejected if why == "not taken")]
        order = [each.card.id for each in candidates if each.card.id in names]
        taken = order[next(self._turns) % len(order)]
        others = tuple(each for each in choice.rejected if each[1] != "not taken")
        skipped = tuple((llm, "not taken") for llm in order if llm != taken)
        return Choice(taken, f"its turn among {len(order)}", (*others, *skipped))

    def reason(self, questions: Questions, picks: Picks, row: int) -> str:
        """Return why: it was its turn."""
        del picks, row
        return f"its turn among {len(questions.llms)}"
