"""The stored answers behind ids of runs and calls."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from bmad_nb.errors import BmadError, UnknownName, UnknownRun, UsageProblem
from bmad_nb.events import CallRow
from bmad_nb.runs.run import Run
from bmad_nb.store import scores
from bmad_nb.workflow import output

_FENCED = re.compile(r"```[\w+-]*[ \t]*\n(.*?)\n?```", re.DOTALL)


class BelowQuality(BmadError):
    """Too few stored results are good enough."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One stored answer."""

    name: str
    """Who gave it: the LLM, and its run where it gave several."""
    query: str
    """What it answers: a case, or an output of a workflow; empty where there is but one."""
    text: str
    value: Any = None
    """Its value where it is JSON."""
    score: float | None = None
    cost_usd: Decimal | None = None
    simulated: bool = False
    source: str = ""
    """The id that brought it: a run or a call."""


def candidates(space: Any, ids: Sequence[str]) -> list[Candidate]:
    """Return the stored answers behind ids of runs and calls.

    A run of `ask` has one answer, one of `compare` an answer for each case, LLM and sample; of a
    workflow each output is an answer, and `RUN/OUTPUT` is one of them.

    Args:
        space: the workspace.
        ids: ids of runs, calls (`RUN-NUMBER`), or `RUN/OUTPUT`.

    Raises:
        UsageProblem: an id is unknown, or has no answer.
    """
    found: list[Candidate] = []
    for each in dict.fromkeys(ids):
        of_one = _of_id(space, each)
        if not of_one:
            raise UsageProblem(f"{each} has no answer.", hint="Leave it out, or finish it first.")
        found += of_one
    return _named_apart(found)


def _of_id(space: Any, given: str) -> list[Candidate]:
    call = space.store.call(given)
    if call is not None:
        return [_of_call(space, call, given)] if call.state == "answered" else []
    run_id, _, wanted = given.partition("/")
    try:
        found = space.run_of(run_id)
    except UnknownRun as error:
        raise UsageProblem(f"There is no stored result {given!r}.", hint=error.hint) from None
    if isinstance(found, Run):
        return _of_outputs(found, given, wanted)
    if wanted:
        raise UsageProblem(f"Run {found.id} has no outputs.", hint="Write its id alone.")
    marks = {row.call_id: row.score for row in found.rows}
    return [_of_call(space, row, given, marks) for row in found.answers.values()]


def _of_call(
    space: Any, call: CallRow, given: str, marks: Mapping[str, float | None] | None = None
) -> Candidate:
    score = (marks or {}).get(call.call_id, call.score)
    if marks is None:
        own = [
            row for row in scores.of_run(space.store, call.run_id) if row.call_id == call.call_id
        ]
        score = own[-1].value if own else call.score
    return Candidate(
        call.label, call.case, call.text or "", _value(call.text or ""), score,
        call.original_cost_usd, call.simulated, given,
    )  # fmt: skip


def _of_outputs(run: Run, given: str, wanted: str) -> list[Candidate]:
    if wanted and wanted not in run.outputs:
        raise UnknownName(f"output of run {run.id}", wanted, run.outputs)
    names = [wanted] if wanted else list(run.outputs)
    rows = run.state.tasks
    makers = {name: _maker(run, name) for name in names}
    found = []
    for name in names:
        value = run.outputs[name]
        row = rows.get(makers[name])
        score = (row.facts or {}).get("score") if row else None
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        found.append(Candidate(
            run.id, "" if len(names) == 1 else name, text,
            _value(text) if isinstance(value, str) else value,
            float(score) if isinstance(score, int | float) else None,
            run.cost_usd, any(c.simulated for c in run.state.calls.values()), given,
        ))  # fmt: skip
    return found


def _maker(run: Run, name: str) -> str:
    """Return the task that an output reads, where it reads one."""
    said = ((run.run.definition or {}).get("outputs") or {}).get(name)
    return said.partition(".")[0] if isinstance(said, str) else ""


def _value(text: str) -> Any:
    """Return a text's value where it is a JSON object or list and nothing else, fenced or not."""
    match = _FENCED.fullmatch(text.strip())
    bare = (match[1] if match else text).strip()
    if bare[:1] not in {"{", "["} or bare[-1:] not in {"}", "]"}:
        return None
    try:
        return output.read_answer(bare, {})
    except BmadError:
        return None


def _named_apart(found: Sequence[Candidate]) -> list[Candidate]:
    """Return candidates with names that differ within a query: the run stands behind equal ones."""
    many: dict[tuple[str, str], int] = {}
    for each in found:
        many[each.query, each.name] = many.get((each.query, each.name), 0) + 1
    apart = [
        dataclasses.replace(c, name=f"{c.name} ({c.source})") if many[c.query, c.name] > 1 else c
        for c in found
    ]
    seen: set[tuple[str, str]] = set()
    for each in apart:
        if (each.query, each.name) in seen:
            raise UsageProblem(f"{each.source} is given twice.", hint="Name each result once.")
        seen.add((each.query, each.name))
    return apart


def labels(found: Sequence[Candidate]) -> list[str]:
    """Return a sentence where some of the answers are invented."""
    fakes = [c.name for c in found if c.simulated]
    if not fakes:
        return []
    every = "All" if len(fakes) == len(found) else "Some"
    return [f"{every} of these answers are simulated: invented, by LLMs that are none."]
