"""Money: what the ledger says is what the provider billed, and no limit is passed, at any rate."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bmad_nb.errors import RunPaused
from bmad_nb.messages import Price, Usage
from bmad_nb.workspace import Workspace
from tests.fake_provider import FakeProvider, FakeProviderProcess

PRICE = {"input_usd_per_mtok": "3", "output_usd_per_mtok": "15"}
PATHS = {"openai": "/v1", "anthropic": "/v1", "gemini": "/v1beta", "ollama": ""}
FAULTS = {
    "500": 0.04, "503": 0.04, "429": 0.02, "empty": 0.03, "refusal": 0.02, "length": 0.02,
    "cut": 0.03,
}  # fmt: skip
"""A fifth of all requests; the last four cost money."""


def space_at(url: str, folder: Path, **more: Any) -> Workspace:
    """Return a workspace with an endpoint for each format, 64 calls at a time."""
    root = url.removesuffix("/v1")
    endpoints = {
        f"my-{kind}": {"kind": kind, "base_url": root + path, "stream": kind == "gemini"}
        for kind, path in PATHS.items()
    }
    config = {
        "endpoints": endpoints,
        "prices": {f"my-{kind}/small": PRICE for kind in PATHS},
        "engine": {"max_concurrent_tasks": 64, **more},
    }
    return Workspace(config, store=folder / "store.db")


@pytest.mark.parametrize("calls", [600, pytest.param(5000, marks=pytest.mark.long)])
def test_the_ledger_is_what_was_billed(project: Path, calls: int) -> None:
    """With a fifth of the requests failing, known tokens and cost are the provider's, to the token.

    What a broken connection cost nobody can know: those calls, and only those, say so.
    """
    model = {"fault_rates": FAULTS, "retry_after": "0.01", "price": PRICE}
    with FakeProviderProcess({"models": {"small": model}}) as fake:
        space = space_at(fake.url, project)
        cases = [{"n": n} for n in range(calls // len(PATHS))]
        for kind in PATHS:
            space.compare("Say {{ n }}.", [f"my-{kind}/small"], over=cases, system=kind)
        rows = [row for row in space.store.calls() if not row.from_store]
        space.close()
        counts = fake.counts()

    assert len(rows) == counts["received"] >= calls
    known: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    unknown = {row.request_key for row in rows if row.billed == "maybe"}
    for row in rows:
        known[row.request_key][0] += row.input_tokens or 0
        known[row.request_key][1] += row.output_tokens or 0
    for key, tally in counts["keys"].items():
        billed = [tally["input_tokens"], tally["output_tokens"]]
        if key not in unknown:
            assert billed == known[key], key
    certain = sum((row.cost_usd or Decimal(0) for row in rows), Decimal(0))
    price = Price(Decimal(3), Decimal(15))
    told = [key for key in counts["keys"] if key not in unknown]
    billed_usd = sum(
        (price.cost(Usage(counts["keys"][k]["input_tokens"], counts["keys"][k]["output_tokens"]))
         or Decimal(0) for k in told), Decimal(0))  # fmt: skip
    mine = sum((r.cost_usd or Decimal(0) for r in rows if r.request_key not in unknown), Decimal(0))
    assert billed_usd == mine
    assert certain <= Decimal(counts["cost_usd"])
    assert {row.error_kind for row in rows if row.billed == "maybe"} <= {
        "ConnectionFailed", "StreamCut", "ServerFailed", "TimedOut",
    }  # fmt: skip
    assert unknown


def test_a_limit_holds_and_more_money_goes_on(project: Path) -> None:
    """64 workers over a small limit: it is not passed, and with more only the rest is paid."""
    with FakeProvider({"models": {"small": {"latency_s": 0.01, "price": PRICE}}}) as fake:
        space = space_at(fake.url, project)
        cases = [{"n": n} for n in range(100, 164)]
        prompt, llm = "[answer: x] {{ n }}", ["my-openai/small"]
        worst = (Decimal(3) * (len("[answer: x] 100") + 32) + Decimal(15) * 10) / 1_000_000
        limit = 3 * worst
        with pytest.raises(RunPaused) as caught:
            space.compare(prompt, llm, over=cases, max_tokens=10, budget_usd=limit)
        first = fake.counts()["received"]
        spent = caught.value.result.cost_usd
        assert 3 <= first < 64
        assert 0 < spent <= limit
        done = space.compare(prompt, llm, over=cases, max_tokens=10, budget_usd=1)
        assert (caught.value.run_id, 64) == (done.id, fake.counts()["received"])
        total = Decimal(fake.counts()["cost_usd"])
        assert total == sum((row.cost_usd or Decimal(0) for row in space.store.calls()), Decimal(0))
        space.close()


def test_at_most_ten_at_their_worst(project: Path) -> None:
    """Where every call costs its worst case, money for ten makes exactly ten."""
    space = space_at("http://127.0.0.1:9/v1", project)

    def dear(messages: Any) -> Any:
        from bmad_nb.messages import Completion

        return Completion("x", Usage(len(messages[-1].text) + 32, 10))

    space.add_llm("dear", dear, price=Price(Decimal(3), Decimal(15)))
    worst = (Decimal(3) * (len("Say 100.") + 32) + Decimal(15) * 10) / 1_000_000
    with pytest.raises(RunPaused) as caught:
        space.compare(
            "Say {{ n }}.", ["own/dear"], over=[{"n": n} for n in range(100, 164)], max_tokens=10,
            budget_usd=10 * worst,
        )  # fmt: skip
    assert 10 * worst == caught.value.result.cost_usd
    assert 10 == sum(row.state == "answered" for row in space.store.calls())
    space.close()


@pytest.mark.long
def test_a_storm_is_weathered(project: Path) -> None:
    """64 workers, 2,000 calls, 80 a second allowed: none fails, few are refused once it is known."""
    with FakeProviderProcess({"models": {"small": {"rps": 20}}, "time_scale": 4}) as fake:
        space = space_at(fake.url, project)
        llms = ["my-openai/small"]
        first = space.compare("Warm {{ n }}.", llms, over=[{"n": n} for n in range(500)])
        warm = fake.counts()
        then = space.compare("Say {{ n }}.", llms, over=[{"n": n} for n in range(1500)])
        counts = fake.counts()
        space.close()

    assert 2000 == sum(row.state == "answered" for row in (*first.rows, *then.rows))
    received = counts["received"] - warm["received"]
    assert received - 1500 <= 0.05 * received


@pytest.mark.long
def test_declared_limits_are_kept_over_http(project: Path) -> None:
    """With the limit declared, at most one request in a hundred is refused."""
    with FakeProviderProcess({"models": {"small": {"rps": 40}}}) as fake:
        space = space_at(fake.url, project)
        space.close()
        config = {
            "endpoints": {"my": {"base_url": fake.url, "rpm": 2400}},
            "engine": {"max_concurrent_tasks": 64},
        }
        space = Workspace(config, store=project / "other.db")
        done = space.compare("Say {{ n }}.", ["my/small"], over=[{"n": n} for n in range(600)])
        space.close()
        counts = fake.counts()

    assert 600 == sum(row.state == "answered" for row in done.rows)
    assert counts["received"] - 600 <= 6
