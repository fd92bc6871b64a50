"""Our check of answers gives the verdicts of the reference library."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmad_nb.workflow.matching import defects

scalars = (
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-5, 5) | st.text("ab", max_size=3)
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=8,
)


def schemas() -> st.SearchStrategy[dict[str, Any]]:
    def widened(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
        return st.fixed_dictionaries(
            {},
            optional={
                "type": st.sampled_from(
                    ["string", "boolean", "null", "array", "object", "number", "integer"]
                ),
                "const": values,
                "enum": st.lists(values, min_size=1, max_size=3),
                "anyOf": st.lists(inner, min_size=1, max_size=2),
                "items": inner,
                "properties": st.dictionaries(st.sampled_from("abc"), inner, max_size=2),
                "required": st.lists(st.sampled_from("abc"), max_size=2, unique=True),
                "additionalProperties": st.booleans(),
                "minimum": st.integers(-3, 3),
                "maximum": st.floats(-3, 3),
                "exclusiveMinimum": st.integers(-3, 3),
                "exclusiveMaximum": st.integers(-3, 3),
                "minLength": st.integers(0, 3),
                "maxLength": st.integers(0, 3),
                "minItems": st.integers(0, 3),
                "maxItems": st.integers(0, 3),
                "minProperties": st.integers(0, 2),
                "maxProperties": st.integers(0, 2),
                "uniqueItems": st.booleans(),
            },
        )

    return st.recursive(st.just({}), widened, max_leaves=4)


@settings(deadline=None, max_examples=600)
@given(values, schemas())
def test_the_verdict_is_that_of_the_reference(value: Any, schema: dict[str, Any]) -> None:
    """A value matches here exactly if it matches by the library for JSON Schema 2020-12."""
    reference = jsonschema.Draft202012Validator(schema)

    assert reference.is_valid(value) is not any(defects(value, schema))


@pytest.mark.parametrize(
    ("value", "schema", "said"),
    [
        ("1", {"type": "integer"}, "must be a whole number, and is '1'"),
        (True, {"type": "number"}, "must be a number, and is true"),
        (7, {"maximum": 5}, "must be at most 5, and is 7"),
        ("c", {"enum": ["a", "b"]}, "must be one of 'a', 'b', and is 'c'"),
        ({}, {"required": ["a"]}, "lacks the field 'a'"),
        (
            {"z": 1},
            {"additionalProperties": False},
            "has the field 'z', which nobody asked for",
        ),
        ([1, 1.0], {"uniqueItems": True}, "has an item twice"),
        ("", {"minLength": 2}, "must have at least 2 characters, and has 0"),
    ],
)
def test_a_defect_says_what_is_wrong(value: Any, schema: dict[str, Any], said: str) -> None:
    """An LLM that is told the sentence can mend its answer."""
    assert [((), said)] == list(defects(value, schema))


def test_defects_know_their_place() -> None:
    """The path leads to the value, and all defects are found."""
    schema = {"properties": {"a": {"items": {"type": "integer"}}}}

    found = [path for path, _ in defects({"a": [1, "x", 2, None]}, schema)]
    assert [("a", 1), ("a", 3)] == found
