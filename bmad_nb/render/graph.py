"""A graph of tasks as a picture: a box per task, or dots per layer where there are too many.

A state shows as a shape, a word and a border; its colour only repeats them. The picture says its
structure in words too, for those who hear it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from bmad_nb.events import TaskState
from bmad_nb.render.base import (
    ACCENT,
    BAD,
    DIM,
    GOOD,
    GREY,
    WARN,
    Html,
    counted,
    cut,
    joined,
    listed,
    tag,
)
from bmad_nb.render.layers import Layout, Point, Sizes, layout
from bmad_nb.render.run import GraphNode, GraphView, states_of
from bmad_nb.render.signs import LOOKS, fitted, icon, shape, wide_of, word

_COLUMNS, _DOTS, _PER_ROW = 20, 40, 5
"""The dots of a large graph: columns, dots in the tallest of them, dots in a row."""


def graph_svg(view: GraphView, *, ink: str = "currentColor", states: bool = True) -> str:
    """Return the picture of a graph, as wide as it needs to be.

    Args:
        view: the tasks and their needs.
        ink: colour of the words; a picture in a file of its own has no theme to inherit from.
        states: whether states are shown; without, it is the picture of a definition.

    Raises:
        KeyError: an edge names a task that is not there.
    """
    return _boxes(view, ink, states=states) if view.drawn else _dots(view, ink)


def too_many(view: GraphView) -> str:
    """Return the sentence that explains the dots of a large graph; empty for a small one."""
    if view.drawn:
        return ""
    share = _share(_bins(view.nodes))
    dot = "one task" if share == 1 else f"about {share:,} tasks of one state"
    size = (
        f"{counted(len(view.nodes), 'task')} with {counted(len(view.edges), 'line')} between them"
    )
    return f"{size} are too many to draw one by one: a dot stands for {dot}."


def _picture(width: float, height: float, title: str, said: str, *parts: str) -> Html:
    """Return the frame of a picture with its name and its structure in words."""
    return shape("svg", tag("title", title), tag("desc", said), *parts,
                 xmlns="http://www.w3.org/2000/svg", role="img", width=round(width),
                 height=round(height), viewBox=f"0 0 {width:.0f} {height:.0f}",
                 style="display:block;margin:0 auto")  # fmt: skip


def _name(view: GraphView, *, states: bool) -> str:
    """Return what the picture shows, in one line."""
    if not states or not view.nodes:
        return f"Workflow {cut(view.name, 200)}: {counted(len(view.nodes), 'task')}"
    said = ", ".join(f"{count:,} {state}" for state, count in states_of(view.nodes).items())
    return f"Workflow {cut(view.name, 200)}: {said}"


def _boxes(view: GraphView, ink: str, *, states: bool) -> Html:
    """Return a picture with a box per task."""
    lines = {node.id: _lines(node, states=states) for node in view.nodes}
    tall = max((len(each) for each in lines.values()), default=2)
    places = [(node.id, node.layer) for node in view.nodes]
    made = layout(places, view.edges, Sizes(box_height=32 + 16 * tall))
    skipped = {node.id for node in view.nodes if states and node.state == "skipped"}
    edges = [
        _edge(edge, way, dashed=bool(skipped.intersection(edge)))
        for edge, way in zip(view.edges, made.ways, strict=True)
    ]
    needs = view.needs
    boxes = [
        _box(node, lines[node.id], _tip(node, needs[node.id], states=states), made, ink,
             states=states)
        for node in view.nodes
    ]  # fmt: skip
    said = " ".join(f"{_tip(node, needs[node.id], states=states)}." for node in view.nodes)
    name = _name(view, states=states)
    return _picture(made.width, made.height, name, said or "No tasks.", *edges, *boxes)


def _lines(node: GraphNode, *, states: bool) -> list[tuple[str, str]]:
    """Return what a box says below its id, each with an end that is never cut."""
    who = (node.llm or node.verb, " · simulated" * node.simulated)
    state = node.state if states else ""
    found = [(node.title, ""), who, (" · ".join(each for each in (state, node.note) if each), "")]
    return [each for each in found if any(each)]


def _tip(node: GraphNode, needs: Sequence[str], *, states: bool) -> str:
    """Return all that a picture says of a task, in words."""
    facts: list[str] = [node.state] if states else []
    facts += [node.title, node.verb, node.llm, "simulated" * node.simulated, node.note]
    said = ", ".join(cut(each, 400) for each in facts if each)
    name = cut(node.id, 200)
    if not needs:
        return f"{name}: {said}; needs nothing"
    return f"{name}: {said}; needs {listed([cut(each, 200) for each in needs], 12)}"


def _edge(edge: tuple[str, str], way: Sequence[Point], *, dashed: bool) -> Html:
    """Return a line with its head; inside the columns it is straight, between them it bends."""
    end_x, end_y = way[-1]
    needed, needing = (cut(each, 200) for each in edge)
    line: dict[str, str | float] = {"fill": "none", "stroke": GREY, "stroke_width": 1.4}
    return tag(
        "g", tag("title", f"{needing} needs {needed}"),
        shape("path", d=bent(way), **line, **({"stroke_dasharray": "4 4"} if dashed else {})),
        shape("path", d=f"M{end_x - 7:.0f} {end_y - 4:.0f} L{end_x - 1:.0f} {end_y:.0f} "
              f"L{end_x - 7:.0f} {end_y + 4:.0f}", stroke_linejoin="round", **line),
    )  # fmt: skip


def bent(way: Sequence[Point]) -> str:
    """Return the path of a line as SVG writes it."""
    path = [f"M{way[0][0]:.0f} {way[0][1]:.0f}"]
    for (x1, y1), (x2, y2) in pairwise(way):
        middle = (x1 + x2) / 2
        straight = y1 == y2 and x1 < x2
        bend = f"C{middle:.0f} {y1:.0f} {middle:.0f} {y2:.0f} {x2:.0f} {y2:.0f}"
        path.append(f"L{x2:.0f} {y2:.0f}" if straight else bend)
    return " ".join(path)


def _box(
    node: GraphNode, lines: Sequence[tuple[str, str]], tip: str, made: Layout, ink: str,
    *, states: bool,
) -> Html:  # fmt: skip
    """Return one task; its words end with its box, whatever they are."""
    x, y = made.boxes[node.id]
    wide, high = made.box_width, made.box_height
    look = LOOKS[node.state if states else "waiting"]
    frame = shape(
        "rect", x=x, y=y, width=wide, height=high, rx=7, fill=look.colour, stroke=look.colour,
        fill_opacity=look.tint, stroke_width=look.border, stroke_dasharray=look.dash,
    )  # fmt: skip
    left = 34 if states else 14
    room = wide - left - 10
    at = (high - 15 * len(lines)) / 2 + 3.5
    words = [word(0, at, fitted(node.id, room, 12, bold=True), ink, bold=True)]
    for n, (text, end) in enumerate(lines, 1):
        left_over = room - wide_of(end, 11)
        # The model says more than its endpoint, where only one of the two fits.
        long = text == node.llm and wide_of(text, 11) > left_over
        short = fitted(text.rpartition("/")[2] if long else text, left_over, 11) + end
        words.append(word(0, at + 15 * n, short, ink))
    sign = shape("g", icon(node.state), transform=f"translate({x + 19:.0f} {y + high / 2:.0f})")
    body = shape("svg", *words, x=x + left, y=y, width=room + 6, height=high)
    return tag("g", tag("title", tip), frame, sign if states else "", body)


class _Bin(NamedTuple):
    """Some layers next to each other in a large graph."""

    name: str
    states: dict[TaskState, int]


def _bins(nodes: Sequence[GraphNode]) -> list[_Bin]:
    """Return the layers of a large graph, joined where there are too many."""
    layers: dict[int, list[GraphNode]] = {}
    for node in nodes:
        layers.setdefault(node.layer, []).append(node)
    every = sorted(layers)
    step = -(-len(every) // _COLUMNS) or 1
    found = []
    for start in range(0, len(every), step):
        held = every[start : start + step]
        last = f" to {start + len(held):,}" if len(held) > 1 else ""
        inside = [node for layer in held for node in layers[layer]]
        found.append(_Bin(f"{start + 1:,}{last}", states_of(inside)))
    return found


def _share(bins: Sequence[_Bin]) -> int:
    """Return how many tasks a dot stands for."""
    largest = max((sum(each.states.values()) for each in bins), default=0)
    return -(-largest // _DOTS) or 1


_SMALL: Mapping[TaskState, tuple[str, Mapping[str, str | float]]] = {
    "done": ("m-3 0 a3 3 0 1 0 6 0 a3 3 0 1 0 -6 0", {"fill": GOOD}),
    "running": ("m-2.4 0 a2.4 2.4 0 1 0 4.8 0 a2.4 2.4 0 1 0 -4.8 0",
                {"fill": "none", "stroke": ACCENT, "stroke_width": 2}),
    "waiting": ("m-2.6 0 a2.6 2.6 0 1 0 5.2 0 a2.6 2.6 0 1 0 -5.2 0",
                {"fill": "none", "stroke": GREY}),
    "skipped": ("m-2.8 0 h5.6", {"fill": "none", "stroke": GREY, "stroke_width": 1.6}),
    "failed": ("m-3.7 0 l3.7 -3.7 l3.7 3.7 l-3.7 3.7 z", {"fill": BAD}),
    "cancelled": ("m0 -3 a3 3 0 0 0 0 6 z", {"fill": WARN}),
}  # fmt: skip
"""The sign of a state as a dot: what it is once the pen stands at its middle."""


def _dots(view: GraphView, ink: str) -> Html:
    """Return a picture with dots per layer, and their count."""
    bins = _bins(view.nodes)
    share, wide = _share(bins), min(120.0, 916 / len(bins))
    counts = [{s: max(1, n // share) for s, n in each.states.items()} for each in bins]
    tall = max(-(-sum(each.values()) // _PER_ROW) for each in counts) * 9 + 4
    parts = []
    for n, (each, dots) in enumerate(zip(bins, counts, strict=True)):
        middle = wide * (n + 0.5)
        parts += _column(dots, middle, tall)
        count = sum(each.states.values())
        parts.append(_centred(middle, tall + 20, f"{count:,}", ink, bold=True))
        parts.append(_centred(middle, tall + 35, fitted(each.name, wide, 11), ink))
    parts.append(_centred(wide * len(bins) / 2, tall + 54, "tasks in each layer", ink))
    said = [
        f"Layer {each.name}: " + ", ".join(f"{n:,} {state}" for state, n in each.states.items())
        for each in bins
    ]
    title = _name(view, states=True)
    return _picture(wide * len(bins), tall + 60, title, f"{'. '.join(said)}.", *parts)


def _column(dots: Mapping[TaskState, int], middle: float, floor: float) -> list[Html]:
    """Return the dots of a layer: a path per state, stacked on a common floor."""
    parts, at = [], 0
    for state, count in dots.items():
        sign, pen = _SMALL[state]
        path = []
        for place in range(at, at + count):
            row, column = divmod(place, _PER_ROW)
            x, y = middle + (column - (_PER_ROW - 1) / 2) * 9, floor - 5 - 9 * row
            path.append(f"M{x:.1f} {y:.1f} {sign}")
        parts.append(shape("path", d=" ".join(path), **pen))
        at += count
    return parts


def _centred(x: float, y: float, text: str, ink: str, *, bold: bool = False) -> Html:
    """Return words around a place."""
    return shape("g", word(0, 0, text, ink, bold=bold), text_anchor="middle",
                 transform=f"translate({x:.1f} {y:.1f})")  # fmt: skip


def legend(view: GraphView) -> Html:
    """Return the signs of the states that occur, with how many tasks are in each."""
    parts = []
    for state, count in states_of(view.nodes).items():
        sign = shape("svg", icon(state), width=18, height=18, viewBox="-9 -9 18 18",
                     style="vertical-align:-4px", **{"aria-hidden": "true"})  # fmt: skip
        parts.append(tag("span", sign, f" {count:,} {state}", style="white-space:nowrap"))
    return joined(parts, " \u00a0\u00a0 ")


def figure(view: GraphView, *, states: bool = True) -> Html:
    """Return the picture in a place that scrolls, with its legend.

    A sanitizer drops the picture but keeps its words, so they have no size but their own; the
    sentence below appears just where `calc()` is dropped, which is in the same places.
    """
    if not view.nodes:
        return tag("div", "It has no tasks yet.", style=f"{DIM};padding:16px 20px")
    style = "font-size:0;line-height:0;overflow-x:auto;padding:2px 0"
    picture = tag("div", Html(graph_svg(view, states=states)), style=style)
    missing = tag("p", "The graph is drawn in a trusted notebook; the table says the same.",
                  style="max-height:calc(0px);overflow:hidden;margin:0;font-size:12px;"
                  "line-height:1.45;text-align:left")  # fmt: skip
    small = "font-size:12px;line-height:1.45;text-align:left"
    words = [legend(view)] if states or not view.drawn else []
    words += [tag("span", too_many(view))] if not view.drawn else []
    caption = joined(tag("div", each, style=f"margin:8px 0 0 0;{small}") for each in words)
    return tag("div", picture, missing, caption, style="padding:16px 20px 14px 20px")
