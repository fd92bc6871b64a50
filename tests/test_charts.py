"""Charts and their static twins."""

from __future__ import annotations

import json
from decimal import Decimal
from xml.etree import ElementTree as ET

import pandas as pd
import pytest
from IPython.core.formatters import DisplayFormatter

from bmad_nb.charts import KINDS, Chart, frontier, timeline
from bmad_nb.charts.quality import _scatter, hull_of
from bmad_nb.events import CallRow
from bmad_nb.frames import calls
from bmad_nb.render.svg import Mark
from bmad_nb.scorers.base import interval


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
    marks = {mark.label: mark for mark in _scatter(frame).marks}
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
    assert None is _scatter(frame).marks[0].low


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
    low, high = interval(values)
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
    assert ((0.0, 0.2), (1.0, 0.8), (3.0, 1.0)) == hull_of(marks)


def test_nothing_at_all():
    """An empty frame gives an empty chart, not an error."""
    assert isinstance(frontier(calls([])), Chart)
    assert isinstance(frontier(pd.DataFrame({"llm": ["a"], "score": [0.5]})), Chart)


def test_figure_can_be_changed():
    """The chart stays a plotly figure: a copy or a change keeps it working."""
    chart = frontier(_two()).update_layout(height=500)
    assert 500 == chart.layout.height
    assert "text/html" in chart._repr_mimebundle_()


def _at(second, task, state="answered", took=1.0, **fields):
    """Return a call of a task that began at a second of a run."""
    start = pd.Timestamp("2026-01-01", tz="UTC") + pd.Timedelta(seconds=second)
    end = pd.NaT if took is None else start + pd.Timedelta(seconds=took)
    given = {"task": task, "state": state, "llm": "a/b", "attempt": 1, "from_store": False,
             "simulated": False, "started_utc": start, "ended_utc": end}  # fmt: skip
    return given | fields


def _timeline(*calls, tasks=()):
    return timeline(pd.DataFrame(list(tasks)), pd.DataFrame(list(calls)))


_MIXED = (
    _at(0, "split", took=2), _at(2, "read", took=3), _at(2, "read", took=4, attempt=2),
    _at(2, "guess", "failed", took=1, error_kind="RateLimited"),
    _at(3, "read", took=0, from_store=True), _at(5, "report", "in_flight", took=None),
)  # fmt: skip


def test_a_timeline_has_a_lane_per_task_and_a_bar_per_call():
    """Each call is one bar in the lane of its task, with its start and length in seconds."""
    chart = _timeline(*_MIXED)
    assert ["split", "read", "guess", "report"] == list(chart.layout.yaxis.ticktext)
    bars = {trace.name: trace for trace in chart.data}
    assert [(0, 2), (2, 3), (2, 4)] == list(
        zip(bars["answered"].base, bars["answered"].x, strict=True)
    )
    assert [(2, 1)] == list(zip(bars["failed"].base, bars["failed"].x, strict=True))
    assert [(5, 1)] == list(zip(bars["in_flight"].base, bars["in_flight"].x, strict=True))
    assert "RateLimited" in bars["failed"].hovertext[0]


def test_failed_calls_have_a_cross_and_stored_ones_a_word():
    """A call without an answer ends in a cross; an answer from the store is a mark that says so."""
    chart = _timeline(*_MIXED)
    marks = {trace.name: trace for trace in chart.data if trace.type == "scatter"}
    assert [3] == list(marks["x-thin"].x)
    assert [3] == list(marks["line-ns"].x)
    assert "from the store" in marks["line-ns"].text[0]
    page = chart._repr_html_()
    assert ">from the store</text>" in page
    assert "Outline with a cross: no answer." in page
    assert "Short mark: from the store." in page


def test_bars_of_a_lane_do_not_overlap():
    """Calls at the same time stand in rows of their own, and one after the other in one row."""
    chart = _timeline(_at(0, "a", took=2), _at(1, "a", took=2), _at(2, "a", took=1))
    (bars,) = [trace for trace in chart.data if trace.name == "answered"]
    places = dict(zip(bars.base, bars.y, strict=True))
    assert places[0] == places[2] != places[1]


def test_a_task_without_calls_is_a_thin_bar():
    """A task that asks no LLM is a thin bar; one that never began is named and not drawn."""
    start = pd.Timestamp("2026-01-01", tz="UTC")
    tasks = [
        {"task": "split", "verb": "python", "state": "done", "started_utc": start,
         "ended_utc": start + pd.Timedelta(seconds=1)},
        {"task": "never", "verb": "prompt", "state": "skipped", "started_utc": pd.NaT,
         "ended_utc": pd.NaT},
    ]  # fmt: skip
    chart = _timeline(_at(1, "read"), tasks=tasks)
    (thin,) = [trace for trace in chart.data if trace.name == "local"]
    assert [1] == list(thin.x)
    assert max(thin.width) < 0.5
    assert "Not drawn, for want of a time: never." in repr(chart)
    assert ["split", "read"] == list(chart.layout.yaxis.ticktext)


def test_axes_have_units_and_the_title_says_simulated():
    """The time axis names seconds; simulated calls are said in the title."""
    chart = _timeline(_at(0, "a", simulated=True), _at(1, "b"))
    assert "seconds (s)" in chart.layout.xaxis.title.text
    assert "task" == chart.layout.yaxis.title.text
    expected = "Calls over time: 2 calls in 2.0 s; 1 of them simulated"
    assert expected == chart.layout.title.text == repr(chart).splitlines()[0]
    assert "all of them simulated" in repr(_timeline(_at(0, "a", simulated=True)))
    assert "simulated" not in repr(_timeline(_at(0, "a")))


