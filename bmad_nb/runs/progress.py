"""Where a run stands, while it runs: filled by the engine's thread, read by the cell's."""

from __future__ import annotations

import time
from dataclasses import dataclass
from decimal import Decimal

from bmad_nb.events import CallRow, TaskRow
from bmad_nb.render.base import usd

TAIL = 600
"""Characters of an answer on its way that are kept: its visible end."""


@dataclass(slots=True)
class Column:
    """What one column of a comparison has done so far."""

    simulated: bool = False
    done: int = 0
    failed: int = 0
    text: str = ""
    """The newest answer's beginning, or what went wrong."""
    running: str = ""
    """The newest call on its way; empty if none is."""

    def ended(self, row: CallRow) -> None:
        """Take note of a call that has an outcome."""
        answered = row.state == "answered"
        self.done += answered
        self.failed += not answered
        self.text = (row.text or "" if answered else f"{row.error_kind}: {row.error}")[:TAIL]
        self.running = "" if self.running == row.call_id else self.running


class Progress:
    """Counts of a run, and one line that says them.

    Args:
        total: how many answers or tasks there are to be.
        unit: what is counted.
    """

    def __init__(self, total: int = 0, unit: str = "answers") -> None:
        """Start at nothing done."""
        self.total, self.unit = total, unit
        self.note = ""
        self.done = 0
        self.running: dict[str, CallRow] = {}
        self.texts: dict[str, str] = {}
        """The end of what calls on their way have said so far, by call."""
        self.columns: dict[str, Column] = {}
        """What each LLM has done, by its column in a comparison."""
        self.spent_usd = Decimal(0)
        """Known cost in US dollars, simulated money left out."""
        self.invented_usd = Decimal(0)
        """Cost of simulated LLMs in US dollars."""
        self.limit_usd: Decimal | None = None
        self.started = time.monotonic()

    def __call__(self, row: CallRow) -> None:
        """Take note of a call."""
        column = self.columns.setdefault(row.label, Column(row.simulated))
        if row.state == "in_flight":
            self.running[row.call_id] = row
            column.running = row.call_id
            return
        self.running.pop(row.call_id, None)
        self.texts.pop(row.call_id, None)
        column.ended(row)
        self.done += self.unit == "answers"
        if row.cost_usd and row.simulated:
            self.invented_usd += row.cost_usd
        elif row.cost_usd:
            self.spent_usd += row.cost_usd

    def said(self, call_id: str, piece: str) -> None:
        """Take note of a piece of an answer that is on its way."""
        self.texts[call_id] = (self.texts.get(call_id, "") + piece)[-TAIL:]

    def task(self, row: TaskRow) -> None:
        """Take note of a task that has an outcome."""
        del row
        self.done += 1

    @property
    def left_s(self) -> float | None:
        """Seconds that are left at the pace so far; None before anything is done."""
        if not self.done or self.done >= self.total:
            return None
        return (time.monotonic() - self.started) / self.done * (self.total - self.done)

    def line(self) -> str:
        """Return one line for a cell that waits: how it stands, and what an interrupt does."""
        return f"{self.facts()} · Interrupt keeps finished answers"

    def facts(self, *, over: bool = False) -> str:
        """Return what is done and running, money, seconds, and who is asked.

        Args:
            over: nothing runs any more.
        """
        limit = "" if self.limit_usd is None else f" of ${self.limit_usd:f}"
        parts = [f"{self.done}/{self.total} {self.unit}"]
        parts += [] if over else [f"{len(self.running)} running"]
        money = usd(self.spent_usd)
        if self.invented_usd:
            money += f" (and {usd(self.invented_usd)} simulated)"
        parts += [f"{money}{limit}", f"{time.monotonic() - self.started:.0f} s"]
        if over:
            return " · ".join(parts)
        asked = sorted({row.llm for row in list(self.running.values())})
        parts += [", ".join(asked[:3])] if asked and self.unit == "tasks" else []
        return " · ".join([*parts, *([self.note] if self.note else [])])
