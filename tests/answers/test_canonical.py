"""Equal answers in one spelling, and different ones apart."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmad_nb.answers.canonical import KINDS, Kind, canonical, kind_of
from bmad_nb.answers.numbers import measured

SAME: list[tuple[Kind, list[str]]] = [
    ("auto", ["1000", "1,000", "1000.0", "$1,000", " 1000.", "$1,000.00", "**1000**"]),
    ("auto", [r"\frac{1}{2}", r"\dfrac12", "1/2", "0.5", "$\\frac{1}{2}$", r"\boxed{\frac{1}{2}}"]),
    ("auto", ["Paris", "paris.", " **Paris** ", '"Paris"', "PARIS"]),
    ("auto", [r"\left(3, 4\right)", "(3, 4)", r"(3,\ 4)"]),
    ("auto", [r"x = 5", "5", "$5$", r"\(5\)"]),
    ("auto", [r"90^\circ", r"90^{\circ}", "90°"]),
    ("auto", [r"\sqrt{2}", r"\sqrt2", "sqrt(2)"]),
    ("number", ["18", "$18", "18 dollars", "18.00", "18%", "so it is 18 eggs per day"]),
    ("number", ["-7", "\u22127", "-7.0", "-$7"]),
    ("number", ["1 1/2", "3/2", "1.5 cups"]),
    ("choice", ["B", "(B)", "b)", "**B**", "B. because", "B: it is"]),
    ("literal", ["[1, 2]", "[1,2]", " [1,  2] ", "`[1, 2]`"]),
    ("literal", ["'abc'", '"abc"', "abc", "abc "]),
    ("literal", ["{'a': 1}", '{"a": 1}']),
    ("json", ['{"a": 1, "b": 2}', '{"b":2,"a":1}']),
    ("text", ["Two  words", "two words."]),
]  # fmt: skip
DIFFERENT: list[tuple[Kind, str, str]] = [
    ("auto", "10", "100"), ("auto", "1/2", "2"), ("auto", r"\sqrt{2}", r"\sqrt{3}"),
    ("auto", "yes", "no"), ("literal", "abc", "ABC"), ("literal", "[1, 2]", "(1, 2)"),
    ("literal", "''", "' '"), ("choice", "A", "B"), ("number", "3", "-3"), ("auto", "x^2", "x^3"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "answers"), SAME)
def test_one_answer_has_one_form(kind: Kind, answers: list[str]) -> None:
    """All spellings of one answer are the same text."""
    assert 1 == len({canonical(each, kind) for each in answers}), [
        canonical(each, kind) for each in answers
    ]


@pytest.mark.parametrize(("kind", "one", "two"), DIFFERENT)
def test_other_answers_stay_apart(kind: Kind, one: str, two: str) -> None:
    """Different answers never get the same form."""
    assert canonical(one, kind) != canonical(two, kind)


@given(st.text(max_size=300), st.sampled_from(KINDS))
def test_any_text_has_a_form_or_says_nothing(text: str, kind: Kind) -> None:
    """No text fails or warns, and the same text always gives the same."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = canonical(text, kind)
    assert found == canonical(text, kind)
    assert found is None or isinstance(found, str)


@pytest.mark.parametrize(
    "text", ["[" * 5000, "9" * 5000, "\\frac{" * 900, "\ud800", "1e999", "((" * 2000]
)
def test_hostile_texts_end_at_once(text: str) -> None:
    """Deep, huge and broken texts are read in milliseconds and never fail."""
    for kind in KINDS:
        canonical(text, kind)


def test_the_kind_is_seen_in_the_answers() -> None:
    """Numbers, lists and words are told apart; nothing is words."""
    assert "number" == kind_of(["3", "$4", "5 apples", "none"])
    assert "literal" == kind_of(["[1]", "abc", "Abc", "(2,)"])
    assert "auto" == kind_of(["yes", "no", None, ""])
    assert "auto" == kind_of([])


@pytest.mark.parametrize(
    ("text", "number"),
    [("5 km/h", "5"), ("about 5", None), ("5 of 6", None), ("3/0", None), ("7 to 8", None),
     ("12 %", "12"), ("", None), (".5", "0.5")],
)  # fmt: skip
def test_a_number_with_a_unit_is_one_number(text: str, number: str | None) -> None:
    """A unit may follow; a second number may not."""
    assert number == measured(text)


@pytest.mark.parametrize(
    ("expected", "kind", "answers"),
    [
        ("yes", "auto", ["Yes.", "yes", "**Yes**", "Yes, it is.", "YES!"]),
        ("no", "auto", ["No", "no, never", "No - it sinks."]),
        ("B", "choice", ["B", "(B)", "B) because", "**B**"]),
        ("2", "number", ["2:00 pm", "2:00", "2", "about 2 hours", "1 + 1 = 2"]),
        ("2:30", "number", ["2:30 pm", "2:30"]),
        (None, "auto", ["N/A", "n/a", "I don't know", "unknown"]),
    ],
)
def test_spellings_of_one_answer_are_one(expected: str, kind: Any, answers: list[str]) -> None:
    """What is said in other words of the same form is compared as equal."""
    assert [expected] * len(answers) == [canonical(each, kind) for each in answers]


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("number", r"2\sqrt{3}", "3"), ("number", "(3, 4)", "4"), ("number", r"5\pi", "5"),
        ("number", "4x + 2", "2"), ("auto", "No. 5", "5"), ("auto", "Nothing", "no"),
        ("auto", "Yesterday", "yes"), ("literal", "   ", ""),
    ],
)  # fmt: skip
def test_other_answers_stay_other_answers(kind: Any, one: str, other: str) -> None:
    """A part of a value is not the value."""
    assert canonical(one, kind) != canonical(other, kind)
