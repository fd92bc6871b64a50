"""`bmad run`, `bmad resume` and `bmad workflow` in a shell: what they say, send, store and return."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import shlex
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmad_nb.cli.main import exit_code
from bmad_nb.errors import RunCancelled, RunPaused
from bmad_nb.verbs.words import split
from tests.fake_provider import FakeProvider
from tests.kernel import ROOT
from tests.test_cli import CONFIG, KEY_NAME, bmad, data, environment

THREE = """\
workflow: three
inputs:
  topic: text
tasks:
  first:
    prompt: "One of {{ topic }} [answer: one]"
    llm: fake/small
  second:
    prompt: "Two of {{ first }}"
    llm: fake/small
  third:
    prompt: "Three of {{ second }}"
    llm: fake/small
"""
STOPS = """\
workflow: stops
tasks:
  a:
    prompt: "First [answer: alpha]"
    llm: fake/small
  z:
    prompt: "Second"
    llm: fake/small
  b:
    prompt: "After {{ a }}"
    llm: fake/broken
  c:
    prompt: "Last {{ b }}"
    llm: fake/small
"""
PAID = """\
workflow: paid
tasks:
  a:
    prompt: "What is it?"
    llm: fake/paid
    params: {max_tokens: 10}
"""
SLOW = """\
workflow: slow
strategy: sequential
tasks:
""" + "".join(f'  t{n}:\n    prompt: "Slow {n}"\n    llm: fake/slow\n' for n in range(20))
TYPES = """\
workflow: types
inputs:
  t: {type: text, default: none}
  n: {type: integer, default: 0}
  x: {type: number, default: 0}
  b: {type: boolean, default: false}
  l: {type: list, default: []}
  o: {type: object, default: {}}
tasks:
  made: {set: {all: "[t, n, x, b, l, o]"}}
