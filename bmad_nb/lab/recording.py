"""Prompts x LLMs x scores as two tables: what routers are tried on, made of your own calls."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from bmad_nb.errors import UsageProblem
from bmad_nb.events import CallRow
from bmad_nb.lab import files
from bmad_nb.learning import best_of
from bmad_nb.messages import fingerprint
from bmad_nb.plan import root_of
from bmad_nb.render.base import NONE, counted
from bmad_nb.results import Result
from bmad_nb.runs.run import Run
from bmad_nb.store import scores
from bmad_nb.store.scores import ScoreRow
from bmad_nb.workspace import Workspace, default_workspace

QUERIES = ("dataset", "query_id", "subset", "prompt", "reference")
"""Columns of `Recording.queries`: a row for each question."""
CALLS = (
    "dataset", "query_id", "model", "score", "response", "answer", "prompt_tokens",
    "completion_tokens", "cost_usd", "latency_s", "simulated",
)  # fmt: skip
"""Columns of `Recording.calls`: a row for each question and LLM."""
_TEMPLATE = "{{ prompt }}"
_OURS = {"over", "samples"}


class Recording(NamedTuple):
    """Answers of several LLMs to the same questions; `lab.replay(*recording)` routes over them."""

    queries: pd.DataFrame
    """A row for each question: `dataset, query_id, subset, prompt, reference`."""
    calls: pd.DataFrame
    """A row for each question and LLM: `dataset, query_id, model, score` in [0, 1], `response,
    answer, prompt_tokens, completion_tokens, cost_usd` in US dollars when the answer was made,
    `latency_s` in seconds, `simulated`."""

    def save(self, path: str | Path) -> list[Path]:
        """Write both tables beside each other and return their paths.

        Args:
            path: `answers.csv` gives `answers.queries.csv` and `answers.calls.csv`; `.parquet`,
                `.jsonl` and `.jsonl.gz` likewise. Cells of a CSV file that a spreadsheet would
                take for a formula are defused, and restored when they are read.

        Raises:
            UsageProblem: the file cannot be written, or its ending is none of these.
        """
        return files.save(self.queries, self.calls, Path(path))

    @property
    def summary(self) -> pd.DataFrame:
        """A row for each LLM: answers, scored ones, mean score, mean cost in US dollars."""
        groups = self.calls.groupby("model", sort=True)
        return pd.DataFrame(
            {
                "answers": _answers(self.calls).groupby(self.calls["model"]).sum(),
                "scored": groups["score"].count(),
                "score": groups["score"].mean(),
                "cost_usd": groups["cost_usd"].mean(),
            }
        ).reset_index(names="llm")

    def __repr__(self) -> str:
        """Return what it holds, a line for each LLM."""
        invented = self.calls.get("simulated")
        many = len(self.queries)
        queries = "1 query" if many == 1 else f"{many:,} queries"
        shown = self.summary
        said = f"{queries} x {counted(self.calls['model'].nunique(), 'LLM')}"
        if invented is not None and bool(invented.fillna(False).astype(bool).any()):
            every = bool(invented.fillna(False).astype(bool).all())
            said += ", all simulated" if every else ", in part simulated"
            which = self.calls.loc[invented.fillna(False).astype(bool), "model"]
            shown["llm"] += [" (simulated)" * (llm in set(which)) for llm in shown["llm"]]
        table = shown.to_string(index=False, float_format=lambda x: f"{x:.4g}", na_rep=NONE)
        return f"{said}\n{table}"


def _answers(calls: pd.DataFrame) -> pd.Series[int]:
    """Return 1 for each call that was answered; a public table may have nothing but its score."""
    kept = [name for name in ("response", "answer", "score") if name in calls]
    return calls[kept].notna().any(axis=1).astype("int64")


def record(
    prompts: pd.DataFrame | Sequence[str],
    llms: str | Iterable[str],
    *,
    scorer: Any = None,
    reference: str | Sequence[Any] | None = None,
    budget_usd: Any = None,
    template: str = _TEMPLATE,
    dataset: str = "own",
    ws: Workspace | None = None,
    **options: Any,
) -> Recording:
    """Ask several LLMs your own prompts, score the answers, and return both tables.

    It is a durable comparison: stopped by a limit, an interrupt or a kill, the same call goes on
    where it was, and an answer that is stored is never paid twice.

    Args:
        prompts: texts, or a row for each question: the holes of `template` are filled from its
            columns; `query_id`, `subset` (kind of task) and `reference` are kept where it has them.
        llms: ids, as a list or with commas; globs such as `sim/*`.
        scorer: how answers meet the reference; a name, such as `exact`, or your own function.
        reference: right answers: a column of `prompts`, or a list of them. Without one, answers
            are scored by `judge=`, or not at all.
        budget_usd: hard limit in US dollars.
        template: prompt with holes, for tables.
        dataset: name of the recording.
        ws: whose LLMs and store; the default workspace if None.
        **options: those of `Workspace.compare`, such as `judge`, `system`, `max_tokens`, `replay`.

    Raises:
        UsageProblem: there is no prompt, or an argument does not fit.
        RunPaused: interrupted, or stopped by the budget; what is finished is kept.
        RunFailed: no call brought an answer.
    """
    for name in _OURS & options.keys():
        raise UsageProblem(f"record does not take {name} here.", hint="See help(lab.record).")
    cases = _cases(prompts, reference)
    if template == _TEMPLATE and "prompt" in cases:
        _asked(cases["prompt"])
    right = "reference" if cases["reference"].notna().any() else None
    space = ws or default_workspace()
    result = space.compare(
        template, llms, over=cases, reference=right, scorer=scorer, budget_usd=budget_usd, **options
    )
    said: dict[str, str] = {}
    for row in result.rows:
        said.setdefault(row.case, row.messages[-1].text if row.messages else "")
    own = cases["query_id"] if "query_id" in cases else [None] * len(cases)
    kinds = (
        cases["subset"] if "subset" in cases else [options.get("task_type") or dataset] * len(cases)
    )
    ids = _ids([said.get(str(n), "") for n in cases.index], list(own))
    queries = pd.DataFrame(
        {
            "dataset": dataset,
            "query_id": ids,
            "subset": [str(each) for each in kinds],
            "prompt": [said.get(str(n), "") for n in cases.index],
            "reference": [None if pd.isna(r) else str(r) for r in cases["reference"]],
        }
    )  # fmt: skip
    by_case = dict(zip(map(str, cases.index), ids, strict=True))
    rows = [_call(row, by_case[row.case], dataset) for row in result.rows]
    return Recording(files.typed(queries), _frame(rows, CALLS))


def record_of(
    *runs: str | Result | Run, dataset: str = "stored", ws: Workspace | None = None
) -> Recording:
    """Return stored runs as a recording; nobody is asked.

    Equal prompts of several runs are one question. Of several answers of one LLM to it the newest
    that was scored counts. A score is what people say of an answer, else a check, else a judge.

    Args:
        *runs: ids, results or runs; all runs of the store if there is none.
        dataset: name of the recording.
        ws: whose store; the default workspace if None.

    Raises:
        UnknownRun: an id is none.
        UsageProblem: the runs hold no answer.
    """
    space = ws or default_workspace()
    ids = [space.store.run(r if isinstance(r, str) else r.id).run_id for r in runs]
    ids = ids or [run.run_id for run in space.store.runs()]
    queries: dict[str, dict[str, Any]] = {}
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for run_id in ids:
        judged: dict[str, list[ScoreRow]] = {}
        for score in scores.of_run(space.store, run_id):
            judged.setdefault(score.request_key, []).append(score)
        for call in space.store.calls(run_id):
            if call.state != "answered" or not call.messages:
                continue
            query = fingerprint([[m.role, m.text] for m in call.messages])[:12]
            given = judged.get(call.request_key, [])
            _note_query(queries, query, call, given, dataset)
            row = _call(call, query, dataset, best_of(given).value if given else None)
            before = found.get((query, row["model"]))
            if before is None or not math.isnan(row["score"]) or math.isnan(before["score"]):
                found[query, row["model"]] = row
    if not found:
        raise UsageProblem("These runs hold no answers.", hint="See: %bmad runs")
    return Recording(_frame(list(queries.values()), QUERIES), _frame(list(found.values()), CALLS))


def _note_query(
    queries: dict[str, dict[str, Any]],
    query: str,
    call: CallRow,
    given: Sequence[ScoreRow],
    dataset: str,
) -> None:
    """Keep a question, with its kind and its right answer once a call of it says them."""
    known = queries.setdefault(
        query,
        {"dataset": dataset, "query_id": query, "subset": root_of(call.task),
         "prompt": call.messages[-1].text, "reference": None},
    )  # fmt: skip
    known["reference"] = known["reference"] or call.reference
    kinds = [each.task_type for each in given if each.task_type]
    known["subset"] = kinds[-1] if kinds else known["subset"]


def _call(call: CallRow, query_id: str, dataset: str, score: float | None = None) -> dict[str, Any]:
    """Return a call as a row: its cost and time are those of the answer when it was made."""
    answered = call.state == "answered"
    cost = call.original_cost_usd if call.from_store else call.cost_usd
    seconds = call.original_latency_s if call.from_store else call.latency_s
    value = call.score if score is None else score
    return {
        "dataset": dataset,
        "query_id": query_id,
        "model": f"{call.llm}?{call.variant}" if call.variant else call.llm,
        "score": math.nan if value is None or not answered else value,
        "response": call.text if answered else None,
        "answer": None,
        "prompt_tokens": call.input_tokens,
        "completion_tokens": call.output_tokens,
        "cost_usd": math.nan if cost is None else float(cost),
        "latency_s": math.nan if seconds is None else seconds,
        "simulated": call.simulated,
    }


def _frame(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    return files.typed(pd.DataFrame(list(rows), columns=list(columns)))


def _cases(prompts: Any, reference: Any) -> pd.DataFrame:
    """Return a row for each question, numbered, with a column `reference`.

    Raises:
        UsageProblem: there is no question, or the right answers do not fit.
    """
    if isinstance(prompts, str):
        raise UsageProblem("record takes several prompts.", hint="Give a list, or a DataFrame.")
    if isinstance(prompts, pd.DataFrame):
        cases = prompts.reset_index(drop=True)
    else:
        texts = list(prompts)
        if any(isinstance(each, Mapping) for each in texts):
            cases = pd.DataFrame(texts)
        else:
            _asked(pd.Series(texts, dtype=object))
            cases = pd.DataFrame({"prompt": [str(each) for each in texts]})
    if cases.empty:
        raise UsageProblem("There is no prompt to record.", hint="Give a list, or a DataFrame.")
    given: Any = cases["reference"] if "reference" in cases else [None] * len(cases)
    if isinstance(reference, str):
        if reference not in cases:
            raise UsageProblem(
                f"The prompts have no column {reference!r}.",
                hint=f"They have: {', '.join(map(str, cases.columns))}.",
            )
        given = cases[reference]
    elif reference is not None:
        given = reference
    right = [None if _is_nothing(each) else each for each in given]
    if len(right) != len(cases):
        raise UsageProblem(f"There are {len(right)} references for {len(cases)} prompts.")
    return cases.assign(reference=pd.Series(right, index=cases.index, dtype=object))


def _is_nothing(value: Any) -> bool:
    """Return whether a cell says nothing: it is missing, or a text without a character."""
    if isinstance(value, str):
        return not value.strip()
    return value is None or bool(pd.api.types.is_scalar(value) and pd.isna(value))


def _asked(prompts: pd.Series[Any]) -> None:
    """Refuse rows without a prompt, before anybody is paid to answer `nan`.

    Raises:
        UsageProblem: it names the first one.
    """
    for place, each in enumerate(prompts):
        if _is_nothing(each):
            raise UsageProblem(
                f"Row {place} of the prompts, counted from 0, has no prompt.",
                hint="Fill it, or drop it: cases.dropna(subset='prompt').",
            )


def _ids(texts: Sequence[str], own: Sequence[Any]) -> list[str]:
    """Return an id for each question: its own, else from its text, so that tables can be joined."""
    found: list[str] = []
    taken: set[str] = set()
    for text, given in zip(texts, own, strict=True):
        name = fingerprint(text)[:12] if given is None or pd.isna(given) else str(given)
        unique, number = name, 1
        while unique in taken:
            number += 1
            unique = f"{name}-{number}"
        taken.add(unique)
        found.append(unique)
    return found
