"""The simulation goes as the engine goes: same scheduler, same order, same time."""

from __future__ import annotations

import random

import pytest

from bmad_nb.engine.run import Engine
from bmad_nb.engine.slots import Slots
from bmad_nb.forecast.simulation import critical_path, simulate
from bmad_nb.plan import Step
from tests.engine import virtual
from tests.engine.test_run import Sleeper


def dag(seed: int) -> tuple[list[Step], dict[str, float]]:
    """Return up to 60 tasks with random needs and lengths."""
    rng = random.Random(seed)
    steps, seconds = [], {}
    for number in range(rng.randint(5, 60)):
        needs = rng.sample(range(number), min(number, rng.choice([0, 1, 1, 2])))
        steps.append(Step(f"t{number}", "prompt", tuple(f"t{n}" for n in sorted(needs))))
        seconds[f"t{number}"] = round(rng.lognormvariate(0, 1), 3)
    return steps, seconds


@pytest.mark.parametrize("in_order", [False, True])
@pytest.mark.parametrize("seed", range(25))
def test_it_takes_what_the_engine_takes(seed: int, in_order: bool) -> None:
    """Makespan and the beginning of each task are those of the engine in virtual time."""
    steps, seconds = dag(seed)
    sleeper = Sleeper(seconds)

    async def work() -> None:
        await Engine(
            steps, virtual.MemoryJournal(), sleeper, slots=Slots(1 if in_order else 4),
            schedule={"seconds": seconds}, in_order=in_order,
        ).run()  # fmt: skip

    _, took = virtual.run(work())
    guess = simulate(steps, seconds, slots=4, in_order=in_order)
    assert pytest.approx(took) == guess.makespan_s
    for name, began, ended in sleeper.spans:
        assert pytest.approx((began, ended)) == guess.spans[name]


def test_a_hundred_dags_are_near_their_lower_bound() -> None:
    """List scheduling by critical path: the median makespan is at most 1.1 times the bound."""
    ratios = []
    for seed in range(100):
        steps, seconds = dag(seed)
        longest = sum(seconds[name] for name in critical_path(steps, seconds))
        bound = max(longest, sum(seconds.values()) / 4)
        ratios.append(simulate(steps, seconds, slots=4).makespan_s / bound)
    assert sorted(ratios)[50] <= 1.1
    assert max(ratios) <= 2


def test_a_critical_path_is_the_longest_way() -> None:
    """Of a diamond it is the side that takes longer."""
    steps = [Step("a", "prompt"), Step("b", "prompt", ("a",)), Step("c", "prompt", ("a",)),
             Step("d", "prompt", ("b", "c"))]  # fmt: skip
    assert ["a", "c", "d"] == critical_path(steps, {"a": 1, "b": 1, "c": 5, "d": 1})
    assert 7 == simulate(steps, {"a": 1, "b": 1, "c": 5, "d": 1}, slots=9).makespan_s
    assert [] == critical_path([], {})
