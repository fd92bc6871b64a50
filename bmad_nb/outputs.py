"""Runs read back from the outputs of saved notebooks, such as those that papermill wrote.

A saved notebook may come from anybody. Only our own MIME type is read, as JSON, and each value is
taken only if it is of the kind that its column has: nothing in it is run, shown or followed.
"""

from __future__ import annotations

import glob
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import pandas as pd

from bmad_nb import frames
from bmad_nb.columns import CALLS, RUNS, TASKS, Column
from bmad_nb.errors import UsageProblem
from bmad_nb.results import MIME, MIME_VERSION

MOST_BYTES = 200_000_000
"""Bytes of a notebook; what is larger is not read."""
MOST_ROWS = 200_000
"""Rows of one run."""
_PLACE = (
    Column("notebook", "string", "", "the file that it was read from"),
    Column("cell", "int64", "", "number of the cell in it, from 0"),
)


@dataclass(frozen=True, slots=True)
class Outputs:
    """What notebooks show of runs: frames with the columns of the store's own."""

    runs: pd.DataFrame
    """A row per run and notebook, with the columns of `columns.RUNS`."""
    calls: pd.DataFrame
    """A row per call of ask and compare, with the columns of `columns.CALLS`."""
    tasks: pd.DataFrame
    """A row per task of workflows, with the columns of `columns.TASKS`."""
    problems: pd.DataFrame
    """A row for each notebook or output that could not be read: notebook, cell, problem."""

    def __repr__(self) -> str:
        """Return how much was found."""
        return (f"{len(self.runs)} runs, {len(self.calls)} calls and {len(self.tasks)} tasks "
                f"of {self.runs['notebook'].nunique()} notebooks; "
                f"{len(self.problems)} problems")  # fmt: skip


def read_outputs(
    notebooks: str | Path | Iterable[str | Path], *, strict: bool = True
) -> Outputs:  # fmt: skip
    """Return the runs that saved notebooks show, as frames; no store is needed.

    A run that a notebook shows twice counts once, as it was shown last.

    Args:
        notebooks: paths, or a pattern such as `out/*.ipynb`; `**` goes into folders.
        strict: raise at the first that cannot be read; False lists it in `problems`.

    Raises:
        UsageProblem: no file fits, one is no notebook, or what it shows is damaged or newer.
    """
    runs: dict[tuple[str, str], tuple[int, Mapping[str, Any]]] = {}
    problems: list[dict[str, Any]] = []
    for path in _files(notebooks):
        try:
            for cell, value in _shown(path):
                try:
                    runs[str(path), _checked(value, path, cell)] = (cell, value)
                except UsageProblem as error:
                    problems.append(_problem(path, cell, error, strict=strict))
        except UsageProblem as error:
            if error.args and strict:
                raise
            problems.append({"notebook": str(path), "cell": -1, "problem": error.what})
    places = [
        ({"notebook": name, "cell": cell}, value) for (name, _), (cell, value) in runs.items()
    ]
    calls = [{**place, **row} for place, value in places for row in _calls(value)]
    tasks = [{**place, **row} for place, value in places for row in _tasks(value)]
    columns = (*_PLACE, Column("problem", "string", "", "what is wrong"))
    return Outputs(
        frames.of_columns((*_PLACE, *RUNS), [{**place, **_run(value)} for place, value in places]),
        frames.of_columns((*_PLACE, *CALLS), calls),
        frames.of_columns((*_PLACE, *TASKS), tasks),
        frames.of_columns(columns, problems),
    )


def _problem(path: Path, cell: int, error: UsageProblem, *, strict: bool) -> dict[str, Any]:
    if strict:
        raise error
    return {"notebook": str(path), "cell": cell, "problem": error.what}


