"""The explorer's Python half: what it sends, and that its ratings are stored as a person's."""

from __future__ import annotations

import json

import pytest

import bmad_nb
from bmad_nb.errors import UsageProblem
from bmad_nb.workspace import Workspace

CASES = [{"q": f"What is {n} + {n}?", "right": str(2 * n)} for n in range(1, 5)]


@pytest.fixture
def comparison(ws: Workspace) -> bmad_nb.Comparison:
    """Give a comparison of two simulated LLMs over four cases, scored."""
    return ws.compare("{{ q }}", "sim/careful,sim/hasty", over=CASES, reference="right")


def test_the_board_has_every_case_and_answer(comparison: bmad_nb.Comparison) -> None:
    """Columns, cases, answers and scores are those of the comparison, as JSON values."""
    shown = comparison.explore()
    board = json.loads(json.dumps(shown.board))
    assert ["sim/careful", "sim/hasty"] == [each["label"] for each in board["columns"]]
    assert ["0", "1", "2", "3"] == [each["case"] for each in board["cases"]]
    assert "What is 1 + 1?" == board["cases"][0]["prompt"]
    texts = {answer["text"] for case in board["cases"] for answer in case["answers"]}
    assert {row.text for row in comparison.rows} == texts
    assert {"sim/careful", "sim/hasty"} == set(shown.scores["0"])


def test_a_rating_is_stored_as_a_persons(ws: Workspace, comparison: bmad_nb.Comparison) -> None:
    """A blind rating is a human score that says so; the board and a later look have it."""
    shown = comparison.explore()
    wish = {"case": "2", "label": "sim/hasty", "score": 0.25, "blind": True}
    shown._handle_custom_msg(wish, [])
    assert [0.25, "a person"] == shown.scores["2"]["sim/hasty"]
    again = ws.run_of(comparison.id)
    row = again.scores.iloc[-1]
    assert ("human", 0.25, "rated blind") == (row["source"], row["score"], row["explanation"])
    shown._handle_custom_msg({"case": "2", "label": "sim/careful", "best": True}, [])
    assert 1.0 == shown.scores["2"]["sim/careful"][0]


@pytest.mark.parametrize(
    "wish",
    [
        None, [], {}, {"case": "2"}, {"case": "2", "label": "sim/nobody", "score": 1},
        {"case": "2", "label": "sim/hasty", "score": 9}, {"case": 2, "label": [], "score": 1},
        {"case": "2", "label": "sim/hasty", "score": "high"},
        {"case": "2", "label": "sim/hasty", "score": True},
    ],
)  # fmt: skip
def test_a_wrong_wish_stores_nothing_and_is_said(
    comparison: bmad_nb.Comparison, wish: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a browser sends, nothing wrong is stored, and the view is told why."""
    shown = comparison.explore()
    said: list[dict] = []
    monkeypatch.setattr(shown, "send", said.append)
    before = dict(shown.scores)
    shown._told(shown, wish, [])
    assert ["refused"] == [each["kind"] for each in said]
    assert before == shown.scores


def test_the_saved_form_is_the_card(
    comparison: bmad_nb.Comparison, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a front end there is no widget in the bundle; with one, the card stands under it."""
    assert comparison._repr_mimebundle_() == comparison.explore()._repr_mimebundle_()
    monkeypatch.setattr("bmad_nb.widgets.compare.is_live", lambda: True)
    live, _ = comparison.explore()._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in live
    assert comparison._repr_mimebundle_()["text/html"] == live["text/html"]


def test_what_is_no_comparison_cannot_be_explored(ws: Workspace) -> None:
    """One answer is refused with a sentence."""
    with pytest.raises(UsageProblem, match="cannot be explored"):
        bmad_nb.explore(ws.ask("Where?", "sim/hasty"))


def test_long_texts_are_cut_and_said(ws: Workspace) -> None:
    """Of an answer that is longer than the browser gets, the number of further characters is said."""
    ws.add_llm("long", lambda _: "x" * 30_000)
    ws.add_llm("short", lambda _: "y")
    shown = ws.compare("Where?", "own/long,own/short").explore()
    long, short = shown.board["cases"][0]["answers"]
    assert (20_000, 10_000) == (len(long["text"]), long["more"])
    assert "more" not in short
