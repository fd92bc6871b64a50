"""Which LLM was chosen for what, when, and why: read back from the events of a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bmad_nb.errors import UnknownName
from bmad_nb.events import PriceChanged, Routed, RunPlanned, RunStarted, TaskRow
from bmad_nb.plan import root_of
from bmad_nb.render.routing import WhyView, why_html, why_text
from bmad_nb.store.stamped import Stamped

if TYPE_CHECKING:
    import pandas as pd


class Explanation:
    """Why calls went to the LLMs that they went to.

    Args:
        frame: rows of the decisions frame.
    """

    MOST = 20
    """Decisions that are shown; the frame has all."""

    def __init__(self, frame: pd.DataFrame) -> None:
        """Keep the rows."""
        self.frame = frame

    @classmethod
    def of(cls, frame: pd.DataFrame, tasks: Sequence[str]) -> Explanation:
        """Return that of some tasks, or of all if none is named.

        Raises:
            UnknownName: no LLM was chosen for such a task.
        """
        known = set(frame["task"])
        for name in tasks:
            if name not in known:
                raise UnknownName("task that an LLM was chosen for", name, known)
        return cls(frame[frame["task"].isin(tasks)] if tasks else frame)

    @property
    def views(self) -> list[WhyView]:
        """What is shown, the newest choice of each part."""
        newest = self.frame.drop_duplicates("part", keep="last")
        return [_why(row) for row in newest.to_dict("records")[: self.MOST]]

    def to_json(self) -> list[dict[str, Any]]:
        """Return the choices as JSON values."""
        return [dataclasses.asdict(_why(row)) for row in self.frame.to_dict("records")]

    def _repr_mimebundle_(self, **_wanted: Any) -> dict[str, Any]:
        """Return the static bundle."""
        html = "".join(map(why_html, self.views))
        return {"text/plain": repr(self), "text/html": html}

    def __repr__(self) -> str:
        """Return the plain form, safe on a terminal."""
        return "\n\n".join(map(why_text, self.views)) or "No LLM was chosen."


def _why(row: Mapping[Any, Any]) -> WhyView:
    when = f"at {str(row['time_utc'])[:19]} UTC"
    facts = ["decided in the plan" if row["at"] == "plan" else when]
    if row["left_usd"] == row["left_usd"]:
        facts.append(f"${row['left_usd']:.4g} were left")
    if row["learned_version"]:
        facts.append(f"version {row['learned_version']} of what scores taught")
    if row["propensity"] < 1:
        facts.append(f"chosen with probability {row['propensity']:.2f}")
    invented = bool(row["simulated"])
    candidates = [  # a plan says it of the one that it chose only
        {**each, "simulated": each.get("simulated", invented and each["llm"] == row["llm"])}
        for each in row["candidates"]
    ]
    return WhyView(
        row["part"], row["llm"], row["router"], row["reason"], candidates, tuple(facts),
        invented,
    )  # fmt: skip


def decisions(events: Iterable[Stamped], simulated: Mapping[str, bool]) -> list[dict[str, Any]]:
    """Return a row for each choice, in the order in which they were made.

    A choice of the plan counts once, and again where a later plan chose otherwise.

    Args:
        events: those of one run.
        simulated: LLMs, and whether they are simulated.
    """
    found: list[dict[str, Any]] = []
    planned: dict[str, tuple[str, str]] = {}
    learned: int | None = None
    for each in events:
        event = each.event
        if isinstance(event, RunStarted):
            learned = (event.run.options or {}).get("learned")
        elif isinstance(event, RunPlanned):
            for task, step in _steps(event.plan, ""):
                key = step["llm"], step.get("reason", "")
                if planned.get(task) != key:
                    planned[task] = key
                    found.append(_of_plan(event.run_id, task, step, learned, each.time_utc))
        elif isinstance(event, Routed):
            found.append(_of_call(event, each.time_utc, simulated))
    return found


def _steps(plan: Mapping[str, Any], above: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for step in plan["steps"]:
        if "llm" in step:
            yield above + step["id"], step
        if "plan" in step:
            yield from _steps(step["plan"], f"{above}{step['id']}/")


def _of_plan(
    run_id: str, task: str, step: Mapping[str, Any], learned: int | None, when: str
) -> dict[str, Any]:  # fmt: skip
    expected = step.get("expected", {})
    said = {step["llm"]: "chosen", **step.get("rejected", {})}
    candidates = [
        {"llm": llm, **({"expected": expected[llm]} if llm in expected else {}), "outcome": why}
        for llm, why in said.items()
    ]
    return {
        "run_id": run_id, "task": root_of(task), "part": task, "attempt": 0, "call_id": "",
        "at": "plan", "router": step.get("router", "fixed"), "llm": step["llm"],
        "reason": step.get("reason", ""), "candidates": candidates,
        "expected": expected.get(step["llm"]), "propensity": step.get("propensity") or 1.0,
        "learned_version": learned, "left_usd": None, "in_flight": None,
        "simulated": bool(step.get("simulated")), "time_utc": when,
    }  # fmt: skip


def _of_call(event: Routed, when: str, simulated: Mapping[str, bool]) -> dict[str, Any]:
    candidates = list(event.candidates)
    chosen: dict[str, Any] = next((c for c in candidates if c["llm"] == event.llm), {})
    stood = event.stood or {}
    left = stood.get("left_usd")
    return {
        "run_id": event.run_id, "task": root_of(event.task), "part": event.task,
        "attempt": event.attempt, "call_id": event.call_id, "at": "call", "router": event.router,
        "llm": event.llm, "reason": event.reason, "candidates": candidates,
        "expected": chosen.get("expected"), "propensity": event.propensity or 1.0,
        "learned_version": event.learned, "left_usd": None if left is None else float(left),
        "in_flight": stood.get("in_flight"), "simulated": simulated.get(event.llm, False),
        "time_utc": when,
    }  # fmt: skip


def deviations(
    steps: Iterable[Mapping[str, Any]], tasks: Mapping[str, TaskRow], events: Iterable[Stamped]
) -> list[str]:
    """Return where a run went otherwise than planned, a sentence each.

    Args:
        steps: those of its plan, as JSON values.
        tasks: outcomes of its tasks.
        events: all that happened.
    """
    found = []
    for step in steps:
        row = tasks.get(step["id"])
        if row is None or row.kept_from:
            continue
        planned = step.get("llm", "")
        if row.degraded:
            by = row.llm or "a value"
            found.append(f"{row.task}: fallback {row.rung} stood in, {by} for {planned}.")
        elif planned and row.llm and row.llm != planned:
            found.append(f"{row.task}: {row.llm} answered, and {planned} was planned.")
    found += [
        f"{each.event.llm}: its price changed during the run."
        for each in events
        if isinstance(each.event, PriceChanged)
    ]
    return found