outputs: {all: made.all}
"""
SHUT = """\
import sys
def _hook(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        sys.stderr.write("The network is shut.\\n")
        raise OSError("the network is shut")
sys.addaudithook(_hook)
"""


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeProvider]:
    """Give a provider that wants a key."""
    with FakeProvider(CONFIG) as provider:
        yield provider


@pytest.fixture
def folder(project: Path, provider: FakeProvider) -> Path:
    """Give a project with workflows and endpoints, and a server that has counted nothing."""
    provider.wait_until(in_flight=0)
    provider.reset()
    (project / "bmad.toml").write_text(
        f'[endpoints.fake]\nbase_url = "{provider.url}"\napi_key = "env:{KEY_NAME}"\n'
        'models = ["small", "paid", "slow", "broken"]\n\n'
        '[prices."fake/paid"]\ninput_usd_per_mtok = 1000\noutput_usd_per_mtok = 1000\n'
    )
    texts = {"three": THREE, "stops": STOPS, "paid": PAID, "slow": SLOW, "types": TYPES}
    for name, text in texts.items():
        (project / f"{name}.yaml").write_text(text)
    return project


def run_id(done: subprocess.CompletedProcess[str]) -> str:
    """Return the id that a command said."""
    found = re.search(r"^run ([0-9a-f]{8})$", done.stderr, re.MULTILINE)
    assert found, done.stderr
    return found.group(1)


def runs(folder: Path) -> list[Any]:
    """Return the rows of `bmad runs`."""
    return list(data(bmad(folder, "runs", "--json")))


def answers(folder: Path) -> int:
    """Return how many answered calls the project's store holds."""
    with contextlib.closing(sqlite3.connect(folder / ".bmad" / "bmad.db")) as store:
        return int(
            store.execute("SELECT count(*) FROM calls WHERE state = 'answered'").fetchone()[0]
        )


# --- running --------------------------------------------------------------------------------------


def test_run_says_its_id_first_and_shows_the_run(folder: Path, provider: FakeProvider) -> None:
    """`run FILE` says `run ID` alone on standard error, makes a call per task, shows the run."""
    done = bmad(folder, "run", "three.yaml", "-p", "topic=ice")
    assert (0, f"run {run_id(done)}\n") == (done.returncode, done.stderr)
    assert run_id(done) in done.stdout
    assert 3 == provider.counts()["received"]
    assert [(run_id(done), "workflow", "three", "completed")] == [
        (r["run_id"], r["verb"], r["workflow"], r["status"]) for r in runs(folder)
    ]
    assert "Completed: 3 tasks done" in bmad(folder, "show", run_id(done)[:5]).stdout


def test_json_is_the_run_and_nothing_else(folder: Path) -> None:
    """`--json` prints `Run.to_json()`, as `show --json` does later, for run and execute alike."""
    words = ("--json", "-p", "topic=ice", "--show-progress")
    first = data(bmad(folder, "run", "three.yaml", *words))
    assert ("three", "completed", 3) == (first["workflow"], first["status"], first["calls_made"])
    assert first == data(bmad(folder, "show", first["run_id"], "--json"))
    again = data(bmad(folder, "workflow", "execute", "--definition", "three.yaml", *words))
    assert (first["outputs"], 0) == (again["outputs"], again["calls_made"])


def test_an_equal_stopped_run_goes_on_unless_new(folder: Path, provider: FakeProvider) -> None:
    """The same words go on with the run that was stopped; `--new` begins another."""
    stopped = bmad(folder, "run", "paid.yaml", "--budget", "0.0001")
    assert 4 == stopped.returncode
    other = bmad(folder, "run", "paid.yaml", "--budget", "0.0001", "--new")
    assert (4, True) == (other.returncode, run_id(stopped) != run_id(other))
    gone_on = bmad(folder, "run", "paid.yaml", "--budget", "5")
    assert (0, run_id(other)) == (gone_on.returncode, run_id(gone_on))
    assert 1 == provider.counts()["received"]


@pytest.mark.parametrize("llms", ["fake/broken=fake/small", "*=sim/hasty", "fake/*=sim/hasty"])
def test_llms_take_the_place_of_others(folder: Path, llms: str) -> None:
    """`--llms OLD=NEW` and `-m` ask another LLM; OLD may be a glob."""
    for option in ("--llms", "-m"):
        run = data(bmad(folder, "run", "stops.yaml", option, llms, "--json"))
        new = llms.partition("=")[2]
        assert new == {task["task"]: task["llm"] for task in run["tasks"]}["b"]


def test_python_tasks_need_the_right_to_run(folder: Path) -> None:
    """A file's python task is imported and called with `--allow-python` only."""
    (folder / "own_code.py").write_text("def twice(x):\n    return 2 * x\n")
    (folder / "code.yaml").write_text(
        "workflow: code\ntasks:\n  a: {python: 'own_code:twice', with: {x: 21}}\n"
    )
    refused = bmad(folder, "run", "code.yaml")
    assert (2, True) == (refused.returncode, "--allow-python" in refused.stderr)
    allowed = data(bmad(folder, "run", "code.yaml", "--allow-python", "--json"))
    assert {"a": 42} == allowed["outputs"]


# --- inputs ---------------------------------------------------------------------------------------


def test_inputs_are_typed_as_declared(folder: Path) -> None:
    """`-p` texts become what the inputs declare; `--params` has typed values; `-p` goes first."""
    (folder / "in.yaml").write_text("n: 1\nl: [a, 'b, c']\nt: from the file\n")
    (folder / "in.json").write_text('{"n": 1, "l": ["a", "b, c"], "t": "from the file"}')
    texts = ("t=12", "n=7", "x=0.5", "b=true", 'l=["a", 1]', 'o={"k": [1]}')
    words = [word for text in texts for word in ("-p", text)]
    for file in ("in.yaml", "in.json"):
        alone = data(bmad(folder, "run", "types.yaml", "--params", file, "--json"))
        assert ["from the file", 1, 0, False, ["a", "b, c"], {}] == alone["outputs"]["all"]
        both = data(bmad(folder, "run", "types.yaml", "--params", file, *words, "--json"))
        assert ["12", 7, 0.5, True, ["a", 1], {"k": [1]}] == both["outputs"]["all"]
    plain = data(bmad(folder, "run", "types.yaml", "-p", "l=a, b", "--json"))
    assert ["a", "b"] == plain["outputs"]["all"][4]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("n=x", "is not a whole number"),
        ("n=1.5", "a whole number"),
        ("n=true", "a whole number"),
        ("n=" + "9" * 5000, "is not a whole number"),
        ("x=NaN", "cannot be stored"),
        ("x=1e999", "cannot be stored"),
        ("b=maybe", "is not true or false"),
        ("o=[1]", "a mapping"),
        ("o=" + "[" * 10_000, "is not a mapping"),
        ("tt=1", "Did you mean 't'"),
        ("__class__=1", "There is no input '__class__'"),
        ("a b=1", "-p name=value"),
        ("=1", "-p name=value"),
        ("n", "-p name=value"),
        ("t=\x1b[2J{{ n }}\u202e", ""),
    ],
)
def test_a_hostile_input_is_refused_or_kept_as_text(folder: Path, text: str, said: str) -> None:
    """A text that is not of the type is a usage error that names it; a text input takes any text."""
    done = bmad(folder, "run", "types.yaml", "-p", text, "--json")
    if said:
        assert (2, "") == (done.returncode, done.stdout)
        assert said in done.stderr
        assert not (folder / ".bmad" / "bmad.db").exists()
    else:
        assert text.partition("=")[2] == data(done)["outputs"]["all"][0]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("n: seven\n", "Input 'n' must be a whole number"),
        ("nn: 7\n", "Did you mean 'n'"),
        ("- 1\n", "must be a mapping"),
        ("n: !!python/object:os.system x\n", "A tag"),
        ("n: [\n", "is not closed"),
        (None, "cannot be read"),
    ],
)
def test_a_wrong_file_of_inputs_is_refused(folder: Path, content: str | None, said: str) -> None:
    """`--params` with a wrong value, an unknown name or no mapping ends with 2 and says why."""
    if content is not None:
        (folder / "in.yaml").write_text(content)
    done = bmad(folder, "run", "types.yaml", "--params", "in.yaml")
    assert (2, "") == (done.returncode, done.stdout)
    assert said in done.stderr


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner | st.text()) | st.dictionaries(st.text(), inner | st.text()),
    max_leaves=8,
)


