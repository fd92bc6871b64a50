"""What LLMs can do against what tasks need: strengths, weaknesses, teams, hard filters, frontier."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmad_nb import learning, parse
from bmad_nb.answers.calculating import refuted, sums_in
from bmad_nb.errors import NotRunnable, RunFailed, Unroutable, UsageProblem
from bmad_nb.forecast.asked import calls_of
from bmad_nb.llms.base import Card
from bmad_nb.messages import Completion, Price, Usage
from bmad_nb.routers.base import Candidate, Demand, obstacle
from bmad_nb.routers.capability import Capability
from bmad_nb.routers.cheapest import Cheapest
from bmad_nb.routers.covering import cover
from bmad_nb.routers.efficient import Efficient, Lean
from bmad_nb.routers.fastest import Balanced, Fastest
from bmad_nb.routers.fixed import Fixed
from bmad_nb.routers.pareto import Option, best_at, frontier
from bmad_nb.store.scores import ScoreRow
from bmad_nb.workflow.model import Workflow
from bmad_nb.workspace import Workspace


def add(
    ws: Workspace, name: str, answer: Callable[[str, int], str], *, usd: float = 1, **skills: float
) -> list[str]:
    """Add an LLM that answers by what it is asked and how often it was; return what it is asked."""
    asked: list[str] = []

    def llm(messages: Any) -> Completion:
        asked.append(messages[-1].text)
        return Completion(answer(messages[0].text, len(asked)), Usage(100, 100))

    price = Price(Decimal(str(usd)), Decimal(str(usd)))
    ws.add_llm(name, llm, price=price, capabilities=skills)
    return asked


# --- strengths ------------------------------------------------------------------------------------

KINDS = ("math", "code", "law")


def planted(seed: int, n: int) -> tuple[list[ScoreRow], dict[str, str]]:
    """Return scored answers of three LLMs, each of which is the best at another kind of task."""
    rng = random.Random(seed)
    rows, best = [], {}
    for place, kind in enumerate(KINDS):
        for number, llm in enumerate(("own/a", "own/b", "own/c")):
            rate = 0.9 if place == number else 0.5
            best[kind] = f"own/{'abc'[place]}"
            rows += [
                ScoreRow("r", f"{kind}{llm}{n}", f"{kind}{llm}{k}", llm, "exact", "check",
                         float(rng.random() < rate), task_type=kind)
                for k in range(n)
            ]  # fmt: skip
    return rows, best


def taken(rows: list[ScoreRow], kind: str) -> tuple[str, str]:
    """Return whom the capability router takes for a kind of task, and why."""
    entries = learning.record(rows)
    quality, evidence = learning.qualities(entries), learning.evidence(entries)
    candidates = []
    for llm in ("own/a", "own/b", "own/c"):
        scored, low, high = evidence.get((llm, kind), (0, None, None))
        candidates.append(
            Candidate(card(llm, {"x": 0.5}), None, None, quality.get((llm, kind), 0.5), None, scored,
                      low, high)
        )  # fmt: skip
    choice = Capability().choose(Demand("t", kind), candidates)
    return choice.llm, choice.reason


def card(name: str, skills: dict[str, float], **fields: Any) -> Card:
    """Return a card."""
    return Card(name, name, name, capabilities=tuple(skills.items()), **fields)


def test_planted_strengths_are_found_within_thirty_answers() -> None:
    """After 30 scored answers per LLM and kind, at least 95 % of tasks go to the planted best."""
    right = [
        taken(planted(seed, 30)[0], kind)[0] == planted(seed, 30)[1][kind]
        for seed in range(40)
        for kind in KINDS
    ]
    assert sum(right) / len(right) >= 0.95
    _, reason = taken(planted(0, 30)[0], "math")
    assert "n=30" in reason
    assert " to " in reason


def test_a_cold_start_goes_by_what_is_declared_and_says_so() -> None:
    """Without a measurement the declared skill decides; a kind that was not measured is cold too."""
    rows, _ = planted(1, 30)
    _, reason = taken(rows, "poetry")
    assert "nothing was measured yet" in reason
    found = Capability().choose(
        Demand("t", capabilities={"x": 0.1}),
        [Candidate(card("a", {"x": 0.3}), None), Candidate(card("b", {"x": 0.8}), None)],
    )
    assert ("b", {"a": 0.3, "b": 0.8}) == (found.llm, dict(found.expected))
    assert "declared 0.80 for x" in found.reason


def test_what_scores_taught_moves_a_plan(ws: Workspace) -> None:
    """In a workspace: answers are scored, and the next plan takes the LLM that was better."""
    add(ws, "liar", lambda text, n: "no", skill=0.9)
    add(ws, "honest", lambda text, n: text, skill=0.2)
    flow = parse.loads(
        "{workflow: w, tasks: {a: {prompt: x, type: echo, route: {models: [own/liar, own/honest], prefer: best}}}}"
    )
    first = ws.plan(flow).plan.steps[0].assignment
    assert first is not None
    assert ("own/liar", True) == (first.llm, "nothing was measured yet" in first.reason)
    cases = [{"q": f"word {n}", "r": f"word {n}"} for n in range(8)]
    ws.compare(
        "{{ q }}",
        "own/liar,own/honest",
        over=cases,
        reference="r",
        scorer="exact",
        task_type="echo",
    )
    then = ws.plan(flow).plan.steps[0].assignment
    assert then is not None
    assert "own/honest" == then.llm
    assert "measured" in then.reason
    assert "n=8" in then.reason
    cells = ws.route(flow).to_json()["capabilities"]
    assert {8} == {cell["n"] for cell in cells}


# --- weaknesses -----------------------------------------------------------------------------------


def half_json(seed: int) -> Callable[[str, int], str]:
    """Return answers of which half are JSON."""
    rng = random.Random(seed)
    return lambda text, n: '{"word": "x"}' if rng.random() < 0.5 else '{"word": '


JSON = """
workflow: w
inputs: {{ns: list}}
tasks:
  a: {{map: {{over: ns, as: n, min_success: 0}}, prompt: "Item {{{{ n }}}}", output: {{word: string}},
      route: {{models: own/weak, capabilities: {{json: 0.9}}{more}}}}}
