"""Public tables of recorded answers: fetched once, and only used if they have the pinned hash."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from bmad_nb.errors import SettingsError, UnknownName, UsageProblem
from bmad_nb.lab import importing
from bmad_nb.lab.recording import Recording
from bmad_nb.llms.urls import check_base_url
from bmad_nb.llms.weights import cache_folder

MOST_BYTES = 64_000_000
"""A table that is larger is not read to its end."""
TIMEOUT_S = 30.0


class NotFetched(UsageProblem):
    """A public table could not be had, or is not what was pinned."""


@dataclass(frozen=True, slots=True)
class Public:
    """Where a public table lies, and what it must be."""

    base_url: str
    path: str
    sha256: str
    layout: importing.Layout
    dataset: str
    licence: str


TABLES = {
    "routellm-gsm8k": Public(
        "https://raw.githubusercontent.com",
        "lm-sys/RouteLLM/0b64fdafe049e596a3f5657c219329f24af24198/routellm/evals/gsm8k/"
        "gsm8k_responses.csv",
        "1f38ed03db354a020f71e92022383dc3cf37bbf2694dea4daaeea7b6c43fe57b",
        "routellm",
        "routellm_gsm8k",
        "Apache-2.0 (questions of GSM8K: MIT)",
    )
}
"""Public tables by name."""


def fetch(name: str, *, base_url: str | None = None, cache: str | Path | None = None) -> Recording:
    """Return a public table of recorded answers.

    It is fetched once over https, without following redirects, and kept in the cache folder; it is
    used only if its SHA-256 is the pinned one, each time.

    Args:
        name: such as `routellm-gsm8k`: GPT-4 and Mixtral-8x7B on 1,319 questions of GSM8K.
        base_url: a mirror of the host; plain http is allowed on this machine only.
        cache: folder of the kept file; that of the embedded model's weights if None.

    Raises:
        UnknownName: there is no such table.
        NotFetched: no network, a wrong answer, or other bytes than those that were pinned.
        SettingsError: a mirror that may not be used.
    """
    if name not in TABLES:
        raise UnknownName("public table", name, TABLES)
    table = TABLES[name]
    folder = Path(cache) if cache is not None else cache_folder() / "tables"
    kept = folder / f"{table.sha256[:16]}-{Path(table.path).name}"
    if not _is_whole(kept, table):
        data = _download(name, table, base_url)
        _keep(data, kept)
    return importing.read(kept, table.layout, table.dataset)


def _is_whole(path: Path, table: Public) -> bool:
    """Return whether a kept file is what was pinned."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == table.sha256
    except OSError:
        return False


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Refuses to be sent elsewhere."""

    def redirect_request(self, req: Any, fp: Any, code: int, *_said: Any) -> NoReturn:
        """Refuse."""
        raise urllib.error.HTTPError(req.full_url, code, "it redirects elsewhere", _said[1], fp)


def _download(name: str, table: Public, base_url: str | None) -> bytes:
    """Return the bytes of a table, checked.

    Raises:
        NotFetched: they could not be had, are too many, or others than those that were pinned.
    """
    try:
        url = f"{check_base_url(base_url or table.base_url)}/{table.path}"
    except SettingsError as error:
        raise NotFetched(f"The mirror of {name} cannot be used: {error.what}") from None
    opener = urllib.request.build_opener(_NoRedirect)
    host = urllib.parse.urlsplit(url).hostname
    try:
        with opener.open(url, timeout=TIMEOUT_S) as answer:  # https, or this machine
            data: bytes = answer.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        raise NotFetched(
            f"{name} could not be fetched from {host}: {_why(error)}.",
            hint="It needs the network once. Without it, record your own: lab.record, or read a "
            "table that you have with lab.read.",
        ) from None
    if len(data) > MOST_BYTES:
        raise NotFetched(f"{name} is larger than {MOST_BYTES // 1_000_000} MB at {host}.")
    found = hashlib.sha256(data).hexdigest()
    if found != table.sha256:
        raise NotFetched(
            f"{name} from {host} has SHA-256 {found[:12]}… where {table.sha256[:12]}… was "
            "expected; it is not used.",
            hint="The source or a proxy has changed it.",
        )
    return data


def _why(error: Any) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code}, {error.reason}"
    reason = getattr(error, "reason", error)
    return str(getattr(reason, "strerror", None) or reason or type(error).__name__).rstrip(".")


def _keep(data: bytes, path: Path) -> None:
    """Keep the bytes under a name that only whole files have.

    Raises:
        NotFetched: the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            Path(name).replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise
    except OSError as error:
        raise NotFetched(
            f"{path.parent} cannot be written: {error.strerror}.", hint="Set BMAD_CACHE."
        ) from None
