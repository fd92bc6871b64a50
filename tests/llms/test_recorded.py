"""Recorded answers: tables, good and hostile ones, stored runs, and what is said where none fits."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmad_nb.errors import NotRecorded, SettingsError, UnknownName, UsageProblem
from bmad_nb.events import CallRow
from bmad_nb.llms import tables
from bmad_nb.llms.base import LLM
from bmad_nb.llms.catalog import PARAMETERS, Catalog
from bmad_nb.llms.recorded import RecordedLLM, Recording, recording_of, turns_of
from bmad_nb.messages import Completion, Image, Message, Request, Token, Usage, defect_of
from bmad_nb.settings import find
from bmad_nb.workspace import Workspace


def request(
    prompt: str, system: str = "", *, sample: int = 0, most: int = 9, **params: Any
) -> Request:
    """Return a request of a prompt."""
    turns = [Message("system", system)] if system else []
    turns.append(Message("user", prompt))
    return Request(
        "recorded/x", "there", "x", tuple(turns), most, tuple(sorted(params.items())), sample
    )


def answer(llm: LLM, *words: Any, **options: Any) -> Completion:
    """Ask once."""
    return asyncio.run(llm.complete(request(*words, **options)))


def refusal(llm: LLM, *words: Any, **options: Any) -> str:
    """Return what is said where there is no answer."""
    with pytest.raises(NotRecorded) as caught:
        answer(llm, *words, **options)
    assert "no" == caught.value.billed
    return str(caught.value)


def written(name: str, data: str | bytes) -> Path:
    """Return a file in the working directory."""
    path = Path(name)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def table(data: str | bytes, name: str = "t.csv") -> RecordedLLM:
    """Return the only LLM of a table."""
    (recordings,) = tables.read(written(name, data), PARAMETERS).by_llm.values()
    return RecordedLLM("recorded/t", recordings, identity="table", source=name)


def problem(data: str | bytes, name: str = "t.csv") -> str:
    """Return why a table cannot be read."""
    with pytest.raises(UsageProblem) as caught:
        tables.read(written(name, data), PARAMETERS)
    return str(caught.value)


def catalog(**paths: str) -> Catalog:
    """Return the catalogue of some tables."""
    return Catalog(
        find({"recorded": {name: {"path": path} for name, path in paths.items()}}).settings
    )


# --- tables that can be read ----------------------------------------------------------------------

EXPECTED = Completion("4", Usage(3, 1), "length", latency_s=1.5, original_cost_usd=Decimal("0.002"))
OBJECT = {
    "prompt": "2 + 2?", "answer": "4", "system": "Be brief.", "input_tokens": 3, "output_tokens": 1,
    "cost_usd": 0.002, "latency_s": 1.5, "finish_reason": "length", "simulated": True, "other": [1],
}  # fmt: skip
HEAD = ",".join(OBJECT)
ROW = '2 + 2?,4,Be brief.,3.0,1,0.002,1.5,length,True,"[1]"'


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", f"{HEAD}\n{ROW}\n"),
        ("t.CSV", f"\ufeff{HEAD}\r\n{ROW}\r\n\r\n"),
        ("t.jsonl", f"\n{json.dumps(OBJECT)}\n\n"),
        ("t.json", json.dumps([OBJECT])),
        ("t.json", "\ufeff" + json.dumps([{**OBJECT, "sample": None, "input_tokens": 3.0}])),
    ],
)
def test_a_table_answers_as_it_was_recorded(name: str, text: str) -> None:
    """CSV, JSON lines and JSON give answer, tokens, cost, time and finish reason; a BOM is no part."""
    llm = table(text, name)
    assert EXPECTED == answer(llm, "2 + 2?", "Be brief.", temperature=1)
    assert "" == defect_of(EXPECTED)
    assert (True, True, ("recorded",)) == (llm.card.simulated, llm.card.runs_here, llm.card.tags)
    assert llm.card.price is not None
    assert ("recorded", Decimal(0)) == (llm.card.price.source, llm.card.price.cost(EXPECTED.usage))
    assert isinstance(llm, LLM)
    assert "another system message" in refusal(llm, "2 + 2?")


@pytest.mark.parametrize(
    "said",
    ["=1+1", "@SUM(A1)", "-2", "a\0b", 'a,"b"\r\nc', "\u2028", "<b>{{ x }}</b>", "ü" * 40_000],
)  # fmt: skip
def test_a_cell_is_text(said: str) -> None:
    """Formulas, NUL, quotes, line ends of all kinds and long texts come back as they stand."""
    quoted = said.replace('"', '""')
    assert said == answer(table(f'prompt,answer\nQ,"{quoted}"\n'), "Q").text
    line = json.dumps({"prompt": said, "answer": said}, ensure_ascii=False)
    assert said == answer(table(line, "t.jsonl"), said).text


def test_what_utf_8_cannot_spell_is_kept() -> None:
    """A lone surrogate, which JSON can spell, is found and given back."""
    llm = table('{"prompt": "\\ud800", "answer": "\\udfff"}', "t.jsonl")
    assert "\udfff" == answer(llm, "\ud800").text
    assert "\\ud801" in refusal(llm, "\ud801")


@settings(max_examples=40, deadline=None)
@given(rows=st.dictionaries(st.text(min_size=1), st.text(), max_size=12))
def test_every_answer_of_a_table_is_found(rows: dict[str, str]) -> None:
    """Whatever prompts and answers are, each prompt gets its own answer, and another gets none."""
    lines = [json.dumps({"prompt": p, "answer": a}) for p, a in rows.items()]
    llm = table("\n".join([*lines, '{"prompt": "\\u0000last", "answer": "z"}']), "t.jsonl")
    assert list(rows.values()) == [answer(llm, prompt).text for prompt in rows]
    assert "There is no recorded answer" in refusal(llm, "".join(rows) + "\x01")


def test_a_results_own_frame_can_be_a_table(ws: Workspace) -> None:
    """`result.df` written as CSV is a table of its LLMs, with samples, costs and what is invented."""
    made = ws.compare("What is {{ n }} + 1?", "sim/careful,sim/hasty", samples=2,
                      over=[{"n": 1}, {"n": 5}])  # fmt: skip
    made.df.to_csv("own.csv", index=False)
    known = catalog(own="own.csv")
    assert ["recorded/own/sim/careful", "recorded/own/sim/hasty"] == [
        c.llm_id for c in known.choose("recorded/own/*")
    ]
    for row in made.rows:
        llm = known.llm(f"recorded/own/{row.llm}")
        completion = answer(llm, row.messages[-1].text, sample=row.sample)
        assert (row.text, row.latency_s) == (completion.text, completion.latency_s)
        assert row.cost_usd == completion.original_cost_usd
        assert llm.card.simulated


# --- tables that cannot ---------------------------------------------------------------------------

J = '{"prompt": "Q", "answer": "A"'


@pytest.mark.parametrize(
    ("expected", "name", "data"),
    [
        ("t.csv, line 1: there is no column answer. Did you mean 'anwser'?", "t.csv", "prompt,anwser\nQ,A\n"),
        ("t.csv, line 1: there is no column prompt", "t.csv", "prompt;answer\nQ;A\n"),
        ("t.csv, line 1: the column answer is there twice", "t.csv", "prompt,answer,answer\nQ,A,A\n"),
        ("t.csv has no rows", "t.csv", "prompt,answer\n"),
        ("t.csv has no rows", "t.csv", ""),
        ("t.json has no rows", "t.json", "[]"),
        ("t.csv, line 4: it has 3 cells, and the head has 2", "t.csv", 'prompt,answer\n"Q\nq",A\nP,B,C\n'),
        ("t.csv, line 3: unexpected end of data", "t.csv", 'prompt,answer\nQ,A\n"P,B\n\n'),
        ("t.csv, line 2: field larger than field limit", "t.csv", f"prompt,answer\nQ,{'x' * 200_000}\n"),
        ("t.csv, line 2: it is not UTF-8", "t.csv", b"prompt,answer\nQ,\xed\xa0\x80\n"),
        ("t.csv, line 1: it is not UTF-8", "t.csv", "prompt,answer\nQ,A\n".encode("utf-16")),
        ("t.csv, line 3: it has no answer", "t.csv", "prompt,answer\nQ,A\nP,\n"),
        ("t.csv, line 2: it has no prompt", "t.csv", "prompt,answer\n,A\n"),
        ("t.jsonl, line 3: it has no answer", "t.jsonl", f'{J}}}\n\n{{"prompt": "P", "answer": null}}'),
        ("t.jsonl, line 2: it is not JSON", "t.jsonl", f"{J}}}\n{J}"),
        ("t.jsonl, line 1: it is no object, but a list", "t.jsonl", "[]"),
        ("t.jsonl, line 1: it is JSON beyond all measure", "t.jsonl", "[" * 100_000),
        ("t.jsonl, line 1: it is JSON beyond all measure", "t.jsonl", f'{J}, "sample": {"9" * 5000}}}'),
        ("t.json, line 3: it is not JSON", "t.json", f"[\n{J}\n"),
        ("t.json, row 2: it is no object, but a str", "t.json", f'[{J}}}, "x"]'),
        ("t.json is no list of objects", "t.json", f"{J}}}"),
        ("t.jsonl, line 1: answer is no text, but int '4'", "t.jsonl", '{"prompt": "Q", "answer": 4}'),
        ("t.jsonl, line 1: temperature is no number or word", "t.jsonl", f'{J}, "temperature": [1]}}'),
        ("t.jsonl, line 1: sample is no whole number, but float '0.5'", "t.jsonl", f'{J}, "sample": 0.5}}'),
        ("t.jsonl, line 1: sample is no number from 0", "t.jsonl", f'{J}, "sample": -1}}'),
        ("t.jsonl, line 1: sample is no number from 0", "t.jsonl", f'{J}, "sample": true}}'),
        ("t.jsonl, line 1: latency_s is no number", "t.jsonl", f'{J}, "latency_s": NaN}}'),
        ("t.csv, line 2: cost_usd is no number", "t.csv", "prompt,answer,cost_usd\nQ,A,$3\n"),
        ("t.csv, line 2: cost_usd is no number", "t.csv", "prompt,answer,cost_usd\nQ,A,1e999999999\n"),
        ("t.csv, line 2: input_tokens is no number", "t.csv", "prompt,answer,input_tokens\nQ,A,1e12\n"),
        ("t.csv, line 2: simulated is neither true nor false", "t.csv", "prompt,answer,simulated\nQ,A,perhaps\n"),
        ("t.csv, line 2: llm is str '../x y'", "t.csv", "prompt,answer,llm\nQ,A,../x y\n"),
        ("t.csv, line 3: of this line and line 2, one has an llm", "t.csv", "prompt,answer,llm\nQ,A,x\nP,B,\n"),
        ("t.csv, line 3: simulated differs from line 2", "t.csv", "prompt,answer,simulated\nQ,A,1\nP,B,0\n"),
        ("t.csv, line 5: line 2 has another answer to the same prompt", "t.csv", 'prompt,answer\nQ,A\n"P\n",B\nQ,C\n'),
        ("t.xlsx is no table that can be read", "t.xlsx", "x"),
        ("t.parquet needs the package pyarrow", "t.parquet", "x"),
    ],
)  # fmt: skip
def test_a_hostile_table_is_refused_with_its_line(expected: str, name: str, data: Any) -> None:
    """Each table that cannot be used is refused with the line, or the row, and what is wrong."""
    if name.endswith("parquet"):
        sys.modules["pyarrow.parquet"] = None  # type: ignore[assignment]
    try:
        assert expected in problem(data, name)
    finally:
        sys.modules.pop("pyarrow.parquet", None)


def test_parquet_is_read_where_its_library_is() -> None:
    """A Parquet table is read like the others, if pyarrow is installed; errors name the row."""
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    flat = {name: [value] for name, value in OBJECT.items() if name != "other"}
    parquet.write_table(arrow.table(flat), "t.parquet")
    assert EXPECTED == answer(
        table(Path("t.parquet").read_bytes(), "t.parquet"), "2 + 2?", "Be brief."
    )
    parquet.write_table(arrow.table({"prompt": ["Q", "P"], "answer": ["A", None]}), "t.parquet")
    assert "row 2: it has no answer" in problem(Path("t.parquet").read_bytes(), "t.parquet")
    assert "t.parquet is not Parquet" in problem("PAR1", "t.parquet")


def test_what_is_no_file_is_refused(project: Path) -> None:
    """A folder, a pipe, a missing file and an impossible path are refused, and nothing waits."""
    (project / "folder.csv").mkdir()
    os.mkfifo("pipe.csv")
    for expected, name in (
        ("Is a directory", "folder.csv"),
        ("is no file", "pipe.csv"),
        ("No such file", "missing.csv"),
        ("File name too long", "x" * 300 + ".csv"),
        ("cannot be read", "\0.csv"),
    ):
        with pytest.raises(UsageProblem, match=expected):
            tables.read(Path(name), PARAMETERS)


def test_a_file_beyond_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table larger than the limit is not read."""
    text = "prompt,answer\nQ,A\n"
    monkeypatch.setattr(tables, "MOST_BYTES", len(text))
    assert "A" == answer(table(text), "Q").text
    assert "Split it" in problem(text + "\n")


