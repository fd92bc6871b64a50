"""Collaborations, votes and merges over stored answers, and plans made cheaper, on the command line."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bmad_nb import parse
from bmad_nb.consensus.combining import combined_texts, combined_values
from bmad_nb.consensus.voting import tally
from bmad_nb.workspace import Workspace
from tests.fake_provider import FakeProvider
from tests.test_cli import KEY, KEY_NAME, data, environment
from tests.warm import Warm

MODELS: dict[str, Any] = {
    "a": {}, "b": {}, "c": {}, "big": {}, "good": {}, "poor": {"skill": 0.75},
}  # fmt: skip
FLOW = """\
# what the letters say
workflow: sums
inputs: {topic: {type: text, default: ice}}
tasks:
  count:  # how many
    type: arith
    prompt: "How many of {{ topic }}? [answer: 7]"
    llm: fake/big
  told:
    prompt: "Say {{ count }} of {{ topic }}."
    llm: fake/big
outputs: {told: told.text}
"""
TASK = """\
workflow: ask
inputs: {topic: {type: text, default: ice}}
tasks:
  why: {prompt: "Why {{ topic }}? [answer: 4]", llm: fake/a}
"""


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeProvider]:
    """Give a provider that wants a key."""
    with FakeProvider({"key": KEY, "models": MODELS}) as fake:
        yield fake


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, provider: FakeProvider) -> Path:
    """Give a project with settings and workflows."""
    made = tmp_path_factory.mktemp("project")
    models = ", ".join(f'"{name}"' for name in MODELS)
    prices = "".join(
        f'[prices."fake/{name}"]\ninput_usd_per_mtok = {usd}\noutput_usd_per_mtok = {usd}\n'
        for name, usd in (("big", 1000), ("good", 300), ("poor", 50))
    )
    (made / "bmad.toml").write_text(
        f'[endpoints.fake]\nbase_url = "{provider.url}"\napi_key = "env:{KEY_NAME}"\n'
        f"models = [{models}]\n{prices}"
    )
    (made / "sums.yaml").write_text(FLOW)
    (made / "ask.yaml").write_text(TASK)
    return made


_HELPER: list[Warm] = []


@pytest.fixture(scope="module", autouse=True)
def warm() -> Iterator[Warm]:
    """Give a helper that runs command lines in processes of their own."""
    with Warm() as helper:
        _HELPER.append(helper)
        yield helper
        _HELPER.clear()


def bmad(folder: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command line to its end, in a process of its own."""
    return _HELPER[0].run(folder, environment(folder, **env), *words)


def answered(folder: Path, llm: str, text: str) -> str:
    """Return the run in which an LLM gave this answer."""
    run = data(bmad(folder, "ask", "-m", llm, "--json", "--fresh", f"Say [answer: {text}]"))
    assert run["rows"][0]["text"] == text
    return str(run["run_id"])


@pytest.fixture(scope="module")
def votes(folder: Path) -> list[str]:
    """Give three runs: two say 42 in different words, one says 41."""
    texts = {"fake/a": "42", "fake/b": "The answer is 42.", "fake/c": "41"}
    return [answered(folder, llm, text) for llm, text in texts.items()]


# --- consensus ------------------------------------------------------------------------------------


def test_stored_results_vote_without_a_call(
    folder: Path, votes: list[str], provider: FakeProvider
) -> None:
    """Majority, weighted and medoid give the hand-counted result; the provider hears nothing."""
    provider.reset()
    words = ("workflow", "consensus", "--results", ",".join(votes), "--json")
    plain = data(bmad(folder, *words))["Result"][0]
    assert ("42", False) == (plain["answer"], plain["tied"])
    assert ["fake/a", "fake/b"] == plain["support"]
    assert ["'41' by fake/c"] == plain["dissent"]
    assert 1 / 3 == pytest.approx(plain["agreement"])
    assert 2 / 3 == pytest.approx(plain["confidence"])

    heavy = data(bmad(folder, *words, "--method", "weighted", "--weights", "0.2,0.3,0.9"))
    assert "41" == heavy["Result"][0]["answer"]
    assert 0.9 / 1.4 == pytest.approx(heavy["Result"][0]["confidence"])
    assert [0.2, 0.3, 0.9] == [row["weight"] for row in heavy["Who said what"]]
    assert 0 == heavy["calls_made"]

    equal = data(bmad(folder, *words, "--method", "weighted", "--weights", "1,1,1"))["Result"][0]
    assert (plain["answer"], plain["confidence"]) == (equal["answer"], equal["confidence"])
    assert tally({"a": "42", "b": "42", "c": "41"}).share == pytest.approx(equal["confidence"])

    medoid = data(bmad(folder, *words, "--method", "medoid"))
    assert medoid["Result"][0]["answer"] in {"42", "The answer is 42.", "41"}
    assert 0 == provider.counts()["received"]


