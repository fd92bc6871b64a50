"""Fields made from the model: what stands in them, and what it means in a document."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bmad_nb import documents
from bmad_nb.widgets.draft import ABSENT
from bmad_nb.widgets.fields import Unreadable, read, shown, snippet, specs, value_of
from bmad_nb.workflow.model import Task
from bmad_nb.workflow.parts import Collaborate, Limits, Retry
from bmad_nb.workflow.rules import COLLABORATIONS

DATA = Path(__file__).resolve().parents[1] / "data"


def test_fields_come_from_the_model() -> None:
    """Each key of the model has a field, and its words are the model's own."""
    assert {field.alias or name for name, field in Task.model_fields.items()} == set(specs(Task))
    types = specs(Collaborate)["type"]
    assert ("choice", set(COLLABORATIONS)) == (types.kind, set(types.choices))
    kinds = {key: specs(model)[key].kind for model, key in (
        (Task, "prompt"), (Task, "when"), (Task, "needs"), (Task, "output"), (Task, "timeout"),
        (Limits, "cost"), (Retry, "jitter"), (Retry, "for"), (Task, "title"))}  # fmt: skip
    assert {
        "prompt": "long", "when": "code", "needs": "list", "output": "yaml", "timeout": "number",
        "cost": "number", "jitter": "flag", "for": "list", "title": "text",
    } == kinds  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("list", "a, b ,", ["a", "b"]), ("list", "[a, 2]", ["a", 2]), ("list", " ", ABSENT),
        ("number", "3", 3), ("number", "0.5", 0.5), ("number", "$0.50", "$0.50"),
        ("number", "90s", "90s"), ("number", "a lot", "a lot"), ("text", " x ", "x"),
        ("long", " x\n", " x\n"), ("yaml", "label: string\nsure: number",
                                   {"label": "string", "sure": "number"}),
        ("yaml", "[1, {a: b}]", [1, {"a": "b"}]), ("yaml", "", ABSENT), ("choice", "best", "best"),
    ],
)  # fmt: skip
def test_what_is_typed_is_a_value(kind: Any, text: str, value: Any) -> None:
    """A field's text is the value that a document would have, valid or not."""
    assert value is read(kind, text) or documents.same(value, read(kind, text))


def values(data: Any) -> list[Any]:
    """Return every value inside a value."""
    inner = (
        list(data.values()) if isinstance(data, dict) else data if isinstance(data, list) else []
    )
    return [data, *(each for child in inner for each in values(child))]


@pytest.mark.parametrize(
    "path", sorted(DATA.glob("*/*.yaml")), ids=lambda path: f"{path.parent.name}/{path.name}"
)
def test_a_piece_of_yaml_is_the_value_that_it_was(path: Path) -> None:
    """Each value of each document, shown as a piece of YAML, is read back as the same value."""
    for value in values(documents.read(path.read_text("utf-8")).data):
        assert documents.same(value, value_of(snippet(value)))
        if isinstance(value, str):
            assert value == shown("long", value)


def test_what_is_no_yaml_is_no_value() -> None:
    """An open bracket stays in its field, with the reason."""
    with pytest.raises(Unreadable) as caught:
        read("yaml", "{a: [1,")
    assert "not closed" in caught.value.problems[0].what
