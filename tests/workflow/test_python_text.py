"""A workflow taken away as Python: the text runs, and builds an equal workflow."""

from __future__ import annotations

import ast
import functools
from pathlib import Path
from typing import Any

import pytest

from bmad_nb import parse
from bmad_nb.errors import DefinitionError
from bmad_nb.workflow.model import Workflow

DATA = Path(__file__).resolve().parents[1] / "data"


def built(text: str) -> Any:
    """Return the workflow that a text of Python builds."""
    names: dict[str, Any] = {}
    exec(compile(text, "text", "exec"), names)
    return names["flow"]


@pytest.mark.parametrize(
    "path", sorted(DATA.glob("*/*.yaml")), ids=lambda path: f"{path.parent.name}/{path.name}"
)
def test_python_builds_the_same_workflow(path: Path) -> None:
    """Every document, taken away as Python and run, is the same workflow again."""
    flow = parse.load(path)
    assert flow == built(flow.to_python())


@pytest.mark.parametrize(
    "text",
    [
        "\"); import os; os.system('x') #", "'''\n\"\"\"\n\\", "{{ a }}\r\n\tb\u2028c\x85", "\\N{DIGIT ONE}",
        "a\n", "", "\u202eb\x00" + "'" * 3, '"' * 3 + "\n" + '"',
    ],
)  # fmt: skip
def test_no_text_becomes_code(text: str) -> None:
    """Whatever a text is, it is a literal: the calls are the two that were meant."""
    flow = Workflow("x", title=text, metadata={text or "k": [text]})
    flow.task("t", prompt=text, metadata={"deep": {"er": [{"text": text}]}})
    tree = ast.parse(flow.to_python())
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    assert ["bmad_nb.Workflow", "flow.task"] == [ast.unparse(each) for each in calls]
    assert flow == built(flow.to_python())


def test_words_of_python_are_written_as_arguments() -> None:
    """`with` and `else` are spelled as `task` takes them."""
    flow = Workflow("x")
    flow.task("a", workflow="other", arguments={"n": "1"}, when="1 > 0", otherwise={"text": "no"})
    assert "arguments=" in flow.to_python()
    assert "otherwise=" in flow.to_python()
    assert flow == built(flow.to_python())


def test_a_function_without_a_name_cannot_be_taken_away() -> None:
    """A function that no text can name is an error, as in YAML."""
    flow = Workflow("x")
    flow.task("a", python=functools.partial(print, 1))
    with pytest.raises(DefinitionError, match="could be imported"):
        flow.to_python()
