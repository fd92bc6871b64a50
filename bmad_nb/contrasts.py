"""What a comparison says beyond its rows: disagreement, stability, pairs, and what has changed.

Each function takes rows of calls and returns a frame whose columns `bmad_nb.columns` declares.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

from bmad_nb import frames
from bmad_nb.columns import CHANGES, DISAGREEMENTS, PAIRED, STABILITY
from bmad_nb.errors import UnknownName, UsageProblem
from bmad_nb.events import CallRow
from bmad_nb.render.columns import agreement, contender_of, made_for, normalised
from bmad_nb.render.diff import changes as words_of
from bmad_nb.render.stats import SAME, paired

if TYPE_CHECKING:
    import pandas as pd

ORDER = ("regression", "lost", "fixed", "changed", "new", "gone", "same")
"""Kinds of change, what needs somebody first."""


def disagreements(rows: Iterable[CallRow]) -> pd.DataFrame:
    """Return a row per case, those first in which the LLMs differ most; see `DISAGREEMENTS`."""
    found = [_disagreement(case, each) for case, each in _by_case(rows).items()]
    found.sort(key=lambda row: (-(row["spread"] or 0.0), row["agreement"] or 0.0))
    return frames.of_columns(DISAGREEMENTS, found)


def stability(rows: Iterable[CallRow]) -> pd.DataFrame:
    """Return how much the samples of each LLM vary, the least stable first; see `STABILITY`."""
    groups: dict[tuple[str, str, str], list[CallRow]] = defaultdict(list)
    for row in rows:
        groups[row.case, row.llm, row.variant].append(row)
    found: list[dict[str, Any]] = []
    for (case, llm, variant), each in groups.items():
        answered = [row for row in each if row.state == "answered"]
        common, count, distinct = _commonest(answered)
        scores = _scores(answered)
        found.append({
            "case": case, "llm": llm, "variant": variant, "samples": len(each),
            "answered": len(answered), "distinct": distinct,
            "commonest_share": count / len(answered) if answered else None,
            "commonest": common, "score": fmean(scores) if scores else None,
            "spread": _spread(scores), "simulated": any(row.simulated for row in each),
        })  # fmt: skip
    found.sort(key=lambda row: row["commonest_share"] if row["answered"] else -1.0)
    return frames.of_columns(STABILITY, found)


def pairs(rows: Sequence[CallRow], baseline: str) -> pd.DataFrame:
    """Return how far one LLM is above each other, case by case; see `PAIRED`.

    The intervals are those of the card: a paired bootstrap up to 200 cases, the normal
    approximation beyond, each so wide that all of them hold together at 95 %.

    Args:
        rows: the calls.
        baseline: an LLM, with its setting where it has one.

    Raises:
        UnknownName: it is not among those that were scored.
        UsageProblem: nothing was scored.
    """
    means = contender_scores(rows)
    if not means:
        raise UsageProblem("Nothing was scored.", hint="Compare with --reference, or judge it.")
    if baseline not in means:
        raise UnknownName("scored LLM", baseline, means)
    others = {name: each for name, each in means.items() if name != baseline}
    invented = {contender_of(row) for row in rows if row.simulated}
    found = []
    for name, theirs in others.items():
        common = [case for case in means[baseline] if case in theirs]
        if not common:
            continue
        ours, other = [means[baseline][c] for c in common], [theirs[c] for c in common]
        both = paired(ours, {name: other}, llms=len(means))
        one = both.differences[0]
        found.append({
            "baseline": baseline, "against": name, "cases": both.cases, "mean": one.mean,
            "low": one.low, "high": one.high, "level": both.level, "won": one.won,
            "tied": one.tied, "lost": one.lost, "shown": one.shown,
            "simulated": bool(invented & {baseline, name}),
        })  # fmt: skip
    return frames.of_columns(PAIRED, found)


def contender_scores(rows: Iterable[CallRow]) -> dict[str, dict[str, float]]:
    """Return the score of each LLM and setting by case, the mean over its samples."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row.state == "answered" and row.score is not None:
            found[contender_of(row)][row.case].append(row.score)
    return {name: {c: fmean(v) for c, v in each.items()} for name, each in found.items()}


