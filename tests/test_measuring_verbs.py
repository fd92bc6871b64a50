"""Status, metrics, analyses, exports and the store's own verbs, through the real command line."""

from __future__ import annotations

import contextlib
import csv
import importlib.util
import io
import json
import os
import pty
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import pytest

from bmad_nb.errors import UsageProblem
from bmad_nb.export.bundle import bring_in, read_bundle
from bmad_nb.export.tables import as_csv
from bmad_nb.store.journal import Store
from bmad_nb.verbs.base import Front
from bmad_nb.verbs.tree import call
from bmad_nb.workspace import Workspace
from tests.fake_provider import FakeProvider
from tests.test_cli import KEY, KEY_NAME, data, environment
from tests.warm import Warm, on_a_terminal

PRICES = {"paid": (1000, 2000), "cheap": (100, 100)}
MODELS = {
    "small": {}, "cheap": {}, "paid": {"latency_s": 0.02}, "flaky": {"faults": ("400",)},
    "evil": {}, "slow": {"latency_s": 0.6},
}  # fmt: skip
FLOW = """\
workflow: letters
inputs: {topic: {type: text, default: ice}}
limits: {concurrency: 2}
tasks:
  first: {prompt: "One of {{ topic }} [answer: {\\"risks\\": [\\"roof\\"], \\"sum\\": 3}]", llm: fake/paid}
  second: {prompt: "Two of {{ first }}", llm: fake/cheap}
  third: {prompt: "Three of {{ first }}", llm: fake/small}
outputs: {all: third.text}
"""
BAD = '=HYPERLINK("http://evil")'


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeProvider]:
    """Give a provider that wants a key."""
    with FakeProvider({"key": KEY, "models": MODELS}) as fake:
        yield fake


@pytest.fixture(scope="module", autouse=True)
def warm() -> Iterator[Warm]:
    """Give a helper that runs command lines in processes of their own."""
    with Warm() as helper:
        _HELPER.append(helper)
        yield helper
        _HELPER.clear()


_HELPER: list[Warm] = []


