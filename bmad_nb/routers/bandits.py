"""Routers that go on learning while they choose, and never fall far behind the incumbent.

A choice is made by Thompson sampling: one draw from what is believed of each LLM, and the best draw
wins (Russo et al., "A tutorial on Thompson sampling", 2018). What is believed is a pure fold over
observations: `at(version)` is the router as it was after so many of them, and chooses the same.
Exploring is paid from an allowance, so that the sum of what was expected to be lost to the
incumbent stays below a share of all questions (Wu et al., "Conservative bandits", 2016).
"""

from __future__ import annotations

import hashlib
from copy import copy
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from bmad_nb.errors import UsageProblem
from bmad_nb.routers.batch import Learns, columns
from bmad_nb.routers.outcomes import Outcomes, Picks, Questions
from bmad_nb.routers.predictors import Seeing, seeing
from bmad_nb.routers.texts import Prompts

Floats = NDArray[np.float64]
NOISE = 0.45
"""Standard deviation of a score around its mean; half is the most that one in [0, 1] can have."""
STRENGTH = 50.0
"""Observations that a history counts for at the start, however large it is."""
DISCOUNT = 0.99
"""Share of its weight that an observation keeps at the next one (our choice)."""
ALLOWANCE = 0.02
"""Mean score that exploring may be expected to cost."""
MONTE_CARLO = 100
"""Draws that a probability of a choice is estimated from."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What came of a choice."""

    prompt: str
    type: str
    llm: str
    score: float
    """In [0, 1]."""
    usd: float = 0.0


class _Online(Learns):
    """What bandits share: versions, allowance, choice by one draw."""

    def __init__(
        self,
        *,
        points_per_usd: float = 0.0,
        discount: float = DISCOUNT,
        allowance: float = ALLOWANCE,
        seed: int = 0,
    ) -> None:
        """Keep the setting."""
        if not 0 < discount <= 1 or not allowance >= 0:
            raise UsageProblem(
                "discount is in (0, 1], and allowance is at least 0.", hint="Leave them out."
            )
        self.points_per_usd, self.discount = points_per_usd, discount
        self.allowance, self.seed = allowance, seed
        self.log: list[Observation] = []

    @property
    def version(self) -> int:
        """How many observations it has learned from since it was fitted."""
        return len(self.log)

    def learn(self, outcomes: Outcomes) -> None:
        """Begin with what a history teaches."""
        score = outcomes.score
        if self.points_per_usd:
            score = score - self.points_per_usd * np.nan_to_num(outcomes.cost_usd)
        self._warm(outcomes, score)
        self.restart()

    def observe(self, observation: Observation) -> None:
        """Learn from what came of a choice.

        Raises:
            UsageProblem: it was not fitted, or the score is none.
        """
        self.need()
        if not 0 <= observation.score <= 1:
            raise UsageProblem(f"A score of {observation.score!r} is none in [0, 1].")
        self.log.append(observation)
        if observation.llm not in self.llms:
            return
        one = Questions([observation.prompt], [observation.type], self.llms)
        belief = self._belief(one)[0][0]
        place = self.llms.index(observation.llm)
        self._lost += max(0.0, float(belief.max() - belief[place]))
        self._update(one, place, observation.score - self.points_per_usd * observation.usd)

    def restart(self) -> None:
        """Forget all observations, and believe what the history taught."""
        self.log, self._lost = [], 0.0
        self._restart()

    def at(self, version: int) -> Self:
        """Return the router as it was after so many observations; this one stays as it is.

        Raises:
            UsageProblem: there were not so many.
        """
        if not 0 <= version <= self.version:
            raise UsageProblem(f"There are versions 0 to {self.version}, not {version!r}.")
        found = copy(self)
        found.restart()
        for each in self.log[:version]:
            found.observe(each)
        return found

    def choose_many(self, questions: Questions) -> Picks:
        """Return a choice by one draw for each question, with its estimated probability.

        Raises:
            UsageProblem: it was not fitted.
        """
        self.need()
        where = columns(self.llms, questions.llms)
        known = np.flatnonzero(where >= 0)
        many = len(questions)
        if not len(known):
            return Picks(np.zeros(many, dtype=np.intp))
        mean, spread = (each[:, where[known]] for each in self._belief(questions))
        allowed = self.allowance * (self.version + 1) - self._lost
        chosen, chance = np.zeros(many, dtype=np.intp), np.ones(many)
        for row in range(many):
            rng = np.random.default_rng(self._seed(questions.prompts[row]))
            drawn = mean[row] + spread[row] * rng.standard_normal((MONTE_CARLO + 1, len(known)))
            loss = mean[row].max() - mean[row]
            drawn[:, loss > max(allowed, 0.0)] = -np.inf
            winners = drawn.argmax(axis=1)
            chosen[row] = known[winners[0]]
            chance[row] = (1 + (winners[1:] == winners[0]).sum()) / (MONTE_CARLO + 1)
        expected = np.full((many, len(questions.llms)), np.nan)
        expected[:, known] = mean
        return Picks(chosen, propensity=np.minimum(chance, 1.0), expected=expected)

    def reason(self, questions: Questions, picks: Picks, row: int) -> str:
        """Return why: the draw, or the incumbent."""
        expected = picks.expected
        if expected is None:
            return f"chosen by {self.name}: none of these is known to it"
        taken, best = int(picks.llm[row]), int(np.nanargmax(expected[row]))
        said = f"{expected[row, taken]:.2f} expected after {self.version} observations"
        if taken == best:
            return f"the incumbent, {said}"
        return f"explored: {said}, {expected[row, best]:.2f} of {questions.llms[best]}"

    def _seed(self, prompt: str) -> int:
        text = f"{self.seed}/{self.version}/{prompt}".encode("utf-8", "replace")
        return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")

    def _warm(self, outcomes: Outcomes, reward: Floats) -> None:
        raise NotImplementedError

    def _restart(self) -> None:
        raise NotImplementedError

    def _belief(self, questions: Questions) -> tuple[Floats, Floats]:
        raise NotImplementedError

    def _update(self, one: Questions, place: int, reward: float) -> None:
        raise NotImplementedError


