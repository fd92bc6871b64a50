"""Workflows through a workspace: what runs, who is asked, what is paid, and what is kept."""

from __future__ import annotations

import asyncio
import itertools
import json
import textwrap
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bmad_nb import parse
from bmad_nb.errors import (
    NotRunnable,
    RunBusy,
    RunFailed,
    RunPaused,
    UnknownName,
    UsageProblem,
)
from bmad_nb.events import RunRow, RunStarted
from bmad_nb.runs.run import Run
from bmad_nb.workflow.model import Workflow
from bmad_nb.workspace import Workspace
from tests.fake_provider import FakeProvider

MODELS = {
    "a": {"latency_s": 0.02},
    "b": {"latency_s": 0.02},
    "slow": {"latency_s": 0.3},
    "down": {"fault_rates": {"500": 1.0}},
    "refused": {"fault_rates": {"400": 1.0}},
    "once": {"faults": ["503"]},
    "paid": {},
}


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeProvider]:
    """Give a provider that counts what it is asked."""
    with FakeProvider({"models": MODELS}) as provider:
        yield provider


@pytest.fixture
def lab(project: Path, provider: FakeProvider) -> Iterator[Workspace]:
    """Give a workspace whose LLMs `lab/...` are the provider's."""
    provider.wait_until(in_flight=0)
    provider.reset()
    config = {
        "endpoints": {"lab": {"base_url": provider.url, "models": [*MODELS]}},
        "prices": {"lab/paid": {"input_usd_per_mtok": 1000, "output_usd_per_mtok": 1000}},
    }
    space = Workspace(config, store=project / ".bmad" / "bmad.db")
    yield space
    space.close()


def flow(text: str) -> Workflow:
    return parse.loads(textwrap.dedent(text), "flow.yaml")


def asked(provider: FakeProvider) -> list[tuple[str, str]]:
    """Return model and prompt of each request that the server saw."""
    bodies = [each["body"] for each in provider.requests()]
    loaded = [json.loads(body) if isinstance(body, str) else body for body in bodies]
    return [(body["model"], body["messages"][-1]["content"]) for body in loaded]


def states(run: Run) -> dict[str, str]:
    return dict(zip(run.tasks["task"], run.tasks["state"], strict=True))


# --- the order of things --------------------------------------------------------------------------


def test_sequential_runs_one_task_at_a_time(lab: Workspace, provider: FakeProvider) -> None:
    """Five tasks, ten slots: never two calls in flight, and times that follow each other."""
    tasks = {f"t{n}": {"prompt": f"[answer: {n}] {n}", "llm": "lab/a"} for n in range(5)}
    run = lab.run(Workflow("line", strategy="sequential", tasks=tasks))

    assert 1 == provider.counts()["peak_in_flight"]
    times = run.tasks[["started_utc", "ended_utc"]].to_numpy().ravel()
    assert 10 == len(times)
    assert all(times[:-1] <= times[1:])
    assert [f"t{n}" for n in range(5)] == list(run.tasks["task"])


def test_parallel_runs_what_is_ready_at_once(lab: Workspace, provider: FakeProvider) -> None:
    """Six tasks that need nothing are all in flight together."""
    tasks = {f"t{n}": {"prompt": f"Say {n}", "llm": "lab/slow"} for n in range(6)}
    lab.run(Workflow("wide", tasks=tasks))

    assert 6 == provider.counts()["peak_in_flight"]


def test_concurrency_is_a_limit(lab: Workspace, provider: FakeProvider) -> None:
    """`limits.concurrency` holds at the server."""
    tasks = {f"t{n}": {"prompt": f"Say {n}", "llm": "lab/a"} for n in range(8)}
    lab.run(Workflow("wide", tasks=tasks, limits={"concurrency": 3}))

    assert 3 == provider.counts()["peak_in_flight"]


