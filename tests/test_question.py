"""Several LLMs on one question as users ask it: over real HTTP, from Python, with what it costs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bmad_nb.errors import DefinitionError, NotRunnable, RunFailed, UnknownName, UsageProblem
from bmad_nb.workspace import Workspace
from tests.fake_provider import FakeProvider

MODELS = {name: {"skill": {"default": 1.0}} for name in ("ann", "bob", "cyd", "dan", "eve")}
DEAD = {"faults": ["503"] * 50}
PRICE = {"input_usd_per_mtok": 1, "output_usd_per_mtok": 2}
ALL = ",".join(f"lab/{name}" for name in MODELS)
SIX = "What is 2 * 3? [answer: 6]"


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeProvider]:
    """Give a provider with five models."""
    with FakeProvider({"models": MODELS}) as fake:
        yield fake


@pytest.fixture
def space(project: Path, provider: FakeProvider) -> Iterator[Workspace]:
    """Give a workspace with that provider as an endpoint, without waits between attempts."""
    provider.configure({"models": MODELS})
    provider.reset()
    made = Workspace(
        {
            "endpoints": {"lab": {"base_url": provider.url, "models": list(MODELS)}},
            "prices": {f"lab/{name}": PRICE for name in MODELS},
            "engine": {"retry_attempts": 0},
        },
        store=project / "store.db",
    )
    yield made
    made.close()


def kill(provider: FakeProvider, *names: str) -> None:
    """Let models answer nothing but errors."""
    provider.configure({"models": {n: DEAD if n in names else m for n, m in MODELS.items()}})


def sent(provider: FakeProvider) -> int:
    """Return how many requests came."""
    return len(provider.requests())


def asked(provider: FakeProvider) -> list[dict[str, Any]]:
    """Return the bodies of all requests."""
    return [json.loads(each["body"]) for each in provider.requests()]


def test_each_member_is_another_model(space: Workspace, provider: FakeProvider) -> None:
    """N LLMs are N model names at the provider; what each cost adds up to what the run cost."""
    run = space.collaborate(SIX, "vote", ALL)
    assert set(MODELS) == {body["model"] for body in asked(provider)}
    assert "6" == run.outputs["answer"].strip()
    members = run.members
    assert (5, 5) == (len(members), members["agrees"].sum())
    assert pytest.approx(members["cost_usd"].sum()) == float(run.cost_usd) > 0
    assert pytest.approx(run.calls["cost_usd"].sum()) == float(run.cost_usd)


def test_three_of_five_decide_and_the_dead_are_listed(
    space: Workspace, provider: FakeProvider
) -> None:
    """Two dead voters of five leave the quorum of three: it decides, and their errors show."""
    kill(provider, "dan", "eve")
    run = space.collaborate(SIX, "vote", ALL, n=5, quorum=3)
    assert "6" == run.outputs["answer"].strip()
    failed = run.members[run.members["state"] == "failed"]
    assert ["lab/dan", "lab/eve"] == sorted(failed["llm"])
    assert failed["error"].str.contains("503").all()
    assert "lab/dan" in repr(run)


def test_two_of_five_are_no_quorum_and_no_answer(space: Workspace, provider: FakeProvider) -> None:
    """Three dead voters of five are `NoQuorum`: no answer is made up, and what came is kept."""
    kill(provider, "cyd", "dan", "eve")
    with pytest.raises(RunFailed) as caught:
        space.collaborate(SIX, "vote", ALL, n=5, quorum=3)
    run = caught.value.result
    assert {"answer": None} == dict(run.outputs)
    assert "NoQuorum" == run.tasks["error_kind"][0]
    assert 2 == (run.members["state"] == "done").sum()


def test_a_majority_stops_after_three_equal_votes(space: Workspace, provider: FakeProvider) -> None:
    """With stop_early three equal votes of five settle it: three calls are made."""
    space.collaborate(SIX, "vote", ALL, n=5, stop_early=True)
    assert 3 == sent(provider)


def test_later_rounds_show_answers_and_no_names(space: Workspace, provider: FakeProvider) -> None:
    """In round two members read what others answered, and nowhere the name of an LLM."""
    for name in "abc":
        space.add_llm(name, lambda messages, name=name: f"The answer is {name * 5}.")
    run = space.collaborate("Which?", "consensus", "own/a,own/b,own/c", threshold=0.9, rounds=2)
    again = [str(prompt) for prompt in run.calls["prompt"] if "answered the same task" in prompt]
    assert 3 == len(again)
    assert all("own/" not in each for each in again)
    assert all(sum(name * 5 in each for name in "abc") == 2 for each in again)


def test_an_llm_never_reviews_itself(space: Workspace, provider: FakeProvider) -> None:
    """The author's reviewers are others; with one LLM there is no review, before any call."""
    with pytest.raises(NotRunnable, match=r"2 different LLMs|wants"):
        space.collaborate("Write.", "peer_review", "lab/ann")
    assert 0 == sent(provider)
    execution = space.collaboration("Write.", "peer_review", "lab/ann,lab/bob", n=2)
    part = execution.plan.steps[0].collaborating
    assert part is not None
    author, *reviewers = [m.assignment.llm for m in part.members]
    assert author not in reviewers
    with pytest.raises(NotRunnable):
        space.collaborate("Write.", "peer_review", "lab/ann,lab/ann?temperature=1", n=2)


