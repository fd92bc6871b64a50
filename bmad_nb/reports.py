"""Titled tables that a verb returns: text in a shell, a card in a notebook, JSON for programs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from bmad_nb.render.report import ReportView, report_html, report_text

if TYPE_CHECKING:
    import pandas as pd

Rows = Sequence[Mapping[str, Any]]


class Report:
    """Some tables under one title.

    Args:
        title: what they are about, one line.
        tables: rows by the title of their table; money in columns `_usd`, seconds in `_s`.
        notes: sentences below them.
        facts: what else programs read beside the tables.
    """

    def __init__(
        self,
        title: str,
        tables: Mapping[str, Rows],
        notes: Sequence[str] = (),
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        """Keep the rows."""
        self.title, self.tables, self.notes = title, dict(tables), tuple(notes)
        self.facts = dict(facts or {})
        self.name = "r"
        self.exit_code = 0

    @property
    def dfs(self) -> dict[str, pd.DataFrame]:
        """Each table as a DataFrame, by its title."""
        from bmad_nb import frames

        return {title: frames.of_rows(rows) for title, rows in self.tables.items()}

    def to_json(self) -> dict[str, Any]:
        """Return the tables as JSON values, and the facts beside them."""
        tables = {title or "rows": [_row(each) for each in rows]
                  for title, rows in self.tables.items()}  # fmt: skip
        return {**_row(self.facts), **tables, "notes": list(self.notes)}

    def view(self) -> ReportView:
        """Return what the displays draw."""
        return ReportView(self.title, self.tables, self.notes)

    def _repr_mimebundle_(self, **_wanted: Any) -> dict[str, Any]:
        """Return the static bundle: nothing in it runs, and nothing is fetched."""
        return {"text/plain": repr(self), "text/html": report_html(self.view())}

    def __repr__(self) -> str:
        """Return the plain form, safe on a terminal."""
        return report_text(self.view())


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _json(value) for name, value in row.items()}


def _json(value: Any) -> Any:
    """Return a value as JSON has it: money as text, and null for what is no number."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return _row(value)
    if isinstance(value, list | tuple):
        return [_json(each) for each in value]
    return value
