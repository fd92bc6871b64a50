"""What a terminal shows while a verb works, and how it shows tables: `rich`, and nothing else.

Standard error has the progress, standard output the data. A pipe gets neither colour nor codes:
there the plain forms of `render` are printed.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bmad_nb.render.base import plain, seconds, usd
from bmad_nb.render.report import MOST_ROWS, ReportView, head_of, shown_value
from bmad_nb.runs.progress import Progress

EVERY_S = 0.2
MOST_CALLS = 6
"""Calls in flight that are shown."""
NARROW = 16
"""Characters up to which a value is never broken."""
WIDEST = 40
"""Cells of a column beyond which its texts are broken."""


class Board:
    """Progress on a terminal, redrawn in place: steps, money, time left, and who is asked.

    Args:
        workspace: whose progress it is.
    """

    def __init__(self, workspace: Any) -> None:
        """Draw nothing yet."""
        self._workspace = workspace
        self._live: Live | None = None
        self._next = time.monotonic() + EVERY_S

    def __call__(self) -> None:
        """Draw, if it is time to."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + EVERY_S
        if self._live is None:
            console = Console(stderr=True)
            self._live = Live(  # what is on standard output stays there
                console=console, auto_refresh=False, transient=True,
                redirect_stdout=False, redirect_stderr=False,
            )  # fmt: skip
            self._live.start()
        self._live.update(drawn(self._workspace.progress), refresh=True)

    def clear(self) -> None:
        """Take it away, so that something else can be printed."""
        if self._live is not None:
            self._live.stop()
            self._live = None


def drawn(progress: Progress) -> Group:
    """Return a picture of where a run stands."""
    limit = "" if progress.limit_usd is None else f" of {usd(progress.limit_usd)}"
    parts = [f"{progress.done}/{progress.total} {progress.unit}"]
    parts.append(f"{usd(progress.spent_usd)}{limit}")
    if progress.invented_usd:
        parts.append(f"simulated {usd(progress.invented_usd)}{limit}")
    parts.append(seconds(time.monotonic() - progress.started))
    if progress.left_s is not None:
        parts.append(f"about {seconds(progress.left_s)} left")
    head = Table.grid(padding=(0, 2))
    head.add_row(
        ProgressBar(max(1, progress.total), progress.done, width=24), Text(" · ".join(parts))
    )
    calls = list(progress.running.values())
    lines = [
        Text(plain(f"  asks {call.llm}" + (f" for {call.task}" if call.task else "")), style="dim")
        for call in calls[:MOST_CALLS]
    ]
    if len(calls) > MOST_CALLS:
        lines.append(Text(f"  and {len(calls) - MOST_CALLS} more", style="dim"))
    note = [Text(plain(progress.note), style="dim")] if progress.note else []
    return Group(head, *lines, *note, Text("Ctrl-C keeps finished answers", style="dim"))


def show_report(view: ReportView) -> None:
    """Print a report on the terminal."""
    console = Console()
    if view.title:
        first, _, rest = view.title.partition("\n")
        console.print(Text(plain(first), style="bold"))
        if rest:
            console.print(Text(plain(rest)))
    for title, rows in view.tables.items():
        names = list(rows[0]) if rows else []
        show_table(console, title, names, [[row.get(n) for n in names] for row in rows])
    for note in view.notes:
        console.print(Text(plain(note), style="dim"))


def show_table(
    console: Console, title: str, names: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    """Print one table; nothing in it is read as markup."""
    if not rows:
        console.print(Text(f"{title}: nothing to show." if title else "Nothing to show."))
        return
    table = Table(title=Text(plain(title), style="bold") if title else None, title_justify="left",
                  box=box.SIMPLE_HEAD, pad_edge=False)  # fmt: skip
    for place, name in enumerate(names):
        values = [row[place] for row in rows if row[place] is not None]
        right = all(isinstance(each, int | float | Decimal) for each in values)
        narrow = max((len(str(each)) for each in values), default=0) <= NARROW
        table.add_column(Text(head_of(name)), justify="right" if right else "left",
                         overflow="fold", no_wrap=narrow)  # fmt: skip
    for row in rows[:MOST_ROWS]:
        table.add_row(*(Text(shown_value(n, v)) for n, v in zip(names, row, strict=True)))
    console.print(table)
    if len(rows) > MOST_ROWS:
        console.print(Text(f"{len(rows) - MOST_ROWS:,} more", style="dim"))


def show_frame(names: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Print a frame on the terminal: the columns that say something, as many as fit."""
    found, console = list(rows), Console()
    chosen = [n for n in names if any(row[n] not in (None, "", 0, False) for row in found)]
    left = [n for n in names if n not in chosen]
    while len(chosen) > 2 and sum(_width(n, found) + 3 for n in chosen) > console.width:
        left.append(chosen.pop())
    show_table(console, "", chosen, [[row[n] for n in chosen] for row in found])
    if left:
        console.print(Text(f"Not shown: {', '.join(map(head_of, left))} (--json)", style="dim"))


def _width(name: str, rows: Sequence[Mapping[str, Any]]) -> int:
    """Return the cells that a column wants, long texts cut."""
    shown = [head_of(name), *(shown_value(name, row[name]) for row in rows[:MOST_ROWS])]
    return min(WIDEST, max(map(len, shown)))
