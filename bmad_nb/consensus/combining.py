"""Answers merged without asking anybody: each field, item or passage with those who gave it.

Values of JSON are merged by their form: what all gave is taken, items of lists are gathered, and
where members differ the heaviest value is taken and the others are kept in sight. Of texts, each
passage is taken once, in the words of the most typical answer that has it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bmad_nb.consensus.medoid import likeness, medoid

SAME_PASSAGE = 0.6
"""Passages at least so alike, in [0, 1], say the same."""
MOST_PASSAGES = 400
"""Passages of all texts together that are compared."""
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9\"'(])")


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a merged answer."""

    path: str
    """Where it stands: `risks[1]`, `title`; the number of a passage in a text."""
    value: Any
    sources: tuple[str, ...]
    """Who gave it, sorted."""
    others: tuple[tuple[Any, tuple[str, ...]], ...] = ()
    """What others gave in its place, and who, the heaviest first."""


@dataclass(frozen=True, slots=True)
class Combined:
    """A merged answer."""

    value: Any
    pieces: tuple[Piece, ...] = field(default=())

    @property
    def contested(self) -> tuple[Piece, ...]:
        """The parts in which members differ."""
        return tuple(piece for piece in self.pieces if piece.others)


def combined_values(
    given: Mapping[str, Any], weights: Mapping[str, float] | None = None
) -> Combined:
    """Return one JSON value of several.

    Objects are merged field by field, and lists to one list in which each item stands once, in the
    order in which the heaviest member has them. Else the value with the most weight is taken; of
    equal weights, that of most members, then the first as JSON.

    Args:
        given: value by member.
        weights: weight of each member; 1 where none is given.

    >>> combined_values({"a": {"x": 1, "y": ["p"]}, "b": {"x": 1, "y": ["q", "p"]}}).value
    {'x': 1, 'y': ['p', 'q']}
    """
    pieces: list[Piece] = []
    value = _merge("", dict(sorted(given.items())), weights or {}, pieces)
    return Combined(value, tuple(pieces))


def _merge(
    path: str, given: Mapping[str, Any], weights: Mapping[str, float], pieces: list[Piece]
) -> Any:
    order = sorted(given, key=lambda name: (-weights.get(name, 1.0), name))
    values = [given[name] for name in order]
    if all(isinstance(each, dict) for each in values):
        names = dict.fromkeys(key for each in values for key in each)
        return {
            key: _merge(
                f"{path}.{key}" if path else str(key),
                {who: given[who][key] for who in order if key in given[who]}, weights, pieces,
            )
            for key in names
        }  # fmt: skip
    if all(isinstance(each, list) for each in values):
        return _gathered(path, {name: given[name] for name in order}, pieces)
    return _voted(path, given, weights, pieces)


def _gathered(path: str, lists: Mapping[str, list[Any]], pieces: list[Piece]) -> list[Any]:
    """Return a list with each item once, and who gave it."""
    found: dict[str, tuple[Any, set[str]]] = {}
    for who, items in lists.items():
        for item in items:
            found.setdefault(_key(item), (item, set()))[1].add(who)
    for place, (item, who_all) in enumerate(found.values()):
        pieces.append(Piece(f"{path}[{place}]", item, tuple(sorted(who_all))))
    return [item for item, _ in found.values()]


def _voted(
    path: str, given: Mapping[str, Any], weights: Mapping[str, float], pieces: list[Piece]
) -> Any:
    """Return the value with the most weight."""
    found: dict[str, tuple[Any, list[str]]] = {}
    for who, value in given.items():
        found.setdefault(_key(value), (value, []))[1].append(who)

    def rank(key: str) -> tuple[float, int, str]:
        who = found[key][1]
        return (-math.fsum(weights.get(each, 1.0) for each in who), -len(who), key)

    first, *rest = sorted(found, key=rank)
    value, mine = found[first]
    others = tuple((found[key][0], tuple(sorted(found[key][1]))) for key in rest)
    pieces.append(Piece(path or "value", value, tuple(sorted(mine)), others))
    return value


def _key(value: Any) -> str:
    """Return the form in which values are compared: spelling of texts in words, JSON else."""
    if isinstance(value, str):
        return "text " + " ".join(value.casefold().split())
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def combined_texts(
    given: Mapping[str, str], weights: Mapping[str, float] | None = None
) -> Combined:
    """Return one text of several: each passage once, with those who wrote it or something like it.

    The passages of the most typical text come first, in their order; then what only others have.
    Likeness is that of words: what two passages mean is not seen.

    Args:
        given: text by member.
        weights: weight of each member; 1 where none is given.
    """
    typical = medoid(given, weights).voter
    order = sorted(given, key=lambda name: (name != typical, -(weights or {}).get(name, 1.0), name))
    passages = [(name, each) for name in order for each in _passages(given[name])][:MOST_PASSAGES]
    if not passages:
        return Combined("", ())
    like = likeness([text for _, text in passages])
    groups: list[list[int]] = []
    for place in range(len(passages)):
        home = next((g for g in groups if like[g[0], place] >= SAME_PASSAGE), None)
        if home is None:
            groups.append([place])
        else:
            home.append(place)
    pieces = tuple(
        Piece(str(number), passages[group[0]][1], _names(passages, group))
        for number, group in enumerate(groups, start=1)
    )
    return Combined("\n".join(str(piece.value) for piece in pieces), pieces)


def _names(passages: Sequence[tuple[str, str]], group: Iterable[int]) -> tuple[str, ...]:
    return tuple(sorted({passages[place][0] for place in group}))


def _passages(text: str) -> list[str]:
    """Return the sentences and list items of a text."""
    lines = [line.strip() for line in text.splitlines()]
    found = [each.strip() for line in lines if line for each in _SENTENCE.split(line)]
    return [each for each in found if each]
