"""What a widget has around it: a person who can use it, and a kernel that lets it act."""

from __future__ import annotations

from typing import Any

from IPython.core.getipython import get_ipython

from bmad_nb.live.mode import mode_of


def is_live() -> bool:
    """Return whether a person sits before a front end that can show widgets."""
    return mode_of(getattr(get_ipython(), "kernel", None)) == "live"


def act_while_busy(comm: Any) -> None:
    """Let the messages of a view be taken while a cell blocks.

    ipykernel 7.4 sends them back to the shell that spoke last, which is the one that the cell
    blocks; where it does not know this, nothing is changed.
    """
    if hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = lambda _data, default: default  # noqa: SLF001
