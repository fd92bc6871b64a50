"""Settings: where they are found, what they may say, and which files are trusted with keys."""

from __future__ import annotations

import datetime
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    field_validator,
)

from bmad_nb._files import anchored
from bmad_nb._nearest import nearest
from bmad_nb.errors import SettingsError
from bmad_nb.messages import MOST_USD
from bmad_nb.secrets import read_reference

DEFAULT_LLM = "local/smollm2-135m"

BUILT_IN_ENDPOINTS: dict[str, dict[str, Any]] = {
    "openai": {
        "base_url": "https://api.openai.com/v1",
        "api_key": "env:OPENAI_API_KEY",
        "max_tokens_field": "max_completion_tokens",
    },
    "anthropic": {
        "kind": "anthropic",
        "base_url": "https://api.anthropic.com/v1",
        "api_key": "env:ANTHROPIC_API_KEY",
    },
    "gemini": {
        "kind": "gemini",
        "base_url": "https://generativelanguage.googleapis.com/v1beta",
        "api_key": "env:GEMINI_API_KEY",
    },
    "ollama": {"kind": "ollama", "base_url": "http://127.0.0.1:11434"},
    "openrouter": {
        "base_url": "https://openrouter.ai/api/v1",
        "api_key": "env:OPENROUTER_API_KEY",
    },
    "groq": {"base_url": "https://api.groq.com/openai/v1", "api_key": "env:GROQ_API_KEY"},
    "mistral": {"base_url": "https://api.mistral.ai/v1", "api_key": "env:MISTRAL_API_KEY"},
    "deepseek": {
        "base_url": "https://api.deepseek.com/v1",
        "api_key": "env:DEEPSEEK_API_KEY",
        "structured": "json_object",
    },
}
"""Endpoints that everybody has; `kind` is `openai` where none stands."""
RESERVED = ("local", "own", "recorded", "sim")
"""Not HTTP: the embedded model, your own functions, recorded answers, the simulated fleet."""

