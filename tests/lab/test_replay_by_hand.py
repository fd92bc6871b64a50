"""Each measure of a replay, computed by hand on four queries and two LLMs."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

from bmad_nb import charts, lab
from bmad_nb.errors import UnknownName, UsageProblem
from bmad_nb.lab.whatif import cheapest_at
from bmad_nb.routers.outcomes import Picks, Questions

SCORES = {"weak": (1, 0, 0, 1), "strong": (1, 1, 1, 0)}
USD = {"weak": 0.001, "strong": 0.01}


def tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return four queries of two kinds; the strong LLM is right in three, the weak one in two."""
    queries = pd.DataFrame(
        {"query_id": ["q1", "q2", "q3", "q4"], "prompt": ["one", "two", "three", "four"],
         "subset": ["odd", "even", "odd", "even"]}
    )  # fmt: skip
    calls = [
        {"query_id": f"q{n}", "model": llm, "score": score, "cost_usd": USD[llm]}
        for llm, scores in SCORES.items()
        for n, score in enumerate(scores, 1)
    ]
    return queries, pd.DataFrame(calls)


class Mine:
    """Asks the strong LLM for the second query; expects most gain there, then in the third."""

    name = "mine"
    gains: ClassVar = {"one": 0.1, "two": 0.9, "three": 0.5, "four": -0.5}

    def choose(self, demand: object, candidates: object) -> object:
        """Choose live; it is never called here."""
        raise NotImplementedError

    def choose_many(self, questions: Questions) -> Picks:
        """Return the choices with what is expected of both LLMs."""
        strong = questions.llms.index("strong")
        llm = np.array([strong if p == "two" else 1 - strong for p in questions.prompts])
        expected = np.full((len(llm), 2), 0.5)
        expected[:, strong] += [self.gains[prompt] for prompt in questions.prompts]
        return Picks(llm, expected=expected)


@pytest.fixture(scope="module")
def found() -> lab.Replay:
    """Return the replay, at shares 0, 0.25, 0.5, 0.75 and 1 of calls to the strong LLM."""
    return lab.replay(*tables(), routers=[Mine()], train=tables(), steps=5, draws=100)


def _arena(quality: float, usd: float) -> float:
    cheap = math.log2(200 / (1000 * usd)) / math.log2(200 / 0.0044)
    return 1.1 * quality * cheap / (0.1 * quality + cheap)


BY_HAND = {
    # right: q1 (weak), q2 (strong), q4 (weak); three calls at 0.001 and one at 0.01
    ("mine", "quality"): 3 / 4,
    ("mine", "cost_usd"): 0.00325,
    ("mine", "gain"): 0.0,  # the strong LLM alone: 3 of 4
    ("mine", "regret"): 0.25,  # the best choices: 4 of 4
    ("mine", "oracle_share"): 0.0,
    ("mine", "pgr"): 1.0,  # (0.75 - 0.5) / (0.75 - 0.5)
    # quality at the shares: 0.5, 0.75, 1, 1, 0.75, so PGR 0, 1, 2, 2, 1; trapezoids of width 0.25
    ("mine", "apgr"): 0.25 * (0.5 + 1.5 + 2.0 + 1.5),
    ("mine", "cpt50"): 12.5,  # half of the way from share 0 to 0.25
    ("mine", "cpt80"): 20.0,
    # hull: 0.5 at 0.001, straight to 1 at 0.0055, then level to 0.01
    ("mine", "aiq"): 0.5 * 0.75 + 0.5 * 1.0,
    ("mine", "aiq_gain"): 0.875 - 0.625,
    ("mine", "arena"): _arena(0.75, 0.00325),
    ("zero", "aiq"): 0.625,  # from 0.5 straight to 0.75
    ("zero", "apgr"): 0.5,  # a mixture by chance, counted by its probabilities
    ("zero", "cpt50"): 50.0,
    ("zero", "cpt80"): 80.0,
    ("zero", "aiq_gain"): 0.0,
    ("cheapest", "quality"): 0.5,
    ("cheapest", "gain"): -0.25,
    ("cheapest", "pgr"): 0.0,
    ("best-single", "cost_usd"): 0.01,
    ("best-single", "pgr"): 1.0,
    ("oracle", "quality"): 1.0,
    ("oracle", "cost_usd"): 0.0055,  # of equal ones the cheaper: weak for q1
    ("oracle", "oracle_share"): 1.0,
    ("oracle", "pgr"): 2.0,
    ("oracle", "regret"): 0.0,
}


@pytest.mark.parametrize(("router", "metric"), list(BY_HAND))
def test_each_measure_by_hand(found: lab.Replay, router: str, metric: str) -> None:
    """The frame has what paper and pencil give."""
    frame = found.frame.set_index(["router", "metric"])["value"]
    assert BY_HAND[router, metric] == pytest.approx(frame[router, metric], abs=1e-12)


def test_no_measure_is_left_out(found: lab.Replay) -> None:
    """The table above has every metric that a frame of two LLMs has."""
    assert {metric for name, metric in BY_HAND if name == "mine"} == set(found.frame["metric"])


def test_a_share_of_right_answers_has_wilsons_interval(found: lab.Replay) -> None:
    """Three of four: 0.301 to 0.954 (Wilson, 1927)."""
    row = found.frame.set_index(["router", "metric"]).loc["mine", "quality"]
    assert (0.301, 0.954) == (round(row["low"], 3), round(row["high"], 3))


def test_decisions_say_who_is_asked_at_each_trade_off(found: lab.Replay) -> None:
    """The second query leaves the weak LLM first, then the third, the first and the fourth."""
    mine = found.decisions[found.decisions["router"] == "mine"]
    asked = {
        setting: set(own.loc[own["llm"] == "strong", "query_id"])
        for setting, own in mine.groupby("setting")
    }
    assert {
        0.0: set(), 0.25: {"q2"}, 0.5: {"q2", "q3"}, 0.75: {"q1", "q2", "q3"},
        1.0: {"q1", "q2", "q3", "q4"},
    } == asked  # fmt: skip


