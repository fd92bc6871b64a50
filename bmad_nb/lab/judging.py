"""Routers run over recorded outcomes, and measured with the same draws of queries."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bmad_nb.lab import metrics
from bmad_nb.routers import sweeping
from bmad_nb.routers.batch import fitted, many, reason_of
from bmad_nb.routers.outcomes import Outcomes, Picks, Questions
from bmad_nb.routers.texts import Prompts, draws

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """What is learned from, and the rows that are judged."""

    train: Outcomes
    rows: NDArray[np.intp]


@dataclass(slots=True, eq=False)
class Played:
    """What a router chose, for all rows."""

    name: str
    llm: NDArray[np.int16]
    """Its own choice; shape (queries,)."""
    cost_usd: Floats
    """US dollars of all calls of a query; shape (queries,), NaN where unknown."""
    settings: Floats
    swept: NDArray[np.int16]
    """Choices at each setting; shape (settings, queries)."""
    mixtures: list[tuple[NDArray[np.intp], Floats]] = field(default_factory=list)
    """Rows and exact probabilities of choices by chance, shape (settings, LLMs), by fold."""
    expected: Floats | None = None
    reasons: list[tuple[NDArray[np.intp], Any, Questions, Picks]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @classmethod
    def empty(cls, name: str, many_rows: int) -> Played:
        """Return one that has chosen nothing yet."""
        return cls(
            name, np.zeros(many_rows, np.int16), np.full(many_rows, np.nan), np.zeros(0),
            np.zeros((0, many_rows), np.int16),
        )  # fmt: skip

    def reason(self, row: int) -> str:
        """Return why the choice of a row was made, one sentence."""
        for rows, router, questions, picks in self.reasons:
            place = int(np.searchsorted(rows, row))
            if place < len(rows) and rows[place] == row:
                if picks.reasons is not None:
                    return picks.reasons[place]
                own = getattr(router, "reason", None)
                return str(
                    own(questions, picks, place) if own else reason_of(questions, picks, place)
                )
        return ""


def folds_of(outcomes: Outcomes, ids: Sequence[Any], count: int, seed: int) -> list[Fold]:
    """Return a cross-validation in which equal prompts stand in the same fold.

    Args:
        outcomes: all of them.
        ids: names of the queries, which stand for prompts that are empty.
        count: folds; no more than there are prompts.
        seed: of the dealing.
    """
    prompts = outcomes.questions.prompts
    texts = [prompt or f"#{each}" for prompt, each in zip(prompts, ids, strict=True)]
    if len(set(texts)) == 1:  # one text tells nothing apart
        texts = [f"#{each}" for each in ids]
    shared = isinstance(prompts, Prompts) and texts == list(prompts)
    _, group = np.unique(draws(prompts if shared else texts, seed), return_inverse=True)
    count = min(count, int(group.max(initial=0)) + 1)
    found = []
    for fold in range(count):
        rows = np.flatnonzero(group % count == fold)
        found.append(Fold(outcomes.take(np.flatnonzero(group % count != fold)), rows))
    return found


class Truth:
    """Not a router: the best choice in hindsight, which nobody can make beforehand."""

    name = "oracle"

    def __init__(self, outcomes: Outcomes) -> None:
        """Keep what came of the questions."""
        self._outcomes = outcomes

    def choose_many(self, questions: Questions) -> Picks:
        """Return the best LLM of each question, the cheapest of equal ones."""
        del questions
        found = self._outcomes
        usd = None if np.isnan(found.cost_usd).any() else found.cost_usd
        return Picks(metrics.oracle(found.score, usd), expected=found.score, expected_usd=usd)


def played(
    routers: Sequence[Any], judged: Outcomes, folds: Sequence[Fold], steps: int
) -> list[Played]:
    """Return what routers choose for all rows, fitted for each fold.

    Args:
        routers: not fitted yet, or such that do not learn; "oracle" is the best in hindsight.
        judged: what is judged.
        folds: what is learned from for which rows.
        steps: trade-offs.
    """
    found = [
        Played.empty("oracle" if r == "oracle" else r.name, len(judged.questions)) for r in routers
    ]
    for fold in folds:  # outside, so that routers share what is seen of a history
        part = judged if len(fold.rows) == len(judged.questions) else judged.take(fold.rows)
        for router, into in zip(routers, found, strict=True):
            _play(router, into, fold, part, steps)
    return found


def _play(router: Any, into: Played, fold: Fold, part: Outcomes, steps: int) -> None:
    one: Any = Truth(part) if router == "oracle" else _taught(router, fold, part)
    note = getattr(one, "note", "")
    into.notes += [note] if note else []
    one = getattr(one, "acting", one)
    picks = many(one, part.questions, fold.train)
    sweep = sweeping.swept(
        one, part.questions, picks, cheap=fold.train.cheapest, strong=fold.train.best, steps=steps
    )
    _put(into, fold.rows, sweep, picks, part)
    into.reasons.append((fold.rows, one, part.questions, picks))


def _taught(router: Any, fold: Fold, part: Outcomes) -> Any:
    """Return a fitted router; one that sees answers is shown those of the rows to be judged."""
    one = fitted(router, fold.train)
    sees = getattr(one, "with_answers", None)
    return one if sees is None else sees(part)


def _put(
    found: Played, rows: NDArray[np.intp], sweep: sweeping.Sweep, picks: Picks, part: Outcomes
) -> None:
    if len(found.settings) < len(sweep.settings):
        found.settings = sweep.settings
        wider = np.tile(found.llm, (len(sweep.settings), 1))
        wider[: len(found.swept)] = found.swept
        found.swept = wider
    found.llm[rows] = picks.llm
    full = sweep.llm
    if len(full) < len(found.settings):  # another fold had a trade-off, this one has none
        full = np.tile(full[-1], (len(found.settings), 1))
    found.swept[:, rows] = full
    if sweep.mixtures is not None:
        found.mixtures.append((rows, sweep.mixtures))
    each = np.arange(len(rows))
    asked = picks.asked
    found.cost_usd[rows] = (
        part.cost_usd[each, picks.llm] if asked is None
        else np.where(asked, part.cost_usd, 0.0).sum(axis=1)
    )  # fmt: skip
    if picks.expected is not None:
        if found.expected is None:
            found.expected = np.full((len(found.llm), part.score.shape[1]), np.nan)
        found.expected[rows] = picks.expected


@dataclass(slots=True, eq=False)
class Measured:
    """Measures of one router: value and draws of each."""

    name: str
    known: dict[str, float]
    """Value of each measure."""
    draws: dict[str, Floats]
    curve: Floats
    """Rows of mean cost, mean score and share of strong calls; shape (3, settings)."""
    choices: Floats
    """Share of queries that each LLM got; shape (LLMs,)."""

    def interval(self, metric: str) -> tuple[float, float]:
        """Return the 95 % interval of a measure."""
        found = self.draws.get(metric)
        return (math.nan, math.nan) if found is None else metrics.interval(found)


@dataclass(frozen=True, slots=True, eq=False)
class Baseline:
    """What single LLMs do on the judged rows: the yardsticks of all measures."""

    weak: int
    strong: int
    score: tuple[Floats, Floats]
    """Mean score of each LLM and its draws; shapes (LLMs,) and (draws, LLMs)."""
    cost: tuple[Floats, Floats] | None
    oracle: tuple[float, Floats]
    zero: tuple[Floats, Floats] | None
    """AIQ of the Zero router and its draws; None where costs are unknown."""


def baseline(judged: Outcomes, strong: int, cheap: int | None, boot: metrics.Bootstrap) -> Baseline:
    """Return the yardsticks.

    Args:
        judged: complete outcomes.
        strong: column of the best single LLM of the history.
        cheap: column of the cheapest one; None where costs are unknown.
        boot: draws.
    """
    score = boot.means(judged.score)
    cost = None if cheap is None else boot.means(judged.cost_usd)
    top, top_draws = boot.means(judged.score.max(axis=1, keepdims=True))
    two = judged.score.shape[1] == 2
    weak = 1 - strong if two else (strong if cheap is None else cheap)
    zero = None
    if cost is not None:
        both = zip(cost, score, strict=True)
        first, drawn = (
            metrics.aiq(usd, each, usd.min(axis=-1), usd.max(axis=-1)) for usd, each in both
        )
        zero = first, drawn
    return Baseline(weak, strong, score, cost, (float(top[0]), top_draws[:, 0]), zero)


def measured(play: Played, judged: Outcomes, base: Baseline, boot: metrics.Bootstrap) -> Measured:
    """Return the measures of a router with the draws behind their intervals."""
    rows = np.arange(len(play.llm))
    own = np.stack([judged.score[rows, play.llm], play.cost_usd], axis=1)
    (quality, usd), own_draws = boot.means(own)
    curve, curve_draws = _curve(play, judged, base, boot)
    values: dict[str, Any] = {"quality": quality, "cost_usd": usd}
    found: dict[str, Floats] = {"quality": own_draws[:, 0], "cost_usd": own_draws[:, 1]}
    singles, single_draws = base.score
    strong, strong_draws = singles[base.strong], single_draws[:, base.strong]
    values["gain"], found["gain"] = quality - strong, found["quality"] - strong_draws
    top, top_draws = base.oracle
    values["regret"], found["regret"] = top - quality, top_draws - found["quality"]
    values["oracle_share"] = float(metrics.pgr(quality, strong, top))
    found["oracle_share"] = metrics.pgr(found["quality"], strong_draws, top_draws)
    if len(singles) == 2:
        _pair(values, found, base, curve, curve_draws)
    if base.cost is not None:
        values["arena"] = float(metrics.arena(quality, usd))
        found["arena"] = metrics.arena(found["quality"], found["cost_usd"])
        if play.name == "zero" or len(play.settings) > 1:
            _hull(values, found, base, curve, curve_draws)
    shares = np.bincount(play.llm, minlength=judged.score.shape[1]) / max(1, len(rows))
    return Measured(play.name, {k: float(v) for k, v in values.items()}, found, curve, shares)


def _pair(
    values: dict[str, Any], found: dict[str, Floats], base: Baseline, curve: Floats, drawn: Floats
) -> None:
    """Add the measures of RouteLLM, for two LLMs."""
    ends = [(s[..., base.weak], s[..., base.strong]) for s in base.score]
    for into, key, (cost, quality, share), (weak, strong) in (
        (values, "quality", curve, ends[0]),
        (found, "quality", drawn, ends[1]),
    ):
        del cost
        into["pgr"] = metrics.pgr(into[key], weak, strong)
        if curve.shape[1] > 1:
            into["apgr"] = metrics.apgr(share, quality, weak, strong)
            into["cpt50"] = metrics.cpt(share, quality, weak, strong, 0.5)
            into["cpt80"] = metrics.cpt(share, quality, weak, strong, 0.8)


def _hull(
    values: dict[str, Any], found: dict[str, Floats], base: Baseline, curve: Floats, drawn: Floats
) -> None:
    """Add the measures of RouterBench, where costs are known."""
    if base.cost is None or base.zero is None:
        return
    for into, (cost, quality, _), usd, bar in (
        (values, curve, base.cost[0], base.zero[0]),
        (found, drawn, base.cost[1], base.zero[1]),
    ):
        into["aiq"] = metrics.aiq(cost, quality, usd.min(axis=-1), usd.max(axis=-1))
        into["aiq_gain"] = into["aiq"] - bar
    found["aiq_gain"] = metrics.unbiased(values["aiq_gain"], found["aiq_gain"])


def _curve(
    play: Played, judged: Outcomes, base: Baseline, boot: metrics.Bootstrap
) -> tuple[Floats, Floats]:
    """Return mean cost, score and share of strong calls at each setting, and their draws.

    Returns:
        Shapes (3, settings) and (3, draws, settings).
    """
    rows = np.arange(len(play.llm))
    steps = len(play.settings)
    values = np.empty((len(rows), 3 * steps))
    for step in range(steps):
        llm = play.swept[step]
        values[:, step] = judged.cost_usd[rows, llm]
        values[:, steps + step] = judged.score[rows, llm]
        values[:, 2 * steps + step] = llm == base.strong
    for part, weights in play.mixtures:
        mixed = weights if len(weights) == steps else np.tile(weights[-1:], (steps, 1))
        values[part, :steps] = judged.cost_usd[part] @ mixed.T
        values[part, steps : 2 * steps] = judged.score[part] @ mixed.T
        values[part, 2 * steps :] = mixed[:, base.strong]
    if steps == 1 and math.isnan(play.settings[0]):  # its own choice, with all that it paid for
        values[:, 0] = play.cost_usd
    mean, drawn = boot.means(values)
    return mean.reshape(3, steps), drawn.reshape(-1, 3, steps).transpose(1, 0, 2)
