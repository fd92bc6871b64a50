"""The site: built from a copy of its sources with the network shut, warnings as errors."""

from __future__ import annotations

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

import bmad_nb
from bmad_nb import columns, errors
from tests.kernel import ROOT
from tests.test_papermill import Shut

pytestmark = pytest.mark.long
LOADS = {
    "script": "src", "img": "src", "link": "href", "iframe": "src", "source": "srcset",
    "video": "src", "audio": "src", "embed": "src", "object": "data", "image": "href",
}  # fmt: skip
"""Elements that make a browser fetch something, and the attribute that says what."""
NOT_FETCHED = {"next", "prev", "search", "index", "author", "copyright", "canonical", "alternate"}
"""What `rel` of a link says where nothing is fetched."""


class Page(HTMLParser):
    """What a page loads, where its links lead, and its words."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.words = ""
        self.outputs = 0
        """Cells of a notebook that show something."""
        self.styles: list[str] = []
        self._in_style = False
        self.feed(text)
        self.styles = [*self.styles, *re.findall(r'style="([^"]*)"', text)]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self._in_style = tag == "style"
        self.outputs += "cell_output" in given.get("class", "").split()
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag in LOADS and not NOT_FETCHED & set(given.get("rel", "").split()):
            self.loads.append(given.get(LOADS[tag], ""))

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self.styles.append(data)
        self.words += data


def elsewhere(page: Page) -> list[str]:
    """Return what a page loads from another host."""
    found = [each for each in page.loads if re.match(r"(https?:)?//", each.strip())]
    found += [
        each
        for style in page.styles
        for each in re.findall(r"(?:url\(|@import)[^)]*//[^)]*", style)
    ]
    return found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Shut]:
    """Build the site once, as CONTRIBUTING says, where nothing leaves this machine."""
    folder = tmp_path_factory.mktemp("site")
    made = re.compile(r"docs/(reference|tutorial/.*\.ipynb)")

    def skip(at: str, names: list[str]) -> list[str]:
        place = Path(at).relative_to(ROOT)
        return [name for name in names if made.fullmatch(f"{place}/{name}")]

    for name in ("docs", "notebooks"):
        shutil.copytree(ROOT / name, folder / name, ignore=skip)
    for name in ("ARCHITECTURE.md", "CHANGELOG.md"):
        shutil.copy(ROOT / name, folder)
    (line,) = re.findall(
        r"^\.venv/bin/(sphinx-build .*?) +#",
        (ROOT / "CONTRIBUTING.md").read_text("utf-8"),
        re.MULTILINE,
    )
    assert line.startswith("sphinx-build -W docs ")
    shut = Shut(folder)
    done = shut.run("-m", "sphinx.cmd.build", *line.split()[1:], timeout_s=600)
    assert 0 == done.returncode, (done.stdout + done.stderr)[-4000:]
    return folder / line.split()[-1], shut


@pytest.fixture(scope="module")
def pages(site: tuple[Path, Shut]) -> dict[str, Page]:
    """Read all pages, by their place in the site."""
    home, _ = site
    return {
        path.relative_to(home).as_posix(): Page(path.read_text("utf-8"))
        for path in sorted(home.rglob("*.html"))
    }


def test_nothing_was_fetched_to_build_it(site: tuple[Path, Shut]) -> None:
    """Sphinx, papermill and each kernel ran under the hook, and none tried to leave."""
    _, shut = site
    assert [] == shut.refused
    for program in ("sphinx", "papermill", "ipykernel"):
        assert program in shut.watched


def test_pages_load_nothing_from_another_host(
    site: tuple[Path, Shut], pages: dict[str, Page]
) -> None:
    """No script, style, picture or font comes from elsewhere, in pages and in style sheets."""
    home, _ = site
    assert 40 < len(pages)
    assert {} == {name: found for name, page in pages.items() if (found := elsewhere(page))}
    for sheet in home.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*['\"]?(https?:)?//", sheet.read_text("utf-8")), (
            sheet
        )
    planted = Page(
        '<script src="https://a.example/x.js"></script><p style="background:url(//b.example/y)">'
    )
    assert 2 == len(elsewhere(planted))


def test_links_of_the_site_lead_to_pages(site: tuple[Path, Shut], pages: dict[str, Page]) -> None:
    """Every link inside leads to a file; there are links to each page."""
    home, _ = site
    reached = set()
    for name, page in pages.items():
        for link in page.links:
            path = link.partition("#")[0]
            if path and "://" not in link and not link.startswith(("mailto:", "data:")):
                target = ((home / name).parent / path).resolve()
                assert target.is_file(), f"{name}: {link}"
                reached.add(target)
    by_theme = {"genindex.html", "py-modindex.html", "search.html"}
    assert {(home / name).resolve() for name in pages.keys() - by_theme} <= reached


def test_notebooks_show_what_they_did(pages: dict[str, Page]) -> None:
    """Each notebook is a page with outputs; simulated LLMs are called so; no path of this machine."""
    for source in sorted((ROOT / "notebooks").glob("*.ipynb")):
        page = pages[f"tutorial/{source.stem}.html"]
        assert "simulated" in page.words
        assert 3 <= page.outputs, source
        assert "Traceback" not in page.words
    for name, page in pages.items():
        assert str(Path.home()) not in page.words.replace("/root/.config", ""), name
        assert "/tmp/" not in page.words, name
        assert str(ROOT) not in page.words, name


def test_the_reference_has_all_of_it(pages: dict[str, Page]) -> None:
    """Public names, columns, errors and keys of the format stand in the reference."""
    python = "".join(
        page.words for name, page in pages.items() if name.startswith("reference/api-")
    )
    errors_page = pages["reference/errors.html"].words
    for name in set(bmad_nb.__all__) - {"__version__", "lab"}:
        assert name in python or name in errors_page, name
    for name, kind in vars(errors).items():
        if isinstance(kind, type) and issubclass(kind, errors.BmadError):
            assert name in errors_page
    words = pages["reference/columns.html"].words
    tables = [value for name, value in vars(columns).items() if name.isupper()]
    assert 10 < len(tables)
    assert [] == [column.name for table in tables for column in table if column.name not in words]
    for each in ("collaborate", "checkpoint", "min_success", "on_limit"):
        assert each in pages["reference/workflow.html"].words
    for each in ("max_concurrent_tasks", "base_url", "input_usd_per_mtok"):
        assert each in pages["reference/settings.html"].words


def test_the_four_kinds_of_pages_are_there(pages: dict[str, Page]) -> None:
    """Tutorial, how-to, reference and explanation are captions of the list on every page."""
    for page in pages.values():
        for caption in ("Tutorial", "How to", "Reference", "Explanation"):
            assert caption in page.words
