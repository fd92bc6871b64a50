"""The catalogue: from what people type to the LLMs that they mean; nobody is contacted."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from bmad_nb.errors import SettingsError, UnknownName, UsageProblem
from bmad_nb.llms.base import LLM
from bmad_nb.llms.catalog import Catalog, Choice, check_parameters, number_or_text
from bmad_nb.llms.function import FunctionLLM
from bmad_nb.llms.simulated import FLEET
from bmad_nb.settings import find


def catalog(**config: Any) -> Catalog:
    """Return the catalogue of settings given as tables."""
    return Catalog(find(config).settings)


LAB = {"lab": {"base_url": "https://lab.example/v1", "models": ["small", "big-2"]}}
OPEN = {"any": {"base_url": "http://127.0.0.1:9/v1"}}
PRICE = {"input_usd_per_mtok": 1, "output_usd_per_mtok": 2}


def ids(spec: str, **config: Any) -> list[str]:
    """Return the ids that a text names."""
    return [choice.llm_id for choice in catalog(**config).choose(spec)]


def test_what_is_known_by_name() -> None:
    """The embedded models come first, then the fleet, named models, priced ones and your own."""
    known = catalog(endpoints={**LAB, **OPEN}, prices={"any/x": PRICE, "none/x": PRICE})
    known.add(FunctionLLM("own/mine", str))
    found = known.ids()
    assert "local/smollm2-135m" == found[0]
    fleet = [f"sim/{name}" for name in FLEET]
    assert [*fleet, "lab/small", "lab/big-2", "any/x", "own/mine"] == [
        i for i in found if not i.startswith("local/")
    ]
    assert all(isinstance(known.llm(each), LLM) for each in found)
    assert found == [known.llm(each).card.id for each in found]


@pytest.mark.parametrize(
    ("expected", "spec"),
    [
        (["sim/careful"], "sim/careful"),
        (["sim/careful"], "careful"),
        (["local/smollm2-135m"], "local"),
        (["local/smollm2-135m"], "smollm2-135m"),
        (["lab/small", "sim/hasty"], "lab/small, sim/hasty"),
        (["lab/small", "lab/big-2"], "lab/*"),
        (["lab/big-2"], "big*"),
        (["lab/big-2"], "big-[0-9]"),
        ([f"sim/{name}" for name in FLEET], "sim/*"),
        (["sim/hasty"], "sim/hasty,hasty,sim/hasty"),
        (["any/org/model:7b@v1"], "any/org/model:7b@v1"),
        (["openai/gpt-4o-mini"], "openai/gpt-4o-mini"),
        (["sim/hasty"], ",sim/hasty,,"),
    ],
)
def test_what_people_type_is_found(expected: list[str], spec: str) -> None:
    """Ids, their ends, endpoints with one model, comma lists and globs name LLMs, each once."""
    assert expected == ids(spec, endpoints={**LAB, **OPEN})


@pytest.mark.parametrize(
    ("expected", "spec"),
    [
        ([Choice("sim/hasty", (("temperature", 1),))], "sim/hasty?temperature=1"),
        (
            [Choice("sim/hasty", (("seed", 3), ("temperature", 0.5)))],
            "sim/hasty?temperature=0.5&seed=3",
        ),
        (
            [Choice("sim/hasty"), Choice("sim/hasty", (("temperature", 1),))],
            "hasty,hasty?temperature=1",
        ),
        ([Choice("sim/hasty", (("reasoning_effort", "low"),))], "hasty?reasoning_effort=low"),
    ],
)
def test_a_setting_stands_behind_a_question_mark(expected: list[Choice], spec: str) -> None:
    """Behind an id stand its settings, sorted by name; another setting is another choice."""
    assert expected == catalog().choose(spec)


def test_a_glob_takes_a_setting_too() -> None:
    """A setting behind a glob holds for all that it names."""
    found = catalog().choose("sim/*?seed=1")
    assert [(("seed", 1),)] * len(FLEET) == [choice.params for choice in found]


@pytest.mark.parametrize(
    ("nearest", "spec"),
    [
        ("sim/careful", "sim/carefull"),
        ("sim/careful", "carefull"),
        ("sim/careful", "simulated/careful"),
        ("lab/small", "lab/smal"),
        (None, "qqqqqqqqqq"),
        (None, "zzz/*"),
        (None, "../../etc/passwd"),
        (None, "any/\x00"),
        (None, "any/a b"),
        (None, "any/" + "x" * 300),
    ],
)
def test_what_nobody_knows_is_refused_with_the_nearest(nearest: str | None, spec: str) -> None:
    """An unknown name is UnknownName, with the nearest known one where one is like it."""
    with pytest.raises(UnknownName) as caught:
        ids(spec, endpoints={**LAB, **OPEN})
    assert nearest == caught.value.nearest or nearest is None
    assert "sim/careful" in caught.value.hint


@pytest.mark.parametrize(
    "spec",
    ["", " , ", "sim", "sim/hasty?", "sim/hasty?temperature", "sim/hasty?temperature=",
     "sim/hasty?=1", "sim/hasty?temperatur=1", "sim/hasty?temperature=1&&seed=1"],
)  # fmt: skip
def test_what_cannot_be_read_is_refused(spec: str) -> None:
    """No name, an ambiguous one, or a setting without name or value is a UsageProblem."""
    if spec == "sim/hasty?":
        assert ["sim/hasty"] == ids(spec)
        return
    with pytest.raises(UsageProblem):
        ids(spec)


@pytest.mark.parametrize(
    ("expected", "text"),
    [(1, "1"), (0.5, "0.5"), (1000.0, "1e3"), (True, "true"), (False, "False"), ("low", "low"),
     (-1, "-1"), ("1.2.3", "1.2.3")],
)  # fmt: skip
def test_a_typed_value(expected: object, text: str) -> None:
    """A value as typed is a number, true, false or a word, and keeps its kind."""
    found = number_or_text(text)
    assert (expected, type(expected)) == (found, type(found))


def test_parameters_have_known_names() -> None:
    """A parameter that no backend knows is refused with the nearest one."""
    check_parameters(["temperature", "seed"])
    with pytest.raises(UnknownName, match="'temperature'"):
        check_parameters(["temprature"])


@pytest.mark.parametrize("wrong", ["", " ", "a b", "a?b", "a,b", "<b>", "-x", "ü", "x" * 201])
def test_an_id_of_odd_signs_is_refused(wrong: str) -> None:
    """Your own LLM's id has letters, digits and a few signs only, so that it can be typed."""
    with pytest.raises(UsageProblem):
        catalog().add(FunctionLLM(wrong, str))


