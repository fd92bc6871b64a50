"""The language of holes: what it can say, what it refuses, and that it never runs anything."""

from __future__ import annotations

import ast
import csv
import io
import json
import sys
import time
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmad_nb.errors import MissingInput, TemplateError
from bmad_nb.expressions import (
    FUNCTIONS,
    MAX_DEPTH,
    MAX_INTEGER,
    MAX_ITEMS,
    MAX_LENGTH,
    MAX_STEPS,
    MAX_TEXT,
    RESERVED_NAMES,
    brief,
    evaluate,
    names,
    parse,
    references,
    shown_values,
)

VALUES: dict[str, Any] = {
    "name": "Ada",
    "n": 3,
    "items": ["x", "y", "z"],
    "answer": {"score": 0.5, "text": "ok", "__class__": "only a key", "a": {"b": [7]}},
    "df": pd.DataFrame({"q": ["one", "two"], "n": [1, 2]}),
    "nothing": None,
    "raises": {1: 2}.values(),
    "rows": [{"a": 1}, {"a": "x,y", "b": 2}],
    "number": np.int64(1),
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
        (True, "true"),
        (False, "false"),
        (None, "null"),
        ("only a key", "answer['__class__']"),
        (True, "answer.a.b == [7]"),
        (True, "name == 'Ada'"),
        (False, "name != 'Ada'"),
        (True, "1 < n <= 3 > 2"),
        (False, "1 > n > raises.x"),
        (True, "n >= 3 and 'Ada' in name"),
        (True, "'q' not in items"),
        (True, "nothing is None"),
        (True, "n is not null"),
        (3, "nothing or n"),
        (None, "nothing and nme"),
        (True, "not nothing"),
        (-3, "-n"),
        (3, "+n"),
        (1, "- -1"),
        (7, "1 + 2 * n"),
        (0.5, "n / 2 - 1"),
        (1, "n // 2"),
        (-1, "-n // 4"),
        (2, "-1 % n"),
        ("Ada!", "name + '!'"),
        (["x", "y", "z", 1], "items + [1]"),
        ((1, 2, "a"), "(1, 2) + ('a',)"),
        ("many", "'many' if len(items) > 2 else nme"),
        ([1, [2, "Ada"]], "[1, [2, name]]"),
        ((), "()"),
        (["y"], "items[1:2]"),
        (["x", "y"], "items[:-1]"),
        ("da", "name[1:]"),
        ("A", "name[0]"),
        (["X", "Z"], "[upper(x) for x in items if x != 'y']"),
        ([3, 4, 5, 5], "[a + b for a in [1, 2] for b in [a + 1, 3] if a + b < 6]"),
        ([3, 7], "[a + b for a, b in [[1, 2], (3, 4)]]"),
        (["score", "text"], "[k for k in answer if len(k) < 6 and k != 'a']"),
        (2, "sum(x > 'x' for x in items)"),
        (3, "len(x for x in items)"),
        (True, "any([0, 1])"),
        (True, "any(x == 'x' or x.nowhere for x in items)"),
        (False, "all(x == 'x' and x.nowhere for x in ['y'])"),
        (True, "all([])"),
        (["a", "b"], "sorted(['b', 'a'])"),
        ([(1, "b"), (2, "a")], "sorted((n, x) for n, x in [[2, 'a'], [1, 'b']])"),
        ("z", "max(items)"),
        (2, "max(x for x in [1, 2])"),
        (4, "round(3.5)"),
        ("3", "lower(n)"),
        ("Ad", "head(name, 2)"),
        ('x, 3, , true, [1, "a"]', "csv(['x', n, nothing, 'true', [1, 'a']])"),
        ("", "csv([])"),
        ("q,n\none,1\ntwo,2", "csv(df)"),
        ('a,b\n1,\n"x,y",2', "csv(rows)"),
        (1, "coalesce(nme, answer.nowhere, nothing, 1, 2)"),
        (None, "coalesce(nme)"),
        (False, "coalesce(false, 1)"),
        (10**30, "1000000000000000 * 1000000000000000"),
        (2, "number + 1"),
        (True, "number < 2"),
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
        (set(), "[true, false, null, None]"),
        ({"a", "b"}, "[x + b for x in a]"),
        ({"a", "x"}, "[x for y in x for x in a]"),
        ({"a", "x"}, "[x for x in a] + [x]"),
        ({"a", "c"}, "sum(x * c for x, y in a if y)"),
        ({"lower"}, "lower(lower)"),
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
    "(x for x in items)",
    "{x: 1 for x in items}",
    "sum(x for x in items)",
    "f'{name}'",
    "f'{name.__class__}'",
    "'{0.__class__}'.format(name)",
    "'a' * 10**9",
    "10**10**10",
    "~n",
    "{'a': 1}",
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


class Result(dict[str, Any]):
    """A task's result, as the engine gives it to expressions."""

    def __init__(self, spelled: str, *, absent: bool = False, **fields: Any) -> None:
        super().__init__(**fields)
        self.spelled = spelled
        self.absent = absent


TASKS = {
    "draft": Result("A Bug", output={"kind": "bug"}, cost_usd=0.5),
    "skipped": Result("", absent=True),
    "size": Result("large", size="large"),
}


@pytest.mark.parametrize(
    ("expected", "source"),
    [
        ("bug", "draft.output.kind"),
        (True, "draft == 'A Bug'"),
        (True, "'Bug' in draft"),
        (True, "draft > 'A'"),
        ("A Bug!", "draft + '!'"),
        ("a bug", "lower(draft)"),
        (5, "len(draft)"),
        ("A B", "head(draft, 3)"),
        ("Bug", "draft[2:]"),
        ("A Bug, x", "csv([draft, 'x'])"),
        ("A Bug", "max(draft + '', 'A')"),
        (None, "skipped.output"),
        (None, "skipped['any']"),
        (True, "skipped.score is None"),
        ("bug", "coalesce(skipped.output.kind, skipped, draft.output.kind)"),
    ],
)
def test_a_result_is_a_dictionary_and_stands_for_its_text(expected: Any, source: str) -> None:
    """A result is looked into like a dictionary, and beside texts it is the text it stands for."""
    assert expected == evaluate(parse(source), TASKS)


def test_only_an_absent_result_has_every_field() -> None:
    """A field that a result does not have is missing, unless its task was skipped."""
    with pytest.raises(MissingInput):
        evaluate(parse("draft.nowhere"), TASKS)


@pytest.mark.parametrize(
    ("said", "source"),
    [
        ("None and 3 cannot be compared so", "nothing < 3"),
        ("'a' and 1 cannot be compared so", "'a' < 1"),
        ("+ takes two numbers, texts or lists, not 'Ada' and 3", "name + n"),
        ("an operator takes two numbers, not 'Ada' and 3", "name * n"),
        ("an operator takes two numbers, not True and 2", "true * 2"),
        ("ZeroDivisionError: division by zero", "n / 0"),
        ("a list is needed, not 'Ada'", "[x for x in name]"),
        ("[1, 2, 3] is no list of 2 parts", "[a for a, b in [[1, 2, 3]]]"),
        ("max() of an empty list has no value", "max([])"),
        ("`in` takes a text or a list, not 3", "1 in n"),
        ("1 and 'Ada' cannot be compared so", "1 in name"),
        ("lower() takes a text, not ['x', 'y', 'z']", "lower(items)"),
    ],
)
def test_values_that_do_not_fit_are_shown(said: str, source: str) -> None:
    """Where values do not fit, the error shows the expression and the values."""
    with pytest.raises(TemplateError) as caught:
        value(source)
    assert (
        f"{{{{ {ast.unparse(parse(source))} }}}} cannot be evaluated: {said}." == caught.value.what
    )


LONG = {"long": list(range(MAX_ITEMS)), "text": "t" * MAX_TEXT, "big": MAX_INTEGER, "one": ["x"]}


@pytest.mark.parametrize(
    ("within", "over"),
    [
        ("len(head(long, 5000) + head(long, 95000) + [])", "len(long + one)"),
        ("len(text + '')", "len(text + 'x')"),
        ("big - 1 + 1", "big + 1"),
        (str(10**30), str(10**30 + 1)),
        ("1e308 + 0", "1e308 * 10"),
        ("sum(head(long, 9980))", "sum(head(long, 10000))"),
        ("[1 for x in head(long, 4990)]", "[1 for x in head(long, 5000)]"),
        ("csv(head(long, 9900))", "csv(head(long, 10000))"),
        ("head(long, 100000)[:1]", "head(long, 100001)"),
        ("round(n, 400)", "round(n, 401)"),
        ("len(json(head(text, 90000)))", "json([text])"),
        ("[head(long, 9000)]", "[long, 1]"),
        ("n" + "+n" * MAX_DEPTH, "n" + "+n" * (MAX_DEPTH + 1)),
        ("1" + " " * 5000, "1" + "+1" * 500),
    ],
)  # fmt: skip
def test_each_limit_holds_at_its_line(within: str, over: str) -> None:
    """What is just within a limit has a value, and what is just over it is a TemplateError."""
    evaluate(parse(within), {**LONG, "n": 1})
    with pytest.raises(TemplateError):
        evaluate(parse(over), {**LONG, "n": 1})


def test_misses_in_coalesce_are_cheap() -> None:
    """Inside of coalesce nobody looks for the nearest name: 2,000 misses take no long time."""
    keys = {f"key_number_{n}": n for n in range(1000)}
    tree = parse("[coalesce(keys.key_number, x) for x in many]")
    started = time.monotonic()
    assert list(range(1900)) == evaluate(tree, {"keys": keys, "many": list(range(1900))})
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("source", ["head()", "head(a, 1, 2)", "coalesce()", "round(1, 2, 3)"])
def test_the_number_of_arguments_is_checked_before_any_value(source: str) -> None:
    """A function with too few or too many arguments is refused when it is read."""
    with pytest.raises(TemplateError, match=r"\(\) with \d arguments? in it"):
        parse(source)


def test_steps_end_every_work() -> None:
    """The error of too many steps names their limit."""
    with pytest.raises(TemplateError, match=f"it takes more than {MAX_STEPS} steps"):
        evaluate(parse("[a + b for a in long for b in long]"), LONG)


@pytest.mark.parametrize(
    ("expected", "source"),
    [
        ([("size", "size")], "size.size == 'large'"),
        ([("task", "output", "score")], "task.output['score'] > task.output.score"),
        ([("a", "b"), ("i", "j")], "a.b[i.j].c"),
        ([("a", "b")], "a.b[0].c[1:]"),
        ([("a",), ("limit",)], "[x.score for x in a if x.score > limit]"),
        ([], "len('a') + true"),
    ],
)
def test_references_are_the_paths_that_are_read(expected: list[Any], source: str) -> None:
    """Each free dotted path is given once and as far as it is fixed; loop variables are not free."""
    assert expected == references(parse(source))


def test_shown_values_are_short_json() -> None:
    """The values of the paths are JSON of 200 characters; what is not there is left out."""
    values = {
        "a": {"b": 1.5, "nan": float("nan")}, "long": "x" * 500, "rows": [{"k": [1]}],
        "many": list(range(1000)), "df": VALUES["df"], **TASKS,
    }  # fmt: skip
    tree = parse("[a.b, a.nan, a.c, nowhere, long, rows, many, df, draft, x, [x for x in rows]]")
    shown = shown_values(tree, values)
    expected = {"a.b": 1.5, "a.nan": "nan", "long": "x" * 199 + "…", "rows": [{"k": [1]}]}
    assert expected == {key: shown[key] for key in expected}
    assert ["a.b", "a.nan", "long", "rows", "many", "df", "draft"] == list(shown)
    assert "A Bug" == shown["draft"]
    assert (
        max(len(each if isinstance(each, str) else json.dumps(each)) for each in shown.values())
        <= 200
    )


def test_any_object_has_a_brief_text() -> None:
    """The short text of an object that raises is its class."""

    class Silent:
        def __repr__(self) -> str:
            raise RuntimeError

    assert "<Silent instance" in brief(Silent())
    assert 60 == len(brief("x" * 500))
    assert "a int" == brief(10**5000)


def test_reserved_names_are_those_that_mean_something_else() -> None:
    """No task may have the name of a keyword, a constant, a function or a result's field."""
    assert {
        "if",
        "match",
        "true",
        "null",
        *FUNCTIONS,
        "output",
        "cost_usd",
        "run",
    } <= RESERVED_NAMES
    assert not {"draft", "size", "summary"} & RESERVED_NAMES


def test_a_tree_is_parsed_once() -> None:
    """The same text gives the same tree, for templates are evaluated again and again."""
    assert parse("a.b + 1") is parse("a.b + 1")


@pytest.mark.parametrize("start", "=+-@\t\r")
def test_csv_keeps_spreadsheets_from_reckoning(start: str) -> None:
    """A text that a spreadsheet would take for a formula gets an apostrophe; a number does not."""
    rows = [{"a": f"{start}1", "n": -1, "f": -0.5}, {"a": f"x{start}"}]
    read = list(csv.reader(io.StringIO(evaluate(parse("csv(rows)"), {"rows": rows}), newline="")))
    assert [["a", "n", "f"], [f"'{start}1", "-1", "-0.5"], [f"x{start}", "", ""]] == read


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.text(), min_size=2, max_size=2), min_size=1, max_size=5))
def test_csv_can_be_read_back(cells: list[list[str]]) -> None:
    """Whatever the texts, a reader gets them back, but for the apostrophe before formulas."""
    rows = [dict(zip("ab", row, strict=True)) for row in cells]
    text = evaluate(parse("csv(rows)"), {"rows": rows})
    read = list(csv.reader(io.StringIO(text, newline="")))
    formula = ("=", "+", "-", "@", "\t", "\r")
    expected = [["'" + c if c.startswith(formula) else c for c in row] for row in cells]
    assert [["a", "b"], *expected] == read


