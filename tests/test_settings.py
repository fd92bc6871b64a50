"""Settings: the order of sources, what is refused, and where the store lies."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bmad_nb.errors import SettingsError
from bmad_nb.settings import BUILT_IN_ENDPOINTS, DEFAULT_LLM, Settings, find

KEY = "sk-canary-settings-0123456789"


def user_file(project: Path, text: str) -> Path:
    """Write the user's own settings file."""
    path = project.parent / "config" / "bmad_nb" / "config.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def limit(value: int) -> str:
    """Return a settings file with one number in it."""
    return f"[engine]\nmax_concurrent_tasks = {value}\n"


def test_without_any_file_the_defaults_hold(project: Path) -> None:
    """Nothing needs to be set: the documented defaults hold and no file is made."""
    found = find()
    assert (10, 300, 3, 0.8) == (
        found.settings.engine.max_concurrent_tasks,
        found.settings.engine.default_timeout_s,
        found.settings.engine.retry_attempts,
        found.settings.engine.quality_threshold,
    )
    assert DEFAULT_LLM == found.settings.engine.default_llm
    assert [*BUILT_IN_ENDPOINTS] == list(found.settings.endpoints)
    assert [] == found.files
    assert [] == list(project.iterdir())


def test_sources_win_in_the_documented_order(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Argument, $BMAD_CONFIG, the user's file, the project's file: the first one wins."""
    named = project.parent / "named.toml"
    named.write_text(limit(2))
    seen = [find().settings.engine.max_concurrent_tasks]
    (project / "bmad.toml").write_text(limit(4))
    seen.append(find().settings.engine.max_concurrent_tasks)
    user = user_file(project, limit(3))
    seen.append(find().settings.engine.max_concurrent_tasks)
    monkeypatch.setenv("BMAD_CONFIG", str(named))
    seen.append(find().settings.engine.max_concurrent_tasks)
    argument = find({"engine": {"max_concurrent_tasks": 1}})
    seen.append(argument.settings.engine.max_concurrent_tasks)
    assert [10, 4, 3, 2, 1] == seen
    assert [named, user, project / "bmad.toml"] == argument.files


def test_what_one_source_leaves_out_comes_from_the_next(project: Path) -> None:
    """Tables are merged key by key, not replaced."""
    (project / "bmad.toml").write_text("[engine]\nretry_attempts = 7\nmax_concurrent_tasks = 4\n")
    user_file(project, limit(3))
    engine = find().settings.engine
    assert (3, 7) == (engine.max_concurrent_tasks, engine.retry_attempts)


def test_the_default_llm_comes_from_the_environment(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """BMAD_DEFAULT_LLM goes before the files and behind the argument."""
    (project / "bmad.toml").write_text('[engine]\ndefault_llm = "sim/hasty"\n')
    monkeypatch.setenv("BMAD_DEFAULT_LLM", "sim/careful")
    assert "sim/careful" == find().settings.engine.default_llm
    assert "own/x" == find({"engine": {"default_llm": "own/x"}}).settings.engine.default_llm


def test_an_empty_config_variable_means_no_file(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """BMAD_CONFIG set to nothing reads no file at all."""
    (project / "bmad.toml").write_text(limit(4))
    user_file(project, limit(3))
    monkeypatch.setenv("BMAD_CONFIG", "")
    found = find()
    assert 10 == found.settings.engine.max_concurrent_tasks
    assert [] == found.files


def test_the_nearest_project_file_is_read(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The search goes upwards and ends at the first bmad.toml or [tool.bmad]."""
    (project / "bmad.toml").write_text(limit(4))
    inner = project / "a" / "b"
    inner.mkdir(parents=True)
    assert 4 == find(folder=inner).settings.engine.max_concurrent_tasks
    (project / "a" / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert 4 == find(folder=inner).settings.engine.max_concurrent_tasks
    (project / "a" / "pyproject.toml").write_text("[tool.bmad.engine]\nmax_concurrent_tasks = 5\n")
    assert 5 == find(folder=inner).settings.engine.max_concurrent_tasks
    monkeypatch.chdir(inner)
    assert 5 == find().settings.engine.max_concurrent_tasks


def test_prices_are_exact() -> None:
    """A price is a Decimal, as it was written."""
    found = find({"prices": {"a/b": {"input_usd_per_mtok": "0.15", "output_usd_per_mtok": 1}}})
    assert Decimal("0.15") == found.settings.prices["a/b"].input_usd_per_mtok


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("engine.max_concurent_tasks is not a setting (did you mean max_concurrent_tasks?)",
         "[engine]\nmax_concurent_tasks = 3"),
        ("engin is not a setting (did you mean engine?)", "[engin]\nx = 3"),
        ("store.synk is not a setting (did you mean sync?)", "[store]\nsynk = 'full'"),
        ("endpoints.a.base_ur is not a setting (did you mean base_url?)",
         "[endpoints.a]\nbase_ur = 'x'\nbase_url = 'x'"),
        ("endpoints.a.base_url: Field required", "[endpoints.a]\nkind = 'openai'"),
        ("engine.max_concurrent_tasks:", "[engine]\nmax_concurrent_tasks = 0"),
        ("engine.default_timeout_s:", "[engine]\ndefault_timeout_s = 'long'"),
        ("'local' cannot be the name of an endpoint", "[endpoints.local]\nbase_url = 'x'"),
        ("'sim' cannot be the name of an endpoint", "[endpoints.sim]\nbase_url = 'x'"),
        ("'own' cannot be the name of an endpoint", "[endpoints.own]\nbase_url = 'x'"),
        ("'a/b' cannot be the name of an endpoint", "[endpoints.'a/b']\nbase_url = 'x'"),
        ("is not valid TOML", "[engine"),
        ("is not valid TOML", "x = 1\nx = 2"),
        ("store.sync:", "[store]\nsync = 'sometimes'"),
        ("input_usd_per_mtok:", "[prices.x]\ninput_usd_per_mtok = -1\noutput_usd_per_mtok = 1"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(project: Path, said: str, text: str) -> None:
    """An error names the file, the setting, and the nearest right one."""
    path = project / "bmad.toml"
    path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        find()
    assert said in caught.value.what
    assert str(path) in caught.value.what


def test_all_that_is_wrong_is_said_at_once(project: Path) -> None:
    """Two mistakes in one file come in one error."""
    (project / "bmad.toml").write_text("[engine]\nretry_attempts = -1\nquality_threshold = 2\n")
    with pytest.raises(SettingsError, match=r"retry_attempts.*quality_threshold"):
        find()


@pytest.mark.parametrize("text", ["\xff\xfe", "a = " + "[" * 5000, "a = " + "{a=" * 3000])
def test_a_file_that_nobody_can_read_is_an_error(project: Path, text: str) -> None:
    """Bytes that are not UTF-8 and endless nesting are typed errors."""
    (project / "bmad.toml").write_bytes(text.encode("latin-1"))
    with pytest.raises(SettingsError):
        find()


def test_a_named_file_must_be_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A file that BMAD_CONFIG or the argument names and that is not there is an error."""
    missing = str(tmp_path / "none.toml")
    with pytest.raises(SettingsError, match="cannot be read"):
        find(missing)
    monkeypatch.setenv("BMAD_CONFIG", missing)
    with pytest.raises(SettingsError, match="cannot be read"):
        find()


# --- trust --------------------------------------------------------------------------------------


def endpoint(name: str, key: str = "", url: str = "https://evil.example/v1") -> str:
    """Return the table of one endpoint."""
    return f'[endpoints.{name}]\nbase_url = "{url}"\n' + (f'api_key = "{key}"\n' if key else "")


def test_a_project_may_add_an_endpoint(project: Path) -> None:
    """A project's file adds an endpoint with a key variable of its own."""
    (project / "bmad.toml").write_text(endpoint("lab", "env:LAB_KEY"))
    assert {"lab", *BUILT_IN_ENDPOINTS} == set(find().settings.endpoints)


@pytest.mark.parametrize("text", [endpoint("openai"), endpoint("openai", "env:OTHER_KEY")])
def test_a_project_may_not_redefine_a_built_in_endpoint(project: Path, text: str) -> None:
    """A clone cannot send what is meant for openai to a host of its own."""
    (project / "bmad.toml").write_text(text)
    with pytest.raises(SettingsError, match="redefines the endpoint 'openai'"):
        find()


def test_a_project_may_not_redefine_the_user_s_endpoint(project: Path) -> None:
    """A clone cannot take over an endpoint that the user has defined."""
    user_file(project, endpoint("lab", "env:LAB_KEY", "https://lab.example/v1"))
    (project / "bmad.toml").write_text("[endpoints.lab]\nbase_url = 'https://evil.example'\n")
    with pytest.raises(SettingsError, match="redefines the endpoint 'lab'"):
        find()


@pytest.mark.parametrize(
    "variable",
    ["OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY", "MISTRAL_API_KEY",
     "AZURE_OPENAI_API_KEY", "OPENROUTER_API_KEY", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN",
     "GH_TOKEN", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "GOOGLE_APPLICATION_CREDENTIALS"],
)  # fmt: skip
def test_a_project_may_not_use_a_standard_key(project: Path, variable: str) -> None:
    """A clone cannot point a standard key variable at a host of its own; the user can."""
    text = endpoint("lab", f"env:{variable}")
    (project / "bmad.toml").write_text(text)
    with pytest.raises(SettingsError) as caught:
        find()
    assert variable in caught.value.what
    assert "https://evil.example/v1" in caught.value.what
    (project / "bmad.toml").unlink()
    user_file(project, text)
    assert "lab" in find().settings.endpoints


def test_the_same_in_pyproject(project: Path) -> None:
    """[tool.bmad] is a project's file too and no more trusted."""
    text = endpoint("openai").replace("endpoints", "tool.bmad.endpoints")
    (project / "pyproject.toml").write_text(text)
    with pytest.raises(SettingsError, match="redefines"):
        find()


def test_the_user_may_redefine_a_built_in_endpoint(project: Path) -> None:
    """The user's own file may send openai elsewhere, such as to a proxy of the company."""
    user_file(project, endpoint("openai", "env:OPENAI_API_KEY", "https://proxy.example/v1"))
    assert "https://proxy.example/v1" == find().settings.endpoints["openai"].base_url


@pytest.mark.parametrize("key", [KEY, "env:", "env:A-B", f"env:A {KEY}", f"keyring:{KEY}"])
@pytest.mark.parametrize("source", ["project", "user", "argument"])
def test_a_literal_key_is_refused_and_not_repeated(project: Path, key: str, source: str) -> None:
    """A key in a settings file is refused, and no part of the error shows it."""
    config: dict[str, Any] | None = None
    if source == "argument":
        config = {"endpoints": {"lab": {"base_url": "https://x.example", "api_key": key}}}
    elif source == "user":
        user_file(project, endpoint("lab", key))
    else:
        (project / "bmad.toml").write_text(endpoint("lab", key))
    with pytest.raises(SettingsError) as caught:
        find(config)
    assert "An api_key must be a reference, not a key." == caught.value.what
    assert KEY not in repr(caught.value) + str(caught.value) + str(caught.value.__cause__)


@pytest.mark.parametrize(
    "text",
    [
        f"[endpoints.lab]\nbase_url = 'x'\napikey = '{KEY}'",
        f"[endpoints.lab]\nbase_url = 'x'\nallow_http = '{KEY}'",
        f"[endpoints.lab]\nbase_url = 'x'\napi_key = ['{KEY}']",
        f"[engine]\nretry_attempts = '{KEY}'",
        f"api_key = '{KEY}'",
        f"api_key = {KEY}",
    ],
)
def test_a_key_in_the_wrong_place_is_not_repeated(project: Path, text: str) -> None:
    """What stands in a setting is not part of the error, for it may be a key."""
    (project / "bmad.toml").write_text(text)
    with pytest.raises(SettingsError) as caught:
        find()
    assert KEY not in str(caught.value)


# --- where the store lies ------------------------------------------------------------------------


def test_the_store_lies_in_the_working_directory(project: Path) -> None:
    """Without a project file the store is .bmad/bmad.db here."""
    assert project / ".bmad" / "bmad.db" == find().store


def test_the_store_lies_beside_the_project_file(project: Path) -> None:
    """With a project file the store lies beside it, wherever one works below."""
    (project / "bmad.toml").write_text("")
    inner = project / "notebooks"
    inner.mkdir()
    (inner / ".bmad").mkdir()
    assert project / ".bmad" / "bmad.db" == find(folder=inner).store


def test_the_store_of_a_folder_above_is_used(project: Path) -> None:
    """Without a project file the nearest .bmad upwards is used: one store for one project."""
    (project / ".bmad").mkdir()
    inner = project / "a" / "b"
    inner.mkdir(parents=True)
    assert project / ".bmad" / "bmad.db" == find(folder=inner).store


def test_a_named_store_goes_first(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The argument goes before BMAD_STORE, and that before the project's place."""
    (project / "bmad.toml").write_text("")
    monkeypatch.setenv("BMAD_STORE", "named/x.db")
    assert project / "named" / "x.db" == find().store
    assert project / "other.db" == find(store="other.db").store
    monkeypatch.setenv("HOME", str(project))
    assert project / "y.db" == find(store="~/y.db").store


def test_settings_cannot_be_changed_later() -> None:
    """Settings are frozen: what a workspace shows is what it uses."""
    settings = Settings()
    with pytest.raises(ValueError, match="frozen"):
        settings.engine = None  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("bmad.toml", "a = " + "9" * 5000),
        ("pyproject.toml", "[tool]\nbmad = 5  # [tool.bmad]"),
    ],
)
def test_odd_values_are_settings_errors(project, name, text):
    """A number too long for Python and a table that is none are typed errors."""
    (project / name).write_text(text)
    with pytest.raises(SettingsError):
        find(folder=project)


def test_a_removed_working_directory_is_said(project, monkeypatch):
    """Where the working directory is gone, the error says so."""
    gone = project / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(SettingsError, match="was removed"):
        find()


def test_a_project_may_not_set_the_price_of_what_it_does_not_define(project):
    """A clone cannot make a paid LLM look free, which would switch off a budget."""
    (project / "bmad.toml").write_text(
        '[prices."openai/gpt-x"]\ninput_usd_per_mtok = 0\noutput_usd_per_mtok = 0\n'
    )
    with pytest.raises(SettingsError, match="openai/gpt-x"):
        find(folder=project)

    (project / "bmad.toml").write_text(
        '[endpoints.own-lab]\nbase_url = "https://lab.example/v1"\n'
        '[prices."own-lab/m"]\ninput_usd_per_mtok = 1\noutput_usd_per_mtok = 2\n'
    )
    assert "own-lab/m" in find(folder=project).settings.prices