# --- which answer ---------------------------------------------------------------------------------


def test_one_answer_serves_all_settings_but_no_other_sample() -> None:
    """A single answer serves whatever parameters are asked, and is not taken for a second sample."""
    llm = table("prompt,answer,temperature,max_tokens\nQ,A,0,5\n")
    assert "A" == answer(llm, "Q", temperature=1, most=99).text
    said = refusal(llm, "Q", sample=1)
    assert "Sample 1 of 'Q' is not recorded. t.csv has 1 recordings" in said


SEVERAL = """\
prompt,answer,temperature,top_p,max_tokens,sample
Q,cold,0,,,0
Q,warm,1.0,,,0
Q,warm and narrow,1,0.5,,0
Q,warm again,1,,,1
P,short,,,10,
P,long,,,100,0
"""


@pytest.mark.parametrize(
    ("expected", "options"),
    [
        ("cold", {"temperature": 0.0}),
        ("warm", {"temperature": 1}),
        ("warm", {"temperature": 1, "seed": 3}),
        ("warm and narrow", {"temperature": 1, "top_p": 0.5}),
        ("warm again", {"temperature": 2, "sample": 1}),
    ],
)
def test_settings_decide_between_several_answers(expected: str, options: dict[str, Any]) -> None:
    """Of several answers the one with the same parameters is given; a value left out fits any."""
    assert expected == answer(table(SEVERAL), "Q", **options).text


