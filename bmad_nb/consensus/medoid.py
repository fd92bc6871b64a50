"""The most typical of some free texts: the medoid of the largest group of like ones.

Likeness is that of words and of runs of letters (TF-IDF, cosine): it sees wording, not meaning.
With a function that embeds texts, it sees what that function sees.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ALIKE = 0.5
"""Texts at least so alike, in [0, 1], belong to one group."""
MAX_LENGTH = 20_000
"""Characters of a text that are looked at."""
_WORD = re.compile(r"\w+")

Embed = Callable[[Sequence[str]], Sequence[Sequence[float]]]
"""Returns a vector for each text, all of one length."""


@dataclass(frozen=True, slots=True)
class Medoid:
    """The most typical of some texts."""

    voter: str
    """Who wrote it; empty where there was no text."""
    group: tuple[str, ...]
    """Who wrote what is like it, sorted, itself among them."""
    others: tuple[tuple[str, ...], ...]
    """The other groups, the largest first."""
    agreement: float
    """Mean likeness of all pairs, in [0, 1]."""


def medoid(
    texts: Mapping[str, str | None],
    weights: Mapping[str, float] | None = None,
    embed: Embed | None = None,
    alike: float = ALIKE,
) -> Medoid:
    """Return the medoid of the heaviest group of like texts; their order does not matter.

    Args:
        texts: what each voter wrote; None abstains.
        weights: weight of each voter; 1 where none is given.
        embed: vectors of texts; None compares words.
        alike: least likeness within a group.
    """
    voters = sorted(v for v, text in texts.items() if text is not None and text.strip())
    if not voters:
        return Medoid("", (), (), 0.0)
    like = likeness([texts[v] or "" for v in voters], embed)
    weight = np.array([1.0 if weights is None else weights.get(v, 1.0) for v in voters])
    groups = _groups(like, alike)
    groups.sort(key=lambda group: (-round(float(weight[group].sum()), 9), group[0]))
    first = groups[0]
    within = (like[np.ix_(first, first)] * weight[first]).sum(axis=1)
    chosen = first[int(np.argmax(np.round(within, 9)))]
    pairs = like[np.triu_indices(len(voters), 1)]
    return Medoid(
        voters[chosen],
        tuple(voters[i] for i in first),
        tuple(tuple(voters[i] for i in group) for group in groups[1:]),
        float(pairs.mean()) if len(pairs) else 0.0,
    )


def likeness(texts: Sequence[str], embed: Embed | None = None) -> NDArray[np.float64]:
    """Return how alike each two of some texts are, in [0, 1], shape (texts, texts)."""
    vectors = np.asarray(embed(texts), dtype=float) if embed else _word_vectors(texts)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.where(norms > 0, norms, 1.0)
    found: NDArray[np.float64] = np.clip(unit @ unit.T, 0.0, 1.0)
    same = {text: n for n, text in enumerate(texts)}
    place = np.array([same[text] for text in texts])
    found[place[:, None] == place[None, :]] = 1.0  # what is the same is alike, words or not
    return found


def _word_vectors(texts: Sequence[str]) -> NDArray[np.float64]:
    counted = [_terms(text[:MAX_LENGTH]) for text in texts]
    names = sorted({term for each in counted for term in each})
    place = {term: n for n, term in enumerate(names)}
    found = np.zeros((len(texts), max(1, len(names))))
    for row, each in enumerate(counted):
        for term, count in each.items():
            found[row, place[term]] = 1 + np.log(count)
    present = (found > 0).sum(axis=0)
    found *= np.log((1 + len(texts)) / (1 + present)) + 1
    return found


def _terms(text: str) -> dict[str, int]:
    """Return how often words and runs of four letters stand in a text."""
    found: dict[str, int] = {}
    for word in _WORD.findall(text.casefold()):
        runs = [word[n : n + 4] for n in range(len(word) - 3)] if len(word) > 4 else []
        for term in (f" {word}", *runs):
            found[term] = found.get(term, 0) + 1
    return found


def _groups(like: NDArray[np.float64], alike: float) -> list[list[int]]:
    """Return connected groups of texts that are alike."""
    left, groups = set(range(len(like))), []
    while left:
        todo, group = [min(left)], set()
        while todo:
            one = todo.pop()
            if one in group:
                continue
            group.add(one)
            todo += [n for n in left if n not in group and like[one, n] >= alike]
        left -= group
        groups.append(sorted(group))
    return groups
