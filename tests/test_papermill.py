"""The quickstart and other notebooks through papermill, with the network shut."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import nbformat
import pytest

from bmad_nb.llms import local, weights
from bmad_nb.templates.catalog import NAMES
from tests.kernel import MIME, ROOT, clean_environment
from tests.shut import hook

COLLABORATION = ROOT / "notebooks" / "03_collaboration.ipynb"
SCORING = ROOT / "notebooks" / "04_scoring.ipynb"
ROUTING = ROOT / "notebooks" / "02_routing.ipynb"
QUICKSTART = ROOT / "notebooks" / "00_quickstart.ipynb"
TEMPLATES = [
    ("07_templates.ipynb", set(NAMES[:6])),
    ("08_knowledge_templates.ipynb", set(NAMES[6:12])),
    ("09_bmad_templates.ipynb", set(NAMES[12:])),
]
"""Notebooks, and the workflows that each of them runs."""


class Shut:
    """A folder whose Python processes cannot leave this machine, and what they tried."""

    def __init__(self, folder: Path) -> None:
        """Write the hook, and nothing else."""
        self.folder = folder
        self._record = folder / "net.txt"
        self._hook = hook(folder)

    def run(self, *command: str, timeout_s: float = 300) -> subprocess.CompletedProcess[str]:
        """Run a Python command line under the hook."""
        env = clean_environment(self.folder / "home", NET_RECORD=str(self._record))
        env["PYTHONPATH"] = os.pathsep.join([str(self._hook), str(ROOT)])
        return subprocess.run(
            [sys.executable, *command], cwd=self.folder, env=env,
            capture_output=True, text=True, timeout=timeout_s,
        )  # fmt: skip

    def papermill(
        self, source: Path, target: Path, **parameters: object
    ) -> subprocess.CompletedProcess[str]:
        """Execute a notebook."""
        words = [word for name, value in parameters.items() for word in ("-p", name, str(value))]
        return self.run(
            "-m", "papermill", str(source), str(target), "--cwd", str(self.folder),
            "-k", "python3", "--no-progress-bar", *words,
        )  # fmt: skip

    def _lines(self, kind: str) -> list[str]:
        lines = self._record.read_text().splitlines() if self._record.exists() else []
        return [line for line in lines if line.startswith(kind)]

    @property
    def refused(self) -> list[str]:
        """What was tried."""
        return self._lines("refused")

    @property
    def watched(self) -> str:
        """The command lines of all processes that had the hook."""
        return "\n".join(self._lines("watching"))


@pytest.fixture
def shut(project: Path) -> Shut:
    """Give a project folder with the network shut."""
    return Shut(project)


def runs_in(notebook: Path) -> list[dict[str, Any]]:
    """Return the runs that a notebook's outputs carry in our own MIME type."""
    cells = nbformat.read(notebook, as_version=4).cells
    outputs = [out for cell in cells for out in cell.get("outputs", [])]
    return [out["data"][MIME] for out in outputs if MIME in out.get("data", {})]


def calls_made(folder: Path) -> int:
    """Return how many calls the store knows that were really made."""
    connection = sqlite3.connect(folder / ".bmad" / "bmad.db")
    try:
        return int(
            connection.execute("SELECT count(*) FROM calls WHERE NOT from_store").fetchone()[0]
        )
    finally:
        connection.close()


def notebook(path: Path, *cells: str, parameters: str = "") -> Path:
    """Write a notebook of code cells, the parameters first."""
    made = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell) for cell in (parameters, *cells)],
        metadata={
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}
        },
    )
    made.cells[0].metadata["tags"] = ["parameters"]
    nbformat.write(made, path)
    return path


