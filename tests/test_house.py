"""The house's own rules: floors, sizes, names, documents, and what may stand where.

Each rule is a function from source text to findings, so that a planted offence can prove that the
rule finds what it looks for.
"""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import click
import pytest

import bmad_nb
from bmad_nb import errors, frames
from bmad_nb.verbs.tree import bmad

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "bmad_nb"

FLOORS = (
    "errors secrets messages expressions prompts documents workflow plan_parts plan events state outcome render",
    "settings pricing budget images options parse reducers templates importers",
    "llms",
    "answers consensus weighing routers scorers store",
    "patterns assigning companions mitigating collaborating modifiers planner grid jury columns learning frames measures alerts contrasts calls steps",
    "engine forecast charts",
    "chats blinding comparing tracing results reports runs live grading asking running advising question steering workspace original lab monitoring stored optimizing trying export outputs",
    "sweeps verbs",
    "widgets magics cli __main__ __init__",
)
"""From the ground up; on a floor, a module imports only from those to its left."""
APART = ("_files", "_functions", "_loop", "_assets", "_nearest")
"""Anybody may import these, and they import nothing but errors."""
PLACE = {name: (n, k) for n, row in enumerate(FLOORS) for k, name in enumerate(row.split())}

HOMES = {
    "httpx": ("llms",),
    "httpx_aiohttp": ("llms",),
    "httpx_sse": ("llms",),
    "aiohttp": ("llms",),
    "pandas": (
        "frames",
        "measures",
        "export",
        "stored",
        "charts",
        "lab",
        "outputs",
        "verbs/checks",
        "verbs/probing",
        "cli",
    ),
    "plotly": ("charts",),
    "scipy": ("routers",),
    "papermill": ("verbs/tour", "sweeps/work"),
    "IPython": ("magics", "widgets"),
    "nest_asyncio": ("_loop",),
    "nest_asyncio2": ("_loop",),
    "distributed": ("sweeps/clusters",),
    "networkx": (),
    "genai_prices": ("pricing",),
    "pydantic": ("settings", "options", "workflow", "widgets"),
    "ruamel": ("documents",),
    "jsonschema": (),
    "click": ("verbs",),
    "ipywidgets": ("widgets",),
    "anywidget": ("widgets",),
    "traitlets": ("widgets", "magics"),
    "rich": ("cli/live",),
}
"""The modules and families in which a heavy library may be imported."""
ONLY_TYPES = {
    "pandas": ("workspace", "results", "reports", "runs", "contrasts", "comparing", "sweeps")
}
"""Where it may be named for the type checker only."""


@functools.cache
def sources() -> dict[str, str]:
    """Return the text of every module of the package by its path inside it."""
    files = sorted(PACKAGE.rglob("*.py"))
    return {str(f.relative_to(PACKAGE)): f.read_text("utf-8") for f in files}


def room(path: str) -> str:
    """Return the module or the family to which a file belongs."""
    return Path(path).parts[0].removesuffix(".py")


def imported(source: str, *, types: bool = True) -> list[str]:
    """Return the dotted names that a source imports anywhere, those for types only on request."""
    tree = ast.parse(source)
    skipped: set[ast.AST] = set()
    if not types:
        for node in ast.walk(tree):
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                skipped |= {n for child in node.body for n in ast.walk(child)}
    found = []
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            found += [f"{module}.{alias.name}" for alias in node.names]
    return found


def ours(source: str) -> set[str]:
    """Return the modules of bmad_nb that a source imports, as paths inside the package."""
    found = set()
    for name in imported(source):
        parts = name.split(".")
        if parts[0] != "bmad_nb":
            continue
        for end in (3, 2):
            path = "/".join(parts[1:end])
            if f"{path}.py" in sources():
                found.add(f"{path}.py")
                break
            if f"{path}/__init__.py" in sources():
                found.add(f"{path}/__init__.py")
                break
    return found


def storeys(path: str, source: str) -> list[str]:
    """Return the imports of one module that go up, or to the right, or sideways out of a wing."""
    here = room(path)
    wrong = []
    if any(name.startswith(".") for name in imported(source)):
        wrong.append(f"{path}: a relative import")
    for target in sorted(ours(source)):
        there = room(target)
        if there == here:
            continue
        if here in APART:
            allowed = there == "errors"
        else:
            allowed = there in APART or PLACE[there] < PLACE[here]
        if not allowed:
            wrong.append(f"{path} imports {target}")
    return wrong


