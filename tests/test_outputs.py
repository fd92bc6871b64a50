"""Frames read back from saved notebooks, whoever wrote them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import bmad_nb
from bmad_nb import columns
from bmad_nb.errors import UsageProblem
from bmad_nb.results import MIME
from bmad_nb.workspace import Workspace
from tests.verbs_of import typed

FLOW = "tasks:\n  a: {prompt: Say tea, llm: sim/hasty}\n  b: {prompt: 'Mind {{ a }}', llm: sim/hasty}\n"


def saved(path: Path, *values: Any) -> Path:
    """Write a notebook whose cells show these values in our MIME type."""
    cells = [
        {"cell_type": "code", "id": str(n), "metadata": {}, "source": "", "execution_count": 1,
         "outputs": [{"output_type": "display_data", "metadata": {}, "data": {MIME: value}}]}
        for n, value in enumerate(values)
    ]  # fmt: skip
    body = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(body))
    return path


def test_frames_come_back_as_they_were(ws: Workspace, project: Path) -> None:
    """Runs, calls and tasks have the store's columns and values, and say where they were read."""
    cases = [{"q": "2 + 2", "right": "4"}, {"q": "3 + 3", "right": "6"}]
    r = ws.compare("What is {{ q }}?", "sim/careful,sim/hasty", over=cases, reference="right")
    run = ws.run(bmad_nb.Workflow("tea", tasks={"a": {"prompt": "Say tea", "llm": "sim/hasty"}}))
    saved(project / "out" / "one.ipynb", r.to_json(), run.to_json())
    saved(project / "out" / "two.ipynb", r.to_json(), r.to_json())
    found = bmad_nb.read_outputs("out/*.ipynb")
    assert ["compare", "workflow", "compare"] == list(found.runs["verb"])
    assert [0, 1, 1] == list(found.runs["cell"])
    assert 8 == len(found.calls)
    assert ["tea"] == list(found.runs["workflow"].iloc[1:2])
    assert ["done"] == list(found.tasks["state"])
    assert found.problems.empty
    mine, theirs = found.calls.head(4), r.df
    for name in ("case", "llm", "answer", "score", "cost_usd", "latency_s", "simulated",
                 "output_tokens", "request_key", "run_id", "state"):  # fmt: skip
        assert list(theirs[name]) == list(mine[name]), name
    expected = [c.name for c in columns.CALLS]
    assert ["notebook", "cell", *expected] == list(found.calls.columns)
    assert "USD" == found.calls.attrs["units"]["cost_usd"]
    assert "3 runs, 8 calls and 1 tasks of 2 notebooks; 0 problems" == repr(found)
    sums = found.runs["simulated_cost_usd"].iloc[0]
    assert float(r.simulated_cost_usd) == pytest.approx(sums)


def test_large_comparisons_come_back_too(ws: Workspace, project: Path) -> None:
    """Above 200 rows, what is empty is left out of the file and is missing again in the frame."""
    ws.add_llm("one", lambda _: "yes")
    r = ws.compare("{{ q }}", "own/one", over=[{"q": str(n)} for n in range(201)])
    value = r.to_json()
    assert "score" not in value["rows"][0]
    found = bmad_nb.read_outputs(saved(project / "big.ipynb", value)).calls
    assert 201 == len(found)
    assert list(r.df["answer"]) == list(found["answer"])
    assert found["score"].isna().all()
    assert not found["simulated"].any()


