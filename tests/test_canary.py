"""Canary keys: one for each endpoint, used in every way, found in nothing that is left behind."""

from __future__ import annotations

import base64
import gzip
import json
import os
import sqlite3
import subprocess
import sys
import urllib.parse
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

from tests.canary import KEYS, holding, main
from tests.fake_provider import FakeProvider
from tests.llms.asking import ROOT

PATHS = {"openai": "/v1", "anthropic": "/v1", "gemini": "/v1beta", "ollama": ""}
FAULTS = ("401", "500", "html", "cut", "redirect", "bad_json", "hang")


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    """Give a provider with a model for each fault; its 401 repeats the key."""
    models = {name: {"fault_rates": {name: 1.0}} for name in FAULTS}
    with FakeProvider({"models": {"small": {}, **models}}) as fake:
        yield fake


@pytest.fixture
def folder(project: Path, provider: FakeProvider) -> Path:
    """Give a project with four endpoints, plain and streaming, each with a key of its own."""
    root = provider.url.removesuffix("/v1")
    lines = ["[engine]", "retry_attempts = 0", "default_timeout_s = 2"]
    for kind, path in PATHS.items():
        for suffix in ("", "-stream"):
            lines += [
                f"[endpoints.my-{kind}{suffix}]", f'kind = "{kind}"', f'base_url = "{root}{path}"',
                f'api_key = "env:CANARY_{kind.upper()}"', f"stream = {str(bool(suffix)).lower()}",
            ]  # fmt: skip
    (project / "bmad.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return project


def environment() -> dict[str, str]:
    """Return this process's environment with the canaries in it."""
    keys = {f"CANARY_{kind.upper()}": KEYS[kind] for kind in PATHS}
    return {**os.environ, **keys, "PYTHONPATH": str(ROOT)}


SESSION = """
import copy, json, logging, os, pickle, sys, traceback
logging.basicConfig(level=logging.DEBUG, filename="debug.log")
import bmad_nb
ws = bmad_nb.Workspace()
said = open("said.txt", "w")
llms = [f"my-{kind}{suffix}/{model}" for kind in %r for suffix in ("", "-stream") for model in %r]
for llm in llms:
    try:
        print(ws.ask("Is this my key?", llm), file=said)
    except BaseException as error:
        shown = traceback.TracebackException.from_exception(error, capture_locals=True)
        print("".join(shown.format()), repr(error), vars(error), file=said)
        for frame, _ in traceback.walk_tb(error.__traceback__):
            print(frame.f_locals, file=said)
    own = ws.catalog.llm(llm)
    print(repr(own), vars(own), vars(own.endpoint), own.card, file=said)
    for way in (pickle.dumps, copy.deepcopy, json.dumps):
        try:
            print(way(own.endpoint._key), file=said)
        except TypeError as error:
            print(error, file=said)
ws.calls().to_csv("calls.csv")
ws.runs().to_json("runs.json")
result = ws.compare("Hello", llms[:2])
print(result, repr(result), result._repr_mimebundle_(), file=said)
print(ws.settings, ws.found.files, file=said)
said.close()
ws.close()
"""


def test_no_key_is_left_anywhere(folder: Path, provider: FakeProvider) -> None:
    """Python with DEBUG logs and dumped locals, the shell, and papermill: not one byte of a key."""
    script = SESSION % (list(PATHS), ["small", *FAULTS])
    (folder / "session.py").write_text(script, encoding="utf-8")
    done = subprocess.run([sys.executable, "session.py"], cwd=folder, env=environment(),
                          capture_output=True, timeout=300, check=False)  # fmt: skip
    assert 0 == done.returncode, done.stderr.decode()
    (folder / "python.out").write_bytes(done.stdout + done.stderr)
    for number, words in enumerate(
        (["ask", "-m", "my-openai/401", "Hi"], ["models", "--json"], ["doctor"], ["runs", "--json"],
         ["compare", "-m", "my-anthropic/small,my-gemini/401", "--json", "Hi"])
    ):  # fmt: skip
        done = subprocess.run([sys.executable, "-m", "bmad_nb", *words], cwd=folder,
                              env=environment(), capture_output=True, timeout=60, check=False)  # fmt: skip
        (folder / f"shell{number}.out").write_bytes(done.stdout + done.stderr)

    sent = {value for each in provider.requests() for value in each["headers"].values()}
    assert {kind for kind in KEYS if any(KEYS[kind] in value for value in sent)} == set(PATHS)
    assert (folder / "debug.log").stat().st_size > 0
    assert "***" in (folder / "said.txt").read_text(encoding="utf-8")
    assert [] == holding(folder, *KEYS.values())


def test_papermill_keeps_no_key_and_takes_none_as_a_parameter(folder: Path) -> None:
    """A notebook that uses keys by reference holds none; a parameter that is a key is refused."""
    cells = ["%load_ext bmad_nb", "%%bmad ask -m my-openai/small\nHello", "%bmad models"]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(each) for each in cells])
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "p", "language": "python"}
    book.cells.insert(0, nbformat.v4.new_code_cell("topic = ''", metadata={"tags": ["parameters"]}))
    nbformat.write(book, folder / "in.ipynb")

    def execute(*parameters: str) -> subprocess.CompletedProcess[bytes]:
        words = [sys.executable, "-m", "papermill", "in.ipynb", "out.ipynb", *parameters]
        return subprocess.run(words, cwd=folder, env=environment(), capture_output=True,
                              timeout=120, check=False)  # fmt: skip

    done = execute("-p", "topic", "ice")
    assert 0 == done.returncode, done.stderr.decode()[-2000:]
    assert [] == holding(folder, *KEYS.values())
    for name, value in (("api_key", "0123456789"), ("topic", "sk-abcdefghijklmnopqrstuv")):
        refused = execute("-p", name, value)
        assert 0 != refused.returncode
        said = refused.stderr.decode()
        assert f"The parameter '{name}' looks like a key" in said


