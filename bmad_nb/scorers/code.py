"""Code by its tests: an answer's code is run in a process of its own, and the share that holds.

Only who names this scorer runs what an LLM wrote. The process has limits (seconds, memory, files,
no keys in its environment, an empty folder), which hold back mistakes. They are no prison: code
that means harm has the rights of its user, network included.
"""

from __future__ import annotations

import ast
import contextlib
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from bmad_nb.answers.extracting import code
from bmad_nb.errors import UsageProblem
from bmad_nb.scorers.base import Score

LIMITS = """
import resource, sys
mark = sys.stdin.readline().strip()
for name, most in (("CPU", {cpu}), ("AS", {memory}), ("FSIZE", 1000000), ("NOFILE", 64),
                   ("CORE", 0)):
    try:
        resource.setrlimit(getattr(resource, "RLIMIT_" + name), (most, most))
    except (ValueError, OSError):
        pass
sys.path.insert(0, ".")
"""
"""What a process does first: it takes limits on, and reads the mark of what it will tell."""
_TELLS = """
def said(number, holds, why=""):
    sys.__stdout__.write(f"\\n{mark} {number} {holds:d} {why:.80}\\n")
from answer import *
"""


class CodeTests:
    """The share of the reference's tests that an answer's code passes.

    The reference is Python: each `assert` and each function `test_…` is a test, all else prepares
    them. The answer's code is its last fenced block.

    Args:
        timeout_s: seconds for all tests of an answer.
        memory_mb: megabytes of address space.
    """

    name = "code_tests"

    def __init__(self, timeout_s: float = 10.0, memory_mb: int = 512) -> None:
        """Keep the limits."""
        self._timeout_s, self._memory = timeout_s, memory_mb * 2**20

    def score(self, answer: str, reference: str) -> Score:
        """Run the tests; what never ends or breaks has passed none of the tests left.

        Raises:
            UsageProblem: the reference is no Python, or has no test.
        """
        program, count = self._program(reference)
        written = code(answer)
        if written is None:
            return Score(0.0, "no code in the answer")
        mark = secrets.token_hex(16)
        with tempfile.TemporaryDirectory(prefix="bmad-code-") as folder:
            Path(folder, "answer.py").write_text(written, "utf-8", "surrogateescape")
            Path(folder, "tests.py").write_text(program, "utf-8")
            said, ended = in_process(folder, mark, self._timeout_s)
        lines = [line.split(" ", 3)[1:] for line in said.splitlines() if line.startswith(mark)]
        held = {number for number, holds, *_ in lines if holds == "1"}
        early = "" if len(lines) == count else "it ended before its tests did"
        why = next((why for _, holds, *[why] in lines if holds == "0" and why), ended or early)
        return Score(len(held) / count, f"{len(held)} of {count} tests pass{why and f'; {why}'}")

    def _program(self, reference: str) -> tuple[str, int]:
        """Return what runs the tests of a reference, and how many there are."""
        try:
            body = ast.parse(reference).body
        except (SyntaxError, ValueError) as error:
            raise UsageProblem(f"The tests are no Python: {error}.") from None
        limits = LIMITS.format(cpu=round(self._timeout_s) + 1, memory=self._memory)
        lines, count = [limits, _TELLS], 0
        for each in body:
            test = ast.unparse(each)
            if isinstance(each, ast.FunctionDef) and each.name.startswith("test_"):
                lines.append(test)
                test = f"{each.name}()"
            elif not isinstance(each, ast.Assert):
                lines.append(test)
                continue
            inner = test.replace("\n", "\n    ")
            lines.append(
                f"try:\n    {inner}\nexcept BaseException as error:\n"
                f"    said({count}, False, type(error).__name__)\nelse:\n    said({count}, True)"
            )
            count += 1
        if not count:
            raise UsageProblem("The reference has no test.", hint="Write: assert f(1) == 2")
        return "\n".join(lines), count


def passed(answer: str, tests: str) -> dict[str, object]:
    """Return the share of tests that an answer's code passes, and what was said of it."""
    found = CodeTests().score(answer, tests)
    return {"score": found.value, "said": found.explanation}


def in_process(folder: str, mark: str, timeout_s: float) -> tuple[str, str]:
    """Return what a folder's `tests.py` printed, and how it ended; empty if it came to its end."""
    said = Path(folder, "said")  # no pipe: a child that holds it would be waited for
    with said.open("wb") as told, subprocess.Popen(
        [sys.executable, "-I", "-B", "tests.py"], cwd=folder, env={"LANG": "C.UTF-8"},
        stdin=subprocess.PIPE, stdout=told, stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:  # fmt: skip
        ended = ""
        try:
            with contextlib.suppress(subprocess.TimeoutExpired, BrokenPipeError):
                process.communicate(f"{mark}\n".encode(), timeout=timeout_s)
            if process.poll() is None:
                ended = f"over {timeout_s:g} s"
            elif process.returncode:
                ended = "it broke off"
        finally:
            _kill(process)  # and what it has left behind
    return said.read_bytes().decode("utf-8", "replace"), ended


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
