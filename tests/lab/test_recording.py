"""Recordings: prompts x LLMs x scores, from own calls, stored runs, files and others' tables."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmad_nb import lab
from bmad_nb.errors import RunPaused, UnknownName, UsageProblem
from bmad_nb.lab import fetching, files
from bmad_nb.workspace import Workspace
from tests.fake_provider import FakeProvider

LLMS = "sim/careful,sim/hasty"


def prompts() -> pd.DataFrame:
    """Return questions with their right answers and kinds."""
    return pd.DataFrame(
        {
            "question": ["17 * 23", "4 + 5", "What is the capital of Peru?"],
            "right": ["391", "9", "Lima"],
            "subset": ["math", "math", "facts"],
        }
    )


def recorded(ws: Workspace, **options: Any) -> lab.Recording:
    """Record them with two simulated LLMs."""
    return lab.record(
        prompts(), LLMS, template="{{ question }}", reference="right", ws=ws, **options
    )


# --- own prompts ----------------------------------------------------------------------------------


def test_own_prompts_become_two_tables(ws: Workspace) -> None:
    """A row for each question, and one for each question and LLM, with score, cost and kind."""
    queries, calls = recorded(ws)
    assert [*lab.recording.QUERIES] == list(queries.columns)
    assert [*lab.recording.CALLS] == list(calls.columns)
    assert ["17 * 23", "4 + 5", "What is the capital of Peru?"] == list(queries["prompt"])
    assert (["391", "9", "Lima"], ["math", "math", "facts"]) == (
        list(queries["reference"]), list(queries["subset"]),
    )  # fmt: skip
    assert 6 == len(calls)
    assert set(queries["query_id"]) == set(calls["query_id"])
    careful = calls[calls["model"] == "sim/careful"]
    right = dict(zip(queries["query_id"], queries["reference"], strict=True))
    by_hand = [float(right[row.query_id] in row.response.split()) for row in careful.itertuples()]
    assert by_hand == list(careful["score"])
    assert careful["cost_usd"].gt(0).all()
    assert calls["simulated"].all()


def test_recording_again_pays_nothing(project: Path) -> None:
    """The same recording a second time sends no call, and gives the same tables and costs."""
    with FakeProvider({"models": {"a": {}, "b": {}}}) as provider:
        endpoint = {"base_url": provider.url, "models": ["a", "b"]}
        price = {"input_usd_per_mtok": 1, "output_usd_per_mtok": 2}
        ws = Workspace(
            {"endpoints": {"fake": endpoint}, "prices": {"fake/a": price, "fake/b": price}}
        )
        first = lab.record(["one", "two"], "fake/a,fake/b", reference=["x", "y"], ws=ws)
        assert 4 == provider.counts()["received"]
        again = lab.record(["one", "two"], "fake/a,fake/b", reference=["x", "y"], ws=ws)
        assert 4 == provider.counts()["received"]
        more = lab.record(["one", "two", "three"], "fake/a,fake/b", ws=ws)
        assert 6 == provider.counts()["received"]
        ws.close()
    for mine, theirs in zip(first, again, strict=True):
        pd.testing.assert_frame_equal(mine, theirs)
    assert first.calls["cost_usd"].gt(0).all()
    assert list(first.queries["query_id"]) == list(more.queries["query_id"])[:2]
    assert more.calls["score"].isna().all()


def test_a_recording_goes_on_where_its_budget_ended(ws: Workspace) -> None:
    """A limit stops it with what is finished kept; with more money only the rest is asked."""
    asked: list[str] = []

    def llm(messages: Any) -> Any:
        from bmad_nb.messages import Completion, Usage

        asked.append(messages[-1].text)
        return Completion("x", Usage(1000, 1000))

    from decimal import Decimal

    from bmad_nb.messages import Price

    ws.add_llm("paid", llm, price=Price(Decimal(1), Decimal(1)))
    texts = [f"question {n}" for n in range(6)]
    with pytest.raises(RunPaused):
        lab.record(texts, "own/paid", budget_usd=0.003, max_tokens=1000, ws=ws)
    done = len(asked)
    assert 0 < done < 6
    found = lab.record(texts, "own/paid", budget_usd=1, max_tokens=1000, ws=ws)
    assert 6 == len(asked) == len(set(asked))
    assert 6 == found.calls["response"].notna().sum()


def test_own_scorer_and_ids(ws: Workspace) -> None:
    """A function scores, ids and settings are kept, and equal prompts have ids of their own."""
    table = pd.DataFrame({"prompt": ["4 + 5"] * 3, "query_id": [7, None, None], "reference": "9"})
    found = lab.record(table, "sim/careful?temperature=0", scorer=lambda answer, right: 0.25, ws=ws)
    ids = list(found.queries["query_id"])
    assert "7.0" == ids[0]
    assert f"{ids[1]}-2" == ids[2]
    assert [0.25] * 3 == list(found.calls["score"])
    assert {"sim/careful?temperature=0"} == set(found.calls["model"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"prompts": "one"}, "several prompts"),
        ({"prompts": []}, "no prompt"),
        ({"prompts": ["a"], "reference": ["x", "y"]}, "2 references for 1"),
        ({"prompts": ["a"], "reference": "right"}, "no column 'right'"),
        ({"prompts": ["a"], "samples": 3}, "does not take samples"),
    ],
)
def test_what_cannot_be_recorded(ws: Workspace, arguments: dict[str, Any], said: str) -> None:
    """Each is one typed error before anybody is asked."""
    with pytest.raises(UsageProblem, match=said):
        lab.record(**{"llms": LLMS, "ws": ws, **arguments})
    assert ws.runs().empty


# --- stored runs ----------------------------------------------------------------------------------


def test_stored_runs_become_a_recording(ws: Workspace) -> None:
    """Equal questions of several runs are one; a person's rating goes before a check."""
    first = ws.compare("4 + 5", "sim/careful", reference="9")
    second = ws.compare("4 + 5", "sim/hasty", reference="9")
    ws.rate(first, "sim/careful", 0.1)
    queries, calls = lab.record_of(ws=ws)
    assert ["4 + 5"] == list(queries["prompt"])
    assert ["9"] == list(queries["reference"])
    assert {"sim/careful", "sim/hasty"} == set(calls["model"])
    score = dict(zip(calls["model"], calls["score"], strict=True))
    assert 0.1 == score["sim/careful"]
    assert ["sim/hasty"] == list(lab.record_of(second, ws=ws).calls["model"])
    assert 1 == len(lab.record_of(first.id, ws=ws).calls)


