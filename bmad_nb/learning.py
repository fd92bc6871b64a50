"""What scores teach of LLMs: a record per LLM, setting and kind of task.

It is a pure fold over stored scores, so that the same scores always give the same record. Of each
answer the most trustworthy source counts: a person's rating, else a check, else a judge. A mean of
few answers is drawn to that of all LLMs at this kind of task (Efron and Morris, "Stein's paradox in
statistics", 1977), so that one lucky answer does not win the next hundred.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from bmad_nb.events import CallRow
from bmad_nb.scorers.base import interval
from bmad_nb.store.scores import ScoreRow

PRIOR = 4.0
"""Answers of average quality that every LLM is credited with."""
_TRUST = ("human", "check", "judge")


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of an LLM in one setting at one kind of task."""

    llm: str
    variant: str
    task_type: str
    n: int
    """Answers that were scored."""
    mean: float
    """Their mean score in [0, 1]."""
    low: float | None
    """Lower end of its 95 % interval; None of one answer."""
    high: float | None
    quality: float
    """The mean, drawn to that of all LLMs at this kind of task."""
    simulated: bool


def record(rows: Iterable[ScoreRow]) -> list[Entry]:
    """Return an entry per LLM, setting and kind of task, sorted by these names."""
    groups: dict[tuple[str, str, str], list[ScoreRow]] = defaultdict(list)
    for row in rows:
        groups[row.llm, row.variant, row.task_type].append(row)
    means = _means(groups)
    found = []
    for (llm, variant, kind), group in sorted(groups.items()):
        values = _values(group)
        low, high = interval(values)
        quality = (sum(values) + PRIOR * means[kind]) / (len(values) + PRIOR)
        simulated = all(row.simulated for row in group)
        found.append(
            Entry(llm, variant, kind, len(values), fmean(values), low, high, quality, simulated)
        )
    return found


def qualities(entries: Sequence[Entry]) -> dict[tuple[str, str], float]:
    """Return the quality in [0, 1] by LLM and kind of task, over all settings of the LLM."""
    groups: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    for entry in entries:
        groups[entry.llm, entry.task_type].append(entry)
    return {
        key: sum(each.quality * each.n for each in group) / sum(each.n for each in group)
        for key, group in groups.items()
    }


def evidence(
    entries: Sequence[Entry],
) -> dict[tuple[str, str], tuple[int, float | None, float | None]]:
    """Return by LLM and kind of task what its quality is based on.

    It is the number of scored answers, and both ends of the 95 % interval of their mean; of several
    settings the interval of the one with the most answers stands for all.
    """
    found: dict[tuple[str, str], tuple[int, float | None, float | None]] = {}
    for entry in sorted(entries, key=lambda each: each.n):
        before = found.get((entry.llm, entry.task_type), (0, None, None))
        found[entry.llm, entry.task_type] = (before[0] + entry.n, entry.low, entry.high)
    return found


def best_of(rows: Sequence[ScoreRow]) -> ScoreRow:
    """Return the score that counts among those of one answer: the newest of its best source."""
    for source in _TRUST:
        of_source = [row for row in rows if row.source == source]
        if of_source:
            return of_source[-1]
    return rows[-1]


def with_scores(rows: Sequence[CallRow], scores: Sequence[ScoreRow]) -> tuple[CallRow, ...]:
    """Return calls with the score that counts in the place of the one that they had."""
    by_call: dict[str, list[ScoreRow]] = {}
    for score in scores:
        by_call.setdefault(score.call_id, []).append(score)
    found = []
    for row in rows:
        if row.call_id not in by_call:
            found.append(row)
            continue
        best = best_of(by_call[row.call_id])
        checked = row.score is not None and row.reference is not None
        if checked and best.source == "judge":  # what a check has found goes before it
            found.append(row)
        else:
            found.append(dataclasses.replace(row, score=best.value, scorer=best.scorer))
    return tuple(found)


def _values(rows: Sequence[ScoreRow]) -> list[float]:
    """Return one value for each answer: the mean of what its best source says."""
    answers: dict[str, list[ScoreRow]] = defaultdict(list)
    for row in rows:
        answers[row.request_key].append(row)
    return [_value(each) for _, each in sorted(answers.items())]


def _value(rows: Sequence[ScoreRow]) -> float:
    source = best_of(rows).source
    newest = {(row.key or row.number): row.value for row in rows if row.source == source}
    return fmean(newest.values())


def _means(groups: Mapping[tuple[str, str, str], Sequence[ScoreRow]]) -> dict[str, float]:
    """Return the mean of the LLMs' means by kind of task."""
    found: dict[str, list[float]] = defaultdict(list)
    for (_, _, kind), rows in groups.items():
        found[kind].append(fmean(_values(rows)))
    return {kind: fmean(each) for kind, each in found.items()}
