"""Predictors of the score of each LLM, from what is seen of a prompt: the rungs of a ladder.

Each learns from a view of questions and a matrix of scores, in which NaN is an LLM that was not
asked, and predicts several variants of itself at once, so that choosing among them costs little.
All of them are linear in the scores. So the difference of two predictions is the prediction of the
difference: they predict who is better, and not only who fails.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bmad_nb.routers.outcomes import Questions
from bmad_nb.routers.texts import Prompts, Space

Floats = NDArray[np.float64]
SHRINKING = 20.0
"""Scores that the mean of an LLM counts for in its mean at one kind of task."""
NEIGHBOURS = (20, 40, 80, 160)
MOST_NEIGHBOURS, THINNED = 9_000, 2_000
"""Most questions of a history among which neighbours are looked for, and how many of a larger one:
there other predictors have enough to learn from."""
ALPHAS = (3.0, 10.0, 30.0, 100.0, 300.0)
"""Penalties of ridge regression."""


class View:
    """What is seen of questions; vectors are made when they are first asked for."""

    def __init__(
        self, kinds: NDArray[np.intp], surface: Floats, make: Callable[[], Floats]
    ) -> None:
        """Keep the number of each kind of task (-1 is unknown), the surface, and the rest."""
        self.kinds, self.surface, self._make = kinds, surface, make

    @cached_property
    def vectors(self) -> Floats:
        """Shape (questions, dimensions)."""
        return self._make()

    def take(self, rows: NDArray[np.intp]) -> View:
        """Return some of them."""
        return View(self.kinds[rows], self.surface[rows], lambda: self.vectors[rows])

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.kinds)


class Seeing:
    """How prompts are looked at: what was learned from the prompts and kinds of a history.

    A question without a known kind of task is given the kind that its text is most like.
    """

    def __init__(self, questions: Questions) -> None:
        """Keep the history; dimensions are learned when they are first needed."""
        self._questions = questions
        self.kinds = sorted({each for each in questions.types if each})
        self._places = {kind: place for place, kind in enumerate(self.kinds)}

    @cached_property
    def space(self) -> Space:
        """Weights and dimensions of the prompts of the history."""
        return Space().learn(_prompts(self._questions))

    @cached_property
    def guess(self) -> Floats:
        """Weights that tell the kind of task from a vector; shape (dimensions + 1, kinds)."""
        given = self._given(self._questions.types)
        known = np.flatnonzero(given >= 0)
        vectors = self.space.vectors(_prompts(self._questions).take(known))
        return np.asarray(_ridge(_one(vectors), np.eye(len(self.kinds))[given[known]], (1.0,))[0])

    def view(self, questions: Questions) -> View:
        """Return what is seen of questions."""
        prompts = _prompts(questions)
        kinds = self._given(questions.types)
        unknown = np.flatnonzero(kinds < 0)
        if len(unknown) and len(self.kinds) > 1:
            vectors = self.space.vectors(prompts.take(unknown))
            kinds[unknown] = np.argmax(_one(vectors) @ self.guess, axis=1)
        return View(kinds, prompts.surface, lambda: self.space.vectors(prompts))

    def kind(self, number: int) -> str:
        """Return the name of a kind of task; empty if it is unknown."""
        return self.kinds[number] if number >= 0 else ""

    def _given(self, types: Sequence[str]) -> NDArray[np.intp]:
        places = (self._places.get(each, -1) for each in types)
        return np.fromiter(places, dtype=np.intp, count=len(types))


@lru_cache(maxsize=2)
def seeing(questions: Questions) -> Seeing:
    """Return how a history is looked at; routers that learn from the same one share it."""
    return Seeing(questions)


@lru_cache(maxsize=4)
def viewed(how: Seeing, questions: Questions) -> View:
    """Return what is seen of questions; routers share it."""
    return how.view(questions)


def _prompts(questions: Questions) -> Prompts:
    return (
        questions.prompts if isinstance(questions.prompts, Prompts) else Prompts(questions.prompts)
    )


def _one(values: Floats) -> Floats:
    return np.hstack([values, np.ones((len(values), 1))])


class Predictor(Protocol):
    """Learns scores from a view, and predicts them."""

    def learn(self, view: View, score: Floats) -> None:
        """Learn in place; scores have the shape (questions, LLMs), NaN where nobody was asked."""
        ...

    def predict(self, view: View) -> list[Floats]:
        """Return the expected scores of each variant, of shape (questions, LLMs)."""
        ...


def means(score: Floats) -> Floats:
    """Return the mean score of each LLM, drawn a little to that of all; shape (LLMs,)."""
    there = ~np.isnan(score)
    overall = float(score[there].mean()) if there.any() else 0.5
    total = np.where(there, score, 0.0).sum(axis=0)
    return np.asarray((total + overall) / (there.sum(axis=0) + 1.0))


class TaskMeans:
    """Mean score of an LLM at each kind of task, drawn to its mean over all.

    Source: Efron and Morris (1977), "Stein's paradox in statistics".
    """

    def learn(self, view: View, score: Floats) -> None:
        """Keep the means; the last row is that of an unknown kind."""
        overall = means(score)
        there = ~np.isnan(score)
        kinds = int(view.kinds.max(initial=-1)) + 1
        gap = np.where(there, score - overall, 0.0)
        known = view.kinds >= 0
        found = np.zeros((kinds + 1, score.shape[1]))
        count = np.zeros_like(found)
        np.add.at(found, view.kinds[known], gap[known])
        np.add.at(count, view.kinds[known], there[known])
        self._means = overall + found / (count + SHRINKING)

    def predict(self, view: View) -> list[Floats]:
        """Return one variant."""
        last = len(self._means) - 1
        return [self._means[np.where((view.kinds < 0) | (view.kinds > last), last, view.kinds)]]


class Neighbours:
    """Mean score of the nearest questions of the history, by the cosine of their vectors."""

    def __init__(self, sizes: Sequence[int] = NEIGHBOURS) -> None:
        """Keep how many neighbours are asked, a variant each."""
        self.sizes = tuple(sizes)

    def learn(self, view: View, score: Floats) -> None:
        """Keep the history, or a part of it by chance."""
        rows = np.arange(len(view))
        if len(rows) > MOST_NEIGHBOURS:
            rows = np.random.default_rng(0).choice(rows, THINNED, replace=False)
        self._vectors = view.vectors[rows].astype(np.float32)
        gap = score[rows] - means(score)
        self._means, self._there = means(score), ~np.isnan(gap)
        self._gaps = np.nan_to_num(gap)

    def predict(self, view: View) -> list[Floats]:
        """Return a variant for each number of neighbours."""
        most = min(max(self.sizes), len(self._vectors))
        found = [np.empty((len(view), len(self._means))) for _ in self.sizes]
        complete = bool(self._there.all())
        for start in range(0, len(view), 512):
            rows = slice(start, start + 512)
            near = _nearest(view.vectors[rows].astype(np.float32), self._vectors, most)
            gaps = np.cumsum(self._gaps[near], axis=1)
            counts = None if complete else np.cumsum(self._there[near], axis=1)
            for each, size in zip(found, self.sizes, strict=True):
                last = min(size, most) - 1
                many = float(last + 1) if counts is None else counts[:, last] + 1e-9
                each[rows] = self._means + gaps[:, last] / many
        return found


def _nearest(
    vectors: NDArray[np.float32], history: NDArray[np.float32], most: int
) -> NDArray[np.intp]:
    """Return the rows of a history that are nearest, the nearest first."""
    alike = np.round(vectors @ history.T, 5)
    if most < alike.shape[1]:
        near = np.argpartition(-alike, most - 1, axis=1)[:, :most]
    else:
        near = np.broadcast_to(np.arange(alike.shape[1]), alike.shape)
    order = np.lexsort((near, -np.take_along_axis(alike, near, 1)), axis=1)
    return np.take_along_axis(near, order, 1)


class Ridge:
    """Linear in the vector, the surface and the kind of task of a prompt, with a penalty."""

    def __init__(self, alphas: Sequence[float] = ALPHAS) -> None:
        """Keep the penalties, a variant each."""
        self.alphas = tuple(alphas)

    def learn(self, view: View, score: Floats) -> None:
        """Solve the normal equations, once for all LLMs where everybody was asked everything."""
        self._kinds = int(view.kinds.max(initial=-1)) + 1
        self._centre = view.surface.mean(axis=0)
        self._spread = view.surface.std(axis=0) + 1e-9
        self._means = means(score)
        features = self._features(view)
        gap = score - self._means
        there = ~np.isnan(gap)
        if there.all():
            self._weights = _ridge(features, gap, self.alphas)
            return
        found = np.zeros((len(self.alphas), features.shape[1], score.shape[1]))
        for llm in range(score.shape[1]):
            rows = there[:, llm]
            if rows.sum() > 1:
                found[:, :, [llm]] = _ridge(features[rows], gap[rows][:, [llm]], self.alphas)
        self._weights = found

    def predict(self, view: View) -> list[Floats]:
        """Return a variant for each penalty."""
        features = self._features(view)
        return [self._means + features @ each for each in self._weights]

    def _features(self, view: View) -> Floats:
        """Return features of about the same size as the dimensions of a vector."""
        flat = (view.surface - self._centre) / self._spread * 0.3
        kinds = np.zeros((len(view), self._kinds))
        known = (view.kinds >= 0) & (view.kinds < self._kinds)
        if self._kinds > 1:
            kinds[np.flatnonzero(known), view.kinds[known]] = 0.5
        return np.hstack([view.vectors, flat, kinds, np.full((len(view), 1), 3.0)])


class Surface(Ridge):
    """Linear in the surface of a prompt alone, bent once at the mean of each feature."""

    def __init__(self) -> None:
        """Use one mild penalty."""
        super().__init__((10.0,))

    def _features(self, view: View) -> Floats:
        flat = (view.surface - self._centre) / self._spread * 0.1
        return np.hstack([flat, np.maximum(flat, 0.0), np.full((len(view), 1), 3.0)])


class Length(Ridge):
    """Linear in the logarithm of the length of a prompt: what any router must beat."""

    def __init__(self) -> None:
        """Use no penalty to speak of."""
        super().__init__((1e-6,))

    def _features(self, view: View) -> Floats:
        flat = (view.surface[:, :1] - self._centre[:1]) / self._spread[:1]
        return np.hstack([flat, np.ones((len(view), 1))])


class Costs:
    """US dollars of a call of each LLM: a part that is always paid, and one by length of prompt."""

    def learn(self, lengths: Floats, usd: Floats) -> None:
        """Fit by least squares; NaN is a cost that nobody knows."""
        self._base, self._slope = np.full((2, usd.shape[1]), np.nan)
        for llm in range(usd.shape[1]):
            there = ~np.isnan(usd[:, llm])
            if not there.any():
                continue
            x, y = lengths[there], usd[there, llm]
            spread = float(((x - x.mean()) ** 2).sum())
            slope = float(((x - x.mean()) * (y - y.mean())).sum()) / spread if spread > 0 else 0.0
            slope = min(max(slope, 0.0), float(y.mean()) / max(1.0, float(x.mean())))
            self._slope[llm], self._base[llm] = slope, float(y.mean()) - slope * float(x.mean())

    def predict(self, lengths: Floats) -> Floats:
        """Return the expected costs; shape (questions, LLMs), NaN where nothing was known."""
        return np.maximum(self._base + self._slope * lengths[:, None], 0.0)


def _ridge(features: Floats, wanted: Floats, alphas: Sequence[float]) -> Floats:
    """Return the weights for each penalty; shape (penalties, features, columns of `wanted`)."""
    sizes, axes = np.linalg.eigh(features.T @ features)
    target = axes.T @ (features.T @ wanted)
    sizes = np.maximum(sizes, 0.0)
    return np.stack([axes @ (target / (sizes + alpha)[:, None]) for alpha in alphas])
