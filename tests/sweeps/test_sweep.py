"""Whole sweeps: the same on each executor, killed, interrupted, resumed, and within their budget."""

from __future__ import annotations

import json
import signal
from decimal import Decimal
from pathlib import Path
from typing import Any

import nbformat
import pytest

from bmad_nb import frames, read_outputs
from tests.fake_provider import FakeProviderProcess
from tests.sweeps.studies import Study, cluster, ended, statuses

pytestmark = pytest.mark.long
BUSY = {"models": {"busy": {"latency_s": 0.25, "price": {
    "input_usd_per_mtok": 10, "output_usd_per_mtok": 100}}}}  # fmt: skip
SIX = {"topic": ["a", "b", "c", "d", "e", "f"], "size": 8}


def frame(found: dict[str, Any]) -> Any:
    """Return the frame of a sweep without what no two sweeps share: times, and their folder."""
    rows = [{**row, "path": Path(row["path"]).name} for row in found["notebooks"]]
    return frames.sweep(rows).drop(columns="duration_s")


def test_24_notebooks_give_the_same_frame_here_and_on_dask(project: Path) -> None:
    """Local and dask give one frame; a failing notebook is a row with its error, the rest go on."""
    grid = {
        "grid": {"topic": [f"topic {n}" for n in range(23)], "llms": "sim/hasty,sim/careful"},
        "cases": [{"topic": "x", "llms": "sim/nobody"}],
    }
    found = []
    for executor in ("local", "dask"):
        folder = project / executor
        folder.mkdir()
        study = Study(folder)
        result = study.sweep(grid, "--executor", executor, "--parallel", "2", code=1)
        assert ["completed"] * 23 + ["failed"] == statuses(result)
        assert [6] * 23 + [0] == [row["calls"] for row in result["notebooks"]]
        assert "There is no LLM 'sim/nobody'" in result["notebooks"][-1]["error"]
        assert "UnknownName" == result["notebooks"][-1]["error_kind"]
        outputs = read_outputs(folder / "study-sweep" / "*.ipynb", strict=False)
        assert 23 == len(outputs.runs)
        assert 23 * 6 == len(outputs.calls) == len(study.calls())
        assert 24 == (folder / result["index"]).read_text().count('.ipynb" title=')
        assert {row["original_simulated_cost_usd"] > 0 for row in result["notebooks"][:23]} == {
            True
        }
        found.append(frame(result))
    left, right = found
    assert left.equals(right)
    assert list(left.dtypes) == list(right.dtypes)
    assert 24 == len(left)
    assert left["topic"].nunique() == 24


def test_a_killed_worker_costs_nothing_that_was_finished(project: Path) -> None:
    """kill -9 of a dask worker: the rest is done elsewhere; only what was in flight comes again."""
    with FakeProviderProcess(BUSY) as provider:
        study = Study(project, provider)
        with cluster(study, 2) as (address, workers):
            process = study.begin(SIX, "--executor", address)
            study.wait_for(sent=10)
            workers[0].send_signal(signal.SIGKILL)
            before = provider.counts()["sent"]
            found = ended(process)
        assert ["completed"] * 6 == statuses(found)
        assert 10 <= before < 48
        assert study.repeated() <= 2  # one worker had at most two calls in flight
        assert {48} == {sum(state == "answered" for _, state in study.calls())}


@pytest.mark.parametrize(
    ("executor", "sign"),
    [("local", signal.SIGINT), ("local", signal.SIGKILL), ("dask", signal.SIGINT),
     ("address", signal.SIGKILL)],
)  # fmt: skip
def test_an_interrupted_sweep_goes_on_when_it_is_run_again(
    project: Path, executor: str, sign: signal.Signals
) -> None:
    """Ctrl-C or kill -9 of the driver: run again, no stored call is made and nothing done twice."""
    with FakeProviderProcess(BUSY) as provider:
        study = Study(project, provider)
        with cluster(study, 2 if executor == "address" else 0) as (address, _):
            words = ("--parallel", "2", "--executor",
                     address if executor == "address" else executor)  # fmt: skip
            process = study.begin(SIX, *words)
            study.wait_for(sent=20)
            process.send_signal(sign)
            ended(process, 130 if sign == signal.SIGINT else -sign)
            done = list((project / "study-sweep").glob("*.ipynb"))
            before = {path: path.stat().st_mtime_ns for path in done if _is_whole(path)}
            found = study.sweep(SIX, *words)
        assert ["completed"] * 6 == statuses(found)
        assert before
        assert before == {path: path.stat().st_mtime_ns for path in before}
        assert study.repeated() <= 4  # two notebooks had at most two calls in flight each


