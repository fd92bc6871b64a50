"""Two runs of a workflow beside each other, as `%bmad diff` shows them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bmad_nb.render.run_changes import kind_of, run_changes_html, run_changes_text, sentence
from bmad_nb.runs.contrasted import RunChanges
from bmad_nb.workspace import Workspace
from tests.verbs_of import typed

FLOW = """workflow: tea
inputs: {topic: text}
tasks:
  facts: {prompt: "Name a fact about {{ topic }}.", llm: sim/hasty}
  note: {prompt: "Always the same.", llm: sim/careful}
outputs: {facts: facts.text}
"""


@pytest.fixture
def both(project: Path) -> RunChanges:
    """Give two runs with different inputs."""
    ws = Workspace()
    (project / "tea.yaml").write_text(FLOW)
    before = ws.run("tea.yaml", {"topic": "ice"})
    return ws.run("tea.yaml", {"topic": "snow"}).against(before)


def test_each_task_says_what_became_of_it(both: RunChanges) -> None:
    """What differs is counted and stands first, in words and in a frame; what is the same is said."""
    assert {"facts": "otherwise", "note": "same"} == {
        row["task"]: kind_of(row) for row in both.records()
    }
    assert "1 task with another result, 1 same" == sentence(both.view())
    page = run_changes_html(both.view())
    assert page.index("facts") < page.index("note")
    assert "snow" in page
    assert [False, True] == sorted(both.df["same"])


def test_simulated_llms_say_so_on_the_card_and_in_the_text(both: RunChanges) -> None:
    """The word stands at the LLM, at its price, at its time, and in a sentence."""
    page, text = run_changes_html(both.view()), run_changes_text(both.view())
    assert 5 <= page.count("simulated")
    assert "sim/hasty (simulated)" in text
    assert "Simulated LLMs are among them" in page
    assert "Simulated LLMs are among them" in text


@pytest.mark.parametrize(
    ("now", "old", "expected"),
    [("done", None, "new"), (None, "done", "gone"), ("done", "failed", "done now"),
     ("failed", "done", "not done now"), ("failed", "failed", "same"),
     ("skipped", "failed", "otherwise")],
)  # fmt: skip
def test_states_decide_before_answers(now: str | None, old: str | None, expected: str) -> None:
    """A task that is done in one run only is said before its answers are compared."""
    assert expected == kind_of({"state": now, "state_other": old, "same": False})


def test_the_verb_gives_the_card_its_json_and_its_name(both: RunChanges) -> None:
    """`%bmad diff RUN RUN -o d` binds it, `--json` has a row per task, `--python` is what it calls."""
    ws = Workspace()
    line = f"diff {both.before.run_id} {both.run.run_id}"
    found = typed(ws, line)
    assert isinstance(found, RunChanges)
    assert "text/html" in found._repr_mimebundle_()
    assert ["facts", "note"] == sorted(row["task"] for row in found.to_json()["tasks"])
    assert f"ws.run_of('{both.run.run_id}').against(" in typed(ws, f"{line} --python").text
