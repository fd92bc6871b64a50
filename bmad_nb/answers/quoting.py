"""Does what an answer quotes stand in its source?"""

from __future__ import annotations

import re
import unicodedata

LEAST = 3
"""Words from which on a passage between quotation marks is a quote, and not a name for a thing."""
MAX_LENGTH = 200_000
"""Characters of a text that are looked at."""
_QUOTED = re.compile(
    r'"([^"\n]{1,2000})"|“([^”]{1,2000})”|„([^“”]{1,2000})[“”]|«([^»]{1,2000})»'
)  # fmt: skip
_BLOCK = re.compile(r"^[ \t]*>[ \t]?(.+)$", re.MULTILINE)
_GAP = re.compile(r"\[?(?:\.\.\.|…)\]?")
_NOT_WORD = re.compile(r"[\W_]+")


def ungrounded(text: str, source: str) -> list[str]:
    """Return the quotes of a text that do not stand in its source, in their order.

    Quotes are passages of three words and more between quotation marks, and lines that begin with
    `>`. Case, space and punctuation make no difference; what stands around `…` is looked up by
    itself.

    >>> ungrounded('"Ice floats on water", and "ice sinks in water".', "Ice floats on water!")
    ['ice sinks in water']
    """
    known = f" {_plain(source)} "
    return [
        quote
        for quote in _quotes(text[:MAX_LENGTH])
        if not all(f" {part} " in known for part in map(_plain, _GAP.split(quote)) if part)
    ]


def _quotes(text: str) -> list[str]:
    found = [next(filter(None, groups)) for groups in _QUOTED.findall(text)]
    found += _BLOCK.findall(text)
    return [each.strip() for each in found if len(_plain(each).split()) >= LEAST]


def _plain(text: str) -> str:
    """Return the words of a text, each with one space between."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return _NOT_WORD.sub(" ", folded).strip()
