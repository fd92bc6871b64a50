"""Size and robustness of the displays."""

from __future__ import annotations

import time

import pytest

from bmad_nb.render.compare import compare_html
from bmad_nb.render.text import answer_html, answer_text, compare_text


@pytest.mark.parametrize(
    "letters", ["word ", "<&> ", "日本 ", "\U0001f600 ", "a", "\x00", "\n", "\u202e"]
)
def test_four_columns_are_small(letters, row, view):
    """Four answers of 10 MB take under 100 kB, are said to be cut, and are shown at once."""
    size = 10_000_000 // len(letters)
    rows = [row(f"x/{n}", f"{n} " + letters * size, score=n / 4) for n in range(4)]
    start = time.perf_counter()
    page = compare_html(view(*rows))
    assert len(page.encode()) < 100_000
    assert f"of {2 + size * len(letters):,} characters; all of it:" in page
    assert len(compare_text(view(*rows)).encode()) < 100_000
    assert time.perf_counter() - start < 8


@pytest.mark.parametrize(
    "text", ["", " ", "\x00", "\ud800", "مرحبا بالعالم", "\u202eabc", "a\u0301" * 500, "\ufffe"]
)
@pytest.mark.parametrize("case", ["", "case"])
def test_odd_answers(text, case, row, view):
    """Empty, control, surrogate and right-to-left answers are shown and encode to UTF-8."""
    shown = view(row("a/b", text, case=case), row("c/d", "x", case=case))
    for each in (compare_html(shown), compare_text(shown), answer_html(shown.rows[0]),
                 answer_text(shown.rows[0])):  # fmt: skip
        assert each.encode("utf-8").decode() == each


def test_text_has_no_addresses(row, view):
    """The plain form has neither object addresses nor colour codes."""
    shown = compare_text(view(row("a/b", "\x1b[31mred"), row("c/d")))
    assert "\x1b" not in shown
    assert " at 0x" not in shown


def test_single_answer(row):
    """A single answer is shown with its LLM, cost, time and tokens."""
    found = row("a/b", "Paris", finish_reason="length")
    assert "Paris\n\na/b · $0.0001 · 1.0 s · 10 in, 2 out (cut at 200 tokens)" == answer_text(found)
    assert "cut at 200 tokens" in answer_html(found)


def test_two_displays_are_equal(row, view):
    """The same rows give the same markup: the draws are seeded."""
    rows = [row(x, case=str(n), score=(n * 7 % 5) / 4) for n in range(9) for x in ("a/b", "c/d")]
    assert compare_html(view(*rows)) == compare_html(view(*rows))
