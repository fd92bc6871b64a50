"""What the store has: runs, calls and events, read through short read-only connections."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import functools
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from bmad_nb._files import owner_lives
from bmad_nb.errors import StoreCorrupt, UnknownRun
from bmad_nb.events import CallRow, RunRow, TaskEnded, TaskRow
from bmad_nb.store import schema, stamped
from bmad_nb.store.file import StoreFile
from bmad_nb.store.stamped import Stamped


def now_utc() -> str:
    """Return the time as ISO text with microseconds, in UTC."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds")


class Reading(StoreFile):
    """The reading half of a store; usable from any thread."""

    def __init__(self, path: Path, *, sync: Literal["normal", "full"]) -> None:
        """Open nothing yet."""
        super().__init__(path, sync=sync)
        self._owners = path.with_name("owners")

    @contextlib.contextmanager
    def reader(self) -> Iterator[sqlite3.Connection | None]:
        """Give a connection that reads one moment of the store, or None where there is none yet."""
        if not self.path.exists() or (self.path.stat().st_size == 0 and not self._held_before()):
            yield None
            return
        with self._typed_errors():
            with self._lock.held():
                connection = self._open(write=False)
            try:
                connection.execute("BEGIN")
                yield connection
            finally:
                with self._lock.held():
                    connection.close()

    def runs(self) -> list[RunRow]:
        """Return all runs, the oldest first; a run whose process is gone says interrupted."""
        with self.reader() as connection:
            if connection is None:
                return []
            return self._runs_in(connection)

    def run(self, run_id: str) -> RunRow:
        """Return the run with this id, or the only one whose id begins so.

        Raises:
            UnknownRun: there is none, or more than one.
        """
        with self.reader() as connection:
            return self._run_in(connection, run_id)

    def _run_in(self, connection: sqlite3.Connection | None, run_id: str) -> RunRow:
        run_id = run_id.encode("ascii", "replace").decode()  # ids are ASCII; SQLite takes no halves
        found = self._runs_in(connection, "WHERE run_id = ?", run_id, texts=True)
        if not found and run_id:
            found = self._runs_in(connection, "WHERE instr(run_id, ?) = 1", run_id, texts=True)
        if len(found) == 1:
            return found[0]
        recent = ", ".join(run.run_id for run in self._runs_in(connection)[-5:]) or "none yet"
        problem = f"{len(found)} runs begin with" if found else "There is no run"
        raise UnknownRun(f"{problem} {run_id!r} in {self.path}.", hint=f"The newest: {recent}.")

    def calls(self, run_id: str | None = None) -> list[CallRow]:
        """Return the calls of one run or of all, in the order in which they were written down."""
        with self.reader() as connection:
            if connection is None:
                return []
            where, values = ("WHERE run_id = ?", (run_id,)) if run_id else ("", ())
            rows = connection.execute(f"{schema.SELECT_CALLS} {where} ORDER BY rowid", values)
            calls = [schema.call_of(connection, row) for row in rows.fetchall()]
            gone = {r.run_id for r in self._runs_in(connection) if r.status == "interrupted"}
        lost = [c.run_id in gone and c.state == "in_flight" for c in calls]
        return [
            dataclasses.replace(c, state="lost", billed="maybe") if is_lost else c
            for c, is_lost in zip(calls, lost, strict=True)
        ]

    def call(self, call_id: str) -> CallRow | None:
        """Return one call, or None."""
        with self.reader() as connection:
            if connection is None:
                return None
            return _call_in(connection, call_id)

    def lent(self, request_key: str) -> CallRow | None:
        """Return the newest answered call with this request key, or None."""
        with self.reader() as connection:
            return None if connection is None else answered_in(connection, request_key)

    def events(self, run_id: str, after: int = 0) -> list[Stamped]:
        """Return the events of a run in their order, those behind number `after`.

        Raises:
            UnknownRun: there is none.
        """
        with self.reader() as connection:
            run = self._run_in(connection, run_id)
            return [] if connection is None else _events_in(connection, run, after)

    def news(self, seen: Mapping[str, int]) -> list[tuple[RunRow, list[Stamped]]]:
        """Return what happened in runs that run or wait, and in those that are named, in one look.

        Args:
            seen: by run, the number of the last event that is known already.
        """
        with self.reader() as connection:
            if connection is None:
                return []
            known = [*seen]
            holes = ", ".join("?" * len(known))
            where = f"WHERE status IN ('running', 'paused') OR run_id IN ({holes})"
            runs = self._runs_in(connection, where, *known)
            return [(run, _events_in(connection, run, seen.get(run.run_id, 0))) for run in runs]

    def wish_seen(self, number: int) -> str:
        """Return when a run saw a wish, as ISO text; empty if it has not."""
        with self.reader() as connection:
            found = schema.wishes_in(connection, "id = ?", (number,)) if connection else []
        return found[0].seen_utc if found else ""

    def latencies(self, workflow: str = "") -> list[tuple[str, str, float]]:
        """Return LLM, task and seconds of the newest answers that were really made.

        Args:
            workflow: only of runs of this one; empty for all.
        """
        of_workflow = "AND run_id IN (SELECT run_id FROM runs WHERE workflow = ?)"
        with self.reader() as connection:
            if connection is None:
                return []
            query = (
                "SELECT llm, task, original_latency_s FROM calls WHERE state = 'answered' AND NOT "  # noqa: S608
                f"from_store AND original_latency_s > 0 {of_workflow if workflow else ''} "
                "ORDER BY rowid DESC LIMIT 2000"
            )
            return connection.execute(query, (workflow,) if workflow else ()).fetchall()

    def tokens(self) -> dict[str, float]:
        """Return the mean tokens of the newest answers that were really made, by LLM.

        Those of the prompt are among them; where they were not counted, an answer is left out.
        """
        with self.reader() as connection:
            if connection is None:
                return {}
            query = (
                "SELECT llm, avg(all_tokens) FROM (SELECT llm, input_tokens + output_tokens AS "
                "all_tokens FROM calls WHERE state = 'answered' AND NOT from_store "
                "ORDER BY rowid DESC LIMIT 2000) WHERE all_tokens > 0 GROUP BY llm"
            )
            return dict(connection.execute(query).fetchall())

    def samples(self) -> list[CallRow]:
        """Return what is known of the length and cost of the newest calls, and nothing else."""
        names = ("call_id", "run_id", "llm", "state", "task", "latency_s", "cost_usd", "from_store")
        with self.reader() as connection:
            if connection is None:
                return []
            query = f"SELECT {schema.names(names)} FROM calls ORDER BY rowid DESC LIMIT 5000"  # noqa: S608
            rows = connection.execute(query).fetchall()
        return [
            CallRow(call_id, run_id, llm, "", state, task=task, latency_s=seconds,
                    cost_usd=schema.money(pico), from_store=bool(stored))
            for call_id, run_id, llm, state, task, seconds, pico, stored in rows
        ]  # fmt: skip

    def newest_result(self, workflow: str, task: str, *, not_in: str = "") -> TaskRow | None:
        """Return the newest result of a task over all runs of a workflow, or None.

        What a fallback gave is no result, nor what a simulated LLM said.

        Args:
            workflow: id of the workflow.
            task: id of the task.
            not_in: a run that is left out.
        """
        runs = [run.run_id for run in self.runs() if run.workflow == workflow]
        for run_id in reversed([run_id for run_id in runs if run_id != not_in]):
            for each in reversed(self.events(run_id)):
                row = each.event.task if isinstance(each.event, TaskEnded) else None
                if row is None or row.task != task or row.state != "done":
                    continue
                if not (row.degraded or row.simulated):
                    return row
        return None

    def sums(self) -> dict[str, dict[str, float]]:
        """Return by run what `schema.SUMS` names: how many calls of which kind, and their cost."""
        with self.reader() as connection:
            rows = connection.execute(schema.SUM_CALLS).fetchall() if connection else []
        return {run_id: dict(zip(schema.SUMS, sums, strict=True)) for run_id, *sums in rows}

    def columns(self, names: Iterable[str]) -> list[tuple[Any, ...]]:
        """Return columns of all calls as they are stored, without building objects.

        Money comes in picodollars; texts are not among the columns.
        """
        chosen = [n for n in names if n in schema.CALL_COLUMNS and n not in schema.TEXT_COLUMNS]
        with self.reader() as connection:
            if connection is None:
                return []
            query = f"SELECT {schema.names(chosen)} FROM calls ORDER BY rowid"  # noqa: S608
            return connection.execute(query).fetchall()

    def _runs_in(
        self,
        connection: sqlite3.Connection | None,
        where: str = "",
        *values: str,
        texts: bool = False,
    ) -> list[RunRow]:
        if connection is None:
            return []
        query = f"{schema.SELECT_RUNS} {where} ORDER BY started_utc, run_id"
        rows = connection.execute(query, values).fetchall()
        runs = [schema.run_of(row, connection if texts else None) for row in rows]
        return [
            dataclasses.replace(r, status="interrupted")
            if r.status == "running" and not owner_lives(self._owners, r.owner)
            else r
            for r in runs
        ]