def test_no_runs_are_no_recording(ws: Workspace) -> None:
    """An empty store is said to be one."""
    with pytest.raises(UsageProblem, match="no answers"):
        lab.record_of(ws=ws)


# --- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", files.ENDINGS[:-1])
def test_a_recording_survives_its_file(ws: Workspace, ending: str) -> None:
    """What is written is read back, types and missing values included."""
    if ending == ".parquet":
        pytest.importorskip("pyarrow")
    made = recorded(ws)
    made.calls.loc[0, "response"] = "=1+1"
    made.calls.loc[1, "response"] = None
    made.calls.loc[2, "response"] = ""
    paths = made.save(f"answers{ending}")
    assert [f"answers.queries{ending}", f"answers.calls{ending}"] == [p.name for p in paths]
    back = lab.read(f"answers{ending}")
    for mine, theirs in zip(made, back, strict=True):
        pd.testing.assert_frame_equal(mine, theirs)


CELLS = st.text(
    alphabet=st.one_of(
        st.sampled_from("=+-@\t\r\n'\",;0123.eE"), st.characters(codec="utf-8", exclude_characters="\0")
    ),
    max_size=12,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(cells=st.lists(CELLS, min_size=1, max_size=6))
def test_no_cell_is_a_formula_and_each_comes_back(
    tmp_path_factory: pytest.TempPathFactory, cells: list[str]
) -> None:
    """Whatever an LLM said, its cell begins with no sign of a formula, and is read back as it was."""
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    frame = pd.DataFrame({"response": pd.Series(cells, dtype="str"), "score": 0.5})
    files.write(frame, path)
    raw = pd.read_csv(path, dtype=str, keep_default_na=False)["response"]
    for cell in raw:
        assert not cell or cell[0] not in "=+-@\t\r" or files._NUMBER.fullmatch(cell)
    assert cells == list(files.read(path)["response"])


def test_a_formula_is_defused_and_a_number_is_not() -> None:
    """Planted: a formula gets an apostrophe; negative numbers stay numbers."""
    frame = pd.DataFrame({"response": ["=HYPERLINK(1)", "-5", "@x"], "score": [-1.0, 0.5, 1.0]})
    files.write(frame, Path("t.csv"))
    lines = Path("t.csv").read_text().splitlines()
    assert ["response,score", "'=HYPERLINK(1),-1.0", "-5,0.5", "'@x,1.0"] == lines


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("t.pkl", "can run code"),
        ("t.csv", "cannot be read"),
        ("t.xls", "no table that can be read"),
    ],
)
def test_what_cannot_be_read(name: str, said: str) -> None:
    """A pickle, a file that is not there, an unknown ending: one typed error each."""
    with pytest.raises(UsageProblem, match=said):
        lab.read(name)


