"""The task builder without a browser: its widgets are set and clicked, and looked at."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bmad_nb import Workflow, Workspace, parse
from bmad_nb.errors import DefinitionError, UnknownName, UsageProblem
from bmad_nb.verbs.base import Front
from bmad_nb.verbs.tree import call
from bmad_nb.widgets.builder import Builder, build
from bmad_nb.widgets.sheet import Sheet
from bmad_nb.widgets.task_panel import completed
from tests.kernel import Kernel

DATA = Path(__file__).resolve().parents[1] / "data"
FILES = sorted([*DATA.glob("workflows/*.yaml"), *DATA.glob("runnable/*.yaml")])
FLOW = """\
# sums, and who checks them
workflow: sums
inputs: {left: integer}
tasks:
  add:   # the sum
    prompt: What is {{ left }} + 3?
    llm: sim/careful
  check:
    prompt: Is {{ add.text }} right?
    llm: sim/hasty
    output: {right: boolean}
"""
Open = Callable[..., Sheet]


@pytest.fixture
def opened(ws: Workspace, project: Path) -> Open:
    """Return the function that opens the form of a text in a file, and does all at once."""

    def open_one(text: str = FLOW, **options: Any) -> Sheet:
        (project / "flow.yaml").write_text(text, encoding="utf-8", newline="")
        builder = ws.build("flow.yaml", **options)
        builder._sheet = Sheet(builder, delay_s=0)
        return builder.form

    return open_one


def control(sheet: Sheet, *path: str) -> Any:
    """Return the control of a field of the task, or of the workflow, that is shown."""
    return (sheet.panel if sheet.task else sheet.flow).field(path).control


def said(sheet: Sheet, *path: str) -> str:
    """Return the words that stand below a field."""
    box = (sheet.panel if sheet.task else sheet.flow).field(path).box
    return words(box.children[1].value) if len(box.children) > 1 else ""


def words(markup: str) -> str:
    """Return what markup says, as text."""
    return html.unescape(re.sub(r"<[^>]+>", " ", markup))


# --- opening and editing ----------------------------------------------------------------------


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_looking_changes_nothing(path: Path, ws: Workspace) -> None:
    """Opening every task and every folded part of a document leaves each byte of it."""
    builder = build(path, workspace=ws)
    sheet = builder._sheet = Sheet(builder, delay_s=0)
    before = builder.text
    for _, task in sheet.tasks.options:
        sheet.tasks.value = task
        panel = sheet.panel if task else sheet.flow
        for fold in panel.folds:
            fold.value = True
    for index in range(4):
        sheet.tabs.selected_index = index
    sheet.apply()
    assert before == builder.text
    assert () == builder.problems
    sheet.foot.save.click()
    assert before.encode() == path.read_bytes()
    assert "Saved in" in words(sheet.foot.status.value)


def test_what_is_typed_stands_in_the_text(opened: Open) -> None:
    """Fields write their value into the YAML, at its place, and the rest keeps every byte."""
    sheet = opened()
    control(sheet, "prompt").value = "How much is {{ left }} + 4?"
    control(sheet, "limits", "cost").value = "$0.10"
    control(sheet, "needs").value = "check"
    control(sheet, "needs").value = ""
    expected = FLOW.replace("What is {{ left }} + 3?", "How much is {{ left }} + 4?").replace(
        "careful\n", "careful\n    limits: {cost: $0.10}\n"
    )
    assert parse.loads(expected) == sheet.builder.workflow
    assert "# sums, and who checks them" in sheet.builder.text
    assert "add:   # the sum" in sheet.builder.text
    assert sheet.builder.text == sheet.yaml.value


def test_the_yaml_tab_writes_too(opened: Open) -> None:
    """What is typed as YAML stands in the fields, and what is wrong with it is said by line."""
    sheet = opened()
    sheet.yaml.value = FLOW.replace("sim/careful", "sim/librarian")
    assert "sim/librarian" == control(sheet, "llm").value
    sheet.yaml.value = FLOW + "  third: {prompt: x"
    assert "line 12" in words(sheet.yaml_said.value)
    assert "no YAML that can be read" in words(sheet.notice.value)
    assert () == sheet.main.children
    assert sheet.foot.run.disabled
    sheet.yaml.value = FLOW
    assert sheet.main.children
    assert "" == words(sheet.yaml_said.value).strip()


def test_line_ends_survive_the_yaml_tab(opened: Open) -> None:
    """A browser's text has no carriage returns; the file's come back."""
    sheet = opened(FLOW.replace("\n", "\r\n"))
    assert FLOW == sheet.yaml.value
    sheet.yaml.value = FLOW.replace("+ 3", "+ 5")
    assert FLOW.replace("+ 3", "+ 5").replace("\n", "\r\n") == sheet.builder.text


def test_errors_stand_beside_their_fields(opened: Open) -> None:
    """Each problem of the definition is said below the field that it belongs to, and counted."""
    sheet = opened()
    sheet.tasks.value = "check"
    control(sheet, "prompt").value = "Is {{ ad.text }} right?"
    assert "Did you mean 'add'?" in said(sheet, "prompt")
    control(sheet, "when").value = "add.text =="
    assert "✕" in said(sheet, "when")
    control(sheet, "limits", "cost").value = "a lot"
    assert "amount of US dollars" in said(sheet, "limits", "cost")
    control(sheet, "output").value = "{right: "
    assert "not closed" in said(sheet, "output")
    control(sheet, "collaborate", "type").value = "best_of_n"
    control(sheet, "collaborate", "n").value = "0"
    assert "at least 1" in said(sheet, "collaborate", "n")
    assert "2  ✕ 5  check · best_of_n · sim/hasty · simulated" == sheet.tasks.options[2][0]
    assert "Run waits for 5 problems." in words(sheet.foot.waits.value)
    assert sheet.foot.run.disabled
    sheet.tasks.value = "add"
    assert 5 == words(sheet.rest.value).count("✕")
    assert "check.prompt" in words(sheet.rest.value)


def test_options_are_those_of_the_pattern(opened: Open) -> None:
    """A collaboration shows the options that mean something to its type, as the model says."""
    sheet = opened()
    shown = {}
    for kind in ("cascade", "peer_review", "expert"):
        control(sheet, "collaborate", "type").value = kind
        boxes = sheet.panel.top.children
        shown[kind] = {path[1] for path, field in sheet.panel._fields.items()
                       if path[0] == "collaborate" and field.box in boxes} - {"type"}  # fmt: skip
    assert {"models", "n", "diverse", "rounds"} == shown["peer_review"]
    assert {"models", "n", "diverse", "field", "answers", "threshold", "strong"} == shown["cascade"]
    assert {"experts"} == shown["expert"]
    control(sheet, "collaborate", "type").value = ""
    assert FLOW == sheet.builder.text


def test_what_is_missing_here_is_no_error(opened: Open) -> None:
    """An LLM that nobody knows is said at its field with a bar of its own, and Run waits."""
    sheet = opened()
    control(sheet, "llm").value = "sim/carefull"
    assert "Did you mean 'sim/careful'?" in said(sheet, "llm")
    assert "✕" not in said(sheet, "llm")
    assert "Run waits for 2 things that are missing." in words(sheet.foot.waits.value)
    sheet.yaml.value = FLOW.replace("llm: sim/careful", "route: sim/carefull")
    assert "Did you mean 'sim/careful'?" in said(sheet, "llm")
    control(sheet, "llm").value = "sim/careful"
    sheet.foot.fields["left"].value = "4"
    assert not sheet.foot.run.disabled
    assert "" == sheet.foot.waits.value


def test_prompts_are_completed(opened: Open) -> None:
    """Names are offered for the hole that is open, else for a new one; a click puts them in."""
    sheet = opened()
    sheet.tasks.value = "check"
    offered = [each.description for each in sheet.panel.offers.children[1:]]
    assert ["{{ left }}", "{{ add.text }}"] == offered
    control(sheet, "prompt").value = "Is {{ ad right?"
    button = sheet.panel.offers.children[1]
    assert "{{ add.text }}" == button.description
    button.click()
    assert "Is {{ add.text }} right?" == control(sheet, "prompt").value
    assert "Is {{ add.text }} right?" == sheet.builder.workflow.tasks["check"].prompt
    assert "a {{ b }} and {{ c.text }}\nmore" == completed("a {{ b }} and {{ c\nmore", "c.text")


def test_tasks_are_added_renamed_and_deleted(opened: Open) -> None:
    """The buttons beside the list change the text; a name that is taken is refused beside it."""
    sheet = opened()
    sheet.panel.name.value = "check"
    assert "already" in words(sheet.panel.name_said.value)
    sheet.panel.name.value = "total"
    assert "{{ total.text }}" in sheet.builder.text
    assert "total:   # the sum" in sheet.builder.text
    assert "total" == sheet.task
    sheet.copy.click()
    assert "total_2" == sheet.task
    sheet.delete.click()
    sheet.add.click()
    assert {"total", "check", "task_2"} == set(sheet.builder.workflow.tasks)
    sheet.panel.verb.value = "approve"
    control(sheet, "approve", "ask").value = "Shall I go on?"
    assert "Shall I go on?" == sheet.builder.workflow.tasks["task_2"].approve.ask
    for _ in range(6):
        sheet.undo.click()
    assert FLOW == sheet.builder.text


def test_the_workflow_around_the_tasks_is_edited(opened: Open) -> None:
    """Inputs, outputs, title and limits have fields of their own."""
    sheet = opened()
    sheet.tasks.value = ""
    control(sheet, "inputs").value = "left: integer\nright: {type: integer, default: 3}"
    control(sheet, "outputs").value = "{sum: add.text}"
    control(sheet, "title").value = "Sums"
    flow = sheet.builder.workflow
    assert (["left", "right"], "Sums") == (list(flow.inputs), flow.title)
    assert {"sum": "add.text"} == flow.outputs
    assert ["left", "right"] == list(sheet.foot.fields)
    assert "a whole number; without one 3" == sheet.foot.fields["right"].placeholder


def test_the_original_shape_is_converted_on_request(ws: Workspace, project: Path) -> None:
    """A document in the original specification's shape is edited after it was written anew."""
    text = (DATA / "workflows" / "original_shape.yaml").read_text("utf-8")
    (project / "old.yaml").write_text(text)
    builder = build("old.yaml", workspace=ws)
    sheet = builder._sheet = Sheet(builder, delay_s=0)
    flow = builder.workflow
    assert () == sheet.main.children
    assert text == builder.text
    sheet.convert.click()
    assert "workflow: spring-letter" in builder.text
    assert flow == builder.workflow
    assert len(flow.tasks) + 1 == len(sheet.tasks.options)


