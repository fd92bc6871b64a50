"""Scorers: what counts as the right answer, and that no odd answer makes them fail."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmad_nb.scorers.exact import Exact
from bmad_nb.scorers.numeric import Numeric, as_number, last_number, scorer_for


@pytest.mark.parametrize(
    ("expected", "answer", "reference"),
    [
        (1, "Paris", "Paris"),
        (1, "  paris.\n", "Paris"),
        (1, "**Paris**", "paris"),
        (1, '"Paris!"', "Paris"),
        (1, "New   Delhi", "new delhi"),
        (1, "straße", "STRASSE"),
        (1, "\uff30aris", "Paris"),
        (1, "", ""),
        (1, "...", "!"),
        (0, "It is Paris", "Paris"),
        (0, "Pari s", "Paris"),
        (0, "", "Paris"),
        (0, "Paris\x00", "Paris"),
    ],
)
def test_exact(expected: float, answer: str, reference: str) -> None:
    """Case, outer punctuation, emphasis and space do not matter; every other letter does."""
    assert expected == Exact().score(answer, reference).value


@pytest.mark.parametrize(
    ("expected", "answer", "reference"),
    [
        (1, "391", "391"),
        (1, "17 * 23 = 391.", "391"),
        (1, "The answer is **391**.", "391"),
        (1, "$1,234.50", "1234.5"),
        (1, "about 1,234,567 people", "1234567"),
        (1, "-5", "-5"),
        (1, "\u22125", "-5"),
        (1, "5", "+5"),
        (1, "0.3333333333", "0.33333333"),
        (1, "1e3", "1000"),
        (1, "50 %", "50%"),
        (1, "$5", "$5"),
        (1, "from 3 to 4", "4"),
        (1, "pages 10-12", "12"),
        (1, "year-2024", "2024"),
        (1, "- 7", "7"),
        (1, "- 1,234", "1234"),
        (1, "-\n1,234", "1234"),
        (1, "-1,234", "-1234"),
        (1, "+\u00a01,234", "1234"),
        (1, "\u0663", "3"),
        (0, "4 or rather 5", "4"),
        (0, "three", "3"),
        (0, "", "3"),
        (0, "391.1", "391"),
        (0, "5", "-5"),
        (0, "1e999", "3"),
        (0, "9" * 5000, "3"),
    ],
)
def test_numeric(expected: float, answer: str, reference: str) -> None:
    """The last number of the answer counts, separators and signs understood."""
    assert expected == Numeric().score(answer, reference).value


@pytest.mark.parametrize(
    ("expected", "text"),
    [(None, "none"), (None, ""), (7.0, "1,2,7"), (1234.0, "1,234"), (0.5, "x=0.5"), (2.0, "a1b2"),
     (None, "1e999"), (-3.0, "is -3"), (3.0, "5-3")],
)  # fmt: skip
def test_the_last_number(expected: float | None, text: str) -> None:
    """The last number of a text, or none."""
    assert expected == last_number(text)


@pytest.mark.parametrize(
    ("expected", "text"),
    [(5.0, "5"), (5.0, " $5 "), (5.0, "5 %"), (-5.0, "-5"), (1234.5, "1,234.5"), (None, "5 apples"),
     (None, "Paris"), (None, ""), (None, "1 2")],
)  # fmt: skip
def test_a_text_that_is_a_number(expected: float | None, text: str) -> None:
    """Only a text that is a number and nothing else is a number."""
    assert expected == as_number(text)


@pytest.mark.parametrize(
    ("name", "reference"),
    [("numeric", "42"), ("numeric", "-1.5"), ("exact", "Paris"), ("exact", "")],
)
def test_the_reference_chooses_the_scorer(name: str, reference: str) -> None:
    """A number is compared as a number, anything else as text."""
    assert name == scorer_for(reference).name


digits = st.text(alphabet="0123456789.,+-\u2212eE \t\n$%()x\u00a0", max_size=40)


@given(st.one_of(st.text(max_size=80), digits), st.one_of(st.text(max_size=20), digits))
def test_no_answer_makes_a_scorer_fail(answer: str, reference: str) -> None:
    """Whatever is answered, there is a score in [0, 1] with its reason."""
    score = scorer_for(reference).score(answer, reference)
    assert 0 <= score.value <= 1
    assert score.explanation
    last = last_number(answer)
    assert last is None or math.isfinite(last)


@pytest.mark.parametrize(
    "answer", ["9" * 1_000_000, "1," * 500_000, "-" * 1_000_000, "1.e" * 300_000]
)
def test_a_huge_answer_takes_no_long_time(answer: str) -> None:
    """A megabyte of digits and signs is scored, not searched for ever."""
    assert 0 == Numeric().score(answer, "3").value