def test_max_tokens_decides_last_and_nothing_is_guessed() -> None:
    """`max_tokens` tells answers apart; where nothing does, there is none."""
    llm = table(SEVERAL)
    assert "short" == answer(llm, "P", most=10).text
    assert "long" == answer(llm, "P", most=100).text
    assert "2 answers to 'P' are recorded, in other settings" in refusal(llm, "P", most=50)
    assert "3 answers to 'Q'" in refusal(llm, "Q", temperature=0.5)


def test_pictures_belong_to_the_question() -> None:
    """The same text with another picture is another question."""
    picture, other = Image("image/png", b"1"), Image("image/png", b"2")
    messages = (Message("user", "What?", (picture,)),)
    recording = Recording(turns_of(messages), Completion("A cat."))
    llm = RecordedLLM("recorded/x", [recording], identity="i", source="s")
    asked = Request("recorded/x", "i", "", messages, 9)
    assert "A cat." == asyncio.run(llm.complete(asked)).text
    messages = (Message("user", "What?", (other,)),)
    with pytest.raises(NotRecorded, match="other messages"):
        asyncio.run(llm.complete(Request("recorded/x", "i", "", messages, 9)))


def test_a_missing_answer_says_what_is_there() -> None:
    """It names the LLM, the beginning of the prompt, how many there are and the nearest prompt."""
    rows = "".join(f"Translate the word number {n} into French,{n}\n" for n in range(900))
    llm = table("prompt,answer\n" + rows + "What is the capital of Peru?,Lima\n")
    said = refusal(llm, "What is the  capital of\nPerú? " + "Say it briefly. " * 20)
    assert "There is no recorded answer to 'What is the capital of Perú? Say it briefly." in said
    assert "recorded/t" in said
    assert "901 recordings" in said
    assert "nearest" not in refusal(llm, "#")
    assert "nearest recorded prompt is 'What is the capital of Peru?'" in refusal(
        llm, "What is the capital of Chad?"
    )