@pytest.mark.parametrize("way", ["plain", "utf-16", "base64", "url", "gzip", "zip", "store", "hex"])
def test_a_planted_key_is_found(tmp_path: Path, way: str) -> None:
    """The finder sees a key in each of the ways in which one could be left."""
    key = "sk-planted/+key&0123456789=="
    path = tmp_path / "left"
    raw = b"before " + key.encode() + b" behind"
    match way:
        case "plain":
            path.write_bytes(raw)
        case "utf-16":
            path.write_bytes(raw.decode().encode("utf-16"))
        case "base64":
            path.write_bytes(base64.b64encode(raw))
        case "url":
            path.write_text(urllib.parse.quote(key, safe=""))
        case "gzip":
            path.write_bytes(gzip.compress(raw))
        case "zip":
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
                packed.writestr("inside", raw)
        case "store":
            connection = sqlite3.connect(path)
            connection.execute("CREATE TABLE t (body BLOB)")
            body = b"z" + zlib.compress(json.dumps("x" * 100_000 + key).encode())
            connection.execute("INSERT INTO t VALUES (?)", (body,))
            connection.commit()
            connection.close()
        case "hex":
            path.write_text(raw.hex())
    assert ["left"] == holding(tmp_path, key)
    assert [] == holding(tmp_path, "another-key-0123456789")


def test_a_damaged_file_is_looked_at_as_bytes(tmp_path: Path) -> None:
    """A store or an archive that cannot be opened hides no key, and stops nothing."""
    key = "sk-planted-0123456789abcdef"
    for name, head in (("db", b"SQLite format 3\0"), ("gz", b"\x1f\x8b"), ("zip", b"PK\x03\x04")):
        (tmp_path / name).write_bytes(head + b"\xff" * 100 + key.encode())
    assert ["db", "gz", "zip"] == sorted(holding(tmp_path, key))
    assert [] == holding(tmp_path, "another-key-0123456789")


def test_a_folder_with_a_key_or_without_files_is_refused(tmp_path: Path) -> None:
    """The step of CI fails on a key, and where the tests left nothing that could be looked at."""
    assert 1 == main(tmp_path)
    (tmp_path / "left").write_text("nothing")
    assert 0 == main(tmp_path)
    (tmp_path / "left").write_text(KEYS["asking"])
    assert 1 == main(tmp_path)
    (tmp_path / "left").unlink()  # or that step would find it
