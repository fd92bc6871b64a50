"""What routers chose in a replay, as frames: their own choices, and those at each trade-off."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bmad_nb.lab.judging import Baseline, Played
from bmad_nb.lab.reading import Recorded


def choices(recorded: Recorded, plays: Sequence[Played]) -> pd.DataFrame:
    """Return a row per router and query; see `Replay.choices`."""
    found = []
    score, llms = recorded.outcomes.score, recorded.outcomes.questions.llms
    rows = np.arange(len(score))
    invented = np.array([llm in recorded.simulated for llm in llms], dtype=bool)
    for play in plays:
        expected = np.nan if play.expected is None else play.expected[rows, play.llm]
        found.append(
            pd.DataFrame(
                {
                    "router": play.name,
                    "query_id": recorded.ids,
                    "type": list(recorded.outcomes.questions.types),
                    "llm": _named(play.llm, llms),
                    "score": score[rows, play.llm],
                    "cost_usd": play.cost_usd,
                    "expected": expected,
                    "reason": [play.reason(row) for row in rows.tolist()],
                    "simulated": invented[play.llm],
                }
            )
        )
    return pd.concat(found, ignore_index=True)


def decisions(recorded: Recorded, plays: Sequence[Played], base: Baseline) -> pd.DataFrame:
    """Return a row per router, trade-off and query; see `Replay.decisions`."""
    return pd.concat(list(_decisions(recorded, plays, base)), ignore_index=True)


def _decisions(
    recorded: Recorded, plays: Sequence[Played], base: Baseline
) -> Iterator[pd.DataFrame]:
    outcomes, names = recorded.outcomes, [each.name for each in plays]
    llms, rows = outcomes.questions.llms, np.arange(len(outcomes.score))
    for place, play in enumerate(plays):
        for setting, llm in zip(play.settings, play.swept, strict=True):
            alone = math.isnan(setting)
            reason = _setting(play, float(setting), llms, base)
            yield pd.DataFrame(
                {
                    "router": _named(np.full(len(rows), place), names),
                    "setting": np.full(len(rows), setting),
                    "query_id": recorded.ids,
                    "llm": _named(llm, llms),
                    "score": outcomes.score[rows, llm],
                    "cost_usd": play.cost_usd if alone else outcomes.cost_usd[rows, llm],
                    "reason": [play.reason(r) for r in rows.tolist()] if alone else reason,
                }
            )


def _setting(play: Played, setting: float, llms: Sequence[str], base: Baseline) -> str:
    strong = llms[base.strong]
    if play.mixtures or play.name == "random":
        return f"by chance, {setting:.0%} of the way from cheap to strong"
    if len(llms) == 2:
        return f"{setting:.0%} of the queries go to {strong}, the largest expected gain first"
    if base.cost is None:
        return f"{1 - setting:.0%} of the queries may leave {strong}, the largest gain first"
    return f"most expected score for its price, {setting:.0%} of the way from cheap to strong"


def _named(codes: NDArray[Any], names: Sequence[str]) -> pd.Categorical[Any]:
    return pd.Categorical.from_codes(codes, pd.Index(list(names)))
