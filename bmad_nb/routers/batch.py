"""One protocol from both sides: a router that chooses once chooses for a table, and the reverse.

`choose` is all that a router needs. `fit(outcomes)`, which returns a fitted copy, and
`choose_many(questions)`, which returns `Picks`, are looked for and used where they are there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from decimal import Decimal
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from bmad_nb.errors import UsageProblem
from bmad_nb.llms.base import Card
from bmad_nb.routers.base import Candidate, Choice, Demand, Router, chosen, passing
from bmad_nb.routers.outcomes import Outcomes, Picks, Questions

PLACES = 9
"""Digits after which two expectations are the same, so that a batch of one rounds like a table."""


class InBatches:
    """Base of routers that choose for many questions at once: a live choice is a batch of one."""

    name = ""

    def choose_many(self, questions: Questions) -> Picks:
        """Return the choice for each question."""
        raise NotImplementedError

    def choose(self, demand: Demand, candidates: Sequence[Candidate]) -> Choice:
        """Return the choice among the candidates that pass the hard filters.

        Raises:
            Unroutable: none does.
        """
        found, rejected = passing(demand, candidates)
        cards = {each.card.id: _priced(each) for each in found}
        questions = Questions([demand.prompt], [demand.type], tuple(cards), cards)
        picks = self.choose_many(questions)
        taken = int(picks.llm[0])
        expected = () if picks.expected is None else _known(questions.llms, picks.expected[0])
        scores = dict(expected)
        others = tuple(
            (llm, f"{scores[llm]:.2f} expected" if llm in scores else "not taken")
            for place, llm in enumerate(questions.llms)
            if place != taken
        )
        return Choice(
            questions.llms[taken],
            self.reason(questions, picks, 0),
            (*rejected, *others),
            expected,
            None if picks.propensity is None else float(picks.propensity[0]),
        )

    def reason(self, questions: Questions, picks: Picks, row: int) -> str:
        """Return why the choice of a question was made, one sentence."""
        return reason_of(questions, picks, row) or f"chosen by {self.name}"


class Learns(InBatches):
    """Base of routers that learn from outcomes."""

    llms: tuple[str, ...] = ()
    """Whom it has learned about."""

    def learn(self, outcomes: Outcomes) -> None:
        """Learn in place, forgetting what was learned before."""
        raise NotImplementedError

    def fit(self, outcomes: Outcomes) -> Self:
        """Return a fitted copy; the router itself stays as it is.

        Raises:
            UsageProblem: nothing was scored.
        """
        _ = outcomes.best
        found = copy(self)
        found.learn(outcomes)
        found.llms = outcomes.questions.llms
        return found

    def need(self) -> None:
        """Raise `UsageProblem` where nothing was learned yet."""
        if not self.llms:
            raise UsageProblem(
                f"The router {self.name!r} learns from outcomes, and has seen none.",
                hint="Use what its fit(outcomes) returns.",
            )


def reason_of(questions: Questions, picks: Picks, row: int) -> str:
    """Return the sentence that the numbers of a choice say; empty where they say nothing."""
    if picks.reasons is not None:
        return picks.reasons[row]
    taken = int(picks.llm[row])
    if picks.expected is None or np.isnan(picks.expected[row, taken]):
        return ""
    known = picks.expected[row][~np.isnan(picks.expected[row])]
    mine = float(picks.expected[row, taken])
    said = f"a score of {mine:.2f} is expected of it"
    if picks.expected_usd is not None and not np.isnan(usd := picks.expected_usd[row, taken]):
        said += f" for ${usd:.2g}"
    if len(known) < 2:
        return said
    if mine >= known.max() - 10.0**-PLACES:
        return f"{said}, the most of {len(known)}"
    best = int(np.nanargmax(picks.expected[row]))
    return f"{said}; {questions.llms[best]} with {known.max():.2f} is not worth its price"


def _known(llms: Sequence[str], row: NDArray[np.float64]) -> tuple[tuple[str, float], ...]:
    pairs = zip(llms, row.tolist(), strict=True)
    return tuple((llm, value) for llm, value in pairs if not math.isnan(value))


def _priced(candidate: Candidate) -> Card:
    """Return the card of a candidate with the price that holds now."""
    return replace(candidate.card, price=candidate.price or candidate.card.price)


def fitted(router: Any, outcomes: Outcomes) -> Any:
    """Return a router that learned from outcomes; one that does not learn as it is.

    Raises:
        UsageProblem: its `fit` returned no router.
    """
    own = getattr(router, "fit", None)
    found = router if own is None else own(outcomes)
    if not callable(getattr(found, "choose", None)) and not hasattr(found, "choose_many"):
        raise UsageProblem(
            f"fit of the router {router.name!r} returned a {type(found).__name__}, no router.",
            hint="fit(outcomes) returns the fitted router, often self.",
        )
    return found


def many(router: Router, questions: Questions, seen: Outcomes | None = None) -> Picks:
    """Return the choices of any router for a table of questions.

    Args:
        router: with `choose_many` it chooses at once, else one by one.
        questions: what is to be routed.
        seen: what is known of the LLMs: candidates have their mean cost, median latency and mean
            score from it.

    Raises:
        UsageProblem: it chose what is no candidate.
    """
    own = getattr(router, "choose_many", None)
    if own is not None:
        return _checked(router, own(questions), questions)
    candidates = candidates_of(questions, seen)
    places = {llm: place for place, llm in enumerate(questions.llms)}
    blind = getattr(router, "is_blind", False)
    known: dict[str, Choice] = {}
    picked = []
    for row in range(len(questions)):
        kind = questions.types[row]
        if not blind or kind not in known:
            demand = Demand(f"row {row}", kind, prompt=questions.prompts[row])
            known[kind] = chosen(router, demand, candidates)
        picked.append(known[kind])
    return _picked(picked, places)


def _picked(chosen: Sequence[Choice], places: dict[str, int]) -> Picks:
    expected = None
    if any(each.expected for each in chosen):
        expected = np.full((len(chosen), len(places)), np.nan)
        for row, each in enumerate(chosen):
            for llm, value in each.expected:
                if llm in places:
                    expected[row, places[llm]] = value
    chances = None
    if any(each.propensity is not None for each in chosen):
        chances = np.array([1.0 if c.propensity is None else c.propensity for c in chosen])
    return Picks(
        np.array([places[each.llm] for each in chosen], dtype=np.intp),
        propensity=chances,
        expected=expected,
        reasons=[each.reason for each in chosen],
    )


def _checked(router: Router, picks: Picks, questions: Questions) -> Picks:
    wanted = len(questions)
    llm = np.asarray(picks.llm)
    sound = llm.shape == (wanted,) and llm.dtype.kind in "iu"
    if not sound or (wanted and not (llm.min() >= 0 and llm.max() < len(questions.llms))):
        raise UsageProblem(
            f"choose_many of the router {router.name!r} must return the column of an LLM for each "
            f"of {wanted} questions.",
            hint="Return Picks(llm=array of integers).",
        )
    return picks


def candidates_of(questions: Questions, seen: Outcomes | None) -> list[Candidate]:
    """Return the LLMs of a table as candidates, with what a history knows of them."""
    found = []
    for llm in questions.llms:
        card = questions.cards.get(llm) or Card(id=llm, identity="recorded", model=llm)
        seconds = quality = usd = None
        if seen is not None and llm in seen.questions.llms:
            at = seen.questions.llms.index(llm)
            usd, quality = _number(seen.mean_usd[at]), _number(seen.mean_score[at])
            if seen.latency_s is not None:
                times = seen.latency_s[:, at]
                times = times[~np.isnan(times)]
                seconds = float(np.median(times)) if len(times) else None
        found.append(Candidate(card, card.price, seconds, quality, usd))
    return found


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def columns(mine: Sequence[str], theirs: Sequence[str]) -> NDArray[np.intp]:
    """Return for each LLM of `theirs` its column in `mine`; -1 where it is unknown there."""
    places = {llm: place for place, llm in enumerate(mine)}
    return np.array([places.get(llm, -1) for llm in theirs], dtype=np.intp)


def turned(values: NDArray[np.float64], where: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the columns `where` of an array; NaN for -1."""
    found = np.full((values.shape[0], len(where)), np.nan)
    there = where >= 0
    found[:, there] = values[:, where[there]]
    return found