@given(value=JSON, text=st.text())
@settings(max_examples=200, deadline=None)
def test_a_hole_of_a_line_loses_nothing(value: Any, text: str) -> None:
    """A hole that is a whole input gives its value back from JSON, and a text as it is."""
    line = "run flow -p v={{ v }} --param=t={{ t }} -pw={{v}} -p 'both=<{{ t }}>'"
    words = split(line, {"v": value, "t": text})
    assert ["run", "flow", "-p"] == words[:3]
    assert value == json.loads(words[3].removeprefix("v="))
    assert f"--param=t={text}" == words[4]
    assert value == json.loads(words[5].removeprefix("-pw="))
    assert ["-p", f"both=<{text}>"] == words[6:]


# --- dry runs -------------------------------------------------------------------------------------


def test_a_dry_run_needs_and_leaves_nothing(folder: Path, provider: FakeProvider) -> None:
    """`--dry-run` works without inputs, keys and network; it lists them, and makes no store."""
    (folder / "shut").mkdir()
    (folder / "shut" / "sitecustomize.py").write_text(SHUT)
    env = {"PYTHONPATH": f"{folder / 'shut'}{os.pathsep}{ROOT}", KEY_NAME: ""}
    done = bmad(folder, "run", "three.yaml", "--dry-run", **env)
    assert (0, "") == (done.returncode, done.stderr)
    assert "Input 'topic' has no value" in done.stdout
    assert KEY_NAME in done.stdout
    plan = data(bmad(folder, "run", "three.yaml", "--dry-run", "--json", **env))
    assert ["first", "second", "third"] == [step["id"] for step in plan["steps"]]
    assert 4 == len(plan["missing"])
    assert not (folder / ".bmad").exists()
    assert 0 == provider.counts()["connections"]
    planted = bmad(folder, "ask", "-m", "fake/small", "x", PYTHONPATH=env["PYTHONPATH"])
    assert "The network is shut." in planted.stderr


def test_a_strict_dry_run_fails_where_something_is_missing(folder: Path) -> None:
    """`--dry-run --strict` ends with 2 and names all that is missing; with it given, with 0."""
    done = bmad(folder, "run", "three.yaml", "--dry-run", "--strict", **{KEY_NAME: ""})
    assert (2, "") == (done.returncode, done.stdout)
    assert "NotRunnable" in done.stderr
    assert "'topic'" in done.stderr
    assert KEY_NAME in done.stderr
    sound = bmad(folder, "run", "three.yaml", "--dry-run", "--strict", "-p", "topic=ice")
    assert (0, "") == (sound.returncode, sound.stderr)


