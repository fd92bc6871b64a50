"""Functions that documents may name: small tables whose results stand here by hand."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmad_nb import reducers, weighing
from bmad_nb.reducers import FREE
from bmad_nb.weighing import calibration, pairs, ranking


def test_free_functions_are_there() -> None:
    """Each name that needs no permission is a function of one of two modules, with a docstring."""
    modules = {"bmad_nb.reducers": reducers, "bmad_nb.weighing": weighing}
    for name in FREE:
        module, _, function = name.partition(":")
        assert getattr(modules[module], function).__doc__
    assert "bmad_nb.scorers.code:passed" not in FREE
    assert "bmad_nb.scorers.coverage:measured" not in FREE


def test_rows_of_what_failed_are_left_out() -> None:
    """A mapped task has null where an item failed; numbers of sources count it all the same."""
    items = [None, {"facts": [{"fact": "a"}, {"fact": "b"}]}, {"facts": None}, {"facts": ["c"]}]
    found = reducers.gathered(items, "facts")
    assert [("a", 2), ("b", 2)] == [(row["fact"], row["source"]) for row in found[:2]]
    assert {"value": "c", "source": 4} == found[2]


def test_the_first_of_the_best_is_taken() -> None:
    """The highest score wins, the first of equal ones; without any answer there is none."""
    results = [{"score": 0.5, "said": "x"}, None, {"score": 0.5, "said": "y"}]
    assert {"number": 1, "answer": "a", "score": 0.5, "said": "x"} == reducers.best(
        ["a", "b", "c"], results
    )
    assert reducers.best([None], [None])["answer"] is None


def test_findings_are_dropped_with_a_reason() -> None:
    """One holds; the others quote nothing, quote wrongly, were refuted, or could not be tried."""
    quotes = ["a = 1", "", "b = 2", "c = 3", "c = 3"]
    verdicts = [{"holds": True, "why": "yes"}, {"holds": True, "why": ""}, {"holds": True},
                {"holds": False, "why": ""}, None]  # fmt: skip
    found = reducers.sifted([{"quote": q} for q in quotes], verdicts, "a = 1\nc = 3")
    assert [{"quote": "a = 1"}] == found["kept"]
    assert 4 == len(found["dropped"])
    assert all(row["reason"] for row in found["dropped"])
    assert "without a reason" in found["dropped"][2]["reason"]


@pytest.mark.parametrize(
    ("text", "dead"),
    [
        ("`area(r)` and `Shape.area` and `shapes`", []),
        ("`Shape.volume()`", ["Shape.volume"]),
        ("`len(x)`, `None`, `print`", []),
        ("`pip install shapes` and `x + y`, `--flag`", []),
        ("```area``` volume() without backticks", []),
        ("`sphere`\n`sphere`", ["sphere", "sphere"]),
        (None, []),
    ],
)
def test_only_names_that_stand_nowhere_are_dead(text: Any, dead: list[str]) -> None:
    """A name between backticks must be in a source or Python's own; all else is no reference."""
    found = reducers.dead_references([text], ["shapes", "class Shape:\n    def area(self, r): ..."])
    assert dead == [row["reference"] for row in found["dead"]]


def test_a_chain_of_like_topics_is_one_group() -> None:
    """Groups hold chains of like rows, the largest first; every row is in one place."""
    topics = ["late ferry", "coffee", "ferry late again", "again late", "cold coffee", "dogs"]
    rows: list[Any] = [{"topic": each, "quote": each} for each in topics]
    found = reducers.grouped([*rows, None], "topic")
    assert [3, 2] == [len(group) for group in found["groups"]]
    assert ["dogs"] == [row["topic"] for row in found["single"]]
    assert 6 == found["rows"]
    named = reducers.patterns(found["groups"], [{"name": "Late"}, None])
    assert [("Late", 3), ("pattern 2", 2)] == [(each["name"], each["count"]) for each in named]
    assert [] == reducers.grouped(rows, "topic", least=4)["groups"]


@given(st.lists(st.none() | st.fixed_dictionaries({"topic": st.text(max_size=12)}), max_size=12))
def test_grouping_loses_no_row(rows: list[Any]) -> None:
    """Rows in groups and single ones together are the rows."""
    found = reducers.grouped(rows, "topic")
    kept = [row for group in found["groups"] for row in group] + found["single"]
    assert sorted(json.dumps(r) for r in rows if r) == sorted(json.dumps(r) for r in kept)


def test_rare_words_decide_what_is_retrieved() -> None:
    """A word that one fact has counts more than one that all have; no common word, no fact."""
    facts = [{"id": n, "text": t} for n, t in enumerate(["The red boat", "The blue boat", "Tea"])]
    assert [1, 0] == [each["id"] for each in reducers.retrieved("Is the boat blue?", facts)]
    assert [1] == [each["id"] for each in reducers.retrieved("Is the boat blue?", facts, most=1)]
    assert [] == reducers.retrieved("Why?", facts)


@pytest.mark.parametrize(
    ("text", "bare", "unknown"),
    [
        ("One [F1]. Two [F2].", [], []),
        ("One. [F1] Two. [F1, F2]", [], []),
        ("One [F1]. Two.", ["Two."], []),
        ("One [F9].", ["One [F9]."], ["F9"]),
        ("One [F1; F9]!", [], ["F9"]),
        ("Is it 1.5 m long? [F2] Yes", ["Yes"], []),
        ("", [], []),
        ("[F1]", [], []),
    ],
)
def test_a_sentence_without_a_known_citation_is_found(
    text: str, bare: list[str], unknown: list[str]
) -> None:
    """Citations stand before or behind the full stop, several in one pair of brackets."""
    found = reducers.uncited(text, [{"id": "F1"}, {"id": "F2"}])
    assert (bare, unknown) == (found["uncited"], found["unknown"])


