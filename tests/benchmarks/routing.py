"""Routers on recorded answers of real LLMs, and a million synthetic calls; tables are not ours.

Run: OMP_NUM_THREADS=1 python tests/benchmarks/routing.py --data FOLDER [--train FOLDER | --split SHARE]
                                        [--tables NAME ...] [--out FILE] [--online] [--off-policy] [--million]

FOLDER holds TABLE.queries.jsonl.gz and TABLE.calls.jsonl.gz. Without --train each table is judged
by a nested cross-validation (what a router needs to choose is chosen inside of each training part);
with it routers learn from that folder and are judged on --data; --split 0.6 deals 60 % of the rows
of --data, by the hash of their id, to what is learned from, and judges on the rest. --online adds
streams of learners, --off-policy how often intervals from histories of one call a query hold the
truth. --million replays 100,000 synthetic queries of 10 LLMs through ten routers instead, in a
process of its own. Results go to tests/benchmarks/results/routing.json, or to FILE.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import sys
import time
from hashlib import sha256
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bmad_nb import lab
from bmad_nb.lab.estimating import METHODS, estimated
from bmad_nb.lab.reading import read
from bmad_nb.lab.replaying import ROUTERS
from bmad_nb.llms.base import Card
from bmad_nb.routers.base import Candidate, Demand
from bmad_nb.routers.chance import Random
from bmad_nb.routers.choice import router_of

RESULTS = Path(__file__).parent / "results" / "routing.json"
TABLES = (
    "routellm_gsm8k", "routellm_mmlu", "routellm_mtbench", "llmrouter", "zeroeval_gsm",
    "zeroeval_math_l5", "zeroeval_crux",
)  # fmt: skip
PUBLISHED = {
    "routellm_gsm8k": {"cpt50": (50.0, 2), "cpt80": (80.08, 1), "apgr": 0.497},
    "routellm_mmlu": {"cpt50": (50.07, None), "cpt80": (79.93, None), "apgr": 0.5},
    "routellm_mtbench": {"cpt50": (49.03, 4), "cpt80": (78.08, 3), "apgr": 0.5},
}
"""Random routers as RouteLLM prints them, each with its half width where it gives one."""
METRICS = ("quality", "gain", "cost_usd", "aiq", "aiq_gain", "apgr", "cpt50", "cpt80")
SEEDS = 20
LEAST_OF_HISTORY = 600
"""Queries for two LLMs from which histories of one call a query are drawn, more for more LLMs."""


def tables(folder: Path, table: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the queries and calls of a table."""
    queries, calls = (
        pd.read_json(folder / f"{table}.{part}.jsonl.gz", lines=True, dtype=False)
        for part in ("queries", "calls")
    )
    return queries, calls


def dealt(
    data: tuple[pd.DataFrame, pd.DataFrame], share: float
) -> tuple[tuple[pd.DataFrame, pd.DataFrame], tuple[pd.DataFrame, pd.DataFrame]]:
    """Return what is judged, and the share of the queries that is learned from."""
    queries, calls = data
    places = [int(sha256(str(q).encode()).hexdigest()[:8], 16) for q in queries["query_id"]]
    learned = np.array(places) / 2**32 < share
    parts = []
    for rows in (~learned, learned):
        mine = queries[rows]
        parts.append((mine, calls[calls["query_id"].isin(mine["query_id"])]))
    return parts[0], parts[1]


def rounded(value: float) -> float | None:
    """Return a number as JSON can hold it."""
    return None if value is None or not np.isfinite(value) else round(float(value), 5)


def difference(found: Any, router: str, against: str, metric: str) -> list[float | None] | None:
    """Return a paired difference with its interval; None where there is none."""
    names = set(found.frame[found.frame["metric"] == metric]["router"])
    if not {router, against} <= names:
        return None
    gap = found.difference(router, against, metric)
    return [rounded(gap.value), rounded(gap.low), rounded(gap.high)]


def judged(
    data: tuple[pd.DataFrame, pd.DataFrame], train: tuple[pd.DataFrame, pd.DataFrame] | None
) -> dict[str, Any]:
    """Return the measures of all routers on one table."""
    began = time.process_time()
    found = lab.replay(*data, routers=list(ROUTERS), train=train)
    seconds = time.process_time() - began
    print(found)
    frame = found.frame[found.frame["metric"].isin(METRICS)]
    rows: dict[str, Any] = {}
    for row in frame.itertuples():
        triple = [rounded(row.value), rounded(row.low), rounded(row.high)]
        rows.setdefault(row.router, {})[row.metric] = triple
    primary = "aiq_gain" if found.routers.get("aiq_gain") is not None else "gain"
    return {
        "queries": len(data[0]), "LLMs": len(found.llms), "cpu_s": round(seconds, 1),
        "verdict": found.verdict, "notes": list(found.notes), "routers": rows,
        "learned - prompt-length, APGR": difference(found, "learned", "prompt-length", "apgr"),
        "learned - prompt-length, quality": difference(
            found, "learned", "prompt-length", "quality"
        ),
        "learned - best single, quality": difference(found, "learned", "best-single", "quality"),
        "learned - Zero router": rows["learned"].get(primary),
    }  # fmt: skip


