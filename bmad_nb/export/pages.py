"""A run to be read: a summary, all of it as text, a page that opens offline, a notebook."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bmad_nb.events import CallRow
from bmad_nb.export.bundle import scrubbed
from bmad_nb.messages import fingerprint
from bmad_nb.render.base import Html, plain, seconds, usd
from bmad_nb.render.report import heading, page_html, quoted
from bmad_nb.render.run import as_text
from bmad_nb.runs.run import Run
from bmad_nb.secrets import scrub

OUTPUT_LIMIT = 2_000
"""Characters of an output that a summary shows."""


def summary(found: Any) -> str:
    """Return a run in a few lines: what, how it ended, what it cost, and its outputs, shortened.

    Args:
        found: the `Run`, or the `Result` of ask or compare.
    """
    run = found.run
    facts = found.to_json()
    lines = [
        f"{run.workflow or run.verb} · run {run.run_id} · {run.status}"
        + (f" ({run.reason})" if run.reason else ""),
        f"began {run.started_utc[:19].replace('T', ' ')} UTC"
        + (f", took {seconds(found.duration_s)}" if found.duration_s is not None else ""),
        f"{facts.get('calls_made', getattr(found, 'calls_made', 0))} calls made, "
        f"{usd(found.cost_usd)}" + _invented(facts),
    ]
    if isinstance(found, Run):
        states = [f"{row['task']}: {row['state']}" for row in facts["tasks"]]
        lines.append("tasks: " + ", ".join(states))
        outputs = found.outputs
    else:
        outputs = {str(label): row.text for label, row in found.answers.items()}
    for name, value in outputs.items():
        text = as_text(value, indent=2)
        short = text[:OUTPUT_LIMIT]
        more = f"\n… the first {len(short):,} of {len(text):,} characters" * (
            len(short) < len(text)
        )
        lines += ["", f"[{name}]", short + more]
    return plain(scrub("\n".join(lines)))


def _invented(facts: Mapping[str, Any]) -> str:
    invented = facts["simulated_cost_usd"]
    return f" (and ${invented} simulated)" if float(invented) else ""


def detailed(found: Any, calls: Sequence[CallRow], scores: Sequence[Any]) -> str:
    """Return all of a run as text: plan, decisions, prompts, answers, costs, scores."""
    lines = [summary(found)]
    for title, body in sections(found, calls, scores):
        lines += ["", f"== {title} ==", "", plain(body)]
    return "\n".join(lines)


def sections(
    found: Any, calls: Sequence[CallRow], scores: Sequence[Any]
) -> Iterator[tuple[str, str]]:
    """Yield the parts of a detailed export, each with its title; keys are taken out."""
    if isinstance(found, Run):
        changes = "\n".join(found.deviations)
        yield "Decisions", scrub("\n\n".join(filter(None, [found.why, changes])))
    else:
        yield "Decisions", scrub(found.why)
    for call in calls:
        yield f"Call {call.call_id} · {call.label}", scrub("\n".join(_told(call)))
    yield "Costs", scrub("\n".join(_costs(calls)))
    if scores:
        said = [f"{s.call_id}  {s.llm}  {s.value:.3f}  by {s.scorer} ({s.source})" for s in scores]
        yield "Scores", scrub("\n".join(said))
    if isinstance(found, Run):
        plan = found.state.plan or {}
        yield "Plan", scrub(json.dumps(scrubbed(plan), indent=2, ensure_ascii=False))


def _told(call: CallRow) -> Iterator[str]:
    where = [f"task {call.task}"] * bool(call.task) + [f"case {call.case}"] * bool(call.case)
    took = [seconds(call.original_latency_s)] if call.original_latency_s is not None else []
    origin = ["from the store"] * call.from_store + ["simulated"] * call.simulated
    yield " · ".join([*where, call.state, usd(call.cost_usd), *took, *origin])
    for message in call.messages:
        yield from ("", f"[{message.role}]", message.text)
    if call.text is not None:
        yield from ("", "[answer]", call.text)
    if call.error:
        yield from (
            "",
            f"[{call.error_kind or 'error'}]",
            f"{call.error} {call.error_hint}".strip(),
        )


def _costs(calls: Sequence[CallRow]) -> Iterator[str]:
    for simulated in (False, True):
        mine = [call for call in calls if call.simulated is simulated]
        if mine:
            known = sum(call.cost_usd or 0 for call in mine)
            unknown = sum(c.cost_usd is None and c.state == "answered" for c in mine)
            more = f", {unknown} answers without a known price" if unknown else ""
            yield f"{'simulated' if simulated else 'real'}: ${known:f} in {len(mine)} calls{more}"


def page(found: Any, calls: Sequence[CallRow], scores: Sequence[Any]) -> str:
    """Return a run as a page of its own: its card, then all that `detailed` has."""
    card = Html(scrub(str(found._repr_mimebundle_()["text/html"])))
    parts: list[str] = [card]
    for title, body in sections(found, calls, scores):
        parts += [heading(title), quoted(body)]
    return page_html(f"{found.run.workflow or found.run.verb} · run {found.run.run_id}", parts)


def notebook(found: Any) -> str:
    """Return a run as a notebook with its card saved; executed again, it reads the store."""
    run = found.run
    mime = found._repr_mimebundle_()
    shown = {
        "output_type": "execute_result", "execution_count": None, "metadata": {},
        "data": {kind: scrub(mime[kind]) for kind in ("text/plain", "text/html")},
    }  # fmt: skip
    table = "r.tasks" if isinstance(found, Run) else "r.df"
    cells = [
        _cell(run, "markdown", f"# Run {run.run_id}\n\nExported from bmad_nb. The card below is "
              "saved; to execute the cells, the store must have the run (`bmad import FILE` brings "
              "a JSON export in)."),
        _cell(run, "code", f'run_id = "{run.run_id}"', tags=["parameters"]),
        _cell(run, "code", "%load_ext bmad_nb"),
        _cell(run, "code", "%bmad show {{ run_id }} -o r", outputs=[shown]),
        _cell(run, "code", table),
    ]  # fmt: skip
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    made = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"


def _cell(
    run: Any, kind: str, source: str, *, outputs: Sequence[Any] = (), tags: Sequence[str] = ()
) -> dict[str, Any]:
    made: dict[str, Any] = {
        "cell_type": kind,
        "id": fingerprint([run.run_id, source])[:12],
        "metadata": {"tags": list(tags)} if tags else {},
        "source": source,
    }
    if kind == "code":
        made |= {"execution_count": None, "outputs": list(outputs)}
    return made
