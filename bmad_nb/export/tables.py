"""Frames of a run as files: CSV that no spreadsheet takes for a formula, and Parquet."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable
from typing import Any

import pandas as pd

from bmad_nb.errors import UnknownName, UsageProblem
from bmad_nb.export.bundle import scrubbed

TABLES = ("calls", "tasks", "parts", "members", "scores", "runs")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that a spreadsheet would work out."""


def frame_of(space: Any, run_id: str, table: str) -> pd.DataFrame:
    """Return one frame of a run, without keys.

    Args:
        space: the workspace.
        run_id: the run.
        table: one of `TABLES`.

    Raises:
        UnknownName: no such table.
        UsageProblem: the run has no such table.
    """
    if table not in TABLES:
        raise UnknownName("table of a run", table, TABLES)
    row = space.store.run(run_id)
    if table == "runs":
        runs = space.runs()
        return _clean(runs[runs["run_id"] == row.run_id].reset_index(drop=True))
    run = space.run_of(row.run_id)
    if table == "scores":
        marks = space.scores()
        return _clean(marks[marks["run_id"] == row.run_id].reset_index(drop=True))
    if table == "calls":
        from bmad_nb import frames

        return _clean(frames.calls(space.store.calls(row.run_id)))
    if not hasattr(run, table):
        raise UsageProblem(f"Run {row.run_id} is no workflow: it has no {table}.")
    found: pd.DataFrame = getattr(run, table)
    return _clean(found)


def _clean(frame: pd.DataFrame) -> pd.DataFrame:
    return _mapped(frame, scrubbed)


def _mapped(frame: pd.DataFrame, change: Callable[[str], str]) -> pd.DataFrame:
    """Return a frame with each of its texts changed."""
    found = frame.copy()
    for name in found.columns[found.dtypes == "string"]:
        found[name] = found[name].map(change, na_action="ignore").astype("string")
    return found


def as_csv(frame: pd.DataFrame) -> str:
    """Return a frame as CSV; a text that begins like a formula has an apostrophe before it."""
    return _mapped(frame, _harmless).to_csv(index=False, lineterminator="\n")


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


def as_parquet(frame: pd.DataFrame) -> bytes:
    """Return a frame as Parquet.

    Raises:
        UsageProblem: pyarrow is not installed.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise UsageProblem(
            "Parquet needs pyarrow, which is not installed.",
            hint="Run: pip install 'bmad_nb[parquet]', or use --format csv.",
        )
    body = io.BytesIO()
    frame.to_parquet(body, engine="pyarrow", index=False)
    return body.getvalue()