# --- estimate, plan, run ----------------------------------------------------------------------


def test_the_estimate_follows_the_typing(opened: Open, ws: Workspace) -> None:
    """Cost, time and calls change with the definition, and no call is made for them."""
    sheet = opened()
    before = words(sheet.foot.estimate.value)
    assert re.search(r"Calls\s+2", before)
    assert "simulated" in before
    sheet.foot.budget.value = "$0.05"
    assert "of a $0.05 limit" in words(sheet.foot.estimate.value)
    control(sheet, "collaborate", "type").value = "ensemble"
    control(sheet, "collaborate", "n").value = "4"
    assert re.search(r"Calls\s+6", words(sheet.foot.estimate.value))
    sheet.yaml.value = FLOW.replace("prompt", "promt")
    assert "No estimate" in words(sheet.foot.estimate.value)
    assert 0 == len(ws.calls())


def test_the_graph_follows_the_typing(opened: Open) -> None:
    """The picture has the tasks and lines of what was typed, wrong ones too."""
    sheet = opened()
    assert "check needs add" in words(sheet.graph.value)
    sheet.tasks.value = "check"
    control(sheet, "prompt").value = "Is it so?"
    assert "check needs add" not in words(sheet.graph.value)
    control(sheet, "prompt").value = "Is {{ it.text }} so?"
    assert "✕ 1 wrong" in words(sheet.graph.value)