def test_the_nearest_prompt_is_looked_for_a_few_times() -> None:
    """A batch that misses a thousand times does not look for the nearest a thousand times."""
    llm = table("prompt,answer\nWhy is ice cold?,It is.\n")
    said = [refusal(llm, f"Why is ice {n}?") for n in range(30)]
    assert 20 == sum("nearest" in each for each in said)


# --- stored runs ----------------------------------------------------------------------------------


def test_a_stored_call_is_a_recording() -> None:
    """A call keeps its tokens, times, cost, setting and probabilities; a copy those of the first."""
    call = CallRow(
        "c", "r", "fake/x", "key", "answered", model="x-1", variant="temperature=1&top_p=0.5",
        sample=2, messages=(Message("user", "Q"),), max_tokens=7, text="A", finish_reason="stop",
        input_tokens=3, output_tokens=4, reasoning_tokens=1, cost_usd=Decimal(0),
        original_cost_usd=Decimal("0.5"), latency_s=0.0, original_latency_s=2.5, first_token_s=1.0,
        from_store=True, tokens=(Token("A", -0.5),),
    )  # fmt: skip
    usage = Usage(3, 4, reasoning_tokens=1)
    done = Completion("A", usage, "stop", "x-1", 2.5, 1.0, call.tokens, Decimal("0.5"))
    setting = (("temperature", 1.0), ("top_p", 0.5))
    assert Recording((("user", "Q"),), done, setting, 7, 2) == recording_of(call)


