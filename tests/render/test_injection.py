"""Nothing that an LLM, a user or a provider wrote becomes markup."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest

from bmad_nb.render.base import escape, plain
from bmad_nb.render.compare import compare_html
from bmad_nb.render.graph import graph_svg
from bmad_nb.render.run_card import run_html, workflow_html
from bmad_nb.render.run_text import run_text, workflow_text
from bmad_nb.render.sweep import sweep_html
from bmad_nb.render.text import answer_html, compare_text
from tests.hostile import sinks

ALLOWED = {
    "section", "header", "footer", "div", "span", "p", "table", "colgroup", "col", "thead", "tbody",
    "tfoot", "tr", "td", "th", "details", "summary", "pre", "code", "ins", "del", "svg", "g",
    "line", "circle", "path", "text", "title", "desc", "rect",
}  # fmt: skip
ATTRIBUTES = {
    "class", "style", "scope", "dir", "open", "colspan", "role", "aria-label", "aria-hidden", "width",
    "height", "viewbox", "x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "d", "fill", "stroke",
    "stroke-width", "stroke-opacity", "stroke-dasharray", "stroke-linecap", "fill-opacity",
    "font-size", "font-family", "font-weight", "text-anchor", "xmlns", "rx", "transform",
    "stroke-linejoin",
}  # fmt: skip

PAYLOADS = [
    "<script>alert(1)</script>", "<SCRIPT SRC=//x.example/a.js></SCRIPT>", "<scr<script>ipt>1</script>",
    "<img src=x onerror=alert(1)>", "<img/src/onerror=alert(1)>", "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>", "<svg/onload=alert(1)//", "<body onload=alert(1)>",
    "<iframe src=javascript:alert(1)></iframe>", "<iframe srcdoc='<script>1</script>'>",
    "<a href=javascript:alert(1)>x</a>", "<a href='data:text/html,<script>1</script>'>x</a>",
    "<a xlink:href=javascript:1>x</a>", "<math><mtext></p><script>1</script>",
    "<object data=x.swf></object>", "<embed src=x>", "<link rel=stylesheet href=//x.example/a.css>",
    "<style>*{background:url(//x.example)}</style>", "<style>@import '//x.example';</style>",
    "<div style=background:url(//x.example)>", "<div style='width:expression(alert(1))'>",
    "<meta http-equiv=refresh content='0;url=//x.example'>", "<base href=//x.example>",
    "<form action=//x.example><input type=submit>", "<button formaction=javascript:1>x",
    "<input autofocus onfocus=alert(1)>", "<details open ontoggle=alert(1)>",
    "<video><source onerror=alert(1)>", "<audio src=x onerror=alert(1)>",
    "<marquee onstart=alert(1)>", "<template><script>1</script></template>",
    "<noscript><p title='</noscript><img src=x onerror=1>'>", "<textarea></textarea><script>1</script>",
    "<title></title><script>1</script>", "<xmp></xmp><script>1</script>", "<!--><script>1</script>",
    "--><script>1</script>", "]]><script>1</script>", "<![CDATA[<script>1</script>]]>",
    "<?xml version='1.0'?><script>1</script>", "</td></tr></table><script>1</script>",
    "</pre><script>1</script>", "</details><script>1</script>", "</section><img src=x onerror=1>",
    "</text></svg><script>1</script>", "</title><script>1</script>", '" onmouseover="alert(1)',
    "' onmouseover='alert(1)", '"><script>alert(1)</script>', "'><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>', "` onmouseover=alert(1)", '" style="background:url(//x.example)',
    '" autofocus onfocus=alert(1) x="', "javascript:alert(1)", "&lt;script&gt;1&lt;/script&gt;",
    "&#60;script&#62;1&#60;/script&#62;", "&#x3c;img src=x onerror=1&#x3e;", "&amp;lt;script&amp;gt;",
    "<scr\u0000ipt>1</script>", "<\u0000script>1</script>", "\ud83c<script>1</script>",
    "<ſcript>1</ſcript>", "＜script＞1＜/script＞", "<script\u2028>1</script>", "<script\t>1</script>",
    "<script\r\n>1</script>", "\u202e<script>1</script>", "${alert(1)}", "{{constructor.constructor('1')()}}",
    "<x:script xmlns:x='http://www.w3.org/1999/xhtml'>1</x:script>", "<%= 1 %>", "$\\href{javascript:1}{x}$",
]  # fmt: skip


def without_ink(text):
    """Return a chart's words without the one tag of ours that may stand around them."""
    begin, end = '<span style="color:currentColor">', "</span>"
    return text.removeprefix(begin).removesuffix(end) if text.startswith(begin) else text


