"""A notebook in a page, driven as a person does: open, run all, read, click, look."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from playwright.sync_api import Browser, BrowserContext, Dialog, Error, Locator, Page, Route

from tests.browser.servers import Jupyter

FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
)  # fmt: skip
"""Without them Chromium asks its maker's hosts by itself, and root cannot start it."""
_HERE = re.compile(
    r"^(https?|wss?)://(127\.0\.0\.1|localhost|\[::1\])(:\d+)?(/|$)|^(data|blob|about):"
)
_SESSION = "window.jupyterapp?.shell?.currentWidget?.sessionContext"
# "Run all" before the session is ready opens a dialog that asks for a kernel, and runs nothing.
_READY = """async () => {
    const notebook = window.jupyterapp.shell.currentWidget;
    await notebook.context.ready;
    await notebook.sessionContext.ready;
    await notebook.sessionContext.session.kernel.info;
}"""
# The command's promise is kept only when every cell is done: it is left on the window.
_RUN = """() => {
    window.bmadDone = '';
    window.jupyterapp.commands.execute('notebook:run-all-cells').then(
        () => { window.bmadDone = 'done'; }, error => { window.bmadDone = String(error); });
}"""
_FAILURES = """() => window.jupyterapp.shell.currentWidget.content.widgets
    .filter(cell => cell.model.type === 'code')
    .flatMap(cell => cell.model.outputs.toJSON())
    .filter(output => output.output_type === 'error')
    .map(output => `${output.ename}: ${output.evalue}`)"""
# The notebook's pane scrolls: as long as all of it shows, nothing has to be scrolled.
_HEIGHT = """() => {
    const here = document.querySelector('.jp-NotebookPanel-notebook');
    const around = [];
    for (let each = here; each; each = each.parentElement) around.push(each);
    const hidden = [here, ...here.querySelectorAll('.jp-WindowedPanel-outer'), ...around]
        .map(each => each.scrollHeight - each.clientHeight);
    return Math.ceil(window.innerHeight + Math.max(...hidden));
}"""
_DARK = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}


class Watch:
    """What a browser context asked for and ran; nothing but loopback is let through."""

    def __init__(self, context: BrowserContext) -> None:
        """Watch a new context."""
        self.own: set[str] = set()
        """Addresses of files that the test itself opens."""
        self.asked: list[str] = []
        """Every address that was asked for, loopback too."""
        self.left: list[str] = []
        """The addresses on other machines; each was aborted."""
        self.dialogs: list[str] = []
        self.hits: list[str] = []
        """What called `bmadHit`, which no text of an LLM should be able to."""
        self.errors: list[str] = []
        """Errors of scripts that nobody caught."""
        context.expose_binding("bmadHit", lambda _source, word="": self.hits.append(str(word)))
        context.route("**/*", self._decide)
        context.on("page", self._meet)

    def _decide(self, route: Route) -> None:
        url = route.request.url
        self.asked.append(url)
        if _HERE.match(url) or url in self.own:
            route.fallback()
        else:
            self.left.append(url)
            route.abort()

    def _meet(self, page: Page) -> None:
        page.on("dialog", self._dismiss)
        page.on("websocket", lambda socket: self._socket(socket.url))
        page.on("pageerror", lambda error: self.errors.append(f"{error}\n{error.stack}"))

    def _dismiss(self, dialog: Dialog) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def _socket(self, url: str) -> None:
        self.asked.append(url)
        if not _HERE.match(url):
            self.left.append(url)


@contextmanager
def watched(browser: Browser, width: int = 1200, height: int = 900) -> Iterator[tuple[Page, Watch]]:
    """Open an empty page of its own context, `width` by `height` pixels, under a watch."""
    context = browser.new_context(viewport={"width": width, "height": height})
    try:
        watch = Watch(context)
        yield context.new_page(), watch
    finally:
        context.close()