def test_findings_are_a_frame(space: Workspace) -> None:
    """`run.reviews` has a row per finding: who found it, how grave, what became of it."""
    finding = {"severity": "major", "claim": "2 * 3 is 6"}
    said = iter([{"findings": [finding]}, {"findings": [], "verdicts": [
        {"number": 1, "verdict": "resolved"}]}])  # fmt: skip
    space.add_llm("critic", lambda _: json.dumps(next(said)))
    done = {"number": 1, "disposition": "fixed", "why": "reckoned again"}
    drafts = iter(["7", json.dumps({"answer": "6", "dispositions": [done]})])
    space.add_llm("author", lambda _: next(drafts))
    run = space.collaborate("2 * 3?", "peer_review", "own/author,own/critic")
    assert "6" == run.outputs["answer"]
    (row,) = run.reviews.to_dict("records")
    assert {**finding, "reviewer": "own/critic", "disposition": "fixed", "verdict": "resolved",
            "round": 1, "simulated": False}.items() <= row.items()  # fmt: skip
    assert run.state.tasks["answer"].facts["converged"]


def test_one_llm_asked_often_is_self_consistency(space: Workspace) -> None:
    """Samples of one LLM are called so in the plan, in the run and in its card."""
    run = space.collaborate(SIX, "vote", "lab/ann", n=3)
    assert any("self-consistency" in note for note in run.state.plan["notes"])
    html = run._repr_mimebundle_()["text/html"]
    assert "self-consistency" in html
    assert "self-consistency" in repr(run)
    assert ["lab/ann", "lab/ann#2", "lab/ann#3"] == sorted(run.members["name"])


def test_a_planted_expert_is_asked_where_it_is_its_business(space: Workspace) -> None:
    """What only an expert knows is right with it and wrong without; a false `when` asks nobody."""
    space.add_llm("sage", lambda _: "The code word is heron.")
    heard: list[str] = []

    def author(messages: Any) -> str:
        text = "\n".join(m.text for m in messages)
        heard.append(text)
        return "heron" if "heron" in text else "I do not know"

    space.add_llm("author", author)
    experts = {"birds": {"role": "a keeper", "route": "own/sage"}}
    run = space.collaborate("The code word?", "expert", "own/author", experts=experts)
    assert "heron" == run.outputs["answer"]
    never = {"birds": {**experts["birds"], "when": "1 > 2"}}
    run = space.collaborate("The code word? Really?", "expert", "own/author", experts=never)
    assert "I do not know" == run.outputs["answer"]
    assert ["skipped"] == run.members.query("name == 'birds'")["state"].tolist()
    assert {"own/author"} == set(run.calls["llm"])


