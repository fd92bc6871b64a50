"""Prices: whose word counts, where it comes from, and that unknown is never free."""

from __future__ import annotations

from decimal import Decimal

import pytest

from bmad_nb.messages import FREE, Price
from bmad_nb.pricing import PriceBook, list_price
from bmad_nb.settings import PriceSettings

OPENAI = "https://api.openai.com/v1"
DECLARED = Price(Decimal(1), Decimal(2), source="card")


def test_your_own_price_goes_first() -> None:
    """A price in the settings goes before the card's and the public list's, with its date."""
    own = PriceSettings.model_validate(
        {"input_usd_per_mtok": "0.15", "output_usd_per_mtok": "0.6", "as_of": "2026-01-02"}
    )
    found = PriceBook({"openai/gpt-4o-mini": own}).price(
        "openai/gpt-4o-mini", declared=DECLARED, url=OPENAI, model="gpt-4o-mini"
    )
    expected = Price(Decimal("0.15"), Decimal("0.6"), None, source="settings", as_of="2026-01-02")
    assert expected == found


def test_the_card_s_price_goes_before_the_public_list() -> None:
    """What an LLM declares of itself is taken as it is."""
    found = PriceBook().price("a/b", declared=DECLARED, url=OPENAI, model="gpt-4o-mini")
    assert DECLARED is found


def test_the_public_list_knows_an_endpoint_by_its_address() -> None:
    """A model at a known address has a list price with its source and a date."""
    found = PriceBook().price("openai/x", declared=None, url=OPENAI, model="gpt-4o-mini")
    assert found is not None
    assert 0 < found.input_usd_per_mtok < found.output_usd_per_mtok < 100
    assert found.source.startswith("genai-prices ")
    assert 10 == len(found.as_of)


@pytest.mark.parametrize(
    ("url", "model"),
    [
        (OPENAI, "no-such-model-at-all"),
        ("https://nobody.example/v1", "gpt-4o-mini"),
        ("http://127.0.0.1:8000/v1", "gpt-4o-mini"),
        ("", ""),
        ("simulated:1:abc", "careful"),
        (OPENAI, ""),
    ],
)
def test_what_nobody_knows_is_unknown_and_not_free(url: str, model: str) -> None:
    """Without a price anywhere the answer is None, never zero."""
    assert PriceBook().price("a/b", declared=None, url=url, model=model) is None


def test_free_is_a_price() -> None:
    """A model on one's own machine costs nothing, which is not the same as unknown."""
    found = PriceBook().price("local/x", declared=FREE, url="", model="x")
    assert FREE == found


def test_with_tiers_the_dearest_price_is_taken() -> None:
    """Where long prompts cost more, the dearer price is taken, so that a reservation suffices."""
    found = list_price("https://generativelanguage.googleapis.com", "gemini-2.5-pro")
    assert found is not None
    assert found.input_usd_per_mtok >= Decimal("2.5")