def by_chance(data: tuple[pd.DataFrame, pd.DataFrame], published: dict[str, Any]) -> dict[str, Any]:
    """Return the random router over many seeds beside what is published of it."""
    routers = [Random(seed) for seed in range(SEEDS)]
    for seed, router in enumerate(routers):
        router.name = f"random of seed {seed}"
    frame = lab.replay(*data, routers=routers, draws=100).frame
    frame = frame[frame["router"].str.startswith("random of")]
    found: dict[str, Any] = {}
    for metric, expected in published.items():
        values = list(frame[frame["metric"] == metric]["value"])
        mean, half = fmean(values), 1.96 * stdev(values)
        centre, wide = expected if isinstance(expected, tuple) else (expected, None)
        low = centre - (wide if wide is not None else half)
        high = centre + (wide if wide is not None else half)
        found[metric] = {
            "mean of seeds": rounded(mean), "published": expected,
            "inside": bool(low <= mean <= high), "95 % of seeds": rounded(half),
        }  # fmt: skip
    return found


def live(data: tuple[pd.DataFrame, pd.DataFrame]) -> dict[str, Any]:
    """Return how long the learned router takes to learn and to choose for one prompt."""
    recorded = read(*data)
    began = time.process_time()
    router = router_of("learned").fit(recorded.outcomes)
    training = time.process_time() - began
    llms = recorded.outcomes.questions.llms
    found = [Candidate(Card(id=each, identity="here", model=each), None) for each in llms]
    times, worked = [], []
    for prompt in list(recorded.outcomes.questions.prompts)[:200]:
        start, began = time.perf_counter(), time.process_time()
        router.choose(Demand("one", prompt=f"{prompt} "), found)
        times.append(1000 * (time.perf_counter() - start))
        worked.append(1000 * (time.process_time() - began))
    return {
        "training_cpu_s": round(training, 2),
        "decision_ms": {"median": rounded(float(np.median(times))),
                        "p95": rounded(float(np.quantile(times, 0.95))),
                        "median of CPU": rounded(float(np.median(worked)))},
    }  # fmt: skip


def online(
    data: tuple[pd.DataFrame, pd.DataFrame], train: tuple[pd.DataFrame, pd.DataFrame] | None
) -> dict[str, Any]:
    """Return the mean reward of routers on a stream of at most 1,276 queries, over three seeds.

    Without other tables a fifth of this one is the history that all begin with.
    """
    found: dict[str, list[float]] = {}
    for seed in range(3):
        queries = data[0].sample(frac=1, random_state=seed)
        first = len(queries) // 5
        past = train or (queries.head(first), data[1])
        stream = queries.iloc[0 if train else first :].head(1_276)
        frame = lab.stream(
            stream, data[1], train=past, seed=seed,
            routers=("thompson", "lin-thompson", "learned", "best-single", "random"),
        )  # fmt: skip
        for router, group in frame.groupby("router"):
            found.setdefault(str(router), []).append(float(group["reward"].mean()))
            if router == "best-single":
                fixed = group["reward"].sum() + group["regret"].iloc[-1]
                found.setdefault("best fixed in hindsight", []).append(fixed / len(group))
    return {name: rounded(fmean(each)) for name, each in found.items()}


def off_policy(data: tuple[pd.DataFrame, pd.DataFrame], histories: int = 100) -> dict[str, Any]:
    """Return how often 95 % intervals from histories of one call a query hold the truth.

    Each history is drawn from the full table by known probabilities; the policy is the router
    task-mean, fitted on a fifth of the rows, and its value on the others is known.
    """
    recorded = read(*data).outcomes
    full = recorded.take(np.flatnonzero(~np.isnan(recorded.score).any(axis=1)))
    order = np.random.default_rng(0).permutation(len(full.score))
    first = len(order) // 5
    past, judged = full.take(np.sort(order[:first])), full.take(np.sort(order[first:]))
    picks = router_of("task-mean").fit(past).choose_many(judged.questions)
    rows, many = np.arange(len(judged.score)), judged.score.shape[1]
    truth = judged.score[rows, picks.llm].mean()
    uneven = np.linspace(1, 2, many) / np.linspace(1, 2, many).sum()
    found = {}
    for method in METHODS:
        chances = np.full(many, 1 / many) if method == "matching" else uneven
        held, widths = 0, []
        for seed in range(histories):
            logged = np.random.default_rng(seed).choice(many, len(rows), p=chances).astype(np.intp)
            value = estimated(
                judged.score[rows, logged], logged, picks.llm, chances[logged],
                expected=picks.expected, method=method, seed=seed, draws=400,
            )  # fmt: skip
            held += bool(value.low <= truth <= value.high)
            widths.append(value.high - value.low)
        found[method] = {"covered": held / histories, "mean width": rounded(fmean(widths))}
    return found


