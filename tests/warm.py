"""Command lines as processes of their own, without the second that importing takes each time.

A helper process imports everything once and starts nothing. For each command line it forks a child
with its own folder, environment, streams and exit code, in which `main` runs as it does in a shell.
"""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

ROOT = Path(__file__).resolve().parents[1]


class Warm:
    """A helper that runs command lines; a `with` block ends it."""

    def __enter__(self) -> Self:
        self._helper = subprocess.Popen(
            [sys.executable, "-m", "tests.warm"], cwd=ROOT, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        assert self._helper.stdin
        assert self._helper.stdout
        self._helper.stdin.close()
        self._helper.wait(timeout=30)
        self._helper.stdout.close()

    def run(
        self, folder: Path, env: dict[str, str], *words: str, out: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run `bmad WORDS` in a folder to its end; `out` is a terminal for its standard output."""
        assert self._helper.stdin
        assert self._helper.stdout
        with tempfile.TemporaryDirectory() as place:
            order = {"words": words, "cwd": str(folder), "env": env, "place": place}
            order["out"] = out or f"{place}/out"
            self._helper.stdin.write(json.dumps(order) + "\n")
            self._helper.stdin.flush()
            code = int(self._helper.stdout.readline())
            said = "" if out else Path(place, "out").read_bytes().decode()
            err = Path(place, "err").read_bytes().decode()
        for stream in (said, err):
            assert "Traceback" not in stream, stream
            assert "\x1b" not in stream, "No terminal codes go into a pipe."
        return subprocess.CompletedProcess(list(words), code, said, err)


def on_a_terminal(
    warm: Warm, folder: Path, env: dict[str, str], *words: str
) -> tuple[subprocess.CompletedProcess[str], str]:
    """Run a command line whose standard output is a terminal; return what that showed, too."""
    ours, theirs = pty.openpty()
    shown: list[bytes] = []

    def read() -> None:
        with contextlib.suppress(OSError):  # the other end is closed
            while piece := os.read(ours, 65_536):
                shown.append(piece)

    reader = threading.Thread(target=read)
    reader.start()
    done = warm.run(folder, env, *words, out=os.ttyname(theirs))
    os.close(theirs)
    reader.join(timeout=10)
    os.close(ours)
    return done, b"".join(shown).decode()


def _child(order: dict[str, Any]) -> NoReturn:
    """Become the command line."""
    flags = os.O_WRONLY | os.O_CREAT
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(os.open(order["out"], flags), 1)
    os.dup2(os.open(f"{order['place']}/err", flags), 2)
    sys.stdin = os.fdopen(0)  # the one before belongs to the helper, which has read from it
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])
    from bmad_nb.cli.main import main

    code = 70
    try:
        main(order["words"])
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        import atexit

        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _serve() -> None:
    import pandas as pd

    import bmad_nb.export.bundle
    import bmad_nb.export.pages
    import bmad_nb.export.tables
    import bmad_nb.frames
    import bmad_nb.llms.hosted
    import bmad_nb.measures
    import bmad_nb.optimizing
    import bmad_nb.stored.merging
    import bmad_nb.stored.voting
    import bmad_nb.verbs.tree
    import bmad_nb.workspace  # noqa: F401

    pd.DataFrame({"a": [1]}).to_csv()
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if not pid:
            _child(order)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        sys.stdout.write(f"{code}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve()
