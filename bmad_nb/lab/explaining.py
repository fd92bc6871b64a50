"""Why this LLM for this prompt: what a router expects of each, and which one it takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from bmad_nb.errors import UsageProblem
from bmad_nb.lab.reading import read
from bmad_nb.routers.base import Demand
from bmad_nb.routers.batch import candidates_of, fitted
from bmad_nb.routers.choice import router_of
from bmad_nb.routers.outcomes import Questions


def explain(
    prompt: str,
    *,
    train: tuple[pd.DataFrame, pd.DataFrame],
    router: Any = "learned",
    type: str = "",  # noqa: A002 - the word of queries and of tasks
    llms: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Return why a router takes an LLM for a prompt, a row for each LLM, the taken one first.

    Args:
        prompt: what is asked.
        train: queries and calls that the router is fitted on.
        router: a name, a class, or an object that may be fitted already.
        type: kind of task, where it is known; else it is told from the text.
        llms: candidates; everybody if None.

    Returns:
        `llm`, `chosen`, `expected` (score, NaN where the router expects none), `mean_score` and
        `mean_cost_usd` in the history, `why`. `attrs["reason"]` is the sentence, and
        `attrs["propensity"]` the probability of the choice where it was not certain.

    Raises:
        UsageProblem: the prompt is no text, or a table cannot be used.
    """
    if not isinstance(prompt, str):
        raise UsageProblem("A prompt is a text.", hint="Explain one prompt at a time.")
    past = read(*train, llms).outcomes
    made = fitted(router_of(router), past)
    questions = Questions([prompt], [type], past.questions.llms)
    found = candidates_of(questions, past)
    choice = made.choose(Demand("explain", type, prompt=prompt), found)
    expected, why = dict(choice.expected), dict(choice.rejected)
    rows = [
        (
            each.card.id, each.card.id == choice.llm, expected.get(each.card.id, math.nan),
            math.nan if each.quality is None else each.quality,
            math.nan if each.usd is None else each.usd,
            choice.reason if each.card.id == choice.llm else why.get(each.card.id, ""),
        )
        for each in found
    ]  # fmt: skip
    columns = ["llm", "chosen", "expected", "mean_score", "mean_cost_usd", "why"]
    frame = pd.DataFrame(rows, columns=columns)
    frame = frame.sort_values(["chosen", "expected"], ascending=False, ignore_index=True)
    frame.attrs |= {"reason": choice.reason, "propensity": choice.propensity, "router": made.name}
    return frame
