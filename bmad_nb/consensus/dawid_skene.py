"""How reliable is each LLM, when nobody knows the right answers? They are weighed by each other.

The one-coin model of Dawid and Skene ("Maximum likelihood estimation of observer error-rates using
the EM algorithm", 1979): an LLM is right with one probability on all questions, and when it is
wrong each wrong answer is as likely. Two things differ, because with few voters who seldom agree
the plain algorithm comes to believe one of them in everything:

* how reliable an LLM is, is reckoned from what the others answered, without its own vote, and
  shrunk to the mean of all where the others seldom agree;
* no vote counts against its own answer, and none counts next to nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

START = 0.7
"""Reliability of everybody before anything is known."""
SMOOTHING = 2.0
"""Questions that everybody is taken to have got right, and as many wrong: Beta smoothing."""
WRONG = 10
"""Wrong answers among which a wrong LLM chooses: two that agree by chance are one in so many."""
ROUNDS = 100
"""Most steps of the expectation-maximisation."""
CLOSE = 1e-6
"""It ends when no reliability moves by more."""
_SHRINKING = 20.0
"""Questions for which the mean of all counts in the reliability of one."""
_LEAST_SPREAD = 0.05
_LEAST_SHARE = 0.2
"""Least weight of a vote, as a share of the heaviest."""


@dataclass(frozen=True, slots=True)
class Fit:
    """What was learned from answers alone."""

    reliability: Mapping[str, float]
    """Probability in (0, 1) that an answer of each LLM is right."""
    posteriors: Sequence[Mapping[str, float]]
    """By question, the probability of each answer that somebody gave; they sum to 1.

    Too sure where LLMs err together; calibrate it where labels exist.
    """
    rounds: int
    """Steps until it stood still."""


@dataclass(frozen=True, slots=True)
class _Votes:
    llms: list[str]
    answers: list[list[str]]
    given: NDArray[np.bool_]
    """Who answered what: questions, LLMs."""
    gave: NDArray[np.bool_]
    """Who gave which answer: questions, LLMs, answers."""
    is_there: NDArray[np.bool_]
    """Which places hold an answer: questions, answers."""


def dawid_skene(questions: Sequence[Mapping[str, str | None]], *, wrong: int = WRONG) -> Fit:
    """Return the reliability of each LLM and the probability of each answer.

    Args:
        questions: the answer of each LLM in canonical form; None abstains.
        wrong: how many wrong answers there are; one less than the choices where there are some.
    """
    order = sorted(range(len(questions)), key=lambda n: _spelled(questions[n]))
    votes = _votes([questions[n] for n in order])  # sums do not depend on the order of questions
    if votes is None:
        names = sorted({name for each in questions for name in each})
        return Fit(dict.fromkeys(names, START), [{} for _ in questions], 0)
    asked = votes.given.sum(axis=0)
    reliability = np.full(len(votes.llms), START)
    rounds, moved = 0, 1.0
    while rounds < ROUNDS and moved > CLOSE:
        rounds += 1
        right = _by_the_others(votes, _weights(reliability, wrong), wrong)
        after = (right * asked + SMOOTHING) / (asked + 2 * SMOOTHING)
        moved = float(np.abs(after - reliability).max())
        reliability = after
    weights = _weights(reliability, wrong)
    posterior = _shares(np.einsum("imk,m->ik", votes.gave, weights), votes.is_there)
    found: list[dict[str, float]] = [{} for _ in questions]
    for i, (n, known) in enumerate(zip(order, votes.answers, strict=True)):
        # what differs by less than a billionth is equal: its sums were added otherwise
        found[n] = {a: round(float(posterior[i, k]), 9) for k, a in enumerate(known)}
    return Fit(
        {name: float(p) for name, p in zip(votes.llms, reliability, strict=True)}, found, rounds
    )


def _spelled(votes: Mapping[str, str | None]) -> list[tuple[str, str]]:
    return sorted((name, "" if answer is None else f"={answer}") for name, answer in votes.items())


def _votes(questions: Sequence[Mapping[str, str | None]]) -> _Votes | None:
    """Return votes as arrays; None where there is none."""
    llms = sorted({name for each in questions for name in each})
    answers = [sorted({a for a in each.values() if a is not None}) for each in questions]
    most = max((len(each) for each in answers), default=0)
    if not most:
        return None
    place = np.full((len(questions), len(llms)), -1)
    for i, (each, known) in enumerate(zip(questions, answers, strict=True)):
        for m, name in enumerate(llms):
            answer = each.get(name)
            if answer is not None:
                place[i, m] = known.index(answer)
    counts = np.array([len(each) for each in answers])
    places = np.arange(most)
    return _Votes(
        llms, answers, place >= 0, place[:, :, None] == places, places[None] < counts[:, None]
    )


def _weights(reliability: NDArray[np.float64], wrong: int) -> NDArray[np.float64]:
    """Return what a vote of each LLM adds to the log odds of its answer."""
    p = np.clip(reliability, 0.02, 0.98)
    odds = np.maximum(np.log(p * wrong / (1 - p)), 0.01)
    weights: NDArray[np.float64] = np.maximum(odds, _LEAST_SHARE * odds.max())
    return weights


def _by_the_others(votes: _Votes, weights: NDArray[np.float64], wrong: int) -> NDArray[np.float64]:
    """Return how often each LLM is right, as the others say, its own vote left out.

    The others are not sure either. Of an answer that is right they believe `sure` on average, of
    one that is wrong `unsure`; what they believe of an LLM's answers lies between, by how often it
    is right. What that is worth is told by how far the two are apart.
    """
    logs = np.einsum("imk,m->ik", votes.gave, weights)
    found, worth = np.zeros(len(weights)), np.zeros(len(weights))
    for m, weight in enumerate(weights):
        shares = _shares(logs - weight * votes.gave[:, m, :], votes.is_there)
        asked = max(1, int(votes.given[:, m].sum()))
        believed = (shares * votes.gave[:, m, :]).sum() / asked
        sure = (shares**2).sum(axis=1)[votes.given[:, m]].sum() / asked
        unsure = (1 - sure) / wrong
        found[m] = np.clip((believed - unsure) / max(sure - unsure, _LEAST_SPREAD), 0.0, 1.0)
        worth[m] = asked * max(sure - unsure, 0.0) ** 2
    mean = found.mean()
    right: NDArray[np.float64] = (found * worth + mean * _SHRINKING) / (worth + _SHRINKING)
    return right


def _shares(logs: NDArray[np.float64], is_there: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the probability of each answer of each question."""
    logs = np.where(is_there, logs, -np.inf)
    logs = logs - np.where(is_there.any(axis=1), logs.max(axis=1), 0.0)[:, None]
    odds = np.exp(logs)
    total = odds.sum(axis=1, keepdims=True)
    shares: NDArray[np.float64] = odds / np.where(total > 0, total, 1.0)
    return shares
