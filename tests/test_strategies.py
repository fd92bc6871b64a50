"""Strategies, objectives, priorities and forks: how the same tasks are run otherwise."""

from __future__ import annotations

import json
import textwrap
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from bmad_nb import parse
from bmad_nb.engine.schedule import AGE, Schedule
from bmad_nb.errors import RunFailed, UnknownName
from bmad_nb.messages import Completion, Price, Usage
from bmad_nb.plan import Step
from bmad_nb.runs.adaptation import order_of
from bmad_nb.workflow.model import Workflow
from bmad_nb.workspace import Workspace

STRATEGIES = ("sequential", "parallel", "adaptive", "collaborative")


def flow(text: str) -> Workflow:
    """Return the workflow of a document."""
    return parse.loads(textwrap.dedent(text), "flow.yaml")


def add(
    ws: Workspace, name: str, answer: Callable[[str], str] = str.upper, *, usd: float = 1,
    seconds: float = 0.0, capabilities: dict[str, float] | None = None,
) -> list[str]:  # fmt: skip
    """Add an LLM `own/NAME` with a price per million tokens and a latency; return what it is asked."""
    asked: list[str] = []

    def ask(messages: Any) -> Completion:
        asked.append(messages[-1].text)
        time.sleep(seconds)
        return Completion(answer(messages[-1].text), Usage(1000, 1000), "stop")

    price = Price(Decimal(str(usd)), Decimal(str(usd)), source="test")
    ws.add_llm(name, ask, price=price, capabilities=capabilities)
    return asked


# --- strategies -----------------------------------------------------------------------------------

DIAMOND = """
    workflow: w
    inputs: {words: list}
    tasks:
      a: {prompt: "a", llm: own/a}
      b: {prompt: "b {{ a }}", llm: own/a}
      c: {prompt: "c {{ a }}", llm: own/a, when: "len(words) > 1"}
      each: {map: {over: words, as: w}, prompt: "{{ w }} {{ b }}", llm: own/a}
      d: {prompt: "{{ json(each.items) }} {{ coalesce(c.text, 'none') }}", llm: own/a,
          join: all_done, needs: [c]}
    outputs: {d: d.text, items: each.items}
"""


def test_all_strategies_give_the_same(ws: Workspace) -> None:
    """Without collaboration and with deterministic LLMs, all four give equal outputs."""
    found = []
    for number, strategy in enumerate(STRATEGIES):
        space = Workspace(store=ws.store.path.with_name(f"{number}.db"))
        try:
            add(space, "a")
            run = space.run(flow(DIAMOND), {"words": ["x", "y", "z"]}, strategy=strategy)
            found.append(run.outputs)
        finally:
            space.close()
    assert found[0]["items"] == ["X B A", "Y B A", "Z B A"]
    assert [found[0]] * 4 == found


def test_an_unknown_strategy_names_the_four(ws: Workspace) -> None:
    """The error lists what there is."""
    add(ws, "a")
    with pytest.raises(UnknownName, match="parallel"):
        ws.run(flow(DIAMOND), {"words": []}, strategy="paralel")


def test_the_adaptive_strategy_heals(ws: Workspace) -> None:
    """An LLM of the route that fails is replaced by the next of it; others stay with the plan."""
    asked = add(ws, "bad", lambda text: str(1 / 0))
    add(ws, "good")
    text = """
        workflow: w
        tasks: {a: {prompt: hi, llm: [own/bad, own/good], retry: {attempts: 1}}}
        outputs: {a: a.text}
        """
    with pytest.raises(RunFailed):
        ws.run(flow(text))
    run = ws.run(flow(text), strategy="adaptive")
    assert {"a": "HI"} == run.outputs
    assert ("own/good", True) == (run.tasks.loc[0, "llm"], bool(run.tasks.loc[0, "degraded"]))
    assert asked


def test_the_adaptive_strategy_hedges_what_is_slow(ws: Workspace) -> None:
    """After enough answers, an LLM's slowest calls are sent once more beside, when it is paced."""
    from bmad_nb.events import CallRow
    from bmad_nb.runs.adaptation import LEAST, Adaptation

    add(ws, "a")
    plan = ws.plan(flow(DIAMOND)).plan
    hedges: dict[str, float] = {}
    adaptation = Adaptation(plan, ws.store, hedges)
    for number in range(LEAST + 20):
        row = CallRow(str(number), "r", "own/a", "k", "answered", task="a", latency_s=number / 10)
        adaptation.note(row)
    assert 3.0 < hedges["own/a"] < 4.0
    assert pytest.approx(1.95) == adaptation.seconds()["a"]
    assert "d" in adaptation.seconds()


def test_an_order_can_be_changed_while_it_is_worked_off() -> None:
    """What turns out to be long goes first, though it was written last."""
    steps = [Step(name, "prompt") for name in "abc"]
    schedule = Schedule(steps, seconds={"a": 3, "b": 2, "c": 1})
    first = schedule.pop(None, slot=True)
    assert first is not None and first.step.id == "a"
    schedule.reorder({"b": 1, "c": 9})
    rest = [schedule.pop(None, slot=True) for _ in range(2)]
    assert ["c", "b"] == [each.step.id for each in rest if each]


