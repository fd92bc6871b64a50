"""The known name that is most like a wrong one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most like `name`, or None if none is like it.

    >>> nearest("claud", ["claude", "local"])
    'claude'
    """
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return close[0]
    tails = {each.rpartition("/")[2]: each for each in names}
    close = difflib.get_close_matches(name.rpartition("/")[2], tails, n=1, cutoff=0.6)
    return tails[close[0]] if close else None