def test_only_other_values_are_a_conflict() -> None:
    """Spelling makes none; numbers do; each side keeps its source."""
    rows = [{"about": a, "value": v, "source": n} for n, (a, v) in enumerate([
        ("Length", "1.5 m"), ("length ", "1.5 M"), ("Width", "3 m"), ("width", "4 m"), ("", "x"),
        ("", "y"),
    ])]  # fmt: skip
    (found,) = reducers.conflicts(rows)
    assert [("3 m", 2), ("4 m", 3)] == [(row["value"], row["source"]) for row in found["facts"]]


CRITERIA = [{"name": "price", "weight": 3}, {"name": "fun", "weight": 1}]


def scored(table: dict[str, dict[str, float]], **judges: float) -> dict[str, Any]:
    """Return the ranking of a table; each judge scores so much over it."""
    cells = pairs([{"name": each} for each in table], CRITERIA)
    given = {
        name: [{"score": table[c["option"]][c["criterion"]] + shift} for c in cells]
        for name, shift in judges.items()
    }
    return ranking(cells, CRITERIA, given)


def test_a_ranking_by_hand() -> None:
    """Two judges, weights 3 to 1: the totals, and the weight at which the second would win."""
    found = scored({"a": {"price": 8, "fun": 2}, "b": {"price": 5, "fun": 9}}, one=0, two=1)
    assert [("a", 7.0), ("b", 6.5)] == [(r["option"], r["total"]) for r in found["totals"]]
    price, fun = found["sensitivity"]
    assert (0.75, 0.7, "b") == (price["weight"], price["flips_at"], price["to"])
    assert (0.25, 0.3, "b") == (fun["weight"], fun["flips_at"], fun["to"])
    assert 8 == len(found["table"])


@given(
    st.lists(st.tuples(st.integers(0, 10), st.integers(0, 10)), min_size=2, max_size=5),
    st.integers(1, 9),
)
def test_the_first_place_turns_exactly_where_it_is_said(
    scores: list[tuple[int, int]], weight: int
) -> None:
    """Before the weight the winner stays, behind it another one has at least as much."""
    cells = pairs([{"name": str(n)} for n in range(len(scores))], CRITERIA)
    given_ = {"j": [{"score": scores[int(c["option"])][c["criterion"] == "fun"]} for c in cells]}

    def at(x: float) -> dict[str, Any]:
        weights = [{"name": "price", "weight": x}, {"name": "fun", "weight": 1 - x}]
        return ranking(cells, weights, given_)

    here = at(weight / 10)
    turn = here["sensitivity"][0]
    totals = {r["option"]: r["total"] for r in here["totals"]}
    if turn["flips_at"] is None:
        for x in (0.0, 0.25, 0.5, 0.75, 1.0):
            there = {r["option"]: r["total"] for r in at(x)["totals"]}
            assert there[here["winner"]] == pytest.approx(max(there.values()), abs=2e-3)
        return
    there = {r["option"]: r["total"] for r in at(turn["flips_at"])["totals"]}
    assert there[here["winner"]] == pytest.approx(there[turn["to"]], abs=2e-3)
    between = {r["option"]: r["total"] for r in at((weight / 10 + turn["flips_at"]) / 2)["totals"]}
    assert between[here["winner"]] == pytest.approx(max(between.values()), abs=2e-3)
    assert totals[here["winner"]] == max(totals.values())


def test_an_option_that_was_not_scored_is_not_ranked() -> None:
    """A missing score leaves the option out and names it; weights must weigh something."""
    cells = pairs([{"name": "a"}, {"name": "b"}], CRITERIA)
    found = ranking(cells, CRITERIA, {"j": [{"score": 1}, {"score": 1}, {"score": 9}, None]})
    assert ("a", ["b"]) == (found["winner"], found["unranked"])
    assert ranking(cells, CRITERIA, {"j": [None] * 4})["winner"] is None
    for weights in ([0, 0], [-1, 2]):
        wrong = [{**c, "weight": w} for c, w in zip(CRITERIA, weights, strict=True)]
        with pytest.raises(ValueError, match="weights"):
            ranking(cells, wrong, {})


def test_calibration_by_hand() -> None:
    """Four claims and one without a truth: one right, one wrong, one abstained, one rightly unknown."""
    truths = ["true", "false", "true", "unknown", None]
    said = [("true", 0.9), ("true", 0.7), ("unknown", 0.1), ("unknown", 0.5), ("true", 1)]
    found = calibration(
        [{"truth": t} if t else {} for t in truths],
        [{"verdict": v, "confidence": c} for v, c in said],
    )
    assert (4, 2, 1, 1) == tuple(found[k] for k in ("claims", "right", "wrong", "abstained"))
    assert found["brier"] == pytest.approx((0.01 + 0.49 + 0.25) / 3, abs=1e-4)
    assert found["accuracy"] == pytest.approx(2 / 3, abs=1e-4)
    nothing = calibration([{"truth": "true"}], [None])
    assert (1, None, None) == (nothing["abstained"], nothing["brier"], nothing["accuracy"])
