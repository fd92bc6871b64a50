"""Expands one prompt over cases, LLMs, settings and samples into the requests to be made."""

from __future__ import annotations

import csv
import itertools
import json
import math
from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bmad_nb.errors import UsageProblem
from bmad_nb.llms.base import LLM
from bmad_nb.llms.catalog import Choice, check_parameters
from bmad_nb.messages import (
    MOST_TOKENS,
    Image,
    Message,
    Request,
    Scalar,
    canonical_json,
    variant_name,
)
from bmad_nb.prompts import as_text, fill
from bmad_nb.workflow import output

MAX_CALLS = 100_000
"""Calls of one comparison; more is taken for a slip."""


@dataclass(frozen=True, slots=True)
class Case:
    """One row of what a prompt is run over."""

    label: str
    """Its index in the DataFrame; empty where there is only the prompt."""
    values: Mapping[str, Any]
    """Its columns by name."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One call to be: a case, asked of an LLM in a setting, once more or for the first time."""

    case: str
    variant: str
    llm: LLM
    request: Request
    reference: str | None


def cases_of(over: Any) -> list[Case]:
    """Return a case per row of a DataFrame or of a list of dictionaries.

    Raises:
        UsageProblem: it is neither, it is empty, or two rows share a label.
    """
    if hasattr(over, "columns") and hasattr(over, "to_dict"):
        if isinstance(over, type) or not over.columns.is_unique:
            raise UsageProblem("Two columns of the cases have the same name.")
        records = over.to_dict("records")
        labels = [_label(index) for index in over.index]
    elif isinstance(over, Sequence) and all(isinstance(row, Mapping) for row in over):
        records = list(over)
        labels = [str(number) for number in range(len(records))]
    else:
        raise UsageProblem(
            f"over takes a DataFrame or a list of dictionaries, not {type(over).__name__}.",
            hint="Each row is a case; its columns fill the holes of the prompt.",
        )
    if not records:
        raise UsageProblem("There is no case: over has no rows.")
    if len(set(labels)) < len(labels):
        raise UsageProblem(
            "Two cases have the same label in the index.", hint="Use df.reset_index(drop=True)."
        )
    named = [{str(name): value for name, value in record.items()} for record in records]
    return [Case(label, values) for label, values in zip(labels, named, strict=True)]


