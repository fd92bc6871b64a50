"""All recorded answers that a workspace can name: the tables of its settings, its stored runs."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from bmad_nb.errors import SettingsError, UnknownName, UnknownRun, UsageProblem
from bmad_nb.events import CallRow, RunRow
from bmad_nb.llms import tables
from bmad_nb.llms.recorded import RecordedLLM, Recording, recording_of

RUN = "recorded/run-"
"""How the id of an LLM begins whose answers are those of a stored run."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]{0,49}")  # without -, so that none is like a run's
_OVER = {"completed", "failed", "cancelled"}


class Stored(Protocol):
    """What is needed of a store."""

    def run(self, run_id: str) -> RunRow:
        """Return the run with this id, or the only one whose id begins so."""
        ...

    def calls(self, run_id: str) -> list[CallRow]:
        """Return the calls of a run."""
        ...


Members = Mapping[str, RecordedLLM]
"""LLMs by id."""


def tables_of(settings: Mapping[str, Mapping[Any, str]]) -> dict[str, Path]:
    """Return the tables that the settings declare, by name.

    Raises:
        SettingsError: a name or a path is missing or cannot be used.
    """
    for name, table in settings.items():
        if not _NAME.fullmatch(name) or not table.get("path"):
            raise SettingsError(
                f"[recorded.{name}] cannot be used.",
                hint='Write [recorded.NAME] with path = "answers.csv"; in NAME letters, digits, _.',
            )
    return {name: Path(table["path"]).absolute() for name, table in settings.items()}


class Recordings:
    """Finds recorded answers, reads them when they are first needed, and again when they changed.

    Args:
        paths: tables by name.
        parameters: columns of a table that are parameters of a call.
        store: where stored runs are; None where there are none.
    """

    def __init__(
        self, paths: Mapping[str, Path], parameters: set[str], store: Stored | None
    ) -> None:
        """Read nothing yet."""
        self._paths, self._parameters, self._store = paths, parameters, store
        self._known: dict[str, tuple[object, Members]] = {}
        self._problems: dict[str, UsageProblem] = {}

    def ids(self) -> list[str]:
        """Return the ids that the tables give; one that cannot be read gives its own name."""
        return [llm_id for name in self._paths for llm_id in self._table(name)]

    def named(self, name: str) -> tuple[str, list[str]]:
        """Return what `name` is in full, and the ids of the run that it names.

        Raises:
            UsageProblem: there is no such run, or its table cannot be read.
        """
        if not name.startswith(RUN):
            table = name.split("/")[1]
            if table in self._problems:
                raise self._problems[table]
            return name, []
        run_id, slash, llm = name.removeprefix(RUN).partition("/")
        try:
            run = None if self._store is None else self._store.run(run_id)
        except UnknownRun as error:
            raise UsageProblem(error.what, hint=error.hint) from None
        if run is None:
            raise UsageProblem(f"{name} cannot be had: there is no store here.")
        found = list(self._run(run))
        if not found:
            raise UsageProblem(f"Run {run.run_id} has no answers.", hint="See: %bmad runs")
        return f"{RUN}{run.run_id}{slash}{llm}", found

    def llm(self, llm_id: str) -> RecordedLLM:
        """Return the LLM with this id.

        Raises:
            UnknownName: there is none.
            UsageProblem: there is no such run.
        """
        if (found := self._found(llm_id)) is not None:
            return found
        if llm_id.startswith(RUN):
            llm_id, _ = self.named(llm_id)
        else:
            self.ids()
        if (found := self._found(llm_id)) is not None:
            return found
        known = [each for _, members in self._known.values() for each in members]
        raise UnknownName("recorded LLM", llm_id, known)

    def _found(self, llm_id: str) -> RecordedLLM | None:
        every = (members.get(llm_id) for _, members in self._known.values())
        return next(filter(None, every), None)

    def _table(self, name: str) -> Members:
        path = self._paths[name]
        stamp = _stamp(path)
        known = self._known.get(name)
        if known is None or known[0] != stamp:
            known = self._known[name] = stamp, self._read(name, path)
        return known[1]

    def _read(self, name: str, path: Path) -> Members:
        own = f"recorded/{name}"
        self._problems.pop(name, None)
        try:
            table = tables.read(path, self._parameters)
        except UsageProblem as error:
            self._problems[name] = error
            broken = RecordedLLM(
                own, (), identity=f"table:{name}", source=str(path), problem=error
            )  # fmt: skip
            return {own: broken}
        made = [
            RecordedLLM(
                f"{own}/{llm}" if llm else own,
                recordings,
                identity=f"table:{table.digest}",
                source=str(path),
                model=llm,
            )
            for llm, recordings in table.by_llm.items()
        ]
        return {llm.card.id: llm for llm in made}

    def _run(self, run: RunRow) -> Members:
        """Return the LLMs of a run; one that is not over may have more answers by now."""
        key = f"run-{run.run_id}"
        stamp = (run.status, run.ended_utc, run.fence)
        known = self._known.get(key)
        if known is None or known[0] != stamp or run.status not in _OVER:
            known = self._known[key] = stamp, self._members(run.run_id)
        return known[1]

    def _members(self, run_id: str) -> Members:
        answers: dict[str, list[Recording]] = {}
        for call in self._store.calls(run_id) if self._store else ():
            if call.state == "answered":
                answers.setdefault(call.llm, []).append(recording_of(call))
        made = [
            RecordedLLM(
                f"{RUN}{run_id}/{name}",
                list(dict.fromkeys(given)),  # an answer from the store is the same one again
                identity=f"run:{run_id}",
                source=f"run {run_id}",
                model=name,
            )
            for name, given in answers.items()
        ]
        return {llm.card.id: llm for llm in made}


def _stamp(path: Path) -> tuple[int, ...] | None:
    """Return what changes when a file does, or None where it cannot be looked at."""
    try:
        status = os.stat(path)  # noqa: PTH116  (Path.stat raises the same, and more)
    except (OSError, ValueError):
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