# --- exit codes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("run", "stops.yaml"), 1, "RunFailed"),
        (("resume", "00000000"), 1, "UnknownRun"),
        (("workflow", "execute", "--definition", "three.yaml", "--resume"), 1, "no stopped run"),
        (("run", "three"), 2, "There is no workflow"),
        (("run", "absent.yaml"), 2, "absent.yaml cannot be read"),
        (("run", "three.yaml"), 2, "needs a value for topic"),
        (("run",), 2, "NAME|FILE"),
        (("run", "stops.yaml", "--strategy", "sequental"), 2, "Did you mean 'sequential'"),
        (("run", "types.yaml", "--strategy", "adaptiv"), 2, "Did you mean 'adaptive'"),
        (("run", "stops.yaml", "--budget", "much", "--dry-run"), 2, "much"),
        (("run", "stops.yaml", "--budget", "+1"), 2, "a total"),
        (("run", "stops.yaml", "-m", "sim/hasty"), 2, "-m OLD=NEW"),
        (("run", "stops.yaml", "-m", "fake/smal=sim/hasty"), 2, "Did you mean 'fake/small'"),
        (("run", "stops.yaml", "-o", "a b"), 2, "cannot be the name of a variable"),
        (("run", "stops.yaml", "-o", "class"), 2, "cannot be the name of a variable"),
        (("workflow", "execute"), 2, "--definition"),
        (("workflow", "excute"), 2, "Did you mean 'execute'"),
        (
            ("workflow", "execute", "--definition", "three.yaml", "--resume", "-p", "topic=x"),
            2,
            "-p cannot stand beside --resume",
        ),
        (("run", "paid.yaml", "--budget", "0.0001"), 4, "RunPaused"),
    ],
)
def test_a_failure_has_its_code(
    folder: Path, words: tuple[str, ...], code: int, said: str
) -> None:  # fmt: skip
    """1 is failed, 2 wrong use or definition, 4 a limit; standard output stays empty."""
    done = bmad(folder, *words)
    assert (code, "") == (done.returncode, done.stdout), done.stderr
    assert said in done.stderr


def test_a_pause_for_another_reason_is_3() -> None:
    """A run that paused for neither its user nor a limit ends with 3, a cancelled one with 130."""
    assert 3 == exit_code(RunPaused("It waits for somebody."))
    assert 130 == exit_code(RunCancelled("It was cancelled."))


def test_a_failed_run_shows_what_is_done(folder: Path) -> None:
    """A failed run is shown on standard error, with its finished tasks and what became of others."""
    done = bmad(folder, "run", "stops.yaml")
    assert "alpha" in done.stderr
    assert "✕ failed" in done.stderr
    assert "skipped" in done.stderr