def price_ratio(now: Card | None, then: Card | None) -> float:
    """Return what a call costs now, as a multiple of what it cost when it was recorded."""
    if now is None or then is None or now.price is None or then.price is None:
        return 1.0
    before, after = (
        3 * each.input_usd_per_mtok + each.output_usd_per_mtok for each in (then.price, now.price)
    )
    return float(after / before) if before > Decimal(0) else 1.0


def best_of(
    expected: NDArray[np.float64], usd: NDArray[np.float64] | None, points_per_usd: float
) -> NDArray[np.intp]:
    """Return the column with the most expected score less what its cost is worth, per row.

    Of equal ones the cheaper is taken, then the first. Where no score is expected at all, the
    first column.

    Args:
        expected: scores in [0, 1]; NaN is unknown, and taken only where all are.
        usd: US dollars of each call; None where no cost is known.
        points_per_usd: score that one US dollar is worth; infinite takes the cheapest.
    """
    score = np.nan_to_num(np.round(expected, PLACES), nan=-np.inf)
    if usd is None or np.isnan(usd).all():
        return np.asarray(np.argmax(score, axis=1).astype(np.intp))
    cost = np.where(np.isnan(usd), np.inf, usd)
    if np.isinf(points_per_usd):
        cost = np.where(np.isneginf(score), np.inf, cost)
        return np.asarray(np.argmin(cost, axis=1).astype(np.intp))
    if points_per_usd:
        known = np.where(np.isinf(cost), 1e9, cost)
        score = np.round(score - points_per_usd * known, PLACES)
    top = score.max(axis=1, keepdims=True)
    return np.asarray(np.argmin(np.where(score >= top, cost, np.inf), axis=1).astype(np.intp))
