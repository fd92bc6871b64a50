"""Two runs of a workflow beside each other: which tasks came out otherwise, and at which price."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bmad_nb.events import RunRow

if TYPE_CHECKING:
    import pandas as pd

    from bmad_nb.render.run_changes import RunChangesView


class RunChanges:
    """What has become of each task since an earlier run.

    Args:
        run: the later `Run`; it makes this object, so its class is not imported here.
        before: the earlier one.
    """

    def __init__(self, run: Any, before: Any) -> None:
        """Keep both; their tasks are read when they are asked for."""
        self._run, self._before = run, before
        self.name = ""
        """The variable that the card's own examples speak of; empty for none."""

    @property
    def run(self) -> RunRow:
        """The row of the later run."""
        row: RunRow = self._run.run
        return row

    @property
    def before(self) -> RunRow:
        """The row of the earlier run."""
        row: RunRow = self._before.run
        return row

    @property
    def df(self) -> pd.DataFrame:
        """A row per task: what each run made of it, LLM, US dollars, seconds and answer.

        Columns of the earlier run end in `_other`; `same` says whether both gave the same.
        """
        frame: pd.DataFrame = self._run.compare(self._before)
        return frame

    def records(self) -> list[dict[str, Any]]:
        """Return the rows of `df` in the order of the tasks, None for what is missing."""
        frame = self.df.astype(object)
        rows: list[dict[str, Any]] = frame.where(frame.notna(), None).to_dict("records")  # type: ignore[assignment]
        order = [*self._run.tasks["task"], *self._before.tasks["task"]]
        return sorted(rows, key=lambda row: order.index(row["task"]))

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"run_id": self.run.run_id, "before": self.before.run_id, "tasks": self.records()}

    def view(self) -> RunChangesView:
        """Return what the displays draw."""
        from bmad_nb.render.run_changes import RunChangesView

        return RunChangesView(self.run, self.before, tuple(self.records()), self.name)

    def _repr_mimebundle_(self, **_wanted: Any) -> dict[str, Any]:
        """Return the static bundle: nothing in it runs, and nothing is fetched."""
        from bmad_nb.render.run_changes import run_changes_html

        return {"text/plain": repr(self), "text/html": run_changes_html(self.view())}

    def __repr__(self) -> str:
        """Return the plain form, safe on a terminal."""
        from bmad_nb.render.run_changes import run_changes_text

        return run_changes_text(self.view())