def test_a_quality_at_other_prices_by_hand(found: lab.Replay) -> None:
    """0.7 is two fifths of the way to 1 for the router, four fifths of the way to 0.75 without."""
    frame = found.prices(factors=[1, 2])
    costs = {(r.router, r.factor): r.cost_usd for r in frame.itertuples()}
    assert {"Zero router", "mine"} == set(frame["router"])
    assert [0.7] == pytest.approx(list(set(frame["quality"])))
    assert 0.001 + 0.4 * 0.0045 == pytest.approx(costs["mine", 1.0])
    assert 0.001 + 0.8 * 0.009 == pytest.approx(costs["Zero router", 1.0])
    assert 0.001 + 0.4 * 0.0095 == pytest.approx(costs["mine", 2.0])
    assert 0.001 + 0.8 * 0.019 == pytest.approx(costs["Zero router", 2.0])
    other = found.prices("weak", factors=[3.0], quality=0.5)
    assert [0.003, 0.003] == pytest.approx(other["cost_usd"].tolist())
    assert found.prices(factors=[1.0], quality=0.9)["cost_usd"].isna().tolist() == [True, False]
    assert np.isnan(cheapest_at(np.array([1.0]), np.array([0.4]), 0.5))


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"llm": "stong"}, UnknownName, "strong"),
        ({"factors": [0.0]}, UsageProblem, "above 0"),
        ({"factors": []}, UsageProblem, "above 0"),
        ({"quality": 1.5}, UsageProblem, "score in"),
    ],
)
def test_prices_that_cannot_be(
    found: lab.Replay, given: dict, error: type[Exception], said: str
) -> None:
    """One typed error that says what to give."""
    with pytest.raises(error, match=said):
        found.prices(**given)


def test_charts_of_a_replay_show_its_numbers(found: lab.Replay) -> None:
    """Shares by kind of task, regret, money by LLM and prices, live and in text."""
    share = found.plot("share")
    bars = {each.name: dict(zip(each.y, each.x, strict=True)) for each in share.data}
    assert {"odd": 1.0, "even": 0.5} == bars["weak"]
    assert {"odd": 0.0, "even": 0.5} == bars["strong"]
    assert "50 %" in repr(share)
    regret = found.plot("regret")
    marks = {each.y[0]: each.x[0] for each in regret.data}
    assert {"mine": 0.25, "best-single": 0.25, "cheapest": 0.5} == {
        name: pytest.approx(marks[name]) for name in ("mine", "best-single", "cheapest")
    }
    assert "oracle" not in marks
    spent = found.plot("cost")
    money = {each.name: dict(zip(each.y, each.x, strict=True)) for each in spent.data}
    assert 0.003 / 0.04 == pytest.approx(money["weak"]["mine"])  # of the dearest, $0.04
    assert 0.01 / 0.04 == pytest.approx(money["strong"]["mine"])
    assert "$0.013" in repr(spent)
    prices = charts.prices(found.prices(factors=[1, 2]))
    lines = {each.name: list(each.y) for each in prices.data}
    assert [0.0028, 0.0048] == pytest.approx(lines["mine"])
    assert "$0.0082" in repr(prices)
    assert "not reached" in repr(charts.prices(found.prices(factors=[1.0], quality=0.9)))
    calibration = found.plot("calibration", "mine")
    assert "4 choices" in repr(calibration)
    for chart in (share, regret, spent, prices, calibration, found.plot()):
        bundle = chart._repr_mimebundle_()
        assert bundle["image/svg+xml"].startswith("<svg")
        assert "<table" in bundle["text/html"]


def test_what_cannot_be_drawn_is_said(found: lab.Replay) -> None:
    """A chart or router that is none, a router that expects nothing, a table without costs."""
    with pytest.raises(UnknownName, match="regret"):
        found.plot("regrets")
    with pytest.raises(UnknownName, match="mine"):
        found.plot("share", "min")
    with pytest.raises(UsageProblem, match="expects no score"):
        found.plot("calibration", "random")
    queries, calls = tables()
    free = lab.replay(
        queries, calls.drop(columns="cost_usd"), routers=[Mine()], train=tables(), draws=100
    )
    for kind in ("cost", "prices"):
        with pytest.raises(UsageProblem, match="cost_usd"):
            free.plot(kind)
    assert "mine" in repr(free.plot("regret"))


def test_regret_over_a_stream_is_a_line_for_each_router() -> None:
    """Summed up regret, thinned but with its last point; baselines are dashed."""
    places = np.arange(1_000)
    frame = pd.concat(
        pd.DataFrame({"router": name, "place": places, "regret": slope * (places + 1.0),
                      "oracle_regret": 2 * slope * (places + 1.0), "reward": 1 - slope})
        for name, slope in (("thompson", 0.1), ("random", 0.5))
    )  # fmt: skip
    chart = charts.regret(frame)
    lines = {each.name: each for each in chart.data}
    assert (1000.0, pytest.approx(100.0)) == (lines["thompson"].x[-1], lines["thompson"].y[-1])
    assert len(lines["thompson"].x) <= 201
    assert ("solid", "dash") == (lines["thompson"].line.dash, lines["random"].line.dash)
    text = repr(chart)
    assert "1,000 queries" in text
    assert "200.0" in text  # against the best choices
    assert "0.90" in text
    assert 2 == chart._repr_html_().count("<path")
    evil = charts.regret(frame.assign(router="<script>alert(1)</script>"))
    assert "<script>" not in evil._repr_html_()
