"""Messages, requests and prices: what makes two requests equal, and what a call costs."""

from __future__ import annotations

import dataclasses
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmad_nb.messages import (
    FREE,
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
        ("0", FREE, Usage()),
        ("0", FREE, Usage(5, 5)),
        (None, PRICE, Usage()),
        (None, PRICE, Usage(5, None)),
        (None, PRICE, Usage(None, 5)),
    ],
)
def test_the_cost_of_tokens(expected: str | None, price: Price, usage: Usage) -> None:
    """Cost is exact in US dollars; cached tokens have their price; unknown counts are unknown."""
    assert (None if expected is None else Decimal(expected)) == price.cost(usage)


@given(
    st.text(max_size=200), st.integers(1, 10_000), st.integers(0, 200), st.decimals("0", "100"),
)  # fmt: skip
def test_the_worst_case_is_never_below_the_cost(
    text: str, max_tokens: int, used: int, dollars: Decimal
) -> None:
    """Whatever an LLM answers within its limit, the reserved amount covers it."""
    price = Price(dollars, dollars * 4)
    asked = Request("a/b", "i", "b", (Message("user", text),), max_tokens)
    tokens_in = len(text.encode("utf-8", "surrogatepass")) + 32
    usage = Usage(tokens_in, min(used, max_tokens))
    cost = price.cost(usage)
    assert cost is not None
    assert cost <= price.worst_case(asked)


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
