"""YAML in and out: plain data with positions, under hard limits. It knows nothing of workflows."""

from bmad_nb.documents.reading import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_NODES,
    Document,
    Position,
    read,
)
from bmad_nb.documents.rewriting import rename, rewrite, same
from bmad_nb.documents.writing import check, write

__all__ = [
    "MAX_BYTES",
    "MAX_DEPTH",
    "MAX_NODES",
    "Document",
    "Position",
    "check",
    "read",
    "rename",
    "rewrite",
    "same",
    "write",
]
