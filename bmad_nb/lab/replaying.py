"""Routers replayed over recorded answers; nobody is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from bmad_nb.errors import UnknownName, UsageProblem
from bmad_nb.lab import judging, metrics
from bmad_nb.lab.reading import Recorded, read
from bmad_nb.lab.replayed import Replay
from bmad_nb.lab.whatif import Setting
from bmad_nb.routers import sweeping
from bmad_nb.routers.choice import HOMES, router_of

ROUTERS = (
    "cheapest", "best-single", "random", "zero", "prompt-length", "task-mean", "knn", "linear",
    "learned", "oracle",
)  # fmt: skip
"""Routers that are replayed if none is named."""
BASELINES = ("cheapest", "best-single", "random", "zero", "prompt-length", "oracle")
"""They stand beside whatever is replayed."""


def replay(
    queries: pd.DataFrame,
    calls: pd.DataFrame,
    *,
    routers: Sequence[Any] | str | None = None,
    train: tuple[pd.DataFrame, pd.DataFrame] | None = None,
    folds: int = 5,
    seed: int = 0,
    llms: Sequence[str] | None = None,
    steps: int = sweeping.STEPS,
    draws: int = metrics.DRAWS,
) -> Replay:
    """Return what routers would have chosen, and what would have come of it.

    Args:
        queries: `query_id`, `prompt`, and the kind of task as `type` or `subset` where it is known.
        calls: `query_id`, `model` (or `llm`), `score` in [0, 1], and `cost_usd` where it is known.
        routers: names, classes, or objects with `name` and `choose(demand, candidates)`; what
            learns has `fit(outcomes)`. All that have a name in the laboratory if None. Baselines
            are always there.
        train: other queries and calls, which routers are fitted on; they are judged on the first
            pair. None: cross-validation, each query judged by a router that has not seen it.
        folds: of the cross-validation; equal prompts stand in the same fold.
        seed: of folds, draws and chance: the same seed, the same result.
        llms: whom routers may choose; everybody if None.
        steps: trade-offs of cost and quality that are tried, at least 3.
        draws: of the paired bootstrap over queries.

    Returns:
        The result: `.frame`, `.routers`, `.frontier`, `.decisions`, `.choices`, `.verdict`.

    Raises:
        UsageProblem: a table cannot be used; it says which and why.
        UnknownName: a router or an LLM that is not there.
    """
    _checked(folds=(folds, 2), steps=(steps, 3), draws=(draws, 100), seed=(seed, 0))
    chosen = _routers(routers, seed)
    sees = any(getattr(each, "sees_answers", False) for each in chosen)
    judged = _complete(read(queries, calls, llms, answers=sees))
    notes = list(judged.notes)
    if train is None:
        parts = judging.folds_of(judged.outcomes, judged.ids.tolist(), folds, seed)
        if len(parts) < 2:
            raise UsageProblem(
                "One query is too few to learn from and to judge on.",
                hint="Give more queries, or train=(queries, calls).",
            )
    else:
        if not isinstance(train, tuple) or len(train) != 2:
            raise UsageProblem(
                f"train is a {type(train).__name__}.", hint="Give train=(queries, calls)."
            )
        past = read(*train, list(judged.outcomes.questions.llms), answers=sees)
        parts = [judging.Fold(past.outcomes, np.arange(len(judged.ids)))]
        notes += past.notes
    known = judged.outcomes if train is None else past.outcomes
    cheap = judged.outcomes.cheapest
    boot = metrics.Bootstrap(len(judged.ids), seed, draws)
    base = judging.baseline(judged.outcomes, known.best, cheap, boot)
    plays = judging.played(chosen, judged.outcomes, parts, steps)
    found = [judging.measured(each, judged.outcomes, base, boot) for each in plays]
    if cheap is None:
        first = judged.outcomes.questions.llms[0]
        notes.append(f"Nobody's cost is known: the router cheapest takes the first LLM, {first}.")
    notes += [note for each in plays for note in each.notes]
    how = f"{len(parts)}-fold cross-validation" if train is None else "learned from other queries"
    return Replay(
        judged, plays, found, base, how=how, notes=tuple(dict.fromkeys(notes)),
        setting=Setting(chosen, parts, steps),
    )  # fmt: skip


def _checked(**limits: tuple[int, int]) -> None:
    for name, (value, least) in limits.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise UsageProblem(f"{name} cannot be {value!r}.", hint=f"Give a number from {least}.")


def _routers(routers: Sequence[Any] | str | None, seed: int) -> list[Any]:
    """Return routers, baselines first; those with a seed get this one.

    Raises:
        UnknownName: it names the routers there are.
        UsageProblem: two have the same name.
    """
    wanted = (
        [routers] if isinstance(routers, str) else list(ROUTERS if routers is None else routers)
    )
    for each in BASELINES:
        if each not in wanted and each in {*HOMES, "oracle"}:
            wanted.append(each)
    found: list[Any] = []
    for each in wanted:
        if isinstance(each, str) and each not in HOMES and each != "oracle":
            raise UnknownName("router", each, (*HOMES, "oracle"))
        options = {"seed": seed} if each in ("random", "zero") else {}
        found.append(each if each == "oracle" else router_of(each, **options))
    names = [each if isinstance(each, str) else each.name for each in found]
    twice = sorted({each for each in names if names.count(each) > 1})
    if twice:
        raise UsageProblem(
            f"Two routers are named {twice[0]!r}.", hint="Give each a name of its own."
        )
    return found


def _complete(judged: Recorded) -> Recorded:
    """Return the queries that every LLM has a score for.

    Raises:
        UsageProblem: there is none.
    """
    full = np.asarray(~np.isnan(judged.outcomes.score).any(axis=1))
    if not full.any():
        raise UsageProblem(
            "No query has a score of every LLM, so a replay does not know what came of a choice.",
            hint="Record all LLMs, name fewer with llms=, or estimate: lab.policy_value(...).",
        )
    if full.all():
        return judged
    rows = np.flatnonzero(full)
    note = f"{len(full) - len(rows):,} of {len(full):,} queries are left out: an LLM has no score."
    return replace(
        judged, ids=judged.ids[rows], outcomes=judged.outcomes.take(rows),
        notes=(*judged.notes, note),
    )  # fmt: skip
