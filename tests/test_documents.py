"""YAML in and out: what is read, written and rewritten, and what is refused."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmad_nb import documents
from bmad_nb.documents import rename, rewriting
from bmad_nb.documents.rewriting import same
from bmad_nb.errors import DefinitionError

EXAMPLES = [
    path.read_text("utf-8")
    for path in sorted((Path(__file__).parent / "data" / "workflows").glob("*.yaml"))
]
ODD = [
    "on", "off", "yes", "no", "1:30", "012", "0o7", "0x1F", "1e3", "1_000", ".5", "null", "~", "=", "<<",
    "true", "True", ".inf", ".nan", "2026-01-02", "trailing ", " leading", "\tx", "x\ty", "a\x85b",
    "a\u2028b", "\x7f", "\ufeff", "a\ufeffb", "😀", "\U0010ffff", "", "-", "- a", "a: b", "a:", ":a", "#",
    "a #b", "?", "? a", "!x", "&a", "*a", "'", '"', "'q'", '"q"', "{a}", "[a]", "a,b", "%x", "@x", "`x",
    "---", "...", "|", "> x", "a\nb\n", "a\nb", "\na", "  a\nb", "a\n  b\n", "a\n\nb\n\n", "a\n---\nb",
    "a \nb", "a\r\nb", "\n", "\x00", "\\", "\\n", "é", "$0.50", "600s", "{{ a.b }}", "a\n\tb\n",
]  # fmt: skip
texts = st.sampled_from(ODD) | st.text(max_size=12)
scalars = (
    st.none() | st.booleans() | st.integers(-(10**28), 10**28)
    | st.floats(allow_nan=False, allow_infinity=False) | texts
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=16,
)
mappings = st.dictionaries(texts, values, max_size=5)


def problem(text: str | bytes) -> tuple[int, int, str]:
    """Return line, column and sentence of the one problem of a text."""
    with pytest.raises(DefinitionError) as raised:
        documents.read(text)
    (only,) = raised.value.problems
    return only[:3]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("on", "on"), ("yes", "yes"), ("1:30", "1:30"), ("012", 12), ("0o17", 15), ("0xff", 255),
        ("null", None), ("", None), ("~", None), ("True", True), ("-5", -5), ("1e3", 1000.0),
        (".5", 0.5), ("1_000", "1_000"), ("2026-01-02", "2026-01-02"), ('"5"', "5"), ("=", "="),
        ("'a''b'", "a'b"), ('"\\u00e9\\x41"', "éA"), ("|\n  a\n   b\n", "a\n b\n"), (">-\n  a\n  b\n", "a b"),
    ],
)  # fmt: skip
def test_scalars_are_those_of_yaml_1_2(text: str, expected: Any) -> None:
    """A plain scalar is what YAML 1.2's core schema says, and nothing of YAML 1.1."""
    found = documents.read(f"a: {text}").data["a"]

    assert expected == found
    assert type(expected) is type(found)


def test_places_are_those_of_keys_and_values() -> None:
    """Each path leads to its key and its value; an empty value is shown at its key."""
    document = documents.read("a: 1\nb:\n  - x\n  - c: {d: 2}\ne:\nf: 3\n", "x.yaml")

    assert (1, 4) == document.position(("a",))
    assert (4, 9) == document.position(("b", 1, "c", "d"), key=True)
    assert (4, 12) == document.position(("b", 1, "c", "d"))
    assert (5, 1) == document.position(("e",))
    assert (4, 5) == document.position(("b", 1, "no", "such"))


