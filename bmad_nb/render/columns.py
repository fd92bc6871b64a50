"""Rows of calls grouped as they are shown: columns, contenders, cases, money, agreement."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from statistics import fmean, median

from bmad_nb.events import CallRow
from bmad_nb.render.base import ComparisonView, counted, usd


@dataclass(frozen=True, slots=True)
class Column:
    """One LLM in one setting and one sample, over all cases."""

    label: str
    """As `CallRow.label`; unique in a comparison."""
    contender: str
    """The LLM with its setting: samples of one LLM share it."""
    llm: str
    variant: str
    sample: int
    samples: int
    """Samples that this contender has."""
    rows: tuple[CallRow, ...]

    @property
    def simulated(self) -> bool:
        """True where answers, prices and times are invented."""
        return any(row.simulated for row in self.rows)

    @property
    def runs_here(self) -> bool:
        """True where the model runs on this machine."""
        return any(row.runs_here for row in self.rows)

    @property
    def answered(self) -> tuple[CallRow, ...]:
        """The rows that have an answer."""
        return tuple(row for row in self.rows if row.state == "answered")

    @property
    def mean_usd(self) -> Decimal | None:
        """Mean cost of an answer when it was made, in US dollars; None if a price is unknown."""
        prices = [made_for(row) for row in self.answered]
        known = [each for each in prices if each is not None]
        return sum(known, Decimal(0)) / len(known) if known and len(known) == len(prices) else None

    @property
    def median_s(self) -> float | None:
        """Median seconds of an answer when it was made."""
        times = [made_in(row) for row in self.answered]
        known = [each for each in times if each is not None]
        return median(known) if known else None

    def at(self, case: str) -> CallRow | None:
        """Return the row of a case."""
        return next((row for row in self.rows if row.case == case), None)


@dataclass(frozen=True, slots=True)
class Money:
    """What a run cost, real money apart from simulated money."""

    real: Decimal
    simulated: Decimal
    any_simulated: bool
    unpriced: int
    """Answers without a known price."""
    uncertain: int
    """Calls that did not end in an answer and may have been billed."""

    @property
    def sentence(self) -> str:
        """The total, such as `$0.0021 + 2 unpriced calls`."""
        text = usd(self.real)
        if self.unpriced:
            text += f" + {counted(self.unpriced, 'unpriced call')}"
        if self.uncertain:
            text += f" + {self.uncertain} that may have been billed"
        if self.any_simulated:
            text += f" (and {usd(self.simulated)} simulated)"
        return text


def made_for(row: CallRow) -> Decimal | None:
    """Return what an answer cost when it was made, in US dollars."""
    if row.original_cost_usd is not None or row.from_store:
        return row.original_cost_usd
    return row.cost_usd


def made_in(row: CallRow) -> float | None:
    """Return the seconds that an answer took when it was made."""
    if row.original_latency_s is not None or row.from_store:
        return row.original_latency_s
    return row.latency_s


def contender_of(row: CallRow) -> str:
    """Return the LLM with its setting, without the sample."""
    return f"{row.llm}?{row.variant}" if row.variant else row.llm


def columns(rows: Iterable[CallRow]) -> tuple[Column, ...]:
    """Return the columns of a comparison, in the order in which they first occur."""
    grouped: dict[str, list[CallRow]] = {}
    for row in rows:
        grouped.setdefault(row.label, []).append(row)
    samples = Counter(contender_of(each[0]) for each in grouped.values())
    return tuple(
        Column(
            label=label,
            contender=contender_of(found[0]),
            llm=found[0].llm,
            variant=found[0].variant,
            sample=found[0].sample,
            samples=samples[contender_of(found[0])],
            rows=tuple(found),
        )
        for label, found in grouped.items()
    )


def case_titles(rows: Iterable[CallRow]) -> dict[str, str]:
    """Return what to call each case: its label, and where that is a number its prompt's start.

    What all prompts have in common at their start and at their end says nothing, and is left out.
    """
    prompts = {row.case: row.messages[-1].text if row.messages else "" for row in rows}
    several = len(prompts) > 1
    start = _shared_words(prompts.values()) if several else 0
    end = _shared_words([prompt[:start:-1] for prompt in prompts.values()]) if several else 0
    titles = {}
    for case, prompt in prompts.items():
        cut = len(prompt) - end
        own = " ".join(prompt[start : min(start + 200, cut)].split())
        titles[case] = f"{case} · {own}" if case.isdecimal() and own else case
    return titles


def _shared_words(texts: Iterable[str]) -> int:
    """Return how many characters at their start all texts share, up to the last gap in them."""
    every = list(texts)
    first, last = min(every), max(every)  # what these share, all share
    same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    shared = "".join(each for each, _ in same)
    return max(shared.rfind(" "), shared.rfind("\n")) + 1


def cases(rows: Iterable[CallRow]) -> tuple[str, ...]:
    """Return the labels of the cases, in the order in which they first occur."""
    return tuple(dict.fromkeys(row.case for row in rows))


def money(view: ComparisonView) -> Money:
    """Return what the rows of a comparison cost."""
    real, simulated, unpriced, uncertain = Decimal(0), Decimal(0), 0, 0
    for row in view.rows:
        if row.simulated:
            simulated += row.cost_usd or 0
        elif row.cost_usd is not None:
            real += row.cost_usd
        elif row.state == "answered" or row.billed == "yes":
            unpriced += 1
        elif row.billed == "maybe":
            uncertain += 1
    any_simulated = any(row.simulated for row in view.rows)
    return Money(real, simulated, any_simulated, unpriced, uncertain)


def noun(shown: Iterable[Column]) -> str:
    """Return what the columns are: LLMs, settings, samples of one LLM, or a mixture."""
    every = list(shown)
    llms = len({each.llm for each in every})
    contenders = len({each.contender for each in every})
    if contenders == 1 and len(every) > 1:
        return "sample"
    if llms == 1 and contenders > 1:
        return "setting"
    if contenders > llms:
        return "LLM setting"
    return "LLM"


def normalised(text: str) -> str:
    """Return an answer without what agreement should not hang on; a huge one as it is.

    >>> normalised("  Paris. ") == normalised("paris")
    True
    """
    if len(text) > 100_000:
        return text
    return " ".join(text.casefold().split()).rstrip(".!")


@dataclass(frozen=True, slots=True)
class Agreement:
    """How many answers to one case are equal."""

    answers: int
    largest: int
    """Answers in the largest group of equal ones."""
    pairs: float | None
    """Share of pairs of answers that are equal, in [0, 1]; None for fewer than two answers."""


def agreement(rows: Iterable[CallRow]) -> Agreement:
    """Return how many of the answers to one case are equal once they are normalised."""
    groups = Counter(normalised(row.text or "") for row in rows if row.state == "answered")
    count = groups.total()
    pairs = count * (count - 1) // 2
    equal = sum(size * (size - 1) // 2 for size in groups.values())
    return Agreement(count, max(groups.values(), default=0), equal / pairs if pairs else None)


def mean_agreement(rows: Iterable[CallRow]) -> float | None:
    """Return the mean share of equal pairs of answers over the cases, in [0, 1]."""
    grouped: dict[str, list[CallRow]] = {}
    for row in rows:
        grouped.setdefault(row.case, []).append(row)
    found = [agreement(each).pairs for each in grouped.values()]
    known = [each for each in found if each is not None]
    return fmean(known) if known else None


def score_of(rows: Iterable[CallRow]) -> float | None:
    """Return the mean score of the answered rows that have one."""
    known = [row.score for row in rows if row.score is not None and row.state == "answered"]
    return fmean(known) if known else None