# --- priorities -----------------------------------------------------------------------------------


def test_the_higher_priority_goes_first_among_those_that_are_ready() -> None:
    """For all pairs that are ready together; never before what a task needs."""
    order = []
    steps = [
        Step(f"t{n}", "prompt", (("t0",) if n == 3 else ()), priority=n % 4) for n in range(40)
    ]
    schedule = Schedule(steps)
    while ready := schedule.pop(None, slot=True):
        order.append(ready.step)
        schedule.settle(ready.step.id, "done")
    names = [step.id for step in order]
    assert names.index("t0") < names.index("t3")
    others = [step.priority for step in order if step.id != "t3"]
    assert sorted(others) == others


def test_no_task_starves() -> None:
    """A low task is passed by at most three times AGE others, however many critical ones come."""
    many = 3 * AGE + 50
    steps = [Step("low", "prompt", priority=3), Step("c0", "prompt", priority=0)]
    steps += [Step(f"c{n}", "prompt", (f"c{n - 1}",), priority=0) for n in range(1, many)]
    schedule = Schedule(steps)
    order = []
    while ready := schedule.pop(None, slot=True):
        order.append(ready.step.id)
        schedule.settle(ready.step.id, "done")
    assert 3 * AGE == order.index("low")
    assert many + 1 == len(order)


# --- objectives -----------------------------------------------------------------------------------


def handed_out(objectives: Any, steps: list[Step], **known: Any) -> list[str]:
    """Return the order in which independent steps are handed out under objectives."""
    terms = tuple(tuple(each.items()) for each in objectives)
    schedule = Schedule(steps, order=order_of(terms), **known)
    order = []
    while ready := schedule.pop(None, slot=True):
        order.append(ready.step.id)
    return order


def test_each_objective_beats_the_others_on_its_own_metric() -> None:
    """One slot; important, long, cheap and middling tasks: each objective is best at its own sum."""
    steps = [
        Step("important", "prompt", priority=0), Step("long", "prompt", priority=2),
        Step("cheap", "prompt", priority=3), Step("middling", "prompt", priority=1),
    ]  # fmt: skip
    seconds = {"important": 1.0, "long": 9.0, "cheap": 2.0, "middling": 7.0}
    costs = {"important": 0.9, "long": 1.0, "cheap": 0.1, "middling": 0.2}
    first = {
        name: handed_out([{name: 1.0}], steps, seconds=seconds, costs=costs)[0]
        for name in ("priority_first", "latency_optimized", "cost_optimized")
    }
    assert {
        "priority_first": "important",
        "latency_optimized": "long",
        "cost_optimized": "cheap",
    } == first
    lexicographic = handed_out(
        [{"cost_optimized": 1.0}, {"latency_optimized": 1.0}], steps, seconds=seconds,
        costs=dict.fromkeys(seconds, 1.0),
    )  # fmt: skip
    assert ["long", "middling", "cheap", "important"] == lexicographic
    weighted = handed_out(
        [{"latency_optimized": 0.1, "cost_optimized": 10.0}], steps, seconds=seconds, costs=costs
    )
    assert "cheap" != handed_out([{"latency_optimized": 1.0}], steps, seconds=seconds)[0]
    assert "middling" == weighted[0] or "cheap" == weighted[0]


CHOICE = """
    workflow: w
    objectives: [OBJECTIVE]
    tasks: {a: {prompt: hi, llm: [own/fast, own/cheap, own/fair]}}
"""


def test_an_objective_chooses_among_the_llms_of_a_route(ws: Workspace) -> None:
    """The cheapest, the one that was fastest so far, and the best bargain, each with its reason."""
    add(ws, "fast", usd=10, seconds=0.01)
    add(ws, "cheap", usd=1, seconds=0.2)
    add(ws, "fair", usd=2, seconds=0.03)
    for name in ("fast", "cheap", "fair"):
        for number in range(3):
            ws.ask(f"{name} {number}", f"own/{name}")
    for objective, llm, why in (
        ("cost_optimized", "own/cheap", "the cheapest of 3"),
        ("latency_optimized", "own/fast", "the fastest of 3"),
        ("balanced", "own/fair", "cost and latency together"),
    ):
        (step,) = ws.plan(flow(CHOICE.replace("OBJECTIVE", objective))).plan.steps
        assert step.assignment is not None
        assert llm == step.assignment.llm, objective
        assert why in step.assignment.reason


def test_cost_optimization_takes_the_cheaper_of_equals(ws: Workspace) -> None:
    """The setting decides between LLMs of a route that says nothing else."""
    text = flow("{workflow: w, tasks: {a: {prompt: hi, llm: [own/dear, own/cheap]}}}")
    for wanted, llm in ((True, "own/cheap"), (False, "own/dear")):
        space = Workspace({"engine": {"cost_optimization": wanted}}, store=ws.store.path)
        try:
            add(space, "dear", usd=10)
            add(space, "cheap", usd=1)
            assignment = space.plan(text).plan.steps[0].assignment
            assert assignment is not None
            assert llm == assignment.llm
        finally:
            space.close()


