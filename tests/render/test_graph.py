"""The picture of a graph: what is in it, where it stands, and that it stays small."""

from __future__ import annotations

import re
import time
from itertools import combinations, pairwise
from typing import get_args
from xml.etree import ElementTree as ET

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bmad_nb.events import TaskState
from bmad_nb.render.graph import figure, graph_svg, too_many
from bmad_nb.render.layers import (
    Sizes,
    _chain,
    _columns,
    _crossings,
    _links,
    _ordered,
    _spread,
    layout,
)
from bmad_nb.render.run import MOST_BOXES, MOST_EDGES, GraphNode, GraphView
from bmad_nb.render.signs import LOOKS, fitted, icon, wide_of

SVG = "{http://www.w3.org/2000/svg}"


def chained(layers):
    """Return nodes and all edges between neighbouring layers, given the size of each layer."""
    names = [[f"t{n}_{k}" for k in range(size)] for n, size in enumerate(layers)]
    nodes = tuple(GraphNode(name, n, "prompt") for n, row in enumerate(names) for name in row)
    edges = [(a, b) for here, there in pairwise(names) for a in here for b in there]
    return GraphView("w", nodes, tuple(edges))


DIAMOND = GraphView(
    "diamond",
    (GraphNode("a", 0, "python", "done"), GraphNode("b", 1, "prompt", "failed", llm="x/y"),
     GraphNode("c", 1, "prompt", "skipped", note="size == 'large'"), GraphNode("d", 2, "prompt")),
    (("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"), ("a", "d")),
)  # fmt: skip


@st.composite
def graphs(draw):
    """Draw nodes in layers and edges from lower to higher layers, some of them long."""
    layers = draw(st.lists(st.integers(0, 4), min_size=1, max_size=20))
    nodes = [(f"t{n}", layer) for n, layer in enumerate(layers)]
    pairs = [(a, b) for a, la in nodes for b, lb in nodes if la < lb]
    edges = draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    return nodes, edges


def picture(view, **options):
    """Return the picture as an element."""
    return ET.fromstring(graph_svg(view, **options))


def titles(root, child):
    """Return the titles of the groups that hold a `child`, which is `rect` or `path`."""
    return [g.find(f"{SVG}title").text for g in root.findall(f"{SVG}g")
            if g.find(f"{SVG}title") is not None and g.find(f"{SVG}{child}") is not None]  # fmt: skip


def boxes(root):
    """Return x, y, width and height of each box by the id in its title."""
    found = {}
    for g in root.findall(f"{SVG}g"):
        rect = g.find(f"{SVG}rect")
        if rect is not None:
            name = g.find(f"{SVG}title").text.partition(":")[0]
            found[name] = tuple(float(rect.get(key)) for key in ("x", "y", "width", "height"))
    return found


def lines(root):
    """Return the first and last point, and the dashes, of each line by its title."""
    found = {}
    for g in root.findall(f"{SVG}g"):
        path = g.find(f"{SVG}path")
        if path is not None and g.find(f"{SVG}rect") is None:
            numbers = [float(each) for each in re.findall(r"-?\d+", path.get("d"))]
            ends = (*numbers[:2], *numbers[-2:])
            found[g.find(f"{SVG}title").text] = (ends, path.get("stroke-dasharray"))
    return found


def test_every_task_and_line_is_there_once():
    """A picture has one box per task and one line per edge, named by its ends."""
    root = picture(DIAMOND)
    assert ["a", "b", "c", "d"] == sorted(each.partition(":")[0] for each in titles(root, "rect"))
    expected = ["b needs a", "c needs a", "d needs a", "d needs b", "d needs c"]
    assert expected == sorted(set(titles(root, "path")) - set(titles(root, "rect")))
    assert 5 == sum(" needs " in each and ":" not in each for each in titles(root, "path"))


def test_lines_end_at_their_boxes():
    """A line leaves the right side of what is needed and ends at the left side of what needs it."""
    root = picture(DIAMOND)
    places, found = boxes(root), lines(root)
    for title, ((x1, y1, x2, y2), _) in found.items():
        needing, _, needed = title.partition(" needs ")
        x, y, wide, high = places[needed]
        assert (pytest.approx(x + wide, abs=1), pytest.approx(y + high / 2, abs=1)) == (x1, y1)
        x, y, _, high = places[needing]
        assert (pytest.approx(x, abs=1), pytest.approx(y + high / 2, abs=1)) == (x2, y2)