def test_fields_of_the_same_name_are_told_apart(lab: Workspace) -> None:
    """Two tasks may both have a field x; each is read by its task's name."""
    run = lab.run(
        flow("""
        workflow: w
        tasks:
          a: {set: {x: "1"}}
          b: {set: {x: "2"}}
          both: {set: {sum: "a.x + b.x", list: "[a.x, b.x]"}}
        outputs: {sum: both.sum, list: both.list}
        """)
    )

    assert {"sum": 3, "list": [1, 2]} == run.outputs


def test_strategies_give_the_same_outputs(lab: Workspace) -> None:
    """With deterministic LLMs, one by one and side by side end in equal outputs."""
    text = flow("""
        workflow: w
        tasks:
          a: {prompt: "[answer: 4] four", llm: lab/a}
          b: {prompt: "[answer: 5] five", llm: lab/b}
          c: {prompt: "Add {{ a.text }} and {{ b.text }}", llm: lab/a, needs: [a]}
        """)
    one = lab.run(text, strategy="sequential").outputs
    other = lab.run(text, strategy="parallel").outputs

    assert one == other


BRANCHES = """
workflow: branches
inputs: {one: boolean, two: boolean, three: boolean}
tasks:
  first: {when: one, prompt: "[answer: 1] first {{ one }} {{ two }} {{ three }}", llm: lab/a}
  second: {when: two, prompt: "[answer: 2] second {{ one }} {{ two }} {{ three }}", llm: lab/a}
  after: {when: three, prompt: "[answer: 3] after {{ first.text }} {{ three }}", llm: lab/b}
  either: {join: any, prompt: "[answer: 4] either {{ first }}{{ second }} {{ three }}", llm: lab/b}
  anyway: {join: all_done, needs: [after, either], set: {seen: "coalesce(after.text, 'none')"}}
"""


@pytest.mark.parametrize("taken", list(itertools.product([False, True], repeat=3)), ids=str)
def test_every_branch_runs_exactly_the_predicted_tasks(
    lab: Workspace, provider: FakeProvider, taken: tuple[bool, bool, bool]
) -> None:
    """In all eight combinations of three conditions the right tasks run, and no other is asked."""
    one, two, three = taken
    inputs = dict(zip(("one", "two", "three"), taken, strict=True))
    run = lab.run(flow(BRANCHES), inputs)

    predicted = {"first": one, "second": two, "after": one and three, "either": one or two}
    assert {
        **{name: "done" if runs else "skipped" for name, runs in predicted.items()},
        "anyway": "done",
    } == states(run)
    assert sum(predicted.values()) == provider.counts()["received"]
    said = {prompt.split("] ")[1].split()[0] for _, prompt in asked(provider)}
    assert {name for name, runs in predicted.items() if runs} == said
    because = dict(zip(run.tasks["task"], run.tasks["skipped_because"], strict=True))
    assert all(bool(because[name]) is not runs for name, runs in predicted.items())
    if not one:
        assert "one does not hold: one = false." == because["first"]
        assert "first was skipped." == because["after"]


def test_a_condition_that_cannot_be_decided_fails_its_task(lab: Workspace) -> None:
    """The error names the expression and the values that it read."""
    with pytest.raises(RunFailed) as caught:
        lab.run(
            flow("""
            workflow: w
            tasks:
              a: {set: {x: "'many'"}}
              b: {when: a.x > 3, set: {x: "1"}}
            """)
        )

    assert {"a": "done", "b": "failed"} == states(caught.value.result)
    assert "'a.x > 3'" in caught.value.what
    assert "a.x = 'many'" in caught.value.hint


def test_an_else_value_stands_in(lab: Workspace) -> None:
    """With `else`, a task whose condition does not hold is done with that value."""
    run = lab.run(
        flow("""
        workflow: w
        tasks:
          a: {when: "1 > 2", prompt: "hi", llm: lab/a, else: {x: 7}}
          b: {set: {y: a.output}}
        """)
    )

    assert {"b": {"y": {"x": 7}}} == run.outputs
    assert {"a": "done", "b": "done"} == states(run)