class _Reader(HTMLParser):
    """Collects what a page contains and what it must not contain."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.words, self.wrong = [], []

    def handle_starttag(self, name, attrs):
        if name not in ALLOWED:
            self.wrong.append(f"tag {name}")
        for key, value in attrs:
            low = (value or "").lower()
            if (
                key not in ATTRIBUTES
                or key.startswith("on")
                or key in ("href", "src", "xlink:href")
            ):
                self.wrong.append(f"attribute {key}")
            if key == "style" and ("url(" in low or "expression" in low or "@import" in low):
                self.wrong.append(f"style {value}")
            if key == "aria-label":
                self.words.append(value or "")

    def handle_data(self, text):
        self.words.append(text)

    def handle_comment(self, text):
        self.wrong.append("comment")

    def handle_decl(self, text):
        self.wrong.append("declaration")

    def handle_pi(self, text):
        self.wrong.append("instruction")

    def unknown_decl(self, text):
        self.wrong.append("declaration")


def read(page):
    """Return what is wrong with a page, and its words."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    return reader.wrong, "".join("".join(reader.words).split())


def shown_as(text):
    """Return a payload as a reader of the page should see it, white space apart."""
    return "".join(read(f"<p>{escape(text)}</p>")[1].split())


@pytest.fixture
def poisoned():
    """Return the function that makes views with a payload in every field."""
    return sinks.comparison


@pytest.fixture
def poisoned_run():
    """Return the function that makes a run and its workflow with a payload in every field."""
    return sinks.run


def test_there_are_many_payloads():
    """At least sixty payloads are tried."""
    assert len(set(PAYLOADS)) >= 60


@pytest.mark.parametrize(
    "page",
    [
        "<section><script>1</script></section>", "<div onclick='1'>x</div>", "<p style='a:url(x)'>x</p>",
        "<a href='x'>x</a>", "<svg><image xlink:href='x'/></svg>", "<p style='w:Expression(1)'>x</p>",
        "<!-- x -->", "<?php 1 ?>", "<p src=x>x</p>",
    ],
)  # fmt: skip
def test_the_reader_finds_planted_markup(page):
    """The reader of these tests catches raw markup where there is some."""
    assert [] != read(page)[0]


def test_the_reader_finds_an_unescaped_payload(poisoned):
    """Were the escaping left out of one field, the reader would catch it."""
    page = compare_html(poisoned("MARK", ""))
    assert [] == read(page)[0]
    assert [] != read(page.replace("MARK", "<img src=x onerror=alert(1)>", 3))[0]


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_payload_becomes_markup(payload, poisoned):
    """In a card, in rows, over cases and alone, a payload stays text and can be read again."""
    views = [poisoned(payload, "", 1), poisoned(payload, "", 5), poisoned(payload, "case"),
             poisoned(payload, "case", score=None), poisoned(payload, "", 1, None)]  # fmt: skip
    pages = [*(compare_html(each) for each in views),
             *(answer_html(each) for each in (views[0].rows[0], views[0].rows[-1]))]  # fmt: skip
    for page in pages:
        wrong, words = read(page)
        assert [] == wrong
        assert shown_as(payload) in words


def test_the_reader_finds_an_unescaped_payload_in_a_run(poisoned_run):
    """Were the escaping left out of one field of a run, the reader would catch it."""
    for count in (1, 20):
        run, workflow = poisoned_run("MARK", count)
        for page in (run_html(run), workflow_html(workflow), graph_svg(run.graph)):
            assert [] == read(page)[0]
            wrong = page.replace("MARK", "<img src=x onerror=alert(1)>")
            assert len(read(wrong)[0]) >= page.count("MARK")


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_payload_becomes_markup_in_a_run(payload, poisoned_run):
    """In the cards of a workflow and a run, and in graphs small and large, a payload stays text."""
    for count in (1, 20):
        run, workflow = poisoned_run(payload, count)
        pages = [run_html(run), workflow_html(workflow), graph_svg(run.graph)]
        for page in pages:
            wrong, words = read(page)
            assert [] == wrong
            assert shown_as(payload) in words
        ET.fromstring(pages[-1])


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_payload_becomes_markup_on_the_page_of_a_sweep(payload):
    """Parameters, statuses and errors stay text; the planted one is found."""
    wrong, words = read(sweep_html(sinks.sweep(payload)))
    assert [] == wrong
    assert shown_as(payload) in words
    planted = sweep_html(sinks.sweep("MARK")).replace("MARK", "<img src=x onerror=1>")
    assert len(read(planted)[0]) >= 10


