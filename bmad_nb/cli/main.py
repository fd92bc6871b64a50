"""`bmad`: data on standard output, progress and errors on standard error, exit codes as promised.

0 done · 1 failed · 2 wrong use · 3 paused · 4 stopped by a limit · 130 interrupted
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from typing import Any, NoReturn

from bmad_nb.errors import (
    BmadError,
    BudgetExceeded,
    RunCancelled,
    RunPaused,
    UsageProblem,
    WorkflowError,
)
from bmad_nb.render.base import plain


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the words of the command line and exit with the code that they deserve."""
    words = sys.argv[1:] if arguments is None else arguments
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    if hasattr(sys.stdin, "reconfigure"):
        sys.stdin.reconfigure(errors="replace")  # a prompt from a pipe may be any bytes
    try:
        result = _run(words)
        if result is not None and not isinstance(result, int):
            _show(result)
        sys.stdout.flush()
    except BmadError as error:
        _complain(error)
        sys.exit(exit_code(error))
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody reads any more
        sys.exit(0)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print(f"The result could not be written: {error.strerror}.", file=sys.stderr)
        sys.exit(1)
    sys.exit(result if isinstance(result, int) else 0)


def exit_code(error: BmadError) -> int:
    """Return the exit code of an error."""
    if isinstance(error, RunPaused):
        reason = getattr(getattr(error.result, "run", None), "reason", "")
        return {"user": 130, "limit": 4}.get(reason, 3)
    if isinstance(error, RunCancelled):
        return 130
    if isinstance(error, BudgetExceeded):
        return 4
    return 2 if isinstance(error, UsageProblem | WorkflowError) else 1


def _run(words: list[str]) -> Any:
    from bmad_nb.verbs.base import Front
    from bmad_nb.verbs.tree import call
    from bmad_nb.workspace import Workspace

    workspace = Workspace()
    front = Front(workspace, "shell", say=_say)
    if sys.stderr.isatty():
        workspace.on_tick = _Ticker(workspace)
        if sys.stdin.isatty():
            workspace.on_question = _ask
    return call(front, words or ["--help"])


class _Ticker:
    """Rewrites one line on a terminal, at most four times a second."""

    def __init__(self, workspace: Any) -> None:
        self._workspace = workspace
        self._last = time.monotonic()

    def __call__(self) -> None:
        if time.monotonic() - self._last >= 0.25:
            self._last = time.monotonic()
            line = plain(self._workspace.progress.line())[:100]
            sys.stderr.write(f"\r\x1b[K{line}\r")
            sys.stderr.flush()


def _ask(question: Any) -> Any:
    """Ask on the terminal; data on standard output stays data."""
    from bmad_nb.verbs.control import ask_here

    sys.stderr.write("\r\x1b[K")
    with contextlib.redirect_stdout(sys.stderr):
        return ask_here(question)


def _say(text: str) -> None:
    print(plain(text), file=sys.stderr, flush=True)


def _complain(error: BmadError) -> None:
    print(plain(f"{type(error).__name__}: {error.what}"), file=sys.stderr)
    if error.hint:
        print(plain(error.hint), file=sys.stderr)
    partial = getattr(error, "result", None)
    if partial is not None and getattr(partial, "rows", True):  # of a workflow, what is done
        print(repr(partial), file=sys.stderr)


def _show(result: Any) -> None:
    if hasattr(result, "columns"):
        import pandas as pd

        for name in result.select_dtypes("datetimetz"):
            result = result.assign(**{name: result[name].dt.strftime("%Y-%m-%d %H:%M:%S")})

        with pd.option_context(
            "display.width", None, "display.max_columns", None, "display.max_colwidth", 40
        ):
            print(plain(result.to_string(index=False)) if len(result) else "Nothing to show.")
        return
    print(repr(result))