"""


def rate(ws: Workspace, more: str, count: int = 120) -> tuple[float, Any]:
    """Return the share of items that a fleet of one, with a JSON skill of 0.5, does well."""
    add(ws, "weak", half_json(3), json=0.5)
    run = ws.run(parse.loads(JSON.format(more=more)), {"ns": list(range(count))}, resume="never")
    return len([each for each in run.outputs["a"]["items"] if each]) / count, run


def test_weak_json_is_mended_and_it_is_said_what_that_costs(ws: Workspace) -> None:
    """Of a fleet of one with JSON skill 0.5: at least 99 % valid; the measure is in plan and frame."""
    share, run = rate(ws, ", mitigate: auto")
    assert share >= 0.99
    found = run.mitigations
    assert [("a", "json", "scaffold", 0.5, 0.9)] == [
        tuple(row) for row in found[["task", "skill", "measure", "have", "need"]].to_numpy()
    ]
    extra = len(run.calls) - 120
    assert (extra, True) == (found["extra_calls"][0], extra > 60)
    assert pytest.approx(extra * 200 / 1e6) == found["extra_cost_usd"][0]
    assert "scaffold json" in run.decisions["reason"][0]


def test_without_the_measure_the_planted_rate_returns(ws: Workspace) -> None:
    """Switched off, about half of the answers are valid: the skill was not in the test."""
    share, run = rate(ws, ", mitigate: off")
    assert 0.37 <= share <= 0.63
    assert 120 == len(run.calls)
    assert ["off"] == list(run.mitigations["measure"])


def test_without_the_word_it_stays_unroutable(ws: Workspace) -> None:
    """A need that nobody meets is an error before anything is sent, unless mending is asked for."""
    asked = add(ws, "weak", half_json(3), json=0.5)
    with pytest.raises(NotRunnable, match=r"own/weak: its json is 0.5, and 0.9 is needed"):
        ws.run(parse.loads(JSON.format(more="")), {"ns": [1]})
    assert [] == asked


def test_weak_arithmetic_has_a_calculator(ws: Workspace) -> None:
    """A model that is right in 6 of 10 sums gives at least 95 % right answers with the check."""
    rng = random.Random(5)

    def sums(text: str, n: int) -> str:
        ((_, right),) = sums_in(text).items()
        return f"It is {right if rng.random() < 0.6 else right + 1:g}."

    add(ws, "weak", sums, math=0.6)
    text = (
        "{workflow: w, inputs: {ns: list}, tasks: {a: {map: {over: ns, as: n, min_success: 0}, "
        "prompt: 'What is {{ n }} * 7?', route: {models: own/weak, capabilities: {math: 0.95}, mitigate: %s}}}}"
    )
    shares = {}
    for word in ("auto", "off"):
        flow = parse.loads((text % word).replace("tasks:", "defaults: {cache: refresh}, tasks:"))
        run = ws.run(flow, {"ns": list(range(2, 82))}, resume="never")
        items = run.outputs["a"]["items"]
        good = [f"It is {n * 7:g}." == each for n, each in zip(range(2, 82), items, strict=True)]
        shares[word] = sum(good) / len(good)
    assert shares["auto"] >= 0.95
    assert 0.45 <= shares["off"] <= 0.75


def test_a_better_one_is_taken_before_anything_is_mended(ws: Workspace) -> None:
    """First comes avoiding: who meets the need is taken, and who was passed over is recorded."""
    weak = add(ws, "weak", half_json(1), json=0.5)
    add(ws, "strong", lambda text, n: '{"word": "x"}', usd=9, json=0.95)
    text = JSON.format(more=", mitigate: auto").replace("own/weak", "[own/weak, own/strong]")
    run = ws.run(parse.loads(text), {"ns": [1, 2]})
    assert [] == weak
    assert [("avoid", "own/weak is passed over")] == [
        tuple(row) for row in run.mitigations[["measure", "said"]].to_numpy()
    ]


def test_what_no_form_mends_is_verified_and_escalated(ws: Workspace) -> None:
    """A skill without a scaffold: a strong LLM of the workspace checks, and takes over on failure."""
    add(ws, "weak", lambda text, n: "weak answer", law=0.3)

    def checker(text: str, n: int) -> str:
        if "score" not in strong[-1]:
            return "good"
        return json.dumps({"score": 0.1 if "weak answer" in strong[-1] else 0.9, "feedback": "Hm."})

    strong = add(ws, "strong", checker, usd=9, law=0.95)
    flow = parse.loads(
        "{workflow: w, tasks: {a: {prompt: 'Is it legal?', "
        "route: {models: own/weak, capabilities: {law: 0.9}, mitigate: auto}}}, outputs: {a: a.text}}"
    )
    run = ws.run(flow)
    assert {"a": "good"} == dict(run.outputs)
    assert "own/strong" == run.tasks["llm"][0]
    assert ["verify"] == list(run.mitigations["measure"])


def test_a_task_is_split_for_a_weak_planner(ws: Workspace) -> None:
    """Planted: right only where its parts were done before; the extra calls are counted.

    Switched off it is wrong; where nothing can be listed the task is asked as it is.
    """

    def planner(messages: Any) -> Completion:
        text = messages[-1].text
        assert "be brief" == messages[0].text
        if text.startswith("List the parts"):
            answer = (
                "no idea" if "one thing" in text else "1. count {{ the }} cats\n2. count the dogs"
            )
        elif text.startswith("Do only this part"):
            answer = "three" if "part of a task: count {{ the }} cats" in text else "two"
        else:
            both = "count {{ the }} cats\nthree" in text and "count the dogs\ntwo" in text
            answer = "five" if both else "dunno"
        return Completion(answer, Usage(10, 10))

    ws.add_llm("weak", planner, price=Price(Decimal(1), Decimal(1)), capabilities={"planning": 0.3})
    text = (
        "{workflow: w, inputs: {q: text}, tasks: {a: {prompt: '{{ q }}', system: be brief, route: {models: [own/weak],"
        " capabilities: {planning: 0.8}, mitigate: auto}}}, outputs: {a: a.text}}"
    )
    run = ws.run(parse.loads(text), {"q": "How many animals?"})
    assert {"a": "five"} == dict(run.outputs)
    (row,) = run.mitigations.to_dict("records")
    assert ("scaffold", "planning", 3) == (row["measure"], row["skill"], row["extra_calls"])
    assert 0.00006 == pytest.approx(float(row["extra_cost_usd"]))
    assert "the task is split" in ws.plan(parse.loads(text)).plan.steps[0].assignment.reason
    assert {"own/weak": 6} == calls_of(ws.plan(parse.loads(text)).plan.steps[0])
    plain = ws.run(parse.loads(text), {"q": "one thing"})
    assert ({"a": "dunno"}, 2) == (dict(plain.outputs), len(plain.calls))
    off = ws.run(parse.loads(text.replace("auto", "off")), {"q": "How many animals?"})
    assert ({"a": "dunno"}, 1) == (dict(off.outputs), len(off.calls))


def test_worked_examples_stand_before_the_question(ws: Workspace) -> None:
    """A weak LLM that learns in context: planted at 0 alone, at 1 with scored answers shown.

    Examples are text: holes in them are not filled, and bad answers are none.
    """
    seen: list[Any] = []

    def learner(messages: Any) -> Completion:
        seen.append(messages)
        shown = any(m.role == "assistant" and m.text.startswith("SIR") for m in messages)
        return Completion(f"SIR {messages[-1].text}" if shown else "dunno", Usage(9, 9))

    price = Price(Decimal(1), Decimal(1))
    ws.add_llm("weak", learner, price=price, capabilities={"style": 0.2})
    ws.add_llm("old", lambda m: "bad" if "3" in m[-1].text else f"SIR {m[-1].text}", price=price)
    flow = parse.loads(
        "{workflow: w, inputs: {q: text}, tasks: {a: {type: letters, prompt: '{{ q }}', system: be polite,"
        " route: {models: [own/weak], capabilities: {style: 0.8}, mitigate: auto}}}, outputs: {a: a.text}}"
    )
    with pytest.raises(NotRunnable, match="style"):
        ws.run(flow, {"q": "thanks"})  # nothing was scored yet, and nobody is strong
    cases = [
        {"q": f"letter {n} {{{{ secret }}}}", "r": f"SIR letter {n} {{{{ secret }}}}"}
        for n in range(4)
    ]
    asked = ws.compare("{{ q }}", "own/old", over=cases, reference="r")
    ws.score(asked, "exact", task_type="letters")
    run = ws.run(flow, {"q": "thanks"})
    assert {"a": "SIR thanks"} == dict(run.outputs)
    roles = [m.role for m in seen[-1]]
    assert ["system", *["user", "assistant"] * 3, "user"] == roles
    texts = " ".join(m.text for m in seen[-1])
    assert "{{ secret }}" in texts
    assert "bad" not in texts
    assert ["scaffold"] == list(run.mitigations["measure"])
    assert "3 worked examples of letters tasks" in run.mitigations["said"][0]
    off = ws.run(parse.loads(json.dumps(
        {**flow.to_dict(), "workflow": "w2", "tasks": {"a": {**flow.to_dict()["tasks"]["a"], "route":
         {"models": ["own/weak"], "capabilities": {"style": 0.8}, "mitigate": "off"}}}}
    )), {"q": "thanks"})  # fmt: skip
    assert {"a": "dunno"} == dict(off.outputs)


@pytest.mark.parametrize(
    ("prompt", "answer", "said"),
    [
        ("What is 17 * 23?", "391", ""),
        ("What is 17 * 23?", "It is 381.", "391"),
        ("What is 17 * 23?", "I do not know.", "no number"),
        ("Sum 1 + 1, then 2 + 2.", "7", ""),
        ("The year 2020-01-02 and v1.2-3 are no sums.", "5", ""),
        ("(2 + 3) x 4 =", "20.0", ""),
        ("5 / 0 is?", "1", ""),
    ],
)
def test_the_calculator(prompt: str, answer: str, said: str) -> None:
    """It speaks where there is exactly one calculation, and says what is right."""
    found = refuted(prompt, answer)
    assert said in found
    assert bool(said) is bool(found)


# --- teams ----------------------------------------------------------------------------------------


def test_the_cheapest_team_that_covers_a_need(ws: Workspace) -> None:
    """No single LLM has law and code: the cheapest pair is asked, and does what neither could."""

    def lawyer(text: str, n: int) -> str:
        if "merged answer" not in law[-1]:
            return "the licence forbids it"
        both = "licence" in law[-1] and "line 7 leaks" in law[-1]
        return json.dumps({"answer": "both found" if both else "half", "used": ["A", "B"]})

    law = add(ws, "law", lawyer, usd=2, legal=0.9, code=0.2)
    code = add(ws, "code", lambda text, n: "line 7 leaks", usd=1, legal=0.1, code=0.9)
    dear = add(ws, "dear", lambda text, n: "line 7 leaks", usd=9, code=0.95)
    flow = parse.loads(
        "{workflow: w, tasks: {a: {prompt: 'Review this licence code.', route: {capabilities: {legal: 0.8, code: 0.8}}, "
        "collaborate: {type: ensemble, models: [own/law, own/code, own/dear], synthesizer: {models: own/law}}}}}"
    )
    plan = ws.plan(flow).plan
    part = plan.steps[0].collaborating
    assert part is not None
    assert ["own/code", "own/law"] == sorted(m.assignment.llm for m in part.members)
    assert () == plan.missing
    run = ws.run(flow)
    assert {"a": "both found"} == dict(run.outputs)  # which neither says alone
    assert (True, True, []) == (bool(law), bool(code), dear)
    alone = parse.loads(
        "{workflow: v, tasks: {a: {prompt: x, route: {models: [own/law, own/code], capabilities: {legal: 0.8, code: 0.8}}}}}"
    )
    with pytest.raises(NotRunnable, match="own/law: its code is"):
        ws.run(alone)


POOL = st.lists(
    st.tuples(
        st.dictionaries(st.sampled_from("abc"), st.sampled_from([0.2, 0.5, 0.9]), max_size=3),
        st.integers(1, 9),
    ),
    min_size=1, max_size=6,
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(
    pool=POOL, need=st.dictionaries(st.sampled_from("abc"), st.sampled_from([0.4, 0.8]), min_size=1)
)
def test_no_team_is_cheaper(
    pool: list[tuple[dict[str, float], int]], need: dict[str, float]
) -> None:
    """The team covers all needs, and no subset of the candidates that does costs less."""
    candidates = [
        Candidate(card(f"m{n}", skills), Price(Decimal(usd), Decimal(0)))
        for n, (skills, usd) in enumerate(pool)
    ]

    def covers(team: Any) -> bool:
        return all(
            any(dict(c.card.capabilities).get(n, -1) >= v for c in team) for n, v in need.items()
        )

    def usd(team: Any) -> float:
        return sum(float(c.price.input_usd_per_mtok) for c in team)

    every = [t for k in range(1, 7) for t in itertools.combinations(candidates, k) if covers(t)]
    if not every:
        with pytest.raises(Unroutable, match="nobody has"):
            cover(Demand("t", capabilities=need), candidates)
        return
    team = cover(Demand("t", capabilities=need), candidates)
    assert covers(team)
    assert min(map(usd, every)) == usd(team)


# --- hard filters ---------------------------------------------------------------------------------

CANDIDATES = st.lists(
    st.builds(
        lambda skill, context, usd, seconds, quality, missing, number: Candidate(
            card(f"m/{number}", {"x": skill}, context_tokens=context, missing=missing),
            None if usd is None else Price(Decimal(usd), Decimal(usd)),
            seconds, quality, None, 0,
        ),
        st.sampled_from([0.1, 0.5, 0.9]), st.sampled_from([None, 100, 10_000]),
        st.sampled_from([None, 1, 100]), st.sampled_from([None, 0.5, 9.0]),
        st.sampled_from([None, 0.2, 0.8]), st.sampled_from(["", "its key is missing"]),
        st.integers(0, 99),
    ),
    min_size=1, max_size=6, unique_by=lambda each: each.card.id,
)  # fmt: skip
DEMANDS = st.builds(
    Demand, st.just("t"),
    capabilities=st.sampled_from([{}, {"x": 0.5}]), context_tokens=st.sampled_from([None, 500]),
    max_tokens=st.just(1000), max_cost_usd=st.sampled_from([None, Decimal("0.01")]),
    exclude=st.sampled_from([(), ("m/1*",)]), min_quality=st.sampled_from([None, 0.5]),
    max_latency_s=st.sampled_from([None, 1.0]),
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(candidates=CANDIDATES, demand=DEMANDS)
def test_no_choice_violates_a_hard_filter(candidates: list[Candidate], demand: Demand) -> None:
    """Whatever a router prefers, whom it takes passes all filters; if nobody does, each is named."""
    for router in (Fixed(), Cheapest(), Capability(), Fastest(), Balanced(), Efficient(), Lean()):
        fit = [each.card.id for each in candidates if not obstacle(demand, each)]
        if not fit:
            with pytest.raises(Unroutable) as caught:
                router.choose(demand, candidates)
            for each in candidates:
                assert f"{each.card.id}: {obstacle(demand, each)}" in str(caught.value)
            continue
        assert router.choose(demand, candidates).llm in fit


def test_the_routes_show_the_gaps_and_ask_nobody(ws: Workspace) -> None:
    """The matrix marks what is below need; off, only cost and latency count; the JSON is stable."""
    asked = [
        *add(ws, "cheap", half_json(1), usd=1, x=0.3),
        *add(ws, "good", half_json(1), usd=9, x=0.9),
    ]
    flow = parse.loads(
        "{workflow: w, tasks: {a: {prompt: hi, type: t, route: {models: [own/cheap, own/good], capabilities: {x: 0.8}}},"
        " b: {prompt: '{{ a }}', route: {models: own/cheap, capabilities: {x: 0.8}}}}}"
    )
    found = ws.route(flow)
    assert {"a": "own/good"} == found.llms
    assert [("a", "own/cheap"), ("b", "own/cheap")] == [(c.task, c.llm) for c in found.gaps]
    assert "own/cheap: its x is 0.3, and 0.8 is needed" in repr(found)
    assert found.to_json() == ws.route(flow).to_json()
    assert json.loads(json.dumps(found.to_json())) == found.to_json()
    off = ws.route(flow, capabilities=False)
    assert {"a": "own/cheap", "b": "own/cheap"} == off.llms
    assert [] == off.gaps
    assert [] == asked
    assert ws.runs().empty


# --- what a dearer one would bring ----------------------------------------------------------------


def test_the_frontier_is_that_of_all_plans() -> None:
    """Three LLMs on four steps: the same plans as by looking at all 81; a price moves along it."""
    rng = random.Random(1)
    steps = [
        [Option(f"m{k}", rng.choice([1.0, 2, 3, 5]), rng.random()) for k in range(3)]
        for _ in range(4)
    ]
    every = [
        (sum(o.cost_usd for o in plan), sum(o.quality for o in plan) / 4)
        for plan in itertools.product(*steps)
    ]
    best = {
        (c, q) for c, q in every if not any((a <= c and b > q + 1e-12) or (a < c and b >= q) for a, b in every)
    }  # fmt: skip
    points = frontier(steps)
    assert {(round(c, 9), round(q, 9)) for c, q in best} == {
        (round(p.cost_usd, 9), round(p.quality, 9)) for p in points
    }
    costs = [p.cost_usd for p in points]
    assert costs == sorted(set(costs))
    chosen = [best_at(points, worth).cost_usd for worth in (0, 1, 5, 20, 1e6)]
    assert chosen == sorted(chosen)
    assert (costs[0], costs[-1]) == (chosen[0], chosen[-1])
    for worth in (0, 3, 10, 50):
        value = worth * best_at(points, worth).quality - best_at(points, worth).cost_usd
        assert max(worth * q - c for c, q in every) == pytest.approx(value)


def test_a_run_says_what_dearer_llms_would_bring(ws: Workspace) -> None:
    """`run.frontier` reckons with the tokens that the tasks took; dominated LLMs are never in it."""
    add(ws, "cheap", lambda text, n: "x", usd=1, x=0.5)
    add(ws, "bad", lambda text, n: "x", usd=5, x=0.4)
    add(ws, "good", lambda text, n: "x", usd=10, x=0.9)
    flow = parse.loads(
        "{workflow: w, tasks: {a: {prompt: one, route: {models: own/*}}, b: {prompt: 'two {{ a }}', route: {models: own/*}}}}"
    )
    found = ws.run(flow).frontier()
    assert "own/bad" not in {llm for point in found.points for llm in point.llms}
    assert [0.0004, 0.0022, 0.004] == pytest.approx([p.cost_usd for p in found.points])
    assert [0.5, 0.7, 0.9] == pytest.approx([p.quality for p in found.points])
    assert found.points[0] == found.recommended
    assert list(found.df["recommended"]) == [True, False, False]
    assert found.points[-1].llms == ws.frontier(flow, usd_per_point=1).recommended.llms
    assert "> $0.0004" in repr(found)
    with pytest.raises(UsageProblem, match="price and quality"):
        ws.add_llm("free", lambda m: "x")
        ws.frontier(parse.loads("{workflow: v, tasks: {a: {prompt: x, llm: own/free}}}"))


def test_efficiency_is_quality_for_money() -> None:
    """The most points per dollar wins; free ones by quality; what nobody knows comes last."""

    def one(name: str, usd: int | None, quality: float | None) -> Candidate:
        price = None if usd is None else Price(Decimal(usd), Decimal(usd))
        return Candidate(card(name, {}), price, None, quality)

    pool = [one("a", 1, 0.5), one("b", 4, 0.9), one("c", None, 1.0), one("d", 1, None)]
    assert "a" == Efficient().choose(Demand("t"), pool).llm
    assert "e" == Efficient().choose(Demand("t"), [*pool, one("e", 0, 0.2)]).llm
    assert "0.5 points" in Efficient().choose(Demand("t"), pool).reason


def test_points_per_1k_tokens_by_hand(ws: Workspace) -> None:
    """Two answers of 300 and 500 tokens, one of them right: 0.5 points for 400, 1.25 a 1k tokens."""
    from bmad_nb import measures

    sizes = iter([(100, 200), (100, 400)])
    ws.add_llm("a", lambda m: Completion(m[-1].text, Usage(*next(sizes), cached_input_tokens=25)),
               price=Price(Decimal(1), Decimal(1)))  # fmt: skip
    cases = [{"q": "yes", "r": "yes"}, {"q": "no", "r": "yes"}]
    found = ws.compare("{{ q }}", "own/a", over=cases, reference="r")
    (row,) = measures.efficiency(found.df)
    assert (0.5, 1.25, 0.25) == (
        row["score"],
        pytest.approx(row["score_per_1k_tokens"]),
        pytest.approx(row["cached_share"]),
    )


def test_lean_is_quality_for_tokens() -> None:
    """The most points per 1,000 tokens wins; what was never counted or never scored comes last."""

    def one(name: str, tokens: float | None, quality: float | None) -> Candidate:
        return Candidate(card(name, {}), None, quality=quality, tokens=tokens)

    pool = [one("a", 1000, 0.9), one("b", 200, 0.5), one("c", None, 1.0), one("d", 100, None)]
    found = Lean().choose(Demand("t"), pool)
    assert "b" == found.llm
    assert "2.5 points a 1k tokens" in found.reason
    assert "0.9 points" in dict(found.rejected)["a"]
    assert "unknown" in dict(found.rejected)["c"]
    assert "c" == Lean().choose(Demand("t"), pool[2:]).llm


def test_a_route_prefers_the_lean_one_by_what_was_counted(ws: Workspace) -> None:
    """`prefer: lean` takes the tokens of stored answers: a talker with a little more skill loses."""

    def says(name: str, tokens: int, skill: float) -> None:
        ws.add_llm(name, lambda _: Completion("x", Usage(10, tokens)), capabilities={"x": skill},
                   price=Price(Decimal(1), Decimal(1)))  # fmt: skip

    says("talker", 990, 0.9)
    says("terse", 90, 0.8)
    flow = parse.loads(
        "{workflow: w, tasks: {a: {prompt: hi, route: {models: [own/talker, own/terse], prefer: lean}}}}"
    )
    assert "own/talker" == ws.plan(flow).plan.steps[0].assignment.llm  # nothing was counted yet
    ws.compare("count", "own/talker,own/terse")
    assert {"own/talker": 1000.0, "own/terse": 100.0} == ws.store.tokens()
    chosen = ws.plan(flow).plan.steps[0].assignment
    assert ("own/terse", "lean") == (chosen.llm, chosen.router)
    assert "8 points a 1k tokens" in chosen.reason


def test_what_changes_from_item_to_item_is_advised_to_stand_last(ws: Workspace) -> None:
    """A long text behind the item's hole is named with its length; in front of it nothing is said."""
    rules = "Rule. " * 300
    task = {"map": {"over": "ns", "as": "n"}, "llm": "own/a"}
    ws.add_llm("a", lambda _: "x")

    def advice(prompt: str) -> str:
        flow = Workflow(
            "w", inputs={"ns": "list", "doc": "text"}, tasks={"t": {**task, "prompt": prompt}}
        )
        return " ".join(ws.plan(flow).analysis.suggestions)

    assert "Task 't': 1,799 characters stand behind {{ n }}" in advice("{{ n }}\n" + rules)
    assert "{{ doc }} stand behind {{ n }}" in advice("{{ n }}\n{{ doc }}")
    assert "prompt cache" not in advice(rules + "\n{{ n }}")
    assert "prompt cache" not in advice("{{ doc }}\n{{ n }}")
    assert "prompt cache" not in advice("{{ n }} in {{ doc }}")


