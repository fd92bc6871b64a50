"""A run in the background says what can be done with it."""

from __future__ import annotations

from pathlib import Path

from bmad_nb.workspace import Workspace


def test_a_handle_names_what_it_can_do(project: Path) -> None:
    """While it runs nothing waits that could be interrupted: it offers wait and stop."""
    handle = Workspace().ask("Say one.", "sim/careful", background=True)
    shown = repr(handle)
    assert "0/1 answers" in shown
    assert "Interrupt" not in shown
    assert shown.endswith(f"Next: {handle.name}.wait()   {handle.name}.stop()")
    assert "Say one." == handle.wait(20).text
