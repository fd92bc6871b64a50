"""What modifies a task's verb, as the engine takes it: map, reduce, refine, checks, questions."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from bmad_nb.collaborating import DEFAULT_JUDGE, Collaborations
from bmad_nb.companions import Companions
from bmad_nb.llms.catalog import Catalog
from bmad_nb.patterns.checking import RUNS_CODE
from bmad_nb.plan_parts import (
    Asserting,
    Assignment,
    Cascading,
    Checking,
    Judging,
    Question,
    Reducing,
    Refining,
    Repeat,
)
from bmad_nb.settings import EngineSettings
from bmad_nb.workflow.model import Task
from bmad_nb.workflow.parts import Check, Judge


class Modifiers:
    """Reads what modifies the tasks of a workflow.

    Args:
        assigner: assigns LLMs, judges among them.
        catalog: what is known of them.
        engine: settings.
        function: returns a function's name, and says where it may not be called.
        note: called with what a reader should know.
    """

    def __init__(
        self,
        assigner: Companions,
        catalog: Catalog,
        engine: EngineSettings,
        function: Callable[..., str],
        note: Callable[[str], Any],
    ) -> None:
        """Read nothing yet."""
        self._assigner, self._catalog, self._engine = assigner, catalog, engine
        self._function, self._note = function, note
        self._collaborations = Collaborations(assigner, catalog, self._judge, note)

    def of(self, task_id: str, task: Task, author: Assignment | None) -> dict[str, Any]:
        """Return the fields of the step of a task that is given to `author`."""
        escalates = any(check.on_fail in {"escalate", "repair"} for check in task.checks)
        return {
            "repeat": self._repeat(task),
            "reducing": self._reducing(task_id, task, author),
            "refining": self._refining(task_id, task, author),
            "checks": tuple(self._check(task_id, each, author) for each in task.checks),
            "asserts": tuple(Asserting(c.that, c.at, c.action) for c in task.checkpoint),
            "question": self._question(task),
            "collaborating": self._collaborations.of(task_id, task, author),
            "cascading": self._cascading(task_id, task),
            "best": self._assigner.best(task_id, task, author) if escalates else None,
        }

    def _repeat(self, task: Task) -> Repeat | None:
        part = task.map
        if part is None:
            return None
        at_once = part.concurrency or (task.limits.concurrency if task.limits else None)
        return Repeat(
            part.over, part.item, part.max_items, at_once, part.min_success, part.key or ""
        )

    def _reducing(self, task_id: str, task: Task, author: Assignment | None) -> Reducing | None:
        part = task.reduce
        if part is None:
            return None
        function = self._function(task_id, part.python, "reduce", "python") if part.python else ""
        return Reducing(
            part.source, part.prompt or "", function, part.batch, self._room(task, author)
        )

    def _room(self, task: Task, author: Assignment | None) -> int | None:
        """Return the tokens that a prompt may have; None where the LLM's context is unknown."""
        if author is None:
            return None
        card = self._catalog.llm(author.llm).card
        if card.context_tokens is None:
            return None
        most = task.params.max_tokens if task.params else None
        return card.context_tokens - (most or card.default_max_tokens)

    def _refining(self, task_id: str, task: Task, author: Assignment | None) -> Refining | None:
        part = task.refine
        if part is None:
            return None
        judge = part.judge or DEFAULT_JUDGE
        return Refining(
            until=part.until,
            judge=self._judge(task_id, judge, author, "refine"),
            prompt=part.prompt or "",
            most=part.max,
            min_gain=part.min_gain,
            patience=part.patience,
            keep=part.keep,
            on_exhausted=part.on_exhausted,
        )

    def _check(self, task_id: str, part: Check, author: Assignment | None) -> Checking:
        least = self._engine.quality_threshold if part.min is None else part.min
        judge = self._judge(task_id, part.judge, author, "checks") if part.judge else None
        if part.tests is not None:
            self._function(task_id, RUNS_CODE, "checks")
        return Checking(
            part.that or "", judge, least, part.on_fail, part.grounded or "", part.tests or ""
        )

    def _judge(
        self,
        task_id: str,
        part: Judge,
        author: Assignment | None,
        key: str,
        apart: Collection[str] = (),
    ) -> Judging:
        if part.that is not None:
            return Judging(that=part.that)
        if part.python is not None:
            return Judging(function=self._function(task_id, part.python, key))
        chosen, note = self._assigner.judge(
            task_id, part.route, author, other=part.different_model, apart=apart
        )
        if note:
            self._note(note)
        panel = self._panel(task_id, part, author, key) if part.panel else ()
        return Judging(
            rubric=part.rubric or "", assignment=chosen, panel=panel, samples=part.samples or 1
        )

    def _panel(
        self, task_id: str, part: Judge, author: Assignment | None, key: str
    ) -> tuple[Assignment, ...]:
        """Return several LLMs that judge, all of them others than the author."""
        found = self._assigner.pool(task_id, part.route, author, "model")
        panel = [each for each in found if author is None or each.llm != author.llm]
        if len(panel) < (part.panel or 0):
            said = f"Its panel wants {part.panel} judges besides the author, and {len(panel)} are."
            self._assigner.lacks((task_id, key), f"{said} Name them: judge.route.models.")
        return tuple(panel[: part.panel])

    def _cascading(self, task_id: str, task: Task) -> Cascading | None:
        route = self._assigner.route(task)
        if route.cascade is None:
            return None
        found = [
            self._assigner.assigned(
                task_id, task, route.model_copy(update={"models": [name], "policy": None})
            )
            for name in route.cascade
        ]
        return Cascading(tuple(each for each in found if each), route.accept or "")

    def _question(self, task: Task) -> Question | None:
        part = task.approve
        if part is None:
            return None
        return Question(
            part.ask, part.show or "", tuple(part.options), tuple(part.form or ()), part.timeout,
            part.on_timeout or "",
        )  # fmt: skip
