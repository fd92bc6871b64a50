"""What a cell saves: complete without scripts and without trust, readable in both themes and narrow."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import nbformat
import pytest

from tests.kernel import MIME

CELLS = {
    "setup": """
%load_ext bmad_nb
import pandas as pd
cases = pd.DataFrame({"task": [f"What is {n} * {n + 3}?" for n in range(11, 19)]})
cases["right"] = [str(n * (n + 3)) for n in range(11, 19)]
def broken(messages): raise RuntimeError("no disk left")
import bmad_nb
from bmad_nb.workspace import default_workspace
default_workspace().add_llm("broken", broken)
""",
    "ask": "%%bmad ask -m sim/careful -o a\nWhat is 17 * 23?",
    "columns": "%%bmad compare -m sim/careful,sim/hasty,own/broken -o c --reference 391\nWhat is 17 * 23?",
    "rows": "%%bmad compare -m sim/careful,sim/hasty,sim/librarian -o r --over cases --reference right\n{{ task }}",
    "plan": """%%bmad workflow triage
title: Triage of a ticket
inputs: {ticket: text}
tasks:
  urgency: {prompt: "How urgent is this? {{ ticket }}", output: {level: {enum: [now, today, later]}}, llm: sim/careful}
  page: {when: "urgency.level == 'later'", prompt: "Say when: {{ ticket }}", llm: sim/careful}
  log: {prompt: "Log it: {{ ticket }}", llm: own/broken, needs: [urgency]}
outputs: {level: urgency.level}
""",
    "run": """from bmad_nb.errors import RunFailed
try:
    bmad_nb.run("triage", {"ticket": "Fire"})
except RunFailed as error:
    t = default_workspace().run_of(error.run_id)
t""",
    "together": "%%bmad vote -m sim/careful,sim/hasty,sim/librarian -o v\nWhat is 17 * 23? Answer with the number only.",
    "chart": "r.plot()",
    "timeline": "v.plot()",
}
NUMBER = {name: at for at, name in enumerate(CELLS)}
RUNS = ("ask", "columns", "rows", "run", "together")
CHARTS = ("chart", "timeline")
_UNSAFE = re.compile(r"<script|<style|<link|<iframe|<img|\son\w+=|javascript:|@import|https?://(?!www\.w3\.org/)", re.IGNORECASE)  # fmt: skip
# The contrast of each text with what is behind it, dimming and tints counted; and what is too wide.
_CONTRAST = """() => {
    const parse = text => {
        const found = text.match(/[\\d.]+/g)?.map(Number) ?? [0, 0, 0, 0];
        return found.length === 3 ? [...found, 1] : found;
    };
    const over = ([r, g, b, a], under) => [r, g, b].map((c, n) => c * a + under[n] * (1 - a));
    const light = colour => {
        const [r, g, b] = colour.map(c => c / 255).map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const found = [];
    for (const card of document.querySelectorAll('.jp-RenderedHTML')) {
        for (const each of card.querySelectorAll('*')) {
            const words = [...each.childNodes].filter(n => n.nodeType === 3).map(n => n.data).join('').trim();
            if (!words || !each.checkVisibility() || !parseFloat(getComputedStyle(each).fontSize)) continue;
            const chain = [];
            for (let up = each; up; up = up.parentElement) chain.unshift(up);
            let behind = [255, 255, 255], ink = 1;
            for (const up of chain) {
                const style = getComputedStyle(up);
                const [r, g, b, a] = parse(style.backgroundColor);
                ink *= Number(style.opacity);
                behind = over([r, g, b, a * ink], behind);
            }
            const style = getComputedStyle(each);
            const drawn = each.namespaceURI.endsWith('svg');
            const [r, g, b, a] = parse(drawn ? style.fill : style.color);
            const front = over([r, g, b, a * ink * (drawn ? Number(style.fillOpacity) : 1)], behind);
            const [high, low] = [light(front), light(behind)].sort((x, y) => y - x);
            found.push([(high + 0.05) / (low + 0.05), words.slice(0, 60)]);
        }
    }
    return found;
}"""
# The colours of a chart's words outside of its marks; they stand on the page itself.
_CHART_INK = """() => {
    const found = [];
    for (const each of document.querySelectorAll('.js-plotly-plot text')) {
        if (each.closest('.hoverlayer, .barlayer, .heatmaplayer, .modebar, .annotation') || !each.textContent.trim()) continue;
        const ink = getComputedStyle(each.querySelector('tspan') ?? each).fill;
        found.push([ink, getComputedStyle(document.querySelector('.jp-Notebook')).backgroundColor, each.textContent]);
    }
    return found;
}"""
_PLANT = """style => {
    const made = document.createElement('div');
    Object.assign(made, {id: 'planted', textContent: 'planted', style});
    document.querySelector('.jp-RenderedHTML section').append(made);
}"""
_TOO_WIDE = """() => {
    for (const each of document.querySelectorAll('.jp-RenderedHTML details')) each.open = true;
    const found = [];
    for (const output of document.querySelectorAll('.jp-RenderedHTML')) {
        const edge = output.getBoundingClientRect().right;
        for (const each of output.querySelectorAll('section *')) {
            let scrolls = false;
            for (let up = each.parentElement; up !== output; up = up.parentElement)
                scrolls ||= /auto|scroll|hidden/.test(getComputedStyle(up).overflowX);
            const card = each.closest('section').getBoundingClientRect();
            const right = each.getBoundingClientRect().right;
            if (!scrolls && right > Math.min(card.right, edge) + 1)
                found.push(`${each.localName} by ${Math.round(right - card.right)} px: ${each.textContent.slice(0, 40)}`);
        }
    }
    return found;
}"""


@pytest.fixture(scope="module")
def executed(chromium, lab, tmp_path_factory):
    """Run the cells in JupyterLab once; give the saved notebook, each cell's words and the page."""
    from tests.browser.pages import NotebookPage

    (lab.project / "display").mkdir()
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in CELLS.values()])
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(made, lab.project / "display" / "made.ipynb")
    with NotebookPage(chromium, lab, "display/made.ipynb") as page:
        page.run_all()
        assert [] == page.failures()
        page.save()
        yield page, nbformat.read(lab.project / "display" / "made.ipynb", as_version=4)


