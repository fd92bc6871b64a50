"""Stored answers that vote: the result, who is for it, and who is not."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from bmad_nb.answers.canonical import Kind
from bmad_nb.answers.extracting import final_answer
from bmad_nb.consensus.dawid_skene import WRONG
from bmad_nb.consensus.voting import log_odds
from bmad_nb.errors import UnknownName, UsageProblem
from bmad_nb.lab import agreeing
from bmad_nb.lab.tables import Advice
from bmad_nb.patterns.members import SHORT
from bmad_nb.prompts import as_text
from bmad_nb.reports import Report
from bmad_nb.stored.candidates import BelowQuality, Candidate, labels


def vote(
    space: Any,
    found: Sequence[Candidate],
    *,
    method: str = "majority",
    weights: Mapping[str, float] | None = None,
    quorum: int = 1,
    kind: Kind = "auto",
    field: str | None = None,
) -> Report:
    """Return what stored answers say together: answer, agreement, dissent; nobody is asked.

    Args:
        space: the workspace, whose scores give the weights where none are given.
        found: the answers.
        method: `majority`, `weighted`, `dawid_skene` or `medoid`.
        weights: weight by name, or by id of the result, for `weighted`.
        quorum: least answers of a query.
        kind: what answers are; see `answers.canonical`.
        field: field of a JSON answer that is voted on.

    Raises:
        UsageProblem: a weighted vote without weights and without scores.
    """
    whole = method == "medoid"
    answers = [c.text if whole else _answer(c, kind, field) for c in found]
    calls = pd.DataFrame([
        {"query_id": c.query, "model": c.name, "answer": answer, "score": _number(c.score),
         "cost_usd": _number(c.cost_usd)}
        for c, answer in zip(found, answers, strict=True)
    ])  # fmt: skip
    queries = pd.DataFrame({"query_id": list(dict.fromkeys(c.query for c in found))})
    names = sorted({c.name for c in found})
    used = _weights(space, found, method, weights)
    advice: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        frame = agreeing.consensus(
            queries, calls, method=method, weights=used, quorum=min(quorum, len(names)), kind=kind
        )
        advice = [str(each.message) for each in caught if each.category is Advice]
    if quorum > len(names):
        raise BelowQuality(f"{len(names)} results answer, and {quorum} are needed.",
                           hint="Name more results, or lower --quorum.")  # fmt: skip
    weight = used or frame.attrs.get("reliability") if method != "majority" else None
    results, members = [], []
    for row in ({**each} for each in frame.to_dict("records")):
        own = [c for c in found if c.query == row["query_id"]]
        results.append(_result(row, own))
        members += [_member(row, each, weight) for each in own]
    if any(not c.query for c in found) and len(results) == 1:
        for each in (*results, *members):
            each.pop("query")
    title = f"{method} of {len(found)} stored results; nobody was asked"
    notes = [*advice, *labels(found)]
    if not any(answers):
        notes.insert(0, "No short answer stands in these texts: --method medoid takes the most "
                        "typical of them.")  # fmt: skip
    facts = {"method": method, "calls_made": 0, "weights": dict(weight or {})}
    return Report(title, {"Result": results, "Who said what": members}, notes, facts)


def _answer(each: Candidate, kind: Kind, field: str | None) -> str | None:
    """Return what a stored answer votes for; None where it is prose."""
    if field is not None:
        if not isinstance(each.value, dict) or field not in each.value:
            return None
        return as_text(each.value[field])
    if each.value is not None:
        return json.dumps(each.value, sort_keys=True, ensure_ascii=False)
    text = each.text.strip()
    found = final_answer(text, kind)
    return found if found is not None or len(text) > SHORT or "\n" in text else text or None


def _number(value: Any) -> float:
    """Return a number as pandas has it; NaN where there is none."""
    return float("nan") if value is None else float(value)


def _result(row: Mapping[Any, Any], own: Sequence[Candidate]) -> dict[str, Any]:
    dissent = {str(answer): list(who) for answer, who in row["dissent"].items()}
    answer = row["answer"]
    return {
        "query": row["query_id"],
        "answer": None if pd.isna(answer) else answer,
        "from": row["llm"],
        "confidence": float(row["confidence"]),
        "agreement": float(row["agreement"]),
        "support": [*row["support"]],
        "dissent": [f"{a!r:.60} by {', '.join(who)}" for a, who in dissent.items()],
        "tied": bool(row["tied"]),
        "of": len(own),
    }


def _member(
    row: Mapping[Any, Any], each: Candidate, weight: Mapping[str, float] | None
) -> dict[str, Any]:
    said = " ".join(each.text.split())
    agrees = each.name in row["support"]
    return {
        "query": each.query, "result": each.source, "name": each.name,
        "weight": float((weight or {}).get(each.name, 1.0)), "agrees": agrees,
        "score": each.score, "cost_usd": each.cost_usd, "simulated": each.simulated,
        "answer": said,
    }  # fmt: skip


def _weights(
    space: Any, found: Sequence[Candidate], method: str, given: Mapping[str, float] | None
) -> dict[str, float] | None:
    """Return weights by name: those given, or the log odds of what was measured.

    Raises:
        UnknownName: a weight for nobody.
        UsageProblem: nothing was measured.
    """
    names = sorted({c.name for c in found})
    if given is not None:
        by_source = {c.source: c.name for c in found}
        chosen = {by_source.get(key, key): value for key, value in given.items()}
        for key in chosen:
            if key not in names:
                raise UnknownName("result or LLM that votes", key, [*names, *by_source])
        return chosen
    if method != "weighted":
        return None
    known = _measured(space)
    if not known:
        raise UsageProblem(
            "A weighted vote needs to know whose word counts how much, and nothing was scored yet.",
            hint="Give --weights, such as --weights 0.9,0.6; or score answers: bmad judge RUN.",
        )
    mean = sum(known.values()) / len(known)
    quality = {name: known.get(_llm(name), mean) for name in names}
    return {name: round(log_odds(each, WRONG + 1), 6) for name, each in quality.items()}


def _llm(name: str) -> str:
    return name.partition(" ")[0].partition("?")[0]


def _measured(space: Any) -> dict[str, float]:
    """Return the measured quality in [0, 1] by LLM, over all kinds of tasks."""
    by_llm: dict[str, list[float]] = {}
    for (llm, _kind), quality in space.quality().items():
        by_llm.setdefault(llm, []).append(quality)
    return {llm: sum(each) / len(each) for llm, each in by_llm.items()}
