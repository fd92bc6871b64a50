"""Where the tasks of a graph stand: layers from left to right, few crossings, no line in a box.

A line that skips a layer gets a place of its own there, as a task does, so that it passes between
the boxes. Lines from one task share these places, which keeps wide graphs calm.
"""

from __future__ import annotations

import math
from bisect import bisect_right, insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

Point = tuple[float, float]
Slot = tuple[str, int]
"""A task and a column: its box where it stands in this column, else the way of its lines."""
Links = Mapping[Slot, Sequence[Slot]]

_ORDERING, _STRAIGHTENING = 8, 24
"""Rounds of each."""
_NUDGE = 20
"""Most pixels that a column or a slot moves for a straight line."""
_GRID = 4
"""Pixels that heights are rounded to: lines that are almost straight become straight."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything stands, in pixels from the top left corner."""

    boxes: Mapping[str, Point]
    """Top left corner of each task's box."""
    ways: tuple[tuple[Point, ...], ...]
    """For each line the points that it passes, in the order of the edges."""
    width: float
    height: float
    box_width: float
    box_height: float


@dataclass(frozen=True, slots=True)
class Sizes:
    """Pixels of a drawing."""

    room: float = 916
    """Width that the card has."""
    widest: float = 206
    narrowest: float = 148
    gap: float = 64
    """Between two columns; the least of it is two thirds."""
    box_height: float = 64
    row_gap: float = 24


def layout(
    nodes: Sequence[tuple[str, int]], edges: Sequence[tuple[str, str]], sizes: Sizes
) -> Layout:
    """Return where the tasks and lines of a graph stand.

    Args:
        nodes: ids with their layers, in any order; empty layers take no room.
        edges: from needed to needing. One that does not lead to the right is drawn straight.
        sizes: pixels of the drawing.

    Raises:
        KeyError: an edge names a task that is not there.
    """
    numbers = {layer: n for n, layer in enumerate(sorted({layer for _, layer in nodes}))}
    column = {name: numbers[layer] for name, layer in nodes}
    chains = [_chain(edge, column) for edge in edges]
    right = _links(chains, 1)
    left = _links([chain[::-1] for chain in chains], -1)
    columns = _ordered(_columns(column, chains, len(numbers)), left, right)
    heights = _heights(columns, left, right, column, sizes)
    wide, gap = _widths(len(columns), sizes)
    top = min((y - _half(slot, column, sizes) for slot, y in heights.items()), default=0.0) - 1
    low = max((y + _half(slot, column, sizes) for slot, y in heights.items()), default=0.0) + 1
    places = {s: (1 + s[1] * (wide + gap), y - top) for s, y in heights.items()}
    half = sizes.box_height / 2
    return Layout(
        boxes={name: (places[name, at][0], places[name, at][1] - half)
               for name, at in column.items()},
        ways=tuple(_way([places[slot] for slot in chain], wide) for chain in chains),
        width=2 + len(columns) * (wide + gap) - gap if columns else 2.0,
        height=low - top, box_width=wide, box_height=sizes.box_height,
    )  # fmt: skip


def _chain(edge: tuple[str, str], column: Mapping[str, int]) -> list[Slot]:
    """Return the slots of a line, column by column."""
    start, end = edge
    passed = range(column[start] + 1, column[end])
    return [(start, column[start]), *((start, at) for at in passed), (end, column[end])]


def _links(chains: Iterable[Sequence[Slot]], step: int) -> dict[Slot, list[Slot]]:
    """Return for each slot the slots of the next column, or of the one before, on its lines."""
    found: dict[Slot, dict[Slot, None]] = {}
    for chain in chains:
        for here, there in pairwise(chain):
            if there[1] - here[1] == step:
                found.setdefault(here, {})[there] = None
    return {slot: list(others) for slot, others in found.items()}


def _columns(
    column: Mapping[str, int], chains: Iterable[Sequence[Slot]], count: int
) -> list[list[Slot]]:
    """Return the slots of each column: tasks in their order, then lines that pass."""
    found: list[dict[Slot, None]] = [{} for _ in range(count)]
    for slot in (*column.items(), *(slot for chain in chains for slot in chain)):
        found[slot[1]][slot] = None
    return [list(each) for each in found]


def _ordered(columns: list[list[Slot]], left: Links, right: Links) -> list[list[Slot]]:
    """Return the columns in the order with the fewest crossings that the sweeps met."""
    best, fewest = [list(each) for each in columns], _crossings(columns, right)
    for sweep in range(_ORDERING):
        back = sweep % 2 == 1
        links = right if back else left
        for at in range(len(columns) - 2, -1, -1) if back else range(1, len(columns)):
            beside = {slot: n for n, slot in enumerate(columns[at + (1 if back else -1)])}
            columns[at] = _sorted(columns[at], links, beside)
        count = _crossings(columns, right)
        if count < fewest:
            best, fewest = [list(each) for each in columns], count
    return best


def _sorted(slots: Sequence[Slot], links: Links, beside: Mapping[Slot, int]) -> list[Slot]:
    """Return slots by the middle of their neighbours; one without any keeps its place."""
    middle = {
        slot: fmean(beside[other] for other in links[slot]) if slot in links else float(n)
        for n, slot in enumerate(slots)
    }
    return sorted(slots, key=lambda slot: middle[slot])


