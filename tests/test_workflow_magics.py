"""`%%bmad workflow`, `%bmad run` and `%bmad resume` in a real kernel."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bmad_nb.verbs.workflows import RESERVED
from tests.fake_provider import FakeProvider
from tests.kernel import MIME, Kernel, Reply

BRIEF = """
inputs:
  topic: text
  parts: {type: list, default: []}
tasks:
  facts:
    prompt: "Facts about {{ topic }}: {{ parts }} [answer: wet]"
    llm: fake/small
  sum_up:
    prompt: "Sum up {{ facts }}"
    llm: fake/small
"""
BREAKS = """tasks:
  good:
    prompt: "Good [answer: kept]"
    llm: fake/small
  bad:
    prompt: "Bad {{ good }}"
    llm: fake/broken
"""
SLOW = "strategy: sequential\ntasks:\n" + "".join(
    f"  t{n}: {{prompt: 'Slow {n}', llm: fake/slow}}\n" for n in range(12)
)
STATIC = {"BMAD_DISPLAY": "static"}
"""What stays is looked at here; what is live on the way, in tests/widgets."""


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeProvider]:
    """Give a provider with a quick, a slow and a broken model."""
    models = {"small": {}, "slow": {"latency_s": 0.25}, "broken": {"fault_rates": {"400": 1.0}}}
    with FakeProvider({"models": models}) as provider:
        yield provider


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, provider: FakeProvider) -> Path:
    """Give the folder in which the module's kernel works."""
    folder = tmp_path_factory.mktemp("workflows")
    (folder / "bmad.toml").write_text(
        f'[endpoints.fake]\nbase_url = "{provider.url}"\nmodels = ["small", "slow", "broken"]\n'
    )
    return folder


@pytest.fixture(scope="module")
def shared(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """Give one kernel for the module, with a workflow defined."""
    with Kernel(folder, tmp_path_factory.mktemp("home"), STATIC) as kernel:
        assert kernel.execute("%load_ext bmad_nb").status == "ok"
        assert kernel.execute(f"%%bmad workflow brief{BRIEF}").status == "ok"
        yield kernel


@pytest.fixture
def kernel(shared: Kernel, provider: FakeProvider) -> Kernel:
    """Give that kernel, and a server that has counted nothing."""
    provider.wait_until(in_flight=0)
    provider.reset()
    return shared


def failed(kernel: Kernel, code: str, *, allow_stdin: bool = True) -> Reply:
    """Run a cell that must fail with an error message of its own and nothing else."""
    reply = kernel.execute(code, allow_stdin=allow_stdin)
    assert (reply.status, reply.messages) == ("error", ["error"]), reply.text
    return reply


def stored_runs(folder: Path) -> int:
    """Return how many runs the store has."""
    path = folder / ".bmad" / "bmad.db"
    if not path.exists():
        return 0
    connection = sqlite3.connect(path)
    (count,) = connection.execute("SELECT count(*) FROM runs").fetchone()
    connection.close()
    return int(count)


# --- defining -------------------------------------------------------------------------------------


def test_a_cell_defines_a_workflow(kernel: Kernel, provider: FakeProvider) -> None:
    """`%%bmad workflow NAME` shows the graph and the command, binds NAME, and asks nobody."""
    reply = kernel.execute(f"%%bmad workflow shown{BRIEF}")
    assert ("ok", ["execute_result"]) == (reply.status, reply.messages), reply.text
    assert reply.value is not None
    assert {"text/plain", "text/html"} <= reply.value.keys()
    assert "<svg" in reply.value["text/html"]
    assert "%bmad run shown -p topic=…" in reply.value["text/plain"]
    assert "✕" not in reply.value["text/plain"]  # that inputs have no value yet is no problem
    assert "✕ Input 'topic'" in kernel.execute("%bmad run shown --dry-run").text
    assert "('Workflow', 'shown', ['facts', 'sum_up'])" == kernel.value(
        "type(shown).__name__, shown.id, list(shown.tasks)"
    )
    assert 0 == provider.counts()["received"]
    silent = kernel.execute(f"%%bmad workflow shown;{BRIEF}")
    assert ("ok", []) == (silent.status, silent.messages)


def test_what_a_definition_lacks_is_shown_with_it(kernel: Kernel) -> None:
    """An LLM that is not there is shown at the definition, by its place in the cell."""
    reply = kernel.execute(f"%%bmad workflow lacking{BRIEF.replace('small', 'smal', 1)}")
    assert "ok" == reply.status, reply.text
    problems = [line for line in reply.text.splitlines() if line.startswith("✕")]
    assert 1 == len(problems), problems
    assert problems[0].startswith("✕ cell:7:10: There is no LLM 'fake/smal'.")


def test_a_name_with_a_dash_is_known_but_not_bound(kernel: Kernel) -> None:
    """An id that is no identifier, or a name of Python's own, is bound to no variable, and runs."""
    for name in ("two-words", "list", "class"):
        reply = kernel.execute(f"%%bmad workflow {name}{BRIEF}")
        assert "ok" == reply.status, reply.text
        assert "ok" == kernel.execute(f"%bmad run {name} --dry-run").status
    assert "True" == kernel.value("list([]) == []")


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_words_of_the_group_are_no_ids(kernel: Kernel, name: str) -> None:
    """The words that stand behind `workflow`, now or later, cannot be ids."""
    reply = failed(kernel, f"%%bmad workflow {name}{BRIEF}")
    assert ("UsageProblem", True) == (reply.ename, f"'{name}' is kept" in reply.evalue)


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "Brief", "1st", "a.b", "é", "'a b'", "_x", "a" * 64, "''", "__init__"]
)  # fmt: skip
def test_hostile_names_are_no_ids(kernel: Kernel, name: str) -> None:
    """A name that is no id is refused before the text is read."""
    reply = failed(kernel, f"%%bmad workflow {name}{BRIEF}")
    assert ("UsageProblem", True) == (reply.ename, "cannot be the id" in reply.evalue)


