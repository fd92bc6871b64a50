"""Routers that learn while they choose, on a stream of recorded outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from bmad_nb.errors import UsageProblem
from bmad_nb.lab.reading import read
from bmad_nb.routers.bandits import Observation
from bmad_nb.routers.batch import fitted, many
from bmad_nb.routers.choice import router_of
from bmad_nb.routers.outcomes import Outcomes, Questions

ROUTERS = ("thompson", "lin-thompson", "best-single", "random")
"""Routers that are streamed if none is named."""


def stream(
    queries: pd.DataFrame,
    calls: pd.DataFrame,
    *,
    routers: Sequence[Any] = ROUTERS,
    train: tuple[pd.DataFrame, pd.DataFrame],
    points_per_usd: float = 0.0,
    seed: int = 0,
) -> pd.DataFrame:
    """Return what comes of routers that see the score of each choice before the next one.

    Args:
        queries: the stream, in any order: it is shuffled.
        calls: what came of every LLM for each query.
        routers: names, classes or objects; those with `observe` learn on the way.
        train: what they begin with.
        points_per_usd: score that one US dollar is worth; a reward is the score less what the cost
            is worth.
        seed: of the order and of chance.

    Returns:
        A row per router and query: `router`, `place` in the stream, `query_id`, `llm`, `reward`,
        `regret` (cumulated, against the best single LLM in hindsight) and `oracle_regret` (against
        the best choice for each query).

    Raises:
        UsageProblem: an LLM has no score for a query, or a table cannot be used.
    """
    judged = read(queries, calls)
    past = read(*train, list(judged.outcomes.questions.llms)).outcomes
    order = np.random.default_rng(seed).permutation(len(judged.ids))
    outcomes = judged.outcomes.take(order)
    if np.isnan(outcomes.score).any():
        raise UsageProblem(
            "A stream needs the score of every LLM for each query.", hint="Name fewer queries."
        )
    reward = outcomes.score
    if points_per_usd:
        reward = reward - points_per_usd * outcomes.cost_usd
    best = reward[:, int(reward.mean(axis=0).argmax())]
    frames = []
    for spec in routers:
        options: dict[str, Any] = (
            {"seed": seed} if isinstance(spec, str) and spec in _CHANCE else {}
        )
        if isinstance(spec, str) and spec in _PRICED:
            options["points_per_usd"] = points_per_usd
        router = fitted(router_of(spec, **options), past)
        chosen = _streamed(router, outcomes, past)
        got = reward[np.arange(len(chosen)), chosen]
        frames.append(
            pd.DataFrame(
                {
                    "router": router.name, "place": np.arange(len(chosen)),
                    "query_id": judged.ids[order],
                    "llm": [outcomes.questions.llms[each] for each in chosen],
                    "reward": got, "regret": np.cumsum(best - got),
                    "oracle_regret": np.cumsum(reward.max(axis=1) - got),
                }
            )
        )  # fmt: skip
    return pd.concat(frames, ignore_index=True)


_CHANCE = ("random", "zero", "thompson", "lin-thompson")
_PRICED = ("best-single", "thompson", "lin-thompson", "knn", "linear", "learned")


def _streamed(router: Any, outcomes: Outcomes, past: Outcomes) -> np.ndarray[Any, Any]:
    questions = outcomes.questions
    if not hasattr(router, "observe"):
        return many(router, questions, past).llm
    chosen = np.zeros(len(questions), dtype=np.intp)
    for row in range(len(questions)):
        prompt, kind = questions.prompts[row], questions.types[row]
        place = int(router.choose_many(Questions([prompt], [kind], questions.llms)).llm[0])
        usd = outcomes.cost_usd[row, place]
        score = float(outcomes.score[row, place])
        router.observe(
            Observation(prompt, kind, questions.llms[place], score, float(np.nan_to_num(usd)))
        )
        chosen[row] = place
    return chosen
