"""A slice of a sweep's budget, as the kernel of a notebook spends it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import pytest

from bmad_nb.runs import slices
from bmad_nb.store.reading import Reading
from bmad_nb.workspace import Workspace
from tests.kernel import clean_environment

ASK = """
import sys, bmad_nb
ws = bmad_nb.Workspace(*[None, sys.argv[2]] if len(sys.argv) > 2 else [])
try:
    for n in range(int(sys.argv[1])):
        ws.ask(f"Say {n}", "sim/careful", max_tokens=20)
except bmad_nb.BmadError as error:
    print(type(error).__name__, error.what)
input()
"""


def ask(folder: Path, limit: str, *words: str) -> subprocess.Popen[str]:
    store = str(folder / ".bmad" / "bmad.db")
    env = clean_environment(folder / "home", BMAD_STORE=store, BMAD_SLICE=f"{limit} {limit}")
    return subprocess.Popen([sys.executable, "-c", ASK, *words], cwd=folder, env=env, text=True,
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip


@pytest.mark.long
def test_a_slice_holds_over_processes(project: Path) -> None:
    """A next process goes on from what the store says is spent; the refusal is written down."""
    store = Reading(project / ".bmad" / "bmad.db", sync="normal")
    limit = Decimal("0.0008")
    seen = []
    for _ in range(3):
        said, _ = ask(project, str(limit), "50").communicate("\n", timeout=60)
        assert said.startswith("RunPaused") or "BudgetExceeded" in said, said
        assert "slice of the sweep's budget" in said
        seen.append(slices.spent_of(store)[True])
        assert 0 < seen[-1] <= limit
    assert seen[0] == seen[1] == seen[2]
    refused = json.loads((project / ".bmad" / slices.REFUSED).read_text())
    assert seen[0] + Decimal(refused["needed_usd"]) > limit


@pytest.mark.long
def test_one_process_at_a_time_spends_a_slice(project: Path) -> None:
    """A second one is refused while the first lives, and not after it; free work is not refused."""
    first = ask(project, "1", "1")
    until_stored(project, 1)
    said, _ = ask(project, "1", "2").communicate("\n", timeout=60)
    assert "Another process of this notebook" in said
    assert "" == ask(project, "1", "1").communicate("\n", timeout=60)[0]  # it is stored
    first.communicate("\n", timeout=60)
    assert "" == ask(project, "1", "2").communicate("\n", timeout=60)[0]


@pytest.mark.long
def test_another_store_has_no_slice(project: Path) -> None:
    """What the sweep cannot count costs nothing: it is refused."""
    said, _ = ask(project, "1", "1", str(project / "own.db")).communicate("\n", timeout=60)
    assert "another store than the notebook's own" in said


def until_stored(project: Path, many: int) -> None:
    store = Reading(project / ".bmad" / "bmad.db", sync="normal")
    for _ in range(3000):
        if len([s for (s,) in store.columns(("state",)) if s == "answered"]) >= many:
            return
        time.sleep(0.02)
    raise AssertionError("nothing was stored")


def test_lent_answers_serve_and_are_not_written(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer of the lent store serves; fresh asks anew; the lent store stays as it was."""
    lent = project / "lent.db"
    mine = Workspace(store=lent)
    mine.ask("Why?", "sim/hasty")
    mine.close()
    before = lent.read_bytes()
    monkeypatch.setenv("BMAD_ANSWERS", str(lent))
    space = Workspace(store=project / "own.db")
    assert space.ask("Why?", "sim/hasty").rows[0].from_store
    assert not space.ask("Why?", "sim/hasty", fresh=True).rows[0].from_store
    assert not space.ask("Why not?", "sim/hasty").rows[0].from_store
    space.close()
    assert before == lent.read_bytes()
    assert 1 == len(mine.store.runs())
