"""What a monitor shows of a run, as JSON values, and the changes that each new event makes.

A board is a fold over the events of a run. A change is a JSON merge patch (RFC 7396): an object
inside an object is merged, null takes a key away. So two observers that saw the same events have
the same board, and one that opens later takes the whole and goes on with the changes.
"""

from __future__ import annotations

import datetime
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from bmad_nb.events import (
    CallEnded,
    CallIntended,
    CallRow,
    RunEnded,
    RunPlanned,
    RunStarted,
    TaskAnswered,
    TaskAsked,
    TaskEnded,
)
from bmad_nb.plan import root_of
from bmad_nb.render.base import cut
from bmad_nb.render.graph import bent
from bmad_nb.render.layers import Sizes, layout
from bmad_nb.render.run import GraphView, as_text
from bmad_nb.runs.drawing import graph_of, node_of
from bmad_nb.state import RunState, advance
from bmad_nb.store.stamped import Stamped

Json = dict[str, Any]
BOX_HEIGHT = 62
"""Pixels of a task's box."""
_MOST_SHOWN = 4_000
"""Characters of what is shown beside a question."""
_MONEY = ("spent_usd", "held_usd", "invented_usd", "invented_held_usd")
_COUNTS = ("made", "flying", "stored", "failed")


def merged(whole: Json, change: Mapping[str, Any]) -> Json:
    """Return `whole` after a change, in place, as RFC 7396 says.

    >>> merged({"a": {"b": 1, "c": 2}}, {"a": {"b": None, "d": 3}})
    {'a': {'c': 2, 'd': 3}}
    """
    for key, value in change.items():
        if value is None:
            whole.pop(key, None)
        elif isinstance(value, Mapping):
            inner = whole.get(key)
            whole[key] = merged(inner if isinstance(inner, dict) else {}, value)
        else:
            whole[key] = value
    return whole


