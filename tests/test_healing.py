"""Runs that heal themselves: many faults, each with its own cure, and every task done in the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from bmad_nb import parse
from bmad_nb.errors import RunFailed, RunPaused
from bmad_nb.workspace import Workspace
from tests.fake_provider import FakeProvider

MODELS = {
    "steady": {},
    "shaky": {"fault_rates": {"500": 0.15, "reset": 0.15}},
    "wrong": {"fault_rates": {"400": 1.0}},
    "broke": {"fault_rates": {"quota": 1.0}},
}


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    """Give a provider with a sound model and some that are not."""
    with FakeProvider({"models": MODELS}) as provider:
        yield provider


@pytest.fixture
def space(project: Path, provider: FakeProvider) -> Iterator[Workspace]:
    """Give a workspace on it that waits little between attempts."""
    endpoint = {"base_url": provider.url, "models": list(MODELS)}
    space = Workspace({"endpoints": {"fake": endpoint, "other": {**endpoint}}})
    yield space
    space.close()


def test_a_third_of_all_calls_fails_and_every_task_is_done(
    space: Workspace, provider: FakeProvider
) -> None:
    """500 items, 30 % faults at random: all are done, none takes more attempts than it may."""
    flow = parse.loads(
        "{workflow: w, inputs: {ns: list}, strategy: adaptive, tasks: {a: {map: {over: ns, as: n}, "
        "prompt: 'Item {{ n }}', llm: fake/shaky, fallback: [{route: fake/steady}], "
        "retry: {attempts: 4, backoff: 5ms, max_backoff: 20ms}}}}"
    )
    run = space.run(flow, {"ns": list(range(500))}, router=_First())
    assert "completed" == run.status
    assert 500 == len([each for each in run.outputs["a"]["items"] if each])
    tries = Counter(run.calls["task"])
    assert max(tries.values()) <= 8  # four of each LLM
    failed = (run.calls["state"] == "failed").sum()
    assert 100 < failed < 400
    assert not (run.calls["state"] == "in_flight").any()
    sent = run.calls[(run.calls["state"] != "cancelled") | (run.calls["billed"] == "maybe")]
    assert len(sent) >= provider.counts()["received"] >= len(run.calls) - len(run.calls) // 10


class _First:
    name = "first"

    def choose(self, demand: object, candidates: list) -> object:  # type: ignore[type-arg]
        from bmad_nb.routers.base import Choice

        return Choice(candidates[0].card.id, "the first")


def test_a_request_that_is_wrong_is_not_sent_again(
    space: Workspace, provider: FakeProvider
) -> None:
    """HTTP 400: one call, no retry; the adaptive strategy asks another LLM of the route."""
    text = "{workflow: w, tasks: {a: {prompt: hi, llm: [fake/wrong, fake/steady]}}}"
    with pytest.raises(RunFailed):
        space.run(parse.loads(text), router=_First())
    assert 1 == provider.counts()["received"]
    run = space.run(parse.loads(text), strategy="adaptive", router=_First())
    assert "fake/steady" == run.tasks.loc[0, "llm"]
    assert 3 == provider.counts()["received"]


def test_a_quota_that_is_used_up_stops_its_provider_at_once(
    space: Workspace, provider: FakeProvider
) -> None:
    """The circuit opens after one failure: at most what was in flight is sent behind it."""
    flow = parse.loads(
        "{workflow: w, inputs: {ns: list}, tasks: {a: {map: {over: ns, as: n}, "
        "prompt: 'Item {{ n }}', llm: fake/broke}}}"
    )
    with pytest.raises((RunFailed, RunPaused)):
        space.run(flow, {"ns": list(range(100))})
    assert provider.counts()["received"] <= space.settings.engine.max_concurrent_tasks