class NotebookPage:
    """One notebook, opened in a server; use it in a `with`.

    Args:
        browser: the session's Chromium.
        server: where it runs.
        path: the notebook, inside the server's project.
        width: of the window, in pixels.
    """

    def __init__(self, browser: Browser, server: Jupyter, path: str, width: int = 1200) -> None:
        """Open nothing yet."""
        self._server = server
        self.path = path
        """Of the notebook, inside the server's project."""
        self._context = browser.new_context(viewport={"width": width, "height": 900})
        self.watch = Watch(self._context)
        self.page = self._context.new_page()
        self.page.set_default_timeout(60_000)

    def __enter__(self) -> Self:
        """Open it, and wait until its kernel is ready."""
        try:
            self.page.goto(self._server.url(self.path), wait_until="commit")
            self.page.wait_for_function(f"() => Boolean({_SESSION})", timeout=120_000, polling=100)
            self.page.evaluate(_READY)
            idle = f"() => {_SESSION}.session.kernel.status === 'idle'"
            self.page.wait_for_function(idle, timeout=120_000, polling=100)
            if self._server.app == "lab":  # all the width to the notebook, as on a small screen
                self.page.evaluate(
                    "() => { const shell = window.jupyterapp.shell;"
                    " shell.collapseLeft(); shell.collapseRight(); }"
                )
            self.page.wait_for_timeout(200)
            self.watch.errors.clear()  # what the front end did before is its own matter
        except Error as error:
            self.__exit__(None, None, None)
            raise AssertionError(f"{self.path} did not open.\n{self._server.say()}") from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End its kernel and close it."""
        try:
            self.page.evaluate(f"() => {_SESSION}?.shutdown()")
        finally:
            self._context.close()

    def run_all(self, timeout_s: float = 400) -> None:
        """Run every cell and wait for the last; a cell that fails ends it, as it does for people."""
        self.start_all()
        self.finish(timeout_s)

    def start_all(self) -> None:
        """Run every cell, and do not wait."""
        self.page.evaluate(_RUN)

    def finish(self, timeout_s: float = 400) -> None:
        """Wait until the cells that `start_all` ran are done."""
        self.page.wait_for_function("() => window.bmadDone", timeout=timeout_s * 1000, polling=100)
        said = self.page.evaluate("() => window.bmadDone")
        assert said == "done", said
        self.page.wait_for_timeout(300)  # charts are drawn after the message that brings them

    def python(self, code: str) -> str:
        """Run code in the notebook's kernel, beside its cells, and return what it printed."""
        ask = """code => new Promise((done, fail) => {
            const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
            let said = '';
            const future = kernel.requestExecute({code, store_history: false});
            future.onIOPub = each => {
                if (each.header.msg_type === 'stream') said += each.content.text;
                if (each.header.msg_type === 'error') fail(new Error(each.content.evalue));
            };
            future.done.then(() => done(said), fail);
        })"""
        said: str = self.page.evaluate(ask, code)
        return said

    @property
    def outputs(self) -> Locator:
        """The output areas of all code cells."""
        return self.page.locator(".jp-CodeCell .jp-OutputArea-output")

    def cell(self, number: int) -> Locator:
        """Return a code cell, counted from 0."""
        return self.page.locator(".jp-Notebook .jp-CodeCell").nth(number)

    def output(self, number: int) -> str:
        """Return what the code cell with this number shows as words."""
        return self.cell(number).locator(".jp-Cell-outputArea").inner_text()

    def texts(self) -> list[str]:
        """Return what each code cell shows as words."""
        return self.page.locator(".jp-CodeCell .jp-Cell-outputArea").all_inner_texts()

    def failures(self) -> list[str]:
        """Return the outputs that are errors."""
        found: list[str] = self.page.evaluate(_FAILURES)
        return found

    def theme(self, name: str) -> None:
        """Change the application's theme to `light` or `dark`."""
        self.page.evaluate(
            "theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})",
            _DARK[name],
        )
        light = str(name == "light").lower()
        self.page.wait_for_selector(f'body[data-jp-theme-light="{light}"]', state="attached")

    def trusted(self) -> bool:
        """Return whether the notebook's outputs are trusted."""
        found: bool = self.page.evaluate(
            "() => { const cells = window.jupyterapp.shell.currentWidget.content.widgets;"
            " return cells.every(each => each.model.type !== 'code' || each.model.trusted); }"
        )
        return found

    def save(self) -> None:
        """Write the notebook with its outputs, as Ctrl+S does."""
        self.page.evaluate("() => window.jupyterapp.shell.currentWidget.context.save()")

    def picture(self, path: Path) -> Path:
        """Write the whole notebook as a PNG, at most 16,000 pixels high."""
        size = self.page.viewport_size or {"width": 1200, "height": 900}
        self.page.evaluate("() => document.activeElement?.blur()")
        height = min(16_000, self.page.evaluate(_HEIGHT))
        self.page.set_viewport_size({"width": size["width"], "height": height})
        self.page.wait_for_timeout(300)  # charts follow the window's size
        self.page.screenshot(path=path)
        self.page.set_viewport_size(size)
        return path

    def pictures(self, folder: Path, name: str) -> list[Path]:
        """Write the whole notebook as PNGs, in the light and in the dark theme."""
        made = []
        for theme in ("dark", "light"):
            self.theme(theme)
            made.append(self.picture(folder / f"{name}-{theme}.png"))
        return made

    def nothing_left(self, *, but: Any = ()) -> None:
        """Assert that neither the page nor Python asked for anything outside of this machine."""
        assert [] == [each for each in self.watch.left if each not in but]
        assert [] == self._server.left
