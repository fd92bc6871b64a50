"""A run in the background says what can be done with it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from bmad_nb.errors import UsageProblem
from bmad_nb.workspace import Workspace


def test_a_conversation_waits_for_its_question_in_the_background(project: Path) -> None:
    """Beside a question that has no answer yet, none is asked without it: the error names the run."""
    ws = Workspace()
    ws.add_llm("slow", lambda _: time.sleep(0.5) or "yes")
    handle = ws.ask("One?", "own/slow", chat="t", background=True)
    with pytest.raises(UsageProblem, match="has no answer yet") as error:
        ws.ask("Two?", "own/slow", chat="t")
    assert "r.wait()" in error.value.hint
    assert "yes" == ws.ask("Alone?", "own/slow", chat="other").text
    handle.wait(20)
    assert ["user", "assistant", "user"] == [
        each.role for each in ws.ask("Two?", "own/slow", chat="t").rows[0].messages
    ]


def test_several_llms_work_in_the_background(project: Path) -> None:
    """`collaborate(background=True)` gives a handle at once, whose `wait()` is the run."""
    ws = Workspace()
    ws.add_llm("slow", lambda _: time.sleep(0.5) or "7")
    handle = ws.collaborate("3 + 4?", "vote", "own/slow,sim/careful", background=True)
    assert "running" == handle.status
    assert "answer" in handle.wait(20).outputs
    assert "completed" == handle.status


def test_a_handle_names_what_it_can_do(project: Path) -> None:
    """While it runs nothing waits that could be interrupted: it offers wait and stop."""
    handle = Workspace().ask("Say one.", "sim/careful", background=True)
    shown = repr(handle)
    assert "0/1 answers" in shown
    assert "Interrupt" not in shown
    assert shown.endswith(f"Next: {handle.name}.wait()   {handle.name}.stop()")
    assert "Say one." == handle.wait(20).text
