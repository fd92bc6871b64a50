"""What an LLM costs: your own prices first, then the card's, then the public list; else unknown."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from decimal import Decimal

from bmad_nb.messages import Price
from bmad_nb.settings import PriceSettings


class PriceBook:
    """Finds prices and remembers what it found."""

    def __init__(self, overrides: Mapping[str, PriceSettings] | None = None) -> None:
        """Take the `[prices]` tables of the settings, by LLM id."""
        self._overrides = dict(overrides or {})
        self._listed: dict[tuple[str, str], Price | None] = {}

    def price(
        self, llm: str, *, declared: Price | None, url: str = "", model: str = ""
    ) -> Price | None:
        """Return the price of `llm`, or None where nobody knows it.

        Args:
            llm: id, `endpoint/name`.
            declared: price on the LLM's own card, if it has one.
            url: address of the endpoint, by which the public list knows the provider.
            model: the model's name there.
        """
        own = self._overrides.get(llm)
        if own is not None:
            return Price(
                own.input_usd_per_mtok,
                own.output_usd_per_mtok,
                own.cached_input_usd_per_mtok,
                source="settings",
                as_of=own.as_of,
            )
        if declared is not None or not url.startswith("https://"):
            return declared
        if (url, model) not in self._listed:
            self._listed[url, model] = list_price(url, model)
        return self._listed[url, model]


def list_price(url: str, model: str) -> Price | None:
    """Return the list price that genai-prices has for a model at an address, or None.

    Where a price has tiers, the dearest one is taken, so that a reservation is never too small.
    """
    import genai_prices

    try:
        found = genai_prices.calc_price(
            genai_prices.Usage(input_tokens=1, output_tokens=1),
            model_ref=model,
            provider_api_url=url,
        ).model_price
    except (LookupError, ValueError):
        return None
    given, answered = _dearest(found, "input_mtok"), _dearest(found, "output_mtok")
    if given is None or answered is None:
        return None
    return Price(
        given,
        answered,
        _dearest(found, "cache_read_mtok"),
        source=f"genai-prices {genai_prices.__version__}",
        as_of=datetime.datetime.now(datetime.UTC).date().isoformat(),
    )


def _dearest(price: object, name: str) -> Decimal | None:
    value = getattr(price, name, None)
    if value is None or isinstance(value, Decimal):
        return value
    return max(Decimal(price) for price in (value.base, *(tier.price for tier in value.tiers)))
