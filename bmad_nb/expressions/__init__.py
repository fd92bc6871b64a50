"""The small safe language of conditions, `set`, `outputs` and the `{{ }}` holes of prompts.

An expression is parsed to Python's syntax tree, checked against a short list of nodes and walked by
hand. Nothing is compiled or run by Python, a dot is a look-up in a dictionary and never an
attribute of an object, and every evaluation has a budget of steps.
"""

from bmad_nb.expressions.evaluation import evaluate, shown_values
from bmad_nb.expressions.language import (
    FUNCTIONS,
    MAX_DEPTH,
    MAX_LENGTH,
    RESERVED_NAMES,
    names,
    parse,
    references,
)
from bmad_nb.expressions.values import (
    MAX_INTEGER,
    MAX_ITEMS,
    MAX_STEPS,
    MAX_TEXT,
    brief,
    json_text,
    spelled,
    told,
)

__all__ = [
    "FUNCTIONS",
    "MAX_DEPTH",
    "MAX_INTEGER",
    "MAX_ITEMS",
    "MAX_LENGTH",
    "MAX_STEPS",
    "MAX_TEXT",
    "RESERVED_NAMES",
    "brief",
    "evaluate",
    "json_text",
    "names",
    "parse",
    "references",
    "shown_values",
    "spelled",
    "told",
]
