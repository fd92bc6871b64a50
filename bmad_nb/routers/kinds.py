"""What kind of task a text is, told from texts whose kind is known."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bmad_nb.routers.texts import hashed

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

NEIGHBOURS = 9
"""Most similar texts that have a say, each by its similarity."""
LIKE, SURE = 0.2, 0.6
"""Least similarity of the nearest text, and least share of the say, for a kind to be told."""


class Kinds:
    """Tells kinds by the nearest known texts (cosine of TF-IDF of words, pairs and parts).

    Args:
        texts: known texts.
        kinds: the kind of each.
    """

    def __init__(self, texts: Sequence[str], kinds: Sequence[str]) -> None:
        """Weigh the known texts."""
        self._kinds = list(kinds)
        counts = hashed(texts)
        seen = np.bincount(counts.indices, minlength=counts.shape[1])
        self._weight = np.log((1 + len(texts)) / (1 + seen)).astype(np.float32)
        self._known = self._weighed(texts)

    def tell(self, text: str) -> tuple[str, float]:
        """Return the kind of a text and its share of the say in [0, 1]; empty where it is not sure.

        It is not sure where nothing known is like the text, or where its neighbours disagree.
        """
        if not self._kinds or not text.strip():
            return "", 0.0
        alike = np.asarray((self._known @ self._weighed([text]).T).todense()).ravel()
        nearest = np.argsort(-alike, kind="stable")[:NEIGHBOURS]
        says: dict[str, float] = defaultdict(float)
        for place in nearest.tolist():
            says[self._kinds[place]] += max(0.0, float(alike[place]))
        whole = sum(says.values())
        if float(alike[nearest[0]]) < LIKE or not whole:
            return "", 0.0
        kind = max(says, key=lambda each: says[each])
        share = says[kind] / whole
        return (kind, share) if share >= SURE else ("", share)

    def _weighed(self, texts: Sequence[str]) -> csr_matrix:
        """Return TF-IDF with damped counts, each row of length one; shape (texts, buckets)."""
        found = hashed(texts)
        found.data = (1 + np.log(found.data)) * self._weight[found.indices]
        rows = np.repeat(np.arange(found.shape[0]), np.diff(found.indptr))
        size = np.sqrt(np.bincount(rows, found.data.astype(np.float64) ** 2, found.shape[0]))
        found.data = found.data / np.maximum(size[rows], 1e-9)
        return found
