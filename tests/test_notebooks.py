"""The notebooks on comparing, on cost and quality, and on papermill, with the network shut."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
import psutil
import pytest

import bmad_nb
from tests.fake_provider import FakeProviderProcess
from tests.kernel import ROOT, clean_environment
from tests.test_kill import look
from tests.test_papermill import Shut, calls_made, runs_in

COMPARING = ROOT / "notebooks" / "01_compare_llms.ipynb"
COST = ROOT / "notebooks" / "04_cost_and_quality.ipynb"
PAPERMILL = ROOT / "notebooks" / "05_papermill.ipynb"
CASES = 24


@pytest.fixture
def shut(project: Path) -> Shut:
    """Give a project folder with the network shut."""
    return Shut(project)


def executed(shut: Shut, source: Path, **parameters: object) -> Path:
    """Execute a notebook, which must succeed in under 40 seconds of its own time."""
    target = shut.folder / "out" / source.name
    target.parent.mkdir(exist_ok=True)
    done = shut.papermill(source, target, **parameters)
    assert 0 == done.returncode, done.stderr[-3000:]
    whole = nbformat.read(target, as_version=4)
    assert whole.metadata.papermill.duration < 40
    for cell in whole.cells:
        for out in cell.get("outputs", []):
            bundle = out.get("data", {})
            assert "error" != out["output_type"]
            assert "application/vnd.jupyter.widget-view+json" not in bundle
            assert "<script" not in str(bundle.get("text/html", "")).lower()
            assert not bundle or "text/plain" in bundle
    return target


@pytest.mark.long
def test_comparing_shows_disagreement_stability_and_what_changed(shut: Shut) -> None:
    """It runs offline without a key; each of its ways to contrast shows something; all simulated."""
    target = executed(shut, COMPARING)
    cells = {cell.id: cell for cell in nbformat.read(target, as_version=4).cells}
    text = {
        name: "".join(o.get("data", {}).get("text/plain", "") for o in cell.get("outputs", []))
        for name, cell in cells.items()
    }
    assert "dissent" in text["disagree"]
    assert "commonest_share" in text["stability"]
    assert "sim/" not in text["blind"]
    assert "sim/careful" in text["rated"]
    assert "regression" in text["diff"]
    assert "no difference shown" in text["over"]
    assert "agreement" in text["agreement"].lower()
    for run in runs_in(target):
        assert ("0", True) == (run["cost_usd"], all(row["simulated"] for row in run["rows"]))
    made = calls_made(shut.folder)
    executed(shut, COMPARING)
    assert made == calls_made(shut.folder), "The second execution asked somebody."
    assert [] == shut.refused


@pytest.mark.long
def test_cost_and_quality_shows_frames_and_charts(shut: Shut) -> None:
    """It runs offline; each chart has a twin without scripts; frames name their units."""
    target = executed(shut, COST)
    cells = {cell.id: cell for cell in nbformat.read(target, as_version=4).cells}
    for name in ("frontier", "cost", "latency", "scores"):
        bundle = cells[name].outputs[0]["data"]
        assert {"text/html", "image/svg+xml", "application/vnd.plotly.v1+json"} <= set(bundle)
        assert "sim/careful" in bundle["text/html"]
    assert "USD" in cells["units"].outputs[0]["data"]["text/plain"]
    assert "True" in cells["stored"].outputs[0]["data"]["text/plain"]
    assert "Ready:" in cells["screen"].outputs[0]["data"]["text/plain"]
    assert [] == shut.refused


@pytest.fixture
def provider(project: Path) -> Iterator[FakeProviderProcess]:
    """Give a server that takes its time, known to the project as `fake/busy`."""
    with FakeProviderProcess({"models": {"busy": {"latency_s": 0.3}}}) as made:
        (project / "bmad.toml").write_text(
            "[engine]\nmax_concurrent_tasks = 2\n\n"
            f'[endpoints.fake]\nbase_url = "{made.url}"\nmodels = ["busy"]\n\n'
            '[prices."fake/busy"]\ninput_usd_per_mtok = 1000\noutput_usd_per_mtok = 1000\n'
        )
        yield made


def started(project: Path, target: Path, **parameters: object) -> subprocess.Popen[bytes]:
    """Start papermill on the notebook, with the fake LLM."""
    words = [word for name, value in parameters.items() for word in ("-p", name, str(value))]
    return subprocess.Popen(
        [sys.executable, "-m", "papermill", str(PAPERMILL), str(target), "--cwd", str(project),
         "-k", "python3", "--no-progress-bar", *words],
        cwd=project, env=clean_environment(project / "home"), stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.mark.long
def test_a_killed_papermill_repeats_no_stored_call(
    project: Path, provider: FakeProviderProcess
) -> None:
    """kill -9 of papermill and its kernel in the middle; run again, nothing stored is asked again."""
    given = {"llms": "fake/busy", "cases": CASES, "budget_usd": 50}
    child = started(project, project / "killed.ipynb", **given)
    try:
        until_s = time.monotonic() + 120
        while provider.counts()["received"] < CASES // 2:
            assert child.poll() is None, "papermill ended before it could be killed"
            assert time.monotonic() < until_s
            time.sleep(0.02)
        tree = [psutil.Process(child.pid), *psutil.Process(child.pid).children(recursive=True)]
        assert 2 <= len(tree)
        for each in tree:
            os.kill(each.pid, signal.SIGKILL)
    finally:
        child.kill()
        child.communicate(timeout=30)
    psutil.wait_procs(tree, timeout=30)
    time.sleep(0.5)
    before = provider.counts()["keys"]
    seen = look(project, project / "copy")
    assert seen.sound
    stored = {key for key in seen.answers if key in before}
    assert CASES // 4 < len(stored) <= CASES
    assert seen.in_flight, "The kill has to come while calls are in flight."
    again = started(project, project / "again.ipynb", **given)
    _, said = again.communicate(timeout=120)
    assert 0 == again.returncode, said[-3000:]
    after = provider.counts()["keys"]
    assert CASES + 1 == len(after)
    for key in stored:
        assert before[key]["received"] == after[key]["received"]
    runs = bmad_nb.read_outputs(project / "again.ipynb").runs
    squares = runs[runs["calls"] + runs["from_store"] == CASES]
    assert ["completed"] == list(squares["status"])


@pytest.mark.long
def test_a_paused_run_fails_papermill_and_a_second_execution_goes_on(
    project: Path, provider: FakeProviderProcess
) -> None:
    """A limit makes papermill exit non-zero with RunPaused; with more money only the rest is asked."""
    given = {"llms": "fake/busy", "cases": CASES}
    little = started(project, project / "little.ipynb", **given, budget_usd="1.3")
    _, said = little.communicate(timeout=120)
    assert 0 != little.returncode
    assert b"RunPaused" in said
    some = provider.counts()["received"]
    assert 1 <= some <= CASES
    enough = started(project, project / "enough.ipynb", **given, budget_usd=50)
    _, said = enough.communicate(timeout=120)
    assert 0 == enough.returncode, said[-3000:]
    counts = provider.counts()
    assert CASES + 1 == counts["received"] == len(counts["keys"])
