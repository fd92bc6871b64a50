"""Messages, requests and prices: what makes two requests equal, and what a call costs."""

from __future__ import annotations

import dataclasses
import json
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmad_nb.errors import UsageProblem
from bmad_nb.messages import (
    FREE,
    MOST_TOKENS,
    Completion,
    Message,
    Price,
    Request,
    Usage,
    canonical_json,
    fingerprint,
    variant_name,
)

REQUEST = Request("lab/m", "https://lab/v1", "m", (Message("user", "Why?"),), 100, (("seed", 1),))

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(alphabet=st.characters() | st.characters(categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(values)
def test_canonical_json_is_ascii_and_comes_back(value: Any) -> None:
    """Every JSON value has one ASCII spelling, lone surrogates and NUL too, and reads back."""
    spelled = canonical_json(value)
    assert spelled.isascii()
    assert value == json.loads(spelled)
    assert b"\x00" not in spelled


def test_the_order_of_keys_does_not_matter() -> None:
    """Equal tables have equal fingerprints; others have others."""
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": "1"})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, object()])
def test_what_is_not_json_has_no_spelling(value: Any) -> None:
    """NaN, infinity and foreign objects are refused instead of being spelled somehow."""
    with pytest.raises((TypeError, ValueError)):
        canonical_json(value)


@pytest.mark.parametrize(
    "change",
    [
        {"identity": "https://other/v1"},
        {"model": "n"},
        {"messages": (Message("user", "Why not?"),)},
        {"messages": (Message("system", "Why?"),)},
        {"messages": (Message("user", "Why?"), Message("user", ""))},
        {"max_tokens": 101},
        {"params": (("seed", 2),)},
        {"params": (("temperature", 1),)},
        {"params": ()},
        {"sample": 1},
    ],
    ids=str,
)
def test_whatever_decides_the_answer_changes_the_key(change: dict[str, Any]) -> None:
    """Endpoint, model, messages, parameters and sample are all part of the key."""
    assert REQUEST.key != dataclasses.replace(REQUEST, **change).key


def test_the_name_of_an_llm_does_not_change_the_key() -> None:
    """What we call an LLM does not matter: the same thing is asked the same."""
    assert REQUEST.key == dataclasses.replace(REQUEST, llm="lab/alias").key


def test_the_key_stays_what_it_was() -> None:
    """The key of a request is fixed: if it changed, no stored answer would be found again."""
    expected = "3dc3c2bc5cc021bf4aca33f3f109c03b3a7b4b69de314258fadf0ab00651fcef"
    assert expected == REQUEST.key


def test_a_fresh_request_differs_for_the_provider_only() -> None:
    """Asked anew, a request has the same stored key and another idempotency key."""
    anew = dataclasses.replace(REQUEST, fresh="run1")
    assert REQUEST.key == anew.key == REQUEST.idempotency_key
    assert anew.idempotency_key != REQUEST.key
    assert anew.idempotency_key == dataclasses.replace(REQUEST, fresh="run1").idempotency_key
    assert anew.idempotency_key != dataclasses.replace(REQUEST, fresh="run2").idempotency_key


def test_the_prompt_is_the_last_message() -> None:
    """`prompt` is what the user asked, whatever stood before it."""
    both = (Message("system", "Be brief."), Message("user", "Why?"))
    assert "Why?" == dataclasses.replace(REQUEST, messages=both).prompt


PRICE = Price(Decimal(2), Decimal(8), Decimal("0.5"))
WRITTEN = dataclasses.replace(PRICE, cache_write_usd_per_mtok=Decimal(3))
REASONED = dataclasses.replace(PRICE, reasoning_usd_per_mtok=Decimal(11))
FEE = Price(Decimal(1), Decimal(2), request_usd=Decimal("0.01"))


@pytest.mark.parametrize(
    ("expected", "price", "usage"),
    [
        ("0.000010", PRICE, Usage(1, 1)),
        ("2", PRICE, Usage(1_000_000, 0)),
        ("0.5", PRICE, Usage(1_000_000, 0, 1_000_000)),
        ("1.25", PRICE, Usage(1_000_000, 0, 500_000)),
        ("2", Price(Decimal(2), Decimal(8)), Usage(1_000_000, 0, 500_000)),
        ("0.5", PRICE, Usage(1_000_000, 0, 9_000_000)),
        ("8", PRICE, Usage(0, 1_000_000, None, 900_000)),
        ("3", WRITTEN, Usage(1_000_000, 0, None, None, 1_000_000)),
        ("1.75", WRITTEN, Usage(1_000_000, 0, 500_000, None, 9_000_000)),
        ("2", PRICE, Usage(1_000_000, 0, None, None, 1_000_000)),
        ("11", REASONED, Usage(0, 1_000_000, None, 1_000_000)),
        ("8.3", REASONED, Usage(0, 1_000_000, None, 100_000)),
        ("11", REASONED, Usage(0, 1_000_000, None, 9_000_000)),
        ("1.01", FEE, Usage(1_000_000, 0)),
        ("0.01", dataclasses.replace(FREE, request_usd=Decimal("0.01")), Usage()),
        (None, FEE, Usage()),
        (None, dataclasses.replace(FREE, reasoning_usd_per_mtok=Decimal(1)), Usage()),
        ("0", FREE, Usage()),
        ("0", FREE, Usage(5, 5)),
        (None, PRICE, Usage()),
        (None, PRICE, Usage(5, None)),
        (None, PRICE, Usage(None, 5)),
    ],
)
def test_the_cost_of_tokens(expected: str | None, price: Price, usage: Usage) -> None:
    """Cost is exact in US dollars, each sort of token at its price; unknown counts are unknown."""
    assert (None if expected is None else Decimal(expected)) == price.cost(usage)


amounts = st.decimals(0, 1000, places=12) | st.sampled_from([Decimal("1e-30"), Decimal("1e9")])
prices = st.builds(
    Price, amounts, amounts, st.none() | amounts, st.text(), st.text(),
    st.none() | amounts, st.none() | amounts, amounts,
)  # fmt: skip


@settings(deadline=None, max_examples=100)
@given(prices, st.text(max_size=50), st.integers(1, 10_000), st.data())
def test_the_worst_case_is_never_below_the_cost(
    price: Price, text: str, max_tokens: int, data: st.DataObject
) -> None:
    """Whatever is cached, written, reasoned or answered within the limits: the reserve covers it."""
    asked = Request("a/b", "i", "b", (Message("user", text),), max_tokens)
    tokens_in = data.draw(st.integers(0, asked.most_input_tokens))
    part = st.none() | st.integers(0, 20_000)
    usage = Usage(
        tokens_in, data.draw(st.integers(0, max_tokens)),
        data.draw(part), data.draw(part), data.draw(part),
    )  # fmt: skip
    cost = price.cost(usage)
    assert cost is not None
    assert cost <= price.worst_case(asked)


@settings(deadline=None, max_examples=100)
@given(prices, st.lists(st.integers(0, MOST_TOKENS // 5), min_size=5, max_size=5))
def test_the_cost_has_no_rounding(price: Price, counts: list[int]) -> None:
    """Cost is what fractions give, to the last digit, for every amount and count allowed."""
    plain, cached, written, shown, reasoned = counts
    usage = Usage(plain + cached + written, shown + reasoned, cached, reasoned, written)
    into, out = Fraction(price.input_usd_per_mtok), Fraction(price.output_usd_per_mtok)

    def of(amount: Decimal | None, otherwise: Fraction) -> Fraction:
        return otherwise if amount is None else Fraction(amount)

    total = (
        into * plain + out * shown
        + of(price.cached_input_usd_per_mtok, into) * cached
        + of(price.cache_write_usd_per_mtok, into) * written
        + of(price.reasoning_usd_per_mtok, out) * reasoned
    )  # fmt: skip
    cost = price.cost(usage)
    assert cost is not None
    assert total / 1_000_000 + Fraction(price.request_usd) == Fraction(cost)


@settings(deadline=None, max_examples=100)
@given(prices)
def test_a_price_comes_back_from_json(price: Price) -> None:
    """A price that was written into a row is read as the same price, through JSON text too."""
    assert price == Price.from_json(json.loads(canonical_json(price.to_json())))


def test_the_json_of_a_price_is_short() -> None:
    """Only what is set is written, amounts as text; nothing is worth zero unless it says so."""
    expected = {"input_usd_per_mtok": "0", "output_usd_per_mtok": "0", "source": "own machine"}
    assert expected == FREE.to_json()
    expected = {"input_usd_per_mtok": "1", "output_usd_per_mtok": "2", "request_usd": "0.01"}
    assert expected == FEE.to_json()


ROW = {"input_usd_per_mtok": "1", "output_usd_per_mtok": "2"}


@pytest.mark.parametrize(
    "junk",
    [
        None, [], "1", 1, {}, {"input_usd_per_mtok": "1"}, {**ROW, "tip": "1"}, {**ROW, 1: "1"},
        {**ROW, "source": 1}, {**ROW, "source": None}, {**ROW, "request_usd": None},
        *({**ROW, "output_usd_per_mtok": each} for each in (
            1, 1.5, True, None, "", " 1", "1 ", "1\n", "1_0", "+1", "-1", "nan", "Infinity", "1e5",
            "0x1", "١", ".5", "5.", "1E10", "1E999999999", "1E-31", "1E9999999999", "2" * 50,
        )),
    ],
    ids=repr,
)  # fmt: skip
def test_what_is_no_price_is_refused(junk: object) -> None:
    """What `to_json` would never write is refused; nothing is guessed."""
    with pytest.raises(UsageProblem, match=r"price|amount"):
        Price.from_json(junk)


def test_a_price_in_json_is_taken() -> None:
    """Planted: the row that the junk is made from is a price."""
    assert Price(Decimal(1), Decimal(2)) == Price.from_json(ROW)


@pytest.mark.parametrize(
    "amount",
    [
        Decimal(-1),
        Decimal("nan"),
        Decimal("inf"),
        Decimal("1e-31"),
        Decimal(10**9 + 1),
        0.5,
        1,
        None,
    ],
)
def test_an_amount_that_would_overrun_a_budget_is_refused(amount: Any) -> None:
    """A price has finite Decimals from 0 to the bound; the error names the field."""
    with pytest.raises(UsageProblem, match="output_usd_per_mtok"):
        Price(Decimal(1), amount)
    with pytest.raises(UsageProblem, match="request_usd"):
        Price(Decimal(1), Decimal(1), request_usd=amount)


def test_the_worst_case_counts_every_byte() -> None:
    """A character of four bytes may be four tokens, and each message has a frame."""
    asked = Request("a/b", "i", "b", (Message("system", ""), Message("user", "🧊")), 10)
    assert Decimal(4 + 64 + 40) / 1_000_000 == Price(Decimal(1), Decimal(4)).worst_case(asked)


@pytest.mark.parametrize(
    ("expected", "params"),
    [
        ("", {}),
        ("temperature=1", {"temperature": 1}),
        ("seed=1&temperature=0.5", {"temperature": 0.5, "seed": 1}),
        ("reasoning_effort=low", {"reasoning_effort": "low"}),
    ],
)
def test_the_name_of_a_setting(expected: str, params: dict[str, Any]) -> None:
    """A setting is written as behind an LLM's id, sorted by name."""
    assert expected == variant_name(params)


def test_plain_data_is_frozen() -> None:
    """What was said cannot be changed afterwards."""
    for thing in (Message("user", "x"), REQUEST, PRICE, Usage(), Completion("x")):
        name = dataclasses.fields(thing)[0].name
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(thing, name, "y")
