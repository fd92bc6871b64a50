"""The explorer of a comparison in a real JupyterLab and Notebook 7: every control, by key and mouse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.browser.controls import Controls

SETUP = """%load_ext bmad_nb
from bmad_nb.workspace import default_workspace
ws = default_workspace()
evil = '<img src=x onerror="document.title=String.raw`x`">'
ws.add_llm("right", lambda m: m[-1].text[-1])
ws.add_llm("evil", lambda m: evil)
cases = [{"q": f"Say {n}", "right": str(n)} for n in range(5)]
r = ws.compare("{{ q }}", "own/right,own/evil", over=cases, reference="right")"""
SCORES = """import json
found = ws.run_of(r.id)
case_of = {row.call_id: row.case for row in found.rows}
print(json.dumps([[case_of[row.call_id], row.llm, row.source, row.explanation]
                  for row in found.kept if row.source == "human"]))"""


@pytest.mark.parametrize("app", ["lab", "notebook7"])
def test_every_control_of_the_explorer_works(
    app: str, opened: Any, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Filter, order, baseline, arrows, blind rating by key, rating by mouse; markup stays words."""
    server = request.getfixturevalue(app)
    with opened(server, SETUP, "e = r.explore()\ne") as notebook:
        notebook.run_all()
        page = notebook.page
        view = page.locator(".bmad-compare")
        view.wait_for(timeout=30_000)
        controls = Controls(page)
        assert 5 == view.locator("tbody tr").count()
        view.locator("input[type=search]").fill("say 3")
        assert 1 == view.locator("tbody tr").count()
        assert "1 of 5 cases fit" in view.inner_text()
        view.locator("input[type=search]").fill("")
        shows, orders = view.locator("select").nth(0), view.locator("select").nth(1)
        for kind, count in (("failed", 0), ("wrong", 5), ("disagree", 5), ("", 5), ("disagree", 5)):
            shows.select_option(kind)
            assert count == view.locator("tbody tr").count()
        assert {"", "failed", "wrong", "disagree"} == {
            each.get_attribute("value") for each in shows.locator("option").all()
        }
        for order in [each.get_attribute("value") for each in orders.locator("option").all()]:
            orders.select_option(order)
            assert 5 == view.locator("tbody tr").count()
        orders.select_option("title")
        view.locator("select").nth(2).select_option("own/evil")
        assert "own/evil baseline" in view.inner_text()
        view.locator("tbody tr").nth(0).click()
        page.keyboard.press("Home")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("j")
        assert "2" in view.locator("tr.bmad-here").inner_text()
        page.keyboard.press("b")
        assert "own/" not in view.inner_text()
        page.keyboard.press("1")
        page.wait_for_function(
            "() => document.querySelector('.bmad-compare').innerText.includes('was rated')"
        )
        view.locator(".bmad-button", has_text="Show names").click()
        view.locator(".bmad-button", has_text="Hide names").click()
        assert "own/" not in view.locator("thead").inner_text()
        view.locator(".bmad-button", has_text="Show names").click()
        assert 1 == controls.unfold(".bmad-compare")
        view.locator("tbody tr").nth(4).click()
        view.locator(".bmad-answer", has_text="own/evil").get_by_text("0.25").click()
        page.wait_for_function(
            "() => document.querySelector('.bmad-compare').innerText.includes('score 0.25')"
        )
        for words in ("0", "0.5", "0.75", "1", "Best"):
            answer = view.locator(".bmad-answer", has_text="own/evil")
            answer.get_by_role("button").get_by_text(words, exact=True).click()
            score = "1.00" if words == "Best" else f"{float(words):.2f}"
            answer.get_by_text(f"score {score}").wait_for()
        assert [] == controls.left()
        assert 13 <= len([each for each in controls.seen() if each.startswith("explorer")])
        notebook.pictures(tmp_path, f"explorer_{app}")
        assert 2 == page.locator(".jp-CodeCell").count(), "A key reached the notebook's shortcuts."
        rated = json.loads(notebook.python(SCORES))
        assert [["2", "rated blind"]] * 2 == [[row[0], row[3]] for row in rated[:2]]
        assert ["4", "own/evil", "human", ""] == rated[2]
        assert 0 == page.locator(".bmad-compare img").count()
        assert "x" != page.title()
        notebook.nothing_left()
