"""The language of holes: what it can say, what it refuses, and that it never runs anything."""

from __future__ import annotations

import ast
import sys
import time
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmad_nb.errors import MissingInput, TemplateError
from bmad_nb.expressions import FUNCTIONS, MAX_DEPTH, MAX_LENGTH, evaluate, names, parse

VALUES: dict[str, Any] = {
    "name": "Ada",
    "n": 3,
    "items": ["x", "y", "z"],
    "answer": {"score": 0.5, "text": "ok", "__class__": "only a key", "a": {"b": [7]}},
    "df": pd.DataFrame({"q": ["one", "two"], "n": [1, 2]}),
    "nothing": None,
    "raises": {1: 2}.values(),
}


def value(source: str) -> Any:
    """Return the value of an expression over the values above."""
    return evaluate(parse(source), VALUES)


@pytest.mark.parametrize(
    ("expected", "source"),
    [
        ("Ada", "name"),
        ("Ada", "  name\n"),
        (0.5, "answer.score"),
        (0.5, "answer['score']"),
        (7, "answer.a.b[0]"),
        ("z", "items[-1]"),
        ("z", "items[2]"),
        ("y", "items[len(answer.a.b)]"),
        (["x", "y"], "head(items, 2)"),
        (["one", "two"], "df.q"),
        (3, "len(items)"),
        (3, "max(1, n)"),
        (2, "min(2, n)"),
        (3, "sum(df.n)"),
        ("ADA", "upper(name)"),
        ("ada", "lower(name)"),
        (1, "abs(-1)"),
        (0.33, "round(0.3333, 2)"),
        ('{\n  "b": [\n    7\n  ]\n}', "json(answer.a)"),
        ("text", "'text'"),
        (-2.5, "-2.5"),
        (None, "nothing"),
        (True, "True"),
    ],
)
def test_an_expression_has_a_value(expected: Any, source: str) -> None:
    """Names, look-ups, constants and the few functions have the value that they seem to have."""
    assert expected == value(source)


def test_head_of_a_frame_is_a_frame() -> None:
    """`head` of a DataFrame keeps its columns."""
    assert [1] == list(value("head(df, 1)")["n"])


@pytest.mark.parametrize(
    ("expected", "source"),
    [
        ({"a"}, "a"),
        ({"a"}, "a.b['c']"),
        ({"a", "i"}, "a[i]"),
        ({"a"}, "len(a)"),
        (set(), "len('a')"),
    ],
)
def test_names_are_those_that_must_come_from_outside(expected: set[str], source: str) -> None:
    """Functions, fields and constants are not names; what stands in brackets is."""
    assert expected == names(parse(source))


@pytest.mark.parametrize(
    "source",
    ["nme", "answer.scor", "answer['nothing']", "items[3]", "items[-4]", "items['x']", "n.real",
     "name.upper", "df.nothing", "df.shape", "nothing.x", "items[0.0]", "answer[items]",
     "df[df]", "answer[answer]"],
)  # fmt: skip
def test_what_is_not_there_is_missing(source: str) -> None:
    """A name, key, index or column that is not there is MissingInput, never an attribute."""
    with pytest.raises(MissingInput):
        value(source)


@pytest.mark.parametrize(
    ("hint", "source"),
    [("Did you mean name?", "nam"), ("Did you mean score?", "answer.scores")],
)
def test_the_nearest_name_is_said(hint: str, source: str) -> None:
    """A misspelt name or field brings the nearest right one."""
    with pytest.raises(MissingInput) as caught:
        value(source)
    assert hint == caught.value.hint


def test_the_nearest_function_is_said() -> None:
    """A misspelt function brings the nearest right one."""
    with pytest.raises(TemplateError) as caught:
        parse("uper(name)")
    assert "Did you mean 'upper'?" in caught.value.hint


