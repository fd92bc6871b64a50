"""README and docs/: every block of code in them is executed, and links lead to what is there.

How a block is executed follows from its language; one in a language that nothing executes fails.
Where a command cannot be run here, `NOT_RUN` says why, and what is done instead.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click
import pytest

from bmad_nb import documents, parse
from bmad_nb.settings import BUILT_IN_ENDPOINTS, Settings
from bmad_nb.verbs.tree import bmad
from bmad_nb.workspace import Workspace
from tests.fake_provider import FakeProvider
from tests.kernel import ROOT, Kernel, clean_environment
from tests.warm import Warm

PAGES = [
    ROOT / "README.md",
    *(page for page in sorted((ROOT / "docs").rglob("*.md")) if page.parent.name != "reference"),
]
"""All that people wrote; docs/reference is made when the site is built, and not written."""
BLOCK = re.compile(r"^```([^\s`]*)([^\n`]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PATHS = {"openai": "/v1", "anthropic": "/v1", "gemini": "/v1beta", "ollama": ""}
EXECUTED = {
    "python": "in the page's order, after the cells if there are any",
    "": "a cell or line of a notebook, in a kernel",
    "sh": "each line, as a command",
    "console": "each line, as a command",
    "yaml": "read as a workflow, and written where commands find it",
    "toml": "read as settings",
}
"""Languages, and how a block in each of them is executed."""
NOT_RUN = {
    r"python3 -m venv .* bmad demo": "installs; .ci/run types this line of README itself",
    r"python3 -m venv .*pytest$": "runs all tests; .ci/run types this line of README itself",
    r"python3 -m venv .*\.\[local\]\"": "installs; tests/test_newcomer.py does, and what follows it",
    r"pip install 'bmad_nb\[\w+\]'": "installs; that the extra exists is tested here",
    r"keyring set": "asks for a key on a terminal; tests/test_secrets.py pipes one into it",
    r"bmad trace": "needs a collector; tests/test_tracing.py has one; here its words are read",
    r"bmad sweep notebooks/": "eight notebooks; tests/sweeps/ runs sweeps, and the Python below runs one",
    r"papermill ": "executed before the Python of its page, which reads what it wrote",
}
"""Patterns of lines that are not run here, and why."""
LISTED = {
    "docs/commands.md": "written from the commands; tests/test_commands.py tries its examples",
    "docs/sweeps.md": "what the command printed; tests/sweeps/ looks at such tables",
}
"""Pages whose blocks of plain text are tested elsewhere."""


class Block(NamedTuple):
    """A fenced block of a page."""

    language: str
    about: str
    """What stands behind the language: of a document that is no workflow, why."""
    body: str


def blocks(page: Path, *languages: str) -> list[Block]:
    """Return the code blocks of a page in some languages; of all without any."""
    found = [Block(*each) for each in BLOCK.findall(page.read_text("utf-8"))]
    return [each for each in found if not languages or each.language in languages]


def lines(page: Path) -> list[str]:
    """Return the commands of a page without comments, each on one line."""
    found = [
        re.sub(r"\s+# .*", "", line).replace(".venv/bin/bmad", "bmad").strip()
        for block in blocks(page, "sh", "console")
        for line in block.body.replace("\\\n", " ").splitlines()
    ]
    return [line for line in found if line and not line.startswith("#")]


def not_executed(language: str, page: str) -> bool:
    """Return whether nothing executes blocks of a language on a page."""
    if re.fullmatch(r"\{[a-z-]+\}", language):
        return not page.startswith("docs/")  # what Sphinx is told; tests/test_site.py builds it
    return language not in EXECUTED and not (language == "text" and page in LISTED)


def named(text: str) -> set[str]:
    """Return the models that a page's code asks for."""
    return {model for _, model in re.findall(r'llm="([\w-]+)/([\w.:-]+)"', text)}


def place(page: Path) -> str:
    """Return how a page is called."""
    return page.relative_to(ROOT).as_posix()


def only(*languages: str) -> list[Any]:
    """Return parameters: the pages that have blocks in these languages."""
    slow = pytest.mark.long  # a page on papermill executes a notebook first
    return [
        pytest.param(page, id=place(page), marks=[slow] if page.stem == "papermill" else [])
        for page in PAGES
        if blocks(page, *languages)
    ]


CELLS = [page.values[0] for page in only("")]
"""Pages with cells; their Python runs in the same kernel."""


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeProvider]:
    """Give a provider that has every model which a page names."""
    names = {model for page in PAGES for model in named(page.read_text("utf-8"))}
    with FakeProvider({"models": {name: {} for name in names}}) as fake:
        yield fake