# --- checkpoints ----------------------------------------------------------------------------------

POINT = """
    workflow: w
    inputs: {words: list}
    tasks:
      each:
        map: {over: words, as: w, concurrency: 1}
        prompt: "{{ w }}"
        llm: own/a
        checkpoint: [{that: "run.cost_usd < 0.0085", at: each_item, action: ACTION}]
    outputs: {items: each.items}
"""


def test_a_checkpoint_pauses_within_one_call_and_fires_once(ws: Workspace) -> None:
    """Overspend is seen at the item where it happens; going on, it does not fire again."""
    from bmad_nb.errors import RunPaused

    asked = add(ws, "a", usd=1)  # 0.002 a call
    words = [f"w{n}" for n in range(10)]
    with pytest.raises(RunPaused, match="does not hold at task 'each'") as caught:
        ws.run(flow(POINT.replace("ACTION", "pause")), {"words": words})
    assert 5 == len(asked)
    run = ws.run_of(caught.value.run_id)
    assert ("paused", "checkpoint") == (run.status, run.state.reason)
    (point,) = run.state.checkpoints
    assert ("each", False, "pause") == (point.task, point.holds, point.action)
    assert pytest.approx(0.01) == point.values["run.cost_usd"]
    done = run.resume()
    assert ("completed", 10, 1) == (done.status, len(asked), len(done.state.checkpoints))


@pytest.mark.parametrize("action", ["warn", "continue", "fail", "replan"])
def test_a_checkpoint_acts_as_it_says(ws: Workspace, action: str) -> None:
    """`fail` fails its task with the values that it read; the others are kept with the run."""
    add(ws, "a")
    text = flow(POINT.replace("ACTION", action))
    if action == "fail":
        with pytest.raises(RunFailed, match=r"run\.cost_usd < 0\.0085 does not hold"):
            ws.run(text, {"words": [f"w{n}" for n in range(6)]})
        return
    run = ws.run(text, {"words": [f"w{n}" for n in range(6)]})
    assert ["W0", "W5"] == [run.outputs["items"][n] for n in (0, 5)]
    assert [action] == [each.action for each in run.state.checkpoints]


# --- forks ----------------------------------------------------------------------------------------

CHAIN = """
    workflow: w
    inputs: {topic: text, tone: {type: text, default: dry}}
    tasks:
      a: {prompt: "About {{ topic }}", llm: own/one}
      b: {prompt: "{{ tone }}: {{ a }}", llm: own/one}
      c: {prompt: "End {{ b }}", llm: own/one}
    outputs: {c: c.text}
"""


def test_a_fork_takes_over_what_is_before_it(ws: Workspace) -> None:
    """Another LLM from the middle on: the prefix is free, the rest is asked anew, both compared."""
    one = add(ws, "one")
    two = add(ws, "two", str.title)
    run = ws.run(flow(CHAIN), {"topic": "ice"})
    assert 3 == len(one)
    fork = run.fork("b", llms={"own/one": "own/two"})
    assert ("End Dry: About Ice", 2, 3) == (fork.outputs["c"], len(two), len(one))
    frame = fork.compare(run)
    assert ["a", "b", "c"] == list(frame["task"])
    assert [True, False, False] == list(frame["same"])
    assert ["own/one", "own/two", "own/two"] == list(frame["llm"])
    assert 0.0 == frame.loc[0, "cost_usd"]
    assert run.id == fork.run.options["forked_from"]
    assert "completed" == run.status


def test_a_fork_changes_inputs_and_keys_of_tasks(ws: Workspace) -> None:
    """`set` takes an input by its name, and a key of a task; what is neither is refused."""
    one = add(ws, "one")
    run = ws.run(flow(CHAIN), {"topic": "ice"})
    warm = run.fork("b", set={"tone": "warm"})
    assert ("END WARM: ABOUT ICE", 5) == (warm.outputs["c"], len(one))
    other = run.fork("c", set={"c.prompt": "Fin {{ b }}"})
    assert ("FIN DRY: ABOUT ICE", 6) == (other.outputs["c"], len(one))
    with pytest.raises(UnknownName, match="Did you mean 'tone'"):
        run.fork("b", set={"tony": "x"})
    with pytest.raises(UnknownName, match="task"):
        run.fork("d")
    again = run.fork("c", fresh=True)
    assert (7, False) == (len(one), bool(again.calls["from_store"].any()))


def test_a_fork_with_a_router_of_ones_own(ws: Workspace) -> None:
    """A router written in a cell chooses for what the fork does anew, and only for that."""
    from bmad_nb.routers.base import Choice

    class Last:
        name = "last"

        def choose(self, demand: Any, candidates: Any) -> Choice:
            return Choice(candidates[-1].card.id, "the last")

    add(ws, "one")
    two = add(ws, "two", str.title)
    run = ws.run(flow(CHAIN.replace("llm: own/one", "llm: [own/one, own/two]")), {"topic": "ice"})
    fork = run.fork("c", router=Last())
    assert ["own/one", "own/one", "own/two"] == list(fork.tasks["llm"])
    assert 1 == len(two)
    assert json.dumps(fork.to_json())