def answered_in(
    connection: sqlite3.Connection, request_key: str, run_id: str = ""
) -> CallRow | None:
    """Return the newest answered call with this request key, or None; of one run if named."""
    of_run, values = ("AND run_id = ?", (run_id,)) if run_id else ("", ())
    row = connection.execute(
        f"{schema.SELECT_CALLS} WHERE request_key = ? AND state = 'answered' "
        f"AND NOT from_store {of_run} ORDER BY ended_utc DESC LIMIT 1",
        (request_key, *values),
    ).fetchone()
    return schema.call_of(connection, row) if row else None


def _events_in(connection: sqlite3.Connection, run: RunRow, after: int) -> list[Stamped]:
    """Return the events of a run behind number `after`."""
    call = functools.cache(functools.partial(_known_call, connection))
    query = "SELECT number FROM runs WHERE run_id = ?"
    number = connection.execute(query, (run.run_id,)).fetchone()[0]
    first, last = schema.before(number), schema.before(number + 1)
    rows = connection.execute(
        "SELECT id, time_utc, kind, payload FROM events WHERE id > ? AND id <= ? ORDER BY id",
        (first + after, last),
    ).fetchall()
    return [
        Stamped(key - first, when, stamped.event_of(connection, kind, body, run, call))
        for key, when, kind, body in rows
    ]


def _call_in(connection: sqlite3.Connection, call_id: str) -> CallRow | None:
    query = f"{schema.SELECT_CALLS} WHERE call_id = ?"
    row = connection.execute(query, (call_id,)).fetchone()
    return schema.call_of(connection, row) if row else None


def _known_call(connection: sqlite3.Connection, call_id: str) -> CallRow:
    call = _call_in(connection, call_id)
    if call is None:
        raise StoreCorrupt(f"Call {call_id} is missing.", hint="Run: bmad doctor")
    return call
