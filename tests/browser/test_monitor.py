"""The run monitor in a real JupyterLab and Notebook 7: its buttons, pressed while the cell blocks."""

from __future__ import annotations

import pytest

from tests.browser.controls import Controls

SETUP = """%load_ext bmad_nb
from bmad_nb.llms.simulated import Persona, SimulatedLLM
from bmad_nb.workspace import default_workspace
skills = (("math", 0.9), ("facts", 0.9), ("classify", 0.9), ("general", 0.9))
ws = default_workspace()
ws.add_llm("own/slow", SimulatedLLM(Persona("slow", skills, "1.00", "4.00", 1.5)))
def broken(messages): raise RuntimeError("no disk left")
ws.add_llm("own/broken", broken);"""
FREE = """%%bmad workflow free
tasks:
  word: {prompt: "Say it.", llm: own/broken, retry: {attempts: 1}, fallback: [{human: "Which word?"}]}"""
FLOW = """%%bmad workflow review
inputs: {topic: {type: string, default: "<img src=x onerror=bmadHit()> orders"}}
tasks:
  security: {prompt: "Shorten. {{ topic }} load slowly. Nobody knows why. It is cold.", llm: own/slow}
  speed: {prompt: "Shorten. {{ topic }} are fast. They are slow on Mondays.", llm: own/slow}
  ok: {approve: {ask: "Apply it?", options: [accept, stop], show: security.text, form: {reason: string}}}
  report: {prompt: "Shorten. {{ security.text }} {{ speed.text }}", llm: own/slow, needs: [ok]}
outputs: {report: report.text}"""


@pytest.mark.parametrize("app", ["lab", "notebook7"])
def test_buttons_act_while_the_cell_blocks(app, opened, request, tmp_path) -> None:
    """Pause, Resume, Accept and Cancel act in a blocked cell, and what stays is static."""
    server = request.getfixturevalue(app)
    run, cancelled = "%bmad run review --budget 0.05 -o r", "%bmad run review -p topic=fish -o c"
    cells = SETUP, FLOW, run, FREE, "%bmad run free -o f", cancelled
    with opened(server, *cells) as notebook:
        page = notebook.page
        controls = Controls(page)
        notebook.start_all()
        page.wait_for_selector(".bmad-monitor")
        page.get_by_role("button", name="Pause").click()
        page.wait_for_selector(".bmad-title:has-text('Paused:')")
        assert page.get_by_role("button", name="Pause").is_disabled()
        page.get_by_role("button", name="Resume").click()
        page.wait_for_selector(".bmad-title:has-text('Running:')")
        page.wait_for_selector(".bmad-question")
        assert "act when the cell ends" not in page.locator(".bmad-monitor").inner_text()
        assert 2 == controls.unfold(".bmad-monitor")
        assert "security" in page.locator(".bmad-monitor details table").inner_text()
        page.get_by_label("reason, for ok").fill("it is cold")
        page.get_by_label("comment, for ok").fill("very")
        for picture in notebook.pictures(tmp_path, app):
            assert picture.stat().st_size > 50_000
        page.get_by_role("button", name="Accept").click()
        page.wait_for_selector(".bmad-monitor", state="detached")
        page.get_by_label("answer, for word").fill("my own")  # the next cell's
        page.get_by_role("button", name="Answer").click()
        page.wait_for_selector(".bmad-monitor", state="detached")
        page.get_by_role("button", name="Stop: ok").click()
        page.wait_for_selector(".bmad-question", state="detached")
        page.get_by_role("button", name="Cancel run").click()
        notebook.finish()
        controls.unfold()
        assert [] == controls.left()
        assert 8 <= len([each for each in controls.seen() if each.startswith("monitor")])
        assert ["RunCancelled"] == [each.partition(":")[0] for each in notebook.failures()]
        assert 0 == page.locator(".bmad-monitor").count()
        assert "Completed: 4 tasks done" in notebook.output(2)
        assert "completed True\n" == notebook.python(
            "print(r.status, all(word in str(r.state.answers) for word in ('accept', 'it is cold', 'very')))"
        )
        assert "my own" in notebook.python("print(f.outputs)")
        assert ([], []) == (notebook.watch.hits, notebook.watch.dialogs)
        notebook.nothing_left()
