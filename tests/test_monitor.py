"""Runs of other processes, followed on the command line: lag, the death of an owner, and alerts."""

from __future__ import annotations

import datetime
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import pytest

from bmad_nb.alerts import Limits, Watched
from bmad_nb.errors import UsageProblem
from bmad_nb.events import (
    CallEnded,
    CallIntended,
    CallRow,
    RunRow,
    RunStarted,
    TaskAsked,
    TaskEnded,
    TaskRow,
)
from bmad_nb.monitoring import Webhook
from tests.fake_provider import FakeProvider
from tests.test_cli import KEY, KEY_NAME, environment

SLOW = "workflow: slow\nstrategy: sequential\ntasks:\n" + "".join(
    f'  t{n}: {{prompt: "Slow {n}", llm: fake/slow}}\n' for n in range(12)
)
NOW = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC)


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeProvider]:
    """Give a provider whose answers take a quarter of a second."""
    with FakeProvider({"key": KEY, "models": {"slow": {"latency_s": 0.25}}}) as fake:
        yield fake


@pytest.fixture
def folder(project: Path, provider: FakeProvider) -> Path:
    """Give a project with a slow workflow."""
    (project / "bmad.toml").write_text(
        f'[endpoints.fake]\nbase_url = "{provider.url}"\napi_key = "env:{KEY_NAME}"\n'
        'models = ["slow"]\n[prices."fake/slow"]\n'
        "input_usd_per_mtok = 1000\noutput_usd_per_mtok = 1000\n"
    )
    (project / "slow.yaml").write_text(SLOW)
    return project


