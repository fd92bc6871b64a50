"""The grid: from one prompt to the requests of a comparison, before anything is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bmad_nb.errors import MissingInput, TemplateError, UnknownName, UsageProblem
from bmad_nb.grid import MAX_CALLS, Case, Cell, cases_of, expand, read_cases, variants
from bmad_nb.llms.catalog import Choice
from bmad_nb.llms.function import FunctionLLM
from bmad_nb.messages import Message

LLMS = {f"own/{name}": FunctionLLM(f"own/{name}", lambda messages: "x") for name in "ab"}
A, B = Choice("own/a"), Choice("own/b")


def cells(prompt: str = "Why?", **options: Any) -> list[Cell]:
    """Expand with the defaults of a plain ask."""
    known: dict[str, Any] = {
        "choices": [A],
        "cases": [Case("", {})],
        "around": {},
        "fill_holes": True,
        "settings": [{}],
        "samples": 1,
        "params": {},
        "system": None,
        "reference": None,
    }
    given = {**known, **options}
    return expand(prompt, given.pop("choices"), LLMS.__getitem__, **given)


@pytest.mark.parametrize(
    ("expected", "over"),
    [
        ([("0", {"q": 1}), ("1", {"q": 2})], [{"q": 1}, {"q": 2}]),
        ([("0", {"q": 1}), ("1", {"q": 2})], pd.DataFrame({"q": [1, 2]})),
        ([("x", {"q": 1})], pd.DataFrame({"q": [1]}, index=["x"])),
        ([("x / 1", {"q": 1})], pd.DataFrame({"q": [1]}, index=pd.MultiIndex.from_tuples([("x", 1)]))),
        ([("0", {"7": 1})], [{7: 1}]),
        ([("0", {})], [{}]),
    ],
    ids=["list", "frame", "index", "two levels", "number as a column", "no columns"],
)  # fmt: skip
def test_a_row_is_a_case(expected: list[tuple[str, dict[str, Any]]], over: Any) -> None:
    """Each row of a frame or list is a case, named by its index."""
    assert expected == [(case.label, dict(case.values)) for case in cases_of(over)]


@pytest.mark.parametrize(
    "over",
    [[], pd.DataFrame({"q": []}), "text", 3, [1, 2], {"q": 1}, None,
     pd.DataFrame({"q": [1, 2]}, index=["x", "x"])],
    ids=["none", "no rows", "text", "number", "numbers", "one dictionary", "None", "same label"],
)  # fmt: skip
def test_what_has_no_cases_is_refused(over: Any) -> None:
    """What is no table, is empty, or names two rows alike is a UsageProblem."""
    with pytest.raises(UsageProblem):
        cases_of(over)


def test_cases_from_files(tmp_path: Path) -> None:
    """A CSV file and one with a JSON object a line give the rows that they hold."""
    (tmp_path / "a.csv").write_text('q,n\n"x, y",1\n')
    (tmp_path / "a.jsonl").write_text('{"q": "x", "n": 1}\n\n{"q": "y"}\n')
    assert [{"q": "x, y", "n": "1"}] == read_cases(tmp_path / "a.csv")
    assert [{"q": "x", "n": 1}, {"q": "y"}] == read_cases(tmp_path / "a.jsonl")


@pytest.mark.parametrize("text", ["[1]", "no json", "[" * 100_000, '{"a": 1}\n3'])
def test_a_file_without_cases_is_refused(tmp_path: Path, text: str) -> None:
    """A file that is not what its name says is a UsageProblem, and so is one that is not there."""
    (tmp_path / "a.jsonl").write_text(text)
    with pytest.raises(UsageProblem):
        read_cases(tmp_path / "a.jsonl")
    with pytest.raises(UsageProblem, match="cannot be read"):
        read_cases(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("expected", "vary"),
    [
        ([{}], None),
        ([{}], {}),
        ([{"temperature": 0}, {"temperature": 1}], {"temperature": [0, 1]}),
        ([{"temperature": 0.5}], {"temperature": 0.5}),
        ([{"reasoning_effort": "low"}], {"reasoning_effort": "low"}),
        (
            [{"seed": 1, "temperature": 0}, {"seed": 1, "temperature": 1}],
            {"temperature": (0, 1), "seed": [1]},
        ),
    ],
)
def test_vary_spans_all_settings(expected: list[dict[str, Any]], vary: Any) -> None:
    """Every combination of the values is a setting; one value alone is a list of one."""
    assert expected == variants(vary)


def test_a_setting_that_nobody_knows_is_refused() -> None:
    """A misspelt parameter brings the nearest; one without values is refused."""
    with pytest.raises(UnknownName, match="temperature"):
        variants({"temperatur": [1]})
    with pytest.raises(UsageProblem, match="no values"):
        variants({"temperature": []})
    with pytest.raises(UnknownName, match="'temperature'"):
        cells(params={"temprature": 1})


def test_the_order_is_case_llm_setting_sample() -> None:
    """Cells stand in the order of cases, LLMs, settings and samples, each once."""
    made = cells(
        "{{ q }}",
        choices=[A, B],
        cases=[Case("0", {"q": "x"}), Case("1", {"q": "y"})],
        settings=[{"temperature": 0}, {"temperature": 1}],
        samples=2,
    )
    spelled = [(c.case, c.request.llm, c.variant, c.request.sample) for c in made]
    expected = [
        (case, llm, variant, sample)
        for case in "01"
        for llm in ("own/a", "own/b")
        for variant in ("temperature=0", "temperature=1")
        for sample in (0, 1)
    ]
    assert expected == spelled
    assert 16 == len({cell.request.key for cell in made})
    assert ["x", "y"] == list(dict.fromkeys(cell.request.prompt for cell in made))


def test_a_setting_goes_before_a_parameter_of_all() -> None:
    """What stands behind an LLM or in vary goes before what holds for all calls."""
    (cell,) = cells(
        choices=[Choice("own/a", (("temperature", 1),))],
        settings=[{"seed": 9}],
        params={"temperature": 0, "seed": 1, "top_p": 1},
    )
    assert (("seed", 9), ("temperature", 1), ("top_p", 1)) == cell.request.params
    assert "seed=9&temperature=1" == cell.variant


def test_the_limit_of_tokens_is_a_part_of_its_own() -> None:
    """max_tokens is the request's own limit, else the card's default."""
    assert 1024 == cells()[0].request.max_tokens
    (cell,) = cells(params={"max_tokens": 7})
    assert (7, ()) == (cell.request.max_tokens, cell.request.params)


def test_a_case_s_column_goes_before_what_is_around() -> None:
    """Holes are filled from the case first, then from the inputs."""
    (cell,) = cells(
        "{{ q }} {{ z }}", cases=[Case("0", {"q": "case"})], around={"q": "around", "z": "too"}
    )
    assert "case too" == cell.request.prompt


def test_holes_stay_where_nothing_is_to_be_filled() -> None:
    """Without inputs a prompt is a text, braces and all."""
    (cell,) = cells("{{ q }}", fill_holes=False, system="{{ s }}", reference="{{ r }}")
    assert (Message("system", "{{ s }}"), Message("user", "{{ q }}")) == cell.request.messages
    assert "{{ r }}" == cell.reference


@pytest.mark.parametrize(
    ("expected", "reference"),
    [(None, None), ("42", "42"), ("7", "n"), ("is 7", "is {{ n }}"), ("other", "other")],
)
def test_the_right_answer_is_a_column_a_template_or_a_text(
    expected: str | None, reference: str | None
) -> None:
    """A reference names a column, or is a template, or is the answer itself."""
    (cell,) = cells(cases=[Case("0", {"n": 7})], reference=reference)
    assert expected == cell.reference


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (UsageProblem, {"prompt": ""}),
        (UsageProblem, {"prompt": " \n\t"}),
        (UsageProblem, {"prompt": "{{ blank }}", "around": {"blank": " "}}),
        (MissingInput, {"prompt": "{{ missing }}"}),
        (MissingInput, {"system": "{{ missing }}"}),
        (MissingInput, {"reference": "{{ missing }}"}),
        (TemplateError, {"prompt": "{{ 2 ** 2 }}"}),
        (UsageProblem, {"samples": 0}),
        (UsageProblem, {"samples": -1}),
        (UsageProblem, {"samples": True}),
        (UsageProblem, {"samples": 1.5}),
        (UsageProblem, {"samples": "2"}),
        (UsageProblem, {"samples": MAX_CALLS + 1}),
        (UsageProblem, {"choices": []}),
        (UsageProblem, {"params": {"max_tokens": 0}}),
        (UsageProblem, {"params": {"max_tokens": "many"}}),
        (UsageProblem, {"params": {"max_tokens": True}}),
        (UsageProblem, {"params": {"temperature": float("nan")}}),
        (UsageProblem, {"params": {"temperature": float("inf")}}),
        (UsageProblem, {"params": {"temperature": [0, 1]}}),
        (UsageProblem, {"params": {"seed": {1}}}),
        (UsageProblem, {"settings": [{"temperature": float("nan")}]}),
        (UsageProblem, {"choices": [Choice("own/a", (("temperature", float("nan")),))]}),
    ],
    ids=str,
)
def test_what_cannot_be_asked_is_refused_before_anything_is_sent(
    kind: type[Exception], options: dict[str, Any]
) -> None:
    """An empty prompt, a hole without a value and odd numbers are typed errors."""
    with pytest.raises(kind):
        [cell.request.key for cell in cells(**options)]