def test_an_interrupt_is_130_and_the_run_goes_on(folder: Path, provider: FakeProvider) -> None:
    """Ctrl-C ends with 130 and keeps what is done; `bmad resume` does the rest under the same id."""
    child = subprocess.Popen(
        [sys.executable, "-m", "bmad_nb", "run", "slow.yaml"], cwd=folder, env=environment(folder),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    until_s = time.monotonic() + 60
    while provider.counts()["sent"] < 2:
        assert time.monotonic() < until_s
        assert child.poll() is None
        time.sleep(0.02)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert (130, "") == (child.returncode, out), err
    (row,) = runs(folder)
    assert ("paused", "user") == (row["status"], row["reason"])
    stored = answers(folder)  # one may be stored whose task has not yet ended
    assert stored - 1 <= int(re.search(r"(\d+) of 20 tasks are done", err)[1]) <= stored
    provider.wait_until(in_flight=0)
    provider.reset()
    done = bmad(folder, "resume", row["run_id"], "-o", "r")
    assert (0, row["run_id"]) == (done.returncode, run_id(done))
    assert 20 - stored == provider.counts()["received"]


# --- going on -------------------------------------------------------------------------------------


def test_an_edited_definition_goes_on(folder: Path, provider: FakeProvider) -> None:
    """The difference is said first, a line per task; a dry run says it alone, and asks nobody."""
    failed = bmad(folder, "run", "stops.yaml")
    assert 1 == failed.returncode
    edited = STOPS.replace("fake/broken", "fake/small").replace("  z:\n", "  y:\n")
    (folder / "stops.yaml").write_text(edited)
    provider.reset()
    words = ("workflow", "execute", "--definition", "stops.yaml", "--resume")
    difference = [
        "kept  a  unchanged",
        "runs  y  new",
        "runs  b  changed",
        "runs  c  reads b",
        "gone  z  no longer in the workflow",
    ]
    for which in ((run_id(failed),), ()):
        dry = bmad(folder, *words, *which, "--dry-run")
        assert (0, difference) == (dry.returncode, dry.stderr.splitlines())
        assert "workflow stops" in dry.stdout
    assert 0 == provider.counts()["received"]
    assert 1 == len(runs(folder))
    done = bmad(folder, *words, "--json")
    assert [*difference, f"run {data(done)['run_id']}"] == done.stderr.splitlines()
    # y sends what z sent: its answer is in the store already
    assert 2 == provider.counts()["received"]
    assert "alpha" in bmad(folder, "show", data(done)["run_id"]).stdout


def test_a_run_goes_on_with_another_limit(folder: Path, provider: FakeProvider) -> None:
    """`resume RUN` and `workflow resume RUN` are one verb; `--budget +N` adds to the old limit."""
    stopped = run_id(bmad(folder, "run", "paid.yaml", "--budget", "0.0001"))
    again = bmad(folder, "workflow", "resume", stopped, "--budget", "+0.0001")
    assert (4, stopped) == (again.returncode, run_id(again))
    assert 0 == provider.counts()["received"]
    done = data(bmad(folder, "resume", stopped[:6], "--budget", "+5", "--json"))
    assert (stopped, "completed") == (done["run_id"], done["status"])
    assert [5.0002] == [row["budget_usd"] for row in runs(folder)]
    over = bmad(folder, "resume", stopped)
    assert (2, True) == (over.returncode, "is completed" in over.stderr)


def test_resume_without_an_id_takes_the_newest_stopped_run_of_the_workflow(folder: Path) -> None:
    """Of several stopped runs it is the newest one of this workflow; completed ones do not count."""
    old = run_id(bmad(folder, "run", "paid.yaml", "--budget", "0.0001"))
    new = run_id(bmad(folder, "run", "paid.yaml", "--budget", "0.0001", "--new"))
    assert 1 == bmad(folder, "run", "stops.yaml").returncode  # a newer one of another workflow
    words = ("workflow", "execute", "--definition", "paid.yaml", "--resume", "--budget", "5")
    for expected in (new, old):
        done = bmad(folder, *words)
        assert (0, expected) == (done.returncode, run_id(done)), done.stderr
    assert "There is no stopped run of 'paid'" in bmad(folder, *words).stderr


def test_a_run_of_another_workflow_does_not_go_on(folder: Path) -> None:
    """A definition of another workflow is refused, by resume and by execute, dry or not."""
    asked = data(bmad(folder, "ask", "-m", "fake/small", "--json", "Hello"))["run_id"]
    words = ("workflow", "execute", "--definition", "stops.yaml", "--dry-run", "--resume", asked)
    assert "is one of 'ask', and this defines 'stops'" in bmad(folder, *words).stderr
    stopped = run_id(bmad(folder, "run", "paid.yaml", "--budget", "0.0001"))
    for words in (
        ("resume", stopped, "--definition", "stops.yaml"),
        ("workflow", "execute", "--definition", "stops.yaml", "--resume", stopped),
        ("workflow", "execute", "--definition", "stops.yaml", "--resume", stopped, "--dry-run"),
    ):
        done = bmad(folder, *words)
        assert (2, "") == (done.returncode, done.stdout)
        assert "is one of 'paid', and this defines 'stops'" in done.stderr


# --- progress -------------------------------------------------------------------------------------


def test_progress_ends_with_a_line_that_equals_the_store(folder: Path) -> None:
    """`--show-progress` ends with one plain line: tasks, money of the limit, seconds, as stored."""
    done = bmad(folder, "run", "paid.yaml", "--budget", "0.5", "--show-progress")
    first, last = done.stderr.splitlines()
    assert f"run {run_id(done)}" == first
    (row,) = runs(folder)
    tasks, money, seconds = last.split(" · ")
    assert "1/1 tasks done" == tasks
    assert (row["cost_usd"], row["budget_usd"]) == tuple(
        float(part.removeprefix("$")) for part in money.split(" of ")
    )
    assert row["cost_usd"] > 0
    assert re.fullmatch(r"\d+\.\d s", seconds)
    failed = bmad(folder, "run", "stops.yaml", "--show-progress").stderr
    assert "\n2/4 tasks done · 1 failed · 1 skipped · $0" in failed


def test_progress_lives_on_a_terminal(folder: Path) -> None:
    """On a terminal a board is drawn anew while it runs, and no plain line follows."""
    ours, theirs = pty.openpty()
    (folder / "short.yaml").write_text(SLOW.partition("  t4:")[0])
    words = [sys.executable, "-m", "bmad_nb", "run", "short.yaml", "--show-progress"]
    done = subprocess.run(
        words, cwd=folder, env=environment(folder), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=theirs, timeout=60,
    )  # fmt: skip
    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    assert 0 == done.returncode, shown
    assert "/4 tasks" in shown
    assert "\x1b[?25l" in shown
    assert "\x1b[?25h" in shown
    assert 1 == shown.count("tasks done")
    assert b"\x1b" not in done.stdout


# --- definitions ----------------------------------------------------------------------------------


def test_validate_says_every_problem_of_every_file(folder: Path, provider: FakeProvider) -> None:
    """`workflow validate` says how large a sound file is, or all problems by line; then it is 2."""
    sound = bmad(folder, "workflow", "validate", "three.yaml", "paid.yaml")
    assert (0, "") == (sound.returncode, sound.stderr)
    assert ["three.yaml: sound, 3 tasks", "paid.yaml: sound, 1 task"] == sound.stdout.splitlines()
    wrong = "workflow: wrong\ntasks:\n  a:\n    promt: x\n  b:\n    prompt: '{{ nowhere }}'\n"
    (folder / "wrong.yaml").write_text(wrong)
    alone = bmad(folder, "workflow", "validate", "wrong.yaml")
    both = bmad(folder, "workflow", "validate", "three.yaml", "wrong.yaml", "absent.yaml")
    for done in (alone, both):
        assert (2, "") == (done.returncode, done.stdout)
        assert "wrong.yaml:4:5: There is no key 'promt' here. Did you mean 'prompt'?" in done.stderr
        assert "wrong.yaml:6:13: " in done.stderr
    assert "three.yaml: sound, 3 tasks" in both.stderr
    assert "absent.yaml cannot be read" in both.stderr
    assert 0 == provider.counts()["connections"]


def test_validate_says_the_first_problems_and_on_request_all(folder: Path) -> None:
    """Of thirty problems twenty are said with the count of the rest; `--all` says each."""
    tasks = "".join(f"  t{n}: {{promt: x}}\n" for n in range(30))
    (folder / "many.yaml").write_text(f"workflow: many\ntasks:\n{tasks}")
    few = bmad(folder, "workflow", "validate", "many.yaml").stderr
    every = bmad(folder, "workflow", "validate", "many.yaml", "--all").stderr
    count = int(few.split(" problems")[0].rsplit(maxsplit=1)[-1])
    assert (20, count) == (few.count("many.yaml:") - 1, every.count("many.yaml:") - 1)
    assert f"… and {count - 20} more: .problems, or bmad workflow validate --all." in few


def test_the_schema_is_printed(folder: Path) -> None:
    """`workflow schema` prints the JSON Schema of a definition, and nothing else."""
    schema = data(bmad(folder, "workflow", "schema"))
    assert "https://json-schema.org/draft/2020-12/schema" == schema["$schema"]
    assert {"workflow", "tasks", "inputs"} <= schema["properties"].keys()


def test_terminal_codes_of_a_definition_are_made_harmless(folder: Path) -> None:
    """Escapes in titles, ids and file names reach no terminal; `bmad` of the tests looks for them."""
    title = r'title: "\e[31mred\u202e"'
    (folder / "evil.yaml").write_text(f"{title}\n{PAID}".replace("fake/paid", "sim/hasty"))
    bad = folder / "\x1b[2Jbad.yaml"
    bad.write_text('workflow: bad\n"\\e[31mkey": 1\ntasks: {}\n')
    assert "red" in bmad(folder, "run", "evil.yaml", "--dry-run").stdout
    for words, code in (
        (("run", "evil.yaml", "--dry-run"), 0),
        (("run", "evil.yaml"), 0),
        (("workflow", "validate", bad.name), 2),
        (("run", "\x1b[2Jnone"), 2),
    ):
        done = bmad(folder, *words)
        assert code == done.returncode, done.stderr
        assert "\u202e" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "words",
    ["run", "resume", "workflow", "workflow execute", "workflow resume", "workflow validate",
     "workflow schema"],
)  # fmt: skip
def test_each_verb_explains_itself_by_an_example(folder: Path, words: str) -> None:
    """`--help` of each verb ends with 0 and has its examples, once."""
    done = bmad(folder, *words.split(), "--help")
    assert (0, 1) == (done.returncode, done.stdout.count("Examples:"))


