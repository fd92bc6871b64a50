"""What stands in where a task cannot be done as it is written, and what a limit brings about."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from bmad_nb import parse
from bmad_nb.cli.main import exit_code
from bmad_nb.errors import RunFailed, RunPaused
from bmad_nb.events import TaskRow
from bmad_nb.runs.run import Run
from bmad_nb.workflow.model import Workflow
from bmad_nb.workspace import Workspace
from tests.fake_provider import FakeProvider

MODELS = {
    "good": {},
    "dear": {},
    "cheap": {},
    "fails_later": {"faults": ["ok"], "fault_rates": {"400": 1.0}},
    "down": {"fault_rates": {"400": 1.0}},
    "broken": {"fault_rates": {"500": 1.0}},
}
PRICES = {
    "lab/dear": {"input_usd_per_mtok": 1000, "output_usd_per_mtok": 1000},
    "lab/cheap": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 1},
    "lab/down": {"input_usd_per_mtok": 2, "output_usd_per_mtok": 2},
}


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    """Give a provider that counts what it is asked."""
    with FakeProvider({"models": MODELS}) as provider:
        yield provider


@pytest.fixture
def lab(project: Path, provider: FakeProvider) -> Iterator[Workspace]:
    """Give a workspace whose LLMs `lab/...` are the provider's."""
    config = {
        "endpoints": {"lab": {"base_url": provider.url, "models": [*MODELS]}},
        "prices": PRICES,
        "engine": {"retry_attempts": 0},
    }
    space = Workspace(config, store=project / ".bmad" / "bmad.db")
    yield space
    space.close()


def flow(text: str) -> Workflow:
    """Return the workflow of a document."""
    return parse.loads(textwrap.dedent(text), "flow.yaml")


def task(run: Run, name: str = "a") -> TaskRow:
    """Return the outcome of a task."""
    return run.state.tasks[name]


# --- the newest stored result ---------------------------------------------------------------------

STORED = """
workflow: w
inputs: {topic: text}
tasks:
  a: {prompt: "[answer: about {{ topic }}] tell", llm: lab/fails_later, fallback: [stored]}
  b: {set: {said: a.text}}
"""


def test_a_stored_result_stands_in(lab: Workspace) -> None:
    """The newest result of an earlier run stands in, marked degraded, with the run it came from."""
    first = lab.run(flow(STORED), {"topic": "ice"})
    second = lab.run(flow(STORED), {"topic": "fire"})

    row = task(second)
    assert ("done", True, 1, first.id) == (row.state, row.degraded, row.rung, row.kept_from)
    assert {"b": {"said": "about ice"}} == second.outputs
    third = lab.run(flow(STORED), {"topic": "air"})
    assert first.id == task(third).kept_from  # what stood in is no result of its own


def test_without_a_stored_result_the_task_fails(lab: Workspace) -> None:
    """The error is the LLM's, for that is what went wrong."""
    text = flow("workflow: w\ntasks: {a: {prompt: hi, llm: lab/down, fallback: [stored]}}")
    with pytest.raises(RunFailed) as caught:
        lab.run(text)
    row = task(caught.value.result)
    assert ("failed", "BadRequest", False) == (row.state, row.error_kind, row.degraded)


# --- a person -------------------------------------------------------------------------------------

HUMAN = """
workflow: w
inputs: {topic: text}
tasks:
  a: {prompt: "{{ topic }}", llm: lab/down, output: {n: integer},
      fallback: [{human: "How many of {{ topic }}?"}]}
  b: {prompt: "hi", llm: lab/good}
  c: {set: {twice: a.n * 2}}
"""


def test_a_task_can_wait_for_a_person(lab: Workspace, provider: FakeProvider) -> None:
    """The run pauses with the question; the answer goes on, and nothing is asked again."""
    with pytest.raises(RunPaused, match=r"waits for a person: How many of bees\?") as caught:
        lab.run(flow(HUMAN), {"topic": "bees"})
    stopped = caught.value.result
    assert ("paused", "human") == (stopped.status, stopped.state.reason)
    assert f"%bmad resume {stopped.id} --answer a=" in caught.value.hint
    assert 3 == exit_code(caught.value)
    sent = provider.counts()["received"]

    run = lab.resume(stopped.id, answers={"a": '{"n": 21}'})
    assert stopped.id == run.id
    assert sent == provider.counts()["received"]
    assert {"c": {"twice": 42}} == {name: run.outputs[name] for name in ("c",)}
    row = task(run)
    assert ("done", True, 1, "") == (row.state, row.degraded, row.rung, row.llm)


