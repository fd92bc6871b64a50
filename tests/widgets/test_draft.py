"""A workflow while it is edited: its text keeps what was not changed, its file nobody's work."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bmad_nb import documents, parse
from bmad_nb.errors import DefinitionError, WorkflowError
from bmad_nb.render.form import comments_lost
from bmad_nb.widgets.draft import ABSENT, Draft, starter
from bmad_nb.widgets.sketch import graph, names, waits_for

DATA = Path(__file__).resolve().parents[1] / "data"
FILES = sorted([*DATA.glob("workflows/*.yaml"), *DATA.glob("runnable/*.yaml")])
OURS = [path for path in FILES if path.name != "original_shape.yaml"]
FLOW = """\
# two tasks
workflow: mail   # its id
inputs: {letter: text}
tasks:
  sort:           # first
    prompt: "Kind of {{ letter }}?"
    output: {kind: string, sure: number}
  reply:
    # only for orders
    when: sort.kind == 'sort' and sort.sure > 0.5
    prompt: Answer {{ letter }}, a {{ sort.kind }} ({{ 'sort' }}).
outputs: {text: reply.text, kind: sort.kind}
"""


def test_comments_that_a_change_cannot_keep_are_named_until_they_are_back() -> None:
    """A list whose lines have comments is written anew in one line; undo brings them back."""
    text = "workflow: w\ntasks:\n  a:\n    prompt: hi  # kept\n    needs: [b,  # why\n      c]\n"
    draft = Draft(text)
    draft.put(("tasks", "a", "needs"), ["c"])
    assert ("# why",) == draft.lost
    assert "'# why'" in comments_lost(draft.lost)
    draft.undo()
    assert (text, ()) == (draft.text, draft.lost)
    draft.put(("tasks", "a", "prompt"), "ho")
    assert () == draft.lost
    assert "" == comments_lost(draft.lost)


def test_a_form_changes_one_value_and_no_other_byte() -> None:
    """A changed value leaves comments, order, quotes and layout of all else as they were."""
    draft = Draft(FLOW)
    draft.put(("tasks", "sort", "llm"), "sim/careful")
    added = "    llm: sim/careful\n"
    assert FLOW.replace("sure: number}\n", "sure: number}\n" + added) == draft.text
    draft.put(("tasks", "sort", "llm"), ABSENT)
    assert FLOW == draft.text


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_a_value_put_in_and_taken_out_gives_the_same_file(path: Path) -> None:
    """In every document: limits put into tasks and taken out again leave the same bytes."""
    draft = Draft.of_file(path)
    before = draft.text
    for task in list(draft.tasks)[:2]:
        if draft.get(("tasks", task, "limits")) is ABSENT:
            draft.put(("tasks", task, "limits", "calls"), 7)
            assert 7 == draft.get(("tasks", task, "limits", "calls"))
            assert before.count("#") == draft.text.count("#")
            draft.put(("tasks", task, "limits", "calls"), ABSENT)
    assert documents.same(documents.read(before).data, draft.data)
    assert before == draft.text


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_file_written_equals_the_file_read(path: Path, tmp_path: Path) -> None:
    """A file that is opened and saved has the same bytes, whatever its marks and line ends are."""
    content = path.read_bytes()
    for made in (content, b"\xef\xbb\xbf" + content, content.replace(b"\n", b"\r\n")):
        copy = tmp_path / "flow.yaml"
        copy.write_bytes(made)
        draft = Draft.of_file(copy)
        draft.save()
        assert made == copy.read_bytes()
        assert draft.is_saved


def test_a_short_route_makes_room() -> None:
    """A wish about the route keeps the LLM that the short form named."""
    draft = Draft("workflow: a\ntasks:\n  b: {prompt: x, route: sim/hasty}\n")
    draft.put(("tasks", "b", "route", "prefer"), "cheapest")
    assert {"models": ["sim/hasty"], "prefer": "cheapest"} == draft.get(("tasks", "b", "route"))
    draft.put(("tasks", "b", "route", "prefer"), ABSENT)
    draft.put(("tasks", "b", "route", "models"), ABSENT)
    assert ABSENT is draft.get(("tasks", "b", "route"))


def test_a_renamed_task_is_followed_by_all_that_read_it() -> None:
    """A new id stands in expressions, holes and outputs too, and not in quoted words or comments."""
    draft = Draft(FLOW)
    draft.rename_task("sort", "kind_of")
    expected = (
        FLOW.replace("  sort: ", "  kind_of: ")
        .replace("sort.kind ==", "kind_of.kind ==")
        .replace("and sort.sure", "and kind_of.sure")
        .replace("{{ sort.kind }}", "{{ kind_of.kind }}")
        .replace("kind: sort.kind}", "kind: kind_of.kind}")
    )
    assert documents.same(documents.read(expected).data, draft.data)
    assert ["kind_of", "reply"] == list(draft.tasks)
    assert all(said in draft.text for said in ("# two tasks", "# first", "# only for orders"))
    assert () == draft.problems


def test_a_name_that_is_taken_is_refused() -> None:
    """A task cannot take the id of another task or of an input; nothing is changed."""
    draft = Draft(FLOW)
    for name in ("reply", "letter"):
        with pytest.raises(DefinitionError, match="already"):
            draft.rename_task("sort", name)
    assert FLOW == draft.text


def test_tasks_are_added_copied_and_taken_back() -> None:
    """A new task has a free id, a copy says the same, and each change can be undone."""
    draft = Draft(FLOW)
    assert "task_2" == draft.add_task()
    assert "sort_2" == draft.add_task("sort")
    assert draft.tasks["sort"] == draft.tasks["sort_2"]
    assert draft.undo()
    assert draft.undo()
    assert FLOW == draft.text
    assert not draft.undo()


def test_another_verb_keeps_the_text() -> None:
    """A prompt that becomes a question to a person is still asked, and back again."""
    draft = Draft("workflow: a\ntasks:\n  b: {prompt: 'Ready?'}\n")
    for verb, value in (("approve", {"ask": "Ready?"}), ("prompt", "Ready?")):
        draft.change_verb("b", verb)
        assert {verb: value} == draft.tasks["b"]
    for verb in ("messages", "python", "workflow", "set", "reduce"):
        draft.change_verb("b", verb)
        assert [verb] == list(draft.tasks["b"])


def test_broken_text_is_kept_and_its_problems_said() -> None:
    """What is no YAML, or no workflow, is a draft all the same: problems say where it is wrong."""
    draft = Draft("workflow: a\ntasks: [")
    assert {} == draft.data
    assert 2 == draft.problems[0].line
    with pytest.raises(DefinitionError):
        draft.put(("title",), "x")
    draft.write("workflow: a\ntasks:\n  b: {promt: x}\n")
    assert ["b"] == list(draft.tasks)
    assert {("tasks", "b", "promt"), ("tasks", "b")} == {each.path for each in draft.problems}


def test_a_file_changed_meanwhile_is_not_written_over(tmp_path: Path) -> None:
    """Who else changed the file is heard: nothing is lost until somebody says which text counts."""
    path = tmp_path / "flow.yaml"
    path.write_text(FLOW)
    draft = Draft.of_file(path)
    draft.put(("title",), "mine")
    path.write_text(FLOW + "title: theirs\n")
    assert draft.changed_outside
    with pytest.raises(WorkflowError, match="changed by somebody else"):
        draft.save()
    assert FLOW + "title: theirs\n" == path.read_text()
    mine = draft.text
    draft.reload()
    assert "theirs" == draft.get(("title",))
    draft.undo()
    assert mine == draft.text
    path.unlink()
    with pytest.raises(WorkflowError, match="was removed"):
        draft.save()
    draft.save(over=True)
    assert mine == path.read_text()


def test_another_file_is_not_written_over(tmp_path: Path) -> None:
    """A new workflow does not take the place of a file that nobody opened."""
    path = tmp_path / "flow.yaml"
    path.write_text("mine")
    with pytest.raises(WorkflowError, match="is there already"):
        Draft(starter("x")).save(path)
    assert "mine" == path.read_text()


def test_saving_is_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fails leaves the old file, and no piece of a new one beside it."""
    path = tmp_path / "flow.yaml"
    path.write_text(FLOW)
    path.chmod(0o640)
    draft = Draft.of_file(path)
    draft.put(("title",), "new")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WorkflowError, match="No space left"):
        draft.save()
    assert [path] == [each for each in tmp_path.iterdir() if each.name != "project"]
    assert FLOW == path.read_text()
    monkeypatch.undo()
    draft.save()
    assert 0o640 == path.stat().st_mode & 0o777
    assert "new" == parse.load(path).title