def test_an_added_llm_takes_the_place_of_the_one_before() -> None:
    """Adding again replaces, so that a cell can be run twice."""
    known = catalog()
    first, second = FunctionLLM("own/x", str), FunctionLLM("own/x", repr)
    known.add(first)
    known.add(second)
    assert second is known.llm("own/x")
    assert 1 == known.ids().count("own/x")


def test_a_missing_key_is_on_the_card(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its key an LLM can be named and says what is missing; with it, it is ready."""
    known = catalog()
    card = known.llm("openai/x").card
    assert "the environment variable OPENAI_API_KEY is not set" == card.missing
    assert "local/smollm2-135m" in card.remedy
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-catalog-1")
    card = known.llm("openai/x").card
    assert "" == card.missing
    assert "sk-canary" not in repr(card) + repr(vars(known))
    asyncio.run(known.aclose())


def test_facts_of_the_settings_are_on_the_card() -> None:
    """[llms] tables give skills, context and limit; the identity is the endpoint's address."""
    facts = {"lab/small": {"capabilities": {"math": 0.9}, "context_tokens": 5, "max_tokens": 3}}
    card = catalog(endpoints=LAB, llms=facts).llm("lab/small").card
    assert ((("math", 0.9),), 5, 3) == (
        card.capabilities,
        card.context_tokens,
        card.default_max_tokens,
    )
    assert ("https://lab.example/v1", "small") == (card.identity, card.model)


def test_prices_come_by_id() -> None:
    """A price in the settings is the LLM's; the fleet's is simulated; what nobody knows is None."""
    known = catalog(endpoints=LAB, prices={"lab/small": PRICE})
    small = known.price(known.llm("lab/small").card)
    careful = known.price(known.llm("sim/careful").card)
    assert small is not None
    assert careful is not None
    assert (Decimal(2), "settings") == (small.output_usd_per_mtok, small.source)
    assert "simulated" == careful.source
    assert known.price(known.llm("lab/big-2").card) is None


@pytest.mark.parametrize("llm_id", ["lab/huge", "sim/nobody", "local/nobody", "own/none", "x", ""])
def test_an_exact_id_that_is_not_there(llm_id: str) -> None:
    """`llm` takes exact ids only; an endpoint with a list of models has no others."""
    with pytest.raises(UnknownName):
        catalog(endpoints=LAB).llm(llm_id)


def test_plain_http_to_another_machine_is_refused() -> None:
    """An endpoint on another machine needs https, unless its settings say otherwise."""
    with pytest.raises(SettingsError):
        catalog(endpoints={"far": {"base_url": "http://far.example/v1"}}).llm("far/x")
    allowed = {"far": {"base_url": "http://far.example/v1", "allow_http": True}}
    assert "far/x" == catalog(endpoints=allowed).llm("far/x").card.id


def test_nothing_is_built_before_it_is_asked_for() -> None:
    """A new catalogue holds no connection or process, and closing it twice is fine."""
    known = catalog()
    assert not known.in_use
    asyncio.run(known.aclose())
    known.ids()
    assert known.in_use
    asyncio.run(known.aclose())
    asyncio.run(known.aclose())


def test_an_alias_is_a_name_of_ones_own_for_several_llms_and_settings() -> None:
    """`fast` means what it was set to; a setting behind it holds for all; names that exist are kept."""
    named = catalog(aliases={"fast": "sim/hasty,sim/calculator?temperature=1"})
    assert ["sim/hasty", "sim/calculator", "sim/careful"] == [
        each.llm_id for each in named.choose("fast,sim/careful")
    ]
    assert [(), (("temperature", 1),)] == [each.params for each in named.choose("fast")]
    assert {(("temperature", 0),)} == {each.params for each in named.choose("fast?temperature=0")}
    with pytest.raises(UnknownName, match="other"):
        catalog(aliases={"fast": "other", "other": "sim/hasty"}).choose("fast")
    with pytest.raises(SettingsError, match="'local' cannot be the name"):
        catalog(aliases={"local": "sim/hasty"})
    with pytest.raises(SettingsError, match="cannot be the name"):
        catalog(aliases={"a/b": "sim/hasty"})