# --- tables of others -----------------------------------------------------------------------------


def test_a_table_like_routellms() -> None:
    """A column of truths for each model, and its responses; tokens are estimated and said so."""
    table = pd.DataFrame(
        {
            "prompt": ["How many apples?", "How many pears?"],
            "weak": [True, False], "strong": [True, True],
            "weak_response": ["2", "3"], "strong_response": ["2", "4"],
        }
    )  # fmt: skip
    table.to_csv("gsm8k_responses.csv", index=False)
    queries, calls = lab.read("gsm8k_responses.csv")
    assert 2 == len(queries)
    assert [1.0, 0.0, 1.0, 1.0] == list(calls["score"])
    assert ["weak", "weak", "strong", "strong"] == list(calls["model"])
    assert calls["tokens_estimated"].all()
    assert calls["cost_usd"].isna().all()
    mmlu = table.drop(columns=["weak_response", "strong_response"])
    assert {"weak", "strong"} == set(lab.read(mmlu).calls["model"])


def test_a_table_like_routerbenchs() -> None:
    """Score, response and cost of each model; the oracle's column is no model."""
    table = pd.DataFrame(
        {
            "sample_id": ["mmlu.1", "mbpp.2"], "prompt": ["p", "q"], "eval_name": ["mmlu", "mbpp"],
            "small": [0.0, 1.0], "small|model_response": ["a", "b"], "small|total_cost": [1e-5, 2e-5],
            "large": [1.0, 1.0], "large|model_response": ["c", "d"], "large|total_cost": [1e-3, 2e-3],
            "oracle_model_to_route_to": ["large", "small"],
        }
    )  # fmt: skip
    queries, calls = lab.read(table, dataset="rb")
    assert (["mmlu.1", "mbpp.2"], ["mmlu", "mbpp"]) == (
        list(queries["query_id"]), list(queries["subset"]),
    )  # fmt: skip
    assert {"small", "large"} == set(calls["model"])
    assert [1e-5, 2e-5, 1e-3, 2e-3] == list(calls["cost_usd"])
    assert ["a", "b", "c", "d"] == list(calls["response"])


