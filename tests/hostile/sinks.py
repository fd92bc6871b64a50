"""Views with a hostile text in every field that a stranger can fill: ids, answers, errors, names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any, get_args

from bmad_nb.events import CallRow, RunRow, TaskRow, TaskState
from bmad_nb.messages import Message
from bmad_nb.render.base import ComparisonView
from bmad_nb.render.compare import compare_html
from bmad_nb.render.report import ReportView, report_text
from bmad_nb.render.run import GraphNode, GraphView, RunView, WorkflowView
from bmad_nb.render.run_card import run_html, workflow_html
from bmad_nb.render.run_changes import RunChangesView, run_changes_html, run_changes_text
from bmad_nb.render.run_text import run_text, workflow_text
from bmad_nb.render.sweep import SweepView, sweep_html
from bmad_nb.render.text import answer_html, answer_text, compare_text
from tests.render.conftest import make_row, make_view

if TYPE_CHECKING:
    from bmad_nb.charts import Chart


def comparison(text: str, case: str, count: int = 3, score: float | None = 0.5) -> ComparisonView:
    """Return a comparison of `count` + 2 calls, over two cases if `case` is not empty."""
    bad = make_row(f"x/{text}", text, variant=text, case=case and text, model=text, score=score,
                   scorer=text, reference=text, messages=(Message("system", text), Message("user", text)),
                   price_source=text, price_as_of=text, finish_reason=text, request_key=text,
                   started_utc=text)  # fmt: skip
    failed = replace(bad, llm=f"y/{text}", state="failed", text=None, score=None,
                     error=text, error_kind=text, error_hint=text)  # fmt: skip
    rows = [
        bad,
        *(replace(bad, llm=f"{n}/{text}", text=f"{text} {n}") for n in range(count)),
        failed,
    ]
    if case:
        rows += [replace(each, case=f"{text} 2") for each in rows]
    return make_view(*rows, run_id=text, verb=text, notes=(text,), next_steps=(text,), name=text)


def run(
    text: str, count: int = 1, states: Sequence[TaskState] = get_args(TaskState)
) -> tuple[RunView, WorkflowView]:
    """Return a run with `count` tasks in each state, and its workflow."""
    ids = [f"{text} {n}" if n else text for n in range(count * len(states))]
    nodes = tuple(GraphNode(each, n, text, states[n % len(states)], title=text, llm=f"x/{text}",
                            note=text, simulated=True) for n, each in enumerate(ids))  # fmt: skip
    graph = GraphView(text, nodes, tuple(pairwise(ids)))
    tasks = tuple(
        TaskRow(text, n.id, n.state, text, llm=n.llm, value={text: text}, kept_from=text, when=text,
                when_value=False, when_values={text: text}, degraded=True, rung=1, attempts=1,
                error=text if n.state == "failed" else "", error_kind=text, error_hint=text,
                skipped_because=text if n.state == "skipped" else "", facts=together(text) if n.state in {"done", "failed"} else None)
        for n in nodes
    )  # fmt: skip
    row = RunRow(text, text, "failed", reason=text, budget_usd=Decimal(1), started_utc=text,
                 workflow=text)  # fmt: skip
    calls = (make_row(f"x/{text}", text, task=text, error=text, error_kind=text),)
    outputs = {text: text, f"{text} 2": {text: [text]}}
    view = RunView(row, graph, tasks, calls, outputs, 1.0, (text,), (text,), {text: text}, text)
    return view, WorkflowView(graph, text, text, ((text, text),), (text,), (text,))


def together(text: str) -> dict[str, Any]:
    """Return what a task's several LLMs said and found."""
    member = {"name": text, "llm": f"x/{text}", "answer": text, "state": "done", "part": text}
    lost = {"name": f"{text} 2", "llm": text, "error": text, "state": "failed"}
    return {
        "pattern": "vote", "method": text, "agreement": 0.5, "members": [member, lost],
        "merged_by": text, "contributors": [text], "uncited": [text], "judge_errors": [text],
        "reviews": [{"severity": text, "claim": text, "reviewer": text, "disposition": text, "verdict": text}],
        "dissent": [{"answer": text, "members": [text]}],
    }  # fmt: skip


def sweep(text: str) -> SweepView:
    """Return a sweep of which each parameter and each error is the text."""
    row = {"number": 1, "parameters": {text: text, "n": [text]}, "status": text, "file": "",
           "error_kind": text, "error": text, "cost_usd": 0.5, text: text}  # fmt: skip
    return SweepView(text, text, [row, {**row, "parameters": {}}], ["cost_usd", text], [text])


def cards(text: str) -> Iterator[tuple[str, str]]:
    """Yield what stands once on a page, with the text in every field of it: HTML and plain form."""
    alone = comparison(text, "", 0)
    yield compare_html(alone), compare_text(alone)
    for row in alone.rows:
        yield answer_html(row), answer_text(row)
    changes = run_changes(text)
    yield run_changes_html(changes), run_changes_text(changes)
    view = replace(run(text, states=())[0], outputs=None)
    yield run_html(view), run_text(view)
    swept = sweep(text)
    tables = {text: [{**row["parameters"], text: row["error"]} for row in swept.rows]}
    yield sweep_html(swept), report_text(ReportView(text, tables, tuple(swept.notes)))


