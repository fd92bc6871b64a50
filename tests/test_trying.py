"""Trials of cheaper plans: planted truth is found, the budget holds, and nothing is paid twice."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bmad_nb import optimizing, parse, trying
from bmad_nb.errors import UnknownName, UsageProblem
from bmad_nb.grid import cases_of
from bmad_nb.lab.experimenting import against
from bmad_nb.messages import Completion, Price, Usage
from bmad_nb.scorers.base import interval
from bmad_nb.scorers.choice import scorer_of
from bmad_nb.verbs import tree
from bmad_nb.verbs.base import Front
from bmad_nb.workspace import Workspace

TEXT = """
workflow: sums
inputs: {q: text}
defaults: {params: {max_tokens: 1000}}
tasks:
  # the sum
  add: {prompt: "{{ q }}", llm: own/dear}
  note: {prompt: "Praise {{ add.text }}", llm: own/dear}
outputs: {n: add.text}
"""
CASES = [{"q": f"q{n}", "right": f"q{n}"} for n in range(28)]
PRICES = {"dear": 10, "cheap": 1, "poor": 2}


def wrong(name: str, text: str) -> bool:
    """Return whether a planted LLM is wrong: the poor one in every fourth question."""
    return name == "poor" and text.startswith("q") and int(text[1:]) % 4 == 3


def add(ws: Workspace) -> list[str]:
    """Add three LLMs, and return the list of what they are asked."""
    asked: list[str] = []

    def made(name: str) -> Any:
        def llm(messages: Any) -> Completion:
            text = messages[-1].text
            asked.append(f"{name} {text}")
            return Completion("no" if wrong(name, text) else text, Usage(1, 1000))

        return llm

    for name, usd in PRICES.items():
        ws.add_llm(name, made(name), price=Price(Decimal(usd), Decimal(usd)))
    ws.run(parse.loads(TEXT), {"q": "q0"})
    return asked


def tried(ws: Workspace, usd: Any, **more: Any) -> trying.Tested:
    """Return trials over the cases."""
    flow = parse.loads(TEXT)
    found = optimizing.proposal(ws, flow, TEXT)
    cases = cases_of(more.pop("cases", CASES))
    options: dict[str, Any] = {"quality": 0.8, "llms": ["own/cheap", "own/poor"], **more}
    score = options.pop("score", against("right", scorer_of("exact"), cases))
    return trying.after_trials(
        ws, flow, TEXT, found, budget_usd=usd, cases=cases, score=score, **options
    )


def spent(ws: Workspace, runs: set[str]) -> Decimal:
    """Return what calls cost, of the runs that were not there before."""
    calls = ws.calls()
    return sum(
        (Decimal(str(c)) for c in calls[~calls["run_id"].isin(runs)]["cost_usd"]), Decimal(0)
    )


def test_planted_truth_is_found_and_the_claim_holds(ws: Workspace) -> None:
    """Both tasks go to the cheap LLM; the poor one cannot reach 0.8; the saving is the planted one."""
    add(ws)
    done = tried(ws, 5)
    verdicts = {(t.task, t.after): t.verdict for t in done.trials}
    assert {("add", "own/cheap"): "safe", ("note", "own/cheap"): "safe"} == verdicts
    assert {"add": "own/cheap", "note": "own/cheap"} == {
        c.task: c.after for c in done.proposal.changes
    }
    assert 0.9 == pytest.approx(done.proposal.saving)  # 10 to 1
    assert "# the sum" in done.proposal.text
    assert '+  add: {prompt: "{{ q }}", llm: own/cheap}' in done.proposal.diff
    run = ws.run(parse.loads(done.proposal.text), {"q": "never asked"})
    assert optimizing.measured(run, "cost") == pytest.approx(done.proposal.after)


def test_what_is_not_good_enough_is_refused(ws: Workspace) -> None:
    """Three of four right is not 0.8; the trial ends once it cannot succeed, and the text says so."""
    asked = add(ws)
    done = tried(ws, 5, llms=["own/poor"])
    by_task = {t.task: t for t in done.trials}
    assert "cannot reach it" == by_task["add"].verdict
    assert by_task["add"].cases < len(CASES)
    assert by_task["add"].low is not None
    assert by_task["add"].low < 0.8
    assert "safe" == by_task["note"].verdict  # praise does not change the sum
    assert any(line.startswith("add: no LLM that was tried") for line in done.proposal.refused)
    assert len(asked) == len(set(asked))
    only = tried(ws, 5, llms=["own/poor"], score=lambda run, case: 0.5)
    assert () == only.proposal.changes
    assert "" == only.proposal.text


@pytest.mark.parametrize("usd", ["0.01", "0.1", "0.13", "0.31"])
def test_the_budget_is_never_exceeded(ws: Workspace, usd: str) -> None:
    """All trials together stay within the limit; more money goes on and asks nothing again."""
    asked = add(ws)
    before = set(ws.runs()["run_id"])
    done = tried(ws, usd)
    assert spent(ws, before) <= Decimal(usd)
    assert spent(ws, before) == done.spent_usd
    assert "out of money" in {t.verdict for t in done.trials}
    assert () == done.proposal.changes
    tried(ws, usd)
    assert spent(ws, before) <= Decimal(usd)  # a second try has no purse of its own
    more = tried(ws, 5)
    assert 2 == len(more.proposal.changes)
    assert len(asked) == len(set(asked))
    assert more.spent_usd == spent(ws, before)


def test_again_it_asks_nobody(ws: Workspace) -> None:
    """The same trials are found in the store, runs and all, and say the same."""
    asked = add(ws)
    first = tried(ws, 5)
    calls, runs = len(asked), len(ws.runs())
    again = tried(ws, 5)
    assert (calls, runs) == (len(asked), len(ws.runs()))
    assert first == again


def test_an_interrupt_leaves_all_that_is_finished(ws: Workspace) -> None:
    """A trial that is broken off in the middle goes on where it was."""
    asked = add(ws)
    stop = [12]

    def scored(run: Any, case: Any) -> float:
        stop[0] -= 1
        if not stop[0]:
            raise KeyboardInterrupt
        return 1.0

    with pytest.raises(KeyboardInterrupt):
        tried(ws, 5, score=scored)
    calls = len(asked)
    done = tried(ws, 5)
    assert len(asked) > calls
    assert len(asked) == len(set(asked))
    assert 2 == len(done.proposal.changes)


def test_several_trials_have_wider_intervals(ws: Workspace) -> None:
    """Of two planned trials each has the interval of 97.5 %, so that both hold with 95 %."""
    add(ws)
    done = tried(ws, 5, llms=["own/cheap"])
    assert 0.975 == pytest.approx(done.level)
    assert interval([1.0] * 28, level=0.975)[0] == done.trials[0].low
    assert done.trials[0].low < (interval([1.0] * 28)[0] or 0)


def test_an_interval_of_another_level_is_students() -> None:
    """Ten values at 99 %: t of nine degrees of freedom is 3.250."""
    values = [0.1 * n for n in range(10)]
    low, high = interval(values, bounded=False, level=0.99)
    assert low is not None
    assert high is not None
    half = 3.2498 * 0.302765 / 10**0.5
    assert half == pytest.approx((high - 0.45), rel=1e-3)


@pytest.mark.parametrize(
    ("more", "error", "said"),
    [
        ({"cases": CASES[:5]}, UsageProblem, "5 cases, and 10"),
        ({"score": None}, UsageProblem, "Nothing scores the answers of add, note"),
        ({"llms": ["own/chep"]}, UnknownName, "own/cheap"),
    ],
)
def test_what_shows_nothing_costs_nothing(
    ws: Workspace, more: dict, error: type[Exception], said: str
) -> None:
    """One typed error before anybody is asked."""
    asked = add(ws)
    count = len(asked)
    with pytest.raises(error, match=said):
        tried(ws, 5, **more)
    assert count == len(asked)


JUDGED = """
workflow: haiku
inputs: {q: text}
defaults: {params: {max_tokens: 1000}}
tasks:
  write:
    prompt: "{{ q }}"
    llm: own/dear
    refine: {until: "score >= 0.1", max: 1, judge: {rubric: "good?", route: {models: [own/judge]}}}
