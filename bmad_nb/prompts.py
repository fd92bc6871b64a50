"""Templates: `{{ }}` holes in a text, filled in one pass. What is put in is never scanned again."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from bmad_nb import expressions
from bmad_nb.errors import TemplateError

HOLE = re.compile(
    r"""\{\{((?:[^'"}]|\}(?!\})|'(?:[^'\\\n]|\\.)*+'|"(?:[^"\\\n]|\\.)*+")*+|.*?)\}\}""",
    re.DOTALL,
)
"""A hole of a template; its group is the expression, in whose texts `}}` may stand."""
MAX_TABLE_ROWS = 50
"""Rows of a DataFrame that go into a prompt; `{{ head(df, n) }}` chooses another number."""
MAX_TEMPLATE = 1_000_000
"""Characters of a template."""
MAX_HOLES = 1000
"""Holes of a template."""
MAX_FILLED = 10_000_000
"""Characters of a filled template."""


def _split(template: str) -> Iterator[re.Match[str]]:
    """Yield the holes of a template, in a time that grows with its length only."""
    if len(template) > MAX_TEMPLATE:
        raise TemplateError(f"A template has more than {MAX_TEMPLATE} characters.")
    # the search for an end behind the last one would be made again for each `{{`
    last = template.rfind("}}") + 2
    for count, hole in enumerate(HOLE.finditer(template, 0, last)):
        if count == MAX_HOLES:
            raise TemplateError(f"A template has more than {MAX_HOLES} holes.")
        yield hole


@contextlib.contextmanager
def _line_of(hole: re.Match[str], template: str) -> Iterator[None]:
    """Say the hole's line in the errors that come out of it."""
    try:
        yield
    except TemplateError as error:
        line = template.count("\n", 0, hole.start()) + 1
        raise type(error)(f"Line {line} of the prompt: {error.what}", hint=error.hint) from None


def holes(template: str) -> set[str]:
    """Return the names that `template` needs.

    >>> sorted(holes("{{ a.b }} and {{ head(c, 2) }} but not {d}"))
    ['a', 'c']
    """
    return {path[0] for path in references(template)}


def references(template: str) -> list[tuple[str, ...]]:
    """Return the dotted paths that the holes of `template` read, in order, each once.

    >>> references("{{ draft.output }} {{ len(notes) }} {{ draft.output }}")
    [('draft', 'output'), ('notes',)]

    Raises:
        TemplateError: a hole is not an expression of the language; its line is named.
    """
    found: dict[tuple[str, ...], None] = {}
    for hole in _split(template):
        with _line_of(hole, template):
            found |= dict.fromkeys(expressions.references(expressions.parse(hole.group(1))))
    return list(found)


def fill(template: str, values: Mapping[str, Any]) -> str:
    """Return `template` with its holes filled.

    >>> fill("Hello {{ who }}, {braces} stay", {"who": "{{ you }}"})
    'Hello {{ you }}, {braces} stay'

    Raises:
        MissingInput: a hole names something that `values` does not have.
        TemplateError: a hole is not an expression of the language, or a limit is reached.
    """
    pieces, end, length = [], 0, len(template)
    for hole in _split(template):
        with _line_of(hole, template):
            text = as_text(_value(hole, values))
        length += len(text) - (hole.end() - hole.start())
        if length > MAX_FILLED:
            raise TemplateError(f"The filled template has more than {MAX_FILLED} characters.")
        pieces += [template[end : hole.start()], text]
        end = hole.end()
    return "".join([*pieces, template[end:]])


def value_of(template: str, values: Mapping[str, Any]) -> Any:
    """Return the value itself if `template` is one hole and nothing else, or the filled text.

    >>> value_of(" {{ n + 1 }} ", {"n": 2}), value_of("n={{ n }}", {"n": 2})
    (3, 'n=2')

    Raises:
        MissingInput: as `fill` does.
        TemplateError: as `fill` does.
    """
    hole = next(_split(template), None)
    if hole and not (template[: hole.start()] + template[hole.end() :]).strip():
        with _line_of(hole, template):
            return _value(hole, values)
    return fill(template, values)


def _value(hole: re.Match[str], values: Mapping[str, Any]) -> Any:
    return expressions.evaluate(expressions.parse(hole.group(1)), values)


def as_text(value: Any) -> str:
    """Return how a value stands in a prompt: text as it is, tables as Markdown, else JSON.

    Raises:
        TemplateError: it has no text, or one over 10,000,000 characters.
    """
    try:
        return _written(expressions.spelled(value))
    except Exception as error:  # noqa: BLE001  (anybody's object may raise anything)
        raise TemplateError(
            f"A {type(value).__name__} cannot be put into a prompt: {expressions.told(error)}.",
            hint="Make a text of it in Python first.",
        ) from None


def _written(value: Any) -> str:
    if isinstance(value, str):
        return value
    if hasattr(value, "columns") and hasattr(value, "to_dict"):
        return _table(value)
    if isinstance(value, Mapping | list | tuple):
        try:
            return expressions.json_text(value, MAX_FILLED)
        except (TypeError, ValueError, RecursionError):
            return str(value)
    return "" if value is None else str(value)


def _table(frame: Any) -> str:
    columns = [str(name) for name in frame.columns]
    records = frame.head(MAX_TABLE_ROWS).to_dict("records")
    lines = [_row(columns), _row(["---"] * len(columns))]
    lines += [_row([as_text(v) for v in record.values()]) for record in records]
    if len(frame) > MAX_TABLE_ROWS:
        lines.append(f"({len(frame) - MAX_TABLE_ROWS} more rows not shown)")
    return "\n".join(lines)


def _row(cells: list[str]) -> str:
    escaped = (cell.replace("|", "\\|").replace("\n", " ") for cell in cells)
    return "| " + " | ".join(escaped) + " |"
