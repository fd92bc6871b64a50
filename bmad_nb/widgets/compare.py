"""The explorer of a comparison: filter, sort, another baseline, blind rating, all by keyboard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import anywidget
import traitlets

from bmad_nb._assets import css, esm
from bmad_nb.errors import BmadError, UsageProblem
from bmad_nb.events import CallRow
from bmad_nb.render.base import cut
from bmad_nb.render.columns import agreement, case_titles, cases, columns
from bmad_nb.results import Comparison
from bmad_nb.widgets.around import is_live

MOST_BYTES = 3_000_000
"""Bytes of texts that go to the browser; of more, each is cut."""
_SHORTEST, _LONGEST = 200, 20_000


class Explorer(anywidget.AnyWidget):
    """An interactive view of a comparison. Ratings are stored as a person's scores.

    Args:
        comparison: what `compare` gave; `comparison` here has the ratings that were made since.
    """

    _esm = esm("compare")
    _css = css("compare")
    board = traitlets.Dict().tag(sync=True)
    """All that is shown: columns, and by case the title, the prompt and the answers."""
    scores = traitlets.Dict().tag(sync=True)
    """Scores by case and by column, as they stand now."""
    baseline = traitlets.Unicode().tag(sync=True)
    """Label of the column that others are compared with."""
    by = traitlets.Unicode().tag(sync=True)
    """Who rates; empty for somebody."""

    def __init__(self, comparison: Comparison, *, by: str = "") -> None:
        """Show it; nothing is asked."""
        self.comparison = comparison
        board = board_of(comparison.rows, comparison.name)
        labels = [each["label"] for each in board["columns"]]
        base = comparison.baseline if comparison.baseline in labels else labels[0]
        scores = scores_of(comparison.rows)
        super().__init__(board=board, scores=scores, baseline=base, by=by)
        self.on_msg(self._told)

    def _told(self, _widget: Any, content: Any, _buffers: Any) -> None:
        """Store a rating, and say what became of it."""
        try:
            self._rate(content if isinstance(content, Mapping) else {})
        except BmadError as error:
            self.send({"kind": "refused", "what": f"{error.what} {error.hint}".strip()})

    def _rate(self, wish: Mapping[str, Any]) -> None:
        case, label, score = wish.get("case"), wish.get("label"), wish.get("score")
        home = self.comparison.home
        if home is None:
            raise UsageProblem("This result has no workspace.", hint="Explore ws.run_of(id).")
        if not (isinstance(case, str) and isinstance(label, str)):
            raise UsageProblem("That is no rating.")
        how = {"case": case, "by": self.by, "blind": wish.get("blind") is True}
        if wish.get("best") is True:
            self.comparison = home.pick(self.comparison, label, **how)
        else:
            self.comparison = home.rate(self.comparison, label, score, **how)
        self.scores = scores_of(self.comparison.rows)
        self.send({"kind": "rated", "case": case, "label": label})

    def _repr_mimebundle_(self, **wanted: Any) -> Any:
        """Return the live view over the static card; the card alone where nobody can answer."""
        static = self.comparison._repr_mimebundle_()
        if not is_live():
            return static
        made: Any = super()._repr_mimebundle_(**wanted)
        live, about = made if isinstance(made, tuple) else (made, {})
        return {**static, **live, "text/plain": static["text/plain"]}, about


def explore(comparison: Any, *, by: str = "") -> Explorer:
    """Return the interactive view of a comparison.

    Args:
        comparison: what `compare` gave.
        by: who rates.

    Raises:
        UsageProblem: it is none.
    """
    if not isinstance(comparison, Comparison):
        raise UsageProblem(
            f"A {type(comparison).__name__} cannot be explored.", hint="Give what compare returned."
        )
    return Explorer(comparison, by=by)


def board_of(rows: Sequence[CallRow], name: str = "r") -> dict[str, Any]:
    """Return what the explorer shows, as JSON values; long texts are cut, and say so."""
    shown, titles = columns(rows), case_titles(rows)
    size = sum(len(row.text or "") for row in rows)
    limit = _LONGEST if size <= MOST_BYTES else max(_SHORTEST, MOST_BYTES // len(rows))
    grouped: dict[str, list[CallRow]] = {}
    for row in rows:
        grouped.setdefault(row.case, []).append(row)
    order = {column.label: n for n, column in enumerate(shown)}
    return {
        "name": name,
        "columns": [
            {"label": c.label, "simulated": c.simulated, "here": c.runs_here} for c in shown
        ],
        "cases": [
            {
                "case": case, "title": cut(titles[case], 240) or "the prompt",
                "prompt": cut(_asked(grouped[case]), 4_000),
                "reference": cut(grouped[case][0].reference or "", 1_000),
                "agreement": agreement(grouped[case]).pairs,
                "answers": [_answer(row, order[row.label], limit) for row in grouped[case]],
            }
            for case in cases(rows)
        ],
    }  # fmt: skip


def scores_of(rows: Sequence[CallRow]) -> dict[str, dict[str, Any]]:
    """Return score and scorer by case and by column, of those that have one."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        if row.score is not None and row.state == "answered":
            found.setdefault(row.case, {})[row.label] = [row.score, row.scorer]
    return found


def _answer(row: CallRow, column: int, limit: int) -> dict[str, Any]:
    text = row.text or ""
    shown = text[:limit]
    said: dict[str, Any] = {"column": column, "text": shown}
    if len(shown) < len(text):
        said["more"] = len(text) - len(shown)
    if row.state != "answered":
        said["failed"] = f"{row.error_kind or row.state}: {cut(row.error, 600)}".rstrip(": ")
    cost = row.original_cost_usd if row.from_store else row.cost_usd
    took = row.original_latency_s if row.from_store else row.latency_s
    said["cost_usd"] = None if cost is None else float(cost)
    said["latency_s"] = took
    return said


def _asked(rows: Sequence[CallRow]) -> str:
    return rows[0].messages[-1].text if rows[0].messages else ""
