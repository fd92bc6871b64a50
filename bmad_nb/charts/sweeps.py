"""Quality against cost over the notebooks of a sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from bmad_nb.charts.base import Chart, flag, number, text
from bmad_nb.charts.quality import figure, hull_of
from bmad_nb.columns import SWEEP
from bmad_nb.render.base import counted, listed, points, seconds, usd
from bmad_nb.render.svg import Mark, Scatter, cost_axis, value_axis

if TYPE_CHECKING:
    import pandas as pd

NAMED = 12
"""Notebooks from which on a mark has the number of its notebook instead of its parameters."""
_OURS = {column.name for column in SWEEP}


def sweep(frame: pd.DataFrame) -> Chart:
    """Return a mark per notebook: what its answers cost when they were made, and their mean score.

    Without scores the time of the notebook stands in their place, and the title says so.

    Args:
        frame: as `bmad_nb.frames.sweep` gives it.
    """
    rows: list[dict[Any, Any]] = frame.to_dict("records")
    scored = any(number(row["score"]) is not None for row in rows)
    varied = [str(name) for name in frame.columns
              if name not in _OURS and frame[name].astype(str).unique().size > 1]  # fmt: skip
    marks = tuple(_mark(row, varied, scored=scored, named=len(rows) <= NAMED) for row in rows)
    if not all(mark.hollow for mark in marks):
        marks = tuple(replace(m, note="simulated") if m.hollow else m for m in marks)
    drawn = [mark for mark in marks if mark.drawn]
    static = Scatter(
        title=_title(marks, scored=scored),
        notes=_notes(marks, scored=scored),
        marks=marks,
        x=cost_axis(mark.x for mark in drawn if mark.x is not None),
        y=value_axis([mark.y for mark in drawn if mark.y is not None], score=scored),
        x_title="cost of a notebook's answers in US dollars",
        y_title="mean score" if scored else "time in seconds",
        heads=("notebook", "score" if scored else "time", "cost", "answers scored", ""),
        hull=hull_of(drawn) if scored else (),
    )
    if static.x.log:
        static = replace(static, x_title=f"{static.x_title}, logarithmic")
    return figure(static)


def _mark(row: Mapping[Any, Any], varied: Sequence[str], *, scored: bool, named: bool) -> Mark:
    """Return where a notebook stands; one that failed, or has no price, is not drawn."""
    said = ", ".join(str(row[name]) for name in varied) or "the notebook"
    real, invented = (number(row[f"original_{kind}cost_usd"]) for kind in ("", "simulated_"))
    simulated = flag(row["simulated"])
    cost = invented if simulated and not real else real
    if number(row["unpriced_calls"]) or text(row["status"]) != "completed":
        cost = None
    value = number(row["score" if scored else "duration_s"])
    words = ["simulated"] * simulated
    words += [text(row["status"])] * (text(row["status"]) != "completed")
    form = points if scored else seconds
    price = usd(None if cost is None else Decimal(repr(cost)))
    label = said if named else f"#{row['number']}"
    return Mark(
        label=label, x=cost, y=value, hollow=simulated,
        cells=(form(value), price, f"{row['scored']:,}",
               ", ".join([*([] if named else [said]), *words])),
    )  # fmt: skip


def _title(marks: Sequence[Mark], *, scored: bool) -> str:
    what = counted(len(marks), "notebook")
    if marks and all(mark.hollow for mark in marks):
        what += ", simulated"
    if scored:
        return f"Quality against cost, {what}"
    return f"Time against cost, {what}; nothing was scored, so quality is not shown"


def _notes(marks: Sequence[Mark], *, scored: bool) -> tuple[str, ...]:
    """Return what a reader has to know."""
    notes = ["Cost: that of all answers when they were made, also for answers from the store."]
    if scored:
        notes.append("Line: the best score that one notebook or a mix of two gives for the money.")
    if marks and all(mark.hollow for mark in marks):
        notes.append("All of this is simulated.")
    elif any(mark.hollow for mark in marks):
        notes.append("Hollow marks are simulated: invented, and not part of the line.")
    absent = [mark.label for mark in marks if not mark.drawn]
    if absent:
        notes.append(
            f"Only in the table, for want of an end, a price or a score: {listed(absent)}."
        )
    return tuple(notes)
