"""What a comparison says beyond its rows, and what can be done with it."""

from __future__ import annotations

import pandas as pd
import pytest

from bmad_nb import columns
from bmad_nb.errors import UnknownName, UnknownRun, UsageProblem
from bmad_nb.results import Comparison
from bmad_nb.workspace import Workspace

CASES = [{"q": "capital of France", "right": "Paris"}, {"q": "2 + 2", "right": "4"},
         {"q": "a tree", "right": "oak"}]  # fmt: skip
SURE = {"capital of France": "Paris", "2 + 2": "4", "a tree": "oak"}


def asked(ws: Workspace, other: dict[str, object], **given: object) -> Comparison:
    """Compare an LLM that is always right with one that answers from a table."""
    calls = {"n": 0}

    def answer(messages: object) -> str:
        found = other[messages[-1].text]  # type: ignore[index]
        if isinstance(found, Exception):
            raise found
        if isinstance(found, list):
            calls["n"] += 1
            return str(found[calls["n"] % len(found)])
        return str(found)

    ws.add_llm("sure", lambda messages: SURE[messages[-1].text])
    ws.add_llm("other", answer)
    options = {"over": CASES, "reference": "right", "fresh": True, **given}
    found: Comparison = ws.compare("{{ q }}", "own/sure,own/other", **options)
    return found


def test_disagreements_name_who_differs(ws: Workspace) -> None:
    """A row per case, the most different first, with agreement, spread, dissent and the best."""
    r = asked(ws, {"capital of France": "Paris.", "2 + 2": "5", "a tree": "oak"})
    found = r.disagreements.set_index("case")
    assert "1" == r.disagreements["case"].iloc[0]
    assert [2, 0.0, 1.0, "own/sure", "own/other", "4", "own/other"] == list(
        found.loc["1", ["distinct", "agreement", "spread", "best", "worst", "commonest", "dissent"]]
    )
    assert 1.0 == found.loc["0", "agreement"]  # an end mark is no difference
    assert not found["simulated"].any()


def test_stability_counts_distinct_answers(ws: Workspace) -> None:
    """Of repeats it says how many differ, and the share of the commonest, the least stable first."""
    r = asked(
        ws, {"capital of France": ["Paris", "Lyon", "Nice"], "2 + 2": "4", "a tree": "oak"},
        samples=3,
    )  # fmt: skip
    found = r.stability
    first = found.iloc[0]
    assert ("0", "own/other", 3, 3) == tuple(first[["case", "llm", "samples", "distinct"]])
    assert first["commonest_share"] == pytest.approx(1 / 3)
    assert {1.0} == set(found.iloc[1:]["commonest_share"])
    assert first["score"] == pytest.approx(1 / 3)


def test_pairs_are_those_of_the_card(ws: Workspace) -> None:
    """The frame has the mean, interval and verdict that the card shows."""
    cases = [{"q": f"What is {n} + {n}?", "right": str(2 * n)} for n in range(30)]
    r = ws.compare("{{ q }}", "sim/careful,sim/hasty,sim/flaky", over=cases, reference="right")
    from bmad_nb.render.verdict import verdict

    card = verdict(r.view()).paired
    assert card is not None
    frame = r.paired().set_index("against")
    for each in card.differences:
        row = frame.loc[each.against]
        assert (each.mean, each.low, each.high) == pytest.approx(
            (row["mean"], row["low"], row["high"])
        )
        assert each.shown == row["shown"]
    assert -frame.loc["sim/hasty", "mean"] == pytest.approx(
        r.paired("sim/hasty").set_index("against").loc[frame["baseline"].iloc[0], "mean"]
    )
    with pytest.raises(UnknownName, match="scored LLM"):
        r.paired("sim/nobody")


def test_changes_tell_regressions_from_other_words(ws: Workspace) -> None:
    """Against an earlier run: worse, better, other words, the same; needy ones first."""
    before = asked(ws, {"capital of France": "Paris", "2 + 2": "5", "a tree": "an oak"})
    now = asked(ws, {"capital of France": "Rome", "2 + 2": "4", "a tree": "some oak"})
    found = now.against(before)
    mine = found.df[found.df["llm"] == "own/other"].set_index("case")["change"].to_dict()
    assert {"0": "regression", "1": "fixed", "2": "changed"} == mine
    assert "regression" == found.df["change"].iloc[0]
    assert ["0"] == list(found.regressions["case"])
    assert ["1"] == list(found.fixed["case"])
    assert "1 regression, 1 fixed, 1 in other words, 3 the same" in repr(found)
    again = ws.run_of(now.id).against(before.id)
    assert list(found.df["change"]) == list(again.df["change"])
    assert "Nothing changed in 6 answers" in repr(now.against(now))


