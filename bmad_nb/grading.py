"""Scoring answers that are there: by checks, by judges that are asked, by people; and learning."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from bmad_nb import _loop, learning
from bmad_nb.budget import parse_usd
from bmad_nb.errors import RunStopped, UnknownName, UsageProblem
from bmad_nb.events import CallRow
from bmad_nb.jury import Jury, jury_of
from bmad_nb.messages import fingerprint
from bmad_nb.render.base import counted, listed, usd
from bmad_nb.results import Comparison, Result
from bmad_nb.runs.asks import spent
from bmad_nb.runs.batch import Batch
from bmad_nb.runs.examples import examples_of
from bmad_nb.runs.home import Home
from bmad_nb.runs.learned import Learned
from bmad_nb.scorers.base import Scorer
from bmad_nb.scorers.choice import scorer_of
from bmad_nb.scorers.judge import DEFAULT_RUBRIC
from bmad_nb.store import scores
from bmad_nb.store.scores import ScoreRow

MOST_REPAIRS = 2
"""How often a judgement that cannot be used is asked for again."""


class Grading(Home):
    """The part of a workspace that says how good answers are, and remembers it."""

    # --- checks ---------------------------------------------------------------------------------

    def score(
        self,
        result: Result,
        scorer: str | Scorer | Callable[[str, str], Any],
        reference: str | Mapping[str, str] | None = None,
        *,
        task_type: str = "",
        learn: bool = True,
    ) -> Any:
        """Score the answers of a result by a check, and return the result with its scores.

        Args:
            result: what `ask` or `compare` gave.
            scorer: `exact`, `numeric`, `regex`, `token_f1`, `rouge_l`, `wording`, `json_schema`,
                `code_tests` (runs the answers' code), an object of the `Scorer` protocol such as
                `bmad_nb.scorers.texts.Semantic(embed)`, or a function of answer and reference.
            reference: what answers are compared with: a text for all, or by case. None takes the
                references that the result was asked with; cases without one stay unscored.
            task_type: kind of task that something is learned about.
            learn: False where nothing may be learned from it, such as on a test set.

        Raises:
            UnknownName: no such scorer.
            UsageProblem: there is no reference, or it does not suit the scorer.
        """
        found = scorer_of(scorer)
        rows = [
            _checked(row, found, _reference(row, reference, found.name), task_type, learn=learn)
            for row in _referred(_answered(result), reference)
        ]
        return self._kept(result, rows, ())

    # --- judges ---------------------------------------------------------------------------------

    def judge(
        self,
        result: Result,
        llms: str | Iterable[str] = "auto",
        *,
        rubric: str = DEFAULT_RUBRIC,
        pairwise: bool = False,
        samples: int = 1,
        budget_usd: float | str | Decimal | None = None,
        fresh: bool = False,
        replay: bool = False,
        task_type: str = "",
        learn: bool = True,
    ) -> Any:
        """Let LLMs score the answers of a result, and return the result with their scores.

        The judging is a durable run of its own: what is judged is stored, and is not paid twice.

        Args:
            result: what `ask` or `compare` gave.
            llms: who judges, as a list or with commas; several are a panel. `auto` takes the most
                capable LLM that is of none of the candidates' families.
            rubric: what a good answer is.
            pairwise: each two answers of a case against each other, in both orders; a choice that
                turns with the order is a tie. Else each answer by itself, from 0 to 1.
            samples: judgements of each judge, of which the mean is taken.
            budget_usd: hard limit in US dollars on the judging.
            fresh: ask anew, even where a judgement is stored.
            replay: ask nobody.
            task_type: kind of task that something is learned about.
            learn: False where nothing may be learned from it.

        Raises:
            UsageProblem: nobody can judge, or there is nothing to judge.
            RunPaused: interrupted, or stopped by the budget; `result` is the one that was given.
        """
        wish = _How(budget_usd, fresh=fresh, replay=replay)
        job = self._jury(
            result, llms, rubric=rubric, pairwise=pairwise, samples=samples, task_type=task_type,
            learn=learn, replay=replay,
        )  # fmt: skip
        judged: list[Comparison] = []
        try:
            while (batch := self._next(job, judged, wish)) is not None:
                judged.append(self.wait(batch.execute(Comparison), batch))
        except RunStopped as stopped:
            stopped.result = result
            raise
        return self._judged(result, job, judged)

    async def ajudge(self, result: Result, llms: str | Iterable[str] = "auto", **given: Any) -> Any:
        """Judge, from code that has an event loop of its own; see `judge`."""
        how = {name: given.pop(name, False) for name in ("fresh",)}
        wish = _How(given.pop("budget_usd", None), **how, replay=bool(given.get("replay")))
        job = self._jury(result, llms, **given)
        judged: list[Comparison] = []
        try:
            while (batch := self._next(job, judged, wish)) is not None:
                judged.append(await _loop.arun(batch.execute(Comparison)))
        except RunStopped as stopped:
            stopped.result = result
            raise
        return self._judged(result, job, judged)

    def _jury(
        self,
        result: Result,
        llms: str | Iterable[str],
        *,
        rubric: str = DEFAULT_RUBRIC,
        replay: bool = False,
        **wish: Any,
    ) -> Jury:
        return jury_of(_answered(result), self.llms(replay=replay), llms, rubric=rubric, **wish)

    def _next(self, job: Jury, judged: Sequence[Comparison], wish: _How) -> Batch | None:
        """Return the next calls of a judging: all, then what cannot be used, at most twice."""
        if len(judged) > MOST_REPAIRS:
            return None
        cells = job.repairs(judged[-1].rows) if judged else job.cells
        if not cells:
            return None
        catalog = self.llms(replay=wish.replay)
        made = [row for each in judged for row in (*each.rows, *each.earlier)]
        batch = Batch(
            "judge", job.title, cells, fresh=wish.fresh and not catalog.replay,
            replay=catalog.replay, budget_usd=rest_of(wish.budget_usd, made), store=self.store,
            settings=self.settings.engine, price_of=catalog.price, above=self.budgets,
            schema=job.schema,
        )  # fmt: skip
        self.progress = batch.progress
        return batch

    def _judged(self, result: Result, job: Jury, judged: Sequence[Comparison]) -> Any:
        """Return a result with what judges said of it, the last word of each."""
        last = {
            (row.case, row.llm, row.variant, row.sample): row
            for each in judged
            for row in each.rows
        }
        rows = list(last.values())
        notes = [*_cost_of(judged), *job.notes(rows)]
        return self._kept(result, job.scores(rows), notes)

    # --- people ---------------------------------------------------------------------------------

    def rate(
        self,
        result: Result,
        label: str,
        score: float,
        *,
        case: str = "",
        by: str = "",
        task_type: str = "",
        learn: bool = True,
        blind: bool = False,
    ) -> Any:
        """Say how good an answer is, and return the result with that rating.

        Args:
            result: what `ask` or `compare` gave.
            label: the answer's column, such as `sim/careful`.
            score: from 0 to 1.
            case: label of the case, where there are cases.
            by: who says it; a later rating by the same person takes the place of an earlier one.
            task_type: kind of task that something is learned about.
            learn: False where nothing may be learned from it.
            blind: who says it did not know whose answer it is; that is stored with it.

        Raises:
            UnknownName: no such answer.
            UsageProblem: a score that is none.
        """
        value = score.item() if hasattr(score, "item") else score
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise UsageProblem(f"A score of {str(score)[:40]} is none.", hint="Give 0 to 1.")
        row = _row_of(result, label, case)
        who = by or "a person"
        rated = _score_of(
            row, who, "human", float(value), task_type, learn=learn,
            key=fingerprint(["rate", who]), explanation="rated blind" if blind else "",
        )  # fmt: skip
        return self._kept(result, [rated], ())

    def pick(
        self,
        result: Result,
        label: str,
        *,
        case: str = "",
        by: str = "",
        task_type: str = "",
        learn: bool = True,
        blind: bool = False,
    ) -> Any:
        """Say which answer of a case is the best; it gets 1 and the others 0.

        Args: those of `rate`.

        Raises:
            UnknownName: no such answer.
        """
        best = _row_of(result, label, case)
        who = by or "a person"
        rows = [
            _score_of(
                row, f"{who}'s pick", "human", float(row is best), task_type, learn=learn,
                key=fingerprint(["pick", who]), explanation="rated blind" if blind else "",
            )
            for row in _answered(result)
            if row.case == best.case
        ]  # fmt: skip
        return self._kept(result, rows, ())

    # --- what is learned ------------------------------------------------------------------------

    @property
    def learned(self) -> Learned:
        """What scores have taught of LLMs, with its versions."""
        return Learned(self.store)

    def quality(self) -> dict[tuple[str, str], float]:
        """Return the learned quality in [0, 1] by LLM and kind of task, as routing reads it.

        Empty where learning is switched off, `[engine] learning = false`.
        """
        quality: dict[tuple[str, str], float] = self.known()["quality"]
        return quality

    def known(self) -> dict[str, Any]:
        """Return what was learned and its version, and mean tokens, as plans are wished with."""
        tokens = self.store.tokens()
        if not self.settings.engine.learning:
            return {"quality": {}, "evidence": {}, "learned": None, "tokens": tokens}
        examples = functools.partial(examples_of, self.store)
        entries = learning.record(scores.to_learn(self.store))
        return {
            "quality": learning.qualities(entries),
            "evidence": learning.evidence(entries),
            "learned": scores.newest(self.store), "tokens": tokens, "examples": examples,
        }  # fmt: skip

    def _kept(self, result: Result, rows: Sequence[ScoreRow], notes: Sequence[str]) -> Any:
        scores.keep(self.store, rows)
        known = [row for row in scores.of_run(self.store, result.id) if row.run_id == result.id]
        return result.scored(known, notes)


class _How(NamedTuple):
    """How a judging is run."""

    budget_usd: Any
    fresh: bool
    replay: bool


def _cost_of(judged: Sequence[Result]) -> Iterator[str]:
    """Yield who judged, in which run, and what it cost."""
    if not judged:
        yield "The answers are the same: nobody was asked to judge them."
        return
    made = sum(each.calls_made for each in judged)
    real = sum((each.cost_usd for each in judged), Decimal(0))
    invented = sum((each.simulated_cost_usd for each in judged), Decimal(0))
    cost = f"{usd(invented)} (simulated)" if invented and not real else usd(real)
    unpriced = sum(each.unpriced_calls for each in judged)
    cost = f"{cost} and {counted(unpriced, 'unpriced call')}" if unpriced else cost
    judges = listed(dict.fromkeys(row.llm for row in judged[0].rows))
    runs = listed(each.id for each in judged)
    again = len(judged[1].rows) if len(judged) > 1 else 0
    repaired = f", {counted(again, 'judgement')} asked for again" if again else ""
    yield f"Judged by {judges} in run {runs}: {counted(made, 'call')}, {cost}{repaired}."


def rest_of(budget_usd: Any, rows: Iterable[CallRow]) -> Decimal | None:
    """Return what a budget leaves behind some calls, of the dearer of its two purses."""
    if budget_usd is None:
        return None
    rows = list(rows)
    used = max(spent(rows, simulated=simulated) for simulated in (False, True))
    return max(Decimal(0), parse_usd(budget_usd) - used)


def _answered(result: Result) -> list[CallRow]:
    rows = [row for row in result.rows if row.state == "answered"]
    if not rows:
        raise UsageProblem("There is no answer to score.")
    return rows


def _row_of(result: Result, label: str, case: str) -> CallRow:
    known = {(row.case, row.label): row for row in result.rows if row.state == "answered"}
    if (case, label) not in known:
        said = f"{case}: {label}" if case else label
        raise UnknownName("answer", said, [f"{c}: {at}" if c else at for c, at in known])
    return known[case, label]


def _referred(rows: Sequence[CallRow], given: Any) -> Sequence[CallRow]:
    """Return the answers that have something to be compared with; all where none has."""
    if given is not None:
        return rows
    return [row for row in rows if row.reference is not None] or rows


def _reference(row: CallRow, given: str | Mapping[str, str] | None, scorer: str) -> str:
    found = given.get(row.case) if isinstance(given, Mapping) else given
    found = row.reference if found is None else found
    if found is None:
        raise UsageProblem(
            f"{scorer} has nothing to compare answers with.",
            hint="Give reference=, a text or one for each case.",
        )
    return str(found)


def _checked(
    row: CallRow, scorer: Scorer, reference: str, task_type: str, *, learn: bool
) -> ScoreRow:
    found = scorer.score(row.text or "", reference)
    key = fingerprint([scorer.name, reference])
    made = _score_of(row, scorer.name, "check", found.value, task_type, learn=learn, key=key)
    return dataclasses.replace(
        made, explanation=found.explanation, n=found.n, low=found.low, high=found.high
    )


def _score_of(
    row: CallRow, scorer: str, source: Any, value: float, task_type: str, *, learn: bool, key: str,
    explanation: str = "",
) -> ScoreRow:  # fmt: skip
    return ScoreRow(
        run_id=row.run_id, call_id=row.call_id, request_key=row.request_key, llm=row.llm,
        scorer=scorer, source=source, value=value, key=key, variant=row.variant,
        task_type=task_type, simulated=row.simulated, counts=learn, explanation=explanation,
    )  # fmt: skip