def test_a_run_answers_again(ws: Workspace) -> None:
    """`recorded/run-ID/LLM` gives what that LLM answered in that run, with the ledger of then."""
    first = ws.compare("What is 2 + {{ n }}?", "sim/careful?temperature=1,sim/hasty", samples=2,
                       over=[{"n": 1}, {"n": 2}], max_tokens=50)  # fmt: skip
    begun = first.id[:5]
    again = ws.compare("What is 2 + {{ n }}?", f"recorded/run-{begun}/*", samples=2,
                       over=[{"n": 1}, {"n": 2}])  # fmt: skip
    assert {f"recorded/run-{first.id}/{r.llm}" for r in first.rows} == {r.llm for r in again.rows}
    assert [(r.text, r.original_cost_usd, r.latency_s, r.input_tokens) for r in first.rows] == [
        (r.text, r.original_cost_usd, r.latency_s, r.input_tokens) for r in again.rows
    ]
    assert all(r.cost_usd == 0 and r.simulated and r.runs_here for r in again.rows)
    assert 50 == again.rows[0].max_tokens
    assert all(r.original_cost_usd for r in again.rows)
    with pytest.raises(NotRecorded, match=rf"run {first.id} has 4 recordings"):
        ws.ask("What is 2 + 3?", f"recorded/run-{begun}/sim/hasty")


def test_a_run_is_named_by_its_beginning_and_alone(ws: Workspace) -> None:
    """The beginning of an id is enough, and so is the run alone where it has one LLM."""
    asked = ws.ask("What is 2 + 2?", "sim/careful")
    whole = f"recorded/run-{asked.id}/sim/careful"
    for spec in (whole, f"recorded/run-{asked.id[:4]}/sim/careful", f"recorded/run-{asked.id[:4]}"):
        assert [whole] == [choice.llm_id for choice in ws.catalog.choose(spec)]
    assert whole == ws.catalog.llm(f"recorded/run-{asked.id[:4]}/sim/careful").card.id
    with pytest.raises(UsageProblem, match="There is no run 'zz'"):
        ws.catalog.choose("recorded/run-zz/sim/careful")
    with pytest.raises(UnknownName):
        ws.catalog.llm(f"recorded/run-{asked.id}/sim/hasty")
    with pytest.raises(UsageProblem, match="no store"):
        catalog().choose("recorded/run-zz")


# --- in the catalogue -----------------------------------------------------------------------------


def test_the_catalogue_knows_tables(project: Path) -> None:
    """A table is `recorded/NAME`, or `recorded/NAME/LLM` for each of its LLMs."""
    written("one.csv", "prompt,answer\nQ,A\n")
    written("two.csv", "prompt,answer,llm\nQ,A,lab/x\nQ,B,lab/y\n")
    known = catalog(one="one.csv", two="two.csv")
    found = [i for i in known.ids() if i.startswith("recorded/")]
    assert ["recorded/one", "recorded/two/lab/x", "recorded/two/lab/y"] == found
    assert ["recorded/two/lab/y"] == [c.llm_id for c in known.choose("recorded/*/y")]
    assert ["recorded/one"] == [c.llm_id for c in known.choose("recorded/one")]
    assert not any(c.llm_id.startswith("recorded/") for c in known.choose("*"))
    with pytest.raises(UnknownName):
        known.choose("one")
    with pytest.raises(UsageProblem, match="can mean"):
        known.choose("recorded/two")
    with pytest.raises(UnknownName):
        known.llm("recorded/three")