def test_a_lost_answer_and_a_new_case_are_named(ws: Workspace) -> None:
    """An answer that fails now is lost; a case that only one run has is new or gone."""
    before = asked(ws, {"capital of France": "Paris", "2 + 2": "4", "a tree": "oak"})
    now = asked(
        ws, {"capital of France": ValueError("no"), "2 + 2": "4", "a tree": "oak"}, over=CASES[:2]
    )
    kinds = now.against(before).df.groupby("change").size().to_dict()
    assert {"lost": 1, "gone": 2, "same": 3} == kinds
    with pytest.raises(UnknownRun):
        now.against("00000000")
    with pytest.raises(UsageProblem, match="share no case"):
        now.against(ws.compare("Else?", "sim/hasty,sim/careful"))


def test_parts_of_a_comparison(ws: Workspace) -> None:
    """Filters by LLM, case, words and kind; orders; another baseline; nothing left is an error."""
    r = asked(ws, {"capital of France": "Lyon", "2 + 2": "4", "a tree": ValueError("no")})
    assert {"own/other"} == {row.llm for row in r.where("other").rows}
    assert {"1"} == {row.case for row in r.where(cases=[1]).rows}
    assert {"0"} == {row.case for row in r.where(text="LYON").rows}
    assert {"0"} == {row.case for row in r.where(only="disagree").rows}
    assert {"2"} == {row.case for row in r.where(only="failed").rows}
    assert {"0"} == {row.case for row in r.where(only="wrong").rows}
    assert ["0", "0", "1", "1", "2", "2"] == [row.case for row in r.sorted("case").rows]
    assert "2" == r.sorted("case", ascending=False).rows[0].case
    assert "0" == r.sorted("spread").rows[0].case
    assert "own/other" == r.from_baseline("own/other").view().baseline
    assert "" == r.view().baseline
    for wrong in (lambda: r.where(text="nowhere"), lambda: r.where(only="odd"),
                  lambda: r.sorted("odd"), lambda: r.from_baseline("own/nobody")):  # fmt: skip
        with pytest.raises(UsageProblem):
            wrong()


def test_blind_answers_hide_names_until_one_is_rated(ws: Workspace) -> None:
    """No display has a name before; the rating is a person's, says blind, and names show then."""
    r = asked(ws, {"capital of France": "Lyon", "2 + 2": "4", "a tree": "ash"})
    blind = r.blind("0")
    for shown in (*blind._repr_mimebundle_().values(), str(blind.to_json())):
        assert "own/" not in shown
        assert "Lyon" in shown
    assert blind.answers == r.blind("0").answers
    with pytest.raises(UsageProblem, match="Nothing is rated"):
        _ = blind.names
    letter = next(key for key, text in blind.answers.items() if text == "Lyon")
    rated = blind.rate(**{letter: 0.5}, by="me")
    assert "own/other" == blind.names[letter]
    assert "own/other" in repr(blind)
    last = rated.scores.iloc[-1]
    assert ("me", "human", "rated blind", 0.5) == tuple(
        last[["scorer", "source", "explanation", "score"]]
    )
    best = r.blind("2").best("A")
    assert {0.0, 1.0} == {row.score for row in best.rows if row.case == "2"}
    with pytest.raises(UnknownName, match="letter"):
        blind.best("Z")


def test_the_order_of_letters_differs_between_cases(ws: Workspace) -> None:
    """Planted: an order that is always the same would give the first LLM the first letter."""
    cases = [{"q": str(n)} for n in range(24)]
    ws.add_llm("one", lambda _: "one")
    ws.add_llm("two", lambda _: "two")
    r = ws.compare("{{ q }}", "own/one,own/two", over=cases)
    first = [r.blind(str(n)).answers["A"] for n in range(24)]
    assert {"one", "two"} == set(first)
    assert 5 <= first.count("one") <= 19


@pytest.mark.parametrize(
    ("name", "declared"),
    [("disagreements", columns.DISAGREEMENTS), ("stability", columns.STABILITY)],
)
def test_frames_say_their_units(ws: Workspace, name: str, declared: tuple) -> None:
    """Columns are the declared ones, and `attrs` has the unit and the meaning of each."""
    frame = getattr(ws.compare("Where?", "sim/careful,sim/hasty"), name)
    assert isinstance(frame, pd.DataFrame)
    assert [column.name for column in declared] == list(frame.columns)
    assert {c.name: c.meaning for c in declared} == frame.attrs["columns"]
    assert {c.name: c.unit for c in declared if c.unit} == frame.attrs["units"]


def test_what_was_spent_adds_up(ws: Workspace) -> None:
    """By LLM, task or day the sums are those of the calls, simulated money apart."""
    ws.compare("Where?", "sim/careful,sim/hasty")
    ws.compare("Where?", "sim/careful,sim/hasty")
    calls = ws.calls()
    for by in ("llm", "task", "day"):
        found = ws.spent(by)
        assert 2 == found["calls"].sum()
        assert 2 == found["from_store"].sum()
        assert 0 == found["cost_usd"].sum()
        assert calls["cost_usd"].sum() == pytest.approx(found["simulated_cost_usd"].sum())
    run = ws.runs()["run_id"].iloc[0]
    assert 0 == ws.spent("llm", run)["calls"].sum()
    with pytest.raises(UsageProblem, match="by cannot be"):
        ws.spent("moon")