class Thompson(_Online):
    """Believes in a mean reward of each LLM at each kind of task, drawn to its mean over all."""

    name = "thompson"

    def _warm(self, outcomes: Outcomes, reward: Floats) -> None:
        kinds = sorted({*outcomes.questions.types, ""})
        self._places = {kind: place for place, kind in enumerate(kinds)}
        there = ~np.isnan(reward)
        overall = np.where(there, reward, 0.0).sum(axis=0) / np.maximum(1, there.sum(axis=0))
        place = np.array([self._places[each] for each in outcomes.questions.types], dtype=np.intp)
        total, count = (np.zeros((len(kinds), reward.shape[1])) for _ in range(2))
        np.add.at(total, place, np.where(there, reward - overall, 0.0))
        np.add.at(count, place, there)
        mean = overall + total / (count + 20.0)
        self._start = (mean, np.minimum(count + 5.0, STRENGTH))

    def _restart(self) -> None:
        self._mean, self._count = (each.copy() for each in self._start)

    def _belief(self, questions: Questions) -> tuple[Floats, Floats]:
        rows = np.array([self._places.get(t, self._places[""]) for t in questions.types])
        return self._mean[rows], NOISE / np.sqrt(self._count[rows] + 1.0)

    def _update(self, one: Questions, place: int, reward: float) -> None:
        kind = self._places.get(one.types[0], self._places[""])
        self._count[kind, place] = self.discount * self._count[kind, place] + 1.0
        gap = reward - self._mean[kind, place]
        self._mean[kind, place] += gap / (self._count[kind, place] + 1.0)


class LinearThompson(_Online):
    """Believes in a reward of each LLM that is linear in what is seen of a prompt (LinTS).

    Source: Agrawal and Goyal (2013), "Thompson sampling for contextual bandits". Differs:
    it begins with the normal equations of a history, scaled to fifty observations.
    """

    name = "lin-thompson"
    _seeing: Seeing

    def _warm(self, outcomes: Outcomes, reward: Floats) -> None:
        self._seeing = seeing(outcomes.questions)
        seen = self._features(outcomes.questions)
        size, llms = seen.shape[1], reward.shape[1]
        square, target = np.zeros((llms, size, size)), np.zeros((llms, size))
        for llm in range(llms):
            there = ~np.isnan(reward[:, llm])
            scale = min(1.0, STRENGTH * size / max(1, there.sum()))
            part = seen[there]
            square[llm] = np.eye(size) + scale * part.T @ part
            target[llm] = scale * part.T @ reward[there, llm]
        self._start = (square, target)

    def _restart(self) -> None:
        self._square, self._target = (each.copy() for each in self._start)

    def _features(self, questions: Questions) -> Floats:
        view = self._seeing.view(questions)
        flat = np.clip(view.surface / 10.0, 0.0, 1.0)
        kinds = np.zeros((len(view), len(self._seeing.kinds)))
        known = np.flatnonzero(view.kinds >= 0)
        kinds[known, view.kinds[known]] = 1.0
        return np.hstack([np.ones((len(view), 1)), flat, kinds, view.vectors[:, :16]])

    def _belief(self, questions: Questions) -> tuple[Floats, Floats]:
        seen = self._features(questions)
        inverse = np.linalg.inv(self._square)
        weights = np.einsum("lij,lj->li", inverse, self._target)
        spread = np.sqrt(np.einsum("ni,lij,nj->nl", seen, inverse, seen, optimize=True))
        return seen @ weights.T, NOISE * spread

    def _update(self, one: Questions, place: int, reward: float) -> None:
        seen = self._features(Questions(Prompts(one.prompts), one.types, one.llms))[0]
        keep = self.discount
        square, target = self._square[place], self._target[place]
        self._square[place] = keep * square + (1 - keep) * np.eye(len(seen)) + np.outer(seen, seen)
        self._target[place] = keep * target + reward * seen
