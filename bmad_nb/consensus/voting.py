"""Votes on one question: who answered what, which answer has the most weight, and who dissents.

The result never depends on the order of the votes: equal weights are a tie, and a tie is said.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

EPSILON = 1e-9
"""Weights closer than this are equal."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How a vote ended."""

    answer: str | None
    """The answer with the most weight; None if nobody voted. Of tied ones the first by text."""
    share: float = 0.0
    """Its part in [0, 1] of the weight of all who voted."""
    support: tuple[str, ...] = ()
    """Who gave it, sorted."""
    dissent: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The other answers and who gave them, the heaviest first."""
    abstained: tuple[str, ...] = ()
    """Who gave no answer, sorted."""
    tied: tuple[str, ...] = ()
    """All answers with the most weight where they are several."""

    @property
    def voters(self) -> int:
        """How many gave an answer."""
        return len(self.support) + sum(len(each) for each in self.dissent.values())

    @property
    def is_unanimous(self) -> bool:
        """Whether all who voted gave the same answer, and were more than one."""
        return not self.dissent and len(self.support) > 1


def tally(votes: Mapping[str, str | None], weights: Mapping[str, float] | None = None) -> Tally:
    """Return how a vote ends.

    Args:
        votes: the answer of each voter in canonical form; None abstains.
        weights: weight of each voter, not negative; 1 where none is given.

    >>> tally({"a": "4", "b": "4", "c": "5", "d": None}).answer
    '4'
    >>> tally({"a": "4", "b": "5"}).tied
    ('4', '5')
    """
    supporters: dict[str, list[str]] = {}
    for voter in sorted(votes):
        answer = votes[voter]
        if answer is not None:
            supporters.setdefault(answer, []).append(voter)
    abstained = tuple(voter for voter in sorted(votes) if votes[voter] is None)
    if not supporters:
        return Tally(None, abstained=abstained)
    weight = {a: sum(_weight(v, weights) for v in who) for a, who in supporters.items()}
    order = sorted(supporters, key=lambda a: (-weight[a], -len(supporters[a]), a))
    first = order[0]
    tied = tuple(sorted(a for a in order if abs(weight[a] - weight[first]) <= EPSILON))
    if len(tied) > 1:
        first = tied[0]
    total = sum(weight.values())
    return Tally(
        first,
        weight[first] / total if total > EPSILON else len(supporters[first]) / len(votes),
        tuple(supporters[first]),
        {a: tuple(supporters[a]) for a in order if a != first},
        abstained,
        tied if len(tied) > 1 else (),
    )


def _weight(voter: str, weights: Mapping[str, float] | None) -> float:
    return 1.0 if weights is None else max(0.0, weights.get(voter, 1.0))


def is_settled(votes: Mapping[str, str | None], waiting: int, *, quorum: int = 1) -> bool:
    """Return whether votes that are still out cannot change the answer of a majority.

    Args:
        votes: those that are in.
        waiting: how many are out.
        quorum: answers that are needed at least.

    >>> is_settled({"a": "x", "b": "x", "c": "x"}, 2), is_settled({"a": "x", "b": "x"}, 2)
    (True, False)
    """
    counts: dict[str, int] = {}
    for answer in votes.values():
        if answer is not None:
            counts[answer] = counts.get(answer, 0) + 1
    if sum(counts.values()) < quorum or not counts:
        return False
    first, second, *_ = (*sorted(counts.values(), reverse=True), 0)
    return first > second + waiting


def log_odds(accuracy: float, choices: int = 2) -> float:
    """Return the weight of a voter who is right with a probability, log(p (K - 1) / (1 - p)).

    It is the weight that makes a vote of independent voters the most probable answer (Nitzan and
    Paroush, "Optimal decision rules in uncertain dichotomous choice situations", 1982); never
    negative here, so that nobody's answer counts against itself.

    >>> round(log_odds(0.9), 3), log_odds(0.5), round(log_odds(0.5, 4), 3)
    (2.197, 0.0, 1.099)
    """
    p = min(max(accuracy, 0.01), 0.99)
    return max(0.0, math.log(p * max(choices - 1, 1) / (1 - p)))


def agreement(votes: Mapping[str, str | None]) -> float:
    """Return the share of pairs of voters that gave the same answer, in [0, 1]; 0 for fewer than 2.

    >>> agreement({"a": "4", "b": "4", "c": "5"})
    0.3333333333333333
    """
    answers = [each for each in votes.values() if each is not None]
    pairs = len(answers) * (len(answers) - 1) / 2
    same = sum(n * (n - 1) / 2 for n in (answers.count(each) for each in set(answers)))
    return same / pairs if pairs else 0.0
