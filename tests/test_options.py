"""Arguments of ask and compare: plain values pass, everything else is one typed error."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bmad_nb import options
from bmad_nb.errors import BmadError, UsageProblem

WRONG = [
    *(("prompt", {"prompt": value}) for value in (None, 5, ["a"], float("nan"), pd.NA, b"x")),
    *(("llms", {"llms": value}) for value in (None, 5, [None], [5], [["a"]], b"a", object())),
    *(("system", {"system": value}) for value in (5, ["x"])),
    *(("reference", {"reference": value}) for value in (["a"], {"a": 1}, pd.Series(["a"]))),
    *(("inputs", {"inputs": value}) for value in (5, "ab", [("a", 1)], pd.DataFrame({"a": [1]}))),
    *(("fresh", {"fresh": value}) for value in ("no", 1, pd.NA, np.array([1, 2]))),
    *(("vary", {"vary": value}) for value in (5, [("temperature", [1])], {"temperature": 5j})),
    *(("samples", {"samples": value}) for value in (0, -1, "two", 1.5, True)),
    *(("temperature", {"temperature": value}) for value in ([1], {}, float("nan"))),
    *(("budget", {"budget_usd": value}) for value in (-1, "+1", "nan", "much", [])),
]


@pytest.mark.parametrize(("named", "given"), WRONG)
def test_a_wrong_argument_is_named(named, given):
    """The error says which argument it is about, and it is a typed one."""
    whole = {"prompt": "x", "llms": "sim/hasty", **given}
    with pytest.raises(UsageProblem, match=named):
        options.read(whole.pop("prompt"), whole.pop("llms"), whole)


def test_numbers_of_numpy_are_numbers():
    """What comes out of a DataFrame can be given as it is."""
    read = options.read(
        "x",
        ("a/b", "c/d"),
        {
            "samples": np.int64(2),
            "temperature": np.float64(0.5),
            "fresh": np.bool_(True),
            "vary": {"seed": np.array([1, 2]), "top_p": 1},
            "reference": np.int64(42),
        },
    )

    assert "a/b,c/d" == read.llms
    assert (2, True, "42") == (read.samples, read.fresh, read.reference)
    assert {"temperature": 0.5} == read.params
    assert {"seed": [1, 2], "top_p": [1]} == read.vary


def test_a_result_is_a_prompt(ws):
    """An answer can be asked about as it is: it stands for its text."""
    answer = ws.ask("What is 2 + 2?", "sim/calculator")

    assert str(answer) == options.read(answer, "x", {}).prompt


@pytest.mark.parametrize(
    "call",
    [
        lambda ws: ws.add_llm(5, str.upper),
        lambda ws: ws.add_llm("", lambda messages: "x"),
        lambda ws: ws.add_llm("kind", dict),
        lambda ws: ws.add_llm("local/smollm2-135m", lambda messages: "x"),
        lambda ws: ws.add_llm("sim/careful", lambda messages: "x"),
        lambda ws: ws.compare("x", "sim/hasty", over=pd.DataFrame),
        lambda ws: ws.compare("x", "sim/hasty", over=pd.DataFrame([[1, 2]], columns=["a", "a"])),
        lambda ws: ws.compare("x", "sim/hasty", vary={"temperature": range(10**9)}),
        lambda ws: ws.ask("x", "sim/hasty", max_tokens=10**30),
    ],
)
def test_what_cannot_be_meant_is_refused_at_once(ws, call):
    """Odd names, classes, double columns and endless settings are typed errors, not hangs."""
    with pytest.raises(BmadError):
        call(ws)
