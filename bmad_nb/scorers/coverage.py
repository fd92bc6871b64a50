"""Tests by what they reach: each is run against code, and the lines that they execute are counted.

Like `code`, it runs what an LLM wrote, in a process of its own with limits, and only who names it
does that.
"""

from __future__ import annotations

import ast
import json
import secrets
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bmad_nb.scorers.code import LIMITS, in_process

TIMEOUT_S = 10.0
"""Seconds for all tests together."""
MEMORY_MB = 512
"""Megabytes of address space."""
_REST = """
lines = set()
def watch(frame, event, _):
    if frame.f_code.co_filename.endswith("answer.py"):
        lines.add(frame.f_lineno)
        return watch
def reach(code):
    found = {line for _, _, line in code.co_lines() if line}
    for inner in code.co_consts:
        if hasattr(inner, "co_lines"):
            found |= reach(inner)
    return found
import importlib.util, json
spec = importlib.util.spec_from_file_location("answer", "answer.py")
every = reach(spec.loader.get_code("answer"))
sys.settrace(watch)
module = importlib.util.module_from_spec(spec)
sys.modules["answer"] = module
spec.loader.exec_module(module)
sys.settrace(None)
begun = set(lines)
def tell(**said):
    sys.__stdout__.write("\\n" + mark + json.dumps(said) + "\\n")
    sys.__stdout__.flush()
tell(lines=len(every), begun=sorted(begun & every))
for number, test in enumerate(json.loads(open("tests.json").read())):
    lines, why = set(), ""
    names = dict(vars(module))
    sys.settrace(watch)
    try:
        exec(test, names)
    except BaseException as error:
        why = type(error).__name__ + (": " + str(error) if str(error) else "")
    sys.settrace(None)
    tell(test=number, why=why[:200], lines=sorted(lines & every))
"""


def measured(code: str, tests: Sequence[Any], before: str = "") -> dict[str, Any]:
    """Return how new tests end, and how much more of the code they execute than the old ones.

    Coverage is the share of the lines of `code` with something to execute; those that run when it
    is imported count for both. A test that breaks has executed lines too, and is counted as failed.

    Args:
        code: the code under test, a module.
        tests: texts of Python, each a test of its own that reads the names of the module; one that
            is no Python, or has nothing to check, is `unusable` and does not run.
        before: the tests that are there already: Python, too.

    Returns:
        `results` (`test`, `state` passed, failed or unusable, `said`), their counts,
        `coverage_before` and `coverage_after` in [0, 1], and their difference `coverage_delta`.
        `said` is why nothing could be run, else empty.
    """
    texts = [str(each or "") for each in tests]
    usable = [text for text in texts if not _fault(text)]
    old = [before] if before.strip() and not _syntax(before) else []
    told = _told(code, [*old, *usable])
    head, *each = told or [{"lines": 0, "begun": []}]
    by_number = {row["test"]: row for row in each}
    ended = iter(by_number.get(number) for number in range(len(old), len(old) + len(usable)))
    results = [_result(text, ended) for text in texts]
    reached = {0: set(head["begun"])}
    for number in range(len(old) + len(usable)):
        row = by_number.get(number, {"lines": []})
        reached[number + 1] = reached[number] | set(row["lines"])
    shares = [len(reached[n]) / (head["lines"] or 1) for n in (len(old), len(reached) - 1)]
    states = [row["state"] for row in results]
    return {
        "results": results,
        **{state: states.count(state) for state in ("passed", "failed", "unusable")},
        "coverage_before": round(shares[0], 4),
        "coverage_after": round(shares[1], 4),
        "coverage_delta": round(shares[1] - shares[0], 4),
        "said": "" if told else "The code could not be imported.",
    }


def _syntax(text: str) -> str:
    """Return why a text is no Python; empty if it is."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd escapes are no fault
            ast.parse(text)
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        return f"It is no Python: {str(error)[:120]}."
    return ""


def _fault(text: str) -> str:
    """Return why a text cannot be a test; empty if it can."""
    if said := _syntax(text):
        return said
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nodes = list(ast.walk(ast.parse(text)))
    checks = any(isinstance(node, ast.Assert | ast.Raise) for node in nodes)
    return "" if checks else "It has no assert."


def _result(text: str, ended: Any) -> dict[str, str]:
    if fault := _fault(text):
        return {"test": text, "state": "unusable", "said": fault}
    row = next(ended)
    if row is None:
        return {"test": text, "state": "failed", "said": "It did not come to its end."}
    return {"test": text, "state": "failed" if row["why"] else "passed", "said": row["why"]}


def _told(code: str, tests: Sequence[str]) -> list[dict[str, Any]]:
    """Return what the process told: the lines of the code, and then a row for each test."""
    mark = secrets.token_hex(16)
    limits = LIMITS.format(cpu=round(TIMEOUT_S) + 1, memory=MEMORY_MB * 2**20)
    with tempfile.TemporaryDirectory(prefix="bmad-tests-") as folder:
        Path(folder, "answer.py").write_text(code, "utf-8", "surrogateescape")
        Path(folder, "tests.json").write_text(json.dumps(list(tests)), "utf-8")
        Path(folder, "tests.py").write_text(limits + _REST, "utf-8")
        said, _ = in_process(folder, mark, TIMEOUT_S)
    rows = [line.removeprefix(mark) for line in said.splitlines() if line.startswith(mark)]
    return [json.loads(row) for row in rows]
