"""Which LLM each task would go to and why, and what all candidates can do; nobody is asked."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from bmad_nb.assigning import Assigner
from bmad_nb.errors import UnknownName, Unroutable, UsageProblem
from bmad_nb.render.routing import Cell, Route, RoutesView, routes_html, routes_text
from bmad_nb.routers.base import Candidate, Choice, obstacle
from bmad_nb.workflow.model import Task, Workflow


class Routes:
    """The LLM of each task with its reasons, and the capability matrix with its gaps.

    Args:
        view: what is shown.
    """

    def __init__(self, view: RoutesView) -> None:
        """Keep what is shown."""
        self.view = view

    @property
    def llms(self) -> dict[str, str]:
        """The LLM of each task that has one."""
        return {row.task: row.llm for row in self.view.routes if row.llm}

    @property
    def gaps(self) -> list[Cell]:
        """Cells of the matrix below what a task needs."""
        return [each for each in self.view.cells if each.is_gap]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values in the order of the tasks; equal inputs give the same."""
        return self.view.to_json()

    def _repr_mimebundle_(self, **_wanted: Any) -> dict[str, Any]:
        """Return the static bundle."""
        return {"text/plain": repr(self), "text/html": routes_html(self.view)}

    def __repr__(self) -> str:
        """Return the plain form, safe on a terminal."""
        return routes_text(self.view)


def routes(
    flow: Workflow, assigner: Assigner, names: Sequence[str] = (), *, capabilities: bool = True,
    kinds: Callable[[Sequence[str]], Mapping[str, tuple[str, float]]] | None = None,
) -> Routes:  # fmt: skip
    """Return the routes of some tasks of a workflow, or of all that ask an LLM.

    Args:
        flow: the workflow.
        assigner: says who may do a task, and who does it.
        names: the tasks; all if empty.
        capabilities: whether needs and the matrix are shown.
        kinds: tells the kind of tasks that name none, and how sure it is.

    Raises:
        UnknownName: there is no such task.
    """
    for name in names:
        if name not in flow.tasks:
            raise UnknownName("task", name, flow.tasks)
    found: list[Route] = []
    cells: list[Cell] = []
    for name, task in flow.tasks.items():
        if (names and name not in names) or not _asks(task):
            continue
        try:
            candidates = assigner.candidates(task)
        except (UnknownName, UsageProblem) as error:
            found.append(Route(name, task.type, problem=f"{error.what} {error.hint}".strip()))
            continue
        found.append(_route(name, task, assigner, candidates))
        if capabilities:
            cells += _cells(name, task, assigner, candidates)
    bare = [each.task for each in found if not each.type]
    told = kinds(bare) if kinds and bare else {}
    found = [
        dataclasses.replace(each, guess=told[each.task][0], sure=told[each.task][1])
        if each.task in told
        else each
        for each in found
    ]
    return Routes(RoutesView(flow.id, tuple(found), tuple(cells), capabilities=capabilities))


def without_needs(flow: Workflow) -> Workflow:
    """Return a workflow whose tasks demand no skill, so that only cost and latency count."""
    nothing: dict[str, Any] = {
        "capabilities": {},
        "min_quality": None,
        "prefer": None,
        "policy": None,
    }
    tasks = {
        name: task.model_copy(update={"route": task.route.model_copy(update=nothing)})
        if task.route is not None
        else task
        for name, task in flow.tasks.items()
    }
    return flow.model_copy(update={"tasks": tasks})


def _asks(task: Task) -> bool:
    return task.verb in {"prompt", "messages"} or bool(task.reduce and task.reduce.prompt)


def _route(name: str, task: Task, assigner: Assigner, candidates: list[Candidate]) -> Route:
    try:
        choice, router = assigner.choice(name, task, candidates, _text_of(task))
    except Unroutable as error:
        demand = assigner.demand(name, task)
        others = tuple((each.card.id, obstacle(demand, each)) for each in candidates)
        return Route(name, task.type, problem=error.what, others=others)
    price = next(each.price for each in candidates if each.card.id == choice.llm)
    return Route(
        name, task.type, choice.llm, router, choice.reason,
        simulated=next(c.card.simulated for c in candidates if c.card.id == choice.llm),
        expected=dict(_expected(choice, candidates)).get(choice.llm),
        usd_per_mtok=None if price is None else float(price.output_usd_per_mtok),
        others=tuple(choice.rejected),
    )  # fmt: skip


def _expected(choice: Choice, candidates: Iterable[Candidate]) -> Mapping[str, float]:
    """Return the score that is expected of each LLM: by the router, else what is known of it."""
    known = {each.card.id: each.quality for each in candidates if each.quality is not None}
    return {**known, **dict(getattr(choice, "expected", ()))}


def _text_of(task: Task) -> str:
    return task.prompt or "\n".join(str(each) for each in task.messages or ())


def _cells(
    name: str, task: Task, assigner: Assigner, candidates: Iterable[Candidate]
) -> list[Cell]:
    """Return what each candidate can do of what a task needs, and what was measured at its kind."""
    needs = assigner.demand(name, task).capabilities
    found = []
    for each in candidates:
        skills = dict(each.card.capabilities)
        found += [
            Cell(name, each.card.id, skill, skills.get(skill), least)
            for skill, least in sorted(needs.items())
        ]
        if each.scored:
            found.append(
                Cell(name, each.card.id, task.type or "any task", each.quality, None, each.scored,
                     each.low, each.high)
            )  # fmt: skip
    return found