def test_the_shut_network_is_shut(shut: Shut) -> None:
    """A connection to another machine is refused and recorded, in a kernel too; loopback is not."""
    leaving = "import socket\ns = socket.socket()\ns.settimeout(2)\ns.connect(('203.0.113.1', 80))"
    done = shut.run("-c", leaving)
    assert done.returncode != 0
    assert "The network is shut" in done.stderr
    assert len(shut.refused) == 1
    assert "203.0.113.1" in shut.refused[0]
    here = "import socket\ns = socket.socket()\nprint(s.connect_ex(('127.0.0.1', 9)) != 0)"
    assert shut.run("-c", here).stdout == "True\n"
    asking = "import socket\nsocket.getaddrinfo('example.org', 443)"
    assert shut.run("-c", asking).returncode != 0
    assert len(shut.refused) == 2
    done = shut.papermill(
        notebook(shut.folder / "leaving.ipynb", leaving), shut.folder / "out.ipynb"
    )
    assert done.returncode != 0
    assert len(shut.refused) == 3
    assert "ipykernel_launcher" in shut.watched


def quickstart(shut: Shut, llm: str) -> None:
    """Execute the quickstart twice, and assert what it shows, what it costs and whom it asks."""
    first, second = shut.folder / "first.ipynb", shut.folder / "second.ipynb"
    done = shut.papermill(QUICKSTART, first, local_llm=llm)
    assert done.returncode == 0, done.stderr[-4000:]
    side, cases = (run for run in runs_in(first) if run["verb"] == "compare")
    assert [(row["llm"], row["variant"]) for row in side["rows"]] == [
        (llm, "temperature=0"), (llm, "temperature=1"), ("sim/careful", ""), ("sim/hasty", ""),
    ]  # fmt: skip
    assert {row["llm"] for row in cases["rows"]} == {llm, "sim/careful"}
    assert len({row["case"] for row in cases["rows"]}) == 6
    assert len(cases["rows"]) == 12
    for run in (side, cases):
        assert run["status"] == "completed"
        assert run["cost_usd"] == "0"
        assert float(run["simulated_cost_usd"]) > 0
        for row in run["rows"]:
            assert row["state"] == "answered"
            assert row["text"].strip()
            assert row["simulated"] is row["llm"].startswith("sim/")
            assert row["input_tokens"] > 0
    assert {row["score"] for row in cases["rows"]} <= {0.0, 1.0}
    careful = [row for row in cases["rows"] if row["llm"] == "sim/careful"]
    assert sum(row["score"] for row in careful) >= 5
    assert {row["reference"] for row in cases["rows"]} >= {"Paris", "132", "negative"}
    [flow] = (run for run in runs_in(first) if run["verb"] == "workflow")
    assert flow["status"] == "completed"
    assert [task["task"] for task in flow["tasks"]] == ["summary", "urgency", "page"]
    assert {task["state"] for task in flow["tasks"]} == {"done"}
    assert flow["outputs"]["level"] in {"now", "today"}
    assert flow["outputs"]["page"].strip()
    made = calls_made(shut.folder)
    assert made == 19
    _every_cell_shows_something_static(first)

    done = shut.papermill(QUICKSTART, second, local_llm=llm)
    assert done.returncode == 0, done.stderr[-4000:]
    assert calls_made(shut.folder) == made, "The second execution asked somebody."
    again = [run for run in runs_in(second) if run["verb"] == "compare"]
    for run, before in zip(again, (side, cases), strict=True):
        assert all(row["from_store"] for row in run["rows"])
        assert [row["text"] for row in run["rows"]] == [row["text"] for row in before["rows"]]
        assert (run["cost_usd"], float(run["simulated_cost_usd"])) == ("0", 0.0)

    assert shut.refused == []
    assert shut.watched.count("ipykernel_launcher") == 2


def _every_cell_shows_something_static(path: Path) -> None:
    """Assert that what was saved shows without a kernel and without a network."""
    for cell in nbformat.read(path, as_version=4).cells:
        for out in cell.get("outputs", []):
            assert out["output_type"] != "error"
            bundle = out.get("data", {})
            assert "application/vnd.jupyter.widget-view+json" not in bundle
            assert "<script" not in str(bundle.get("text/html", "")).lower()
            assert not bundle or "text/plain" in bundle
    plotted = [
        out["data"] for cell in nbformat.read(path, as_version=4).cells if "s.plot()" in cell.source
        for out in cell.outputs if out["output_type"] == "execute_result"
    ]  # fmt: skip
    assert plotted
    assert {"image/svg+xml", "text/html"} & plotted[0].keys()


