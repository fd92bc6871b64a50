"""Routers that learn: what each takes, live as in a table, and what comes with a choice."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from bmad_nb.errors import UnknownName, UsageProblem
from bmad_nb.llms.base import Card
from bmad_nb.messages import Price
from bmad_nb.routers.bandits import LinearThompson, Observation, Thompson
from bmad_nb.routers.base import Candidate, Demand
from bmad_nb.routers.batch import candidates_of, fitted, many
from bmad_nb.routers.budgeted import Budgeted
from bmad_nb.routers.cascading import Cascade
from bmad_nb.routers.chance import Random, RoundRobin
from bmad_nb.routers.choice import HOMES, router_of
from bmad_nb.routers.learned import Learned, Linear, NearestNeighbours, PromptLength, TaskMean
from bmad_nb.routers.outcomes import Outcomes, Questions
from bmad_nb.routers.predictors import Seeing
from bmad_nb.routers.singles import BestSingle, Zero
from bmad_nb.routers.texts import Prompts, Space, hashed

TEXTS = ("add the numbers {} and nine", "write a python function that sorts {} items")
SKILL = np.array([[0.9, 0.2, 0.6], [0.2, 0.9, 0.6]])
USD = np.array([0.001, 0.003, 0.01])
LLMS = ("cheap", "middle", "dear")


def history(count: int = 200, seed: int = 0, *, typed: bool = True) -> Outcomes:
    """Return planted outcomes: one LLM is good at sums, another at code."""
    rng = np.random.default_rng(seed)
    kinds = np.arange(count) % 2
    prompts = Prompts([TEXTS[k].format(rng.integers(10_000)) for k in kinds])
    types = [("sums", "code")[k] if typed else "" for k in kinds]
    score = (rng.random((count, 3)) < SKILL[kinds]).astype(float)
    usd = np.tile(USD, (count, 1)) * rng.uniform(0.9, 1.1, (count, 3))
    return Outcomes(Questions(prompts, types, LLMS), score, usd, usd * 1000)


PAST, NEW = history(), history(60, seed=1)
LEARNING = ("best-single", "zero", "prompt-length", "task-mean", "knn", "linear", "learned",
            "thompson", "lin-thompson")  # fmt: skip


@pytest.mark.parametrize("name", [*LEARNING, "random", "cheapest", "fastest", "fixed", "balanced"])
def test_live_and_replay_choose_the_same(name: str) -> None:
    """Each question asked alone gets the choice that it gets in a table."""
    router = fitted(router_of(name), PAST)
    table = many(router, NEW.questions, PAST)
    candidates = candidates_of(NEW.questions, PAST)
    for row in range(len(NEW.questions)):
        demand = Demand("t", NEW.questions.types[row], prompt=NEW.questions.prompts[row])
        choice = router.choose(demand, candidates)
        assert LLMS[table.llm[row]] == choice.llm
        assert choice.reason
        assert {*LLMS} == {choice.llm, *(llm for llm, _ in choice.rejected)}


@pytest.mark.parametrize("name", ["task-mean", "knn", "linear", "learned", "lin-thompson"])
def test_planted_skills_are_learned(name: str) -> None:
    """At least 95 % of the questions go to the LLM that is planted best at them."""
    picks = many(router_of(name).fit(PAST), NEW.questions)
    right = picks.llm == np.arange(len(NEW.questions)) % 2

    assert right.mean() >= (0.95 if name != "knn" else 0.9)
    assert picks.expected is not None


def test_thirty_observations_are_enough_for_strengths() -> None:
    """After 30 observations of each LLM and kind, 95 % of tasks go to the planted best."""
    found = many(Learned().fit(history(60, seed=3)), history(200, seed=4).questions)
    assert (found.llm == np.arange(200) % 2).mean() >= 0.95


def test_kinds_are_told_from_texts() -> None:
    """A question without a kind of task is given the kind that its text is most like."""
    how = Seeing(PAST.questions)
    view = how.view(Questions(NEW.questions.prompts, [""] * 60, LLMS))
    assert ["sums", "code"] * 30 == [how.kind(each) for each in view.kinds]


def test_best_single_and_zero() -> None:
    """The best mean; and for half the money a mixture that costs half."""
    assert {"dear"} == {
        LLMS[each] for each in BestSingle().fit(_uneven()).choose_many(NEW.questions).llm
    }
    mixed = Zero(usd=0.0055).fit(_uneven()).mixture(NEW.questions, 0.0055)
    assert 0.0055 == pytest.approx(float(mixed @ USD), rel=0.01)
    assert 1.0 == pytest.approx(float(mixed.sum()))


def _uneven() -> Outcomes:
    score = np.tile([[0.4, 0.5, 0.8]], (200, 1))
    return Outcomes(PAST.questions, score, np.tile(USD, (200, 1)))


def test_chance_and_turns() -> None:
    """Chance is the same for the same prompt and seed, and turns go round."""
    questions = NEW.questions
    assert list(Random(1).choose_many(questions).llm) == list(Random(1).choose_many(questions).llm)
    assert list(Random(1).choose_many(questions).llm) != list(Random(2).choose_many(questions).llm)
    router, found = RoundRobin(), candidates_of(questions, None)
    assert [*LLMS, LLMS[0]] == [router.choose(Demand("t"), found).llm for _ in range(4)]


def test_money_moves_choices_to_the_cheap() -> None:
    """The more a US dollar is worth, the less is spent."""
    spent = []
    for points in (0.0, 50.0, 1e9):
        router = Learned(points_per_usd=points, guard=False).fit(PAST)
        spent.append(USD[router.choose_many(NEW.questions).llm].sum())
    assert spent == sorted(spent, reverse=True)
    assert 60 * USD[0] == pytest.approx(spent[-1])


def test_a_budget_is_kept_on_the_history_and_paced_after_it() -> None:
    """The mean cost is at most the limit; where calls cost more than they may, the price rises."""
    router = Budgeted(0.0015).fit(PAST)
    picks = router.choose_many(PAST.questions)
    assert USD[picks.llm].mean() <= 0.0015 * 1.05
    before = router.points_per_usd
    router.paid(0.01)
    assert router.points_per_usd > before
    assert "less than the cheapest" in Budgeted(0.0001).fit(PAST).note
    with pytest.raises(UsageProblem, match="cannot cost"):
        Budgeted(float("nan"))


def test_prices_of_now_count() -> None:
    """An LLM that became a hundred times dearer since the history is left."""

    def card(name: str, usd: str) -> Card:
        return Card(id=name, identity="here", model=name, price=Price(Decimal(usd), Decimal(usd)))

    cards = {name: card(name, "1") for name in LLMS}
    past = Outcomes(
        Questions(PAST.questions.prompts, PAST.questions.types, LLMS, cards), PAST.score,
        PAST.cost_usd,
    )  # fmt: skip
    router = Learned(points_per_usd=10.0, guard=False).fit(past)
    demand = Demand("t", "sums", prompt=TEXTS[0].format(5))
    now = [Candidate(each, each.price) for each in cards.values()]
    assert "cheap" == router.choose(demand, now).llm
    risen = card("cheap", "100")
    now[0] = Candidate(risen, risen.price)
    assert "cheap" != router.choose(demand, now).llm


def test_the_learned_router_stands_back_where_nothing_is_shown() -> None:
    """Equal LLMs: it is the best single LLM that acts, and the note says why."""
    rng = np.random.default_rng(2)
    same = Outcomes(PAST.questions, (rng.random((200, 3)) < 0.6).astype(float), PAST.cost_usd)
    router = Learned().fit(same)
    assert isinstance(router.acting, Zero)
    assert "no difference shown" in router.note
    choice = router.choose(Demand("t", prompt="x"), candidates_of(NEW.questions, None))
    assert "no router is shown to be better" in choice.reason
    assert "" == Learned().fit(PAST).note


def test_an_llm_without_history_is_not_taken_before_others() -> None:
    """Of four candidates one is unknown: it has no expectation, and is not chosen."""
    questions = Questions(NEW.questions.prompts, NEW.questions.types, ("new", *LLMS))
    picks = Learned().fit(PAST).choose_many(questions)
    assert picks.expected is not None
    assert np.isnan(picks.expected[:, 0]).all()
    assert 0 not in picks.llm


def test_holes_in_a_history_are_borne() -> None:
    """Each question met one LLM only: what is planted is still learned."""
    past = history(900, seed=5)
    met = np.random.default_rng(0).integers(0, 3, 900)
    score = np.where(np.arange(3) == met[:, None], past.score, np.nan)
    router = Learned(guard=False).fit(Outcomes(past.questions, score, past.cost_usd))
    assert (router.choose_many(NEW.questions).llm == np.arange(60) % 2).mean() > 0.9


@pytest.mark.parametrize("router", [Thompson(), LinearThompson()])
def test_a_version_can_be_had_again(router: Thompson) -> None:
    """`at` chooses bit for bit as the router did then, and forgets nothing of the newer one."""
    made = router.fit(PAST)
    then = None
    for row in range(40):
        if row == 25:
            then = made.choose_many(NEW.questions)
        prompt, kind = NEW.questions.prompts[row], NEW.questions.types[row]
        made.observe(Observation(prompt, kind, LLMS[row % 3], float(row % 3 == 2), 0.001))
    again = made.at(25).choose_many(NEW.questions)

    assert then is not None
    assert list(then.llm) == list(again.llm)
    assert np.array_equal(then.propensity, again.propensity)
    assert 40 == made.version
    assert ((then.propensity > 0) & (then.propensity <= 1)).all()
    with pytest.raises(UsageProblem, match="versions 0 to 40"):
        made.at(41)
    with pytest.raises(UsageProblem, match="none in"):
        made.observe(Observation("x", "", "cheap", float("nan")))


def test_a_cascade_knows_who_was_asked() -> None:
    """Agreement is accepted and the strong one spared; else all three are paid."""
    answers = [["1", "1", "1"] if row % 3 else ["1", "2", "1"] for row in range(60)]
    seen = Outcomes(NEW.questions, NEW.score, NEW.cost_usd, answers=answers)
    cascade = Cascade(["cheap", "middle"], "dear").fit(PAST)
    picks = cascade.with_answers(seen).choose_many(NEW.questions)
    assert picks.asked is not None
    assert [True, True, False] * 2 == [bool(each) for each in picks.asked[1:3].ravel()]
    assert [True] * 3 == [bool(each) for each in picks.asked[0]]
    assert "cheaper where they agree" in cascade.note
    with pytest.raises(UsageProblem, match="there are none"):
        cascade.choose_many(NEW.questions)
    with pytest.raises(UsageProblem, match="two cheap"):
        Cascade(["cheap"])


def test_a_cascade_by_expected_score_defers_what_is_doubtful() -> None:
    """Where little is expected of the cheap one, the strong one is asked and both are paid."""
    picks = Cascade(["cheap"], "dear", by="score", accept=0.6).fit(PAST).choose_many(NEW.questions)
    assert {0} == set(picks.llm[::2])
    assert {2} == set(picks.llm[1::2])
    assert picks.asked is not None
    assert picks.asked[1::2][:, [0, 2]].all()


@pytest.mark.parametrize("name", [*LEARNING, "cascade"])
def test_what_has_learned_nothing_says_so(name: str) -> None:
    """Before `fit` a choice is one typed error, and so is a history without a score."""
    with pytest.raises(UsageProblem, match="has seen none"):
        router_of(name).choose_many(NEW.questions)
    nothing = Outcomes(PAST.questions, PAST.score * np.nan, PAST.cost_usd)
    with pytest.raises(UsageProblem, match="has a score"):
        router_of(name).fit(nothing)


@pytest.mark.parametrize("cls", [PromptLength, TaskMean, NearestNeighbours, Linear, Learned])
def test_histories_of_any_size_are_learned_from(cls: type) -> None:
    """One question, two, three: a choice comes of each."""
    for count in (1, 2, 3, 7):
        picks = cls().fit(PAST.take(np.arange(count))).choose_many(NEW.questions)
        assert 60 == len(picks.llm)


def test_fitting_leaves_a_router_as_it_was() -> None:
    """`fit` returns a copy; the same router is fitted twice, to different histories."""
    router = TaskMean()
    one, two = router.fit(PAST), router.fit(_uneven())
    assert () == router.llms
    assert list(one.choose_many(NEW.questions).llm) != list(two.choose_many(NEW.questions).llm)


def test_names_are_checked() -> None:
    """A name that does not exist is told with the nearest one, and all that exist can be made."""
    with pytest.raises(UnknownName, match="best-single"):
        router_of("best-singel")
    assert all(name == router_of(name).name for name in HOMES)


def test_a_text_is_hashed_alike_wherever_it_stands() -> None:
    """A prompt alone, in a table and in a part of it has the same features and vector."""
    texts = Prompts([*PAST.questions.prompts[:30], "", "é\ud800 \x00", "x" * 20_000])
    whole, alone = hashed(texts), [hashed([each]) for each in texts]
    assert all((whole[n] != each).nnz == 0 for n, each in enumerate(alone))
    space = Space(8).learn(texts)
    _ = texts.hashed
    part = space.vectors(texts.take(np.array([3, 31])))
    assert np.allclose(part, space.vectors(Prompts([texts[3], texts[31]])))


def test_shapes_are_checked() -> None:
    """Scores for other questions, and choices that are no columns, are typed errors."""
    with pytest.raises(UsageProblem, match="shape"):
        Outcomes(NEW.questions, PAST.score, PAST.cost_usd)

    class Wrong:
        name = "wrong"

        def choose_many(self, questions: Questions) -> object:
            return type("P", (), {"llm": np.array([99] * len(questions))})()

    with pytest.raises(UsageProblem, match="must return the column"):
        many(Wrong(), NEW.questions)
