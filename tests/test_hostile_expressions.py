"""Hostile expressions: each is a typed error or a right value, and nothing is run or opened."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmad_nb import prompts
from bmad_nb.errors import TemplateError
from bmad_nb.expressions import brief, evaluate, parse, shown_values
from tests.hostile import expressions as hostile

ROOT = Path(__file__).resolve().parents[1]
HARMLESS = {"builtins.id"}
"""Audit events that the shortening of a list brings."""


def run(*words: str) -> dict[str, Any]:
    """Run the hostile inputs in a process of their own and return what it printed."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.hostile.expressions", *words],
        env=environment, cwd=ROOT, capture_output=True, timeout=300, check=True,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """Give the outcome of every hostile input and the audit events of the second round."""
    return run()


def test_nothing_is_run_opened_or_imported(found: dict[str, Any]) -> None:
    """Over 3,000 hostile inputs, the audit hook sees no event but the parser's and a harmless one."""
    assert set() == set(found["events"]) - HARMLESS
    assert 3000 < sum(len(outcomes) for outcomes in found["outcomes"].values())


def test_the_audit_hook_sees() -> None:
    """Planted: an import, an opened file and a text that is run are seen by the same hook."""
    assert {"import", "open", "exec"} <= set(run("planted")["events"])


@pytest.mark.parametrize("kind", hostile.EXPRESSIONS)
def test_a_hostile_expression_is_a_typed_error(kind: str, found: dict[str, Any]) -> None:
    """Each hostile expression ends in a TemplateError or MissingInput, told in a short sentence."""
    outcomes = {s: found["outcomes"]["expressions"][s] for s in hostile.EXPRESSIONS[kind]}
    wrong = {
        s: o for s, o in outcomes.items() if o.split()[0] not in {"TemplateError", "MissingInput"}
    }
    assert {} == wrong
    assert [] == [o for o in outcomes.values() if len(o) > 320]


def test_there_are_many_hostile_expressions() -> None:
    """There are at least 400 different hostile expressions and templates."""
    sources = {source for group in hostile.EXPRESSIONS.values() for source in group}
    assert 400 <= len(sources | set(hostile.TEMPLATES))


def test_what_only_looks_hostile_has_its_value(found: dict[str, Any]) -> None:
    """The marked few have the value that Python would give them."""
    expected = {source: f"value {brief(value)}" for source, value in hostile.RIGHT.items()}
    assert expected == found["outcomes"]["right"]


@pytest.mark.parametrize("group", ["templates", "forms"])
def test_hostile_templates_and_values_raise_nothing_else(group: str, found: dict[str, Any]) -> None:
    """Templates, and objects that raise or lie, end in a text or a typed error, in every form."""
    outcomes = found["outcomes"][group]
    assert {} == {s: o for s, o in outcomes.items() if o.startswith("ESCAPED")}
    firsts = {o.split()[0] for o in outcomes.values()}
    assert {"value", "TemplateError", "MissingInput"} == firsts


def test_another_error_would_be_seen() -> None:
    """Planted: an error of another class is an outcome that the tests above refuse."""
    assert "ESCAPED ZeroDivisionError" == hostile.outcome(lambda: 1 / 0)


VALID = [
    *hostile.RIGHT, *hostile.FORMS, "answer.a.b[0] + n * 2 - -1", "head(items, 2)[0] + name",
    "size == 'large' and not (n < 3 or n >= 10)", "[x for x in items if x != 'y'][0]",
    "round(sum(x for x in df.n) / len(df.n), 2)", "csv([a for a, b in [[1, 2], [3, 4]]])",
    "coalesce(skipped.output, answer.score, 'none')", "upper(name) if n in [1, 2, 3] else lower(name)",
]  # fmt: skip
SPLICES = [
    *VALID, "__class__", ".", "(", ")", "[", "]", ",", " for x in ", " if ", " else ", "lambda x: ",
    "**", "*", "%", "+", "-", "~", "not ", " in ", " is ", ":=", "'", '"', "f'", "\\", "{", "}", "{{",
    "}}", "\x00", "\ud800", "\u202e", "9" * 40, "1e999", "1j", "await ", "yield ", "\n", ";", "#",
]  # fmt: skip
NAMED = {**hostile.OBJECTS, "v": hostile.OBJECTS["raises"], "w": hostile.OBJECTS["keys"]}


def spliced(draw: random.Random) -> str:
    """Return a valid expression with some of its pieces cut out, doubled or put elsewhere."""
    text = draw.choice(VALID)
    for _ in range(draw.randint(1, 6)):
        start, end = sorted(draw.choices(range(len(text) + 1), k=2))
        middle = draw.choice(["", text[start:end] * 2, draw.choice(SPLICES), draw.choice(SPLICES)])
        text = text[:start] + middle + text[draw.choice([start, end]) :]
    return text[:1200]


def check(source: str) -> bool:
    """Evaluate a source every way there is; return whether it had a value. Other errors escape."""
    for template in (source, f"a {{{{ {source} }}}} b"):
        try:
            prompts.fill(template, NAMED)
            prompts.value_of(template, NAMED)
            prompts.references(template)
        except TemplateError:
            pass
    try:
        tree = parse(source)
        json.dumps(shown_values(tree, NAMED), allow_nan=False)
        evaluate(tree, NAMED)
    except TemplateError:
        return False
    return True


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.text(max_size=80), st.randoms(use_true_random=False).map(spliced)))
def test_any_text_has_a_value_or_a_typed_error(source: str) -> None:
    """Any text, and any mutilated expression, over hostile objects: a value or a TemplateError."""
    check(source)


@pytest.mark.long
def test_a_minute_of_mutations() -> None:
    """A minute of seeded mutations: values and TemplateErrors only, and both of them often."""
    draw, until, counts = random.Random(20), time.monotonic() + 60, [0, 0]
    while time.monotonic() < until:
        counts[check(spliced(draw))] += 1
    assert min(counts) > 100, counts
