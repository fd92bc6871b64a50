"""Templates as data: each is sound and documented, and what is set stands in it with all comments."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from bmad_nb import documents
from bmad_nb.errors import DefinitionError, UnknownName, UsageProblem
from bmad_nb.reducers import FREE
from bmad_nb.templates import catalog

FOLDER = Path(catalog.__file__).parent
RUNS_CODE = {"code-generation", "testing-strategy"}
"""Templates that run what an LLM wrote, and that nobody runs without allowing it."""


def comments(text: str) -> list[str]:
    """Return the comments of a document."""
    return [line.partition("#")[2] for line in text.splitlines() if "#" in line]


def test_each_file_is_a_template() -> None:
    """The list of names and the files of the folder are the same fourteen."""
    assert 14 == len(catalog.NAMES)
    assert sorted(catalog.NAMES) == sorted(path.stem for path in FOLDER.glob("*.yaml"))


@pytest.mark.parametrize("name", catalog.NAMES)
def test_a_template_is_sound_and_documented(name: str) -> None:
    """It has its name as id, a title, a description, and says of each parameter what it is."""
    flow = catalog.workflow(name)
    assert name == flow.id
    assert flow.title and flow.description
    assert flow.outputs
    for each in catalog.parameters(name).values():
        assert each.description, each.name
    for key, declared in flow.inputs.items():
        assert not declared.required, f"{key} has no sample"


@pytest.mark.parametrize("name", catalog.NAMES)
def test_a_template_checks_its_answers(name: str) -> None:
    """Each has a check, and a declared form for what its LLMs answer."""
    tasks = catalog.workflow(name).tasks.values()
    assert any(task.checks for task in tasks)
    assert any(task.output for task in tasks)


@pytest.mark.parametrize("name", catalog.NAMES)
def test_a_template_calls_only_what_needs_no_permission(name: str) -> None:
    """Functions are the free ones; the two templates that run code say so in their first lines."""
    named = {task.python for task in catalog.workflow(name).tasks.values() if task.python}
    assert (name in RUNS_CODE) == bool(named - FREE)
    if name in RUNS_CODE:
        assert "--allow-python" in catalog.text_of(name)[:400]


def other(parameter: catalog.Parameter) -> Any:
    """Return a value of the same type that is not the default."""
    values = {"text": 'another: "text"\nof 2 lines # x', "string": "another", "list": ["a", 1],
              "integer": 7, "number": 0.25, "boolean": True, "object": {"a": 1}}  # fmt: skip
    return values[parameter.kind]


@pytest.mark.parametrize("name", catalog.NAMES)
def test_what_is_set_stands_in_the_document(name: str) -> None:
    """Each value stands at all its places, everything else is as it was, comments too."""
    known = catalog.parameters(name)
    values = {key: other(each) for key, each in known.items()}
    values |= {key: "sim/hasty" for key in known if key.endswith("llm") or key == "reviewer"}
    values |= {key: ["sim/flaky", "sim/careful"] for key in known if key == "panel"}
    text = catalog.customised(name, values)
    assert comments(catalog.text_of(name)) == [c for c in comments(text) if c != " x"]
    before, after = documents.read(catalog.text_of(name)).data, documents.read(text).data
    assert before != after
    for key, each in known.items():
        for place in each.places:
            inner, same = after, before
            for part in place[:-1]:
                inner, same = inner[part], same[part]
            assert values[key] == inner[place[-1]]
            if isinstance(same, dict) and place[-1] not in same:
                del inner[place[-1]]
            else:
                inner[place[-1]] = same[place[-1]]
    assert before == after


def test_nothing_set_changes_nothing() -> None:
    """Without values the document is the template, byte for byte."""
    for name in catalog.NAMES:
        assert catalog.text_of(name) == catalog.customised(name, {})


def test_an_unknown_name_is_an_error_with_the_nearest_one() -> None:
    """Templates and parameters that are not there are refused by name, with a guess."""
    with pytest.raises(UnknownName, match="template 'code-reviev'") as caught:
        catalog.text_of("code-reviev")
    assert "Did you mean 'code-review'?" in caught.value.hint
    with pytest.raises(UnknownName, match="parameter 'langage'") as caught:
        catalog.customised("code-review", {"langage": "Go"})
    assert "Did you mean 'language'?" in caught.value.hint
    with pytest.raises(UnknownName):
        catalog.text_of("../catalog")


def test_a_value_that_makes_no_workflow_is_refused() -> None:
    """A value of another type is a problem of the document, said with its line."""
    with pytest.raises(DefinitionError, match="must be a whole number"):
        catalog.customised("testing-strategy", {"most": "two"})
    with pytest.raises(UsageProblem, match="not a whole number"):
        catalog.parameters("testing-strategy")["most"].read("two")
    assert 2 == catalog.parameters("testing-strategy")["most"].read("2")
    assert ["a", "b"] == catalog.parameters("architecture-design")["panel"].read("a, b")


def test_each_part_of_the_parameters_is_used() -> None:
    """No two parameters of a template write to the same place."""
    for name in catalog.NAMES:
        places = [place for each in catalog.parameters(name).values() for place in each.places]
        for one, two in itertools.combinations(places, 2):
            assert one != two, (name, one)