@pytest.mark.parametrize("payload", PAYLOADS)
def test_payloads_in_the_text_of_a_run(payload, poisoned_run):
    """The plain form of a run shows the payload as it is, without control characters."""
    run, workflow = poisoned_run(payload)
    for text in (run_text(run), workflow_text(workflow)):
        assert "".join(plain(payload).split()) in "".join(text.split())
        assert set() == {c for c in text if c < " " and c not in "\n\t"}


@pytest.mark.parametrize("payload", PAYLOADS)
def test_payloads_in_a_timeline(payload, row):
    """In calls over time a payload is text, and plotly gets neither tags nor formulas."""
    pd, charts = pytest.importorskip("pandas"), pytest.importorskip("bmad_nb.charts")
    safe = payload.encode("utf-8", "replace").decode()
    now = pd.Timestamp("2026-01-01", tz="UTC")
    base = {"task": safe, "state": safe, "started_utc": now, "ended_utc": now}
    tasks = pd.DataFrame([{**base, "verb": safe}, {**base, "task": f"{safe} 2", "verb": safe}])
    calls = pd.DataFrame([{**base, "llm": safe, "error_kind": safe, "attempt": 1}])
    bundle = charts.timeline(tasks, calls)._repr_mimebundle_()
    for kind in ("text/html", "image/svg+xml"):
        wrong, words = read(bundle[kind])
        assert [] == wrong
        assert shown_as(safe) in words
    figure = bundle["application/vnd.plotly.v1+json"]
    texts = [*figure["layout"]["yaxis"]["ticktext"],
             *(each for trace in figure["data"] for each in trace.get("hovertext", []))]  # fmt: skip
    assert len(texts) >= 4
    for text in map(without_ink, texts):
        assert "<" not in text
        assert "$" not in text.replace("&#36;", "")


@pytest.mark.parametrize("payload", PAYLOADS)
def test_payloads_in_text(payload, poisoned):
    """The plain form shows the payload as it is, without control characters."""
    text = compare_text(poisoned(payload, "", 1))
    assert "".join(plain(payload).split()) in "".join(text.split())
    assert set() == {c for c in text if c < " " and c not in "\n\t"}


@pytest.mark.parametrize("payload", PAYLOADS)
def test_payloads_in_charts(payload, poisoned):
    """In a chart's SVG and table a payload is text, and plotly gets neither tags nor formulas."""
    frames, charts = pytest.importorskip("bmad_nb.frames"), pytest.importorskip("bmad_nb.charts")
    rows = [replace(each, started_utc="") for each in poisoned(payload, "case").rows]
    chart = charts.frontier(frames.calls(rows))
    bundle = chart._repr_mimebundle_()
    for kind in ("text/html", "image/svg+xml"):
        wrong, words = read(bundle[kind])
        assert [] == wrong
        # The frame's text type writes question marks for a lone surrogate.
        assert shown_as(payload)[:20].strip("\ufffd") in words
    for trace in bundle["application/vnd.plotly.v1+json"]["data"]:
        for field in ("text", "hovertext"):
            for text in map(without_ink, trace.get(field) or []):
                assert "<" not in text
                assert "$" not in text.replace("&#36;", "").replace("$0", "")


@pytest.mark.parametrize("payload", PAYLOADS)
def test_payloads_in_charts_of_routers(payload):
    """The same of shares, money, regret, calibration and prices, whoever is named so."""
    pytest.importorskip("bmad_nb.charts")
    for chart in sinks.router_charts(payload):
        bundle = chart._repr_mimebundle_()
        for kind in ("text/html", "image/svg+xml"):
            assert [] == read(bundle[kind])[0]
        figure = bundle["application/vnd.plotly.v1+json"]
        said = [figure["layout"]["title"]["text"]]
        for trace in figure["data"]:
            said += [t for f in ("text", "hovertext") for t in trace.get(f) or []]
            said += [trace.get("name") or "", *map(str, trace["y"]), *map(str, trace["x"])]
        for axis in ("xaxis", "yaxis"):
            said += [figure["layout"][axis]["title"]["text"]]
            said += figure["layout"][axis].get("ticktext") or []
        for text in map(without_ink, said):
            assert "<" not in text
            assert "$" not in re.sub(r"&#36;|\$(?=[0-9])", "", text)
