"""The browser halves: their own tests under node, and that both halves write numbers alike."""

from __future__ import annotations

import json
import shutil
import subprocess
from decimal import Decimal
from pathlib import Path

import pytest

from bmad_nb import _assets
from bmad_nb.errors import UsageProblem
from bmad_nb.render import base

HERE = Path(__file__).parent
NODE = shutil.which("node")
WIDGETS = HERE.parents[1] / "widgets"
NAMES = sorted(path.stem for path in WIDGETS.glob("*.js"))
needs_node = pytest.mark.skipif(NODE is None, reason="node is not on this machine")


def node(*arguments: str) -> str:
    """Return what node prints; it must succeed."""
    assert NODE is not None
    done = subprocess.run(
        [NODE, "--no-warnings", *arguments], capture_output=True, text=True, timeout=120, cwd=HERE
    )  # fmt: skip
    assert 0 == done.returncode, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@needs_node
def test_the_modules_pass_their_own_tests() -> None:
    """All tests/widgets/*.test.mjs pass, and there are some."""
    files = sorted(str(path) for path in HERE.glob("*.test.mjs"))
    said = node("--test", "--test-force-exit", "--test-reporter=tap", *files)
    assert "# fail 0" in said
    assert len(files) <= said.count("\nok ") + said.count("\n    ok ")


@needs_node
def test_a_failing_module_is_found(tmp_path: Path) -> None:
    """Planted: a test that fails under node fails here."""
    wrong = tmp_path / "wrong.test.mjs"
    wrong.write_text(
        "import { test } from 'node:test';\ntest('x', () => { throw new Error('no'); });\n"
    )
    with pytest.raises(AssertionError, match="not ok 1"):
        node("--test", "--test-reporter=tap", str(wrong))


@needs_node
@pytest.mark.parametrize("name", NAMES)
def test_a_linked_widget_loads(name: str, tmp_path: Path) -> None:
    """The linked text of each widget is one module without imports whose default can render."""
    linked = tmp_path / f"{name}.mjs"
    linked.write_text(_assets.esm(name), "utf-8")
    code = (
        f"import({json.dumps(linked.as_uri())}).then((m) => console.log(typeof m.default.render))"
    )
    assert "function\n" == node("-e", code)


@needs_node
def test_a_module_is_linked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that two others import is there once, and names can be changed on import."""
    folder = tmp_path / "widgets"
    (folder / "lib").mkdir(parents=True)
    (folder / "lib" / "a.js").write_text(
        "let n = 0;\nexport function next() {\n  return (n += 1);\n}\n"
    )
    (folder / "lib" / "b.js").write_text(
        'import { next as one } from "./a.js";\nexport const first = one();\nconst hidden = 7;\n'
        "export class Thing {}\nexport async function later() {\n  return hidden;\n}\n"
    )
    (folder / "x.js").write_text(
        'import { first, Thing, later } from "./lib/b.js";\nimport { next } from "./lib/a.js";\n'
        "const hidden = 1;\nexport default { first, then: undefined, second: next(), later, Thing };\n"
    )
    monkeypatch.setattr(_assets, "_PACKAGE", tmp_path / "bmad_nb")
    text = _assets.esm.__wrapped__("x")
    assert 1 == text.count("let n = 0")
    (tmp_path / "x.mjs").write_text(text)
    uri = json.dumps((tmp_path / "x.mjs").as_uri())
    code = f"import({uri}).then(async (m) => console.log(m.default.first, m.default.second, await m.default.later()))"
    assert "1 2 7\n" == node("-e", code)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('import x from "./lib/a.js";', "does not know the form"),
        ('import * as x from "./lib/a.js";', "does not know the form"),
        ('import { a } from "https://example.org/a.js";', "does not know the form"),
        ('import "./lib/a.js";', "does not know the form"),
        ("export let x = 1;", "does not know the form"),
        ("export { x };", "does not know the form"),
        ('import { x } from "./lib/none.js";', "is not part of this installation"),
        ('import { x } from "./x.js";', "imports itself by a detour"),
    ],
)
def test_a_form_that_the_linker_does_not_know_is_an_error(
    line: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is one form of import and one of export; all others are refused in words."""
    folder = tmp_path / "widgets"
    (folder / "lib").mkdir(parents=True)
    (folder / "lib" / "a.js").write_text("export const a = 1;\n")
    (folder / "x.js").write_text(f"{line}\nexport default {{}};\n")
    monkeypatch.setattr(_assets, "_PACKAGE", tmp_path / "bmad_nb")
    with pytest.raises(UsageProblem, match=said):
        _assets.esm.__wrapped__("x")


def test_numbers_are_written_as_the_browser_writes_them() -> None:
    """The table that the browser's half is tested with holds for Python's half too."""
    table = json.loads((HERE / "format.json").read_text("utf-8"))
    for given, wanted in table["usd"]:
        assert wanted == base.usd(None if given is None else Decimal(str(given)))
    for given, wanted in table["seconds"]:
        assert wanted == base.seconds(given)
    for given, wanted in table["count"]:
        assert wanted == base.tokens(given)
    for given, noun, wanted in table["counted"]:
        assert wanted == base.counted(given, noun)


def test_a_widget_has_the_common_style_first() -> None:
    """The style of a widget begins with the common one, whether it has an own one or not."""
    common = (WIDGETS / "base.css").read_text("utf-8")
    assert common == _assets.css("a name without a style of its own")
    for name in NAMES:
        assert _assets.css(name).startswith(common)
