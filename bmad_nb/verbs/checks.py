"""What works on this machine: the tables behind `models` and `doctor`."""

from __future__ import annotations

import fnmatch
import importlib.metadata
import importlib.util
import os
import platform
import sqlite3
from collections.abc import Iterator

import pandas as pd

from bmad_nb import __version__, _loop
from bmad_nb._files import network_filesystem
from bmad_nb.errors import StoreError
from bmad_nb.llms.base import Card
from bmad_nb.secrets import env_name, resolve
from bmad_nb.workspace import Workspace

Finding = tuple[str, str, str, str]
"""Check, verdict, what was found, what to do."""


def models(space: Workspace, pattern: str = "*") -> pd.DataFrame:
    """Return a row per LLM that is known by name, those that are ready first.

    Columns: llm, ready (yes or what is missing), simulated, runs_here, context_tokens,
    input_usd_per_mtok and output_usd_per_mtok (US dollars per million tokens; missing if unknown),
    price_source, capabilities.
    """
    cards = [c for c in space.catalog.cards() if fnmatch.fnmatchcase(c.id, f"*{pattern}*")]
    rows = [_model_row(space, card) for card in cards]
    columns = [
        "llm", "ready", "simulated", "runs_here", "context_tokens", "input_usd_per_mtok",
        "output_usd_per_mtok", "price_source", "capabilities",
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=columns)
    frame["context_tokens"] = frame["context_tokens"].astype("Int64")
    return frame.sort_values("ready", key=lambda c: c != "yes", kind="stable", ignore_index=True)


def _model_row(space: Workspace, card: Card) -> tuple[object, ...]:
    price = space.catalog.price(card)
    return (
        card.id,
        "yes" if not card.missing else f"no: {card.missing}",
        card.simulated,
        card.runs_here,
        card.context_tokens,
        float(price.input_usd_per_mtok) if price else None,
        float(price.output_usd_per_mtok) if price else None,
        price.source if price else "unknown",
        ", ".join(f"{name} {skill:g}" for name, skill in card.capabilities),
    )


def doctor(space: Workspace) -> pd.DataFrame:
    """Return a row per check: check, verdict (ok, note or problem), found, what_to_do."""
    rows = [*_platform(), *_local(), *_store(space), *_settings(space), *_notebook()]
    return pd.DataFrame(rows, columns=["check", "verdict", "found", "what_to_do"])


def _platform() -> Iterator[Finding]:
    system = platform.system()
    tested = system in {"Linux", "Darwin"}
    yield (
        "platform",
        "ok" if tested else "problem",
        f"{system} {platform.machine()}, Python {platform.python_version()}, bmad_nb {__version__}",
        "" if tested else "Only Linux and macOS are tested; the store's locks need flock.",
    )
    fixed = sqlite3.sqlite_version_info >= (3, 51, 3)
    yield (
        "SQLite",
        "ok",
        f"{sqlite3.sqlite_version}"
        + ("" if fixed else ", which can corrupt a WAL when two processes checkpoint at once"),
        "" if fixed else "Nothing: bmad_nb writes and checkpoints under a lock, which avoids it.",
    )
    proxies = [n for n in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY") if os.environ.get(n)]
    proxies += [n for n in ("http_proxy", "https_proxy", "all_proxy") if os.environ.get(n)]
    if proxies:
        yield ("proxy", "note", ", ".join(proxies), "Calls to LLMs may go through it.")


def _local() -> Iterator[Finding]:
    from bmad_nb.llms import local, weights

    missing, remedy = local.unavailable()
    yield ("embedded model", "problem" if missing else "ok", missing or "can run here", remedy)
    for name in weights.models():
        path = weights.path_of(name)
        yield (
            f"weights of {name}",
            "ok" if path else "note",
            str(path) if path else "not fetched yet",
            "" if path else "Run: bmad models install",
        )


def _store(space: Workspace) -> Iterator[Finding]:
    path = space.store.path
    kind = network_filesystem(path.parent)
    if kind:
        yield ("store", "problem", f"{path} on {kind}", "Set BMAD_STORE to a file on a local disk.")
        return
    if not path.exists():
        yield ("store", "ok", f"{path}, made at the first run", "")
        return
    try:
        count = len(space.store.runs())
    except StoreError as error:
        yield ("store", "problem", error.what, error.hint)
        return
    size = sum(p.stat().st_size for p in path.parent.glob(f"{path.name}*"))
    yield ("store", "ok", f"{path}, {count} runs, {size / 1e6:.1f} MB", "")


def _settings(space: Workspace) -> Iterator[Finding]:
    files = ", ".join(map(str, space.found.files))
    yield ("settings", "ok", files or "no file; the defaults hold", "")
    for name, endpoint in space.settings.endpoints.items():
        if endpoint.api_key is None:
            yield (f"endpoint {name}", "ok", f"{endpoint.base_url}, no key", "")
            continue
        variable = env_name(endpoint.api_key)
        there = resolve(endpoint.api_key) is not None
        yield (
            f"endpoint {name}",
            "ok" if there else "note",
            f"{endpoint.base_url}, key in {variable} {'found' if there else 'not set'}",
            "" if there else f"Set {variable} to use it.",
        )


def _notebook() -> Iterator[Finding]:
    for package in ("jupyterlab", "ipykernel", "papermill"):
        found = importlib.util.find_spec(package) is not None
        version = importlib.metadata.version(package) if found else "missing"
        yield (
            package,
            "ok" if found else "problem",
            version,
            "" if found else f"pip install {package}",
        )
    patch = _loop.nested_asyncio_library()
    yield (
        "nested asyncio",
        "ok" if patch else "note",
        f"{patch or 'no library'}, applied only on request",
        "" if patch else "pip install nest-asyncio2",
    )
