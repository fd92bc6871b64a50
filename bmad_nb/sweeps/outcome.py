"""What a sweep gives back: its frame, the outputs of its notebooks, a page and a picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bmad_nb.columns import SWEEP
from bmad_nb.errors import UsageProblem
from bmad_nb.render.base import Html, counted, plain, usd
from bmad_nb.render.sweep import SweepView, sweep_page
from bmad_nb.reports import Report
from bmad_nb.sweeps.ledger import nothing

if TYPE_CHECKING:
    import pandas as pd

    from bmad_nb.charts import Chart
    from bmad_nb.outputs import Outputs

INDEX = "index.html"
_ENDS = ("completed", "failed", "paused", "interrupted", "waiting")
_NUMBERS = ("calls", "cost_usd", "simulated_cost_usd", "score", "duration_s")
_COUNTS = [column.name for column in SWEEP if column.dtype == "int64"]


class Sweep(Report):
    """A sweep as far as it is: a row for each notebook, whatever became of it.

    Args:
        notebook: name of the notebook that was executed.
        folder: where the executed notebooks and the page are.
        rows: by notebook the columns of `columns.SWEEP`, `parameters` and `file`.
        limit_usd: the budget, or None.
        spent_usd: what was spent of it, by whether the money is simulated.
    """

    def __init__(
        self, notebook: str, folder: Path, rows: Sequence[Mapping[str, Any]],
        *, limit_usd: Decimal | None = None, spent_usd: Mapping[bool, Decimal] | None = None,
    ) -> None:  # fmt: skip
        """Keep the rows."""
        self.notebook, self.folder, self.rows = notebook, folder, [dict(row) for row in rows]
        self.limit_usd, self.spent_usd = limit_usd, dict(spent_usd or nothing())
        self.reason = ""
        """Why it stopped before its end: `user`."""
        super().__init__(f"{notebook}, {self._sentence()}", {"": self._shown()}, self._notes())

    @property
    def index(self) -> Path:
        """The page that lists the executed notebooks."""
        return self.folder / INDEX

    @property
    def df(self) -> pd.DataFrame:
        """A row per notebook: its parameters, and the columns of `columns.SWEEP`."""
        from bmad_nb import frames

        return frames.sweep(self.rows)

    @property
    def outputs(self) -> Outputs:
        """What the executed notebooks show, as `bmad_nb.read_outputs` gives it.

        Raises:
            UsageProblem: there is no executed notebook yet.
        """
        from bmad_nb.outputs import read_outputs

        found = [row["path"] for row in self.rows if row["path"]]
        if not found:
            raise UsageProblem("No notebook was executed yet.", hint="Run the sweep again.")
        return read_outputs(found, strict=False)

    def ends_with(self) -> int:
        """Return the exit code of a command line: 0 where all are completed, 1 failed, 4 paused."""
        ends = {row["status"] for row in self.rows}
        return 1 if "failed" in ends else 4 if ends - {"completed"} else 0

    def plot(self) -> Chart:
        """Return a picture of quality against cost, a mark per notebook."""
        from bmad_nb.charts import sweep

        return sweep(self.df)

    def to_json(self) -> dict[str, Any]:
        """Return the rows with all columns, and what they sum up to."""
        ends = Counter(row["status"] for row in self.rows)
        names = ["number", "parameters", *(column.name for column in SWEEP[1:])]
        return {
            "notebook": self.notebook, "folder": str(self.folder), "index": str(self.index),
            **{end: ends[end] for end in _ENDS},
            "cost_usd": sum(row["cost_usd"] or 0 for row in self.rows),
            "simulated_cost_usd": sum(row["simulated_cost_usd"] or 0 for row in self.rows),
            "budget_usd": None if self.limit_usd is None else str(self.limit_usd),
            "spent_usd": str(self.spent_usd[False]),
            "notebooks": [{name: row.get(name) for name in names} for row in self.rows],
        }  # fmt: skip

    def page(self) -> str:
        """Return the page of the executed notebooks."""
        numbers = [name for name in _NUMBERS if any(row.get(name) for row in self.rows)]
        scored = any(row["score"] is not None for row in self.rows)
        picture = Html(self.plot()._repr_html_()) if scored else Html("")
        title, notes = f"Sweep of {self.notebook}", self._notes()
        view = SweepView(title, self._sentence(), self.rows, numbers, notes, picture)
        return sweep_page(view)

    def _sentence(self) -> str:
        ends = Counter(row["status"] for row in self.rows)
        said = ", ".join(f"{ends[end]} {end}" for end in _ENDS if ends[end])
        real = sum(row["cost_usd"] or 0 for row in self.rows)
        invented = sum(row["simulated_cost_usd"] or 0 for row in self.rows)
        money = usd(Decimal(repr(real))) + (
            f" and {usd(Decimal(repr(invented)))} simulated" if invented else ""
        )
        return f"{counted(len(self.rows), 'notebook')}: {said} · {money}"

    def _shown(self) -> list[dict[str, Any]]:
        """Return the rows as a terminal and a card show them."""
        names = list(dict.fromkeys(name for row in self.rows for name in row["parameters"]))
        numbers = [name for name in _NUMBERS if any(row.get(name) for row in self.rows)]
        troubled = any(row["error"] for row in self.rows)
        return [
            {"#": row["number"], **{f"{n} ": row["parameters"].get(n) for n in names},
             "status": row["status"], **{n: row.get(n) for n in numbers},
             **({"error": f"{row['error_kind']}: {row['error']}" if row["error"] else ""}
                if troubled else {})}
            for row in self.rows
        ]  # fmt: skip

    def _notes(self) -> list[str]:
        notes = []
        if self.limit_usd is not None:
            real, invented = (self.spent_usd[kind] for kind in (False, True))
            also = f", and {usd(invented)} of as much simulated money" if invented else ""
            notes.append(f"Budget: {usd(real)} of {usd(self.limit_usd)} is spent{also}.")
        kinds = {row["simulated"] for row in self.rows if row["runs"]}
        if kinds == {True}:
            notes.append("Answers, prices and scores of simulated LLMs are in all of these.")
        elif True in kinds:
            notes.append("Some of these have answers, prices and scores of simulated LLMs.")
        if any(row["status"] != "completed" for row in self.rows):
            notes.append("Run it again to go on: what is stored is not asked again.")
        return notes


def row_of(
    number: int, parameters: Mapping[str, Any], status: str, answer: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the row of a notebook, from what `work.execute` said of it, or from nothing yet."""
    row: dict[str, Any] = {column.name: None for column in SWEEP} | dict.fromkeys(_COUNTS, 0)
    row |= {"cost_usd": 0.0, "simulated_cost_usd": 0.0, "simulated": False}
    row |= answer.get("facts", {})
    return row | {
        "number": number, "parameters": dict(parameters), "status": status,
        "duration_s": answer.get("duration_s"), "error_kind": answer.get("error_kind", ""),
        "error": plain(answer.get("error", "")), "file": "", "path": None,
    }  # fmt: skip
