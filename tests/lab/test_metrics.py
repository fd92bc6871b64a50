"""Measures of routing: cases computed by hand, and what must always hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bmad_nb.errors import UnknownName, UsageProblem
from bmad_nb.lab import metrics
from bmad_nb.lab.estimating import METHODS, estimated
from bmad_nb.routers.hull import area, height, hull

SHARE = np.linspace(0.0, 1.0, 11)
unit = st.floats(0, 1, allow_nan=False, width=16)


def test_pgr_is_the_share_of_the_gap() -> None:
    """Weak 0.5, strong 0.9: 0.7 closes half; without a gap there is no share."""
    assert 0.5 == pytest.approx(float(metrics.pgr(0.7, 0.5, 0.9)))
    assert np.isnan(metrics.pgr(0.7, 0.5, 0.5))


def test_random_mixing_has_an_apgr_of_one_half_and_cpts_of_themselves() -> None:
    """The line from weak to strong: APGR 0.5, CPT50 50 %, CPT80 80 %, exactly."""
    quality = 0.6 + 0.2 * SHARE
    assert 0.5 == pytest.approx(float(metrics.apgr(SHARE, quality, 0.6, 0.8)), abs=1e-12)
    assert 50.0 == pytest.approx(float(metrics.cpt(SHARE, quality, 0.6, 0.8, 0.5)))
    assert 80.0 == pytest.approx(float(metrics.cpt(SHARE, quality, 0.6, 0.8, 0.8)))


def test_apgr_by_hand() -> None:
    """All gain within the first half: the area is 0.25 + 0.5; a third setting needs no more."""
    share, quality = np.array([0.0, 0.5, 1.0]), np.array([0.6, 0.8, 0.8])
    assert 0.75 == pytest.approx(float(metrics.apgr(share, quality, 0.6, 0.8)))
    assert 25.0 == pytest.approx(float(metrics.cpt(share, quality, 0.6, 0.8, 0.5)))


def test_a_cpt_is_the_first_crossing() -> None:
    """A curve that crosses, falls and crosses again is read at its first crossing."""
    share, quality = np.array([0.0, 0.2, 0.4, 1.0]), np.array([0.0, 0.8, 0.2, 1.0])
    assert 12.5 == pytest.approx(float(metrics.cpt(share, quality, 0.0, 1.0, 0.5)))
    assert np.isnan(metrics.cpt(share, quality * 0.4, 0.0, 1.0, 0.5))


@given(arrays(float, 11, elements=unit))
def test_a_higher_target_needs_no_fewer_calls(curve: np.ndarray) -> None:
    """CPT rises with its target."""
    found = [float(metrics.cpt(SHARE, curve, 0.0, 1.0, t)) for t in (0.1, 0.3, 0.5, 0.8)]
    known = [each for each in found if not np.isnan(each)]
    assert known == sorted(known)
    assert all(np.isnan(each) for each in found[len(known) :])


@settings(max_examples=200)
@given(arrays(float, (7, 2), elements=unit))
def test_a_hull_is_concave_never_falls_and_lies_on_top(points: np.ndarray) -> None:
    """Slopes fall, heights rise, and no policy is above it."""
    cost, quality = points.T
    x, y, which = hull(cost, quality)

    assert (np.diff(x) > 0).all()
    assert (np.diff(y) > 0).all()
    slopes = np.diff(y) / np.diff(x)
    assert (np.diff(slopes) <= 1e-9 * (1 + np.abs(slopes[:-1]))).all()
    assert (height(cost, x, y) >= quality - 1e-9).all()
    assert list(cost[which]) == list(x)


def test_an_area_counts_nothing_where_nothing_can_be_had() -> None:
    """From 0 to 4: nothing until 1, then 0.5 to 0.9 over one, then level."""
    found = area(np.array([1.0, 2.0]), np.array([0.5, 0.9]), 0.0, 4.0)
    assert (0.0 + 0.7 + 2 * 0.9) / 4 == pytest.approx(found)
    assert 0.9 == pytest.approx(area(np.array([1.0]), np.array([0.9]), 1.0, 1.0))


@given(arrays(float, (6, 3), elements=unit), st.data())
def test_nothing_beats_the_oracle(score: np.ndarray, data: st.DataObject) -> None:
    """Of all choices the oracle's has the highest mean score."""
    chosen = data.draw(st.lists(st.integers(0, 2), min_size=6, max_size=6))
    best = score[np.arange(6), metrics.oracle(score)].mean()
    assert best >= score[np.arange(6), chosen].mean() - 1e-12