def test_prompts_of_ours_begin_with_what_stays() -> None:
    """Judgements of two answers share system text and rubric from their first character on."""
    from bmad_nb.scorers.judge import judgement

    rubric = "Is it right, and is it short? " * 20
    one, two = (judgement(rubric, f"Question {n}?", f"Answer {n}.") for n in (1, 2))
    assert one[0] == two[0]
    shared = next(
        n for n, (a, b) in enumerate(zip(one[1].text, two[1].text, strict=False)) if a != b
    )
    assert rubric in one[1].text[:shared]


def test_equal_calls_of_one_run_are_sent_once(ws: Workspace) -> None:
    """Ten equal items are one call; samples are wanted to differ, and are sent each."""
    asked = add(ws, "a", lambda text, n: f"answer {n}", x=0.5)
    same = "{workflow: w, inputs: {ns: list}, tasks: {a: {map: {over: ns, as: n}, prompt: same, llm: own/a}}}"
    run = ws.run(parse.loads(same), {"ns": list(range(10))})
    assert 1 == len(asked)
    assert ["answer 1"] * 10 == run.outputs["a"]["items"]
    assert 9 == run.calls["from_store"].sum()
    ws.compare("same again", "own/a", samples=3)
    assert 4 == len(asked)


def test_a_task_that_cannot_be_mended_fails_as_it_would(ws: Workspace) -> None:
    """A model that never gives JSON fails its task after all repairs, with the typed error."""
    add(ws, "weak", lambda text, n: "never", json=0.0)
    text = JSON.format(more=", mitigate: auto").replace("min_success: 0", "min_success: 1")
    with pytest.raises(RunFailed):
        ws.run(parse.loads(text), {"ns": [1]})