outputs: {t: write.text}
"""


def test_the_tasks_own_judge_scores_trials(ws: Workspace) -> None:
    """Without cases, inputs of stored runs are the cases, and the task's judge says how good it is."""
    asked = add(ws)

    def judge(messages: Any) -> Completion:
        asked.append(f"judge {messages[-1].text}")
        bad = re.search(r"\bno\b", messages[-1].text.split("good?")[-1])
        return Completion(json.dumps({"score": 0 if bad else 1, "feedback": "x"}), Usage(1, 1))

    ws.add_llm("judge", judge, price=Price(Decimal(1), Decimal(1)))
    flow = parse.loads(JUDGED)
    for n in range(0, 40, 4):
        for shift in (0, 1, 2):
            ws.run(flow, {"q": f"q{n + shift}"})
    found = optimizing.proposal(ws, flow, JUDGED)
    done = trying.after_trials(
        ws, flow, JUDGED, found, quality=0.8, budget_usd=5, cases=[], score=None,
        llms=["own/cheap"], name="haiku.yaml",
    )  # fmt: skip
    (trial,) = done.trials
    assert ("safe", 30) == (trial.verdict, trial.cases)
    assert 1.0 == trial.score


@pytest.mark.long
def test_the_simulated_fleet_keeps_its_planted_skills(ws: Workspace) -> None:
    """Sums go to the calculator (0.99), never to hasty (0.6); the money is simulated, and is said."""
    text = TEXT.replace("own/dear", "sim/careful")
    flow = parse.loads(text)
    ws.run(flow, {"q": "1 + 2"})
    cases = cases_of(
        [{"q": f"{n + 11} + {2 * n + 3}", "right": str(3 * n + 14)} for n in range(50)]
    )
    done = trying.after_trials(
        ws, flow, text, optimizing.proposal(ws, flow, text), quality=0.8, budget_usd=1,
        cases=cases, score=against("right", scorer_of("exact"), cases),
        llms=["sim/hasty", "sim/calculator"], name="sums.yaml",
    )  # fmt: skip
    found = {(t.task, t.after): t for t in done.trials}
    assert "safe" == found["add", "sim/calculator"].verdict
    assert 0.9 <= (found["add", "sim/calculator"].score or 0) <= 1
    assert "cannot reach it" == found["add", "sim/hasty"].verdict
    assert 0 == done.spent_usd < done.simulated_usd <= 1
    assert done.proposal.simulated


