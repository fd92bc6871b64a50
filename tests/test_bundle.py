"""A run that is brought in again takes on what has happened since, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bmad_nb.errors import RunPaused, ServerFailed, UsageProblem
from bmad_nb.export.bundle import bring_in, bundle
from bmad_nb.store.journal import Store
from bmad_nb.workspace import Workspace

CASES = [{"n": n} for n in range(40)]
PROMPT, LLM = "What is {{ n }} + 1?", "sim/careful"


@pytest.fixture
def halves(project: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Give a run that a budget stopped, and the same run after it went on to its end."""
    space = Workspace(store=project / "there.db")
    options = {"over": CASES, "reference": "1", "max_tokens": 20}
    with pytest.raises(RunPaused) as caught:
        space.compare(PROMPT, LLM, budget_usd="0.0004", **options)
    run_id = caught.value.run_id
    first = json.loads(json.dumps(bundle(space.store, run_id)))
    assert run_id == space.compare(PROMPT, LLM, **options).id
    second = json.loads(json.dumps(bundle(space.store, run_id)))
    space.close()
    assert 0 < len(first["calls"]) < len(second["calls"])
    return first, second


def seen(store: Store) -> dict[str, Any]:
    """Return the only run of a store as a bundle, without the time of its export."""
    [run] = store.runs()
    return {n: v for n, v in bundle(store, run.run_id).items() if n != "exported_utc"}


def test_a_run_grows(store: Store, halves: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """The later half takes the place of the earlier; either of them twice changes nothing."""
    first, second = halves
    for each in (first, first, second, second, first):
        run = bring_in(store, each, again=True)
        later = each is second or run.status == "completed"
        expected = second if later else first
        assert {n: v for n, v in expected.items() if n != "exported_utc"} == seen(store)
    with pytest.raises(UsageProblem, match="already"):
        bring_in(store, second)


def test_a_run_that_went_on_here_stays(
    store: Store, halves: tuple[dict[str, Any], dict[str, Any]], project: Path
) -> None:
    """Where both have gone on, what this store has is kept."""
    first, second = halves
    bring_in(store, first, again=True)
    space = Workspace(store=store.path)
    assert (
        first["run"]["run_id"]
        == space.compare(PROMPT, LLM, over=CASES, reference="1", max_tokens=20).id
    )
    mine = seen(space.store)
    bring_in(space.store, second, again=True)
    assert mine == seen(space.store)
    space.close()


def test_a_run_with_a_call_that_was_tried_again_comes_in(store: Store, project: Path) -> None:
    """Each attempt at a call is a row of its own, and all of them come along."""
    tried: list[str] = []

    def busy(prompt: str) -> str:
        tried.append(prompt)
        if len(tried) == 1:
            raise ServerFailed("Too much to do.", llm="own/busy")
        return "Because it is lighter."

    space = Workspace(store=project / "there.db")
    space.add_llm("busy", busy)
    run_id = space.ask("Why does ice float?", "busy").id
    given = json.loads(json.dumps(bundle(space.store, run_id)))
    space.close()
    bring_in(store, given)
    assert ["failed", "answered"] == [call.state for call in store.calls(run_id)]
    assert {n: v for n, v in given.items() if n != "exported_utc"} == seen(store)