NUMBERS = {"a": 3, "b": -2, "c": 0.5, "d": 0}
PYTHON = {each.__name__: each for each in (abs, all, any, len, max, min, round, sorted, sum)}
number_leaves = st.sampled_from([*NUMBERS, "0", "1", "7", "2.5", "20"])


def _wider(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    comparison = st.builds(
        "({} {} {} {} {})".format,
        inner,
        operators,
        inner,
        st.sampled_from(["<", "!=", ">="]),
        inner,
    )
    boolean = st.one_of(
        comparison,
        st.builds("(not {})".format, comparison),
        st.builds("({} {} {})".format, comparison, st.sampled_from(["and", "or"]), comparison),
    )
    return st.one_of(
        st.builds(
            "({} {} {})".format, inner, st.sampled_from(["+", "-", "*", "/", "//", "%"]), inner
        ),
        st.builds("(-{})".format, inner),
        st.builds("({} if {} else {})".format, inner, boolean, inner),
        st.builds("{}({}, {})".format, st.sampled_from(["min", "max"]), inner, inner),
        st.builds("abs({})".format, inner),
        st.builds("sum({} for a in [{}, b, 1] if {})".format, inner, inner, boolean),
        st.builds("len([a for a in [{}, 2] for b in [a] if {}])".format, inner, boolean),
        st.builds("sorted([{}, {}])[{} > 1]".format, inner, inner, inner),
    )


operators = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])


@settings(max_examples=400, deadline=None)
@given(st.recursive(number_leaves, _wider, max_leaves=8))
def test_the_value_is_that_of_python(source: str) -> None:
    """For numbers, comparisons, loops and choices, the value is Python's, or both are errors."""
    try:
        expected = eval(source, {"__builtins__": PYTHON, **NUMBERS})
    except ArithmeticError:
        expected = "an error"
    try:
        found = evaluate(parse(source), NUMBERS)
    except TemplateError as error:
        nested = "nested too deeply" in error.what or "more than 1000 characters" in error.what
        found = expected if nested else "an error"
    assert repr(expected) == repr(found)


def test_what_is_read_is_in_the_language() -> None:
    """No node outside of the language comes out of the parser."""
    kinds = {type(node) for node in ast.walk(parse("head(a.b[0], -1)"))}
    assert {ast.Call, ast.Name, ast.Attribute, ast.Subscript, ast.Constant, ast.UnaryOp} <= kinds
