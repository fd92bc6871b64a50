"""Routers: hard filters first, then each one's own preference, always with a reason."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmad_nb.errors import Unroutable
from bmad_nb.llms.base import Card
from bmad_nb.messages import Price
from bmad_nb.routers.base import Candidate, Demand, obstacle
from bmad_nb.routers.capability import Capability
from bmad_nb.routers.cheapest import Cheapest
from bmad_nb.routers.fixed import Fixed

ROUTERS = (Fixed(), Cheapest(), Capability())


def llm(
    name: str,
    usd: str | None = "1",
    *,
    context: int | None = 1000,
    missing: str = "",
    output_usd: str | None = None,
    **skills: float,
) -> Candidate:
    card = Card(
        id=f"lab/{name}",
        identity="here",
        model=name,
        context_tokens=context,
        capabilities=tuple(skills.items()),
        missing=missing,
    )
    price = None if usd is None else Price(Decimal(usd), Decimal(output_usd or usd))
    return Candidate(card, price)


def test_fixed_takes_the_first_that_was_named() -> None:
    """The order in which LLMs are named is the order of preference."""
    choice = Fixed().choose(Demand("t"), [llm("b", "9"), llm("a", "1")])

    assert "lab/b" == choice.llm
    assert (("lab/a", "named later"),) == choice.rejected


def test_fixed_says_that_the_only_one_was_named() -> None:
    """With one candidate the reason is that it was named."""
    assert "named for this task" == Fixed().choose(Demand("t"), [llm("a")]).reason


def test_cheapest_takes_the_lowest_price_and_says_it() -> None:
    """The lowest blended list price wins, and the others say what they cost."""
    choice = Cheapest().choose(Demand("t"), [llm("dear", "4"), llm("cheap", "0.5")])

    assert "lab/cheap" == choice.llm
    assert "the cheapest of 2 that can do it: $0.5 per million tokens" == choice.reason
    assert (("lab/dear", "dearer: $4 per million tokens"),) == choice.rejected


def test_cheapest_weighs_output_less_than_input() -> None:
    """Three tokens of input come with one of output, so input decides more."""
    found = [llm("long", "1", output_usd="3"), llm("short", "2", output_usd="1")]

    assert "lab/long" == Cheapest().choose(Demand("t"), found).llm


def test_an_unknown_price_comes_last() -> None:
    """An LLM whose price nobody knows is never called the cheapest of several."""
    assert "lab/b" == Cheapest().choose(Demand("t"), [llm("a", None), llm("b", "99")]).llm


def test_a_free_llm_is_cheapest() -> None:
    """Free is a price, and is said in that word."""
    choice = Cheapest().choose(Demand("t"), [llm("a", "1"), llm("b", "0")])

    assert "lab/b" == choice.llm
    assert choice.reason.endswith("free")


def test_capability_takes_the_best_mean_of_what_is_demanded() -> None:
    """Skills that the task does not name do not count."""
    demand = Demand("t", capabilities={"math": 0.2, "facts": 0.2})
    found = [llm("a", math=0.5, facts=0.5, code=1.0), llm("b", math=0.4, facts=0.8)]
    choice = Capability().choose(demand, found)

    assert "lab/b" == choice.llm
    said = "declared 0.60 for math, facts, the most of 2 that can do it"
    assert f"{said}; nothing was measured yet at this kind of task" == choice.reason


def test_capability_without_a_demand_takes_all_declared_skills() -> None:
    """A task that names no skill is judged by the mean of all."""
    assert "lab/b" == Capability().choose(Demand("t"), [llm("a", math=0.5), llm("b", code=0.6)]).llm


@pytest.mark.parametrize(
    ("demand", "candidate", "why"),
    [
        (Demand("t", exclude=["lab/*"]), llm("a"), "it is excluded"),
        (Demand("t"), llm("a", missing="the variable K is not set"), "the variable K is not set"),
        (
            Demand("t", capabilities={"code": 0.7}),
            llm("a"),
            "its code is not declared, and 0.7 is needed",
        ),
        (
            Demand("t", capabilities={"code": 0.7}),
            llm("a", code=0.6),
            "its code is 0.6, and 0.7 is needed",
        ),
        (
            Demand("t", context_tokens=2000),
            llm("a"),
            "its context is 1000 tokens, and 2000 tokens are needed",
        ),
        (
            Demand("t", context_tokens=2000),
            llm("a", context=None),
            "its context is unknown, and 2000 tokens are needed",
        ),
        (
            Demand("t", max_cost_usd=Decimal("0.001")),
            llm("a", None),
            "its price is unknown, and a call may cost at most $0.001",
        ),
        (
            Demand("t", max_cost_usd=Decimal("0.001"), max_tokens=2000),
            llm("a", "1"),
            "its answer alone could cost $0.002, and a call may cost at most $0.001",
        ),
    ],
)
def test_each_hard_filter_says_why(demand: Demand, candidate: Candidate, why: str) -> None:
    """A candidate that may not be taken is named with the filter that it fails."""
    assert why == obstacle(demand, candidate)


def test_boundaries_are_kept() -> None:
    """Exactly enough is enough."""
    demand = Demand("t", capabilities={"code": 0.7}, context_tokens=1000,
                    max_cost_usd=Decimal("0.002"), max_tokens=2000)  # fmt: skip

    assert "" == obstacle(demand, llm("a", "1", code=0.7))


@pytest.mark.parametrize("router", ROUTERS, ids=lambda each: each.name)
def test_unroutable_lists_each_llm_with_its_filter(router: object) -> None:
    """Where no LLM passes, the error names every one and why, before anything is sent."""
    with pytest.raises(Unroutable) as caught:
        router.choose(Demand("t", capabilities={"code": 0.7}), [llm("a"), llm("b", code=0.1)])

    assert "lab/a: its code is not declared" in caught.value.what
    assert "lab/b: its code is 0.1" in caught.value.what


candidates = st.lists(
    st.builds(
        llm,
        st.sampled_from("abcdefgh"),
        st.sampled_from([None, "0", "0.5", "1", "30"]),
        context=st.sampled_from([None, 100, 1000, 10_000]),
        missing=st.sampled_from(["", "", "no key"]),
        code=st.floats(0, 1),
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda each: each.card.id,
)
demands = st.builds(
    Demand,
    st.just("t"),
    capabilities=st.one_of(st.just({}), st.floats(0, 1).map(lambda x: {"code": x})),
    context_tokens=st.sampled_from([None, 500, 5000]),
    max_cost_usd=st.sampled_from([None, Decimal("0.0001"), Decimal(1)]),
    exclude=st.sampled_from([(), ("lab/a",), ("*b",)]),
)


@settings(deadline=None, max_examples=150)
@given(candidates, demands, st.sampled_from(ROUTERS))
def test_no_choice_violates_a_hard_filter(
    found: list[Candidate], demand: Demand, router: object
) -> None:
    """Whatever is demanded, the chosen LLM passes, and everybody else is accounted for."""
    allowed = [each.card.id for each in found if not obstacle(demand, each)]
    try:
        choice = router.choose(demand, found)
    except Unroutable:
        assert [] == allowed
    else:
        assert choice.llm in allowed
        assert {each.card.id for each in found} == {choice.llm, *dict(choice.rejected)}
