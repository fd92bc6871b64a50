"""The cards of a workflow and of its run: what they say, in markup and in text."""

from __future__ import annotations

import time
from dataclasses import replace
from decimal import Decimal
from html.parser import HTMLParser

import pytest

from bmad_nb.events import CallRow, RunRow, TaskRow
from bmad_nb.render.base import NO_MATH
from bmad_nb.render.run import (
    MOST_OUTPUTS,
    MOST_TASKS,
    GraphNode,
    GraphView,
    RunView,
    WorkflowView,
    cost_of,
    figures,
    sentence,
    told,
    took,
)
from bmad_nb.render.run_card import run_html, workflow_html
from bmad_nb.render.run_text import run_text, workflow_text


class _Words(HTMLParser):
    """Collects the words of a page, and its rows of cells, pictures left out."""

    def __init__(self):
        super().__init__()
        self.words, self.rows, self.depth = [], [], 0

    def handle_starttag(self, name, attrs):
        self.depth += name == "svg"
        if name == "tr":
            self.rows.append([])
        if name in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, name):
        self.depth -= name == "svg"
        if name == "table":
            self.rows.append([])

    def handle_data(self, text):
        if self.depth:
            return
        self.words.append(text)
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += f"{text} "


def words(page):
    """Return the words of a page without those of its pictures."""
    reader = _Words()
    reader.feed(page)
    return " ".join(" ".join(reader.words).split())


def rows(page):
    """Return the cells of all rows of a page."""
    reader = _Words()
    reader.feed(page)
    return [[" ".join(each.split()) for each in row] for row in reader.rows]


def call(number, **fields):
    """Return a call that was answered."""
    given = {"state": "answered", "task": "b", "cost_usd": Decimal("0.001"), "latency_s": 1.0}
    return CallRow(f"e4f1:{number}", "e4f1", "x/one", "k", **(given | fields))


NODES = (
    GraphNode("a", 0, "python", "done"),
    GraphNode("b", 1, "prompt", "done", llm="x/one", note="$0.001"),
    GraphNode("c", 1, "prompt", "skipped", note="size == 'large'", title="Only if large"),
    GraphNode("d", 2, "prompt", "failed", llm="sim/two", simulated=True),
)
GRAPH = GraphView("review", NODES, (("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")))
TASKS = (
    TaskRow("e4f1", "a", "done", "python", value=["x", 1], attempts=1,
            started_utc="2026-11-23T14:31:07+00:00", ended_utc="2026-11-23T14:31:09.500+00:00"),
    TaskRow("e4f1", "b", "done", "prompt", llm="x/one", attempts=2, cost_usd=Decimal("0.001"),
            degraded=True, rung=1),
    TaskRow("e4f1", "c", "skipped", "prompt", skipped_because="Its condition did not hold.",
            when="size == 'large'", when_value=False, when_values={"size": "small"}),
    TaskRow("e4f1", "d", "failed", "prompt", llm="sim/two", attempts=3, simulated=True,
            cost_usd=Decimal("0.002"), error="Too many requests.", error_kind="RateLimited",
            error_hint="Wait a minute."),
)  # fmt: skip
CALLS = (
    call(1), call(2, from_store=True, cost_usd=Decimal(0)), call(3, cost_usd=None),
    call(4, simulated=True, cost_usd=Decimal("0.002")),
    call(5, state="in_flight", cost_usd=None, reserved_usd=Decimal("0.004")),
)  # fmt: skip
RUN = RunRow("e4f1", "workflow", "failed", budget_usd=Decimal("0.05"), workflow="review",
             started_utc="2026-11-23T14:31:07.123+00:00")  # fmt: skip
VIEW = RunView(
    RUN, GRAPH, TASKS, CALLS, {"verdict": "It holds.", "count": {"all": 2}}, 12.3,
    ("A note.",), ("%bmad resume e4f1",), {"b": "It holds. " * 40},
)  # fmt: skip
WORKFLOW = WorkflowView(
    GRAPH, "Review a diff", "Two readers, one verdict.", (("inputs", "text, language = en"),),
    ("tasks.d.needs: no task is called e.",), ("%bmad run review",),
)  # fmt: skip


