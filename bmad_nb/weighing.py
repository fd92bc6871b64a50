"""Decisions by weighted criteria, and how sure claims were: pure functions of tables.

A document may name them without permission, like those of `reducers`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from bmad_nb.consensus.calibration import error

DIGITS = 4
"""Digits behind the point of what is reckoned here."""


def pairs(options: Sequence[Any], criteria: Sequence[Any]) -> list[dict[str, Any]]:
    """Return each option with each criterion, options first: what is to be scored.

    >>> [row["criterion"] for row in pairs([{"name": "a"}], [{"name": "x"}, {"name": "y"}])]
    ['x', 'y']
    """
    return [
        {"option": o["name"], "about": o.get("about", ""), "criterion": c["name"]}
        for o in options
        for c in criteria
    ]


def ranking(
    cells: Sequence[Mapping[str, Any]],
    criteria: Sequence[Mapping[str, Any]],
    judged: Mapping[str, Sequence[Any]],
) -> dict[str, Any]:
    """Return the table of scores, the ranking that follows from it, and what would turn it.

    The total of an option is the mean of its judges' scores for each criterion, times the weight
    of the criterion; weights are brought to a sum of 1. Equal totals keep the order of the options.
    An option without a score for a criterion is `unranked`.

    `sensitivity` says of each criterion at which weight, the others keeping their proportions,
    another option takes the first place: the nearest such weight in [0, 1], or null.

    Args:
        cells: `option` and `criterion`, as `pairs` gives them.
        criteria: `name` and `weight`, at least 0.
        judged: for each judge its `score` of each cell, in their order; null where it gave none.

    Raises:
        ValueError: no weight is over 0.
    """
    table = [
        {"option": cell["option"], "criterion": cell["criterion"], "judge": name, "score": score}
        for name, given in judged.items()
        for cell, each in zip(cells, given, strict=True)
        if (score := (each or {}).get("score")) is not None
    ]
    weights = _shares(criteria)
    means: dict[str, dict[str, float]] = {cell["option"]: {} for cell in cells}
    for cell in cells:
        own = [r["score"] for r in table if all(r[k] == cell[k] for k in ("option", "criterion"))]
        if own:
            means[cell["option"]][cell["criterion"]] = sum(own) / len(own)
    whole = {option: row for option, row in means.items() if row.keys() == weights.keys()}
    totals = {option: _total(row, weights) for option, row in whole.items()}
    order = sorted(totals, key=lambda option: -round(totals[option], DIGITS))
    return {
        "table": table,
        "totals": [{"option": each, "total": round(totals[each], DIGITS)} for each in order],
        "winner": order[0] if order else None,
        "sensitivity": [_turn(name, weights, whole, order) for name in weights],
        "unranked": [option for option in means if option not in whole],
    }


def _shares(criteria: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the weights with a sum of 1."""
    total = sum(each["weight"] for each in criteria)
    if total <= 0 or any(each["weight"] < 0 for each in criteria):
        raise ValueError("criteria need weights of at least 0, one of them over 0")
    return {each["name"]: each["weight"] / total for each in criteria}


def _total(row: Mapping[str, float], weights: Mapping[str, float]) -> float:
    return sum(weights[name] * row[name] for name in weights)


def _turn(
    name: str,
    weights: Mapping[str, float],
    scores: Mapping[str, Mapping[str, float]],
    order: Sequence[str],
) -> dict[str, Any]:
    """Return at which weight of a criterion another option takes the first place.

    Totals are linear in that weight: `x * own + (1 - x) * rest`, `rest` being the total over the
    other criteria with their weights brought to a sum of 1.
    """
    weight = weights[name]
    found: list[tuple[float, float, str]] = []
    for other in order[1:]:
        own, rest = (_apart(name, weights, scores[each]) for each in (order[0], other))
        at_one, at_zero = own[0] - rest[0], own[1] - rest[1]
        slope = at_zero - at_one
        if slope and 0 <= (at := at_zero / slope) <= 1:
            found.append((abs(at - weight), at, other))
    said: dict[str, Any] = {"criterion": name, "weight": round(weight, DIGITS)}
    if not found:
        return {**said, "flips_at": None, "to": None}
    _, at, to = min(found)
    return {**said, "flips_at": round(at, DIGITS), "to": to}


def _apart(
    name: str, weights: Mapping[str, float], row: Mapping[str, float]
) -> tuple[float, float]:
    """Return an option's score for one criterion, and its total over all others."""
    others = {each: weight for each, weight in weights.items() if each != name}
    whole = sum(others.values())
    if not others:
        return row[name], row[name]
    shares = {n: w / whole if whole else 1 / len(others) for n, w in others.items()}
    return row[name], _total(row, shares)


def calibration(claims: Sequence[Mapping[str, Any]], verdicts: Sequence[Any]) -> dict[str, Any]:
    """Return how often verdicts on claims with a known `truth` were right, and how sure they were.

    `abstained` are claims that are true or false and were called unknown: neither right nor wrong.
    `brier` is the mean squared distance of confidence and outcome, `calibration_error` what
    `consensus.calibration.error` is; both are over the verdicts that were no abstention, and null
    where there are none.

    Args:
        claims: `truth` is true, false or unknown as a text; a claim without one is left out.
        verdicts: `verdict`, and `confidence` in [0, 1] that it is right; null where nobody said.
    """
    known = [
        (str(claim["truth"]), verdict or {"verdict": "unknown", "confidence": 0.0})
        for claim, verdict in zip(claims, verdicts, strict=True)
        if claim.get("truth") is not None
    ]
    said = [
        (float(v["confidence"]), float(v["verdict"] == truth))
        for truth, v in known
        if v["verdict"] != "unknown" or truth == "unknown"
    ]
    sure, right = [confidence for confidence, _ in said], [outcome for _, outcome in said]
    brier = fmean((c - r) ** 2 for c, r in said) if said else None
    return {
        "claims": len(known),
        "right": round(sum(right)),
        "wrong": len(said) - round(sum(right)),
        "abstained": len(known) - len(said),
        "confidence": round(fmean(sure), DIGITS) if said else None,
        "accuracy": round(fmean(right), DIGITS) if said else None,
        "brier": None if brier is None else round(brier, DIGITS),
        "calibration_error": round(error(sure, right), DIGITS) if said else None,
    }
