"""The table of scores: it only grows, takes each score once, and can be read as it stood."""

from __future__ import annotations

import contextlib
import dataclasses
import sqlite3
import threading

import pytest

from bmad_nb.errors import StoreError
from bmad_nb.store import schema, scores
from bmad_nb.store.journal import Store
from bmad_nb.store.scores import ScoreRow

ROW = ScoreRow(
    "run", "call", "request", "own/a", "judge \ud800 own/b", "judge", 0.25, key="k", variant="t=1",
    task_type="math", n=3, low=0.1, high=0.4, explanation="so\x00\ud800", simulated=True,
)  # fmt: skip


def test_a_score_comes_back_as_it_was(store: Store) -> None:
    """Every column is kept, odd texts among them; its number is its place."""
    assert ([], 0) == (scores.of_run(store, "run"), scores.newest(store))
    scores.keep(store, [ROW])
    (found,) = scores.of_run(store, "run")
    assert found.time_utc
    assert dataclasses.replace(ROW, time_utc=found.time_utc, number=1) == found
    assert [] == scores.of_run(store, "other")


def test_the_same_score_is_kept_once_and_a_person_may_change_their_mind(store: Store) -> None:
    """A check or judgement of a call is one row however often it is made; ratings are all kept."""
    human = dataclasses.replace(ROW, source="human")
    scores.keep(store, [ROW, ROW])
    scores.keep(store, [ROW, dataclasses.replace(ROW, key="other"), human, human])
    assert ["judge", "judge", "human", "human"] == [r.source for r in scores.of_all(store)]


@pytest.mark.parametrize("value", [1.5, -0.1, float("nan")])
def test_a_value_that_is_no_score_is_refused(store: Store, value: float) -> None:
    """Nothing of a batch is stored where one of it cannot be."""
    with pytest.raises((StoreError, ValueError)):
        scores.keep(store, [ROW, dataclasses.replace(ROW, key="2", value=value)])
    assert [] == scores.of_all(store)


def test_a_rollback_leaves_out_what_is_behind_it(store: Store) -> None:
    """Scores behind the version are not learned from, later ones are; nothing is removed."""
    for number in range(4):
        scores.keep(store, [dataclasses.replace(ROW, key=str(number))])
    scores.roll_back(store, 2)
    scores.keep(store, [dataclasses.replace(ROW, key="later")])
    assert [1, 2, 5] == [r.number for r in scores.to_learn(store)]
    assert [1, 2, 3, 4] == [r.number for r in scores.to_learn(store, 4)]
    assert [1, 2, 5] == [r.number for r in scores.to_learn(store, 5)]
    assert 5 == len(scores.of_all(store))


def test_what_does_not_count_is_not_learned_from(store: Store) -> None:
    """A score of a test set is stored and left out."""
    scores.keep(store, [dataclasses.replace(ROW, counts=False)])
    assert (1, []) == (len(scores.of_all(store)), scores.to_learn(store))


def test_threads_write_side_by_side(store: Store) -> None:
    """Scores of several threads are all stored."""
    rows = [dataclasses.replace(ROW, call_id=str(n)) for n in range(40)]
    writers = [threading.Thread(target=scores.keep, args=(store, rows[n::4])) for n in range(4)]
    for each in writers:
        each.start()
    for each in writers:
        each.join()
    assert {row.call_id for row in rows} == {row.call_id for row in scores.of_all(store)}


def test_a_store_of_format_2_gets_the_table(store: Store) -> None:
    """What was written before there were scores is kept, and scores can be added."""
    scores.keep(store, [ROW])
    store.close()
    with contextlib.closing(sqlite3.connect(store.path)) as connection:
        connection.executescript(
            "DROP TABLE scores; DROP TABLE rollbacks; PRAGMA user_version = 2;"
        )
    again = Store(store.path)
    assert [] == scores.of_all(again)
    scores.keep(again, [ROW])
    assert 1 == len(scores.of_all(again))
    again.close()
    with contextlib.closing(sqlite3.connect(store.path)) as connection:
        assert (schema.VERSION,) == connection.execute("PRAGMA user_version").fetchone()