def settings_of(page: Path, provider: FakeProvider) -> dict[str, Any]:
    """Return a page's settings over the built-in endpoints, all of them at the fake provider."""
    root = provider.url.removesuffix("/v1")
    config: dict[str, Any] = {"endpoints": {n: dict(e) for n, e in BUILT_IN_ENDPOINTS.items()}}
    for _, _, body in blocks(page, "toml"):
        for table, values in tomllib.loads(body).items():
            config.setdefault(table, {}).update(values)
    for endpoint in config["endpoints"].values():
        endpoint["base_url"] = root + PATHS[endpoint.get("kind", "openai")]
    return config


@pytest.fixture
def folder(project: Path) -> Path:
    """Give a project folder with the files that pages speak of."""
    (project / "notebooks").symlink_to(ROOT / "notebooks")
    return project


# --- what is executed ------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=place)
def test_every_block_is_executed(page: Path) -> None:
    """No page has a block in a language that nothing executes."""
    assert [] == [b.language for b in blocks(page) if not_executed(b.language, place(page))]


def test_a_block_that_nothing_executes_is_found(tmp_path: Path) -> None:
    """Planted: a language without an executor, text on any other page, a fence for Sphinx in README."""
    page = tmp_path / "page.md"
    page.write_text("```rust\nfn main() {}\n```\n\n```python no-run\nx = 1\n```\n", "utf-8")
    assert [("rust", ""), ("python", " no-run")] == [block[:2] for block in blocks(page)]
    assert not_executed("rust", "docs/a.md")
    assert not_executed("text", "docs/a.md")
    assert not_executed("{toctree}", "README.md")
    assert not not_executed("{toctree}", "docs/index.md")
    fences = sum(len(re.findall("^```", p.read_text("utf-8"), re.MULTILINE)) for p in PAGES)
    assert fences == 2 * sum(len(blocks(p)) for p in PAGES), "A fence was not read as a block."


@pytest.mark.parametrize("page", only("toml"))
def test_settings_of_a_page_are_valid(page: Path) -> None:
    """Each block of TOML is what a settings file may say."""
    for _, _, body in blocks(page, "toml"):
        Settings.model_validate(tomllib.loads(body))


@pytest.mark.parametrize("page", only("yaml"))
def test_documents_of_a_page_are_workflows(page: Path) -> None:
    """Each block of YAML is a sound workflow, or says why it is none and is YAML all the same."""
    for _, about, body in blocks(page, "yaml"):
        if "not-a-workflow:" in about:
            assert documents.read(body).data
        else:
            assert parse.loads(body).tasks


