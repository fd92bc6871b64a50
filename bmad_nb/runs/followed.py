"""A run as the store has it: read once where it is over, and on and on while it goes on."""

from __future__ import annotations

import importlib
from typing import Any

from bmad_nb.state import RunState, advance
from bmad_nb.store.journal import Store
from bmad_nb.store.stamped import Stamped

OVER = {"completed", "failed", "cancelled"}
"""States after which nothing more happens to a run."""


class Followed:
    """One stored run; what happens to it later is seen when it is looked at again.

    Args:
        store: where it is stored.
        run_id: its id.
    """

    def __init__(self, store: Store, run_id: str) -> None:
        """Read nothing yet."""
        self._store = store
        self.id = run_id
        self._events: list[Stamped] = []
        self._state = RunState()

    @property
    def _stamped(self) -> list[Stamped]:
        self._follow()
        return self._events

    @property
    def state(self) -> RunState:
        """The state that its events fold to."""
        self._follow()
        return self._state

    def _follow(self) -> None:
        """Read what is new; of a run that is over, nothing is."""
        if self._events and self._state.status in OVER:
            return
        new = self._store.events(self.id, self._events[-1].seq if self._events else 0)
        for each in new:
            advance(self._state, each.event)
        self._events += new
        row = self._store.run(self.id)
        if row.status == "interrupted" and self._state.status == "running":
            self._state.status = "interrupted"

    def monitor(self) -> Any:
        """Return a live view of it with Pause, Resume and Cancel, for a notebook.

        It shows what the store has: a run of another process, or one of last week, shows the same.
        """
        # a face is found by its name: no floor below imports one
        return importlib.import_module("bmad_nb.widgets.monitor").opened(self)

    def against(self, before: Any) -> Any:
        """Return what has become of each task since an earlier run; its card shows both.

        Args:
            before: the earlier run.

        Returns:
            a `RunChanges`; its `df` has a row per task.
        """
        from bmad_nb.runs.contrasted import RunChanges

        return RunChanges(self, before)
