"""The model: short forms, Python and YAML as two spellings, and the schema that agrees with both."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bmad_nb
from bmad_nb import parse
from bmad_nb.errors import DefinitionError
from bmad_nb.workflow.model import Workflow, json_schema
from tests.workflow import hostile
from tests.workflow.broken import BROKEN

DATA = Path(__file__).resolve().parents[1] / "data" / "workflows"
SCHEMA = Path(bmad_nb.__file__).parent / "workflow" / "workflow.schema.json"


def at_top(text: str) -> str:
    """Stand in for a function of a user's module."""
    return text


def flow_of(task: dict[str, Any], **fields: Any) -> Workflow:
    """Return a workflow with one task."""
    return parse.from_dict({"workflow": "w", "tasks": {"a": task}, **fields})


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ({"llm": "x/y"}, {"llm": ["x/y"]}),
        ({"route": "x/y"}, {"route": {"models": ["x/y"]}}),
        ({"route": {"models": "x/y"}}, {"route": {"models": ["x/y"]}}),
        ({"fallback": ["skip", "stored"]}, {"fallback": [{"skip": True}, {"stored": True}]}),
        ({"fallback": [{"route": "x/y"}]}, {"fallback": [{"route": {"models": ["x/y"]}}]}),
        ({"checks": [{"judge": "out.x"}]}, {"checks": [{"judge": {"that": "out.x"}}]}),
        ({"timeout": "2m"}, {"timeout": 120}),
        ({"limits": {"cost": "$0.10"}}, {"limits": {"cost": 0.1}}),
        ({"limits": {"time": "500ms"}}, {"limits": {"time": 0.5}}),
    ],
)
def test_a_short_form_is_what_it_stands_for(short: Any, long: Any) -> None:
    """Both spellings give equal workflows."""
    assert flow_of({"prompt": "x", **long}) == flow_of({"prompt": "x", **short})


def test_an_input_may_be_its_type_alone() -> None:
    """A declared input without a default must be given."""
    flow = Workflow("w", inputs={"a": "text", "b": {"type": "list", "default": []}})

    assert [True, False] == [each.required for each in flow.inputs.values()]


def test_python_and_yaml_are_two_spellings() -> None:
    """A workflow built in Python is the one that its document says."""
    flow = Workflow("greet", inputs={"who": "text"}, limits={"cost": 0.1, "time": 600})
    flow.task("hello", prompt="Greet {{ who }}.", llm="x/y", retry={"attempts": 2, "for": ["any"]})
    flow.task("done", set={"skip": "hello.text"}, when="true", otherwise=None)
    flow.task("call", python="m:f", arguments={"x": "{{ who }}"}, metadata={"stored": 1})
    expected = """\
workflow: greet
inputs:
  who: {type: text}
limits: {cost: $0.10, time: 600s}
tasks:
  hello:
    prompt: "Greet {{ who }}."
    llm: [x/y]
    retry:
      attempts: 2
      for: [any]
  done:
    set: {skip: hello.text}
    when: "true"
    else: null
  call:
    python: "m:f"
    with: {x: "{{ who }}"}
    metadata: {stored: 1}
"""

    assert expected == flow.to_yaml()
    assert flow == parse.loads(expected)


@settings(deadline=None, max_examples=200)
@given(st.floats(0, 1e8, allow_nan=False) | st.integers(0, 10**8))
def test_durations_and_money_keep_their_value(value: float) -> None:
    """Any number of seconds or dollars reads back equal, and no digit is added."""
    flow = flow_of({"prompt": "x", "timeout": value}, limits={"cost": value})
    back = parse.loads(flow.to_yaml())

    assert float(value) == back.tasks["a"].timeout
    assert Decimal(str(value)) == back.limits.cost
    assert flow == back


