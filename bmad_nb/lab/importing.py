"""Recorded answers that others published, brought into the layout of `Recording`."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from bmad_nb.errors import UnknownName, UsageProblem
from bmad_nb.lab import files
from bmad_nb.lab.recording import CALLS, QUERIES, Recording
from bmad_nb.messages import fingerprint

Layout = Literal["auto", "ours", "routellm", "routerbench", "llmrouter"]
LAYOUTS = ("ours", "routellm", "routerbench", "llmrouter")
_RESPONSE, _COST = "|model_response", "|total_cost"
_LONG = {"query", "model_name", "performance"}
_NOT_AN_LLM = {"prompt", "sample_id", "eval_name", "oracle_model_to_route_to"}


def read(
    source: str | Path | pd.DataFrame, layout: Layout = "auto", dataset: str = ""
) -> Recording:
    """Return recorded answers from a file or a table, in our layout.

    Args:
        source: our own file (`answers.csv` stands for `answers.queries.csv` and
            `answers.calls.csv`), or a table of others as a file or a DataFrame.
        layout: `routellm` (a column of 0/1 for each model, answers in `MODEL_response`),
            `routerbench` (a column of scores for each model, `MODEL|model_response`,
            `MODEL|total_cost` in US dollars), `llmrouter` (a row for each query and model:
            `query, model_name, performance`), `ours`; `auto` looks at the columns.
        dataset: name of the recording; the file's name if empty.

    Raises:
        UnknownName: there is no such layout.
        UsageProblem: the file cannot be read, or has none of these layouts.
    """
    if layout not in {"auto", *LAYOUTS}:
        raise UnknownName("layout", str(layout), ("auto", *LAYOUTS))
    if isinstance(source, pd.DataFrame):
        table, name = source, dataset or "imported"
    else:
        if not isinstance(source, str | Path):
            raise UsageProblem(f"lab.read takes a file or a DataFrame, no {type(source).__name__}.")
        path = Path(source)
        both = files.pair(path)
        if both is not None and layout in {"auto", "ours"}:
            return Recording(files.read(both[0]), files.read(both[1]))
        if layout == "ours":
            raise UsageProblem(f"{path} has no table of queries and of calls beside it.")
        name = dataset or path.name.partition(".")[0]
        table = files.read(path, foreign=True)
    kind = _layout(table) if layout == "auto" else layout
    try:
        made = _READERS[kind](table, name)
    except (ValueError, TypeError) as error:
        raise UsageProblem(f"{name} is no table like {kind}'s: {str(error)[:200]}.") from None
    if made.calls.empty:
        raise UsageProblem(
            f"{name} has no answer of any LLM.",
            hint="An LLM has a column of scores of its own name: see help(lab.read).",
        )
    return made


def _layout(table: pd.DataFrame) -> str:
    """Return what the columns of a table say of its layout.

    Raises:
        UsageProblem: nothing.
    """
    names = [str(each) for each in table.columns]
    if any(each.endswith((_RESPONSE, _COST)) for each in names):
        return "routerbench"
    if set(names) >= _LONG:
        return "llmrouter"
    if "prompt" in names and any(f"{each}_response" in names for each in names):
        return "routellm"
    truths = [n for n in names if n not in _NOT_AN_LLM and _is_score(table[n])]
    if "prompt" in names and len(truths) > 1:
        return "routellm"
    raise UsageProblem(
        f"This table has no layout that is known here: {', '.join(names[:12])}.",
        hint="Known are ours, RouteLLM's, RouterBench's and LLMRouter's: see help(lab.read).",
    )


def _is_score(column: pd.Series[Any]) -> bool:
    if pd.api.types.is_bool_dtype(column):
        return True
    if not pd.api.types.is_numeric_dtype(column):
        return False
    known = column.dropna()
    return bool(len(known)) and bool(known.between(0, 1).all())


def routellm(table: pd.DataFrame, dataset: str) -> Recording:
    """Return a table with a column of 0 and 1 for each model, and `MODEL_response` beside it.

    It has no costs and no token counts: tokens are characters / 4, and costs stay unknown.
    """
    _need(table, "RouteLLM", ["prompt"])
    names = [str(n) for n in table.columns]
    models = [n for n in names if f"{n}_response" in names]
    models = models or [n for n in names if n not in _NOT_AN_LLM and _is_score(table[n])]
    ids = _ids(table["prompt"])
    nothing = [None] * len(table)
    calls = [
        _call(dataset, query, model, score, text, prompt_tokens=len(str(prompt)) // 4,
              completion_tokens=len(str(text or "")) // 4, tokens_estimated=True)
        for model in models
        for query, prompt, score, text in zip(
            ids, table["prompt"], table[model], table.get(f"{model}_response", nothing), strict=True
        )
    ]  # fmt: skip
    kind = dataset.removeprefix("routellm_")
    return _recording(dataset, ids, table["prompt"], [kind] * len(table), None, calls)


def routerbench(table: pd.DataFrame, dataset: str) -> Recording:
    """Return a table with score, `MODEL|model_response` and `MODEL|total_cost` for each model."""
    _need(table, "RouterBench", ["prompt"])
    names = [str(n) for n in table.columns]
    models = [n for n in names if f"{n}{_COST}" in names or f"{n}{_RESPONSE}" in names]
    given = table["sample_id"] if "sample_id" in names else None
    ids = _ids(table["prompt"], given)
    kinds = table["eval_name"] if "eval_name" in names else [dataset] * len(table)
    nothing = [None] * len(table)
    calls = [
        _call(dataset, query, model, score, text, cost_usd=cost)
        for model in models
        for query, score, text, cost in zip(
            ids, table[model], table.get(model + _RESPONSE, nothing),
            table.get(model + _COST, nothing), strict=True,
        )
    ]  # fmt: skip
    return _recording(dataset, ids, table["prompt"], kinds, None, calls)


def llmrouter(table: pd.DataFrame, dataset: str) -> Recording:
    """Return a table with a row for each query and model.

    Columns: `query, model_name, performance` in [0, 1], and where they are there `task_name,
    ground_truth, response, input_tokens, output_tokens, response_time` in seconds, `cost`.
    """
    _need(table, "LLMRouter", sorted(_LONG))
    if table["model_name"].isna().any():
        raise UsageProblem("A row of the table does not say which LLM it is of (model_name).")
    key = ["task_name", "query"] if "task_name" in table else ["query"]
    first = table.drop_duplicates(key)
    ids = _ids(first["query"])
    known = {tuple(row): i for row, i in zip(first[key].to_numpy().tolist(), ids, strict=True)}
    calls = [
        _call(
            dataset, known[tuple(row[k] for k in key)], str(row["model_name"]), row["performance"],
            row.get("response"), cost_usd=row.get("cost"), latency_s=row.get("response_time"),
            prompt_tokens=row.get("input_tokens"), completion_tokens=row.get("output_tokens"),
        )
        for row in table.to_dict("records")
    ]  # fmt: skip
    kinds = first["task_name"] if "task_name" in first else [dataset] * len(first)
    truths = first.get("ground_truth")
    return _recording(dataset, ids, first["query"], kinds, truths, calls)


_READERS = {"routellm": routellm, "routerbench": routerbench, "llmrouter": llmrouter}


def _need(table: pd.DataFrame, layout: str, columns: list[str]) -> None:
    for name in columns:
        if name not in table.columns:
            raise UsageProblem(
                f"A table of {layout} has a column {name!r}, and this one has not.",
                hint=f"It has: {', '.join(map(str, table.columns[:12]))}.",
            )


def _ids(prompts: Iterable[Any], given: Iterable[Any] | None = None) -> list[str]:
    """Return an id for each query: the given one, else from its text; none twice."""
    found: dict[str, None] = {}
    texts = list(prompts)
    for text, own in zip(texts, given if given is not None else [None] * len(texts), strict=True):
        name = fingerprint(str(text))[:12] if own is None or own != own else str(own)  # noqa: PLR0124
        unique, number = name, 1
        while unique in found:
            number += 1
            unique = f"{name}-{number}"
        found[unique] = None
    return list(found)


def _call(
    dataset: str, query: str, model: str, score: Any, response: Any, **more: Any
) -> dict[str, Any]:  # fmt: skip
    value = _score_of(score)
    if not (math.isnan(value) or 0 <= value <= 1):
        raise UsageProblem(f"The score of {model} is {value:g}.", hint="Scores are in [0, 1].")
    text = response if isinstance(response, str) else None
    return {
        "dataset": dataset, "query_id": query, "model": model, "score": value, "response": text,
        **{name: None if _is_missing(each) else each for name, each in more.items()},
    }  # fmt: skip


def _score_of(score: Any) -> float:
    if isinstance(score, str):
        return {"True": 1.0, "False": 0.0}.get(score, math.nan)
    return math.nan if _is_missing(score) else float(score)


def _is_missing(value: Any) -> bool:
    return value is None or bool(pd.api.types.is_scalar(value) and pd.isna(value))


def _recording(  # noqa: PLR0917  (columns, in the order of the layout)
    dataset: str,
    ids: list[str],
    prompts: Iterable[Any],
    kinds: Iterable[Any],
    truths: Iterable[Any] | None,
    calls: list[dict[str, Any]],
) -> Recording:
    queries = pd.DataFrame(
        {
            "dataset": dataset, "query_id": ids, "subset": [str(k) for k in kinds],
            "prompt": [str(p) for p in prompts],
            "reference": None if truths is None else list(truths),
        },
        columns=list(QUERIES),
    )  # fmt: skip
    frame = pd.DataFrame(calls)
    for name in CALLS:
        if name not in frame:
            frame[name] = False if name == "simulated" else None
    columns = [*CALLS, *(name for name in frame.columns if name not in CALLS)]
    return Recording(files.typed(queries), files.typed(frame[columns]))
