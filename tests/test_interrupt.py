"""The stop button: what it ends, what it keeps, and what it leaves behind. Counted at a server."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fake_provider import FakeProvider
from tests.kernel import Kernel, Reply

CASES = 60
AT_ONCE = 6
LATENCY_S = 0.25
SETUP = f"cases = [{{'n': n}} for n in range({CASES})]"
CELL = "%%bmad compare -m fake/slow --over cases -o r\nCase {{ n }} of {{ batch }}"


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeProvider]:
    """Give a provider whose model takes its time."""
    with FakeProvider({"models": {"slow": {"latency_s": LATENCY_S}}}) as provider:
        yield provider


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, provider: FakeProvider) -> Path:
    """Give a project with an endpoint in its bmad.toml."""
    folder = tmp_path_factory.mktemp("interrupt")
    (folder / "bmad.toml").write_text(
        f"[engine]\nmax_concurrent_tasks = {AT_ONCE}\n\n"
        f'[endpoints.fake]\nbase_url = "{provider.url}"\nmodels = ["slow"]\n'
    )
    return folder


@pytest.fixture(scope="module")
def shared(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """Give one kernel for the module."""
    with Kernel(folder, tmp_path_factory.mktemp("home")) as kernel:
        assert kernel.execute("%load_ext bmad_nb").status == "ok"
        kernel.execute(SETUP)
        yield kernel


@pytest.fixture
def kernel(shared: Kernel, provider: FakeProvider, request: pytest.FixtureRequest) -> Kernel:
    """Give that kernel with prompts of this test's own, and a server that has counted nothing."""
    provider.wait_until(in_flight=0)
    provider.reset()
    shared.execute(f"batch = {request.node.name!r}")
    return shared


def interrupted(kernel: Kernel, provider: FakeProvider, code: str, times: int = 1) -> Reply:
    """Run a cell and interrupt it once 15 answers were sent and others are on their way."""
    cell = kernel.start(code)
    until_s = time.monotonic() + 30
    while (counts := provider.counts())["sent"] < 15 or counts["in_flight"] < AT_ONCE:
        assert time.monotonic() < until_s, "The run did not get that far."
        time.sleep(0.01)
    for _ in range(times):
        kernel.interrupt()
    return kernel.finish(cell, timeout_s=30)


def calls(folder: Path, run_id: str) -> list[tuple[str, str, str]]:
    """Return request key, state and billed of a run's calls, as the file itself has them."""
    connection = sqlite3.connect(folder / ".bmad" / "bmad.db")
    try:
        return connection.execute(
            "SELECT request_key, state, billed FROM calls WHERE run_id = ?", (run_id,)
        ).fetchall()
    finally:
        connection.close()


def received(provider: FakeProvider) -> dict[str, int]:
    """Return how many requests came for each key."""
    keys: dict[str, dict[str, Any]] = provider.counts()["keys"]
    return {key: tally["received"] for key, tally in keys.items()}


def test_an_interrupt_keeps_answers_and_the_cell_goes_on_from_there(
    kernel: Kernel, provider: FakeProvider, folder: Path
) -> None:
    """An interrupt ends the cell in time, keeps every answer, and nothing stored is asked again."""
    reply = interrupted(kernel, provider, CELL)
    assert reply.status == "error"
    assert reply.ename == "RunPaused"
    assert reply.seconds < 3, reply.seconds
    assert len(reply.traceback.splitlines()) <= 6, reply.traceback
    counts = provider.wait_until(in_flight=0)
    assert counts["aborted"] <= AT_ONCE
    time.sleep(1)
    assert provider.counts()["received"] == counts["received"], "Something went on running."

    kernel.execute("stopped_id, stopped = r.id, r")
    run_id = kernel.value("stopped_id").strip("'")
    rows = calls(folder, run_id)
    kept = {key for key, state, _ in rows if state == "answered"}
    broken = {key for key, state, billed in rows if state == "cancelled" and billed == "maybe"}
    assert len(kept) >= 15
    assert len(kept) + len(broken) == len(rows)
    assert 1 <= len(broken) <= AT_ONCE
    assert f"{len(kept)} of {CASES}" in reply.evalue
    kernel.execute(
        "shown, again = repr(stopped), repr(ws.run_of(stopped_id)) if 'ws' in dir() else ''"
    )
    left = CASES - len(rows)
    said = kernel.value("shown")
    assert f"{len(kept)} of {CASES} calls answered" in said
    assert (f"{left} calls were" in said) == (left > 1)
    assert kernel.value("stopped.run.status, stopped.run.reason") == "('paused', 'user')"
    assert kernel.value("sum(r.billed == 'maybe' for r in stopped.rows)") == str(len(broken))
    assert kernel.value("1 + 1") == "2"
    shown = kernel.execute("stopped")
    assert str(len(broken)) in shown.text
    assert "billed" in shown.text

    provider.reset()
    again = kernel.execute(CELL)
    assert again.status == "ok", again.text
    asked = received(provider)
    assert provider.counts()["received"] == CASES - len(kept)
    assert not set(asked) & kept, "A stored answer was asked for again."
    assert broken <= set(asked)
    assert set(asked.values()) == {1}
    assert kernel.value("r.id == stopped_id, r.run.status, len(r.rows)") == (
        f"(True, 'completed', {CASES})"
    )
    kernel.execute("runs = %bmad runs")
    kernel.execute("line = runs.set_index('run_id').loc[stopped_id]")
    assert (
        kernel.value("line['status'], int(line['maybe_billed'])") == f"('completed', {len(broken)})"
    )
    assert kernel.value("sorted({c.billed for c in r.earlier}), len(r.earlier)") == (
        f"(['maybe'], {len(broken)})"
    )