def test_every_module_stands_on_a_floor() -> None:
    """The table of floors names every module and family, and nothing that is not there."""
    there = {room(path) for path in sources()}
    assert there == {*PLACE, *APART}


@pytest.mark.parametrize("path", sources())
def test_a_module_imports_from_below(path: str) -> None:
    """A module imports from lower floors, from its left, or from its own family."""
    assert [] == storeys(path, sources()[path])


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("messages.py", "from bmad_nb.events import CallRow"),
        ("prompts.py", "def f():\n    from bmad_nb import pricing"),
        ("store.py", "if TYPE_CHECKING:\n    from bmad_nb.workspace import Workspace"),
        ("_files.py", "import bmad_nb.messages"),
        ("llms/base.py", "from bmad_nb.scorers.exact import Exact"),
        ("events.py", "from . import errors"),
    ],
)
def test_an_import_upwards_is_found(path: str, source: str) -> None:
    """Planted: an import upwards is found in functions and for types too."""
    assert 1 == len(storeys(path, source))


def cycles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return one cycle for each module from which one can be reached, as a path."""
    found, done = [], set()

    def visit(node: str, path: list[str]) -> None:
        if node in path:
            found.append([*path[path.index(node) :], node])
        elif node not in done:
            for target in sorted(graph.get(node, ())):
                visit(target, [*path, node])
            done.add(node)

    for node in sorted(graph):
        visit(node, [])
    return found


def test_no_module_imports_itself_by_a_detour() -> None:
    """There are no cycles among modules; imports in functions and for types count."""
    graph = {path: ours(source) for path, source in sources().items()}
    assert len(graph) > 40
    assert [] == cycles(graph)


def test_a_cycle_is_found() -> None:
    """Planted: a detour over three modules is found."""
    assert [["a", "b", "c", "a"]] == cycles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": set()})


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield all functions of a module, nested ones too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def too_long(path: str, source: str, *, module: int = 400, function: int = 60) -> list[str]:
    """Return what is longer than it should be; a function's docstring does not count."""
    lines = source.count("\n") + 1
    found = [f"{path} has {lines - 1} lines"] if lines - 1 > module else []
    for node in functions(ast.parse(source)):
        first = node.body[0]
        doc = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
        said = (first.end_lineno or 0) - first.lineno + 1 if doc else 0
        length = (node.end_lineno or 0) - node.lineno + 1 - said
        if length > function:
            found.append(f"{path}: {node.name} has {length} lines")
    return found


@pytest.mark.parametrize("path", sources())
def test_modules_and_functions_are_short(path: str) -> None:
    """A module has at most 400 lines, and a function 60 beside its docstring."""
    assert [] == too_long(path, sources()[path])


def test_what_is_too_long_is_found() -> None:
    """Planted: 401 lines, and a function of 61 without counting its docstring."""
    body = "    x = 1\n"
    assert ["m.py has 401 lines"] == too_long("m.py", "x = 1\n" * 401)
    assert [] == too_long("m.py", 'def f():\n    """A\n\n    b."""\n' + body * 59)
    assert ["m.py: f has 61 lines"] == too_long("m.py", 'def f():\n    """A."""\n' + body * 60)


def test_the_engine_is_thin() -> None:
    """The engine has at most 1,200 lines and needs the standard library and plain data only."""
    engine = {path: text for path, text in sources().items() if room(path) == "engine"}
    assert engine
    assert 1200 >= sum(text.count("\n") for text in engine.values())
    plain_data = {
        "errors.py", "events.py", "messages.py", "secrets.py", "plan.py", "outcome.py",
        "patterns/base.py", "patterns/choice.py", "steps/work.py", "steps/ladder.py", "steps/values.py",
    }  # fmt: skip
    language = {"prompts.py", "expressions/__init__.py", "workflow/output.py"}
    calls = {"calls/calls.py", "calls/retries.py"}
    for path, text in engine.items():
        outside = {name.split(".")[0] for name in imported(text)} - {"bmad_nb"}
        assert set() == outside - sys.stdlib_module_names, path
        others = {each for each in ours(text) if room(each) != "engine"}
        assert set() == others - plain_data - language - calls, path


