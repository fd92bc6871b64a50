"""What a router would have scored, from a history in which each question met one LLM by chance.

The history must say with which probability it chose (`propensity`). A history that holds every LLM
for each question needs none of this: `lab.replay` knows what would have come of a choice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bmad_nb.errors import UnknownName, UsageProblem
from bmad_nb.lab.reading import read
from bmad_nb.lab.tables import need
from bmad_nb.routers.batch import fitted, many
from bmad_nb.routers.blending import FOLDS, folds_of
from bmad_nb.routers.choice import router_of
from bmad_nb.routers.learned import Learned
from bmad_nb.routers.resampling import DRAWS, Bootstrap, interval

Floats = NDArray[np.float64]
Method = Literal["doubly_robust", "snips", "ips", "matching"]
METHODS = ("doubly_robust", "snips", "ips", "matching")
LEAST = 50.0
"""Effective sample size below which nothing is estimated."""


@dataclass(frozen=True, slots=True)
class Value:
    """An estimate of the mean score of a policy."""

    value: float
    low: float
    high: float
    """Ends of the 95 % interval."""
    effective: float
    """Effective sample size, (sum of weights)^2 / sum of squared weights."""
    method: str
    matched: int
    """Questions that met the LLM that the policy takes."""

    def __str__(self) -> str:
        """Return it as a sentence says it."""
        return (
            f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}] by {self.method}, effective "
            f"sample size {self.effective:.0f} of {self.matched} matching questions"
        )


def estimated(
    reward: Floats,
    logged: NDArray[np.intp],
    chosen: NDArray[np.intp],
    propensity: Floats,
    *,
    expected: Floats | None = None,
    method: Method = "snips",
    seed: int = 0,
    draws: int = DRAWS,
) -> Value:
    """Return what a policy would have scored.

    Sources: Horvitz and Thompson (1952) for `ips`; Swaminathan and Joachims (2015) for `snips`;
    Dudik, Langford and Li (2011) for `doubly_robust`; Li et al. (2011) for `matching`, which is
    right only where the history chose uniformly.

    Args:
        reward: score of each question; shape (questions,).
        logged: LLM that it met.
        chosen: LLM that the policy takes.
        propensity: probability in (0, 1] with which the history chose.
        expected: expected scores of all LLMs, of shape (questions, LLMs), for `doubly_robust`.
        method: the estimator.
        seed: of the bootstrap over questions.
        draws: of the bootstrap.

    Raises:
        UsageProblem: arrays do not fit, a propensity is none, or the effective sample size is
            under 50.
        UnknownName: there is no such estimator.
    """
    if method not in METHODS:
        raise UnknownName("estimator of a policy", str(method), METHODS)
    _sound(reward, propensity)
    rows, same = np.arange(len(reward)), logged == chosen
    weight = np.where(same, 1.0 / propensity, 0.0)
    if method == "matching":
        weight = same.astype(float)
    total, square = float(weight.sum()), float((weight**2).sum())
    effective = total**2 / square if square else 0.0
    if effective < LEAST:
        raise UsageProblem(
            f"The history says too little of this policy: effective sample size {effective:.0f}, "
            f"and {LEAST:.0f} is the least.",
            hint="Let the history choose more by chance, or record all LLMs and replay.",
        )
    boot = Bootstrap(len(reward), seed, draws)
    if method == "doubly_robust":
        if expected is None:
            raise UsageProblem("doubly_robust needs expected scores.", hint="Give expected=.")
        gap = weight * (reward - expected[rows, logged])
        value, drawn = boot.means((expected[rows, chosen] + gap)[:, None])
        mean, spread = float(value[0]), drawn[:, 0]
    else:
        value, drawn = boot.means(np.stack([weight * reward, weight], axis=1))
        below = drawn[:, 1] if method != "ips" else np.ones(len(drawn))
        mean = float(value[0] / (value[1] if method != "ips" else 1.0))
        spread = np.divide(drawn[:, 0], below, out=np.full(len(below), np.nan), where=below > 0)
    low, high = interval(spread)
    return Value(mean, low, high, effective, method, int(same.sum()))


def _sound(reward: Floats, propensity: Floats) -> None:
    if np.isnan(reward).any() or len(reward) != len(propensity):
        raise UsageProblem("Each question of the history needs a score and a propensity.")
    if np.isnan(propensity).any() or (propensity <= 0).any() or (propensity > 1).any():
        raise UsageProblem(
            "A propensity is a probability in (0, 1].", hint="It is the column of the decisions."
        )


def policy_value(
    queries: pd.DataFrame,
    calls: pd.DataFrame,
    router: Any,
    *,
    train: tuple[pd.DataFrame, pd.DataFrame] | None = None,
    method: Method = "doubly_robust",
    seed: int = 0,
) -> Value:
    """Return what a router would have scored on a history of one call for each question.

    Args:
        queries: as in `replay`.
        calls: one row for each query, with `score` and `propensity`.
        router: a name, a class or an object.
        train: what it is fitted on; None cross-fits it on the same history.
        method: the estimator; `snips` needs no model of scores.
        seed: of folds and draws.

    Raises:
        UsageProblem: a column is missing, a query has two calls, or the history says too little.
    """
    need(calls, "calls", "propensity")
    mine = calls[calls["query_id"].isin(queries["query_id"])]
    if mine["query_id"].duplicated().any():
        raise UsageProblem(
            "A query has several calls.", hint="With every LLM recorded use lab.replay."
        )
    asked = queries[queries["query_id"].isin(mine["query_id"])]
    outcomes = read(asked, mine).outcomes
    rows = np.arange(len(asked))
    logged = np.argmax(~np.isnan(outcomes.score), axis=1).astype(np.intp)
    reward = outcomes.score[rows, logged]
    order = mine.set_index("query_id").loc[asked["query_id"], "propensity"]
    chosen, expected = np.zeros(len(rows), dtype=np.intp), np.full(outcomes.score.shape, np.nan)
    past = None if train is None else read(*train, list(outcomes.questions.llms)).outcomes
    fold = folds_of(len(rows), seed)
    for number in range(FOLDS):
        test = np.flatnonzero(fold == number)
        history = past or outcomes.take(np.flatnonzero(fold != number))
        part = outcomes.questions.take(test)
        chosen[test] = many(fitted(router_of(router), history), part, history).llm
        if method == "doubly_robust":
            expected[test] = Learned(guard=False).fit(history).expected(part)[0]
    return estimated(
        reward, logged, chosen, order.to_numpy(dtype="float64"), expected=expected, method=method,
        seed=seed,
    )  # fmt: skip
