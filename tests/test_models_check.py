"""`models check`: what works of each endpoint, said in one sentence, and nothing charged."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from bmad_nb.verbs.probing import check
from bmad_nb.workspace import Workspace
from tests.canary import KEYS
from tests.fake_provider import FakeProvider

KEY = KEYS["check"]
PATHS = {"openai": "/v1", "anthropic": "/v1", "gemini": "/v1beta", "ollama": ""}


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    """Give a provider that wants a key."""
    with FakeProvider({"models": {"small": {}, "large": {}}, "key": KEY}) as fake:
        yield fake


@pytest.fixture
def space(
    project: Path, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Workspace]:
    """Give endpoints that work, and one for each way of not working."""
    root = provider.url.removesuffix("/v1")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    monkeypatch.setenv("RIGHT", KEY)
    monkeypatch.setenv("WRONG", "sk-wrong-0123456789")
    endpoints = {
        **{f"my-{kind}": {"kind": kind, "base_url": root + path, "api_key": "env:RIGHT"}
           for kind, path in PATHS.items()},
        "wrong": {"base_url": f"{root}/v1", "api_key": "env:WRONG"},
        "keyless": {"base_url": f"{root}/v1", "api_key": "env:NOBODY_SET_THIS"},
        "closed": {"base_url": f"http://127.0.0.1:{port}/v1"},
        "elsewhere": {"base_url": f"{root}/nothing/here", "api_key": "env:RIGHT"},
    }  # fmt: skip
    made = Workspace({"endpoints": endpoints}, store=project / "store.db")
    yield made
    made.close()


def row(frame: pd.DataFrame, llm: str) -> dict[str, object]:
    """Return the row of an LLM."""
    (found,) = frame[frame["llm"] == llm].to_dict("records")
    return dict(found)


@pytest.mark.parametrize("kind", PATHS)
def test_each_format_is_reached_and_its_models_are_listed(space: Workspace, kind: str) -> None:
    """With the right key a listed model works; one that is not listed may be misspelt."""
    frame = check(space, [f"my-{kind}/small", f"my-{kind}/smal", f"my-{kind}"])
    good, near, whole = (row(frame, name) for name in frame["llm"])
    assert ("yes", "reached, and listed", 2) == (good["works"], good["found"], good["models"])
    assert ("perhaps", "Did you mean 'small'?") == (near["works"], near["what_to_do"])
    assert ("yes", "reached", "found") == (whole["works"], whole["found"], whole["key"])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("wrong", "401"), ("keyless", "NOBODY_SET_THIS is not set"),
        ("closed", "could not be reached"), ("elsewhere", "404"),
    ],
)  # fmt: skip
def test_what_does_not_work_says_why_and_what_to_do(space: Workspace, name: str, said: str) -> None:
    """A wrong key, a missing one, a closed port and a wrong address are told apart."""
    found = row(check(space, [name]), name)
    assert "no" == found["works"]
    assert said in str(found["found"])
    assert found["what_to_do"]
    assert KEY not in str(found)


def test_nothing_is_asked_but_lists(space: Workspace, provider: FakeProvider) -> None:
    """No LLM is asked, no money is spent, no row is stored, and the key stands in no address."""
    check(space, [])
    counts = provider.counts()
    assert (0, "0", 0) == (counts["sent"], counts["cost_usd"], counts["offences"])
    assert [] == space.store.calls()
    assert all(each["method"] == "GET" for each in provider.requests())


def test_what_runs_here_needs_nothing(space: Workspace) -> None:
    """The embedded model and the simulated fleet are checked without contacting anybody."""
    frame = check(space, ["sim/careful", "local"])
    assert ["yes", "yes"] == list(frame["works"])


def test_the_shell_says_it(project: Path) -> None:
    """`bmad models check NAME --json` gives the rows."""
    done = subprocess.run(
        [sys.executable, "-m", "bmad_nb", "models", "check", "openai", "sim/hasty", "--json"],
        capture_output=True, timeout=60, cwd=project, check=False, text=True,
    )  # fmt: skip
    assert 0 == done.returncode, done.stderr
    rows = json.loads(done.stdout)
    assert [("openai", "no"), ("sim/hasty", "yes")] == [(r["llm"], r["works"]) for r in rows]