def test_all_names_what_can_be_imported() -> None:
    """`bmad_nb.__all__` equals its table of homes, and each name has a docstring of its own."""
    names = set(bmad_nb.__all__)
    assert names == {*bmad_nb._HOME, *bmad_nb._ROOMS, "__version__"}
    assert len(names) == len(bmad_nb.__all__)
    assert sorted(names) == dir(bmad_nb)
    for name in names - {"__version__", *bmad_nb._ROOMS}:
        value = getattr(bmad_nb, name)
        assert value is getattr(importlib.import_module(bmad_nb._HOME[name]), name)
        own = value.__dict__.get("__doc__") if isinstance(value, type) else value.__doc__
        assert own and not own.startswith(f"{name}("), f"{name} has no docstring of its own"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = bmad_nb.nothing


def undocumented(path: str, source: str) -> list[str]:
    """Return the public modules, classes, functions and methods without a docstring."""
    tree = ast.parse(source)
    found = [] if ast.get_docstring(tree) else [path]

    def visit(node: ast.Module | ast.ClassDef) -> None:
        for child in node.body:
            if not isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if child.name.startswith("_"):
                continue
            if not ast.get_docstring(child):
                found.append(f"{path}: {child.name}")
            if isinstance(child, ast.ClassDef):
                visit(child)

    visit(tree)
    return found


@pytest.mark.parametrize("path", sources())
def test_what_is_public_is_documented(path: str) -> None:
    """Every public module, class, function and method has a docstring."""
    assert [] == undocumented(path, sources()[path])


def test_what_is_not_documented_is_found() -> None:
    """Planted: a class, its method and a function without a docstring."""
    source = '"""M."""\nclass A:\n    def b(self): ...\nasync def c(): ...\ndef _d(): ...\n'
    assert ["m.py: A", "m.py: b", "m.py: c"] == undocumented("m.py", source)