def test_who_votes_and_with_what_weight_stays_while_a_run_is_stopped(
    space: Workspace, provider: FakeProvider
) -> None:
    """A run that goes on keeps its members and weights, whatever was learned meanwhile."""
    kill(provider, "cyd")
    llms = "lab/ann,lab/bob,lab/cyd"
    with pytest.raises(RunFailed) as caught:
        space.collaborate(SIX, "vote", llms, method="weighted", quorum=3)
    before = caught.value.result.state.plan["steps"][0]["collaborate"]["members"]
    for number in range(12):
        result = space.compare(f"{number}? [answer: x]", "lab/ann,lab/bob")
        space.rate(result, "lab/ann", 1.0)
        space.rate(result, "lab/bob", 0.0)
    fresh = space.collaboration(SIX, "vote", llms, method="weighted", resume="never")
    part = fresh.plan.steps[0].collaborating
    assert part is not None
    assert 1 < len({m.weight for m in part.members})
    provider.configure({"models": MODELS})
    run = space.resume(caught.value.result.id)
    assert before == run.state.plan["steps"][0]["collaborate"]["members"]
    assert "6" == run.outputs["answer"].strip()


def test_a_losing_cascade_is_warned_of_before_anything_is_sent(
    space: Workspace, provider: FakeProvider
) -> None:
    """Its break-even is a note of the plan; two LLMs that cost what the strong one does lose."""
    execution = space.collaboration(SIX, "cascade", "lab/ann,lab/bob", strong="lab/cyd")
    assert any("more than" in n and "strong" in n for n in execution.plan.notes), (
        execution.plan.notes
    )
    assert 0 == sent(provider)


@pytest.mark.parametrize(
    ("kind", "llms", "options", "error"),
    [
        ("vote", "lab/ann,lab/bob", {"weights": {"lab/eve": 2}}, NotRunnable),
        ("voting", ALL, {}, UnknownName),
        ("vote", ALL, {"methode": "rank"}, DefinitionError),
        ("vote", ALL, {"method": "luck"}, DefinitionError),
        ("vote", ALL, {"n": 0}, DefinitionError),
        ("vote", ALL, {"quorum": 9, "n": 3}, (DefinitionError, NotRunnable)),
        ("vote", "lab/nobody?x=1", {}, (NotRunnable, UnknownName, UsageProblem)),
        ("map", "lab/ann", {}, UsageProblem),
        ("vote", ALL, {"over": [{"a": 1}]}, UsageProblem),
        ("cascade", "lab/ann,lab/bob", {"strong": "lab/gone/x y"}, (NotRunnable, UnknownName)),
    ],
)
def test_what_cannot_be_is_said_before_anybody_is_asked(  # noqa: PLR0917  (a table)
    space: Workspace,
    provider: FakeProvider,
    kind: str,
    llms: str,
    options: Any,
    error: Any,
) -> None:  # fmt: skip
    """Wrong kinds, options and LLMs are one typed error, and nothing is sent."""
    with pytest.raises(error):
        space.collaborate(SIX, kind, llms, **options)
    assert 0 == sent(provider)


def test_a_map_asks_for_each_case(space: Workspace) -> None:
    """`map` does a table, in its order."""
    cases = [{"n": n} for n in range(3)]
    run = space.collaborate("Say {{ n }} [answer: {{ n }}]", "map", "lab/ann", over=cases)
    assert ["0", "1", "2"] == [each.strip() for each in run.outputs["answer"]["items"]]


# --- what is no answer, no agreement, no judgement ----------------------------------------------

TRUE = "After a long look at it, and after weighing all, it is my view that\nthe claim is {} true."


def together(space: Workspace, answers: dict[str, Any], kind: str = "vote", **options: Any) -> Any:
    """Return what some LLMs of one's own make of a question; those with `j_` only judge."""
    for name, said in answers.items():
        space.add_llm(name, said if callable(said) else (lambda _, said=said: said))
    members = ",".join(f"own/{name}" for name in answers if not name.startswith("j_"))
    return space.collaborate("What is it?", kind, members, **options)


def broken(_: Any) -> str:
    """Fail."""
    raise ValueError("no judgement today")


