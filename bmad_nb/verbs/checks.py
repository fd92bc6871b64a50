"""What works on this machine: the tables behind `models` and `doctor`."""

from __future__ import annotations

import fnmatch
import importlib.metadata
import importlib.util
import itertools
import os
import platform
import sqlite3
from collections.abc import Iterator

import pandas as pd

from bmad_nb import __version__, _loop
from bmad_nb._files import network_filesystem
from bmad_nb.errors import StoreError
from bmad_nb.llms.base import Card
from bmad_nb.secrets import read_reference, resolve, why_missing
from bmad_nb.workspace import Workspace

STALE_DAYS = 90
"""Age in days from which a price should be looked up again."""
Finding = tuple[str, str, str, str]
"""Check, verdict, what was found, what to do."""


def models(space: Workspace, pattern: str = "*") -> pd.DataFrame:
    """Return a row per LLM that is known by name, those that are ready first.

    Columns: llm, ready (yes or what is missing), kind (hosted, embedded, recorded ...), simulated,
    runs_here, context_tokens, input_usd_per_mtok and output_usd_per_mtok (US dollars per million
    tokens; missing if unknown), price_source, capabilities.
    """
    cards = [c for c in space.catalog.cards() if fnmatch.fnmatchcase(c.id, f"*{pattern}*")]
    rows = [_model_row(space, card) for card in cards]
    columns = [
        "llm", "ready", "kind", "simulated", "runs_here", "context_tokens", "input_usd_per_mtok",
        "output_usd_per_mtok", "price_source", "capabilities",
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=columns)
    frame["context_tokens"] = frame["context_tokens"].astype("Int64")
    return frame.sort_values("ready", key=lambda c: c != "yes", kind="stable", ignore_index=True)


def _model_row(space: Workspace, card: Card) -> tuple[object, ...]:
    price = space.catalog.price(card)
    return (
        card.id,
        _ready(card, replay=space.catalog.replay),
        _kind(card),
        card.simulated,
        card.runs_here,
        card.context_tokens,
        float(price.input_usd_per_mtok) if price else None,
        float(price.output_usd_per_mtok) if price else None,
        price.source if price else "unknown",
        ", ".join(f"{name} {skill:g}" for name, skill in card.capabilities),
    )


def _ready(card: Card, *, replay: bool) -> str:
    if card.missing:
        return f"no: {card.missing}"
    return "replay: stored answers only" if replay and _kind(card) != "recorded" else "yes"


def _kind(card: Card) -> str:
    """Return in a word what answers under an id."""
    if "recorded" in card.tags:
        return "recorded"
    if card.simulated:
        return "simulated"
    place = card.id.partition("/")[0]
    return {"local": "embedded", "own": "your own"}.get(place, "hosted")


def doctor(space: Workspace) -> pd.DataFrame:
    """Return a row per check: check, verdict (ok, note or problem), found, what_to_do."""
    of_space = (_store(space), _settings(space), _prices(space))
    rows = [*_platform(), *_local(), *itertools.chain(*of_space), *_notebook()]
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
        if resolve(endpoint.api_key) is not None:
            held = read_reference(endpoint.api_key).variable or "the keyring"
            yield (f"endpoint {name}", "ok", f"{endpoint.base_url}, key in {held} found", "")
        else:
            missing, remedy = why_missing(endpoint.api_key)
            yield (f"endpoint {name}", "note", f"{endpoint.base_url}, {missing}", f"{remedy}.")


def _prices(space: Workspace) -> Iterator[Finding]:
    stale = space.catalog.prices.stale(STALE_DAYS)
    if stale.list_days is not None:
        advice = "python -m pip install -U genai-prices, or set [prices] yourself."
        yield "list prices", "note", f"{stale.list_days} days old", advice
    for llm, days in stale.own:
        yield f"price of {llm}", "note", f"{days} days old", 'Look it up, and set "as_of" anew.'
    if stale.list_days is None and not stale.own:
        yield "prices", "ok", f"none is older than {STALE_DAYS} days", ""


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
