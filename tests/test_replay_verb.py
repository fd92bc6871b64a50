"""`replay` as a line and as a command: the numbers of `lab.replay`, charts, and what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bmad_nb import lab
from bmad_nb.charts import Chart
from bmad_nb.errors import UnknownName, UsageProblem
from bmad_nb.lab.recording import Recording
from bmad_nb.verbs import tree
from bmad_nb.verbs.base import Front
from bmad_nb.workspace import Workspace
from tests.lab.test_replaying import planted


def say(ws: Workspace, *words: str, **names: Any) -> tuple[Any, Front]:
    """Run a line."""
    front = Front(ws, "line", None, names)
    return tree.call(front, list(words)), front


@pytest.fixture(scope="module")
def table() -> Recording:
    """Return a recorded table of planted skills."""
    return Recording(*planted(60))


class First:
    """A router of a cell: the first LLM by name."""

    name = "first"

    def choose(self, demand: Any, candidates: Any) -> Any:
        """Return it."""
        from bmad_nb import Choice

        return Choice(min(each.card.id for each in candidates), "the first")


def test_a_line_gives_what_the_laboratory_gives(ws: Workspace, table: Recording) -> None:
    """The same frame and verdict; a router in a variable plays too; the result is bound."""
    mine = First()
    words = [
        "replay",
        "rec",
        "--routers",
        "task-mean,mine",
        "--folds",
        "3",
        "--seed",
        "4",
        "-o",
        "found",
    ]
    shown, front = say(ws, *words, rec=table, mine=mine)
    own = lab.replay(*table, routers=["task-mean", mine], folds=3, seed=4)
    pd.testing.assert_frame_equal(own.frame, shown.frame)
    assert own.verdict == shown.verdict
    assert front.bind["found"] is shown
    assert "first" in set(shown.routers["router"])
    assert "3-fold" in repr(shown)
    assert "<svg" in shown._repr_html_()
    assert ws.runs().empty


def test_two_frames_and_another_table_to_learn_from(ws: Workspace, table: Recording) -> None:
    """`queries+calls` are two variables; with --train routers learn there; -m leaves LLMs out."""
    queries, calls = table
    older = Recording(*planted(60, seed=1))
    shown, _ = say(ws, "replay", "queries+calls", "--routers", "knn", "--train", "older",
                   "-m", "a,b", queries=queries, calls=calls, older=older)  # fmt: skip
    own = lab.replay(queries, calls, routers=["knn"], train=older, llms=["a", "b"])
    pd.testing.assert_frame_equal(own.frame, shown.frame)
    assert ("a", "b") == shown.llms
    assert "learned from other queries" in repr(shown)


@pytest.mark.parametrize("kind", ["frontier", "share", "regret", "calibration", "cost", "prices"])
def test_each_chart_is_a_word(ws: Workspace, table: Recording, kind: str) -> None:
    """--plot shows a chart with its static twin, and -o still binds the replay."""
    shown, front = say(
        ws, "replay", "rec", "--routers", "task-mean", "--plot", kind, "-o", "x", rec=table
    )
    assert isinstance(shown, Chart)
    assert shown._repr_mimebundle_()["image/svg+xml"].startswith("<svg")
    assert isinstance(front.bind["x"], lab.Replay)


@pytest.mark.parametrize(
    ("words", "error", "said"),
    [
        ("replay re", UnknownName, "rec"),
        ("replay absent.csv", UsageProblem, "No such file"),
        ("replay a.csv+b.csv", UsageProblem, "No such file"),
        ("replay rec --routers lerned", UnknownName, "learned"),
        ("replay rec --routers ,", UsageProblem, "names none"),
        ("replay rec --folds 1", UsageProblem, "folds"),
        ("replay rec --folds 3 --train rec", UsageProblem, "Leave one out"),
        ("replay rec --plot share --json", UsageProblem, "Leave one out"),
        ("replay rec --plot shares", UsageProblem, "share"),
        ("replay rec -m a,x", UnknownName, "LLM in these calls"),
        ("replay number", UsageProblem, "no recorded table"),
        ("replay", UsageProblem, "TABLE"),
    ],
)
def test_what_it_refuses(
    ws: Workspace, table: Recording, words: str, error: type[Exception], said: str
) -> None:
    """One typed error that says what to write."""
    with pytest.raises(error, match=said):
        say(ws, *words.split(), rec=table, number=3)


@pytest.mark.long
def test_the_command(project: Path, table: Recording) -> None:
    """A shell gets the numbers that Python gets, as text and as JSON, and errors with status 2."""
    table.save("t.csv")
    own = lab.replay(*lab.read("t.csv"), routers=["task-mean"], seed=2)

    def bmad(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "bmad_nb", *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    words = ("replay", "t.csv", "--routers", "task-mean", "--seed", "2")
    text = bmad(*words).stdout
    assert own.verdict in text
    data = json.loads(bmad(*words, "--json").stdout)
    assert json.loads(json.dumps(own.to_json())) == data
    frame = own.frame.set_index(["router", "metric"])["value"]
    told = {(r["router"], r["metric"]): r["value"] for r in data["frame"]}
    assert frame["task-mean", "quality"] == told["task-mean", "quality"]
    assert "Regret of" in bmad(*words, "--plot", "regret").stdout
    wrong = bmad("replay", "absent.csv")
    assert (2, True) == (wrong.returncode, "absent.csv cannot be read" in wrong.stderr)
    assert not (project / ".bmad").exists() or Workspace().runs().empty
