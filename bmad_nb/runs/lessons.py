"""What the judges of a run said of its answers, as scores that something is learned from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bmad_nb.events import CallRow, TaskRow
from bmad_nb.messages import fingerprint
from bmad_nb.plan import root_of
from bmad_nb.render.base import listed
from bmad_nb.scorers.base import interval
from bmad_nb.state import RunState
from bmad_nb.store.scores import ScoreRow


def lessons(state: RunState, types: Mapping[str, str]) -> list[ScoreRow]:
    """Return the scores of a run's drafts and candidates.

    Args:
        state: the run; it may be unfinished.
        types: kind of each task.
    """
    found: dict[str, ScoreRow] = {}
    for row in sorted(state.tasks.values(), key=lambda each: -len(each.task)):  # innermost first
        call = state.calls.get(row.call_id)
        score = (row.facts or {}).get("score")
        if call is None or call.state != "answered" or call.call_id in found:
            continue  # a task repeats the score of its best part
        if isinstance(score, int | float):
            judges = list(_judges(state, row))
            found[call.call_id] = _score(row, call, float(score), judges, types)
    place = {call_id: number for number, call_id in enumerate(state.calls)}
    return sorted(found.values(), key=lambda row: place[row.call_id])


def _judges(state: RunState, row: TaskRow) -> Iterator[TaskRow]:
    """Yield the judgements of a row's answer, which stand beside it as parts."""
    for name, each in state.tasks.items():
        judged = name.removeprefix(f"{row.task}.judge")
        if judged != name and each.state == "done" and isinstance(each.value, Mapping):
            yield each


def _score(
    row: TaskRow, call: CallRow, score: float, judges: list[TaskRow], types: Mapping[str, str]
) -> ScoreRow:
    values = [float(each.value["score"]) for each in judges if "score" in each.value]
    names = sorted({each.llm for each in judges})
    low, high = interval(values)
    invented = any(each.simulated for each in judges)
    return ScoreRow(
        run_id=row.run_id, call_id=call.call_id, request_key=call.request_key, llm=call.llm,
        scorer=f"judge {listed(names)}" if names else "condition",
        source="judge" if names else "check", value=score,
        key=fingerprint(["workflow", row.content, names]), variant=call.variant,
        task_type=types.get(root_of(row.task), ""), n=max(1, len(values)), low=low, high=high,
        explanation=str((row.facts or {}).get("feedback") or "")[:2000],
        simulated=call.simulated or invented, counts=call.simulated or not invented,
    )  # fmt: skip