def test_a_mark_is_no_part_of_a_document() -> None:
    """A byte order mark in front is dropped, from bytes and from text."""
    assert {"a": 1} == documents.read("\ufeffa: 1").data
    assert {"a": 1} == documents.read(b"\xef\xbb\xbfa: 1").data


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"a: 1\nb: \xff", (2, 1, "The document is not UTF-8.")),
        ("a: 1".encode("utf-16"), (1, 1, "The document is not UTF-8.")),
        ("a: 1\nb: \ud800", (2, 1, "The document has half a character in it.")),
        ("a: " + "x" * 300_000, (1, 1, "The document has more than 262144 bytes.")),
        ("a: " + "é" * 140_000, (1, 1, "The document has more than 262144 bytes.")),
        ("a: " + "[" * 40 + "]" * 40, (1, 35, "The document is nested more than 32 deep.")),
        ("a: [" + "1," * 20_000 + "]", (1, 39999, "The document has more than 20000 values.")),
    ],
)
def test_what_is_too_much_or_no_text_is_refused(text: str | bytes, expected: Any) -> None:
    """Bytes, depth and values have limits, and a document is UTF-8."""
    assert expected == problem(text)


def test_at_the_limits_a_document_is_read() -> None:
    """Exactly the most bytes and the most depth are read."""
    assert documents.read("a: " + "x" * (documents.MAX_BYTES - 3)).data
    assert documents.read("a: " + "[" * 31 + "]" * 31).data


@settings(deadline=None, max_examples=250)
@given(mappings)
def test_what_is_written_reads_back_to_the_same(data: dict[str, Any]) -> None:
    """Any JSON, odd texts and keys included, comes back with the same values and types."""
    text = documents.write(data)

    assert same(documents.read(text).data, data), text
    assert text == documents.write(documents.read(text).data)


@pytest.mark.parametrize("odd", ODD)
def test_odd_texts_come_back_as_key_value_and_item(odd: str) -> None:
    """Each text that some reader of YAML takes otherwise comes back as it was."""
    data = {odd: odd, "list": [odd, [odd]], "map": {"in": {odd: odd}}}

    assert data == documents.read(documents.write(data)).data


@pytest.mark.parametrize("word", ["on", "Off", "yes", "NO", "true", "null", "012", "1:30", "~", ""])
def test_texts_are_quoted_that_another_reader_would_change(word: str) -> None:
    """What YAML 1.1 reads as a flag or a number is written in quotes."""
    assert f'a: "{word}"\n' == documents.write({"a": word})


def test_the_written_layout_is_plain() -> None:
    """Short lists stand in one line, long texts of several lines as they are."""
    data = {
        "workflow": "w",
        "limits": {"cost": "$0.50", "time": "90s"},
        "tasks": {"a": {"prompt": "Write.\n\nMore.\n", "needs": ["b", "c"], "n": [{"x": [1]}]}},
    }
    expected = """\
workflow: w
limits: {cost: $0.50, time: 90s}
tasks:
  a:
    prompt: |
      Write.

      More.
    needs: [b, c]
    n:
      - x: [1]
"""

    assert expected == documents.write(data)


@pytest.mark.parametrize(
    ("data", "said", "path"),
    [
        ({"a": float("nan")}, "nan is not a finite number", ("a",)),
        ({"a": [float("inf")]}, "inf is not a finite number", ("a", 0)),
        ({"a": 10**30}, "more than 29 digits", ("a",)),
        ({"a": {1: 2}}, "The key 1 is not a text", ("a",)),
        ({"a": b"x"}, "A bytes is no text, number, list or mapping", ("a",)),
        ({"a": {"b"}}, "A set is no text", ("a",)),
        ({"a": "\ud800"}, "half a character", ("a",)),
        ({"k" * 1100: 1}, "A key has more than 1000 characters", ()),
        ({"a": ["x"] * 20_001}, "more than 20000 values", ()),
        ({"a": "x" * 300_000}, "over 262144 bytes", ()),
    ],
)
def test_what_yaml_cannot_carry_is_refused(data: Any, said: str, path: Any) -> None:
    """A value that could not be read back is a typed error with its path."""
    with pytest.raises(DefinitionError, match=said) as raised:
        documents.write(data)
    assert path == raised.value.problems[0].path


