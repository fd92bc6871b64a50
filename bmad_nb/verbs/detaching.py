"""`--detach`: a run that goes on in a process of its own, whatever becomes of this one."""

from __future__ import annotations

import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

from bmad_nb._files import private_file, private_folder
from bmad_nb.errors import BmadError, UsageProblem
from bmad_nb.results import Text
from bmad_nb.verbs.base import Front, shown

PATIENCE_S = 60.0
"""Seconds for which the new process is waited for until its run is durable."""


class NotDetached(BmadError):
    """The process of a detached run ended before its run was there."""


def detached(front: Front, words: list[str], *, as_json: bool) -> Any:
    """Start a process of its own for these words; return once its run is durable.

    Its output goes to a file beside the store. It belongs to no terminal, so that it lives on when
    the terminal is closed.

    Args:
        front: where it was typed.
        words: what stands behind `bmad`, without `--detach`.
        as_json: whether facts are printed as JSON.

    Raises:
        UsageProblem: it was typed above a cell's text.
        NotDetached: the process ended before its run was there; it says why.
    """
    folder = front.workspace.store.path.parent / "detached"
    private_folder(folder.parent)
    private_folder(folder)
    log = folder / f"{uuid.uuid4().hex[:12]}.log"
    private_file(log)
    with log.open("wb") as out:
        child = subprocess.Popen(  # noqa: S603  (our own interpreter, and words as a list)
            [sys.executable, "-m", "bmad_nb", *words],
            stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    run_id = _begun(child, log)
    kept = log.with_name(f"{run_id}.log")
    log.replace(kept)
    program = "bmad" if front.kind == "shell" else "%bmad"
    said = (
        f"run {run_id}\nIt goes on in process {child.pid}; its output: {kept}\n"
        f"Look: {program} workflow status {run_id}   Follow: {program} workflow monitor {run_id} "
        f"--real-time   Stop: {program} pause {run_id}"
    )
    return shown(
        Text(said, {"run_id": run_id, "pid": child.pid, "log": str(kept)}), as_json=as_json
    )


def _begun(child: subprocess.Popen[bytes], log: Path) -> str:
    """Return the id of the run that a process began, once it has said it: it is durable then."""
    until_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < until_s:
        over = child.poll() is not None
        text = log.read_text("utf-8", "replace")
        for line in text.splitlines(keepends=True):
            if line.startswith("run ") and line.endswith("\n"):
                return line.removeprefix("run ").strip()
        if over:
            log.unlink(missing_ok=True)
            raise _ended(text, child.returncode)
        time.sleep(0.02)
    raise NotDetached(
        f"The run has not begun within {PATIENCE_S:.0f} s; its process {child.pid} goes on.",
        hint=f"Its output: {log}",
    )


def _ended(text: str, code: int) -> BmadError:
    """Return what a process said that ended early, as the error that it was."""
    said = text.strip() or f"The process ended with {code}."
    what, _, hint = said.partition("\n")
    kind, colon, rest = what.partition(": ")
    if code == 2:  # wrong use
        return UsageProblem(rest if colon and kind.isidentifier() else what, hint=hint)
    return NotDetached(f"The run did not begin. {what}", hint=hint)
