"""Scorers of texts, of JSON and of code: against plain reckonings, and with odd answers."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmad_nb.errors import UsageProblem
from bmad_nb.scorers.base import interval
from bmad_nb.scorers.choice import NAMES, scorer_of
from bmad_nb.scorers.code import CodeTests
from bmad_nb.scorers.texts import RougeL, TokenF1, words

WORDS = st.lists(st.sampled_from("abcd"), max_size=12).map(" ".join)
TESTS = "assert f(1) == 2\nassert f(2) == 3\ndef test_zero():\n    assert f(0) == 1\n"


def common(a: Sequence[str], b: Sequence[str]) -> int:
    """Return the length of the longest common subsequence, reckoned by the book."""
    best = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            best[i + 1][j + 1] = best[i][j] + 1 if x == y else max(best[i][j + 1], best[i + 1][j])
    return best[-1][-1]


@given(WORDS, WORDS)
def test_rouge_l_is_the_f1_of_the_longest_common_subsequence(a: str, b: str) -> None:
    """It equals 2 LCS / (m + n), and no order of the two matters."""
    left, right = words(a), words(b)
    total = len(left) + len(right)
    expected = 2 * common(left, right) / total if left and right else float(left == right)
    assert pytest.approx(expected) == RougeL().score(a, b).value == RougeL().score(b, a).value


@given(WORDS, WORDS)
def test_token_f1_is_the_harmonic_mean_of_precision_and_recall(a: str, b: str) -> None:
    """It counts words as often as they stand in both."""
    left, right = list(words(a)), list(words(b))
    both = sum(min(left.count(w), right.count(w)) for w in set(left))
    expected = 0.0
    if both:
        precision, recall = both / len(left), both / len(right)
        expected = 2 * precision * recall / (precision + recall)
    elif not left and not right:
        expected = 1.0
    assert pytest.approx(expected) == TokenF1().score(a, b).value


@pytest.mark.parametrize(
    ("expected", "scorer", "answer", "reference"),
    [
        (1, "regex", "In 1999.", r"\b(19|20)\d\d\b"),
        (0, "regex", "In 99.", r"\b(19|20)\d\d\b"),
        (1, "wording", "Ice floats.", "ice floats"),
        (0, "wording", "xyz", "abc"),
        (1, "json_schema", 'So: {"a": 1}', '{"a": "integer"}'),
        (0, "json_schema", '{"a": "x"}', '{"a": "integer"}'),
        (0, "json_schema", "none", '{"type": "object"}'),
        (1, "code_tests", "```python\ndef f(x):\n    return x + 1\n```", TESTS),
        (2 / 3, "code_tests", "def f(x):\n    return x + 1 if x else 0", TESTS),
        (0, "code_tests", "I cannot.", TESTS),
        (0, "code_tests", "", TESTS),
    ],
)
def test_named_scorers(expected: float, scorer: str, answer: str, reference: str) -> None:
    """Each name scores as it says."""
    assert pytest.approx(expected) == scorer_of(scorer).score(answer, reference).value


REFERENCES = {"json_schema": '{"a": "integer"}', "code_tests": "assert a", "regex": r"(\w+\s?)+x"}


@pytest.mark.parametrize("name", [name for name in NAMES if name != "code_tests"])
@given(answer=st.text(max_size=60))
def test_no_odd_answer_makes_a_scorer_fail(name: str, answer: str) -> None:
    """Whatever an LLM writes gets a score in [0, 1]."""
    assert 0 <= scorer_of(name).score(answer, REFERENCES.get(name, "12")).value <= 1


def test_a_pattern_that_never_ends_is_stopped() -> None:
    """A pattern with repetitions inside of repetitions is an error after a second."""
    began = time.monotonic()
    with pytest.raises(UsageProblem, match="takes over"):
        scorer_of("regex").score("a" * 60 + "!", r"^(a|a|aa)+$")
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("while True: pass", "over 1 s"),
        ("x = [0] * 10**10", "it broke off"),
        ("import os; os._exit(0)", "ended before its tests"),
        ("raise SystemExit(0)", "ended before its tests"),
        ("print('0' * 16 + ' 0 1 ')\ndef f(x): return 0", "AssertionError"),
        ("def f(x):\n    raise ValueError('no')", "ValueError"),
        ("import os\ndef f(x): return os.environ['SECRET_OF_TEST']", "KeyError"),
        ("this is no python", "broke off"),
        ("open('big', 'w').write('x' * 10**8)", "broke off"),
    ],
)
def test_code_that_breaks_passes_nothing(
    code: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Code that loops, takes memory, leaves early or reads the environment passes no test."""
    monkeypatch.setenv("SECRET_OF_TEST", "2")
    found = CodeTests(timeout_s=1.0).score(f"```python\n{code}\n```", "assert f(1) == 2")
    assert 0 == found.value
    assert said in found.explanation


def test_what_code_leaves_behind_is_ended() -> None:
    """A child that an answer's code starts does not outlive its tests."""
    mark = "31536000.25"
    code = f"import subprocess\nsubprocess.Popen(['sleep', '{mark}'])\ndef f(x): return 2"
    assert 1 == CodeTests(timeout_s=5.0).score(code, "assert f(1) == 2").value
    time.sleep(0.2)
    found = subprocess.run(["pgrep", "-f", f"sleep {mark}"], capture_output=True, check=False)
    assert b"" == found.stdout


def test_an_interval_knows_its_kind() -> None:
    """Wilson's for zeros and ones, Student's for others, none for one value."""
    assert (None, None) == interval([0.5])
    assert (0.0, pytest.approx(0.6576, abs=1e-4)) == interval([0.0, 0.0])
    low, high = interval([0.4, 0.6])
    assert (0.0, 1.0) == (low, high)
    assert (None, None) != interval([3.0, 5.0], bounded=False)