def _files(notebooks: str | Path | Iterable[str | Path]) -> list[Path]:
    given = [notebooks] if isinstance(notebooks, str | Path) else list(notebooks)
    found: dict[Path, None] = {}
    for each in given:
        if not isinstance(each, str | Path):
            raise UsageProblem("read_outputs takes paths, or a pattern such as out/*.ipynb.")
        plain = Path(each)
        matches = () if plain.is_file() else glob.glob(str(each), recursive=True)  # noqa: PTH207
        names = [plain] if plain.is_file() else map(Path, sorted(matches))
        found |= dict.fromkeys(path for path in names if path.is_file())
    if not found:
        said = ", ".join(map(str, given))[:200]
        raise UsageProblem(f"There is no notebook {said}.", hint="Give a path or a pattern.")
    return list(found)


def _shown(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield the number of a cell and what it shows in our MIME type, for each such output."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UsageProblem(f"{path} has more than {MOST_BYTES // 1_000_000} MB.")
        body = json.loads(path.read_bytes())
    except OSError as error:
        raise UsageProblem(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError):
        raise UsageProblem(f"{path} is no notebook: it is not JSON.") from None
    cells = body.get("cells") if isinstance(body, dict) else None
    if not isinstance(cells, list):
        raise UsageProblem(f"{path} is no notebook of version 4: it has no cells.")
    for number, cell in enumerate(cells):
        outputs = cell.get("outputs") if isinstance(cell, dict) else None
        for output in outputs if isinstance(outputs, list) else ():
            data = output.get("data") if isinstance(output, dict) else None
            if isinstance(data, dict) and MIME in data:
                yield number, data[MIME]


def _checked(value: Any, path: Path, cell: int) -> str:
    """Return the id of the run that an output is about.

    Raises:
        UsageProblem: it is damaged, or newer than this version reads.
    """
    where = f"Cell {cell} of {path}"
    if not isinstance(value, dict) or not isinstance(value.get("run_id"), str):
        raise UsageProblem(f"{where} has a damaged run.", hint="Execute the notebook again.")
    version = value.get("version")
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise UsageProblem(f"{where} has a damaged run.", hint="Execute the notebook again.")
    if version > MIME_VERSION:
        raise UsageProblem(
            f"{where} was written by a newer bmad_nb (version {version} of the format).",
            hint="Install a newer bmad_nb.",
        )
    for name in ("rows", "tasks"):
        rows = value.get(name, [])
        if not isinstance(rows, list) or len(rows) > MOST_ROWS:
            raise UsageProblem(f"{where} has a damaged run: {name} is no list of rows.")
    return str(value["run_id"])


def _run(value: Mapping[str, Any]) -> dict[str, Any]:
    rows = _dicts(value.get("rows"))
    stored = sum(row.get("from_store") is True for row in rows)
    found = _typed(RUNS, value)
    found["calls"] = _number(value.get("calls_made")) or len(rows) - stored
    found["from_store"] = stored
    found["failed"] = sum(row.get("state") not in {"answered", None} for row in rows)
    return found


def _calls(value: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for row in _dicts(value.get("rows")):
        found = _typed(CALLS, {**row, "answer": row.get("text")})
        found |= {"run_id": value["run_id"], "attempt": 1}
        yield found


def _tasks(value: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for row in _dicts(value.get("tasks")):
        yield _typed(TASKS, row) | {"run_id": value["run_id"]}


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def _typed(columns: Sequence[Column], row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row's values as their columns have them; what is of another kind is missing."""
    return {column.name: _value(column.dtype, row.get(column.name)) for column in columns}


def _value(dtype: str, value: Any) -> Any:
    if dtype == "bool":
        return value is True
    if dtype == "boolean":
        return value if isinstance(value, bool) else None
    if dtype in {"int64", "Int64"}:
        number = _number(value)
        whole = None if number is None or abs(number) > 2**53 else int(number)
        return 0 if whole is None and dtype == "int64" else whole
    if dtype == "float64":
        return _number(value)
    if dtype.startswith("datetime"):
        return None
    return value if isinstance(value, str) else None


def _number(value: Any) -> float | None:
    """Return a finite number, also where it is written as text, as money is."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(Decimal(value)) if isinstance(value, str) else float(value)
    except (InvalidOperation, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