# --- LLMs -----------------------------------------------------------------------------------------


def test_the_assigned_llm_is_the_one_that_is_asked(lab: Workspace, provider: FakeProvider) -> None:
    """The server sees the model that the plan names, and the frame says so too."""
    run = lab.run(
        flow("""
        workflow: w
        tasks:
          x: {prompt: "for a", llm: lab/a}
          y: {prompt: "for b", llm: lab/b}
        """)
    )

    assert {("a", "for a"), ("b", "for b")} == set(asked(provider))
    assert ["lab/a", "lab/b"] == list(run.tasks["llm"])


def test_rebound_llms_are_the_ones_that_are_asked(lab: Workspace, provider: FakeProvider) -> None:
    """`llms=` sends a document's calls elsewhere."""
    lab.run(
        flow("workflow: w\ntasks: {x: {prompt: hi, llm: openai/gpt}}"), llms={"openai/*": "lab/b"}
    )

    assert [("b", "hi")] == asked(provider)


def test_an_answer_with_holes_is_never_filled(lab: Workspace, provider: FakeProvider) -> None:
    """Text that looks like a template passes through three tasks byte for byte."""
    evil = "{{ secret }} {{ a.text }} {% x %} {{ '}}' }} ${x} {x}"
    lab.add_llm("echo", lambda messages: evil if messages[-1].text == "go" else messages[-1].text)
    run = lab.run(
        flow("""
        workflow: w
        inputs: {secret: {type: text, default: do not tell}}
        tasks:
          a: {prompt: go, llm: own/echo}
          b: {prompt: "{{ a.text }}", llm: own/echo}
          c: {prompt: "{{ b.text }}", llm: own/echo}
        """)
    )

    assert [evil] * 3 == [run.text(name) for name in "abc"]


def test_an_output_is_checked_and_repaired(lab: Workspace) -> None:
    """A wrong form is told to the LLM, at most twice; a right one becomes fields."""
    told: list[str] = []

    def learner(messages: list[Any]) -> str:
        told.append(messages[-1].text)
        return ['{"n": "x"}', "no JSON", '{"n": 3}'][len(told) - 1]

    lab.add_llm("learner", learner)
    run = lab.run(flow("""
        workflow: w
        tasks:
          a: {prompt: Count., llm: own/learner, output: {n: integer}}
          b: {set: {twice: a.n * 2}}
        """))  # fmt: skip

    assert {"b": {"twice": 6}} == run.outputs
    assert 3 == run.tasks["attempts"][0]
    assert "n must be a whole number, and is 'x'" in told[1]
    assert "it has no JSON in it" in told[2]


def test_an_output_that_stays_wrong_fails_after_two_repairs(lab: Workspace) -> None:
    """Three calls are made, and the task's error names the defect."""
    asked: list[str] = []

    def stubborn(messages: Any) -> str:
        asked.append(messages[-1].text)
        return "no"

    lab.add_llm("stubborn", stubborn)
    with pytest.raises(RunFailed, match="it has no JSON in it"):
        lab.run(flow("workflow: w\ntasks: {a: {prompt: Count., llm: own/stubborn, "
                     "output: {n: integer}}}"))  # fmt: skip

    assert 3 == len(asked)


def test_what_may_pass_is_tried_again(lab: Workspace, provider: FakeProvider) -> None:
    """A 503 is retried; both calls are rows of the run."""
    run = lab.run(flow("workflow: w\ntasks: {a: {prompt: hi, llm: lab/once, "
                       "retry: {backoff: 10ms}}}"))  # fmt: skip

    assert "done" == states(run)["a"]
    assert 2 == provider.counts()["received"]
    assert ["failed", "answered"] == list(run.calls["state"])
    assert [1, 2] == list(run.calls["attempt"])