def test_a_link_is_followed(tmp_path: Path) -> None:
    """A file that is a link is changed where it stands, and the link stays one."""
    path, link = tmp_path / "flow.yaml", tmp_path / "link.yaml"
    path.write_text(FLOW)
    link.symlink_to(path)
    draft = Draft.of_file(link)
    draft.put(("title",), "new")
    draft.save()
    assert link.is_symlink()
    assert "new" == parse.load(path).title


def test_what_is_no_file_cannot_be_read(tmp_path: Path) -> None:
    """A folder, a pipe and a file that is too large are refused with a reason."""
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "large.yaml").write_bytes(b"#" * (documents.MAX_BYTES + 1))
    for name, why in (("", "not a file"), ("pipe.yaml", "not a file"), ("large.yaml", "more than")):
        with pytest.raises(WorkflowError, match=why):
            Draft.of_file(tmp_path / name)


def test_a_new_file_begins_with_a_workflow_that_runs(tmp_path: Path) -> None:
    """A file that is not there yet has a sound text; its id is made of the file's name."""
    draft = Draft.of_file(tmp_path / "My Plan 2.yaml")
    assert "my-plan" == draft.data["workflow"]
    assert () == draft.problems
    assert "untitled" == documents.read(starter("2")).data["workflow"]


def test_names_are_those_that_can_be_read() -> None:
    """A prompt can read inputs and results of tasks that do not wait for it."""
    draft = Draft(FLOW)
    assert ["letter", "sort.kind", "sort.sure"] == names(draft.data, draft.tasks, "reply")
    assert ["letter"] == names(draft.data, draft.tasks, "sort")
    assert ["sort"] == waits_for(draft.tasks, "reply")


def test_a_graph_is_drawn_of_what_is_wrong_too() -> None:
    """Tasks that wait for each other, and names that nobody has, still make a picture."""
    draft = Draft("workflow: a\ntasks:\n  b: {prompt: '{{ c.text }}'}\n"
                  "  c: {prompt: '{{ b.text }} {{ gone.text }}'}\n  d: {needs: [c], prompt: x}\n")  # fmt: skip
    view = graph("a", draft.tasks, {"c": 2})
    assert {"b", "c", "d"} == {node.id for node in view.nodes}
    assert {("c", "b"), ("b", "c"), ("c", "d")} == set(view.edges)
    assert ["✕ 2 wrong"] == [node.note for node in view.nodes if node.note]


def test_a_graph_says_whose_llm_is_simulated() -> None:
    """A task of the simulated fleet says so before anything was planned; others do not."""
    draft = Draft("workflow: a\ntasks:\n  b: {prompt: x, llm: [local, sim/hasty]}\n"
                  "  c: {prompt: x, llm: local}\n  d: {prompt: x, route: sim/careful}\n")  # fmt: skip
    view = graph("a", draft.tasks, {})
    assert {"b": True, "c": False, "d": True} == {node.id: node.simulated for node in view.nodes}
