"""Templates: `{{ }}` holes in a text, filled in one pass. What is put in is never scanned again."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from bmad_nb import expressions
from bmad_nb.errors import TemplateError

HOLE = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
"""A hole of a template; its group is the expression."""
MAX_TABLE_ROWS = 50
"""Rows of a DataFrame that go into a prompt; `{{ head(df, n) }}` chooses another number."""


def holes(template: str) -> set[str]:
    """Return the names that `template` needs.

    >>> sorted(holes("{{ a.b }} and {{ head(c, 2) }} but not {d}"))
    ['a', 'c']
    """
    found: set[str] = set()
    for match in HOLE.finditer(template[: _end(template)]):
        found |= expressions.names(expressions.parse(match.group(1)))
    return found


def fill(template: str, values: Mapping[str, Any]) -> str:
    """Return `template` with its holes filled.

    >>> fill("Hello {{ who }}, {braces} stay", {"who": "{{ you }}"})
    'Hello {{ you }}, {braces} stay'

    Raises:
        MissingInput: a hole names something that `values` does not have.
        TemplateError: a hole is not an expression of the language.
    """

    def value_of(match: re.Match[str]) -> str:
        try:
            return as_text(expressions.evaluate(expressions.parse(match.group(1)), values))
        except TemplateError as error:
            line = template.count("\n", 0, match.start()) + 1
            raise type(error)(f"Line {line} of the prompt: {error.what}", hint=error.hint) from None

    end = _end(template)
    return HOLE.sub(value_of, template[:end]) + template[end:]


def _end(template: str) -> int:
    """Return where the last hole may end; the search for an end behind that would take long."""
    return template.rfind("}}") + 2


def as_text(value: Any) -> str:
    """Return how a value stands in a prompt: text as it is, tables as Markdown, else JSON."""
    try:
        return _spelled(value)
    except (RecursionError, MemoryError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise TemplateError(
            f"A {type(value).__name__} cannot be put into a prompt: {error}.",
            hint="Make a text of it in Python first.",
        ) from None


def _spelled(value: Any) -> str:
    if isinstance(value, str):
        return value
    if hasattr(value, "columns") and hasattr(value, "to_dict"):
        return _table(value)
    if isinstance(value, Mapping | list | tuple):
        try:
            return json.dumps(value, ensure_ascii=False, indent=2)
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