def test_the_picture_of_errors_is_whole() -> None:
    """Every class of errors.py stands in the picture on top of it, under its base."""
    picture = errors.__doc__ or ""
    drawn = set(re.findall(r"\b[A-Z][a-zA-Z]+\b", picture))
    classes = {n for n, v in vars(errors).items() if inspect.isclass(v) and v is not errors.Any}
    classes = {n for n in classes if issubclass(getattr(errors, n), errors.BmadError)}
    assert len(classes) > 20
    assert set() == classes - drawn
    lines = {name: line for line in picture.splitlines() for name in re.findall(r"[A-Z]\w+", line)}
    for name in classes - {"BmadError"}:
        base = getattr(errors, name).__base__.__name__
        above = picture.index(lines[base]) <= picture.index(lines[name])
        assert above, f"{name} is drawn above {base}"


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Yield every verb of a click tree by its words."""
    for name, command in sorted(group.commands.items()):
        words = (*path, name)
        yield " ".join(words), command
        if isinstance(command, click.Group):
            yield from commands(command, words)


def unhelpful(name: str, command: click.Command) -> list[str]:
    """Return the verb and those of its options that have no help."""
    found = [] if (command.help or "").strip() else [name]
    options = [p for p in command.params if isinstance(p, click.Option)]
    return found + [f"{name} {o.opts[0]}" for o in options if not (o.help or "").strip()]


@pytest.mark.parametrize(("name", "command"), list(commands(bmad)))
def test_each_verb_has_help_and_stands_in_the_readme(name: str, command: click.Command) -> None:
    """Each verb and option has help, and README.md names each verb."""
    assert [] == unhelpful(name, command)
    readme = (ROOT / "README.md").read_text("utf-8")
    verb = name.split(maxsplit=1)[0]
    assert re.search(rf"`{verb}`|bmad {verb}\b", readme), f"README.md does not name {verb}"


def test_a_verb_without_help_is_found() -> None:
    """Planted: a verb and an option without help."""
    silent = click.Command("hush", params=[click.Option(["--loud"])])
    assert ["hush", "hush --loud"] == unhelpful("hush", silent)


def misnamed(columns: Iterable[frames.Column]) -> list[str]:
    """Return the columns whose name hides its unit, or that say nothing of themselves."""
    found = []
    for column in columns:
        name = column.name
        wrong = (
            (column.unit == "USD") != name.endswith("_usd")
            or (column.unit == "s") != name.endswith("_s")
            or (column.unit == "UTC") != name.endswith("_utc")
            or (column.unit == "tokens") != name.endswith("_tokens")
            or name.endswith("_ms")
            or re.search(r"(^|_)(cost|time|latency|price|money|duration)$", name)
            or not column.meaning
        )
        if wrong:
            found.append(name)
    return found


@pytest.mark.parametrize(
    "columns", [frames.CALLS, frames.RUNS, frames.SWEEP], ids=["calls", "runs", "sweep"]
)
def test_columns_say_their_unit(columns: tuple[frames.Column, ...]) -> None:
    """Money ends in _usd, seconds in _s, no name in _ms, none is bare; each has a meaning."""
    assert [] == misnamed(columns)
    names = [column.name for column in columns]
    assert len(set(names)) == len(names)


def test_a_misnamed_column_is_found() -> None:
    """Planted: a bare cost, milliseconds, money and seconds without their ending, no meaning."""
    wrong = [
        frames.Column("cost", "float64", "USD", "x"),
        frames.Column("wait_ms", "float64", "ms", "x"),
        frames.Column("latency", "float64", "", "x"),
        frames.Column("price_paid", "float64", "USD", "x"),
        frames.Column("wait_s", "float64", "", "x"),
        frames.Column("score", "float64", "", ""),
    ]
    assert [column.name for column in wrong] == misnamed(wrong)


HEAVY = [
    "pandas", "plotly", "networkx", "papermill", "httpx", "pydantic", "click", "genai_prices",
    "numpy", "ipywidgets", "scipy", "distributed",
]  # fmt: skip


def loaded(script: str) -> list[str]:
    """Return the heavy libraries that a script has imported in a fresh interpreter."""
    code = (
        f"{script}\nimport json, sys\nprint(json.dumps([m for m in {HEAVY} if m in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, cwd=ROOT
    )
    assert 0 == done.returncode, done.stderr
    return json.loads(done.stdout)


def test_the_import_is_light() -> None:
    """Importing bmad_nb and loading its extension import no heavy library."""
    extension = (
        "import bmad_nb\n"
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "bmad_nb.load_ipython_extension(InteractiveShell.instance())"
    )
    assert [] == loaded("import bmad_nb, bmad_nb.magics")
    assert [] == loaded(extension)


def test_verbs_calculate_nothing_until_they_must() -> None:
    """All verbs and a workspace are there without numpy, pandas, scipy or plotly."""
    script = "import bmad_nb, bmad_nb.verbs.tree\nbmad_nb.Workspace"
    assert not {"numpy", "pandas", "scipy", "plotly"} & set(loaded(script))


def test_a_heavy_import_is_found() -> None:
    """Planted: the workspace needs pydantic, and that is seen."""
    assert "pydantic" in loaded("import bmad_nb\nbmad_nb.Workspace")


def forbidden(path: str, source: str) -> list[str]:
    """Return the dangerous things in a source: running text, reviving objects, rich displays."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name.removeprefix("builtins.") in {"eval", "exec", "compile", "__import__"}:
                found.append(name)
            if name in {"os.system", "os.popen"}:
                found.append(name)
            for keyword in node.keywords:
                said = f"{keyword.arg}={ast.unparse(keyword.value)}"
                if said in {"shell=True", "follow_redirects=True"}:
                    found.append(said)
    for name in imported(source):
        parts = name.split(".")
        if parts[0] in {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve"}:
            found.append(name)
        if parts[0] == "IPython" and parts[-1] in {
            "HTML", "Image", "Javascript", "Latex", "Markdown", "Pretty", "SVG", "Video", "Audio",
        }:  # fmt: skip
            found.append(name)
    return [f"{path}: {each}" for each in found]


@pytest.mark.parametrize("path", sources())
def test_nothing_dangerous_is_used(path: str) -> None:
    """No module runs text, revives objects, starts a shell, follows redirects or uses displays."""
    assert [] == forbidden(path, sources()[path])


@pytest.mark.parametrize(
    "source",
    [
        "eval('1')",
        "def f():\n    exec(code)",
        "import builtins\nbuiltins.exec(code)",
        "import pickle",
        "from pickle import loads",
        "subprocess.run('ls', shell=True)",
        "httpx.AsyncClient(follow_redirects=True)",
        "def f():\n    from IPython.display import Markdown",
        "from IPython.core.display import SVG as Picture",
        "os.system('ls')",
    ],
)
def test_something_dangerous_is_found(source: str) -> None:
    """Planted: each of the dangerous things is found."""
    assert 1 == len(forbidden("m.py", source))


def homeless(path: str, source: str) -> list[str]:
    """Return the heavy libraries that a source imports outside of their homes."""
    here = {room(path), path.removesuffix(".py")}
    real = {name.split(".")[0] for name in imported(source, types=False)}
    named = {name.split(".")[0] for name in imported(source)} - real
    found = [lib for lib in sorted(real) if here.isdisjoint(HOMES.get(lib, here))]
    for library in sorted(named):
        homes = (*HOMES.get(library, here), *ONLY_TYPES.get(library, ()))
        if here.isdisjoint(homes):
            found.append(library)
    return [f"{path}: {library}" for library in found]


@pytest.mark.parametrize("path", sources())
def test_heavy_libraries_stay_at_home(path: str) -> None:
    """Each heavy library is imported in its one or two homes only."""
    assert [] == homeless(path, sources()[path])


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("store.py", "import pandas as pd"),
        ("workspace.py", "import pandas as pd"),
        ("llms/base.py", "if TYPE_CHECKING:\n    import pandas"),
        ("grid.py", "def f():\n    import networkx"),
        ("render/base.py", "from IPython.display import display"),
        ("verbs/tour.py", "import httpx"),
        ("verbs/machine.py", "def f():\n    import pandas"),
        ("magics.py", "import nest_asyncio"),
    ],
)
def test_a_heavy_library_outside_of_its_home_is_found(path: str, source: str) -> None:
    """Planted: an import elsewhere is found, and one for types where only types are allowed."""
    assert 1 == len(homeless(path, source))
    assert [] == homeless("workspace.py", "if TYPE_CHECKING:\n    import pandas")