def test_what_was_read_keeps_its_text() -> None:
    """Comments, order and short forms survive; what was added or changed is written in."""
    for path in sorted(DATA.glob("[1-6]*.yaml")):
        assert path.read_text("utf-8") == parse.load(path).to_yaml()
    text = (DATA / "1_contract_check.yaml").read_text("utf-8")
    flow = parse.loads(text)
    flow.task("sign", needs=["letter"], set={"done": "letter.text"})
    flow.task("letter", reduce={"from": "prove", "prompt": "Briefly:\n{{ items }}"})
    changed = flow.to_yaml()

    assert "# whose law holds\n" in changed
    assert "  sign:\n    set: {done: letter.text}\n    needs: [letter]\noutputs:" in changed
    assert "    priority: high\n" in text and "    priority: high\n" not in changed
    assert flow == parse.loads(changed)
    head = text[: text.index("  letter:")]
    assert head == changed[: len(head)]
    del flow.tasks["sign"]
    assert "sign" not in flow.to_yaml()


def test_the_original_shape_is_written_in_ours() -> None:
    """A document of the original specification comes back as ours."""
    flow = parse.load(DATA / "original_shape.yaml")

    assert flow.to_yaml().startswith("workflow: spring-letter\n")
    assert flow == parse.loads(flow.to_yaml())


def test_a_function_is_written_by_its_name_or_refused() -> None:
    """A function at the top of a module is `module:name`; a lambda or an inner one is an error."""
    flow = Workflow("w")
    flow.task("a", python=at_top)
    assert f"{__name__}:at_top" == flow.to_dict()["tasks"]["a"]["python"]
    assert flow == parse.loads(flow.to_yaml())

    def inner() -> None: ...

    for function in (lambda: 1, inner, "x".upper):
        flow.task("a", python=function)
        assert ":" in flow.to_dict()["tasks"]["a"]["python"]
        if function != "x".upper:
            with pytest.raises(DefinitionError, match="no name that could be imported"):
                flow.to_yaml()


def test_a_wrong_task_is_refused_in_python_too() -> None:
    """The path stands in the place of line and column; nothing is added."""
    flow = Workflow("w")

    with pytest.raises(DefinitionError, match=r"tasks.a.promt: There is no key 'promt' here"):
        flow.task("a", promt="x")
    with pytest.raises(DefinitionError, match="'A b' cannot be a name"):
        flow.task("A b", prompt="x")
    assert {} == flow.tasks


def test_the_shipped_schema_is_the_models() -> None:
    """The file beside the model is what the model says, and a sound schema."""
    assert json_schema() == json.loads(SCHEMA.read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(json_schema())


VALIDATOR = jsonschema.Draft202012Validator(json_schema())
MODEL_ONLY = (
    "no input or task", "no task ", "needs itself", "has no field", "wait for each other",
    "is not an expression", "no function", "unknown to expressions", "meaning", "an input and a task",
    "on_timeout", "is not an option", "stands in 'options' twice", "Only", "LLMs", "'cascade' has no", "no 'cascade'",
    "is not a type", "form of output", "keyword", "no fields", "'required'", "'minimum'", "experts",
    "'default'", "The default", "'enum'", "file cannot", "An expert",
)  # fmt: skip
"""What a JSON Schema cannot say, or is not made to say: names, outputs, and ties between values."""


@pytest.mark.parametrize("kind", BROKEN)
def test_schema_and_model_refuse_the_same(kind: str) -> None:
    """A document of the table is refused by the schema too, unless it is one of the differences."""
    from bmad_nb import documents

    text, said = BROKEN[kind]
    try:
        data = documents.read(text).data
    except DefinitionError:
        return  # no schema sees it
    known = all(any(word in line for word in MODEL_ONLY) for line in said)
    assert known or not VALIDATOR.is_valid(data), said


def test_what_loads_is_accepted_by_the_schema() -> None:
    """The examples, and each value of a wrong kind that the model takes, are sound to the schema."""
    from bmad_nb import documents

    texts = {path.stem: path.read_text("utf-8") for path in DATA.glob("[1-6]*.yaml")}
    texts |= dict(hostile.misfits())
    differing = []
    for name, text in texts.items():
        try:
            parse.loads(text)
        except DefinitionError as error:
            model = all(any(word in each.what for word in MODEL_ONLY) for each in error.problems)
            sound = model
        else:
            sound = True
        if sound is not VALIDATOR.is_valid(documents.read(text).data):
            differing.append(name)

    assert [] == differing
