"""Running a verb in this process, as a face does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bmad_nb.verbs.base import Front
from bmad_nb.verbs.tree import call
from bmad_nb.verbs.words import split
from bmad_nb.workspace import Workspace


def typed(
    space: Workspace, line: str, body: str | None = None, names: Mapping[str, Any] | None = None,
    kind: str = "", **more: Any,
) -> Any:  # fmt: skip
    """Return what a line gives, as a cell where it has a body, with variables."""
    where: Any = kind or ("line" if body is None else "cell")
    front = Front(space, where, body=body, names=names or {}, **more)
    return call(front, split(line, names or {}))
