"""Whether a cell shows something live, or only what stays in the notebook."""

from __future__ import annotations

import os
from typing import Any, Literal

from bmad_nb.errors import SettingsError, UsageProblem

Mode = Literal["live", "static"]
WORDS = ("live", "static", "auto")
_chosen: list[str] = []
"""What `%bmad display` said last in this process."""


def choose(word: str) -> None:
    """Choose how results are displayed from now on in this process.

    Args:
        word: `live`, `static`, or `auto`, which asks the environment and then the front end.

    Raises:
        UsageProblem: it is none of them.
    """
    if word not in WORDS:
        raise UsageProblem(f"display cannot be {word!r}.", hint="Use live, static or auto.")
    _chosen[:] = [] if word == "auto" else [word]


def mode_of(kernel: Any) -> Mode:
    """Return how a cell of this kernel is to be displayed.

    `%bmad display` goes before `BMAD_DISPLAY`, and that before what the front end says of itself:
    papermill and nbclient allow no input, so nobody sits before them.

    Args:
        kernel: the kernel that runs the cell; None in a terminal, where nothing is live.

    Raises:
        SettingsError: `BMAD_DISPLAY` is none of the words.
    """
    word = _chosen[0] if _chosen else os.environ.get("BMAD_DISPLAY", "").strip().lower()
    if word not in {*WORDS, ""}:
        raise SettingsError(
            f"BMAD_DISPLAY is {word!r:.40}.", hint="Set it to live, static or auto."
        )
    if kernel is None or word == "static":
        return "static"
    return "live" if word == "live" or getattr(kernel, "_allow_stdin", False) else "static"
