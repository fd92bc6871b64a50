"""What a plan will cost and take, as ranges; what may go wrong; what would be faster."""

from __future__ import annotations

import random
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bmad_nb.engine.schedule import BY_PRIORITY, Order
from bmad_nb.forecast.asked import calls_of
from bmad_nb.forecast.history import History, Sample
from bmad_nb.forecast.prefixes import order_advice
from bmad_nb.forecast.simulation import critical_path, simulate
from bmad_nb.messages import Price
from bmad_nb.plan import Plan, Step

PRIOR = (1.0, 3.0, 10.0)
"""Seconds of an answer where nothing is known: a fast, a usual and a slow one."""
LIKELY_TOKENS = (300, 300)
"""Tokens of prompt and answer where nothing is known of a task."""
MOST_WORK = 100_000
"""Calls that are drawn in all; a large plan is drawn less often."""
MOST_LOOKED_AT = 500
"""Tasks of a plan whose single points of failure are looked for."""
_GUESS = "no answer so far: a guess"
DEFAULT_ITEMS = 10
"""Items of a map where its list is not known before the run."""


@dataclass(frozen=True, slots=True)
class Range:
    """An 80 % range: one of ten is below, one of ten above."""

    low: float
    mid: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Range:
        """Return the 10 %, 50 % and 90 % quantiles."""
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        cuts = statistics.quantiles(values, n=10, method="inclusive")
        return cls(cuts[0], cuts[4], cuts[8])


@dataclass(frozen=True, slots=True)
class Analysis:
    """What is to be expected of a plan."""

    cost_usd: Range | None
    """US dollars; None where the price of an LLM is unknown."""
    latency_s: Range
    quality: float | None
    """Least declared skill in [0, 1] of the LLMs on the way; None where nothing is declared."""
    calls: int
    """LLM calls, retries and repairs left out; of a map of unknown length with `DEFAULT_ITEMS`."""
    most_at_once: int
    """Tasks that would run at a time if there were a slot for each."""
    critical_path: tuple[str, ...]
    basis: Mapping[str, str]
    """By task, on what its estimate is based."""
    risks: tuple[str, ...]
    suggestions: tuple[str, ...]
    """Changes that the simulation says would save time, each with its gain."""


def analyze(
    plan: Plan,
    history: History,
    prices: Mapping[str, Price | None],
    *,
    slots: int,
    skills: Mapping[str, float] | None = None,
    items: Mapping[str, int] | None = None,
    order: Order = BY_PRIORITY,
    draws: int = 400,
    seed: int = 0,
) -> Analysis:
    """Return what a plan will cost and take, without asking anybody.

    Each draw gives every call a length and a cost from its history and runs the scheduler.

    Args:
        plan: the plan.
        history: what calls took so far.
        prices: list prices by LLM; None is unknown.
        slots: tasks at a time.
        skills: declared skill in [0, 1] by LLM.
        items: known lengths of the lists of maps, by task.
        order: what the run prefers.
        draws: how many runs are simulated.
        seed: of the draws; the same seed gives the same ranges.
    """
    rng = random.Random(seed)  # noqa: S311  (no secret)
    steps = [step for step in plan.steps if step.verb != "set"]
    models = {step.id: _calls(step, history, prices, items or {}) for step in steps}
    widths = {task: sum(each.times for each in calls) or 1 for task, calls in models.items()}
    in_order = plan.strategy == "sequential"
    middles = {task: _middle(calls) for task, calls in models.items()}
    expected = {
        step.id: _length(middles.get(step.id, 0.0), widths[step.id], slots, in_order=in_order)
        for step in steps
    }
    spans, costs = [], []
    for _ in range(_draws(draws, widths)):
        drawn = {task: _drawn(rng, calls, 1 if in_order else slots)
                 for task, calls in models.items()}  # fmt: skip
        lengths = {name: seconds for name, (seconds, _) in drawn.items()}
        spans.append(
            simulate(plan.steps, lengths, slots=slots, in_order=in_order, expected=expected,
                     order=order).makespan_s
        )  # fmt: skip
        costs.append([usd for _, usd in drawn.values()])
    asked = [step for step in steps if step.assignment is not None]
    unpriced = sorted({each.llm for calls in models.values() for each in calls
                       if prices.get(each.llm) is None and not each.samples[0].usd})  # fmt: skip
    total = None if unpriced else Range.of([sum(u or 0.0 for u in each) for each in costs])
    latency = Range.of(spans)
    known = [skills[_llm(s)] for s in asked if skills and _llm(s) in skills]
    return Analysis(
        cost_usd=total,
        latency_s=latency,
        quality=min(known) if known and len(known) == len(asked) else None,
        calls=sum(widths[step.id] for step in asked),
        most_at_once=simulate(plan.steps, expected, slots=len(plan.steps) or 1).most,
        critical_path=tuple(critical_path(plan.steps, expected)),
        basis={step.id: _basis(models[step.id]) for step in asked},
        risks=(*_risks(plan, history, unpriced), *_over(plan, total, latency)),
        suggestions=(
            *_suggestions(plan, expected, slots, in_order=in_order, order=order),
            *order_advice(plan),
        ),
    )


