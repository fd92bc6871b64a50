"""One JupyterLab, one Notebook 7 and one Chromium for all tests of this folder."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import nbformat
import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.browser.pages import NotebookPage
    from tests.browser.servers import Jupyter

# Read here, because the tests' own fixture takes all BMAD_* away.
REQUIRED = os.environ.get("BMAD_REQUIRE_BROWSER") == "1"
NAMED = os.environ.get("BMAD_CHROMIUM")
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PLACES = ("/Applications/Chromium.app/Contents/MacOS/Chromium",
          "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder as long."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.long)


def missing(reason: str) -> NoReturn:
    """Skip with a reason; fail where a browser is required."""
    if REQUIRED:
        pytest.fail(f"{reason} BMAD_REQUIRE_BROWSER=1 asks for it.", pytrace=False)
    pytest.skip(reason)


def chromium_path() -> str | None:
    """Return the Chromium of this machine: what BMAD_CHROMIUM names, else one on the path."""
    if NAMED:
        return NAMED if Path(NAMED).is_file() else None
    found = (shutil.which(name) for name in NAMES)
    return next(filter(None, (*found, *filter(os.path.exists, PLACES))), None)


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """Give the browser."""
    path = chromium_path()
    if path is None:
        missing(f"There is no Chromium at {NAMED or 'any usual place'}; BMAD_CHROMIUM names one.")
    if importlib.util.find_spec("playwright") is None:
        missing("playwright is not installed: pip install -e .[test]")
    from playwright._impl._driver import compute_driver_executable
    from playwright.sync_api import sync_playwright

    from tests.browser.pages import FLAGS

    node = str(compute_driver_executable()[0])  # playwright brings one; not for every platform
    if shutil.which(node) is None:
        missing(f"playwright has no Node.js for this platform ({node}).")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


def _served(app: str, folder: Path) -> Iterator[Jupyter]:
    from tests.browser.servers import Jupyter

    with Jupyter(app, folder, {"OPEN_MARK": "canary-file"}) as server:
        yield server


@pytest.fixture(scope="package")
def lab(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:
    """Give a running JupyterLab."""
    yield from _served("lab", tmp_path_factory.mktemp("lab"))


@pytest.fixture(scope="package")
def notebook7(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:
    """Give a running Notebook 7."""
    yield from _served("notebook", tmp_path_factory.mktemp("notebook"))


Opener = Callable[..., AbstractContextManager["NotebookPage"]]


@pytest.fixture
def opened(chromium: Browser, request: pytest.FixtureRequest) -> Opener:
    """Give the function that writes a notebook into a server's project and opens it.

    `opened(server, *cells)` takes code, `opened(server, notebook)` a notebook's path; each has a
    folder of its own there, so that runs of other tests are not in its store.
    """
    from tests.browser.pages import NotebookPage

    def open_one(server: Jupyter, *cells: str | Path, width: int = 1200) -> NotebookPage:
        folder = f"{request.node.name[:40]}-{len(list(server.project.iterdir()))}"
        folder = "".join(c if c.isalnum() or c in "-_" else "-" for c in folder)
        (server.project / folder).mkdir()
        if len(cells) == 1 and isinstance(cells[0], Path):
            name, text = cells[0].name, cells[0].read_text("utf-8")
        else:
            made = nbformat.v4.new_notebook(
                cells=[nbformat.v4.new_code_cell(str(cell)) for cell in cells]
            )
            name, text = "made.ipynb", nbformat.writes(made)
        made_nb = nbformat.reads(text, as_version=4)
        made_nb.metadata["kernelspec"] = {
            "name": "python3",
            "display_name": "Python 3",
            "language": "python",
        }
        nbformat.write(made_nb, server.project / folder / name)
        return NotebookPage(chromium, server, f"{folder}/{name}", width)

    return open_one
