"""`bmad`: data on standard output, progress and errors on standard error, exit codes as promised.

0 done · 1 failed · 2 wrong use · 3 paused · 4 stopped by a limit · 130 interrupted
"""

from __future__ import annotations

import contextlib
import functools
import importlib
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
    sys.exit(result if isinstance(result, int) else getattr(result, "exit_code", 0))


def exit_code(error: BmadError) -> int:
    """Return the exit code of an error."""
    if isinstance(error, RunPaused):
        stopped = getattr(error.result, "run", error.result)
        reason = getattr(stopped, "reason", "")
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

    if "_BMAD_COMPLETE" in os.environ:  # the shell asks what a word can become
        importlib.import_module("bmad_nb.verbs.completion")
    workspace = Workspace()
    front = Front(workspace, "shell", say=_say)
    if not sys.stderr.isatty():
        return call(front, words or ["--help"])
    ticker = _board(workspace) if "--show-progress" in words else _Ticker(workspace)

    def say(text: str) -> None:
        ticker.clear()
        _say(text)

    front.say, workspace.on_tick = say, ticker
    if sys.stdin.isatty():
        workspace.on_question = functools.partial(_ask, ticker)
    try:
        return call(front, words or ["--help"])
    finally:
        ticker.clear()


def _board(workspace: Any) -> Any:
    from bmad_nb.cli.live import Board

    return Board(workspace)


class _Ticker:
    """Rewrites one line on a terminal, at most four times a second."""

    def __init__(self, workspace: Any) -> None:
        self._workspace = workspace
        self._last = time.monotonic()
        self._shown = False

    def __call__(self) -> None:
        if time.monotonic() - self._last >= 0.25:
            self._last = time.monotonic()
            line = plain(self._workspace.progress.line())[:100]
            sys.stderr.write(f"\r\x1b[K{line}\r")
            sys.stderr.flush()
            self._shown = True

    def clear(self) -> None:
        """Take the line away."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._shown = False


def _ask(ticker: Any, question: Any) -> Any:
    """Ask on the terminal; data on standard output stays data."""
    from bmad_nb.verbs.control import ask_here

    ticker.clear()
    with contextlib.redirect_stdout(sys.stderr):
        return ask_here(question)


def _say(text: str) -> None:
    print(plain(text), file=sys.stderr, flush=True)


def _complain(error: BmadError) -> None:
    print(plain(f"{type(error).__name__}: {error.what}"), file=sys.stderr)
    if error.hint:
        print(_for_shell(plain(error.hint)), file=sys.stderr)
    partial = getattr(error, "result", None)
    if partial is not None and getattr(partial, "rows", True):  # of a workflow, what is done
        print(_with_next(repr(partial)), file=sys.stderr)


def _for_shell(text: str) -> str:
    """Return words of ours with commands as a shell takes them."""
    return text.replace("%bmad ", "bmad ")


def _with_next(text: str) -> str:
    """Return a result's text whose next steps are commands: `r` is no word of a shell."""
    above, line, last = text.rpartition("\n")
    if not last.startswith("Next: "):
        return text
    steps = dict.fromkeys(_for_shell(step) for step in last.removeprefix("Next: ").split("   "))
    known = [step for step in steps if step.startswith("bmad ")]
    return f"{above}{line}Next: {'   '.join(known)}" if known else above.rstrip("\n")


def _show(result: Any) -> None:
    if hasattr(result, "columns"):
        _show_frame(result)
        return
    view = getattr(result, "view", None)
    if sys.stdout.isatty() and view is not None:
        from bmad_nb.render.report import ReportView

        drawn = view()
        if isinstance(drawn, ReportView):
            from bmad_nb.cli.live import show_report

            show_report(drawn)
            return
    print(_with_next(repr(result)))


def _show_frame(frame: Any) -> None:
    import pandas as pd

    for name in frame.select_dtypes("datetimetz"):
        frame = frame.assign(**{name: frame[name].dt.strftime("%Y-%m-%d %H:%M:%S")})
    if sys.stdout.isatty() and len(frame):
        from bmad_nb import frames
        from bmad_nb.cli.live import show_frame

        show_frame([*frame.columns], frames.rows_of(frame))
        return
    with pd.option_context(
        "display.width", None, "display.max_columns", None, "display.max_colwidth", 40
    ):
        print(plain(frame.to_string(index=False)) if len(frame) else "Nothing to show.")
