"""What ask and compare take: checked and made plain before anything else looks at it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from bmad_nb.budget import parse_usd
from bmad_nb.errors import UsageProblem
from bmad_nb.images import images_of
from bmad_nb.messages import Image
from bmad_nb.workflow import output

MOST_VALUES = 100_001
"""Values of one setting that are looked at; so many are refused later, as too many calls."""


def _plain(value: Any) -> Any:
    """Return numpy's numbers and flags as Python's own."""
    is_number = hasattr(value, "item") and getattr(value, "ndim", None) == 0
    return value.item() if is_number else value


def _text(value: Any) -> Any:
    """Return a result, which stands for its answer, as text; leave all else to be checked."""
    return str(value) if hasattr(value, "answers") else value


def _names(value: Any) -> Any:
    if isinstance(value, str):
        return value
    listed = isinstance(value, list | tuple) and all(isinstance(each, str) for each in value)
    if not listed:
        raise ValueError("takes ids: a text with commas, or a list of texts")
    return ",".join(value)


def _judges(value: Any) -> Any:
    if value is None or value is False:
        return None
    return "auto" if value is True else _names(value)


def _reference(value: Any) -> Any:
    value = _plain(value)
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _mapping(value: Any) -> Any:
    if value is not None and not isinstance(value, Mapping):
        raise ValueError("takes a dictionary of values by name")
    return value


def _settings(value: Any) -> Any:
    """Return `vary` with each value a list of plain ones."""
    value = _mapping(value)
    if value is None:
        return None
    columns = {}
    for name, given in value.items():
        given = _plain(given)  # noqa: PLW2901
        single = isinstance(given, str | int | float)
        listed = [given] if single else itertools.islice(given, MOST_VALUES)
        columns[name] = [_plain(each) for each in listed]
    return columns


def _images(value: Any) -> Any:
    try:
        return () if value is None else images_of(value)
    except UsageProblem as error:
        raise ValueError(f"{error.what} {error.hint}".strip()) from None


def _schema(value: Any) -> Any:
    """Return the JSON Schema that `output` stands for."""
    value = _mapping(value)
    if value is None:
        return None
    said = [f"{problem.what} {problem.hint}".strip() for problem in output.problems(value, ())]
    if said:
        raise ValueError(" ".join(said[:8]) + f" … and {len(said) - 8} more." * (len(said) > 8))
    return output.schema_of(value)


Value = Annotated[bool | int | float | str, BeforeValidator(_plain)]
Flag = Annotated[bool, BeforeValidator(_plain), Field(strict=True)]


class Options(BaseModel):
    """The arguments of one ask or compare."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False, arbitrary_types_allowed=True)

    prompt: Annotated[str, BeforeValidator(_text), Field(strict=True)]
    llms: Annotated[str, BeforeValidator(_names)]
    over: Any = None
    inputs: Annotated[Any, BeforeValidator(_mapping)] = None
    budget_usd: Decimal | None = None
    fresh: Flag = False
    replay: Flag = False
    raw: Flag = False
    vary: Annotated[dict[str, list[Value]] | None, BeforeValidator(_settings)] = None
    samples: Annotated[int, BeforeValidator(_plain), Field(strict=True, ge=1)] = 1
    system: Annotated[str | None, BeforeValidator(_text)] = None
    reference: Annotated[str | None, BeforeValidator(_reference)] = None
    images: Annotated[tuple[Image, ...], BeforeValidator(_images)] = ()
    output: Annotated[dict[str, Any] | None, BeforeValidator(_schema)] = None
    scorer: Any = None
    judge: Annotated[str | None, BeforeValidator(_judges)] = None
    rubric: Annotated[str | None, BeforeValidator(_text)] = None
    pairwise: Flag = False
    judgements: Annotated[int, BeforeValidator(_plain), Field(strict=True, ge=1)] = 1
    chat: Annotated[str | None, Field(strict=True)] = None
    task_type: Annotated[str, Field(strict=True)] = ""
    learn: Flag = True
    params: dict[str, Value] = {}


def read(prompt: Any, llms: Any, given: Mapping[str, Any]) -> Options:
    """Return checked options; what is not one of ours is a parameter of the LLMs.

    Raises:
        UsageProblem: all that is wrong with them, in one sentence each.
    """
    ours = set(Options.model_fields) - {"params", "prompt", "llms"}
    named = {name: value for name, value in given.items() if name in ours and value is not None}
    params = {n: v for n, v in given.items() if n not in ours and v is not None}
    if "budget_usd" in named:
        named["budget_usd"] = parse_usd(_plain(named["budget_usd"]))
    try:
        return Options(prompt=prompt, llms=llms, params=params, **named)
    except ValidationError as error:
        raise UsageProblem(_explain(error)) from None
    except TypeError as error:  # a value of vary that is no list
        raise UsageProblem(f"vary takes a list of values for each name: {error}.") from None


def _explain(error: ValidationError) -> str:
    said: dict[str, str] = {}
    for problem in error.errors(include_url=False, include_input=False):
        path = [str(part) for part in problem["loc"] if part not in {"bool", "int", "float", "str"}]
        name = ".".join(path[1:] if path[0] == "params" else path)
        said.setdefault(name, problem["msg"].removeprefix("Value error, "))
    return " ".join(f"{name}: {message[0].lower()}{message[1:]}." for name, message in said.items())
