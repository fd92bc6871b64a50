"""What a comparison may say."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest

from bmad_nb.render.columns import money
from bmad_nb.render.compare import compare_html, lowest
from bmad_nb.render.diff import changes
from bmad_nb.render.stats import _wider, paired
from bmad_nb.render.text import compare_text
from bmad_nb.render.verdict import verdict

A, B, C = "a/one", "b/two", "c/three"


def _one_case(row):
    """Return sentences of one case with the rows that they must come from."""
    return [
        ("a/one is best, by 0.11", [row(A, score=0.92), row(B, score=0.81)]),
        ("a/one is best, by 0.004", [row(A, score=0.504), row(B, score=0.5)]),
        ("a/one and b/two tie at 1.00, 0.50 ahead",
         [row(A, score=1.0), row(B, score=1.0), row(C, score=0.5)]),
        ("No difference shown: both score 1.00", [row(A, score=1.0), row(B, score=1.0)]),
        ("a/one is best of the two that were scored, by 1.00",
         [row(A, score=1.0), row(B, score=0.0), row(C, None)]),
        ("Only a/one was scored, 1.00, so there is no winner", [row(A, score=1.0), row(B, None)]),
        ("Both answers are the same", [row(A), row(B, "paris.")]),
        ("The two answers differ", [row(A), row(B, "Lyon")]),
        ("2 of 3 answers are the same", [row(A), row(B), row(C, "Lyon")]),
        ("No LLM answered", [row(A, None), row(B, None)]),
        ("Nothing was asked", []),
        ("2 samples of a/one: the two samples differ", [row(A), row(A, "Lyon", sample=1)]),
        ("3 samples of a/one: 2 of 3 samples are the same",
         [row(A, score=1.0), row(A, "Lyon", sample=1, score=0.0), row(A, sample=2, score=1.0)]),
        ("a/one?temperature=1 is best, by 1.00",
         [row(A, score=0.0), row(A, variant="temperature=1", score=1.0)]),
    ]  # fmt: skip


@pytest.mark.parametrize("at", range(14))
def test_sentence_of_one_case(at, row, view):
    """A winner needs scores and a margin; samples of one LLM and unscored answers have none."""
    expected, rows = _one_case(row)[at]
    assert expected == verdict(view(*rows)).sentence


def test_table_of_sentences_is_whole(row):
    """Every line of the table above is tested."""
    assert 14 == len(_one_case(row))


def test_no_scores_no_winner(row, view):
    """Without scores nobody is called best, in no form of the display."""
    shown = view(row(A, cost_usd=Decimal(0)), row(B, "Lyon"))
    assert () == verdict(shown).best
    assert "best" not in compare_html(shown) + compare_text(shown)


def test_unfinished_run_says_so(row, view):
    """A paused run has a leader so far, not a winner for good."""
    shown = view(row(A, score=1.0), row(B, score=0.0), status="paused")
    assert "So far: a/one is best, by 1.00" == verdict(shown).sentence


def _cases(row, scores):
    """Return rows of several LLMs over cases."""
    return [
        row(llm, case=f"case {at}", score=score)
        for llm, every in scores.items()
        for at, score in enumerate(every)
    ]


def test_lead_that_is_not_shown(row, view):
    """Three cases cannot name a winner, however clear they look."""
    found = verdict(view(*_cases(row, {A: [1.0, 1.0, 1.0], B: [0.0, 0.0, 0.0]})))
    assert "a/one has the best mean, 1.00, but its lead over b/two is not shown" == found.sentence
    assert () == found.best
    assert "at least 6 must differ" in " ".join(found.weak)


def test_lead_that_is_shown(row, view):
    """Twelve cases in which one LLM is always ahead name a winner with its margin."""
    found = verdict(view(*_cases(row, {A: [0.9, 0.8] * 6, B: [0.5, 0.6] * 6})))
    assert "a/one is best: mean 0.85, 0.30 ahead of b/two" == found.sentence
    assert ("a/one",) == found.best


def test_equal_means_are_a_tie(row, view):
    """Equal means are no difference."""
    found = verdict(view(*_cases(row, {A: [1.0, 0.0], B: [0.0, 1.0]})))
    assert "No difference shown: both have mean 0.50" == found.sentence


def test_means_are_over_the_same_cases(row, view):
    """An LLM that failed on the hard case does not win by it."""
    rows = _cases(row, {A: [0.0] + [0.6] * 11, B: [None] + [0.6] * 11})
    rows = [row(B, None, case="case 0") if r.llm == B and r.score is None else r for r in rows]
    found = verdict(view(*rows))
    assert "No difference shown: both have mean 0.60" == found.sentence
    assert 11 == len(found.ranked_cases)


@pytest.mark.parametrize(
    ("llms", "draw"),
    [
        (2, lambda rng: float(rng.random() < 0.7)),
        (2, lambda rng: rng.random()),
        (3, lambda rng: rng.random()),
    ],
)
def test_false_differences_are_rare(llms, draw):
    """Among equally good LLMs few comparisons show any difference, as "95 % together" promises."""
    rng, wrong = random.Random(1), 0
    for _ in range(100):
        scores = sorted(([draw(rng) for _ in range(12)] for _ in range(llms)), key=sum)
        best = scores.pop()
        found = paired(best, {str(at): each for at, each in enumerate(scores)})
        wrong += any(each.shown for each in found.differences)
    assert wrong <= 10


def test_level_counts_all_pairs():
    """The best of six is chosen among 15 pairs, so each interval is at 99.7 %."""
    found = paired([0.5] * 12, {str(n): [0.4] * 12 for n in range(5)})
    assert ("99.7 %", 10) == (found.percent, found.needed)
    assert "15 pairs" in found.method
    assert "95 % taken together" in found.method


def test_widening_is_that_of_students_t():
    """For 12 cases and 5 % the interval is wider by t / z = 2.201 / 1.960 and the root of 12 / 11."""
    assert pytest.approx(2.201 / 1.960 * (12 / 11) ** 0.5, abs=0.002) == _wider(12, 0.05)


def test_many_cases_use_the_normal_approximation():
    """Beyond 200 cases the footnote names the normal approximation, and the interval agrees."""
    rng = random.Random(2)
    gaps = [rng.gauss(0.1, 0.3) for _ in range(201)]
    small = paired(gaps[:200], {"b": [0.0] * 200}).differences[0]
    large = paired(gaps, {"b": [0.0] * 201})
    assert "Normal approximation over 201 cases" in large.method
    assert pytest.approx(small.low, abs=0.01) == large.differences[0].low


def test_money_is_told_apart(row, view):
    """Real, simulated, unpriced and uncertain money stand apart in the total."""
    shown = view(
        row(A, cost_usd=Decimal("0.002")),
        row(B, cost_usd=None),
        row(C, simulated=True, cost_usd=Decimal("0.5")),
        row("d/four", None, billed="maybe"),
    )
    assert (
        "$0.002 + 1 unpriced call + 1 that may have been billed (and $0.50 simulated)"
        == money(shown).sentence
    )


def test_simulated_is_never_cheapest(row):
    """A simulated or stored call is neither cheapest nor fastest, however low its numbers are."""
    rows = [
        row(A, simulated=True, cost_usd=Decimal(0), latency_s=0.0),
        row(B, cost_usd=Decimal(2), latency_s=2.0),
        row(C, cost_usd=Decimal(1), latency_s=3.0),
        row("d/four", from_store=True, cost_usd=Decimal(0), latency_s=0.0),
    ]
    assert (C, B) == lowest(rows)


@pytest.mark.parametrize(
    ("expected", "fields"),
    [
        ("nothing was billed", {"text": None, "billed": "no"}),
        ("may have been billed", {"text": None, "billed": "maybe"}),
        ("was billed, amount unknown", {"text": None, "billed": "yes"}),
        ("RateLimited", {"text": None, "error_kind": "RateLimited"}),
        ("ask again later", {"text": None, "error_hint": "ask again later"}),
        ("lost", {"text": None, "state": "lost"}),
        ("cancelled", {"text": None, "state": "cancelled"}),
        ("own machine", {"runs_here": True, "cost_usd": Decimal(0)}),
        ("price unknown", {"cost_usd": None}),
        ("simulated", {"simulated": True}),
        ("cut at 200 tokens", {"finish_reason": "length"}),
        ("(empty answer)", {"text": ""}),
        (
            "stored, was $0.003",
            {"from_store": True, "cost_usd": Decimal(0), "original_cost_usd": Decimal("0.003")},
        ),
    ],
)
def test_said_in_words(expected, fields, row, view):
    """What a number hides is said in words, in markup and in text alike."""
    shown = view(row(A, **fields), row(B, "Lyon"))
    assert expected in compare_html(shown)
    assert expected in compare_text(shown)


def test_simulated_at_each_number(row, view):
    """The word stands at the LLM, at its price and at its time."""
    page = compare_html(view(row(A, simulated=True), row(B, "Lyon")))
    assert '$0.0001</span> <span style="font-size:12px;opacity:0.72">simulated price' in page
    assert page.count(">simulated<") >= 2


def test_samples_are_not_llms(row, view):
    """Two samples of one LLM are counted as samples."""
    page = compare_html(view(row(A), row(A, "Lyon", sample=1)))
    assert "2 of 2 samples answered" in page
    assert "sample 2 of 2" in page
    assert "self-consistency" in page


def test_differences_word_by_word():
    """Words are marked if 4 in 10 are shared, and punctuation alone is no change."""
    assert changes("one two three four", "one two three five").close
    assert not changes("one two three four", "five six seven four").close
    assert ["same"] == [piece.kind for piece in changes("Yes, it is", "Yes it is.").pieces]


def test_five_llms_stand_in_rows(row, view):
    """More than four LLMs on one case stand below each other."""
    wide = compare_html(view(*(row(f"x/{n}") for n in range(5))))
    card = compare_html(view(*(row(f"x/{n}") for n in range(4))))
    assert (True, False) == ("LLM</th>" in wide, "LLM</th>" in card)


def test_cases_are_capped(row, view):
    """Beyond fifty cases the table says how many more there are and where."""
    rows = [row(llm, case=f"case {n}", score=0.5) for n in range(60) for llm in (A, B)]
    assert "10 more cases, in r.df" in compare_html(view(*rows))
    assert "10 more, in r.df" in compare_text(view(*rows))


def test_a_long_label_of_a_case_ends_in_dots(row, view):
    """A label that is cut says so; a short one stays as it is."""
    page = compare_html(
        view(row(case="a" * 200), row(case="short"), row(llm="b/two", case="short"))
    )
    assert "a" * 80 + "…" in page
    assert ">short</th>" in page
