"""Answers, errors and names with escape sequences do nothing to a terminal that shows them."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from bmad_nb.errors import LLMError
from bmad_nb.workspace import Workspace
from tests.hostile import markup, sinks

TEXTS = [each.text for each in markup.payloads() if each.kind in {"terminal", "path"}]
ACTING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What acts on a terminal: all controls but the tab and the end of a line, and turned reading."""
OURS = re.compile(r"\x1b\[[0-3]m")
"""Bold and faint, of our own tables on a terminal; no hostile text is so mild."""


def on_a_terminal(project: Path, *words: str) -> str:
    """Run `bmad` with a terminal as its output and return what it wrote there."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "bmad_nb", *words]
    with subprocess.Popen(command, cwd=project, stdout=theirs, stderr=theirs, stdin=theirs):
        os.close(theirs)
        said = b""
        with contextlib.suppress(OSError):  # the other end is closed
            while more := os.read(ours, 65536):
                said += more
    os.close(ours)
    return said.decode("utf-8").replace("\r\n", "\n")


def test_the_terminal_gets_no_escape_of_a_stored_run(project: Path) -> None:
    """`bmad show`, `bmad runs` and an error write hostile answers without a control character."""

    def fails(messages):
        raise RuntimeError(messages[-1].text)

    with contextlib.closing(Workspace(store=project / ".bmad" / "bmad.db")) as space:
        space.add_llm("echo", lambda messages: messages[-1].text)
        space.add_llm("fails", fails)
        cases = pd.DataFrame({"task": TEXTS[:50], "right": TEXTS[:50]}, index=pd.Index(TEXTS[:50]))
        many = space.compare("{{ task }}", "own/echo,own/fails", over=cases, reference="right").id
        one = space.compare(TEXTS[0], "own/echo,own/fails", raw=True).id
    for words in (("show", many), ("show", one), ("runs",)):
        said = on_a_terminal(project, *words)
        assert many in said or one in said
        assert [] == ACTING.findall(OURS.sub("", said)), words
    said = on_a_terminal(project, "show", "\x1b]0;x\x07\x9b31m")
    assert "There is no run" in said
    assert [] == ACTING.findall(said)


def test_an_error_in_ipython_has_no_escape() -> None:
    """What IPython shows of an error that repeats an LLM's words has no control character."""
    for text in TEXTS:
        assert [] == ACTING.findall("".join(LLMError(text, hint=text)._render_traceback_()))


@pytest.mark.parametrize("kind", sorted({each.kind for each in markup.payloads()}))
def test_plain_forms_have_no_controls(kind: str) -> None:
    """The plain form of every card shows hostile texts without a control character."""
    for each in markup.payloads():
        if each.kind == kind:
            for _, text in sinks.cards(each.text):
                assert [] == ACTING.findall(text)


def test_the_planted_escape_is_found() -> None:
    """The search of these tests finds escapes where they are."""
    assert ACTING.findall("\x1b[31mred") == ["\x1b"]
    assert ACTING.findall("safe\rrm")
    assert [] == ACTING.findall("a\tb\nü")