def test_the_example_of_the_readme_runs(folder: Path) -> None:
    """The workflow and the commands of README.md's section work as they stand there."""
    section = (ROOT / "README.md").read_text("utf-8").partition("## Workflows\n")[2]
    section = section.partition("\n## ")[0]
    assert 25 >= len(section.splitlines())
    text = section.partition("```yaml\n")[2].partition("```")[0]
    (folder / "summary.yaml").write_text(text)
    lines = section.partition("```sh\n")[2].partition("```")[0].splitlines()
    assert 2 == len(lines)
    for line in lines:
        done = bmad(folder, *shlex.split(line, comments=True)[1:])
        assert 0 == done.returncode, done.stderr
    again = bmad(folder, "workflow", "execute", "--definition", "summary.yaml", "--resume")
    assert "There is no stopped run of 'summary'" in again.stderr


# --- plans, forks, bottlenecks --------------------------------------------------------------------


def test_plan_shows_what_a_run_would_take(folder: Path, provider: FakeProvider) -> None:
    """`bmad plan` asks nobody; as JSON it has the analysis beside the plan."""
    done = bmad(folder, "plan", "three.yaml", "-p", "topic=ice")
    assert 0 == done.returncode, done.stderr
    assert "estimate:" in done.stdout
    found = data(bmad(folder, "plan", "three.yaml", "-p", "topic=ice", "--json"))
    assert 3 == found["analysis"]["calls"]
    assert 0 == provider.counts()["received"]


