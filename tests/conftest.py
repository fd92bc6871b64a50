"""What every test has: a project folder of its own, and no settings or keys of this machine."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from bmad_nb.calls.pacing import GATES
from bmad_nb.store.journal import Store
from bmad_nb.workspace import Workspace, default_workspace


def pytest_configure() -> None:
    """Let interrupts through to what tests start, where a shell's background shuts them out."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Run the whole suite in two processes, and a part of it that is named in this one."""
    return 0 if config.option.file_or_dir else 2


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, with `BMAD_*`, keys and proxies of this machine taken away."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in list(os.environ):
        if (
            name.endswith("_API_KEY")
            or name.lower().endswith("_proxy")
            or (name.startswith("BMAD_") and name != "BMAD_CACHE")
        ):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    default_workspace.cache_clear()
    GATES.reset()
    return folder


@pytest.fixture
def store(project: Path) -> Iterator[Store]:
    """Give a store that nothing was written to."""
    made = Store(project / ".bmad" / "bmad.db")
    yield made
    made.close()


@pytest.fixture
def ws(project: Path) -> Iterator[Workspace]:
    """Give a workspace whose store lies in the test's own folder."""
    space = Workspace(store=project / ".bmad" / "bmad.db")
    yield space
    space.close()
