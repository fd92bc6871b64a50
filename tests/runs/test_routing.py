"""Who is asked at the moment of a call: health, price, money, learned quality, and why."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bmad_nb import columns, parse
from bmad_nb.calls import breaker
from bmad_nb.errors import RunFailed, RunPaused
from bmad_nb.events import CallRow
from bmad_nb.messages import Completion, Price, Usage
from bmad_nb.routers.base import Choice
from bmad_nb.runs.health import BAD, Health
from bmad_nb.runs.run import Run
from bmad_nb.store.journal import Store
from bmad_nb.workspace import Workspace
from tests.fake_provider import FakeProvider

FLOW = """
    workflow: w
    inputs: {ns: list}
    strategy: adaptive
    limits: {concurrency: 1}
    tasks:
      a: {map: {over: ns, as: n}, prompt: "Item {{ n }}", type: item,
          route: {models: [fake/a, fake/b], prefer: cheapest},
          retry: {attempts: 3, backoff: 1ms}}
    """
PRICES = {
    "fake/a": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 1},
    "fake/b": {"input_usd_per_mtok": 2, "output_usd_per_mtok": 2},
}


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    """Give a provider with two models."""
    with FakeProvider({"models": {"a": {"latency_s": 0.01}, "b": {"latency_s": 0.01}}}) as found:
        yield found


@pytest.fixture
def space(project: Path, provider: FakeProvider) -> Iterator[Workspace]:
    """Give a workspace on it, in which the first model is the cheaper one."""
    endpoint = {"base_url": provider.url, "models": ["a", "b"]}
    made = Workspace({"endpoints": {"fake": endpoint}, "prices": PRICES})
    yield made
    made.close()


def degrade(provider: FakeProvider, space: Workspace, **how: Any) -> None:
    """Let model a behave otherwise from item 20 on."""
    models = {"a": {"latency_s": 0.01}, "b": {"latency_s": 0.01}}

    class AtTwenty:
        name = "watching"

        def choose(self, demand: Any, candidates: Any) -> Choice:
            if demand.prompt == "Item 20":
                provider.configure({"models": {**models, "a": {"latency_s": 0.01, **how}}})
            best = min(candidates, key=lambda each: each.price.output_usd_per_mtok)
            return Choice(best.card.id, "the cheaper one that does well")

    degrade.router = AtTwenty()  # type: ignore[attr-defined]


def go(space: Workspace, count: int) -> Run:
    """Run over so many items with the router that was made."""
    flow = parse.loads(textwrap.dedent(FLOW))
    return space.run(flow, {"ns": [*range(count)]}, router=degrade.router)  # type: ignore[attr-defined]


@pytest.mark.parametrize("how", [{"latency_s": 0.5}, {"fault_rates": {"503": 1.0}}], ids=str)
def test_new_calls_leave_an_llm_that_has_become_bad(
    provider: FakeProvider, space: Workspace, how: dict[str, Any]
) -> None:
    """Slower by far, or 503: within 5 calls at least 90 % of new ones leave it; each says why."""
    degrade(provider, space, **how)
    run = go(space, 45)
    made = run.decisions[run.decisions["at"] == "call"].reset_index(drop=True)
    assert {"fake/a"} == set(made["llm"][:20])
    turned = made.index[made["part"] == "a[20]"][0]
    later = made["llm"][turned + 5 :]
    assert len(later) >= 18
    assert (later == "fake/b").mean() >= 0.9
    left = made[(made["llm"] == "fake/b") & (made["router"] != "healing")].iloc[0]
    said = {each["llm"]: each["outcome"] for each in left["candidates"]}
    assert "chosen" == said["fake/b"]
    assert "went badly" in said["fake/a"]
    assert "tried again" in said["fake/a"]
    assert 45 == len(run.outputs["a"]["items"])
    bodies = [json.loads(each["body"]) for each in provider.requests() if each["method"] == "POST"]
    asked = {(each["model"], each["messages"][-1]["content"]) for each in bodies}
    answered = [call for call in run.state.calls.values() if call.state == "answered"]
    assert {(c.model, c.messages[-1].text) for c in answered} <= asked
    assert {"b"} == {model for model, question in asked if question == "Item 40"}
    assert set(made["call_id"]) <= set(run.calls["call_id"])
    by_call = dict(zip(run.calls["call_id"], run.calls["llm"], strict=True))
    assert [by_call[each] for each in made["call_id"]] == list(made["llm"])


@pytest.mark.long
def test_an_llm_that_is_well_again_is_taken_back(
    provider: FakeProvider, space: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a rest one call tries it; it answers, and the calls come back."""
    monkeypatch.setattr(breaker, "FIRST_S", 0.15)
    degrade(provider, space, faults=["503"] * 3)
    run = go(space, 60)
    made = run.decisions[run.decisions["at"] == "call"].reset_index(drop=True)
    trials = made[made["reason"].str.startswith("a trial after a rest")]
    assert 1 <= len(trials) <= 3
    assert {"fake/a"} == set(trials["llm"])
    assert "fake/b" in set(made["llm"])
    assert {"fake/a"} == set(made["llm"][-5:])


