"""The schedule: what is handed out, in which order, and what is skipped."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from bmad_nb.engine.schedule import Schedule
from bmad_nb.plan import Step


def steps(**needs: str) -> list[Step]:
    """Return steps that ask; `b="a"` needs a, `c="a b"` both."""
    return [Step(name, "prompt", tuple(text.split())) for name, text in needs.items()]


def drained(schedule: Schedule, outcomes: dict[str, str] | None = None) -> dict[str, str]:
    """Settle everything in the order in which it is handed out; return why each was skipped."""
    found = {}
    while (ready := schedule.pop(None, slot=True)) is not None:
        found[ready.step.id] = ready.skipped_because
        state = (outcomes or {}).get(ready.step.id, "done")
        schedule.settle(ready.step.id, "skipped" if ready.skipped_because else state)
    return found


def test_priority_goes_first_then_the_longest_way_then_the_written_order() -> None:
    """Among ready tasks priority decides, then the critical path, then who was written first."""
    found = [
        Step("plain", "prompt"),
        Step("second", "prompt"),
        Step("long", "prompt"),
        Step("low", "prompt", priority=3),
        Step("urgent", "prompt", priority=0),
        Step("after", "prompt", ("long",)),
    ]
    schedule = Schedule(found, seconds={})
    order = [schedule.pop(None, slot=True).step.id for _ in range(5)]

    assert ["urgent", "long", "plain", "second", "low"] == order


def test_known_lengths_decide_the_critical_path() -> None:
    """With estimates, the way that takes longest goes first."""
    found = steps(a="", b="", c="b")
    order = list(drained(Schedule(found, seconds={"a": 9, "b": 1, "c": 1})))

    assert ["a", "b", "c"] == order


def test_in_order_is_the_written_order() -> None:
    """One by one, tasks go as they are written, whatever their priority."""
    found = [Step("a", "prompt", priority=3), Step("b", "prompt", priority=0), Step("c", "set")]

    assert ["a", "b", "c"] == list(drained(Schedule(found, seconds={}, in_order=True)))


def test_a_task_is_ready_when_its_own_needs_are() -> None:
    """There is no barrier: c goes while b, which it does not need, is still running."""
    schedule = Schedule(steps(a="", b="", c="a"), seconds={})
    assert {"a", "b"} == {schedule.pop(None, slot=True).step.id for _ in range(2)}
    schedule.settle("a", "done")

    assert "c" == schedule.pop(None, slot=True).step.id


def test_without_a_slot_only_what_takes_no_time_goes() -> None:
    """Tasks that take no time, and those that are skipped, need no slot."""
    found = [Step("ask", "prompt"), Step("set", "set"), Step("gone", "prompt", ("set",))]
    schedule = Schedule(found, seconds={})

    assert "set" == schedule.pop(None, slot=False).step.id
    schedule.settle("set", "failed")
    assert "set failed." == schedule.pop(None, slot=False).skipped_because
    assert schedule.pop(None, slot=False) is None


def test_joins_decide_what_a_skip_means() -> None:
    """`all` needs all, `any` needs one, and `all_done` only waits."""
    found = [
        *steps(a="", b=""),
        Step("all", "prompt", ("a", "b")),
        Step("any", "prompt", ("a", "b"), join="any"),
        Step("none", "prompt", ("b", "all"), join="any"),
        Step("waits", "prompt", ("b", "all"), join="all_done"),
    ]
    because = drained(Schedule(found, seconds={}), {"b": "failed"})

    assert "b failed." == because["all"]
    assert "" == because["any"]
    assert "None of b, all was done." == because["none"]
    assert "" == because["waits"]


def test_a_join_waits_for_all_its_needs() -> None:
    """`any` does not go when the first is done: no result depends on who was faster."""
    found = [*steps(a="", b=""), Step("c", "prompt", ("a", "b"), join="any")]
    schedule = Schedule(found, seconds={})
    schedule.pop(None, slot=True)
    schedule.pop(None, slot=True)
    schedule.settle("a", "done")

    assert schedule.pop(None, slot=True) is None
    schedule.settle("b", "failed")
    assert "c" == schedule.pop(None, slot=True).step.id


def test_skips_propagate_with_their_cause() -> None:
    """What needs a skipped task is skipped too, and names it."""
    because = drained(Schedule(steps(a="", b="a", c="b"), seconds={}), {"a": "failed"})

    assert {"a": "", "b": "a failed.", "c": "b was skipped."} == because


def test_what_is_kept_is_not_handed_out() -> None:
    """Outcomes from before count, and what waited for them is ready at once."""
    schedule = Schedule(steps(a="", b="a", c="b"), seconds={})
    schedule.keep({"a": "done", "b": "done"})

    assert ["c"] == list(drained(schedule))


def oracle(found: list[Step], outcomes: dict[str, str]) -> dict[str, str]:
    """Return the state of each step, worked out one after another."""
    states: dict[str, str] = {}
    for step in found:
        done = [states[name] == "done" for name in step.needs]
        runs = {"all": all(done), "any": any(done) or not done, "all_done": True}[step.join]
        states[step.id] = outcomes[step.id] if runs else "skipped"
    return states


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[Step], dict[str, str]]:
    count = draw(st.integers(1, 12))
    found, outcomes = [], {}
    for number in range(count):
        needs = draw(st.sets(st.integers(0, number - 1), max_size=3)) if number else set()
        found.append(
            Step(
                f"t{number}",
                draw(st.sampled_from(["prompt", "set"])),
                tuple(f"t{n}" for n in sorted(needs)),
                join=draw(st.sampled_from(["all", "any", "all_done"])),
                priority=draw(st.integers(0, 3)),
            )
        )
        outcomes[f"t{number}"] = draw(st.sampled_from(["done", "failed", "skipped"]))
    return found, outcomes


@settings(deadline=None, max_examples=200)
@given(graphs(), st.booleans())
def test_every_step_goes_once_after_its_needs_and_as_predicted(
    graph: tuple[list[Step], dict[str, str]], in_order: bool
) -> None:
    """On random graphs each step is handed out once, after its needs, and run or skipped right."""
    found, outcomes = graph
    schedule = Schedule(found, seconds={}, in_order=in_order)
    seen: list[str] = []
    while (ready := schedule.pop(None, slot=True)) is not None:
        assert set(ready.step.needs) <= set(seen)
        seen.append(ready.step.id)
        state = "skipped" if ready.skipped_because else outcomes[ready.step.id]
        schedule.settle(ready.step.id, state)

    assert sorted(step.id for step in found) == sorted(seen)
    assert oracle(found, outcomes) == schedule.states
    if in_order:
        assert [step.id for step in found] == seen


def test_a_kept_task_is_not_handed_out_when_its_need_ends_again() -> None:
    """A need that was not kept may end anew; what was kept behind it stays as it is."""
    found = [*steps(a=""), Step("b", "prompt", ("a",), join="all_done")]
    schedule = Schedule(found, seconds={})
    schedule.keep({"b": "done"})

    assert ["a"] == list(drained(schedule))
