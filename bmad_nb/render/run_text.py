"""A workflow and its run as a terminal and `text/plain` show them."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from bmad_nb.render.base import NONE, cut, listed, plain, seconds, usd
from bmad_nb.render.run import (
    MOST_OUTPUTS,
    MOST_PROBLEMS,
    MOST_TASKS,
    OUTPUT_LIMIT,
    GraphView,
    RunView,
    WorkflowView,
    as_text,
    cost_of,
    figures,
    kept_rows,
    key_of,
    left_out,
    origin,
    purse,
    sentence,
    size_of,
    told,
    took,
    workflow_sentence,
)
from bmad_nb.render.signs import LOOKS
from bmad_nb.render.text import WIDTH, table_text
from bmad_nb.render.together import together_text, together_view


def _problems(problems: Sequence[str]) -> list[str]:
    more = len(problems) - MOST_PROBLEMS
    lines = [f"✕ {each}" for each in problems[:MOST_PROBLEMS]]
    return [*lines, f"{more:,} more, in plan.missing"] if more > 0 else lines


def workflow_text(view: WorkflowView) -> str:
    """Return the definition of a workflow as plain text: what it does, its tasks, what is wrong."""
    graph = view.graph
    top = [f"workflow {graph.name}  {size_of(graph)}", f"{workflow_sentence(view)}."]
    blocks = [
        "\n".join([*top, _wrapped(view.description)] if view.description else top),
        "\n".join(_problems(view.problems)),
        "\n".join(f"{name}: {value}" for name, value in view.facts),
        _definition(graph),
        _next(view.next_steps),
    ]
    return plain("\n\n".join(each for each in blocks if each))


def run_text(view: RunView) -> str:
    """Return a run of a workflow as plain text: how it went, its tasks, outputs and money."""
    blocks = [
        "\n".join([origin(view), f"{sentence(view)}.", figures(view)]),
        *_outputs(view),
        *[together_text(each) for each in map(together_view, view.tasks) if each is not None],
        *_tasks(view),
        _spend(view),
        "\n".join(_wrapped(each) for each in view.notes),
        _next(view.next_steps),
    ]
    return plain("\n\n".join(each for each in blocks if each))


def _wrapped(text: str) -> str:
    """Return a text as lines of a terminal."""
    return textwrap.fill(plain(text), WIDTH)


def _next(steps: Iterable[str]) -> str:
    """Return the commands that come next."""
    every = list(steps)
    return "Next: " + "   ".join(every) if every else ""


def _definition(graph: GraphView) -> str:
    """Return the tasks of a workflow with what they need, layer by layer."""
    needs = graph.needs
    rows = [
        (str(node.layer + 1), cut(node.id, 60), node.verb,
         cut(node.llm, 60) + " (simulated)" * node.simulated or NONE,
         listed([cut(each, 60) for each in needs[node.id]], 4) or NONE, cut(node.note, 80))
        for node in graph.nodes[:MOST_TASKS]
    ]  # fmt: skip
    more = len(graph.nodes) - MOST_TASKS
    last = [f"{more:,} more tasks"] if more > 0 else []
    heads = ("layer", "task", "verb", "LLM", "needs", "notes")
    return "\n".join([table_text(heads, rows), *last]) if rows else "It has no tasks yet."


def _tasks(view: RunView) -> list[str]:
    """Return the table of a run's tasks, then what each needs and what became of it."""
    rows, blocks = [], []
    needs = view.graph.needs
    for node, task in kept_rows(view):
        cost, mark = cost_of(task)
        said, aside = told(view, task)
        simulated = " (simulated)" * (node.simulated or task.simulated)
        rows.append(
            (f"{LOOKS[node.state].glyph} {node.state}", cut(node.id, 60),
             (cut(task.llm or node.llm, 60) or node.verb) + simulated,
             str(task.attempts or NONE), f"{cost} {mark}".strip(), seconds(took(task)))
        )  # fmt: skip
        after = listed([cut(each, 60) for each in needs[node.id]], 4)
        head = f"{cut(node.id, 60)} (needs {after})" if after else cut(node.id, 60)
        body = [_indented(each) for each in (said, aside) if each]
        blocks += ["\n".join([head, *body])] if body or after else []
    if not rows:
        return []
    table = table_text(("state", "task", "LLM", "attempts", "cost", "time"), rows)
    return ["\n".join(filter(None, [table, left_out(view)])), *blocks]


def _indented(text: str) -> str:
    """Return a text wrapped and indented, its own lines kept."""
    lines = [
        part
        for each in plain(text).split("\n")
        for part in textwrap.wrap(each, WIDTH - 2, replace_whitespace=False) or [""]
    ]
    return "\n".join(f"  {each}".rstrip() for each in lines)


def _outputs(view: RunView) -> list[str]:
    """Return each output under its name."""
    blocks = []
    for name, value in list((view.outputs or {}).items())[:MOST_OUTPUTS]:
        full = as_text(value, indent=2)
        short = full[:OUTPUT_LIMIT]
        lines = [f"[{cut(name, 200)}]", _indented(short) if short.strip() else "  (empty)"]
        if len(short) < len(full):
            lines.append(f"  … the first {len(short):,} of {len(full):,} characters; "
                         f"all of it: {key_of(view, cut(name, 200))}")  # fmt: skip
        blocks.append("\n".join(lines))
    more = len(view.outputs or {}) - MOST_OUTPUTS
    if more > 0:
        blocks.append(f"{more:,} more, in {view.name}.outputs")
    return blocks


def _spend(view: RunView) -> str:
    """Return what was spent of the limit; simulated money has a purse of its own."""
    limit = view.run.budget_usd
    if limit is None:
        return ""
    found = []
    for simulated in (False, True)[: 1 + any(call.simulated for call in view.calls)]:
        spent, held = purse(view, simulated=simulated)
        flying = f", {usd(held)} held for calls in flight" if held else ""
        word = "Simulated: " if simulated else "Limit: "
        found.append(f"{word}{usd(spent)} of {usd(limit)} spent{flying}")
    return "\n".join(found)