HOSTILE = [
    "name.__class__",
    "name.__class__.__mro__[1].__subclasses__()",
    "answer.__class__",
    "answer._private",
    "__import__('os').system('true')",
    "open('/etc/passwd')",
    "eval('1')",
    "exec('1')",
    "getattr(name, 'upper')",
    "globals()",
    "(lambda: 1)()",
    "lambda: 1",
    "[x for x in items]",
    "(x for x in items)",
    "{x: 1 for x in items}",
    "sum(x for x in items)",
    "f'{name}'",
    "f'{name.__class__}'",
    "'{0.__class__}'.format(name)",
    "'a' * 10**9",
    "10**10**10",
    "n * 2",
    "1 + 1",
    "n if n else 2",
    "n and name",
    "not n",
    "n > 2",
    "~n",
    "+n",
    "- -1",
    "-n",
    "[1, 2]",
    "{'a': 1}",
    "(1, 2)",
    "items[0:2]",
    "items[::1]",
    "...",
    "b'bytes'",
    "1j",
    "(n := 4)",
    "await n",
    "yield",
    "*items",
    "len(*items)",
    "head(items, count=2)",
    "head(items, **answer)",
    "name.upper()",
    "items[0]()",
    "n; n",
    "import os",
    "n = 3",
    "",
    "   ",
    "\x00",
    "\ud800",
    "'\\N{nothing}'",
    "x" * (10 * MAX_LENGTH),
    "(" * 400 + "n" + ")" * 400,
    "len(" * 200 + "n" + ")" * 200,
    "n" + "[0]" * 300,
    "n" + ".a" * 499,
    "-" * 900 + "1",
    "not " * 200 + "1",
    "9" * (MAX_LENGTH + 1),
    "round(1, -999999999)",
    "round(n, -999999999)",
    "round(1.5, 'x')",
    "head(items, -1)",
    "head(items, 10000000)",
    "head(items, 'x')",
    "head(answer, 2)",
    "head(n, 2)",
    "head()",
    "len(n)",
    "sum(name)",
    "max()",
    "max(items, n)",
    "min(nothing)",
    "abs(name)",
    "json(df)",
    "json(raises)",
    "len(len)",
]


def audited(source: str) -> tuple[BaseException | None, list[str]]:
    """Evaluate a source; return what it raised and the audit events seen meanwhile."""
    caught: BaseException | None = None
    EVENTS.clear()
    LISTENING.append(True)
    try:
        value(source)
    except BaseException as error:
        caught = error
    finally:
        LISTENING.clear()
    return caught, list(EVENTS)


LISTENING: list[bool] = []
EVENTS: list[str] = []


def _listen(event: str, arguments: tuple[Any, ...]) -> None:
    if LISTENING and event.startswith(("exec", "import", "open", "os.", "subprocess.", "socket.")):
        EVENTS.append(event)


sys.addaudithook(_listen)


@pytest.mark.parametrize("source", HOSTILE, ids=lambda source: ascii(source)[:40])
def test_a_hostile_hole_does_nothing(source: str) -> None:
    """A hostile hole is a typed error within two seconds, and nothing is run or opened."""
    started = time.monotonic()
    caught, seen = audited(source)
    assert isinstance(caught, TemplateError), repr(caught)
    assert [] == seen
    assert time.monotonic() - started < 2
    assert len(caught.what) < 300


def test_the_audit_hook_hears(tmp_path: Any) -> None:
    """Planted: opening a file and running a text while the hook listens is heard."""
    LISTENING.append(True)
    try:
        (tmp_path / "x").write_text("x")
        exec("1")
    finally:
        LISTENING.clear()
    assert {"open", "exec"} <= set(EVENTS)


def test_depth_is_limited_at_its_line() -> None:
    """An expression of the greatest depth is read, and one level more is not."""
    parse("n" + ".a" * MAX_DEPTH)
    with pytest.raises(TemplateError):
        parse("n" + ".a" * (MAX_DEPTH + 1))


def test_a_dot_is_a_look_up_even_where_an_attribute_exists() -> None:
    """A key named like a method is the key; an object without keys has no fields at all."""
    assert "the key" == evaluate(parse("d.items"), {"d": {"items": "the key"}})
    with pytest.raises(MissingInput):
        evaluate(parse("d.imag"), {"d": 3})


words = st.sampled_from(
    ["name", "answer", "items", "n", "(", ")", "[", "]", ".", ",", "'a'", "0", "-1", "lambda", ":",
     "for", "in", "if", "else", "*", "**", "+", "f'{n}'", "__class__", *FUNCTIONS]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=80), st.lists(words, max_size=14).map(" ".join)))
def test_any_text_is_a_value_or_a_typed_error(source: str) -> None:
    """Whatever stands in a hole, the outcome is a value or a TemplateError."""
    caught, seen = audited(source)
    assert caught is None or isinstance(caught, TemplateError)
    assert [] == seen


def test_what_is_read_is_in_the_language() -> None:
    """No node outside of the language comes out of the parser."""
    kinds = {type(node) for node in ast.walk(parse("head(a.b[0], -1)"))}
    assert {ast.Call, ast.Name, ast.Attribute, ast.Subscript, ast.Constant, ast.UnaryOp} <= kinds