def test_what_cannot_pass_is_not_tried_again(lab: Workspace, provider: FakeProvider) -> None:
    """A refused request is sent once, whatever `retry` says."""
    with pytest.raises(RunFailed):
        lab.run(flow("workflow: w\ntasks: {a: {prompt: hi, llm: lab/refused, "
                     "retry: {attempts: 5, for: [any]}}}"))  # fmt: skip

    assert 1 == provider.counts()["received"]


@pytest.mark.parametrize(
    ("rungs", "rung", "state", "value"),
    [
        ("[{route: lab/b}]", 1, "done", None),
        ("[{route: lab/down}, {prompt: 'Be brief.'}, {value: {x: 1}}]", 3, "done", {"x": 1}),
        ("[skip]", 1, "skipped", None),
    ],
)
def test_fallbacks_stand_in_one_after_another(
    lab: Workspace, rungs: str, rung: int, state: str, value: Any
) -> None:
    """Each rung is reached when those above it failed, and the result says which one it was."""
    run = lab.run(flow(f"workflow: w\ntasks: {{a: {{prompt: hi, llm: lab/down, "
                       f"retry: {{attempts: 1}}, fallback: {rungs}}}}}"))  # fmt: skip
    row = run.state.tasks["a"]

    assert (state, rung, True, value) == (row.state, row.rung, row.degraded, row.value)
    assert "completed" == run.status


def test_a_failed_fallback_is_a_failure(lab: Workspace) -> None:
    """When every rung fails, the task failed, and nothing is taken for its result."""
    with pytest.raises(RunFailed) as caught:
        lab.run(flow("workflow: w\ntasks: {a: {prompt: hi, llm: lab/down, "
                     "retry: {attempts: 1}, fallback: [{route: lab/refused}]}}"))  # fmt: skip
    row = caught.value.result.state.tasks["a"]

    assert ("failed", 0, False, None) == (row.state, row.rung, row.degraded, row.value)


def test_a_timeout_cuts_a_call(lab: Workspace) -> None:
    """A call longer than the task's timeout fails as TimedOut."""
    with pytest.raises(RunFailed, match=r"no answer within 0\.05 s"):
        lab.run(flow("workflow: w\ntasks: {a: {prompt: hi, llm: lab/slow, timeout: 50ms, "
                     "retry: {attempts: 1}}}"))  # fmt: skip


def test_all_done_reads_a_failure(lab: Workspace) -> None:
    """A task that waits for all can read how the others ended; missing values are null."""
    with pytest.raises(RunFailed) as caught:
        lab.run(
            flow("""
            workflow: w
            tasks:
              a: {prompt: hi, llm: lab/refused}
              b: {join: all_done, set: {state: a.state, text: a.text, why: "len(a.error) > 0"}}
            outputs: {b: b.output}
            """)
        )

    assert {"b": {"state": "failed", "text": None, "why": True}} == caught.value.result.outputs


# --- money and going on ---------------------------------------------------------------------------


def test_stored_answers_are_free(lab: Workspace, provider: FakeProvider) -> None:
    """The same workflow run again sends nothing and costs nothing."""
    text = flow(
        "workflow: w\ntasks: {a: {prompt: hi, llm: lab/paid}, b: {prompt: ho, llm: lab/paid}}"
    )
    first, second = lab.run(text), lab.run(text)

    assert 2 == provider.counts()["received"]
    assert first.cost_usd > 0
    assert Decimal(0) == second.cost_usd
    assert first.id != second.id


def test_refresh_asks_anew(lab: Workspace, provider: FakeProvider) -> None:
    """`cache: refresh` sends the request although an answer is stored."""
    text = flow("workflow: w\ntasks: {a: {prompt: hi, llm: lab/a, cache: refresh}}")
    lab.run(text)
    lab.run(text)

    assert 2 == provider.counts()["received"]


