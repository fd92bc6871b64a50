"""Recorded answers of several LLMs made into one; nobody is asked."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import pandas as pd

from bmad_nb.answers.canonical import Kind
from bmad_nb.consensus import calibration, pools
from bmad_nb.consensus.dawid_skene import WRONG, Fit, dawid_skene
from bmad_nb.consensus.medoid import Embed, medoid
from bmad_nb.consensus.voting import Tally, agreement, log_odds, tally
from bmad_nb.errors import UnknownName, UsageProblem
from bmad_nb.lab.tables import Advice, Row, Table, named, need, numbers_of

METHODS = ("majority", "weighted", "dawid_skene", "medoid")
"""Ways to make one answer of recorded ones; others ask an LLM."""
SHRINKING = 20
"""Scored answers that the mean of all LLMs counts for, in the accuracy of one."""


def consensus(
    queries: pd.DataFrame,
    calls: pd.DataFrame,
    *,
    llms: Sequence[str] | None = None,
    method: str = "majority",
    weights: Mapping[str, float] | None = None,
    history: pd.DataFrame | None = None,
    kind: Kind = "auto",
    quorum: int = 1,
    wrong: int = WRONG,
    embed: Embed | None = None,
) -> pd.DataFrame:
    """Return what several LLMs say together, a row for each query.

    Scores of `calls` never decide an answer or a confidence. They are used for two things that are
    said as measured: the column `score`, and the advice whether to vote at all.

    Args:
        queries: the questions; their order is that of the result.
        calls: recorded answers; where there is no column `answer` it is extracted from `response`.
        llms: who votes; everybody if None.
        method: `majority`; `weighted` by log odds of accuracy, from `weights` or `history`;
            `dawid_skene`, which learns the reliability of each LLM from the answers alone;
            `medoid`, the most typical of free texts.
        weights: weight of each LLM, for `weighted`.
        history: other scored calls (columns as in `calls`); `weighted` learns accuracies from it,
            and confidences are calibrated on it.
        kind: what answers are; see `bmad_nb.answers.canonical`. `auto` looks at them.
        quorum: least answers of a query; with fewer there is no answer.
        wrong: wrong answers that a question can have; choices less one. For `dawid_skene`.
        embed: vectors of texts, for `medoid`.

    Returns:
        `query_id`, `answer` (as the LLM in `llm` wrote it; null without a quorum), `llm` (who gave
        it), `confidence` in [0, 1], `calibrated` (whether history was there to calibrate it),
        `agreement` (share of pairs of LLMs with equal answers), `support` (who gave it), `dissent`
        (other answers and who gave them), `tied`, `cost_usd` of all calls together, `score` where
        calls have one, and `advice`, the same for all rows: whether to vote among these LLMs at
        all. `attrs["reliability"]` has what `dawid_skene` learned, `attrs["vote"]` is False where
        one LLM alone is the better choice, `attrs["best"]` names it.

    Raises:
        UsageProblem: a column is missing, or weights are.
        UnknownName: a method or an LLM that is not there.

    Warns:
        Advice: one LLM alone is better than this vote.
    """
    if method not in METHODS:
        raise UnknownName("method of consensus over recorded answers", str(method), METHODS)
    table = Table.of(queries, calls, llms, kind, whole=method == "medoid")
    _check(table, method, weights, quorum, wrong)
    fit = dawid_skene([each.votes for each in table.rows], wrong=wrong)
    way = _Way(method, _weights(method, weights, history, table, fit), wrong, embed)
    reading = _calibrated_on(history, table, way)
    rows = [
        _as_row(table, row, _one(way, row, posterior), reading, quorum)
        for row, posterior in zip(table.rows, fit.posteriors, strict=True)
    ]
    frame = pd.DataFrame(rows, columns=_COLUMNS)
    advice = _advice(table, frame, fit)
    frame["advice"] = advice.said
    frame.attrs |= {
        "method": method, "kind": table.kind, "vote": advice.vote, "best": advice.best,
        "advice": advice.said, "basis": advice.basis, "reliability": dict(fit.reliability),
    }  # fmt: skip
    if not advice.vote:
        warnings.warn(advice.said, Advice, stacklevel=2)
    return frame


_COLUMNS = [
    "query_id", "answer", "llm", "confidence", "calibrated", "agreement", "support", "dissent",
    "tied", "cost_usd", "score",
]  # fmt: skip


# --- one query ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Found:
    tally: Tally
    confidence: float
    voter: str = ""
    """Whose text it is, where texts are compared and not answers."""


@dataclass(frozen=True, slots=True)
class _Way:
    """How one answer is made of several."""

    method: str
    weights: Mapping[str, float] | None
    wrong: int
    embed: Embed | None


def _one(way: _Way, row: Row, posterior: Mapping[str, float]) -> _Found:
    method, weight = way.method, way.weights
    if method == "medoid":
        chosen = medoid({v: a for v, a in row.raw.items() if row.votes[v]}, weight, way.embed)
        others = {each[0]: each for each in chosen.others}
        known = len(chosen.group) + sum(map(len, others.values()))
        share = len(chosen.group) / known if known else 0.0
        answer = row.raw.get(chosen.voter) if chosen.voter else None
        names = {row.raw[each] or "": who for each, who in others.items()}
        largest = [who for who in names.values() if len(who) == len(chosen.group)]
        tied = (answer or "", *(row.raw[who[0]] or "" for who in largest)) if largest else ()
        found = Tally(answer, share, chosen.group, names, tied=tied)
        return _Found(found, share, chosen.voter)
    vote = tally(row.votes, weight)
    if method == "majority" and vote.tied:
        best = max(sorted(vote.tied), key=lambda answer: posterior.get(answer, 0.0))
        vote = _with_answer(vote, row.votes, best)
    if method != "dawid_skene" or vote.answer is None:
        return _Found(vote, vote.share)
    best = max(sorted(posterior), key=lambda answer: posterior[answer])
    vote = _with_answer(vote, row.votes, best)
    return _Found(vote, (posterior[best] + vote.share) / 2)


def _with_answer(vote: Tally, votes: Mapping[str, str | None], answer: str) -> Tally:
    """Return a vote with another answer as its result."""
    supporters: dict[str, list[str]] = {}
    for voter in sorted(votes):
        if (said := votes[voter]) is not None:
            supporters.setdefault(said, []).append(voter)
    order = sorted(supporters, key=lambda each: (-len(supporters[each]), each))
    known = sum(map(len, supporters.values()))
    return Tally(
        answer, len(supporters[answer]) / known, tuple(supporters[answer]),
        {each: tuple(supporters[each]) for each in order if each != answer},
        vote.abstained, vote.tied,
    )  # fmt: skip


def _as_row(
    table: Table,
    row: Row,
    found: _Found,
    reading: calibration.Calibration | None,
    quorum: int,
) -> dict[str, Any]:
    vote = found.tally
    missing = [llm for llm in table.llms if llm not in row.cost_usd]
    costs = [row.cost_usd[llm] for llm in table.llms if llm in row.cost_usd]
    decided = vote.answer is not None and vote.voters >= quorum
    llm = found.voter or (vote.support[0] if vote.support else "")
    scores = [row.scores[voter] for voter in vote.support if voter in row.scores]
    if found.voter:
        scores = [row.scores[found.voter]] if found.voter in row.scores else []
    confidence = found.confidence if reading is None else reading(found.confidence)
    known = len(row.scores) == len(row.raw) > 0
    score = fmean(scores) if scores and decided else (0.0 if known else math.nan)
    return {
        "query_id": row.query_id,
        "answer": row.raw[llm] if decided else None,
        "llm": llm if decided else None,
        "confidence": confidence if decided else 0.0,
        "calibrated": reading is not None,
        "agreement": agreement(row.votes),
        "support": vote.support if decided else (),
        "dissent": {row.raw[who[0]]: who for who in vote.dissent.values()},
        "tied": bool(vote.tied),
        "cost_usd": sum(costs) if costs and not missing else math.nan,
        "score": score,
    }


# --- what is learned from scores ------------------------------------------------------------------


def accuracies(calls: pd.DataFrame, llms: Sequence[str]) -> dict[str, float]:
    """Return how often each LLM was right, shrunk to the mean of all where little is known.

    Args:
        calls: scored calls, columns `model` or `llm` and `score`.
        llms: whose.

    Raises:
        UsageProblem: no call has a score.
    """
    need(calls, "history", "score")
    frame = pd.DataFrame({"llm": named(calls, "history"), "score": numbers_of(calls, "score")})
    scored = frame[frame["llm"].isin(llms)].dropna(subset=["score"])
    if scored.empty:
        raise UsageProblem("The history has no score of these LLMs.", hint="Give scored calls.")
    mean = float(scored["score"].mean())
    sums = scored.groupby("llm")["score"].agg(["sum", "count"])
    found = {}
    for llm in llms:
        total, count = map(float, sums.loc[llm]) if llm in sums.index else (0.0, 0.0)
        found[llm] = (total + SHRINKING * mean) / (count + SHRINKING)
    return found


def _check(
    table: Table, method: str, weights: Mapping[str, float] | None, quorum: int, wrong: int
) -> None:
    """Refuse arguments that do not fit the table.

    Raises:
        UsageProblem: it names the argument.
        UnknownName: a weight for an LLM that does not vote.
    """
    most = len(table.llms)
    if isinstance(quorum, bool) or not isinstance(quorum, int) or not 1 <= quorum <= most:
        raise UsageProblem(
            f"quorum cannot be {quorum!r}.", hint=f"{most} LLMs vote: give 1 to {most}."
        )
    if isinstance(wrong, bool) or not isinstance(wrong, int) or wrong < 1:
        raise UsageProblem(
            f"wrong cannot be {wrong!r}.", hint="Give the number of choices less one."
        )
    if weights is None:
        return
    if method not in {"weighted", "medoid"}:
        raise UsageProblem(f"{method} takes no weights.", hint="Use method='weighted'.")
    for name, each in weights.items():
        is_number = isinstance(each, int | float) and not isinstance(each, bool)
        if not is_number or not each >= 0 or not math.isfinite(each):
            raise UsageProblem(f"The weight of {name} is {each!r}.", hint="Give a number.")
        if name not in table.llms:
            raise UnknownName("LLM that votes", name, table.llms)


def _weights(
    method: str,
    weights: Mapping[str, float] | None,
    history: pd.DataFrame | None,
    table: Table,
    fit: Fit,
) -> Mapping[str, float] | None:
    if weights is not None:
        return weights
    if method == "weighted":
        if history is None:
            raise UsageProblem(
                "A weighted vote needs to know whose word counts how much.",
                hint="Give weights= or history= (scored calls), or use method='dawid_skene'.",
            )
        known = accuracies(history, table.llms)
        return {llm: log_odds(p, WRONG + 1) for llm, p in known.items()}
    if method == "dawid_skene":
        return {llm: log_odds(p, WRONG + 1) for llm, p in fit.reliability.items()}
    return None


def _calibrated_on(
    history: pd.DataFrame | None, table: Table, way: _Way
) -> calibration.Calibration | None:
    """Return how confidences are to be read, from the same vote on the history."""
    if history is None or "query_id" not in history.columns:
        return None
    asked = history[["query_id"]].drop_duplicates()
    past = Table.of(asked, history, [llm for llm in table.llms if llm in _names(history)] or None,
                     table.kind)  # fmt: skip
    fit = dawid_skene([each.votes for each in past.rows], wrong=way.wrong)
    pairs = []
    for row, posterior in zip(past.rows, fit.posteriors, strict=True):
        found = _one(way, row, posterior)
        scores = [row.scores[voter] for voter in found.tally.support if voter in row.scores]
        if scores:
            pairs.append((found.confidence, fmean(scores)))
    return calibration.calibrated([c for c, _ in pairs], [s for _, s in pairs])


def _names(calls: pd.DataFrame) -> set[str]:
    return set(named(calls, "history").unique())


def _advice(table: Table, frame: pd.DataFrame, fit: Fit) -> pools.Advice:
    """Return whether to vote: from scores where there are enough, else from answers alone."""
    places = [n for n, row in enumerate(table.rows) if len(row.scores) == len(row.raw) > 0]
    scored = [table.rows[n] for n in places]
    members = {llm: [row.scores.get(llm, 0.0) for row in scored] for llm in table.llms}
    votes = [float(frame["score"].iloc[n]) for n in places]
    guessed = pools.advised(fit.reliability, len(table.rows))
    found = pools.measured(votes, members, unequal=not guessed.vote)
    return guessed if found.basis == "unknown" else found
