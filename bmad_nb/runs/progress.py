"""Where a run stands, while it runs: filled by the engine's thread, read by the cell's."""

from __future__ import annotations

import time
from decimal import Decimal

from bmad_nb.events import CallRow, TaskRow


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
        self.spent_usd = Decimal(0)
        """Known cost in US dollars, simulated money left out."""
        self.limit_usd: Decimal | None = None
        self.started = time.monotonic()

    def __call__(self, row: CallRow) -> None:
        """Take note of a call."""
        if row.state == "in_flight":
            self.running[row.call_id] = row
            return
        self.running.pop(row.call_id, None)
        self.done += self.unit == "answers"
        self.spent_usd += row.cost_usd if row.cost_usd and not row.simulated else 0

    def task(self, row: TaskRow) -> None:
        """Take note of a task that has an outcome."""
        del row
        self.done += 1

    def line(self) -> str:
        """Return one line: what is done and running, money, seconds, and who is asked."""
        limit = "" if self.limit_usd is None else f" of ${self.limit_usd:f}"
        parts = [f"{self.done}/{self.total} {self.unit}", f"{len(self.running)} running"]
        parts += [f"${self.spent_usd:.4f}{limit}", f"{time.monotonic() - self.started:.0f} s"]
        asked = sorted({row.llm for row in list(self.running.values())})
        parts += [", ".join(asked[:3])] if asked and self.unit == "tasks" else []
        parts += [self.note] if self.note else []
        return " · ".join([*parts, "Interrupt keeps finished answers"])
