"""What somebody who watches a run can want of it: written into the store, and nothing else done.

A button is pressed on a thread of the kernel's own, while the cell may be blocked: so nothing here
waits, asks or displays. The run itself looks into the store, and says when it saw a wish.
"""

from __future__ import annotations

import getpass
from collections.abc import Callable, Mapping
from typing import Any

from bmad_nb import _loop
from bmad_nb.errors import UsageProblem
from bmad_nb.runs.control import cancelled
from bmad_nb.runs.people import checked_answer
from bmad_nb.state import RunState
from bmad_nb.store.journal import Store


class Reins:
    """What a run can be told by who watches it.

    Args:
        store: where wishes are written down.
        run_id: the run.
        on_resume: called to go on with a run that is paused; must not wait. None where that
            cannot be done from here.
    """

    def __init__(
        self, store: Store, run_id: str, on_resume: Callable[[], Any] | None = None
    ) -> None:
        """Want nothing yet."""
        self._store, self._run_id = store, run_id
        self.on_resume = on_resume
        self.paused_here = False
        """True once it was paused from here, and not resumed since."""

    def pause(self) -> None:
        """Let the run begin nothing more."""
        self.paused_here = True
        self._store.wish(self._run_id, "pause", {"now": False}, getpass.getuser())

    def resume(self) -> None:
        """Go on with it.

        Raises:
            UsageProblem: that cannot be done from here.
        """
        if self.on_resume is None:
            raise UsageProblem(
                f"Run {self._run_id} cannot go on from here.",
                hint=f"Go on with it: %bmad resume {self._run_id}",
            )
        self.paused_here = False
        self.on_resume()

    def cancel(self) -> None:
        """Stop it for good, whether it runs or is paused."""
        run = self._store.run(self._run_id)
        if run.status == "running":
            self._store.wish(self._run_id, "cancel", {}, getpass.getuser())
        else:
            _loop.engine_loop().submit(cancelled(self._store, run))

    def answer(self, state: RunState, task: str, choice: str, said: Mapping[str, Any]) -> None:
        """Answer a task that waits for a person.

        Raises:
            UsageProblem: nobody asks that, it is answered, or the choice is none of the options.
        """
        if task in state.answers:
            raise UsageProblem(f"Task {task!r} was answered already.")
        fields = {str(name): str(text) for name, text in (said.get("fields") or {}).items()}
        comment = str(said.get("comment") or "")
        answer = checked_answer(state.questions.get(task), task, choice, comment, fields)
        by = getpass.getuser()
        payload = {"task": task, "answer": {**answer, "by": by}}
        self._store.wish(self._run_id, "answer", payload, by)
