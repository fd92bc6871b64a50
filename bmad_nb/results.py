"""What a run gives back: answers as text, rows as a DataFrame, and how they look in a cell."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Self

from bmad_nb.comparing import Contrasts
from bmad_nb.errors import OutputInvalid, UnknownName, UsageProblem
from bmad_nb.events import CallRow, RunRow
from bmad_nb.learning import with_scores
from bmad_nb.render.base import ComparisonView, plain, sendable
from bmad_nb.render.verdict import are_mixed
from bmad_nb.store.scores import ScoreRow
from bmad_nb.workflow import output

if TYPE_CHECKING:
    import pandas as pd

    from bmad_nb.charts import Chart

MIME = "application/vnd.bmad.run+json"
"""The one MIME type of bmad_nb: a run's rows, for programs that read notebooks."""
MIME_VERSION = 1
_MIME_TEXT_LIMIT = 64_000
_MIME_MANY = 200
"""Rows from which on what is empty, missing or false is left out of each."""
_MIME_COLUMNS = (
    "call_id", "case", "llm", "variant", "sample", "state", "text", "score", "scorer", "reference",
    "cost_usd", "original_cost_usd", "latency_s", "original_latency_s", "first_token_s",
    "input_tokens", "output_tokens", "from_store", "simulated", "runs_here", "billed",
    "finish_reason", "error_kind", "error", "request_key",
)  # fmt: skip


