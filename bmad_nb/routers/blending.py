"""Several predictors made into one, by what each says of questions that it has not seen.

The score of an LLM is split into how hard a question is (the mean over LLMs) and how much better
or worse this LLM is at it. The second part alone decides who is asked, so that a hopeless question
is not sent to the dearest LLM. Each part is a mixture of predictors whose weights, never below
zero, are learned from predictions for held-out questions (Breiman, "Stacked regressions", 1996),
drawn to equal weights where the history is small.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from bmad_nb.routers.predictors import (
    Neighbours,
    Predictor,
    Ridge,
    Surface,
    TaskMeans,
    View,
    means,
)

Floats = NDArray[np.float64]
Makes = Callable[[], Predictor]
FOLDS = 5
PRIOR = 0.3
"""Standard deviation of a weight around equal weights."""
FEW, SOME = 50, 500
"""Scores per LLM from which on neighbours, and from which on linear models, are on the ladder."""


def ladder(score: Floats) -> list[Makes]:
    """Return the predictors that a history is large enough for.

    Args:
        score: shape (questions, LLMs), NaN where nobody was asked.
    """
    least = int((~np.isnan(score)).sum(axis=0).min(initial=len(score)))
    rungs: list[Makes] = [TaskMeans]
    if least >= FEW:
        rungs += [lambda: Neighbours((40, 160)), Surface]
    if least >= SOME:
        rungs.append(lambda: Ridge((10.0, 30.0, 100.0)))
    return rungs


def folds_of(many: int, seed: int = 0) -> NDArray[np.intp]:
    """Return the number of the fold of each question."""
    return np.random.default_rng(seed).permutation(many) % FOLDS


class Blend:
    """A mixture of predictors, or the best one of them.

    Args:
        makes: what makes each predictor.
        pick: take the best variant instead of mixing them.
    """

    def __init__(self, makes: Sequence[Makes], *, pick: bool = False) -> None:
        """Keep the predictors."""
        self._makes, self._pick = tuple(makes), pick

    def learn(self, view: View, score: Floats) -> None:
        """Learn weights from held-out predictions, then predictors from everything."""
        self._means = means(score)
        self._complete = not np.isnan(score).any()
        fold = folds_of(len(view))
        held = self._held(view, score, fold)
        self.weights, self.hardness = self._weighed(held, score)
        self.held = self._cross(held, score, fold)
        self._predictors = [make() for make in self._makes]
        if not held:  # too few to hold any out: all count the same
            for each in self._predictors:
                each.learn(view, score)
            self._variants = [len(each.predict(view)) for each in self._predictors]
            many = sum(self._variants)
            self.weights = self.hardness = np.full(many, 1 / many)
        self._used, place = [], 0
        for each, many in zip(self._predictors, self._variants, strict=True):
            each.learn(view, score)
            part = slice(place, place + many)
            most = max(self.weights[part].max(initial=0), self.hardness[part].max(initial=0))
            self._used.append(most > 1e-3)
            place += many

    def predict(self, view: View) -> Floats:
        """Return the expected scores; shape (questions, LLMs)."""
        if not len(self.weights):  # one question was too few to hold any out
            return np.tile(self._means, (len(view), 1))
        every: list[Floats] = []
        for each, many, used in zip(self._predictors, self._variants, self._used, strict=True):
            if used:
                every += each.predict(view)
            else:  # it counts for nothing
                every += [np.broadcast_to(self._means, (len(view), len(self._means)))] * many
        return self._mixed(every, self.weights, self.hardness, self._means)

    def _held(self, view: View, score: Floats, fold: NDArray[np.intp]) -> list[Floats]:
        """Return what each variant predicts of questions that it has not seen."""
        found: list[Floats] = []
        self._variants = [1] * len(self._makes)
        for number in range(FOLDS):
            test, train = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
            if not len(test) or not len(train):
                continue
            part, seen, rest = view.take(train), score[train], view.take(test)
            variants: list[Floats] = []
            self._variants = []
            for make in self._makes:
                one = make()
                one.learn(part, seen)
                said = one.predict(rest)
                variants += said
                self._variants.append(len(said))
            if not found:
                found = [np.tile(means(score), (len(view), 1)) for _ in variants]
            for each, held in zip(found, variants, strict=True):
                each[test] = held
        return found

    def _weighed(self, held: Sequence[Floats], score: Floats) -> tuple[Floats, Floats]:
        """Return the weights of the variants in both parts."""
        if not held:
            return np.zeros(0), np.zeros(0)
        hard = np.stack([_hardness(each - self._means) for each in held], axis=1)
        if self._complete:
            wanted = _hardness(score - self._means)
            better = np.stack([_better(each - self._means).ravel() for each in held], axis=1)
            return (
                self._solved(better, _better(score - self._means).ravel()),
                self._solved(hard, wanted),
            )
        there = ~np.isnan(score)
        gaps = np.stack([(each - self._means)[there] for each in held], axis=1)
        weights = self._solved(gaps, (score - self._means)[there])
        return weights, weights

    def _solved(self, said: Floats, came: Floats) -> Floats:
        """Return weights that are never below zero; with `pick` one is 1 and the others 0."""
        many = said.shape[1]
        if self._pick:
            error = ((said - came[:, None]) ** 2).mean(axis=0)
            return np.asarray(np.eye(many)[int(np.argmin(np.round(error, 12)))])
        from scipy.optimize import nnls

        pull = float(came.var()) / PRIOR**2 + 1e-9
        normal = said.T @ said + pull * np.eye(many)
        target = said.T @ came + pull / many
        root = np.linalg.cholesky(normal)
        return np.asarray(nnls(root.T, np.linalg.solve(root, target))[0])

    def _mixed(
        self, every: Sequence[Floats], weights: Floats, hardness: Floats, mean: Floats
    ) -> Floats:
        gaps = np.stack([each - mean for each in every])
        hard = gaps.mean(axis=2, keepdims=True)
        found = np.tensordot(weights, gaps - hard, 1) + np.tensordot(hardness, hard, 1)
        return np.asarray(mean + found)

    def _cross(self, held: Sequence[Floats], score: Floats, fold: NDArray[np.intp]) -> Floats:
        """Return predictions of the mixture, with weights learned from other questions too."""
        found = np.tile(self._means, (len(score), 1))
        for number in range(FOLDS):
            test, train = fold == number, fold != number
            if not test.any() or not train.any() or not held:
                continue
            weights, hard = self._weighed([each[train] for each in held], score[train])
            found[test] = self._mixed([each[test] for each in held], weights, hard, self._means)
        return found


def _hardness(gaps: Floats) -> Floats:
    return np.asarray(gaps.mean(axis=1))


def _better(gaps: Floats) -> Floats:
    return np.asarray(gaps - gaps.mean(axis=1, keepdims=True))
