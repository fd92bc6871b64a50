"""Results: the answer as text, rows as a frame, JSON for programs, and the best of several."""

from __future__ import annotations

import dataclasses
import json
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest

from bmad_nb import frames
from bmad_nb.errors import UnknownName, UsageProblem
from bmad_nb.events import CallRow, RunRow
from bmad_nb.messages import Message
from bmad_nb.results import MIME, Comparison, Result, Text, as_json

RUN = RunRow("abcd1234", "compare", "completed", title="Why?")
ONE = CallRow(
    "r-0", "abcd1234", "own/one", "key one", "answered", text="Ice is light.",
    messages=(Message("user", "Why?"),), cost_usd=Decimal("0.25"), original_cost_usd=Decimal("0.25"),
    latency_s=0.5, original_latency_s=0.5, score=0.5, scorer="exact", billed="yes",
)  # fmt: skip
TWO = dataclasses.replace(
    ONE, call_id="r-1", llm="own/two", text="Ice is lighter.", score=1.0, cost_usd=None
)
SIM = dataclasses.replace(ONE, call_id="r-2", llm="sim/hasty", simulated=True, score=None)
FAILED = dataclasses.replace(
    ONE, call_id="r-3", llm="own/bad", state="failed", text=None, score=None, error="It broke.",
    error_kind="BadAnswer", cost_usd=None,
)  # fmt: skip
COPY = dataclasses.replace(ONE, call_id="r-4", from_store=True, cost_usd=Decimal(0), latency_s=0.0)
HOSTILE = dataclasses.replace(
    ONE, call_id="r-5", text="<script>alert(1)</script> \ud800 \x00 \x1b[31m /etc/passwd"
)


def comparison(*rows: CallRow, **run: Any) -> Comparison:
    """Return a comparison of rows."""
    return Comparison(dataclasses.replace(RUN, **run), rows)


def test_the_text_is_the_answer() -> None:
    """`str` of a result is its answer, so that it can stand in the next prompt."""
    result = Result(dataclasses.replace(RUN, verb="ask"), [ONE])
    assert "Ice is light." == str(result) == result.text
    assert "abcd1234" == result.id


@pytest.mark.parametrize(
    ("expected", "rows"),
    [
        ("Ice is lighter.", [ONE, TWO]),
        ("Ice is light.", [SIM, ONE]),
        ("Ice is light.", [FAILED, ONE]),
        ("", [FAILED]),
        ("", []),
    ],
    ids=["best", "first scored", "first answered", "none", "empty"],
)
def test_the_text_of_several_is_the_best_or_the_first(expected: str, rows: list[CallRow]) -> None:
    """With scores the best answer is the text, else the first one; without any it is empty."""
    assert expected == str(comparison(*rows))


@pytest.mark.parametrize(
    ("expected", "rows"),
    [
        ("own/two", [ONE, TWO]),
        ("own/two", [TWO, ONE, FAILED, SIM]),
        (None, [ONE, dataclasses.replace(TWO, score=0.5)]),
        (None, [SIM]),
        (None, [FAILED]),
        (None, []),
        ("own/one", [ONE]),
        (None, [dataclasses.replace(ONE, case="a"), dataclasses.replace(TWO, case="b")]),
    ],
    ids=["higher", "order", "tie", "no score", "failed", "empty", "alone", "over cases"],
)
def test_the_best(expected: str | None, rows: list[CallRow]) -> None:
    """The best is the one highest score; a tie, no score or several cases have no best."""
    best = comparison(*rows).best
    assert expected == (best.llm if best else None)


def test_answers_by_their_column() -> None:
    """Answers are found by LLM, setting and sample; over cases by case too; failures are not."""
    warm = dataclasses.replace(TWO, llm="own/one", variant="temperature=1", sample=1)
    assert ["own/one", "own/one?temperature=1 #2"] == list(comparison(ONE, warm, FAILED).answers)
    row = dataclasses.replace(ONE, case="x")
    assert {("x", "own/one"): row} == comparison(row).answers


def test_money_of_three_kinds() -> None:
    """Known cost, simulated cost and unpriced calls are three numbers."""
    result = comparison(ONE, TWO, SIM, FAILED, COPY)
    assert (Decimal("0.25"), Decimal("0.25"), 1) == (
        result.cost_usd,
        result.simulated_cost_usd,
        result.unpriced_calls,
    )
    assert 4 == result.calls_made


def test_the_frame_is_that_of_the_rows() -> None:
    """`df` has a row per call with the declared columns."""
    frame = comparison(ONE, TWO).df
    assert [column.name for column in frames.CALLS] == list(frame.columns)
    assert ["own/one", "own/two"] == list(frame["llm"])


