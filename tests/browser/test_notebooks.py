"""Every notebook of the project runs in a real JupyterLab and Notebook 7, with the network shut."""

from __future__ import annotations

from pathlib import Path

import pytest

from bmad_nb.llms import local, weights
from tests.browser.controls import Controls
from tests.kernel import ROOT

EMBEDDED = "local/smollm2-135m"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture
def runnable(tmp_path: Path):
    """Return the function that gives a notebook as it can run here: without weights, simulated."""

    def give(path: Path) -> Path:
        if not local.unavailable()[0] and weights.path_of("smollm2-135m") is not None:
            return path
        made = tmp_path / path.name
        made.write_text(path.read_text("utf-8").replace(EMBEDDED, "sim/hasty"), "utf-8")
        return made

    return give


def shown_whole(opened, server, path, folder):
    """Run a notebook, open all that is folded, and assert that nothing failed or was fetched."""
    with opened(server, path) as page:
        controls = Controls(page.page)
        page.run_all()
        assert [] == page.failures()
        assert [] == page.watch.errors
        assert any("simulated" in text for text in page.texts())
        controls.unfold()
        # what cards have besides folded parts; forms and explorers have tests of their own
        assert [] == [each for each in controls.left() if each.startswith("card")]
        folded = page.page.locator(".jp-RenderedHTML section summary").count()
        assert bool(folded) == any(each.startswith("card | summary") for each in controls.seen())
        for picture in page.pictures(folder, path.stem):
            assert picture.stat().st_size > 50_000
        page.nothing_left()
        assert [] == page.watch.dialogs


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_in_jupyterlab(path, opened, lab, runnable, tmp_path):
    """In JupyterLab every notebook runs to its end, in both themes, and asks nobody outside."""
    shown_whole(opened, lab, runnable(path), tmp_path)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_in_notebook_7(path, opened, notebook7, runnable, tmp_path):
    """In Notebook 7 every notebook runs to its end, in both themes, and asks nobody outside."""
    shown_whole(opened, notebook7, runnable(path), tmp_path)


def test_what_leaves_is_found(opened, lab):
    """The watch sees, and stops, a page that asks another machine, a dialog and a script."""
    with opened(lab, "from IPython.display import HTML\nHTML('''<img src=\"http://bmad.example/a.png\">"
                     "<script>bmadHit('ran'); alert('said')</script>''')", "1/0") as page:  # fmt: skip
        page.run_all()
        page.page.wait_for_timeout(300)
        assert {"http://bmad.example/a.png"} == set(page.watch.left)
        assert ({"ran"}, {"said"}) == (set(page.watch.hits), set(page.watch.dialogs))
        assert ["ZeroDivisionError: division by zero"] == page.failures()
