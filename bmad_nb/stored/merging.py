"""Stored answers that are merged, each part of the result with those who gave it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from bmad_nb.consensus.combining import Combined, combined_texts, combined_values
from bmad_nb.reports import Report
from bmad_nb.stored.candidates import BelowQuality, Candidate, labels
from bmad_nb.workflow import output

MERGED = "Merged"
"""Title of the table of a result's parts."""


def merge(
    found: Sequence[Candidate],
    *,
    threshold: float | None = None,
    quorum: int = 1,
    schema: Mapping[str, Any] | None = None,
) -> Report:
    """Return stored answers merged, each part with those who gave it; nobody is asked.

    Args:
        found: the answers, all to one question.
        threshold: least score in [0, 1] of a member; None takes all.
        quorum: least members.
        schema: JSON Schema that the merged value must match.

    Raises:
        BelowQuality: fewer than `quorum` are good enough; the best one is named.
        OutputInvalid: the merged value does not match the schema.
    """
    kept = [c for c in found if threshold is None or _is_good(c, threshold)]
    left = [c for c in found if c not in kept]
    if len(kept) < quorum:
        raise _too_few(found, kept, threshold or 0.0, quorum)
    queries = list(dict.fromkeys(c.query for c in kept))
    weights = {c.name: c.score if c.score is not None else 1.0 for c in kept}
    tables: dict[str, Any] = {}
    values: dict[str, Any] = {}
    for query in queries:
        own = [c for c in kept if c.query == query]
        made = _combined(own, weights)
        if schema is not None:
            output.check_value(made.value, schema)
        values[query] = made.value
        tables[f"{MERGED} {query}".strip()] = [_piece(p) for p in made.pieces]
    tables["Members"] = [
        {"result": c.source, "name": c.name, "score": c.score, "used": c in kept,
         "why_not": "" if c in kept else _why_not(c, threshold or 0.0), "simulated": c.simulated}
        for c in found
    ]  # fmt: skip
    value = values[queries[0]] if len(queries) == 1 else values
    said = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    gone = f"; {len(left)} left out" if left else ""
    title = f"{len(kept)} stored results merged{gone}; nobody was asked\n\n{said}"
    return Report(title, tables, labels(found), {"merged": value, "calls_made": 0})


def _is_good(each: Candidate, threshold: float) -> bool:
    return each.score is not None and each.score >= threshold - 1e-9


def _why_not(each: Candidate, threshold: float) -> str:
    return "not scored" if each.score is None else f"{each.score:.3f} is below {threshold:g}"


def _too_few(
    found: Sequence[Candidate], kept: Sequence[Candidate], threshold: float, quorum: int
) -> BelowQuality:
    scored = [c for c in found if c.score is not None]
    said = f"{len(kept)} of {len(found)} results have a score of at least {threshold:g}"
    need = f", and {quorum} are needed" if quorum > 1 else ""
    if not scored:
        hint = "Score them first: bmad judge RUN, or bmad rate RUN LLM 0.9."
        return BelowQuality(f"{said}{need}: none was scored.", hint=hint)
    best = max(scored, key=lambda c: (c.score or 0.0, c.name))
    shown = " ".join(best.text.split())
    shown = shown if len(shown) <= 500 else shown[:499] + "…"
    return BelowQuality(
        f"{said}{need}. The best, {best.name} of {best.source}, has {best.score:.3f}: {shown}",
        hint="Lower --quality-threshold, or ask better LLMs.",
    )


def _combined(own: Sequence[Candidate], weights: Mapping[str, float]) -> Combined:
    if all(c.value is not None for c in own):
        return combined_values({c.name: c.value for c in own}, weights)
    return combined_texts({c.name: c.text for c in own}, weights)


def _piece(piece: Any) -> dict[str, Any]:
    said = piece.value if isinstance(piece.value, str) else json.dumps(piece.value)
    others = [f"{json.dumps(v, ensure_ascii=False)} by {', '.join(who)}" for v, who in piece.others]
    return {"part": piece.path, "value": said, "sources": [*piece.sources], "instead_of": others}
