"""The laboratory on tables of recorded answers: votes, weights, cascades, advice."""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator

import pandas as pd
import pytest

import bmad_nb
from bmad_nb.errors import UnknownName, UsageProblem
from bmad_nb.lab import Advice, cascade, consensus


def table(
    skills: dict[str, float],
    questions: int = 120,
    seed: int = 1,
    costs: dict[str, float] | None = None,
    wrong: int = 4,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return queries and calls of LLMs with planted skills."""
    chance = random.Random(seed)
    queries = pd.DataFrame({"query_id": [f"q{n}" for n in range(questions)]})
    rows = []
    for n in range(questions):
        for llm, skill in skills.items():
            right = chance.random() < skill
            answer = (
                f"${n},000.00"
                if right and llm == "a"
                else str(n * 1000 if right else n * 1000 + chance.randint(1, wrong))
            )
            rows.append(
                {"query_id": f"q{n}", "model": llm, "answer": answer, "score": float(right),
                 "cost_usd": (costs or {}).get(llm, 0.01)}
            )  # fmt: skip
    return queries, pd.DataFrame(rows)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Let advice be what a test asks for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Advice)
        yield


def test_a_row_for_each_query_says_all_of_it() -> None:
    """Answer, who gave it, confidence, agreement, dissent, cost; in the order of the queries."""
    queries, calls = table({"a": 0.9, "b": 0.8, "c": 0.8})
    found = bmad_nb.lab.consensus(queries, calls, llms=["a", "b", "c"])
    assert list(queries["query_id"]) == list(found["query_id"])
    assert {"answer", "confidence", "agreement", "dissent", "cost_usd", "score"} <= set(found)
    assert found["score"].mean() > 0.85
    assert pytest.approx([0.03] * 120) == list(found["cost_usd"])
    split = found[found["agreement"] < 1].iloc[0]
    assert split["dissent"]
    assert split["llm"] in split["support"]


@pytest.mark.parametrize("method", ["majority", "dawid_skene", "medoid"])
def test_scores_never_decide(method: str) -> None:
    """With all scores turned round the answers and confidences are the same."""
    queries, calls = table({"a": 0.7, "b": 0.6, "c": 0.5})
    turned = calls.assign(score=1 - calls["score"])
    one, two = (consensus(queries, each, method=method) for each in (calls, turned))
    assert list(one["answer"]) == list(two["answer"])
    assert list(one["confidence"]) == list(two["confidence"])


def test_rows_may_stand_in_any_order() -> None:
    """Shuffled calls give the same result."""
    queries, calls = table({"a": 0.7, "b": 0.6, "c": 0.5})
    shuffled = calls.sample(frac=1, random_state=3)
    pd.testing.assert_frame_equal(consensus(queries, calls), consensus(queries, shuffled))


def test_answers_are_extracted_where_there_is_no_column() -> None:
    """Without `answer` it comes out of `response`."""
    queries, calls = table({"a": 0.9, "b": 0.8})
    said = [f'Well. {{"answer": "{each}"}}' for each in calls["answer"]]
    raw = calls.drop(columns="answer").assign(response=said)
    assert list(consensus(queries, calls)["answer"]) == list(consensus(queries, raw)["answer"])


def test_weights_come_from_history_or_by_hand() -> None:
    """A history of scored calls makes the better LLM count more; without either it is refused."""
    skills = {"a": 0.97, "b": 0.5, "c": 0.5}
    queries, calls = table(skills, wrong=1)
    _, past = table(skills, seed=9, wrong=1)
    majority = consensus(queries, calls)["score"].mean()
    weighted = consensus(queries, calls, method="weighted", history=past)
    assert weighted["score"].mean() > majority
    assert weighted["calibrated"].all()
    with pytest.raises(UsageProblem, match="whose word counts"):
        consensus(queries, calls, method="weighted")
    by_hand = consensus(queries, calls, method="weighted", weights={"a": 9.0})
    alone = calls[calls["model"] == "a"]["score"].mean()
    assert pytest.approx(alone) == by_hand["score"].mean()


def test_an_unequal_pool_is_flagged() -> None:
    """With scores or without, a vote that loses to one LLM is warned of, and the LLM is named."""
    queries, calls = table({"a": 0.97, "b": 0.35, "c": 0.35, "d": 0.3}, 200)
    for each in (calls, calls.drop(columns="score")):
        with pytest.warns(Advice, match="Do not vote here, use a"):
            found = consensus(queries, each)
        assert (False, "a") == (found.attrs["vote"], found.attrs["best"])
    queries, calls = table(dict.fromkeys("abc", 0.8), 200)
    with warnings.catch_warnings():
        warnings.simplefilter("error", Advice)
        assert consensus(queries, calls).attrs["vote"] is True


def test_without_a_quorum_there_is_no_answer() -> None:
    """Too few answers give null and zero, and a score of zero; missing rows abstain."""
    queries, calls = table({"a": 1.0, "b": 1.0}, 30)
    less = calls[~((calls["query_id"] == "q3") & (calls["model"] == "b"))]
    found = consensus(queries, less, quorum=2).set_index("query_id")
    assert pd.isna(found.loc["q3", "answer"])
    assert 0.0 == found.loc["q3", "confidence"]
    assert found["answer"].notna().sum() == 29
    assert pd.isna(found.loc["q3", "cost_usd"])


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"method": "judge"}, UnknownName, "method of consensus"),
        ({"llms": ["a", "x"]}, UnknownName, "no LLM in these calls 'x'"),
        ({"kind": "words"}, UnknownName, "kind of answers"),
        ({"weights": {"a": float("nan")}, "method": "weighted"}, UsageProblem, "weight of a"),
    ],
)
def test_what_cannot_be_is_one_error(change: dict, error: type, said: str) -> None:
    """Names and numbers that do not fit are named."""
    queries, calls = table({"a": 0.9, "b": 0.8}, 20)
    with pytest.raises(error, match=said):
        consensus(queries, calls, **change)


def test_tables_that_cannot_be_read_say_what_they_lack() -> None:
    """A missing column, and two rows for one query and LLM."""
    queries, calls = table({"a": 0.9, "b": 0.8}, 20)
    with pytest.raises(UsageProblem, match="queries has no column 'query_id'"):
        consensus(queries.rename(columns={"query_id": "id"}), calls)
    with pytest.raises(UsageProblem, match="two rows"):
        consensus(queries, pd.concat([calls, calls.head(1)]))


def test_a_cascade_saves_where_cheap_ones_agree() -> None:
    """Accepted answers cost the cheap calls, the others all; the difference has an interval."""
    costs = {"a": 0.01, "b": 0.01, "s": 0.2}
    queries, calls = table({"a": 0.9, "b": 0.9, "s": 0.95}, 400, costs=costs)
    with warnings.catch_warnings():
        warnings.simplefilter("error", Advice)
        found = bmad_nb.lab.cascade(queries, calls, cheap=["a", "b"], strong="s")
    told = found.attrs
    accepted = found["accepted"].mean()
    assert pytest.approx(0.02 / 0.2 + 1 - accepted) == told["cost_share"]
    assert (True, pytest.approx(0.1)) == (told["pays"], told["break_even"])
    assert told["low"] <= told["difference"] <= told["high"]
    assert {0.02, 0.22} == {round(each, 6) for each in found["cost_usd"]}


@pytest.mark.parametrize("cheap_usd", [0.15, 0.09])
def test_a_losing_cascade_is_warned_of(cheap_usd: float) -> None:
    """Where cheap ones cost as much as the strong one, or nearly, it is said beforehand."""
    costs = {"a": cheap_usd, "b": cheap_usd, "s": 0.2}
    queries, calls = table({"a": 0.6, "b": 0.6, "s": 0.9}, 60, costs=costs)
    with pytest.warns(Advice, match="The cheap LLMs together cost"):
        found = cascade(queries, calls, cheap=["a", "b"], strong="s")
    assert found.attrs["pays"] is False
    assert found.attrs["warning"]


def test_a_cascade_needs_two_cheap_ones_and_another() -> None:
    """One cheap LLM cannot agree with itself."""
    queries, calls = table({"a": 0.9, "b": 0.9, "s": 0.9}, 20)
    for cheap, strong in ((["a"], "s"), (["a", "a"], "s"), (["a", "s"], "s")):
        with pytest.raises(UsageProblem, match="two cheap LLMs"):
            cascade(queries, calls, cheap=cheap, strong=strong)
