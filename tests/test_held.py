"""What once broke, and holds: cancellations, slots, limits and answers that belong to one task."""

from __future__ import annotations

import asyncio
import contextlib
import textwrap
import threading
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bmad_nb import _loop, parse
from bmad_nb.errors import BmadError, NotRunnable, RunFailed, RunPaused, UnknownName, UsageProblem
from bmad_nb.messages import Completion, Price, Usage
from bmad_nb.runs.asks import cancel_run
from bmad_nb.workflow.model import Workflow
from bmad_nb.workspace import Workspace


def flow(text: str) -> Workflow:
    """Return the workflow of a document."""
    return parse.loads(textwrap.dedent(text), "flow.yaml")


async def gives_up() -> None:
    """Cancel something of one's own, and trip over it."""
    sleeping = asyncio.ensure_future(asyncio.sleep(9))
    sleeping.cancel()
    await sleeping


def gives_up_at_once() -> None:
    """Raise what a cancelled wait raises."""
    raise asyncio.CancelledError


@pytest.mark.parametrize("function", [gives_up, gives_up_at_once])
def test_a_function_that_is_cancelled_inside_fails_its_task(ws: Workspace, function: Any) -> None:
    """It is no cancellation of the run: the task failed, and the run says so."""
    w = Workflow("w")
    w.task("a", python=function)
    w.task("b", set={"x": "a.output"})
    with pytest.raises(RunFailed, match="CancelledError"):
        ws.run(w)


def test_a_task_cut_off_between_attempts_takes_no_slot_with_it(ws: Workspace) -> None:
    """Its time is up while it waits: the others go on, one at a time as before."""
    flying = most = 0

    async def slow(messages: Any) -> str:
        nonlocal flying, most
        if "fail" in messages[-1].text:
            raise ValueError("no")
        flying += 1
        most = max(most, flying)
        await asyncio.sleep(0.05)
        flying -= 1
        return "ok"

    ws.add_llm("slow", slow)
    with pytest.raises(RunFailed, match="took longer") as caught:
        ws.run(flow("""
            workflow: w
            limits: {concurrency: 1}
            defaults: {route: own/slow}
            tasks:
              a: {prompt: fail, limits: {time: 0.1}, retry: {attempts: 5, backoff: 5s, for: [any]}}
              b: {prompt: one}
              c: {prompt: two}
              d: {prompt: three}
              e: {prompt: four}
            """))  # fmt: skip
    states = {name: row.state for name, row in caught.value.result.state.tasks.items()}
    assert {"a": "failed", **dict.fromkeys("bcde", "done")} == states
    assert 1 == most


def test_a_deadline_is_each_tasks_own(ws: Workspace) -> None:
    """Of two tasks with equal prompts the patient one gets its answer."""

    async def slow(messages: Any) -> str:
        await asyncio.sleep(0.3)
        return "ok"

    ws.add_llm("slow", slow)
    with pytest.raises(RunFailed) as caught:
        ws.run(flow("""
            workflow: w
            defaults: {route: own/slow, retry: {attempts: 1}}
            tasks:
              a: {prompt: same, timeout: 50ms}
              b: {prompt: same, timeout: 20s}
            """))  # fmt: skip
    states = {name: row.state for name, row in caught.value.result.state.tasks.items()}
    assert {"a": "failed", "b": "done"} == states


def test_an_attempt_after_a_useless_answer_asks_anew(ws: Workspace) -> None:
    """`for: [invalid_output]` brings new answers, and a later run is not served the useless ones."""
    said = iter(["no", "no", "no", '{"n": 1}'])
    ws.add_llm("learner", lambda messages: next(said))
    text = flow("""
        workflow: w
        tasks:
          a: {prompt: Count., llm: own/learner, output: {n: integer},
              retry: {attempts: 2, backoff: 1ms, for: [invalid_output]}}
        """)
    run = ws.run(text)
    assert {"a": {"n": 1}} == run.outputs

    answers = iter(["no"] * 3 + ['{"n": 2}'])
    ws.add_llm("stubborn", lambda messages: next(answers))
    text = flow(
        "workflow: v\ntasks: {a: {prompt: Count., llm: own/stubborn, output: {n: integer}}}"
    )
    with pytest.raises(RunFailed):
        ws.run(text)
    assert {"a": {"n": 2}} == ws.run(text).outputs


def test_null_is_a_value(ws: Workspace) -> None:
    """An output that is null reads as null, in conditions and after a resume, not as its text."""
    ws.add_llm("none", lambda messages: "null")
    run = ws.run(flow("""
        workflow: w
        tasks:
          a: {prompt: "Which?", llm: own/none, output: {anyOf: [{type: string}, {type: "null"}]}}
          b: {when: a.output, set: {x: "1"}}
          c: {set: {is_null: a.output == null}}
        """))  # fmt: skip
    assert ("skipped", {"is_null": True}) == (run.state.tasks["b"].state, run.outputs["c"])


def paid(ws: Workspace) -> None:
    """Add an LLM that costs a tenth of a dollar."""
    ws.add_llm(
        "paid",
        lambda messages: Completion("ok", Usage(100, 0)),
        price=Price(Decimal(1000), Decimal(1000)),
    )


