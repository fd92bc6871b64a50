"""Consensus and cascades on recorded answers of real LLMs; the tables are not part of the project.

Run: python tests/benchmarks/consensus.py FOLDER, where FOLDER holds TABLE.queries.jsonl.gz and
TABLE.calls.jsonl.gz of zeroeval_gsm, zeroeval_math_l5 and zeroeval_crux. Results go to
tests/benchmarks/results/consensus.json; disagreements of the extraction to standard output.
"""

from __future__ import annotations

import json
import platform
import sys
import time
import warnings
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bmad_nb.answers.canonical import Kind, canonical, kind_of
from bmad_nb.answers.extracting import final_answer
from bmad_nb.consensus import calibration
from bmad_nb.lab import Advice, cascade, consensus

RESULTS = Path(__file__).parent / "results" / "consensus.json"
TABLES = ("gsm", "math_l5", "crux")
POOLS = {
    "5 small": ["Meta-Llama-3.1-8B-Instruct", "gemma-2-9b-it", "Qwen2-7B-Instruct",
                "Phi-3.5-mini-instruct", "Meta-Llama-3-8B-Instruct"],
    "5 mid": ["gpt-4o-mini-2024-07-18", "claude-3-haiku-20240307", "Meta-Llama-3.1-70B-Instruct",
              "Qwen2-72B-Instruct", "deepseek-v2.5-0908"],
    "5 top": ["gpt-4o-2024-08-06", "claude-3-5-sonnet-20241022", "Mistral-Large-2",
              "Llama-3.1-405B-Inst@sambanova", "claude-3-opus-20240229"],
    "all": [],
}  # fmt: skip
POOLS["small and mid"] = POOLS["5 small"] + POOLS["5 mid"]
CASCADES = (
    (("deepseek-v2.5-0908", "gpt-4o-mini-2024-07-18"), "claude-3-5-sonnet-20241022"),
    (("gpt-4o-mini-2024-07-18", "Meta-Llama-3.1-70B-Instruct"), "claude-3-5-sonnet-20241022"),
    (("gpt-4o-mini-2024-07-18", "Meta-Llama-3.1-70B-Instruct"), "gpt-4o-2024-08-06"),
    (("Meta-Llama-3.1-8B-Instruct", "gemma-2-9b-it"), "gpt-4o-2024-08-06"),
    (("Meta-Llama-3.1-8B-Instruct", "gemma-2-9b-it"), "gpt-4o-mini-2024-07-18"),
)
LENGTH = 70
"""Characters of a long recorded answer that are compared: the tables cut them at 80."""


def extraction(calls: pd.DataFrame) -> tuple[dict[str, Any], list[str]]:
    """Return how many short answers out of raw responses equal the recorded ones, and the others."""
    with_text = calls[calls["response"].notna()]
    answers = [each if isinstance(each, str) else None for each in with_text["answer"]]
    kind: Kind = kind_of(answers)
    other = []
    for response, recorded in zip(with_text["response"], answers, strict=True):
        mine, theirs = canonical(final_answer(response, kind), kind), canonical(recorded, kind)
        if mine == theirs:
            continue
        long = isinstance(recorded, str) and len(recorded) >= LENGTH and mine and theirs
        if not (long and mine.startswith(theirs[:LENGTH])):
            other.append(f"{recorded!r:.60} recorded, {mine!r:.60} extracted")
    share = 1 - len(other) / len(with_text)
    return {"kind": kind, "responses": len(with_text), "the same": round(share, 4)}, other


def voted(queries: pd.DataFrame, calls: pd.DataFrame, llms: list[str]) -> dict[str, Any]:
    """Return accuracies in % of a vote, of Dawid and Skene's, and of the best member; and advice."""
    found: dict[str, Any] = {}
    alone = calls[calls["model"].isin(llms)].groupby("model")["score"].mean()
    found["best member"] = [str(alone.idxmax()), round(100 * float(alone.max()), 2)]
    for method in ("majority", "dawid_skene"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Advice)
            votes = consensus(queries, calls, llms=llms, method=method)
        found[method] = round(100 * float(votes["score"].mean()), 2)
        confidence, scores = list(votes["confidence"]), list(votes["score"])
        found[f"{method} calibration error"] = round(calibration.error(confidence, scores), 3)
    unscored = calls.drop(columns="score")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Advice)
        blind = consensus(queries, unscored, llms=llms)
    learned = pd.Series(blind.attrs["reliability"])
    found["advice with labels"] = votes.attrs["vote"]
    found["advice without labels"] = blind.attrs["vote"]
    found["reliability against accuracy"] = round(float(learned.corr(alone)), 2)
    return found


def cascaded(
    queries: pd.DataFrame, calls: pd.DataFrame, cheap: tuple[str, ...], strong: str
) -> dict[str, Any]:
    """Return what a cascade by agreement brings and costs."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", Advice)
        found = cascade(queries, calls, cheap=list(cheap), strong=strong)
    told = found.attrs
    beforehand = bool(said) and "They agree" not in str(said[0].message)
    return {
        "cheap": list(cheap), "strong": strong,
        "score": round(100 * fmean(found["score"]), 2),
        "strong alone": round(100 * fmean(found["strong_score"]), 2),
        "difference": [round(100 * told[key], 2) for key in ("difference", "low", "high")],
        "accepted": round(told["accept_rate"], 3), "cost share": round(told["cost_share"], 3),
        "break-even": round(told["break_even"], 3), "warned beforehand": beforehand,
        "pays": told["pays"],
    }  # fmt: skip


def main() -> None:
    """Measure all tables and write the results."""
    folder = Path(sys.argv[1])
    results: dict[str, Any] = {"python": platform.python_version(), "tables": {}}
    for name in TABLES:
        queries, calls = (
            pd.read_json(folder / f"zeroeval_{name}.{part}.jsonl.gz", lines=True, dtype=False)
            for part in ("queries", "calls")
        )
        began = time.perf_counter()
        same, other = extraction(calls)
        print(f"# {name}: {len(other)} extracted otherwise", *other, sep="\n")
        everybody = sorted(calls["model"].unique())
        table = {
            "queries": len(queries),
            "extraction": same,
            "votes": {n: voted(queries, calls, p or everybody) for n, p in POOLS.items()},
            "cascades": [cascaded(queries, calls, *each) for each in CASCADES],
        }
        table["seconds"] = round(time.perf_counter() - began, 1)
        results["tables"][name] = table
    RESULTS.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", "utf-8")
    print(json.dumps(results, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
