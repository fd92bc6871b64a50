"""A plan, as pure data: what will run, after what, by which LLM, and why that one."""

from __future__ import annotations

import dataclasses
import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bmad_nb.messages import Role, Scalar

StepVerb = Literal["prompt", "messages", "python", "workflow", "approve", "set", "reduce"]
PRIORITIES = {"critical": 0, "high": 1, "medium": 2, "low": 3}
"""The lower number goes first among tasks that are ready."""


@dataclass(frozen=True, slots=True)
class Retries:
    """When and how often a call is made again."""

    attempts: int = 1
    """In all, the first included."""
    backoff_s: float = 1.0
    """Seconds before the second attempt."""
    factor: float = 2.0
    """Each further wait is longer by this factor."""
    max_backoff_s: float = 30.0
    jitter: bool = True
    """Each wait is drawn from zero up to the reckoned one, so that many do not come at once."""
    causes: tuple[str, ...] = ()
    """Kinds of errors after which it is made again."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """The LLM that a task is given, and why."""

    llm: str
    """Id of the LLM."""
    params: tuple[tuple[str, Scalar], ...] = ()
    """Its setting, as in `ID?temperature=1`."""
    router: str = "fixed"
    """Name of the router that chose it."""
    reason: str = ""
    """One sentence."""
    rejected: tuple[tuple[str, str], ...] = ()
    """LLMs that were not taken, each with its reason."""
    simulated: bool = False
    """True where the LLM is simulated."""


@dataclass(frozen=True, slots=True)
class Fallback:
    """What is tried when all attempts have failed; one of its fields is set."""

    llm: Assignment | None = None
    prompt: str | None = None
    """A simpler prompt for the same LLM."""
    value: Any = None
    """A value that stands in."""
    kind: Literal["llm", "prompt", "value", "stored", "human", "skip"] = "llm"
    """What it is; `stored` is the task's newest result of an earlier run of this workflow."""
    question: str | None = None
    """What a person is asked, as a template."""
    on_limit: bool = False
    """True where it stands in for nothing but a limit that leaves no room."""


@dataclass(frozen=True, slots=True)
class TaskLimits:
    """Hard limits of one task; None is no limit."""

    cost_usd: str | None = None
    """US dollars, as decimal text."""
    calls: int | None = None
    tokens: int | None = None
    time_s: float | None = None
    on_limit: Literal["pause", "degrade", "fail"] = "pause"


@dataclass(frozen=True, slots=True)
class Step:
    """One task, ready to be done."""

    id: str
    verb: StepVerb
    needs: tuple[str, ...] = ()
    """Tasks that must have an outcome first."""
    join: Literal["all", "any", "all_done"] = "all"
    when: str = ""
    """Condition; empty without one."""
    otherwise: Any = None
    has_otherwise: bool = False
    turns: tuple[tuple[Role, str], ...] = ()
    """Messages to the LLM, as templates."""
    fields: tuple[tuple[str, str], ...] = ()
    """Names and expressions of `set`."""
    function: str = ""
    """`module:function`, or the name under which a notebook gave it."""
    arguments: Any = None
    """Values for the function, holes in their texts."""
    assignment: Assignment | None = None
    params: tuple[tuple[str, Scalar], ...] = ()
    max_tokens: int | None = None
    max_cost_usd: str | None = None
    """Most US dollars that one call may cost, as decimal text."""
    schema: Any = None
    """JSON Schema of the answer; None for plain text."""
    retries: Retries = Retries()
    timeout_s: float = 300.0
    """Most seconds for one attempt."""
    fallbacks: tuple[Fallback, ...] = ()
    limits: TaskLimits | None = None
    priority: int = 2
    """See `PRIORITIES`."""
    refresh: bool = False
    """Ask anew, even where an answer is stored."""
    content: str = ""
    """SHA-256 over all that decides the result, what it needs included."""
    own: str = ""
    """SHA-256 over its own fields alone."""
    layer: int = 0
    """Most tasks that must be done one after another before it."""
    title: str = ""

    @property
    def asks(self) -> bool:
        """Whether it needs an LLM."""
        return self.verb in {"prompt", "messages"}


