"""Charts of routers: the numbers that they show, live and in their static twin."""

from __future__ import annotations

import pandas as pd
import pytest

from bmad_nb import charts
from bmad_nb.charts.routing import experiment


def calls() -> pd.DataFrame:
    """Return answers of a cheap, a middling and a dear LLM to four queries."""
    rows = [
        (query, model, score, cost)
        for model, scores, cost in (
            ("cheap", (0, 0, 1, 0), 0.001), ("mid", (0, 1, 1, 0), 0.004), ("dear", (1, 1, 1, 0), 0.005),
        )
        for query, score in enumerate(scores)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["query_id", "model", "score", "cost_usd"])


ROUTERS = pd.DataFrame(
    {"router": ["mine", "zero"], "quality": [0.75, 0.5], "cost_usd": [0.002, 0.003],
     "low": [0.6, 0.4], "high": [0.9, 0.6]}
)  # fmt: skip


def test_routers_stand_beside_the_hull_of_single_llms() -> None:
    """Diamonds for routers, dots for LLMs, and the hull leaves out what a mix beats."""
    chart = charts.routing(calls(), ROUTERS, title="What it shows")
    text = repr(chart)
    assert "What it shows" in text
    assert "0.60 to 0.90" in text
    assert "$0.0020" in text or "$0.002" in text
    hull = chart.data[0]
    assert [0.001, 0.005] == list(hull.x)
    assert [0.25, 0.75] == list(hull.y)
    symbols = [each.marker.symbol for each in chart.data if each.marker.symbol]
    assert (1, 3) == (symbols.count("diamond"), symbols.count("circle"))
    assert "zero" not in text  # it is the line
    bundle = chart._repr_mimebundle_()
    assert "<polygon" in bundle["image/svg+xml"]
    assert "<polygon" in bundle["text/html"]


def test_simulated_ones_are_said_to_be() -> None:
    """The note stands in every form."""
    chart = charts.routing(calls().assign(simulated=True), ROUTERS)
    assert "Simulated LLMs" in repr(chart)
    assert "Simulated LLMs" in chart._repr_html_()
    assert [0.001, 0.005] == list(chart.data[0].x)  # the hull is that of all of them


def test_shares_sum_up_to_one() -> None:
    """A bar for each router, a part for each LLM, the most chosen first."""
    decisions = pd.DataFrame(
        {"router": ["a"] * 4 + ["b"] * 2, "llm": ["x", "x", "x", "y", "y", "y"]}
    )
    chart = charts.share(decisions)
    assert ["x", "y"] == [each.name for each in chart.data]
    assert [[0.75, 0.0], [0.25, 1.0]] == [list(each.x) for each in chart.data]
    assert "75 %" in repr(chart)
    assert "<rect" in chart._repr_html_()
    evil = decisions.assign(llm="<script>")
    assert "<script>" not in charts.share(evil)._repr_html_()


def test_calibration_is_the_distance_from_the_line() -> None:
    """Equal bins, their mean score against what was expected, and the error by hand."""
    expected = [0.2] * 10 + [0.8] * 10
    scores = [0] * 8 + [1] * 2 + [1] * 6 + [0] * 4
    chart = charts.calibration(expected, scores, bins=2)
    assert "0.100 apart" in repr(chart)  # (0 + 0.2) / 2
    dots = [each for each in chart.data if each.mode == "markers"]
    assert [(0.2, 0.2), (0.8, 0.6)] == [
        (pytest.approx(each.x[0]), pytest.approx(each.y[0])) for each in dots
    ]
    assert "0 choices" in repr(charts.calibration([], []))


def test_an_experiment_is_drawn_from_its_frame() -> None:
    """Each router a diamond at its quality and cost, hollow where LLMs are simulated."""
    frame = pd.DataFrame(
        [("a", "quality", 0.5, 0.4, 0.6), ("a", "cost_usd", 0.01, 0.01, 0.01),
         ("b", "quality", 0.9, 0.8, 1.0), ("b", "cost_usd", 0.02, 0.02, 0.02)],
        columns=["router", "metric", "value", "low", "high"],
    )  # fmt: skip
    chart = experiment(frame, "b is better", simulated=True)
    dots = [each for each in chart.data if each.mode == "markers"]
    assert [(0.01, 0.5), (0.02, 0.9)] == [(each.x[0], each.y[0]) for each in dots]
    assert {"diamond-open"} == {each.marker.symbol for each in dots}
    assert repr(chart).startswith("b is better")
