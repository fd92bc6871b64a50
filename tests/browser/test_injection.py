"""In a real JupyterLab and in nbconvert's HTML no hostile text runs, fetches, opens or deceives."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import nbformat
import pytest

from tests.browser.pages import watched
from tests.hostile import markup

PAYLOADS = markup.payloads()
CHUNK = 40
CARDS = """
from IPython.display import display
from tests.hostile import markup, sinks
found = [page for each in markup.payloads()[{start}:{end}] for page in sinks.cards(each.text)]
display({{"text/html": "".join(html for html, _ in found),
          "text/plain": "".join(text for _, text in found)}}, raw=True)
"""
DECKS = """
texts = [each.text for each in markup.payloads()]
for start in range(0, len(texts), 40):
    found = list(sinks.decks(texts[start:start + 40]))
    display({"text/html": "".join(html for html, _ in found),
             "text/plain": "".join(text for _, text in found)}, raw=True)
"""
CHARTS = """
from IPython.display import display
from tests.hostile import markup, sinks
texts = [each.text for each in markup.payloads()]
for start in range(0, len(texts), 40):
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
# What a page of ours must not have anywhere in its outputs. Plotly's own buttons have no address.
_OFFENCES = """() => {
    const found = new Set();
    const bad = 'script,iframe,object,embed,link,base,meta,form,img,image,picture,video,audio,input,' +
        'textarea,select,button,math,animate,set,animateTransform,foreignObject,feImage,use,template,' +
        'dialog,marquee,frame,area,track,portal,x,bmad-x,body';
    for (const output of document.querySelectorAll('.jp-OutputArea-output')) {
        for (const each of output.querySelectorAll('*')) {
            if (each.closest('.modebar, .MathJax, mjx-container')) continue;
            if (each.matches('.js-plotly-plot > img')) continue;  // JupyterLab's picture of a chart
            if (each.matches(bad)) found.add(`${each.localName} in ${each.parentElement.className}`);
            for (const {name, value} of each.attributes) {
                const lone = name.startsWith('on') || /^(src|srcdoc|srcset|action|formaction|ping|data)$/.test(name);
                // In plain text JupyterLab makes links itself; nothing follows them by itself.
                const own = each.localName === 'a' && each.closest('.jp-RenderedText');
                const link = /href$/.test(name) && !own && !value.startsWith('#');
                const style = name === 'style' && /url\\((?!['"]?#)|expression|@import/i.test(value);
                if (lone || link || style) found.add(`${each.localName} ${name}=${value.slice(0, 80)}`);
            }
        }
    }
    return [...found];
}"""
# Everything that a person can do to what is shown, done to all of it.
_TOUCH = """(page, most) => {
    const kinds = ['mouseover', 'mouseenter', 'mousemove', 'pointerenter', 'pointerdown', 'mousedown',
                   'click', 'contextmenu', 'wheel', 'keydown', 'copy', 'input', 'toggle', 'focus',
                   'animationstart', 'transitionend', 'close', 'beforetoggle', 'submit'];
    const found = [...page.querySelectorAll('.jp-OutputArea-output *')];
    const step = Math.max(1, Math.floor(found.length / most));
    for (let at = 0; at < found.length; at += step) {
        if (found[at].closest('a[href], .modebar, .js-plotly-plot')) continue;
        for (const kind of kinds) found[at].dispatchEvent(new Event(kind, {cancelable: true}));
    }
    return found.length;
}"""
# The mouse over each mark of all charts at once: each has a pause of its own between two looks.
_HOVER = """async () => {
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
TOUCH_ALL = f"most => ({_TOUCH})(document, most)"
# The same for all texts, each in a frame, so that none of them keeps another from firing: in an
# element, and those that close something or are styles in attributes too.
_FRAMES = """async texts => {
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
}""".replace("TOUCH_HERE", _TOUCH)
_CLOBBERED = """() => ['jupyterapp', 'Plotly', 'require', 'define', 'MathJax', 'bmadHit', 'getElementById', 'body']
    .filter(name => [].concat(window[name], document[name]).some(
        each => each instanceof Element && each !== document.body))"""


def fired(watch):
    """Return the numbers of the payloads that ran or asked for something."""
    ran = {int(hit) for hit in (*watch.hits, *watch.dialogs) if hit.isdigit()}
    asked = re.compile(rf"(?:{re.escape(markup.HOST)}/|{markup.FILE}-)(\d+)")
    # For the text of an error JupyterLab itself asks its server whether a path in it exists.
    urls = [url for url in watch.asked if "/api/resolvePath?" not in url]
    return ran | {int(n) for url in urls for n in asked.findall(url)}


def harmless(page, watch):
    """Assert that a page with hostile texts shows them as text and does nothing."""
    assert [] == page.evaluate(_OFFENCES)
    assert page.evaluate(TOUCH_ALL, 3000) > 200
    page.wait_for_timeout(300)
    assert set() == fired(watch)
    assert [] == watch.dialogs
    assert [] == page.evaluate(_CLOBBERED)


def harmless_everywhere(notebook, folder, browser, lab):
    """Assert it in JupyterLab, for a notebook that was run, and in the HTML made of it."""
    assert notebook.trusted()
    harmless(notebook.page, notebook.watch)
    notebook.nothing_left()
    notebook.save()
    with watched(browser) as (page, watch):
        uri = as_html(lab.project / notebook.path, folder).as_uri()
        watch.own.add(uri)
        page.goto(uri, wait_until="load")
        harmless(page, watch)


def as_html(path: Path, folder: Path) -> Path:
    """Return a notebook as nbconvert writes it, with our static forms first."""
    from nbconvert import HTMLExporter

    exporter = HTMLExporter()
    exporter.embed_images = False
    order = ["text/html", "image/svg+xml", "text/markdown", "text/plain"]
    for processor in exporter._preprocessors:
        if hasattr(processor, "display_data_priority"):
            processor.display_data_priority = order
    exporter.display_data_priority = order
    made = folder / f"{path.stem}.html"
    made.write_text(exporter.from_notebook_node(nbformat.read(path, as_version=4))[0], "utf-8")
    return made


def test_there_are_many_payloads():
    """Over five hundred different texts of sixteen kinds."""
    assert len({each.text for each in PAYLOADS}) >= 500
    assert len({each.kind for each in PAYLOADS}) >= 14


def test_no_payload_fires_in_a_card(opened, lab, chromium, tmp_path):
    """In every field of every card, in a trusted notebook, none of the texts does anything."""
    cells = [CARDS.format(start=n, end=n + CHUNK) for n in range(0, len(PAYLOADS), CHUNK)]
    with opened(lab, *cells, DECKS) as notebook:
        notebook.run_all()
        assert [] == notebook.failures()
        harmless_everywhere(notebook, tmp_path, chromium, lab)


def test_scripts_and_handlers_fire_in_a_raw_display(opened, lab):
    """In a planted raw display in JupyterLab most of them fire: the watch works there."""
    with opened(lab, UNSAFE) as notebook:
        notebook.run_all()
        notebook.page.evaluate(TOUCH_ALL, 10_000)
        notebook.page.wait_for_timeout(500)
        kinds = Counter(each.kind for each in PAYLOADS if each.number in fired(notebook.watch))
        assert kinds["script"] >= 20
        assert kinds["handler"] >= 10
        offences = " ".join(notebook.page.evaluate(_OFFENCES))
        assert "script in" in offences
        assert "img onerror=" in offences


def test_every_kind_fires_in_a_raw_page(chromium):
    """Written raw into pages of their own, most texts that can fire do: they are no straw men."""
    texts = [(each.text.encode("utf-8", "replace").decode(), each.kind in {"breakout", "css"})
             for each in PAYLOADS]  # fmt: skip
    with watched(chromium) as (page, watch):
        page.set_content("<body>")
        clobbered = page.evaluate(_FRAMES, texts)
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
    with opened(lab, CHARTS) as notebook:
        notebook.run_all()
        assert [] == notebook.failures()
        hovered = notebook.page.evaluate(_HOVER)
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
