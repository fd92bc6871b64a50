"""Finds a key in everything that a session leaves: files, stores and what was printed.

`python -m tests.canary FOLDER` looks for the keys that the tests use in a folder that they left.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import sqlite3
import sys
import urllib.parse
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

KEYS = {
    "openai": "sk-canary-openai-1f7b3c9d5e",
    "anthropic": "sk-ant-canary-8a6e2d4c0b",
    "gemini": "AIzaCanaryGemini77x1y2z3w4",
    "ollama": "canary-ollama-5f5e5d5c5b",
    "asking": "sk-canary-0123456789abcdef",
    "check": "sk-canary-check-0123456789",
}
"""Keys of the tests, none of which may be found in anything that a test leaves."""


def spellings(key: str) -> set[bytes]:
    """Return the ways in which a key may be written: encodings, base64 at each offset, escapes."""
    raw = key.encode()
    found = {
        raw, key.encode("utf-16-le"), key.encode("utf-16-be"), raw.hex().encode(),
        raw.hex().upper().encode(), urllib.parse.quote(key, safe="").encode(),
        json.dumps(key)[1:-1].encode(),
    }  # fmt: skip
    for offset in range(3):  # of what stands around it only whole groups of three bytes are sure
        coded = base64.b64encode(b"\0" * offset + raw)
        found.add(coded[4 * bool(offset) : len(coded) // 4 * 4 - 4])
    return {each for each in found if len(each) >= 8}


def texts(path: Path) -> Iterator[bytes]:
    """Yield a file's bytes, and what is packed in it."""
    data = path.read_bytes()
    yield data
    # what was damaged on purpose, or cut by a kill, is looked at as the bytes that it is
    with contextlib.suppress(
        sqlite3.DatabaseError, zipfile.BadZipFile, OSError, zlib.error, EOFError
    ):
        if data[:2] == b"\x1f\x8b":
            yield gzip.decompress(data)
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as packed:
                yield from (packed.read(name) for name in packed.namelist())
        if data[:15] == b"SQLite format 3":
            yield from _rows(path)


def _rows(path: Path) -> Iterator[bytes]:
    """Yield every text and blob of a database, long ones unpacked."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        names = [
            n for (n,) in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")
        ]
        for name in names:
            for row in connection.execute(f'SELECT * FROM "{name}"'):
                for value in row:
                    if isinstance(value, str):
                        yield value.encode("utf-8", "surrogatepass")
                    elif isinstance(value, bytes):
                        yield value
                        with contextlib.suppress(zlib.error):  # a hash may begin so, too
                            yield zlib.decompress(value[1:]) if value[:1] == b"z" else b""
    finally:
        connection.close()


def holding(folder: Path, *keys: str) -> list[str]:
    """Return the files below a folder that hold one of the keys, however it is written."""
    wanted = {spelled for key in keys for spelled in spellings(key)}
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return [path.name for path in files if any(s in text for text in texts(path) for s in wanted)]


def main(folder: Path) -> int:
    """Say which files hold a key; return how many do."""
    files = sum(path.is_file() for path in folder.rglob("*"))
    found = holding(folder, *KEYS.values())
    print(f"{files:,} files, {len(found)} with a key", *found, sep="\n")
    return len(found) or not files  # a folder without files proves nothing


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
