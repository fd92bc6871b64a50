"""Every control of the task builder, used in a real JupyterLab and Notebook 7; each does something."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.browser.controls import Controls
from tests.browser.test_builder import FLOW

SETUP = """%load_ext bmad_nb
import bmad_nb
from bmad_nb.llms.simulated import Persona, SimulatedLLM
from bmad_nb.workspace import default_workspace
skills = (("math", 0.9), ("facts", 0.9), ("classify", 0.9), ("general", 0.9))
default_workspace().add_llm("own/slow", SimulatedLLM(Persona("slow", skills, "1.00", "4.00", 1.5)));"""
OLD = """id: old
name: Old shape
tasks:
  - {id: only, name: Say hello, task_type: documentation_creation}
"""
FOLDS = ("Route", "Answer", "When it fails", "More")


class Form:
    """One builder in the page.

    Args:
        page: playwright's page.
        number: which one, counted from 0.
    """

    def __init__(self, page, number):
        """Find it."""
        self.page = page
        self.scope = f'.jp-CodeCell[data-form="{number}"] .bmad-form'
        self.at = page.locator(".bmad-form").nth(number)
        self.at.evaluate(f"each => {{ each.closest('.jp-CodeCell').dataset.form = '{number}'; }}")
        self.at = page.locator(self.scope)
        self.yaml = self.at.locator('textarea[rows="20"]').nth(0)

    def press(self, name):
        """Press the button with this name."""
        self.at.get_by_role("button", name=name, exact=True).click()

    def says(self, text):
        """Wait until it says a text."""
        self.at.get_by_text(text).first.wait_for(timeout=20_000)

    def tab(self, name):
        """Open a tab."""
        self.at.locator(".lm-TabBar-tab").filter(has_text=name).last.click()

    def tasks(self):
        """Return the ids in the list of tasks, the workflow's line left out."""
        options = self.at.locator(".bmad-side select option").all_inner_texts()
        options = [each.replace("\xa0", " ") for each in options]
        return [each.split("  ")[-1].split(" · ")[0] for each in options[1:]]

    def has_tasks(self, count):
        """Wait until there are so many tasks."""
        until_s = time.monotonic() + 20
        while len(found := self.tasks()) != count:
            assert time.monotonic() < until_s, found
            time.sleep(0.05)

    def reads(self, *words):
        """Wait until the text of the definition, in the tab YAML, has all of these words."""
        script = """([scope, words]) => {
            const text = document.querySelector(`${scope} textarea[rows="20"]`).value;
            return words.every(each => text.includes(each));
        }"""
        try:
            self.page.wait_for_function(script, arg=[self.scope, list(words)], timeout=20_000)
        except Exception as error:
            text = self.yaml.input_value()
            missing = [each for each in words if each not in text]
            raise AssertionError(f"{missing} not in\n{text}") from error


def words_of(choices):
    """Return what a list offers, its first and empty line left out."""
    return [each.replace("\xa0", " ") for each in choices.locator("option").all_inner_texts()][1:]


def fill_fields(form, controls, words):
    """Put a word of its own into each field in sight that has none, and wait for all in the text."""
    wanted = []
    while found := unfilled(form, controls):
        for each in found:
            if each.kind == "select":
                values = words_of(each.at)
                each.at.select_option(index=len(values))
                wanted.append(values[-1].replace(" ", "_"))
            elif each.kind == "checkbox":
                each.at.click()
                wanted.append(f"{each.words.lower().replace(' ', '_')}:")
            else:
                words.append(f"t{len(words)}z")
                each.at.fill(words[-1])
                wanted.append(words[-1])
        form.page.wait_for_timeout(200)  # fields are drawn one after the other
    form.reads(*wanted)


def unfilled(form, controls):
    """Return the fields of the panel in sight that were not used yet."""
    kinds, apart = {"text", "textarea", "select", "checkbox"}, {"Name", "Does", "Pattern"}
    return [each for each in controls.unused(f"{form.scope} .bmad-main")
            if each.kind in kinds and each.words not in apart]  # fmt: skip


