"""A price that changes in the middle of a run: what is decided later, and what stays."""

from __future__ import annotations

import textwrap
from decimal import Decimal
from typing import Any

import pytest

from bmad_nb import parse
from bmad_nb.errors import UsageProblem
from bmad_nb.events import PriceChanged, RunPlanned
from bmad_nb.messages import Completion, Price, Usage
from bmad_nb.plan import assignments
from bmad_nb.workspace import Workspace

FLOW = """
workflow: w
defaults: {{params: {{max_tokens: 10}}}}
tasks:
  a: {{prompt: "first", {route}}}
  b: {{prompt: "second {{{{ a.text }}}}", {route}}}
  c: {{prompt: "third {{{{ b.text }}}}", {route}}}
"""
CHEAPEST = "route: {models: [own/one, own/two], prefer: cheapest}"


def price(usd: int) -> Price:
    """Return a price of so many dollars a million tokens."""
    return Price(Decimal(usd), Decimal(usd))


def two(ws: Workspace, at: str) -> list[str]:
    """Add two LLMs; the price of the first rises while the prompt that begins so is answered."""
    asked: list[str] = []

    def answer(name: str) -> Any:
        def llm(messages: Any) -> Completion:
            asked.append(name)
            if messages[-1].text.startswith(at):
                ws.set_price("own/one", input_usd_per_mtok=50, output_usd_per_mtok=50)
            return Completion("ok", Usage(10, 1))

        return llm

    ws.add_llm("one", answer("one"), price=price(1))
    ws.add_llm("two", answer("two"), price=price(2))
    return asked


def test_later_decisions_flip_and_earlier_rows_stay(ws: Workspace) -> None:
    """The next task goes to what is cheapest now; each row keeps the price that it used."""
    asked = two(ws, "first")
    run = ws.run(parse.loads(textwrap.dedent(FLOW.format(route=CHEAPEST))))

    assert ["one", "two", "two"] == asked
    rows = {row.task: row for row in run.state.calls.values()}
    used = [Price.from_json(rows[task].price).input_usd_per_mtok for task in "abc"]
    assert [Decimal(1), Decimal(2), Decimal(2)] == used
    assert Decimal(11) / 1_000_000 == rows["a"].cost_usd
    assert Decimal(22) / 1_000_000 == rows["b"].cost_usd
    assert [1.0, 2.0, 2.0] == list(run.calls.sort_values("task")["input_usd_per_mtok"])


def test_one_event_says_it(ws: Workspace) -> None:
    """A change is written down once, with the price before and after, and the plan made anew."""
    two(ws, "first")
    run = ws.run(parse.loads(textwrap.dedent(FLOW.format(route=CHEAPEST))))
    events = [each.event for each in ws.store.events(run.id)]

    (changed,) = [each for each in events if isinstance(each, PriceChanged)]
    assert "own/one" == changed.llm
    assert ("1", "50") == (
        (changed.old or {})["input_usd_per_mtok"], (changed.new or {})["input_usd_per_mtok"],
    )  # fmt: skip
    plans = [each.plan for each in events if isinstance(each, RunPlanned)]
    chosen = [{each.llm for each in assignments(plan).values()} for plan in plans]
    assert [{"own/one"}, {"own/two"}] == chosen


def test_what_was_named_by_hand_stays(ws: Workspace) -> None:
    """A task that names its LLM keeps it, whatever it costs, and pays the new price."""
    asked = two(ws, "first")
    run = ws.run(parse.loads(textwrap.dedent(FLOW.format(route="llm: own/one"))))

    assert ["one"] * 3 == asked
    costs = [row.cost_usd for row in run.state.calls.values()]
    assert [Decimal(11), Decimal(550), Decimal(550)] == [(c or 0) * 1_000_000 for c in costs]


def test_a_run_without_a_change_says_nothing(ws: Workspace) -> None:
    """No event is written where prices stay."""
    two(ws, "nobody says this")
    run = ws.run(parse.loads(textwrap.dedent(FLOW.format(route=CHEAPEST))))
    assert not any(isinstance(each.event, PriceChanged) for each in ws.store.events(run.id))


def test_a_price_that_is_none_is_refused(ws: Workspace) -> None:
    """Half a price, a negative one and one that is no number are typed errors."""
    for wrong in ({"input_usd_per_mtok": 1}, {"input_usd_per_mtok": -1, "output_usd_per_mtok": 1},
                  {"input_usd_per_mtok": "x", "output_usd_per_mtok": 1}):  # fmt: skip
        with pytest.raises(UsageProblem):
            ws.set_price("own/one", **wrong)


def test_a_judge_stays_who_it_is(ws: Workspace) -> None:
    """A price that changes while a task is refined moves its drafts, and never its judge."""
    asked = two(ws, "Write")
    judged: list[str] = []

    def judge(messages: Any) -> Completion:
        judged.append(messages[-1].text)
        return Completion('{"score": 0.1, "feedback": "No."}', Usage(10, 1))

    ws.add_llm("judge", judge, price=price(1))
    run = ws.run(
        parse.loads(
            "{workflow: w, defaults: {params: {max_tokens: 50}}, tasks: {a: {prompt: Write., "
            f"{CHEAPEST}, refine: {{judge: {{rubric: r, route: own/judge}}, until: score > 1, max: 2}}}}}}}}"
        )
    )
    assert (["one", "two"], 1) == (asked, len(judged))  # equal drafts are judged once
    assert "completed" == run.status