@pytest.mark.parametrize(
    ("expected", "status", "reason", "states"),
    [
        ("Completed: 3 tasks done, 1 skipped", "completed", "", "done done done skipped"),
        ("Completed: 1 task done", "completed", "", "done"),
        ("Completed: 1 task done, 1 failed", "completed", "", "done failed"),
        ("Paused by its limit: 2 of 4 tasks done", "paused", "limit", "done done waiting waiting"),
        ("Paused: 1 of 2 tasks done", "paused", "user", "done waiting"),
        ("Running: 0 of 1 task done", "running", "", "running"),
        ("Failed: t1; 1 of 2 tasks done", "failed", "RateLimited", "done failed"),
        ("Failed: t0, t1, t2 and 2 more; 0 of 5 tasks done", "failed", "", "failed " * 5),
        ("Failed: 0 of 1 task done", "failed", "StoreError", "waiting"),
        ("Cancelled: 1 of 2 tasks done", "cancelled", "user", "done cancelled"),
        ("Interrupted: 1 of 2 tasks done", "interrupted", "", "done waiting"),
    ],
)
def test_one_sentence_says_how_it_went(expected, status, reason, states):
    """The sentence on top names what counts: how many are done, what failed, why it stopped."""
    nodes = tuple(GraphNode(f"t{n}", n, "prompt", s) for n, s in enumerate(states.split()))
    view = RunView(replace(RUN, status=status, reason=reason), GraphView("w", nodes, ()))
    assert expected == sentence(view)
    assert expected in words(run_html(view))
    assert expected in run_text(view)


def test_a_fallback_is_said_on_top():
    """A result that a fallback gave is not shown as if nothing had happened."""
    assert "Failed: d; 2 of 4 tasks done; a fallback stood in for 1" == sentence(VIEW)


def test_money_is_told_apart():
    """Calls, store, real, simulated and unknown money, and time stand on one line, apart."""
    expected = (
        "4 calls made · 1 in flight · 1 answer from the store · "
        "$0.001 + 1 unpriced call (and $0.002 simulated) · 12.3 s"
    )
    assert expected == figures(VIEW)
    assert expected in words(run_html(VIEW))
    assert expected in run_text(VIEW)


def test_the_table_says_what_the_graph_says():
    """Each task has a row with state, LLM, attempts, cost, time, needs and its answer."""
    table = {row[0].split()[0]: row for row in rows(run_html(VIEW)) if len(row) == 7}
    assert ["a", "✓ done", "python", "1", "–", "2.5 s", '["x", 1]'] == table["a"]
    assert ["b needs a", "✓ done", "x/ one", "2", "$0.001", "–"] == table["b"][:6]
    assert table["b"][6].endswith("… fallback 1 stood in")
    expected = "Its condition did not hold."
    assert ["c Only if large needs a", "» skipped", "prompt", expected] == [
        *table["c"][:3],
        table["c"][6],
    ]
    assert "d needs b and c" == table["d"][0]
    assert ["sim/ two simulated", "3", "$0.002 simulated"] == table["d"][2:5]
    assert "RateLimited: Too many requests. Wait a minute." == table["d"][6]


def test_an_answer_is_cut_at_its_limit():
    """An answer in the table has at most 200 characters and an ellipsis."""
    assert "It holds. " * 20 + "…" == told(VIEW, TASKS[1])[0]


def test_outputs_are_shown_and_cut():
    """An output is text or JSON; a long one is cut with how to get all of it."""
    page, text = words(run_html(VIEW)), run_text(VIEW)
    assert "verdict It holds." in page
    assert '{ "all": 2 }' in page
    assert "[verdict]\n  It holds." in text
    long = replace(VIEW, outputs={"x": "word " * 1000})
    note = '… the first 2,000 of 5,000 characters; all of it: r.outputs["x"]'
    for said in (words(run_html(long)), run_text(long)):
        assert note in said
        assert 400 == said.count("word")


def test_many_outputs_are_counted():
    """Of many outputs the first are shown and the others counted."""
    many = replace(VIEW, outputs={f"o{n}": n for n in range(MOST_OUTPUTS + 3)})
    for said in (words(run_html(many)), run_text(many)):
        assert "3 more, in r.outputs" in said
        assert f"o{MOST_OUTPUTS - 1}" in said
        assert f"o{MOST_OUTPUTS}" not in said


def test_spend_stands_against_its_limit():
    """Real and simulated money have a bar each: spent, held for calls in flight, left."""
    page, text = words(run_html(VIEW)), run_text(VIEW)
    assert "$0.001 spent $0.004 held for calls in flight $0.045 left of $0.05" in page
    assert "$0.002 spent in simulated money, which has a limit of its own" in page
    assert "Limit: $0.001 of $0.05 spent, $0.004 held for calls in flight" in text
    assert "Simulated: $0.002 of $0.05 spent" in text
    free = replace(VIEW, run=replace(RUN, budget_usd=None))
    assert "left of" not in words(run_html(free))
    assert "Limit: " not in run_text(free)


@pytest.mark.parametrize("limit", ["0", "0.0001"])
def test_a_limit_can_be_zero_or_passed(limit):
    """A limit of zero, and more spent than allowed, are shown and no error."""
    view = replace(VIEW, run=replace(RUN, budget_usd=Decimal(limit)))
    assert "$0 left of" in words(run_html(view))