def test_the_twin_of_a_timeline_has_the_same_numbers():
    """Table and text give calls, answers from the store, failures and times of each task."""
    chart = _timeline(*_MIXED)
    lines = {line.split()[0]: line.split() for line in repr(chart).splitlines() if line}
    assert ["read", "–", "3", "1", "0", "2.0", "s", "4.0", "s"] == lines["read"]
    assert ["guess", "–", "1", "0", "1"] == lines["guess"][:5]
    svg = chart._repr_mimebundle_()["image/svg+xml"]
    root = ET.fromstring(svg)
    assert "currentColor" not in svg
    said = root.find("{http://www.w3.org/2000/svg}desc").text
    assert "read: 3 from 2.0 s to 6.0 s" in said
    assert "guess: 1 from 2.0 s to 3.0 s, 1 of them failed" in said


def test_nothing_happened():
    """Empty frames, and calls without times, give a chart that says so and no error."""
    assert "0 calls in 0 s" in repr(timeline(pd.DataFrame(), calls([])))
    timeless = _at(0, "a", started_utc=pd.NaT, ended_utc=pd.NaT)
    assert "1 call without a time." in repr(_timeline(timeless))


def test_a_huge_timeline_is_cut_and_says_so():
    """Of very many tasks and calls the first are drawn; how many are left out is said."""
    every = [_at(n % 97, f"task{n % 500}") for n in range(5_000)]
    chart = _timeline(*every)
    assert len(chart._repr_html_()) < 200_000
    drawn = sum(len(trace.base) for trace in chart.data if trace.type == "bar")
    assert f"{5_000 - drawn:,} more bars left out" in repr(chart)
    assert 0 < drawn < 5_000
    assert "The table has 60 of 500 tasks." in repr(chart)


def _kinds(frame):
    return {name: chart(frame) for name, chart in KINDS.items()}


def test_every_chart_has_a_whole_twin():
    """Each chart has figure, page, picture and text; all name every LLM; nothing is fetched."""
    hostile = "a/<script>alert(1)</script>$x$"
    frame = _frame(
        *(_row(hostile, str(n), n % 2, "0.0001", text="Paris") for n in range(4)),
        *(_row("b/sim", str(n), 0.5, "0.01", simulated=True, text="paris.") for n in range(4)),
    )
    for name, chart in _kinds(frame).items():
        bundle = chart._repr_mimebundle_()
        json.dumps(bundle["application/vnd.plotly.v1+json"], allow_nan=False)
        assert ET.fromstring(bundle["image/svg+xml"]).tag.endswith("svg"), name
        for kind in ("text/html", "text/plain"):
            assert "b/sim" in bundle[kind], (name, kind)
            assert "<script" not in bundle["text/html"]
        for kind in ("text/html", "text/plain", "application/vnd.plotly.v1+json"):
            assert "simulated" in str(bundle[kind]), (name, kind)
        assert "b/sim (simulated)" in str(bundle["application/vnd.plotly.v1+json"]), name
        pages = "".join(str(each) for each in bundle.values())
        assert "http" not in pages.replace("http://www.w3.org/2000/svg", ""), name


def test_numbers_in_tiles_hold_on_any_page():
    """What stands in a tile is dark on an opaque light ground, whatever the page's theme is."""
    frame = _frame(*(_row(llm, "1", 0.5, text="x") for llm in ("a/x", "b/y")))
    for name in ("scores", "agreement"):
        tiles = _kinds(frame)[name].data[0]
        for _, ground in tiles.colorscale:
            assert 4.5 < _contrast(tiles.textfont.color, ground), (name, ground)


def _contrast(one, other):
    """Return the contrast of two colours by WCAG 2."""
    lights = sorted(map(_light, (one, other)))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def _light(colour):
    parts = [each / 255 for each in bytes.fromhex(colour.removeprefix("#"))]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(share * each for share, each in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_charts_of_nothing_and_of_failures_are_charts():
    """No answer, no price, no score: each chart is drawn, and says what is missing."""
    frame = _frame(_row("a/b", "1", cost=None, state="failed", text=None, latency_s=None))
    for name, chart in _kinds(frame).items():
        shown = chart._repr_mimebundle_()
        assert "a/b" in shown["text/plain"] or name == "agreement"
    for chart in _kinds(_frame()).values():
        assert "0 LLMs" in chart._repr_mimebundle_()["text/plain"]


def test_the_numbers_are_those_of_the_calls():
    """Median and percentiles, the sum and the mean, shares of fifths, and shares of equal answers."""
    frame = _frame(
        *(_row("a/x", str(n), n / 10, "0.001", latency_s=n + 1.0, text="yes") for n in range(11)),
        *(_row("b/y", str(n), 1.0, "0.002", text="Yes!" if n < 8 else "no") for n in range(11)),
    )
    text = {name: chart._repr_mimebundle_()["text/plain"] for name, chart in _kinds(frame).items()}
    assert "6.0 s  2.0 s to 10.0 s" in text["latency"]
    assert "$0.011" in text["cost"]
    assert "$0.002" in text["cost"]
    line = next(each for each in text["scores"].splitlines() if each.startswith("a/x"))
    assert ["0.50", "2", "2", "2", "2", "3"] == line.split()[1:]
    assert "0.73  8 of 11" in text["agreement"]
