"""A plan as people look at it: what it will take, what may go wrong, and what another one changes."""

from __future__ import annotations

import re
import textwrap
import time
from contextlib import closing
from decimal import Decimal
from typing import Any

import pytest

from bmad_nb import parse
from bmad_nb.errors import UsageProblem
from bmad_nb.messages import Completion, Price, Usage
from bmad_nb.workflow.model import Workflow
from bmad_nb.workspace import Workspace

TEXT = """
    workflow: w
    inputs: {words: list}
    tasks:
      each: {map: {over: words, as: w}, prompt: "Say {{ w }}", llm: [own/slow, own/quick]}
      merge: {reduce: {from: each, prompt: "Merge {{ items }}"}, llm: own/quick}
      ok: {approve: {ask: "Good?"}, needs: [merge]}
"""


def flow(text: str = TEXT) -> Workflow:
    """Return the workflow of a document."""
    return parse.loads(textwrap.dedent(text))


@pytest.fixture
def asked(ws: Workspace) -> list[str]:
    """Add a slow and a quick LLM; return what they are asked."""
    found: list[str] = []

    def of(seconds: float) -> Any:
        def ask(messages: Any) -> Completion:
            found.append(messages[-1].text)
            time.sleep(seconds)
            return Completion("x", Usage(100, 100), "stop")

        return ask

    for name, seconds, usd in (("slow", 0.06, 1), ("quick", 0.005, 5)):
        ws.add_llm(name, of(seconds), price=Price(Decimal(usd), Decimal(usd), source="test"))
    return found


def test_a_plan_says_what_a_run_will_take_and_asks_nobody(ws: Workspace, asked: list[str]) -> None:
    """Cost, seconds and calls by the answers so far, in text, HTML and JSON."""
    for number in range(6):
        ws.ask(f"before {number}", "own/slow")
        ws.ask(f"before {number}", "own/quick")
    asked.clear()
    planned = ws.plan(flow(), {"words": ["a", "b", "c", "d"]})
    found = planned.analysis
    assert found is not None
    assert [] == asked
    assert 5 == found.calls
    assert found.cost_usd is not None
    assert pytest.approx(4 * 0.0002 + 0.001) == found.cost_usd.mid
    assert 0.05 < found.latency_s.mid < 0.5
    assert ("each", "merge") == found.critical_path
    text = repr(planned)
    assert "estimate:" in text
    assert "5 calls" in text
    assert "for each of words" in text
    html = planned._repr_mimebundle_()["text/html"]
    assert "80 % range" in html
    assert 5 == planned.to_json()["analysis"]["calls"]


def test_an_estimate_of_simulated_llms_is_labelled(ws: Workspace, asked: list[str]) -> None:
    """All simulated, or some: the cost says so."""
    for llms, said in (
        (("sim/hasty",), "(simulated)"),
        (("sim/hasty", "own/quick"), "(in part simulated)"),
    ):
        tasks = ", ".join(
            f"t{n}: {{prompt: hi, llm: {llm}, params: {{max_tokens: 2}}}}"
            for n, llm in enumerate(llms)
        )
        text = repr(ws.plan(parse.loads(f"{{workflow: w, tasks: {{{tasks}}}}}")))
        assert said in text
        assert not re.search(r"\de-\d", text), "money is never written as 2.1e-05"


def test_plans_can_be_compared(ws: Workspace, asked: list[str]) -> None:
    """Each difference is a line: strategy, LLMs, new and gone tasks; equal plans have none."""
    one = ws.plan(flow(), {"words": []})
    assert [] == one.diff(ws.plan(flow(), {"words": []}))
    other = flow(TEXT.replace("own/quick}", "own/slow}").replace("      ok: {", "      fine: {"))
    lines = one.diff(ws.plan(other, {"words": []}, strategy="sequential"))
    assert "strategy: parallel → sequential" in lines
    assert "merge.llm: own/quick → own/slow" in lines
    assert {"ok: gone", "fine: new"} <= set(lines)


def test_a_run_says_where_it_went_otherwise(ws: Workspace, asked: list[str]) -> None:
    """A fallback that stood in and a price that changed are deviations from the plan."""
    ws.add_llm("bad", lambda messages: str(1 / 0))
    text = """
        workflow: w
        tasks:
          a: {prompt: hi, llm: own/bad, retry: {attempts: 1}, fallback: [{route: own/quick}]}
          b: {prompt: ho, llm: own/quick}
        """
    run = ws.run(flow(text))
    assert ["a: fallback 1 stood in, own/quick for own/bad."] == run.deviations


def test_what_held_a_run_up_can_be_mended(ws: Workspace, asked: list[str]) -> None:
    """Six independent slow tasks one by one: the order is named, and the run again is as predicted."""
    tasks = "\n".join(f"  t{n}: {{prompt: 'Task {n}', llm: own/slow}}" for n in range(6))
    run = ws.run(parse.loads(f"workflow: w\nstrategy: sequential\ntasks:\n{tasks}\n"))
    cause, again = ws.improve(run.id)
    assert "order" == cause.cause
    assert {"strategy": "parallel"} == dict(cause.change)
    assert run.duration_s is not None and again.duration_s is not None
    assert again.duration_s < run.duration_s / 2
    assert cause.predicted_s < run.duration_s / 2
    assert not again.calls["from_store"].any()
    with pytest.raises(UsageProblem, match="that a setting could mend"):
        ws.improve(ws.run(parse.loads("{workflow: v, tasks: {a: {set: {x: '1'}}}}")).id)


def test_the_slower_of_two_llms_is_named(ws: Workspace, asked: list[str]) -> None:
    """Where another LLM answers faster, it is proposed, with the saving that a simulation gives."""
    ws.ask("How fast?", "own/quick")
    tasks = "\n".join(
        f"  t{n}: {{prompt: 'Task {n} {'{{ t' + str(n - 1) + ' }}' if n else ''}', llm: own/slow}}"
        for n in range(4)
    )
    run = ws.run(parse.loads(f"workflow: w\ntasks:\n{tasks}\n"))
    first = run.bottlenecks()[0]
    assert ("slow_llm", {"llms": {"own/slow": "own/quick"}}) == (first.cause, dict(first.change))
    again = ws.improve(run.id)[1]
    assert {"own/quick"} == set(again.calls["llm"])


def test_an_llm_of_another_process_is_not_proposed(ws: Workspace, asked: list[str]) -> None:
    """What only an earlier process could ask takes nobody's place, however fast it was."""
    ws.ask("How fast?", "own/quick")
    tasks = "\n".join(
        f"  t{n}: {{prompt: 'Task {n} {'{{ t' + str(n - 1) + ' }}' if n else ''}', llm: own/slow}}"
        for n in range(4)
    )
    run = ws.run(parse.loads(f"workflow: w\ntasks:\n{tasks}\n"))
    with closing(Workspace(store=ws.store.path)) as later:
        found = later.run_of(run.id).bottlenecks()
    assert [] == [each for each in found if each.cause == "slow_llm"]
