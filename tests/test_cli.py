"""`python -m bmad_nb` as a process: streams, exit codes, files, keys."""

from __future__ import annotations

import base64
import csv
import json
import os
import pty
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bmad_nb import __version__
from tests.fake_provider import FakeProvider
from tests.kernel import clean_environment

KEY = "sk-planted/0123456789+abcdefghijklmnop"
KEY_NAME = "FAKE_PLANTED_TOKEN"
CONFIG = {
    "key": KEY,
    "models": {
        "small": {},
        "paid": {},
        "slow": {"latency_s": 0.25},
        "broken": {"fault_rates": {"400": 1.0}},
    },
}
VERBS = (
    "ask", "compare", "run", "resume", "workflow", "runs", "show", "models", "doctor", "demo", "lab",
)  # fmt: skip


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeProvider]:
    """Give a provider that wants a key."""
    with FakeProvider(CONFIG) as provider:
        yield provider


@pytest.fixture
def folder(project: Path, provider: FakeProvider) -> Path:
    """Give a project with endpoints in its bmad.toml, and a server that has counted nothing."""
    provider.reset()
    (project / "bmad.toml").write_text(
        "[engine]\nmax_concurrent_tasks = 4\n\n"
        f'[endpoints.fake]\nbase_url = "{provider.url}"\napi_key = "env:{KEY_NAME}"\n'
        'models = ["small", "paid", "slow", "broken", "absent"]\n\n'
        '[prices."fake/paid"]\ninput_usd_per_mtok = 1000\noutput_usd_per_mtok = 1000\n'
    )
    return project


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Return the environment of the command line, with the key in it."""
    return clean_environment(folder / "home", **{KEY_NAME: KEY, **more})


def bmad(
    folder: Path, *words: str, stdin: str | bytes = b"", **env: str
) -> subprocess.CompletedProcess[str]:
    """Run a command line to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "bmad_nb", *words],
        cwd=folder,
        env=environment(folder, **env),
        input=stdin.encode() if isinstance(stdin, str) else stdin,
        capture_output=True,
        timeout=120,
    )
    out, err = done.stdout.decode(), done.stderr.decode()
    for stream in (out, err):
        assert "Traceback" not in stream, stream
        assert "\x1b" not in stream, "No terminal codes go into a pipe."
    return subprocess.CompletedProcess(done.args, done.returncode, out, err)


def data(done: subprocess.CompletedProcess[str]) -> Any:
    """Return the JSON that a command printed, and nothing but that."""
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# --- what goes where ------------------------------------------------------------------------------


def test_ask_prints_the_answer(folder: Path) -> None:
    """`ask` prints the answer on standard output and nothing on standard error."""
    done = bmad(folder, "ask", "-m", "sim/careful", "What is 20 + 22?")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.lstrip().startswith("42")
    assert "simulated" in done.stdout


def test_a_prompt_comes_from_standard_input(folder: Path) -> None:
    """Without words, or with `-`, the prompt is read from standard input, whatever bytes it has."""
    for words in ((), ("-",)):
        run = data(
            bmad(folder, "ask", "-m", "sim/careful", "--json", *words, stdin="What is 2 + 3?")
        )
        assert run["rows"][0]["text"] == "5"
    odd = bmad(
        folder, "ask", "-m", "sim/careful", stdin=b"abc \xff\xfe", PYTHONIOENCODING="utf-8:strict"
    )
    assert odd.returncode == 0, odd.stderr
    assert bmad(folder, "ask", "-m", "sim/careful").returncode == 2


def test_json_is_all_that_json_prints(folder: Path) -> None:
    """`--json` prints one JSON value for every verb that has it."""
    run = data(
        bmad(folder, "compare", "-m", "sim/careful,hasty", "-n", "2", "--json", "What is 1 + 1?")
    )
    assert (run["verb"], run["status"], len(run["rows"])) == ("compare", "completed", 4)
    assert data(bmad(folder, "show", run["run_id"], "--json"))["rows"] == run["rows"]
    runs = data(bmad(folder, "runs", "--json"))
    assert [(r["run_id"], r["calls"]) for r in runs] == [(run["run_id"], 4)]
    assert runs[0]["cost_usd"] == 0
    assert runs[0]["simulated_cost_usd"] > 0
    for words in (
        ("models", "--json"),
        ("models", "list", "--json"),
        ("models", "list", "fake", "--json"),
    ):
        assert {"fake/small", "fake/slow"} <= {m["llm"] for m in data(bmad(folder, *words))}
    checks = data(bmad(folder, "doctor", "--json"))
    assert {"platform", "store", "endpoint fake"} <= {check["check"] for check in checks}