def changes(rows: Iterable[CallRow], earlier: Iterable[CallRow]) -> pd.DataFrame:
    """Return what has become of each answer since an earlier run; see `CHANGES`.

    An answer is a regression where its score fell, fixed where it rose, changed where only its
    words are others, lost where it failed and was answered before.
    """
    now, before = _placed(rows), _placed(earlier)
    found = [_change(place, now.get(place), before.get(place)) for place in {**before, **now}]
    found.sort(key=lambda row: (ORDER.index(row["change"]), _fall(row), row["similarity"] or 0.0))
    return frames.of_columns(CHANGES, found)


Place = tuple[str, str, str, int]


def _placed(rows: Iterable[CallRow]) -> dict[Place, CallRow]:
    return {(row.case, row.llm, row.variant, row.sample): row for row in rows}


def _change(place: Place, now: CallRow | None, before: CallRow | None) -> dict[str, Any]:
    case, llm, variant, sample = place
    texts = [row.text or "" if row and row.state == "answered" else None for row in (before, now)]
    scores = [row.score if row and row.state == "answered" else None for row in (before, now)]
    costs = [made_for(row) if row else None for row in (before, now)]
    more = costs[1] - costs[0] if costs[0] is not None and costs[1] is not None else None
    alike = None
    if texts[0] is not None and texts[1] is not None:
        alike = 1.0 if texts[0] == texts[1] else words_of(texts[0], texts[1]).similarity
    return {
        "change": _kind(now, before, texts, scores), "case": case, "llm": llm, "variant": variant,
        "sample": sample, "score_before": scores[0], "score": scores[1], "similarity": alike,
        "answer_before": texts[0], "answer": texts[1],
        "cost_more_usd": None if more is None else float(more),
        "simulated": any(row.simulated for row in (now, before) if row),
    }  # fmt: skip


def _kind(
    now: CallRow | None, before: CallRow | None, texts: Sequence[str | None],
    scores: Sequence[float | None],
) -> str:  # fmt: skip
    """Return what happened to one answer, in a word of `ORDER`."""
    if before is None or now is None:
        return "new" if before is None else "gone"
    if texts[0] is None or texts[1] is None:
        return "same" if texts[0] == texts[1] else "fixed" if texts[0] is None else "lost"
    old, new = scores
    if old is not None and new is not None and abs(new - old) > SAME:
        return "fixed" if new > old else "regression"
    return "same" if normalised(texts[0]) == normalised(texts[1]) else "changed"


def _fall(row: Mapping[str, Any]) -> float:
    old, new = row["score_before"], row["score"]
    return new - old if old is not None and new is not None else 0.0


def _by_case(rows: Iterable[CallRow]) -> dict[str, list[CallRow]]:
    found: dict[str, list[CallRow]] = defaultdict(list)
    for row in rows:
        found[row.case].append(row)
    return found


def _disagreement(case: str, rows: Sequence[CallRow]) -> dict[str, Any]:
    answered = [row for row in rows if row.state == "answered"]
    common, _, distinct = _commonest(answered)
    means = {name: fmean(each.values()) for name, each in contender_scores(rows).items()}
    same = normalised(common)
    return {
        "case": case, "answers": len(answered), "distinct": distinct,
        "agreement": agreement(rows).pairs, "spread": _spread(list(means.values())),
        "best": _alone(means, max), "worst": _alone(means, min), "commonest": common,
        "dissent": ", ".join(r.label for r in answered if normalised(r.text or "") != same),
        "failed": len(rows) - len(answered), "simulated": any(row.simulated for row in answered),
    }  # fmt: skip


def _alone(means: Mapping[str, float], pick: Any) -> str:
    """Return who has the highest or the lowest score, if nobody shares it."""
    if len(means) < 2:
        return ""
    end = pick(means.values())
    names = [name for name, value in means.items() if abs(value - end) <= SAME]
    return names[0] if len(names) == 1 else ""


def _commonest(answered: Sequence[CallRow]) -> tuple[str, int, int]:
    """Return the commonest answer as it was first given, how often it came, and how many differ."""
    groups = Counter(normalised(row.text or "") for row in answered)
    if not groups:
        return "", 0, 0
    [(key, count)] = groups.most_common(1)
    first = next(row.text or "" for row in answered if normalised(row.text or "") == key)
    return first, count, len(groups)


def _scores(rows: Iterable[CallRow]) -> list[float]:
    return [row.score for row in rows if row.score is not None]


def _spread(scores: Sequence[float]) -> float | None:
    return max(scores) - min(scores) if len(scores) > 1 else None