def test_costs_of_tasks():
    """A task that asked no LLM has no cost; one whose price nobody knows says so."""
    assert ("–", "") == cost_of(TASKS[0])
    assert ("$0.001", "") == cost_of(TASKS[1])
    assert ("$0.002", "simulated") == cost_of(TASKS[3])
    assert ("price unknown", "") == cost_of(replace(TASKS[1], cost_usd=None))
    assert ("–", "") == cost_of(replace(TASKS[1], cost_usd=None, attempts=0))


@pytest.mark.parametrize(
    ("expected", "start", "end"),
    [(1.5, "2026-01-01T00:00:00+00:00", "2026-01-01T00:00:01.500+00:00"), (None, "", ""),
     (None, "2026-01-01T00:00:00+00:00", ""), (None, "x", "y"),
     (None, "2026-01-01T00:00:00+00:00", "2026-01-01T00:00:01")],
)  # fmt: skip
def test_time_of_a_task(expected, start, end):
    """A task's time is from its start to its end; without both there is none."""
    assert expected == took(replace(TASKS[0], started_utc=start, ended_utc=end))


def test_what_was_kept_is_said():
    """A result of an earlier run names the run that it is from."""
    kept = replace(TASKS[1], kept_from="77aa", degraded=False)
    assert "kept from run 77aa" == told(VIEW, kept)[1]


def test_a_definition_says_what_it_will_do():
    """A workflow shows its title, facts, tasks with needs, problems and commands, and no states."""
    page, text = words(workflow_html(WORKFLOW)), workflow_text(WORKFLOW)
    for said in (page, text):
        assert "Review a diff: 1 problem to solve before it can run" in said
        assert "Two readers, one verdict." in said
        assert "4 tasks in 3 layers" in said
        assert "✕ tasks.d.needs: no task is called e." in said
        assert "size == 'large'" in said
        assert "b and c" in said
        assert "%bmad run review" in said
    assert "inputs text, language = en" in page
    assert "inputs: text, language = en" in text
    assert "done" not in page
    assert "Review a diff." in workflow_text(replace(WORKFLOW, problems=()))


def test_without_a_title_the_name_stands_on_top():
    """A workflow without a title is called by its name."""
    assert "review." in workflow_text(WorkflowView(GRAPH)).splitlines()


def test_text_has_no_colours_and_fits_a_terminal():
    """Plain text has no escape sequences and its paragraphs have at most 88 columns."""
    loud = replace(VIEW, texts={"b": "\x1b[31m" + "red " * 60}, outputs={"o": "word " * 200})
    text = run_text(loud)
    assert "\x1b" not in text
    assert 88 >= max(len(line) for line in text.splitlines() if line.startswith("  "))


def test_ten_thousand_tasks():
    """A huge run takes under 200 kB and shows first what failed."""
    states = ["done"] * 9_990 + ["failed"] * 10
    nodes = tuple(
        GraphNode(f"task_{n}", n // 100, "prompt", s, llm="x/one") for n, s in enumerate(states)
    )
    edges = tuple((f"task_{n}", f"task_{n + 100}") for n in range(9_900))
    tasks = tuple(
        TaskRow("e4f1", n.id, n.state, llm="x/one", error="<&> " * 50 * (n.state == "failed"))
        for n in nodes
    )
    view = replace(VIEW, graph=GraphView("huge", nodes, edges), tasks=tasks, outputs=None)
    start = time.perf_counter()
    page, text = run_html(view), run_text(view)
    assert time.perf_counter() - start < 10
    assert len(page.encode()) < 200_000
    assert len(text.encode()) < 200_000
    for said in (words(page), text):
        assert "task_9999" in said
        assert f"{10_000 - MOST_TASKS:,} more in r.tasks" in said
    assert len(workflow_html(WorkflowView(view.graph)).encode()) < 200_000


@pytest.mark.parametrize("view", [RunView(RUN, GraphView("w", (), ())), RunView(RUN, GRAPH)])
def test_a_run_of_nothing(view):
    """A run without tasks, calls or outputs is shown, and so is one that has only its graph."""
    assert "0 calls made · $0" in words(run_html(view))
    assert "0 calls made · $0" in run_text(view)


def test_the_cards_are_alike_and_left_alone_by_mathematics():
    """Equal views give equal cards, and Jupyter sets no prices as mathematics."""
    for page in (run_html(VIEW), workflow_html(WORKFLOW)):
        assert f'class="{NO_MATH}"' in page.partition(">")[0]
    assert run_html(VIEW) == run_html(replace(VIEW))
    assert workflow_html(WORKFLOW) == workflow_html(replace(WORKFLOW))


def test_odd_values_are_shown():
    """Values that JSON cannot hold, lone surrogates and nothing at all are shown and encode."""
    odd = replace(VIEW, outputs={"a": "\ud800", "b": None, "c": {1, 2}, "d": float("nan"), "": ""})
    for said in (run_html(odd), run_text(odd)):
        assert said == said.encode("utf-8").decode()