HOSTILE: list[Any] = [
    None, 1, "x", [], {}, {"version": 1}, {"run_id": "r"}, {"run_id": 7, "version": 1},
    {"run_id": "r", "version": True}, {"run_id": "r", "version": "1"},
    {"run_id": "r", "version": 1, "rows": "x"}, {"run_id": "r", "version": 1, "rows": {"a": 1}},
    {"run_id": "r", "version": 0}, {"run_id": "r", "version": 1e308},
    {"run_id": "r", "version": 99},
]  # fmt: skip


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: str(value)[:40])
def test_a_damaged_or_newer_output_is_one_typed_error(project: Path, value: Any) -> None:
    """It names the cell and the file; without `strict` it is listed, and the rest is read."""
    good = {"run_id": "ok", "version": 1, "rows": [{"llm": "a/b", "text": "x"}]}
    path = saved(project / "bad.ipynb", value, good)
    with pytest.raises(UsageProblem, match=r"Cell 0 of .*bad\.ipynb"):
        bmad_nb.read_outputs(path)
    found = bmad_nb.read_outputs(path, strict=False)
    assert [0] == list(found.problems["cell"])
    assert ["ok"] == list(found.runs["run_id"])


def test_values_of_the_wrong_kind_are_missing(project: Path) -> None:
    """A value is taken only if it is of its column's kind; text stays text, and nothing runs."""
    evil = "__import__('os').system('touch owned')"
    row = {
        "llm": ["x"], "case": {"a": 1}, "text": evil, "score": "NaN", "cost_usd": "1e999",
        "latency_s": True, "output_tokens": 1e300, "sample": -(10**40), "simulated": "yes",
        "state": "<script>", "extra": {"deep": []}, "error": "\ud800",
    }  # fmt: skip
    found = bmad_nb.read_outputs(
        saved(project / "evil.ipynb", {"run_id": "r", "version": 1, "rows": [row, 7, None]})
    ).calls
    assert 1 == len(found)
    only = found.iloc[0]
    assert evil == only["answer"]
    for name in ("llm", "case", "score", "cost_usd", "latency_s", "output_tokens"):
        assert bool(found[name].isna().iloc[0]), name
    assert (0, False, "<script>") == (only["sample"], only["simulated"], only["state"])
    assert not (project / "owned").exists()


@pytest.mark.parametrize(
    "body", ["", "[1", "[" * 200_000, '{"cells": 7}', "[]", '{"worksheets": []}', "\x00\xff"],
    ids=["empty", "cut", "deep", "no cells", "a list", "version 3", "bytes"],
)  # fmt: skip
def test_what_is_no_notebook_is_a_typed_error(project: Path, body: str) -> None:
    """A file that is no notebook is named; without `strict` it is listed."""
    (project / "no.ipynb").write_text(body, "latin-1")
    with pytest.raises(UsageProblem, match=r"no\.ipynb"):
        bmad_nb.read_outputs("no.ipynb")
    assert 1 == len(bmad_nb.read_outputs("no.ipynb", strict=False).problems)


def test_a_pattern_without_files_is_said(project: Path) -> None:
    """Nothing to read is an error, and so is something that is no path."""
    with pytest.raises(UsageProblem, match="There is no notebook"):
        bmad_nb.read_outputs("nowhere/*.ipynb")
    with pytest.raises(UsageProblem, match="takes paths"):
        bmad_nb.read_outputs([7])  # type: ignore[list-item]


def test_odd_cells_are_passed_over(project: Path) -> None:
    """Cells and outputs of any other shape are no problem of ours."""
    cells = [1, {}, {"outputs": 3}, {"outputs": [None, {"data": []}, {"data": {"text/plain": 1}}]}]
    (project / "odd.ipynb").write_text(json.dumps({"cells": cells}))
    assert bmad_nb.read_outputs("odd.ipynb").runs.empty


def test_the_workflow_of_a_cell_is_read_back(ws: Workspace, project: Path) -> None:
    """A run of two tasks gives two rows with their LLM."""
    typed(ws, "workflow tea", FLOW)
    run = typed(ws, "run tea")
    found = bmad_nb.read_outputs(saved(project / "flow.ipynb", run.to_json())).tasks
    assert [("a", "sim/hasty"), ("b", "sim/hasty")] == list(
        zip(found["task"], found["llm"], strict=True)
    )