def test_a_raised_limit_of_the_definition_holds_on_resume(ws: Workspace) -> None:
    """Editing `limits.cost` is enough; a budget that was given by hand stays."""
    paid(ws)
    text = "workflow: w\nlimits: {{cost: ${}}}\ntasks: {{a: {{prompt: hi, llm: own/paid}}}}"
    with pytest.raises(RunPaused) as caught:
        ws.run(flow(text.format("0.0001")))
    run = ws.resume(caught.value.run_id, definition=flow(text.format("100")))
    assert "completed" == run.status

    with pytest.raises(RunPaused) as caught:
        ws.run(flow(text.format("50").replace("hi", "ho")), budget_usd=0.0001)
    with pytest.raises(RunPaused):
        ws.resume(caught.value.run_id)


def test_what_takes_no_time_stands_in_when_time_is_up(ws: Workspace) -> None:
    """A value is given in the place of a task whose time is up; another LLM is not asked."""

    async def slow(messages: Any) -> str:
        await asyncio.sleep(30)
        return "late"

    ws.add_llm("slow", slow)
    run = ws.run(flow("""
        workflow: w
        tasks:
          a: {prompt: hi, llm: own/slow, limits: {time: 50ms},
              fallback: [{route: own/slow}, {value: quick}]}
        """))  # fmt: skip
    row = run.state.tasks["a"]
    assert ("quick", 2, True) == (row.value, row.rung, row.degraded)


def test_a_resume_whose_llm_is_gone_says_so_before_it_begins(ws: Workspace, project: Path) -> None:
    """Nothing is begun, and the run stays as it was."""
    paid(ws)
    with pytest.raises(RunPaused) as caught:
        ws.run(flow("workflow: w\ntasks: {a: {prompt: hi, llm: own/paid}}"), budget_usd=0.0001)
    other = Workspace(store=ws.store.path)
    with pytest.raises(NotRunnable, match="own/paid"):
        other.resume(caught.value.run_id, budget_usd=10)
    assert ["paused"] == [run.status for run in other.store.runs()]
    with pytest.raises(UnknownName, match="no task 'zz'"):
        ws.resume(caught.value.run_id, answers={"zz": "?"})
    other.close()


@pytest.mark.parametrize(
    "wrong",
    [
        {"llms": "sim/hasty"}, {"llms": {"sim/careful": 5}}, {"strategy": ["parallel"]},
        {"strategy": 5}, {"inputs": {1: 2}}, {"inputs": [1]},
    ],
)  # fmt: skip
def test_arguments_of_a_wrong_kind_are_refused(ws: Workspace, wrong: dict[str, Any]) -> None:
    """Each is one typed error, before anything is written."""
    text = flow("workflow: w\ntasks: {a: {set: {x: '1'}}}")
    with pytest.raises(UsageProblem):
        ws.run(text, **wrong)
    for no_workflow in (None, {"tasks": {}}, 5):
        with pytest.raises(UsageProblem, match="no workflow"):
            ws.run(no_workflow)  # type: ignore[arg-type]
    assert [] == ws.store.runs()


def test_nothing_runs_on_when_the_progress_display_breaks(ws: Workspace) -> None:
    """An error of the caller's own display stops the run, and nothing more is paid."""
    asked: list[float] = []

    async def slow(messages: Any) -> str:
        asked.append(time.monotonic())
        await asyncio.sleep(0.2)
        return "ok"

    def broken() -> None:
        raise ValueError("display")

    ws.add_llm("slow", slow)
    ws.on_tick = broken
    tasks = "\n".join(f"  t{n}: {{prompt: 'say {n}', llm: own/slow}}" for n in range(9))
    with pytest.raises(ValueError, match="display"):
        ws.run(flow(f"workflow: w\nlimits: {{concurrency: 1}}\ntasks:\n{tasks}"))
    ws.on_tick = None
    deadline = time.monotonic() + 20
    while ws.store.runs()[-1].status == "running" and time.monotonic() < deadline:
        time.sleep(0.02)
    count = len(asked)
    assert "paused" == ws.store.runs()[-1].status
    time.sleep(0.5)
    assert count == len(asked) < 9


def test_a_cancelled_run_says_what_was_in_flight(ws: Workspace) -> None:
    """After two interrupts, calls in flight may have been billed; they are not forgotten."""
    began, over = threading.Event(), threading.Event()

    async def slow(messages: Any) -> str:
        began.set()
        while not over.is_set():
            await asyncio.sleep(0.01)
        return "late"

    def work() -> None:
        with contextlib.suppress(BmadError):
            ws.run(flow("workflow: w\ntasks: {a: {prompt: hi, llm: own/slow}}"))

    ws.add_llm("slow", slow)
    running = threading.Thread(target=work)
    running.start()
    assert began.wait(20)
    run_id = ws.store.runs()[-1].run_id
    _loop.run(cancel_run(ws.store, run_id))
    over.set()
    running.join(20)

    (call,) = ws.store.calls(run_id)
    assert ("cancelled", "lost", "maybe") == (ws.store.run(run_id).status, call.state, call.billed)
    assert 1 == int(ws.runs()["maybe_billed"].iloc[0])
