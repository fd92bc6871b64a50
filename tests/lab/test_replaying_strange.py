"""Routers replayed over small and strange tables: what is printed is true, errors are typed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from bmad_nb import lab
from bmad_nb.errors import UsageProblem
from bmad_nb.routers.base import Candidate, Choice, Demand

Tables = tuple[pd.DataFrame, pd.DataFrame]


def tables(many: int, *llms: str, usd: float | None = 0.001, score: float | None = None) -> Tables:
    rng = np.random.default_rng(0)
    ids = [f"q{number}" for number in range(many)]
    prompts = [f"question {number} " + "x" * (number % 7) for number in range(many)]
    queries = pd.DataFrame({"query_id": ids, "prompt": prompts, "subset": "all"})
    rows = [
        {
            "query_id": each,
            "model": llm,
            "score": float(rng.random() < 0.4 + 0.3 * place) if score is None else score,
            "cost_usd": None if usd is None else usd * (1 + place) * rng.random(),
        }
        for each in ids
        for place, llm in enumerate(llms)
    ]
    return queries, pd.DataFrame(rows)


def replay(found: Tables, *routers: Any, **more: Any) -> Any:
    return lab.replay(*found, routers=list(routers), draws=200, **more)


@pytest.mark.parametrize(
    "found",
    [tables(24, "a", "b", score=1.0), tables(24, "a"), tables(24, "a", "b", usd=None)],
    ids=["equal scores", "one LLM", "two LLMs without costs"],
)
def test_a_rounding_error_is_no_difference(found: Tables) -> None:
    """Where a router does what needs no router, neither verdict nor table says better or worse."""
    result = replay(found, "learned")

    assert result.verdict.startswith("No difference shown")
    line = next(row for row in repr(result).splitlines() if row.startswith("learned"))
    assert line.endswith("no difference shown")
    gap = result.difference("zero", "learned", "quality")
    assert (0.0, 0.0, 0.0) == (gap.value, gap.low, gap.high)


def test_of_one_llm_the_hull_is_its_quality() -> None:
    """With one LLM there is nothing to mix: the AIQ of each router is its mean score."""
    result = replay(tables(24, "a"), "knn")

    values = result.frame.set_index(["router", "metric"])["value"]
    assert pytest.approx(values["best-single", "quality"]) == values["knn", "aiq"]
    assert "routing lab  1 LLM, " in repr(result)


def test_two_queries_are_replayed() -> None:
    """Two queries are one to learn from and one to judge on, for every router there is."""
    result = lab.replay(*tables(2, "a", "b"), draws=200)

    assert 2 == len(result.choices[result.choices["router"] == "knn"])
    assert "a score of every LLM for 1 of 20 questions" in repr(result)
    assert "-inf" not in repr(result)


class Own:
    name = "own"

    def choose(self, demand: Demand, candidates: list[Candidate]) -> Any:
        return Choice(candidates[len(demand.prompt) % len(candidates)].card.id, "by length")


class Text(Own):
    def choose(self, demand: Demand, candidates: list[Candidate]) -> Any:
        return candidates[0].card.id


class Unfitted(Own):
    def fit(self, outcomes: Any) -> None:
        self.seen = outcomes


@pytest.mark.parametrize(
    ("router", "said"),
    [(Text(), "returned a str"), (Unfitted(), "fit of the router 'own' returned a NoneType")],
)
def test_a_router_that_breaks_the_protocol_is_told_so(router: Any, said: str) -> None:
    """What a router of one's own returned, and what it is to return, stand in one typed error."""
    with pytest.raises(UsageProblem, match=said):
        replay(tables(8, "a", "b"), router)


def test_an_own_router_is_counted_as_it_chose() -> None:
    """The quality of an own router is the mean of the scores of whom it chose, by hand."""
    queries, calls = tables(20, "a", "b")
    result = replay((queries, calls), Own())

    score = calls.set_index(["query_id", "model"])["score"]
    wanted = np.mean(
        [score[row.query_id, "ab"[len(row.prompt) % 2]] for row in queries.itertuples(index=False)]
    )
    values = result.frame.set_index(["router", "metric"])["value"]
    assert pytest.approx(wanted) == values["own", "quality"]


def test_train_is_two_tables() -> None:
    """One table is no history."""
    queries, calls = tables(8, "a", "b")
    with pytest.raises(UsageProblem, match="train is a DataFrame"):
        lab.replay(queries, calls, train=queries)  # type: ignore[arg-type]


def test_nobody_is_called_cheapest_where_no_cost_is_known() -> None:
    """Without costs the router cheapest takes the first LLM, and that is said."""
    result = replay(tables(12, "dear", "small", usd=None), "task-mean")

    said = "Nobody's cost is known: the router cheapest takes the first LLM, dear."
    assert said in result.notes
    reasons = result.choices.groupby("router")["reason"].first()
    assert "the first of 2 that can do it: nobody's price is known" == reasons["cheapest"]


def test_a_replay_is_drawn() -> None:
    """The picture has the verdict, every LLM and every router; without costs only its table has."""
    queries, calls = tables(12, "a", "b")
    result = replay((queries, calls.assign(simulated=True)), "knn")

    said = repr(result.plot())
    assert result.verdict in said
    assert all(f"\n{name} " in said for name in ("a", "b", "knn"))
    assert "Simulated LLMs" in said
    assert "Simulated LLMs" in repr(result)
    assert "Simulated LLMs" not in repr(replay((queries, calls), "knn"))
    free = repr(replay(tables(12, "a", "b", usd=None), "knn").plot())
    assert "only in the table: a, b, " in free


def test_a_history_of_one_call_a_query_knows_who_is_cheapest() -> None:
    """Off-policy, the cheapest LLM is the one whose calls cost least, not the first by name."""
    queries, calls = tables(300, "a", "b", "c")
    calls["cost_usd"] = calls["model"].map({"a": 0.03, "b": 0.02, "c": 0.01})
    met = calls.iloc[np.arange(300) * 3 + np.arange(300) % 3].assign(propensity=1 / 3)

    found = lab.policy_value(queries, met, "cheapest", method="snips")
    assert pytest.approx(met.loc[met["model"] == "c", "score"].mean()) == found.value


def test_only_calls_that_were_made_lack_a_cost() -> None:
    """A query that an LLM never got is no call without a cost; a call without one is."""
    queries, calls = tables(12, "a", "b")
    notes = replay((queries, calls.iloc[1:]), "knn").notes
    assert not any("without a cost" in each for each in notes)
    calls.loc[3, "cost_usd"] = np.nan
    assert "1 calls without a cost count with the mean cost of their LLM." in (
        replay((queries, calls), "knn").notes
    )


def test_queries_without_prompts_are_named() -> None:
    """Routers see nothing but the prompt and its kind: without one even chance cannot choose."""
    queries, calls = tables(12, "a", "b")
    result = replay((queries.drop(columns="prompt"), calls), "knn")

    assert any(each.startswith("12 queries have no prompt") for each in result.notes)
    assert 1 == result.choices.query("router == 'random'")["llm"].nunique()
