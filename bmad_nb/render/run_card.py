"""A workflow and its run as cards: what happened in a sentence, the graph, outputs, each task."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from bmad_nb.events import TaskRow
from bmad_nb.render.base import (
    ACCENT,
    BAD,
    DIM,
    LABEL,
    LINE,
    MONO,
    NONE,
    PRE,
    TRACK,
    WARN,
    Html,
    counted,
    cut,
    joined,
    listed,
    markup,
    seconds,
    tag,
    usd,
)
from bmad_nb.render.graph import figure
from bmad_nb.render.parts import (
    card,
    cell,
    chip,
    cut_note,
    dim,
    facts,
    footer,
    header,
    line,
    llm_name,
    table,
)
from bmad_nb.render.run import (
    MOST_OUTPUTS,
    MOST_PROBLEMS,
    MOST_TASKS,
    OUTPUT_LIMIT,
    GraphNode,
    GraphView,
    RunView,
    WorkflowView,
    as_text,
    comparison,
    cost_of,
    figures,
    kept_rows,
    key_of,
    left_out,
    needs_words,
    origin,
    purse,
    sentence,
    size_of,
    told,
    took,
    workflow_sentence,
)
from bmad_nb.render.signs import GLYPHS, LOOKS
from bmad_nb.render.together import together_html, together_view

_PART = f"padding:14px 20px;border-top:1px solid {LINE}"
_HEAD = "font-size:11px;opacity:0.72;white-space:nowrap;padding:0 16px 4px 0"


def workflow_html(view: WorkflowView) -> str:
    """Return the definition of a workflow as markup: what it does, its graph, what is wrong."""
    weak = [view.description] if view.description else []
    return card(
        f"Workflow {view.graph.name}",
        header(f"workflow {view.graph.name}", size_of(view.graph), workflow_sentence(view), weak),
        _problems(view.problems),
        figure(view.graph, states=False),
        _section("", facts(view.facts)) if view.facts else "",
        _definition(view.graph),
        footer(comparison(steps=view.next_steps)),
    )


def run_html(view: RunView) -> str:
    """Return a run of a workflow as markup: how it went, its graph, outputs, tasks and money."""
    status = f"{GLYPHS[view.run.status]} {view.run.status}"
    return card(
        f"Run {view.run.run_id} of workflow {view.graph.name}",
        header(origin(view), status, sentence(view), [figures(view)]),
        figure(view.graph),
        _outputs(view),
        _together(view),
        _tasks(view),
        _spend(view),
        _notes(view.notes),
        footer(comparison(steps=view.next_steps)),
    )


def _section(title: str, *content: str) -> Html:
    """Return a part of a card under its small title."""
    small = tag("div", title, style=f"{LABEL};margin:0 0 6px 0") if title else ""
    return tag("div", small, *content, style=_PART)


def _problems(problems: Iterable[str]) -> Html:
    """Return what is wrong with a workflow, above all else."""
    every = list(problems)
    lines = [
        tag("div", "✕ ", each, style=f"{PRE};margin:0 0 4px 0", dir="auto")
        for each in every[:MOST_PROBLEMS]
    ]
    more = len(every) - MOST_PROBLEMS
    lines += [tag("div", f"{more:,} more, in plan.missing", style=DIM)] if more > 0 else []
    style = f"padding:12px 20px 8px 20px;background:{BAD}14;border-bottom:1px solid {LINE}"
    return tag("div", *lines, style=style) if lines else Html("")


def _notes(notes: Iterable[str]) -> Html:
    """Return the sentences that explain a run."""
    lines = [tag("div", each, style=f"{DIM};overflow-wrap:anywhere", dir="auto") for each in notes]
    return _section("Notes", *lines) if lines else Html("")


def _together(view: RunView) -> Html:
    """Return what several LLMs made of each task that is theirs."""
    found = [each for each in map(together_view, view.tasks) if each is not None]
    return joined([_section("Several LLMs", together_html(each)) for each in found])


def _outputs(view: RunView) -> Html:
    """Return the outputs, each under its name."""
    if not view.outputs:
        return Html("")
    parts = []
    for name, value in list(view.outputs.items())[:MOST_OUTPUTS]:
        full = as_text(value, indent=2)
        short = cut(full[:OUTPUT_LIMIT], 4 * OUTPUT_LIMIT)
        style = f"{PRE};max-height:420px;overflow:auto;margin:0 0 2px 0"
        if not isinstance(value, str):
            style = f"{MONO};font-size:12px;{style}"
        body = tag("div", short or "(empty)", style=style, dir="auto")
        head = tag("div", cut(name, 200), style="font-weight:600;overflow-wrap:anywhere")
        note = cut_note(len(short), len(full), key_of(view, cut(name, 200)))
        parts.append(tag("div", head, body, note, style="margin:0 0 8px 0"))
    more = len(view.outputs) - MOST_OUTPUTS
    left = tag("div", f"{more:,} more, in {view.name}.outputs", style=DIM) if more > 0 else ""
    return _section(counted(len(view.outputs), "output").capitalize(), *parts, left)


def _tasks(view: RunView) -> Html:
    """Return the table of tasks, which says all that the graph says."""
    names = ("Task", "State", "LLM", "Attempts", "Cost", "Time", "Answer, or why there is none")
    head = line(*(cell(each, name="th", scope="col", style=_HEAD) for each in names))
    needs = view.graph.needs
    body = [_task(view, node, task, needs[node.id]) for node, task in kept_rows(view)]
    rows = table(tag("thead", head, style="border:none"), tag("tbody", *body),
                 style="font-size:12px")  # fmt: skip
    more = left_out(view)
    return _section(
        "Tasks", tag("div", rows, style="overflow-x:auto"),
        tag("div", more, style=f"{DIM};margin:6px 0 0 0") if more else "",
    ) if body else Html("")  # fmt: skip


def _definition(graph: GraphView) -> Html:
    """Return the table of a workflow's tasks, which says all that its graph says."""
    head = line(*(cell(each, name="th", scope="col", style=_HEAD)
                  for each in ("Task", "Verb", "LLM", "Needs", "Notes")))  # fmt: skip
    needs = graph.needs
    pad = "padding:6px 16px 6px 0;overflow-wrap:anywhere"
    body = [
        line(
            cell(tag("div", cut(node.id, 200), style="font-weight:600"),
                 _small(cut(node.title, 200)) if node.title else "",
                 name="th", scope="row", style=f"{pad};min-width:140px"),
            cell(node.verb, style=f"{pad};white-space:nowrap"),
            cell(_who(node.llm, simulated=node.simulated) if node.llm else NONE,
                 style=f"{pad};min-width:120px"),
            cell(listed([cut(each, 80) for each in needs[node.id]], 6) or NONE,
                 style=f"{pad};min-width:120px"),
            cell(cut(node.note, 400), style=f"{pad};width:28%"),
            style=f"background:transparent;border-top:1px solid {LINE}",
        )
        for node in graph.nodes[:MOST_TASKS]
    ]  # fmt: skip
    more = len(graph.nodes) - MOST_TASKS
    last = tag("div", f"{more:,} more tasks", style=DIM) if more > 0 else ""
    rows = table(tag("thead", head, style="border:none"), tag("tbody", *body),
                 style="font-size:12px")  # fmt: skip
    return _section("Tasks", tag("div", rows, style="overflow-x:auto"), last) if body else Html("")


