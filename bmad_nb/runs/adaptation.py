"""What a run is likely to take by runs before it, and what the adaptive strategy learns in it."""

from __future__ import annotations

import statistics
from collections import defaultdict, deque
from collections.abc import Mapping

from bmad_nb.engine.schedule import BY_PRIORITY, Order
from bmad_nb.events import CallRow
from bmad_nb.llms.catalog import Catalog
from bmad_nb.plan import Plan, root_of
from bmad_nb.store.journal import Store

_TERMS = {
    "priority_first": {"priority": 1.0},
    "latency_optimized": {"tail": 1.0},
    "cost_optimized": {"cost": 1.0},
    "balanced": {"priority": 1 / 3, "tail": 1 / 3, "cost": 1 / 3},
}
LEAST = 20
"""Answers of an LLM after which it is known how slow its slowest are."""
SLOW = 0.96
"""Share of answers that are faster than those that are hedged (Dean and Barroso 2013)."""
_LIKELY_TOKENS = 500


def order_of(objectives: tuple[tuple[tuple[str, float], ...], ...]) -> Order:
    """Return the order of preference that objectives stand for; ties go by priority and length."""
    if not objectives:
        return BY_PRIORITY
    terms: list[Mapping[str, float]] = []
    for objective in objectives:
        term: dict[str, float] = defaultdict(float)
        for name, weight in objective:
            for part, share in _TERMS[name].items():
                term[part] += weight * share
        terms.append(dict(term))
    return (*terms, *(each for each in BY_PRIORITY if each not in terms))


def typical_seconds(plan: Plan, store: Store) -> dict[str, float]:
    """Return the median seconds of each task in runs before, or of its LLM's answers."""
    by_task, by_llm = _medians(store, plan.workflow)
    found = {}
    for step in plan.steps:
        llm = step.assignment.llm if step.assignment else ""
        known = by_task.get(step.id) or by_llm.get(llm)
        if known is not None:
            found[step.id] = known
    return found


def llm_seconds(store: Store) -> dict[str, float]:
    """Return the median seconds of an answer, by LLM."""
    return _medians(store, "")[1]


def _medians(store: Store, workflow: str) -> tuple[dict[str, float], dict[str, float]]:
    by_task: dict[str, list[float]] = defaultdict(list)
    by_llm: dict[str, list[float]] = defaultdict(list)
    for llm, task, seconds in store.latencies(workflow):
        by_task[root_of(task)].append(seconds)
        by_llm[llm].append(seconds)
    return (
        {name: statistics.median(each) for name, each in by_task.items()},
        {name: statistics.median(each) for name, each in by_llm.items()},
    )


def typical_costs(plan: Plan, catalog: Catalog) -> dict[str, float]:
    """Return US dollars of a task of ordinary length, where its LLM's price is known."""
    found = {}
    for step in plan.steps:
        if step.assignment is not None:
            price = catalog.price(catalog.llm(step.assignment.llm).card)
            if price is not None:
                parts = price.input_usd_per_mtok + price.output_usd_per_mtok
                found[step.id] = float(parts) * _LIKELY_TOKENS / 1e6
    return found


class Adaptation:
    """What the adaptive strategy learns while a run goes on.

    Args:
        plan: the run's plan.
        store: runs before it.
        hedges: where it puts after how many seconds an LLM is asked once more beside.
    """

    def __init__(self, plan: Plan, store: Store, hedges: dict[str, float]) -> None:
        """Know what runs before have taught."""
        self._seconds = typical_seconds(plan, store)
        self._hedges = hedges
        self._by_llm: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=200))
        self._by_task: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=200))
        self._llm_of = {s.id: s.assignment.llm for s in plan.steps if s.assignment}

    def note(self, row: CallRow) -> None:
        """Learn from a call that has ended."""
        if row.state != "answered" or row.from_store or row.latency_s is None:
            return
        answers = self._by_llm[row.llm]
        answers.append(row.latency_s)
        self._by_task[root_of(row.task)].append(row.latency_s)
        if len(answers) >= LEAST:
            self._hedges[row.llm] = sorted(answers)[int(SLOW * (len(answers) - 1))]

    def seconds(self) -> dict[str, float]:
        """Return the seconds that each task is likely to take, by all that is known now."""
        found = dict(self._seconds)
        for task, llm in self._llm_of.items():
            known = self._by_task.get(task) or self._by_llm.get(llm)
            if known:
                found[task] = statistics.median(known)
        return found