class Result:
    """Answers of one run.

    `str(result)` is the answer, so that it can stand in the next prompt. `result.df` has a row per
    call. The last expression of a cell shows the card.

    Args:
        run: the run.
        rows: its final rows, one per case, LLM, setting and sample.
        notes: sentences that weaken or explain the result.
        duration_s: seconds that the run took.
        earlier: calls of this run that broke off and were made again or not at all.
        schema: JSON Schema that the answers were asked to match, if they were.
        scores: what checks, judges and people said of the answers since.
    """

    def __init__(
        self,
        run: RunRow,
        rows: Sequence[CallRow],
        *,
        notes: Sequence[str] = (),
        duration_s: float | None = None,
        earlier: Sequence[CallRow] = (),
        schema: Mapping[str, Any] | None = None,
        scores: Sequence[ScoreRow] = (),
    ) -> None:
        """Keep the rows; everything else is worked out when it is asked for."""
        self.run = run
        self.kept = tuple(scores)
        """Scores of its answers, as the store has them."""
        self.rows = with_scores(rows, self.kept)
        self.notes = tuple(notes)
        self.duration_s = duration_s
        self.earlier = tuple(earlier)
        self.schema = schema
        self.name = "r"
        """The variable that the card's own examples speak of."""
        self.home: Any = None
        """The workspace that it came from, so that it can be rated; None where nobody said it."""
        known = self.run.options.get("calls", 0) if isinstance(self.run.options, dict) else 0
        self.left = max(0, known - len(rows)) if run.status != "completed" else 0
        """Calls of a run that was stopped which were never begun."""
        self.chat = ""
        """The conversation that it is a turn of."""

    @property
    def id(self) -> str:
        """Id of the run."""
        return self.run.run_id

    @property
    def answers(self) -> Mapping[Any, CallRow]:
        """Answered calls by column label; by (case, label) where there are cases."""
        answered = [row for row in self.rows if row.state == "answered"]
        if any(row.case for row in self.rows):
            return {(row.case, row.label): row for row in answered}
        return {row.label: row for row in answered}

    @property
    def text(self) -> str:
        """The answer: the best one where scores say so, else the first."""
        row = self.best or next((r for r in self.rows if r.state == "answered"), None)
        return (row.text or "") if row else ""

    def __str__(self) -> str:
        """Return the answer."""
        return self.text

    @property
    def output(self) -> Any:
        """The value of the answer, which matches the schema that was asked for.

        Raises:
            UsageProblem: none was asked for.
            OutputInvalid: the answer does not match it.
        """
        if self.schema is None:
            raise UsageProblem("No output was asked for.", hint="Ask with output={field: type}.")
        return output.read_answer(self.text, self.schema)

    @property
    def outputs(self) -> Mapping[Any, Any]:
        """Values of the answers by label, as in `answers`; what does not match is left out.

        Raises:
            UsageProblem: no output was asked for.
        """
        if self.schema is None:
            raise UsageProblem("No output was asked for.", hint="Ask with output={field: type}.")
        found = {}
        for label, row in self.answers.items():
            with contextlib.suppress(OutputInvalid):
                found[label] = output.read_answer(row.text or "", self.schema)
        return found

    @property
    def best(self) -> CallRow | None:
        """The answer with the highest score; None without comparable ones, with a tie, over cases.

        Over cases the card's verdict says which LLM is best, and whether that is shown.
        """
        if len({row.case for row in self.rows}) > 1 or are_mixed(self.rows):
            return None
        scored = sorted(
            (r for r in self.rows if r.state == "answered" and r.score is not None),
            key=lambda r: r.score or 0.0,
            reverse=True,
        )
        if not scored or (len(scored) > 1 and scored[0].score == scored[1].score):
            return None
        return scored[0]

    @property
    def df(self) -> pd.DataFrame:
        """A row per call, with the columns of `bmad_nb.frames.CALLS`."""
        from bmad_nb import frames

        return frames.calls(self.rows)

    @property
    def scores(self) -> pd.DataFrame:
        """A row per score of an answer, with the columns of `bmad_nb.columns.SCORES`.

        The column `score` of `df` has the newest of the best source: a person's rating, else a
        check, else a judge.
        """
        from bmad_nb import frames

        return frames.scores(self.kept)

    def scored(self, scores: Sequence[ScoreRow], notes: Sequence[str] = ()) -> Self:
        """Return the same result with these scores, and further notes."""
        made = type(self)(
            self.run, self.rows, notes=(*self.notes, *notes), duration_s=self.duration_s,
            earlier=self.earlier, schema=self.schema, scores=scores,
        )  # fmt: skip
        made.name, made.home = self.name, self.home
        return made

    @property
    def cost_usd(self) -> Decimal:
        """Known cost of this run in US dollars; simulated money is not in it."""
        return self._cost(simulated=False)

    @property
    def simulated_cost_usd(self) -> Decimal:
        """Invented cost of the simulated LLMs in this run, in US dollars."""
        return self._cost(simulated=True)

    @property
    def unpriced_calls(self) -> int:
        """Answered calls whose price nobody knows."""
        return sum(r.state == "answered" and r.cost_usd is None for r in self.rows)

    @property
    def calls_made(self) -> int:
        """Calls that were sent in this run, not counting answers from the store."""
        return sum(not r.from_store for r in self.rows)

    @property
    def why(self) -> str:
        """Where each answer comes from, a line per column of the comparison."""
        lines = {}
        for row in self.rows:
            if row.state != "answered":
                lines[row.label] = (
                    f"{row.label}: {row.error_kind or row.state}. {row.error}".strip()
                )
            elif row.from_store:
                lines[row.label] = (
                    f"{row.label}: an equal request was answered before; from the store."
                )
            else:
                lines[row.label] = (
                    f"{row.label}: asked by name, answered in {row.latency_s or 0:.2f} s."
                )
        return "\n".join(lines.values())

    def diff(self, a: str, b: str, *, case: str = "") -> str:
        """Return the differences of two answers, word by word: `[-left out-] {+added+}`.

        Args:
            a: column label of the baseline.
            b: column label of the other answer.
            case: label of the case, where there are cases.

        Raises:
            UnknownName: no such answer.
        """
        from bmad_nb.render.diff import diff_text

        return diff_text(self._answer(a, case), self._answer(b, case))

    def plot(self, kind: str = "frontier") -> Chart:
        """Return a plotly figure with a static twin.

        Args:
            kind: `frontier` (cost against score), `latency`, `cost`, `scores` or `agreement`.

        Raises:
            UnknownName: no such chart.
        """
        from bmad_nb import charts

        if kind not in charts.KINDS:
            raise UnknownName("chart", kind, charts.KINDS)
        return charts.KINDS[kind](self.df)

    def view(self) -> ComparisonView:
        """Return what the displays draw."""
        return ComparisonView(
            run_id=self.run.run_id,
            verb=self.run.verb,
            rows=self.rows,
            status=self.run.status,
            budget_usd=self.run.budget_usd,
            duration_s=self.duration_s,
            notes=(*self.notes, *stopped_early(self.left)),
            next_steps=self._next_steps(),
            name=self.name,
            left=self.left,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the run as JSON values, as the MIME type carries it; money as text."""
        rows = [{c: _json(getattr(row, c)) for c in _MIME_COLUMNS} for row in self.rows]
        whole = sum(len(row["text"] or "") for row in rows) <= _MIME_TEXT_LIMIT
        if not whole:
            for row in rows:
                row["text"] = None
        if len(rows) > _MIME_MANY:
            rows = [
                {name: v for name, v in row.items() if not (v is None or v is False or v == "")}
                for row in rows
            ]
        return {
            "version": MIME_VERSION,
            "run_id": self.run.run_id,
            "verb": self.run.verb,
            "status": self.run.status,
            "texts": "here" if whole else "in the store",
            "cost_usd": str(self.cost_usd),
            "simulated_cost_usd": str(self.simulated_cost_usd),
            "unpriced_calls": self.unpriced_calls,
            "notes": list(self.notes),
            "rows": rows,
        }

    def _cost(self, *, simulated: bool) -> Decimal:
        return sum(
            (r.cost_usd for r in self.rows if r.cost_usd and r.simulated is simulated), Decimal(0)
        )

    def _answer(self, label: str, case: str) -> str:
        key: Any = (case, label) if any(row.case for row in self.rows) else label
        row = self.answers.get(key)
        if row is None:
            raise UnknownName("answer", str(key), map(str, self.answers))
        return row.text or ""

    def _next_steps(self) -> tuple[str, ...]:
        if self.run.status in {"paused", "interrupted"}:
            return ("run the cell again to go on", f"%bmad show {self.id}")
        return (f"{self.name}.df", f"{self.name}.text")

    def _html(self) -> str:
        from bmad_nb.render.text import answer_html

        return answer_html(self.rows[0], self.chat)

    def _text(self) -> str:
        from bmad_nb.render.text import answer_text

        return answer_text(self.rows[0], self.chat)

    def _repr_mimebundle_(self, **_wanted: Any) -> dict[str, Any]:
        """Return the static bundle: nothing in it runs, and nothing is fetched."""
        return {
            "text/plain": self._text(),
            "text/html": self._html(),
            MIME: sendable(self.to_json()),
        }

    def __repr__(self) -> str:
        """Return the plain form, safe on a terminal."""
        return self._text()


class Comparison(Contrasts, Result):
    """Answers of several LLMs, settings or samples, side by side."""

    def view(self) -> ComparisonView:
        """Return what the displays draw, with the baseline that was chosen."""
        return dataclasses.replace(super().view(), baseline=self.baseline)

    def _html(self) -> str:
        from bmad_nb.render.compare import compare_html

        return compare_html(self.view())

    def _text(self) -> str:
        from bmad_nb.render.text import compare_text

        return compare_text(self.view())

    def _next_steps(self) -> tuple[str, ...]:
        steps = super()._next_steps()
        labels = list(dict.fromkeys(row.label for row in self.rows if row.state == "answered"))
        if self.run.status == "completed" and len(labels) > 1:
            steps = (f"{self.name}.df", f"{self.name}.plot()")
            if any(row.case for row in self.rows):
                steps += (f"{self.name}.disagreements",)
            else:
                steps += (f"{self.name}.diff({labels[0]!r}, {labels[1]!r})",)
            steps += (f"{self.name}.explore()",)
            steps += (f"%bmad show {self.id}",)
        return steps


def stopped_early(left: int) -> tuple[str, ...]:
    """Return what is to be said of a run with calls that were never begun."""
    were = f"{left:,} {'call was' if left == 1 else 'calls were'} never begun"
    return (f"{were}; run it again, and only the rest is asked.",) if left else ()


def _json(value: Any) -> Any:
    return str(value) if isinstance(value, Decimal) else value


class Text:
    """A table or message that a verb returns: safe plain text, also as JSON."""

    def __init__(self, text: str, value: Any = None) -> None:
        """Keep the text to show, and the same facts for programs."""
        self.text = plain(text)
        self.value = value

    def __repr__(self) -> str:
        """Return the text."""
        return self.text

    def to_json(self) -> Any:
        """Return the facts as JSON values."""
        return self.value if self.value is not None else self.text


def as_json(result: Any) -> str:
    """Return any verb's result as JSON text, for `--json`.

    Raises:
        UsageProblem: it has no JSON form.
    """
    if hasattr(result, "to_json") and hasattr(result, "columns"):
        return str(result.to_json(orient="records", date_format="iso"))
    if hasattr(result, "to_json"):
        return json.dumps(result.to_json(), indent=2, ensure_ascii=True)
    raise UsageProblem(f"{type(result).__name__} has no JSON form.")