def test_a_persons_answer_is_checked_too(lab: Workspace) -> None:
    """An answer that does not match the declared output is no result."""
    with pytest.raises(RunPaused) as caught:
        lab.run(flow(HUMAN), {"topic": "bees"})
    with pytest.raises(RunFailed, match="n must be a whole number"):
        lab.resume(caught.value.run_id, answers={"a": '{"n": "many"}'})


# --- limits that degrade --------------------------------------------------------------------------


def degrading(more: str, limits: str = "{cost: $0.02, on_limit: degrade}") -> Workflow:
    """Return two dear tasks of which a limit allows one."""
    return flow(f"""
        workflow: w
        limits: {limits}
        defaults: {{params: {{max_tokens: 10}}}}
        tasks:
          a: {{prompt: "[answer: one]", llm: lab/dear}}
          b: {{prompt: "[answer: two]", {more}, needs: [a]}}
        """)


def test_a_limit_can_degrade_to_a_fallback(lab: Workspace) -> None:
    """What does not fit goes down its fallbacks, and the run goes on within its limit."""
    limits = "{cost: $0.06, on_limit: degrade}"
    run = lab.run(degrading("llm: lab/dear, fallback: [{route: lab/cheap}]", limits))

    assert [False, True] == [task(run, name).degraded for name in ("a", "b")]
    assert "lab/cheap" == task(run, "b").llm
    assert 0 < run.cost_usd <= Decimal("0.06")


def test_a_limit_can_degrade_to_the_cheapest_candidate(lab: Workspace) -> None:
    """Without a fallback the cheapest LLM that the task allows takes its place."""
    limits = "{cost: $0.06, on_limit: degrade}"
    more = "route: {models: [lab/dear, lab/cheap], policy: fixed}"
    run = lab.run(degrading(more, limits))

    assert ("lab/cheap", True) == (task(run, "b").llm, task(run, "b").degraded)


def test_a_limit_that_nothing_fits_pauses(lab: Workspace, provider: FakeProvider) -> None:
    """Where even the fallback does not fit, the run pauses as ever, and more money goes on."""
    limits = "{cost: $0.0001, on_limit: degrade}"
    with pytest.raises(RunPaused, match=r"could cost") as caught:
        lab.run(degrading("llm: lab/dear", limits))
    assert 0 == provider.counts()["received"]
    run = lab.resume(caught.value.run_id, budget_usd=1)
    assert ["done", "done"] == [task(run, name).state for name in ("a", "b")]


def test_the_cheaper_llm_stands_in_for_a_limit_only(lab: Workspace) -> None:
    """An LLM that fails is not replaced because a limit may degrade."""
    text = flow("""
        workflow: w
        limits: {cost: $1, on_limit: degrade}
        defaults: {params: {max_tokens: 10}}
        tasks: {a: {prompt: hi, route: {models: [lab/down, lab/cheap], policy: fixed}}}
        """)
    with pytest.raises(RunFailed) as caught:
        lab.run(text)
    assert ("failed", "BadRequest") == (
        task(caught.value.result).state,
        task(caught.value.result).error_kind,
    )


# --- an endpoint that is down ---------------------------------------------------------------------


def test_an_outage_of_one_endpoint_fails_no_task(project: Path, provider: FakeProvider) -> None:
    """With fallbacks on two other endpoints, all tasks are done, and soon nobody asks the first."""
    with FakeProvider({"models": {"x": {}}}) as two, FakeProvider({"models": {"x": {}}}) as three:
        urls = {"one": provider.url, "two": two.url, "three": three.url}
        config = {
            "endpoints": {name: {"base_url": url} for name, url in urls.items()},
            "engine": {"max_concurrent_tasks": 4},
        }
        tasks = "\n".join(
            f"  t{n}: {{prompt: 'say {n}', llm: {('one/broken', 'two/x', 'three/x')[n % 3]}, "
            "retry: {backoff: 10ms}, fallback: [{route: two/x}, {route: three/x}]}"
            for n in range(60)
        )
        space = Workspace(config, store=project / ".bmad" / "bmad.db")
        run = space.run(flow(f"workflow: w\ntasks:\n{tasks}"))
        space.close()

    states = [row.state for row in run.state.tasks.values()]
    assert ["done"] * 60 == states
    assert 20 == sum(row.degraded for row in run.state.tasks.values())
    assert provider.counts()["received"] < 20
