"""Pictures for messages: bytes, or a path that the user's own code names; known by content."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bmad_nb.errors import UsageProblem
from bmad_nb.messages import Image

MOST_BYTES = 20 * 2**20
"""Bytes of one picture; providers take no larger ones."""
_KINDS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)


def images_of(value: Any) -> tuple[Image, ...]:
    """Return pictures.

    Args:
        value: one of bytes, a path or an `Image`, or a list of them.

    Raises:
        UsageProblem: one cannot be read, is too large, or is no PNG, JPEG, GIF or WebP.
    """
    several = isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray)
    return tuple(_image(each) for each in (value if several else [value]))


def _image(value: Any) -> Image:
    if isinstance(value, Image):
        return value
    if isinstance(value, bytes | bytearray):
        data, name = bytes(value), "The picture"
    elif isinstance(value, str | os.PathLike):
        data, name = _read(Path(value).expanduser()), str(value)
    else:
        raise UsageProblem(
            f"A picture cannot be a {type(value).__name__}.", hint="Give bytes or a path."
        )
    if len(data) > MOST_BYTES:
        raise UsageProblem(
            f"{name} has more than {MOST_BYTES // 2**20} MiB.", hint="Make it smaller."
        )
    return Image(_media_type(data, name), data)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageProblem(f"The picture {path} cannot be read: {said}.") from None


def _media_type(data: bytes, name: str) -> str:
    """Return what a picture is by its first bytes; a file's name proves nothing."""
    for head, kind in _KINDS:
        if data.startswith(head):
            return kind
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    raise UsageProblem(f"{name} is no PNG, JPEG, GIF or WebP.", hint="Convert it to PNG first.")