def read_cases(path: Path) -> list[dict[str, Any]]:
    """Return the cases of a CSV file, or of one with a JSON object a line.

    Raises:
        UsageProblem: the file cannot be read as what its name says.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:  # Excel writes a mark in front
            if path.suffix.lower() == ".csv":
                return _csv_cases(csv.DictReader(file), path)
            rows = [json.loads(line) for line in file if line.strip()]
    except OSError as error:
        raise UsageProblem(f"The cases in {path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError, csv.Error) as error:
        raise UsageProblem(f"{path} is neither CSV nor a JSON value a line: {error}") from error
    if not all(isinstance(row, dict) for row in rows):
        raise UsageProblem(f"Each line of {path} must be a JSON object.")
    return rows


def _csv_cases(reader: csv.DictReader[str], path: Path) -> list[dict[str, Any]]:
    names = reader.fieldnames or ()
    if len(set(names)) < len(names):
        raise UsageProblem(f"Two columns of {path} have the same name.")
    rows = list(reader)
    for number, row in enumerate(rows, start=1):
        if None in row or None in row.values():
            raise UsageProblem(f"Row {number} of {path} has not {len(names)} fields, as its head.")
    return rows


def _label(index: Any) -> str:
    return " / ".join(map(str, index)) if isinstance(index, tuple) else str(index)


def variants(vary: Mapping[str, Iterable[Scalar]] | None) -> list[dict[str, Scalar]]:
    """Return all settings that `vary` spans.

    >>> variants({"temperature": [0, 1], "top_p": [1]})
    [{'temperature': 0, 'top_p': 1}, {'temperature': 1, 'top_p': 1}]

    Raises:
        UnknownName: a parameter that no backend knows.
        UsageProblem: a parameter without values.
    """
    names = sorted(vary or {})
    check_parameters(names)
    columns: list[list[Scalar]] = []
    for name in names:
        values = (vary or {})[name]
        if isinstance(values, str | int | float):
            column: list[Scalar] = [values]
        else:
            column = list(itertools.islice(values, MAX_CALLS + 1))
        if not column:
            raise UsageProblem(f"vary has no values for {name}.")
        columns.append(column)
    if math.prod(map(len, columns)) > MAX_CALLS:
        raise UsageProblem(f"vary spans more than {MAX_CALLS} settings.")
    return [dict(zip(names, row, strict=True)) for row in itertools.product(*columns)]


def expand(
    prompt: str,
    choices: Sequence[Choice],
    llm_of: Callable[[str], LLM],
    *,
    cases: Sequence[Case],
    around: Mapping[str, Any],
    fill_holes: bool,
    settings: Sequence[Mapping[str, Scalar]],
    samples: int,
    params: Mapping[str, Scalar],
    system: str | None,
    reference: str | None,
    images: tuple[Image, ...] = (),
    schema: Mapping[str, Any] | None = None,
    history: tuple[Message, ...] = (),
) -> list[Cell]:
    """Return a cell for each case, LLM, setting and sample, in that order.

    Args:
        prompt: the text, a template where `fill_holes` is true.
        choices: LLMs with the settings written behind their ids.
        llm_of: gives the LLM of an id.
        cases: what fills the holes; one empty case where there is only the prompt.
        around: what fills holes that a case has no column for.
        fill_holes: whether `{{ }}` is filled, or stands for itself.
        settings: further settings in which every LLM is asked; `[{}]` for one.
        samples: how often each is asked.
        params: parameters for all calls; a setting goes before them.
        system: system message, a template too.
        reference: right answer: a column of the cases, or a template, or a text.
        images: pictures that go with each prompt.
        schema: JSON Schema that the answers must match.
        history: messages of a conversation, between the system message and the prompt.

    Raises:
        TemplateError: a hole that cannot be filled, before anything is sent.
        UsageProblem: too many or no calls.
    """
    check_parameters(params)
    if isinstance(samples, bool) or not isinstance(samples, int):
        raise UsageProblem(f"samples must be a whole number, not {samples!r}.")
    count = len(cases) * len(choices) * len(settings) * samples
    if not 1 <= count <= MAX_CALLS:
        raise UsageProblem(f"That would be {count} calls; 1 to {MAX_CALLS} can be made at a time.")
    spelled = canonical_json(schema).decode() if schema else ""
    cells = []
    for case in cases:
        holes = ChainMap(dict(case.values), around) if fill_holes else None  # type: ignore[arg-type]
        *before, asked = _messages(prompt, system, holes, images, schema)
        messages = (*before, *history, asked)
        right = _reference(reference, case, holes)
        for choice, setting in itertools.product(choices, settings):
            llm = llm_of(choice.llm_id)
            if images and llm.card.sees_images is False:
                raise UsageProblem(f"{llm.card.id} takes no pictures.", hint="Ask another LLM.")
            own = {**dict(choice.params), **setting}
            cells += [
                Cell(
                    case.label,
                    variant_name(own),
                    llm,
                    request(llm, messages, {**params, **own}, sample=sample, schema=spelled),
                    right,
                )
                for sample in range(samples)
            ]
    return cells


def _messages(
    prompt: str,
    system: str | None,
    holes: Mapping[str, Any] | None,
    images: tuple[Image, ...],
    schema: Mapping[str, Any] | None,
) -> tuple[Message, ...]:
    text = prompt if holes is None else fill(prompt, holes)
    if not text.strip():
        raise UsageProblem("The prompt is empty.", hint="Write it into the body of the cell.")
    if schema:
        text = f"{text}\n\n{output.instruction(schema)}"
    asked = Message("user", text, images)
    if not system:
        return (asked,)
    return (Message("system", system if holes is None else fill(system, holes)), asked)


def _reference(
    reference: str | None, case: Case, holes: Mapping[str, Any] | None
) -> str | None:  # fmt: skip
    if reference is None:
        return None
    if reference in case.values:
        value = case.values[reference]
        return None if _is_missing(value) else as_text(value)
    return str(reference) if holes is None else fill(str(reference), holes)


def _is_missing(value: Any) -> bool:
    """Return whether a cell of a table says that nothing is known: None, NaN, NaT or NA."""
    if value is None or type(value).__name__ in {"NAType", "NaTType"}:
        return True
    return isinstance(value, float) and math.isnan(value)


def request(
    llm: LLM,
    messages: tuple[Message, ...],
    params: Mapping[str, Any],
    *,
    sample: int = 0,
    fresh: str = "",
    schema: str = "",
) -> Request:
    """Return the request that asks one LLM; what `params` leave open its card says.

    Raises:
        UsageProblem: a parameter with a value that no backend takes.
    """
    rest = dict(params)
    max_tokens = rest.pop("max_tokens", llm.card.default_max_tokens)
    if (
        not isinstance(max_tokens, int)
        or isinstance(max_tokens, bool)
        or not 1 <= max_tokens <= MOST_TOKENS
    ):
        raise UsageProblem(f"max_tokens must be from 1 to {MOST_TOKENS}, not {max_tokens!r}.")
    for name, value in rest.items():
        endless = isinstance(value, float) and not math.isfinite(value)
        if endless or not isinstance(value, str | int | float | bool | None):
            raise UsageProblem(f"{name} must be a number or a word, not {value!r}.")
    return Request(
        llm=llm.card.id,
        identity=llm.card.identity,
        model=llm.card.model,
        messages=messages,
        max_tokens=max_tokens,
        params=tuple(sorted(rest.items())),
        sample=sample,
        fresh=fresh,
        schema=schema,
    )