class Board:
    """The state of one run as a monitor shows it.

    `whole` has `run`, `graph`, `tasks`, `calls`, `questions` and `sums`. Times are seconds since
    the run began, without those while it was stopped; money is in US dollars.
    """

    def __init__(self) -> None:
        """Know nothing yet."""
        self.state = RunState()
        self.seq = 0
        """Number of the last event that was taken."""
        self.whole: Json = {
            "run": {}, "graph": {}, "tasks": {}, "calls": {}, "questions": {}, "sums": {},
        }  # fmt: skip
        self._steps: dict[str, Json] = {}
        self._order: dict[str, int] = {}
        self._began: datetime.datetime | None = None
        self._stopped: datetime.datetime | None = None
        self._last: datetime.datetime | None = None
        self.flying: defaultdict[str, set[str]] = defaultdict(set)
        """Calls on their way, by task."""
        self._parts: defaultdict[str, set[str]] = defaultdict(set)
        self._times: dict[str, tuple[float, float | None]] = {}
        self._totals: Counter[str] = Counter()
        self._shares: dict[str, Counter[str]] = {}

    def take(self, events: Iterable[Stamped]) -> Json:
        """Take further events in their order; return the change that they make."""
        tasks, calls, change = set[str](), set[str](), Json()
        for stamped in events:
            self.seq = stamped.seq
            self._time(stamped)
            advance(self.state, stamped.event)
            match stamped.event:
                case RunPlanned():
                    self._plan(change)
                    tasks |= self._steps.keys()
                case CallIntended(call=call) | CallEnded(call=call):
                    calls.add(call.call_id)
                    tasks.add(self._called(call, stamped.time_utc))
                case TaskEnded(task=row):
                    tasks.add(self._ended(row.task))
                case TaskAsked(task=name) | TaskAnswered(task=name):
                    tasks.add(name)
                    self._put(change, "questions", name, self._question(name))
        for call_id in calls:
            self._put(change, "calls", call_id, self._call(self.state.calls[call_id]))
        for task in tasks & self._steps.keys():
            self._put(change, "tasks", task, self._task(task))
        self._set(change, "run", self._run())
        self._set(change, "sums", self._sums())
        return change

    def clock_s(self, now: datetime.datetime | None = None) -> float:
        """Return for how many seconds the run was running; up to `now` while it is."""
        end = self._stopped or (now if self.state.status == "running" else None) or self._last
        return 0.0 if self._began is None or end is None else self._since(end)

    # --- what is kept ---------------------------------------------------------------------------

    def _put(self, change: Json, group: str, key: str, row: Json) -> None:
        """Keep a row of a group, and note what of it is new."""
        old = self.whole[group].get(key)
        part = difference(old or {}, row)
        if part or old is None:
            self.whole[group][key] = row
            change.setdefault(group, {}).setdefault(key, {}).update(part)

    def _set(self, change: Json, group: str, row: Json) -> None:
        part = difference(self.whole[group], row)
        if part:
            self.whole[group] = row
            change[group] = part

    def _time(self, stamped: Stamped) -> None:
        """Let the clock go on where it stood: what lies between two sessions is no time of it."""
        when = datetime.datetime.fromisoformat(stamped.time_utc)
        if isinstance(stamped.event, RunStarted):
            stood = self._stopped or self._last
            if self._began is None or stood is None:
                self._began = when
            else:
                self._began += when - stood
            self._stopped = None
        elif isinstance(stamped.event, RunEnded):
            self._stopped = when
        self._last = when

    def _ended(self, name: str) -> str:
        """Take note of a task or part that has an outcome; return the task that it belongs to."""
        root = root_of(name)
        if root != name:
            self._parts[root].add(name)
        return root

    def _plan(self, change: Json) -> None:
        steps = list((self.state.plan or {}).get("steps", ()))
        self._steps = {step["id"]: step for step in steps}
        self._order = {step["id"]: n for n, step in enumerate(steps)}
        self._set(change, "graph", drawn(graph_of(steps, {}, self.state)))

    def _called(self, call: CallRow, when_utc: str) -> str:
        """Take note of a call in the sums and of its times by this session; return its task."""
        root = root_of(call.task)
        flies = call.state == "in_flight"
        start_s, _ = self._times.get(call.call_id, (None, None))
        if start_s is None:
            start_s = self._since(datetime.datetime.fromisoformat(call.started_utc or when_utc))
        ended = datetime.datetime.fromisoformat(call.ended_utc or when_utc)
        self._times[call.call_id] = start_s, None if flies else self._since(ended)
        (self.flying[root].add if flies else self.flying[root].discard)(call.call_id)
        self._totals.subtract(self._shares.get(call.call_id, Counter()))
        share = self._shares[call.call_id] = _share(call)
        self._totals.update(share)
        return root

    # --- rows -----------------------------------------------------------------------------------

    def _since(self, when: datetime.datetime) -> float:
        assert self._began is not None  # noqa: S101  (every run begins with an event)
        return round(max(0.0, (when - self._began).total_seconds()), 3)

    def _run(self) -> Json:
        state, run = self.state, self.state.run
        if run is None:
            return {}
        return {
            "id": run.run_id, "workflow": run.workflow, "title": cut(run.title, 200),
            "started_utc": run.started_utc[:19], "status": state.status, "reason": state.reason,
            "is_pausing": state.is_pausing and state.status == "running",
            "resumed": run.fence - 1,
            **({} if run.budget_usd is None else {"budget_usd": float(run.budget_usd)}),
        }  # fmt: skip

    def _task(self, name: str) -> Json:
        row = self.state.tasks.get(name)
        node = node_of(self._steps[name], row, (name,) if self.flying[name] else ())
        found = {
            "n": self._order[name], "layer": node.layer, "state": node.state, "verb": node.verb,
            "title": cut(node.title, 200), "llm": node.llm, "note": cut(node.note, 200),
            "simulated": node.simulated, "parts": len(self._parts[name]) or None,
            "cost_usd": None if row is None or row.cost_usd is None else float(row.cost_usd),
            "error": cut(row.error or row.skipped_because, 400) if row else "",
            "asks": bool(self.whole["questions"].get(name)) and node.state == "waiting",
        }  # fmt: skip
        return _said(found)

    def _call(self, call: CallRow) -> Json:
        began, ended = self._times[call.call_id]
        found = {
            "task": root_of(call.task), "llm": call.llm, "state": call.state, "start_s": began,
            "part": call.task if call.task != root_of(call.task) else "",
            "end_s": ended, "attempt": call.attempt if call.attempt > 1 else None,
            "cost_usd": None if call.cost_usd is None else float(call.cost_usd),
            "simulated": call.simulated, "stored": call.from_store, "error": call.error_kind,
        }  # fmt: skip
        return _said(found)

    def _question(self, task: str) -> Json:
        asked = self.state.questions.get(task)
        if asked is None or task in self.state.answers:
            return {}  # it stays, empty: a question that was answered
        return {
            "text": cut(asked.question, _MOST_SHOWN), "options": list(asked.options),
            "form": list(asked.form), "until_utc": asked.until_utc,
            "shown": "" if asked.shown is None else cut(as_text(asked.shown, 2), _MOST_SHOWN),
        }  # fmt: skip

    def _sums(self) -> Json:
        found = {name: self._totals[name] for name in _COUNTS}
        return found | {name: round(float(self._totals[name]), 12) for name in _MONEY}


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> Json:
    """Return the merge patch that makes `new` out of `old`."""
    found: Json = dict.fromkeys(key for key in old if key not in new)
    for key, value in new.items():
        before = old.get(key)
        if isinstance(value, dict) and isinstance(before, dict):
            inner = difference(before, value)
            if inner:
                found[key] = inner
        elif key not in old or before != value:
            found[key] = value
    return found


def _said(found: Json) -> Json:
    """Return what says anything."""
    return {k: v for k, v in found.items() if v is not None and v is not False and v != ""}


def _share(call: CallRow) -> Counter[str]:
    """Return what one call adds to the sums."""
    found: Counter[str] = Counter()
    flies = call.state == "in_flight"
    found["stored" if call.from_store else "made"] += 1
    found["flying"] += flies
    found["failed"] += call.state == "failed"
    purse = ("invented_held_usd", "invented_usd") if call.simulated else ("held_usd", "spent_usd")
    money: Any = (call.reserved_usd if flies else call.cost_usd) or 0
    found[purse[0 if flies else 1]] += money
    return found


def drawn(view: GraphView) -> Json:
    """Return where the boxes of a graph stand and its lines run; only its layers if it is large."""
    names = [node.id for node in view.nodes]
    layers = 1 + max((node.layer for node in view.nodes), default=0)
    if not view.drawn:
        return {"drawn": False, "layers": layers, "tasks": len(names), "lines": len(view.edges)}
    made = layout(
        [(node.id, node.layer) for node in view.nodes], view.edges, Sizes(box_height=BOX_HEIGHT)
    )
    return {
        "drawn": True, "layers": layers, "width": round(made.width), "height": round(made.height),
        "box": [made.box_width, made.box_height],
        "places": {name: [round(x, 1), round(y, 1)] for name, (x, y) in made.boxes.items()},
        "lines": [[*edge, bent(way)] for edge, way in zip(view.edges, made.ways, strict=True)],
    }  # fmt: skip