def test_a_table_like_llmrouters() -> None:
    """A row for each query and model; equal queries of two tasks are two questions."""
    rows = [
        {"task_name": task, "query": "q", "ground_truth": "r", "model_name": model,
         "performance": score, "response": "x", "input_tokens": 5, "output_tokens": 7,
         "response_time": 0.5}
        for task in ("nq", "mmlu") for model, score in (("m1", 0.25), ("m2", 1.0))
    ]  # fmt: skip
    pd.DataFrame(rows).to_json("t.jsonl", orient="records", lines=True)
    queries, calls = lab.read("t.jsonl")
    assert ["nq", "mmlu"] == list(queries["subset"])
    assert ["r", "r"] == list(queries["reference"])
    assert 4 == len(calls.drop_duplicates(["query_id", "model"]))
    assert [0.25, 1.0, 0.25, 1.0] == list(calls["score"])
    assert ([5] * 4, [0.5] * 4) == (list(calls["prompt_tokens"]), list(calls["latency_s"]))


def test_what_has_no_known_layout() -> None:
    """An unknown table, an unknown layout, a score beyond 1: one typed error each."""
    with pytest.raises(UsageProblem, match="no layout that is known"):
        lab.read(pd.DataFrame({"a": [1], "b": ["x"]}))
    with pytest.raises(UnknownName, match="routerbench"):
        lab.read(pd.DataFrame({"prompt": ["x"]}), "routerbank")  # type: ignore[arg-type]
    with pytest.raises(UsageProblem, match="Scores are in"):
        lab.read(pd.DataFrame({"query": ["q"], "model_name": ["m"], "performance": [7]}))


# --- public tables --------------------------------------------------------------------------------

GOOD = b"prompt,weak,strong,weak_response,strong_response\nq,True,False,a,b\n"


