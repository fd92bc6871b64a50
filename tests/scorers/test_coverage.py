"""Tests of an LLM run against code: how they end, and which lines they reach."""

from __future__ import annotations

from bmad_nb.scorers.coverage import measured

CODE = "def f(x):\n    if x > 0:\n        return 1\n    return -1\n"


def test_lines_that_tests_reach_are_counted() -> None:
    """Of four lines the old test reaches three, and a new one the fourth, though it fails."""
    tests = ["assert f(1) == 1", "assert f(-1) == 1", "import os\nassert f(2) == os.path.sep"]
    found = measured(CODE, tests, before="assert f(5) == 1")
    assert ["passed", "failed", "failed"] == [row["state"] for row in found["results"]]
    assert (0.75, 1.0, 0.25) == tuple(found[f"coverage_{k}"] for k in ("before", "after", "delta"))
    assert (1, 2, 0, "") == tuple(found[k] for k in ("passed", "failed", "unusable", "said"))
    assert found["results"][1]["said"].startswith("AssertionError")


def test_what_is_no_test_does_not_run() -> None:
    """No Python, nothing to check, and nothing at all are unusable; the others run all the same."""
    found = measured(CODE, ["f(", "f(1)", None, "assert f(1) == 1"])
    states = [row["state"] for row in found["results"]]
    assert ["unusable", "unusable", "unusable", "passed"] == states
    assert "no Python" in found["results"][0]["said"]
    assert "no assert" in found["results"][1]["said"]
    assert 0.25 == found["coverage_before"]  # its import reaches the line of def


def test_code_and_tests_that_break_are_said_to() -> None:
    """Code that cannot be imported reaches nothing; a test that ends the process fails it and the next."""
    broken = measured("def f(:\n", ["assert f(1) == 1"])
    assert (0, 1, 0.0) == tuple(broken[k] for k in ("passed", "failed", "coverage_after"))
    assert "could not be imported" in broken["said"]
    tests = ["assert f(1) == 1", "import os\nos._exit(0)\nassert True", "assert f(1) == 1"]
    found = measured(CODE, tests)
    assert ["passed", "failed", "failed"] == [row["state"] for row in found["results"]]
    assert "did not come to its end" in found["results"][2]["said"]


def test_old_tests_that_are_no_python_count_for_nothing() -> None:
    """Coverage before is what the import reaches, and the new tests are not disturbed."""
    found = measured(CODE, ["assert f(1) == 1"], before="not Python at all")
    assert (1, 0.25, 0.75) == (found["passed"], found["coverage_before"], found["coverage_after"])
