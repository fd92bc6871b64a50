"""The final answer out of what LLMs write: where they say it, and nothing where they do not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmad_nb.answers.canonical import KINDS, Kind
from bmad_nb.answers.extracting import code, final_answer, in_json

TABLE: list[tuple[Kind, str, str | None]] = [
    ("auto", '{"reasoning": "3+4", "answer": "7"}', "7"),
    ("auto", 'Sure.\n```json\n{"reasoning": "a {b} c", "answer": 7}\n```\nHope it helps.', "7"),
    ("auto", '{"answer": [1, 2]}', "[1, 2]"),
    ("auto", '{"answer": null}', None),
    ("auto", '{"reasoning": "line\nbreak", "answer": "7"}', "7"),
    ("auto", '{"reasoning": "\\pi", "answer": "\\frac{1}{2}"}', "\\frac{1}{2}"),
    ("auto", '{"reasoning": "cut off, "answer": "7"', "7"),
    ("auto", '{"answer": "___"} then {"answer": "9"}', "9"),
    ("auto", '{"answer": "7"}\n\nQuestion 2 ... {"answer": "8"}', "7"),
    ("auto", r"Thus $x = \boxed{\frac{3}{4}}$.", r"\frac{3}{4}"),
    ("auto", r"First \boxed{1}, no: \boxed{2}", "2"),
    ("auto", "The answer is 42.", "42"),
    ("auto", "**Final Answer:** Paris", "Paris"),
    ("auto", "#### 72", "72"),
    ("auto", "I cannot say.", None),
    ("auto", "", None),
    ("number", "He has 3 cows and 4 hens, so 7.", "7"),
    ("number", "There are none.", None),
    ("choice", "I think (C) is right.", "C"),
    ("choice", "The answer is: B", "B"),
    ("choice", "nobody knows", None),
]


@pytest.mark.parametrize(("kind", "response", "answer"), TABLE)
def test_the_answer_is_found_where_it_is_said(
    kind: Kind, response: str, answer: str | None
) -> None:
    """JSON first, then a box, then the phrase, then what stands last; else nothing."""
    assert answer == final_answer(response, kind)


def test_another_field_can_hold_it() -> None:
    """The field is the caller's."""
    assert "7" == in_json('{"answer": "1", "total": "7"}', "total")
    assert None is in_json("no json at all", "total")


def test_code_is_the_last_fenced_block() -> None:
    """Of several blocks the last; without a fence the whole text."""
    assert "b = 2\n" == code("```python\na = 1\n```\nbetter:\n```py\nb = 2\n```")
    assert "c = 3" == code("c = 3")
    assert None is code("  ")


@given(st.text(alphabet='{}[]"\\answer: 1,\n', max_size=200), st.sampled_from(KINDS))
def test_almost_json_never_fails(text: str, kind: Kind) -> None:
    """Broken JSON gives an answer or none, never an error."""
    found = final_answer(text, kind)
    assert found is None or isinstance(found, str)


def test_a_huge_response_is_read_from_its_end() -> None:
    """Ten million characters take no time: only the end is searched."""
    assert "7" == final_answer("x" * 10_000_000 + '{"answer": "7"}')
