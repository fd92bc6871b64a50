"""The wheel, installed: what it holds, and that it works without the checkout.

The clean environment has our wheel and nothing else of its own. Its dependencies are those of the
environment that runs the tests, seen through a `.pth` file: nothing is fetched. An editable install
there is not followed, for the `.pth` files of a folder that was added so are not read.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest

import bmad_nb
from bmad_nb import _assets
from bmad_nb.workspace import Workspace
from tests.kernel import ROOT, clean_environment

PACKAGE = ROOT / "bmad_nb"
FLOW = """\
workflow: sums
title: Three tasks on the simulated fleet
inputs:
  left: {type: integer, default: 4}
tasks:
  add:
    prompt: What is {{ left }} + 3?
    llm: sim/careful
  judge:
    prompt: Is {{ add.text }} the sum of {{ left }} and 3?
    llm: sim/hasty
    output: {right: boolean, why: string}
  both:
    set: {text: add.text, right: judge.right}
outputs:
  both: both.value
"""
SCRIPT = """
import json, sys
import bmad_nb
from bmad_nb import _assets
run = bmad_nb.Workspace().run("sums.yaml", {"left": 5})
print(json.dumps({
    "file": bmad_nb.__file__, "path": sys.path, "status": run.status, "outputs": dict(run.outputs),
    "states": {name: task.state for name, task in run.state.tasks.items()},
}))
"""


@dataclasses.dataclass(frozen=True)
class Installed:
    """A clean environment that has the wheel, and an empty folder to work in."""

    wheel: Path
    site: Path
    python: Path
    folder: Path

    def run(self, *command: str) -> str:
        """Return what a program of the environment prints."""
        env = clean_environment(self.folder / "home")
        del env["PYTHONPATH"]
        return _done([str(self.python.parent / command[0]), *command[1:]], self.folder, env)


def _done(command: list[str], folder: Path, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, timeout=300
    )  # fmt: skip
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Build the wheel, and install it into an environment of its own."""
    base = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(base)]
    _done([*build, str(ROOT)], base)
    (wheel,) = base.glob("*.whl")
    venv = base / "venv"
    _done([sys.executable, "-m", "venv", "--without-pip", str(venv)], base)
    python = venv / "bin" / "python"
    install = ["install", "-q", "--no-deps", "--no-index", "--no-compile", str(wheel)]
    _done([sys.executable, "-m", "pip", "--python", str(python), *install], base)
    (site,) = (venv / "lib").glob("python*/site-packages")
    shared = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (site / "dependencies.pth").write_text("\n".join(sorted(shared)) + "\n")
    folder = base / "work"
    folder.mkdir()
    (folder / "sums.yaml").write_text(FLOW)
    return Installed(wheel, site, python, folder)


def foreign(names: Iterable[str]) -> list[str]:
    """Return the files of a wheel that do not belong there."""
    return [
        name
        for name in names
        if not name.startswith(("bmad_nb/", "bmad_nb-"))
        or name.endswith((".pth", ".pyc", ".db"))
        or {"tests", "conftest.py", ".bmad"} & set(Path(name).parts)
    ]


def expected() -> set[str]:
    """Return the files that a wheel of this checkout must have."""
    files = (path.relative_to(ROOT) for path in PACKAGE.rglob("*") if path.is_file())
    ours = {str(f) for f in files if not any(p.startswith((".", "__pycache__")) for p in f.parts)}
    shared = (
        *ROOT.glob("notebooks/*.ipynb"),
        *ROOT.glob("widgets/**/*.js"),
        *ROOT.glob("widgets/**/*.css"),
    )
    return ours | {f"bmad_nb/_shared/{path.relative_to(ROOT)}" for path in shared}


def test_the_wheel_has_all_of_the_package_and_nothing_else(installed: Installed) -> None:
    """The wheel has every file of the package, every notebook and widget; no tests, no .pth."""
    names = set(zipfile.ZipFile(installed.wheel).namelist())
    assert set() == expected() - names
    assert {"bmad_nb/py.typed", "bmad_nb/_shared/notebooks/00_quickstart.ipynb"} <= names
    assert "bmad_nb/_shared/widgets/lib/dom.js" in names
    assert [] == [name for name in names if name.endswith((".test.mjs", ".mjs"))]
    schema = "bmad_nb/workflow/workflow.schema.json"
    assert (schema in names) == (ROOT / schema).is_file()
    assert [] == foreign(names)


def test_a_foreign_file_is_found() -> None:
    """Planted: tests, a .pth file, compiled files and a store are no part of a wheel."""
    wrong = [
        "tests/test_x.py", "bmad_nb/tests/test_x.py", "bmad_nb.pth", "bmad_nb-0.1.data/x.pth",
        "bmad_nb/x.pyc", "bmad_nb/.bmad/bmad.db", "notebooks/00_quickstart.ipynb",
    ]  # fmt: skip
    assert wrong == foreign([*wrong, "bmad_nb/x.py", "bmad_nb-0.1.dist-info/METADATA"])


def test_the_installed_wheel_runs_a_workflow(installed: Installed, ws: Workspace) -> None:
    """Outside of the checkout the wheel's own code runs three tasks, with the checkout's outputs."""
    found = json.loads(installed.run("python", "-c", SCRIPT))
    assert str(installed.site / "bmad_nb" / "__init__.py") == found["file"]
    assert str(ROOT) not in found["path"]
    assert {"add": "done", "judge": "done", "both": "done"} == found["states"]
    assert "completed" == found["status"]
    outputs = dict(ws.run(installed.folder / "sums.yaml", {"left": 5}).outputs)
    assert outputs == found["outputs"]
    assert {"right", "text"} == set(found["outputs"]["both"])


def test_the_installed_command_line_works(installed: Installed, ws: Workspace) -> None:
    """The installed `bmad` says its version, checks a definition, runs one and shows a notebook."""
    assert bmad_nb.__version__ in installed.run("bmad", "--version")
    assert "sums.yaml: sound, 3 tasks\n" == installed.run(
        "bmad", "workflow", "validate", "sums.yaml"
    )
    execute = ["workflow", "execute", "--definition", "sums.yaml", "-p", "left=6", "--json"]
    said = json.loads(installed.run("bmad", *execute))
    assert "completed" == said["status"]
    outputs = dict(ws.run(installed.folder / "sums.yaml", {"left": 6}).outputs)
    assert outputs == said["outputs"]
    where = "from bmad_nb import _assets; print(_assets.notebook('00_quickstart.ipynb'))"
    notebook = installed.site / "bmad_nb" / "_shared" / "notebooks" / "00_quickstart.ipynb"
    assert f"{notebook}\n" == installed.run("python", "-c", where)


def test_the_installed_wheel_finds_every_widget(installed: Installed) -> None:
    """Outside of the checkout each widget is linked from the wheel's own files, to the same text."""
    names = sorted(path.stem for path in (ROOT / "widgets").glob("*.js"))
    code = (
        "import json\nfrom bmad_nb import _assets\n"
        f"print(json.dumps({{n: [_assets.esm(n), _assets.css(n)] for n in {names}}}))"
    )
    found = json.loads(installed.run("python", "-c", code))
    assert {name: [_assets.esm(name), _assets.css(name)] for name in names} == found
