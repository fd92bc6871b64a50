"""The task builder clicked through in a real JupyterLab and Notebook 7, by mouse and by keys."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

FLOW = """\
# tickets
workflow: support
inputs:
  ticket: {type: text, default: "My parcel is late."}
tasks:
  classify:   # a small one is enough
    prompt: "How urgent is this: {{ ticket }}"
    llm: sim/hasty
    output: {urgency: {enum: [low, high]}}
  draft:
    prompt: "Answer {{ ticket }}."
    llm: sim/careful
"""
HOSTILE = "<img src=x onerror=\"bmadHit('ran')\"><script>bmadHit('ran')</script>"
OPEN = "%load_ext bmad_nb\n%bmad build support.yaml -o b"
BUSY = "import time; began = time.time(); seen = []\nfor _ in range(80):\n    time.sleep(0.1)\n    seen.append(b.text)"


def tab(page, name):
    """Open a tab of the form."""
    page.page.locator(".bmad-form .lm-TabBar-tab").filter(has_text=name).last.click()


def says(page, text):
    """Wait until the form says a text."""
    page.page.locator(".bmad-form").get_by_text(text).first.wait_for(timeout=30_000)


def opened_on(opened, server, *cells):
    """Open a notebook whose folder has the file."""
    page = opened(server, *cells)
    folder = max(server.project.iterdir(), key=lambda each: each.stat().st_mtime)
    (folder / "support.yaml").write_text(FLOW)
    return page, folder / "support.yaml"


@pytest.mark.parametrize("app", ["lab", "notebook7"])
def test_a_workflow_is_built_by_clicks_and_keys(app, opened, request, tmp_path):
    """Typed, completed by keys, wrong and mended, run, saved and taken away; nothing was fetched."""
    page, file = opened_on(opened, request.getfixturevalue(app), OPEN)
    with page:
        page.run_all()
        assert [] == page.failures()
        form = page.page.locator(".bmad-form")
        form.locator(".bmad-side select").select_option(index=2)
        prompt = form.get_by_label("Prompt").first
        prompt.click()
        page.page.keyboard.press("Control+End")
        page.page.keyboard.type(" It is {{ cla", delay=30)
        page.page.wait_for_function("document.querySelectorAll('.bmad-name').length === 1")
        page.page.keyboard.press("Tab")
        page.page.keyboard.press("Enter")
        page.page.wait_for_function("[...document.querySelectorAll('.bmad-form textarea')].some("
                                    "each => each.value.endsWith('{{ classify.urgency }}'))")  # fmt: skip
        form.get_by_label("Run when").fill("classify.urgence == 'high'")
        says(page, "Did you mean classify.urgency?")
        says(page, "Run waits for 1 problem.")
        form.get_by_label("Run when").fill("")
        form.get_by_label("LLM").first.fill(HOSTILE)
        says(page, "Run waits for 1 thing that is missing.")
        for picture in page.pictures(tmp_path, "builder"):
            assert picture.stat().st_size > 50_000
        form.get_by_label("LLM").first.fill("sim/librarian")
        form.get_by_role("button", name="Run", exact=True).click()
        says(page, "is done: b.last_run")
        tab(page, "YAML")
        text = form.locator(".lm-StackedPanel-child:not(.lm-mod-hidden) textarea, textarea:visible")
        assert "llm: sim/librarian" in text.first.input_value()
        text.first.fill(text.first.input_value().replace("# tickets", "# all tickets"))
        form.get_by_role("button", name="Save", exact=True).click()
        says(page, "Saved in support.yaml.")
        expected = (FLOW.replace("# tickets", "# all tickets").replace("careful", "librarian")
                    .replace("ticket }}.", "ticket }}. It is {{ classify.urgency }}"))  # fmt: skip
        assert expected == file.read_text()
        tab(page, "Take away")
        form.get_by_role("button", name="Python", exact=True).click()
        page.page.wait_for_function("[...document.querySelectorAll('.bmad-form textarea')].some("
                                    "each => each.value.startsWith('import bmad_nb'))")  # fmt: skip
        assert ([], []) == (page.watch.hits, page.watch.errors)
        page.nothing_left()


def test_the_form_acts_while_a_cell_is_busy(opened, lab):
    """What is typed while another cell runs is in the text before that cell is done."""
    page, _ = opened_on(opened, lab, OPEN, BUSY)
    with page:
        page.start_all()
        form = page.page.locator(".bmad-form")
        form.get_by_label("Prompt").first.fill("Is it urgent? {{ ticket }}")
        page.finish()
        first = int(page.python("print(next((n for n, t in enumerate(seen) if 'Is it' in t), 99))"))
        assert 80 > first


def test_a_saved_notebook_keeps_the_definition(opened, lab):
    """What is saved has the definition as markup and as text, without any script."""
    page, file = opened_on(opened, lab, OPEN)
    with page:
        page.run_all()
        page.save()
        saved = json.loads((file.parent / "made.ipynb").read_text())
    [output] = saved["cells"][0]["outputs"]
    assert "How urgent is this" in "".join(output["data"]["text/plain"])
    assert "How urgent is this" in "".join(output["data"]["text/html"])
    assert "<script" not in "".join(output["data"]["text/html"])
    assert Path(file).read_text() == FLOW
