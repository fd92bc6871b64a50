"""One form for all spellings of an answer, so that equal answers are equal texts."""

from __future__ import annotations

import ast
import json
import math
import re
import unicodedata
import warnings
from collections.abc import Sequence
from typing import Any, Literal

from bmad_nb.answers import latex
from bmad_nb.answers.numbers import as_number, measured, numbers_in, spelled

Kind = Literal["auto", "number", "choice", "text", "literal", "json"]
"""What answers are: numbers, one of some choices, words, Python or JSON literals."""
KINDS = ("auto", "number", "choice", "text", "literal", "json")
OUTER = " \t\n\r.,;:!?\"'`*()[]{}“”‘’"  # noqa: RUF001
MAX_REMARK = 80
"""Characters of an answer that begins with yes or no, and says no more than that."""
_YES_OR_NO = re.compile(r"[\"'`*(]*(yes|no)\b[\"'`*)]*(?:[,.;:!]|\s*$|\s+[-–—])", re.IGNORECASE)  # noqa: RUF001
MAX_LITERAL = 4_000
"""Characters; a longer text is not read as a literal."""
_TIME = re.compile(r"(\d{1,2}):(\d{2})(?::\d{2})?\s*(?:[ap]\.?m\.?)?", re.IGNORECASE)
_UNSAID = frozenset((
    "n/a", "i do not know", "i don't know", "i give up", "idk", "no answer",
    "not enough information", "unknown",
))  # fmt: skip
"""What stands where an answer would, and is none."""
_SYMBOL = re.compile(r"sqrt|pi\b|[\^*/]|\binfinity\b|\bx\b")
"""What makes a number a part of a value, and not the value."""
_CHOICE = re.compile(r"\(?\*{0,2}([A-Za-z])\*{0,2}(?:[).:]|\s*$|\s*[-–]\s)")  # noqa: RUF001


_LETTERED = re.compile(r"\(?\*{0,2}[A-J]\*{0,2}(?:[).:]|\s*$)")
"""A capital letter alone, or before a bracket, a point or a colon."""


def normalise(text: str) -> str:
    """Return a text without what makes no difference: case, outer punctuation, space.

    >>> normalise("  **Paris**. ")
    'paris'
    """
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split()).strip(OUTER)


def canonical(answer: str | None, kind: Kind = "auto") -> str | None:
    r"""Return the form in which an answer is compared; None if it says nothing.

    >>> canonical("$1,000.00"), canonical("1000.0"), canonical(r"\frac{1}{2}"), canonical("(B) no")
    ('1000', '1000', '0.5', 'b) no')
    >>> canonical("(B) no", "choice"), canonical("[1,  2]", "literal"), canonical(" ")
    ('B', '[1, 2]', None)
    """
    if answer is None or (not answer.strip() and kind != "literal"):
        return None
    if kind == "literal":
        return _literal(answer)
    if normalise(answer) in _UNSAID:
        return None
    read = {"number": _number, "choice": _choice, "json": _json, "text": normalise}.get(kind, _any)
    return read(unicodedata.normalize("NFKC", answer).strip()) or None


def _any(text: str) -> str:
    simple = latex.plain(text).strip().strip("*").strip()
    if len(simple) <= MAX_REMARK and (match := _YES_OR_NO.match(simple)):
        return match[1].lower()
    number = measured(simple) if as_number(simple) is not None or "/" in simple else None
    return number or normalise(simple) or normalise(text) or text


def _choice(text: str) -> str:
    match = _CHOICE.match(text)
    return match[1].upper() if match else normalise(text)


def kind_of(answers: Sequence[str | None]) -> Kind:
    """Return the kind of some answers: `number` or `choice` if most are, `literal` if a fifth is.

    Where lists are among the answers the others are values of a program too, so that case counts.

    >>> kind_of(["18", "$18", "18 dollars"]), kind_of(["[1]", "[2]", "{}"]), kind_of(["a", "b"])
    ('number', 'literal', 'auto')
    >>> kind_of(["B", "(B)", "B) because it floats", "A."])
    'choice'
    """
    there = [latex.plain(each).strip() for each in answers if each and each.strip()]
    numbers = sum(measured(each) is not None for each in there)
    if there and numbers * 2 > len(there):
        return "number"
    letters = sum(_LETTERED.match(each) is not None for each in there)
    if letters * 2 > len(there) > 1:
        return "choice"
    bracketed = sum(each[:1] in "[{(" and each[-1:] in ")}]" for each in there)
    return "literal" if bracketed * 5 > len(there) else "auto"


def _number(text: str) -> str | None:
    """Return a number, or the text where it holds several and says of none that it is the answer.

    >>> _number("about 3 m"), _number("2 * 3 = 6"), _number("2:00 pm"), _number("(3, 4)")
    ('3', '6', '2', '3,4')
    """
    simple = latex.plain(text).strip().strip("*").strip()
    whole = measured(simple)
    if whole is not None:
        return whole
    if time := _TIME.fullmatch(simple):
        hours, minutes = time.groups()
        return str(int(hours)) if minutes == "00" else f"{int(hours)}:{minutes}"
    said = simple.rpartition("=")[2] if "=" in simple else simple
    found = numbers_in(said)
    if len(found) != 1 or not math.isfinite(found[0]) or _SYMBOL.search(said):
        found = []
    return spelled(found[0]) if found else normalise(simple) or None


def _literal(answer: str) -> str:
    """Return a Python literal in one spelling.

    Quotes around a text, and its outer space, make no difference: LLMs give or leave them at will.
    """
    answer = answer.replace("\\n", "\n").replace("\\t", "\t")
    text = answer.strip().strip("`").strip()
    value: Any = text or answer  # blanks alone are a text of blanks
    if text and len(text) <= MAX_LITERAL:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of odd escapes in what an LLM wrote
                value = ast.literal_eval(text.replace("\n", "\\n"))
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            value = text
        if isinstance(value, tuple) and text[0] != "(":
            value = text  # words with commas between them
    if not isinstance(value, str):
        value = repr(value)
    spelled: str = value
    return spelled.strip().strip("'\"").strip() or spelled


def _json(text: str) -> str:
    try:
        return json.dumps(json.loads(text), sort_keys=True, ensure_ascii=False)
    except (ValueError, RecursionError):
        return normalise(text) or text
