"""Replays of routers: planted skills, results that hold, and tables that nobody should have made."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from bmad_nb import charts, lab
from bmad_nb.errors import BmadError, UnknownName, UsageProblem
from bmad_nb.lab.replaying import ROUTERS
from bmad_nb.routers.base import Candidate, Choice, Demand

WORDS = {"sums": "add the numbers seven and nine", "code": "write a python function that sorts"}


def planted(
    many: int = 240, seed: int = 0, skills: dict[str, tuple[float, float]] | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return queries of two kinds, and calls of LLMs with a skill for each."""
    rng = np.random.default_rng(seed)
    skills = skills or {"a": (0.9, 0.2), "b": (0.2, 0.9), "c": (0.6, 0.6)}
    usd = dict(zip(skills, np.geomspace(0.001, 0.01, len(skills)), strict=True))
    queries, calls = [], []
    for number in range(many):
        kind = number % 2
        name = list(WORDS)[kind]
        text = f"{WORDS[name]} {rng.integers(1_000)} please, case {number}"
        queries.append({"query_id": f"q{number}", "prompt": text, "subset": name})
        for llm, skill in skills.items():
            right = float(rng.random() < skill[kind])
            calls.append(
                {"query_id": f"q{number}", "model": llm, "score": right, "answer": str(right),
                 "cost_usd": usd[llm] * rng.uniform(0.8, 1.2)}
            )  # fmt: skip
    return pd.DataFrame(queries), pd.DataFrame(calls)


def play(*tables: Any, **options: Any) -> lab.Replay:
    """Return a replay with few draws, which is quick."""
    return lab.replay(*tables, **{"draws": 300, **options})


@pytest.fixture(scope="module")
def replayed() -> lab.Replay:
    """Return all routers over planted skills."""
    return lab.replay(*planted())


def test_planted_skills_are_found(replayed: lab.Replay) -> None:
    """The learned router is shown to be above the best mixture, and far above the best LLM."""
    assert set(ROUTERS) == set(replayed.routers["router"])
    assert "learned is above the best mixture" in replayed.verdict
    gap = replayed.difference("learned", "best-single")
    assert gap.is_shown
    assert gap.low > 0.2


def test_unknown_kinds_are_told_from_texts() -> None:
    """Without the kinds of tasks the same skills are found."""
    queries, calls = planted(300)
    found = play(queries.drop(columns="subset"), calls, routers=["learned"])
    assert found.difference("learned", "best-single").low > 0.15


def test_nothing_is_above_the_oracle(replayed: lab.Replay) -> None:
    """No router has more quality, and none has less regret."""
    routers = replayed.routers.set_index("router")
    assert routers["quality"].max() == routers.loc["oracle", "quality"]
    assert routers["regret"].min() == pytest.approx(0.0)


def test_frames_say_all_of_it(replayed: lab.Replay) -> None:
    """Value and interval by router and metric; a choice by router, setting and query."""
    assert ["router", "metric", "value", "low", "high"] == list(replayed.frame.columns)
    known = replayed.frame.dropna()
    assert (known["low"] <= known["value"] + 1e-9).all()
    assert (known["high"] >= known["value"] - 1e-9).all()
    decisions = replayed.decisions
    assert {"router", "setting", "query_id", "llm", "score", "cost_usd", "reason"} == set(decisions)
    learned = decisions[decisions["router"] == "learned"]
    assert 11 * 240 == len(learned)
    first, last = (learned[learned["setting"] == each]["llm"] for each in (0.0, 1.0))
    assert {"a"} == set(first)
    assert 1 <= last.nunique() <= 2  # the best single LLM of each fold
    own = replayed.choices[replayed.choices["router"] == "learned"]
    assert own["reason"].str.contains("expected of it").all()


def test_a_frontier_has_the_llms_and_the_routers(replayed: lab.Replay) -> None:
    """Each LLM is a point, each setting is one, and hulls are marked."""
    found = replayed.frontier
    assert {"a", "b", "c"} == set(found[found["kind"] == "llm"]["name"])
    assert found[found["kind"] == "router"]["on_hull"].any()


def test_a_picture_has_the_routers_and_the_llms(replayed: lab.Replay) -> None:
    """Points stand at the very quality and cost of the frame, and single LLMs beside them."""
    chart = replayed.plot()
    static = chart._repr_mimebundle_()["text/html"]
    assert [] == [name for name in ("learned", "knn", "a", "b", "c") if f">{name}<" not in static]
    row = replayed.routers.set_index("router").loc["learned"]
    points = [(x, y) for trace in chart.data for x, y in zip(trace.x, trace.y, strict=True)]
    assert any(np.allclose(point, (row["cost_usd"], row["quality"])) for point in points)


