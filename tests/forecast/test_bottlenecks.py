"""Six runs, one cause each: the cause is named, and the prediction holds when it is mended."""

from __future__ import annotations

import asyncio
import datetime
from dataclasses import dataclass, field
from typing import Any

import pytest

from bmad_nb.engine.run import Ended, Engine
from bmad_nb.engine.slots import Lane, Slots
from bmad_nb.events import CallRow, TaskRow
from bmad_nb.forecast.bottlenecks import Bottleneck, bottlenecks
from bmad_nb.plan import Step
from tests.engine import virtual

EPOCH = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


@dataclass
class World:
    """What tasks take: the engine runs them in virtual time and rows say it."""

    steps: list[Step]
    slots: int = 4
    in_order: bool = False
    service: dict[str, float] = field(default_factory=dict)
    waited: dict[str, float] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    llms: dict[str, str] = field(default_factory=dict)

    def run(self) -> tuple[list[TaskRow], list[CallRow], float]:
        """Return the rows of a run, and how long it took."""
        world, tasks, calls = self, [], []

        class Doing:
            def at_once(self, step: Step, skipped_because: str) -> TaskRow | None:
                return None

            async def in_time(self, step: Step, lane: Lane) -> Ended:
                now = asyncio.get_running_loop().time
                began, name = now(), step.id
                if step.verb == "approve":
                    lane.let_go()
                llm = world.llms.get(name, "own/a")
                for number in range(world.failures.get(name, 0)):
                    await asyncio.sleep(1.0)
                    calls.append(CallRow(f"{name}{number}", "r", llm, "k", "failed", task=name,
                                         latency_s=1.0))  # fmt: skip
                    await lane.rest(2.0)
                await asyncio.sleep(world.waited.get(name, 0.0))
                await asyncio.sleep(world.service.get(name, 1.0))
                if step.verb != "approve":
                    calls.append(CallRow(name, "r", llm, "k", "answered", task=name,
                                         latency_s=world.service.get(name, 1.0),
                                         waited_s=world.waited.get(name, 0.0)))  # fmt: skip
                row = TaskRow(
                    "r", name, "done", step.verb, llm="" if step.verb == "approve" else llm,
                    started_utc=_at(began), ended_utc=_at(now()), queued_s=lane.queued_s,
                    rested_s=lane.rested_s,
                )  # fmt: skip
                tasks.append(row)
                return Ended(row)

            def settled(self, row: TaskRow) -> None:
                """Take no note."""

        async def work() -> None:
            slots = Slots(1 if self.in_order else self.slots)
            await Engine(
                self.steps, virtual.MemoryJournal(), Doing(), slots=slots, in_order=self.in_order
            ).run()

        _, took = virtual.run(work())
        return tasks, calls, took


def _at(seconds: float) -> str:
    return (EPOCH + datetime.timedelta(seconds=seconds)).isoformat()


def many(count: int, needs: str = "") -> list[Step]:
    return [Step(f"t{n}", "prompt", tuple(needs.split())) for n in range(count)]


def chain(count: int) -> list[Step]:
    return [Step(f"t{n}", "prompt", (f"t{n - 1}",) if n else ()) for n in range(count)]


WORLDS: dict[str, tuple[World, dict[str, Any]]] = {
    "slots": (World(many(32), slots=4), {"slots": 32}),
    "rate_limit": (
        World(chain(6), waited={f"t{n}": 5.0 for n in range(6)}), {"waited": {}},
    ),
    "slow_llm": (
        World(chain(4), service={"t0": 1, "t1": 20, "t2": 22, "t3": 1},
              llms={"t1": "own/slow", "t2": "own/slow"}),
        {"service": {"t0": 1, "t1": 2, "t2": 2.1, "t3": 1}},
    ),
    "retries": (World(chain(5), failures={"t1": 3, "t3": 4}), {"failures": {}}),
    "order": (World(many(10), in_order=True, slots=10), {"in_order": False}),
    "human": (
        World([*many(3), Step("ok", "approve", ("t0", "t1", "t2")), Step("end", "prompt", ("ok",))],
              service={"ok": 60.0}),
        {"service": {"ok": 0.0}},
    ),
}  # fmt: skip


def found(world: World) -> tuple[list[Bottleneck], float]:
    tasks, calls, took = world.run()
    named = bottlenecks(
        world.steps, tasks, calls, slots=world.slots, in_order=world.in_order,
        alternatives={"own/a": 1.0, "own/fast": 2.05},
    )  # fmt: skip
    return named, took


@pytest.mark.parametrize("cause", WORLDS)
def test_the_cause_is_named_and_its_saving_holds(cause: str) -> None:
    """It comes first, and a run with the change takes what was predicted, within 15 %."""
    world, change = WORLDS[cause]
    named, took = found(world)
    assert cause == named[0].cause, named
    if cause == "slow_llm":
        named, _ = found(world)
        named = bottlenecks(world.steps, *world.run()[:2], slots=4, alternatives={"own/fast": 2.05})
    mended = World(**{**vars(world), **change})
    _, _, again = mended.run()
    assert pytest.approx(again, rel=0.15) == named[0].predicted_s
    assert pytest.approx(took - named[0].predicted_s, rel=0.02) == named[0].saving_s
    assert again < took


def test_a_run_without_a_bottleneck_names_none() -> None:
    """Four tasks at a time with a slot for each: nothing would save anything."""
    tasks, calls, _ = World(many(4), slots=4).run()
    assert [] == bottlenecks(many(4), tasks, calls, slots=4)


def test_a_change_says_what_to_do() -> None:
    """Slots are a number, an LLM takes another's place, a strategy is a word."""
    assert {"max_concurrent_tasks": 32} == dict(found(WORLDS["slots"][0])[0][0].change)
    assert {"strategy": "parallel"} == dict(found(WORLDS["order"][0])[0][0].change)
    world = WORLDS["slow_llm"][0]
    named = bottlenecks(world.steps, *world.run()[:2], slots=4, alternatives={"own/fast": 2.05})
    assert {"llms": {"own/slow": "own/fast"}} == dict(named[0].change)
