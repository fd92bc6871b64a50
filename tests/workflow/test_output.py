"""What an answer must look like, and how it is found in what an LLM wrote."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmad_nb.errors import OutputInvalid
from bmad_nb.workflow import output

ANY = {"type": "object"}


@pytest.mark.parametrize(
    ("short", "schema"),
    [
        ("string", {"type": "string"}),
        ("list", {"type": "array"}),
        ({"enum": ["a", "b"]}, {"enum": ["a", "b"]}),
        ([], {"type": "array"}),
        (["integer"], {"type": "array", "items": {"type": "integer"}}),
        ({"type": "number", "minimum": 0}, {"type": "number", "minimum": 0}),
    ],
)
def test_the_short_form_is_a_schema(short: Any, schema: Any) -> None:
    """Each form of a field stands for its schema; all fields are required and no others taken."""
    expected = {
        "type": "object", "properties": {"x": schema}, "required": ["x"], "additionalProperties": False,
    }  # fmt: skip

    assert expected == output.schema_of({"x": short})
    assert [] == list(output.problems({"x": short}, ()))
    jsonschema.Draft202012Validator.check_schema(expected)


@pytest.mark.parametrize(
    "answer",
    [
        '{"a": 1}', '  {"a": 1}\n', '```json\n{"a": 1}\n```', '```\n{"a": 1}\n```',
        'Here it is: {"a": 1}', 'Sure!\n```json\n{"a": 1}\n```\nAnything else?',
        'I weighed {x} and [y].\n{"a": 1} is best.', 'First {"b": 2}, no: {"a": 1}',
    ],
)  # fmt: skip
def test_json_is_found_in_an_answer(answer: str) -> None:
    """Alone, in a fence, behind other words, or after another piece that does not match."""
    schema = {"type": "object", "required": ["a"]}

    assert {"a": 1} == output.read_answer(answer, schema)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("", "it has no JSON in it"),
        ("I cannot do that.", "it has no JSON in it"),
        ('{"a": 1', "it is not JSON: Expecting ',' delimiter at line 1, column 8"),
        ("{'a': 1}", "it is not JSON: Expecting property name"),
        ('{"a": 1, "a": 2}', "the key 'a' stands in it twice"),
        ('{"a": NaN}', "NaN is not a number"),
        ('{"a": Infinity}', "Infinity is not a number"),
        ('{"a": 1e999}', "a number is too large"),
        ('{"a": ' + "9" * 5000 + "}", "a number has more than 300 digits"),
        ('{"a": "\\ud800"}', "a text has half a character in it"),
        ("[" * 100_000, "it is nested too deeply"),
        ("[1]", "the whole must be a mapping, and is a list"),
        ('{"a": "' + "x" * 1_000_000 + '"}', "at most 1000000 are read"),
    ],
)
def test_an_answer_that_cannot_be_used_says_why(answer: str, said: str) -> None:
    """The sentence is one that an LLM can act on, and stands in what it is asked next."""
    with pytest.raises(OutputInvalid) as raised:
        output.read_answer(answer, ANY)

    assert said in raised.value.what
    assert raised.value.what in output.repair_request(raised.value)


def test_defects_are_named_with_their_place_and_limited() -> None:
    """Five defects are told, and that there are more."""
    schema = output.schema_of({"rows": [{"n": "integer"}]})
    rows = [{"n": "x"}] * 9

    with pytest.raises(OutputInvalid) as raised:
        output.read_answer(json.dumps({"rows": rows}), schema)
    assert raised.value.what.startswith("rows.0.n must be a whole number, and is 'x'; rows.1.n")
    assert raised.value.what.endswith("; and more.")
    assert 5 == raised.value.what.count("whole number")


def test_many_unique_items_are_checked_in_time() -> None:
    """A list of 100,000 different items is no trap, and true is not 1 in it."""
    schema = {"type": "array", "uniqueItems": True}

    many = list(range(100_000))
    assert many == output.read_answer(json.dumps(many), schema)
    assert [1, True, "1", [1], {"a": 1}] == output.read_answer(
        '[1, true, "1", [1], {"a": 1}]', schema
    )
    with pytest.raises(OutputInvalid, match="twice"):
        output.read_answer("[1, 1.0]", schema)


def test_a_functions_value_is_checked_as_json() -> None:
    """What is no JSON is an OutputInvalid too."""
    assert {"a": [1]} == output.check_value({"a": (1,)}, ANY)
    for value in ({"a": float("nan")}, {"a": {1}}, [1], {"a": "\ud800"}):
        with pytest.raises(OutputInvalid):
            output.check_value(value, ANY)


fields = st.recursive(
    st.sampled_from(["string", "integer", "number", "boolean", "list", "object", "null"])
    | st.just({"enum": ["a", 1]}) | st.just({"type": "integer", "minimum": 0, "maximum": 3}),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=1) | st.dictionaries(st.sampled_from("abc"), inner, min_size=1)
    ),
    max_leaves=6,
)  # fmt: skip
values = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 5) | st.sampled_from(["a", "{", "[1]"])
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=8,
)  # fmt: skip


def fitting(form: Any) -> st.SearchStrategy[Any]:
    """Return values that a form of the short form takes."""
    if isinstance(form, list):
        return st.lists(fitting(form[0]), max_size=2)
    if isinstance(form, dict) and "enum" not in form and "type" not in form:
        return st.fixed_dictionaries({name: fitting(each) for name, each in form.items()})
    named = {"string": st.text(max_size=3), "integer": st.integers(), "number": st.integers(),
             "boolean": st.booleans(), "list": st.just([]), "object": st.just({}), "null": st.none()}  # fmt: skip
    return named[form] if isinstance(form, str) else st.sampled_from(["a", 1])


@settings(deadline=None, max_examples=300)
@given(st.data(), st.dictionaries(st.sampled_from("abc"), fields, min_size=1))
def test_exactly_what_the_reference_accepts_is_accepted(data: st.DataObject, form: Any) -> None:
    """An answer that is JSON is taken exactly if the library for JSON Schema takes it."""
    value = data.draw(values | fitting(form))
    schema = output.schema_of(form)
    try:
        found = output.read_answer(json.dumps(value), schema)
    except OutputInvalid:
        assert not jsonschema.Draft202012Validator(schema).is_valid(value)
    else:
        assert value == found
        assert jsonschema.Draft202012Validator(schema).is_valid(value)
