"""Jupyter sets what stands between two dollar signs as mathematics, unless a class forbids it."""

from __future__ import annotations

from bmad_nb.render.base import NO_MATH
from bmad_nb.render.compare import compare_html
from bmad_nb.render.text import answer_html


def test_prices_are_not_set_as_mathematics(row, view):
    """Each outermost element carries the classes that Jupyter's mathematics leaves alone."""
    a, b = row("a/one", "It costs $5 or $6."), row("b/two", "It costs $7.")
    for page in (compare_html(view(a, b)), answer_html(a)):
        assert page.startswith("<section ")
        assert f'class="{NO_MATH}"' in page.partition(">")[0]


def test_cases_with_numbers_for_labels_show_what_differs_in_their_prompts():
    """A case is called by its label and the part of its prompt that the others do not share."""
    from bmad_nb.events import CallRow
    from bmad_nb.messages import Message
    from bmad_nb.render.columns import case_titles

    def asked(case: str, prompt: str) -> CallRow:
        return CallRow(
            "c", "r", "a/one", "k", "answered", case=case, messages=(Message("user", prompt),)
        )

    rows = [asked("0", "Capital of France? One word."), asked("1", "Capital of Fiji? One word.")]

    assert {"0": "0 · France?", "1": "1 · Fiji?"} == case_titles(rows)
    assert {"0": "0 · here", "1": "1 · here"} == case_titles([asked(n, "all here") for n in "01"])
    more = [asked("0", "Sum 1 and 2"), asked("1", "Sum 1 and 2 and 2")]
    assert {"0": "0 · 2", "1": "1 · 2 and 2"} == case_titles(more)
    assert {"paris": "paris"} == case_titles([asked("paris", "Which city?")])
