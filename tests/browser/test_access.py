"""Keyboard, names for screen readers, focus, motion and colour of all that a cell shows."""

from __future__ import annotations

import pytest

from tests.browser.test_builder import FLOW
from tests.browser.test_display import CELLS
from tests.browser.test_monitor import FLOW as ASKING
from tests.browser.test_monitor import SETUP as SLOW

SHOWN = {
    "setup": CELLS["setup"], "columns": CELLS["columns"], "rows": CELLS["rows"],
    "plan": CELLS["plan"], "run": CELLS["run"], "together": CELLS["together"],
    "explorer": "r.explore()", "builder": "%bmad build flow.yaml -o b", "slow": SLOW, "flow": ASKING,
    "monitor": "m = bmad_nb.run('review', background=True)\nm",
}  # fmt: skip
NUMBER = {name: at for at, name in enumerate(SHOWN)}
NEEDS_NAME = {"button", "tab", "DisclosureTriangle", "textbox", "searchbox", "combobox", "checkbox",
              "listbox", "ComboBoxSelect", "region", "image"}  # fmt: skip
_ALL = """number => [...document.querySelectorAll('.jp-CodeCell')[number].querySelectorAll(
    '.jp-OutputArea-output :is(button, summary, select, input, textarea, [tabindex="0"])')]
    .filter(each => each.checkVisibility() && !each.disabled && each.tabIndex >= 0)"""
_LOOK = """each => { const s = getComputedStyle(each);
    return [s.outlineStyle, s.outlineWidth, s.outlineColor, s.boxShadow, s.borderColor, s.backgroundColor].join(); }"""
# Notes how each control looks without the focus, gives it to the first, and says how many there are.
_BEGIN = f"""number => {{
    document.activeElement?.blur();
    const all = ({_ALL})(number);
    window.bmadPlain = new Map(all.map(each => [each, ({_LOOK})(each)]));
    all[0].focus();
    return all.length;
}}"""
# Returns which control has the focus and whether that can be seen; null outside of the output.
_TABBED = f"""number => {{
    const cell = document.querySelectorAll('.jp-CodeCell')[number];
    const here = document.activeElement;
    if (!cell.contains(here) || !here.closest('.jp-OutputArea-output')) return null;
    const name = (here.labels?.[0]?.innerText || here.innerText || here.getAttribute('aria-label') || '').trim();
    return [here.localName, name.slice(0, 40), ({_LOOK})(here) !== window.bmadPlain.get(here)];
}}"""
_MOVING = """() => document.getAnimations().filter(each => each.effect?.target?.closest?.('.jp-OutputArea-output')
    && !each.effect.target.closest('.jp-Spinner')).length"""


@pytest.fixture(scope="module", params=["lab", "notebook7"])
def shown(request, chromium, tmp_path_factory):
    """Give a page with every kind of card and widget, in both front ends."""
    import nbformat

    from tests.browser.pages import NotebookPage

    server = request.getfixturevalue(request.param)
    folder = server.project / "access"
    folder.mkdir()
    (folder / "flow.yaml").write_text(FLOW)
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in SHOWN.values()])
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(made, folder / "made.ipynb")
    with NotebookPage(chromium, server, "access/made.ipynb") as page:
        page.run_all()
        assert [] == page.failures()
        page.page.wait_for_selector(".bmad-question")
        yield page


def names_of(page, number):
    """Return role and name of each node in a cell's output, from Chromium's accessibility tree."""
    session = page.context.new_cdp_session(page)
    output = page.locator(".jp-CodeCell").nth(number).locator(".jp-OutputArea-output").last
    output.evaluate("each => { each.id = 'bmad-access'; }")
    root = session.send("DOM.getDocument")["root"]["nodeId"]
    node = session.send("DOM.querySelector", {"nodeId": root, "selector": "#bmad-access"})
    whole = session.send("Accessibility.getFullAXTree")["nodes"]
    inside = session.send("DOM.describeNode", {"nodeId": node["nodeId"]})["node"]["backendNodeId"]
    output.evaluate("each => each.removeAttribute('id')")
    session.detach()
    by_id = {each["nodeId"]: each for each in whole}
    waiting = [each for each in whole if each.get("backendDOMNodeId") == inside]
    found = []
    while waiting:
        each = waiting.pop()
        waiting += [by_id[child] for child in each.get("childIds", ()) if child in by_id]
        if not each.get("ignored"):
            name = each.get("name", {}).get("value", "").strip()
            found.append((each["role"]["value"], name))
    return found


