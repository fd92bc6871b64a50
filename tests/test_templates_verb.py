"""`bmad workflow create` in a shell and on a terminal: what it writes, refuses, asks and says."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bmad_nb.cli.main import exit_code
from bmad_nb.errors import UsageProblem
from bmad_nb.templates import catalog
from bmad_nb.verbs.base import Front
from bmad_nb.verbs.completion import complete
from bmad_nb.verbs.tree import call
from bmad_nb.workspace import Workspace
from tests.test_cli import bmad, data, environment

CREATE = ("workflow", "create")


def test_templates_are_listed_and_their_parameters_too(project: Path) -> None:
    """`--list` has a line for each of the fourteen, with --template for each parameter; as JSON too."""
    said = bmad(project, *CREATE, "--list")
    assert (0, "") == (said.returncode, said.stderr)
    lines = said.stdout.splitlines()
    assert list(catalog.NAMES) == [line.split()[0] for line in lines[: len(catalog.NAMES)]]
    rows = data(bmad(project, *CREATE, "--list", "--template", "code-review", "--json"))
    assert ["llm", "diff", "language", "reviewer", "max_tokens"] == [
        row["parameter"] for row in rows
    ]
    assert "Python" == rows[2]["default"]


def test_a_template_is_written_validated_and_never_overwritten(project: Path) -> None:
    """The file is the template's own text; a second time it is refused, with --force it is not."""
    said = bmad(project, *CREATE, "--template", "knowledge-extraction")
    assert 0 == said.returncode, said.stderr
    path = project / "knowledge-extraction.yaml"
    assert catalog.text_of("knowledge-extraction") == path.read_text("utf-8")
    assert "execute --definition knowledge-extraction.yaml" in said.stdout
    assert "On the simulated fleet: bmad workflow execute" in said.stdout
    path.write_text("mine", "utf-8")
    again = bmad(project, *CREATE, "--template", "knowledge-extraction", "--set", "about=rain")
    assert (2, "", "mine") == (again.returncode, again.stdout, path.read_text("utf-8"))
    assert "stays as it is" in again.stderr
    assert "--force" in again.stderr
    forced = data(
        bmad(project, *CREATE, "--template", "knowledge-extraction", "--set", "about=rain",
             "--force", "--json")
    )  # fmt: skip
    assert {"about": "rain"} == forced["set"]
    assert "default: rain" in path.read_text("utf-8")
    assert ["knowledge-extraction.yaml"] == [p.name for p in project.glob("*.yaml")]
    assert [] == list(project.glob(".knowledge*"))


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ((), "No template was named"),
        (("--template", "code-revew"), "Did you mean 'code-review'?"),
        (("--template", "code-review", "--set", "langage=Go"), "Did you mean 'language'?"),
        (("--template", "code-review", "--set", "language"), "Write --set name=value"),
        (("--template", "testing-strategy", "--set", "most=some"), "not a whole number"),
        (("--template", "code-review", "--set", f"language=sk-{'a1B2' * 10}"), "looks like a key"),
        (("--template", "code-review", "--customize"), "Give values with --set"),
        (("--template", "code-review", "-o", "no/where.yaml"), "cannot be written"),
    ],
)
def test_what_cannot_be_written_is_said(
    project: Path, ws: Workspace, words: tuple[str, ...], part: str
) -> None:
    """Wrong names, values and places are one typed error of usage, and there is no file."""
    with pytest.raises(UsageProblem) as caught:
        call(Front(ws, "shell"), [*CREATE, *words])
    assert 2 == exit_code(caught.value)
    assert part in f"{caught.value.what} {caught.value.hint}"
    assert [] == list(project.glob("*.yaml"))


def test_names_of_templates_are_completed() -> None:
    """Behind --template the names that begin so are offered."""
    line = "workflow create --template code-"
    assert ("code-", ["code-generation", "code-review"]) == complete(line, {})


def test_in_a_notebook_the_created_workflow_is_defined_at_once(ws: Workspace) -> None:
    """`%bmad workflow create` writes the file and lets `%bmad run NAME` find it by its id."""
    call(Front(ws, "line"), [*CREATE, "--template", "decision-support", "-o", "mine.yaml"])
    assert "decision-support" in ws.workflows


def typed(folder: Path, lines: list[str], *words: str) -> tuple[str, int]:
    """Return what a terminal shows while lines are typed into it, and the exit code."""
    primary, secondary = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "bmad_nb", *words], cwd=folder, stdin=secondary, stdout=secondary,
        stderr=secondary, env=environment(folder), close_fds=True, start_new_session=True,
    )  # fmt: skip
    os.close(secondary)
    shown, left, deadline = b"", list(lines), time.monotonic() + 60
    prompts = 0
    while time.monotonic() < deadline:
        try:
            chunk = os.read(primary, 4096)
        except OSError:
            break
        if not chunk:
            break
        shown += chunk
        while left and shown.count(b"] > ") > prompts:
            prompts += 1
            os.write(primary, left.pop(0).encode() + b"\n")
    os.close(primary)
    return shown.decode("utf-8", "replace"), process.wait(timeout=30)


def test_the_form_on_a_terminal_writes_what_set_writes(project: Path) -> None:
    """Answers typed into the form and --set give the same file; a wrong one is asked again."""
    shown, code = typed(
        project, ["sim/hasty", "", "much", "0.5", "3", ""],
        *CREATE, "--template", "pattern-identification", "--customize", "-o", "form.yaml",
    )  # fmt: skip
    assert 0 == code, shown
    assert "the texts in which patterns are looked for" in shown
    assert "is not a number" in shown
    values = ["--set", "llm=sim/hasty", "--set", "alike=0.5", "--set", "least=3"]
    said = bmad(project, *CREATE, "--template", "pattern-identification", *values, "-o", "set.yaml")
    assert 0 == said.returncode, said.stderr
    form, sets = (project / name for name in ("form.yaml", "set.yaml"))
    assert sets.read_bytes() == form.read_bytes()
    assert catalog.text_of("pattern-identification") != form.read_text("utf-8")


def test_a_form_that_is_left_writes_nothing(project: Path) -> None:
    """The end of input in the middle of the form ends with 130, and there is no file."""
    shown, code = typed(
        project, ["sim/hasty", "\x04"], *CREATE, "--template", "code-review", "--customize"
    )
    assert 130 == code, shown
    assert [] == list(project.glob("*.yaml"))


def test_a_created_template_runs_as_it_says(project: Path) -> None:
    """The command that create prints runs the file on the simulated fleet, and says simulated."""
    words = ("--template", "decision-support", "--set", "llm=sim/hasty")
    said = bmad(project, *CREATE, *words)
    assert 0 == said.returncode
    assert "local/*" not in said.stdout  # no such LLM is in it any more
    line = next(line for line in said.stdout.splitlines() if line.startswith("Run it: "))
    done = bmad(project, *line.removeprefix("Run it: bmad ").split())
    assert 0 == done.returncode, done.stderr
    assert "[winner]" in done.stdout
    assert "simulated" in done.stdout


def test_a_template_that_runs_code_says_so(project: Path) -> None:
    """Without permission it is not run, and what create prints has the word that gives it."""
    said = bmad(project, *CREATE, "--template", "code-generation", "--set", "llm=sim/hasty")
    assert "--allow-python" in said.stdout
    assert "code that an LLM wrote" in said.stdout
    execute = ("workflow", "execute", "--definition", "code-generation.yaml")
    refused = bmad(project, *execute)
    assert 2 == refused.returncode
    assert "--allow-python" in refused.stderr
    assert 0 == bmad(project, *execute, "--allow-python").returncode
