"""Two processes that ask the same at the same time pay once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.fake_provider import FakeProvider
from tests.test_cli import KEY, KEY_NAME, data, environment

CASES = 12


@pytest.fixture
def provider():
    """Give a provider whose answers take a moment."""
    with FakeProvider({"key": KEY, "models": {"a": {"latency_s": 0.4}}}) as fake:
        yield fake


def record(folder: Path) -> subprocess.Popen[str]:
    """Begin to record a table, as a shell does."""
    words = ("record", "--over", "cases.csv", "-m", "fake/a", "--reference", "right", "--json",
             "{{ q }}")  # fmt: skip
    return subprocess.Popen(
        [sys.executable, "-m", "bmad_nb", *words], cwd=folder, env=environment(folder), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def prepared(folder: Path, provider: FakeProvider) -> None:
    """Write the settings and the table; four calls at a time."""
    (folder / "bmad.toml").write_text(
        f'[engine]\nmax_concurrent_tasks = 4\n[endpoints.fake]\nbase_url = "{provider.url}"\n'
        f'api_key = "env:{KEY_NAME}"\nmodels = ["a"]\n'
        '[prices."fake/a"]\ninput_usd_per_mtok = 1\noutput_usd_per_mtok = 1\n'
    )
    rows = "".join(f"Say {n} [answer: {n}],{n}\n" for n in range(CASES))
    (folder / "cases.csv").write_text(f"q,right\n{rows}")


def ended(process: subprocess.Popen[str]) -> str:
    """Return what a process printed, once it ended well."""
    out, error = process.communicate(timeout=120)
    assert 0 == process.returncode, error
    return out


@pytest.mark.long
def test_a_table_that_two_record_is_paid_once(project: Path, provider: FakeProvider) -> None:
    """Both begin together: the provider hears each question once, and both have all scores."""
    prepared(project, provider)
    both = [record(project), record(project)]
    found = [data(subprocess.CompletedProcess([], 0, ended(each), "")) for each in both]
    assert CASES == provider.counts()["received"]
    assert [CASES, CASES] == [each["llms"][0]["scored"] for each in found]
    assert [1.0, 1.0] == [each["llms"][0]["score"] for each in found]


@pytest.mark.long
def test_who_waits_goes_on_where_the_other_dies(project: Path, provider: FakeProvider) -> None:
    """The first is killed while calls are in flight; the second asks only what is not stored."""
    prepared(project, provider)
    first = record(project)
    while provider.counts()["received"] < 6:
        time.sleep(0.02)
    second = record(project)
    time.sleep(0.3)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    heard = provider.counts()["received"]
    assert heard < CASES
    said = data(subprocess.CompletedProcess([], 0, ended(second), ""))
    assert CASES == said["llms"][0]["scored"]
    assert CASES <= provider.counts()["received"] <= CASES + 4  # those in flight are asked again