def nameless(page, number):
    """Return the nodes that should have a name and have none, and the roles that there are."""
    found = names_of(page, number)
    return [each for each in found if each[0] in NEEDS_NAME and not each[1]], {r for r, _ in found}


@pytest.mark.parametrize("name", [n for n in SHOWN if n not in {"setup", "slow", "flow"}])
def test_everything_has_a_role_and_a_name(name, shown):
    """Each control, card and picture has a name that a screen reader says."""
    without, roles = nameless(shown.page, NUMBER[name])
    assert [] == without
    assert "region" in roles or name == "builder"
    assert roles & {"button", "DisclosureTriangle", "table", "image", "img"}


def test_each_tab_of_the_builder_has_names(shown):
    """The texts of its tabs have names too."""
    page, number = shown.page, NUMBER["builder"]
    for tab in ("YAML", "Plan", "Take away", "Form"):
        page.locator(".bmad-form .lm-TabBar-tab").filter(has_text=tab).last.click()
        without, roles = nameless(page, number)
        assert [] == without
        assert "tab" in roles


def test_a_control_without_a_name_is_found(shown):
    """A planted button without words is the one that has no name."""
    page, number = shown.page, NUMBER["columns"]
    page.locator(".jp-CodeCell").nth(number).locator("section").first.evaluate(
        "each => { const made = document.createElement('button'); made.id = 'planted'; each.append(made); }"
    )
    assert [("button", "")] == nameless(page, number)[0]
    page.evaluate("() => document.getElementById('planted').remove()")


@pytest.mark.parametrize("name", ["columns", "rows", "explorer", "builder", "monitor"])
def test_every_control_is_reached_by_keys_and_seen(name, shown):
    """Tab goes through all controls of a card or widget, each once, and each shows that it has it."""
    page, number = shown.page, NUMBER[name]
    expected = page.evaluate(_BEGIN, number)
    page.keyboard.press("Tab")
    page.keyboard.press("Shift+Tab")
    reached = []
    while (here := page.evaluate(_TABBED, number)) is not None and len(reached) < 100:
        reached.append(here)
        page.keyboard.press("Tab")
    assert expected == len(reached), reached
    assert expected >= 2
    assert [] == [each for each in reached if not each[2]]


def test_a_folded_part_opens_by_key(shown):
    """Enter and Space on a folded part open and close it."""
    page, number = shown.page, NUMBER["columns"]
    page.evaluate(_BEGIN, number)
    opened = "() => document.activeElement.parentElement.open"
    before = page.evaluate(opened)
    page.keyboard.press("Enter")
    assert before is not page.evaluate(opened)
    page.keyboard.press("Space")
    assert before is page.evaluate(opened)


def test_nothing_moves_for_those_who_asked_for_less_motion(shown):
    """Under reduced motion a run that goes on is shown without any animation."""
    shown.page.emulate_media(reduced_motion="reduce")
    shown.page.wait_for_timeout(200)
    assert 0 == shown.page.evaluate(_MOVING)
    shown.page.emulate_media(reduced_motion="no-preference")


def test_states_and_marks_are_words_and_shapes_too(shown):
    """Without any colour: states are words, the best has a tick, changed words are underlined."""
    page = shown.page
    words = shown.output(NUMBER["run"])
    assert all(word in words for word in ("✓ done", "✕ failed"))
    assert "✕ failed" in shown.output(NUMBER["columns"])
    assert "▸" in shown.output(NUMBER["rows"])
    assert "no difference shown" in shown.output(NUMBER["rows"])
    lines = page.evaluate("""() => [...document.querySelectorAll('.jp-RenderedHTML :is(ins, del)')]
        .map(each => [each.localName, getComputedStyle(each).textDecorationLine])""")
    assert lines
    assert {("ins", "underline"), ("del", "line-through")} >= {tuple(each) for each in lines}
    monitor = page.locator(".bmad-monitor").inner_text()
    assert all(word in monitor for word in ("done", "waiting", "needs you"))