def _draws(wanted: int, widths: Mapping[str, int]) -> int:
    return max(20, min(wanted, MOST_WORK // max(1, sum(widths.values()))))


def _llm(step: Step) -> str:
    return step.assignment.llm if step.assignment else ""


class _Calls(NamedTuple):
    """The calls of a step to one LLM."""

    llm: str
    times: int
    samples: Sequence[Sample]
    """What one of them may take."""
    basis: str
    """On what that is based."""


def _calls(
    step: Step, history: History, prices: Mapping[str, Price | None], items: Mapping[str, int]
) -> list[_Calls]:
    """Return the calls of a step, one beside the other or one after another."""
    many = items.get(step.id, DEFAULT_ITEMS) if step.repeat else 1
    found = []
    for llm, count in calls_of(step).items():
        known, basis = history.samples(step.id, llm)
        if not known:
            known, basis = _guess(prices.get(llm), step.max_tokens), _GUESS
        found.append(_Calls(llm, count * many, known, basis))
    return found


def _guess(price: Price | None, max_tokens: int | None) -> Sequence[Sample]:
    usd = None
    if price is not None:
        tokens = LIKELY_TOKENS[0], min(LIKELY_TOKENS[1], max_tokens or LIKELY_TOKENS[1])
        usd = float(price.input_usd_per_mtok * tokens[0] + price.output_usd_per_mtok * tokens[1])
        usd /= 1e6
    return [Sample(seconds, usd) for seconds in PRIOR]


def _basis(calls: Sequence[_Calls]) -> str:
    """Return on what the estimate of a step is based: a guess where any of it is one."""
    said = dict.fromkeys(each.basis for each in calls)
    return _GUESS if _GUESS in said else ", ".join(said)


def _middle(calls: Sequence[_Calls]) -> float:
    """Return the mean of the median seconds of a step's calls; 0 without any."""
    many = sum(each.times for each in calls)
    total = sum(statistics.median(s.seconds for s in each.samples) * each.times for each in calls)
    return total / many if many else 0.0


def _length(seconds: float, width: int, slots: int, *, in_order: bool) -> float:
    return seconds * width if in_order else seconds * -(-width // max(1, slots))


def _drawn(rng: random.Random, calls: Sequence[_Calls], slots: int) -> tuple[float, float | None]:
    """Return seconds and US dollars of a step, as many calls at a time as there are slots."""
    chosen = [rng.choice(each.samples) for each in calls for _ in range(each.times)]
    usd = sum(each.usd or 0.0 for each in chosen)
    lanes = [0.0] * max(1, min(slots, len(chosen)))
    for each in chosen:
        first = lanes.index(min(lanes))
        lanes[first] += each.seconds
    return max(lanes), usd


def _risks(plan: Plan, history: History, unpriced: Sequence[str]) -> list[str]:
    """Return what may go wrong, a sentence each."""
    found = [f"The price of {llm} is unknown, so the cost is too." for llm in unpriced]
    readers = {name for step in plan.steps for name in step.needs}
    for step in plan.steps:
        if step.assignment is None or step.fallbacks:
            continue
        share = history.failed.get(_llm(step), 0.0)
        if share >= 0.05:
            said = f"{_llm(step)} failed {share:.0%} of its calls"
            found.append(f"{said}, and task {step.id!r} has no fallback.")
        elif step.id in readers and 3 < len(plan.steps) < MOST_LOOKED_AT:
            behind = _behind(plan, step.id)
            if behind <= len(plan.steps) // 2:
                continue
            found.append(
                f"Task {step.id!r} is a single point of failure: {behind} tasks wait for it, and "
                "it has no fallback."
            )
    return found


def _behind(plan: Plan, task: str) -> int:
    found = {task}
    for step in plan.steps:
        if found & {*step.needs}:
            found.add(step.id)
    return len(found) - 1


def _over(plan: Plan, cost: Range | None, latency: Range) -> list[str]:
    limits, found = plan.limits, []
    if limits.cost_usd is not None and cost is not None and cost.high > float(limits.cost_usd):
        found.append(f"It may cost ${cost.high:.4f}, and the limit is ${limits.cost_usd}.")
    if limits.time_s is not None and latency.high > limits.time_s:
        found.append(f"It may take {latency.high:.0f} s, and the limit is {limits.time_s:g} s.")
    return found


def _suggestions(
    plan: Plan, expected: Mapping[str, float], slots: int, *, in_order: bool, order: Order
) -> tuple[str, ...]:
    """Return changes of how it is run that would save a tenth of the time or more."""
    now = simulate(plan.steps, expected, slots=slots, in_order=in_order, order=order).makespan_s
    found = []
    if in_order:
        other = simulate(plan.steps, expected, slots=slots, order=order).makespan_s
        if other < 0.9 * now:
            found.append(f"strategy: parallel would take {other:.1f} s instead of {now:.1f} s.")
    else:
        other = simulate(plan.steps, expected, slots=slots * 2, order=order).makespan_s
        if other < 0.9 * now:
            found.append(
                f"{slots * 2} tasks at a time would take {other:.1f} s instead of {now:.1f} s."
            )
    return tuple(found)
