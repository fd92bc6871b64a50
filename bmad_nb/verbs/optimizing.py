"""The verb that proposes a cheaper or faster plan: `workflow optimize`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bmad_nb.errors import UsageProblem
from bmad_nb.planner import Wishes
from bmad_nb.render.base import counted
from bmad_nb.reports import Report
from bmad_nb.scorers.choice import NAMES as SCORERS
from bmad_nb.verbs.asking import cases_option, model_option, read_cases_of
from bmad_nb.verbs.base import Front, bound, json_option, out_option, pair, param_option, shown
from bmad_nb.verbs.measuring import write_new
from bmad_nb.verbs.running import SUFFIXES, found, without_body
from bmad_nb.workflow import inputs as values


@click.command()
@click.option("--definition", required=True, metavar="FILE", help="the workflow")
@click.option("--objective", type=click.Choice(["cost", "latency"]), default="cost",
              show_default=True, help="what is to become less")  # fmt: skip
@click.option("--maintain-quality", "quality", type=click.FloatRange(0, 1), metavar="S",
              help="least score, surely; [engine] quality_threshold without")  # fmt: skip
@click.option("--to", metavar="FILE", help="the proposal; NAME.optimized.yaml beside it without")
@click.option("--force", is_flag=True, help="overwrite that file")
@click.option("--measure", is_flag=True, help="run the proposal once, and say what it took")
@click.option("--budget", metavar="USD", help="hard limit on what --measure may cost")
@click.option("--trials-usd", metavar="USD",
              help="run trials of further changes, for at most so much")  # fmt: skip
@model_option
@cases_option
@click.option("--reference", metavar="COLUMN", help="column of --over that has the right answers")
@click.option("--scorer", type=click.Choice(SCORERS), default="exact", show_default=True,
              help="how the first output meets --reference")  # fmt: skip
@param_option
@out_option
@json_option
@click.pass_obj
def optimize(front: Front, /, definition: str, **given: Any) -> Any:
    """Propose other LLMs for the tasks of a workflow, by what its stored runs have shown.

    Nothing is asked. A change is made only where the lower end of the 95 % interval of the new
    LLM's mean score reaches what is to be maintained; else: no safe change.

    With --trials-usd, LLMs that were not tried (those of -m, else those with a lower price) are
    tried in runs over the inputs of earlier runs, scored by the task's own judge, or over the cases
    of --over, scored against --reference. The same line again goes on, and pays nothing twice.
    """
    from bmad_nb import optimizing

    without_body(front)
    path = Path(definition)
    if path.suffix.lower() not in SUFFIXES or not path.is_file():
        raise UsageProblem(f"There is no workflow file {definition!r}.", hint="Give a .yaml file.")
    flow = found(front, definition)
    space = front.workspace
    quality = given["quality"]
    if quality is None:
        quality = space.settings.engine.quality_threshold
    _fitting(given)
    made = optimizing.proposal(
        space, flow, path.read_text("utf-8"), objective=given["objective"], quality=quality,
        name=path.name,
    )  # fmt: skip
    done = None
    if given["trials_usd"] is not None:
        done = _tried(front, flow, path, made, {**given, "quality": quality})
        made = done.proposal
    report = _report(made, quality)
    if done is not None:
        _add_trials(report, done)
    if made.changes:
        to = Path(given["to"]) if given["to"] else optimizing.written(path)
        write_new(to, made.text, force=given["force"])
        report.facts["file"] = str(to)
        report.notes += (f"Written: {to}. Run it: bmad run {to}", made.diff)
        if given["measure"]:
            _measured(front, to, made, report, given)
    return shown(bound(front, report, given["out"]), as_json=given["as_json"])


def _fitting(given: dict[str, Any]) -> None:
    """Refuse options that do not go together.

    Raises:
        UsageProblem: it says which.
    """
    wants = {"--over": given["over"], "--reference": given["reference"], "-m": given["models"]}
    if given["trials_usd"] is None:
        for name in (name for name, value in wants.items() if value):
            raise UsageProblem(
                f"{name} is for trials.", hint="Say what they may cost: --trials-usd 0.05"
            )
    elif given["objective"] != "cost":
        raise UsageProblem("Trials measure cost.", hint="Leave out --objective latency.")
    if bool(given["over"]) != bool(given["reference"]):
        raise UsageProblem("--over and --reference go together.",
                           hint="Write --over cases.csv --reference COLUMN.")  # fmt: skip


def _tried(front: Front, flow: Any, path: Path, made: Any, given: dict[str, Any]) -> Any:
    """Run trials of further changes."""
    from bmad_nb import trying
    from bmad_nb.grid import cases_of
    from bmad_nb.lab.experimenting import against
    from bmad_nb.scorers.choice import scorer_of

    cases = cases_of(read_cases_of(front, given["over"])) if given["over"] else []
    score = against(given["reference"], scorer_of(given["scorer"]), cases) if cases else None
    return trying.after_trials(
        front.workspace, flow, path.read_text("utf-8"), made, quality=given["quality"], cases=cases,
        budget_usd=given["trials_usd"], score=score, llms=given["models"], name=path.name,
    )  # fmt: skip


def _add_trials(report: Report, done: Any) -> None:
    """Say beside a proposal what its trials showed and cost."""
    rows = [
        {"task": t.task, "before": t.before, "after": t.after, "cases": f"{t.cases} of {t.planned}",
         "score": t.score, "surely": t.low, "from_usd": t.usd_before, "to_usd": t.usd_after,
         "verdict": t.verdict}
        for t in done.trials
    ]  # fmt: skip
    if rows:
        report.tables["trials"] = rows
        report.title += f"; {counted(len(rows), 'trial')}"
    spent, invented = done.spent_usd, done.simulated_usd
    report.facts["trials_usd"] = {
        "budget": done.budget_usd, "spent": spent, "simulated": invented,
    }  # fmt: skip
    said = f"${spent:f}" + (f" and ${invented:f} of simulated money" if invented else "")
    if not rows:
        report.notes += ("No trial was run: no other LLM here has a lower price and passes.",)
        return
    level = f"Intervals: {done.level:.3g}, so that {len(rows)} together hold with 0.95."
    report.notes += (f"Trials took {said}, of at most ${done.budget_usd:f}. {level}",)
    if any(t.verdict == "out of money" for t in done.trials):
        report.notes += ("The money ran out: the same line with a larger --trials-usd goes on.",)


def _report(made: Any, quality: float) -> Report:
    """Return a proposal as a report."""
    unit = "_usd" if made.objective == "cost" else "_s"
    rows = [
        {"task": c.task, "before": c.before, "after": c.after,
         f"from{unit}": c.value_before, f"to{unit}": c.value_after,
         "score": c.quality_mean, "surely": c.quality_low, "basis": c.basis}
        for c in made.changes
    ]  # fmt: skip
    facts = {
        "objective": made.objective, "maintain_quality": quality, "runs_read": made.runs,
        "before": made.before, "after": made.after, "saving": made.saving,
        "simulated": made.simulated, "diff": made.diff, "refused": list(made.refused),
    }  # fmt: skip
    sort = " (simulated)" if made.simulated else ""
    if not rows:
        title = f"No safe change of {made.objective} was found in {made.runs} runs{sort}"
        return Report(title, {}, made.refused, {**facts, "changes": []})
    title = (f"{made.saving:.0%} less {made.objective}{sort}, by {made.runs} runs; quality is kept "
             f"at {quality:g}")  # fmt: skip
    whole = [{"run": "a run now", f"takes{unit}": made.before},
             {"run": "with the changes", f"takes{unit}": made.after}]  # fmt: skip
    return Report(title, {"changes": rows, "a whole run": whole}, made.refused, facts)


def _measured(front: Front, to: Path, made: Any, report: Report, given: dict[str, Any]) -> None:
    """Run the proposal, and say beside the claim what it took."""
    from bmad_nb import optimizing

    space = front.workspace
    flow = found(front, str(to))
    texts = dict(pair(text) for text in given["params"])
    inputs = values.typed(flow, texts)
    if not texts:
        rows = [row for row in space.store.runs() if row.workflow == flow.id]
        inputs = space.store.run(rows[-1].run_id).inputs or {}
    run = space.go(space.prepared(flow, Wishes(inputs), given["budget"], "never"))
    took = optimizing.measured(run, made.objective)
    saving = 1 - took / made.before if made.before else 0.0
    report.facts["measured"] = {"run_id": run.id, "takes": took, "saving": saving}
    said = f"Measured in run {run.id}: {saving:.1%} less; claimed were {made.saving:.1%}."
    report.notes += (said,)