@pytest.mark.parametrize("kind", [Result, Comparison])
@pytest.mark.parametrize("row", [ONE, FAILED, COPY, SIM, HOSTILE], ids=lambda row: row.call_id)
def test_the_bundle_is_three_static_forms(kind: type[Result], row: CallRow) -> None:
    """A cell shows text, HTML and our one MIME type; all of it is JSON, and nothing in it runs."""
    bundle = kind(RUN, [row])._repr_mimebundle_(include=None, exclude=None)
    assert {"text/plain", "text/html", MIME} == set(bundle)
    assert "application/vnd.bmad.run+json" == MIME
    json.dumps(bundle, allow_nan=False)
    assert isinstance(bundle["text/plain"], str)
    assert isinstance(bundle["text/html"], str)
    assert "<script" not in bundle["text/html"]
    assert "\x1b" not in bundle["text/plain"]
    assert repr(kind(RUN, [row])) == bundle["text/plain"]


def test_the_json_says_the_same_as_the_run() -> None:
    """The MIME type carries the run's rows with money as exact text, and says its version."""
    said = json.loads(json.dumps(comparison(ONE, SIM, FAILED, HOSTILE).to_json()))
    assert (1, "abcd1234", "compare", "completed", "here") == tuple(
        said[name] for name in ("version", "run_id", "verb", "status", "texts")
    )
    assert ("0.50", "0.25", 0) == tuple(
        said[name] for name in ("cost_usd", "simulated_cost_usd", "unpriced_calls")
    )
    first, _, failed, hostile = said["rows"]
    assert ("own/one", "Ice is light.", "0.25", 0.5) == tuple(
        first[name] for name in ("llm", "text", "cost_usd", "score")
    )
    assert ("failed", "BadAnswer", None) == tuple(
        failed[name] for name in ("state", "error_kind", "text")
    )
    assert HOSTILE.text == hostile["text"]


def test_long_texts_stay_in_the_store() -> None:
    """A notebook does not grow by long answers: beyond a limit the JSON refers to the store."""
    said = comparison(dataclasses.replace(ONE, text="x" * 100_000), TWO).to_json()
    assert "in the store" == said["texts"]
    assert [None, None] == [row["text"] for row in said["rows"]]
    assert len(json.dumps(said)) < 5000


def test_a_diff_shows_words() -> None:
    """`diff` marks what the second answer leaves out and adds, word by word."""
    found = comparison(ONE, TWO).diff("own/one", "own/two")
    assert "Ice is [-light.-] {+lighter.+}" == found.strip()


def test_a_diff_of_one_case() -> None:
    """Over cases, `diff` takes the label of a case."""
    rows = [dataclasses.replace(row, case="x") for row in (ONE, TWO)]
    assert "lighter" in comparison(*rows).diff("own/one", "own/two", case="x")
    with pytest.raises(UnknownName):
        comparison(*rows).diff("own/one", "own/two")


@pytest.mark.parametrize("wrong", ["own/tow", "own/bad", ""])
def test_a_diff_of_what_is_not_there(wrong: str) -> None:
    """An answer that is not there is UnknownName, with the nearest."""
    with pytest.raises(UnknownName) as caught:
        comparison(ONE, TWO, FAILED).diff("own/one", wrong)
    assert "own/two" in caught.value.hint


def test_why_says_where_each_answer_comes_from() -> None:
    """`why` has a line per column: asked, from the store, or what went wrong."""
    lines = comparison(TWO, COPY, FAILED).why.splitlines()
    assert 3 == len(lines)
    assert lines[0].startswith("own/two: asked by name")
    assert "from the store" in lines[1]
    assert "own/bad: BadAnswer. It broke." == lines[2]


def test_the_plot_is_a_figure_with_a_static_twin() -> None:
    """`plot` gives a plotly figure and the same as text and SVG."""
    bundle = comparison(ONE, TWO).plot()._repr_mimebundle_()
    assert {"application/vnd.plotly.v1+json", "text/plain", "text/html", "image/svg+xml"} == set(
        bundle
    )


def test_next_steps_are_things_that_can_be_typed() -> None:
    """A card ends with what can be done next: go on when stopped, look closer when done."""
    assert any(
        "run the cell again" in step for step in comparison(ONE, status="paused").view().next_steps
    )
    steps = comparison(ONE, TWO).view().next_steps
    assert "r.diff('own/one', 'own/two')" in steps
    assert "%bmad show abcd1234" in steps


def test_a_text_shows_itself_and_its_facts() -> None:
    """A verb's message is safe plain text, and JSON where a program asks."""
    shown = Text("ready \x1b[31m", {"ready": True})
    assert "\x1b" not in repr(shown)
    assert {"ready": True} == json.loads(as_json(shown))
    assert "plain" == json.loads(as_json(Text("plain")))


def test_everything_has_a_json_form() -> None:
    """Results, texts and frames are JSON for --json; anything else is refused."""
    assert "abcd1234" == json.loads(as_json(comparison(ONE)))["run_id"]
    assert [{"a": 1}] == json.loads(as_json(pd.DataFrame({"a": [1]})))
    with pytest.raises(UsageProblem):
        as_json(object())
