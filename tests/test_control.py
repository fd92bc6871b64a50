"""Runs are told what to do through the store: from this process, a shell, or after their death."""

from __future__ import annotations

import asyncio
import datetime
import random
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bmad_nb import parse
from bmad_nb.errors import RunFailed, RunPaused, StoreError, UsageProblem
from bmad_nb.events import RunEnded, RunRow, RunStarted, TaskAsked, TaskEnded, TaskRow
from bmad_nb.verbs.control import ask_here
from bmad_nb.workflow.model import Workflow
from bmad_nb.workspace import Workspace
from tests.fake_provider import FakeProvider
from tests.test_cli import CONFIG, KEY_NAME, bmad, environment

SIGN = """
    workflow: sign
    tasks:
      draft: {prompt: "Write.", llm: own/a}
      signoff:
        approve: {ask: "Accept {{ draft.text }}?", show: draft.text, options: [accept, stop] MORE}
      other: {prompt: "Beside.", llm: own/a}
      change: {when: "signoff.choice == 'accept'", prompt: "Apply {{ signoff.comment }}", llm: own/a}
    outputs: {choice: signoff.choice, by: signoff.by, comment: signoff.comment, text: change.text}
"""
SLOW = "workflow: slow\ntasks:\n" + "".join(
    f'  t{n}:\n    prompt: "Slow {n}"\n    llm: fake/slow\n' for n in range(40)
)


def flow(text: str) -> Workflow:
    """Return the workflow of a document."""
    return parse.loads(textwrap.dedent(text), "flow.yaml")


def sign(more: str = "") -> Workflow:
    """Return the workflow that waits for a person."""
    return flow(SIGN.replace(" MORE", more))


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeProvider]:
    """Give a provider whose `slow` takes half a second."""
    models = {**CONFIG["models"], "slow": {"latency_s": 0.5}}
    with FakeProvider({**CONFIG, "models": models}) as provider:
        yield provider


@pytest.fixture
def folder(project: Path, provider: FakeProvider) -> Path:
    """Give a project with the slow workflow, and a server that has counted nothing."""
    provider.wait_until(in_flight=0)
    provider.reset()
    (project / "bmad.toml").write_text(
        f'[endpoints.fake]\nbase_url = "{provider.url}"\napi_key = "env:{KEY_NAME}"\n'
        'models = ["slow"]\n[engine]\nmax_concurrent_tasks = 4\n'
    )
    (project / "slow.yaml").write_text(SLOW)
    return project


def begun(folder: Path, provider: FakeProvider, calls: int = 1) -> tuple[Any, str]:
    """Return a process that runs the slow workflow, and the run's id, once so much was sent."""
    child = subprocess.Popen(
        [sys.executable, "-m", "bmad_nb", "run", "slow.yaml"], cwd=folder, env=environment(folder),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    until_s = time.monotonic() + 60
    while provider.counts()["received"] < calls:
        assert child.poll() is None, child.communicate()
        assert time.monotonic() < until_s
        time.sleep(0.01)
    with closing(sqlite3.connect(folder / ".bmad" / "bmad.db")) as store:
        return child, store.execute("SELECT run_id FROM runs").fetchone()[0]


def rows(folder: Path, query: str) -> list[Any]:
    """Return what the project's store answers."""
    with closing(sqlite3.connect(folder / ".bmad" / "bmad.db")) as store:
        return store.execute(query).fetchall()


# --- pausing --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 20))]
)
def test_a_pause_from_a_shell_is_seen_within_a_second(
    folder: Path, provider: FakeProvider, seed: int
) -> None:
    """No call starts behind the acknowledgement; pause and resume make the calls of one run."""
    child, run_id = begun(folder, provider, random.Random(seed).randint(1, 20))
    done = bmad(folder, "pause", run_id)
    assert 0 == done.returncode, done.stderr
    assert f"Run {run_id} pauses" in done.stdout
    child.communicate(timeout=60)
    assert 3 == child.returncode
    ((asked, seen),) = rows(folder, "SELECT time_utc, seen_utc FROM wishes")
    lag = datetime.datetime.fromisoformat(seen) - datetime.datetime.fromisoformat(asked)
    assert lag.total_seconds() < 1
    ((late,),) = rows(folder, f"SELECT count(*) FROM calls WHERE started_utc > '{seen}'")
    assert 0 == late
    assert [("paused", "pause", 0)] == rows(
        folder, "SELECT status, reason, (SELECT count(*) FROM calls WHERE state = 'in_flight') "
        "FROM runs"
    )  # fmt: skip
    again = bmad(folder, "resume", run_id)
    assert 0 == again.returncode, again.stderr
    assert 40 == provider.counts()["received"]


