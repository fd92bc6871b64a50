"""What can be done with a comparison: filter, sort, contrast, rate blind, explore."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

from bmad_nb.blinding import Blind
from bmad_nb.errors import UnknownName, UsageProblem
from bmad_nb.events import CallRow, RunRow
from bmad_nb.render.base import plain
from bmad_nb.render.columns import agreement, contender_of

if TYPE_CHECKING:
    import pandas as pd

Only = Literal["", "disagree", "failed", "wrong"]
ONLY = ("disagree", "failed", "wrong")
"""Cases that can be picked: answers differ, a call failed, a score is below 1."""
SORTS = ("case", "disagreement", "spread", "score")


class Contrasts:
    """The part of a comparison that contrasts its answers, with each other and with others."""

    run: RunRow
    rows: tuple[CallRow, ...]
    name: str
    home: Any
    left: int
    """Calls of a run that was stopped which were never begun."""
    baseline: str = ""
    """Label of the column that others are compared with; empty for the best one."""

    # --- against each other -----------------------------------------------------------------------

    @property
    def disagreements(self) -> pd.DataFrame:
        """A row per case, the most different first; see `columns.DISAGREEMENTS`."""
        from bmad_nb import contrasts

        return contrasts.disagreements(self.rows)

    @property
    def stability(self) -> pd.DataFrame:
        """How much repeats vary, a row per case, LLM and setting; see `columns.STABILITY`."""
        from bmad_nb import contrasts

        return contrasts.stability(self.rows)

    def paired(self, baseline: str | None = None) -> pd.DataFrame:
        """Return paired differences from one LLM, with intervals; see `columns.PAIRED`.

        Args:
            baseline: an LLM, with its setting; None takes the chosen one, else the best mean.

        Raises:
            UnknownName: it has no score.
            UsageProblem: nothing was scored.
        """
        from bmad_nb import contrasts

        chosen = baseline or self.baseline.partition(" #")[0]
        if not chosen:
            means = contrasts.contender_scores(self.rows)
            chosen = max(means, key=lambda n: sum(means[n].values()) / len(means[n]), default="")
        return contrasts.pairs(self.rows, chosen)

    def from_baseline(self, label: str) -> Self:
        """Return the same comparison, its differences taken from this column.

        Raises:
            UnknownName: no such column has an answer.
        """
        known = {row.label for row in self.rows if row.state == "answered"}
        if label not in known:
            raise UnknownName("column with an answer", label, known)
        made = self._with(self.rows)
        made.baseline = label
        return made

    # --- a part of it -----------------------------------------------------------------------------

    def where(
        self,
        llms: str | Sequence[str] = "*",
        *,
        cases: Iterable[Any] | None = None,
        text: str = "",
        only: Only = "",
    ) -> Self:
        """Return the part of it that is asked for, shown as a comparison of its own.

        Args:
            llms: ids or globs, as a list or with commas; `hasty` finds `sim/hasty`.
            cases: labels of cases.
            text: what a case's label, prompt or answers contain, upper and lower case alike.
            only: `disagree` (answers differ), `failed` (a call brought none) or `wrong` (a score
                is below 1).

        Raises:
            UsageProblem: nothing of it is left, or `only` is another word.
        """
        if only not in {"", *ONLY}:
            raise UsageProblem(f"only cannot be {only!r}.", hint=f"Use {', '.join(ONLY)}.")
        globs = llms.split(",") if isinstance(llms, str) else list(llms)
        wanted = None if cases is None else {str(case) for case in cases}
        rows = [row for row in self.rows if any(_fits(row, glob.strip()) for glob in globs)]
        keep = {
            case
            for case, each in _by_case(rows).items()
            if (wanted is None or case in wanted) and _has(each, text) and _is(each, only)
        }
        rows = [row for row in rows if row.case in keep]
        if not rows:
            raise UsageProblem("Nothing of this comparison fits.", hint="Ask for less.")
        return self._with(rows)

    def sorted(self, by: str = "disagreement", *, ascending: bool | None = None) -> Self:
        """Return it with its cases in another order.

        Args:
            by: `case`, `disagreement` (agreement, then spread of scores), `spread` or `score` (the
                mean of the case).
            ascending: None puts first what needs a look: labels in order, else the worst.

        Raises:
            UnknownName: no such order.
        """
        if by not in SORTS:
            raise UnknownName("order", by, SORTS)
        groups = _by_case(self.rows)
        keys = {case: _key(by, case, each) for case, each in groups.items()}
        order = sorted(groups, key=keys.__getitem__, reverse=ascending is False)
        return self._with([row for case in order for row in groups[case]])

    # --- against an earlier run -------------------------------------------------------------------

    def against(self, earlier: Any) -> Changed:
        """Return what has become of each answer since an earlier run of the same cases.

        Args:
            earlier: a comparison, or the id of a stored run.

        Raises:
            UnknownRun: there is none.
            UsageProblem: it is a workflow's, or nothing of the two is about the same.
        """
        if isinstance(earlier, str):
            earlier = self.its_home().run_of(earlier)
        if not hasattr(earlier, "rows"):
            raise UsageProblem(
                "That is no comparison.", hint="Two runs of a workflow: run.compare(other)."
            )
        found = Changed(self.run, self.rows, earlier.run, earlier.rows)
        if not found.common:
            raise UsageProblem(
                f"Runs {earlier.run.run_id} and {self.run.run_id} share no case and LLM.",
                hint="Compare runs of the same LLMs over the same cases.",
            )
        return found

    # --- people -----------------------------------------------------------------------------------

    def blind(self, case: str = "") -> Blind:
        """Return the answers to a case without names, in an order that tells nothing.

        Args:
            case: its label; the first that has more than one answer where it is empty.

        Raises:
            UnknownName: no such case.
        """
        groups = _by_case(row for row in self.rows if row.state == "answered")
        if case and case not in groups:
            raise UnknownName("case with an answer", case, groups)
        chosen = case or next((c for c, each in groups.items() if len(each) > 1), self.rows[0].case)
        return Blind(self, chosen, groups.get(chosen, []))

    def explore(self) -> Any:
        """Return the interactive view: filter, sort, another baseline, blind rating, keyboard.

        Without a front end (papermill, nbconvert) its saved form is the static card.
        """
        import bmad_nb

        return bmad_nb.explore(self)

    def _with(self, rows: Iterable[CallRow]) -> Self:
        made: Any = self
        found = type(self)(
            self.run, tuple(rows), notes=made.notes, duration_s=made.duration_s,
            earlier=made.earlier, schema=made.schema, scores=made.kept,
        )  # type: ignore[call-arg]  # fmt: skip
        found.left = (
            self.left if len(found.rows) == len(made.rows) else 0
        )  # a part is no stopped run
        found.name, found.home, found.baseline = self.name, self.home, self.baseline
        return found

    def its_home(self) -> Any:
        """Return the workspace that it came from.

        Raises:
            UsageProblem: it does not know it.
        """
        if self.home is None:
            raise UsageProblem("This result has no workspace.", hint="Use ws.run_of(id).")
        return self.home


class Changed:
    """What has become of the answers of an earlier run: regressions, fixed, changed text."""

    def __init__(
        self, run: RunRow, rows: Sequence[CallRow], before: RunRow, earlier: Sequence[CallRow]
    ) -> None:
        """Keep both."""
        self.run, self.before = run, before
        self.rows, self.earlier = tuple(rows), tuple(earlier)
        self.name = ""
        """The variable that the card's own examples speak of; empty for none."""

    @property
    def df(self) -> pd.DataFrame:
        """A row per case, LLM, setting and sample; see `columns.CHANGES`."""
        from bmad_nb import contrasts

        return contrasts.changes(self.rows, self.earlier)

    @property
    def common(self) -> int:
        """Answers that both runs have a place for."""
        places = [{(r.case, r.llm, r.variant, r.sample) for r in rows}
                  for rows in (self.rows, self.earlier)]  # fmt: skip
        return len(places[0] & places[1])

    @property
    def regressions(self) -> pd.DataFrame:
        """What was answered better before, or is not answered any more."""
        return self._of("regression", "lost")

    @property
    def fixed(self) -> pd.DataFrame:
        """What is answered better than before."""
        return self._of("fixed")

    @property
    def changed(self) -> pd.DataFrame:
        """What is answered in other words, and scores the same."""
        return self._of("changed")

    def _of(self, *kinds: str) -> pd.DataFrame:
        found = self.df
        return found[found["change"].isin(kinds)].reset_index(drop=True)

    def records(self) -> list[dict[str, Any]]:
        """Return the rows of `df`, None for what is missing."""
        frame = self.df.astype(object)
        rows: list[dict[str, Any]] = frame.where(frame.notna(), None).to_dict("records")  # type: ignore[assignment]
        return rows

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"run_id": self.run.run_id, "before": self.before.run_id, "changes": self.records()}

    def _repr_mimebundle_(self, **_wanted: Any) -> dict[str, Any]:
        """Return the static bundle: nothing in it runs, and nothing is fetched."""
        from bmad_nb.render.changed import changed_html

        return {"text/plain": repr(self), "text/html": changed_html(self.facts())}

    def facts(self) -> Any:
        """Return what the displays draw."""
        from bmad_nb.render.changed import ChangedView

        return ChangedView(
            self.run.run_id, self.before.run_id, tuple(self.records()), self.name,
            self.before.started_utc, self.run.started_utc,
        )  # fmt: skip

    def __repr__(self) -> str:
        """Return the plain form, safe on a terminal."""
        from bmad_nb.render.changed import changed_text

        return changed_text(self.facts())