class Reader:
    """A command line whose lines are read with the time at which each came."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bmad_nb", *words], cwd=folder, env=environment(folder),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.lines: list[tuple[float, str]] = []
        self.errors: list[str] = []
        self._threads = [threading.Thread(target=self._read), threading.Thread(target=self._heed)]
        for thread in self._threads:
            thread.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append((time.time(), line))

    def _heed(self) -> None:
        assert self.process.stderr
        self.errors += list(self.process.stderr)

    def wait(self, seconds: float = 60) -> int:
        code = self.process.wait(timeout=seconds)
        for thread in self._threads:
            thread.join(timeout=10)
        assert self.process.stdout
        assert self.process.stderr
        self.process.stdout.close()
        self.process.stderr.close()
        return code

    def until(self, word: str, seconds: float = 30) -> None:
        until_s = time.monotonic() + seconds
        while not any(word in line for _, line in self.lines):
            assert time.monotonic() < until_s, (word, self.lines[-5:])
            time.sleep(0.02)


@pytest.mark.long
def test_a_monitor_lags_less_than_a_second_and_survives_the_owner(folder: Path) -> None:
    """Lag p95 < 1 s; a killed owner is said, a resumed run is followed on, a healthy one alerts not."""
    watch = Reader(folder, "workflow", "monitor", "--real-time", "--alerts-enabled", "--json",
                   "--for", "60")  # fmt: skip
    owner = subprocess.Popen(
        [sys.executable, "-m", "bmad_nb", "run", "slow.yaml"], cwd=folder,
        env=environment(folder), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    watch.until("done t3")
    os.kill(owner.pid, signal.SIGKILL)
    owner.wait()
    watch.until("owner_gone")
    run_id = json.loads(watch.lines[0][1])["run_id"]
    status = Reader(folder, "workflow", "status", "--active", "--json")
    assert 0 == status.wait()
    row = json.loads("".join(line for _, line in status.lines))["rows"][0]
    assert (run_id, "interrupted", f"bmad resume {run_id}") == (
        row["run_id"], row["status"], row["next"],
    )  # fmt: skip
    again = Reader(folder, "resume", run_id)
    assert 0 == again.wait()
    watch.until("run_ended")
    watch.process.send_signal(signal.SIGINT)
    assert 130 == watch.wait()

    found = [(came, json.loads(line)) for came, line in watch.lines]
    lags = sorted(
        came - datetime.datetime.fromisoformat(each["time_utc"]).timestamp() for came, each in found
    )
    assert len(found) > 30
    assert lags[int(0.95 * len(lags))] < 1.0
    numbers = [each["seq"] for _, each in found if each["kind"] != "owner_gone"]
    assert list(range(1, len(numbers) + 1)) == numbers
    assert ["ALERT owner"] == [line[:11] for line in watch.errors if line.startswith("ALERT")]


class _Hook(http.server.BaseHTTPRequestHandler):
    got: ClassVar[list[Any]] = []

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        self.got.append(json.loads(self.rfile.read(length)))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        pass


@pytest.mark.long
def test_alerts_go_to_the_error_stream_and_to_a_webhook(folder: Path) -> None:
    """Most of the limit spent, and slow answers: each is said once on standard error and sent once."""
    _Hook.got.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Hook) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/hook"
        watch = Reader(folder, "workflow", "monitor", "--real-time", "--alerts-enabled", "--for",
                       "40", "--latency-slo", "0.1", "--spend", "0.05", "--webhook", url)  # fmt: skip
        run = Reader(folder, "run", "slow.yaml", "--budget", "2")
        run.wait()
        watch.until("completed" if run.process.returncode == 0 else "paused")
        time.sleep(0.5)
        watch.process.send_signal(signal.SIGINT)
        watch.wait()
        server.shutdown()
        thread.join()
    rules = sorted(line.split()[1] for line in watch.errors if line.startswith("ALERT"))
    assert ["latency", "spend"] == rules
    assert rules == sorted(each["rule"] for each in _Hook.got)


# --- the rules themselves -------------------------------------------------------------------------


def call(number: int, state: str = "answered", **more: Any) -> CallRow:
    """Return a call of the run."""
    return CallRow(f"r-{number}", "r", "fake/x", "k", state, **more)  # type: ignore[arg-type]


def watched(limits: Limits | None = None, **more: Any) -> Watched:
    """Return a run that has just begun."""
    run = RunRow("r", "workflow", "running", workflow="w", **more)
    made = Watched(run, limits or Limits())
    made.take(NOW.isoformat(), RunStarted(run))
    return made


def fired(run: Watched, after_s: float = 1.0) -> list[str]:
    """Return the rules that fire at a time."""
    return [alert.rule for alert in run.look(NOW + datetime.timedelta(seconds=after_s))]


def test_each_rule_fires_once_per_episode() -> None:
    """Spend, errors, latency, stall, quality and owner fire once; after an end they fire anew."""
    spend = watched(budget_usd=Decimal(1))
    spend.take("", CallEnded(call(1, cost_usd=Decimal("0.79"))))
    assert [] == fired(spend)
    spend.take("", CallEnded(call(2, cost_usd=Decimal("0.01"))))
    assert (["spend"], []) == (fired(spend), fired(spend))

    errors = watched()
    for number in range(5):
        errors.take("", CallEnded(call(number, "failed")))
    assert (["errors"], []) == (fired(errors), fired(errors))
    for number in range(5, 25):
        errors.take("", CallEnded(call(number, latency_s=0.1)))
    assert [] == fired(errors)
    for number in range(25, 40):
        errors.take("", CallEnded(call(number, "failed")))
    assert ["errors"] == fired(errors)

    slow = watched(Limits(latency_s=1.0))
    for number in range(5):
        slow.take("", CallEnded(call(number, latency_s=1.5)))
    assert (["latency"], []) == (fired(slow), fired(slow))

    stall = watched()
    stall.take(NOW.isoformat(), CallIntended(call(1, "in_flight")))
    assert ([], ["stall"], []) == (fired(stall, 59), fired(stall, 60), fired(stall, 90))
    stall.take((NOW + datetime.timedelta(seconds=91)).isoformat(), CallEnded(call(1)))
    assert ([], ["stall"]) == (fired(stall, 92), fired(stall, 152))

    drop = watched()
    for number, score in enumerate([0.9] * 5 + [0.6] * 5):
        row = TaskRow("r", f"t{number}", "done", facts={"score": score})
        drop.take("", TaskEnded(row))
    assert (["quality"], []) == (fired(drop), fired(drop))

    gone = watched()
    gone.run = RunRow("r", "workflow", "interrupted", workflow="w")
    assert (["owner"], []) == (fired(gone), fired(gone))


def test_a_healthy_run_gives_no_alert() -> None:
    """Under the limits, with one failure of twenty, and while a person is asked, nothing is said."""
    run = watched(Limits(latency_s=1.0), budget_usd=Decimal(1))
    for number in range(20):
        state = "failed" if number == 3 else "answered"
        run.take(NOW.isoformat(), CallEnded(call(number, state, latency_s=0.4,
                                                 cost_usd=Decimal("0.01"))))  # fmt: skip
        row = TaskRow("r", f"t{number}", "done", facts={"score": 0.8 + 0.01 * (number % 3)})
        run.take(NOW.isoformat(), TaskEnded(row))
        assert [] == fired(run)
    run.take(NOW.isoformat(), TaskAsked("r", "sign", "Go on?"))
    assert [] == fired(run, 3600)


def test_a_webhook_is_https_or_on_this_machine() -> None:
    """Plain http elsewhere, another scheme and no host are refused; a dead one is said, not raised."""
    for url in ("http://example.org/x", "ftp://a/b", "https:///x", "http://127.0.0.1:99999/"):
        with pytest.raises(UsageProblem):
            Webhook(url)
    run = watched()
    run.run = RunRow("r", "workflow", "interrupted", workflow="w")
    (alert,) = run.look(NOW)
    assert "not reached" in Webhook("http://127.0.0.1:9/").send(alert)