def test_pause_now_breaks_off_what_is_in_flight(folder: Path, provider: FakeProvider) -> None:
    """`--now` does not wait: what was in flight may have been billed, and is asked again."""
    child, run_id = begun(folder, provider, 3)
    assert 0 == bmad(folder, "pause", run_id, "--now").returncode
    child.communicate(timeout=30)
    broken = rows(folder, "SELECT count(*) FROM calls WHERE state = 'cancelled'")[0][0]
    assert 1 <= broken <= 4
    assert 0 == bmad(folder, "resume", run_id).returncode
    assert 40 + broken == provider.counts()["received"]


def test_a_paused_run_survives_the_death_of_its_process(
    folder: Path, provider: FakeProvider
) -> None:
    """Paused, killed, resumed from a shell: nothing that was answered is asked again."""
    child, run_id = begun(folder, provider, 5)
    bmad(folder, "pause", run_id)
    child.send_signal(signal.SIGKILL)
    child.communicate(timeout=30)
    provider.wait_until(in_flight=0)
    answered = rows(folder, "SELECT count(*) FROM calls WHERE state = 'answered'")[0][0]
    provider.reset()
    done = bmad(folder, "resume", run_id)
    assert 0 == done.returncode, done.stderr
    assert 40 - answered == provider.counts()["received"]


def test_what_is_not_running_cannot_be_paused(ws: Workspace) -> None:
    """The error says what it is, and how it goes on."""
    ws.add_llm("a", lambda messages: "x")
    run = ws.run(flow("{workflow: w, tasks: {a: {prompt: hi, llm: own/a}}}"))
    with pytest.raises(UsageProblem, match="is completed"):
        ws.pause(run.id)
    with pytest.raises(UsageProblem, match="is completed"):
        ws.cancel(run.id)


def test_a_pause_in_a_map_lets_all_end_that_is_in_flight(ws: Workspace) -> None:
    """Items that are asked are answered, none is broken off, and no further one is begun."""
    begun = threading.Event()
    asked: list[str] = []

    def slow(messages: Any) -> str:
        asked.append(messages[-1].text)
        if len(asked) >= 12:
            begun.set()
        time.sleep(0.1 + 0.05 * (len(asked) % 4))  # they end one after another
        return "x"

    ws.add_llm("a", slow)
    text = "{workflow: w, inputs: {xs: list}, tasks: {a: {map: {over: xs, as: x}, prompt: 'A {{ x }}', llm: own/a}}}"
    stopped: list[RunPaused] = []

    def run() -> None:
        try:
            ws.run(parse.loads(text), {"xs": list(range(40))})
        except RunPaused as paused:
            stopped.append(paused)

    thread = threading.Thread(target=run)
    thread.start()
    assert begun.wait(30)
    (row,) = [r for r in ws.store.runs() if r.status == "running"]
    ws.pause(row.run_id)
    thread.join(30)
    calls = ws.store.calls(row.run_id)
    assert {"answered"} == {call.state for call in calls}
    assert len(asked) == len(calls) < 40
    assert "completed" == ws.resume(stopped[0].run_id).status
    assert 40 == len(asked) == len(set(asked))


def test_a_comparison_is_not_steered_from_elsewhere(ws: Workspace) -> None:
    """What does not look for wishes is refused at once, with what to do instead."""
    started, go = threading.Event(), threading.Event()
    ws.add_llm("a", lambda messages: (started.set(), go.wait(30), "x")[2])
    thread = threading.Thread(target=lambda: ws.ask("hi", "own/a"))
    thread.start()
    try:
        assert started.wait(30)
        (run,) = [r for r in ws.store.runs() if r.status == "running"]
        for act in (ws.pause, ws.cancel):
            with pytest.raises(UsageProblem, match="one of 'ask'"):
                act(run.run_id)
    finally:
        go.set()
        thread.join(30)


# --- cancelling -----------------------------------------------------------------------------------


def test_a_cancellation_is_over_in_two_seconds(folder: Path, provider: FakeProvider) -> None:
    """What is in flight is broken off, costs are kept, and the run never goes on."""
    child, run_id = begun(folder, provider, 6)
    began = time.monotonic()
    assert 0 == bmad(folder, "cancel", run_id).returncode
    child.communicate(timeout=30)
    assert 130 == child.returncode
    assert time.monotonic() - began < 10  # two in the product; the rest is two interpreters
    provider.wait_until(in_flight=0)
    assert [("cancelled",)] == rows(folder, "SELECT status FROM runs")
    answered = rows(folder, "SELECT count(*) FROM calls WHERE state = 'answered'")[0][0]
    assert answered > 0
    refused = bmad(folder, "cancel", run_id)
    assert 2 == refused.returncode
    assert "is cancelled" in refused.stderr


