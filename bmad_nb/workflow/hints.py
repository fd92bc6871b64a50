"""What to do about a name that nobody knows: the nearest right one, or what there is."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from bmad_nb._nearest import nearest

_MOST_COMPARED = 300
"""Names that are compared; a hostile document may have thousands, and as many wrong ones."""
_LONGEST = 80
"""Characters of a name that is compared."""


def guess(name: object, known: Iterable[str]) -> str | None:
    """Return the known name that is most like another one, None if none is, in bounded time."""
    text = str(name)
    few = [each for each in itertools.islice(known, _MOST_COMPARED) if len(each) <= _LONGEST]
    if len(text) > _LONGEST:
        return None
    return nearest(text, few) or nearest(text.lower(), few)


def suggestion(name: object, known: Iterable[str], what: str = "Known") -> str:
    """Return "Did you mean …?", or the first of the names that there are.

    >>> suggestion("promt", ["prompt", "python"])
    "Did you mean 'prompt'?"
    >>> suggestion("x", ["prompt", "python"], "Verbs")
    'Verbs: prompt, python.'
    """
    names = list(known)
    found = guess(name, names)
    return f"Did you mean {found!r}?" if found else f"{what}: {listed(names)}."


def listed(names: Iterable[str]) -> str:
    """Return names in their order, at most forty; `none` without any."""
    few = list(itertools.islice(names, 41))
    return ", ".join(few[:40]) + (", …" if len(few) > 40 else "") or "none"
