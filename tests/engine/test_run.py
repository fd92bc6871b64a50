"""The engine's loop in virtual time: exact makespans, slots, rests, stops and cancellations."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmad_nb.engine.run import Ended, Engine
from bmad_nb.engine.slots import Lane, Slots
from bmad_nb.errors import BudgetExceeded, StoreError
from bmad_nb.events import TaskEnded, TaskRow
from bmad_nb.plan import Step
from tests.engine import virtual


class Sleeper:
    """Sleeps for each step, and keeps who was busy when."""

    def __init__(self, lengths: Mapping[str, float], rests: Mapping[str, float] | None = None):
        self.lengths, self.rests = lengths, rests or {}
        self.spans: list[tuple[str, float, float]] = []
        self.busy = self.most = 0
        self.durable: list[str] = []
        self.failing: dict[str, BaseException] = {}

    def at_once(self, step: Step, skipped_because: str) -> TaskRow | None:
        if skipped_because:
            return TaskRow("r", step.id, "skipped", skipped_because=skipped_because)
        return TaskRow("r", step.id, "done") if step.verb == "set" else None

    async def in_time(self, step: Step, lane: Lane) -> Ended:
        clock = asyncio.get_running_loop().time
        began = clock()
        if step.id in self.rests:
            await lane.rest(self.rests[step.id])
        self.busy += 1
        self.most = max(self.most, self.busy)
        try:
            await asyncio.sleep(self.lengths.get(step.id, 1.0))
        finally:
            self.busy -= 1
            self.spans.append((step.id, began, clock()))
        if step.id in self.failing:
            raise self.failing[step.id]
        return Ended(TaskRow("r", step.id, "done"))

    def settled(self, row: TaskRow) -> None:
        self.durable.append(row.task)


def steps(**needs: str) -> list[Step]:
    return [Step(name, "prompt", tuple(text.split())) for name, text in needs.items()]


def played(
    found: list[Step], sleeper: Sleeper, *, limit: int = 10, **options
) -> tuple[dict[str, str], float]:
    """Return the outcome of each step, and the virtual seconds that all took."""

    async def work() -> dict[str, str]:
        engine = Engine(
            found,
            virtual.MemoryJournal(),
            sleeper,
            slots=Slots(1 if options.get("in_order") else limit),
            **options,
        )
        await engine.run()
        return dict(engine.states)

    return virtual.run(work())


def test_a_diamond_takes_its_critical_path() -> None:
    """Latencies 1, 1, 5, 1 in a diamond take 7 seconds, exactly."""
    found = steps(a="", b="a", c="a", d="b c")
    states, took = played(found, Sleeper({"a": 1, "b": 1, "c": 5, "d": 1}))

    assert 7.0 == took
    assert dict.fromkeys("abcd", "done") == states


def test_the_cap_is_used_and_never_passed() -> None:
    """Of 50 ready tasks 10 run at a time, and never fewer while any waits."""
    found = [Step(f"t{n}", "prompt") for n in range(50)]
    sleeper = Sleeper({f"t{n}": 1 + n % 3 for n in range(50)})
    played(found, sleeper)

    assert 10 == sleeper.most
    backlog = max(began for _, began, _ in sleeper.spans)  # nothing waits after that
    busy = sum(min(end, backlog) - began for _, began, end in sleeper.spans)
    assert 10 == busy / backlog


def test_siblings_of_a_failed_task_finish() -> None:
    """A failure stops what needs it, and nobody else."""

    class Failing(Sleeper):
        async def in_time(self, step: Step, lane: Lane) -> Ended:
            ended = await super().in_time(step, lane)
            state = "failed" if step.id == "a" else "done"
            return Ended(TaskRow("r", ended.row.task, state))

    states, _ = played(steps(a="", b="", c="a", d="b"), Failing({"b": 5}))

    assert {"a": "failed", "b": "done", "c": "skipped", "d": "done"} == states


def test_one_by_one_in_order() -> None:
    """In order, no two tasks overlap, and each begins when the one before it has ended."""
    sleeper = Sleeper({})
    _, took = played(steps(a="", b="", c=""), sleeper, in_order=True)

    assert 3.0 == took
    assert [("a", 0.0, 1.0), ("b", 1.0, 2.0), ("c", 2.0, 3.0)] == sleeper.spans


def test_a_resting_task_gives_its_slot_away() -> None:
    """While one task waits to try again, others use its slot, and it gets one back."""
    found = steps(a="", b="", c="")
    _, took = played(found, Sleeper({}, rests={"a": 1.5}), limit=1)

    assert 3.0 == took


def test_a_rested_task_comes_back_in_its_order() -> None:
    """A task that has rested goes before others of lower rank that wait for a slot."""
    found = [Step("a", "prompt", priority=0), *steps(b="", c="", d="")]
    sleeper = Sleeper({}, rests={"a": 1.5})
    played(found, sleeper, limit=1)

    assert ["b", "c", "a", "d"] == [name for name, _, _ in sleeper.spans]


def test_a_limit_lets_running_tasks_finish_and_begins_nothing() -> None:
    """After BudgetExceeded, what runs may end, what rests is broken off, the rest never begins."""
    found = steps(a="", b="", c="", d="b")
    sleeper = Sleeper({"a": 1, "b": 3}, rests={"c": 50})
    sleeper.failing["a"] = BudgetExceeded("too dear")

    with pytest.raises(BudgetExceeded, match="too dear"):
        played(found, sleeper)

    assert ["a", "b"] == [name for name, _, _ in sleeper.spans]
    assert ["b"] == sleeper.durable


def test_an_unexpected_error_reaches_the_caller_once() -> None:
    """A defect of the performer is raised by `run`, and leaves nothing running."""
    sleeper = Sleeper({})
    sleeper.failing["a"] = ZeroDivisionError("oops")

    with pytest.raises(ZeroDivisionError, match="oops"):
        played(steps(a="", b="a"), sleeper)
    assert 0 == sleeper.busy


def test_a_cancellation_breaks_everything_off() -> None:
    """Cancelled, the engine leaves no task behind."""
    sleeper = Sleeper({"a": 50, "b": 50}, rests={"b": 20})

    async def work() -> int:
        engine = Engine(steps(a="", b=""), virtual.MemoryJournal(), sleeper, slots=Slots(10))
        task = asyncio.ensure_future(engine.run())
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return len(asyncio.all_tasks())

    assert (1, 1.0) == virtual.run(work())
    assert 0 == sleeper.busy


def test_nothing_is_read_before_it_is_durable() -> None:
    """A task begins only after the outcomes of its needs were committed."""
    journal = virtual.MemoryJournal()

    class Looking(Sleeper):
        async def in_time(self, step: Step, lane: Lane) -> Ended:
            there = {e.task.task for e in journal.events if isinstance(e, TaskEnded)}
            assert set(step.needs) <= there
            return await super().in_time(step, lane)

    async def work() -> None:
        found = steps(a="", b="a", c="a b")
        await Engine(found, journal, Looking({}), slots=Slots(2)).run()

    virtual.run(work())
    assert 3 == len(journal.events)


def test_a_failing_journal_stops_everything() -> None:
    """When an outcome cannot be written, nothing more begins."""

    class Full(virtual.MemoryJournal):
        async def commit(self, *events: object) -> None:
            raise StoreError("The disk is full.")

    sleeper = Sleeper({})

    async def work() -> None:
        await Engine(steps(a="", b="a"), Full(), sleeper, slots=Slots(2)).run()

    with pytest.raises(StoreError):
        virtual.run(work())
    assert ["a"] == [name for name, _, _ in sleeper.spans]


def test_tasks_that_take_no_time_share_commits() -> None:
    """A thousand instant tasks that are ready together need a handful of commits."""
    journal = virtual.MemoryJournal()

    async def work() -> None:
        found = [Step(f"t{n}", "set") for n in range(1000)]
        await Engine(found, journal, Sleeper({}), slots=Slots(2)).run()

    virtual.run(work())
    assert 1000 == len(journal.events)
    assert 4 == journal.commits


def test_kept_outcomes_are_not_done_again() -> None:
    """What an earlier session did counts, and only the rest runs."""
    sleeper = Sleeper({})
    states, took = played(steps(a="", b="a", c="b"), sleeper, kept={"a": "done", "b": "done"})

    assert 1.0 == took
    assert dict.fromkeys("abc", "done") == states
    assert ["c"] == [name for name, _, _ in sleeper.spans]


@st.composite
def loads(draw: st.DrawFn) -> tuple[list[Step], dict[str, float], dict[str, float]]:
    count = draw(st.integers(1, 15))
    found, lengths, rests = [], {}, {}
    for number in range(count):
        needs = draw(st.sets(st.integers(0, number - 1), max_size=3)) if number else set()
        name = f"t{number}"
        found.append(Step(name, draw(st.sampled_from(["prompt", "prompt", "set"])),
                          tuple(f"t{n}" for n in needs),
                          join=draw(st.sampled_from(["all", "any", "all_done"]))))  # fmt: skip
        lengths[name] = draw(st.integers(1, 9))
        if draw(st.booleans()):
            rests[name] = draw(st.integers(0, 9))
    return found, lengths, rests


@settings(deadline=None, max_examples=150)
@given(loads(), st.integers(1, 4), st.booleans())
def test_it_always_ends(
    load: tuple[list[Step], dict[str, float], dict[str, float]], limit: int, in_order: bool
) -> None:
    """Whatever the graph, the rests and the cap: every task gets an outcome, and slots hold."""
    found, lengths, rests = load
    sleeper = Sleeper(lengths, rests)
    states, _ = played(found, sleeper, limit=limit, in_order=in_order)

    assert {step.id for step in found} == set(states)
    assert (1 if in_order else limit) >= sleeper.most