def run_changes(text: str) -> RunChangesView:
    """Return two runs of a workflow whose one task has the text everywhere."""
    now = {"state": "done", "llm": f"x/{text}", "simulated": True, "cost_usd": 0.1,
           "duration_s": 1.0, "answer": f"{text} now"}  # fmt: skip
    old = {f"{name}_other": value for name, value in now.items()}
    row = {**now, **old, "task": text, "same": False, "answer_other": text,
           "llm_other": f"y/{text}"}  # fmt: skip
    made = RunRow(text, "workflow", "completed", workflow=text)
    return RunChangesView(made, made, (row,), text)


def decks(texts: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield what has many rows, with another of the texts in each: HTML and plain form."""
    pages = [comparison(text, text, 0) for text in texts]
    cases = replace(pages[0], rows=tuple(
        replace(row, case=text, llm=f"{'xy'[row.state == 'failed']}/a", variant="", scorer="exact")
        for page, text in zip(pages, texts, strict=True) for row in page.rows[:2]
    ))  # fmt: skip
    many = replace(pages[0], rows=tuple(page.rows[0] for page in pages))
    for view in (cases, replace(cases, rows=_unscored(cases)), many):
        yield compare_html(view), compare_text(view)
    flows = [run(text, states=("failed", "skipped")) for text in texts]
    nodes = tuple(replace(node, id=f"{n} {node.id}", layer=n % 8)
                  for n, (view, _) in enumerate(flows) for node in view.graph.nodes)  # fmt: skip
    graph = replace(flows[0][0].graph, nodes=nodes, edges=())
    tasks = tuple(replace(task, task=f"{n} {task.task}")
                  for n, (view, _) in enumerate(flows) for task in view.tasks)  # fmt: skip
    whole = replace(
        flows[0][0], graph=graph, tasks=tasks, outputs={text: [text] for text in texts},
        notes=tuple(texts), next_steps=tuple(texts), texts={task.task: task.task for task in tasks},
    )  # fmt: skip
    plan = WorkflowView(graph, texts[0], texts[0], tuple((text, text) for text in texts), tuple(texts),
                        tuple(texts))  # fmt: skip
    yield run_html(whole), run_text(whole)
    yield workflow_html(plan), workflow_text(plan)


def _unscored(view: ComparisonView) -> tuple[CallRow, ...]:
    return tuple(replace(row, score=None, scorer="") for row in view.rows)


def charts(texts: Sequence[str]) -> Iterator[Chart]:
    """Yield charts with a text at each mark: its name, its label, its table, what hovering shows."""
    from bmad_nb import charts, frames

    now = datetime(2026, 1, 1, tzinfo=UTC)
    # Their prices and scores differ, so that no mark covers another.
    rows = [make_row(text, "x", variant=text, score=n % 5 / 4, case=str(n), task=text,
                     cost_usd=Decimal(n + 1) / 1000, error_kind=text,
                     started_utc=(now + timedelta(seconds=n)).isoformat(),
                     ended_utc=(now + timedelta(seconds=n + 1)).isoformat())
            for n, text in enumerate(texts)]  # fmt: skip
    yield charts.frontier(frames.calls(rows))
    rows = [replace(row, state="failed", text=None) for row in rows[::2]] + rows[1::2]
    swept = [{"number": n, "parameters": {"text": text}, "status": "completed", "scored": 1,
              "score": n % 5 / 4, "original_cost_usd": (n + 1) / 1000, "error": text,
              "simulated": False, "runs": 1, "calls": 1, "from_store": 0, "failed": 0,
              "unpriced_calls": 0} for n, text in enumerate(texts)]  # fmt: skip
    for some in (swept[:8], swept):
        yield charts.sweep(frames.sweep(some))
    yield charts.timeline(frames.calls([])[["task"]], frames.calls(rows))


def router_charts(text: str) -> Iterator[Chart]:
    """Yield the charts of routers, with a text as router, LLM and kind of task."""
    import pandas as pd

    from bmad_nb import charts

    other = f"{text} 2"
    choices = pd.DataFrame(
        {"router": [text, text, other], "type": [text, other, text], "llm": [text, other, text],
         "cost_usd": [0.1, 0.2, 0.3], "simulated": [True, False, True]}
    )  # fmt: skip
    yield charts.share(choices)
    yield charts.share(choices, "type", title=text)
    yield charts.spent(choices)
    yield charts.calibration([0.5, 0.6], [1.0, 0.0], notes=(text,))
    measures = pd.DataFrame(
        {"router": [text, other], "metric": "regret", "value": [0.1, 0.2], "low": [0.0, 0.1],
         "high": [0.2, 0.3]}
    )  # fmt: skip
    yield charts.regret(measures, notes=(text,))
    stream = pd.DataFrame(
        {"router": [text, text, other], "place": [0, 1, 0], "regret": [0.0, 1.0, 0.5],
         "oracle_regret": [0.5, 1.0, 0.5], "reward": [1.0, 0.0, 1.0]}
    )  # fmt: skip
    yield charts.regret(stream, notes=(text,))
    prices = pd.DataFrame(
        {"router": [text, text, other], "llm": text, "factor": [1.0, 2.0, 1.0], "quality": 0.5,
         "cost_usd": [0.1, 0.2, None]}
    )  # fmt: skip
    yield charts.prices(prices, notes=(text,))
