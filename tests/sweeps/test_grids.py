"""Which notebooks a grid makes, and what is refused before anything runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import bmad_nb
from bmad_nb.errors import BmadError, DefinitionError, UnknownName, UsageProblem
from bmad_nb.sweeps.grids import Case, cases_of, parameters_in
from tests.sweeps.studies import notebook


def given(grid: Any, **common: Any) -> list[dict[str, Any]]:
    return [dict(case.parameters) for case in cases_of(grid, common, b"{}", None)]


@pytest.mark.parametrize(
    ("grid", "expected"),
    [
        ({"a": [1, 2], "b": ["x", "y"]},
         [{"a": 1, "b": "x"}, {"a": 1, "b": "y"}, {"a": 2, "b": "x"}, {"a": 2, "b": "y"}]),
        ({"a": [1, 2], "b": "x"}, [{"a": 1, "b": "x"}, {"a": 2, "b": "x"}]),
        ([{"a": 1}, {"b": [1, 2]}], [{"a": 1}, {"b": [1, 2]}]),
        ({"grid": {"a": [1]}, "cases": [{"a": 9, "b": None}]}, [{"a": 1}, {"a": 9, "b": None}]),
        ({"a": [1, 1, 2]}, [{"a": 1}, {"a": 2}]),
        ({"a": [True, 1]}, [{"a": True}, {"a": 1}]),
        ({"a": [{"deep": [1.5, "x"]}]}, [{"a": {"deep": [1.5, "x"]}}]),
    ],
)  # fmt: skip
def test_a_grid_is_a_product_a_list_or_both(grid: Any, expected: list[dict[str, Any]]) -> None:
    """Lists are combined in their order; cases stand as they are; equal ones are one notebook."""
    assert expected == given(grid)


def test_a_file_says_the_same(tmp_path: Path) -> None:
    """YAML gives what Python gives, as a mapping and as a list; common parameters go below."""
    path = tmp_path / "grid.yaml"
    path.write_text("a: [1, two]\nb: [1.5]\n")
    assert [{"c": 0, "a": 1, "b": 1.5}, {"c": 0, "a": "two", "b": 1.5}] == given(path, c=0)
    path.write_text("- {a: 1}\n- {a: 2, c: 3}\n")
    assert [{"c": 0, "a": 1}, {"c": 3, "a": 2}] == given(path, c=0)
    path.write_text("a: [1\n")
    with pytest.raises(DefinitionError):
        given(path)


@pytest.mark.parametrize(
    "grid",
    [
        {}, [], "nowhere.yaml", {"a": []}, {"cases": "x"}, {"cases": [1]}, [[1]], 7,
        {"a b": [1]}, {"class": [1]}, {"x = 1; import os; y": [1]}, {1: [2]},
        {"a": [float("nan")]}, {"a": [object()]}, {"a": [{1: 2}]},
        {"a": list(range(200)), "b": list(range(200))},
    ],
)  # fmt: skip
def test_what_is_no_grid_is_refused(grid: Any) -> None:
    """Names that are none, values that are no JSON, and what is empty or too large."""
    with pytest.raises(UsageProblem):
        given(grid)


@pytest.mark.parametrize(
    "parameters",
    [
        {"api_key": "abc"}, {"x": "sk-abcdefghijklmnopqrstuv"}, {"x": ["sk-abcdefghijklmnopqrstuv"]},
        {"x": {"password": "hunter2"}}, {"x": [{"deep": {"access_token": "abc"}}]},
    ],
)  # fmt: skip
def test_a_parameter_that_looks_like_a_key_is_refused(
    project: Path, parameters: dict[str, Any]
) -> None:
    """By its name or its value, however deep; it is not repeated, and nothing was written."""
    path = notebook(project / "n.ipynb", "1", parameters="x = 1\napi_key = ''")
    with pytest.raises(UsageProblem, match="looks like a key") as caught:
        bmad_nb.sweep(path, [parameters])
    assert "abc" not in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert [path] == list(project.iterdir())
    [case] = cases_of([{"api_key": "env:MY_KEY"}], {}, b"", None)  # a reference is none
    assert {"api_key": "env:MY_KEY"} == case.parameters


def test_a_name_that_the_notebook_does_not_have_is_an_error(project: Path) -> None:
    """A misspelt parameter is said with the nearest right one; without a cell all are taken."""
    path = notebook(project / "n.ipynb", "1", parameters="topic: str = 'x'\na, (b, *c) = 1, (2, 3)")
    body = json.loads(path.read_text())
    assert {"topic", "a", "b", "c"} == parameters_in(body)
    with pytest.raises(UnknownName, match="topik") as caught:
        bmad_nb.sweep(path, {"topik": ["x"]})
    assert "topic" == caught.value.nearest
    body["cells"][0]["metadata"] = {}
    assert parameters_in(body) is None


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"a": "../../etc/passwd"}, "a-etc-passwd-"),
        ({"a": "<b>\x00é{x}"}, "a-b-x-"),
        ({"a": "長い"}, "a-"),
        ({}, "plain-"),
        ({"a": "x" * 500}, "a-" + "x" * 58 + "-"),
    ],
)
def test_names_of_files_are_safe(parameters: dict[str, Any], expected: str) -> None:
    """Whatever a parameter says, its file is letters, digits and dashes, and differs from others."""
    file = Case(1, parameters, "0123456789abcdef").file
    assert f"{expected}0123456789.ipynb" == file


@pytest.mark.parametrize("text", [None, "x", "[]", '{"cells": 1}'])
def test_what_is_no_notebook_is_refused(project: Path, text: str | None) -> None:
    """A notebook that is not there, or is none, is one clear error; no folder is made."""
    if text is not None:
        (project / "n.ipynb").write_text(text)
    with pytest.raises(BmadError, match=r"n\.ipynb"):
        bmad_nb.sweep("n.ipynb", {"a": [1]})
    assert not (project / "n-sweep").exists()


def test_an_executor_that_is_none_is_refused(project: Path) -> None:
    """A misspelt executor is an error, and so is a scheduler that does not answer."""
    path = notebook(project / "n.ipynb", "1", parameters="a = 1")
    for executor, said in (("locall", "There is no executor"), ("tcp://127.0.0.1:9", "answers")):
        with pytest.raises(UsageProblem, match=said):
            bmad_nb.sweep(path, {"a": [1]}, executor, say=None)