def test_a_missing_result_and_wrong_weights_are_wrong_use(folder: Path, votes: list[str]) -> None:
    """An unknown id, a failed answer, too few weights, and a weighted vote without any: code 2."""
    words = ("workflow", "consensus", "--results")
    for more, said in (
        ((f"{votes[0]},00000000",), "no stored result '00000000'"),
        ((",".join(votes), "--method", "weighted", "--weights", "1,2"), "2 weights for 3 answers"),
        ((",".join(votes), "--weights", "1,2,3"), "majority takes no weights"),
        ((votes[0], "--method", "loud"), "--method"),
        ((f"{votes[0]}/all",), "has no outputs"),
    ):
        done = bmad(folder, *words, *more)
        assert (2, "") == (done.returncode, done.stdout), more
        assert said in done.stderr
    assert 1 == bmad(folder, *words, votes[0], "--quorum", "2").returncode


# --- ensemble -------------------------------------------------------------------------------------


def test_outputs_are_merged_with_their_sources(
    folder: Path, provider: FakeProvider, tmp_path: Path
) -> None:
    """JSON is merged by its form, each part has its sources; the boundary .8 is kept, below is not."""
    texts = {
        "fake/a": '{"risks": ["roof", "rent"), "sum": 3}'.replace(")", "]"),
        "fake/b": '{"risks": ["rent", "walls"], "sum": 3}'.replace(")", "]"),
        "fake/c": '{"risks": ["fire"], "sum": 9}',
    }
    runs = []
    for llm, text in texts.items():
        (folder / "p.csv").write_text("p\n")
        ws = Workspace(config=folder / "bmad.toml", store=folder / ".bmad" / "bmad.db")
        ws.add_llm("own/" + llm[-1], lambda _messages, text=text: text)
        runs.append(ws.ask("Which risks?", f"own/{llm[-1]}").id)
        ws.close()
    for run, llm, score in zip(runs, "abc", ("0.8", "0.9", "0.799"), strict=True):
        assert 0 == bmad(folder, "rate", run, f"own/{llm}", score).returncode
    provider.reset()
    words = ("workflow", "ensemble", "--results", ",".join(runs), "--combine-outputs")
    schema = ("--schema", '{"risks": ["string"], "sum": "integer"}')
    found = data(bmad(folder, *words, "--quality-threshold", "0.8", *schema, "--json"))

    assert {"risks": ["rent", "walls", "roof"], "sum": 3} == found["merged"]
    parts = {row["part"]: row["sources"] for row in found["Merged"]}
    assert {"risks[0]": ["own/a", "own/b"], "risks[1]": ["own/b"], "risks[2]": ["own/a"],
            "sum": ["own/a", "own/b"]} == parts  # fmt: skip
    assert [True, True, False] == [row["used"] for row in found["Members"]]
    every = data(bmad(folder, *words, "--json"))
    contested = next(row for row in every["Merged"] if row["part"] == "sum")
    assert ["9 by own/c"] == contested["instead_of"]

    known = (
        "workflow",
        "consensus",
        "--results",
        ",".join(runs),
        "--method",
        "weighted",
        "--field",
    )
    learned = data(bmad(folder, *known, "sum", "--json"))
    assert "3" == learned["Result"][0]["answer"]
    weights = {row["name"]: row["weight"] for row in learned["Who said what"]}
    assert weights["own/b"] > weights["own/a"] > weights["own/c"] > 0

    low = bmad(folder, *words, "--quality-threshold", "0.95")
    assert (1, "") == (low.returncode, low.stdout)
    assert "The best, own/b" in low.stderr
    assert "walls" in low.stderr
    few = bmad(folder, *words, "--quality-threshold", "0.85", "--quorum", "2")
    assert 1 == few.returncode
    assert 0 == provider.counts()["received"]


def test_values_and_texts_are_combined_by_hand() -> None:
    """Fields, lists, ties and passages: what was counted by hand, whatever the order of members."""
    given = {"b": {"x": 2, "deep": {"y": "No"}}, "a": {"x": 1, "deep": {"y": " no "}, "z": None}}
    one, other = combined_values(given), combined_values(dict(reversed(given.items())))
    assert {"x": 1, "deep": {"y": " no "}, "z": None} == one.value == other.value
    assert ["x"] == [piece.path for piece in one.contested]
    assert {"x": 2} == combined_values({"a": {"x": 1}, "b": {"x": 2}}, {"b": 2.0}).value
    text = combined_texts({
        "a": "Ice floats because it is less dense. It is cold.",
        "b": "Ice floats because it is less dense than water.",
        "c": "Penguins like it.",
    })  # fmt: skip
    assert ("a", "b") in [piece.sources for piece in text.pieces]
    assert ("c",) in [piece.sources for piece in text.pieces]
    assert "" == combined_texts({"a": " "}).value


# --- collaborate ----------------------------------------------------------------------------------