@dataclass(frozen=True, slots=True)
class RunLimits:
    """Hard limits of a run; None is no limit."""

    cost_usd: str | None = None
    """US dollars, as decimal text."""
    calls: int | None = None
    tokens: int | None = None
    time_s: float | None = None
    concurrency: int | None = None
    on_limit: Literal["pause", "degrade", "fail"] = "pause"


@dataclass(frozen=True, slots=True)
class Plan:
    """All steps of a workflow, in an order in which they could be done one by one."""

    workflow: str
    strategy: str
    steps: tuple[Step, ...]
    outputs: tuple[tuple[str, str], ...] = ()
    """Names and expressions of the outputs."""
    limits: RunLimits = RunLimits()
    missing: tuple[str, ...] = ()
    """What is not there for a run, each a sentence: inputs, LLMs, keys, rights, abilities."""
    notes: tuple[str, ...] = ()
    """What a reader should know besides."""
    title: str = ""

    def step(self, task_id: str) -> Step:
        """Return the step of a task."""
        return next(step for step in self.steps if step.id == task_id)

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as JSON values: equal definitions and LLMs give equal plans."""
        return {
            "workflow": self.workflow,
            "strategy": self.strategy,
            "missing": list(self.missing),
            "notes": list(self.notes),
            "limits": _without_none(dataclasses.asdict(self.limits)),
            "outputs": dict(self.outputs),
            "steps": [_step_dict(step) for step in self.steps],
        }


def _step_dict(step: Step) -> dict[str, Any]:
    chosen = step.assignment
    return _without_none(
        {
            "id": step.id,
            "verb": step.verb,
            "needs": list(step.needs),
            "join": step.join,
            "when": step.when or None,
            "layer": step.layer,
            "llm": chosen.llm if chosen else None,
            "params": dict(chosen.params) if chosen and chosen.params else None,
            "simulated": True if chosen and chosen.simulated else None,
            "router": chosen.router if chosen else None,
            "reason": chosen.reason if chosen else None,
            "rejected": dict(chosen.rejected) if chosen and chosen.rejected else None,
            "fallbacks": [f.llm.llm if f.llm else f.kind for f in step.fallbacks] or None,
            "priority": step.priority,
            "timeout_s": step.timeout_s if step.verb != "set" else None,
            "attempts": step.retries.attempts if step.verb != "set" else None,
            "content": step.content,
            "own": step.own,
            "title": step.title or None,
        }
    )


def _without_none(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def assignments(plan: Mapping[str, Any]) -> dict[str, Assignment]:
    """Return the LLM of each step of a stored plan, by the step's content.

    A run that goes on keeps them, so that a router that would choose otherwise today does not
    make it pay twice.
    """
    return {
        step["content"]: Assignment(
            step["llm"],
            tuple(sorted(step.get("params", {}).items())),
            step.get("router", "fixed"),
            step.get("reason", ""),
            tuple(step.get("rejected", {}).items()),
            bool(step.get("simulated")),
        )
        for step in plan["steps"]
        if "llm" in step
    }


def written_order(needs: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the tasks in their written order, as far as each comes after what it needs."""
    written = {task_id: number for number, task_id in enumerate(needs)}
    names = list(needs)
    readers: dict[str, list[str]] = {task_id: [] for task_id in needs}
    for task_id, needed in needs.items():
        for name in needed:
            readers[name].append(task_id)
    left = {task_id: len(needed) for task_id, needed in needs.items()}
    ready = [written[task_id] for task_id, count in left.items() if not count]
    order = []
    while ready:
        task_id = names[heapq.heappop(ready)]
        order.append(task_id)
        for reader in readers[task_id]:
            left[reader] -= 1
            if not left[reader]:
                heapq.heappush(ready, written[reader])
    return order
