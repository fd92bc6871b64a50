"""Strange contents: they are asked, stored, read back and shown without loss and without a crash."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bmad_nb.workspace import Workspace

TEXTS = {
    "surrogate": "a \ud800 b",
    "pair of halves": "\udfff\ud800",
    "nul": "a\x00b",
    "controls": "".join(map(chr, range(32))) + "\x7f\x85\u2028\u202e",
    "escape": "\x1b]52;c;aGk=\x07 \x1b[2J",
    "large": "ü" * 5_000_000,
    "deep": "[" * 100_000 + "]" * 100_000,
    "many lines": "x\n" * 100_000,
    "markup": "<script>alert(1)</script> {{ a }} $x$ \\[y\\] &amp; ' \"",
    "emoji": "\U0001f469\u200d\U0001f467 e\u0301 \u202e",
    "blank": " \t\n ",
}


@pytest.mark.parametrize("name", TEXTS)
def test_an_answer_comes_back_as_it_was(project: Path, name: str) -> None:
    """Another process's reader has the same text; every display of it is made."""
    text = TEXTS[name]
    with contextlib.closing(Workspace(store=project / "store.db")) as space:
        space.add_llm("odd", lambda messages: text)
        result = space.ask("Say it.", "own/odd")
        assert text == result.text
        bundle = result._repr_mimebundle_()
        assert {"text/plain", "text/html"} <= set(bundle)
        assert json.dumps(bundle, ensure_ascii=False).encode("utf-8")  # as a kernel sends it
        assert repr(result)
        result.df.to_csv(project / "a.csv")
    with contextlib.closing(Workspace(store=project / "store.db")) as later:
        (row,) = later.store.calls()
        assert text == row.text
        stored = later.ask  # the same request again is served from the store
        later.add_llm("odd", lambda messages: text)
        assert text == stored("Say it.", "own/odd").text


@pytest.mark.parametrize("name", [n for n in TEXTS if n not in {"large", "blank"}])
def test_a_prompt_reaches_the_llm_as_it_is(ws: Workspace, name: str) -> None:
    """What is asked is what was written, `{{ }}` among it, and the row keeps it."""
    heard: list[str] = []

    def listen(messages: Any) -> str:
        heard.append(messages[-1].text)
        return "yes"

    ws.add_llm("ear", listen)
    text = TEXTS[name]
    row = ws.ask(text, "own/ear", raw=True).rows[0]
    assert [text] == heard
    assert text == ws.store.calls()[0].messages[-1].text == row.messages[-1].text


def test_the_command_line_prints_no_escapes_and_loses_no_json(project: Path) -> None:
    """A terminal gets no control characters of an answer; `--json` has the whole of it."""
    text = TEXTS["escape"] + TEXTS["surrogate"] + TEXTS["nul"]
    table = project / "t.jsonl"
    table.write_text(json.dumps({"prompt": "Say it.", "answer": text}) + "\n", encoding="utf-8")
    (project / "bmad.toml").write_text('[recorded.t]\npath = "t.jsonl"\n', encoding="utf-8")

    def run(*more: str) -> str:
        words = [sys.executable, "-m", "bmad_nb", "ask", "-m", "recorded/t", *more, "Say it."]
        done = subprocess.run(words, capture_output=True, timeout=60, cwd=project, check=False)
        assert 0 == done.returncode, done.stderr
        return done.stdout.decode("utf-8")

    shown = run()
    assert not set("\x00\x07\x1b") & set(shown)
    assert text == json.loads(run("--json"))["rows"][0]["text"]