@pytest.mark.parametrize("kind", ["vote", "consensus", "debate", "ensemble"])
def test_blank_answers_are_none(space: Workspace, kind: str) -> None:
    """Where all say nothing there is no quorum; a blank answer does not count for it either."""
    with pytest.raises(RunFailed, match="0 of 3"):
        together(space, {"a": "", "b": " ", "c": "\n"}, kind)
    with pytest.raises(RunFailed, match="1 of 3"):
        together(space, {"a": "x", "b": "", "c": " \n"}, kind)


def test_a_text_beside_short_answers_dissents(space: Workspace) -> None:
    """What has no short answer is an answer of its own, and not left out of the share."""
    run = together(
        space, {"a": "Paris", "b": "Marseille, I think, because\nof its\nharbour.", "c": "Paris"}
    )
    facts = run.state.tasks["answer"].facts
    assert pytest.approx(2 / 3, abs=1e-6) == facts["vote_share"]
    assert [["own/b"]] == [each["members"] for each in facts["dissent"]]
    assert "Marseille" in repr(run)


def test_texts_that_are_alike_claim_no_agreement(space: Workspace) -> None:
    """Long texts may say the opposite in like words: they meet no threshold."""
    texts = {"a": TRUE.format("surely"), "b": TRUE.format("surely not"), "c": TRUE.format("surely")}
    run = together(space, texts)
    assert "agreed" not in run.state.tasks["answer"].facts
    assert "no agreement is claimed" in repr(run)
    with pytest.raises(RunFailed, match="do not agree"):
        together(space, texts, threshold=0.9, on_disagree="fail")


def test_an_llm_that_is_asked_oftener_has_one_vote(space: Workspace) -> None:
    """With three answers of two LLMs neither outvotes the other; the plan says so."""
    for order in ("own/a,own/b", "own/b,own/a"):
        for name, said in {"a": "x", "b": "y"}.items():
            space.add_llm(name, lambda _, said=said: said)
        run = space.collaborate("What is it?", "vote", order, n=3)
        assert run.state.tasks["answer"].facts["tied"]
        assert any("one vote" in note for note in run.state.plan["notes"])


@pytest.mark.parametrize(
    "options", [{"kind": "debate"}, {"method": "judge"}, {"threshold": 0.9, "on_disagree": "judge"}]
)
def test_a_judge_that_fails_makes_no_winner(space: Workspace, options: dict[str, Any]) -> None:
    """Without a judgement there is no result, and the judge's error is told."""
    answers = {"a": "x", "b": "y", "c": "z", "j_j": broken}
    judge = {"rubric": "right?", "route": "own/j_j"}
    with pytest.raises(RunFailed, match="Nobody chose") as caught:
        together(space, answers, judge=judge, **options)
    assert "no judgement today" in str(caught.value)
    run = together(space, answers, judge=judge, **{**options, "on_disagree": "best"}) if (
        "on_disagree" not in options
    ) else None  # fmt: skip
    assert run is None or "judge_errors" in run.state.tasks["answer"].facts


def test_one_order_alone_is_no_judgement(space: Workspace) -> None:
    """A judge that answers in one order only has not chosen."""
    said = iter([json.dumps({"choice": "A", "why": "x"})])
    judge = {"rubric": "right?", "route": "own/j_j"}
    with pytest.raises(RunFailed, match="Nobody chose"):
        together(space, {"a": "x", "b": "y", "j_j": lambda _: next(said, "hm")}, method="judge",
                 judge=judge)  # fmt: skip


def test_best_of_n_is_judged_by_none_of_its_candidates(space: Workspace) -> None:
    """The judge is an LLM that wrote none of the answers, whatever their order, and is shown."""
    for order in ("sim/hasty,sim/careful", "sim/careful,sim/hasty"):
        run = space.collaborate("What is 7 * 8?", "best_of_n", order)
        (judge,) = run.state.tasks["answer"].facts["judged_by"]
        assert judge not in order
        assert f"judged by {judge}" in repr(run)


