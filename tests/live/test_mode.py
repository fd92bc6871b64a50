"""Whether a cell shows something live."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from bmad_nb.errors import SettingsError, UsageProblem
from bmad_nb.live import mode

PERSON, NOBODY = SimpleNamespace(_allow_stdin=True), SimpleNamespace(_allow_stdin=False)


@pytest.fixture(autouse=True)
def unchosen():
    """Leave no choice behind."""
    yield
    mode.choose("auto")


def test_the_front_end_decides() -> None:
    """With a person before it a cell is live; under papermill and in a terminal it is static."""
    assert ("live", "static", "static") == tuple(map(mode.mode_of, (PERSON, NOBODY, None)))


def test_the_environment_goes_before_the_front_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """BMAD_DISPLAY decides, and what is none of its words is an error."""
    monkeypatch.setenv("BMAD_DISPLAY", "static")
    assert "static" == mode.mode_of(PERSON)
    monkeypatch.setenv("BMAD_DISPLAY", "Live")
    assert "live" == mode.mode_of(NOBODY)
    monkeypatch.setenv("BMAD_DISPLAY", "sometimes")
    with pytest.raises(SettingsError, match="'sometimes'"):
        mode.mode_of(PERSON)


def test_what_was_said_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """`%bmad display` decides before BMAD_DISPLAY, until it says auto."""
    monkeypatch.setenv("BMAD_DISPLAY", "live")
    mode.choose("static")
    assert "static" == mode.mode_of(PERSON)
    mode.choose("auto")
    assert "live" == mode.mode_of(PERSON)
    with pytest.raises(UsageProblem, match="live, static or auto"):
        mode.choose("loud")