def _who(llm: str, *, simulated: bool) -> Html:
    """Return an LLM's id, with a word where it is simulated."""
    return markup(llm_name(cut(llm, 200)), " ", chip("simulated") if simulated else "")


def _task(view: RunView, node: GraphNode, task: TaskRow, needs: list[str]) -> Html:
    """Return one row of the table of tasks."""
    first = tag("div", cut(node.id, 200), style="font-weight:600;overflow-wrap:anywhere")
    small = [cut(node.title, 200)] * bool(node.title) + [needs_words(needs)] * bool(needs)
    llm = task.llm or node.llm
    cost, mark = cost_of(task)
    said, aside = told(view, task)
    pad = "padding:6px 16px 6px 0;"
    number = f"{pad}white-space:nowrap"
    simulated = node.simulated or task.simulated
    who = _who(llm, simulated=simulated) if llm else dim(node.verb or NONE)
    return line(
        cell(first, *(_small(each) for each in small), name="th", scope="row",
             style=f"{pad}min-width:110px;max-width:220px"),
        cell(f"{LOOKS[node.state].glyph} {node.state}", style=number),
        cell(who, style=f"{pad}min-width:110px;overflow-wrap:anywhere"),
        cell(str(task.attempts) if task.attempts else NONE, style=number),
        cell(cost, _small(mark) if mark else "", style=number),
        cell(seconds(took(task)), _small("simulated") if task.simulated else "", style=number),
        cell(tag("div", said, style=PRE, dir="auto"), _small(aside) if aside else "",
             style="padding:6px 0;width:36%;min-width:180px"),
        style=f"background:transparent;border-top:1px solid {LINE}",
    )  # fmt: skip


def _small(text: str) -> Html:
    """Return an aside below a cell's first line."""
    return tag("div", text, style=f"{LABEL};overflow-wrap:anywhere", dir="auto")


def _spend(view: RunView) -> Html:
    """Return what was spent of the limit; simulated money has a purse of its own."""
    limit = view.run.budget_usd
    if limit is None:
        return Html("")
    purses = [purse(view, simulated=False)]
    if any(call.simulated for call in view.calls):
        purses.append(purse(view, simulated=True))
    bars = [_purse(spent, held, limit, " in simulated money, which has a limit of its own" * n)
            for n, (spent, held) in enumerate(purses)]  # fmt: skip
    return _section("Spend against its limit", joined(bars))


def _purse(spent: Decimal, held: Decimal, limit: Decimal, sort: str) -> Html:
    """Return a bar of money spent, held and left, with the numbers below."""
    used = float(spent / limit) if limit else 1.0
    kept = min(float(held / limit) if limit else 0.0, max(0.0, 1 - used))
    colour = WARN if used > 1 else ACCENT
    piece = "display:inline-block;height:8px;vertical-align:top;"
    inner = markup(
        tag("div", style=f"{piece}width:{100 * min(1.0, used):.1f}%;background:{colour}"),
        tag("div", style=f"{piece}width:{100 * kept:.1f}%;background:{colour}73"),
    )
    track = tag("div", inner, style=f"height:8px;background:{TRACK};border-radius:4px;"
                "overflow:hidden;white-space:nowrap;font-size:0;line-height:0")  # fmt: skip
    left = max(Decimal(0), limit - spent - held)
    said = [(usd(spent), f" spent{sort}")] + [(usd(held), " held for calls in flight")] * bool(held)
    words = joined((markup(tag("span", n, style="font-weight:600"), text) for n, text in said),
                   " \u00a0 ")  # fmt: skip
    rest = markup(tag("span", usd(left), style="font-weight:600"), f" left of {usd(limit)}")
    row = line(cell(words, style="padding:4px 0 6px 0;font-size:12px"),
               cell(rest, style="text-align:right;padding:4px 0 6px 0;font-size:12px"))  # fmt: skip
    return markup(track, table(tag("tbody", row)))
