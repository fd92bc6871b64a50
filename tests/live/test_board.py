"""What a monitor shows: a fold of the store's events, and changes that add up to it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmad_nb.errors import RunFailed, RunPaused
from bmad_nb.live.board import Board, difference, merged
from bmad_nb.live.feed import Feed
from bmad_nb.render.run import purse
from bmad_nb.runs.run import Run
from bmad_nb.state import fold
from bmad_nb.store.stamped import Stamped
from bmad_nb.workspace import Workspace

FLOW = """
workflow: mixed
inputs: {names: {type: list, default: [a, b, c]}, lang: {type: string, default: en}}
tasks:
  facts: {prompt: "What is 4 + 3?", llm: sim/careful}
  each: {prompt: "Say {{ name }} and {{ facts.text }}", map: {over: names, as: name}, llm: sim/hasty}
  sometimes: {prompt: "Translate {{ facts.text }}", when: lang == 'de', llm: sim/hasty}
  ok: {approve: {ask: "Go on?", options: [accept, stop]}, needs: [facts]}
  end: {set: {all: facts.text, said: ok.choice}}
outputs: {end: end.value}
"""
BROKEN = """
workflow: broken
tasks:
  one: {prompt: "What is 4 + 3?", llm: own/down}
  two: {prompt: "And {{ one.text }}?", llm: sim/hasty}
