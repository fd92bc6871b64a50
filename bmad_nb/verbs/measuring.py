"""Where runs stand, and where their time and money went: `status`, `metrics`, `analyze`."""

from __future__ import annotations

import dataclasses
import datetime
from pathlib import Path
from typing import Any

import click

from bmad_nb.alerts import Limits, Watched
from bmad_nb.errors import UsageProblem
from bmad_nb.events import RunRow
from bmad_nb.render.report import page_html, report_html
from bmad_nb.reports import Report
from bmad_nb.results import Text
from bmad_nb.runs.run import Run
from bmad_nb.verbs.base import Front, bound, json_option, out_option, run_argument, shown
from bmad_nb.verbs.running import without_body

ACTIVE = ("running", "paused", "interrupted")
"""States of a run that is not over."""


@click.command()
@click.argument("run_id", metavar="[RUN]", required=False)
@click.option("--active", is_flag=True, help="only those that run, wait, or were interrupted")
@click.option("--limit", type=click.IntRange(1), default=20, help="how many, the newest first")
@out_option
@json_option
@click.pass_obj
def status(
    front: Front, run_id: str | None, *, active: bool, limit: int, out: str | None, as_json: bool
) -> Any:
    """Show where runs stand: tasks done, money spent, who is asked, and what comes next."""
    without_body(front)
    store = front.workspace.store
    rows = [store.run(run_id)] if run_id else store.runs()[::-1]
    chosen = [row for row in rows if not active or row.status in ACTIVE][:limit]
    found = [_standing(front, row) for row in chosen]
    which = "not over" if active else "the newest first"
    report = Report(f"Runs, {which}", {"": found}, () if found else (_nothing(active),))
    return shown(bound(front, report, out), as_json=as_json)


def _nothing(active: bool) -> str:
    return (
        "No run is active." if active else "There is no run yet: bmad workflow execute begins one."
    )


def _standing(front: Front, row: RunRow) -> dict[str, Any]:
    """Return where a run stands, as the store has it."""
    store = front.workspace.store
    watched = Watched(row, Limits())
    total = 0
    for each in store.events(row.run_id):
        watched.take(each.time_utc, each.event)
        if each.event.kind == "run_planned":
            total = len(getattr(each.event, "plan", {}).get("steps", ()))
    over = row.status not in ACTIVE
    asked = [] if over else sorted({call.llm for call in watched.flying.values()})
    counted = f"{len(watched.done)}/{total}" if total else ""
    return {
        "run_id": row.run_id,
        "workflow": row.workflow or row.verb,
        "status": row.status,
        "tasks": counted or None,
        "spent_usd": watched.spent_usd(simulated=False),
        "simulated_usd": watched.spent_usd(simulated=True),
        "limit_usd": row.budget_usd,
        "age_s": _age_s(row.started_utc),
        "asks": asked[:3] if row.status == "running" else [],
        "next": _next(row, watched),
    }


def _age_s(started_utc: str) -> float:
    began = datetime.datetime.fromisoformat(started_utc)
    return (datetime.datetime.now(datetime.UTC) - began).total_seconds()


def _next(row: RunRow, watched: Watched) -> str:
    if row.status not in ACTIVE:
        return ""
    if watched.waiting:
        return f"bmad approve {row.run_id} {min(watched.waiting)}"
    if row.status == "running":
        return f"bmad pause {row.run_id}" if row.workflow else ""
    return f"bmad resume {row.run_id}" if row.workflow else "run the same words again"


def performance_of(front: Front, run_id: str) -> Report:
    """Return what the calls of a run took, cost and were worth, by task and by LLM.

    Raises:
        UnknownRun: there is none.
    """
    from bmad_nb import measures

    calls = calls_of(front, run_id)
    tables = {name: measures.performance(calls, by)
              for name, by in (("By task", "task"), ("By LLM", "llm"))}  # fmt: skip
    tables["All"] = [measures.total(calls)]
    run = front.workspace.store.run(run_id)
    note = (
        "Service is the time of calls, queue the waiting before them; calls run beside each other, "
        "so their sum may be more than the run took."
    )
    return Report(f"Performance of run {run.run_id} ({run.workflow or run.verb})", tables, [note])


def calls_of(front: Front, run_id: str | None) -> Any:
    """Return the calls frame of a run, or of the whole store, with the newest scores."""
    from bmad_nb import measures

    space = front.workspace
    calls = space.calls()
    if run_id is not None:
        calls = calls[calls["run_id"] == space.store.run(run_id).run_id]
    return measures.scored(calls.reset_index(drop=True), space.scores())


