"""What LLMs would be chosen, and what dearer ones would bring: advice that asks nobody."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bmad_nb.assigning import Assigner
from bmad_nb.errors import UsageProblem
from bmad_nb.planner import Wishes, choosing_of
from bmad_nb.routers.base import Router
from bmad_nb.routers.choice import router_of
from bmad_nb.routers.fastest import Balanced
from bmad_nb.running import Definition, Running
from bmad_nb.runs.adaptation import llm_seconds
from bmad_nb.runs.run import Run
from bmad_nb.workflow.model import Defaults, Workflow

if TYPE_CHECKING:
    from bmad_nb.runs.frontier import Frontier
    from bmad_nb.runs.routes import Routes


class Advising(Running):
    """The part of a workspace that says which LLM would do what, and why."""

    def route(
        self,
        workflow: Definition,
        *,
        tasks: Sequence[str] = (),
        capabilities: bool = True,
        llms: Mapping[str, str] | None = None,
        router: Router | str | None = None,
    ) -> Routes:
        """Return which LLM each task would go to and why, and the matrix of skills. Asks nobody.

        Args:
            workflow: a `Workflow`, the path of a file, or the id of a defined one.
            tasks: ids; all tasks that ask an LLM if empty.
            capabilities: whether needs and skills count; without them only cost and latency do.
            llms: ids or globs of the definition, and the LLMs that take their place.
            router: chooses the LLM of every task that does not name exactly one; a name or an
                object.

        Raises:
            DefinitionError: the definition is wrong.
            UnknownName: there is no such task.
        """
        from bmad_nb.runs.kinds import kinds_of
        from bmad_nb.runs.routes import routes, without_needs

        flow = self.workflow_of(workflow)
        given = None if router is None else router_of(router)
        if not capabilities:
            flow, given = without_needs(flow), given or Balanced()
        return routes(
            flow, self._assigner(flow, llms, given), tasks, capabilities=capabilities,
            kinds=functools.partial(kinds_of, self.store, flow),
        )  # fmt: skip

    def frontier(
        self, workflow: Definition | Run, llms: Sequence[str] = (), *, usd_per_point: float = 0.0
    ) -> Frontier:
        """Return the plans of a workflow that no other plan beats in cost and quality.

        Args:
            workflow: a workflow, or a run: then tokens are those that its tasks really took.
            llms: who may do any task; those of each task's route if empty.
            usd_per_point: US dollars that one point of mean quality is worth; it moves the
                recommended plan along the frontier.

        Raises:
            DefinitionError: the definition is wrong.
            UsageProblem: nothing is known of the price or the quality of anybody, or a point is
                worth less than nothing.
        """
        from bmad_nb.runs.frontier import frontier_of, tokens_of

        if not 0 <= usd_per_point < math.inf:
            raise UsageProblem(
                f"usd_per_point cannot be {usd_per_point!r}.", hint="Give US dollars, from 0."
            )
        tokens = tokens_of(workflow) if isinstance(workflow, Run) else {}
        flow = workflow.definition if isinstance(workflow, Run) else self.workflow_of(workflow)
        names = [each.llm_id for spec in llms for each in self.llms(replay=False).choose(spec)]
        return frontier_of(flow, self._assigner(flow), tokens, names, usd_per_point)

    def _assigner(
        self, flow: Workflow, llms: Mapping[str, str] | None = None, router: Router | None = None
    ) -> Assigner:
        """Return what assigns LLMs to the tasks of a workflow, by all that is known now."""
        wishes = Wishes({}, None, llms or {}, router)
        wishes = dataclasses.replace(wishes, seconds=llm_seconds(self.store), **self.known())
        return Assigner(
            self.llms(replay=False), self.settings.engine, choosing_of(wishes),
            flow.defaults or Defaults(), objectives=tuple(flow.objectives),
            missing=lambda _path, _said: None,
        )  # fmt: skip