def test_lines_of_skipped_tasks_are_dashed():
    """Lines into and out of a skipped task are dashed, all others are not."""
    dashed = {title for title, (_, dashes) in lines(picture(DIAMOND)).items() if dashes}
    assert {"c needs a", "d needs c"} == dashed


@settings(deadline=None, max_examples=150)
@given(graphs())
def test_nothing_overlaps(graph):
    """Boxes keep their distance, and no line runs through a box that is not its own."""
    nodes, edges = graph
    made = layout(nodes, edges, Sizes())
    wide, high = made.box_width, made.box_height
    assert {name for name, _ in nodes} == set(made.boxes)
    for (x1, y1), (x2, y2) in combinations(made.boxes.values(), 2):
        assert abs(x1 - x2) >= wide or abs(y1 - y2) >= high + Sizes().row_gap
    for (start, end), way in zip(edges, made.ways, strict=True):
        for (x1, y1), (x2, _) in pairwise(way):
            inside = [n for n, (x, y) in made.boxes.items() if n not in (start, end)
                      and x1 < x + wide and x < x2 and y <= y1 <= y + high and x2 - x1 == pytest.approx(wide)]  # fmt: skip
            assert [] == inside
    for x, y in [*made.boxes.values(), *(point for way in made.ways for point in way)]:
        assert 0 <= x <= made.width
        assert 0 <= y <= made.height


def test_a_long_line_passes_between_boxes():
    """A line over two layers has a place of its own in the layer between."""
    nodes = [("a", 0), ("b", 1), ("c", 2)]
    made = layout(nodes, [("a", "b"), ("b", "c"), ("a", "c")], Sizes())
    direct = made.ways[2]
    assert 4 == len(direct)
    top = made.boxes["b"][1]
    assert not top <= direct[1][1] <= top + made.box_height


def test_sweeps_undo_crossings():
    """Two layers that are written down crosswise are drawn without a crossing."""
    nodes = [("a", 0), ("b", 0), ("c", 1), ("d", 1)]
    edges = [("a", "d"), ("b", "c")]
    made = layout(nodes, edges, Sizes())
    order = sorted("cd", key=lambda name: made.boxes[name][1])
    first = sorted("ab", key=lambda name: made.boxes[name][1])
    assert [("a", "d"), ("b", "c")] == sorted(zip(first, order, strict=True))


@example(([("a", 1), ("b", 2), ("c", 1), ("d", 0), ("e", 0)], [("d", "b"), ("d", "c"), ("e", "b")]))
@settings(deadline=None, max_examples=100)
@given(graphs())
def test_sweeps_never_add_crossings(graph):
    """The order that is drawn has at most the crossings of the order as written."""
    nodes, edges = graph
    column = dict(nodes)
    chains = [_chain(edge, column) for edge in edges]
    right, left = _links(chains, 1), _links([chain[::-1] for chain in chains], -1)
    written = _columns(column, chains, 1 + max(column.values()))
    before = _crossings(written, right)
    assert before >= _crossings(_ordered(written, left, right), right)


def test_crossings_are_counted():
    """Two crossed lines are one crossing, two straight ones none."""
    columns = [[("a", 0), ("b", 0)], [("c", 1), ("d", 1)]]
    crossed = {("a", 0): [("d", 1)], ("b", 0): [("c", 1)]}
    straight = {("a", 0): [("c", 1)], ("b", 0): [("d", 1)]}
    assert (1, 0) == (_crossings(columns, crossed), _crossings(columns, straight))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(-1000, 1000), min_size=1, max_size=12), st.data())
def test_spread_keeps_its_gaps(wished, data):
    """Spread values keep their gaps, and stay where they are if these held already."""
    gaps = data.draw(
        st.lists(st.floats(0, 100), min_size=len(wished) - 1, max_size=len(wished) - 1)
    )
    made = _spread(wished, gaps)
    for low, high, gap in zip(made, made[1:], gaps, strict=False):
        assert high - low >= gap - 1e-6
    assert made == pytest.approx(_spread(made, gaps))