def build_by_buttons(form, controls, file):
    """Use the list of tasks, its buttons, the tabs, the file, the run and its pause."""
    form.has_tasks(2)
    form.press("+ Task")
    form.has_tasks(3)
    form.at.locator(".bmad-side select").select_option(index=2)
    form.press("Copy")
    form.has_tasks(4)
    form.press("Undo")
    form.has_tasks(3)
    form.at.locator(".bmad-side select").select_option(index=3)
    form.press("Delete")
    form.has_tasks(2)
    form.at.locator(".bmad-side select").select_option(index=2)
    form.at.locator(".bmad-name").filter(has_text="classify.urgency").click()
    form.reads("Answer {{ ticket }}. {{ classify.urgency }}")
    form.press("Undo")
    form.at.get_by_label("Budget").fill("0.02")
    form.says("of a $0.02 limit")
    form.at.get_by_label("ticket").fill("It is lost.")
    form.press("Dry run")
    form.says("Planned; nobody was asked.")
    controls.unfold(form.scope)
    for tab, text in (("Form", "Insert"), ("Plan", "support"), ("Take away", "Cell"), ("YAML", "Form and YAML are two views")):  # fmt: skip
        form.tab(tab)
        form.at.get_by_text(text).first.wait_for(state="visible")
    form.tab("Take away")
    away = form.at.locator('textarea[rows="20"]').nth(1)
    for name, begin in (("Python", "import bmad_nb"), ("Cell", "%%bmad workflow support"), ("YAML", "# tickets")):  # fmt: skip
        form.press(name)
        form.page.wait_for_function(
            "([box, begin]) => box.value.startsWith(begin)", arg=[away.element_handle(), begin]
        )
    away.press("Control+a")  # to be copied
    assert away.evaluate("each => each.selectionEnd - each.selectionStart === each.value.length")
    form.tab("YAML")
    form.yaml.fill(FLOW.replace("# tickets", "# my tickets"))
    form.reads("# my tickets")
    file.write_text(FLOW.replace("# tickets", "# their tickets"))
    form.press("Save")
    form.press("Take theirs")
    form.reads("# their tickets")
    form.yaml.fill(FLOW.replace("sim/careful", "own/slow"))
    file.write_text(FLOW)
    form.press("Save")
    form.press("Write over it")
    form.says("Saved in")
    assert "llm: own/slow" in file.read_text()
    form.at.get_by_label("File").fill("other.yaml")
    form.press("Save")
    form.says("Saved in other.yaml.")
    assert "llm: own/slow" in (file.parent / "other.yaml").read_text()
    form.press("Run")
    form.press("Pause")
    form.says("It pauses: nothing new begins.")
    form.says("Paused by")
    form.press("Run")
    form.says("is done: b.last_run")
    controls.unfold(form.scope)


def fill_every_field(form, controls):
    """Use every field of a task with every verb and every pattern, and every field of a workflow."""
    words: list[str] = []
    kinds = form.at.get_by_label("Does")
    form.says("Run waits for 1 thing that is missing.")
    form.at.get_by_label("topic").fill("ice")
    form.at.get_by_text("Run waits for").wait_for(state="hidden")
    form.at.get_by_label("Name").fill("first")
    form.at.get_by_label("Name").press("Enter")
    form.reads("first:")
    for verb in words_of(kinds)[1:]:
        kinds.select_option(index=words_of(kinds).index(verb) + 1)
        form.reads(f"    {verb.split(':')[0]}:")
        form.page.wait_for_timeout(200)
        fill_fields(form, controls, words)
    kinds.select_option(index=1)
    form.reads("prompt:")
    for fold in FOLDS:
        opened = form.at.locator(".bmad-fold").filter(has_text=fold).first
        opened.click()
        form.page.wait_for_function("each => each.innerText.includes('▾')", arg=opened.element_handle())  # fmt: skip
    fill_fields(form, controls, words)
    patterns = form.at.get_by_label("Pattern")
    for number, pattern in enumerate(words_of(patterns), 1):
        patterns.select_option(index=number)
        form.reads(f"type: {pattern.replace(' ', '_')}")
        form.page.wait_for_timeout(200)
        fill_fields(form, controls, words)
    form.at.locator(".bmad-side select").select_option(index=0)
    form.at.locator(".bmad-fold").filter(has_text="More").click()
    form.at.get_by_label("Strategy").wait_for()
    fill_fields(form, controls, words)
    assert 60 < len(words)


@pytest.mark.parametrize("app", ["lab", "notebook7"])
def test_every_control_of_the_builder_acts(app, opened, request, tmp_path):
    """Each button, tab, folded part, list and field changes what is seen; none is left out."""
    server = request.getfixturevalue(app)
    cells = (SETUP, "%bmad build support.yaml -o b", "%bmad build old.yaml -o o", "n = bmad_nb.build()\nn")  # fmt: skip
    with opened(server, *cells) as page:
        folder = Path(server.project / page.path).parent
        (folder / "support.yaml").write_text(FLOW)
        (folder / "old.yaml").write_text(OLD)
        page.run_all()
        assert [] == page.failures()
        controls = Controls(page.page)
        build_by_buttons(Form(page.page, 0), controls, folder / "support.yaml")
        old = Form(page.page, 1)
        old.press("Convert")
        old.reads("workflow: old")
        fill_every_field(Form(page.page, 2), controls)
        for picture in page.pictures(tmp_path, "controls"):
            assert picture.stat().st_size > 50_000
        assert [] == controls.left(), controls.left()
        assert 80 < len(controls.seen())
        assert ([], []) == (page.watch.hits, page.watch.errors)
        page.nothing_left()
