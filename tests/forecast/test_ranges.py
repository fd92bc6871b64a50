"""Cost, time and risks of a plan, before anybody is asked."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest

from bmad_nb.events import CallRow
from bmad_nb.forecast.history import History
from bmad_nb.forecast.ranges import Range, analyze
from bmad_nb.forecast.simulation import simulate
from bmad_nb.messages import Price
from bmad_nb.plan import Plan, Step
from bmad_nb.plan_parts import Assignment, Repeat, RunLimits

PRICE = Price(Decimal(1), Decimal(2), source="test")


def step(name: str, needs: str = "", llm: str = "own/a", **more: object) -> Step:
    return Step(name, "prompt", tuple(needs.split()), assignment=Assignment(llm), **more)  # type: ignore[arg-type]


def calls(count: int, seed: int = 0, llm: str = "own/a", task: str = "a") -> list[CallRow]:
    """Return answers with lognormal lengths and costs of half of that in cents."""
    rng = random.Random(seed)
    found = []
    for number in range(count):
        seconds = rng.lognormvariate(0, 0.6)
        found.append(
            CallRow(f"{task}{number}", "r", llm, "k", "answered", task=task, latency_s=seconds,
                    cost_usd=Decimal(str(round(seconds / 200, 6))))
        )  # fmt: skip
    return found


DIAMOND = (step("a"), step("b", "a"), step("c", "a"), step("d", "b c"))


def test_eight_of_ten_runs_lie_in_the_range() -> None:
    """The 80 % range of cost and of time covers 76 to 84 % of 1,000 runs of the same kind."""
    history = History.of([c for t in "abcd" for c in calls(2000, ord(t), task=t)])
    found = analyze(Plan("w", "parallel", DIAMOND), history, {"own/a": PRICE}, slots=2, draws=2000)
    rng = random.Random(99)
    inside_s = inside_usd = 0
    for _ in range(1000):
        lengths = {t: rng.lognormvariate(0, 0.6) for t in "abcd"}
        took = simulate(DIAMOND, lengths, slots=2).makespan_s
        cost = sum(lengths.values()) / 200
        inside_s += found.latency_s.low <= took <= found.latency_s.high
        assert found.cost_usd is not None
        inside_usd += found.cost_usd.low <= cost <= found.cost_usd.high
    assert 760 <= inside_s <= 840
    assert 760 <= inside_usd <= 840


def test_the_same_seed_gives_the_same_ranges() -> None:
    """An analysis can be compared with another one."""
    history = History.of(calls(30))
    plan = Plan("w", "parallel", DIAMOND)
    one, two = (analyze(plan, history, {"own/a": PRICE}, slots=2, seed=7) for _ in range(2))
    assert one == two
    assert one.latency_s.low <= one.latency_s.mid <= one.latency_s.high


def test_an_estimate_says_what_it_is_based_on() -> None:
    """A task's own answers, else those of its LLM, else a guess from the price."""
    history = History.of([*calls(8, task="a"), *calls(3, llm="own/b", task="x")])
    plan = Plan(
        "w", "parallel", (step("a"), step("b"), step("c", llm="own/b"), step("d", llm="own/c"))
    )
    found = analyze(plan, history, {"own/a": PRICE, "own/b": PRICE, "own/c": PRICE}, slots=4)
    assert {"a": "8 answers of this task", "b": "8 answers of own/a", "c": "3 answers of own/b",
            "d": "no answer so far: a guess"} == found.basis  # fmt: skip
    assert found.cost_usd is not None


def test_what_comes_from_the_store_and_what_failed_is_no_sample() -> None:
    """Copies teach nothing; failures are counted as a share."""
    rows = [CallRow("1", "r", "own/a", "k", "answered", latency_s=0.0, from_store=True),
            CallRow("2", "r", "own/a", "k", "failed", latency_s=9.0),
            CallRow("3", "r", "own/a", "k", "answered", latency_s=2.0)]  # fmt: skip
    history = History.of(rows)
    assert 2.0 == history.seconds("own/a")
    assert {"own/a": 0.5} == dict(history.failed)
    assert history.seconds("own/b") is None


def test_risks_are_named() -> None:
    """Unknown prices, failing LLMs, single points of failure, and limits that the range passes."""
    history = History.of([*calls(20, task="a"),
                          *(CallRow(str(n), "r", "own/a", "k", "failed") for n in range(5))])  # fmt: skip
    plan = Plan("w", "parallel", DIAMOND, limits=RunLimits(cost_usd="0.001", time_s=0.5))
    said = " ".join(analyze(plan, history, {"own/a": PRICE}, slots=2).risks)
    assert "own/a failed 20% of its calls, and task 'a' has no fallback" in said
    assert "and the limit is $0.001" in said
    assert "and the limit is 0.5 s" in said
    single = Plan("w", "parallel", (*DIAMOND, step("e", "d", llm="own/b")))
    found = analyze(single, History(), {"own/a": PRICE, "own/b": None}, slots=2)
    assert any("'a' is a single point of failure: 4 tasks" in each for each in found.risks)
    assert any("price of own/b is unknown" in each for each in found.risks)
    assert found.cost_usd is None


def test_parallelism_and_what_would_be_faster() -> None:
    """Six equal tasks one by one: six at a time would do, and the gain is named."""
    steps = tuple(step(name) for name in "abcdef")
    history = History.of([c for t in "abcdef" for c in calls(10, task=t)])
    found = analyze(Plan("w", "sequential", steps), history, {"own/a": PRICE}, slots=6)
    assert 6 == found.most_at_once == found.calls
    assert any(each.startswith("strategy: parallel would take") for each in found.suggestions)
    tight = analyze(Plan("w", "parallel", steps), history, {"own/a": PRICE}, slots=2)
    assert any("4 tasks at a time would take" in each for each in tight.suggestions)


def test_a_map_counts_its_items() -> None:
    """Twelve items of one task are twelve calls, as many at a time as there are slots."""
    steps = (step("a", repeat=Repeat("xs")),)
    rows = [CallRow(str(n), "r", "own/a", "k", "answered", task="a", latency_s=1.0,
                    cost_usd=Decimal("0.01")) for n in range(9)]  # fmt: skip
    found = analyze(Plan("w", "parallel", steps), History.of(rows), {"own/a": PRICE}, slots=4,
                    items={"a": 12})  # fmt: skip
    assert (12, 3.0) == (found.calls, found.latency_s.mid)
    assert found.cost_usd is not None
    assert pytest.approx(0.12) == found.cost_usd.mid


def test_the_least_skill_on_the_way_counts() -> None:
    """Quality is the least declared skill; unknown where one is."""
    plan = Plan("w", "parallel", (step("a"), step("b", llm="own/b")))
    prices = {"own/a": PRICE, "own/b": PRICE}
    assert (
        0.6
        == analyze(plan, History(), prices, slots=2, skills={"own/a": 0.9, "own/b": 0.6}).quality
    )
    assert analyze(plan, History(), prices, slots=2, skills={"own/a": 0.9}).quality is None


def test_a_range_has_ten_percent_at_each_end() -> None:
    """Of 0 to 100 it is 10, 50 and 90."""
    assert Range(10.0, 50.0, 90.0) == Range.of([float(n) for n in range(101)])
    assert Range(3.0, 3.0, 3.0) == Range.of([3.0])