def test_workers_on_other_machines_tell_what_they_finish(project: Path) -> None:
    """Workers that see nothing of this machine: settings and answers go there, runs come back.

    What a killed one had told is not asked again, and its slice counts in full: nobody knows the
    rest of what it did. An interrupted one says all.
    """
    with FakeProviderProcess(BUSY) as provider:
        study = Study(project, provider)
        assert [4] == [
            row["calls"] for row in study.sweep({"topic": ["a"], "size": 4})["notebooks"]
        ]
        many = {"topic": ["a", "b", "c"], "size": 60}
        with cluster(study, 2, blind=True) as (address, workers):
            words = ("--executor", address, "--budget-usd", "4", "--out", "far")
            process = study.begin(many, *words)
            study.wait_for(sent=30)
            process.send_signal(signal.SIGINT)
            ended(process, 130)
            told = {key for key, state in study.calls() if state == "answered"}
            assert len(told) >= 30 - 4  # at most four were on their way back
            process = study.begin(many, *words)
            study.wait_for(sent=90)
            workers[0].send_signal(signal.SIGKILL)
            found = ended(process)
        assert ["completed"] * 3 == statuses(found)
        assert 4 == sum(row["from_store"] for row in found["notebooks"])
        assert 180 == sum(state == "answered" for _, state in study.calls())
        came = {key: each["received"] for key, each in provider.counts()["keys"].items()}
        assert {1} == {came[key] for key in told}
        # four were broken off, two in flight, and eight a second finished before a killed one told
        assert sum(came.values()) - 180 <= 4 + 2 + 16
        assert Decimal(found["spent_usd"]) > 1 > Decimal(provider.counts()["cost_usd"])
        assert 1 == len(list((project.parent / "tmp").glob("bmad-sweep-*")))  # of the killed one


def _is_whole(path: Path) -> bool:
    return bool(nbformat.read(path, as_version=4).cells[-1].get("outputs"))


def test_a_budget_is_never_exceeded_across_workers(project: Path) -> None:
    """Slices sum up to less than the limit, with a worker killed too; more money finishes it."""
    with FakeProviderProcess(BUSY) as provider:
        study = Study(project, provider)
        limit = Decimal("0.025")
        with cluster(study, 2) as (address, workers):
            words = ("--executor", address, "--budget-usd")
            process = study.begin(SIX, *words, str(limit))
            study.wait_for(sent=6)
            workers[0].send_signal(signal.SIGKILL)
            found = ended(process, 4)
            billed = Decimal(provider.counts()["cost_usd"])
            assert limit / 2 < billed <= limit
            assert billed <= Decimal(found["spent_usd"]) <= limit
            assert "paused" in statuses(found)
            [said] = {row["error_kind"] for row in found["notebooks"] if row["error"]}
            assert "RunPaused" == said
            found = study.sweep(SIX, *words, "2")
        assert ["completed"] * 6 == statuses(found)
        assert study.repeated() <= 2
        assert limit < Decimal(provider.counts()["cost_usd"]) <= 2


def test_what_the_store_has_is_not_asked_again(project: Path) -> None:
    """Answers of the user's store serve in a sweep, and those of a sweep serve the user."""
    with FakeProviderProcess(BUSY) as provider:
        study = Study(project, provider)
        one = {"topic": ["a"], "size": 4}
        assert 4 == study.sweep(one)["notebooks"][0]["calls"]
        again = study.sweep({"topic": ["a"], "size": 6}, "--out", "other")
        [row] = again["notebooks"]
        assert (2, 4) == (row["calls"], row["from_store"])
        assert 6 == provider.counts()["received"]
        assert 0 == study.repeated()
        private = json.dumps([str(p) for p in (project / "other" / ".sweep").iterdir()])
        assert "bmad.db" not in private
