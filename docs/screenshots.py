"""Makes the pictures of README: a real comparison, executed and drawn in JupyterLab's two themes.

Run: python docs/screenshots.py [NOTEBOOK FOLDER]. Without arguments it executes the cell below in a
kernel of its own and writes docs/comparison_light.png and docs/comparison_dark.png. With a notebook
and a folder it draws that notebook, executed as it is, for looking at. It needs playwright and a
Chromium; whatever would leave this machine is refused.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from playwright.sync_api import Route, sync_playwright
from traitlets.config import Config

HERE = Path(__file__).parent
MOST_BYTES = 150_000
"""Bytes of a picture."""
THEMES = ("light", "dark")
STATIC = ["text/html", "image/svg+xml", "image/png", "text/markdown", "text/plain"]
"""What nbconvert prefers: the same that a viewer without scripts shows."""
RIGHT = (
    "Since the 14:05 deploy checkout retries send no idempotency key, so some customers are "
    "charged twice."
)
CELL = (
    "%%bmad compare -m sim/careful,sim/hasty,sim/librarian --scorer rouge_l "
    f'--reference "{RIGHT}" -o r\n'
    "Since the 14:05 deploy some customers are charged twice. Checkout retries send no idempotency "
    "key, so a slow answer is paid again.\n"
    "Rolling back payments-api to 3.8.1 stops it; 41 orders need a refund.\n"
    "Say it in one sentence."
)


def executed() -> nbformat.NotebookNode:
    """Return the notebook of the picture, executed where nothing is stored."""
    with tempfile.TemporaryDirectory() as folder:
        cells = ["%load_ext bmad_nb", CELL]
        made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        NotebookClient(
            made, kernel_name="python3", resources={"metadata": {"path": folder}}
        ).execute()
    del made.cells[0]
    return made


def page(notebook: nbformat.NotebookNode, theme: str) -> str:
    """Return a notebook as a page in one of JupyterLab's themes."""
    config = Config({"NbConvertBase": {"display_data_priority": STATIC}})
    html, _ = HTMLExporter(config=config, theme=theme).from_notebook_node(notebook)
    return str(html)


def draw(notebook: nbformat.NotebookNode, stem: Path, *, scale: float, output: bool) -> list[Path]:
    """Write a picture of a notebook in each theme, and return their paths.

    Args:
        notebook: executed.
        stem: path without `_light.png`.
        scale: device pixels of a pixel.
        output: its last output only.
    """
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    made = []
    with sync_playwright() as play, tempfile.TemporaryDirectory() as folder:
        browser = play.chromium.launch(executable_path=chromium)
        for theme in THEMES:
            file = Path(folder, "page.html")
            file.write_text(page(notebook, theme), "utf-8")
            width = 1000 if output else 1080
            view: Any = browser.new_page(
                viewport={"width": width, "height": 800}, device_scale_factor=scale,
                color_scheme=theme,
            )  # fmt: skip
            view.route("**/*", _local_only)
            view.goto(file.as_uri())
            place = view.locator("section[class*=tex2jax_ignore]").last if output else view
            target = stem.with_name(f"{stem.name}_{theme}.png")
            place.screenshot(path=target, **({} if output else {"full_page": True}))
            made.append(target)
        browser.close()
    return made


def _local_only(route: Route) -> None:
    if route.request.url.startswith("file:"):
        route.continue_()
    else:
        route.abort()


def main(arguments: list[str]) -> None:
    """Make the pictures of README, or those of a notebook that was named."""
    if arguments:
        source, folder = Path(arguments[0]), Path(arguments[1])
        folder.mkdir(parents=True, exist_ok=True)
        made = draw(nbformat.read(source, 4), folder / source.stem, scale=1, output=False)
    else:
        os.environ["BMAD_CONFIG"] = ""
        made = draw(executed(), HERE / "comparison", scale=1, output=True)
    for each in made:
        size = each.stat().st_size
        sys.stdout.write(f"{each}: {size:,} bytes\n")
        if not arguments and size > MOST_BYTES:
            sys.exit(f"{each.name} has more than {MOST_BYTES:,} bytes.")


if __name__ == "__main__":
    main(sys.argv[1:])