def test_errors_name_the_lines_of_the_cell(kernel: Kernel) -> None:
    """Every problem is said; line 1 is the line after the magic, and the place is `cell`."""
    body = "tasks:\n  a:\n    promt: x\n  b:\n    prompt: '{{ nowhere }}'"
    reply = failed(kernel, f"%%bmad workflow wrong\n{body}")
    assert "DefinitionError" == reply.ename
    assert "cell:3:5: There is no key 'promt' here. Did you mean 'prompt'?" in reply.traceback
    assert "cell:5:13: " in reply.traceback
    assert "File " not in reply.traceback
    assert "False" == kernel.value("'wrong' in dir()")


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ("tasks: {a: {set: {x: '1'}}}\nworkflow: other", "cell:2:11: "),
        ("id: other\ntasks: [{id: a, name: A, task_type: analysis}]", "cell:1:5: "),
    ],
)
def test_two_ids_are_one_too_many(kernel: Kernel, body: str, place: str) -> None:
    """A text with an id of its own must have the one above it; the place is named."""
    reply = failed(kernel, f"%%bmad workflow mine\n{body}")
    assert "DefinitionError" == reply.ename
    assert place in reply.evalue
    assert "'other'" in reply.evalue
    assert "'mine'" in reply.evalue
    assert "ok" == kernel.execute(f"%%bmad workflow other\n{body}").status


@pytest.mark.parametrize("line", ["run brief", "resume 12345678", "workflow"])
def test_other_verbs_take_no_text(kernel: Kernel, line: str) -> None:
    """A text below a verb that reads none is an error, not silently left out."""
    assert "UsageProblem" == failed(kernel, f"%%bmad {line}\ntasks: {{}}").ename


# --- running --------------------------------------------------------------------------------------


def test_run_returns_and_binds_the_run(kernel: Kernel, provider: FakeProvider) -> None:
    """`%bmad run NAME -o` is the run and nothing else, with three MIME types, and is bound."""
    reply = kernel.execute("%bmad run brief -p topic=ice -o r")
    assert ("ok", ["execute_result"]) == (reply.status, reply.messages), reply.text
    assert reply.value is not None
    assert {"text/plain", "text/html", MIME} <= reply.value.keys()
    assert ("brief", "completed") == (reply.run["workflow"], reply.run["status"])
    assert "('Run', 2, True)" == kernel.value("type(r).__name__, len(r.tasks), _ is r")
    assert 2 == provider.counts()["received"]
    silent = kernel.execute("%bmad run brief -p topic=ice;")
    assert ("ok", []) == (silent.status, silent.messages)
    kernel.execute("of_run = r.id")
    shown = kernel.execute("%bmad show {{ of_run }}")
    assert (reply.run["run_id"], "completed") == (shown.run["run_id"], shown.run["status"])