def test_what_is_nested_in_itself_is_refused() -> None:
    """A list that holds itself ends in a typed error."""
    endless: list[Any] = []
    endless.append(endless)

    with pytest.raises(DefinitionError, match="nested more than 32 deep"):
        documents.write({"a": endless})


LAID_OUT = """\
# the head
a: 1   # one
b:     # bee
  - x
  - y: 'single'   # why
    z: |
      text
       more

# before c
"c": {p: 1,q: [1,  2],   r: "double"}
d: >-
  folded
  text
e:
- i
- - j
  - k
# the end
"""


@pytest.mark.parametrize(
    ("change", "old", "new"),
    [
        ({"a": 2}, "a: 1   # one", "a: 2   # one"),
        ({"a": "on"}, "a: 1   # one", 'a: "on"   # one'),
        ({"a": "x\ny\n"}, "a: 1   # one", 'a: "x\\ny\\n"   # one'),
        ({"a": {"k": [1]}}, "a: 1   # one", "a: {k: [1]}   # one"),
        ({"d": "p\nq\n"}, "d: >-\n  folded\n  text\n", "d: |\n  p\n  q\n"),
        ({"d": {"k": [{"v": "w"}]}}, "d: >-\n  folded\n  text\n", "d:\n  k:\n    - {v: w}\n"),
        ({"c": {"p": 1, "q": [1, 2]}}, ',   r: "double"}', "}"),
        ({"c": {"p": 1, "q": [1, 2], "r": "double", "s": 0}}, '"double"}', '"double", s: 0}'),
        ({"c": {"p": 1, "q": [1, 3, 2], "r": "double"}}, "[1,  2]", "[1,  3, 2]"),
        ({"c": {"q": [1, 2], "r": "double"}}, "{p: 1,q", "{q"),
        ({"e": ["i"]}, "- i\n- - j\n  - k\n", "- i\n"),
        ({"e": ["i", ["j", "k", "l"]]}, "  - k\n", "  - k\n  - l\n"),
        ({"e": ["i", ["k"]]}, "- - j\n  - k\n", "- - k\n"),
        ({"e": ["h", "i", ["j", "k"]]}, "- i\n", "- h\n- i\n"),
        ({"b": ["x", {"z": "text\n more\n"}]}, "- y: 'single'   # why\n    z", "- z"),
        ({"b": ["x", {"y": "single"}]}, "    z: |\n      text\n       more\n", ""),
        ({"new": {"x": [1]}}, "  - k\n", "  - k\nnew:\n  x: [1]\n"),
    ],
)
def test_a_change_leaves_the_rest_as_it_stands(change: Any, old: str, new: str) -> None:
    """Exactly the changed lines differ: comments, blanks, quotes and order stay."""
    assert 1 == LAID_OUT.count(old)
    data = {**documents.read(LAID_OUT).data, **change}

    assert LAID_OUT.replace(old, new) == documents.rewrite(LAID_OUT, data)


def test_removed_keys_are_gone() -> None:
    """A key is cut out with its lines; the comments around it stay."""
    data = documents.read(LAID_OUT).data
    del data["a"], data["d"]

    expected = LAID_OUT.replace("a: 1   # one\n", "").replace("d: >-\n  folded\n  text\n", "")
    assert expected == documents.rewrite(LAID_OUT, data)


@pytest.mark.parametrize("text", [*EXAMPLES, LAID_OUT, "\ufeffa: 1", "a: 1\r\n", "{a: 1}", "a:"])
def test_unchanged_data_returns_the_text_itself(text: str) -> None:
    """Without a change, not a byte of the text is another one."""
    assert text == documents.rewrite(text, documents.read(text).data)


