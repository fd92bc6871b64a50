"""What a comparison may say in one sentence, and what weakens it.

Nobody is called best without a margin, without a score, or while the difference is not shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bmad_nb.events import CallRow
from bmad_nb.render.base import ComparisonView, counted, listed, points, signed, usd
from bmad_nb.render.columns import (
    Agreement,
    Column,
    agreement,
    cases,
    columns,
    mean_agreement,
    noun,
    score_of,
)
from bmad_nb.render.stats import SAME, Difference, Paired, paired

_WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@dataclass(frozen=True, slots=True)
class Verdict:
    """The sentence of a comparison and what it rests on."""

    sentence: str
    weak: tuple[str, ...] = ()
    """Sentences that weaken or explain it."""
    best: tuple[str, ...] = ()
    """Contenders that are best; several in a tie; empty where there is no winner."""
    means: tuple[tuple[str, float], ...] = ()
    """Mean score of each ranked contender, over the same cases."""
    ranked_cases: tuple[str, ...] = ()
    """Cases that every ranked contender has a score for."""
    paired: Paired | None = None
    """Differences of the best one from the others."""
    baseline: str = ""
    """Label of the column that others are compared with."""
    baseline_text: str = ""
    """Its answer to the first case."""


def verdict(view: ComparisonView) -> Verdict:
    """Return what the rows of a comparison allow to be said."""
    shown = columns(view.rows)
    if not shown:
        return Verdict("Nothing was asked")
    if not any(each.answered for each in shown):
        return Verdict(_nobody(shown), (*_failures(shown), *_unfinished(view)))
    scores = _scores(view.rows)
    if len({each.contender for each in shown}) == 1:
        found = _alone(view, shown)
    elif not scores:
        found = _unscored(view)
    elif are_mixed(view.rows):
        found = _mixed(view)
    elif len(cases(view.rows)) == 1:
        found = _one_case(view, shown, scores)
    else:
        found = _many_cases(view, shown, scores)
    weak = (*found.weak, *_failures(shown), *_invented(shown), *_unfinished(view))
    base = _baseline(shown, found.best, view.baseline)
    return replace(found, weak=weak, baseline=base.label, baseline_text=base.answered[0].text or "")


def word(count: int) -> str:
    """Return a small count in letters.

    >>> word(3), word(12)
    ('three', '12')
    """
    return _WORDS[count] if count < len(_WORDS) else f"{count:,}"


def same_answers(found: Agreement, what: str) -> str:
    """Return how many answers are the same, one clause.

    >>> same_answers(Agreement(3, 2, 1 / 3), "answer")
    '2 of 3 answers are the same'
    """
    if found.answers < 2:
        return f"only {counted(found.answers, what)}"
    if found.largest == found.answers:
        which = "both" if found.answers == 2 else f"all {found.answers}"
        return f"{which} {what}s are the same"
    if found.answers == 2:
        return f"the two {what}s differ"
    if found.largest == 1:
        return f"no two of the {found.answers} {what}s are the same"
    return f"{found.largest} of {found.answers} {what}s are the same"


def margin(value: float) -> str:
    """Return a margin with as many digits as it takes to be seen.

    >>> margin(0.11), margin(0.004)
    ('0.11', '0.004')
    """
    return f"{value:.2f}" if value >= 0.00995 else f"{value:.2g}"


def _scores(rows: Sequence[CallRow]) -> dict[str, dict[str, float]]:
    """Return the score of each contender in each case, the mean over its samples."""
    grouped: dict[str, dict[str, list[CallRow]]] = {}
    for column in columns(rows):
        by_case = grouped.setdefault(column.contender, {})
        for row in column.rows:
            by_case.setdefault(row.case, []).append(row)
    found = {
        name: {case: score for case, each in by_case.items()
               if (score := score_of(each)) is not None}
        for name, by_case in grouped.items()
    }  # fmt: skip
    return {name: each for name, each in found.items() if each}


def _nobody(shown: Sequence[Column]) -> str:
    """Return the sentence for a comparison without any answer."""
    what = noun(shown)
    return f"No {what} answered" if len(shown) > 1 else f"{shown[0].contender} did not answer"


def _alone(view: ComparisonView, shown: Sequence[Column]) -> Verdict:
    """Judge the answers of a single LLM: there is nobody to be better than."""
    name = shown[0].contender
    score = score_of(view.rows)
    scored = (f"Mean score {points(score)} ({_scorer(view.rows)}).",) if score is not None else ()
    if len(shown) == 1:
        total = len(shown[0].rows)
        count = f" {len(shown[0].answered)} of {total} cases" if total > 1 else ""
        return Verdict(f"{name} answered{count}", scored)
    why = ("Samples of one LLM show how much its answers vary (self-consistency); "
           "they are not different LLMs.")  # fmt: skip
    if len(cases(view.rows)) == 1:
        same = same_answers(agreement(view.rows), "sample")
        return Verdict(f"{len(shown)} samples of {name}: {same}", (*scored, why))
    share = points(mean_agreement(view.rows))
    sentence = f"{len(shown)} samples of {name}: {share} of the pairs of answers are equal"
    return Verdict(sentence, (*scored, why))


def _unscored(view: ComparisonView) -> Verdict:
    """Describe answers that nothing has scored."""
    why = "Nothing was scored (no reference answer was given), so there is no winner."
    if len(cases(view.rows)) == 1:
        same = same_answers(agreement(view.rows), "answer")
        return Verdict(f"{same[0].upper()}{same[1:]}", (why,))
    share = mean_agreement(view.rows)
    text = f"Agreement {points(share)}: share of pairs of answers that are equal"
    return Verdict(text if share is not None else "Too few answers to compare", (why,))


def are_mixed(rows: Sequence[CallRow]) -> bool:
    """Return whether answers to one case were scored in different ways, and cannot be compared."""
    scorers: dict[str, set[str]] = {}
    for row in rows:
        if row.state == "answered" and row.score is not None:
            scorers.setdefault(row.case, set()).add(row.scorer)
    return any(len(each) > 1 for each in scorers.values())


def _mixed(view: ComparisonView) -> Verdict:
    """Describe scores that cannot be compared with each other."""
    sentence = "The scores are of different kinds, so there is no winner"
    why = f"Scored by {_scorer(view.rows)}: score all answers in one way to compare them."
    return Verdict(_so_far(view, sentence), (why,))


def _one_case(
    view: ComparisonView, shown: Sequence[Column], scores: Mapping[str, Mapping[str, float]]
) -> Verdict:
    """Judge one case: a winner has a margin, and one case is a hint."""
    case = view.rows[0].case
    ranked = sorted(((each[case], name) for name, each in scores.items()), key=lambda s: -s[0])
    means = tuple((name, score) for score, name in ranked)
    contenders = {each.contender for each in shown}
    weak = [f"Scored by {_scorer(view.rows)}.", _agreed(view), "One prompt is a hint, not proof."]
    if len(ranked) == 1:
        score, name = ranked[0]
        sentence = f"Only {name} was scored, {points(score)}, so there is no winner"
        return Verdict(sentence, tuple(weak[:2]), means=means)
    top = ranked[0][0]
    best = tuple(name for score, name in ranked if top - score <= SAME)
    rest = [(score, name) for score, name in ranked if top - score > SAME]
    if not rest:
        sentence = f"No difference shown: {_all(len(ranked))} score {points(top)}"
        return Verdict(_so_far(view, sentence), tuple(weak), means=means)
    if len(best) > 1:
        sentence = f"{listed(best)} tie at {points(top)}, {margin(top - rest[0][0])} ahead"
        weak.insert(0, f"Next is {rest[0][1]} with {points(rest[0][0])}.")
        return Verdict(_so_far(view, sentence), tuple(weak), best, means)
    of = "" if len(ranked) == len(contenders) else f" of the {word(len(ranked))} that were scored"
    sentence = f"{best[0]} is best{of}, by {margin(top - rest[0][0])}"
    weak.insert(0, f"Score {points(top)} against {points(rest[0][0])} for {rest[0][1]}.")
    return Verdict(_so_far(view, sentence), tuple(weak), best, means)


def _many_cases(
    view: ComparisonView, shown: Sequence[Column], scores: Mapping[str, Mapping[str, float]]
) -> Verdict:
    """Judge several cases: paired differences decide what may be said."""
    total = len({case for each in scores.values() for case in each})
    ranked = [name for name, each in scores.items() if 2 * len(each) >= total]
    common = tuple(c for c in cases(view.rows) if all(c in scores[name] for name in ranked))
    if len(ranked) < 2 or not common:
        sentence = "Too few cases were scored for all, so there is no winner"
        return Verdict(sentence, (f"Scored by {_scorer(view.rows)}.",))
    values = {name: [scores[name][case] for case in common] for name in ranked}
    ordered = sorted(ranked, key=lambda name: -sum(values[name]))
    means = tuple((name, sum(values[name]) / len(common)) for name in ordered)
    top = means[0][1]
    best = tuple(name for name, mean in means if top - mean <= SAME)
    found = paired(values[ordered[0]], {name: values[name] for name in ordered[1:]})
    weak = _many_weak(view, shown, found, (total, len(common)), best)
    sentence, sure = _lead(found, best, top)
    return Verdict(_so_far(view, sentence), weak, best if sure else (), means, common, found)


def _lead(found: Paired, best: Sequence[str], top: float) -> tuple[str, bool]:
    """Return the sentence over several cases and whether it names a winner."""
    rest = [each for each in found.differences if each.against not in best]
    open_ones = [each.against for each in rest if not each.shown]
    if not rest:
        return f"No difference shown: {_all(len(best))} have mean {points(top)}", False
    if len(best) > 1:
        text = f"{listed(best)} tie for the best mean, {points(top)}"
        tail = f"; their lead over {listed(open_ones)} is not shown" if open_ones else ""
        return f"{text}{tail}", False
    if open_ones:
        lead = f"{best[0]} has the best mean, {points(top)}"
        return f"{lead}, but its lead over {listed(open_ones)} is not shown", False
    nearest = min(rest, key=lambda each: each.mean)
    return (
        f"{best[0]} is best: mean {points(top)}, {margin(nearest.mean)} ahead of {nearest.against}",
        True,
    )


def _many_weak(
    view: ComparisonView, shown: Sequence[Column], found: Paired, counts: tuple[int, int],
    best: Sequence[str],
) -> tuple[str, ...]:  # fmt: skip
    """Return what weakens a verdict over several cases."""
    total, common = counts
    weak = []
    nearest = min(found.differences, key=lambda each: (each.shown, each.mean))
    weak.append(f"{_interval(nearest, found)} {_reason(nearest, found)}".strip())
    if len(best) == 1:
        weak.extend(_dearer(shown, best[0], found))
    if common < total:
        weak.append(f"Means over the {common} of {total} cases that all ranked LLMs scored in.")
    weak.append(f"Scored by {_scorer(view.rows)}.")
    return tuple(weak)


def _interval(nearest: Difference, found: Paired) -> str:
    """Return the closest comparison in numbers."""
    return (
        f"Difference {signed(nearest.mean)} from {nearest.against}, {found.percent} interval "
        f"{signed(nearest.low)} to {signed(nearest.high)}."
    )


def _reason(nearest: Difference, found: Paired) -> str:
    """Return why a difference is not shown, one sentence; empty where it is."""
    if nearest.shown:
        return ""
    if nearest.differing < found.needed:
        return (
            f"The two differ in {counted(nearest.differing, 'case')}; "
            f"at least {found.needed} must differ before a difference can be shown."
        )
    return f"{counted(found.cases, 'case')} cannot tell the two apart."


def _dearer(shown: Sequence[Column], best: str, found: Paired) -> list[str]:
    """Say which LLM costs less than the best one and cannot be told from it."""
    price = {each.contender: each.mean_usd for each in shown if not each.simulated}
    ours = price.get(best)
    if not ours:
        return []
    less = [
        (theirs, each.against)
        for each in found.differences
        if not each.shown and (theirs := price.get(each.against)) is not None and theirs < ours
    ]
    if not less:
        return []
    amount, name = min(less)
    return [f"{name} costs {usd(amount * 1000)} per 1,000 calls, {best} {usd(ours * 1000)}."]


def _baseline(shown: Sequence[Column], best: Sequence[str], wanted: str) -> Column:
    """Return the column that is wanted, else the best scored one, else the first that answered."""
    answered = [each for each in shown if each.answered]
    named = [each for each in answered if each.label == wanted]
    if named:
        return named[0]
    chosen = [each for each in answered if each.contender in best]
    if not chosen:
        scored = [each for each in answered if score_of(each.rows) is not None]
        chosen = sorted(scored, key=lambda each: -(score_of(each.rows) or 0))[:1]
    return (chosen or answered)[0]


def _scorer(rows: Sequence[CallRow]) -> str:
    """Return who scored."""
    return listed(dict.fromkeys(row.scorer for row in rows if row.scorer)) or "an unnamed scorer"


def _agreed(view: ComparisonView) -> str:
    """Return the agreement of one case as a sentence."""
    text = same_answers(agreement(view.rows), "answer")
    return f"{text[0].upper()}{text[1:]}."


def _all(count: int) -> str:
    return "both" if count == 2 else f"all {word(count)}"


def _so_far(view: ComparisonView, sentence: str) -> str:
    """Return the sentence as it may be said of a run that has not ended."""
    return sentence if view.status in ("completed", "failed") else f"So far: {sentence}"


def _failures(shown: Sequence[Column]) -> list[str]:
    """Return who did not answer and whether that was billed."""
    missing = [(each, [r for r in each.rows if r.state != "answered"]) for each in shown]
    broken = [(each, rows) for each, rows in missing if rows]
    if not broken:
        return []
    parts = []
    for column, rows in broken:
        kinds = listed(Counter(row.error_kind or row.state.replace("_", " ") for row in rows))
        many = len(column.rows) > 1
        tail = f" in {len(rows)} of {len(column.rows)} cases" if many else ""
        parts.append(f"{column.label} has no answer{tail} ({kinds})")
    unsure = sum(row.billed != "no" for _, rows in broken for row in rows)
    bill = (
        f"{unsure} of these calls may have been billed" if unsure else "nothing was billed for it"
    )
    return [f"{listed(parts)}; {bill}."]


def _invented(shown: Sequence[Column]) -> list[str]:
    """Say which LLMs are simulated."""
    names = list(dict.fromkeys(each.contender for each in shown if each.simulated))
    if not names:
        return []
    if len(names) == len({each.contender for each in shown}):
        return ["All of this is simulated: answers, prices and times are invented."]
    verb = "is" if len(names) == 1 else "are"
    return [f"{listed(names)} {verb} simulated: answers, prices and times are invented."]


def _unfinished(view: ComparisonView) -> list[str]:
    """Say that the run did not come to its end."""
    if view.status in ("completed", "failed"):
        return []
    return [f"The run is {view.status}, so this is not all of it."]
