"""Are these LLMs peers? Among unequal ones a vote loses to the best of them: do not vote there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from bmad_nb.render.stats import Difference, paired

GAP = 0.10
"""How far the best LLM may be above the median, in reliability, before a vote is advised against.

On recorded answers of 5 to 29 LLMs to three kinds of questions the pools in which a vote lost more
than 5 points have a gap of 0.16 or more; of the others one has (0.24), and 0.09 is the most of the
rest.
"""
LOSS = 0.01
"""What a vote may be below its best LLM, measured, before it is advised against all the same."""
LEAST = 20
"""Questions that all have seen before anything is said."""


@dataclass(frozen=True, slots=True)
class Advice:
    """Whether to vote among some LLMs."""

    vote: bool
    """False where one of them alone is the better choice."""
    best: str
    """The most reliable LLM; empty where nothing is known."""
    said: str
    """One sentence."""
    basis: str
    """`labels`, `answers` (no labels: estimated from agreement) or `unknown`."""


def advised(reliability: Mapping[str, float], questions: int) -> Advice:
    """Return whether to vote, as far as answers without labels tell.

    Args:
        reliability: probability in [0, 1] that each LLM is right, estimated from answers.
        questions: how many they were estimated from.

    >>> advised({"a": 0.9, "b": 0.6, "c": 0.55}, 100).said[:28]
    'Do not vote here, use a: by '
    """
    if len(reliability) < 2 or questions < LEAST:
        said = f"Nothing is known of this pool: {questions} questions, and {LEAST} are needed."
        return Advice(vote=True, best="", said=said, basis="unknown")
    best = min(reliability, key=lambda llm: (-reliability[llm], llm))
    gap = reliability[best] - median(reliability.values())
    how = (
        f"by their answers alone it is right in {reliability[best]:.0%} of cases, and the median "
        f"of the {len(reliability)} LLMs in {reliability[best] - gap:.0%}"
    )
    if gap >= GAP:
        said = f"Do not vote here, use {best}: {how}; LLMs that err together outvote it."
        return Advice(vote=False, best=best, said=said, basis="answers")
    said = f"These LLMs are peers: the best is {best}; {how}."
    return Advice(vote=True, best=best, said=said, basis="answers")


def measured(
    votes: Sequence[float], members: Mapping[str, Sequence[float]], *, unequal: bool = False
) -> Advice:
    """Return whether to vote, as far as scores tell.

    Args:
        votes: score in [0, 1] of the vote on each question.
        members: scores of each LLM on the same questions.
        unequal: the answers alone say that the LLMs are no peers; then a vote, which costs a call
            of each, has to be shown to be better.
    """
    if len(votes) < LEAST or len(members) < 2:
        said = f"Too little is known: {len(votes)} scored questions, and {LEAST} are needed."
        return Advice(vote=True, best="", said=said, basis="unknown")
    best = min(members, key=lambda llm: (-fmean(members[llm]), llm))
    found = paired(votes, members)
    against: Difference = next(d for d in found.differences if d.against == best)
    how = (
        f"on {len(votes):,} scored questions the vote is right in {fmean(votes):.1%} and it alone "
        f"in {fmean(members[best]):.1%}: {100 * against.mean:+.1f} points "
        f"[{100 * against.low:+.1f}, {100 * against.high:+.1f}]"
    )
    if against.shown and against.mean < 0:
        return Advice(False, best, f"Do not vote here, use {best}: {how}.", "labels")
    if against.mean < -LOSS:
        said = (
            f"Probably do not vote here, use {best}, which is one call: {how}, not shown for sure."
        )
        return Advice(False, best, said, "labels")
    if unequal and not against.shown:
        said = f"Do not vote here, use {best}: these LLMs are no peers, and {how}, no gain shown."
        return Advice(False, best, said, "labels")
    shown = "a vote is better" if against.shown else "no difference shown"
    return Advice(True, best, f"The best LLM is {best}: {how}, {shown}.", "labels")