WIDGETS = ROOT / "widgets"


def widget_stems(browser: Iterable[str], python: dict[str, str]) -> set[str]:
    """Return the stems of widgets with a browser half: of their modules, and of `_esm` in Python."""
    return set(browser) | {stem for stem, source in python.items() if "_esm" in source}


def missing_places(stem: str, root: Path) -> list[str]:
    """Return which of its four files a widget lacks."""
    places = (
        f"widgets/{stem}.js", f"bmad_nb/widgets/{stem}.py", f"tests/widgets/test_{stem}.py",
        f"tests/widgets/{stem}.test.mjs",
    )  # fmt: skip
    return [each for each in places if not (root / each).is_file()]


def test_each_widget_stands_in_its_four_places() -> None:
    """A widget has a browser half, a Python half, and a test of each, under one stem."""
    python = {path.stem: path.read_text("utf-8") for path in PACKAGE.glob("widgets/*.py")}
    stems = widget_stems((path.stem for path in WIDGETS.glob("*.js")), python)
    assert [] == [each for stem in sorted(stems) for each in missing_places(stem, ROOT)]


def test_a_missing_place_of_a_widget_is_found(tmp_path: Path) -> None:
    """Planted: a widget that only Python knows has three files too few."""
    assert {"a", "b"} == widget_stems(["a"], {"b": "_esm = 1", "base": "x = 1"})
    (tmp_path / "widgets").mkdir()
    (tmp_path / "widgets" / "a.js").write_text("")
    assert [
        "bmad_nb/widgets/a.py", "tests/widgets/test_a.py", "tests/widgets/a.test.mjs"
    ] == missing_places("a", tmp_path)  # fmt: skip


_MARKUP = re.compile(
    r"\b(?:innerHTML|outerHTML|insertAdjacentHTML|createContextualFragment|DOMParser|setHTML\w*"
    r"|parseHTML\w*|srcdoc|document\s*\.\s*write\w*|eval|Function|fetch|XMLHttpRequest|WebSocket"
    r"|EventSource|sendBeacon|importScripts|localStorage|sessionStorage|cookie"
    r"|window\s*\.\s*open|location)\b|\bimport\s*\(|\bset(?:Timeout|Interval)\s*\(\s*[\"'`]"
)
"""What an ES module of ours never names: markup from text, code from text, the network, storage."""


