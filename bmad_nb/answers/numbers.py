"""Numbers in texts: the last one, or the one that a text is."""

from __future__ import annotations

import math
import re
from fractions import Fraction

_NUMBER = re.compile(
    r"[-+\u2212]?\d{1,3}(?:,\d{3})+(?:\.\d+)?(?!\d)"  # 1,234.5
    r"|[-+\u2212]?\d+(?:\.\d+)?(?:[eE][-+]?\d{1,3})?"
    r"|[-+\u2212]?\.\d+"
)
_FRACTION = re.compile(r"([-+]?\d{1,15})\s*/\s*(\d{1,15})")
_MIXED = re.compile(r"([-+]?\d{1,15})\s+(\d{1,15})\s*/\s*(\d{1,15})")
MAX_LENGTH = 100_000
"""Characters at the end of an answer that are searched for a number."""
_UNITS = re.compile(r"\s*[^\W\d_][^\W\d_./\s-]*(?:[ ./-][^\W\d_][^\W\d_./-]*){0,3}")
"""Up to four words without a digit: a unit."""
_SYMBOLS = {"pi", "π", "i", "n", "x", "y", "z"}
"""What a number is multiplied by, and no unit."""


def numbers_in(text: str) -> list[float]:
    """Return the numbers in a text, thousands separators allowed.

    A hyphen right behind a digit or a letter is a dash, and one before a space is a bullet.

    >>> numbers_in("from 7 to 1,234.50 dollars"), numbers_in("pages 10-12")
    ([7.0, 1234.5], [10.0, 12.0])
    """
    tail = text[-MAX_LENGTH:]
    found = []
    for match in _NUMBER.finditer(tail):
        spelled = match.group().replace(",", "").replace("\u2212", "-")
        before = tail[match.start() - 1 : match.start()]
        if spelled[0] in "+-" and before.isalnum():
            spelled = spelled[1:]
        found.append(float(spelled))
    return found


def last_number(text: str) -> float | None:
    """Return the last number in a text, or None.

    >>> last_number("It rose from 7 to 1,234.50 dollars"), last_number("none")
    (1234.5, None)
    """
    found = numbers_in(text)
    return found[-1] if found and math.isfinite(found[-1]) else None


def as_number(text: str) -> float | None:
    """Return the value of a text that is a number and nothing else, or None."""
    match = _NUMBER.fullmatch(text.strip().removeprefix("$").rstrip("%").strip())
    return last_number(match.group()) if match else None


def spelled(value: float | Fraction) -> str:
    """Return a number as it is compared: without an empty fraction, to ten digits.

    >>> spelled(1000.0), spelled(Fraction(1, 2)), spelled(1 / 3), spelled(-0.0)
    ('1000', '0.5', '0.3333333333', '0')
    """
    number = float(value)
    if number == int(number) and abs(number) < 1e15:
        return str(int(number))
    return f"{number:.10g}"


def measured(text: str) -> str | None:
    """Return a text that is one number, with a currency, percent sign or unit, as a number.

    >>> measured("$1,000.00"), measured("18 dollars"), measured("3/4"), measured("about 3 of 4")
    ('1000', '18', '0.75', None)
    """
    bare = text.strip().replace("\u2212", "-").rstrip(".").strip()
    sign = "-" if bare.startswith(("-$", "-€", "-£")) else ""
    bare = sign + bare.removeprefix("-" if sign else "").lstrip("$€£").strip()
    for pattern, reckoned in ((_MIXED, _mixed), (_FRACTION, _fraction)):
        if (match := pattern.match(bare)) and _is_unit(bare[match.end() :]):
            return reckoned(*(int(each) for each in match.groups()))
    match = _NUMBER.match(bare)
    if match is None or not _is_unit(bare[match.end() :]):
        return None
    value = float(match.group().replace(",", ""))
    return spelled(value) if math.isfinite(value) else None


def _is_unit(rest: str) -> bool:
    rest = rest.strip().lstrip("%°$€£").strip()
    if rest in _SYMBOLS:
        return False
    return not rest or (len(rest) <= 40 and _UNITS.fullmatch(rest) is not None)


def _fraction(above: int, below: int) -> str | None:
    return spelled(Fraction(above, below)) if below else None


def _mixed(whole: int, above: int, below: int) -> str | None:
    if not below:
        return None
    part = Fraction(above, below)
    return spelled(whole - part if whole < 0 else whole + part)