def test_the_verb_runs_trials(ws: Workspace, project: Path) -> None:
    """The report has a row a trial, what was spent, and the file; the options fit together."""
    add(ws)
    (project / "sums.yaml").write_text(TEXT)
    (project / "cases.csv").write_text("q,right\n" + "".join(f"q{n},q{n}\n" for n in range(28)))
    words = (
        "workflow optimize --definition sums.yaml --trials-usd 5 --over cases.csv --reference right"
    )
    shown = tree.call(Front(ws, "shell"), [*words.split(), "-m", "own/cheap,own/poor"])
    text = repr(shown)
    assert "90% less cost" in text
    assert "2 trials" in text
    assert "of at most $5" in text
    data = shown.to_json()
    assert ["safe", "safe"] == [row["verdict"] for row in data["trials"]]
    assert "llm: own/cheap" in (project / "sums.optimized.yaml").read_text()
    for wrong_words, said in (
        ("--reference right", "is for trials"),
        ("--trials-usd 1 --over cases.csv", "go together"),
        ("--trials-usd 1 --objective latency", "Trials measure cost"),
        ("--trials-usd x", "x"),
    ):
        with pytest.raises(UsageProblem, match=said):
            tree.call(
                Front(ws, "shell"),
                ["workflow", "optimize", "--definition", "sums.yaml", *wrong_words.split()],
            )