PAID = """
workflow: paid
tasks:
  a: {prompt: "[answer: one] a", llm: lab/paid, params: {max_tokens: 10}}
  b: {prompt: "[answer: two] b {{ a.text }}", llm: lab/paid, params: {max_tokens: 10}}
"""


@pytest.mark.parametrize("more", [1, "+0.935"])
def test_a_budget_pauses_and_a_larger_one_goes_on(
    lab: Workspace, provider: FakeProvider, more: Any
) -> None:
    """What does not fit is not sent; with more money only the rest is paid."""
    with pytest.raises(RunPaused) as caught:
        lab.run(flow(PAID), budget_usd=0.065)
    stopped = caught.value.result

    assert ("paused", "limit") == (stopped.status, stopped.state.reason)
    assert {"a": "done"} == states(stopped)
    assert 1 == provider.counts()["received"]
    run = lab.resume(stopped.id, budget_usd=more)
    assert stopped.id == run.id
    assert 2 == provider.counts()["received"]
    assert "completed" == run.status
    assert 1 == run.run.budget_usd


@pytest.mark.parametrize(
    ("limit", "sent"), [("{calls: 2}", 2), ("{calls: 0}", 0), ("{tokens: 10}", 0)]
)
def test_limits_on_calls_and_tokens_pause(
    lab: Workspace, provider: FakeProvider, limit: str, sent: int
) -> None:
    """No call is sent that could pass a limit."""
    tasks = "{" + ", ".join(f"t{n}: {{prompt: say {n}, llm: lab/a}}" for n in range(5)) + "}"
    with pytest.raises(RunPaused):
        lab.run(flow(f"workflow: w\nlimits: {limit}\ntasks: {tasks}"))

    assert sent == provider.counts()["received"]


def test_a_limit_of_a_task_can_fail_it_alone(lab: Workspace, provider: FakeProvider) -> None:
    """`on_limit: fail` on a task leaves the others alone."""
    with pytest.raises(RunFailed) as caught:
        lab.run(
            flow("""
            workflow: w
            tasks:
              a: {prompt: hi, llm: lab/a, limits: {calls: 0, on_limit: fail}}
              b: {prompt: ho, llm: lab/a}
            """)
        )

    assert {"a": "failed", "b": "done"} == states(caught.value.result)
    assert 1 == provider.counts()["received"]


def test_a_time_limit_pauses(lab: Workspace) -> None:
    """A run that takes longer than its limit is paused, and what is finished is kept."""
    with pytest.raises(RunPaused, match=r"limit of 0\.15 s"):
        lab.run(
            flow("""
            workflow: w
            limits: {time: 150ms}
            tasks:
              a: {prompt: hi, llm: lab/a}
              b: {prompt: "{{ a.text }}", llm: lab/slow}
            """)
        )


def test_an_interrupted_run_goes_on_by_itself(lab: Workspace, provider: FakeProvider) -> None:
    """A cancelled run is paused; running the same again continues it and pays only the rest."""
    text = flow("""
        workflow: w
        tasks:
          a: {prompt: hi, llm: lab/a}
          b: {prompt: "{{ a.text }} go", llm: lab/slow}
        """)

    async def interrupted() -> None:
        task = asyncio.ensure_future(lab.arun(text))
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(interrupted())
    [stopped] = lab.store.runs()
    assert ("paused", "user") == (stopped.status, stopped.reason)
    run = lab.run(text)

    assert stopped.run_id == run.id
    assert 1 == sum(prompt == "hi" for _, prompt in asked(provider))
    assert "completed" == run.status


def test_two_runs_at_once_in_one_process_share_no_run(lab: Workspace) -> None:
    """Two awaited runs of one workflow end in two runs, each whole."""
    text = flow("workflow: w\ntasks: {a: {prompt: hi, llm: lab/a}, b: {prompt: ho, llm: lab/b}}")

    async def both() -> list[Run]:
        return list(await asyncio.gather(lab.arun(text), lab.arun(text)))

    one, other = asyncio.run(both())
    assert one.id != other.id
    assert one.outputs == other.outputs