def test_a_middle_line_is_straight():
    """One task before three, and one behind, stand level with the middle one."""
    view = chained([1, 3, 1])
    made = layout([(node.id, node.layer) for node in view.nodes], view.edges, Sizes())
    level = {made.boxes[name][1] for name in ("t0_0", "t1_1", "t2_0")}
    assert 1 == len(level)


def test_boxes_get_narrower_then_scroll():
    """Few layers have wide boxes, more have narrow ones, and very many make a wide picture."""
    widths = []
    for count in (2, 4, 20):
        root = picture(chained([1] * count))
        widths.append((next(iter(boxes(root).values()))[2], float(root.get("width"))))
    (two, room2), (four, room4), (twenty, room20) = widths
    assert two > four > twenty
    assert room2 <= 918 and room4 <= 918 < room20
    assert "overflow-x:auto" in figure(chained([1] * 20))


def test_the_same_graph_is_drawn_alike():
    """Two pictures of equal views are equal."""
    assert graph_svg(chained([3, 5, 4, 2])) == graph_svg(chained([3, 5, 4, 2]))


def test_the_order_of_edges_does_not_move_boxes():
    """Boxes stand where they stand whatever the order of the edges of a small graph."""
    turned = GraphView(DIAMOND.name, DIAMOND.nodes, DIAMOND.edges[::-1])
    assert boxes(picture(DIAMOND)) == boxes(picture(turned))


@pytest.mark.parametrize(
    "nodes", [(), (GraphNode("only", 0, "prompt"),), (GraphNode("x", 7, "set"),)]
)
def test_nothing_and_one(nodes):
    """An empty graph and one of a single task are drawn, whatever the number of the layer."""
    view = GraphView("w", nodes, ())
    assert [node.id for node in nodes] == list(boxes(picture(view)))
    assert ("no tasks yet" in figure(view)) == (not nodes)


def test_a_cycle_is_drawn():
    """An edge that leads back, as in a faulty definition, is drawn like the others."""
    view = GraphView("w", DIAMOND.nodes, (*DIAMOND.edges, ("d", "a"), ("b", "c"), ("d", "d")))
    assert {"a needs d", "c needs b", "d needs d"} < set(lines(picture(view)))


def test_an_unknown_task_is_an_error():
    """An edge to a task that is not there is an error and no silent gap."""
    with pytest.raises(KeyError, match="nobody"):
        graph_svg(GraphView("w", DIAMOND.nodes, (("a", "nobody"),)))


@pytest.mark.parametrize("state", get_args(TaskState))
def test_a_state_is_more_than_a_colour(state):
    """Each state has a shape, a word in its box, a glyph and a border of its own."""
    view = GraphView("w", (GraphNode("a", 0, "prompt", state, llm="x/y", note="why"),), ())
    root = picture(view)
    words = [each.text for each in root.iter(f"{SVG}text")]
    assert ["a", "x/y", f"{state} · why"] == words
    others = [each for each in LOOKS if each != state]
    bare = re.sub(r"#[0-9a-f]{6}", "", icon(state))
    assert bare not in {re.sub(r"#[0-9a-f]{6}", "", icon(each)) for each in others}
    assert LOOKS[state].glyph not in {LOOKS[each].glyph for each in others}


def test_a_definition_has_no_states():
    """The picture of a definition says no states and shows no signs of them."""
    root = picture(DIAMOND, states=False)
    said = " ".join(root.itertext())
    assert [] == [state for state in LOOKS if state in said.split()]
    assert "size == 'large'" in said


def test_words_say_the_structure():
    """Title and description say every task, its state and what it needs."""
    root = picture(DIAMOND)
    assert "img" == root.get("role")
    assert (
        "Workflow diamond: 1 done, 1 waiting, 1 skipped, 1 failed" == root.find(f"{SVG}title").text
    )
    said = root.find(f"{SVG}desc").text
    assert "a: done, python; needs nothing." in said
    assert "b: failed, prompt, x/y; needs a." in said
    assert "d: waiting, prompt; needs b, c and a." in said