def test_tables_are_plain_text(folder: Path) -> None:
    """`runs`, `show`, `models` and `doctor` print what they have without cutting it."""
    assert bmad(folder, "runs").stdout.strip() == "Nothing to show."
    run = data(bmad(folder, "compare", "-m", "sim/careful,hasty", "--json", "What is 1 + 1?"))
    assert run["run_id"] in bmad(folder, "runs").stdout
    shown = bmad(folder, "show", run["run_id"][:5]).stdout
    assert "sim/careful" in shown
    assert run["run_id"] in shown
    listed = bmad(folder, "models").stdout
    assert all(each in listed for each in ("sim/careful", "local/", "fake/small"))
    assert "..." not in listed
    assert KEY_NAME in bmad(folder, "doctor").stdout


def test_help_is_complete(folder: Path) -> None:
    """`bmad`, `--help` and `VERB --help` explain themselves on standard output and end with 0."""
    for words in ((), ("--help",), ("-h",)):
        done = bmad(folder, *words)
        assert (done.returncode, done.stderr) == (0, "")
        for verb in VERBS:
            assert f"\n  {verb} " in done.stdout
    for verb in VERBS:
        done = bmad(folder, verb, "--help")
        assert done.returncode == 0
        assert done.stdout.startswith(f"Usage: bmad {verb}")