BROKEN = (
    "workflow: w\ntasks: {a: {prompt: hi, llm: lab/a}, b: {prompt: 'x {{ a.text }}', llm: lab/%s}}"
)


def test_a_failed_run_is_mended_and_gone_on_with(lab: Workspace, provider: FakeProvider) -> None:
    """An edited definition keeps what it did not change; the difference is known before it runs."""
    with pytest.raises(RunFailed) as caught:
        lab.run(flow(BROKEN % "refused"))
    failed = caught.value.result
    edited = flow(BROKEN % "b")
    execution = lab.resumption(failed.id, definition=edited)

    assert [("a", "kept", "unchanged"), ("b", "runs", "changed")] == execution.changes
    run = lab.go(execution)
    assert failed.id != run.id
    assert ["refused", "a", "b"] == sorted(
        {m for m, _ in asked(provider)}, key=["refused", "a", "b"].index
    )
    assert 1 == sum(model == "a" for model, _ in asked(provider))
    assert [failed.id, ""] == list(run.tasks["kept_from"])
    assert "failed" == lab.run_of(failed.id).status


def test_changes_name_what_reads_a_changed_task(lab: Workspace) -> None:
    """A task below a changed one runs again and says whom it reads; a removed one is gone."""
    with pytest.raises(RunFailed) as caught:
        lab.run(flow("""
            workflow: w
            tasks:
              a: {set: {x: "1"}}
              b: {set: {x: a.x}}
              c: {set: {x: "1"}}
              z: {set: {x: "len(1)"}}
            """))  # fmt: skip
    edited = flow("""
        workflow: w
        tasks:
          a: {set: {x: "2"}}
          b: {set: {x: a.x}}
          c: {set: {x: "1"}}
          d: {set: {x: "1"}}
        """)
    changes = lab.resumption(caught.value.run_id, definition=edited).changes

    assert [
        ("a", "runs", "changed"),
        ("b", "runs", "reads a"),
        ("c", "kept", "unchanged"),
        ("d", "runs", "new"),
        ("z", "gone", "no longer in the workflow"),
    ] == changes


def test_what_cannot_go_on_is_said(lab: Workspace) -> None:
    """A completed run, a running one and a cell of ask are typed errors."""
    done = lab.run(flow('workflow: w\ntasks: {a: {set: {x: "1"}}}'))
    with pytest.raises(UsageProblem, match="is completed"):
        lab.resume(done.id)
    asked_once = lab.ask("hi", "lab/a")
    with pytest.raises(UsageProblem, match="is no workflow"):
        lab.resume(asked_once.id)
    row = RunRow("living", "workflow", "running", fence=1, owner=lab.store.owner_name(),
                 definition={}, inputs={}, options={})  # fmt: skip
    asyncio.run(lab.store.commit(RunStarted(row)))
    with pytest.raises(RunBusy):
        lab.resume("living")


def test_a_stored_run_is_the_run_that_was(lab: Workspace) -> None:
    """Shown again, a run has the same outputs, tasks and text."""
    run = lab.run(flow("workflow: w\ntasks: {a: {prompt: hi, llm: lab/a}}"))
    again = lab.run_of(run.id[:6])

    assert isinstance(again, Run)
    assert repr(run) == repr(again)
    assert run.outputs == again.outputs
    assert run.to_json() == again.to_json()


# --- functions ------------------------------------------------------------------------------------


