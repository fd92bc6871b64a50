"""Charts and their static twins."""

from __future__ import annotations

import json
from decimal import Decimal
from xml.etree import ElementTree as ET

import pandas as pd
import pytest
from IPython.core.formatters import DisplayFormatter

from bmad_nb.charts import Chart, _hull, _interval, frontier
from bmad_nb.events import CallRow
from bmad_nb.frames import calls
from bmad_nb.render.svg import Mark


def _row(llm, case, score=None, cost="0.001", **fields):
    return CallRow(
        **(
            {"call_id": "1", "run_id": "r", "llm": llm, "request_key": "k", "state": "answered",
             "case": case, "text": "x", "score": score, "latency_s": 1.0,
             "cost_usd": None if cost is None else Decimal(cost)}
            | fields
        )
    )  # fmt: skip


def _frame(*rows):
    return calls(rows)


def _two(**fields):
    return _frame(
        *(_row("a/cheap", str(n), n % 2, "0.0001") for n in range(4)),
        *(_row("b/dear", str(n), 1.0, "0.01", **fields) for n in range(4)),
    )


def test_bundle_is_what_ipython_shows():
    """IPython shows our bundle, with the twin, and not plotly's own display."""
    shown, _ = DisplayFormatter().format(frontier(_two()))
    assert {
        "application/vnd.plotly.v1+json", "text/html", "image/svg+xml", "text/plain"
    } == set(shown)  # fmt: skip
    assert "a/cheap" in shown["text/plain"]
    json.dumps(shown["application/vnd.plotly.v1+json"], allow_nan=False)


def test_twin_fetches_nothing():
    """Neither the twin nor the figure names an address to fetch from."""
    bundle = frontier(_two())._repr_mimebundle_()
    pages = "".join(str(each) for each in bundle.values())
    assert "" == "".join(pages.replace("http://www.w3.org/2000/svg", "").split("http")[1:])
    assert "<script" not in pages


def test_picture_is_a_file_of_its_own():
    """The SVG is well-formed and names its colours, since it has no theme to inherit."""
    picture = frontier(_two())._repr_mimebundle_()["image/svg+xml"]
    assert ET.fromstring(picture).tag.endswith("svg")
    assert "currentColor" not in picture


def test_words_vanish_with_the_picture():
    """A sanitizer that drops the picture leaves no stray words but a sentence."""
    page = frontier(_two())._repr_mimebundle_()["text/html"]
    assert '<div style="font-size:0;line-height:0"><svg' in page
    assert "max-height:calc(0px)" in page


def test_unscored_calls_show_latency():
    """Without scores the chart shows latency and says that nothing was scored."""
    chart = frontier(_frame(_row("a/b", "1"), _row("c/d", "1", cost="0.002")))
    assert "nothing was scored" in chart.layout.title.text
    assert "latency" in chart.layout.yaxis.title.text
    assert [] == [trace for trace in chart.data if trace.mode == "lines"]


def test_simulated_is_hollow_and_outside_the_line():
    """A simulated LLM is a hollow mark with its word, and the line leaves it out."""
    chart = frontier(_two(simulated=True))
    marks = {trace.name: trace for trace in chart.data if trace.mode == "markers"}
    assert "circle-open" == marks["b/dear (simulated)"].marker.symbol
    line = next(trace for trace in chart.data if trace.mode == "lines")
    assert [0.0001] == pytest.approx(list(line.x))


def test_stored_answers_count_with_their_price():
    """An answer from the store has the cost that it had when it was made."""
    frame = _frame(
        _row("a/b", "1", 1.0, "0", from_store=True, original_cost_usd=Decimal("0.004")),
        _row("c/d", "1", 0.5, "0.002"),
    )
    marks = {mark.label: mark for mark in frontier(frame)._static.marks}
    assert 0.004 == pytest.approx(marks["a/b"].x)


def test_own_machine_has_a_place_for_zero():
    """A cost of zero is drawn beside a logarithmic axis, and labelled."""
    frame = _frame(
        _row("local/x", "1", 0.2, "0", runs_here=True),
        _row("a/b", "1", 0.5, "0.0001"),
        _row("c/d", "1", 0.9, "0.1"),
    )
    chart = frontier(frame)
    assert "log" == chart.layout.xaxis.type
    assert "&#36;0" == chart.layout.xaxis.ticktext[0]
    assert "own machine" in chart._repr_mimebundle_()["text/plain"]


def test_unknown_price_is_in_the_table_only():
    """An LLM without a price is not drawn, is named, and says that its price is unknown."""
    chart = frontier(_frame(_row("a/b", "1", 1.0, None), _row("c/d", "1", 1.0)))
    text = chart._repr_mimebundle_()["text/plain"]
    assert "price unknown" in text
    assert "for want of a price or a score: a/b" in text
    assert ["c/d"] == [trace.name for trace in chart.data if trace.mode == "markers"]


def test_samples_are_no_evidence_of_their_own():
    """Samples of one case are averaged before the interval is made."""
    frame = _frame(*(_row("a/b", "1", n % 2, sample=n) for n in range(10)))
    assert None is frontier(frame)._static.marks[0].low


@pytest.mark.parametrize(
    ("expected", "values"),
    [
        ((None, None), [1.0]),
        ((0.758, 1.0), [1.0] * 12),
        ((0.096, 0.904), [0.3, 0.7, 0.5]),
    ],
)
def test_intervals(expected, values):
    """All right is not certainty: Wilson for 0 and 1, Student's t else, none for a single case."""
    low, high = _interval(values, score=True)
    if expected == (None, None):
        assert expected == (low, high)
    else:
        assert (pytest.approx(expected[0], abs=0.1), pytest.approx(expected[1], abs=0.1)) == (
            low,
            high,
        )


def test_hull_is_convex():
    """A dominated LLM is off the line, and so is one that a mix of two others beats."""
    marks = [Mark("a", 0.0, 0.2), Mark("b", 1.0, 0.8), Mark("c", 2.0, 0.85), Mark("d", 3.0, 1.0),
             Mark("e", 2.5, 0.5)]  # fmt: skip
    assert ((0.0, 0.2), (1.0, 0.8), (3.0, 1.0)) == _hull(marks)


def test_nothing_at_all():
    """An empty frame gives an empty chart, not an error."""
    assert isinstance(frontier(calls([])), Chart)
    assert isinstance(frontier(pd.DataFrame({"llm": ["a"], "score": [0.5]})), Chart)


def test_figure_can_be_changed():
    """The chart stays a plotly figure: a copy or a change keeps it working."""
    chart = frontier(_two()).update_layout(height=500)
    assert 500 == chart.layout.height
    assert "text/html" in chart._repr_mimebundle_()
