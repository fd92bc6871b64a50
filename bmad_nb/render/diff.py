"""Differences between two answers, word by word."""

from __future__ import annotations

import difflib
import re
from typing import Literal, NamedTuple

from bmad_nb.render.base import plain

SHARED = 0.4
"""Below this share of common words the two are shown side by side."""
WORDS = 250
"""Words that are looked at; difflib takes quadratic time."""

_TOKEN = re.compile(r"\S+")


class Piece(NamedTuple):
    """A stretch of words that both have, or that one of them has."""

    kind: Literal["same", "added", "left_out"]
    text: str


class Changes(NamedTuple):
    """How one answer differs from another."""

    similarity: float
    """Share of common words in [0, 1]."""
    pieces: tuple[Piece, ...]
    whole: bool
    """False where only the first words were looked at."""

    @property
    def close(self) -> bool:
        """True if marking words helps."""
        return self.similarity >= SHARED


def changes(baseline: str, answer: str, *, words: int | None = WORDS) -> Changes:
    """Return what `answer` adds to `baseline` and leaves out; punctuation alone is no change.

    Args:
        baseline: the text that is compared with.
        answer: the other text.
        words: most words of each that are looked at; None for all.

    >>> [tuple(p) for p in changes("a b c d", "a b x d.").pieces]
    [('same', 'a b'), ('left_out', 'c'), ('added', 'x'), ('same', 'd.')]
    """
    old, old_whole = _words(baseline, words)
    new, new_whole = _words(answer, words)
    match = difflib.SequenceMatcher(
        None,
        [_bare(each) for each in old],
        [_bare(each) for each in new],
        autojunk=words is None,
    )
    pieces: list[Piece] = []
    for kind, old_from, old_to, new_from, new_to in match.get_opcodes():
        if kind == "equal":
            pieces.append(Piece("same", " ".join(new[new_from:new_to])))
            continue
        if old_to > old_from:
            pieces.append(Piece("left_out", " ".join(old[old_from:old_to])))
        if new_to > new_from:
            pieces.append(Piece("added", " ".join(new[new_from:new_to])))
    return Changes(match.ratio(), tuple(pieces), old_whole and new_whole)


def diff_text(baseline: str, answer: str) -> str:
    """Return the differences of two answers on one line: `[-left out-] {+added+}`.

    >>> diff_text("wait an hour", "wait a minute")
    'wait [-an hour-] {+a minute+}'
    """
    form = {"same": "{}", "added": "{{+{}+}}", "left_out": "[-{}-]"}
    found = changes(baseline, answer, words=None)
    return plain(" ".join(form[piece.kind].format(piece.text) for piece in found.pieces))


def _words(text: str, limit: int | None) -> tuple[list[str], bool]:
    """Return the first words of `text` and whether these are all."""
    found: list[str] = []
    for match in _TOKEN.finditer(text):
        if len(found) == limit:
            return found, False
        found.append(match.group())
    return found, True


def _bare(word: str) -> str:
    """Return a word without the punctuation around it, unless it is nothing else."""
    return word.strip(".,;:!?\"'()[]") or word