def test_fork_begins_in_the_middle(folder: Path, provider: FakeProvider) -> None:
    """What is before the task is taken over, a changed prompt is asked, and the run is a new one."""
    first = bmad(folder, "run", "three.yaml", "-p", "topic=ice", "--json")
    provider.reset()
    words = ("--at", "third", "--set", "third.prompt=Last of {{ second }}", "--json")
    done = bmad(folder, "fork", data(first)["run_id"], *words)
    assert 0 == done.returncode, done.stderr
    assert data(done)["run_id"] != data(first)["run_id"]
    assert 1 == provider.counts()["received"]
    wrong = bmad(folder, "fork", data(first)["run_id"], "--at", "thrid")
    assert 2 == wrong.returncode
    assert "Did you mean 'third'" in wrong.stderr


def test_analyze_names_what_held_a_run_up(folder: Path) -> None:
    """`--bottlenecks` predicts, `--apply` runs it again and says what that took."""
    slow = SLOW.replace("range(20)", "range(6)").split("  t6:")[0]
    (folder / "slow.yaml").write_text(slow)
    run = data(bmad(folder, "run", "slow.yaml", "--json"))["run_id"]
    said = bmad(folder, "workflow", "analyze", run, "--bottlenecks")
    assert said.stdout.startswith("order: Tasks that need nothing of each other waited")
    applied = data(bmad(folder, "workflow", "analyze", run, "--bottlenecks", "--apply", "--json"))
    assert "order" == applied[-1]["applied"]
    took_s = float(re.search(r"instead of ([\d.]+) s", said.stdout)[1])
    assert applied[-1]["measured_s"] < took_s  # side by side, on however slow a machine