def test_an_awaited_comparison_is_interrupted_too(
    kernel: Kernel, provider: FakeProvider, folder: Path
) -> None:
    """An interrupt of `await ws.acompare(...)` leaves no call running, and the answers are kept."""
    code = (
        "import bmad_nb\nws = bmad_nb.Workspace()\n"
        "await ws.acompare('Awaited {{ n }} of ' + batch, ['fake/slow'], over=cases)"
    )
    reply = interrupted(kernel, provider, code)
    assert reply.status == "error"
    assert reply.seconds < 3
    counts = provider.wait_until(in_flight=0)
    time.sleep(1)
    assert provider.counts()["received"] == counts["received"], "Something went on running."
    kernel.execute("run = ws.runs().iloc[0]")
    assert kernel.value("run['status'], run['reason']") == "('paused', 'user')"
    kept = int(kernel.value("int(run['calls'] - run['maybe_billed'])"))
    assert kept >= 15
    provider.reset()
    assert kernel.execute(code).status == "ok"
    assert provider.counts()["received"] == CASES - kept
    assert kernel.value("ws.runs().iloc[0]['run_id'] == run['run_id']") == "True"


def test_a_second_interrupt_cancels(kernel: Kernel, provider: FakeProvider) -> None:
    """Pressing stop twice ends the cell too; nothing runs on, and the next cell works."""
    reply = interrupted(kernel, provider, CELL, times=2)
    assert reply.status == "error"
    assert reply.ename in {"RunPaused", "RunCancelled", "KeyboardInterrupt"}
    assert reply.seconds < 5
    counts = provider.wait_until(in_flight=0)
    time.sleep(0.5)
    assert provider.counts()["received"] == counts["received"]
    assert kernel.value("2 + 2") == "4"
    kernel.execute("last = %bmad runs --limit 1")
    assert kernel.value("last['status'][0]") in {"'paused'", "'cancelled'"}


def test_asyncio_run_works_in_a_cell_on_request_only(tmp_path: Path) -> None:
    """`asyncio.run()` in a cell fails, until `enable_nested_asyncio()` was called; blocking works."""
    code = "import asyncio\nasync def two():\n    await asyncio.sleep(0)\n    return 2\nasyncio.run(two())"
    with Kernel(tmp_path, tmp_path / "home") as kernel:
        kernel.execute("%load_ext bmad_nb\nimport bmad_nb")
        assert kernel.execute("%%bmad ask -m sim/hasty\nWhat is 1 + 1?").status == "ok"
        before = kernel.execute(code)
        assert (before.status, before.ename) == ("error", "RuntimeError")
        assert kernel.value("bmad_nb.enable_nested_asyncio()") in {
            "'nest_asyncio2'",
            "'nest_asyncio'",
        }
        after = kernel.execute(code)
        assert after.status == "ok", after.text
        assert (after.value or {})["text/plain"] == "2"
        assert kernel.execute("%%bmad ask -m sim/hasty\nWhat is 1 + 2?").status == "ok"