def test_functions_of_the_notebook_take_typed_arguments(lab: Workspace) -> None:
    """A single hole gives the value itself; a text with more gives text."""
    got: list[Any] = []
    text = Workflow("w", inputs={"rows": "list"})
    text.task("n", python=lambda rows, said: got.extend([rows, said]) or {"count": len(rows)},
              **{"with": {"rows": "{{ rows }}", "said": "{{ len(rows) }} rows"}})  # fmt: skip
    text.task("m", set={"more": "n.count + 1"})
    run = lab.run(text, {"rows": [1, [2]]})

    assert [[1, [2]], "2 rows"] == got
    assert {"m": {"more": 3}} == run.outputs


async def later() -> int:
    await asyncio.sleep(0)
    return 5


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda: 1 / 0, "raised ZeroDivisionError"),
        (lambda: {1, 2}, "A set cannot be stored"),
        (lambda: float("nan"), "A float cannot be stored"),
    ],
)
def test_a_function_that_fails_fails_its_task(lab: Workspace, function: Any, said: str) -> None:
    """What a function raises, and what cannot be stored, are the task's error."""
    text = Workflow("w")
    text.task("f", python=function)
    with pytest.raises(RunFailed, match=said):
        lab.run(text)


def test_async_functions_are_awaited(lab: Workspace) -> None:
    """A coroutine function is a task like another."""
    text = Workflow("w")
    text.task("f", python=later)

    assert {"f": 5} == lab.run(text).outputs


def test_another_function_is_another_task(lab: Workspace) -> None:
    """A changed function has another content, so its old result is not kept."""
    plans = []
    for function in (lambda: 1, lambda: 2):
        text = Workflow("w")
        text.task("f", python=function)
        execution = lab.prepared(text, lab_wishes(), None, "auto")
        plans.append(execution.plan.step("f").content)

    assert plans[0] != plans[1]


def lab_wishes() -> Any:
    from bmad_nb.planner import Wishes

    return Wishes()


# --- what is missing ------------------------------------------------------------------------------


def test_nothing_is_sent_or_stored_while_anything_is_missing(
    lab: Workspace, provider: FakeProvider
) -> None:
    """Every missing thing is named at once, and the store is not even made."""
    text = flow("""
        workflow: w
        tasks:
          a: {prompt: "hi", llm: lab/a}
          b: {python: "os:getcwd"}
          c: {prompt: "x", llm: lab/aa}
        """)
    with pytest.raises(NotRunnable) as caught:
        lab.run(text)

    assert 2 == len(caught.value.missing)
    assert "calls os:getcwd" in caught.value.missing[0]
    assert (
        "flow.yaml:6:25: There is no LLM 'lab/aa'. Did you mean 'lab/a'?" in caught.value.missing[1]
    )
    assert 0 == provider.counts()["received"]
    assert not lab.store.path.exists()


def test_an_unknown_workflow_is_said(lab: Workspace) -> None:
    """An id that nobody defined and that is no file is an unknown name."""
    lab.define(flow('workflow: triage\ntasks: {a: {set: {x: "1"}}}'))

    with pytest.raises(UnknownName, match="Did you mean 'triage'"):
        lab.run("triag")
    assert "completed" == lab.run("triage").status


def test_a_run_with_a_file_goes_on_without_it(lab: Workspace, project: Path) -> None:
    """The content of a file is stored with the run: going on needs the file no more."""
    note = project / "note.txt"
    note.write_text("hello there")
    text = flow("""
        workflow: w
        inputs: {note: file}
        limits: {calls: 0}
        tasks: {a: {prompt: "{{ note }}", llm: lab/a}}
        """)
    with pytest.raises(RunPaused) as caught:
        lab.run(text, {"note": str(note)})
    note.unlink()
    with pytest.raises(RunPaused):
        lab.resume(caught.value.run_id)


def test_a_plan_has_the_content_of_its_run(lab: Workspace) -> None:
    """What `plan` shows is what `run` does, functions included."""
    text = Workflow("w")
    text.task("f", python=lambda: 5)
    plan = lab.plan(text).plan

    assert plan.step("f").content == lab.run(text).state.tasks["f"].content