def bundle(notebook, name):
    """Return the one output of a cell."""
    found = [each for each in notebook.cells[NUMBER[name]].outputs if "data" in each]
    assert 1 == len(found)
    return found[0]["data"]


class _Colours(HTMLParser):
    """Collects style attributes."""

    def __init__(self):
        super().__init__()
        self.styles = []

    def handle_starttag(self, tag, attrs):
        self.styles += [value for name, value in attrs if name == "style"]


@pytest.mark.parametrize("name", [n for n in CELLS if n != "setup"])
def test_what_is_saved_is_whole_without_scripts(name, executed):
    """Text and HTML always, the run's facts of a run, SVG of a drawing; nothing runs or is fetched."""
    data = bundle(executed[1], name)
    page = data["text/html"]
    assert data["text/plain"].strip()
    assert not re.search(r"object at 0x", data["text/plain"])
    assert [] == _UNSAFE.findall(page)
    assert (MIME in data) == (name in RUNS)
    assert ("image/svg+xml" in data) == (name in CHARTS)
    assert ("<svg" in page) == (name in {"plan", "run", "together", "rows", *CHARTS})
    assert "application/vnd.jupyter.widget-view+json" not in data or name in RUNS
    reader = _Colours()
    reader.feed(page)
    for style in reader.styles:
        for rule in filter(None, map(str.strip, style.split(";"))):
            prop, _, value = rule.partition(":")
            if "color" in prop or prop.startswith(("background", "border")):
                assert not re.search(r"rgb|hsl|currentcolor", value.lower()), rule
            if "var(" in value:  # an untrusted notebook loses it: a plain value stands before it
                assert style.count(f"{prop}:") >= 2, style


def test_the_same_facts_stand_in_an_untrusted_notebook(executed, opened, lab, tmp_path):
    """Opened without trust, each output has every word that it had, drawings as sentences."""
    page, notebook = executed
    before = page.texts()
    drawn = page.page.locator(".jp-RenderedHTML svg text").all_text_contents()
    changed = tmp_path / "stranger.ipynb"
    notebook = nbformat.from_dict(notebook)
    notebook.metadata["from"] = "somebody else"  # its signature is not that of this server
    nbformat.write(notebook, changed)
    with opened(lab, changed) as other:
        assert not other.trusted()
        after = other.texts()
        for name in CELLS:
            if name in CHARTS:
                continue
            said, had = after[NUMBER[name]], before[NUMBER[name]]
            drawings = set(" ".join(drawn).split())
            lost = set(had.split()) - set(said.split()) - drawings
            assert set() == lost, name
        for name, states in {
            "run": ("done", "failed"),
            "plan": ("urgency", "page"),
        }.items():
            for state in states:
                assert state in after[NUMBER[name]]
        assert 0 == other.page.locator(".jp-RenderedHTML svg").count()
        other.nothing_left()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_can_be_read(theme, executed):
    """In both themes every text of a card has a contrast of at least 4.5 with what is behind it."""
    page = executed[0]
    page.theme(theme)
    found = page.page.evaluate(_CONTRAST)
    assert len(found) > 300
    assert [] == [each for each in found if each[0] < 4.5]
    page.page.evaluate(_PLANT, "opacity:0.4")
    assert any("planted" in words for ratio, words in page.page.evaluate(_CONTRAST) if ratio < 4.5)
    page.page.evaluate("() => document.getElementById('planted').remove()")


def contrast(front, behind):
    """Return the contrast of two opaque colours as a browser writes them."""
    lights = []
    for colour in (front, behind):
        parts = [int(each) / 255 for each in re.findall(r"\d+", colour)[:3]]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        lights.append(sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True)))
    return (max(lights) + 0.05) / (min(lights) + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_words_of_charts_can_be_read(theme, executed):
    """Titles, ticks and labels of a live chart take the theme's ink: a contrast of 4.5 and more."""
    page = executed[0]
    page.theme(theme)
    found = page.page.evaluate(_CHART_INK)
    assert 15 < len(found)
    assert [] == [each for each in found if contrast(*each[:2]) < 4.5]
    assert 4.5 > contrast("rgb(117, 121, 129)", found[0][1])  # the grey of the marks is no ink


@pytest.mark.parametrize("width", [1000, 600])
def test_nothing_is_wider_than_its_card(width, executed):
    """In a window of 1000 and of 600 pixels everything is inside of its card, or scrolls in it."""
    page = executed[0]
    page.page.set_viewport_size({"width": width, "height": 900})
    page.page.wait_for_timeout(300)
    assert page.page.locator(".jp-RenderedHTML section").count() >= 6
    assert [] == page.page.evaluate(_TOO_WIDE)
    page.page.evaluate(_PLANT, "width:1400px")
    assert any("planted" in each for each in page.page.evaluate(_TOO_WIDE))
    page.page.evaluate("() => document.getElementById('planted').remove()")