@pytest.mark.parametrize("page", [p for p in only("python") if p.values[0] not in CELLS])
def test_the_python_of_a_page_runs(
    page: Path, folder: Path, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each block of Python runs after the ones above it; providers are loopback servers."""
    for endpoint in BUILT_IN_ENDPOINTS.values():
        if "api_key" in endpoint:
            monkeypatch.setenv(endpoint["api_key"].removeprefix("env:"), "sk-of-the-pages-123456")
    (folder / "answers.csv").write_text("prompt,answer\nWhy?,Because.\n", encoding="utf-8")
    for line in lines(page):
        if line.startswith("papermill "):
            executed(line, folder)
    space = Workspace(settings_of(page, provider), store=folder / "store.db")
    names: dict[str, Any] = {"ws": space}
    for _, _, body in blocks(page, "python"):
        exec(compile(body, str(page), "exec"), names)
    space.close()


@pytest.mark.long
@pytest.mark.parametrize("page", CELLS, ids=place)
def test_the_cells_of_a_page_run(page: Path, folder: Path, tmp_path: Path) -> None:
    """Cells and Python of a page run in a kernel, one after the other, and none fails."""
    with Kernel(folder, tmp_path / "home") as kernel:
        first = kernel.execute("%load_ext bmad_nb\nimport bmad_nb\nws = bmad_nb.Workspace()")
        assert "ok" == first.status
        for _, _, body in blocks(page, "", "python"):
            reply = kernel.execute(body, timeout_s=120)
            assert "ok" == reply.status, f"{body}\n{reply.text}"


# --- commands --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def warm() -> Iterator[Warm]:
    """Give a process that runs command lines."""
    with Warm() as made:
        yield made


def executed(line: str, folder: Path) -> None:
    """Run a command that is not ours as a process of its own."""
    program, *words = shlex.split(line)
    assert "papermill" == program
    done = subprocess.run([sys.executable, "-m", program, *words], cwd=folder, timeout=120,
                          capture_output=True, text=True, env=environment(folder))  # fmt: skip
    assert 0 == done.returncode, done.stderr[-2000:]


def environment(folder: Path) -> dict[str, str]:
    """Return variables with no settings of this machine."""
    return clean_environment(folder / "home")


class Shell:
    """Types the commands of a page; RUN stands for a run that fits."""

    def __init__(self, warm: Warm, folder: Path) -> None:
        self._warm = warm
        self._folder = folder
        self._env = environment(folder)
        self._waiting = ""

    def bmad(self, *words: str, ends: tuple[int, ...] = (0,)) -> str:
        done = self._warm.run(self._folder, self._env, *words)
        assert done.returncode in ends, f"bmad {shlex.join(words)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def type(self, line: str) -> None:
        program, *words = shlex.split(line)
        assert "bmad" == program, line
        fits = {"approve": self.waiting, "pause": self.running, "workflow analyze": self.held_up}
        run = fits.get(words[0], fits.get(" ".join(words[:2]), self.newest))()
        self.bmad(*(re.sub(r"\bRUN\b", run, word) for word in words))

    def newest(self, status: str = "completed") -> str:
        """Return the newest run in a state; empty if there is none."""
        runs = json.loads(self.bmad("runs", "--json"))
        return next((each["run_id"] for each in runs if each["status"] == status), "")

    def running(self) -> str:
        """Return a run that a process of its own works on, for some seconds more."""
        self.bmad("workflow", "execute", "--definition", self._one_by_one(60), "--detach")
        until_s = time.monotonic() + 30
        while not (run := self.newest("running")):
            assert time.monotonic() < until_s, "It does not begin."
            time.sleep(0.2)
        return run

    def held_up(self) -> str:
        """Return a run whose tasks waited for each other without a need."""
        said: str = json.loads(self.bmad("run", self._one_by_one(6), "--json"))["run_id"]
        return said

    def _one_by_one(self, count: int) -> str:
        """Write a workflow whose tasks need nothing of each other, and are done in order."""
        tasks = {
            f"t{n}": {"prompt": f"{count}: {n} + {n}?", "llm": "sim/careful"} for n in range(count)
        }
        whole = {"workflow": f"w{count}", "strategy": "sequential", "tasks": tasks}
        (self._folder / f"w{count}.yaml").write_text(json.dumps(whole), encoding="utf-8")
        return f"w{count}.yaml"

    def waiting(self) -> str:
        """Return a run that waits for a person, and is over once it was answered."""
        if not self._waiting:
            words = ("workflow", "create", "--template", "requirement-analysis")
            self.bmad(*words, "--set", "llm=sim/careful")
            self.bmad("run", "requirement-analysis.yaml", ends=(3,))
            self._waiting = self.newest("paused")
        return self._waiting


def test_commands_are_not_run_for_a_reason_only() -> None:
    """Each reason stands for a line of a page, and words of ours on such a line are read at least."""
    every = [line for page in PAGES for line in lines(page)]
    for pattern in NOT_RUN:
        assert any(re.match(pattern, line) for line in every), f"No page has {pattern}"
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    for line in every:
        for name in re.findall(r"bmad_nb\[(\w+)\]", line):
            assert name in extras["optional-dependencies"]
        if line.startswith("bmad ") and any(re.match(p, line) for p in NOT_RUN):
            parsed(shlex.split(line)[1:])


def parsed(words: list[str]) -> None:
    """Read the words of a command without doing it.

    Raises:
        click.UsageError: a verb or an option is unknown.
    """
    command: click.Command = bmad
    context = click.Context(command)
    while isinstance(command, click.Group):
        _, found, words = command.resolve_command(context, words)
        assert found
        command = found
    command.make_context(command.name, list(words), resilient_parsing=False)


@pytest.mark.long
@pytest.mark.parametrize("page", only("sh", "console"))
def test_the_commands_of_a_page_work(page: Path, folder: Path, warm: Warm) -> None:
    """Each command does what it says and ends well, after the ones above it."""
    for _, about, body in blocks(page, "yaml"):
        name = re.search(r"^(?:workflow|  id): ([\w-]+)$", body, re.MULTILINE)
        if "not-a-workflow:" in about:
            file = "service.yaml" if name else "grid.yaml"
        else:
            assert name
            file = f"{name[1]}.yaml"
        (folder / file).write_text(body, encoding="utf-8")
    shell = Shell(warm, folder)
    for line in lines(page):
        if not any(re.match(pattern, line) for pattern in NOT_RUN):
            shell.type(line)


# --- links ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=place)
def test_links_lead_to_pages(page: Path) -> None:
    """No link of a page leads nowhere; pages that the site makes are tried where it is built."""
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text("utf-8")):
        made = "reference/" in target or re.fullmatch(r"(tutorial/)?\d\d_\w+\.ipynb", target)
        if "://" not in target and not made:
            assert (page.parent / target).exists(), target


def test_each_format_has_a_page() -> None:
    """Nobody has to guess how a built-in endpoint is set up."""
    words = " ".join(page.read_text("utf-8") for page in PAGES).lower()
    assert [] == [name for name in BUILT_IN_ENDPOINTS if name not in words]
    assert os.path.commonpath([str(page) for page in PAGES]) == str(ROOT)
    assert 20 < len(PAGES)
