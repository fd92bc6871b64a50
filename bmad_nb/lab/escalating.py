"""Cheap LLMs first, on recorded answers; nobody is asked."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from statistics import fmean
from typing import Any

import pandas as pd

from bmad_nb.answers.canonical import Kind
from bmad_nb.consensus.cascades import BreakEven, break_even
from bmad_nb.consensus.voting import agreement, tally
from bmad_nb.errors import UsageProblem
from bmad_nb.lab.tables import Advice, Row, Table, names_of
from bmad_nb.render.stats import paired


def cascade(
    queries: pd.DataFrame,
    calls: pd.DataFrame,
    *,
    cheap: Sequence[str],
    strong: str,
    accept: float = 1.0,
    kind: Kind = "auto",
) -> pd.DataFrame:
    """Return what comes of asking cheap LLMs first, and the strong one where they do not agree.

    Args:
        queries: the questions.
        calls: recorded answers, with `cost_usd`.
        cheap: two or more LLMs that are always asked.
        strong: who is asked where they do not agree.
        accept: least share in (0, 1] of the cheap ones that must give the same answer.
        kind: what answers are; see `consensus`.

    Returns:
        `query_id`, `answer`, `llm` (whose answer it is), `accepted`, `agreement`, `cost_usd` of all
        calls that were made, `strong_cost_usd` (what the strong LLM alone costs), and where calls
        have scores `score` and `strong_score`. In `attrs`: `accept_rate`, `cost_share` (of the
        strong LLM's cost), `break_even` (least accept rate that pays), `pays`, `warning` (empty
        where it pays), `said` (one sentence), and with scores `difference`, `low`, `high`: the
        cascade's score less the strong LLM's with its paired 95 % interval.

    Raises:
        UsageProblem: a column is missing, or `cheap` are not several.

    Warns:
        Advice: it costs more than the strong LLM alone. Where costs alone say so it is said before
            any answer is looked at.
    """
    cheap = names_of(cheap)
    if len(set(cheap)) < max(2, len(cheap)) or not isinstance(strong, str) or strong in cheap:
        raise UsageProblem(
            "A cascade by agreement needs two cheap LLMs and another, strong one.",
            hint="Give cheap=['a', 'b'], strong='c'.",
        )
    if not 0 < accept <= 1:
        raise UsageProblem(f"accept is {accept!r}.", hint="It is a share over 0, at most 1.")
    table = Table.of(queries, calls, [*cheap, strong], kind)
    limit = break_even([_mean_cost(table, llm) for llm in cheap], _mean_cost(table, strong))
    if limit.is_doubtful:
        warnings.warn(limit.said, Advice, stacklevel=2)
    rows = [_cascaded(row, cheap, strong, accept) for row in table.rows]
    frame = pd.DataFrame(rows, columns=_COLUMNS)
    if frame["strong_score"].isna().all():
        frame = frame.drop(columns=["score", "strong_score"])
    frame.attrs |= _summed(frame, limit)
    if frame.attrs["warning"] and not limit.is_doubtful:
        warnings.warn(frame.attrs["warning"], Advice, stacklevel=2)
    return frame


_COLUMNS = [
    "query_id", "answer", "llm", "accepted", "agreement", "cost_usd", "strong_cost_usd", "score",
    "strong_score",
]  # fmt: skip


def _mean_cost(table: Table, llm: str) -> float | None:
    costs = [row.cost_usd.get(llm, math.nan) for row in table.rows]
    known = [each for each in costs if not math.isnan(each)]
    return fmean(known) if known else None


def _cascaded(row: Row, cheap: Sequence[str], strong: str, accept: float) -> dict[str, Any]:
    votes = {llm: row.votes.get(llm) for llm in cheap}
    vote = tally(votes)
    enough = len(vote.support) >= accept * len(cheap) - 1e-9
    accepted = len(vote.support) > 1 and not vote.tied and enough
    llm = vote.support[0] if accepted else strong
    asked = cheap if accepted else (*cheap, strong)
    costs = [row.cost_usd.get(each, math.nan) for each in asked]
    both = llm in row.scores and strong in row.scores
    return {
        "query_id": row.query_id,
        "answer": row.raw.get(llm),
        "llm": llm,
        "accepted": accepted,
        "agreement": agreement(votes),
        "cost_usd": sum(costs),
        "strong_cost_usd": row.cost_usd.get(strong, math.nan),
        "score": row.scores[llm] if both else math.nan,
        "strong_score": row.scores[strong] if both else math.nan,
    }


def _summed(frame: pd.DataFrame, limit: BreakEven) -> dict[str, Any]:
    accepted = float(frame["accepted"].mean()) if len(frame) else 0.0
    both = frame.dropna(subset=["cost_usd", "strong_cost_usd"])
    strong = float(both["strong_cost_usd"].sum())
    share = float(both["cost_usd"].sum()) / strong if strong else math.nan
    pays = None if math.isnan(share) else share < 1
    said = f"{limit.said} They agree on {accepted:.0%}."
    if pays is not None:
        said += f" It costs {share:.0%} of what the strong LLM alone costs."
    warning = said if pays is False else ""
    found = {
        "accept_rate": accepted, "cost_share": share, "break_even": limit.accept_rate,
        "pays": pays,
    }  # fmt: skip
    if "score" in frame.columns and len(frame):
        scored = frame.dropna(subset=["score", "strong_score"])
        scores = [float(each) for each in scored["score"]]
        alone = [float(each) for each in scored["strong_score"]]
        (gap,) = paired(scores, {"strong": alone}).differences
        found |= {"difference": gap.mean, "low": gap.low, "high": gap.high}
        verdict = "" if gap.shown else ", no difference shown"
        said += (
            f" It is right in {fmean(scores):.1%}, the strong LLM in {fmean(alone):.1%}: "
            f"{100 * gap.mean:+.1f} points [{100 * gap.low:+.1f}, {100 * gap.high:+.1f}]{verdict}."
        )
    return {**found, "warning": warning, "said": said}
