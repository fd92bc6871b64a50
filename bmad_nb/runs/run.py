"""A run of a workflow, read from the store: what it gave, what it cost, and how it looks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from bmad_nb import expressions, parse
from bmad_nb.errors import UnknownName, UsageProblem
from bmad_nb.events import RunRow, RunStatus, TaskRow
from bmad_nb.forecast.bottlenecks import Bottleneck, bottlenecks
from bmad_nb.forecast.history import History
from bmad_nb.messages import canonical_json
from bmad_nb.plan import Step
from bmad_nb.render.base import sendable
from bmad_nb.render.run import RunView
from bmad_nb.results import MIME, MIME_VERSION
from bmad_nb.runs.drawing import graph_of
from bmad_nb.runs.earlier import active_s
from bmad_nb.runs.followed import Followed
from bmad_nb.store.journal import Store
from bmad_nb.workflow.model import Workflow

if TYPE_CHECKING:
    import pandas as pd

    from bmad_nb.charts import Chart
    from bmad_nb.runs.decisions import Explanation

_MOST_TEXT = 64_000
"""Characters of outputs that go into the machine-readable form."""


class Run(Followed):
    """One run of a workflow.

    `run.outputs` has the workflow's outputs, `run.tasks` a row per task, `run.calls` a row per LLM
    call. All of it is one fold over the stored events, read when it is first asked for.

    Args:
        store: where it is stored.
        run_id: its id.
        home: the workspace that it belongs to; without one it can only be looked at.
    """

    def __init__(self, store: Store, run_id: str, home: Any = None) -> None:
        """Read nothing yet."""
        super().__init__(store, run_id)
        self._home = home
        self.name = "r"
        """The variable that the card's own examples speak of."""

    @property
    def run(self) -> RunRow:
        """The row of the runs frame."""
        return self._store.run(self.id)

    @property
    def status(self) -> RunStatus:
        """`running`, `completed`, `failed`, `paused`, `cancelled` or `interrupted`."""
        return self.state.status

    @property
    def outputs(self) -> Mapping[str, Any]:
        """The workflow's outputs by name; empty before the run is over."""
        return self.state.outputs or {}

    @property
    def tasks(self) -> pd.DataFrame:
        """A row per task, with the columns of `bmad_nb.frames.TASKS`."""
        from bmad_nb import frames

        return frames.tasks(self._task_rows(), list(self.state.calls.values()), self._texts())

    @property
    def parts(self) -> pd.DataFrame:
        """A row per part: item of a map, round of a refinement, merge, task of a sub-workflow.

        Columns: those of `bmad_nb.frames.PARTS`.
        """
        from bmad_nb import frames

        known = {step["id"] for step in self._steps}
        rows = [row for name, row in self.state.tasks.items() if name not in known]
        return frames.parts(rows, list(self.state.calls.values()), self._texts())

    @property
    def calls(self) -> pd.DataFrame:
        """A row per LLM call, with the columns of `bmad_nb.frames.CALLS`."""
        from bmad_nb import frames

        return frames.calls(list(self.state.calls.values()))

    @property
    def decisions(self) -> pd.DataFrame:
        """A row for each choice of an LLM, with its reason: `bmad_nb.columns.DECISIONS`."""
        from bmad_nb import frames
        from bmad_nb.runs.decisions import decisions

        simulated = {call.llm: call.simulated for call in self.state.calls.values()}
        return frames.decisions(decisions(self._stamped, simulated))

    @property
    def mitigations(self) -> pd.DataFrame:
        """A row for each weakness of an LLM that was mended: `bmad_nb.columns.MITIGATIONS`."""
        from bmad_nb import frames

        return frames.mitigations(self._steps, list(self.state.calls.values()))

    @property
    def definition(self) -> Workflow:
        """The workflow that was run."""
        return parse.from_dict(self.run.definition, self.run.workflow)

    def frontier(self, llms: Sequence[str] = (), *, usd_per_point: float = 0.0) -> Any:
        """Return the plans that no other beats in cost and quality; see `Workspace.frontier`."""
        return self._its_home().frontier(self, llms, usd_per_point=usd_per_point)

    def explain(self, *tasks: str) -> Explanation:
        """Return why calls went to the LLMs that they went to: of these tasks, or of all."""
        from bmad_nb.runs.decisions import Explanation

        return Explanation.of(self.decisions, tasks)

    @property
    def members(self) -> pd.DataFrame:
        """A row for each LLM of the tasks that several worked on: `bmad_nb.frames.MEMBERS`."""
        from bmad_nb import frames

        return frames.members(self._task_rows())

    @property
    def reviews(self) -> pd.DataFrame:
        """A row for each finding of a peer review, with the columns of `columns.REVIEWS`."""
        from bmad_nb import frames

        return frames.reviews(self._task_rows())

    @property
    def use(self) -> pd.DataFrame:
        """How many calls were made at each time, and at which rate tokens came.

        Columns: those of `bmad_nb.frames.USE`.
        """
        from bmad_nb import frames

        return frames.use(list(self.state.calls.values()))

    @property
    def cost_usd(self) -> Decimal:
        """Known cost of this run in US dollars; simulated money is not in it."""
        return self.state.spent_usd

    @property
    def why(self) -> str:
        """Which LLM each task was given and why, and why others did not run; a line each."""
        lines = []
        for step in self._steps:
            row = self.state.tasks.get(step["id"])
            if row is not None and row.skipped_because:
                lines.append(f"{step['id']}: skipped. {row.skipped_because}")
            elif "llm" in step:
                stood = (
                    f" A fallback stood in: {row.llm or 'a value'}." if row and row.degraded else ""
                )
                lines.append(f"{step['id']}: {step['llm']}, {step['reason']}.{stood}")
            else:
                lines.append(f"{step['id']}: needs no LLM.")
        return "\n".join(lines)

    @property
    def duration_s(self) -> float | None:
        """Seconds that it ran, without those while it was stopped; None while it runs."""
        return None if self.status == "running" else active_s(self._stamped)

    def text(self, task: str) -> str:
        """Return the text that a task gave.

        Raises:
            UnknownName: no such task has a result.
        """
        texts = self._texts()
        row = self.state.tasks.get(task)
        if task in texts:
            return texts[task]
        if row is None or row.state != "done":
            done = [name for name, each in self.state.tasks.items() if each.state == "done"]
            raise UnknownName("finished task", task, done)
        return row.value if isinstance(row.value, str) else json.dumps(row.value)

    def plot(self) -> Chart:
        """Return the timeline of its calls as a plotly figure with a static twin."""
        from bmad_nb.charts.over_time import timeline

        return timeline(self.tasks, self.calls)

    @property
    def deviations(self) -> list[str]:
        """Where the run went otherwise than planned: LLMs, fallbacks, prices; a sentence each."""
        from bmad_nb.runs.decisions import deviations

        return deviations(self._steps, self.state.tasks, self._stamped)

    def bottlenecks(self, alternatives: Mapping[str, float] | None = None) -> list[Bottleneck]:
        """Return what held it up, the largest saving first; each saving is simulated.

        Args:
            alternatives: median seconds of an answer, by LLM, of those that could take over; those
                of the store that can be asked here where it is None.
        """
        steps = [
            Step(s["id"], s["verb"], tuple(s["needs"]), priority=s["priority"]) for s in self._steps
        ]
        if alternatives is None:
            can_ask = self._home.catalog.can_ask if self._home is not None else None
            alternatives = History.of(self._store.samples()).medians(can_ask)
        in_order = (self.state.plan or {}).get("strategy") == "sequential"
        return bottlenecks(
            steps,
            self._task_rows(),
            list(self.state.calls.values()),
            slots=self._slots,
            in_order=in_order,
            alternatives=alternatives,
        )

    @property
    def _slots(self) -> int:
        """Tasks at a time that it had."""
        limit = (self.state.plan or {}).get("limits", {}).get("concurrency")
        settings = getattr(self._home, "settings", None)
        return int(limit or (settings.engine.max_concurrent_tasks if settings else 10))

    # --- what it is told ------------------------------------------------------------------------

    def pause(self, *, now: bool = False) -> str:
        """Let it begin nothing more; see `Workspace.pause`."""
        return str(self._its_home().pause(self.id, now=now))

    def cancel(self) -> str:
        """Stop it for good; see `Workspace.cancel`."""
        return str(self._its_home().cancel(self.id))

    def resume(self, budget_usd: Any = None, **options: Any) -> Run:
        """Go on with it; see `Workspace.resume`."""
        run: Run = self._its_home().resume(self.id, budget_usd, **options)
        return run

    def approve(self, task: str, choice: str, comment: str = "", **fields: str) -> str:
        """Answer a task of it that waits for a person; see `Workspace.approve`."""
        return str(self._its_home().approve(self.id, task, choice, comment, **fields))

    def fork(self, at: str, **options: Any) -> Run:
        """Begin a new run from the middle of this one; see `Workspace.fork`."""
        run: Run = self._its_home().fork(self.id, at, **options)
        return run

    def _its_home(self) -> Any:
        if self._home is None:
            raise UsageProblem(f"Run {self.id} is only looked at here.", hint="Use ws.run_of(id).")
        return self._home

    def compare(self, other: Run) -> pd.DataFrame:
        """Return a row per task with what this run and another made of it: LLM, cost, time, answer.

        Columns of the other run end in `_other`; `same` says whether both gave the same.
        """
        columns = ["task", "state", "llm", "simulated", "cost_usd", "duration_s", "answer"]
        mine, others = self.tasks[columns], other.tasks[columns]
        found = mine.merge(others, on="task", how="outer", suffixes=("", "_other"), sort=False)
        found["same"] = (found["answer"] == found["answer_other"]).fillna(False).astype(bool)
        return found

    def view(self) -> RunView:
        """Return what the displays draw."""
        state = self.state
        return RunView(
            run=self.run,
            graph=graph_of(self._steps, state.tasks, state),
            tasks=tuple(self._task_rows()),
            calls=tuple(state.calls.values()),
            outputs=state.outputs,
            duration_s=self.duration_s,
            notes=self._notes(),
            next_steps=self._next_steps(),
            texts={**self._texts(), **self._briefs()},
            name=self.name,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the run as JSON values, as the MIME type carries it; money as text."""
        tasks = [_brief(row) for row in self._task_rows()]
        outputs = dict(self.outputs)
        whole = len(canonical_json(outputs)) <= _MOST_TEXT
        return {
            "version": MIME_VERSION,
            "run_id": self.id,
            "verb": "workflow",
            "workflow": self.run.workflow,
            "status": self.status,
            "reason": self.state.reason,
            "outputs": outputs if whole else None,
            "texts": "here" if whole else "in the store",
            "cost_usd": str(self.cost_usd),
            "simulated_cost_usd": str(
                sum((c.cost_usd for c in self.state.calls.values() if c.simulated and c.cost_usd),
                    Decimal(0))
            ),
            "calls_made": sum(not call.from_store for call in self.state.calls.values()),
            "tasks": tasks,
            "notes": list(self._notes()),
        }  # fmt: skip

    @property
    def _steps(self) -> list[dict[str, Any]]:
        steps: list[dict[str, Any]] = list((self.state.plan or {}).get("steps", ()))
        return steps

    def _task_rows(self) -> list[TaskRow]:
        found = self.state.tasks
        return [found[step["id"]] for step in self._steps if step["id"] in found]

    def _texts(self) -> dict[str, str]:
        calls = dict(self.state.calls)
        texts = {}
        for row in self.state.tasks.values():
            call = calls.get(row.call_id) or (
                self._store.call(row.call_id) if row.call_id else None
            )
            if call is not None and call.text is not None:
                texts[row.task] = call.text
        return texts

    def _notes(self) -> tuple[str, ...]:
        said = []
        lost = sum(call.state == "lost" for call in self.state.calls.values())
        if lost:
            calls = "call was" if lost == 1 else "calls were"
            said.append(
                f"{lost} {calls} in flight when an earlier process was killed, and may have been "
                "billed twice."
            )
        old = sorted({row.kept_from for row in self._task_rows() if row.kept_from})
        if old:
            said.append(f"Unchanged tasks were taken over from run {', '.join(old)}.")
        return (*said, *(self.state.plan or {}).get("notes", ()))

    def _briefs(self) -> dict[str, str]:
        """Return what is shown of tasks whose answer is no text: maps, and questions."""
        state = self.state
        found = {
            name: f"{asked.question}  {' · '.join(asked.options)}".strip()
            for name, asked in state.questions.items()
            if name not in state.answers
        }
        for step in self._steps:
            row = state.tasks.get(step["id"])
            if "map" in step and row is not None and isinstance(row.value, Mapping):
                items = row.value.get("items", [])
                done = [each for each in items if each is not None]
                shown = ", ".join(expressions.brief(each, 80) for each in done[:3])
                more = ", …" if len(done) > 3 else ""
                found[row.task] = f"{len(done)} of {len(items)} items done: {shown}{more}"
        return found

    def _next_steps(self) -> tuple[str, ...]:
        waiting = [q for name, q in self.state.questions.items() if name not in self.state.answers]
        if self.status in {"paused", "interrupted"} and waiting:
            first = waiting[0]
            answer = first.options[0] if first.options else "…"
            return (f"%bmad approve {self.id} {first.task} {answer}", f"%bmad resume {self.id}")
        if self.status in {"paused", "interrupted"}:
            return (f"%bmad resume {self.id}", f"bmad workflow resume {self.id}")
        return (f"{self.name}.outputs", f"{self.name}.tasks", f"{self.name}.plot()")

    def _repr_mimebundle_(self, **_wanted: Any) -> dict[str, Any]:
        """Return the static bundle: nothing in it runs, and nothing is fetched."""
        from bmad_nb.render.run_card import run_html

        facts = sendable(self.to_json())
        return {"text/plain": repr(self), "text/html": run_html(self.view()), MIME: facts}

    def __repr__(self) -> str:
        """Return the plain form, safe on a terminal."""
        from bmad_nb.render.run_text import run_text

        return run_text(self.view())


def _brief(row: TaskRow) -> dict[str, Any]:
    """Return a task without its text, which the calls have."""
    return {
        "task": row.task, "state": row.state, "llm": row.llm, "attempts": row.attempts,
        "cost_usd": None if row.cost_usd is None else str(row.cost_usd),
        "simulated": row.simulated, "degraded": row.degraded, "rung": row.rung,
        "error_kind": row.error_kind, "error": row.error, "skipped_because": row.skipped_because,
        **({"together": row.facts} if (row.facts or {}).get("pattern") else {}),
    }  # fmt: skip