def million(queries: int = 100_000, llms: int = 10) -> dict[str, Any]:
    """Return CPU and memory of ten routers over a million synthetic calls, beside a floor."""
    rng = np.random.default_rng(0)
    words = np.array([f"w{n:05d}" for n in range(20_000)])
    kinds = rng.integers(0, 12, queries)
    picked = (rng.zipf(1.3, (queries, 16)) * 37 + kinds[:, None] * 1_500) % len(words)
    asked = pd.DataFrame(
        {"query_id": np.arange(queries), "subset": [f"kind {k}" for k in kinds],
         "prompt": [" ".join(row) for row in words[picked]]}
    )  # fmt: skip
    skill = rng.uniform(0.2, 0.9, (12, llms))
    score = (rng.random((queries, llms)) < skill[kinds]).astype(float)
    usd = np.geomspace(1e-4, 1e-2, llms) * rng.uniform(0.5, 1.5, (queries, llms))
    calls = pd.DataFrame(
        {"query_id": np.repeat(np.arange(queries), llms),
         "model": np.tile([f"LLM {n}" for n in range(llms)], queries),
         "score": score.ravel(), "cost_usd": usd.ravel()}
    )  # fmt: skip
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    began = time.process_time()
    table = calls.pivot_table(index="query_id", columns="model", values=["score", "cost_usd"])
    floor = time.process_time() - began
    del table
    began = time.process_time()
    found = lab.replay(asked, calls)
    seconds = time.process_time() - began
    print(found)
    return {
        "calls": queries * llms, "routers": len(found.routers), "cpu_s": round(seconds, 1),
        "floor: pandas pivot of the same calls, cpu_s": round(floor, 1),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "of which the tables, mb": round(before), "target": "20 s CPU, 1,500 MB",
    }  # fmt: skip


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of the tables that are judged")
    parser.add_argument("--train", type=Path, help="folder of the tables that are learned from")
    parser.add_argument("--split", type=float, help="share of --data that is learned from")
    parser.add_argument("--tables", nargs="+", default=list(TABLES))
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--online", action="store_true", help="streams of learners too; slow")
    parser.add_argument("--off-policy", action="store_true", help="coverage of estimates too")
    parser.add_argument("--million", action="store_true", help="the synthetic table instead")
    return parser.parse_args()


def _one(options: argparse.Namespace, table: str) -> dict[str, Any]:
    data = tables(options.data, table)
    train = None if options.train is None else tables(options.train, table)
    if options.split is not None:
        data, train = dealt(data, options.split)
    print(f"\n# {table}")
    found = judged(data, train)
    if table in PUBLISHED:
        found["random over seeds"] = by_chance(data, PUBLISHED[table])
    if "subset" in data[0].columns and len(set(data[0]["subset"])) > 1:
        print(f"\n# {table}, kinds of tasks unknown")
        blind = data[0].drop(columns="subset"), data[1]
        taught = None if train is None else (train[0].drop(columns="subset"), train[1])
        found["kinds of tasks unknown"] = judged(blind, taught)
    found["live"] = live(data if train is None else train)
    if options.off_policy and len(data[0]) >= LEAST_OF_HISTORY * len(set(data[1]["model"])) / 2:
        found["off-policy, 95 % intervals"] = off_policy(data)
        print(found["off-policy, 95 % intervals"])
    if options.online and len(set(data[1]["model"])) > 2:
        found["online, mean reward"] = online(data, train)
        print(found["online, mean reward"])
    return found


def main() -> None:
    """Measure, print and write."""
    options = _options()
    results: dict[str, Any] = {"python": platform.python_version()}
    if options.out.exists():
        results = json.loads(options.out.read_text("utf-8"))
    if options.million:
        results["million"] = million()
    elif options.data is None:
        raise SystemExit("Give --data FOLDER, or --million.")
    else:
        how = "nested cross-validation" if options.train is None else "learned from --train"
        if options.split is not None:
            how = f"learned from {options.split:.0%} of the rows, judged on the others"
        results["how"] = how
        for table in options.tables:
            if (options.data / f"{table}.queries.jsonl.gz").exists():
                results.setdefault("tables", {})[table] = _one(options, table)
                _write(options.out, results)
    _write(options.out, results)


def _write(path: Path, results: dict[str, Any]) -> None:
    path.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