def test_collaborate_asks_each_llm_once(folder: Path, provider: FakeProvider) -> None:
    """Three LLMs are asked at the provider; the result has a row for each, and what they say."""
    provider.reset()
    words = (
        "workflow",
        "collaborate",
        "--type",
        "vote",
        "--llms",
        "fake/a,fake/b,fake/c",
        "--json",
    )
    found = data(bmad(folder, *words, "--task", "How many? [answer: 12]"))

    asked = {model_of(request) for request in provider.requests()}
    assert {"a", "b", "c"} == asked
    members = found["tasks"][0]["together"]["members"]
    assert ["12"] * 3 == [member["answer"] for member in members]
    assert {"answer": "12"} == found["outputs"]
    of_file = data(bmad(folder, *words, "--task", "why", "--definition", "ask.yaml"))
    assert {"answer": "4"} == of_file["outputs"]


def model_of(request: dict[str, Any]) -> str:
    """Return the model that a request names."""
    return str(json.loads(request["body"])["model"])


def test_who_is_absent_is_named_and_left_out(folder: Path, provider: FakeProvider) -> None:
    """An unknown LLM and one without its key are said; enough others go on, too few are code 2."""
    provider.reset()
    words = ("workflow", "collaborate", "--task", "How? [answer: 1]", "--type", "vote", "--llms")
    done = bmad(folder, *words, "fake/a,fake/b,openai/gpt-4o")
    assert 0 == done.returncode, done.stderr
    assert "left out: openai/gpt-4o: the environment variable OPENAI_API_KEY" in done.stderr
    assert 2 == provider.counts()["received"]
    few = bmad(folder, *words, "fake/a,nobody/x,openai/gpt-4o")
    assert (2, "") == (few.returncode, few.stdout)
    assert "nobody/x is unknown" in few.stderr
    assert "1 of 3" in few.stderr
    assert 2 == provider.counts()["received"]


# --- optimize -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tried(folder: Path, provider: FakeProvider) -> Path:
    """Give a project in which three LLMs did the tasks, and 40 answers of each were checked."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(KEY_NAME, KEY)
        ws = Workspace(config=folder / "bmad.toml", store=folder / ".bmad" / "bmad.db")
        cases = [{"q": f"Sum {n} [answer: {n}]", "r": str(n)} for n in range(40)]
        asked = ws.compare("{{ q }}", "fake/big,fake/good,fake/poor", over=cases, reference="r")
        ws.score(asked, "exact", task_type="arith")
        for llm in ("big", "good", "poor"):
            for topic in ("ice", "fog", "dew"):
                ws.run(folder / "sums.yaml", {"topic": topic}, llms={"fake/big": f"fake/{llm}"})
        ws.close()
    return folder


def test_a_cheaper_plan_is_proposed_and_keeps_its_word(tried: Path, provider: FakeProvider) -> None:
    """The LLM that is surely good enough is proposed, and measured to save what is claimed."""
    words = ("workflow", "optimize", "--definition", "sums.yaml", "--objective", "cost",
             "--maintain-quality", "0.8", "--force", "--json")  # fmt: skip
    provider.reset()
    found = data(bmad(tried, *words))
    assert 0 == provider.counts()["received"]
    assert [("count", "fake/big", "fake/good")] == [
        (c["task"], c["before"], c["after"]) for c in found["changes"]
    ]
    assert found["changes"][0]["surely"] >= 0.8
    assert any(line.startswith("told: ") for line in found["refused"])  # nobody scored it
    proposed = (tried / "sums.optimized.yaml").read_text()
    assert "# what the letters say" in proposed
    assert "# how many" in proposed
    assert ["fake/good"] == parse.loads(proposed).tasks["count"].llm
    assert "-    llm: fake/big" in found["diff"]
    assert "+    llm: fake/good" in found["diff"]
    provider.reset()
    measured = data(bmad(tried, *words, "--measure", "-p", "topic=hail"))["measured"]
    assert 2 == provider.counts()["received"]
    assert found["saving"] > 0.05
    assert found["saving"] == pytest.approx(measured["saving"], rel=0.15)


def test_no_change_is_made_that_is_not_surely_good(tried: Path) -> None:
    """A planted LLM with three of four right is refused, however cheap; so is all that is unknown."""
    (tried / "poor.yaml").write_text(FLOW.replace("fake/big", "fake/good"))
    done = data(bmad(tried, "workflow", "optimize", "--definition", "poor.yaml",
                     "--maintain-quality", "0.8", "--json"))  # fmt: skip
    assert [] == done["changes"]
    assert any("fake/poor scores 0." in line for line in done["refused"])
    assert not (tried / "poor.optimized.yaml").exists()
    said = bmad(tried, "workflow", "optimize", "--definition", "poor.yaml").stdout
    assert "No safe change" in said
    assert 2 == bmad(tried, "workflow", "optimize", "--definition", "absent.yaml").returncode
    loose = data(bmad(tried, "workflow", "optimize", "--definition", "poor.yaml",
                      "--maintain-quality", "0.5", "--json"))  # fmt: skip
    assert ["fake/poor"] == [c["after"] for c in loose["changes"]]