def test_run_runs_in_the_background(opened: Open, ws: Workspace) -> None:
    """Run hands the workflow over, shows the card of its run, and keeps it."""
    sheet = opened()
    sheet.foot.fields["left"].value = "4"
    sheet.foot.run.click()
    assert sheet.foot.running is not None
    sheet.foot.running.result(timeout=60)
    run = sheet.builder.last_run
    assert "completed" == run.status
    assert {"left": 4} == run.run.inputs
    assert f"Run {run.id}" in words(sheet.foot.result.value + sheet.foot.status.value)
    assert not sheet.foot.run.disabled
    assert "sums" in ws.workflows


def test_a_run_that_cannot_begin_says_why(opened: Open) -> None:
    """Half an amount and a value that looks like a key are said, and nothing is run."""
    sheet = opened(FLOW.replace("{left: integer}", "{left: text}"))
    sheet.foot.fields["left"].value = "sk-proj-0123456789abcdef0123456789abcdef"
    assert "looks like a key" in words(sheet.rest.value)
    assert sheet.foot.run.disabled
    sheet.foot.fields["left"].value = "4"
    sheet.foot.budget.value = "much"
    sheet.foot.run.click()
    assert "much" in words(sheet.foot.status.value)
    assert sheet.foot.running is None


def test_what_nobody_expected_is_said(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of ours in the worker is shown in the form, where somebody looks."""
    sheet = opened()

    def broken() -> None:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr(sheet, "_reckon", broken)
    with pytest.raises(ZeroDivisionError):
        control(sheet, "prompt").value = "x"
    assert "ZeroDivisionError: planted" in words(sheet.foot.status.value)


def test_a_failed_run_shows_its_card(opened: Open) -> None:
    """A run that fails says so, shows what there is of it, and can be begun again."""
    sheet = opened(FLOW.replace("+ 3?", "+ {{ left['x'] }}?"), inputs={"left": 2})
    sheet.foot.run.click()
    sheet.foot.running.result(timeout=60)
    assert "failed" == sheet.builder.last_run.status
    assert "✕" in words(sheet.foot.status.value)
    assert "Failed" in words(sheet.foot.result.value)
    assert not sheet.foot.run.disabled


def test_dry_run_shows_the_plan(opened: Open, ws: Workspace) -> None:
    """Dry run opens the tab with the plan; nobody is asked."""
    sheet = opened()
    sheet.foot.dry_run.click()
    assert 2 == sheet.tabs.selected_index
    assert "Input 'left' has no value." in words(sheet.plan.value)
    assert 0 == len(ws.calls())


def test_run_from_python_waits(opened: Open) -> None:
    """`builder.run` runs what the form says and gives the run back."""
    sheet = opened(inputs={"left": 2})
    assert "completed" == sheet.builder.run().status
    assert sheet.builder.last_run.run.inputs == {"left": 2}
    assert {} == sheet.foot.fields


# --- its file, and taking it away -------------------------------------------------------------


def test_a_conflict_is_said_with_a_way_out(opened: Open, project: Path) -> None:
    """Somebody else's change is not written over: their text can be taken, or written over."""
    sheet = opened()
    control(sheet, "title")
    sheet.panel.field(("prompt",)).control.value = "Mine?"
    (project / "flow.yaml").write_text(FLOW + "title: theirs\n")
    sheet.foot.save.click()
    assert "changed by somebody else" in words(sheet.foot.status.value)
    assert (project / "flow.yaml").read_text() == FLOW + "title: theirs\n"
    assert {sheet.foot.over, sheet.foot.take} <= set(sheet.foot.buttons.children)
    mine = sheet.builder.text
    sheet.foot.take.click()
    assert "theirs" == sheet.builder.workflow.title
    sheet.undo.click()
    assert mine == sheet.builder.text
    sheet.foot.save.click()
    assert mine == (project / "flow.yaml").read_text()


def test_a_new_workflow_gets_a_file(ws: Workspace, project: Path) -> None:
    """Without a name the file is called by the id; a name that is no workflow's is refused."""
    builder = ws.build()
    sheet = builder._sheet = Sheet(builder, delay_s=0)
    sheet.tasks.value = ""
    control(sheet, "workflow").value = "facts"
    sheet.foot.file.value = "facts.txt"
    sheet.foot.save.click()
    assert "Its end is .yaml" in words(sheet.foot.status.value)
    sheet.foot.file.value = ""
    sheet.foot.save.click()
    assert builder.text == (project / "facts.yaml").read_text()
    assert "facts" in ws.workflows
    assert "saved · facts.yaml" in words(sheet.title.value)


def test_it_is_taken_away_in_three_forms(opened: Open) -> None:
    """YAML, a cell and Python each define the same workflow."""
    sheet = opened()
    sheet.tabs.selected_index = 3
    assert FLOW == sheet.away.value
    sheet.away_as.value = "Cell"
    head, _, body = sheet.away.value.partition("\n")
    assert "%%bmad workflow sums" == head
    assert sheet.builder.workflow == parse.loads(body, workflow_id="sums")
    sheet.away_as.value = "Python"
    names: dict[str, Any] = {}
    exec(sheet.away.value, names)
    assert sheet.builder.workflow == names["flow"]
    sheet.yaml.value = "workflow: ["
    assert "Something is wrong" in sheet.away.value


def test_a_workflow_and_an_id_can_be_opened(ws: Workspace) -> None:
    """A workflow from Python, or one that was defined, is edited as the text that it would be."""
    flow = Workflow("greet", inputs={"who": "text"})
    flow.task("hello", prompt="Greet {{ who }}.")
    ws.define(flow)
    for meant in (flow, "greet"):
        assert flow == build(meant, workspace=ws).workflow
    with pytest.raises(UnknownName, match="great"):
        build("great", workspace=ws)
    with pytest.raises(UsageProblem, match="is no workflow"):
        build(3, workspace=ws)  # type: ignore[arg-type]
    with pytest.raises(DefinitionError):
        _ = Builder(build(None, workspace=ws).draft, ws).draft.put(("x",), float("nan"))


# --- how it is shown --------------------------------------------------------------------------

HOSTILE = "<img src=x onerror=bmadHit(1)>\"'><script>bmadHit(2)</script>{{ left }}\x1b[31m$x$"


def shown_by(widget: Any) -> Iterator[str]:
    """Yield the markup of every widget that shows markup."""
    if type(widget).__name__ in {"HTML", "HTMLMath"}:
        yield widget.value
    for each in getattr(widget, "children", ()):
        yield from shown_by(each)


def test_hostile_texts_are_shown_as_text(opened: Open) -> None:
    """A title, an id, an LLM, an input or a prompt full of markup becomes no markup anywhere."""
    quoted = json.dumps(HOSTILE)
    text = (f"workflow: sums\ntitle: {quoted}\ndescription: {quoted}\ninputs:\n  left: text\n"
            f"  {quoted}: text\ntasks:\n  {quoted}: {{prompt: {quoted}, llm: {quoted}}}\n"
            f"  add: {{prompt: {quoted}, when: {quoted}, {quoted}: 1, llm: {quoted}}}\n")  # fmt: skip
    sheet = opened(text)
    for _, task in sheet.tasks.options:
        sheet.tasks.value = task
        for index in range(4):
            sheet.tabs.selected_index = index
        markup = "\n".join(shown_by(sheet.box))
        assert "&lt;img src=x" in markup
        for wrong in ("<img", "<script", "\x1b"):
            assert wrong not in markup
    static = sheet.builder.static()
    assert "<img" not in static["text/html"]
    assert "\x1b" not in static["text/plain"]
    assert not any(getattr(each, "description_allow_html", False) for each in everything(sheet.box))


def everything(widget: Any) -> Iterator[Any]:
    """Yield a widget and all that is in it."""
    yield widget
    for each in getattr(widget, "children", ()):
        yield from everything(each)


def test_the_static_form_reads_well(opened: Open) -> None:
    """The saved form has the plan and the text; a broken one its problems, with their lines."""
    sheet = opened()
    static = sheet.builder.static()
    assert "add" in static["text/plain"]
    assert "What is {{ left }} + 3?" in static["text/plain"]
    assert "<script" not in static["text/html"]
    sheet.yaml.value = FLOW.replace("prompt: Is", "promt: Is")
    static = sheet.builder.static()
    assert "✕ line 9:5: There is no key 'promt' here." in static["text/plain"]
    assert "2 problems to be solved before it can run." in words(static["text/html"])


def test_only_who_can_click_gets_widgets(tmp_path: Path, project: Path) -> None:
    """A front end gets the form and the definition; papermill the definition alone."""
    (project / "flow.yaml").write_text(FLOW)
    cell = "%load_ext bmad_nb\n%bmad build flow.yaml -o b"
    view = "application/vnd.jupyter.widget-view+json"
    with Kernel(project, tmp_path / "home") as kernel:
        static = kernel.execute(cell, allow_stdin=False)
        assert {"text/plain", "text/html"} == set(static.value)
        assert "0" == kernel.value("len(__import__('ipywidgets').widgets.widget._instances)")
        live = kernel.execute(cell)
        assert {"text/plain", "text/html", view} == set(live.value)
        assert static.value["text/html"] == live.value["text/html"]
        assert "'sums'" == kernel.value("b.id")
        assert "True" == kernel.value("__import__('bmad_nb').build(b.path).text == b.text")
        wrong = kernel.execute("%bmad build nothing")
        assert ("error", "UnknownName") == (wrong.status, wrong.ename)


def test_a_shell_says_where_the_form_is(ws: Workspace) -> None:
    """`bmad build` in a terminal says what to do instead."""
    with pytest.raises(UsageProblem, match="form for notebooks") as caught:
        call(Front(ws, "shell"), ["build"])
    assert "bmad lab" in caught.value.hint