def bmad(folder: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command line to its end, in a process of its own."""
    return _HELPER[0].run(folder, environment(folder, **env), *words)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, provider: FakeProvider) -> Path:
    """Give a project with settings and a workflow."""
    made = tmp_path_factory.mktemp("project")
    models = ", ".join(f'"{name}"' for name in MODELS)
    head = f'[endpoints.fake]\nbase_url = "{provider.url}"\napi_key = "env:{KEY_NAME}"\n'
    lines = [head, f"models = [{models}]\n[engine]\nretry_attempts = 0\n"]
    for name, (up, down) in PRICES.items():
        lines.append(f'[prices."fake/{name}"]\ninput_usd_per_mtok = {up}\n'
                     f"output_usd_per_mtok = {down}\n")  # fmt: skip
    (made / "bmad.toml").write_text("\n".join(lines))
    (made / "letters.yaml").write_text(FLOW)
    return made


@pytest.fixture(scope="module")
def runs(folder: Path) -> dict[str, str]:
    """Give the ids of a workflow run, a comparison with a failure and a key, and a fresh re-ask."""
    flow = data(bmad(folder, "workflow", "execute", "--definition", "letters.yaml", "--json"))
    words = ("compare", "-m", "fake/paid,fake/flaky,fake/evil,fake/cheap", "--json")
    both = data(bmad(folder, *words, f"Say [answer: {BAD}] {KEY} sk-abcdefghijklmnopqrstuvwx"))
    again = data(bmad(folder, "ask", "-m", "fake/paid", "--json", "Twice"))
    data(bmad(folder, "ask", "-m", "fake/paid", "--json", "--fresh", "Twice"))
    data(bmad(folder, "ask", "-m", "fake/paid", "--json", "Twice"))
    return {"flow": flow["run_id"], "both": both["run_id"], "again": again["run_id"]}


def ledger(folder: Path, where: str = "1") -> pd.DataFrame:
    """Return the raw table of calls, with money in US dollars."""
    with contextlib.closing(sqlite3.connect(folder / ".bmad" / "bmad.db")) as store:
        query = f"SELECT *, cost_usd / 1e12 AS usd FROM calls WHERE {where}"
        return pd.read_sql_query(query, store)


# --- status ---------------------------------------------------------------------------------------


def test_status_equals_the_store(folder: Path, runs: dict[str, str]) -> None:
    """`status` says tasks done and money as the store has them; `--active` lists what is not over."""
    rows = data(bmad(folder, "workflow", "status", "--json"))["rows"]
    mine = next(row for row in rows if row["run_id"] == runs["flow"])

    assert ("letters", "completed", "3/3") == (mine["workflow"], mine["status"], mine["tasks"])
    spent = ledger(folder, f"run_id = '{runs['flow']}'")["usd"].sum()
    assert spent == pytest.approx(float(mine["spent_usd"]))
    assert spent > 0
    assert [] == data(bmad(folder, "workflow", "status", "--active", "--json"))["rows"]
    plain = bmad(folder, "workflow", "status").stdout
    assert runs["flow"] in plain


# --- metrics --------------------------------------------------------------------------------------


def test_execution_time_equals_pandas_on_the_raw_table(folder: Path, runs: dict[str, str]) -> None:
    """p50, p90 and p99 of service and queue, by task and LLM, are those of the raw table."""
    found = data(bmad(folder, "workflow", "metrics", "--execution-time", "--json"))
    raw = ledger(folder, "state = 'answered' AND NOT from_store")
    assert len(raw) > 5
    wanted = raw.groupby(["task", "llm"])
    rows = found["Execution time"]
    assert len(wanted) == len(rows)
    for row in rows:
        group = wanted.get_group((row["task"] or "", row["llm"]))
        assert len(group) == row["n"]
        for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99)):
            assert group["latency_s"].quantile(share) == pytest.approx(row[f"service_{name}_s"])
            queue = group["waited_s"].fillna(0).quantile(share)
            assert queue == pytest.approx(row[f"queue_{name}_s"])


def test_cost_efficiency_sums_to_the_ledger(folder: Path, runs: dict[str, str]) -> None:
    """Useful and wasted money together are the ledger; a fresh re-ask and a fault are waste."""
    found = data(bmad(folder, "metrics", "--cost-efficiency", "--json"))
    raw = ledger(folder)
    kinds = {row["kind"]: row for row in found["Where money went"]}

    assert raw["usd"].sum() == pytest.approx(sum(row["cost_usd"] for row in kinds.values()))
    assert raw["usd"].sum() == pytest.approx(sum(r["cost_usd"] for r in found["Cost efficiency"]))
    assert len(raw[raw["from_store"] == 0]) == sum(row["calls"] for row in kinds.values())
    assert (1, 1) == (kinds["failed"]["calls"], kinds["duplicated"]["calls"])
    assert kinds["duplicated"]["cost_usd"] > 0
    saved = raw[raw["from_store"] == 1]["original_cost_usd"].sum() / 1e12
    assert saved == pytest.approx(sum(r["saved_usd"] for r in found["Cost efficiency"]))
    assert saved > 0


# --- analyze --------------------------------------------------------------------------------------


def test_performance_totals_equal_the_ledger(folder: Path, runs: dict[str, str]) -> None:
    """By task and by LLM, calls, seconds and money add up to the raw table; the page is inert."""
    words = ("workflow", "analyze", runs["flow"], "--performance", "--html", "perf.html")
    found = data(bmad(folder, *words, "--force", "--json"))
    raw = ledger(folder, f"run_id = '{runs['flow']}'")
    for table in ("By task", "By LLM", "All"):
        rows = found[table]
        assert len(raw) == sum(row["calls"] for row in rows)
        assert raw["usd"].sum() == pytest.approx(sum(row["cost_usd"] for row in rows))
        assert raw["latency_s"].sum() == pytest.approx(sum(row["service_s"] for row in rows))
    page = (folder / "perf.html").read_text()
    assert "fake/paid" in page
    assert "<script" not in page
    assert "default-src 'none'" in page
    both = bmad(folder, "workflow", "analyze", runs["flow"], "--performance", "--bottlenecks")
    assert 0 == both.returncode
    assert "By task" in both.stdout


# --- export ---------------------------------------------------------------------------------------


def test_every_format_is_complete_and_without_keys(folder: Path, runs: dict[str, str]) -> None:
    """All seven formats are written; none holds a key, known or by its shape; none is overwritten."""
    forms = ["summary", "detailed", "json", "csv", "parquet", "html", "ipynb"]
    has_arrow = importlib.util.find_spec("pyarrow") is not None
    if not has_arrow:  # an extra: without it the format is refused, and says what to install
        words = ("export", runs["both"], "--format", "parquet", "--to", "out/run.parquet")
        assert "bmad_nb[parquet]" in bmad(folder, *words).stderr
        forms.remove("parquet")
    texts = {}
    for form in forms:
        done = bmad(folder, "workflow", "export", "--results", runs["both"], "--format", form,
                    "--to", f"out/run.{form}")  # fmt: skip
        assert 0 == done.returncode, done.stderr
        texts[form] = (folder / "out" / f"run.{form}").read_bytes()
    planted = sum(KEY.encode() in text for text in texts.values())
    assert 0 == planted
    assert 0 == sum(b"sk-abcdefghijklmnopqrstuvwx" in text for text in texts.values())
    store = (folder / ".bmad" / "bmad.db").read_bytes()
    assert b"sk-abcdefghijklmnopqrstuvwx" in store  # the scan finds what is there
    for form in ("detailed", "json", "html"):
        text = texts[form].decode()
        assert "HYPERLINK" in text
        assert "400" in text or "BadRequest" in text
    notebook = nbformat.reads(texts["ipynb"].decode(), as_version=4)
    nbformat.validate(notebook)
    assert runs["both"] in notebook.cells[1].source
    page = texts["html"].decode()
    assert "<script" not in page
    assert "http-equiv" in page
    if has_arrow:
        assert 4 == len(pd.read_parquet(io.BytesIO(texts["parquet"])))
    twice = bmad(folder, "export", runs["both"], "--to", "out/run.summary")
    assert (2, True) == (twice.returncode, "is there already" in twice.stderr)


def test_csv_holds_no_formula(folder: Path, runs: dict[str, str]) -> None:
    """A cell that begins like a formula has an apostrophe before it, and is whole behind it."""
    done = bmad(folder, "export", runs["both"], "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))

    assert f"'{BAD}" in [row["answer"] for row in rows]
    assert [] == [v for row in rows for v in row.values() if v[:1] in set("=+@")]
    frame = pd.DataFrame({"t": pd.array(["-1", "\tx", "@a", "fine", None], dtype="string")})
    assert ["t", "'-1", "'\tx", "'@a", "fine", '""'] == as_csv(frame).splitlines()


def test_json_brings_equal_frames_elsewhere(
    folder: Path, runs: dict[str, str], tmp_path: Path
) -> None:
    """Exported and imported into an empty store, calls, tasks, runs and scores are the same."""
    data(bmad(folder, "rate", runs["both"], "fake/paid", "0.5", "--json"))
    elsewhere = tmp_path / "elsewhere.db"
    here = Workspace(store=folder / ".bmad" / "bmad.db")
    there = Workspace(store=elsewhere)
    for name in ("flow", "again"):
        file = f"{name}.json"
        assert 0 == bmad(folder, "export", runs[name], "--format", "json", "--to", file).returncode
        done = bmad(folder, "import", file, BMAD_STORE=str(elsewhere))
        assert 0 == done.returncode, done.stderr
        one, other = here.run_of(runs[name]), there.run_of(runs[name])
        frames = ("calls", "tasks") if name == "flow" else ("df", "scores")
        for frame in frames:
            pd.testing.assert_frame_equal(getattr(one, frame), getattr(other, frame))
        again = bmad(folder, "import", file, BMAD_STORE=str(elsewhere))
        assert (2, True) == (again.returncode, "already" in again.stderr)
    mine = here.runs().set_index("run_id").loc[[runs["flow"], runs["again"]]]
    theirs = there.runs().set_index("run_id").loc[[runs["flow"], runs["again"]]]
    pd.testing.assert_frame_equal(mine, theirs)
    here.close()
    there.close()


def test_an_import_that_is_none_is_refused(folder: Path, tmp_path: Path) -> None:
    """No JSON, another JSON, and an export with a missing call: code 2, and nothing is written."""
    for name, text in (("a", "{"), ("b", "[1]"), ("c", '{"format": "bmad-run", "version": 99}')):
        (tmp_path / name).write_text(text)
        done = bmad(folder, "import", str(tmp_path / name), BMAD_STORE=str(tmp_path / "x.db"))
        assert 2 == done.returncode, done.stderr
    whole = json.loads((folder / "flow.json").read_text())
    whole["calls"].pop()
    (tmp_path / "d").write_text(json.dumps(whole))
    done = bmad(folder, "import", str(tmp_path / "d"), BMAD_STORE=str(tmp_path / "x.db"))
    assert (2, True) == (done.returncode, "does not hold together" in done.stderr)
    odd = json.loads((folder / "flow.json").read_text())
    odd["run"]["run_id"] = 'x"\nimport os'
    (tmp_path / "e").write_text(json.dumps(odd))
    done = bmad(folder, "import", str(tmp_path / "e"), BMAD_STORE=str(tmp_path / "x.db"))
    assert (2, True) == (done.returncode, "an id that is none" in done.stderr)
    assert [] == Store(tmp_path / "x.db").runs()
    free = json.loads((folder / "flow.json").read_text())
    free["run"]["options"]["allow_python"] = True
    (tmp_path / "f").write_text(json.dumps(free))
    assert (
        0
        == bmad(folder, "import", str(tmp_path / "f"), BMAD_STORE=str(tmp_path / "x.db")).returncode
    )
    (row,) = Store(tmp_path / "x.db").runs()
    options = Store(tmp_path / "x.db").run(row.run_id).options
    assert options["allow_python"] is False  # what came from elsewhere runs no code here


# --- the store ------------------------------------------------------------------------------------


def test_the_store_is_shown_checked_copied_and_pruned(
    folder: Path, runs: dict[str, str], tmp_path: Path
) -> None:
    """Sizes are said, a copy is whole, prune removes runs and their texts, and check finds damage."""
    sizes = data(bmad(folder, "store", "--json"))
    assert len(ledger(folder)) == sizes["rows"]["calls"]
    copy = tmp_path / "copy.db"
    assert 0 == bmad(folder, "store", "backup", str(copy)).returncode
    assert 0o600 == copy.stat().st_mode & 0o777
    there = {"BMAD_STORE": str(copy)}
    assert data(bmad(folder, "store", "check", "--json", **there))["sound"]
    dry = data(bmad(folder, "store", "prune", "--keep", "1", "--dry-run", "--json", **there))
    assert len(dry["runs"]) == len(data(bmad(folder, "runs", "--json", **there))) - 1
    done = data(bmad(folder, "store", "prune", "--keep", "1", "--json", **there))
    assert dry["runs"] == done["runs"]
    assert done["bytes_after"] < done["bytes_before"]
    assert 1 == len(data(bmad(folder, "runs", "--json", **there)))
    assert data(bmad(folder, "store", "check", "--json", **there))["sound"]
    with contextlib.closing(sqlite3.connect(copy)) as store, store:
        store.execute("DELETE FROM texts")
    broken = bmad(folder, "store", "check", **there)
    assert (1, True) == (broken.returncode, "missing" in broken.stderr)
    assert 2 == bmad(folder, "store", "prune", "--older-than", "soon").returncode
    assert 2 == bmad(folder, "store", "prune").returncode


# --- detached runs and terminals ------------------------------------------------------------------


def test_a_detached_run_is_durable_before_its_id_is_said(folder: Path) -> None:
    """`--detach` gives an id that can be found at once, and the run ends without its parent."""
    words = ("workflow", "execute", "--definition", "letters.yaml", "-p", "topic=snow", "--detach")
    done = bmad(folder, *words, "--json")
    said = data(done)
    store = Store(folder / ".bmad" / "bmad.db")

    assert said["run_id"] == store.run(said["run_id"]).run_id
    ended = data_of_monitor(folder, said["run_id"])
    assert "completed" == store.run(said["run_id"]).status
    assert "run_ended" == ended[-1]["kind"]
    bad = bmad(folder, *words[:4], "--strategy", "wild", "--detach")
    assert (2, True) == (bad.returncode, "sequential" in bad.stderr)


def data_of_monitor(folder: Path, run_id: str) -> list[Any]:
    """Return what a monitor of one run prints until it is over."""
    done = bmad(folder, "workflow", "monitor", run_id, "--real-time", "--for", "30", "--json")
    assert 0 == done.returncode, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_progress_is_live_on_a_terminal_and_equals_the_store(folder: Path) -> None:
    """On a terminal a board is drawn and taken away; the last line is the store's. A pipe has none."""
    slow = FLOW.replace("fake/small", "fake/slow").replace("letters", "lively")
    (folder / "lively.yaml").write_text(slow)
    words = [sys.executable, "-m", "bmad_nb", "workflow", "execute", "--definition", "lively.yaml",
             "-p", "topic=lava", "--show-progress"]  # fmt: skip
    ours, theirs = pty.openpty()
    done = subprocess.run(
        words, cwd=folder, env=environment(folder, TERM="xterm-256color"),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=theirs, timeout=60,
    )  # fmt: skip
    os.close(theirs)
    shown = os.read(ours, 200_000).decode()
    os.close(ours)
    assert 0 == done.returncode, shown
    assert "tasks" in shown
    assert "\x1b[" in shown
    assert "fake/slow for third" in shown
    assert b"\x1b" not in done.stdout
    spent = ledger(folder, "run_id IN (SELECT run_id FROM runs WHERE workflow = 'lively')")["usd"]
    last = [line for line in shown.splitlines() if "tasks done" in line][-1]
    assert "3/3 tasks done" in last
    assert spent.sum() == pytest.approx(float(re.findall(r"\$([0-9.]+)", last)[0]))
    assert spent.sum() > 0
    piped = bmad(folder, *words[3:])
    assert "3/3 tasks done" in piped.stderr


def test_tables_are_rich_on_a_terminal_only(folder: Path, runs: dict[str, str]) -> None:
    """`status` draws a table with colour on a terminal, and aligned lines in a pipe."""
    env = environment(folder, TERM="xterm-256color", COLUMNS="200")
    done, shown = on_a_terminal(_HELPER[0], folder, env, "workflow", "status")
    assert 0 == done.returncode, done.stderr
    assert "\x1b[1m" in shown
    assert runs["flow"] in shown
    assert "\x1b" not in bmad(folder, "workflow", "status").stdout


def test_codes_in_an_answer_reach_no_terminal(folder: Path) -> None:
    """Printed on a terminal, no format lets an answer's escape codes through; a table neither."""
    evil = "\x1b[2J\x9b31mred\x07"
    run = data(bmad(folder, "ask", "-m", "fake/evil", "--json", f"Say [answer: {evil}]"))["run_id"]
    for words in (
        ("export", run, "--format", "csv"),
        ("export", run, "--format", "detailed"),
        ("workflow", "consensus", "--results", run),
    ):
        done, shown = on_a_terminal(_HELPER[0], folder, environment(folder, TERM="xterm"), *words)
        assert 0 == done.returncode, done.stderr
        assert "red" in shown
        for code in ("\x1b[2J", "\x9b", "\x07"):
            assert code not in shown
    raw = bmad(folder, "export", run, "--format", "json").stdout
    assert "\\u001b[2J" in raw  # it was there


def test_the_same_verbs_work_in_a_notebook(
    folder: Path, runs: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`%bmad workflow …` gives objects: tables with HTML and frames, text, or JSON to print."""
    monkeypatch.setenv(KEY_NAME, KEY)
    ws = Workspace(config=folder / "bmad.toml", store=folder / ".bmad" / "bmad.db")
    said: list[str] = []
    front = Front(ws, "line", say=said.append)
    for words in (
        "status",
        f"metrics {runs['flow']} -o m",
        f"analyze {runs['flow']} --performance",
        f"consensus --results {runs['again']},{runs['flow']} --method medoid",
    ):
        found = call(front, ["workflow", *words.split()])
        bundle = found._repr_mimebundle_()
        assert "<table" in bundle["text/html"]
        assert "<script" not in bundle["text/html"]
        assert all(isinstance(frame, pd.DataFrame) for frame in found.dfs.values())
    assert "Execution time" in front.bind["m"].dfs
    assert "letters" in repr(call(front, ["workflow", "export", runs["flow"]]))
    call(front, ["workflow", "monitor", runs["flow"]])
    assert any("begins: letters" in line for line in said)
    ws.close()


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("run", {"status": "mended"}),
        ("run", {"started_utc": "yesterday"}),
        ("run", {"budget_usd": "Infinity"}),
        ("calls", {"state": "mended"}),
        ("calls", {"input_tokens": "many"}),
        ("calls", {"cost_usd": "NaN"}),
        ("calls", {"cost_usd": "-100"}),
        ("calls", {"started_utc": "yesterday"}),
        ("events", {"payload": 5}),
        ("events", {"seq": -1}),
        ("events", {"time_utc": "yesterday"}),
    ],
)
def test_an_export_that_was_changed_is_refused(
    folder: Path, runs: dict[str, str], tmp_path: Path, part: str, change: dict[str, object]
) -> None:
    """A value of another type, or beyond its range, is one typed error and leaves the store empty."""
    file = folder / "sound.json"
    if not file.exists():
        done = bmad(folder, "export", runs["flow"], "--format", "json", "--to", file.name)
        assert 0 == done.returncode, done.stderr
    whole = json.loads(file.read_text())
    (whole[part] if part == "run" else whole[part][0]).update(change)
    (tmp_path / "odd.json").write_text(json.dumps(whole))
    store = Store(tmp_path / "x.db")

    with pytest.raises(UsageProblem, match="does not hold together"):
        bring_in(store, read_bundle(tmp_path / "odd.json"))
    assert [] == store.runs()
    store.close()