def test_the_oracle_takes_the_cheapest_of_equal_ones() -> None:
    """Both are right: the cheaper is taken."""
    assert [1] == list(metrics.oracle(np.array([[1.0, 1.0]]), np.array([[2.0, 1.0]])))


def test_calibration_by_hand() -> None:
    """Brier and ECE of two answers at 0.9, one right."""
    sure, came = np.array([0.9, 0.9]), np.array([1.0, 0.0])
    assert (0.01 + 0.81) / 2 == pytest.approx(metrics.brier(sure, came))
    assert 0.4 == pytest.approx(metrics.calibration_error(sure, came))
    assert np.isnan(metrics.brier(np.array([np.nan]), np.array([1.0])))


def test_the_arena_score_by_hand() -> None:
    """Half the quality at the least cost: (1.1 x 0.5 x 1) / (0.05 + 1)."""
    assert 0.55 / 1.05 == pytest.approx(float(metrics.arena(0.5, 0.0044 / 1000)))
    assert 0.0 == pytest.approx(float(metrics.arena(0.5, 1.0)))


def test_a_bootstrap_of_many_queries_is_as_wide_as_one_of_each() -> None:
    """20,000 queries are drawn in 4,000 groups, and the interval is that of the normal law."""
    values = np.random.default_rng(1).random((20_000, 1)) < 0.3
    boot = metrics.Bootstrap(len(values), draws=2_000)
    mean, drawn = boot.means(values.astype(float))

    assert float(values.mean()) == pytest.approx(float(mean[0]))
    expected = np.sqrt(values.var() / len(values))
    assert expected == pytest.approx(float(drawn[:, 0].std()), rel=0.06)


def test_the_best_of_noise_shows_no_gain() -> None:
    """Draws that lie above the value by a bias are brought down by twice of it."""
    drawn = metrics.unbiased(0.0, np.array([0.0, 0.1, 0.2]))
    assert -0.1 == pytest.approx(float(drawn.mean()))


@pytest.mark.long
@pytest.mark.parametrize("method", METHODS)
def test_an_off_policy_interval_covers_the_truth(method: str) -> None:
    """Histories drawn from a full table: at least 93 % of the 95 % intervals hold the truth."""
    rng = np.random.default_rng(5)
    skill = np.array([0.5, 0.7, 0.6])
    kind = rng.integers(0, 2, 1_500)
    table = (rng.random((1_500, 3)) < skill + 0.2 * (kind[:, None] == [0, 1, 0])).astype(float)
    policy = np.where(kind == 0, 0, 1).astype(np.intp)
    truth = table[np.arange(1_500), policy].mean()
    expected = np.tile(skill, (1_500, 1))
    weights = np.full(3, 1 / 3) if method == "matching" else np.array([0.5, 0.2, 0.3])
    held, trials = 0, 120
    for trial in range(trials):
        logged = rng.choice(3, 1_500, p=weights).astype(np.intp)
        found = estimated(
            table[np.arange(1_500), logged], logged, policy, weights[logged], expected=expected,
            method=method, seed=trial, draws=400,
        )  # fmt: skip
        held += found.low <= truth <= found.high
    assert held >= 0.93 * trials


def test_an_estimate_is_refused_where_the_history_says_too_little() -> None:
    """40 matching questions: the effective sample size is under 50, and that is an error."""
    logged = np.array([0] * 40 + [1] * 500, dtype=np.intp)
    chance, reward = np.full(540, 0.5), np.ones(540)
    with pytest.raises(UsageProblem, match="effective sample size 40"):
        estimated(reward, logged, np.zeros(540, dtype=np.intp), chance)
    with pytest.raises(UsageProblem, match="probability in"):
        estimated(reward, logged, logged, chance * 0)
    with pytest.raises(UnknownName, match="estimator"):
        estimated(reward, logged, logged, chance, method="guess")
