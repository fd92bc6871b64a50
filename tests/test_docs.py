"""The pages of docs/: their settings are read, their code runs, their commands work, links lead."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bmad_nb.settings import BUILT_IN_ENDPOINTS
from bmad_nb.workspace import Workspace
from tests.fake_provider import FakeProvider

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PATHS = {"openai": "/v1", "anthropic": "/v1", "gemini": "/v1beta", "ollama": ""}


def blocks(page: Path, language: str) -> list[str]:
    """Return the code blocks of a page in one language."""
    return [body for name, body in BLOCK.findall(page.read_text("utf-8")) if name == language]


def named(text: str) -> set[str]:
    """Return the models that a page's code asks for."""
    return {model for _, model in re.findall(r'llm="([\w-]+)/([\w.:-]+)"', text)}


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
    for body in blocks(page, "toml"):
        for table, values in tomllib.loads(body).items():
            config.setdefault(table, {}).update(values)
    for endpoint in config["endpoints"].values():
        endpoint["base_url"] = root + PATHS[endpoint.get("kind", "openai")]
    return config


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_code_of_a_page_runs(
    page: Path, project: Path, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settings are valid, and each block of Python runs after the ones above it."""
    for endpoint in BUILT_IN_ENDPOINTS.values():
        if "api_key" in endpoint:
            monkeypatch.setenv(endpoint["api_key"].removeprefix("env:"), "sk-of-the-pages-123456")
    (project / "answers.csv").write_text("prompt,answer\nWhy?,Because.\n", encoding="utf-8")
    space = Workspace(settings_of(page, provider), store=project / "store.db")
    names: dict[str, Any] = {"ws": space}
    for body in blocks(page, "python"):
        exec(compile(body, str(page), "exec"), names)
    space.close()


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_commands_of_a_page_work(page: Path, project: Path) -> None:
    """Each command is one that exists and ends well."""
    for body in blocks(page, "console"):
        for line in body.splitlines():
            program, *words = line.split()
            assert "bmad" == program
            done = subprocess.run([sys.executable, "-m", "bmad_nb", *words], cwd=project,
                                  capture_output=True, timeout=60, check=False, env=os.environ)  # fmt: skip
            assert 0 == done.returncode, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_to_pages(page: Path) -> None:
    """No link of a page leads nowhere."""
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text("utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_each_format_has_a_page() -> None:
    """Nobody has to guess how a built-in endpoint is set up."""
    words = " ".join(page.read_text("utf-8") for page in PAGES).lower()
    assert [] == [name for name in BUILT_IN_ENDPOINTS if name not in words]
    assert len(PAGES) >= 9