# --- exit codes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("compre", "x"), 2, "Did you mean 'compare'"),
        (("ask", "--modle", "x", "y"), 2, "Did you mean '--model'"),
        (("ask", "-m", "sim/carefull", "x"), 2, "Did you mean 'sim/careful'"),
        (("compare", "x"), 2, "compare needs LLMs"),
        (("ask", "-m", "sim/hasty", "--temperature", "hot", "x"), 2, "--temperature"),
        (("ask", "-m", "sim/hasty", "--budget", "much", "x"), 2, "much"),
        (("ask", "-m", "sim/hasty", "-p", "novalue", "x"), 2, "-p name=value"),
        (("ask", "-m", "sim/hasty", "-p", "a=1", "{{ b }}"), 2, "{{ b }}"),
        (("compare", "-m", "sim/hasty", "--over", "absent.csv", "x"), 2, "absent.csv"),
        (("lab", "nowhere.ipynb"), 2, "UsageProblem: There is no notebook nowhere.ipynb."),
        (("lab",), 2, "bmad demo"),
        (("show", "00000000"), 1, "UnknownRun"),
        (("ask", "-m", "fake/broken", "x"), 1, "fake/broken"),
        (("compare", "-m", "fake/broken,fake/absent", "x"), 1, "RunFailed"),
        (("ask", "-m", "openai/gpt-4o-mini", "x"), 1, "OPENAI_API_KEY"),
        (("ask", "-m", "fake/paid", "--budget", "0.0001", "x"), 4, "budget"),
    ],
)
def test_a_failure_has_its_code_and_goes_to_standard_error(
    folder: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    """Exit code 1 is failed, 2 wrong use, 4 a limit; standard output stays empty."""
    done = bmad(folder, *words)
    assert (done.returncode, done.stdout) == (code, "")
    assert said.lower() in done.stderr.lower()


def test_one_answer_of_several_is_success(folder: Path) -> None:
    """A comparison in which one LLM failed still ends with 0, and says which."""
    run = data(bmad(folder, "compare", "-m", "fake/small,fake/broken", "--json", "x"))
    assert {row["llm"]: row["state"] for row in run["rows"]} == {
        "fake/small": "answered", "fake/broken": "failed",
    }  # fmt: skip


def test_a_budget_stops_before_the_call(folder: Path, provider: FakeProvider) -> None:
    """A budget that no call fits sends nothing; with a higher one the same words go on."""
    words = ("compare", "-m", "fake/paid", "--max-tokens", "10", "What is it?")
    assert bmad(folder, *words, "--budget", "0.0001").returncode == 4
    assert provider.counts()["received"] == 0
    assert data(bmad(folder, "runs", "--json"))[0]["status"] == "paused"
    assert bmad(folder, *words, "--budget", "5").returncode == 0
    assert provider.counts()["received"] == 1
    runs = data(bmad(folder, "runs", "--json"))
    assert [(r["status"], r["calls"]) for r in runs] == [("completed", 1)]
    assert 0 < runs[0]["cost_usd"] <= 5


# --- cases ----------------------------------------------------------------------------------------


def test_cases_come_from_csv_and_jsonl(folder: Path, provider: FakeProvider) -> None:
    """A CSV and a JSONL file give the same requests; a reference column scores the answers."""
    cases = [
        {"task": "Say [answer: Oslo]", "right": "Oslo"},
        {"task": 'Say "no", [answer: x]', "right": "y"},
    ]
    with (folder / "cases.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["task", "right"])
        writer.writeheader()
        writer.writerows(cases)
    (folder / "cases.jsonl").write_text("\n".join(map(json.dumps, cases)) + "\n")
    words = ("compare", "-m", "fake/small", "--reference", "right", "--json", "{{ task }}!")
    run = data(bmad(folder, *words, "--over", "cases.csv"))
    assert [row["score"] for row in run["rows"]] == [1.0, 0.0]
    assert [row["from_store"] for row in run["rows"]] == [False, False]
    again = data(bmad(folder, *words, "--over", "cases.jsonl"))
    assert [row["from_store"] for row in again["rows"]] == [True, True]
    assert provider.counts()["received"] == 2
    sent = [json.loads(r["body"])["messages"][-1]["content"] for r in provider.requests()]
    assert sorted(sent) == sorted(f"{case['task']}!" for case in cases)
    (folder / "bad.jsonl").write_text('{"task": "a"}\n[1, 2]\n')
    assert bmad(folder, *words, "--over", "bad.jsonl").returncode == 2
    (folder / "worse.jsonl").write_text('{"task": \n')
    assert bmad(folder, *words, "--over", "worse.jsonl").returncode == 2


# --- terminals ------------------------------------------------------------------------------------


def test_terminal_codes_of_an_answer_are_made_harmless(folder: Path) -> None:
    """Escapes in an answer, a prompt or a title reach no terminal; JSON keeps them escaped."""
    evil = "\x1b[2J\x1b[31mred\x9b31m\x07\u202ehidden\rover"
    prompt = f"Say [answer: {evil}]"
    for words in (
        ("ask", "-m", "fake/small", prompt),
        ("compare", "-m", "fake/small", "-n", "2", prompt),
        ("runs",),
    ):
        done = bmad(folder, *words)
        assert done.returncode == 0, done.stderr
        assert "red" in done.stdout or words == ("runs",)
        for code in ("\x1b", "\x9b", "\x07", "\u202e"):
            assert code not in done.stdout
        assert "\rover" not in done.stdout
    run = data(bmad(folder, "ask", "-m", "fake/small", "--json", prompt))
    assert run["rows"][0]["text"] == evil


def test_progress_shows_on_a_terminal_only(folder: Path) -> None:
    """Where standard error is a terminal, a line of progress is rewritten there; never elsewhere."""
    words = [sys.executable, "-m", "bmad_nb", "compare", "-m", "fake/slow", "-n", "16", "Hello"]
    ours, theirs = pty.openpty()
    done = subprocess.run(
        words, cwd=folder, env=environment(folder), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=theirs, timeout=60,
    )  # fmt: skip
    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    assert done.returncode == 0, shown
    assert "\x1b[K" in shown
    assert "/16 answers" in shown
    assert b"\x1b" not in done.stdout
    assert b"/16 answers" not in done.stdout


# --- interrupts -----------------------------------------------------------------------------------


def test_an_interrupt_ends_with_130_and_is_stored(folder: Path, provider: FakeProvider) -> None:
    """Ctrl-C ends with 130, keeps what was answered, and the same words go on with the rest."""
    (folder / "cases.csv").write_text("n\n" + "\n".join(map(str, range(40))) + "\n")
    words = ("compare", "-m", "fake/slow", "--over", "cases.csv", "Case {{ n }}")
    child = subprocess.Popen(
        [sys.executable, "-m", "bmad_nb", *words], cwd=folder, env=environment(folder),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    until_s = time.monotonic() + 30
    while (counts := provider.counts())["sent"] < 8 or counts["in_flight"] < 4:
        assert time.monotonic() < until_s
        assert child.poll() is None
        time.sleep(0.02)
    pressed_s = time.monotonic()
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=30)
    assert time.monotonic() - pressed_s < 4
    assert (child.returncode, out) == (130, ""), err
    assert "RunPaused" in err
    assert "Traceback" not in err
    provider.wait_until(in_flight=0)
    runs = data(bmad(folder, "runs", "--json"))
    assert (runs[0]["status"], runs[0]["reason"]) == ("paused", "user")
    assert 1 <= runs[0]["maybe_billed"] <= 4
    kept = runs[0]["calls"] - runs[0]["maybe_billed"]
    assert f"{kept} of 40" in err
    provider.reset()
    assert bmad(folder, *words).returncode == 0
    assert provider.counts()["received"] == 40 - kept


# --- keys -----------------------------------------------------------------------------------------


def holding(folder: Path, secret: str) -> list[str]:
    """Return the files below a folder that hold a secret, in any of its usual spellings."""
    raw = secret.encode()
    spellings = {
        raw, urllib.parse.quote(secret, safe="").encode(), json.dumps(secret)[1:-1].encode(),
        base64.b64encode(raw).rstrip(b"="), base64.urlsafe_b64encode(raw).rstrip(b"="), raw.hex().encode(),
    }  # fmt: skip
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path.name for path in files if any(s in path.read_bytes() for s in spellings)]


def test_a_key_is_nowhere_but_in_the_header(folder: Path, provider: FakeProvider) -> None:
    """The key is in no output and in no byte of the store, though prompt and errors repeat it."""
    outputs = ""
    wrong = "sk-planted-wrong-9876543210-zyxwvu"
    for words, env in (
        (("compare", "-m", "fake/small,fake/broken", "Hello"), {}),
        (("ask", "-m", "fake/small", "--json", f"Is {KEY} my key? [answer: {KEY}]"), {}),
        (("ask", "-m", "fake/small", "A wrong key"), {KEY_NAME: wrong}),
        (("doctor",), {}),
        (("models", "--json"), {}),
        (("runs", "--json"), {}),
    ):
        done = bmad(folder, *words, **env)
        outputs += done.stdout + done.stderr
    assert KEY not in outputs
    assert wrong not in outputs
    assert provider.requests()[0]["headers"]["authorization"] == f"Bearer {KEY}"
    assert (folder / ".bmad" / "bmad.db").stat().st_size > 0
    assert holding(folder, KEY) == []
    assert holding(folder, wrong) == []
    (folder / "planted.txt").write_bytes(base64.b64encode(KEY.encode()))
    database = sqlite3.connect(folder / "planted.db")
    database.execute("CREATE TABLE t AS SELECT ? AS body", (KEY.encode(),))
    database.commit()
    database.close()
    assert sorted(holding(folder, KEY)) == ["planted.db", "planted.txt"]


def test_the_version_is_said(folder: Path) -> None:
    """`bmad --version` names the package and its version, and ends well."""
    done = bmad(folder, "--version")

    assert (0, f"bmad_nb {__version__}\n") == (done.returncode, done.stdout)


def test_what_comes_next_is_a_command_of_a_shell(folder: Path) -> None:
    """Results and hints name `bmad VERB`, never `%bmad VERB` or a variable of a notebook."""
    done = bmad(folder, "compare", "-m", "sim/careful,sim/hasty", "What is 4 + 4?")
    run_id = data(bmad(folder, "runs", "--limit", "1", "--json"))[0]["run_id"]
    assert f"Next: bmad show {run_id}" == done.stdout.splitlines()[-1]
    (folder / "ask.yaml").write_text("workflow: signed\ntasks:\n  sign: {approve: {ask: Go on?}}\n")
    waits = bmad(folder, "run", "ask.yaml")
    assert (3, False) == (waits.returncode, "%bmad" in waits.stderr + waits.stdout)
    assert "bmad approve" in waits.stderr