def page_of(report: Report, path: str, *, force: bool) -> None:
    """Write a report as a page that opens offline.

    Raises:
        UsageProblem: the file is there already, or cannot be written.
    """
    from bmad_nb.render.base import Html

    write_new(Path(path), page_html(report.title, [Html(report_html(report.view()))]), force=force)


def write_new(path: Path, body: str | bytes, *, force: bool) -> None:
    """Write a file that is not there yet.

    Raises:
        UsageProblem: it is there already and is not to be overwritten, or cannot be written.
    """
    if path.exists() and not force:
        raise UsageProblem(f"{path} is there already.", hint="Add --force to overwrite it.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body.encode("utf-8", "replace") if isinstance(body, str) else body)
    except OSError as error:
        raise UsageProblem(f"{path} cannot be written: {error.strerror}.") from None


@click.command()
@click.argument("run_id", metavar="[RUN]", required=False)
@click.option("--execution-time", is_flag=True, help="p50, p90 and p99 by task and LLM")
@click.option("--cost-efficiency", is_flag=True, help="what money bought, saved, and was wasted")
@out_option
@json_option
@click.pass_obj
def metrics(
    front: Front, run_id: str | None, *, execution_time: bool, cost_efficiency: bool,
    out: str | None, as_json: bool,
) -> Any:  # fmt: skip
    """Measure a run, or the whole store: time by task and LLM, and what its money bought."""
    from bmad_nb import measures

    without_body(front)
    calls = calls_of(front, run_id)
    both = not execution_time and not cost_efficiency
    tables: dict[str, Any] = {}
    if execution_time or both:
        tables["Execution time"] = measures.timing(calls)
    if cost_efficiency or both:
        tables["Cost efficiency"] = measures.efficiency(calls)
        tables["Workflows"] = measures.per_run(calls, front.workspace.runs())
        tables["Where money went"] = measures.waste(calls)
    facts = {"total": measures.total(calls)}
    notes = ["Simulated money is invented, and never added to real money."] if (
        calls["simulated"].any()) else []  # fmt: skip
    where = f"run {front.workspace.store.run(run_id).run_id}" if run_id else "all runs"
    report = Report(f"Metrics of {where}: {len(calls)} calls", tables, notes, facts)
    return shown(bound(front, report, out), as_json=as_json)


@click.command()
@run_argument
@click.option("--bottlenecks", is_flag=True, help="what held it up, with predicted savings")
@click.option("--performance", is_flag=True, help="time, cost and quality by task and LLM")
@click.option("--apply", is_flag=True, help="run it again with the first of them mended")
@click.option("--html", "page", metavar="FILE", help="with --performance: the same as a page")
@click.option("--force", is_flag=True, help="overwrite the file of --html")
@json_option
@click.pass_obj
def analyze(  # noqa: PLR0917  (click passes them by name)
    front: Front, /, run_id: str, bottlenecks: bool, performance: bool, apply: bool,
    page: str | None, force: bool, as_json: bool,
) -> Any:  # fmt: skip
    """Say where the time and money of a run went, what held it up, and what would mend that."""
    without_body(front)
    if not (performance or page):
        return shown(_held_up(front, run_id, apply=apply), as_json=as_json)
    report = performance_of(front, run_id)
    if bottlenecks or apply:
        found = _held_up(front, run_id, apply=apply)
        report.facts["bottlenecks"] = found.value
        report.notes = (*report.notes, found.text)
    if page:
        page_of(report, page, force=force)
        front.say(f"written: {page}")
    return shown(report, as_json=as_json)


def _held_up(front: Front, run_id: str, *, apply: bool) -> Text:
    """Return what held a run up; with `apply`, what came of mending the first of it."""
    run = front.workspace.run_of(run_id)
    if not isinstance(run, Run):
        raise UsageProblem(f"Run {run_id} is no workflow.", hint="Look at its calls.")
    found = run.bottlenecks()
    lines = [
        f"{each.cause}: {each.why} Without: {each.predicted_s:.2f} s instead of "
        f"{run.duration_s or 0:.2f} s ({each.change})"
        for each in found
    ]
    rows: list[dict[str, Any]] = [dataclasses.asdict(each) for each in found]
    if apply:
        cause, again = front.workspace.improve(run.id)
        measured = again.duration_s or 0.0
        lines.append(
            f"Applied {cause.cause}: predicted {cause.predicted_s:.2f} s, measured "
            f"{measured:.2f} s in run {again.id}."
        )
        rows.append({"applied": cause.cause, "run_id": again.id, "measured_s": measured})
    return Text("\n".join(lines) or "Nothing held it up.", rows)
