"""`%bmad` and `%%bmad` in a real kernel."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fake_provider import FakeProvider
from tests.kernel import MIME, Kernel, Reply

WATCH = """
import sys
_seen = []
_watching = [False]
def _hook(event, args):
    if _watching[0] and event.split('.')[0] in {'socket', 'open', 'urllib', 'subprocess', 'os'}:
        _seen.append((event, str(args)[:200]))
sys.addaudithook(_hook)
"""
"""Records, while `_watching[0]` is true, whatever the kernel's process opens or contacts."""
STATIC = {"BMAD_DISPLAY": "static"}
"""What stays is looked at here; what is live on the way, in tests/widgets."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder in which the module's kernel works."""
    return tmp_path_factory.mktemp("magics")


@pytest.fixture(scope="module")
def kernel(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """Give a kernel with the extension loaded."""
    with Kernel(folder, tmp_path_factory.mktemp("home"), STATIC) as kernel:
        assert kernel.execute("%load_ext bmad_nb").status == "ok"
        yield kernel


def stored(folder: Path, table: str) -> int:
    """Return how many rows a table of the store has; 0 if there is no store."""
    path = folder / ".bmad" / "bmad.db"
    if not path.exists():
        return 0
    with sqlite3.connect(path) as connection:
        count = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    connection.close()
    return int(count)


def failed(kernel: Kernel, code: str, *, allow_stdin: bool = True) -> Reply:
    """Run a cell that must fail with an error message of its own."""
    reply = kernel.execute(code, allow_stdin=allow_stdin)
    assert reply.status == "error", reply.text
    assert reply.messages == ["error"], reply.text
    return reply


def sent(kernel: Kernel, name: str) -> str:
    """Return the prompt with which a bound result was asked."""
    kernel.execute("import json")
    shown = kernel.execute(f"print(json.dumps({name}.rows[0].messages[-1].text))").stdout
    return str(json.loads(shown))


# --- loading --------------------------------------------------------------------------------------


def test_loading_shows_nothing_and_is_done_once(tmp_path: Path) -> None:
    """Loading the extension shows nothing; unloading takes the magic away; nothing is there twice."""
    with Kernel(tmp_path, tmp_path / "home") as kernel:
        first = kernel.execute("%load_ext bmad_nb")
        assert (first.status, first.messages) == ("ok", [])
        again = kernel.execute("%load_ext bmad_nb")
        assert again.status == "ok"
        assert "already loaded" in again.text  # IPython's own words, and no more
        matchers = "sum(m.__module__.startswith('bmad_nb') for m in get_ipython().Completer.custom_matchers)"
        assert kernel.execute("%reload_ext bmad_nb").messages == []
        assert kernel.value(matchers) == "1"
        assert kernel.execute("%bmad runs").status == "ok"
        assert kernel.execute("%unload_ext bmad_nb").messages == []
        assert kernel.value(matchers) == "0"
        assert kernel.execute("%bmad runs").status == "error"
        assert kernel.execute("%%bmad ask\nHello").status == "error"
        assert kernel.execute("%load_ext bmad_nb").messages == []
        assert kernel.execute("%bmad runs").status == "ok"
        assert not (tmp_path / ".bmad" / "bmad.db").exists()


# --- asking ---------------------------------------------------------------------------------------


def test_ask_returns_and_binds_its_result(kernel: Kernel) -> None:
    """`%%bmad ask -o` is the cell's value, binds the name, and carries three MIME types."""
    reply = kernel.execute("%%bmad ask -m sim/careful -o answer\nWhat is 20 + 22?")
    assert reply.status == "ok", reply.text
    assert reply.messages == ["execute_result"]
    assert reply.value is not None
    assert {"text/plain", "text/html", MIME} <= reply.value.keys()
    row = reply.run["rows"][0]
    assert (reply.run["verb"], row["text"], row["llm"]) == ("ask", "42", "sim/careful")
    assert row["simulated"] is True
    assert "42" in reply.value["text/plain"]
    assert "simulated" in reply.value["text/plain"]
    assert "<script" not in reply.value["text/html"].lower()
    assert kernel.value("str(answer), _ is answer") == "('42', True)"


def test_compare_returns_and_binds_its_result(kernel: Kernel) -> None:
    """`%%bmad compare` has a row per LLM, case and sample, in the frame and in the MIME type."""
    kernel.execute("import pandas as pd\ncases = pd.DataFrame({'a': [1, 2], 'right': ['2', '3']})")
    reply = kernel.execute(
        "%%bmad compare -m sim/careful,hasty --over cases --reference right -n 2 -o r\n"
        "What is {{ a }} + 1?"
    )
    assert reply.status == "ok", reply.text
    assert len(reply.run["rows"]) == 8
    assert (
        kernel.value("len(r.df), sorted(set(r.df['llm']))") == "(8, ['sim/careful', 'sim/hasty'])"
    )
    assert kernel.value("type(r).__name__") == "'Comparison'"
    assert reply.value is not None
    assert {"text/plain", "text/html", MIME} <= reply.value.keys()
    assert {row["score"] for row in reply.run["rows"]} <= {0.0, 1.0}


def test_the_line_form_gives_a_value(kernel: Kernel) -> None:
    """`x = %bmad show RUN` binds the stored run, and shows nothing."""
    kernel.execute("%%bmad compare -m sim/careful,hasty -o shown\nWhat is 3 + 4?")
    kernel.execute("run_id = shown.id")
    reply = kernel.execute("x = %bmad show {{ run_id }}")
    assert (reply.status, reply.messages) == ("ok", []), reply.text
    assert (
        kernel.value("x.id == shown.id, [r.text for r in x.rows] == [r.text for r in shown.rows]")
        == "(True, True)"
    )
    assert kernel.execute("%bmad show {{ run_id }}").run["run_id"] in kernel.value("run_id")


@pytest.mark.parametrize(
    "code",
    [
        "%%bmad ask -m sim/careful -o quiet;\nWhat is 5 + 6?",
        "%bmad runs;",
        "%bmad show {{ quiet_id }};",
    ],
)
def test_a_semicolon_silences(kernel: Kernel, code: str) -> None:
    """A `;` at the end of the line shows nothing; the work is done all the same."""
    kernel.execute("%%bmad ask -m sim/careful -o before\nWhat is 5 + 6?")
    kernel.execute("quiet = None; quiet_id = before.id")
    reply = kernel.execute(code)
    assert (reply.status, reply.messages) == ("ok", []), reply.text
    if "-o quiet" in code:
        assert kernel.value("quiet.text") == "'11'"


def test_a_body_arrives_unchanged(kernel: Kernel) -> None:
    """JSON braces, `$x`, `{x}`, backslashes and quotes in a body reach the LLM as they are."""
    body = (
        """Return {"a": {"b": [1, 2]}}, not $x or ${x} or {x} or {{{x}}}'s \\n "quote" %s # kept"""
    )
    kernel.execute("x = 'SPOILED'")
    reply = kernel.execute(f"%%bmad ask -m sim/hasty -o plain --raw\n{body}")
    assert reply.status == "ok", reply.text
    assert sent(kernel, "plain") == body
    holes = 'Return {"a": {"b": 1}}, not $x, {x}: {{ x }}'
    reply = kernel.execute(f"%%bmad ask -m sim/hasty -o filled\n{holes}")
    assert reply.status == "ok", reply.text
    assert sent(kernel, "filled") == 'Return {"a": {"b": 1}}, not $x, {x}: SPOILED'


def test_what_is_filled_in_is_not_filled_again(kernel: Kernel) -> None:
    """A value with holes, quotes and options in it stays one text, in the body and on the line."""
    kernel.execute("tricky = '{{ secret }} --fresh \"; rm -rf'\nsecret = 'LEAKED'")
    reply = kernel.execute("%%bmad ask -m sim/hasty --system {{ tricky }} -o t\nSay {{ tricky }}")
    assert reply.status == "ok", reply.text
    shown = kernel.execute("for m in t.rows[0].messages: print(m.text)").stdout
    assert shown == '{{ secret }} --fresh "; rm -rf\nSay {{ secret }} --fresh "; rm -rf\n'
    kernel.execute("line = %bmad ask -m sim/hasty Say {{ tricky }}")
    assert sent(kernel, "line") == 'Say {{ secret }} --fresh "; rm -rf'


def test_the_system_message_is_filled_case_by_case(kernel: Kernel) -> None:
    """A hole in `--system` takes the case's column, as one in the prompt does."""
    kernel.execute("towns = [{'town': 'Rome'}, {'town': 'Bern'}]")
    reply = kernel.execute(
        "%%bmad compare -m sim/hasty --over towns --system 'You live in {{ town }}.' -o t\nWhere?"
    )
    assert reply.status == "ok", reply.text
    assert kernel.value("[row.messages[0].text for row in t.rows]") == (
        "['You live in Rome.', 'You live in Bern.']"
    )


# --- errors ---------------------------------------------------------------------------------------


def test_an_undefined_hole_stops_before_anything(kernel: Kernel, folder: Path) -> None:
    """An undefined hole is a short error that names it; nothing is stored and nobody is asked."""
    kernel.execute("asked = []\nimport bmad_nb.workspace as _w")
    kernel.execute(
        "def noting(messages):\n    asked.append(1)\n    return 'x'\n"
        "_w.default_workspace().add_llm('noting', noting);"
    )
    before = stored(folder, "runs"), stored(folder, "calls"), stored(folder, "events")
    reply = failed(kernel, "%%bmad ask -m own/noting\nTell me of {{ nowhere_defined }}")
    assert reply.ename == "MissingInput"
    assert "nowhere_defined" in reply.evalue
    assert "Line 1" in reply.evalue
    assert (stored(folder, "runs"), stored(folder, "calls"), stored(folder, "events")) == before
    assert kernel.value("asked") == "[]"
    assert kernel.execute("%%bmad ask -m own/noting\nTell me").status == "ok"  # it would be seen
    assert kernel.value("asked") == "[1]"


@pytest.mark.parametrize(
    ("code", "guess"),
    [
        ("%bmad comparee", "'compare'"),
        ("%%bmad compere -m sim/hasty\nHello", "'compare'"),
        ("%%bmad compare --modle sim/hasty\nHello", "'--model'"),
        ("%%bmad ask -m sim/carefull\nHello", "'sim/careful'"),
        ("%%bmad compare -m sim/careful,sim/hastey\nHello", "'sim/hasty'"),
        ("%%bmad ask -m 'sim/hasty?temprature=1'\nHello", "'temperature'"),
        ("%%bmad compare -m sim/hasty --over casses\n{{ a }}", "'cases'"),
        ("%%bmad ask -m sim/hasty\nWhat is {{ questoin }}?", "question"),
    ],
)
def test_a_typing_error_is_answered_by_the_nearest_name(
    kernel: Kernel, code: str, guess: str
) -> None:
    """A wrong verb, option, LLM, setting or variable says which one was meant."""
    kernel.execute("cases = [{'a': 1}]\nquestion = 'x'")
    reply = failed(kernel, code)
    assert f"Did you mean {guess}" in reply.traceback, reply.traceback


def test_errors_are_short_for_a_person_and_whole_for_papermill(kernel: Kernel) -> None:
    """With a front end an error has at most six lines and no frame; without one all frames show."""
    for code in (
        "%%bmad ask -m sim/hasty\nOf {{ nothing }}",
        "%bmad nosuchverb",
        "%bmad show 00000000",
        "%%bmad ask -m local/nosuch\nHello",
        "%%bmad ask -m openai/gpt-4o-mini\nHello",
    ):
        short = failed(kernel, code)
        assert len(short.traceback.splitlines()) <= 6, short.traceback
        assert "File " not in short.traceback
        assert "-->" not in short.traceback
        whole = failed(kernel, code, allow_stdin=False)
        assert whole.ename == short.ename
        assert whole.evalue == short.evalue
        assert "Traceback (most recent call last)" in whole.traceback
        assert "magics.py" in whole.traceback
        assert whole.evalue.split(". ")[0] in whole.traceback
        assert whole.stdout == whole.stderr == ""


def test_an_error_leaves_the_notebook_usable(kernel: Kernel) -> None:
    """After an error the names are as they were, and the next cell works."""
    kernel.execute("kept = 'as it was'")
    failed(kernel, "%%bmad ask -m sim/nobody -o kept\nHello")
    assert kernel.value("kept") == "'as it was'"
    assert kernel.execute("%%bmad ask -m sim/hasty -o kept\nHello").status == "ok"
    assert kernel.value("type(kept).__name__") == "'Result'"


# --- help and completion --------------------------------------------------------------------------


def test_completion_knows_verbs_options_llms_and_variables(kernel: Kernel) -> None:
    """Verbs, options, LLM ids, parts of comma lists, cases and names in holes are completed."""
    kernel.execute(
        "import pandas as pd\ncasebook = pd.DataFrame({'a': [1]})\ncasual = 3\ntopic = 'x'"
    )
    assert kernel.complete("%bmad compa") == (["compare"], "compa")
    assert kernel.complete("result = %bmad sho") == (["show"], "sho")
    assert kernel.complete("%%bmad compare --mo") == (["--model"], "--mo")
    assert "--budget" in kernel.complete("%%bmad ask --")[0]
    assert kernel.complete("%%bmad ask -m sim/care") == (["sim/careful"], "sim/care")
    assert kernel.complete("%%bmad compare -m sim/careful,has") == (["sim/hasty"], "has")
    assert kernel.complete("%%bmad compare --over caseb") == (["casebook"], "caseb")
    assert "casual" not in kernel.complete("%%bmad compare --over cas")[0]
    assert kernel.complete("%%bmad ask -m sim/hasty\nAbout {{ topi") == (["topic"], "topi")
    assert kernel.complete("%%bmad ask -m sim/hasty\nAbout {{topi")[0] == ["topic"]
    assert kernel.complete("%bmad models ins") == (["install"], "ins")
    middle = "%%bmad compare -m sim/care -o r\nHello"
    assert kernel.complete(middle, middle.index(" -o")) == (["sim/careful"], "sim/care")
    assert "bmad" not in str(kernel.complete("top"))  # elsewhere it stays out of the way


def test_completion_contacts_nobody(kernel: Kernel) -> None:
    """Completion opens no connection; the same watch sees one that is opened."""
    kernel.execute(WATCH)
    kernel.execute("_watching[0] = True")
    for code in (
        "%bmad ",
        "%%bmad compare -m ",
        "%%bmad ask -m op",
        "%%bmad ask --",
        "%%bmad ask\n{{ ",
    ):
        kernel.complete(code)
    kernel.execute(
        "_watching[0] = False\nfound = [s for s in _seen if s[0] in ('socket.connect', 'socket.getaddrinfo', 'subprocess.Popen')]"
    )
    assert kernel.value("found") == "[]"
    kernel.execute(
        "import socket\n_watching[0] = True\ns = socket.socket()\ns.settimeout(1)\n"
        "s.connect_ex(('127.0.0.1', 9)); s.close()\n_watching[0] = False"
    )
    assert kernel.value("any(s[0] == 'socket.connect' for s in _seen)") == "True"


def test_help_is_where_one_looks_for_it(kernel: Kernel) -> None:
    """Shift-Tab, `%bmad?`, `%bmad --help` and `%bmad VERB --help` explain themselves."""
    for code in ("%bmad", "%%bmad"):
        assert "Work with several LLMs" in kernel.inspect(code)
    assert kernel.execute("%bmad?").status == "ok"
    for verb in ("ask", "compare", "runs", "show", "models", "doctor"):
        assert verb in kernel.execute("%bmad --help").text
        reply = kernel.execute(f"%bmad {verb} --help")
        assert reply.status == "ok"
        assert f"Usage: %bmad {verb}" in reply.stdout


# --- answers are only text ------------------------------------------------------------------------


def test_an_answer_is_never_opened_fetched_or_run(kernel: Kernel) -> None:
    """Answers that look like a path, an address or markup are shown as text; nothing is touched."""
    with FakeProvider() as bait:
        answers = {
            "path": "/etc/hostname",
            "file": "file:///etc/passwd",
            "url": f"{bait.url}/models",
            "script": "<script>alert(1)</script><img src=x onerror=alert(1)>",
            "markdown": f"![x]({bait.url}/models) [y](javascript:alert(1))",
            "escape": "\x1b]0;owned\x07\x1b[2Jhello",
        }
        kernel.execute(f"answers = {answers!r}\nimport bmad_nb.workspace as _w\n" + WATCH)
        for name in answers:
            kernel.execute(
                f"def {name}_llm(messages):\n    return answers[{name!r}]\n"
                f"_w.default_workspace().add_llm('bait-{name}', {name}_llm);"
            )
        ids = ",".join(f"own/bait-{name}" for name in answers)
        kernel.execute("_seen.clear(); _watching[0] = True")
        reply = kernel.execute(f"%%bmad compare -m {ids} -o baited\nGo on")
        single = kernel.execute("%%bmad ask -m own/bait-script\nGo on")
        kernel.execute("_watching[0] = False")
        assert reply.status == single.status == "ok", reply.text + single.text
        opened = kernel.value(
            "[s for s in _seen if 'etc/' in s[1] or s[0] in ('socket.connect', 'subprocess.Popen')]"
        )
        assert opened == "[]"
        assert bait.counts()["connections"] == 0
        kernel.execute("_watching[0] = True\nopen('/etc/hostname').close()\n_watching[0] = False")
        assert kernel.value("any('etc/hostname' in s[1] for s in _seen)") == "True"
    for shown in (reply, single):
        assert shown.value is not None
        _only_text(shown.value)
    assert reply.value is not None
    assert "&lt;script&gt;" in reply.value["text/html"]
    rows = {row["llm"]: row["text"] for row in reply.run["rows"]}
    assert rows["own/bait-script"] == answers["script"]
    assert kernel.value("baited.answers['own/bait-path'].text") == "'/etc/hostname'"


def _only_text(bundle: dict[str, Any]) -> None:
    """Assert that nothing in a bundle runs, fetches, or steers a terminal."""
    lowered = bundle["text/html"].lower()
    for live in (
        "<script",
        "<img",
        "<iframe",
        'javascript:alert(1)"',
        'href="javascript',
        'src="http',
    ):
        assert live not in lowered
    assert "\x1b" not in bundle["text/plain"]
    assert "\x07" not in bundle["text/plain"]
    assert "\x1b" not in bundle["text/html"]
    assert "text/markdown" not in bundle


# --- settings, status and the last error ------------------------------------------------------------


_MODE = "__import__('bmad_nb.live.mode', fromlist=['x']).mode_of(get_ipython().kernel)"


def test_settings_are_completed_and_obeyed(kernel: Kernel) -> None:
    """`%config BmadMagics` lists four settings, completes them, and each changes what happens."""
    shown = kernel.execute("%config BmadMagics").stdout
    for name in ("default_llm", "short_errors", "display", "budget"):
        assert f"BmadMagics.{name}" in shown
    assert any("budget" in each for each in kernel.complete("%config BmadMagics.bu")[0])
    try:
        kernel.execute("%config BmadMagics.budget = '0.25'")
        kernel.execute("%config BmadMagics.default_llm = 'sim/hasty'")
        kernel.execute("%%bmad ask -o chosen\nWhat is 7 + 7?")
        assert (
            kernel.value("str(chosen.run.budget_usd), chosen.rows[0].llm")
            == "('0.25', 'sim/hasty')"
        )
        kernel.execute("%%bmad ask --budget 0.5 -o own\nWhat is 7 + 7?")
        assert kernel.value("str(own.run.budget_usd)") == "'0.5'"
        kernel.execute("%config BmadMagics.short_errors = False")
        assert "magics.py" in kernel.execute("%bmad nosuch").traceback
        kernel.execute("%config BmadMagics.display = 'live'")
        assert kernel.value(_MODE) == "'live'"
    finally:
        kernel.execute(
            "%config BmadMagics.budget = ''\n%config BmadMagics.default_llm = ''\n"
            "%config BmadMagics.short_errors = True\n%config BmadMagics.display = 'auto'"
        )
    assert kernel.value(_MODE) == "'static'", "BMAD_DISPLAY holds again."
    assert len(kernel.execute("%bmad nosuch").traceback.splitlines()) <= 6


def test_the_verb_and_the_setting_of_displays_are_one(kernel: Kernel) -> None:
    """After `%bmad display live`, `%config` says live and its `auto` undoes it; and the other way."""
    try:
        kernel.execute("%bmad display live")
        assert "'live'" == kernel.value("%config BmadMagics.display")
        kernel.execute("%config BmadMagics.display = 'auto'")
        assert "'static'" == kernel.value(_MODE), "BMAD_DISPLAY holds again."
        kernel.execute("%config BmadMagics.display = 'live'")
        kernel.execute("%bmad display auto")
        assert "'auto'" == kernel.value("%config BmadMagics.display")
        assert "'static'" == kernel.value(_MODE)
    finally:
        kernel.execute("%bmad display auto")


def test_the_python_form_goes_into_a_cell_below(kernel: Kernel) -> None:
    """`--python --below` shows nothing and asks the front end for a new cell with the call."""
    reply = kernel.execute("%bmad ask -m sim/hasty Hello --python --below")
    assert [] == reply.messages
    (text,) = reply.below
    assert "ws.ask('Hello', 'sim/hasty'" in text


def test_the_bare_line_is_a_status_screen(kernel: Kernel) -> None:
    """`%bmad` shows what is ready as text and as markup; `;` silences it; `%%bmad` alone is help."""
    reply = kernel.execute("%bmad")
    assert reply.value is not None
    assert "Ready:" in reply.value["text/plain"]
    assert "<section" in reply.value["text/html"]
    assert kernel.execute("%bmad ;").messages == []
    assert kernel.execute("%bmad;").messages == []
    assert kernel.execute("text = '%bmad;'\n%bmad;\nprint(text)").stdout == "%bmad;\n"
    assert kernel.execute("%bmad runs --json;").messages == []
    assert "Usage: %%bmad" in kernel.execute("%%bmad\nx").stdout


def test_the_last_error_is_shown_with_its_frames(kernel: Kernel) -> None:
    """`%bmad traceback` and `%bmad --traceback` give what the short form left out."""
    failed(kernel, "%%bmad ask -m sim/hasty\nOf {{ nothing_here }}")
    for line in ("%bmad traceback", "%bmad --traceback"):
        text = kernel.execute(line).text
        assert "Traceback (most recent call last)" in text
        assert "nothing_here" in text


def test_a_conversation_goes_on_over_cells(kernel: Kernel) -> None:
    """`--chat` sends the turns before it and shows them; `%bmad chat` lists and cuts them."""
    kernel.execute("%%bmad ask -m sim/careful --chat k\nWhat is 2 + 2?")
    second = kernel.execute("%%bmad ask -m sim/careful --chat k -o talk\nWhat is 3 + 3?")
    assert "Context sent: 1 earlier turn of chat k" in second.text
    assert (
        kernel.value("[m.role for m in talk.rows[0].messages]") == "['user', 'assistant', 'user']"
    )
    assert "2 turns before the next question" in kernel.execute("%bmad chat k --show").text
    assert "1 turn before the next question" in kernel.execute("%bmad chat k --drop 1").text
    assert "has no turns" in kernel.execute("%bmad chat k --clear").text