def unsafe_script(source: str) -> list[str]:
    """Return what a module names that it must not; comments are no exception."""
    return [found[0] for found in _MARKUP.finditer(source)]


@pytest.mark.parametrize("path", sorted(WIDGETS.rglob("*.js")), ids=lambda path: path.name)
def test_a_module_makes_nothing_from_text(path: Path) -> None:
    """No ES module makes markup or code from text, opens a connection or keeps anything."""
    assert [] == unsafe_script(path.read_text("utf-8"))


@pytest.mark.parametrize(
    "source",
    [
        "el.innerHTML = x", "el.outerHTML += x", "el.insertAdjacentHTML('beforeend', x)", "eval(x)",
        "new Function(x)", "document.write(x)", "import('./x.js')", "fetch(u)", "el.srcdoc = x",
        "setTimeout('x()', 1)", "new DOMParser()", "new WebSocket(u)", "window.open(u)",
        "localStorage.x = 1", "range.createContextualFragment(x)", "location = u",
    ],
)  # fmt: skip
def test_an_unsafe_script_is_found(source: str) -> None:
    """Planted: each of the unsafe things is found."""
    assert 1 <= len(unsafe_script(source))
    assert [] == unsafe_script("el.textContent = x; functionality(evaluated)")


def foreign_style(source: str) -> list[str]:
    """Return what a style sheet takes from elsewhere."""
    return re.findall(r"@import\b|url\(|https?:|expression\(", source)


@pytest.mark.parametrize("path", sorted(WIDGETS.rglob("*.css")), ids=lambda path: path.name)
def test_a_style_takes_nothing_from_elsewhere(path: Path) -> None:
    """No style sheet imports another or names an address."""
    assert [] == foreign_style(path.read_text("utf-8"))
    assert ["@import", "url(", "https:"] == foreign_style("@import 'a'; b{c:url(https://d)}")


def test_the_widgets_are_no_package() -> None:
    """The folder of the browser halves cannot be imported, and holds modules and styles only."""
    files = [path for path in WIDGETS.rglob("*") if path.is_file()]
    assert files
    assert {".js", ".css"} == {path.suffix for path in files}


NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def untidy(notebook: dict) -> list[str]:
    """Return what a notebook should not have in git, or lacks."""
    cells = notebook["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    tags = [tag for cell in cells for tag in cell["metadata"].get("tags", [])]
    first = "".join(cells[0]["source"])
    ids = [cell.get("id") for cell in cells]
    rules: dict[str, Callable[[], bool]] = {
        "outputs": lambda: not any(cell["outputs"] for cell in code),
        "execution count": lambda: all(cell["execution_count"] is None for cell in code),
        "kernel": lambda: notebook["metadata"]["kernelspec"]["name"] == "python3",
        "title": lambda: (
            cells[0]["cell_type"] == "markdown" and re.match(r"# \S.*\n\n\S", first) is not None
        ),
        "parameters": lambda: tags.count("parameters") == 1,
        "number of cells": lambda: len(cells) <= 25,
        "length": lambda: all(len("".join(c["source"]).splitlines()) <= 15 for c in code),
        "ids": lambda: all(ids) and len(set(ids)) == len(ids),
    }
    return [name for name, holds in rules.items() if not holds()]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebooks_are_tidy(path: Path) -> None:
    """No outputs or counts, kernel python3, a title, one parameters cell, short cells with ids."""
    assert [] == untidy(json.loads(path.read_text("utf-8")))


def test_there_is_a_notebook() -> None:
    """The quickstart is among the notebooks, so that the rule above looks at something."""
    assert "00_quickstart.ipynb" in [path.name for path in NOTEBOOKS]


def test_an_untidy_notebook_is_found() -> None:
    """Planted: a notebook that breaks every rule."""
    long = {"cell_type": "code", "metadata": {}, "source": "x\n" * 16, "outputs": [{}]}
    wrong = {
        "metadata": {"kernelspec": {"name": "python39"}},
        "cells": [{**long, "execution_count": 1, "id": "same"}] * 26,
    }
    expected = [
        "outputs", "execution count", "kernel", "title", "parameters", "number of cells", "length",
        "ids",
    ]  # fmt: skip
    assert expected == untidy(wrong)