# --- health, in virtual time ----------------------------------------------------------------------


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def ended(llm: str, seconds: float = 0.1, **fields: Any) -> CallRow:
    """Return a call that was answered, or failed."""
    state = "failed" if "error_kind" in fields else "answered"
    return CallRow("c", "r", llm, "k", state, latency_s=seconds, **fields)  # type: ignore[arg-type]


def test_some_bad_calls_among_the_newest_are_enough() -> None:
    """Many good calls before do not hide that the newest went badly; wrong requests do not count."""
    clock = Clock()
    health = Health(clock, {})
    for _ in range(50):
        health.note(ended("a"))
    for _ in range(10):
        health.note(ended("a", error_kind="BadRequest"))
    assert "" == health.left_alone("a")
    for number in range(BAD):
        assert "" == health.left_alone("a"), number
        health.note(ended("a", error_kind="ServerFailed"))
    assert "failed with ServerFailed; it is tried again in 5.0 s" in health.left_alone("a")
    assert "" == health.left_alone("b")
    clock.now = 6.0
    assert "" == health.left_alone("a")
    assert health.chosen("a")
    assert health.left_alone("a")  # nobody else while the trial is on its way
    health.note(ended("a"))
    assert "" == health.left_alone("a")
    assert not health.chosen("a")


def test_a_quota_that_is_used_up_is_seen_at_once() -> None:
    """One error of a kind that the next call would meet too is enough."""
    health = Health(Clock(), {})
    health.note(ended("a", error_kind="QuotaExhausted"))
    assert "QuotaExhausted" in health.left_alone("a")


def test_calls_that_hang_are_seen_before_they_end() -> None:
    """What is on its way for much longer than usual counts, and counts once."""
    clock = Clock()
    health = Health(clock, {"a": 1.0})
    for number in range(BAD):
        health.note(CallRow(str(number), "r", "a", "k", "in_flight"))
    clock.now = 3.9
    assert "" == health.left_alone("a")
    clock.now = 4.1
    assert "has not answered for 4.1 s" in health.left_alone("a")
    assert 0 == health.in_flight


def test_waiting_in_a_queue_makes_an_llm_slower() -> None:
    """What its last call waited is added to its usual time; nobody knows an LLM never asked."""
    health = Health(Clock(), {"a": 1.0})
    health.note(CallRow("x", "r", "a", "k", "in_flight", waited_s=2.0))
    assert 3.0 == health.seconds("a")
    assert health.seconds("b") is None


# --- money, learned quality, what is written down -------------------------------------------------


def add(ws: Workspace, name: str, usd: int, quality: float = 0.5) -> list[str]:
    """Add an LLM of the user's with a price and a declared skill."""
    asked: list[str] = []

    def llm(messages: Any) -> Completion:
        asked.append(messages[-1].text)
        return Completion("ok", Usage(1000, 1000))

    price = Price(Decimal(usd), Decimal(usd))
    ws.add_llm(name, llm, price=price, capabilities={"general": quality})
    return asked


TWO = """
    workflow: w
    strategy: adaptive
    defaults: {params: {max_tokens: 1000}}
    tasks:
      a: {prompt: "one", type: item, route: {models: [own/dear, own/cheap], prefer: best}}
      b: {prompt: "two {{ a.text }}", type: item, route: {models: [own/dear, own/cheap], prefer: best}}
    """


