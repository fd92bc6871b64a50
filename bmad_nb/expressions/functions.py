"""The functions of the language; each gets the work that is left and its arguments."""

from __future__ import annotations

import csv
import itertools
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from bmad_nb.expressions.values import (
    MAX_ITEMS,
    MAX_STEPS,
    MAX_TEXT,
    Refused,
    Work,
    brief,
    each_of,
    fits,
    json_text,
    number,
    spelled,
    weight,
)

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula."""


def _abs(_: Work, value: Any) -> int | float:
    return abs(_numeric(value, "abs"))


def _numeric(value: Any, function: str) -> int | float:
    found = number(value)
    if found is None:
        raise Refused(f"{function}() takes a number, not {brief(value)}")
    return found


def _round(_: Work, value: Any, digits: Any = None) -> int | float:
    if digits is not None and not (type(digits) is int and -400 <= digits <= 400):
        raise Refused("round() takes a number and digits from -400 to 400")
    return round(_numeric(value, "round"), digits)  # more digits would reckon with 10**digits


def _sum(work: Work, value: Any) -> int | float:
    items = each_of(value, work)  # true counts as 1, so that a sum can count what holds
    return sum(int(each) if isinstance(each, bool) else _numeric(each, "sum") for each in items)


def _ordered(items: list[Any], work: Work) -> list[Any]:
    work.spend(weight(items, MAX_STEPS))
    return items


def _extreme(pick: Callable[[Iterable[Any]], Any]) -> Callable[..., Any]:
    def call(work: Work, *values: Any) -> Any:
        items = list(each_of(values[0], work)) if len(values) == 1 else list(values)
        if not items:
            raise Refused(f"{pick.__name__}() of an empty list has no value")
        return pick(_ordered(items, work))

    return call


def _text(value: Any, function: str) -> str:
    text = spelled(value)
    if not isinstance(text, str) and number(text) is None:
        raise Refused(f"{function}() takes a text, not {brief(value)}")
    return str(text)


def _head(_: Work, value: Any, count: Any = 5) -> Any:
    if type(count) is not int or not 0 <= count <= MAX_ITEMS:
        raise Refused(f"head() takes a value and a count from 0 to {MAX_ITEMS}")
    whole = spelled(value)
    if isinstance(whole, Sequence):
        return whole[:count]
    if hasattr(whole, "columns") and hasattr(whole, "head"):
        return whole.head(count)
    raise Refused(f"head() takes a text, a list or a table, not {brief(value)}")


def _csv(work: Work, value: Any) -> str:
    if hasattr(value, "columns") and hasattr(value, "to_dict"):
        work.spend(len(value))
        return _table([str(name) for name in value.columns], value.to_dict("split")["data"])
    items = list(each_of(value, work))
    if items and all(isinstance(spelled(each), Mapping) for each in items):
        columns = list(dict.fromkeys(key for row in items for key in row))
        fits(len(columns), MAX_ITEMS, work)
        rows = ([row.get(column) for column in columns] for row in items)
        return _table([str(column) for column in columns], rows)
    return ", ".join(_within(map(_cell, items)))


def _table(columns: list[str], rows: Iterable[Iterable[Any]]) -> str:
    lines: list[str] = []
    # with this end of line, a writer quotes both of its characters wherever they stand in a cell
    writer = csv.writer(types.SimpleNamespace(write=lines.append), lineterminator="\r\n")
    length = 0
    for row in itertools.chain([columns], rows):
        writer.writerow(_within(map(_harmless, row)))
        length += len(lines[-1])
        fits(length, MAX_TEXT, Work())
    return "\n".join(line.removesuffix("\r\n") for line in lines)


def _within(cells: Iterable[str]) -> Iterator[str]:
    """Yield cells as long as they fit together; a value in many places is not copied first."""
    length = 0
    for cell in cells:
        length += len(cell)
        fits(length, MAX_TEXT, Work())
        yield cell


def _harmless(value: Any) -> str:
    cell = _cell(value)
    return "'" + cell if cell.startswith(_FORMULA) and number(value) is None else cell


def _cell(value: Any) -> str:
    plain = spelled(value)
    if isinstance(plain, Mapping | list | tuple):
        return json_text(plain, MAX_TEXT, indent=None)
    is_missing = plain is None or (isinstance(plain, float) and plain != plain)  # noqa: PLR0124
    return "" if is_missing else str(plain)


CALLS: dict[str, Callable[..., Any]] = {
    "abs": _abs,
    "all": lambda work, value: all(each_of(value, work)),
    "any": lambda work, value: any(each_of(value, work)),
    "csv": _csv,
    "head": _head,
    "json": lambda _, value: json_text(value, MAX_TEXT),
    "len": lambda _, value: len(spelled(value)),
    "lower": lambda _, value: _text(value, "lower").lower(),
    "max": _extreme(max),
    "min": _extreme(min),
    "round": _round,
    "sorted": lambda work, value: sorted(_ordered(list(each_of(value, work)), work)),
    "sum": _sum,
    "upper": lambda _, value: _text(value, "upper").upper(),
}
"""What each function does; `coalesce` is not here, for it looks at its arguments one by one."""
