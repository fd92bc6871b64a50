"""What the same quality would cost if the price of one LLM changed; nobody is asked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bmad_nb.errors import UsageProblem
from bmad_nb.lab import judging
from bmad_nb.routers.hull import hull
from bmad_nb.routers.outcomes import Outcomes

FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""What a price is multiplied with if nothing else is said."""
ZERO = "Zero router"
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Setting:
    """How a replay was made: enough to make it again at other prices."""

    routers: Sequence[Any]
    parts: Sequence[judging.Fold]
    steps: int


def prices(
    judged: Outcomes, setting: Setting, names: Sequence[str], *, llm: str,
    factors: Sequence[float], quality: float,
) -> pd.DataFrame:  # fmt: skip
    """Return the least cost of a quality at several prices of one LLM.

    Routers learn anew at each price, since what they choose may depend on it.

    Args:
        judged: what is judged; all costs known.
        setting: routers, folds and trade-offs of the replay.
        names: routers that are shown.
        llm: whose price changes.
        factors: what it is multiplied with, above 0.
        quality: mean score in [0, 1] that is to be reached.

    Returns:
        A row per router and factor: `router`, `llm`, `factor`, `quality`, `cost_usd` (least mean
        cost of a query in US dollars at which a trade-off, or a mixture of two, reaches the
        quality; NaN where none does). The first rows are the Zero router's.

    Raises:
        UsageProblem: a factor is no price, or costs are unknown.
    """
    wrong = [f for f in factors if isinstance(f, bool) or not (0 < f < math.inf)]
    if wrong or not len(factors):
        raise UsageProblem(
            f"factors cannot be {list(factors)!r}.", hint="Give numbers above 0, such as [0.5, 2]."
        )
    if np.isnan(judged.cost_usd).any():
        raise UsageProblem(
            "The costs of these calls are unknown, so no price can be changed.",
            hint="Give the calls a column cost_usd.",
        )
    wanted = [r for r in setting.routers if not isinstance(r, str) and r.name in names]
    rows = []
    for factor in sorted(set(map(float, factors))):
        now = priced(judged, llm, factor)
        parts = [judging.Fold(priced(each.train, llm, factor), each.rows) for each in setting.parts]
        singles = now.cost_usd.mean(axis=0), now.score.mean(axis=0)
        rows.append((ZERO, llm, factor, quality, cheapest_at(*singles, quality)))
        rows += [
            (play.name, llm, factor, quality, cheapest_at(*_curve(play, now), quality))
            for play in judging.played(wanted, now, parts, setting.steps)
        ]
    columns = ["router", "llm", "factor", "quality", "cost_usd"]
    found = pd.DataFrame(rows, columns=columns)
    order = {name: place for place, name in enumerate([ZERO, *names])}
    return found.sort_values(
        ["router", "factor"], key=lambda c: c.map(order) if c.name == "router" else c,
        ignore_index=True,
    )  # fmt: skip


def priced(outcomes: Outcomes, llm: str, factor: float) -> Outcomes:
    """Return outcomes in which all calls of one LLM cost `factor` times as much."""
    scale = np.ones(len(outcomes.questions.llms))
    scale[outcomes.questions.llms.index(llm)] = factor
    return replace(outcomes, cost_usd=outcomes.cost_usd * scale)


def cheapest_at(cost: Floats, quality: Floats, target: float) -> float:
    """Return the least cost of a point, or of a mixture of two, that reaches a quality; else NaN.

    >>> round(cheapest_at(np.array([1.0, 3.0]), np.array([0.5, 0.9]), 0.7), 6)
    2.0
    """
    x, y, _ = hull(cost, quality)
    if target > y[-1] + 1e-12:
        return math.nan
    return float(np.interp(min(target, float(y[-1])), y, x))


def _curve(play: judging.Played, outcomes: Outcomes) -> tuple[Floats, Floats]:
    """Return mean cost and mean score of a router at each of its trade-offs."""
    rows = np.arange(len(play.llm))
    quality = np.array([outcomes.score[rows, llm].mean() for llm in play.swept])
    if len(play.settings) == 1 and math.isnan(play.settings[0]):
        return np.array([play.cost_usd.mean()]), quality
    return np.array([outcomes.cost_usd[rows, llm].mean() for llm in play.swept]), quality