def test_line_ends_and_the_mark_are_kept() -> None:
    """What is put into a document with the line ends of Windows has them too, and a byte order mark stays."""
    text = "\ufeffa: 1\r\nb:\r\n  - x\r\n"

    changed = documents.rewrite(text, {"a": 1, "b": ["x", "y"], "c": {"k": [1, {"z": []}]}})
    added = "  - y\r\nc:\r\n  k:\r\n    - 1\r\n    - z: []\r\n"
    assert text + added == changed


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all values inside a value."""
    pairs = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    inner = [each for key, item in pairs for each in paths(item, (*path, key))]
    return [path, *inner] if path else inner


def changed(data: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """Return data with one to four values added, removed or put in the place of others."""
    data = copy.deepcopy(data)
    news = ["x", "two\nlines\n", 5, None, {"k": "v", "w": [1, {"z": 2}]}, [1, "b"], {}, [], "a: b #c",
            {"long": "y" * 70, "t": "a\nb"}]  # fmt: skip
    for _ in range(rng.randint(1, 4)):
        path = rng.choice(paths(data))
        holder: Any = data
        for key in path[:-1]:
            holder = holder[key]
        new = copy.deepcopy(rng.choice(news))
        kind = rng.choice(["put", "add", "remove"])
        if kind == "add":
            inner = holder[path[-1]] if isinstance(holder[path[-1]], dict | list) else holder
            if isinstance(inner, dict):
                inner[rng.choice(["new", "other key", "n: x"])] = new
            else:
                inner.insert(rng.randint(0, len(inner)), new)
        elif kind == "put" or len(data) == 1:
            holder[path[-1]] = new
        else:
            del holder[path[-1]]
    return data


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 10**9), st.sampled_from([*EXAMPLES, LAID_OUT]), st.booleans())
def test_any_change_of_a_document_is_written_in(seed: int, text: str, windows: bool) -> None:
    """Whatever changes, the text reads as the new data, and is never written anew as a whole."""
    text = text.replace("\n", "\r\n") if windows else text
    data = changed(documents.read(text).data, random.Random(seed))
    real = rewriting.write
    rewriting.write = None  # type: ignore[assignment]
    try:
        result = documents.rewrite(text, data)
    finally:
        rewriting.write = real

    assert same(documents.read(result).data, data)


@settings(deadline=None, max_examples=150)
@given(mappings, mappings)
def test_any_document_becomes_any_other(before: dict[str, Any], after: dict[str, Any]) -> None:
    """A written document that is rewritten reads as the new data."""
    text = documents.write(before)

    assert same(documents.read(documents.rewrite(text, after)).data, after)


def test_true_is_not_one() -> None:
    """A change of type alone is a change; the order of keys is none."""
    assert "a: true\n" == documents.rewrite("a: 1\n", {"a": True})
    assert "a: 1.0\n" == documents.rewrite("a: 1\n", {"a": 1.0})
    assert "a: 1\nb: 2\n" == documents.rewrite("a: 1\nb: 2\n", {"b": 2, "a": 1})


def test_json_is_read_as_it_is() -> None:
    """A JSON text is a document with the same data, as far as YAML's limits go."""
    data = {"a": [1, 2.5, None, True, "x\ny", {"b": "\u2028é"}]}

    assert data == documents.read(json.dumps(data)).data


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_a_renamed_key_keeps_every_other_byte(ending: str) -> None:
    """A key gets another name in its place: comments, order and layout stay."""
    text = "# a\nb:   # c\n  'd e': {f: 1}  # g\n  h: |\n    d e\ni: {d: 2, j: 3}\n".replace(
        "\n", ending
    )
    assert text.replace("'d e':", "new:") == rename(text, ("b", "d e"), "new")
    assert text.replace("{d: 2", '{"on": 2') == rename(text, ("i", "d"), "on")
    assert "\ufeff" + text.replace("i:", "z:") == rename("\ufeff" + text, ("i",), "z")
    for path, name in ((("b", "x"), "y"), (("b", "h"), "d e")):
        with pytest.raises(KeyError):
            rename(text, path, name)
