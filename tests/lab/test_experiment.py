"""Whole workflows under several routers: paired, budgeted, resumable."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from bmad_nb import lab, parse
from bmad_nb.errors import BmadError, RunPaused, UnknownName, UsageProblem
from bmad_nb.messages import Completion, Price, Usage
from bmad_nb.routers.base import Choice
from bmad_nb.workspace import Workspace

FLOW = parse.loads(
    "{workflow: w, inputs: {q: text}, defaults: {params: {max_tokens: 1000}}, tasks: {a: {prompt: '{{ q }}', "
    "route: {models: [own/cheap, own/good]}}}, outputs: {a: a.text}}"
)
CASES = [{"q": f"q{n}", "reference": f"q{n}"} for n in range(10)]


def add(ws: Workspace) -> list[str]:
    """Add a cheap LLM that is right on two questions and a dear one that always is."""
    asked: list[str] = []

    def made(name: str, right: Any) -> Any:
        def llm(messages: Any) -> Completion:
            text = messages[-1].text
            asked.append(f"{name} {text}")
            return Completion(text if right(text) else "no", Usage(1000, 1000))

        return llm

    one, ten = Price(Decimal(1), Decimal(1)), Price(Decimal(10), Decimal(10))
    ws.add_llm("cheap", made("cheap", lambda text: text in {"q0", "q1"}), price=one)
    ws.add_llm("good", made("good", lambda text: True), price=ten, capabilities={"x": 0.9})
    return asked


def test_routers_are_compared_case_by_case(ws: Workspace) -> None:
    """Quality and cost of each with intervals, a row a run, and one verdict from paired cases."""
    asked = add(ws)
    found = lab.experiment(FLOW, CASES, ["cheapest", "capability"], ws=ws)
    assert 20 == len(found.runs) == len(asked)
    values = found.frame.set_index(["metric", "router"])["value"]
    assert (0.2, 1.0) == (values["quality", "cheapest"], values["quality", "capability"])
    assert [0.002, 0.02] == pytest.approx(
        [values["cost_usd", "cheapest"], values["cost_usd", "capability"]]
    )
    assert 100 == pytest.approx(values["quality_per_usd", "cheapest"])
    assert [0.1, 0.5] == pytest.approx(  # 2,000 tokens a run
        [values["quality_per_1k_tokens", name] for name in ("cheapest", "capability")]
    )
    assert "capability" == found.best
    assert found.verdict.startswith("capability is better over 10 cases")
    quality = found.frame[found.frame["metric"] == "quality"]
    assert (quality["low"] <= quality["value"]).all()
    assert found.verdict in repr(found)


def test_again_it_pays_nothing_and_runs_nothing(ws: Workspace) -> None:
    """The same experiment finds its runs; a third router only adds its own."""
    asked = add(ws)
    first = lab.experiment(FLOW, CASES[:3], ["cheapest", "capability"], ws=ws)
    count = len(ws.runs())
    again = lab.experiment(FLOW, CASES[:3], ["cheapest", "capability"], ws=ws)
    assert (6, count) == (len(asked), len(ws.runs()))
    assert list(first.runs["run_id"]) == list(again.runs["run_id"])

    class Mine:
        name = "mine"

        def choose(self, demand: Any, candidates: Any) -> Choice:
            return Choice("own/good", "always")

    more = lab.experiment(FLOW, CASES[:3], ["cheapest", Mine()], ws=ws)
    assert (6, count + 3) == (len(asked), len(ws.runs()))  # its answers were stored
    costs = more.frame.set_index(["metric", "router"])["value"]
    assert 0.02 == pytest.approx(costs["cost_usd", "mine"])  # and are charged all the same


def test_a_repeat_asks_anew_once(ws: Workspace) -> None:
    """Repeats are samples of their own, and they too are found again."""
    asked = add(ws)
    found = lab.experiment(FLOW, CASES[:2], ["cheapest"], repeats=3, ws=ws)
    assert (6, 6) == (len(asked), len(found.runs))
    lab.experiment(FLOW, CASES[:2], ["cheapest"], repeats=3, ws=ws)
    assert 6 == len(asked)
    assert "one router is no comparison" in found.verdict


def test_a_budget_stops_it_and_more_money_goes_on(ws: Workspace) -> None:
    """All runs together stay within the limit; what is finished is kept."""
    asked = add(ws)
    with pytest.raises(RunPaused):
        lab.experiment(FLOW, CASES, ["cheapest", "capability"], budget_usd=0.07, ws=ws)
    assert 0 < len(asked) < 20
    spent = sum(float(c) for c in ws.calls()["cost_usd"])
    assert spent <= 0.07
    before = len(asked)
    found = lab.experiment(FLOW, CASES, ["cheapest", "capability"], budget_usd=1, ws=ws)
    assert 20 == len(asked) == len(set(asked))
    assert 20 == (found.runs["status"] == "completed").sum()
    assert before < 20


def test_no_difference_is_said_where_none_is_shown(ws: Workspace) -> None:
    """Two cases that differ show nothing; a run that failed scores 0 and is counted."""
    add(ws)

    def broken(messages: Any) -> Completion:
        raise RuntimeError("x")

    ws.add_llm("broken", broken, price=Price(Decimal(1), Decimal(1)))
    found = lab.experiment(FLOW, CASES[:4], ["cheapest", "fixed"], ws=ws)
    assert "No difference in quality is shown over 4 cases" in found.verdict
    bad = lab.experiment(
        FLOW, CASES[:2], ["cheapest"], llms={"own/cheap": "own/broken", "own/good": "own/broken"}, ws=ws
    )  # fmt: skip
    assert ([0.0, 0.0], 1.0) == (
        list(bad.runs["score"]),
        bad.frame.set_index("metric")["value"]["failed"],
    )
    assert "</html>" not in repr(bad)


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"routers": "cheapest"}, UsageProblem, "takes a list"),
        ({"routers": ["cheapest", "cheapest"]}, UsageProblem, "Two routers"),
        ({"routers": ["cheapst"]}, UnknownName, "cheapest"),
        ({"routers": ["cheapest"], "repeats": 0}, UsageProblem, "repeats"),
        ({"routers": ["cheapest"], "reference": "right"}, UnknownName, "reference"),
    ],
)
def test_what_is_no_experiment(
    ws: Workspace, arguments: dict[str, Any], error: type[Exception], said: str
) -> None:
    """One typed error, before anything runs."""
    add(ws)
    with pytest.raises(error, match=said):
        lab.experiment(FLOW, CASES, ws=ws, **arguments)
    assert ws.runs().empty


class Named:
    name = "named"

    def __init__(self, llm: str, *, bare: bool = False) -> None:
        self.llm, self.bare = llm, bare

    def choose(self, demand: Any, candidates: Any) -> Any:
        return self.llm if self.bare else Choice(self.llm, "it was set")


def test_a_router_with_another_setting_is_another(ws: Workspace) -> None:
    """Runs of a router are not taken for those of one with its name that is set otherwise."""
    add(ws)
    right = lab.experiment(FLOW, CASES[:4], [Named("own/good")], ws=ws)
    wrong = lab.experiment(FLOW, CASES[:4], [Named("own/cheap")], ws=ws)
    again = lab.experiment(FLOW, CASES[:4], [Named("own/good")], ws=ws)

    assert ([1.0] * 4, [1.0, 1.0, 0.0, 0.0]) == (
        list(right.runs["score"]),
        list(wrong.runs["score"]),
    )
    assert list(right.runs["run_id"]) == list(again.runs["run_id"])


def test_a_router_that_counts_is_found_again(ws: Workspace) -> None:
    """A router that changes as it chooses is what it was when the experiment began."""
    asked = add(ws)
    first = lab.experiment(FLOW, CASES[:4], ["round-robin"], ws=ws)
    many = len(asked)
    again = lab.experiment(FLOW, CASES[:4], ["round-robin"], ws=ws)

    assert many == len(asked)
    assert list(first.runs["run_id"]) == list(again.runs["run_id"])


@pytest.mark.parametrize(
    ("router", "said"),
    [
        (Named("own/good", bare=True), "returned a str"),
        (Named("sim/hasty"), "which is no candidate"),
        (3, "int is no router"),
        ("cheapst", "Did you mean 'cheapest'"),
    ],
)
def test_a_router_that_breaks_the_protocol_sends_nothing(
    ws: Workspace, router: Any, said: str
) -> None:
    """A live run says what an own router did wrong, and asks nobody."""
    asked = add(ws)
    with pytest.raises(BmadError, match=said):
        ws.run(FLOW, {"q": "q0"}, router=router)
    assert [] == asked


def test_a_run_takes_a_router_by_name(ws: Workspace) -> None:
    """What an experiment takes by name, a run takes too."""
    asked = add(ws)
    ws.run(FLOW, {"q": "q0"}, router="cheapest")
    assert ["cheap q0"] == asked


def test_a_score_that_is_none_is_refused(ws: Workspace) -> None:
    """A scoring function that returns nothing gets one typed error."""
    add(ws)
    with pytest.raises(UsageProblem, match="is None"):
        lab.experiment(FLOW, CASES[:1], ["cheapest"], score=lambda run, case: None, ws=ws)  # type: ignore[arg-type,return-value]
