"""What a cell shows while it waits for a run, and what of it stays in the notebook.

One display handle per cell: a monitor where a workflow runs, columns of text where answers are
compared. At the end the same handle is given what stays: the result's static bundle.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from IPython.display import display

from bmad_nb.errors import RunCancelled, RunPaused
from bmad_nb.events import TaskAsked
from bmad_nb.live.feed import LOOK_S, Feed
from bmad_nb.live.reins import Reins
from bmad_nb.render.coming import Coming, coming_html, coming_text
from bmad_nb.runs.batch import Batch
from bmad_nb.runs.execution import Execution
from bmad_nb.runs.progress import Progress
from bmad_nb.widgets.monitor import WIDGET, RunMonitor

FIRST_S = 0.4
"""Seconds of waiting before anything is shown: what is quick needs no view that goes away again."""
HEARING_S = 4.0
"""Seconds in which a view must have been heard of; else its buttons do not act in this cell."""


class LiveCell:
    """The live view of one cell.

    Args:
        space: its workspace.
        count: returns the number of the cell that runs now.
        ask: asks a person in the cell itself, where the view's buttons do not act.
    """

    def __init__(
        self, space: Any, count: Callable[[], int], ask: Callable[[TaskAsked], Any]
    ) -> None:
        """Show nothing yet."""
        self._space, self._count, self._ask = space, count, ask
        self._began_s = self._next_s = time.monotonic()
        self._handle: Any = None
        self._last: dict[str, Any] = {}
        self._progress: Progress | None = None
        self._resumed = threading.Event()
        self.monitor: RunMonitor | None = None
        self._opened_s = 0.0

    # --- while it waits -------------------------------------------------------------------------

    def tick(self, running: Any) -> None:
        """Show how far a run is; called about ten times a second, on the cell's own thread."""
        now_s = time.monotonic()
        if now_s - self._began_s < FIRST_S or now_s < self._next_s:
            return
        self._next_s = now_s + LOOK_S
        if isinstance(running, Execution):
            if running.begun:
                self._watch(running)
        elif isinstance(running, Batch):
            self._progress = running.progress
            line, columns = running.progress.line(), columns_of(running.progress)
            self._show({
                "text/plain": coming_text(line, columns), "text/html": coming_html(line, columns),
            })  # fmt: skip

    def question(self, asked: TaskAsked) -> Mapping[str, Any] | None:
        """Leave a question to the monitor; ask here where nothing was heard of it in time."""
        monitor = self.monitor
        if monitor is None or monitor.hears:
            return None
        if time.monotonic() - self._opened_s < HEARING_S:
            return None
        answer: Mapping[str, Any] | None = self._ask(asked)
        return answer

    def hold(self, stopped: RunPaused) -> bool:
        """Wait, where the run was paused by this cell's own button, until it is told to go on.

        Raises:
            RunCancelled: it was cancelled instead.
        """
        monitor = self.monitor
        if monitor is None or not monitor.reins.paused_here:
            return False
        store, run_id = self._space.store, stopped.run_id
        self._resumed.clear()
        try:
            while not self._resumed.wait(0.2):
                status = store.run(run_id).status
                if status == "cancelled":
                    raise RunCancelled(f"Run {run_id} was cancelled.", run_id=run_id)
                if status not in {"paused", "interrupted"}:
                    return False  # another process has taken it up
        except KeyboardInterrupt:
            return False
        return True

    def _watch(self, running: Execution) -> None:
        run_id = running.run.run_id
        known = self.monitor
        texts = running.progress.texts
        if known is not None and known.feed.run_id == run_id:
            known.feed.texts = texts.copy
            return
        if known is not None:
            known.close()
        feed = Feed(self._space.store, run_id, texts.copy)
        feed.slots = self._space.settings.engine.max_concurrent_tasks
        self.monitor = RunMonitor(feed, Reins(self._space.store, run_id, self._resumed.set))
        self._opened_s = time.monotonic()
        line = f"Run {run_id}: {running.progress.line()}"
        view = {"version_major": 2, "version_minor": 0, "model_id": self.monitor.model_id}
        self._show({
            "text/plain": coming_text(line, ()), "text/html": coming_html(line, ()), WIDGET: view,
        })  # fmt: skip
        self.monitor.watch()

    def _show(self, bundle: dict[str, Any]) -> None:
        if bundle == self._last:
            return
        self._last = bundle
        if self._handle is None:
            self._handle = display(bundle, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(bundle, raw=True)

    # --- at the end -----------------------------------------------------------------------------

    def freeze(self, result: Any) -> None:
        """Let the result's static bundle take the place of the live view, if there was one.

        The cell's value is then not shown a second time below it.

        Args:
            result: what the cell gives or what a stopped run has; of what has no bundle (a table,
                or nothing) how far the answers came stays above it.
        """
        if self.monitor is not None:
            self.monitor.settle()
        if self._handle is None:
            return
        if hasattr(result, "_repr_mimebundle_"):
            self._show(dict(result._repr_mimebundle_()))
            _show_no_more(result, self._count)
        elif WIDGET in self._last:
            self._show({key: each for key, each in self._last.items() if key != WIDGET})
        elif self._progress is not None:
            line = self._progress.facts(over=True)
            self._show({"text/plain": coming_text(line, ()), "text/html": coming_html(line, ())})
        if self.monitor is not None:
            self.monitor.close()


def columns_of(progress: Progress) -> list[Coming]:
    """Return what each LLM has said so far, in the order in which they were asked."""
    texts = dict(progress.texts)
    found = []
    for name, each in list(progress.columns.items()):
        done = [f"{each.done:,} done"] if each.done else []
        done += [f"{each.failed:,} failed"] if each.failed else []
        text = texts.get(each.running, "")
        state = " · ".join([*(["running"] if each.running else []), *done]) or "waiting"
        found.append(Coming(name, state, text or each.text, each.simulated, is_tail=bool(text)))
    return found


def _show_no_more(result: Any, count: Callable[[], int]) -> None:
    """Let a value that stands in the cell already not be shown as its value too.

    In a later cell it is shown as ever: IPython goes on as if there were no such method.
    """
    here = count()

    def shown_already() -> None:
        if count() != here:
            raise NotImplementedError

    result._ipython_display_ = shown_already
