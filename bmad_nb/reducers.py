"""Reducers that a document may name without permission: `bmad_nb.reducers:counts` and its like.

Each takes `items`, what was done, and `errors`, what was not, and returns one JSON value.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

FREE = frozenset(f"bmad_nb.reducers:{name}" for name in ("counts", "concat", "join"))
"""Exactly these may be called without permission: not what else this module can reach."""
MOST_VALUES = 50
"""Different values of a field that are counted; a field with more is left out."""


def counts(items: Sequence[Any], errors: Sequence[Any]) -> dict[str, Any]:
    """Return how often each value of each field comes, how many items there are, and failed.

    >>> counts([{"label": "bug"}, {"label": "bug"}], [])["label"]
    {'bug': 2}
    """
    found: dict[str, Any] = {"items": len(items), "errors": len(errors)}
    fields: dict[str, dict[str, int]] = {}
    for item in items:
        for name, value in item.items() if isinstance(item, Mapping) else [("value", item)]:
            if not isinstance(value, list | Mapping):
                word = value if isinstance(value, str) else json.dumps(value)
                of_field = fields.setdefault(str(name), {})
                of_field[word] = of_field.get(word, 0) + 1
    return found | {
        name: dict(sorted(values.items(), key=lambda each: (-each[1], each[0])))
        for name, values in fields.items()
        if len(values) <= MOST_VALUES and name not in found
    }


def concat(items: Sequence[Any], errors: Sequence[Any]) -> list[Any]:
    """Return one list of all that the items hold.

    >>> concat([[1], [2, 3], 4], [])
    [1, 2, 3, 4]
    """
    del errors
    found: list[Any] = []
    for item in items:
        found += item if isinstance(item, list) else [item]
    return found


def join(items: Sequence[Any], errors: Sequence[Any]) -> str:
    r"""Return the texts of the items, an empty line between two.

    >>> join(["a", "b"], [])
    'a\n\nb'
    """
    del errors
    return "\n\n".join(each if isinstance(each, str) else json.dumps(each) for each in items)