def test_simulated_llms_are_labelled_wherever_they_stand() -> None:
    """In the card's picture, in choices, in the chart and in the shares: each says simulated."""
    queries, calls = planted(40)
    calls["simulated"] = calls["model"] == "b"
    found = play(queries, calls, routers=["task-mean"])
    assert "b (simulated)" in found._repr_html_()
    assert "a (simulated)" not in found._repr_html_()
    choices = found.choices
    assert {("b", True)} == set(zip(*[choices[choices["simulated"]][c] for c in ("llm", "simulated")], strict=True))  # fmt: skip
    for chart in (found.plot(), charts.share(choices)):
        assert "simulated" in chart._repr_mimebundle_()["text/html"]
    assert ["b (simulated)"] == [t.name for t in charts.share(choices).data if "sim" in t.name]


def test_text_and_markup_say_the_same(replayed: lab.Replay) -> None:
    """Both begin with the verdict, and a name that is markup stays text."""
    assert replayed.verdict in repr(replayed)
    assert "learned is above" in replayed._repr_html_()
    queries, calls = planted(60, skills={"<b>x</b>": (0.5, 0.5), "y": (0.6, 0.6)})
    html = play(queries, calls, routers=["best-single"])._repr_html_()
    assert "<b>x</b>" not in html
    assert "&lt;b&gt;x" in html


def test_the_same_seed_gives_the_same_result() -> None:
    """Twice the same, and another seed deals the folds otherwise."""
    one, two = (play(*planted(120), routers=["knn"], seed=3) for _ in range(2))
    pd.testing.assert_frame_equal(one.frame, two.frame)
    pd.testing.assert_frame_equal(one.choices, two.choices)


def test_rows_may_stand_in_any_order() -> None:
    """Shuffled calls give the same measures."""
    queries, calls = planted(120)
    shuffled = calls.sample(frac=1, random_state=1)
    one, two = (play(queries, each, routers=["task-mean"]) for each in (calls, shuffled))
    pd.testing.assert_frame_equal(one.frame, two.frame)


def test_equal_skills_show_no_difference() -> None:
    """Two kinds of tasks, and nobody is better at one: the router stands back, and says so."""
    same = {"a": (0.6, 0.6), "b": (0.62, 0.62), "c": (0.61, 0.61)}
    found = play(*planted(300, skills=same), routers=["learned"])
    assert found.verdict.startswith("No difference shown")
    assert any("stands back behind the Zero router" in note for note in found.notes)


def test_other_queries_may_be_learned_from() -> None:
    """With train= routers are fitted there and judged on the first pair."""
    found = play(*planted(150, seed=1), routers=["learned"], train=planted(300, seed=2))
    assert "learned from other queries" == found.how
    assert found.difference("learned", "best-single").low > 0.1


def test_two_llms_have_the_measures_of_routellm() -> None:
    """APGR of the Zero router is one half exactly, and the learned one is above."""
    two = {"weak": (0.3, 0.8), "strong": (0.9, 0.8)}
    found = play(*planted(400, skills=two), routers=["learned"]).routers.set_index("router")
    assert 0.5 == pytest.approx(found.loc["zero", "apgr"])
    assert found.loc["learned", "apgr_low"] > 0.55
    assert found.loc["learned", "cpt50"] < 45


class ByWord:
    """A router as it is written in a cell."""

    name = "by word"

    def choose(self, demand: Demand, candidates: list[Candidate]) -> Choice:
        llm = "b" if "python" in demand.prompt else candidates[0].card.id
        return Choice(llm, "a word of the prompt")


def test_a_router_of_a_cell_is_replayed() -> None:
    """An object with nothing but `name` and `choose` is judged, and its reasons are kept."""
    found = play(*planted(100), routers=[ByWord])
    assert found.difference("by word", "best-single").value > 0.1
    mine = found.choices[found.choices["router"] == "by word"]
    assert {"a word of the prompt"} == set(mine["reason"])


def test_a_cascade_pays_for_everybody_whom_it_asks() -> None:
    """Where the cheap LLMs differ all three are paid, and the break-even is said."""
    found = play(*planted(100), routers=["cascade"])
    mine = found.choices[found.choices["router"] == "cascade"]
    calls = planted(100)[1].pivot_table(index="query_id", columns="model", values="cost_usd")
    both = calls.loc[mine["query_id"]].sum(axis=1).to_numpy()
    assert (mine["cost_usd"].to_numpy() <= both + 1e-12).all()
    assert (
        mine["cost_usd"].to_numpy() >= calls.loc[mine["query_id"], ["a", "b"]].min().sum()
    ).all()
    assert any("cheap LLMs together cost" in note for note in found.notes)


def test_regret_of_a_learner_falls_behind_a_static_router() -> None:
    """The history's best LLM is the wrong one for the stream: the bandit finds out."""
    wrong = planted(60, seed=1, skills={"a": (0.5, 0.5), "b": (0.65, 0.65)})
    stream = planted(500, seed=2, skills={"a": (0.9, 0.9), "b": (0.4, 0.4)})
    found = lab.stream(*stream, train=wrong, routers=["thompson", "best-single"])
    last = found.groupby("router")["regret"].last()
    assert last["thompson"] < 0.6 * last["best-single"]


