"""Templates: what holes become, that nothing is scanned twice, and that hostile ones are refused."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmad_nb.errors import MissingInput, TemplateError
from bmad_nb.prompts import (
    MAX_FILLED,
    MAX_HOLES,
    MAX_TABLE_ROWS,
    MAX_TEMPLATE,
    as_text,
    fill,
    holes,
    references,
    value_of,
)


@pytest.mark.parametrize(
    ("expected", "template"),
    [
        ("Hello Ada!", "Hello {{ name }}!"),
        ("Hello Ada!", "Hello {{name}}!"),
        ("AdaAda", "{{ name }}{{ name }}"),
        ("{name} ${name} %s {0}", "{name} ${name} %s {0}"),
        ("{ Ada }", "{ {{ name }} }"),
        ("only }} here", "only }} here"),
        ("only {{ here", "only {{ here"),
        ("7", "{{ d.a[0] }}"),
        ("", "{{ nothing }}"),
        ("ADA", "{{ upper(name) }}"),
        ("Ada", "{{\n  name\n}}"),
        ("}}", "{{ '}}' }}"),
        ("a }} b", '{{ "a }} b" }}'),
        ("'}}\"", "{{ '\\'}}\\\"' }}"),
        ("Ada's {{ x", "{{ name }}'s {{ x"),
        ("it's Ada, isn't it", "it's {{ name }}, isn't it"),
        ("[\n  1,\n  2\n]", "{{ [1, 2] }}"),
        ("9 of 10", "{{ d.a[0] + 2 }} of {{ 10 }}"),
        ("short", "{{ 'long' if len(name) > 3 else 'short' }}"),
    ],
)
def test_holes_are_filled_and_all_else_stays(expected: str, template: str) -> None:
    """A hole becomes its value; single braces and everything else stay as they are."""
    assert expected == fill(template, {"name": "Ada", "d": {"a": [7]}, "nothing": None})


def test_what_is_filled_in_is_not_scanned_again() -> None:
    """A value with a hole in it comes out byte for byte, through three fillings in a row."""
    payload = "{{ secret }} {{ x.__class__ }} {{{{"
    first = fill("1: {{ x }}", {"x": payload, "secret": "leaked"})
    second = fill("2: {{ x }}", {"x": first, "secret": "leaked"})
    assert "3: 2: 1: " + payload == fill("3: {{ x }}", {"x": second, "secret": "leaked"})


@given(st.text(max_size=200), st.text(max_size=50), st.text(max_size=50))
def test_whatever_is_inserted_comes_out_whole(inserted: str, before: str, after: str) -> None:
    """Any inserted text comes out as it went in, whatever stands around the hole."""
    frame = [each.replace("{", "(").replace("}", ")") for each in (before, after)]
    template = f"{frame[0]}{{{{ x }}}}{frame[1]}"
    assert f"{frame[0]}{inserted}{frame[1]}" == fill(template, {"x": inserted})


@given(st.text(alphabet=st.characters() | st.sampled_from("{}")).filter(lambda t: "{{" not in t))
def test_text_without_a_hole_is_unchanged(text: str) -> None:
    """Any text without `{{` stays as it is and needs no names."""
    assert text == fill(text, {})
    assert set() == holes(text)


@given(st.text(alphabet="{} ab.()[]'\n", max_size=60))
def test_any_template_gives_a_text_or_a_typed_error(template: str) -> None:
    """Whatever the template, the outcome is a text or a TemplateError."""
    with contextlib.suppress(TemplateError):
        assert isinstance(fill(template, {"a": {"b": "x"}}), str)


@pytest.mark.parametrize(
    "hole",
    ["x.__class__", "__import__('os')", "open('/etc/passwd')", "lambda: 1", "{i for i in x}",
     "f'{x}'", "'a' * 10**9", "x" * 10_000, "x" + ".a" * 500, "((" * 250 + "x" + "))" * 250, "",
     "round(1, -999999999)"],
    ids=lambda hole: hole[:20],
)  # fmt: skip
def test_a_hostile_hole_is_refused_with_its_line(hole: str) -> None:
    """A hostile hole is a TemplateError that names the line of the prompt."""
    with pytest.raises(TemplateError) as caught:
        fill("first line\nsecond {{ " + hole + " }}", {"x": "text"})
    assert caught.value.what.startswith("Line 2 of the prompt: ")


def test_a_missing_name_is_said_with_the_nearest() -> None:
    """An unknown name is MissingInput with its line and the nearest right name."""
    with pytest.raises(MissingInput) as caught:
        fill("a\nb\n{{ ttext }}", {"text": 1})
    assert "Line 3 of the prompt: {{ ttext }} is not defined." == caught.value.what
    assert "Did you mean text?" == caught.value.hint


@pytest.mark.parametrize(
    "template",
    ["{" * 100_000, "}}" + "{{ " * 60_000, "{{" + "}" * 100_000, "{{" * 50_000, "{{ '" * 50_000 + "}}",
     "{{ ' }}" * 900 + "'a" * 400_000, "{{ \\' }}" * 900 + "\\'" * 400_000, "{{ '" + "\\" * 900_000 + "}}"],
    ids=range(8),
)  # fmt: skip
def test_many_braces_take_no_long_time(template: str) -> None:
    """A template full of braces is done in seconds: the time grows with its length only."""
    started = time.monotonic()
    with contextlib.suppress(TemplateError):
        fill(template, {})
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("expected", "value"),
    [
        ("text", "text"),
        ("", None),
        ("3", 3),
        ("True", True),
        ('{\n  "ü": [\n    1\n  ]\n}', {"ü": [1]}),
        ("[\n  1,\n  2\n]", (1, 2)),
        ("{'a': {1}}", {"a": {1}}),
    ],
)
def test_a_value_stands_in_a_prompt_as_a_person_would_write_it(expected: str, value: Any) -> None:
    """Text stays, nothing is empty, lists and tables are JSON, what is not JSON is its own text."""
    assert expected == as_text(value)


def test_a_circle_is_text_and_no_error() -> None:
    """A list that contains itself still has a text."""
    circle: list[Any] = []
    circle.append(circle)
    assert "[[...]]" == as_text(circle)


def test_a_frame_becomes_a_table() -> None:
    """A DataFrame becomes a Markdown table; bars and line breaks cannot break it."""
    frame = pd.DataFrame({"q": ["a|b", "c\nd"], "n": [1, 2]})
    expected = "| q | n |\n| --- | --- |\n| a\\|b | 1 |\n| c d | 2 |"
    assert expected == as_text(frame)


def test_a_long_frame_is_cut_and_says_so() -> None:
    """Only the first rows of a long DataFrame go into a prompt, and the rest is counted."""
    lines = as_text(pd.DataFrame({"n": range(MAX_TABLE_ROWS + 7)})).splitlines()
    assert 2 + MAX_TABLE_ROWS + 1 == len(lines)
    assert "(7 more rows not shown)" == lines[-1]


def test_the_names_of_a_template() -> None:
    """`holes` names what a template needs and nothing else."""
    template = "{{ a.b }} {{ head(c, 2) }} {d} {{ e[f] }}"
    assert {"a", "c", "e", "f"} == holes(template)


def test_what_is_read_by_a_template() -> None:
    """`references` gives each dotted path of all holes once, in order."""
    template = "{{ a.b }} {{ '}}' + c['d'] }} {e.f} {{ a.b }} {{ [x for x in g] }}"
    assert [("a", "b"), ("c", "d"), ("g",)] == references(template)


def test_a_template_says_the_line_of_what_it_cannot_read() -> None:
    """Reading a template names the line of a wrong hole, as filling it does."""
    for read in (references, holes):
        with pytest.raises(TemplateError, match=r"Line 2 of the prompt: {{ 1 \+ }} is not"):
            read("{{ a }}\n{{ 1 + }}")


@pytest.mark.parametrize(
    ("expected", "template"),
    [
        (3, "{{ n }}"),
        (3, "\n {{n}}\t"),
        ([3, 4], "{{ [n, n + 1] }}"),
        (None, "{{ nothing }}"),
        ("}}", "{{ '}}' }}"),
        ("3 ", "{{ n }} {{ nothing }}"),
        ("n: 3", "n: {{ n }}"),
        ("plain", "plain"),
        ("", ""),
        ("{{ open", "{{ open"),
    ],
)
def test_a_template_of_one_hole_keeps_the_type(expected: Any, template: str) -> None:
    """One hole and nothing else is the typed value; anything beside it makes a text."""
    found = value_of(template, {"n": 3, "nothing": None})
    assert (type(expected), expected) == (type(found), found)


def test_a_typed_hole_says_its_line() -> None:
    """An error of the only hole is told as in any template."""
    with pytest.raises(
        MissingInput, match=r"Line 2 of the prompt: {{ m }} is not defined. Did you"
    ):
        value_of("\n{{ m }}", {"mm": 3})


def test_each_limit_of_a_template_holds_at_its_line() -> None:
    """A template just within a limit is filled, and one just over it is a TemplateError."""
    big = {"x": "x" * (MAX_FILLED // 10), "y": "y"}
    assert MAX_TEMPLATE == len(fill("a" * MAX_TEMPLATE, {}))
    assert MAX_HOLES == len(fill("{{ y }}" * MAX_HOLES, big))
    assert MAX_FILLED == len(fill("{{ x }}" * 10, big))
    for over in ("a" * (MAX_TEMPLATE + 1), "{{ y }}" * (MAX_HOLES + 1), "{{ x }}" * 10 + "."):
        with pytest.raises(TemplateError, match="has more than"):
            fill(over, big)


class Result(dict[str, Any]):
    """A task's result, as the engine gives it to templates."""

    spelled = "the answer"


def test_a_result_stands_in_a_prompt_as_its_text() -> None:
    """The result of a task is its text in a prompt, and its fields in JSON."""
    assert "the answer" == as_text(Result(score=1))
    assert '{\n  "score": 1\n}' == fill("{{ json(r) }}", {"r": Result(score=1)})


def test_an_object_without_a_text_is_said() -> None:
    """An object whose text raises is a TemplateError that names its class."""

    class Silent:
        def __str__(self) -> str:
            raise OSError("no text")

    with pytest.raises(
        TemplateError, match="A Silent cannot be put into a prompt: OSError: no text"
    ):
        as_text(Silent())