def test_simulated_is_never_cut():
    """A long id of an LLM is cut, the word simulated behind it is not; a tooltip has all of it."""
    llm = "endpoint/" + "long-name-" * 9
    view = GraphView("w", (GraphNode("a", 0, "prompt", "done", llm=llm, simulated=True),), ())
    root = picture(view)
    (shown,) = [each.text for each in root.iter(f"{SVG}text") if "simulated" in each.text]
    assert shown.endswith("… · simulated")
    assert llm in titles(root, "rect")[0]


@pytest.mark.parametrize(
    "text", ["x" * 500, "Wort " * 100, "日本語" * 80, "W" * 300, "\u202e" * 90]
)
def test_words_fit_their_box(text):
    """Long words are cut with an ellipsis to the room that they have, by a wide font's measure."""
    short = fitted(text, 120, 11)
    assert short.endswith("…")
    assert wide_of(short, 11) <= 120
    view = GraphView("w", (GraphNode(text, 0, "prompt", title=text, note=text),), ())
    assert 3 < sum(each.text.endswith("…") for each in picture(view).iter(f"{SVG}text")) + 1


def test_short_words_are_whole():
    """What fits is not cut."""
    assert "review_speed" == fitted("review_speed", 120, 12, bold=True)


def test_up_to_the_limit_each_task_has_a_box():
    """Sixty tasks are drawn one by one, one more are dots with a sentence; so are dense graphs."""
    rows = [12] * (MOST_BOXES // 12)
    sparse = chained(rows).nodes
    assert MOST_BOXES == len(boxes(picture(GraphView("w", sparse, ()))))
    assert "" == too_many(GraphView("w", sparse, ()))
    more = GraphView("w", (*sparse, GraphNode("one_more", 0, "set")), ())
    assert {} == boxes(picture(more))
    assert "61 tasks with 0 lines between them are too many to draw one by one" in figure(more)
    dense = chained([10] * 5)
    assert len(dense.edges) > MOST_EDGES
    assert {} == boxes(picture(dense))
    assert "50 tasks with 400 lines" in too_many(dense)


@pytest.mark.parametrize("layers", [[10_000], [1] * 10_000, [100] * 100, [1, 9_998, 1]])
def test_ten_thousand_tasks(layers):
    """Ten thousand tasks take few kB and little time in any shape, and every layer is counted."""
    states = list(LOOKS)
    nodes = tuple(
        GraphNode(f"t{n}_{k}", n, "prompt", states[k % 6], llm="x/y")
        for n, size in enumerate(layers) for k in range(size)
    )  # fmt: skip
    edges = tuple((a.id, b.id) for a, b in pairwise(nodes) if a.layer < b.layer)
    start = time.perf_counter()
    page = graph_svg(GraphView("w", nodes, edges))
    assert time.perf_counter() - start < 10
    assert len(page) < 200_000
    root = ET.fromstring(page)
    counts = [t.text for t in root.iter(f"{SVG}text") if t.get("font-weight") == "600"]
    assert 10_000 == sum(int(each.replace(",", "")) for each in counts)


def test_rare_states_have_a_dot():
    """One failed task among thousands still has a dot of its own."""
    nodes = [GraphNode(f"t{n}", 0, "prompt", "done") for n in range(5_000)]
    plain = graph_svg(GraphView("w", tuple(nodes), ()))
    failed = graph_svg(GraphView("w", (*nodes, GraphNode("bad", 0, "prompt", "failed")), ()))
    colour = LOOKS["failed"].colour
    assert [] == [p for p in ET.fromstring(plain).iter(f"{SVG}path") if p.get("fill") == colour]
    (dot,) = [p for p in ET.fromstring(failed).iter(f"{SVG}path") if p.get("fill") == colour]
    assert 1 == dot.get("d").count("M")
    assert "5,000 done, 1 failed" in failed


def test_a_picture_of_its_own_names_its_ink():
    """A picture in a file of its own has no colour from around it."""
    assert "currentColor" in graph_svg(DIAMOND)
    assert "currentColor" not in graph_svg(DIAMOND, ink="#757981")