def test_a_bandit_is_never_far_below_its_incumbent() -> None:
    """Where the incumbent is right its lead is lost to exploring by a few points at most."""
    skills = {"a": (0.8, 0.8), "b": (0.3, 0.3), "c": (0.2, 0.2)}
    found = lab.stream(
        *planted(400, seed=2, skills=skills), train=planted(100, seed=1, skills=skills),
        routers=["thompson", "lin-thompson"],
    )  # fmt: skip
    assert (found.groupby("router")["regret"].last() < 0.08 * 400).all()


def test_a_history_of_single_calls_is_estimated() -> None:
    """One call for each query, by chance: the estimate holds what the full table says."""
    queries, calls = planted(600)
    rng = np.random.default_rng(0)
    met = rng.choice(["a", "b", "c"], len(queries))
    logged = calls[calls["model"].to_numpy() == np.repeat(met, 3)].assign(propensity=1 / 3)
    found = lab.policy_value(queries, logged, ByWord, method="doubly_robust")
    right = np.where(queries["prompt"].str.contains("python"), "b", "a")
    truth = calls[calls["model"].to_numpy() == np.repeat(right, 3)]["score"].mean()
    assert found.low <= truth <= found.high
    with pytest.raises(UsageProblem, match=r"lab\.policy_value"):
        play(queries, logged)


def test_a_choice_is_explained() -> None:
    """For one prompt: what is expected of each LLM, and the sentence."""
    found = lab.explain("write a python function that sorts 7", train=planted(300))
    assert "b" == found["llm"].iloc[0]
    assert found["chosen"].iloc[0]
    assert "expected of it" in found.attrs["reason"]


NAN = float("nan")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda q, c: (q, c.drop(columns="score")),
        lambda q, c: (q.drop(columns="query_id"), c),
        lambda q, c: (pd.concat([q, q]), c),
        lambda q, c: (q, pd.concat([c, c])),
        lambda q, c: (q, c.assign(score=NAN)),
        lambda q, c: (q, c.assign(score=2.0)),
        lambda q, c: (q, c.assign(score=np.inf)),
        lambda q, c: (q, c.assign(cost_usd=-1.0)),
        lambda q, c: (q, c.assign(model=None)),
        lambda q, c: (q.head(0), c),
        lambda q, c: (q, c.head(0)),
        lambda q, c: (q.head(1), c),
        lambda q, c: (q.assign(query_id=range(len(q))), c),
        lambda q, c: ([], c),
    ],
)
def test_a_table_that_cannot_be_used_is_one_typed_error(spoil: object) -> None:
    """Columns that are missing, rows that stand twice, scores that are none, empty tables."""
    with pytest.raises(BmadError):
        play(*spoil(*planted(40)), routers=["learned", "knn"])


@pytest.mark.parametrize(
    "change",
    [
        lambda q, c: (q, c[c["model"] == "a"]),
        lambda q, c: (q, c.assign(score=1.0)),
        lambda q, c: (q, c.assign(cost_usd=0.0)),
        lambda q, c: (q, c.assign(cost_usd=NAN)),
        lambda q, c: (q, c.assign(cost_usd=[NAN, *c["cost_usd"][1:]])),
        lambda q, c: (q, c.assign(score=[NAN, *c["score"][1:]])),
        lambda q, c: (q.drop(columns=["prompt", "subset"]), c),
        lambda q, c: (q.assign(prompt=""), c),
        lambda q, c: (q.assign(prompt="\ud800 \x00 \u202e"), c),
        lambda q, c: (q.head(2), c),
        lambda q, c: (q.assign(prompt=["x" * 200_000, *q["prompt"][1:]]), c),
    ],
)
def test_a_strange_table_has_a_sound_result(change: object) -> None:
    """One LLM, constant scores, free or unknown costs, no prompts, two queries: it still stands."""
    found = play(*change(*planted(40)))
    quality = found.routers["quality"]
    assert ((quality >= 0) & (quality <= 1)).all()
    assert found.verdict in repr(found)


def test_what_cannot_be_is_said() -> None:
    """Names that do not exist, numbers that are none, two routers of one name."""
    tables = planted(40)
    with pytest.raises(UnknownName, match="learnd"):
        play(*tables, routers=["learnd"])
    with pytest.raises(UsageProblem, match="folds cannot be 1"):
        play(*tables, folds=1)
    with pytest.raises(UsageProblem, match="is no router"):
        play(*tables, routers=[42])
    with pytest.raises(UsageProblem, match="Two routers"):
        play(*tables, routers=[ByWord, ByWord])
    with pytest.raises(UnknownName, match="LLM in these calls"):
        play(*tables, llms=["a", "z"])