def test_a_broken_table_hinders_nobody_else(project: Path) -> None:
    """It is listed with what is wrong, said when it is named, and read again once it is mended."""
    written("a.csv", "prompt\nQ\n")
    known = catalog(a="a.csv")
    assert ["sim/careful"] == [c.llm_id for c in known.choose("sim/careful")]
    assert "no column answer" in known.llm("recorded/a").card.missing
    with pytest.raises(UsageProblem, match="line 1: there is no column answer"):
        known.choose("recorded/a")
    with pytest.raises(NotRecorded, match="line 1: there is no column answer"):
        answer(known.llm("recorded/a"), "Q")
    written("a.csv", "prompt,answer\nQ,A\n")
    known.choose("recorded/a")
    assert "A" == answer(known.llm("recorded/a"), "Q").text


def test_an_edited_table_is_another(project: Path) -> None:
    """After an edit the identity is another, so no answer that is stored goes stale."""
    written("a.csv", "prompt,answer\nQ,A\n")
    with Closing(Workspace({"recorded": {"a": {"path": "a.csv"}}})) as ws:
        assert ("A", False) == _asked(ws)
        assert ("A", True) == _asked(ws)
        written("a.csv", "prompt,answer\nQ,Another\n")
        assert ("Another", False) == _asked(ws)


class Closing:
    """Closes a workspace at the end."""

    def __init__(self, ws: Workspace) -> None:
        self.ws = ws

    def __enter__(self) -> Workspace:
        return self.ws

    def __exit__(self, *_: object) -> None:
        self.ws.close()


def _asked(ws: Workspace) -> tuple[str | None, bool]:
    row = ws.ask("Q", "recorded/a").rows[0]
    return row.text, row.from_store


def test_paths_count_from_the_settings_file(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path in a file counts from its folder, one in Python from the working directory."""
    (project / "bmad.toml").write_text('[recorded.a]\npath = "a.csv"\n')
    written("a.csv", "prompt,answer\nQ,A\n")
    below = project / "below"
    below.mkdir()
    monkeypatch.chdir(below)
    written("b.csv", "prompt,answer\nQ,B\n")
    known = Catalog(find({"recorded": {"b": {"path": "b.csv"}}}).settings)
    monkeypatch.chdir(tmp_path)
    assert "A" == answer(known.llm("recorded/a"), "Q").text
    assert "B" == answer(known.llm("recorded/b"), "Q").text


@pytest.mark.parametrize(
    "recorded",
    [{"a": {}}, {"run-1": {"path": "x.csv"}}, {"a/b": {"path": "x.csv"}}, {"a": {"pth": "x.csv"}},
     {"a": {"path": 3}}, {"a": "x.csv"}, ["a"]],
)  # fmt: skip
def test_a_table_must_have_a_name_and_a_path(recorded: Any) -> None:
    """A name like a run's, a missing or misspelled path and other types are refused."""
    with pytest.raises(SettingsError):
        Catalog(find({"recorded": recorded}).settings)
    Path("bmad.toml").write_text('recorded = ["a"]\n')
    with pytest.raises(SettingsError, match=r"bmad\.toml"):
        find()


def test_nobody_takes_the_place_of_a_recording(ws: Workspace) -> None:
    """Your own function cannot be called recorded, and no router chooses a recording by itself."""
    with pytest.raises(UsageProblem, match="would look like one of ours"):
        ws.add_llm("recorded/mine", lambda messages: "x")


@pytest.mark.parametrize("cost", [0.5, Decimal(-1), Decimal("NaN"), "1"])
def test_a_completion_says_its_original_cost_in_decimals(cost: Any) -> None:
    """A cost that is no amount makes a completion unusable, before it reaches the ledger."""
    assert "it cost" in defect_of(Completion("x", original_cost_usd=cost))
    assert "" == defect_of(Completion("x", original_cost_usd=Decimal(1)))
