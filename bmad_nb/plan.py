"""A plan, as pure data: what will run, after what, by which LLM, and why that one."""

from __future__ import annotations

import dataclasses
import heapq
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bmad_nb.messages import Role, Scalar
from bmad_nb.plan_parts import (
    NO_LIMITS,
    ONCE,
    Asserting,
    Assignment,
    Cascading,
    Checking,
    Collaborating,
    Fallback,
    Member,
    Mitigation,
    Question,
    Reducing,
    Refining,
    Repeat,
    Retries,
    RunLimits,
    TaskLimits,
)

_ROOT = re.compile(r"\w+")
StepVerb = Literal["prompt", "messages", "python", "workflow", "approve", "set", "reduce"]
PRIORITIES = {"critical": 0, "high": 1, "medium": 2, "low": 3}
"""The lower number goes first among tasks that are ready."""


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
    retries: Retries = ONCE
    timeout_s: float = 300.0
    """Most seconds for one attempt."""
    fallbacks: tuple[Fallback, ...] = ()
    first_rung: int = 0
    """The fallback to begin with; 0 is the task as it is written."""
    limits: TaskLimits | None = None
    priority: int = 2
    """See `PRIORITIES`."""
    repeat: Repeat | None = None
    reducing: Reducing | None = None
    refining: Refining | None = None
    checks: tuple[Checking, ...] = ()
    collaborating: Collaborating | None = None
    cascading: Cascading | None = None
    asserts: tuple[Asserting, ...] = ()
    question: Question | None = None
    repairs: int = 2
    """How often an LLM is told what is wrong with an answer."""
    examples: tuple[tuple[str, str], ...] = ()
    """Questions and answers that stand before the question, as they are: worked examples."""
    splits: bool = False
    """Its parts are listed, done one by one, and put together."""
    calculator: bool = False
    """An answer that a calculator refutes is wrong."""
    mitigations: tuple[Mitigation, ...] = ()
    """What is done about skills that its LLM lacks."""
    plan: Plan | None = None
    """Plan of the sub-workflow that it runs; its inputs are `arguments`."""
    best: Assignment | None = None
    """The LLM that takes over where a check escalates."""
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
        return self.verb in {"prompt", "messages"} or bool(self.reducing and self.reducing.prompt)


@dataclass(frozen=True, slots=True)
class Plan:
    """All steps of a workflow, in an order in which they could be done one by one."""

    workflow: str
    strategy: str
    steps: tuple[Step, ...]
    outputs: tuple[tuple[str, str], ...] = ()
    """Names and expressions of the outputs."""
    limits: RunLimits = NO_LIMITS
    objectives: tuple[tuple[tuple[str, float], ...], ...] = ()
    """What is preferred, first things first; each is one objective, or more with weights."""
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
            **({"objectives": [dict(each) for each in self.objectives]} if self.objectives else {}),
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
            "expected": dict(chosen.expected) if chosen and chosen.expected else None,
            "propensity": chosen.propensity if chosen else None,
            "map": step.repeat.over if step.repeat else None,
            "reduce": step.reducing.source if step.reducing else None,
            "refine": step.refining.until if step.refining else None,
            "judges": judges_of(step) or None,
            "collaborate": _together(step.collaborating),
            "cascade": [a.llm for a in step.cascading.assignments] if step.cascading else None,
            "checks": len(step.checks) or None,
            "mitigations": [
                {
                    "skill": m.skill,
                    "need": m.need,
                    "have": m.have,
                    "measure": m.measure,
                    "said": m.said,
                }
                for m in step.mitigations
            ]
            or None,
            "checkpoints": [each.that for each in step.asserts] or None,
            "plan": step.plan.to_dict() if step.plan else None,
            "fallbacks": [f.llm.llm if f.llm else f.kind for f in step.fallbacks] or None,
            "priority": step.priority,
            "timeout_s": step.timeout_s if step.verb != "set" else None,
            "attempts": step.retries.attempts if step.verb != "set" else None,
            "content": step.content,
            "own": step.own,
            "title": step.title or None,
        }
    )


def _together(part: Collaborating | None) -> dict[str, Any] | None:
    if part is None:
        return None
    members = [
        {"name": m.name, **_llm_dict(m.assignment),
         **_without_none({"sample": m.sample or None,
                          "weight": m.weight if m.weight != 1 else None,
                          "role": m.role or None, "when": m.when or None})}
        for m in part.members
    ]  # fmt: skip
    judge = part.judge
    judges = (judge.panel or (judge.assignment,)) if judge else ()
    return _without_none(
        {
            "type": part.type,
            "method": part.method,
            "members": members,
            "quorum": part.quorum,
            "rounds": part.rounds,
            "threshold": part.threshold,
            "self_consistency": part.is_self_consistency or None,
            "judges": [_llm_dict(each) for each in judges if each] or None,
            "combiner": _llm_dict(part.combiner) if part.combiner else None,
            "strong": _llm_dict(part.strong) if part.strong else None,
            "note": part.note or None,
        }
    )


def _llm_dict(chosen: Assignment) -> dict[str, Any]:
    more = {"params": dict(chosen.params) or None, "simulated": chosen.simulated or None}
    return {"llm": chosen.llm, **_without_none(more)}


def _llm_of(stored: Mapping[str, Any]) -> Assignment:
    params = tuple(sorted(stored.get("params", {}).items()))
    return Assignment(stored["llm"], params, simulated=bool(stored.get("simulated")))


def with_members(plan: Plan, before: Mapping[str, Any]) -> Plan:
    """Return a plan in which who works together is who did in a stored plan of the same steps.

    A run that goes on keeps its members, their weights and their judges, whatever has been learned
    or has become ready since.
    """
    kept = {each["content"]: each["collaborate"] for each in before["steps"]
            if "collaborate" in each}  # fmt: skip
    steps = [
        dataclasses.replace(step, collaborating=_kept(step.collaborating, kept[step.content]))
        if step.collaborating and step.content in kept
        else step
        for step in plan.steps
    ]
    return dataclasses.replace(plan, steps=tuple(steps))


def _kept(part: Collaborating, before: Mapping[str, Any]) -> Collaborating:
    members = tuple(
        Member(
            each["name"], _llm_of(each), each.get("sample", 0), each.get("weight", 1.0),
            each.get("role", ""), each.get("when", ""),
        )
        for each in before["members"]
    )  # fmt: skip
    judges = tuple(_llm_of(each) for each in before.get("judges", ()))
    judge = part.judge
    if judge is not None and judges:
        panel = judges if judge.panel else ()
        judge = dataclasses.replace(judge, assignment=judges[0], panel=panel)
    return dataclasses.replace(
        part,
        members=members,
        judge=judge,
        combiner=_llm_of(before["combiner"]) if "combiner" in before else part.combiner,
        strong=_llm_of(before["strong"]) if "strong" in before else part.strong,
    )


def judges_of(step: Step) -> list[str]:
    """Return the LLMs that judge a step's answers."""
    together = step.collaborating.judge if step.collaborating else None
    judges = [step.refining.judge if step.refining else None, *(c.judge for c in step.checks)]
    found = []
    for each in (*judges, together):
        if each and (each.panel or each.assignment):
            found += [a.llm for a in (each.panel or (each.assignment,)) if a]
    return found


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
            tuple(step.get("expected", {}).items()),
            step.get("propensity"),
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


def root_of(name: str) -> str:
    """Return the task that a part belongs to.

    >>> root_of("each[3]#2.judge"), root_of("plan/draft"), root_of("draft")
    ('each', 'plan', 'draft')
    """
    found = _ROOT.match(name)
    return found.group() if found else name