def test_an_unanswered_finding_is_not_converged(space: Workspace) -> None:
    """A reviewer that says nothing of its critical finding has not found it resolved."""
    finding = {"severity": "critical", "claim": "it is wrong"}
    said = iter([{"findings": [finding]}, {"findings": [], "verdicts": []}])
    refused = {
        "answer": "7",
        "dispositions": [{"number": 1, "disposition": "rejected", "why": "no"}],
    }
    drafts = iter(["7", json.dumps(refused), json.dumps(refused)])
    run = together(
        space, {"a": lambda _: next(drafts), "b": lambda _: json.dumps(next(said))}, "peer_review"
    )
    facts = run.state.tasks["answer"].facts
    assert (False, True) == (facts["converged"], facts["non_convergence"])


def test_a_cascade_does_not_accept_a_tie(space: Workspace) -> None:
    """Two against two go on to the strong LLM."""
    run = together(
        space, {"a": "x", "b": "x", "c": "y", "d": "y", "j_s": "y"}, "cascade",
        strong="own/j_s", threshold=0.5,
    )  # fmt: skip
    assert "y" == run.outputs["answer"]
    assert not run.state.tasks["answer"].facts["accepted"]


def test_members_cost_what_all_their_rounds_cost(space: Workspace) -> None:
    """The members' costs of a debate add up to those of their calls, of all rounds."""
    run = space.collaborate("What is 6 * 7?", "debate", "sim/careful,sim/hasty", rounds=2)
    own = run.calls[~run.calls["task"].str.contains("judge")]
    assert pytest.approx(own["cost_usd"].sum()) == run.members["cost_usd"].sum() > 0


def test_json_says_how_it_was_decided(space: Workspace) -> None:
    """Scripts see the members, the share and the dissent."""
    run = together(space, {"a": "x", "b": "x", "c": "y"})
    (task,) = run.to_json()["tasks"]
    assert pytest.approx(2 / 3, abs=1e-6) == task["together"]["vote_share"]
    assert 3 == len(task["together"]["members"])
    json.dumps(run.to_json())


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("vote", {"strong": "own/a"}),
        ("vote", {"experts": {"x": {"role": "y"}}}),
        ("vote", {"judge": {"rubric": "x"}}),
        ("vote", {"method": "judge", "judge": {"that": "True"}}),
        ("vote", {"method": "majority", "weights": {"own/a": 2}}),
        ("vote", {"method": "rank", "stop_early": True}),
        ("best_of_n", {"method": "majority"}),
        ("peer_review", {"threshold": 0.5}),
        ("expert", {}),
    ],
)
def test_keys_that_say_nothing_are_refused(
    space: Workspace, kind: str, options: dict[str, Any]
) -> None:
    """A key without a meaning in this collaboration is an error, and nobody is asked."""
    asked: list[Any] = []
    for name in "ab":
        space.add_llm(name, lambda messages: asked.append(messages) or "x")
    llms = "own/a" if kind == "expert" else "own/a,own/b"
    with pytest.raises(DefinitionError):
        space.collaborate("What?", kind, llms, **options)
    assert [] == asked


def test_two_settings_of_one_llm_are_refused(space: Workspace) -> None:
    """A member is an LLM: which of two settings was meant is not guessed."""
    llms = "sim/hasty?temperature=1,sim/hasty?temperature=0"
    with pytest.raises(NotRunnable, match="two settings"):
        space.collaborate("What is 2 * 2?", "vote", llms)


def test_a_glob_names_all_that_it_fits(space: Workspace, provider: FakeProvider) -> None:
    """`lab/*` lets every model of the endpoint vote."""
    run = space.collaborate(SIX, "vote", "lab/*")
    assert 5 == len(run.members)


def test_cells_may_use_their_own_words(space: Workspace) -> None:
    """The names of the verbs are kinds too; the kind of answers is found out."""
    run = space.collaborate("What is 7 * 8?", "best-of", "sim/careful,sim/hasty")
    assert "best_of_n" == run.state.tasks["answer"].facts["pattern"]
    fenced = together(space, {"a": "```\n7\n```", "b": "7", "c": "8", "d": "7.0"})
    assert pytest.approx(0.75) == fenced.state.tasks["answer"].facts["vote_share"]
