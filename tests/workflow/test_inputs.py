"""The values of inputs: typed, complete, and plain enough to be stored."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bmad_nb.errors import MissingInput, UnknownName, UsageProblem
from bmad_nb.workflow import inputs
from bmad_nb.workflow.model import Workflow


def declared(kind: str, **more: Any) -> Workflow:
    """Return a workflow with one input x."""
    return Workflow("w", inputs={"x": {"type": kind, **more}}, tasks={"a": {"prompt": "hi"}})


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("text", "a", "a"), ("string", "", ""), ("integer", 5, 5), ("integer", np.int64(5), 5),
        ("number", 1, 1), ("number", np.float32(0.5), 0.5), ("boolean", np.bool_(True), True),
        ("list", (1, "a"), [1, "a"]), ("list", np.array([1, 2]), [1, 2]), ("list", pd.Series([1.5]), [1.5]),
        ("object", {"a": {"b": np.int8(1)}}, {"a": {"b": 1}}),
        ("list", [datetime.date(2026, 1, 2)], ["2026-01-02"]),
        ("list", pd.DataFrame({"a": [1, 2], "b": ["x", None], 3: [0.1 + 0.2, float("nan")]}),
         [{"a": 1, "b": "x", "3": 0.1 + 0.2}, {"a": 2, "b": None, "3": None}]),
        ("list", pd.DataFrame({"t": [pd.Timestamp("2026-01-02"), pd.NaT]}),
         [{"t": "2026-01-02T00:00:00"}, {"t": None}]),
        ("list", pd.DataFrame(), []),
    ],
)  # fmt: skip
def test_a_value_is_taken_as_json_has_it(kind: str, value: Any, expected: Any) -> None:
    """Scalars of numpy, arrays, series and DataFrames become what JSON has, with all digits."""
    found = inputs.bound(declared(kind), {"x": value})["x"]

    assert expected == found
    assert type(expected) is type(found)


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        ("text", 5, "must be a text, not a number"), ("integer", True, "must be a whole number, not true"),
        ("integer", 1.0, "must be a whole number"), ("number", "1", "must be a number, not a text"),
        ("boolean", 1, "must be true or false"), ("list", "a", "must be a list"), ("object", [], "a mapping"),
        ("text", None, "must be a text, not empty"), ("number", float("nan"), "nan is not a finite number"),
        ("list", [float("inf")], "cannot be stored"), ("list", [{1}], "a set is not text"),
        ("object", {1: 2}, "the key 1 is not a text"), ("text", "\ud800", "half a character"),
        ("list", [object()], "a object is not text"), ("list", [b"x"], "a bytes is not text"),
        ("list", pd.DataFrame([[1, 2]], columns=["a", "a"]), "two columns have the same name"),
    ],
)  # fmt: skip
def test_a_value_that_does_not_fit_is_refused(kind: str, value: Any, said: str) -> None:
    """A wrong type, or what cannot be stored, is a UsageProblem that names the input."""
    with pytest.raises(UsageProblem, match=said) as raised:
        inputs.bound(declared(kind), {"x": value})
    assert "Input 'x'" in raised.value.what


def test_what_is_nested_in_itself_is_refused() -> None:
    """An endless list is no crash."""
    endless: list[Any] = []
    endless.append(endless)

    with pytest.raises(UsageProblem, match="nested too deeply"):
        inputs.bound(declared("list"), {"x": endless})


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("text", "5", "5"), ("file", "a.txt", "a.txt"), ("integer", "5", 5), ("number", "0.5", 0.5),
        ("boolean", "true", True), ("list", "[1, 2]", [1, 2]), ("list", "a, b", ["a", "b"]),
        ("list", "7", ["7"]), ("list", "", []), ("object", '{"a": 1}', {"a": 1}),
    ],
)  # fmt: skip
def test_a_typed_text_is_read_by_its_type(kind: str, text: str, expected: Any) -> None:
    """A text from a command line becomes a value of the declared type."""
    assert {"x": expected} == inputs.typed(declared(kind), {"x": text})


@pytest.mark.parametrize(
    ("kind", "text"),
    [("integer", "five"), ("integer", "1.5"), ("boolean", "yes"), ("number", "[1]"), ("object", "[]"),
     ("number", "true"), ("object", "[" * 100_000)],
)  # fmt: skip
def test_a_typed_text_of_another_type_is_refused(kind: str, text: str) -> None:
    """What the text is not is said."""
    with pytest.raises(UsageProblem, match=r"is not a|is not true"):
        inputs.typed(declared(kind), {"x": text})


def test_missing_unknown_and_default() -> None:
    """A missing input is named, an unknown one is guessed at, a default fills in."""
    flow = Workflow("w", inputs={"text_in": "text", "n": {"type": "integer", "default": 3}})

    assert ["text_in"] == inputs.missing(flow, {})
    with pytest.raises(MissingInput, match="text_in"):
        inputs.bound(flow, {})
    assert {"n": 3} == inputs.bound(flow, {}, partly=True)
    assert {"text_in": "a", "n": 3} == inputs.bound(flow, {"text_in": "a"})
    for call in (inputs.bound, inputs.typed):
        with pytest.raises(UnknownName, match="Did you mean 'text_in'"):
            call(flow, {"text_im": "a"})


def test_an_enum_names_its_values() -> None:
    """A value outside of the declared ones is refused with the list of them."""
    flow = declared("text", enum=["small", "large"])

    assert {"x": "small"} == inputs.bound(flow, {"x": "small"})
    with pytest.raises(UsageProblem, match="One of: small, large"):
        inputs.bound(flow, {"x": "medium"})


def test_a_file_gives_its_content(tmp_path: Path) -> None:
    """The content takes the place of the path; for a plan, no file is read."""
    file = tmp_path / "a.txt"
    file.write_text("é\n", "utf-8")
    flow = declared("file")

    assert {"x": "é\n"} == inputs.bound(flow, {"x": str(file)})
    assert {"x": "/no/such"} == inputs.bound(flow, {"x": "/no/such"}, partly=True)


def test_a_file_that_cannot_be_taken_is_said(tmp_path: Path) -> None:
    """Missing, a folder, binary, too large, an odd path: a sentence each."""
    binary, large = tmp_path / "b", tmp_path / "l"
    binary.write_bytes(b"\xff\xfe\x00")
    large.write_bytes(b"x" * (inputs.MAX_FILE + 1))
    expected = {
        str(tmp_path / "none"): "No such file", str(tmp_path): "not a file", str(binary): "not text in UTF-8",
        str(large): "more than 4194304 bytes", "a\0b": "cannot be read", "~nobody-here/x": "cannot be read",
    }  # fmt: skip
    for path, said in expected.items():
        with pytest.raises(UsageProblem, match=said):
            inputs.bound(declared("file"), {"x": path})