class _Server(http.server.BaseHTTPRequestHandler):
    body, status, seen = GOOD, 200, []  # type: ignore[var-annotated]

    def do_GET(self) -> None:
        """Answer with what the test planted."""
        self.seen.append(self.path)
        self.send_response(self.status)
        if self.status == 302:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Give the address of a mirror on this machine, whose table has the pinned hash."""
    import dataclasses
    import hashlib

    pinned = dataclasses.replace(
        fetching.TABLES["routellm-gsm8k"], sha256=hashlib.sha256(GOOD).hexdigest()
    )
    monkeypatch.setitem(fetching.TABLES, "routellm-gsm8k", pinned)
    _Server.body, _Server.status, _Server.seen = GOOD, 200, []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_public_table_is_fetched_once(mirror: str, tmp_path: Path) -> None:
    """It comes from the pinned path, and a second time from the cache; a spoiled copy is not used."""
    found = lab.fetch("routellm-gsm8k", base_url=mirror, cache=tmp_path / "tables")
    assert ["weak", "strong"] == list(found.calls["model"])
    assert "routellm_gsm8k" == found.queries["dataset"].iloc[0]
    lab.fetch("routellm-gsm8k", base_url=mirror, cache=tmp_path / "tables")
    path = "/lm-sys/RouteLLM/0b64fdafe049e596a3f5657c219329f24af24198/routellm/evals/gsm8k/"
    assert [f"{path}gsm8k_responses.csv"] == _Server.seen
    (kept,) = (tmp_path / "tables").iterdir()
    kept.write_bytes(GOOD + b"z,True,True,a,b\n")
    lab.fetch("routellm-gsm8k", base_url=mirror, cache=tmp_path / "tables")
    assert 2 == len(_Server.seen)


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (GOOD + b"!", 200, "SHA-256"),
        (b"", 302, "HTTP 302, it redirects"),
        (b"gone", 404, "HTTP 404"),
        (b"x" * 5000, 200, "larger than"),
    ],
)
def test_what_is_not_the_pinned_table(  # noqa: PLR0917
    mirror: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    body: bytes,
    status: int,
    said: str,
) -> None:
    """Other bytes, a redirect, an error or too much: a typed error, and nothing is kept."""
    _Server.body, _Server.status = body, status
    monkeypatch.setattr(fetching, "MOST_BYTES", 1000)
    with pytest.raises(fetching.NotFetched, match=said):
        lab.fetch("routellm-gsm8k", base_url=mirror, cache=tmp_path / "tables")
    assert not (tmp_path / "tables").exists()
    assert "/elsewhere" not in _Server.seen


def test_without_a_network(tmp_path: Path) -> None:
    """Nobody answers, or plain http would leave this machine: a clear typed error."""
    with pytest.raises(fetching.NotFetched, match="could not be fetched from 127") as caught:
        lab.fetch("routellm-gsm8k", base_url="http://127.0.0.1:9", cache=tmp_path / "tables")
    assert "lab.record" in caught.value.hint
    with pytest.raises(fetching.NotFetched, match="plain http"):
        lab.fetch("routellm-gsm8k", base_url="http://mirror.example", cache=tmp_path / "tables")
    with pytest.raises(UnknownName, match="routellm-gsm8k"):
        lab.fetch("routellm-gsm9k")


def test_the_pinned_table_is_the_one_of_the_design() -> None:
    """Commit, file and hash are the published ones."""
    table = fetching.TABLES["routellm-gsm8k"]
    assert table.sha256.startswith("1f38ed03db354a02")
    assert table.base_url.startswith("https://")
    assert "0b64fdafe049e596a3f5657c219329f24af24198" in table.path


# --- what is missing ------------------------------------------------------------------------------


@pytest.mark.parametrize("scorer", [None, "exact"])
def test_without_a_right_answer_there_is_no_score(ws: Workspace, scorer: str | None) -> None:
    """A row whose right answer is missing stays unscored; the others are scored."""
    cases = pd.DataFrame({"prompt": ["17 * 23", "4 + 5", "1 + 1"], "right": ["391", None, " "]})
    made = lab.record(cases, "sim/calculator", reference="right", scorer=scorer, ws=ws)

    assert ["391", None, None] == made.queries["reference"].astype(object).where(
        made.queries["reference"].notna(), None
    ).tolist()
    assert [False, True, True] == made.calls["score"].isna().tolist()
    assert (3, 1) == tuple(made.summary[["answers", "scored"]].loc[0])


@pytest.mark.parametrize("prompts", [["1 + 1", None], pd.DataFrame({"prompt": ["1 + 1", None]})])
def test_a_missing_prompt_is_not_asked(ws: Workspace, prompts: Any) -> None:
    """Nobody is paid to answer the prompt `nan`."""
    with pytest.raises(UsageProblem, match="Row 1 of the prompts"):
        lab.record(prompts, "sim/calculator", ws=ws)
    assert ws.runs().empty


def test_a_failed_call_is_no_answer(ws: Workspace) -> None:
    """The summary counts answers, not calls."""

    def picky(messages: Any) -> str:
        if messages[-1].text == "b":
            raise RuntimeError("no")
        return "yes"

    ws.add_llm("picky", picky)
    made = lab.record(["a", "b"], "own/picky", reference=["yes", "yes"], ws=ws)
    assert (2, 1) == (len(made.calls), int(made.summary["answers"][0]))


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"query": ["q"], "model_name": [None], "performance": [1.0]}, "which LLM"),
        ({"query": ["q"], "model_name": ["a"], "performance": [1.0], "cost": ["x"]}, "no table"),
        ({"prompt": ["q"], "a": [1.0], "b|total_cost": [0.1]}, "no answer of any LLM|no column"),
    ],
)
def test_a_foreign_table_that_is_broken(table: dict[str, Any], said: str) -> None:
    """A table of others that lacks something gets one typed error."""
    with pytest.raises(UsageProblem, match=said):
        lab.read(pd.DataFrame(table))


def test_what_is_no_table_at_all() -> None:
    """A number is no file."""
    with pytest.raises(UsageProblem, match="takes a file or a DataFrame, no int"):
        lab.read(3)  # type: ignore[arg-type]