_DAY = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")
_WINDOW = re.compile("([01][0-9]|2[0-3]):[0-5][0-9]-(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EngineSettings(_Strict):
    """How runs are executed."""

    max_concurrent_tasks: int = Field(10, ge=1, le=1000, description="calls in flight at a time")
    default_timeout_s: float = Field(300, gt=0, description="seconds for one call")
    retry_attempts: int = Field(3, ge=0, le=20, description="tries after the first")
    hedge_after_s: float | None = Field(None, gt=0, description="then a slow call is sent twice")
    cost_optimization: bool = Field(default=True, description="prefer the cheaper of equals")
    quality_threshold: float = Field(0.8, ge=0, le=1, description="score that is good enough")
    learning: bool = Field(default=True, description="routing reads what scores have taught")
    default_llm: str = Field(DEFAULT_LLM, description="the LLM that is asked when none is named")


class StoreSettings(_Strict):
    """How the store is written."""

    sync: Literal["normal", "full"] = Field(
        "normal", description="normal survives kill -9; full survives power loss too"
    )


class EndpointSettings(_Strict):
    """One HTTP backend."""

    kind: Literal["openai", "anthropic", "gemini", "ollama"] = Field(
        "openai", description="wire format"
    )
    base_url: str = Field(description="address up to and with the version, such as …/v1")
    api_key: str | None = Field(None, description="reference to the key: env:NAME")
    models: tuple[str, ...] = Field((), description="model names; empty means any name is tried")
    allow_http: bool = Field(default=False, description="plain http to another machine")
    stream: bool | None = Field(
        default=None, description="ask for answers piece by piece; unset, where somebody watches"
    )
    structured: Literal["json_schema", "json_object", "prompt"] = Field(
        "json_schema", description="how an OpenAI-compatible server is told a JSON Schema"
    )
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = Field(
        "max_tokens", description="what an OpenAI-compatible server calls the limit on an answer"
    )
    rpm: float | None = Field(None, gt=0, description="requests a minute that it allows")
    tpm: float | None = Field(None, gt=0, description="tokens a minute that it allows")
    max_in_flight: int | None = Field(None, ge=1, description="calls at a time that it allows")
    connect_s: float = Field(15, gt=0, description="seconds for DNS, TCP and TLS")
    first_byte_s: float | None = Field(None, gt=0, description="seconds to the head of a stream")
    idle_s: float = Field(60, gt=0, description="seconds of silence in the middle of an answer")

    @field_validator("api_key")
    @classmethod
    def _is_reference(cls, value: str | None) -> str | None:
        if value is not None:
            read_reference(value)
        return value


Usd = Annotated[Decimal, Field(ge=0, le=MOST_USD, decimal_places=30)]


class PriceSettings(_Strict):
    """Price of one LLM, in US dollars per million tokens; it may have a first day and hours."""

    input_usd_per_mtok: Usd
    output_usd_per_mtok: Usd
    cached_input_usd_per_mtok: Usd | None = None
    cache_write_usd_per_mtok: Usd | None = None
    reasoning_usd_per_mtok: Usd | None = Field(None, description="part of the output")
    request_usd: Usd = Field(Decimal(0), description="US dollars per request")
    as_of: datetime.date | None = Field(None, description="date at which the price was looked up")
    from_: datetime.date | None = Field(None, alias="from", description="its first day, in UTC")
    hours: str = Field("", description="time of day, in UTC: 22:00-06:00")

    @field_validator("as_of", "from_", mode="before")
    @classmethod
    def _is_day(cls, value: object) -> object:
        if isinstance(value, str) and _DAY.fullmatch(value):
            return datetime.date.fromisoformat(value)
        if type(value) is datetime.date:  # of a number, pydantic would make seconds since 1970
            return value
        raise ValueError("write the date as 2026-01-31")

    @field_validator("hours")
    @classmethod
    def _is_window(cls, value: str) -> str:
        start, _, end = value.partition("-")
        if value and not (_WINDOW.fullmatch(value) and start != end.replace("24:", "00:")):
            raise ValueError("write the hours as 22:00-06:00, in UTC")
        return value


PriceEntries = Annotated[
    Annotated[PriceSettings, Tag("table")] | Annotated[tuple[PriceSettings, ...], Tag("list")],
    Discriminator(lambda value: "list" if value and isinstance(value, list | tuple) else "table"),
]
"""Price of an LLM: one table, or a list of them that differ in `from` or `hours`."""


class LLMSettings(_Strict):
    """Facts about one LLM that the catalogue does not know or has wrong."""

    capabilities: dict[str, float] = Field({}, description="skill in [0, 1] by name")
    context_tokens: int | None = Field(None, ge=1)
    max_tokens: int | None = Field(None, ge=1, description="most tokens of an answer by default")


class Settings(_Strict):
    """All settings of a workspace."""

    engine: EngineSettings = Field(default_factory=lambda: EngineSettings.model_validate({}))
    store: StoreSettings = Field(default_factory=lambda: StoreSettings.model_validate({}))
    endpoints: dict[str, EndpointSettings] = {}
    prices: dict[str, PriceEntries] = {}
    llms: dict[str, LLMSettings] = {}
    recorded: dict[str, dict[Literal["path"], str]] = {}
    aliases: dict[str, str] = {}
    """Names of your own for what `-m` takes, such as `fast = "sim/hasty,local?temperature=0"`."""

    @field_validator("endpoints", "aliases")
    @classmethod
    def _free_names(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name in value:
            if name in RESERVED or not name.replace("-", "").replace("_", "").isalnum():
                raise ValueError(f"{name!r} cannot be the name of an endpoint or an alias")
        return value


class Found:
    """Settings together with where they came from."""

    def __init__(self, settings: Settings, files: list[Path], store: Path) -> None:
        """Keep the merged settings, the files in order of precedence, and the store's path."""
        self.settings = settings
        self.files = files
        self.store = store


def find(
    config: Mapping[str, Any] | str | Path | None = None,
    store: str | Path | None = None,
    *,
    folder: Path | None = None,
) -> Found:
    """Return the settings that hold in `folder`, the working directory by default.

    Args:
        config: settings as nested tables, or a file of them; goes before everything else.
        folder: where to look from.
        store: path of the store's file; goes before `BMAD_STORE` and the project's place.

    Raises:
        SettingsError: something is wrong in one of the sources; all that is wrong in it is said.
    """
    here = folder or _working_folder()
    project = _project_file(here)
    sources = _sources(config, project)
    trusted = set(BUILT_IN_ENDPOINTS)
    for origin, table, is_trusted in sources:
        _validate(table, origin)
        if is_trusted:
            trusted |= set(table.get("endpoints", {}))
    merged: dict[str, Any] = {"endpoints": dict(BUILT_IN_ENDPOINTS), "prices": {}}
    for origin, table, is_trusted in reversed(sources):
        if not is_trusted:
            _check_project(table, origin, trusted)
        whole = {**merged["prices"], **table.get("prices", {})}  # no mixture is anybody's price
        merged = {**_merge(merged, table), "prices": whole}
    if default_llm := os.environ.get("BMAD_DEFAULT_LLM", "").strip():
        merged = _merge(merged, {"engine": {"default_llm": default_llm}})
    if isinstance(config, Mapping):
        merged = _merge(merged, dict(config))
    files = [Path(origin) for origin, _, _ in sources if origin != "the config argument"]
    return Found(_validate(merged, "settings"), files, _store_path(store, project, here))


def price_entries(llm: str, value: object) -> PriceSettings | tuple[PriceSettings, ...]:
    """Return the price of `llm` that a table or a list of tables gives.

    Raises:
        SettingsError: something is wrong in it; all that is wrong is said.
    """
    return _validate({"prices": {llm: value}}, "this price").prices[llm]


def _sources(
    config: Mapping[str, Any] | str | Path | None, project: Path | None
) -> list[tuple[str, dict[str, Any], bool]]:
    """Return (origin, table, trusted) of all sources, the one that wins first."""
    sources: list[tuple[str, dict[str, Any], bool]] = []
    if isinstance(config, Mapping):
        sources.append(("the config argument", dict(config), True))
    elif config is not None:
        sources.append((str(config), _read(Path(config)), True))
    named = os.environ.get("BMAD_CONFIG")
    if named == "":
        return sources
    if named is not None:
        sources.append((named, _read(Path(named)), True))
    user = Path(platformdirs.user_config_dir("bmad_nb")) / "config.toml"
    if user.is_file():
        sources.append((str(user), _read(user), True))
    if project is not None:
        sources.append((str(project), _read(project), False))
    return sources


def _project_file(here: Path) -> Path | None:
    """Return the nearest bmad.toml, or pyproject.toml with a [tool.bmad] table, upwards."""
    for folder in (here, *here.parents):
        own = folder / "bmad.toml"
        if own.is_file():
            return own
        shared = folder / "pyproject.toml"
        if shared.is_file() and b"[tool.bmad" in shared.read_bytes():
            return shared
    return None


def _store_path(store: str | Path | None, project: Path | None, here: Path) -> Path:
    named = store or os.environ.get("BMAD_STORE")
    if named:
        return Path(os.path.abspath(Path(named).expanduser()))  # noqa: PTH100  (keeps links visible)
    if project is not None:
        return project.parent / ".bmad" / "bmad.db"
    for folder in (here, *here.parents):
        if (folder / ".bmad").is_dir():
            return folder / ".bmad" / "bmad.db"
    return here / ".bmad" / "bmad.db"


def _working_folder() -> Path:
    try:
        return Path.cwd().resolve()
    except FileNotFoundError:
        raise SettingsError(
            "The working directory was removed.", hint="Change to a folder that exists."
        ) from None


def _read(path: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(
            f"The settings file {path} cannot be read: {error.strerror}.",
            hint="Check the path, or unset BMAD_CONFIG.",
        ) from error
    except (ValueError, RecursionError) as error:  # wrong TOML, bytes or numbers
        raise SettingsError(f"{path} is not valid TOML: {error}") from error
    if path.name == "pyproject.toml":
        tools = table.get("tool")
        table = tools.get("bmad", {}) if isinstance(tools, dict) else {}
    if not isinstance(table, dict):
        raise SettingsError(f"tool.bmad in {path} is not a table.")
    return anchored(table, path.parent)


def _merge(base: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for name, value in over.items():
        if isinstance(value, Mapping) and isinstance(merged.get(name), Mapping):
            merged[name] = _merge(merged[name], value)
        else:
            merged[name] = value
    return merged


def _check_project(table: Mapping[str, Any], origin: str, trusted: Iterable[str]) -> None:
    """Refuse what a file that came with a clone may not do with keys and money."""
    for llm in table.get("prices", {}):
        if llm.partition("/")[0] not in set(table.get("endpoints", {})) - set(trusted):
            raise SettingsError(
                f"{origin} sets the price of {llm}, which is not its own endpoint.",
                hint="Put the price into your own settings file: a budget rests on it.",
            )
    for name, endpoint in table.get("endpoints", {}).items():
        if name in trusted:
            raise SettingsError(
                f"{origin} redefines the endpoint {name!r}; a project may only add new ones.",
                hint="Rename it there, or move it into your own settings file.",
            )
        key = endpoint.get("api_key")
        reference = read_reference(key) if key else None
        if reference is not None and not reference.may_come_with_a_clone:
            held = reference.variable or "your keyring"
            raise SettingsError(
                f"{origin} would send the key in {held} to {endpoint.get('base_url')}.",
                hint="Use a variable of its own there, or define the endpoint in your own settings "
                "file.",
            )


def _validate(table: Mapping[str, Any], origin: str) -> Settings:
    try:
        return Settings.model_validate(table)
    except ValidationError as error:
        raise SettingsError(f"In {origin}: " + "; ".join(_explain(error))) from None
    except RecursionError:
        raise SettingsError(f"{origin} is nested too deeply.") from None


def _explain(error: ValidationError) -> list[str]:
    said = []
    for problem in error.errors(include_url=False, include_input=False):
        where = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            guess = nearest(str(problem["loc"][-1]), _fields_at(problem["loc"][:-1]))
            said.append(
                f"{where} is not a setting" + (f" (did you mean {guess}?)" if guess else "")
            )
        else:
            said.append(f"{where}: {problem['msg']}")
    return said


def _fields_at(location: tuple[int | str, ...]) -> list[str]:
    homes: dict[str, type[_Strict]] = {
        "engine": EngineSettings,
        "store": StoreSettings,
        "endpoints": EndpointSettings,
        "prices": PriceSettings,
        "llms": LLMSettings,
    }
    home = homes.get(str(location[0])) if location else Settings
    return [f.alias or n for n, f in home.model_fields.items()] if home else []