"""


def plain(board: Board) -> Any:
    """Return a copy of what a board shows, as a front end has it."""
    return json.loads(json.dumps(board.whole))


@pytest.fixture
def stopped(ws: Workspace, project: Path) -> Run:
    """Give a run that was paused at its question, answered, and went on to its end."""
    (project / "mixed.yaml").write_text(FLOW)
    with pytest.raises(RunPaused) as caught:
        ws.run("mixed.yaml", budget_usd=1)
    run_id = caught.value.run_id
    time.sleep(0.3)  # what lies between two sessions is no time of the run
    ws.approve(run_id, "ok", "accept")
    return ws.resume(run_id)


JSON = st.recursive(
    st.integers() | st.text(max_size=3) | st.booleans() | st.lists(st.integers(), max_size=3),
    lambda inner: st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text(max_size=3), JSON, max_size=5)


@given(OBJECTS, OBJECTS)
@settings(max_examples=60, deadline=None)
def test_a_difference_makes_the_new_of_the_old(old: dict, new: dict) -> None:
    """Whatever two states are, the old one and the difference add up to the new one."""
    change = difference(old, new)
    assert new == merged(json.loads(json.dumps(old)), change)
    assert {} == difference(new, new)


def test_changes_add_up_to_the_fold(stopped: Run, ws: Workspace) -> None:
    """In whatever portions events come, the changes add up to the board of all of them."""
    events = ws.store.events(stopped.id)
    whole = Board()
    whole.take(events)
    assert len(events) > 15
    for size in (1, 2, 3, 7):
        part = Board()
        seen = plain(part)
        for start in range(0, len(events), size):
            merged(seen, json.loads(json.dumps(part.take(events[start : start + size]))))
            assert plain(part) == seen
        assert plain(whole) == seen


def test_the_board_says_what_the_run_says(stopped: Run, ws: Workspace) -> None:
    """States, money, counts and questions of a board are those of the run itself."""
    board = Board()
    board.take(ws.store.events(stopped.id))
    state = fold(each.event for each in ws.store.events(stopped.id))
    assert "completed" == board.whole["run"]["status"] == stopped.status
    expected = {
        "facts": "done",
        "each": "done",
        "sometimes": "skipped",
        "ok": "done",
        "end": "done",
    }
    assert expected == {name: task["state"] for name, task in board.whole["tasks"].items()}
    assert 3 == board.whole["tasks"]["each"]["parts"]
    assert {"ok": {}} == board.whole["questions"]
    calls = list(state.calls.values())
    spent, held = purse(stopped.view(), simulated=True)
    sums = board.whole["sums"]
    assert pytest.approx(float(spent)) == sums["invented_usd"] > 0
    assert 0 == float(held) == sums["invented_held_usd"] == sums["flying"]
    assert (len(calls), 0, 0.0) == (sums["made"], sums["stored"], sums["spent_usd"])
    assert 1.0 == board.whole["run"]["budget_usd"]
    assert board.clock_s() < stopped.duration_s + 0.05
    ends = [call["end_s"] for call in board.whole["calls"].values()]
    assert max(ends) <= board.clock_s() + 0.01


def test_sums_never_drift(stopped: Run, ws: Workspace) -> None:
    """After each single event the sums are those of all calls so far, counted anew."""
    board = Board()
    events: list[Stamped] = []
    for each in ws.store.events(stopped.id):
        events.append(each)
        board.take([each])
        calls = fold(e.event for e in events).calls.values()
        sums = board.whole["sums"]
        assert sum(c.state == "in_flight" for c in calls) == sums["flying"]
        assert sum(not c.from_store for c in calls) == sums["made"]
        held = sum(float(c.reserved_usd or 0) for c in calls if c.state == "in_flight")
        assert pytest.approx(held) == sums["invented_held_usd"]
    assert events


def test_two_observers_agree_while_a_run_goes_on(ws: Workspace, project: Path) -> None:
    """Two feeds that look at different moments, one of them late, show the same in the end."""
    (project / "mixed.yaml").write_text(FLOW)
    run = ws.run("mixed.yaml", background=True)
    early, late = Feed(ws.store, run.id), Feed(ws.store, run.id)
    seen = plain(early.board)
    frames = 0
    while not (early.board.whole["questions"].get("ok")):
        frame = early.look()
        if frame is not None:
            frames += 1
            assert frames == frame["n"]
            merged(seen, json.loads(json.dumps(frame["change"])))
        time.sleep(0.02)
    late.look()
    ws.approve(run.id, "ok", "stop")
    run.wait(30)
    for feed in (early, late):
        frame = feed.look()
        assert frame is not None
        if feed is early:
            merged(seen, json.loads(json.dumps(frame["change"])))
    again = Feed(Workspace(store=ws.store.path).store, run.id)
    again.look()
    assert plain(early.board) == plain(late.board) == plain(again.board) == seen
    assert frames > 1
    assert early.is_over
    assert early.look() is None


def test_a_failure_shows_with_its_reason(ws: Workspace, project: Path) -> None:
    """A task that failed says why; what needs it is skipped."""

    def down(_messages: object) -> str:
        raise OSError("the line is cut")

    ws.add_llm("down", down)
    (project / "broken.yaml").write_text(BROKEN)
    with pytest.raises(RunFailed) as caught:
        ws.run("broken.yaml")
    board = Board()
    board.take(ws.store.events(caught.value.run_id))
    tasks = board.whole["tasks"]
    assert ("failed", "skipped") == (tasks["one"]["state"], tasks["two"]["state"])
    assert "the line is cut" in tasks["one"]["error"]
    assert "failed" == board.whole["run"]["status"]
    assert board.whole["sums"]["failed"] >= 1


def test_the_end_of_what_is_being_said_is_in_the_frame(ws: Workspace, project: Path) -> None:
    """Words of an answer on its way come with the frames of its own process, and go with it."""
    (project / "mixed.yaml").write_text(FLOW)
    run = ws.run("mixed.yaml", background=True)
    feed = Feed(ws.store, run.id, run.progress.texts.copy)
    texts: list[str] = []
    until_s = time.monotonic() + 20
    while time.monotonic() < until_s and not feed.board.whole["questions"].get("ok"):
        feed.look()
        texts += feed.whole()["live"].get("texts", {}).values()
        time.sleep(0.02)
    assert texts
    run.stop()
    with pytest.raises(RunPaused):
        run.wait(20)
    feed.look()
    assert "texts" not in feed.whole()["live"]


def test_what_is_left_is_reckoned_by_answers_so_far(ws: Workspace, project: Path) -> None:
    """Seconds that are left come from answers of the LLM, and shrink to nothing at the end."""
    (project / "chain.yaml").write_text(
        "workflow: chain\ntasks:\n"
        + "".join(
            f'  t{n}: {{prompt: "What is {n} + 1?", llm: sim/careful'
            + (f", needs: [t{n - 1}]}}\n" if n else "}\n")
            for n in range(5)
        )
    )
    run = ws.run("chain.yaml", background=True)
    feed = Feed(ws.store, run.id)
    left: list[float] = []
    while not run.is_done:
        feed._next_s = 0.0
        feed.look()
        if "left_s" in feed.whole()["live"]:
            left.append(feed.whole()["live"]["left_s"])
        time.sleep(0.05)
    run.wait(10)
    assert len(left) > 4
    assert 0.5 < left[0] < 4
    assert left[-1] < left[0]
    feed.look()
    assert "left_s" not in feed.whole()["live"]
