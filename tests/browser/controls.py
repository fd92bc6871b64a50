"""What in a page can be pressed, chosen or typed into, and which of it a test has used.

The list is read off the page itself, again and again while a test goes on: a control that is new
and that no test uses is left over at the end, and fails the test.
"""

from __future__ import annotations

from typing import NamedTuple

from playwright.sync_api import Locator, Page

# A control's name here is its place, its kind and its words, without what changes with its state.
_WATCH = """() => {
    const kinds = 'button, summary, select, input, textarea, a[href], [role=tab], [role=button], [role=checkbox], [tabindex="0"]';
    const places = {form: '.bmad-form', monitor: '.bmad-monitor', explorer: '.bmad-compare'};
    const output = '.jp-OutputArea-output';
    const others = '.modebar, .js-plotly-plot, .MathJax, mjx-container';  // plotly's and MathJax's own
    const place = each => Object.keys(places).find(name => each.closest(places[name])) ?? 'card';
    const words = each => (each.innerText || each.labels?.[0]?.innerText || each.getAttribute('aria-label') || '').trim();
    const bare = text => text.replace(/^[▸▾✕\\s]+/, '').replace(/\\{\\{.*\\}\\}/, '{{ name }}').split(/ · |: |\\n|, /)[0].replace(/[\\d.]+ /, '');
    const kind = each => each.getAttribute('role') || (each.localName === 'input' ? each.type : each.localName);
    const list = each => each.localName === 'select' || each.matches('[tabindex="0"]:not(li)');
    const sign = each => {
        const said = list(each) ? each.labels?.[0]?.childNodes[0]?.textContent || each.getAttribute('aria-label') || '' : words(each);
        return [place(each), kind(each), bare(said.trim()), each.getAttribute('placeholder') || ''].filter(Boolean).join(' | ');
    };
    const here = each => each.closest(output) && !each.closest(others);
    const all = () => [...document.querySelectorAll(output)].flatMap(each => [...each.querySelectorAll(kinds)])
        .filter(each => !each.closest(others) && each.checkVisibility());
    const seen = new Set(), used = new Set();
    const look = () => all().forEach(each => seen.add(sign(each)));
    const use = event => {
        look();
        for (let each = event.target; each?.closest; each = each.parentElement?.closest(kinds))
            if (each.matches(kinds) && here(each)) used.add(sign(each));
        for (const label of [event.target.closest?.('label')]) if (label?.control) used.add(sign(label.control));
    };
    for (const name of ['click', 'input', 'change', 'keydown']) window.addEventListener(name, use, true);
    new MutationObserver(() => { clearTimeout(window.bmadLook); window.bmadLook = setTimeout(look, 30); })
        .observe(document.body, {subtree: true, childList: true, attributes: true, attributeFilter: ['class', 'style', 'hidden', 'open']});
    let number = 0;
    window.bmadControls = {
        left: () => { look(); return [...seen].filter(each => !used.has(each)).sort(); },
        seen: () => { look(); return [...seen].sort(); },
        unused: scope => all().filter(each => each.closest(scope) && !used.has(sign(each)) && !each.disabled).map(each => {
            each.dataset.control ??= String(++number);
            return [each.dataset.control, kind(each), bare(words(each)), sign(each)];
        }),
    };
}"""


class Control(NamedTuple):
    """One control in sight that was not used yet."""

    at: Locator
    kind: str
    """Its role, an input's type, or the element's name."""
    words: str
    sign: str
    """Its place, kind, words and placeholder."""


class Controls:
    """The controls in the outputs of a page, from now on.

    Args:
        page: with a notebook in it.
    """

    def __init__(self, page: Page) -> None:
        """Begin to watch."""
        self._page = page
        page.evaluate(_WATCH)

    def left(self) -> list[str]:
        """Return those that were in sight at any time and that nobody has used."""
        found: list[str] = self._page.evaluate("() => window.bmadControls.left()")
        return found

    def seen(self) -> list[str]:
        """Return all that were in sight at any time."""
        found: list[str] = self._page.evaluate("() => window.bmadControls.seen()")
        return found

    def unused(self, scope: str) -> list[Control]:
        """Return those in sight inside of a CSS selector that can be used and were not yet."""
        found = self._page.evaluate("scope => window.bmadControls.unused(scope)", scope)
        return [
            Control(self._page.locator(f'[data-control="{number}"]'), *rest)
            for number, *rest in found
        ]

    def unfold(self, scope: str = "body") -> int:
        """Open and close each folded part that is in sight, and those inside of it.

        Returns:
            how many there were; each was seen to open, to show something, and to close.
        """
        count = 0
        while folded := [each for each in self.unused(scope) if each.kind == "summary"]:
            for summary in folded:
                details = summary.at.locator("xpath=..")
                before = details.evaluate("each => each.open")
                high = details.evaluate("each => each.getBoundingClientRect().height")
                summary.at.click()
                assert before is not details.evaluate("each => each.open"), summary.sign
                now = details.evaluate("each => each.getBoundingClientRect().height")
                assert (now < high) is before, summary.sign
                if before:
                    summary.at.click()
                assert details.evaluate("each => each.open")
                count += 1
        return count