def test_a_paused_and_an_interrupted_run_can_be_cancelled(
    folder: Path, provider: FakeProvider
) -> None:
    """Nobody runs it: it is stored as cancelled at once."""
    child, run_id = begun(folder, provider, 2)
    child.send_signal(signal.SIGKILL)
    child.communicate(timeout=30)
    done = bmad(folder, "cancel", run_id)
    assert (0, f"Run {run_id} is cancelled.") == (done.returncode, done.stdout.strip())
    assert [("cancelled",)] == rows(folder, "SELECT status FROM runs")
    assert 0 == rows(folder, "SELECT count(*) FROM calls WHERE state = 'in_flight'")[0][0]


# --- people ---------------------------------------------------------------------------------------


def test_an_approval_waits_while_the_rest_goes_on(ws: Workspace) -> None:
    """Without a front end the run pauses once all else is done; answered, it goes on."""
    ws.add_llm("a", lambda messages: messages[-1].text.lower())
    with pytest.raises(RunPaused, match="waits for a person") as caught:
        ws.run(sign())
    run_id = caught.value.run_id
    run = ws.run_of(run_id)
    assert ("paused", "human") == (run.status, run.state.reason)
    assert {"draft", "other"} == set(run.tasks["task"])
    (question,) = run.state.questions.values()
    assert ("signoff", "Accept write.?", "write.") == (
        question.task, question.question, question.shown
    )  # fmt: skip
    ws.approve(run_id, "signoff", "accept", "Salt.")
    done = ws.resume(run_id)
    assert ("accept", "Salt.", "apply salt.") == tuple(
        done.outputs[name] for name in ("choice", "comment", "text")
    )
    with pytest.raises(UsageProblem, match="is completed"):
        ws.approve(run_id, "signoff", "stop")


def test_an_answer_is_one_of_the_options(ws: Workspace) -> None:
    """A wrong word, an unknown task and a second answer are refused, and change nothing."""
    ws.add_llm("a", lambda messages: "x")
    with pytest.raises(RunPaused) as caught:
        ws.run(sign())
    run_id = caught.value.run_id
    with pytest.raises(UsageProblem, match="Options: accept, stop"):
        ws.approve(run_id, "signoff", "acept")
    with pytest.raises(UsageProblem, match="Nobody is asked"):
        ws.approve(run_id, "draft", "accept")
    with pytest.raises(UsageProblem, match="no field 'size'"):
        ws.approve(run_id, "signoff", "accept", size="3")
    with pytest.raises(UsageProblem, match="Options: accept, stop"):
        ws.resume(run_id, answers={"signoff": "acept"})
    assert "stop" == ws.resume(run_id, answers={"signoff": "stop"}).outputs["choice"]


def test_an_answer_reaches_a_run_that_waits(ws: Workspace) -> None:
    """Where somebody may answer the run waits, and an answer from elsewhere lets it go on."""
    ws.add_llm("a", lambda messages: messages[-1].text)
    ws.on_question = lambda question: None  # somebody is there, and says nothing
    ended: list[Any] = []
    thread = threading.Thread(target=lambda: ended.append(ws.run(sign())))
    thread.start()
    other = Workspace(store=ws.store.path)
    try:
        until_s = time.monotonic() + 30
        while not (found := [r for r in other.store.runs() if r.status == "running"]) or not (
            other.run_of(found[0].run_id).state.questions
        ):
            assert time.monotonic() < until_s
            time.sleep(0.02)
        seen = other.approve(found[0].run_id, "signoff", "accept", "Pepper.")
        assert seen
    finally:
        thread.join(timeout=30)
        other.close()
    assert "Apply Pepper." == ended[0].outputs["text"]


def test_the_person_who_waits_here_is_asked(ws: Workspace) -> None:
    """`on_question` is called in the waiting thread, and its answer is stored like any other."""
    ws.add_llm("a", lambda messages: "x")
    asked = []

    def answer(question: Any) -> dict[str, str]:
        asked.append((question.task, threading.current_thread() is threading.main_thread()))
        return {"choice": "stop", "comment": "", "by": "here"}

    ws.on_question = answer
    run = ws.run(sign())
    assert [("signoff", True)] == asked
    assert ("stop", "here") == (run.outputs["choice"], run.outputs["by"])


@pytest.mark.parametrize("there", [True, False])
def test_a_question_has_its_time(ws: Workspace, there: bool) -> None:
    """After `timeout` the choice of `on_timeout` is taken, by a run that waits and by a later one."""
    ws.add_llm("a", lambda messages: "x")
    ws.on_question = (lambda question: None) if there else None
    quick = sign(", timeout: 0.3s, on_timeout: stop")
    if there:
        run = ws.run(quick)
    else:
        with pytest.raises(RunPaused) as caught:
            ws.run(quick)
        time.sleep(0.35)
        run = ws.resume(caught.value.run_id)
    assert ("stop", "timeout") == (run.outputs["choice"], run.outputs["by"])


