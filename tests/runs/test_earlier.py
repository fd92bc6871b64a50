"""What an earlier run left: how long it ran, and what of it still holds."""

from __future__ import annotations

from bmad_nb.events import RunEnded, RunRow, RunStarted, TaskEnded, TaskRow
from bmad_nb.plan import Step
from bmad_nb.runs.earlier import Earlier, active_s, kept
from bmad_nb.state import RunState
from bmad_nb.store.stamped import Stamped

STARTED = RunStarted(RunRow("r", "workflow", "running"))
DONE = TaskEnded(TaskRow("r", "a", "done"))


def at(second: int, event: object) -> Stamped:
    return Stamped(second, f"2026-01-01T00:00:{second:02d}.000000+00:00", event)


def test_time_while_stopped_does_not_count() -> None:
    """Two sessions of 3 and 4 seconds, with 10 between them, are 7 seconds."""
    events = [at(0, STARTED), at(3, RunEnded("r", "paused")), at(13, STARTED),
              at(17, RunEnded("r", "completed"))]  # fmt: skip

    assert 7.0 == active_s(events)


def test_a_killed_session_ends_with_its_last_event() -> None:
    """What nobody closed lasted until its last sign of life."""
    assert 6.0 == active_s([at(0, STARTED), at(2, DONE), at(9, STARTED), at(13, DONE)])
    assert 0.0 == active_s([])


def left(**states: str) -> Earlier:
    """Return an earlier run; `a="done"` with the content of `steps`."""
    rows = {name: TaskRow("r", name, state, content=name) for name, state in states.items()}
    return Earlier(RunState(tasks=rows), same_run=True, active_s=0)


def steps(**needs: str) -> list[Step]:
    return [Step(n, "prompt", tuple(text.split()), content=n) for n, text in needs.items()]


def names(found: list[TaskRow]) -> list[str]:
    return [row.task for row in found]


def test_what_is_done_and_what_was_left_out_is_kept() -> None:
    """Done and skipped tasks hold; failed and unfinished ones are done anew."""
    earlier = left(a="done", b="skipped", c="failed")

    assert ["a", "b"] == names(kept(steps(a="", b="a", c="a", d="a"), earlier))


def test_what_reads_a_task_that_is_done_anew_is_done_anew() -> None:
    """Nothing is kept whose needs may end otherwise now."""
    earlier = left(a="failed", b="skipped", c="done")

    assert [] == names(kept(steps(a="", b="a", c="b"), earlier))


def test_another_content_is_not_kept() -> None:
    """An edited task is another task."""
    [step] = steps(a="")
    edited = Step("a", "prompt", content="other")

    assert ["a"] == names(kept([step], left(a="done")))
    assert [] == names(kept([edited], left(a="done")))
