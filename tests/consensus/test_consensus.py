"""Votes, reliabilities without labels, pools, calibration, medoids and break-evens."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmad_nb.consensus import calibration, pools
from bmad_nb.consensus.cascades import break_even
from bmad_nb.consensus.dawid_skene import dawid_skene
from bmad_nb.consensus.medoid import likeness, medoid
from bmad_nb.consensus.ranking import borda
from bmad_nb.consensus.voting import agreement, log_odds, tally

Votes = dict[str, str | None]


def asked(
    skills: dict[str, float], questions: int, seed: int = 1, wrong: int = 5
) -> tuple[list[Votes], list[str]]:
    """Return votes of LLMs with planted skills, and the right answers."""
    chance = random.Random(seed)
    rows, truths = [], []
    for _ in range(questions):
        truth = str(chance.randrange(1000))
        others = [f"wrong {n}" for n in range(wrong)]
        rows.append(
            {n: truth if chance.random() < p else chance.choice(others) for n, p in skills.items()}
        )
        truths.append(truth)
    return rows, truths  # type: ignore[return-value]


def test_reliabilities_are_found_without_labels() -> None:
    """Of five LLMs with planted skills each reliability is near its skill, in their order."""
    skills = {"a": 0.9, "b": 0.8, "c": 0.7, "d": 0.6, "e": 0.5}
    rows, _ = asked(skills, 800)
    fit = dawid_skene(rows)
    assert list("abcde") == sorted(fit.reliability, key=fit.reliability.get, reverse=True)  # type: ignore[arg-type]
    for name, skill in skills.items():
        assert abs(fit.reliability[name] - skill) < 0.06


def test_it_is_better_than_a_majority_of_unequals() -> None:
    """Where one is much better than the others its word counts more."""
    rows, truths = asked({"a": 0.95, "b": 0.7, "c": 0.45, "d": 0.45, "e": 0.4}, 600, wrong=2)
    fit = dawid_skene(rows, wrong=2)
    majority = sum(tally(row).answer == t for row, t in zip(rows, truths, strict=True))
    learned = sum(max(p, key=p.get) == t for p, t in zip(fit.posteriors, truths, strict=True))  # type: ignore[arg-type]
    assert learned > majority + 10


def test_a_weak_pool_does_not_follow_one_voice() -> None:
    """Where all are weak and answers are open, it stays with the majority, or betters it."""
    for seed in range(5):
        rows, truths = asked({"a": 0.25, "b": 0.22, "c": 0.2, "d": 0.2, "e": 0.1}, 300, seed, 40)
        fit = dawid_skene(rows)
        majority = sum(tally(row).answer == t for row, t in zip(rows, truths, strict=True))
        learned = sum(max(p, key=p.get) == t for p, t in zip(fit.posteriors, truths, strict=True))  # type: ignore[arg-type]
        assert learned >= majority - 9


@given(
    st.lists(
        st.dictionaries(st.sampled_from("abcd"), st.sampled_from(["1", "2", None])), max_size=12
    )
)
def test_any_votes_give_probabilities(rows: list[Votes]) -> None:
    """Posteriors sum to one where anybody voted; reliabilities stay inside (0, 1)."""
    fit = dawid_skene(rows)
    for row, posterior in zip(rows, fit.posteriors, strict=True):
        if any(each is not None for each in row.values()):
            assert abs(sum(posterior.values()) - 1) < 1e-9
        else:
            assert {} == posterior
    assert all(0 < each < 1 for each in fit.reliability.values())


def test_a_planted_unequal_pool_is_advised_against() -> None:
    """One strong LLM among weak ones is named; among peers nobody is."""
    unequal, _ = asked({"a": 0.9, "b": 0.5, "c": 0.5, "d": 0.45}, 300)
    advice = pools.advised(dawid_skene(unequal).reliability, 300)
    assert (False, "a", "answers") == (advice.vote, advice.best, advice.basis)
    assert "Do not vote here, use a" in advice.said
    peers, _ = asked(dict.fromkeys("abcd", 0.7), 300)
    assert pools.advised(dawid_skene(peers).reliability, 300).vote
    assert "unknown" == pools.advised({"a": 0.9, "b": 0.1}, 5).basis


def test_labels_say_it_with_an_interval() -> None:
    """With scores the difference and its interval are told, and no difference is not a loss."""
    worse = pools.measured([0.0, 1.0] * 60, {"a": [1.0] * 120, "b": [0.0, 1.0] * 60})
    assert (False, "a") == (worse.vote, worse.best)
    assert "points [" in worse.said
    same = pools.measured([1.0, 0.0] * 60, {"a": [1.0, 0.0] * 60, "b": [0.0] * 120})
    assert same.vote
    assert "no difference shown" in same.said


def test_confidence_is_read_by_what_came_of_it() -> None:
    """Calibrated confidences rise, and their error is smaller than before."""
    chance = random.Random(5)
    raw = [chance.choice([0.4, 0.6, 0.8, 1.0]) for _ in range(600)]
    scores = [float(chance.random() < each**3) for each in raw]
    fit = calibration.calibrated(raw, scores)
    assert fit is not None
    read = [fit(each) for each in raw]
    assert calibration.error(read, scores) < calibration.error(raw, scores) / 3
    assert sorted(fit.values) == list(fit.values)
    assert fit(0.0) == fit.values[0]
    assert None is calibration.calibrated(raw[:10], scores[:10])


def test_the_medoid_is_of_the_largest_group() -> None:
    """It is one of the texts, whatever their order, and groups are told."""
    texts = {"a": "ships sail on the blue sea", "b": "taxes are due in april, says the office",
             "c": "ships sail on the deep blue sea", "d": "on the blue sea ships sail"}  # fmt: skip
    found = medoid(texts)
    assert found == medoid(dict(reversed(texts.items())))
    assert ("a", "c", "d") == found.group
    assert (("b",),) == found.others
    assert found.voter in found.group
    assert "b" == medoid(texts, {"b": 9.0}).voter
    assert "" == medoid({"a": None}).voter


def test_likeness_sees_what_the_embedding_sees() -> None:
    """With vectors of one's own, texts are as alike as these; else by their words."""
    texts = ["car", "automobile"]
    assert likeness(texts)[0, 1] < 0.3
    assert likeness(texts, lambda _: [[1.0, 0.0], [1.0, 0.1]])[0, 1] > 0.99


