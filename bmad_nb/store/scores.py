"""Scores of answers: what checks, judges and people think of them, in a table that only grows.

A score's number is a version: what is learned from the table at one number is always the same. A
rollback leaves scores out and removes none.
"""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from bmad_nb.scorers.base import Source
from bmad_nb.store import schema
from bmad_nb.store.reading import now_utc

if TYPE_CHECKING:
    from bmad_nb.store.journal import Store


@dataclasses.dataclass(frozen=True, slots=True)
class ScoreRow:
    """One score of one answer."""

    run_id: str
    """The run in which the answer was given."""
    call_id: str
    """The call that gave it."""
    request_key: str
    """SHA-256 of the request: answers from the store share the scores of the first."""
    llm: str
    """Id of the LLM that answered."""
    scorer: str
    """What scored it: a check, `judge ID`, or who rated it."""
    source: Source
    value: float
    """In [0, 1]."""
    key: str = ""
    """SHA-256 over how it was scored: reference, rubric, judges; equal ones are one score."""
    variant: str = ""
    """Setting in which the LLM was asked."""
    task_type: str = ""
    """Kind of task; empty for any."""
    n: int = 1
    """Checks, judgements or ratings that it is the mean of."""
    low: float | None = None
    """Lower end of its 95 % interval; None where nobody knows it."""
    high: float | None = None
    explanation: str = ""
    simulated: bool = False
    """The answer or its judge is simulated."""
    counts: bool = True
    """False where nothing may be learned from it, such as on a test set."""
    time_utc: str = ""
    number: int = 0
    """Its place in the table, from 1; 0 before it is stored."""


_COLUMNS = tuple(f.name for f in dataclasses.fields(ScoreRow) if f.name != "number")
_FLAGS = ("simulated", "counts")
_LAST = "SELECT coalesce(max(number), 0) FROM scores"


def keep(store: Store, rows: Sequence[ScoreRow]) -> None:
    """Store scores, durably; one that is there already is not stored twice.

    Raises:
        StoreError: they could not be written; none of them was.
    """
    if not rows:
        return
    holes = ", ".join("?" * len(_COLUMNS))
    query = (
        f"INSERT INTO scores ({schema.names(_COLUMNS)}) VALUES ({holes}) "  # noqa: S608
        "ON CONFLICT (call_id, key) WHERE source <> 'human' DO NOTHING"
    )
    when = now_utc()
    values = [_values(dataclasses.replace(row, time_utc=row.time_utc or when)) for row in rows]

    def work(writer: sqlite3.Connection) -> None:
        writer.executemany(query, values)

    store.write(work)


def of_run(store: Store, run_id: str) -> list[ScoreRow]:
    """Return the scores of a run's answers, in the order in which they came."""
    return _read(store, "WHERE run_id = ?", (run_id,))


def of_all(store: Store) -> list[ScoreRow]:
    """Return all scores, in the order in which they came."""
    return _read(store, "", ())


def to_learn(store: Store, until: int | None = None) -> list[ScoreRow]:
    """Return the scores that count, rolled back ones left out.

    Args:
        store: the store.
        until: as they stood at this number; None is now.
    """
    rows = _read(store, "WHERE counts AND (? IS NULL OR number <= ?)", (until, until))
    query = "SELECT after, until FROM rollbacks WHERE ? IS NULL OR until < ?"
    with store.reader() as connection:
        gone = connection.execute(query, (until, until)).fetchall() if connection else []
    return [row for row in rows if not any(low < row.number <= high for low, high in gone)]


def newest(store: Store) -> int:
    """Return the number of the newest score; 0 where there is none."""
    with store.reader() as connection:
        if connection is None:
            return 0
        number: int = connection.execute("SELECT coalesce(max(number), 0) FROM scores").fetchone()[
            0
        ]
        return number


def roll_back(store: Store, to: int) -> None:
    """Leave out every score behind number `to` from what is learned; none is removed."""

    def work(writer: sqlite3.Connection) -> None:
        last = writer.execute(_LAST).fetchone()[0]
        query = "INSERT INTO rollbacks (after, until, time_utc) VALUES (?, ?, ?)"
        writer.execute(query, (to, last, now_utc()))

    store.write(work)


def _values(row: ScoreRow) -> list[Any]:
    values: list[Any] = [getattr(row, column) for column in _COLUMNS]
    for name in ("scorer", "explanation"):
        values[_COLUMNS.index(name)] = schema.spell(getattr(row, name))
    return values


def _read(store: Store, where: str, values: Iterable[Any]) -> list[ScoreRow]:
    names = schema.names((*_COLUMNS, "number"))
    with store.reader() as connection:
        if connection is None:
            return []
        query = f"SELECT {names} FROM scores {where} ORDER BY number"  # noqa: S608
        found = connection.execute(query, tuple(values)).fetchall()
    return [_row(each) for each in found]


_FROM: dict[str, Callable[[Any], Any]] = {
    "scorer": json.loads, "explanation": json.loads, **dict.fromkeys(_FLAGS, bool),
}  # fmt: skip


def _row(values: tuple[Any, ...]) -> ScoreRow:
    named = dict(zip((*_COLUMNS, "number"), values, strict=True))
    return ScoreRow(**{name: _FROM.get(name, _same)(each) for name, each in named.items()})


def _same(value: Any) -> Any:
    return value