@pytest.mark.long
def test_the_fleet_costs_less_than_half_above_the_floor(ws: Workspace) -> None:
    """The cheapest above a floor, by what scores taught: at most half of the price of always-best.

    Quality is checked on questions that nothing was learned from, by its interval's lower bound.
    """
    from bmad_nb.llms.simulated import CAPITALS
    from bmad_nb.scorers.base import interval

    sums = [(f"{n} * {n + 3}", str(n * (n + 3))) for n in range(11, 71)]
    facts = [(f"What is the capital of {c.title()}?", capital) for c, capital in CAPITALS.items()]
    llms = "sim/careful,sim/calculator,sim/librarian"
    for kind, pairs in (("math", sums[:20]), ("facts", facts[:15])):
        cases = [{"q": q, "r": r} for q, r in pairs]
        ws.compare("{{ q }}", llms, over=cases, reference="r", scorer="exact", task_type=kind)
    flow = (
        "{workflow: w, inputs: {qs: list}, tasks: {a: {map: {over: qs, as: q}, prompt: '{{ q }}', "
        "type: %s, route: {%s}}}}"
    )
    routes = {
        "floor": f"models: [{llms}], prefer: cheapest, min_quality: 0.85",
        "best": "models: sim/careful",
    }
    cost, scores = {"floor": 0.0, "best": 0.0}, []
    for kind, pairs in (("math", sums[20:]), ("facts", facts[15:])):
        for name, route in routes.items():
            run = ws.run(parse.loads(flow % (kind, route)), {"qs": [q for q, _ in pairs]})
            cost[name] += float(run.calls["original_cost_usd"].sum())
            if name == "floor":
                items = run.outputs["a"]["items"]
                scores += [float(a == r) for a, (_, r) in zip(items, pairs, strict=True)]
    low, _ = interval(scores)
    assert cost["floor"] <= 0.5 * cost["best"]
    assert low is not None
    assert low >= 0.85