def test_a_break_even_counts_all_cheap_calls() -> None:
    """Both cheap LLMs are paid; what nobody knows is unknown; over 1 it can never pay."""
    fine = break_even([0.1, 0.1], 1.0)
    assert (pytest.approx(0.2), True, False) == (fine.accept_rate, fine.can_pay, fine.is_doubtful)
    assert pytest.approx(0.4) == fine.cost_share(0.8)
    losing = break_even([0.6, 0.5], 1.0)
    assert (False, True) == (losing.can_pay, losing.is_doubtful)
    assert "Ask the strong one" in losing.said
    assert break_even([0.4, 0.4], 1.0).is_doubtful
    assert None is break_even([None, 0.1], 1.0).can_pay
    assert None is break_even([0.1], None).can_pay


def test_weights_and_shares_are_as_computed_by_hand() -> None:
    """Log odds, agreement and Borda points of small tables."""
    assert pytest.approx(2.1972, abs=1e-4) == log_odds(0.9)
    assert 0.0 == log_odds(0.1)
    assert pytest.approx(1 / 6) == agreement({"a": "1", "b": "1", "c": "2", "d": "3"})
    assert {"a": 1.0, "b": 0.25, "c": 0.25} == borda({"x": ["a"]}, ["a", "b", "c"])
    weighted = tally({"a": "1", "b": "2", "c": "2"}, {"a": 3.0})
    assert ("1", pytest.approx(0.6)) == (weighted.answer, weighted.share)
    equal = tally({"a": "1", "b": "2", "c": "2"}, dict.fromkeys("abc", 2.0))
    assert tally({"a": "1", "b": "2", "c": "2"}) == equal
