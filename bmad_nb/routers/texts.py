"""Prompts as numbers: hashed words and their parts, weighted, turned into a few dimensions.

Words, pairs of words and parts of words of four letters are hashed into fixed buckets
(Weinberger et al., "Feature hashing for large scale multitask learning", 2009), so that a table is
hashed once whatever is learned from which part of it, and one prompt takes a fraction of a
millisecond. Weights (TF-IDF) and dimensions (truncated SVD, "latent semantic analysis") are learned
from the prompts of a history, without their scores.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

BITS = 15
"""Buckets of words are 2 to this power, and so are those of parts of words."""
MOST_BYTES = 6_000
"""What of a prompt is looked at: so much of it, from both ends."""
_CHUNK = 2_000_000
_BASE = np.uint64(0x9E3779B97F4A7C15 | 1)
_MIX = np.uint64(0xBF58476D1CE4E5B9)


class Prompts(Sequence[str]):
    """Prompts of which everything is worked out at most once, also in parts."""

    def __init__(self, texts: Sequence[str]) -> None:
        """Keep them."""
        self._texts = texts if isinstance(texts, list) else list(texts)
        self._draws: dict[int, NDArray[np.float64]] = {}

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._texts)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...
    def __getitem__(self, place: int | slice) -> str | list[str]:
        """Return one of them, or some."""
        return self._texts[place]

    def take(self, rows: NDArray[np.intp]) -> Prompts:
        """Return some of them, in this order."""
        found = Prompts([self._texts[row] for row in rows.tolist()])
        for name in ("hashed", "surface"):
            if name in self.__dict__:
                found.__dict__[name] = self.__dict__[name][rows]
        found._draws = {seed: each[rows] for seed, each in self._draws.items()}
        return found

    def __iter__(self) -> Iterator[str]:
        """Go through them."""
        return iter(self._texts)

    @cached_property
    def hashed(self) -> csr_matrix:
        """How often each bucket occurs; shape (prompts, 2 x 2**BITS)."""
        return hashed(self._texts)

    @cached_property
    def surface(self) -> NDArray[np.float64]:
        """See `surface`."""
        return surface(self._texts)

    def draws(self, seed: int) -> NDArray[np.float64]:
        """See `draws`."""
        if seed not in self._draws:
            self._draws[seed] = draws(self._texts, seed)
        return self._draws[seed]


def draws(prompts: Sequence[str], seed: int) -> NDArray[np.float64]:
    """Return a number in [0, 1) for each prompt: by chance, but the same for the same prompt."""
    if isinstance(prompts, Prompts):
        return prompts.draws(seed)
    key = seed.to_bytes(8, "little", signed=True)
    digests = b"".join(
        hashlib.blake2b(each.encode("utf-8", "replace"), digest_size=8, key=key).digest()
        for each in prompts
    )
    return np.frombuffer(digests, dtype="<u8") / 2.0**64


def hashed(prompts: Sequence[str]) -> csr_matrix:
    """Return how often words, their pairs and their parts occur in prompts, by bucket.

    Returns:
        A sparse matrix of float32, shape (prompts, 2 x 2**BITS).
    """
    from scipy.sparse import csr_matrix, vstack

    texts = [_bytes(each) for each in prompts]
    chunks, start, size = [], 0, 0
    for place, text in enumerate(texts):
        size += len(text)
        if size > _CHUNK:
            chunks.append(_hashed(texts[start : place + 1]))
            start, size = place + 1, 0
    if start < len(texts) or not chunks:
        chunks.append(_hashed(texts[start:]))
    return csr_matrix(vstack(chunks, format="csr") if len(chunks) > 1 else chunks[0])


def _bytes(text: str) -> bytes:
    raw = text.lower().encode("utf-8", "replace")
    if len(raw) > MOST_BYTES:
        raw = raw[: MOST_BYTES // 2] + b" " + raw[-MOST_BYTES // 2 :]
    return b" " + raw + b" "


def _table() -> NDArray[np.uint64]:
    """Return what each byte counts as: a space for punctuation, one sign for all digits."""
    found = np.arange(256, dtype=np.uint64)
    for byte in range(128):
        if not chr(byte).isalnum():
            found[byte] = 32
    found[48:58] = 48
    return found


_LETTERS = _table()


def _hashed(texts: Sequence[bytes]) -> csr_matrix:
    from scipy.sparse import csr_matrix

    lengths = np.array([len(each) for each in texts], dtype=np.intp)
    shape = (len(texts), 2 << BITS)
    if not len(texts):
        return csr_matrix(shape, dtype=np.float32)
    letters = _LETTERS[np.frombuffer(b"".join(texts), dtype=np.uint8)]
    owner = np.repeat(np.arange(len(texts), dtype=np.int32), lengths)
    powers = np.cumprod(np.full(len(letters), _BASE), dtype=np.uint64)
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum((letters + np.uint64(1)) * powers)])
    back = np.cumprod(np.full(len(letters), _inverse()), dtype=np.uint64)
    inside = letters != 32
    begins: NDArray[Any] = np.flatnonzero(inside[1:] & ~inside[:-1]) + 1
    ends: NDArray[Any] = np.flatnonzero(~inside[1:] & inside[:-1]) + 1
    words = _spans(sums, back, begins, ends)
    same = owner[begins[1:]] == owner[begins[:-1]]
    pairs = _spans(sums, back, begins[:-1][same], ends[1:][same])
    starts: NDArray[Any] = np.arange(max(0, len(letters) - 3))
    starts = starts[(owner[starts] == owner[starts + 3]) & inside[starts + 1]]
    parts = _spans(sums, back, starts, starts + 4)
    shift = np.uint64(64 - BITS)
    columns = np.concatenate([words >> shift, pairs >> shift, (parts >> shift) + (1 << BITS)])
    rows = np.concatenate([owner[begins], owner[begins[:-1][same]], owner[starts]])
    flat, counts = np.unique(
        rows.astype(np.int64) * shape[1] + columns.astype(np.int64), return_counts=True
    )
    ends_of = np.searchsorted(flat, np.arange(1, len(texts) + 1, dtype=np.int64) * shape[1])
    pointers = np.concatenate([[0], ends_of]).astype(np.int32)
    places = (flat % shape[1]).astype(np.int32)
    return csr_matrix((counts.astype(np.float32), places, pointers), shape=shape)


def _inverse() -> np.uint64:
    return np.uint64(pow(int(_BASE), -1, 2**64))


def _spans(
    sums: NDArray[np.uint64],
    back: NDArray[np.uint64],
    starts: NDArray[Any],
    ends: NDArray[Any],
) -> NDArray[np.uint64]:
    """Return a hash of each span of letters that does not depend on where it stands."""
    if not len(starts):
        return np.zeros(0, dtype=np.uint64)
    found = (sums[ends] - sums[starts]) * back[starts]
    found ^= found >> np.uint64(29)
    found *= _MIX
    found ^= found >> np.uint64(32)
    return np.asarray(found * _BASE)


class Space:
    """Weights and dimensions that were learned from prompts.

    Args:
        dimensions: most dimensions.
        sample: most prompts that dimensions are learned from.
        seed: of the sample and of the start of the decomposition.
    """

    def __init__(self, dimensions: int = 200, sample: int = 6_000, seed: int = 0) -> None:
        """Keep the setting."""
        self.dimensions, self.sample, self.seed = dimensions, sample, seed

    def learn(self, prompts: Prompts) -> Space:
        """Learn weights and dimensions in place, and return the space."""
        counts = prompts.hashed
        many = counts.shape[0]
        seen = np.bincount(counts.indices, minlength=counts.shape[1])
        self._weight = np.where(seen > 1, np.log((1 + many) / (1 + seen)) + 1, 0.0).astype(
            np.float32
        )
        rows = np.arange(many)
        if many > self.sample:
            rows = np.random.default_rng(self.seed).choice(many, self.sample, replace=False)
        texts = self._weighted(counts[np.sort(rows)])
        used = np.flatnonzero(np.bincount(texts.indices, minlength=texts.shape[1]))
        size = min(self.dimensions, len(rows) - 1, len(used) - 1)
        self._basis = np.zeros((counts.shape[1], max(size, 0)), dtype=np.float32)
        if size > 0:
            self._basis[used] = _axes(texts[:, used], size, self.seed)
        return self

    def vectors(self, prompts: Prompts) -> NDArray[np.float64]:
        """Return prompts as vectors of length one (or zero); shape (prompts, dimensions)."""
        found = np.asarray(self._weighted(prompts.hashed) @ self._basis, dtype=np.float64)
        size = np.sqrt((found**2).sum(axis=1, keepdims=True))
        return np.asarray(np.divide(found, size, out=np.zeros_like(found), where=size > 1e-9))

    def _weighted(self, counts: csr_matrix) -> csr_matrix:
        """Return TF-IDF with damped counts, each row of length one."""
        found = counts.copy()
        found.data = (1 + np.log(found.data)) * self._weight[found.indices]
        rows = np.repeat(np.arange(found.shape[0]), np.diff(found.indptr))
        size = np.sqrt(np.bincount(rows, found.data.astype(np.float64) ** 2, found.shape[0]))
        found.data = (found.data / np.maximum(size[rows], 1e-9)).astype(np.float32)
        return found


def _axes(texts: csr_matrix, size: int, seed: int) -> NDArray[np.float32]:
    """Return the first right singular vectors of a matrix; shape (columns, size).

    Source: Halko, Martinsson and Tropp (2011), "Finding structure with randomness", algorithm 4.4.
    Differs: the range of texts is orthogonalised, which is short, and never that of buckets.
    """
    rng = np.random.default_rng(seed)
    wide = min(size + 10, *texts.shape)
    found = texts @ rng.standard_normal((texts.shape[1], wide)).astype(np.float32)
    for _ in range(3):
        found, _r = np.linalg.qr(texts @ (texts.T @ found))
    small = texts.T @ found
    sizes, turn = np.linalg.eigh((small.T @ small).astype(np.float64))
    first = np.argsort(-sizes)[:size]
    scale = np.sqrt(np.maximum(sizes[first], 1e-12))
    return np.asarray(small @ (turn[:, first] / scale), dtype=np.float32)


SURFACE = 6
"""Features that are read off the surface of a prompt."""


def surface(prompts: Sequence[str]) -> NDArray[np.float64]:
    """Return six features of each prompt: length, words, digits, signs of code, lines, questions.

    Returns:
        Logarithms and shares, about in [0, 12]; shape (prompts, 6).
    """
    rows: list[Any] = []
    for text in prompts:
        size = len(text)
        digits = sum(map(text.count, "0123456789"))
        code = sum(map(text.count, "{}[]()=<>;_\\"))
        rows.append(
            (size, text.count(" ") + 1, digits, code, text.count("\n") + 1, text.count("?"))
        )
    counts = np.array(rows, dtype=np.float64).reshape(-1, SURFACE)
    found = np.log1p(counts)
    found[:, 2:4] = counts[:, 2:4] / np.maximum(1.0, counts[:, :1]) * 10
    return found
