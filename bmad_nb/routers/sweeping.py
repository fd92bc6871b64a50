"""What a router chooses at many trade-offs of cost and quality, from all cheap to all strong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bmad_nb.routers.batch import best_of
from bmad_nb.routers.outcomes import Picks, Questions

STEPS = 11
"""Trade-offs that are tried, as in the code of RouteLLM."""


@dataclass(frozen=True, slots=True, eq=False)
class Sweep:
    """Choices at several settings; a setting in [0, 1] goes from all cheap to all strong."""

    settings: NDArray[np.float64]
    """Shape (settings,); NaN of a router that has only one."""
    llm: NDArray[np.int16]
    """Column of the LLM; shape (settings, questions)."""
    mixtures: NDArray[np.float64] | None = None
    """Exact probabilities behind choices by chance; shape (settings, LLMs)."""


def swept(
    router: Any,
    questions: Questions,
    picks: Picks,
    *,
    cheap: int | None,
    strong: int,
    steps: int = STEPS,
) -> Sweep:
    """Return what a router chooses at several settings.

    A router that expects scores is swept by them: of two LLMs by the share of questions that go to
    the strong one, those with the largest expected gain first (Ong et al., "RouteLLM", 2024); of
    several by what a US dollar is worth (Hu et al., "RouterBench", 2024); without costs by the
    share that leaves the strong one. `mixtures` or `margin` of a router go before. Any other has
    one setting.

    Args:
        router: fitted.
        questions: what is routed.
        picks: its own choices.
        cheap: column of the cheapest LLM; None where costs are unknown.
        strong: column of the best single LLM of the history.
        steps: settings from all cheap to all strong.
    """
    own = getattr(router, "mixtures", None)
    if own is not None:
        return _mixed(own(questions, steps), questions, router.seed)
    shares = np.linspace(0.0, 1.0, steps)
    margin = getattr(router, "margin", None)
    weak = 1 - strong if len(questions.llms) == 2 else cheap
    if margin is not None and weak is not None and weak != strong:
        return Sweep(shares, _by_share(margin(questions), shares, weak, strong))
    expected = picks.expected
    if expected is None or np.isnan(expected).all() or picks.asked is not None:
        return Sweep(np.array([np.nan]), picks.llm[None, :].astype(np.int16))
    if len(questions.llms) == 2:
        gain = np.nan_to_num(expected[:, strong] - expected[:, 1 - strong])
        return Sweep(shares, _by_share(gain, shares, 1 - strong, strong))
    if cheap is None or picks.expected_usd is None or np.isnan(picks.expected_usd).any():
        return Sweep(shares, _leaving(expected, shares, strong))
    return Sweep(shares, _by_price(expected, picks.expected_usd, shares, cheap, strong))


def _mixed(weights: NDArray[np.float64], questions: Questions, seed: int) -> Sweep:
    from bmad_nb.routers.singles import drawn

    settings = np.linspace(0.0, 1.0, len(weights)) if len(weights) > 1 else np.array([np.nan])
    rows = np.stack([drawn(each, questions, seed) for each in weights])
    return Sweep(settings, rows.astype(np.int16), weights)


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of questions before each one, those with the largest value first."""
    many = len(values)
    shuffled = np.random.default_rng(0).permutation(many)  # equal values in no order
    order = shuffled[np.argsort(-values[shuffled], kind="stable")]
    ranks = np.empty(many)
    ranks[order] = (np.arange(many) + 0.5) / max(1, many)
    return ranks


def _by_share(
    gain: NDArray[np.float64], shares: NDArray[np.float64], weak: int, strong: int
) -> NDArray[np.int16]:
    ranks = _ranks(np.round(gain, 9))
    return np.where(ranks[None, :] < shares[:, None], strong, weak).astype(np.int16)


def _leaving(
    expected: NDArray[np.float64], shares: NDArray[np.float64], strong: int
) -> NDArray[np.int16]:
    best = best_of(expected, None, 0.0)
    rows = np.arange(len(best))
    gain = expected[rows, best] - np.nan_to_num(expected[:, strong])
    ranks = _ranks(np.where(best == strong, -1.0, np.nan_to_num(gain)))
    stays = ranks[None, :] < (1 - shares)[:, None]
    return np.where(stays, best[None, :], strong).astype(np.int16)


def _by_price(
    expected: NDArray[np.float64],
    usd: NDArray[np.float64],
    shares: NDArray[np.float64],
    cheap: int,
    strong: int,
) -> NDArray[np.int16]:
    """Return choices at prices of quality at which ever more questions leave the cheapest LLM."""
    rows = np.arange(len(expected))
    best = best_of(expected, usd, 0.0)
    more = usd[rows, best] - usd[:, cheap]
    gain = expected[rows, best] - np.nan_to_num(expected[:, cheap])
    worth = np.divide(gain, more, out=np.zeros(len(rows)), where=more > 0)
    worth = worth[worth > 0]
    if not len(worth):
        worth = np.zeros(1)
    prices = np.quantile(worth, 1 - shares[1:-2]) if len(shares) > 3 else np.zeros(0)
    found = [np.full(len(rows), cheap)]
    found += [best_of(expected, usd, float(each)) for each in prices]
    found += [best, np.full(len(rows), strong)]
    return np.stack(found[: len(shares)]).astype(np.int16)
