"""`record` and `route` as a cell, a line and a command; what they show."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bmad_nb import lab, parse
from bmad_nb.errors import UnknownName, UsageProblem
from bmad_nb.verbs import tree
from bmad_nb.verbs.base import Front
from bmad_nb.workspace import Workspace

FLOW = """
workflow: demo
tasks:
  add: {prompt: "17 * 23", type: math, route: {models: [sim/*], capabilities: {math: 0.9}}}
  fact: {prompt: "The capital of Peru? {{ add.text }}", route: {models: [sim/*], prefer: cheapest}}
  hard: {prompt: "law {{ fact.text }}", route: {models: [sim/*], capabilities: {legal: 0.8}}}
"""


def say(ws: Workspace, *words: str, body: str | None = None, **names: Any) -> tuple[Any, Front]:
    """Run a verb as a cell or a line would."""
    front = Front(ws, "cell" if body is not None else "line", body, names)
    return tree.call(front, list(words)), front


def test_record_as_a_cell(ws: Workspace) -> None:
    """The body is the template, columns fill it, the recording is bound, and files are written."""
    cases = pd.DataFrame({"q": ["4 + 5", "6 + 6"], "right": ["9", "12"]})
    words = "record --over cases -m sim/careful,sim/hasty --reference right -o rec --save rec.csv"
    shown, front = say(ws, *words.split(), body="{{ q }}", cases=cases)
    rec = front.bind["rec"]
    assert isinstance(rec, lab.Recording)
    assert ["4 + 5", "6 + 6"] == list(rec.queries["prompt"])
    assert 4 == len(rec.calls)
    assert "all simulated" in repr(shown)
    assert 2 == len(lab.read("rec.csv").queries)
    assert {"queries": 2} == {"queries": shown.to_json()["queries"]}
    stored, _ = say(ws, "record", "--runs", "all")
    assert 2 == stored.to_json()["queries"]


@pytest.mark.parametrize(
    ("words", "error", "said"),
    [
        ("record --over cases", UsageProblem, "needs LLMs"),
        ("record -m sim/careful", UsageProblem, "needs cases"),
        ("record --over case -m sim/careful", UnknownName, "cases"),
        ("record --runs all -m sim/careful", UsageProblem, "asks nobody"),
        ("record --over cases -m sim/careful --save a.txt", UsageProblem, "a.txt is no table"),
        ("route dem", UnknownName, "demo"),
        ("route demo --tasks ad", UnknownName, "add"),
        ("route demo --llms x", UsageProblem, "Write --llms old"),
    ],
)
def test_what_the_verbs_refuse(
    ws: Workspace, words: str, error: type[Exception], said: str
) -> None:
    """One typed error that says what to write."""
    ws.define(parse.loads(FLOW))
    cases = pd.DataFrame({"prompt": ["a"]})
    with pytest.raises(error, match=said):
        say(ws, *words.split(), cases=cases)
    assert ws.runs().empty


def test_route_shows_who_would_do_it_and_why(ws: Workspace) -> None:
    """The LLM of each task, why others are not taken, the gaps; no call, and the same JSON twice."""
    ws.define(parse.loads(FLOW))
    shown, _ = say(ws, "route", "demo", "--tasks", "auto", "--capabilities-aware")
    assert {"add": "sim/calculator", "fact": "sim/hasty"} == shown.llms
    text = repr(shown)
    assert "1 task of 3 can be done by nobody here" in text
    assert "sim/hasty: its math is 0.6, and 0.9 is needed" in text
    assert "below need" in text
    assert "Simulated" in text
    found = shown.to_json()
    hard = found["tasks"][2]
    assert ("", 5) == (hard["llm"], len(hard["others"]))
    assert all("legal is not declared" in each["why"] for each in hard["others"])
    html = shown._repr_mimebundle_()["text/html"]
    assert "✕ below need" in html
    only, _ = say(ws, "route", "demo", "--tasks", "fact", "--cost-only", "--json")
    assert ["fact"] == [each["task"] for each in json.loads(repr(only))["tasks"]]
    assert ws.runs().empty


def test_untyped_tasks_are_told_from_their_text(ws: Workspace) -> None:
    """Scored prompts say what kind a text is; where nothing is like it nobody guesses."""
    towns = ["Peru", "Kenya", "Iceland", "Japan", "Chile", "Egypt", "France", "Italy"]
    facts = [{"q": f"What is the capital of {town}?", "r": "x"} for town in towns]
    sums = [{"q": f"Add {n} and {n + 3}, and say the number.", "r": "x"} for n in range(8)]
    for cases, kind in ((facts, "geography"), (sums, "math")):
        asked = ws.compare("{{ q }}", "sim/hasty", over=cases, reference="r")
        ws.score(asked, "exact", task_type=kind)
    flow = parse.loads("""
workflow: mixed
inputs: {n: text, q: text}
tasks:
  where: {prompt: "What is the capital of {{ n }}?", llm: sim/hasty}
  add: {prompt: "Add {{ n }} and 5, and say the number.", llm: sim/hasty}
  odd: {prompt: "Zyx wvu tsr", llm: sim/hasty}
  said: {prompt: "What is the capital of Spain?", type: law, llm: sim/hasty}
  asked: {prompt: "{{ q }}", llm: sim/hasty}
""")
    ws.define(flow)
    shown, _ = say(ws, "route", "mixed", "--tasks", "auto")
    kinds = {each["task"]: (each["type"], each["guess"]) for each in shown.to_json()["tasks"]}
    assert {
        "where": ("", "geography"), "add": ("", "math"), "odd": ("", ""), "said": ("law", ""),
        "asked": ("", ""),
    } == kinds  # fmt: skip
    text = repr(shown)
    assert "geography?" in text
    assert "The text of add is like that of math tasks" in text
    ws.run(flow, {"n": "Peru", "q": "What is the capital of Kenya?"})
    again, _ = say(ws, "route", "mixed")
    told = {each["task"]: each["guess"] for each in again.to_json()["tasks"]}
    assert "geography" == told["asked"]  # by the text that it asked


def test_route_explains_a_run(ws: Workspace) -> None:
    """Of a run it says why each LLM was chosen, with everybody who could have been."""
    text = FLOW.replace("hard:", "hard_: ").replace("legal: 0.8", "math: 0.5")
    flow = parse.loads(text.replace("workflow: demo", "workflow: demo\nstrategy: adaptive"))
    run = ws.run(flow)
    shown, _ = say(ws, "route", run.id, "--tasks", "fact")
    assert "task fact: sim/hasty (simulated), because the cheapest of 5" in repr(shown)
    html = shown._repr_mimebundle_()["text/html"]
    assert "▸ chosen" in html
    assert "Why this LLM?" in html
    assert {"fact"} == {each["task"] for each in shown.to_json()}
    held, _ = say(ws, "route", "r", r=run)
    assert "task add" in repr(held)


def test_what_an_llm_or_a_user_wrote_is_never_markup(ws: Workspace) -> None:
    """Names, reasons and outcomes are escaped wherever they are shown."""
    from bmad_nb.render.routing import Route, RoutesView, WhyView, routes_html, why_html

    evil = "<img src=x onerror=alert(1)>"
    row = Route(evil, evil, evil, evil, evil, others=((evil, evil),))
    why = WhyView(evil, evil, evil, evil, [{"llm": evil, "outcome": evil}], (evil,))
    for html in (routes_html(RoutesView(evil, (row,))), why_html(why)):
        assert "<img" not in html
        assert "&lt;img" in html


@pytest.mark.long
def test_the_commands(project: Path) -> None:
    """From a shell: a table from a CSV file, and routes as JSON; nothing is asked for the latter."""
    (project / "flow.yaml").write_text(FLOW)
    (project / "c.csv").write_text("q,right\n4 + 5,9\n")

    def bmad(*words: str) -> str:
        command = [sys.executable, "-m", "bmad_nb", *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        return done.stdout

    words = ["record", "--over", "c.csv", "-m", "sim/careful", "--reference", "right", "{{ q }}"]
    assert "1 query x 1 LLM, all simulated" in bmad(*words)
    twice = [bmad("route", "flow.yaml", "--json") for _ in range(2)]
    assert twice[0] == twice[1]
    assert "sim/calculator" == json.loads(twice[0])["tasks"][0]["llm"]
