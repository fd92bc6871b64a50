"""No hostile text does anything in a chart or on its way to a cell; raw, they do: the watch works."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.browser.harmless import OFFENCES, PAYLOADS, TOUCH, TOUCH_ALL, fired, harmless_everywhere
from tests.browser.pages import watched

CHARTS = """
from IPython.display import display
from tests.hostile import markup, sinks
texts = [each.text for each in markup.payloads()]
for start in range({start}, min({start} + 280, len(texts)), 40):
    for chart in sinks.charts(texts[start:start + 40]):
        display(chart)
"""
LIVE = """
%load_ext bmad_nb
from tests.hostile import live, markup
live.{what}([each.text for each in markup.payloads()][{start}:{start} + 40])
"""
UNSAFE = """
from IPython.display import HTML, display
from tests.hostile import markup
for each in markup.payloads()[:50]:
    display(HTML(each.text))
"""
"""The planted sink: what must never be done, so that the watch is seen to work."""
# The mouse over each mark of all charts at once: each has a pause of its own between two looks.
HOVER = """async () => {
    const seen = new Set();
    const over = async chart => {
        const drag = chart.querySelector('.nsewdrag');
        for (const mark of chart.querySelectorAll('.scatterlayer path.point, .barlayer .point path')) {
            const {x, y, width, height} = mark.getBoundingClientRect();
            const at = {clientX: x + width / 2, clientY: y + height / 2, bubbles: true};
            drag.dispatchEvent(new MouseEvent('mousemove', at));
            await new Promise(done => setTimeout(done, 70));
            for (const text of chart.querySelectorAll('.hoverlayer text')) seen.add(text.textContent);
        }
    };
    await Promise.all([...document.querySelectorAll('.js-plotly-plot')].map(over));
    return [...seen];
}"""
# The same for all texts, each in a frame, so that none of them keeps another from firing: in an
# element, and those that close something or are styles in attributes too.
FRAMES = """async texts => {
    const touch = TOUCH_HERE;
    const clobbered = new Set();
    for (const [text, more] of texts) {
        const frame = document.createElement('iframe');
        const places = more ? `<b title="${text}">x</b><b title='${text}'>x</b><b title=${text}>x</b>` +
            `<b style="color:${text}">x</b><b style='color:${text}'>x</b>` : '';
        frame.sandbox = 'allow-scripts allow-same-origin allow-forms allow-modals';
        frame.srcdoc = `<!doctype html><div class=jp-OutputArea-output>${text}${places}</div>`;
        const loaded = new Promise(done => { frame.onload = done; });
        document.body.append(frame);
        await Promise.race([loaded, new Promise(done => setTimeout(done, 150))]);
        const page = frame.contentDocument;
        if (!page) continue;  // it went to another page
        touch(page, 1000);
        for (const each of page.querySelectorAll('a, area, button, summary')) each.click?.();
        for (const name of ['jupyterapp', 'Plotly', 'require', 'MathJax', 'getElementById'])
            if ((frame.contentWindow[name] ?? page[name]) instanceof frame.contentWindow.Element)
                clobbered.add(name);
    }
    return [...clobbered];
}""".replace("TOUCH_HERE", TOUCH)


def test_scripts_and_handlers_fire_in_a_raw_display(opened, lab):
    """In a planted raw display in JupyterLab most of them fire: the watch works there."""
    with opened(lab, UNSAFE) as notebook:
        notebook.run_all()
        notebook.page.evaluate(TOUCH_ALL, 10_000)
        notebook.page.wait_for_timeout(500)
        kinds = Counter(each.kind for each in PAYLOADS if each.number in fired(notebook.watch))
        assert kinds["script"] >= 20
        assert kinds["handler"] >= 10
        offences = " ".join(notebook.page.evaluate(OFFENCES))
        assert "script in" in offences
        assert "img onerror=" in offences


def test_every_kind_fires_in_a_raw_page(chromium):
    """Written raw into pages of their own, most texts that can fire do: they are no straw men."""
    texts = [(each.text.encode("utf-8", "replace").decode(), each.kind in {"breakout", "css"})
             for each in PAYLOADS]  # fmt: skip
    with watched(chromium) as (page, watch):
        page.set_content("<body>")
        clobbered = page.evaluate(FRAMES, texts)
        page.wait_for_timeout(500)
        numbers = fired(watch)
        kinds = Counter(each.kind for each in PAYLOADS if each.number in numbers)
        assert kinds.total() >= 300
        expected = {
            "breakout",
            "handler",
            "url",
            "script",
            "svg",
            "css",
            "srcdoc",
            "markdown",
            "data",
        }
        assert expected <= set(kinds)
        assert {"jupyterapp", "Plotly"} <= set(clobbered)


def test_no_payload_fires_in_a_chart(opened, lab, chromium, tmp_path):
    """As the names of marks and lanes, in labels, in tables and where the mouse is, they are text."""
    # JupyterLab shows at most fifty outputs of a cell, and a button for the rest.
    cells = [CHARTS.format(start=start) for start in range(0, len(PAYLOADS), 280)]
    with opened(lab, *cells) as notebook:
        notebook.run_all()
        assert [] == notebook.failures()
        hovered = notebook.page.evaluate(HOVER)
        assert len(hovered) >= 300
        assert any("onerror" in each for each in hovered)
        harmless_everywhere(notebook, tmp_path, chromium, lab)


@pytest.mark.parametrize("what", ["answers", "names", "workflows"])
def test_no_payload_fires_on_its_way(what, opened, lab, chromium, tmp_path):
    """From an LLM, a prompt, a table, a title through a real run to the cell, they stay text."""
    cells = [LIVE.format(what=what, start=start) for start in range(0, len(PAYLOADS), 40)]
    with opened(lab, *cells) as notebook:
        notebook.run_all()
        assert {"BadAnswer", "UsageProblem", "RunFailed"} >= {
            each.partition(":")[0] for each in notebook.failures()
        }
        harmless_everywhere(notebook, tmp_path, chromium, lab)
        assert [] == lab.opened


def test_an_opened_file_is_recorded(opened, lab):
    """The record of files that the kernel opens has a planted one: it would have the others."""
    with opened(lab, "open('canary-file-planted', 'w').close()") as notebook:
        notebook.run_all()
    (line,) = lab.opened
    assert "canary-file-planted" in line
    lab.network.write_text("")