def test_holes_become_typed_inputs(kernel: Kernel) -> None:
    """A hole that is a whole value arrives as what it is: lists, tables, and texts with commas."""
    kernel.execute(
        "import pandas as pd\nnames = ['a, b', '{{ names }}']\nsubject = 'say \"x\" --new; 1,2'\n"
        "table = pd.DataFrame({'n': [1], 'm': ['x']})"
    )
    for spelled in ("-p parts={{ names }}", "-pparts={{ names }}", "--param=parts={{names}}"):
        reply = kernel.execute(f"%bmad run brief -p topic={{{{ subject }}}} {spelled} -o r")
        assert "ok" == reply.status, reply.text
        assert "(['a, b', '{{ names }}'], True)" == kernel.value(
            "r.run.inputs['parts'], r.run.inputs['topic'] == subject"
        )
    kernel.execute("%bmad run brief -p topic={{ table.n }} -p parts={{ table }} -o r")
    assert "[{'n': 1, 'm': 'x'}]" == kernel.value("r.run.inputs['parts']")
    kernel.execute("import datetime\nodd = [datetime.date(2026, 1, 2), pd.Series([3]).iloc[0]]")
    kernel.execute("%bmad run brief -p topic=x -p parts={{ odd }} -o r")
    assert "['2026-01-02', 3]" == kernel.value("r.run.inputs['parts']")
    assert "UsageProblem" == failed(kernel, "%bmad run brief -p topic=x -p parts={{ pd }}").ename
    kernel.execute("%%bmad ask -m fake/small -p parts={{ names }} -o a\n{{ parts }}")
    assert "'a, b,{{ names }}'" == kernel.value("a.rows[0].messages[-1].text")  # as ever in ask


def test_a_variable_or_a_file_is_run(kernel: Kernel, folder: Path) -> None:
    """A name is a defined workflow, else a variable that holds one, else a file; else it is said."""
    kernel.execute(
        "import bmad_nb\nflow = bmad_nb.Workflow('in_python', inputs={'n': 'integer'})\n"
        "flow.task('a', set={'x': 'n + 1'});"
    )
    assert "ok" == kernel.execute("%bmad run flow -p n=41 -o r").status
    assert "{'a': {'x': 42}}" == kernel.value("dict(r.outputs)")
    kernel.execute("flow.task('a', set={'x': 'n +'});")
    assert "DefinitionError" == failed(kernel, "%bmad run flow -p n=41").ename
    (folder / "in_a_file.yml").write_text("workflow: filed\ntasks: {a: {set: {x: '1'}}}\n")
    assert "ok" == kernel.execute("%bmad run in_a_file.yml").status
    assert "Did you mean 'brief'" in failed(kernel, "%bmad run breif").traceback


def test_progress_and_json_of_a_line(kernel: Kernel) -> None:
    """`--show-progress` prints the id and the end in its own cell; `--json` prints JSON alone."""
    for _ in range(2):  # the engine's thread was started in another cell than these
        reply = kernel.execute("%bmad run brief -p topic=fog --show-progress --new")
        assert "ok" == reply.status, reply.text
        first, last = reply.stdout.splitlines()
        assert f"run {reply.run['run_id']}" == first
        assert last.startswith("2/2 tasks done · $")
    kernel.execute("import json")
    printed = kernel.execute("%bmad run brief -p topic=fog --json --show-progress")
    assert printed.stdout.startswith("{\n")
    assert printed.stdout.endswith("}\n")
    assert ["stream"] == printed.messages


# --- failing and going on -------------------------------------------------------------------------


def test_a_failed_run_raises_and_keeps_what_is_done(kernel: Kernel) -> None:
    """The error is short for a person and whole for papermill; `-o` has the partial run."""
    kernel.execute(f"%%bmad workflow breaks\n{BREAKS}")
    short = failed(kernel, "%bmad run breaks -o part")
    assert ("RunFailed", False) == (short.ename, "File " in short.traceback)
    assert "('failed', 'kept')" == kernel.value("part.status, part.text('good')")
    whole = failed(kernel, "%bmad run breaks -o part;", allow_stdin=False)
    assert ("RunFailed", True) == (whole.ename, "magics.py" in whole.traceback)