def test_the_quickstart_runs_with_the_network_shut(shut: Shut) -> None:
    """The quickstart runs offline on simulated LLMs; a second execution makes no call."""
    quickstart(shut, "sim/hasty")


@pytest.mark.skipif(
    bool(local.unavailable()[0]) or weights.path_of("smollm2-135m") is None,
    reason="the embedded model is not installed: bmad models install",
)
def test_the_quickstart_runs_on_the_embedded_model(shut: Shut) -> None:
    """The quickstart runs offline on the embedded model; a second execution makes no call."""
    quickstart(shut, "local/smollm2-135m")
    assert "local_host" in shut.watched


def test_the_collaboration_notebook_shows_each_pattern_with_the_network_shut(shut: Shut) -> None:
    """It runs offline in under two minutes; every pattern has a run; nothing real is claimed."""
    first, second = shut.folder / "first.ipynb", shut.folder / "second.ipynb"
    began = time.monotonic()
    done = shut.papermill(COLLABORATION, first)
    assert done.returncode == 0, done.stderr[-4000:]
    assert time.monotonic() - began < 120
    runs = runs_in(first)
    flows = {run["workflow"] for run in runs if run["verb"] == "workflow"}
    assert flows >= {
        "vote", "consensus", "best-of-n", "ensemble", "debate", "peer-review", "expert", "cascade",
        "complaint",
    }  # fmt: skip
    assert {"completed"} == {run["status"] for run in runs}
    assert {"0"} == {run["cost_usd"] for run in runs}
    text = first.read_text("utf-8")
    assert "self-consistency" in text
    assert "Do not vote here" in text
    for cell in nbformat.read(first, as_version=4).cells:
        for out in cell.get("outputs", []):
            shown = out.get("data", {}).get("text/plain", "")
            assert "sim/" not in shown or "simulated" in shown
    made = calls_made(shut.folder)
    done = shut.papermill(COLLABORATION, second)
    assert done.returncode == 0, done.stderr[-4000:]
    assert calls_made(shut.folder) == made, "The second execution asked somebody."
    assert shut.refused == []


def test_the_scoring_notebook_runs_with_the_network_shut(shut: Shut) -> None:
    """It scores by check, judge and person offline, and says that all of it is simulated."""
    first = shut.folder / "first.ipynb"
    done = shut.papermill(SCORING, first)
    assert done.returncode == 0, done.stderr[-4000:]
    scorers = {row["scorer"] for run in runs_in(first) for row in run["rows"]}
    assert {"rouge_l", "me"} <= scorers
    assert any(each.startswith("duels judged by") for each in scorers)
    assert "human" in first.read_text("utf-8")
    assert {"0"} == {run["cost_usd"] for run in runs_in(first)}
    assert shut.refused == []


@pytest.mark.long
@pytest.mark.parametrize(("notebook_name", "flows"), TEMPLATES)
def test_the_notebooks_of_templates_run_with_the_network_shut(
    shut: Shut, notebook_name: str, flows: set[str]
) -> None:
    """Each template runs from its own cells, offline; each card says that it is simulated."""
    first = shut.folder / "first.ipynb"
    done = shut.papermill(ROOT / "notebooks" / notebook_name, first)
    assert done.returncode == 0, done.stderr[-4000:]
    runs = runs_in(first)
    assert flows == {run["workflow"] for run in runs}
    assert {("completed", "0")} == {(run["status"], run["cost_usd"]) for run in runs}
    assert flows == {path.stem for path in shut.folder.glob("*.yaml")}
    for cell in nbformat.read(first, as_version=4).cells:
        for out in cell.get("outputs", []):
            if MIME in out.get("data", {}):
                assert "simulated" in out["data"]["text/plain"]
    made = calls_made(shut.folder)
    done = shut.papermill(ROOT / "notebooks" / notebook_name, shut.folder / "second.ipynb")
    assert done.returncode == 0, done.stderr[-4000:]
    assert calls_made(shut.folder) == made, "The second execution asked somebody."
    assert shut.refused == []


