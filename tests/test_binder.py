"""Binder: what repo2docker does with binder/, done in a fresh environment; then a notebook runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from tests import fresh
from tests.kernel import ROOT

BINDER = ROOT / "binder"
EXECUTE = """
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read("00_quickstart.ipynb", 4)
NotebookClient(notebook, kernel_name="python3", timeout=300).execute()
nbformat.write(notebook, sys.argv[1])
"""


def test_binder_has_what_repo2docker_reads() -> None:
    """A Python that the project takes, an executable postBuild, requirements from the root."""
    version = (BINDER / "runtime.txt").read_text("utf-8").strip()
    assert re.fullmatch(r"python-3\.1[123]", version)
    assert os.access(BINDER / "postBuild", os.X_OK)
    assert (BINDER / "postBuild").read_text("utf-8").startswith("#!/bin/bash\n")
    assert {"postBuild", "requirements.txt", "runtime.txt"} == {p.name for p in BINDER.iterdir()}


@pytest.mark.long
def test_its_steps_prepare_a_fresh_environment_in_which_a_notebook_runs(tmp_path: Path) -> None:
    """Requirements, then postBuild from the root; the quickstart executes, with the model fetched."""
    repo = fresh.copy(tmp_path)
    place = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", str(place)], check=True, timeout=120)
    path = f"{place / 'bin'}{os.pathsep}{os.environ['PATH']}"
    env = fresh.environment(tmp_path, PATH=path, REPO_DIR=str(repo))
    for step in (
        ["pip", "install", "-q", "-r", "binder/requirements.txt"],
        [str(repo / "binder" / "postBuild")],
    ):
        done = subprocess.run(step, cwd=repo, env=env, capture_output=True, text=True, timeout=900)
        assert 0 == done.returncode, done.stdout[-2000:] + done.stderr[-3000:]
    assert list((tmp_path / "cache").rglob("*.gguf"))
    target = tmp_path / "done.ipynb"
    done = subprocess.run(
        [str(place / "bin" / "python"), "-c", EXECUTE, str(target)], cwd=repo / "notebooks",
        env=env, capture_output=True, text=True, timeout=400,
    )  # fmt: skip
    assert 0 == done.returncode, done.stderr[-3000:]
    outputs = [out for cell in nbformat.read(target, 4).cells for out in cell.get("outputs", [])]
    shown = "".join(out.get("data", {}).get("text/plain", "") for out in outputs)
    assert "error" not in {out["output_type"] for out in outputs}
    assert "local/smollm2-135m" in shown
    assert "own machine" in shown
    assert "simulated" in shown