def test_an_edited_cell_goes_on(kernel: Kernel, provider: FakeProvider, folder: Path) -> None:
    """After an edit, execute says the difference and does again what it must; a dry run says it."""
    kernel.execute(f"%%bmad workflow edited\n{BREAKS}")
    failed(kernel, "%bmad run edited -o part")
    kernel.execute(f"%%bmad workflow edited\n{BREAKS.replace('broken', 'small')}")
    provider.reset()
    before = stored_runs(folder)
    dry = kernel.execute("%bmad workflow execute --definition edited --resume --dry-run")
    difference = "kept  good  unchanged\nruns  bad   changed\n"
    assert difference == dry.stdout
    assert (0, before) == (provider.counts()["received"], stored_runs(folder))
    kernel.execute("of_run = part.id")
    done = kernel.execute("%bmad resume {{ of_run }} --definition edited -o r")
    assert ("ok", difference) == (done.status, done.stdout), done.text
    assert 1 == provider.counts()["received"]
    assert "'completed'" == kernel.value("r.status")


def test_functions_of_the_notebook_are_compared(kernel: Kernel) -> None:
    """A function that was not edited is kept, in what a dry run says as in what is done."""
    kernel.execute(
        "import bmad_nb\nallowed = []\n"
        "def one():\n    return 1\n"
        "def two(x):\n    assert allowed\n    return x + 1\n"
        "coded = bmad_nb.Workflow('coded')\ncoded.task('a', python=one)\n"
        "coded.task('b', python=two, **{'with': {'x': '{{ a }}'}});"
    )
    assert "RunFailed" == failed(kernel, "%bmad run coded").ename
    kernel.execute("allowed.append(1)")
    words = "%bmad workflow execute --definition coded --resume"
    for line in (f"{words} --dry-run", words):
        reply = kernel.execute(line)
        assert "kept  a  unchanged\nruns  b  it failed\n" == reply.stdout, reply.text


def test_an_interrupted_run_is_completed_and_resumed(
    kernel: Kernel, provider: FakeProvider
) -> None:
    """The stop button pauses a run and binds it; its id is offered to `resume`, which goes on."""
    kernel.execute(f"%%bmad workflow slow\n{SLOW}")
    cell = kernel.start("%bmad run slow -o part")
    until_s = time.monotonic() + 60
    while provider.counts()["sent"] < 2:
        assert time.monotonic() < until_s
        time.sleep(0.02)
    kernel.interrupt()
    reply = kernel.finish(cell)
    assert ("RunPaused", ["error"]) == (reply.ename, reply.messages), reply.text
    of_run = kernel.value("part.id").strip("'")
    assert "'user'" == kernel.value("part.run.reason")
    assert of_run in kernel.complete("%bmad resume ")[0]
    assert ([of_run], of_run[:4]) == kernel.complete(f"%bmad workflow resume {of_run[:4]}")
    kept = int(kernel.value("list(part.tasks['state']).count('done')"))
    provider.wait_until(in_flight=0)
    provider.reset()
    done = kernel.execute(f"%bmad resume {of_run}")
    assert ("ok", of_run) == (done.status, done.run["run_id"]), done.text
    assert 12 - kept == provider.counts()["received"]
    assert of_run not in kernel.complete("%bmad resume ")[0]


def test_completion_knows_workflows_and_options(kernel: Kernel) -> None:
    """After `run` come ids and variables of workflows; options and LLMs as everywhere."""
    kernel.execute("import bmad_nb\nbrief_flow = bmad_nb.Workflow('other_id'); briefcase = 1")
    assert (["brief", "brief_flow"], "brie") == kernel.complete("%bmad run brie")
    assert (["--dry-run"], "--dry") == kernel.complete("%bmad run brief --dry")
    assert (["fake/small"], "fake/sm") == kernel.complete("%bmad run brief -m a=fake/sm")
    assert (["validate"], "val") == kernel.complete("%bmad workflow val")
    assert "--definition" in kernel.complete("%bmad workflow execute --")[0]