def test_a_failing_cell_fails_the_notebook_with_the_whole_error(shut: Shut) -> None:
    """An error ends papermill, and its text with all frames is on the screen and in the notebook."""
    source = notebook(
        shut.folder / "failing.ipynb",
        "%load_ext bmad_nb",
        "%%bmad ask -m sim/hasty -o r\nWhat is {{ nowhere }}?",
        "reached = True",
    )
    target = shut.folder / "failed.ipynb"
    done = shut.papermill(source, target)
    assert done.returncode != 0
    for place in (done.stderr, target.read_text()):
        for part in ("MissingInput", "{{ nowhere }} is not defined", "magics.py", "verbs/tree.py"):
            assert part in place, part
    assert "Unexpected exception formatting exception" not in done.stderr + target.read_text()
    errors = [
        out for cell in nbformat.read(target, as_version=4).cells
        for out in cell.get("outputs", []) if out["output_type"] == "error"
    ]  # fmt: skip
    assert [error["ename"] for error in errors] == ["MissingInput"]
    assert not (shut.folder / ".bmad" / "bmad.db").exists()
    assert shut.refused == []


def test_a_notebook_stopped_by_its_budget_goes_on_when_run_again(shut: Shut) -> None:
    """A limit fails the notebook; executed again with a higher one it asks for the rest only."""
    source = notebook(
        shut.folder / "limited.ipynb",
        "%load_ext bmad_nb",
        "%%bmad compare -m sim/careful -n 30 --max-tokens 50 --budget {{ limit }} -o r\nWhat is 2 + 2?",
        "import json; print(json.dumps([r.id, len(r.df)]))",
        parameters="limit = 1",
    )
    target = shut.folder / "limited_out.ipynb"
    stopped = shut.papermill(source, target, limit=0.0004)
    assert stopped.returncode != 0
    assert "RunPaused" in stopped.stderr
    some = calls_made(shut.folder)
    assert 1 <= some < 30
    done = shut.papermill(source, target, limit=1)
    assert done.returncode == 0, done.stderr[-3000:]
    assert calls_made(shut.folder) == 30
    connection = sqlite3.connect(shut.folder / ".bmad" / "bmad.db")
    runs = connection.execute("SELECT run_id, status FROM runs").fetchall()
    connection.close()
    shown = nbformat.read(target, as_version=4).cells[-1].outputs[0]["text"]
    assert [json.loads(shown)[0], json.loads(shown)[1]] == [runs[0][0], 30]
    assert [status for _, status in runs] == ["completed"]


@pytest.mark.long
def test_the_routing_notebook(shut: Shut) -> None:
    """Without a key and with the network shut: record, replay, frontier, live choices, a verdict.

    A recorded table of one's own takes the place of what was recorded.
    """
    rows = [(f"{n} + {n}", 1.0, float(n % 3 == 0)) for n in range(12)]
    table = "prompt,large,small,large_response,small_response\n" + "".join(
        f"{prompt},{bool(a)},{bool(b)},x,y\n" for prompt, a, b in rows
    )
    (shut.folder / "mine.csv").write_text(table)
    llms = "sim/calculator,sim/librarian,sim/hasty"
    for name, parameters in (("own.ipynb", {}), ("mine.ipynb", {"table": "mine.csv"})):
        done = shut.papermill(ROUTING, shut.folder / name, llms=llms, **parameters)
        assert 0 == done.returncode, done.stderr[-3000:]
        notebook = nbformat.read(shut.folder / name, as_version=4)
        last = notebook.cells[-1]["outputs"][0]["data"]["text/plain"]
        assert "router" in last
        text = json.dumps([cell.get("outputs", []) for cell in notebook.cells])
        assert "Why this LLM?" in text
        assert ("12 queries" in text) is (name == "mine.ipynb")
        assert "simulated" in text
    assert [] == shut.refused