def test_without_an_option_for_it_a_late_answer_fails_the_task(ws: Workspace) -> None:
    """No `on_timeout`: the task fails and says so."""
    ws.add_llm("a", lambda messages: "x")
    ws.on_question = lambda question: None
    with pytest.raises(RunFailed, match="Nobody answered task 'signoff' in time"):
        ws.run(sign(", timeout: 0.2s"))


def test_a_form_has_fields(ws: Workspace) -> None:
    """Further fields are read like the choice; one that was not given is empty."""
    ws.add_llm("a", lambda messages: messages[-1].text)
    text = """
        workflow: w
        tasks:
          q: {approve: {ask: "Which?", form: {size: string, colour: string}}}
          a: {prompt: "{{ q.size }}/{{ q.colour }}/{{ q.choice }}", llm: own/a}
        """
    with pytest.raises(RunPaused) as caught:
        ws.run(flow(text))
    ws.approve(caught.value.run_id, "q", "yes", size="3")
    assert "3//yes" == ws.resume(caught.value.run_id).text("a")


def test_the_shell_lists_asks_and_answers(folder: Path) -> None:
    """`bmad approve RUN` lists what is asked; with an answer it stores it; the exit code is 3."""
    (folder / "q.yaml").write_text('workflow: q\ntasks: {ok: {approve: {ask: "Go on?"}}}\n')
    done = bmad(folder, "run", "q.yaml")
    assert 3 == done.returncode
    run_id = rows(folder, "SELECT run_id FROM runs")[0][0]
    assert f"bmad approve {run_id} ok yes" in done.stderr
    listed = bmad(folder, "approve", run_id).stdout
    assert "ok: Go on?" in listed
    assert "Options: yes, no" in listed
    stored = bmad(folder, "approve", run_id, "ok", "yes")
    assert f"bmad resume {run_id}" in stored.stdout
    assert 0 == bmad(folder, "resume", run_id).returncode


# --- states ---------------------------------------------------------------------------------------

STATES = ("running", "completed", "paused", "cancelled", "failed", "interrupted")
LEGAL = {
    ("running", "completed"), ("running", "paused"), ("running", "cancelled"),
    ("running", "failed"), ("paused", "running"), ("paused", "cancelled"),
}  # fmt: skip


@pytest.mark.parametrize("before", [state for state in STATES if state != "interrupted"])
@pytest.mark.parametrize("after", STATES)
def test_no_illegal_state_can_be_stored(ws: Workspace, before: str, after: str) -> None:
    """SQLite itself refuses what a run cannot become, whoever writes it."""
    ws.add_llm("a", lambda messages: "x")
    ws.run(flow("{workflow: w, tasks: {a: {prompt: hi, llm: own/a}}}"))
    ws.store.close()
    with closing(sqlite3.connect(ws.store.path, isolation_level=None)) as store:
        ddl = store.execute("SELECT sql FROM sqlite_master WHERE name = 'legal_status'").fetchone()
        store.execute("DROP TRIGGER legal_status")
        store.execute("UPDATE runs SET status = ?", (before,))
        store.execute(*ddl)
        if before == after or (before, after) in LEGAL:
            store.execute("UPDATE runs SET status = ?", (after,))
        else:
            with pytest.raises(sqlite3.IntegrityError, match="cannot become"):
                store.execute("UPDATE runs SET status = ?", (after,))


def test_a_run_with_a_failed_task_is_never_completed(ws: Workspace) -> None:
    """The store refuses the word `completed` for it."""

    async def work() -> None:
        row = RunRow("r1", "workflow", "running", owner=ws.store.owner_name(), fence=1)
        await ws.store.commit(RunStarted(row), TaskEnded(TaskRow("r1", "a", "failed")))
        with pytest.raises(StoreError, match="not completed: a failed"):
            await ws.store.commit(RunEnded("r1", "completed"))
        await ws.store.commit(TaskEnded(TaskRow("r1", "b[3]", "failed")), RunEnded("r1", "failed"))

    asyncio.run(work())
    assert "failed" == ws.store.run("r1").status


def test_a_question_is_safe_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """Escape sequences that an LLM wrote do not reach the person who is asked."""
    asked = TaskAsked("r", "ok", "Take \x1b[2Jit?", ("yes", "no"), shown="\x1b]0;title\x07text")
    said = iter(["perhaps", "yes", "fine"])
    monkeypatch.setattr("builtins.input", lambda prompt: next(said))
    assert {"choice": "yes", "comment": "fine", "by": "here"} == ask_here(asked)
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "text" in shown
    assert "One of: yes, no" in shown