def _crossings(columns: Sequence[Sequence[Slot]], right: Links) -> int:
    """Return how many pairs of lines cross between columns."""
    count = 0
    for here, there in pairwise(columns):
        place = {slot: n for n, slot in enumerate(there)}
        seen: list[int] = []
        for slot in here:
            ends = [place[other] for other in right.get(slot, ())]
            count += sum(len(seen) - bisect_right(seen, end) for end in ends)
            for end in ends:
                insort(seen, end)
    return count


def _half(slot: Slot, column: Mapping[str, int], sizes: Sizes) -> float:
    """Return half the height of a slot: a line that passes needs little."""
    return sizes.box_height / 2 if column[slot[0]] == slot[1] else _GRID


def _heights(
    columns: Sequence[Sequence[Slot]], left: Links, right: Links,
    column: Mapping[str, int], sizes: Sizes,
) -> dict[Slot, float]:  # fmt: skip
    """Return the middle of each slot: near its neighbours, apart from those above and below."""
    apart = [
        [_half(a, column, sizes) + _half(b, column, sizes) + sizes.row_gap for a, b in pairwise(c)]
        for c in columns
    ]
    found: dict[Slot, float] = {}
    for slots, gaps in zip(columns, apart, strict=True):
        at = -sum(gaps) / 2
        for slot, gap in zip(slots, [*gaps, 0.0], strict=True):
            found[slot], at = at, at + gap
    for sweep in range(_STRAIGHTENING):
        order = list(zip(columns, apart, strict=True))
        for slots, gaps in order if sweep % 2 else order[::-1]:
            wished = [
                _wish(slot, (*left.get(slot, ()), *right.get(slot, ())), column, found)
                for slot in slots
            ]
            found.update(zip(slots, _spread(wished, gaps), strict=True))
    found = {slot: math.floor(y / _GRID + 0.5) * _GRID for slot, y in found.items()}
    for slots, gaps in zip(columns, apart, strict=True):
        _align(slots, gaps, left, found)
    return found


def _align(
    slots: Sequence[Slot], gaps: Sequence[float], left: Links, found: dict[Slot, float]
) -> None:
    """Move a column, then each of its slots, a little where that makes lines straight."""
    steps = {slot: [found[other] - found[slot] for other in left.get(slot, ())] for slot in slots}
    small = [step for each in steps.values() for step in each if abs(step) <= _NUDGE]
    whole = max(small, key=lambda step: (small.count(step), -abs(step)), default=0.0)
    found.update({slot: found[slot] + whole for slot in slots})
    for n, slot in enumerate(slots):
        own = min((step - whole for step in steps[slot]), key=abs, default=0.0)
        low = found[slots[n - 1]] + gaps[n - 1] if n else -math.inf
        high = found[slots[n + 1]] - gaps[n] if n < len(gaps) else math.inf
        if abs(own) <= _NUDGE and low <= found[slot] + own <= high:
            found[slot] += own


def _wish(
    slot: Slot, others: Sequence[Slot], column: Mapping[str, int], found: Mapping[Slot, float]
) -> float:
    """Return the height that a slot would have by itself.

    A long line would rather stay straight; a task faces other tasks first.
    """
    if column[slot[0]] == slot[1]:
        near = [other for other in others if column[other[0]] == other[1]] or others
    else:
        near = [other for other in others for _ in range(4 if other[0] == slot[0] else 1)]
    return fmean(found[other] for other in near) if near else found[slot]


def _spread(wished: Sequence[float], gaps: Sequence[float]) -> list[float]:
    """Return the values nearest to `wished` by least squares that keep their gaps.

    Less the gaps above, the values must not fall; where they do, their mean is taken.

    >>> _spread([0, 0, 10], [4, 4])
    [-2.0, 2.0, 10.0]
    """
    above = [0.0]
    for gap in gaps:
        above.append(above[-1] + gap)
    groups: list[list[float]] = []
    for wish, offset in zip(wished, above, strict=False):
        groups.append([wish - offset])
        while len(groups) > 1 and fmean(groups[-2]) > fmean(groups[-1]):
            groups[-2:] = [groups[-2] + groups[-1]]
    level = [fmean(group) for group in groups for _ in group]
    return [value + offset for value, offset in zip(level, above, strict=False)]


def _widths(count: int, sizes: Sizes) -> tuple[float, float]:
    """Return the width of a box and of a gap: narrower where many columns must fit."""
    for gap in (sizes.gap, sizes.gap * 5 / 6, sizes.gap * 2 / 3):
        wide = math.floor((sizes.room - 2 - gap * (count - 1)) / max(1, count))
        if wide >= sizes.narrowest + 12:
            return min(wide, sizes.widest), gap
    return max(sizes.narrowest, min(wide, sizes.widest)), gap


def _way(middles: Sequence[Point], wide: float) -> tuple[Point, ...]:
    """Return the points that a line passes: out of its box, along columns, into the other."""
    (start, *passed, (end_x, end_y)) = middles
    along = [point for x, y in passed for point in ((x, y), (x + wide, y))]
    return (start[0] + wide, start[1]), *along, (end_x, end_y)
