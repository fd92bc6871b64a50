"""How it is seen that a page with hostile texts runs, fetches, opens and clobbers nothing."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat

from tests.browser.pages import watched
from tests.hostile import markup

PAYLOADS = markup.payloads()
# What a page of ours must not have anywhere in its outputs. Plotly's own buttons have no address.
OFFENCES = """() => {
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
TOUCH = """(page, most) => {
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
TOUCH_ALL = f"most => ({TOUCH})(document, most)"
CLOBBERED = """() => ['jupyterapp', 'Plotly', 'require', 'define', 'MathJax', 'bmadHit', 'getElementById', 'body']
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
    assert [] == page.evaluate(OFFENCES)
    assert page.evaluate(TOUCH_ALL, 3000) > 200
    page.wait_for_timeout(300)
    assert set() == fired(watch)
    assert [] == watch.dialogs
    assert [] == page.evaluate(CLOBBERED)


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