def _by_case(rows: Iterable[CallRow]) -> dict[str, list[CallRow]]:
    found: dict[str, list[CallRow]] = {}
    for row in rows:
        found.setdefault(row.case, []).append(row)
    return found


def _fits(row: CallRow, glob: str) -> bool:
    names = (row.label, contender_of(row), row.llm, row.llm.partition("/")[2])
    return any(fnmatch.fnmatchcase(name, glob) for name in names)


def _has(rows: Sequence[CallRow], text: str) -> bool:
    if not text:
        return True
    words = text.casefold()
    texts = [rows[0].case, rows[0].messages[-1].text if rows[0].messages else ""]
    return any(words in each.casefold() for each in (*texts, *(row.text or "" for row in rows)))


def _is(rows: Sequence[CallRow], only: str) -> bool:
    tests: dict[str, Callable[[], bool]] = {
        "": lambda: True,
        "disagree": lambda: (
            (found := agreement(rows)).answers > 1 and found.largest < found.answers
        ),
        "failed": lambda: any(row.state != "answered" for row in rows),
        "wrong": lambda: any(row.score is not None and row.score < 1 for row in rows),
    }
    return tests[only]()


def _key(by: str, case: str, rows: Sequence[CallRow]) -> tuple[Any, ...]:
    """Return what a case is sorted by, the smallest first."""
    if by == "case":
        return (not case.isdecimal(), int(case) if case.isdecimal() else 0, plain(case))
    scores = [row.score for row in rows if row.score is not None]
    spread = max(scores) - min(scores) if scores else 0.0
    if by == "spread":
        return (-spread,)
    if by == "score":
        return (sum(scores) / len(scores) if scores else 2.0,)
    pairs = agreement(rows).pairs
    return (1.0 if pairs is None else pairs, -spread)