def test_what_no_longer_fits_the_money_is_not_chosen(ws: Workspace) -> None:
    """The best goes first; once its worst case does not fit what is left, a cheaper one answers."""
    dear, cheap = add(ws, "dear", 10, 0.9), add(ws, "cheap", 1, 0.5)
    run = ws.run(parse.loads(textwrap.dedent(TWO)), budget_usd="0.025")
    assert (["one"], ["two ok"]) == (dear, cheap)
    last = run.decisions[run.decisions["at"] == "call"].iloc[-1]
    said = {each["llm"]: each["outcome"] for each in last["candidates"]}
    assert "is left" in said["own/dear"]
    assert 0.005 == pytest.approx(last["left_usd"])
    with pytest.raises(RunPaused):
        ws.run(parse.loads(textwrap.dedent(TWO)), budget_usd="0.0001", resume="never")


def test_each_choice_is_a_row_that_says_what_stood(ws: Workspace) -> None:
    """Choices of the plan and of the calls, with router, candidates, expectations and versions."""
    add(ws, "dear", 10, 0.9)
    add(ws, "cheap", 1, 0.5)
    run = ws.run(parse.loads(textwrap.dedent(TWO)))
    found = run.decisions
    assert [column.name for column in columns.DECISIONS] == list(found.columns)
    assert ["plan", "plan", "call", "call"] == sorted(found["at"], reverse=True)
    assert {"capability"} == set(found["router"])
    assert {1.0} == set(found["propensity"])
    assert {0} == set(found["learned_version"])
    call = found[found["at"] == "call"].iloc[0]
    by = {each["llm"]: each for each in call["candidates"]}
    assert (0.9, 0.5) == (by["own/dear"]["expected"], by["own/cheap"]["expected"])
    assert (10.0, 0.9) == (by["own/dear"]["usd_per_mtok"], call["expected"])
    again = Store(ws.store.path)
    assert found.equals(Run(again, run.id).decisions)
    again.close()


def test_without_the_adaptive_strategy_the_plan_decides(ws: Workspace) -> None:
    """Other strategies keep to the plan: a row a task, none for a call."""
    add(ws, "dear", 10, 0.9)
    add(ws, "cheap", 1, 0.5)
    run = ws.run(parse.loads(textwrap.dedent(TWO).replace("strategy: adaptive\n", "")))
    assert ["plan"] * 2 == list(run.decisions["at"])
    assert ["a", "b"] == list(run.decisions["task"])


def test_who_is_named_stays_and_a_stand_in_is_said(ws: Workspace) -> None:
    """One named LLM is asked though it does badly; a fallback of the strategy has a row of its own."""

    def broken(messages: Any) -> Completion:
        raise RuntimeError("x")

    ws.add_llm("broken", broken, price=Price(Decimal(1), Decimal(1)))
    add(ws, "cheap", 5)
    with pytest.raises(RunFailed):
        ws.run(
            parse.loads(
                "{workflow: w, strategy: adaptive, tasks: {a: {prompt: x, llm: own/broken}}}"
            )
        )
    text = (
        "{workflow: v, strategy: adaptive, tasks: {a: {prompt: x, llm: [own/broken, own/cheap]}}}"
    )
    run = ws.run(parse.loads(text))
    last = run.decisions.iloc[-1]
    assert ("healing", "own/cheap") == (last["router"], last["llm"])


def test_a_router_of_ones_own_sees_the_moment(ws: Workspace) -> None:
    """It is given the prompt as it is sent, and what it expects and draws is written down."""
    add(ws, "dear", 10)
    add(ws, "cheap", 1)
    seen: list[str] = []

    class Mine:
        name = "mine"

        def choose(self, demand: Any, candidates: Any) -> Choice:
            seen.append(demand.prompt)
            scores = tuple((each.card.id, 0.7) for each in candidates)
            return Choice("own/cheap", "by length", (), scores, 0.25)

    run = ws.run(parse.loads(textwrap.dedent(TWO)), router=Mine())
    assert ["", "", "one", "two ok"] == seen
    assert {("mine", 0.7, 0.25)} == set(
        zip(run.decisions["router"], run.decisions["expected"], run.decisions["propensity"], strict=True)
    )  # fmt: skip
