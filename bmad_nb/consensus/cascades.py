"""When is it cheaper to ask cheap LLMs first? The break-even, before anything is spent.

Cheap LLMs are asked, and only where they do not agree the strong one (Yue et al., "Large language
model cascades with mixture of thoughts", 2023; here without the thoughts). All calls are paid, so
that it pays only where what the cheap ones cost is less than what their agreement saves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

DOUBTFUL = 0.7
"""Break-even above which a cascade is warned of: on recorded answers two small LLMs agreed on 15 %
(hard mathematics), 44 % (results of code) and 81 % (sums in words) of the questions."""


@dataclass(frozen=True, slots=True)
class BreakEven:
    """What a cascade must reach so that it costs no more than the strong LLM alone."""

    cheap_usd: float | None
    """US dollars that all cheap LLMs cost for a question; None is unknown."""
    strong_usd: float | None
    """US dollars that the strong LLM costs for a question; None is unknown."""

    @property
    def accept_rate(self) -> float | None:
        """Share of questions on which the cheap ones must agree; over 1 it can never pay."""
        if self.cheap_usd is None or not self.strong_usd:
            return None if self.cheap_usd is None or self.strong_usd is None else float("inf")
        return self.cheap_usd / self.strong_usd

    @property
    def is_doubtful(self) -> bool:
        """Whether it cannot pay, or only with more agreement than cheap LLMs mostly have."""
        rate = self.accept_rate
        return rate is not None and rate > DOUBTFUL

    @property
    def can_pay(self) -> bool | None:
        """Whether any agreement could make it cheaper; None is unknown."""
        rate = self.accept_rate
        return None if rate is None else rate < 1

    def cost_share(self, accepted: float) -> float | None:
        """Return its cost as a share of the strong LLM's, where so many questions are accepted."""
        rate = self.accept_rate
        return None if rate is None else rate + 1 - accepted

    @property
    def said(self) -> str:
        """One sentence."""
        rate = self.accept_rate
        if rate is None:
            return "What the cascade costs is unknown: a price or a cost is missing."
        if rate >= 1:
            return (
                f"The cheap LLMs together cost {rate:.0%} of the strong one: the cascade costs "
                "more than the strong LLM alone, whatever they answer. Ask the strong one."
            )
        doubt = " Few pairs of cheap LLMs do." if self.is_doubtful else ""
        return (
            f"The cheap LLMs together cost {rate:.0%} of the strong one: the cascade is cheaper "
            f"where they agree on more than {rate:.0%} of the questions.{doubt}"
        )


def break_even(cheap_usd: Sequence[float | None], strong_usd: float | None) -> BreakEven:
    """Return the break-even of a cascade.

    Args:
        cheap_usd: US dollars that each cheap LLM costs for a question; None is unknown.
        strong_usd: the same of the strong LLM.

    >>> break_even([0.1, 0.1], 1.0).accept_rate, break_even([0.6, 0.5], 1.0).can_pay
    (0.2, False)
    """
    known = [each for each in cheap_usd if each is not None]
    return BreakEven(sum(known) if len(known) == len(cheap_usd) else None, strong_usd)
